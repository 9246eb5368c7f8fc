/* calls_path.c - names: where a path leads, as the kernel will see it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runner/powercut/recorder.h"

#define MAGIC "/.mishap/"

void place_close(struct place_of *place)
{
	if (place->dir_fd >= 0)
		close(place->dir_fd);
	*place = (struct place_of){ .dir_fd = -1 };
}

/* The directory that `path` is looked up in, through the thread's own eyes:
 * its root, its working directory, its descriptors. */
static int start_open(const struct task *task, int dirfd, const char *path)
{
	char from[64];

	if (*path == '/')
		snprintf(from, sizeof(from), "/proc/%d/root", (int)task->tid);
	else if (dirfd == AT_FDCWD)
		snprintf(from, sizeof(from), "/proc/%d/cwd", (int)task->tid);
	else
		snprintf(from, sizeof(from), "/proc/%d/fd/%d", (int)task->tid,
			 dirfd);
	return open(from, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* Splits off the last name; what is before it leads to the directory. */
static const char *last_name(char path[PATH_BYTES], const char **ret_dir)
{
	size_t n = strlen(path);
	char *slash;

	while (n > 1 && path[n - 1] == '/')
		path[--n] = '\0';
	slash = strrchr(path, '/');
	if (!slash) {
		*ret_dir = ".";
		return path;
	}
	*slash = '\0';
	for (*ret_dir = path; **ret_dir == '/';)
		++*ret_dir;
	if (!**ret_dir)
		*ret_dir = ".";
	return slash + 1;
}

bool place_find(struct recorder *recorder, const struct task *task, int dirfd,
		uint64_t path, struct place_of *ret_place)
{
	char text[PATH_BYTES];
	const char *dir, *name;
	struct stat st;
	int start;

	*ret_place = (struct place_of){ .dir_fd = -1 };
	if (!text_read(task, path, text) || !*text)
		return false;
	start = start_open(task, dirfd, text);
	if (start < 0)
		return false;
	name = last_name(text, &dir);
	ret_place->dir_fd =
		openat(start, dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	close(start);
	if (ret_place->dir_fd < 0)
		return false;
	if (strlen(name) >= sizeof(ret_place->name) || !*name ||
	    fstat(ret_place->dir_fd, &st) != 0 || st.st_dev != recorder->dev ||
	    !inos_have(recorder, st.st_ino)) {
		place_close(ret_place);
		return false;
	}
	ret_place->dir = st.st_ino;
	strcpy(ret_place->name, name);
	if (fstatat(ret_place->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		ret_place->ino = st.st_ino;
	return true;
}

/* stat("/.mishap/ack/STREAM/ID[/VALUE]") says what `ack STREAM ID VALUE` does,
 * from any language, unbuffered; without us there is just no such file. */
void magic_issued(struct recorder *recorder, struct task *task,
		  const char *path)
{
	char line[PATH_BYTES];

	if (strncmp(path, MAGIC, sizeof(MAGIC) - 1))
		return;
	snprintf(line, sizeof(line), "%s", path + sizeof(MAGIC) - 1);
	for (char *at = line; *at; at++)
		if (*at == '/')
			*at = ' ';
	ledger_line(recorder, task, line, strlen(line));
}
