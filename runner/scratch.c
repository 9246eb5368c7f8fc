#include "runner/scratch.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runner/rundir.h"

#define NAME_PREFIX "mishap-"
#define NAME_DIGITS 16 /* rundir_name() */

static bool is_below(int dir_fd, const char *link, const char *path)
{
	char to[PATH_MAX];
	ssize_t n = readlinkat(dir_fd, link, to, sizeof(to) - 1);
	size_t head = strlen(path);

	if (n < (ssize_t)head)
		return false;
	to[n] = '\0';
	return strncmp(to, path, head) == 0 &&
	       (to[head] == '/' || to[head] == '\0' || to[head] == ' ');
}

/* The links of /proc/PID that show where a process is; proc(5). */
static bool process_uses(int proc_fd, const char *pid, const char *path)
{
	int fd = openat(proc_fd, pid, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;
	bool used;
	DIR *dir;

	if (fd < 0)
		return false;
	used = is_below(fd, "cwd", path) || is_below(fd, "root", path) ||
	       is_below(fd, "exe", path);
	proc_fd = used ? -1 : openat(fd, "fd", O_RDONLY | O_DIRECTORY);
	close(fd);
	dir = proc_fd < 0 ? NULL : fdopendir(proc_fd);
	while (dir && !used && (entry = readdir(dir)))
		used = is_below(dirfd(dir), entry->d_name, path);
	if (dir)
		closedir(dir);
	else if (proc_fd >= 0)
		close(proc_fd);
	return used;
}

bool scratch_is_used(const char *path)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	bool used = !proc; /* in doubt it is */

	while (proc && !used && (entry = readdir(proc)))
		used = isdigit((unsigned char)*entry->d_name) &&
		       process_uses(dirfd(proc), entry->d_name, path);
	if (proc)
		closedir(proc);
	return used;
}

/* A name that rundir_name() gives; a directory that is kept on purpose has
 * never been written down. */
static bool is_scratch(const char *path)
{
	const char *name = strrchr(path, '/');
	struct stat st;

	if (!name || strncmp(name + 1, NAME_PREFIX, strlen(NAME_PREFIX)) != 0)
		return false;
	name += 1 + strlen(NAME_PREFIX);
	if (strlen(name) != NAME_DIGITS ||
	    strspn(name, "0123456789abcdef") != NAME_DIGITS)
		return false;
	/* A sandbox gives it to the user that the target becomes. */
	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode) &&
	       (st.st_uid == geteuid() || geteuid() == 0);
}

bool scratch_sweep(const char *path)
{
	if (!is_scratch(path))
		return true;
	if (scratch_is_used(path))
		return false;
	tree_remove(path);
	return true;
}
