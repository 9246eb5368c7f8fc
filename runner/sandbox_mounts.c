/* sandbox_mounts.c - the file system inside a sandbox.
 *
 * Everything that is to be seen inside is first cloned as a detached tree,
 * because the stage on which the new root is built covers the old /tmp. */
#include "runner/sandbox_mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BOUND_MAX  SANDBOX_BOUND_MAX
#define COVERS_MAX 8
#define STAGE	   "/tmp"
#define ROOT	   STAGE "/root"
#define LOWER	   STAGE "/lower"
#define UPPER	   STAGE "/over/upper"
#define WORK	   STAGE "/over/work"

/* <sys/mount.h> and <linux/mount.h> can't both be included. */
#define MS_RDONLY_	   1
#define MS_NOSUID_	   2
#define MS_NODEV_	   4
#define MS_NOEXEC_	   8
#define MS_BIND_	   4096
#define MS_REC_		   16384
#define MS_PRIVATE_	   (1 << 18)
#define MNT_DETACH_	   2
#define AT_RECURSIVE_	   0x8000
#define OPEN_TREE_CLONE_   1
#define OPEN_TREE_CLOEXEC_ O_CLOEXEC

struct trees { /* detached; -1: none */
	int root, cwd, scratch, shared;
	int bound[BOUND_MAX];
	char covers[COVERS_MAX][PATH_MAX]; /* what we put over closed doors */
	size_t covers_count;
};

static int mount_(const char *from, const char *to, const char *type,
		  unsigned long flags, const char *data)
{
	return syscall(SYS_mount, from, to, type, flags, data) != 0 ? -errno
								    : 0;
}

static int tree_clone(const char *path, int *ret_fd)
{
	int fd = (int)syscall(SYS_open_tree, AT_FDCWD, path,
			      OPEN_TREE_CLONE_ | OPEN_TREE_CLOEXEC_ |
				      AT_RECURSIVE_);

	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

static int tree_set(int fd, unsigned flags, uint64_t set, int userns_fd)
{
	struct mount_attr attr = { .attr_set = set,
				   .userns_fd = userns_fd < 0
							? 0
							: (uint64_t)userns_fd };

	return syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | flags, &attr,
		       sizeof(attr)) != 0
		       ? -errno
		       : 0;
}

static int tree_put(int fd, const char *path)
{
	return syscall(SYS_move_mount, fd, "", AT_FDCWD, path,
		       MOVE_MOUNT_F_EMPTY_PATH) != 0
		       ? -errno
		       : 0;
}

static int path_set_readonly(const char *path)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };

	return syscall(SYS_mount_setattr, AT_FDCWD, path, 0, &attr,
		       sizeof(attr)) != 0
		       ? -errno
		       : 0;
}

static int dir_make(const char *path, mode_t mode)
{
	if (mkdir(path, mode) != 0 && errno != EEXIST)
		return -errno;
	chmod(path, mode);
	return 0;
}

/* Where `path` of the outside will stand. */
static void inside(char to[PATH_MAX], const char *path)
{
	snprintf(to, PATH_MAX, ROOT "%s", path);
}

/* mkdir -p; what isn't hidden is there already. */
static int parents_make(const char *path)
{
	char part[PATH_MAX];

	for (const char *at = path + sizeof(ROOT);
	     (at = strchr(at, '/')) != NULL; at++) {
		snprintf(part, sizeof(part), "%.*s", (int)(at - path), path);
		if (access(part, F_OK) != 0 && mkdir(part, 0755) != 0)
			return -errno;
	}
	return 0;
}

static int place_make(const char *path, bool is_dir)
{
	int fd, error;

	if (access(path, F_OK) == 0)
		return 0;
	error = parents_make(path);
	if (error)
		return error;
	if (is_dir)
		return mkdir(path, 0755) != 0 ? -errno : 0;
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

static bool is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return !strncmp(path, dir, n) && (path[n] == '/' || !path[n]);
}

static int trees_clone(const struct keeper *keeper, struct trees *trees,
		       struct keeper_status *status)
{
	const struct sandbox_input *input = keeper->input;
	int error;

	error = tree_clone("/", &trees->root);
	if (!error)
		error = tree_clone(keeper->cwd, &trees->cwd);
	if (!error)
		error = tree_clone(input->scratch, &trees->scratch);
	if (!error && input->shared_dir)
		error = tree_clone(input->shared_dir, &trees->shared);
	for (size_t i = 0;
	     input->bound && input->bound[i] && i < BOUND_MAX && !error; i++)
		error = tree_clone(input->bound[i], &trees->bound[i]);
	status->step = KEEPER_BIND;
	return error;
}

static int root_make(const struct trees *trees, struct keeper_status *status)
{
	int error;

	status->step = KEEPER_ROOT;
	error = mount_("mishap", STAGE, "tmpfs", MS_NOSUID_ | MS_NODEV_,
		       "mode=0755");
	if (!error)
		error = dir_make(ROOT, 0755);
	if (!error)
		error = dir_make(LOWER, 0755);
	if (!error)
		error = dir_make(STAGE "/over", 0755);
	if (!error)
		error = dir_make(UPPER, 0755);
	if (!error)
		error = dir_make(WORK, 0755);
	if (!error)
		error = tree_set(trees->root, AT_RECURSIVE_, MOUNT_ATTR_RDONLY,
				 -1);
	if (!error)
		error = tree_put(trees->root, ROOT);
	return error;
}

static int proc_make(struct keeper_status *status)
{
	status->step = KEEPER_PROC;
	return mount_("proc", ROOT "/proc", "proc",
		      MS_NOSUID_ | MS_NODEV_ | MS_NOEXEC_, NULL);
}

static int dev_make(struct keeper_status *status)
{
	static const char *const nodes[] = { "null",   "zero",	  "full",
					     "random", "urandom", "tty" };
	static const char *const links[][2] = {
		{ "/proc/self/fd", "fd" }, { "fd/0", "stdin" },
		{ "fd/1", "stdout" },	   { "fd/2", "stderr" },
		{ "pts/ptmx", "ptmx" },
	};
	char from[64], to[PATH_MAX];
	int error;

	status->step = KEEPER_DEV;
	error = mount_("mishap", ROOT "/dev", "tmpfs", MS_NOSUID_ | MS_NOEXEC_,
		       "mode=0755");
	for (size_t i = 0; i < 6 && !error; i++) {
		snprintf(from, sizeof(from), "/dev/%s", nodes[i]);
		snprintf(to, sizeof(to), ROOT "/dev/%s", nodes[i]);
		error = place_make(to, false);
		if (!error)
			error = mount_(from, to, NULL, MS_BIND_, NULL);
	}
	for (size_t i = 0; i < 5 && !error; i++) {
		snprintf(to, sizeof(to), ROOT "/dev/%s", links[i][1]);
		error = symlink(links[i][0], to) != 0 ? -errno : 0;
	}
	if (!error)
		error = dir_make(ROOT "/dev/pts", 0755);
	if (!error)
		error = mount_("devpts", ROOT "/dev/pts", "devpts",
			       MS_NOSUID_ | MS_NOEXEC_,
			       "newinstance,ptmxmode=0666,mode=620");
	if (!error)
		error = dir_make(ROOT "/dev/shm", 01777);
	if (!error)
		error = mount_("mishap", ROOT "/dev/shm", "tmpfs",
			       MS_NOSUID_ | MS_NODEV_, "mode=1777");
	return error;
}

static int tmp_make(struct keeper_status *status)
{
	int error;

	status->step = KEEPER_TMP;
	error = mount_("mishap", ROOT "/tmp", "tmpfs", MS_NOSUID_ | MS_NODEV_,
		       "mode=1777");
	if (!error && access(ROOT "/var/tmp", F_OK) == 0)
		error = mount_("mishap", ROOT "/var/tmp", "tmpfs",
			       MS_NOSUID_ | MS_NODEV_, "mode=1777");
	return error;
}

/* The upper layer's root looks as the lower's does, but is the target's. */
static int overlay_owner(const struct keeper *keeper, bool swapped)
{
	struct stat st;

	if (stat(LOWER, &st) != 0 || chmod(UPPER, st.st_mode & 07777) != 0)
		return -errno;
	if (geteuid() != 0) /* only our own id exists here, and we have it */
		return 0;
	if (keeper->idmap_fd >= 0 && !swapped) {
		st.st_uid = keeper->uid;
		st.st_gid = keeper->gid;
	}
	return chown(UPPER, st.st_uid, st.st_gid) != 0 ? -errno : 0;
}

/* Not every file system can (overlayfs, the root of most containers, can't):
 * then files can be made and removed at the top, but root's stay root's. */
static int owners_swap(const struct keeper *keeper, const struct trees *trees,
		       bool *ret_swapped)
{
	int error = 0;

	if (keeper->idmap_fd >= 0)
		error = tree_set(trees->cwd, 0, MOUNT_ATTR_IDMAP,
				 keeper->idmap_fd);
	*ret_swapped = keeper->idmap_fd >= 0 && !error;
	return error == -EINVAL || error == -EOPNOTSUPP || error == -EPERM
		       ? 0
		       : error;
}

static bool may_pass(const struct sandbox *sandbox, const struct stat *st)
{
	uid_t uid;
	gid_t gid;

	sandbox_ids(sandbox, &uid, &gid);
	if (st->st_uid == uid)
		return st->st_mode & S_IXUSR;
	return st->st_mode & (st->st_gid == gid ? S_IXGRP : S_IXOTH);
}

/* Root may pass where the user inside can't, /root above all: the first such
 * directory above `path` is covered by an empty one that lets it pass, and
 * the path itself is put back below. */
static int cover_make(const struct keeper *keeper, struct trees *trees,
		      const char *path)
{
	char part[PATH_MAX];
	struct stat st;
	int error;

	if (geteuid() != 0)
		return 0;
	for (const char *at = path + 1; (at = strchr(at, '/')) != NULL; at++) {
		snprintf(part, sizeof(part), ROOT "%.*s", (int)(at - path),
			 path);
		if (stat(part, &st) != 0)
			return 0; /* hidden: it will be made anew */
		if (may_pass(keeper->sandbox, &st))
			continue;
		if (trees->covers_count == COVERS_MAX)
			return -E2BIG;
		error = mount_("mishap", part, "tmpfs", MS_NOSUID_ | MS_NODEV_,
			       "mode=0755");
		if (!error)
			strcpy(trees->covers[trees->covers_count++], part);
		return error;
	}
	return 0;
}

static int covers_make(const struct keeper *keeper, struct trees *trees,
		       struct keeper_status *status)
{
	const struct sandbox_input *input = keeper->input;
	int error = cover_make(keeper, trees, keeper->cwd);

	status->step = KEEPER_BIND;
	for (size_t i = 0; i < BOUND_MAX && trees->bound[i] >= 0 && !error; i++)
		error = cover_make(keeper, trees, input->bound[i]);
	return error;
}

static int covers_close(const struct trees *trees)
{
	int error = 0;

	for (size_t i = 0; i < trees->covers_count && !error; i++)
		error = path_set_readonly(trees->covers[i]);
	return error;
}

static int overlay_make(const struct keeper *keeper, const struct trees *trees,
			struct keeper_status *status)
{
	/* Unprivileged overlays may only use user.* attributes. */
	const char *options = "lowerdir=" LOWER ",upperdir=" UPPER
			      ",workdir=" WORK ",userxattr";
	char to[PATH_MAX];
	bool swapped;
	int error;

	status->step = KEEPER_OVERLAY;
	if (is_below(keeper->cwd, keeper->input->scratch))
		return 0; /* the run's own already, and writable */
	error = owners_swap(keeper, trees, &swapped);
	if (!error)
		error = tree_put(trees->cwd, LOWER);
	if (!error)
		error = overlay_owner(keeper, swapped);
	inside(to, keeper->cwd);
	if (!error)
		error = place_make(to, true);
	if (!error)
		error = mount_("overlay", to, "overlay", MS_NOSUID_ | MS_NODEV_,
			       options);
	return error;
}

static int bind_all(const struct keeper *keeper, const struct trees *trees,
		    struct keeper_status *status)
{
	const struct sandbox_input *input = keeper->input;
	char to[PATH_MAX];
	struct stat st;
	int error;

	status->step = KEEPER_BIND;
	inside(to, input->scratch);
	error = place_make(to, true);
	if (!error)
		error = tree_put(trees->scratch, to);
	if (!error && input->shared_dir) {
		inside(to, input->shared_dir);
		error = place_make(to, true);
		if (!error)
			error = tree_put(trees->shared, to);
	}
	for (size_t i = 0; i < BOUND_MAX && !error; i++) {
		if (trees->bound[i] < 0)
			continue;
		inside(to, input->bound[i]);
		if (access(to, F_OK) == 0)
			continue;
		error = fstat(trees->bound[i], &st) != 0 ? -errno : 0;
		if (!error)
			error = place_make(to, S_ISDIR(st.st_mode));
		if (!error)
			error = tree_set(trees->bound[i], 0, MOUNT_ATTR_RDONLY,
					 -1);
		if (!error)
			error = tree_put(trees->bound[i], to);
	}
	return error;
}

static int root_enter(struct keeper_status *status)
{
	status->step = KEEPER_PIVOT;
	if (chdir(ROOT) != 0 || syscall(SYS_pivot_root, ".", ".") != 0 ||
	    syscall(SYS_umount2, ".", MNT_DETACH_) != 0 || chdir("/") != 0)
		return -errno;
	return 0;
}

void mounts_make(const struct keeper *keeper, struct keeper_status *status)
{
	static struct trees trees = {
		.root = -1, .cwd = -1, .scratch = -1, .shared = -1
	}; /* static: large, and the keeper calls this once */
	int error;

	memset(trees.bound, -1, sizeof(trees.bound));
	umask(0);
	status->step = KEEPER_ROOT;
	error = mount_(NULL, "/", NULL, MS_REC_ | MS_PRIVATE_, NULL);
	if (!error)
		error = trees_clone(keeper, &trees, status);
	if (!error)
		error = root_make(&trees, status);
	if (!error)
		error = proc_make(status);
	if (!error)
		error = dev_make(status);
	if (!error)
		error = tmp_make(status);
	if (!error)
		error = covers_make(keeper, &trees, status);
	if (!error)
		error = overlay_make(keeper, &trees, status);
	if (!error)
		error = bind_all(keeper, &trees, status);
	if (!error)
		error = path_set_readonly(ROOT "/dev");
	if (!error)
		error = covers_close(&trees);
	if (!error)
		error = root_enter(status);
	umask(022);
	status->error = error;
}
