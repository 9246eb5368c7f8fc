#include "runner/shared_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "runner/scratch.h"

#define OWNER_GRACE_S 10 /* from mkdir to the lock, at most */

struct roots {
	char path[SHARED_ROOTS_MAX][64];
	size_t count;
};

/* ld.so(8): LD_PRELOAD is a list that spaces and colons part, and $ORIGIN,
 * $LIB, $PLATFORM in it are expanded. */
static bool is_preloadable(const char *path)
{
	return !strpbrk(path, " :$");
}

static void roots_add(struct roots *roots, const char *path)
{
	struct statfs fs;

	if (roots->count == SHARED_ROOTS_MAX ||
	    strlen(path) >= sizeof(roots->path[0]) || !is_preloadable(path))
		return;
	for (size_t i = 0; i < roots->count; i++)
		if (!strcmp(roots->path[i], path))
			return;
	if (statfs(path, &fs) != 0 || fs.f_type != TMPFS_MAGIC ||
	    access(path, W_OK | X_OK) != 0)
		return;
	strcpy(roots->path[roots->count++], path);
}

/* Never a disk: a test may fill that. */
static struct roots roots_find(void)
{
	struct roots roots = { 0 };
	struct mntent *entry;
	char user[64];
	FILE *mounts;

	roots_add(&roots, "/dev/shm");
	snprintf(user, sizeof(user), "/run/user/%u", (unsigned)geteuid());
	roots_add(&roots, user);
	mounts = setmntent("/proc/self/mounts", "re");
	if (!mounts)
		return roots;
	while ((entry = getmntent(mounts)))
		if (!strcmp(entry->mnt_type, "tmpfs"))
			roots_add(&roots, entry->mnt_dir);
	endmntent(mounts);
	return roots;
}

static void dir_remove(const char *dir)
{
	static const char *const inner[] = { "/sites", "" };
	char path[512];

	for (size_t i = 0; i < 2; i++) {
		struct dirent *entry;
		DIR *stream;

		snprintf(path, sizeof(path), "%s%s", dir, inner[i]);
		stream = opendir(path);
		if (!stream)
			continue;
		while ((entry = readdir(stream)))
			if (entry->d_type != DT_DIR)
				unlinkat(dirfd(stream), entry->d_name, 0);
		closedir(stream);
		rmdir(path);
	}
}

static int owner_write(int dir_fd)
{
	char line[64] = "";
	int n, fd;

	fd = openat(dir_fd, "owner", O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC,
		    0644);
	if (fd < 0)
		return -errno;
	n = snprintf(line, sizeof(line), "%d\n", (int)getpid());
	/* A sweeper that looks at it just now lets go at once. */
	if (flock(fd, LOCK_EX) != 0 || write(fd, line, n) != n) {
		n = -errno;
		close(fd);
		return n;
	}
	return fd;
}

static int dir_make(const char *root, struct shared_file *file)
{
	unsigned char name[16];
	int n, dir_fd;

	if (getrandom(name, sizeof(name), 0) != sizeof(name))
		return -EIO;
	n = snprintf(file->dir, sizeof(file->dir), "%s/" SHARED_DIR_PREFIX,
		     root);
	for (size_t i = 0; i < sizeof(name); i++)
		n += sprintf(file->dir + n, "%02x", name[i]);
	snprintf(file->path, sizeof(file->path), "%s/shared", file->dir);
	snprintf(file->sites_dir, sizeof(file->sites_dir), "%s/sites",
		 file->dir);
	/* Whatever the umask says: a target may setuid and then exec. */
	if (mkdir(file->dir, 0711) != 0 || chmod(file->dir, 0711) != 0)
		return -errno;
	dir_fd = open(file->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0)
		return -errno;
	n = mkdirat(dir_fd, "sites", 0755) != 0 ||
			    fchmodat(dir_fd, "sites", 0755, 0) != 0
		    ? -errno
		    : owner_write(dir_fd);
	close(dir_fd);
	if (n < 0)
		return n;
	file->owner_fd = n;
	return 0;
}

static int file_map(struct shared_file *file, int fd)
{
	void *map;

	map = mmap(NULL, file->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		   0);
	if (map == MAP_FAILED)
		return -errno;
	file->header = map;
	return 0;
}

static int file_fill(struct shared_file *file, const void *plan,
		     size_t plan_bytes, const char *library)
{
	size_t state_off;
	int fd, error;

	state_off = (SHARED_PAGE + plan_bytes + SHARED_PAGE - 1) &
		    ~(size_t)(SHARED_PAGE - 1);
	file->bytes = state_off + sizeof(struct state);
	fd = open(file->path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666);
	if (fd < 0)
		return -errno;
	error = fchmod(fd, 0666) != 0 ? errno : 0;
	if (!error) /* never sparse: a full tmpfs must not SIGBUS a target */
		error = posix_fallocate(fd, 0, (off_t)file->bytes);
	if (!error)
		error = -file_map(file, fd);
	close(fd);
	if (error)
		return -error;
	memcpy((char *)file->header + SHARED_PAGE, plan, plan_bytes);
	file->state = (void *)((char *)file->header + state_off);
	file->header->plan_off = SHARED_PAGE;
	file->header->plan_bytes = plan_bytes;
	file->header->state_off = state_off;
	file->header->state_bytes = sizeof(struct state);
	strcpy(file->header->sites_dir, file->sites_dir);
	strcpy(file->header->library, library);
	file->header->abi = shared_abi();
	file->header->magic = SHARED_MAGIC;
	return 0;
}

int shared_file_create(const void *plan, size_t plan_bytes, const char *library,
		       struct shared_file *ret_file)
{
	struct roots roots = roots_find();
	int error = -ENOENT;

	if (strlen(library) >= sizeof(ret_file->header->library))
		library = ""; /* it must be lent */
	for (size_t i = 0; i < roots.count; i++) {
		struct shared_file file = { .owner_fd = -1 };

		error = dir_make(roots.path[i], &file);
		if (!error)
			error = file_fill(&file, plan, plan_bytes, library);
		if (!error)
			error = shared_check(file.header, file.bytes);
		if (!error) {
			*ret_file = file;
			return 0;
		}
		shared_file_remove(&file);
	}
	return error;
}

int shared_file_beside(const struct shared_file *file, const char *name,
		       const void *plan, size_t plan_bytes, const char *library,
		       struct shared_file *ret_file)
{
	struct shared_file beside = { .owner_fd = -1 };
	int error;

	snprintf(beside.path, sizeof(beside.path), "%.*s/%.20s",
		 (int)sizeof(beside.path) - 24, file->dir, name);
	memcpy(beside.sites_dir, file->sites_dir, sizeof(beside.sites_dir));
	error = file_fill(&beside, plan, plan_bytes, library);
	if (error)
		shared_file_unmap(&beside);
	else
		*ret_file = beside;
	return error;
}

static bool all_can_read(const char *path)
{
	char part[PATH_MAX];
	struct stat st;

	for (const char *at = path; (at = strchr(at + 1, '/')) != NULL;) {
		snprintf(part, sizeof(part), "%.*s", (int)(at - path), path);
		if (stat(part, &st) != 0 || !(st.st_mode & S_IXOTH))
			return false;
	}
	return stat(path, &st) == 0 && (st.st_mode & S_IROTH);
}

static int file_copy(const char *from, const char *to)
{
	int in = open(from, O_RDONLY | O_CLOEXEC), out = -1, error = 0;
	ssize_t n = 1;

	if (in < 0)
		return -errno;
	out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	if (out < 0 || fchmod(out, 0755) != 0)
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

int shared_file_lend_library(struct shared_file *file, const char *library,
			     char **ret_path)
{
	bool by_name = is_preloadable(library) &&
		       strlen(library) < sizeof(file->header->library);
	struct statvfs fs;
	bool noexec = statvfs(file->dir, &fs) != 0 || (fs.f_flag & ST_NOEXEC);
	char *path = NULL;
	int error = 0;

	if (by_name && (noexec || all_can_read(library)))
		path = strdup(library);
	else if (asprintf(&path, "%s/libmishap.so", file->dir) < 0)
		return -ENOMEM;
	else if (noexec) /* a link is not what is mapped */
		error = symlink(library, path) != 0 ? -errno : 0;
	else
		error = file_copy(library, path);
	if (!path)
		return -ENOMEM;
	if (!error && strlen(path) >= sizeof(file->header->library))
		error = -ENAMETOOLONG;
	if (error) {
		free(path);
		return error;
	}
	strcpy(file->header->library, path);
	*ret_path = path;
	return 0;
}

int shared_file_note_scratch(const struct shared_file *file,
			     const char *scratch)
{
	char link[544];

	snprintf(link, sizeof(link), "%s/scratch", file->dir);
	return symlink(scratch, link) != 0 ? -errno : 0;
}

const void *shared_file_plan(const struct shared_file *file)
{
	return (const char *)file->header + file->header->plan_off;
}

void shared_file_unmap(struct shared_file *file)
{
	if (file->header)
		munmap(file->header, file->bytes);
	file->header = NULL;
	file->state = NULL;
}

void shared_file_remove(struct shared_file *file)
{
	shared_file_unmap(file);
	if (*file->dir)
		dir_remove(file->dir);
	*file->dir = '\0';
	if (file->owner_fd >= 0)
		close(file->owner_fd);
	file->owner_fd = -1;
}

int shared_file_map(const char *dir, struct shared_file *ret_file)
{
	struct shared_file file = { .owner_fd = -1 };
	struct stat st;
	int fd, error;

	snprintf(file.path, sizeof(file.path), "%s/shared", dir);
	fd = open(file.path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	error = fstat(fd, &st) != 0 ? -errno : 0;
	file.bytes = (size_t)st.st_size;
	if (!error && (!S_ISREG(st.st_mode) ||
		       file.bytes < SHARED_PAGE + sizeof(struct state)))
		error = -EBADMSG;
	if (!error)
		error = file_map(&file, fd);
	close(fd);
	if (error)
		return error;
	error = shared_check(file.header, file.bytes);
	if (error) {
		shared_file_unmap(&file);
		return error;
	}
	file.state = (void *)((char *)file.header + file.header->state_off);
	*ret_file = file;
	return 0;
}

/* Is it ours, and does its runner live?  1, 0, or -errno: not ours at all. */
static int dir_is_live(const char *dir, int *ret_pid)
{
	char path[544], line[32] = "";
	struct stat st;
	int fd, live;

	if (lstat(dir, &st) != 0)
		return -errno;
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid())
		return -EPERM;
	snprintf(path, sizeof(path), "%s/owner", dir);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return time(NULL) - st.st_mtime < OWNER_GRACE_S;
	live = flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
	if (read(fd, line, sizeof(line) - 1) > 0)
		*ret_pid = atoi(line);
	else if (!live) /* made, and not yet locked */
		live = time(NULL) - st.st_mtime < OWNER_GRACE_S;
	close(fd);
	return live;
}

/* Just what dir_make() gives: nobody else's mishap-something is swept. */
static bool is_our_name(const char *name)
{
	const char *digits = name + strlen(SHARED_DIR_PREFIX);

	return !strncmp(name, SHARED_DIR_PREFIX, strlen(SHARED_DIR_PREFIX)) &&
	       strspn(digits, "0123456789abcdef") == 32 && !digits[32];
}

int shared_dirs_visit(void (*visit)(const char *dir, int pid, bool live,
				    void *arg),
		      void *arg)
{
	struct roots roots = roots_find();

	for (size_t i = 0; i < roots.count; i++) {
		DIR *stream = opendir(roots.path[i]);
		struct dirent *entry;

		while (stream && (entry = readdir(stream))) {
			char dir[512];
			int live, pid = 0;

			if (!is_our_name(entry->d_name))
				continue;
			snprintf(dir, sizeof(dir), "%s/%s", roots.path[i],
				 entry->d_name);
			live = dir_is_live(dir, &pid);
			if (live >= 0)
				visit(dir, pid, live, arg);
		}
		if (stream)
			closedir(stream);
	}
	return 0;
}

/* The directory that its target was given; false: somebody lives there. */
static bool scratch_of_swept(const char *dir)
{
	char link[544], scratch[PATH_MAX];
	ssize_t n;

	snprintf(link, sizeof(link), "%s/scratch", dir);
	n = readlink(link, scratch, sizeof(scratch) - 1);
	if (n <= 0)
		return true;
	scratch[n] = '\0';
	return scratch_sweep(scratch);
}

static void sweep_one(const char *dir, int pid, bool live, void *arg)
{
	unsigned *swept = arg;

	(void)pid;
	if (live || !scratch_of_swept(dir))
		return;
	dir_remove(dir);
	++*swept;
}

unsigned shared_dirs_sweep(void)
{
	unsigned swept = 0;

	shared_dirs_visit(sweep_one, &swept);
	return swept;
}

void shared_state_disarm(struct state *state)
{
	volatile uint8_t *nr = state->armed_nr, *call = state->armed_call;

	atomic_store(&state->armed, 0);
	for (size_t i = 0; i < sizeof(state->armed_nr); i++)
		nr[i] = 0;
	for (size_t i = 0; i < sizeof(state->armed_call); i++)
		call[i] = 0;
}
