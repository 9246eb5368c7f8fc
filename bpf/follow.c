/* follow.c - whom to watch: a process and all that it will fork.
 *
 * The map of members is the truth: the fork probe adds a child before it runs.
 * A cgroup of the target's own, where one can be made, is for whoever wants to
 * freeze or end all of it at once, and shows who left.
 */
#include "bpf/watcher.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bpf/say.h"
#include "life.skel.h"
#include "net.skel.h"

#define CGROUP_PREFIX  "mishap-watch-"
#define REMOVE_TRIES   50
#define REMOVE_US      20000
#define DEPTH_MAX      32
#define PID_NS_INITIAL 0xEFFFFFFCu /* PROC_PID_INIT_INO, linux/proc_ns.h */

/* Capabilities of ours are no reason to watch other people's processes. */
static int may_watch(pid_t pid)
{
	char path[32];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	if (stat(path, &st) < 0)
		return -ESRCH;
	return getuid() == 0 || st.st_uid == getuid() ? 0 : -EPERM;
}

/* The kernel counts pids of the first namespace; in another one ours are
 * others, and the wrong process would be followed. */
static int namespace_check(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) == 0 &&
			       st.st_ino == PID_NS_INITIAL
		       ? 0
		       : -EXDEV;
}

static void name_read(pid_t pid, char ret[WATCH_NAME_MAX])
{
	char path[32];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, ret, WATCH_NAME_MAX - 1);
	if (fd >= 0)
		close(fd);
	ret[n > 0 ? n : 0] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
}

/* A number of an image, as image_new() of the probes gives; ours come from the
 * same counter, far from theirs. */
static __u32 image_number(void)
{
	static __u32 last = 0x80000000u;

	return ++last;
}

static int member_add(struct watcher *w, pid_t pid)
{
	__u32 tgid = (__u32)pid;
	struct member member = {
		.image = image_number(),
		.born_ns = say_now_ns(),
	};
	char name[WATCH_NAME_MAX] = "";
	int error;

	name_read(pid, name);
	error = account_member(w->account, tgid, member.image, name);
	if (error)
		return error;
	if (bpf_map_update_elem(w->members_fd, &tgid, &member, BPF_NOEXIST) < 0)
		return errno == EEXIST ? 0 : -errno;
	return 0;
}

/* ---- the cgroup
 * --------------------------------------------------------------
 */

/* Where cgroup v2 is mounted; false: nowhere. */
static bool mount_find(char *ret, size_t room)
{
	FILE *mounts = fopen("/proc/self/mounts", "re");
	char line[1024], path[512], type[32];
	bool found = false;

	while (mounts && !found && fgets(line, sizeof(line), mounts))
		found = sscanf(line, "%*s %511s %31s", path, type) == 2 &&
			strcmp(type, "cgroup2") == 0;
	if (mounts)
		fclose(mounts);
	if (found)
		snprintf(ret, room, "%.*s", (int)room - 1, path);
	return found;
}

/* The v2 cgroup of a process, from the mount's root on. */
static bool home_find(pid_t pid, char *ret, size_t room)
{
	char path[32], line[512];
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	file = fopen(path, "re");
	while (file && !found && fgets(line, sizeof(line), file))
		found = strncmp(line, "0::", 3) == 0;
	if (file)
		fclose(file);
	if (found) {
		line[strcspn(line, "\n")] = '\0';
		snprintf(ret, room, "%.*s", (int)room - 1, line + 3);
	}
	return found;
}

static int procs_write(const char *cgroup, pid_t pid)
{
	char path[600], text[16];
	int fd, error = 0, n = snprintf(text, sizeof(text), "%d", (int)pid);

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, (size_t)n) != n)
		error = -errno;
	close(fd);
	return error;
}

/* What a watcher that was killed has left is removed once it is empty. */
static void cgroups_sweep(const char *home)
{
	char path[600];
	struct dirent *entry;
	DIR *dir = opendir(home);
	int pid;

	while (dir && (entry = readdir(dir))) {
		if (sscanf(entry->d_name, CGROUP_PREFIX "%d", &pid) != 1 ||
		    kill(pid, 0) == 0 || errno != ESRCH)
			continue;
		snprintf(path, sizeof(path), "%.300s/%s", home, entry->d_name);
		rmdir(path);
	}
	if (dir)
		closedir(dir);
}

static int cgroup_make(struct watcher *w, pid_t pid)
{
	char mount[256], home[200];
	struct stat st;

	if (!mount_find(mount, sizeof(mount)) ||
	    !home_find(pid, home, sizeof(home)))
		return -ENOENT;
	snprintf(w->cgroup_home, sizeof(w->cgroup_home), "%s%s", mount,
		 strcmp(home, "/") == 0 ? "" : home);
	snprintf(w->cgroup, sizeof(w->cgroup), "%.450s/" CGROUP_PREFIX "%d",
		 w->cgroup_home, (int)getpid());
	cgroups_sweep(w->cgroup_home);
	if (mkdir(w->cgroup, 0755) < 0 || stat(w->cgroup, &st) < 0) {
		*w->cgroup = '\0';
		return -errno;
	}
	w->cgroup_id = st.st_ino;
	w->life->bss->cgroup = w->cgroup_id;
	return 0;
}

/* Following works without: every error just means that there is none. */
static void cgroup_enter(struct watcher *w, pid_t pid)
{
	if (w->no_cgroup || (!*w->cgroup && cgroup_make(w, pid) < 0))
		return;
	procs_write(w->cgroup, pid);
}

/* Survivors go back to where they came from. */
static void cgroup_empty(const struct watcher *w)
{
	char path[600], line[32];
	FILE *procs;

	snprintf(path, sizeof(path), "%s/cgroup.procs", w->cgroup);
	procs = fopen(path, "re");
	while (procs && fgets(line, sizeof(line), procs))
		procs_write(w->cgroup_home, atoi(line));
	if (procs)
		fclose(procs);
}

/* Who is just ending can't be moved, and holds it a little longer. */
static void cgroup_remove(struct watcher *w)
{
	if (!*w->cgroup)
		return;
	w->life->bss->cgroup = 0;
	for (int i = 0; i < REMOVE_TRIES; i++) {
		cgroup_empty(w);
		if (rmdir(w->cgroup) == 0 || errno != EBUSY)
			break;
		usleep(REMOVE_US);
	}
	*w->cgroup = '\0';
}

/* ---- the commands
 * ------------------------------------------------------------
 */

static int follow_check(struct watcher *w, pid_t pid)
{
	int error = pid <= 0 ? -EINVAL : namespace_check();

	if (!error && w->members_fd < 0)
		error = -EOPNOTSUPP;
	return error ? error : may_watch(pid);
}

int follow_start(struct watcher *w, pid_t pid, __u64 *ret_value)
{
	int error = follow_check(w, pid);

	if (!error)
		error = member_add(w, pid);
	if (error)
		return error;
	cgroup_enter(w, pid);
	*ret_value = w->cgroup_id;
	return 0;
}

/* Sockets that it has already, by the iterator of the net group. */
static void sockets_adopt(struct watcher *w, pid_t pid)
{
	char *nothing = NULL;
	size_t bytes;

	if (!group_works(w, WATCH_NET))
		return;
	/* Twice: by listeners that were met, connections are told apart. */
	for (int i = 0; i < 2; i++) {
		w->net->bss->adopt = (__u32)pid;
		if (iterate(group_link(w, WATCH_NET, "on_adopt"), &nothing,
			    &bytes) == 0)
			free(nothing);
	}
	w->net->bss->adopt = 0;
}

/* A process, then its children: who is forked meanwhile is added by the probe,
 * since its parent is a member by then. */
static int adopt_tree(struct watcher *w, pid_t pid, unsigned depth,
		      __u64 *count)
{
	char path[300];
	struct dirent *entry;
	DIR *tasks;
	int error = member_add(w, pid);

	if (error)
		return error;
	++*count;
	sockets_adopt(w, pid);
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	tasks = depth < DEPTH_MAX ? opendir(path) : NULL;
	while (tasks && (entry = readdir(tasks))) {
		FILE *children;
		int child;

		snprintf(path, sizeof(path), "/proc/%d/task/%s/children",
			 (int)pid, entry->d_name);
		children = *entry->d_name == '.' ? NULL : fopen(path, "re");
		while (children && fscanf(children, "%d", &child) == 1)
			if (may_watch(child) == 0)
				adopt_tree(w, child, depth + 1, count);
		if (children)
			fclose(children);
	}
	if (tasks)
		closedir(tasks);
	return 0;
}

int follow_adopt(struct watcher *w, pid_t pid, __u64 *ret_value)
{
	int error = follow_check(w, pid);

	return error ? error : adopt_tree(w, pid, 0, ret_value);
}

void follow_end(struct watcher *w)
{
	cgroup_remove(w);
}
