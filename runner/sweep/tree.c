/* tree.c - directories: copied, listed by what changed, emptied.
 *
 * A run's changes are what its overlay's upper layer holds: files, new or
 * changed, and for what was removed a device 0/0 ("whiteout", the kernel's
 * Documentation/filesystems/overlayfs.rst).  What was copied up and is as it
 * was doesn't count. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "runner/sweep/sight.h"
#include "runner/words.h"

#define BLOCK	  65536
#define DEPTH_MAX 64

int entries_add(struct entries *entries, const struct entry *entry)
{
	if (entries->count == SIGHT_FILES_MAX || !entry->path)
		return -ENOMEM;
	if (entries->count == entries->room) {
		size_t room = entries->room ? 2 * entries->room : 16;
		struct entry *items =
			realloc(entries->items, room * sizeof(*items));

		if (!items)
			return -ENOMEM;
		entries->items = items;
		entries->room = room;
	}
	entries->items[entries->count++] = *entry;
	return 0;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->path,
		      ((const struct entry *)b)->path);
}

void entries_sort(struct entries *entries)
{
	if (entries->count)
		qsort(entries->items, entries->count, sizeof(*entries->items),
		      by_path);
}

void entries_clear(struct entries *entries)
{
	for (size_t i = 0; i < entries->count; i++)
		free(entries->items[i].path);
	free(entries->items);
	*entries = (struct entries){ 0 };
}

static uint64_t hash_bytes(uint64_t hash, const char *bytes, size_t n)
{
	uint64_t word;

	while (n >= 8) {
		memcpy(&word, bytes, 8);
		hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
		hash ^= hash >> 29;
		bytes += 8;
		n -= 8;
	}
	while (n--)
		hash = (hash ^ (uint8_t)*bytes++) * 0x100000001b3ull;
	return hash;
}

static uint64_t hash_file(int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	static char block[BLOCK];
	uint64_t hash = 0xcbf29ce484222325ull;
	ssize_t n;

	if (fd < 0)
		return (uint64_t)errno;
	while ((n = read(fd, block, sizeof(block))) > 0)
		hash = hash_bytes(hash, block, (size_t)n);
	close(fd);
	return hash;
}

static void entry_look(int dir_fd, const char *name, const struct stat *st,
		       struct entry *entry)
{
	char target[4096];
	ssize_t n;

	entry->size = 0;
	entry->hash = 0;
	if (S_ISREG(st->st_mode)) {
		entry->kind = ENTRY_FILE;
		entry->size = (uint64_t)st->st_size;
		entry->hash = hash_file(dir_fd, name);
	} else if (S_ISDIR(st->st_mode)) {
		entry->kind = ENTRY_DIR;
	} else if (S_ISLNK(st->st_mode)) {
		entry->kind = ENTRY_LINK;
		n = readlinkat(dir_fd, name, target, sizeof(target));
		entry->hash = hash_bytes(1, target, n > 0 ? (size_t)n : 0);
	} else if (S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0)) {
		entry->kind = ENTRY_GONE;
	} else {
		entry->kind = ENTRY_OTHER;
	}
}

/* Is it what it was before the run? */
static bool is_unchanged(int base_fd, const char *name,
			 const struct entry *entry)
{
	struct entry before = { .path = NULL };
	struct stat st;

	if (base_fd < 0 ||
	    fstatat(base_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return entry->kind == ENTRY_GONE;
	if (entry->kind == ENTRY_FILE &&
	    (!S_ISREG(st.st_mode) || (uint64_t)st.st_size != entry->size))
		return false;
	entry_look(base_fd, name, &st, &before);
	return before.kind == entry->kind && before.size == entry->size &&
	       before.hash == entry->hash;
}

static int list(int dir_fd, int base_fd, const char *prefix, bool is_temporary,
		unsigned depth, struct entries *entries);

static int list_below(int dir_fd, int base_fd, const char *name,
		      const char *path, bool is_temporary, unsigned depth,
		      struct entries *entries)
{
	int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int below = openat(dir_fd, name, flags), error = 0;
	int base = base_fd < 0 ? -1 : openat(base_fd, name, flags);
	char *prefix = words_say("%s/", path);

	if (below >= 0 && prefix && depth < DEPTH_MAX)
		error = list(below, base, prefix, is_temporary, depth + 1,
			     entries);
	if (below >= 0)
		close(below);
	if (base >= 0)
		close(base);
	free(prefix);
	return error;
}

static int list_one(int dir_fd, int base_fd, const char *name,
		    const char *prefix, bool is_temporary, unsigned depth,
		    struct entries *entries)
{
	struct entry entry = { .path = words_say("%s%s", prefix, name),
			       .is_temporary = is_temporary };
	struct stat st;
	bool is_dir;
	int error = 0;

	if (!entry.path ||
	    fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
		free(entry.path);
		return 0;
	}
	entry_look(dir_fd, name, &st, &entry);
	is_dir = entry.kind == ENTRY_DIR;
	if (is_dir)
		error = list_below(dir_fd, base_fd, name, entry.path,
				   is_temporary, depth, entries);
	if (is_unchanged(base_fd, name, &entry)) {
		free(entry.path);
		return error;
	}
	if (!error)
		error = entries_add(entries, &entry);
	if (error)
		free(entry.path);
	return error;
}

static int list(int dir_fd, int base_fd, const char *prefix, bool is_temporary,
		unsigned depth, struct entries *entries)
{
	int fd = dup(dir_fd), error = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir)
		return -errno;
	rewinddir(dir);
	while (!error && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			error = list_one(dir_fd, base_fd, entry->d_name, prefix,
					 is_temporary, depth, entries);
	closedir(dir);
	return error;
}

int tree_list(int dir_fd, int base_fd, struct entries *ret_entries)
{
	return list(dir_fd, base_fd, "", false, 0, ret_entries);
}

static bool is_kept(const char *name, char *const *keep)
{
	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return true;
	for (; keep && *keep; keep++)
		if (!strcmp(name, *keep))
			return true;
	return false;
}

int tree_list_temporary(int dir_fd, const char *prefix, char *const *but,
			struct entries *ret_entries)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int error = 0;

	if (!dir)
		return -errno;
	while (!error && (entry = readdir(dir)))
		if (!is_kept(entry->d_name, but))
			error = list_one(dir_fd, -1, entry->d_name, prefix,
					 true, 0, ret_entries);
	closedir(dir);
	return error;
}

/* ---- copying ----------------------------------------------------------- */

struct copying {
	unsigned uid, gid;
	uint64_t *bytes_left;
	uint32_t *entries_left;
};

static int copy_dir(const struct copying *copying, int from, int to,
		    unsigned depth);

static int copy_file(const struct copying *copying, int from, int to,
		     const char *name, const struct stat *st)
{
	int in, out, error = 0;
	ssize_t n = 1;

	if ((uint64_t)st->st_size > *copying->bytes_left)
		return -EFBIG;
	*copying->bytes_left -= (uint64_t)st->st_size;
	in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (in < 0)
		return errno == EACCES ? 0 : -errno;
	out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (out < 0)
		error = -errno;
	while (!error && n > 0) {
		n = sendfile(out, in, NULL, 1 << 20);
		if (n < 0)
			error = -errno;
	}
	if (out >= 0)
		close(out);
	close(in);
	return error;
}

static int copy_link(int from, int to, const char *name)
{
	char target[4096];
	ssize_t n = readlinkat(from, name, target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	return symlinkat(target, to, name) != 0 ? -errno : 0;
}

static int copy_below(const struct copying *copying, int from, int to,
		      const char *name, unsigned depth)
{
	int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	int in = openat(from, name, flags), out, error;

	if (in < 0)
		return errno == EACCES ? 0 : -errno;
	error = mkdirat(to, name, 0700) != 0 ? -errno : 0;
	out = error ? -1 : openat(to, name, flags);
	if (!error)
		error = out < 0 ? -errno
				: copy_dir(copying, in, out, depth + 1);
	if (out >= 0)
		close(out);
	close(in);
	return error;
}

/* Root's files become the inner user's, who could do nothing with them. */
static int copy_one(const struct copying *copying, int from, int to,
		    const char *name, unsigned depth)
{
	struct stat st;
	int error = 0;

	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return 0;
	if (!*copying->entries_left)
		return -EFBIG;
	--*copying->entries_left;
	if (S_ISREG(st.st_mode))
		error = copy_file(copying, from, to, name, &st);
	else if (S_ISDIR(st.st_mode))
		error = copy_below(copying, from, to, name, depth);
	else if (S_ISLNK(st.st_mode))
		error = copy_link(from, to, name);
	else if (S_ISFIFO(st.st_mode))
		error = mkfifoat(to, name, 0600) != 0 ? -errno : 0;
	else
		return 0;
	if (error)
		return error;
	if (geteuid() == 0) {
		bool roots = st.st_uid == 0;

		(void)!fchownat(to, name, roots ? copying->uid : st.st_uid,
				roots ? copying->gid : st.st_gid,
				AT_SYMLINK_NOFOLLOW);
	}
	if (!S_ISLNK(st.st_mode))
		(void)!fchmodat(to, name, st.st_mode & 07777, 0);
	utimensat(to, name, (struct timespec[]){ st.st_atim, st.st_mtim },
		  AT_SYMLINK_NOFOLLOW);
	return 0;
}

static int copy_dir(const struct copying *copying, int from, int to,
		    unsigned depth)
{
	int fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int error = 0;

	if (!dir)
		return -errno;
	while (!error && (entry = readdir(dir))) {
		const char *name = entry->d_name;

		if (!strcmp(name, ".") || !strcmp(name, "..") ||
		    (!depth && !strcmp(name, ".mishap")))
			continue;
		error = depth < DEPTH_MAX
				? copy_one(copying, from, to, name, depth)
				: -EFBIG;
	}
	closedir(dir);
	return error;
}

int tree_copy(int from_fd, int to_fd, unsigned uid, unsigned gid,
	      uint64_t *bytes_left, uint32_t *entries_left)
{
	struct copying copying = { uid, gid, bytes_left, entries_left };
	struct stat st;
	int error = copy_dir(&copying, from_fd, to_fd, 0);

	if (error || fstat(from_fd, &st) != 0)
		return error;
	if (geteuid() == 0)
		(void)!fchown(to_fd, uid, gid);
	(void)!fchmod(to_fd, (st.st_mode & 07777) | 0700);
	futimens(to_fd, (struct timespec[]){ st.st_atim, st.st_mtim });
	return 0;
}

/* ---- emptying ---------------------------------------------------------- */

static void remove_one(int dir_fd, const char *name, unsigned depth)
{
	int fd;

	if (unlinkat(dir_fd, name, 0) == 0 || depth > DEPTH_MAX)
		return;
	fd = openat(dir_fd, name,
		    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0) {
		DIR *dir = fdopendir(fd);
		struct dirent *entry;

		while (dir && (entry = readdir(dir)))
			if (!is_kept(entry->d_name, NULL))
				remove_one(fd, entry->d_name, depth + 1);
		if (dir)
			closedir(dir);
	}
	unlinkat(dir_fd, name, AT_REMOVEDIR);
}

int tree_wipe(int dir_fd, char *const *keep)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir)))
		if (!is_kept(entry->d_name, keep))
			remove_one(fd, entry->d_name, 0);
	closedir(dir);
	return 0;
}
