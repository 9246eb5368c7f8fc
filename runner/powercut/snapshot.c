/* snapshot.c - the tree before, copied and logged; the tree after, hashed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runner/powercut/recorder.h"

#define DEPTH_MAX 128
#define LINKS_MAX 256

static size_t ino_place(const struct recorder *recorder, uint64_t ino)
{
	size_t at = (ino * 0x9e3779b97f4a7c15ull) >> 20;

	for (at &= recorder->inos_room - 1;
	     recorder->inos[at] && recorder->inos[at] != ino;
	     at = (at + 1) & (recorder->inos_room - 1))
		;
	return at;
}

bool inos_have(const struct recorder *recorder, uint64_t ino)
{
	return recorder->inos_room && ino &&
	       recorder->inos[ino_place(recorder, ino)] == ino;
}

void inos_add(struct recorder *recorder, uint64_t ino)
{
	if (2 * recorder->inos_count >= recorder->inos_room) {
		size_t room =
			recorder->inos_room ? 2 * recorder->inos_room : 4096;
		uint64_t *old = recorder->inos;
		size_t old_room = recorder->inos_room;

		recorder->inos = calloc(room, sizeof(*old));
		if (!recorder->inos) {
			recorder->inos = old;
			recorder->sink.error = -ENOMEM;
			return;
		}
		recorder->inos_room = room;
		for (size_t i = 0; i < old_room; i++)
			if (old[i])
				recorder->inos[ino_place(recorder, old[i])] =
					old[i];
		free(old);
	}
	if (!inos_have(recorder, ino))
		recorder->inos_count++;
	recorder->inos[ino_place(recorder, ino)] = ino;
}

struct copying {
	struct recorder *recorder;
	struct {
		dev_t dev;
		ino_t ino;
		uint64_t to;
		int fd;
	} * links; /* files of several names */
	size_t links_count;
	uid_t uid;
	gid_t gid;
	int depth;
};

static void put_base(struct recorder *recorder, enum oplog_kind kind,
		     const struct stat *st, uint64_t dir, const char *name,
		     const char *target, const void *data, uint64_t bytes)
{
	struct oplog_record record = {
		.kind = kind,
		.ino = st->st_ino,
		.dir = dir,
		.size = st->st_mode & 07777,
		.name_bytes = (uint32_t)strlen(name),
		.name2_bytes = target ? (uint32_t)strlen(target) : 0,
		.data_bytes = bytes,
	};

	sink_put(&recorder->sink, &record, name, target, data);
	inos_add(recorder, st->st_ino);
}

/* The owner is the program's; what it is and when it was changed stay. */
static void look_alike(const struct copying *copying, int fd,
		       const struct stat *st)
{
	const struct timespec times[2] = { st->st_atim, st->st_mtim };

	if (geteuid() == 0 && fchown(fd, copying->uid, copying->gid) != 0)
		return;
	if (fchmod(fd, st->st_mode & 07777) != 0)
		return;
	futimens(fd, times);
}

static int write_whole(int fd, const uint8_t *data, uint64_t bytes)
{
	while (bytes) {
		ssize_t n = write(fd, data, bytes);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			data += n;
			bytes -= (uint64_t)n;
		}
	}
	return 0;
}

static int copy_bytes(struct copying *copying, int from, int to,
		      const struct stat *st, uint64_t dir, const char *name)
{
	uint64_t bytes = (uint64_t)st->st_size;
	void *data = NULL;
	struct stat made;
	int error = 0;

	if (bytes) {
		data = mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, from, 0);
		if (data == MAP_FAILED)
			return -errno;
		error = write_whole(to, data, bytes);
	}
	look_alike(copying, to, st);
	if (!error && fstat(to, &made) != 0)
		error = -errno;
	if (!error)
		put_base(copying->recorder, OPLOG_BASE_FILE, &made, dir, name,
			 NULL, data, bytes);
	if (data)
		munmap(data, bytes);
	return error;
}

static int copy_file(struct copying *copying, int from_dir, int to_dir,
		     const struct stat *st, uint64_t dir, const char *name)
{
	int from = openat(from_dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	int to = -1, error = from < 0 ? -errno : 0;

	if (!error) {
		to = openat(to_dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC,
			    0600);
		error = to < 0 ? -errno : 0;
	}
	if (!error)
		error = copy_bytes(copying, from, to, st, dir, name);
	if (from >= 0)
		close(from);
	if (to >= 0)
		close(to);
	return error;
}

/* A second name of a file that was copied under its first. */
static bool copy_link(struct copying *copying, int to_dir,
		      const struct stat *st, uint64_t dir, const char *name,
		      int *ret_error)
{
	char path[64];

	for (size_t i = 0; i < copying->links_count; i++) {
		struct stat made = *st;

		if (copying->links[i].dev != st->st_dev ||
		    copying->links[i].ino != st->st_ino)
			continue;
		made.st_ino = copying->links[i].to;
		snprintf(path, sizeof(path), "/proc/self/fd/%d",
			 copying->links[i].fd);
		*ret_error = linkat(AT_FDCWD, path, to_dir, name,
				    AT_SYMLINK_FOLLOW) != 0
				     ? -errno
				     : 0;
		put_base(copying->recorder, OPLOG_BASE_LINK, &made, dir, name,
			 NULL, NULL, 0);
		return true;
	}
	return false;
}

static int copy_dir(struct copying *copying, int from_fd, int to_fd,
		    uint64_t dir);

static int copy_subdir(struct copying *copying, int from_dir, int to_dir,
		       const struct stat *st, uint64_t dir, const char *name)
{
	int from = openat(from_dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int to = -1, error = from < 0 ? -errno : 0;
	struct stat made;

	if (!error && mkdirat(to_dir, name, 0700) != 0)
		error = -errno;
	if (!error) {
		to = openat(to_dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		error = to < 0 || fstat(to, &made) != 0 ? -errno : 0;
	}
	if (!error) {
		made.st_mode = st->st_mode;
		put_base(copying->recorder, OPLOG_BASE_DIR, &made, dir, name,
			 NULL, NULL, 0);
		error = copy_dir(copying, from, to, made.st_ino);
		look_alike(copying, to, st);
	}
	if (from >= 0)
		close(from);
	if (to >= 0)
		close(to);
	return error;
}

static int copy_symlink(struct copying *copying, int from_dir, int to_dir,
			uint64_t dir, const char *name)
{
	char target[PATH_BYTES];
	ssize_t n = readlinkat(from_dir, name, target, sizeof(target) - 1);
	struct stat made;

	if (n < 0)
		return -errno;
	target[n] = '\0';
	if (symlinkat(target, to_dir, name) != 0 ||
	    fstatat(to_dir, name, &made, AT_SYMLINK_NOFOLLOW) != 0)
		return -errno;
	if (geteuid() == 0 && fchownat(to_dir, name, copying->uid, copying->gid,
				       AT_SYMLINK_NOFOLLOW) != 0)
		return -errno;
	put_base(copying->recorder, OPLOG_BASE_SYMLINK, &made, dir, name,
		 target, NULL, 0);
	return 0;
}

static int links_note(struct copying *copying, int to_dir,
		      const struct stat *st, const char *name)
{
	struct stat made;
	void *more;

	if (copying->links_count == LINKS_MAX)
		return 0; /* its other names become files of their own */
	more = reallocarray(copying->links, copying->links_count + 1,
			    sizeof(*copying->links));
	if (!more)
		return -ENOMEM;
	copying->links = more;
	if (fstatat(to_dir, name, &made, AT_SYMLINK_NOFOLLOW) != 0)
		return -errno;
	copying->links[copying->links_count].fd =
		openat(to_dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	copying->links[copying->links_count].dev = st->st_dev;
	copying->links[copying->links_count].ino = st->st_ino;
	copying->links[copying->links_count++].to = made.st_ino;
	return 0;
}

static int copy_entry(struct copying *copying, int from_fd, int to_fd,
		      uint64_t dir, const char *name)
{
	struct stat st;
	int error = 0;

	if (fstatat(from_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? 0 : -errno;
	if (S_ISDIR(st.st_mode))
		return copy_subdir(copying, from_fd, to_fd, &st, dir, name);
	if (S_ISLNK(st.st_mode))
		return copy_symlink(copying, from_fd, to_fd, dir, name);
	if (!S_ISREG(st.st_mode))
		return 0; /* sockets, pipes, devices hold nothing */
	if (st.st_nlink > 1 &&
	    copy_link(copying, to_fd, &st, dir, name, &error))
		return error;
	error = copy_file(copying, from_fd, to_fd, &st, dir, name);
	if (!error && st.st_nlink > 1)
		error = links_note(copying, to_fd, &st, name);
	return error;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names in order, so that one tree gives one log. */
static int names_read(int fd, char ***ret_names, size_t *ret_count)
{
	DIR *stream = fdopendir(dup(fd));
	char **names = NULL;
	size_t count = 0;
	struct dirent *entry;

	if (!stream)
		return -errno;
	while ((entry = readdir(stream))) {
		char **more;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		more = reallocarray(names, count + 1, sizeof(*names));
		if (!more)
			break;
		names = more;
		names[count] = strdup(entry->d_name);
		if (!names[count])
			break;
		count++;
	}
	closedir(stream);
	if (count)
		qsort(names, count, sizeof(*names), by_name);
	*ret_names = names;
	*ret_count = count;
	return 0;
}

static void names_free(char **names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(names[i]);
	free(names);
}

static int copy_dir(struct copying *copying, int from_fd, int to_fd,
		    uint64_t dir)
{
	char **names;
	size_t count;
	int error;

	if (copying->depth == DEPTH_MAX)
		return -ELOOP;
	error = names_read(from_fd, &names, &count);
	if (error)
		return error;
	copying->depth++;
	for (size_t i = 0; i < count && !error; i++)
		error = copy_entry(copying, from_fd, to_fd, dir, names[i]);
	copying->depth--;
	names_free(names, count);
	return error;
}

int snapshot_copy(struct recorder *recorder, int from_fd, uid_t uid, gid_t gid)
{
	struct copying copying = { .recorder = recorder,
				   .uid = uid,
				   .gid = gid };
	struct stat st, made;
	int error;

	if (fstat(from_fd, &st) != 0 || fstat(recorder->root_fd, &made) != 0)
		return -errno;
	made.st_mode = st.st_mode;
	put_base(recorder, OPLOG_BASE_DIR, &made, 0, "", NULL, NULL, 0);
	error = copy_dir(&copying, from_fd, recorder->root_fd, made.st_ino);
	look_alike(&copying, recorder->root_fd, &st);
	for (size_t i = 0; i < copying.links_count; i++)
		close(copying.links[i].fd);
	free(copying.links);
	return error;
}

/* ---- afterwards ---------------------------------------------------------- */
static int final_dir(struct recorder *recorder, int fd, const char *path,
		     int depth);

static int final_file(struct recorder *recorder, int dir_fd, const char *name,
		      const struct stat *st, struct oplog_record *record)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	void *data = NULL;

	(void)recorder;
	if (fd < 0)
		return -errno;
	if (st->st_size) {
		data = mmap(NULL, (size_t)st->st_size, PROT_READ, MAP_PRIVATE,
			    fd, 0);
		if (data == MAP_FAILED) {
			close(fd);
			return -errno;
		}
	}
	record->kind = OPLOG_FINAL_FILE;
	record->size = (uint64_t)st->st_size;
	record->offset = oplog_hash(data, (size_t)st->st_size).a;
	if (data)
		munmap(data, (size_t)st->st_size);
	close(fd);
	return 0;
}

static int final_entry(struct recorder *recorder, int fd, const char *path,
		       const char *name, int depth)
{
	struct oplog_record record = { .kind = OPLOG_FINAL_DIR };
	char full[PATH_BYTES], target[PATH_BYTES];
	struct stat st;
	int error = 0, sub;
	ssize_t n = 0;

	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return -errno;
	if (snprintf(full, sizeof(full), "%s%s%s", path, *path ? "/" : "",
		     name) >= (int)sizeof(full))
		return -ENAMETOOLONG;
	if (S_ISLNK(st.st_mode)) {
		n = readlinkat(fd, name, target, sizeof(target));
		error = n < 0 ? -errno : 0;
		record.kind = OPLOG_FINAL_SYMLINK;
	} else if (S_ISREG(st.st_mode)) {
		error = final_file(recorder, fd, name, &st, &record);
	} else if (!S_ISDIR(st.st_mode)) {
		return 0;
	}
	if (error)
		return error;
	record.ino = st.st_ino;
	record.name_bytes = (uint32_t)strlen(full);
	record.name2_bytes = (uint32_t)n;
	sink_put(&recorder->sink, &record, full, target, NULL);
	if (!S_ISDIR(st.st_mode))
		return 0;
	sub = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (sub < 0)
		return -errno;
	error = final_dir(recorder, sub, full, depth + 1);
	close(sub);
	return error;
}

static int final_dir(struct recorder *recorder, int fd, const char *path,
		     int depth)
{
	char **names;
	size_t count;
	int error;

	if (depth == DEPTH_MAX)
		return -ELOOP;
	error = names_read(fd, &names, &count);
	for (size_t i = 0; !error && i < count; i++)
		error = final_entry(recorder, fd, path, names[i], depth);
	if (!error || count)
		names_free(names, count);
	return error;
}

int snapshot_final(struct recorder *recorder)
{
	return final_dir(recorder, recorder->root_fd, "", 0);
}
