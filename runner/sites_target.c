/* sites_target.c - what a target would load, and whether it lets us in. */
#include "runner/sites.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "runner/doors.h"
#include "runner/sites_plan.h"

#define SCRIPTS_MAX    4 /* `#!` that leads to `#!`; Linux allows 4 */
#define SEGMENTS_MAX   128
#define LINE_BYTES_MAX 8192

extern char **environ;

struct target {
	char path[PATH_MAX];	    /* of the ELF file that runs in the end */
	char interpreter[PATH_MAX]; /* ld.so; "" if it is static */
	bool is_elf, is_ours, is_dynamic, is_go;
	struct stat st;
};

/* A file by its path, or a name in $PATH. */
static int target_find(const char *name, char ret_path[PATH_MAX])
{
	const char *path = getenv("PATH");

	if (strchr(name, '/'))
		return snprintf(ret_path, PATH_MAX, "%s", name) < PATH_MAX
			       ? 0
			       : -ENAMETOOLONG;
	if (!path)
		path = "/usr/local/bin:/bin:/usr/bin"; /* execvp(3) */
	while (*path) {
		size_t n = strcspn(path, ":");
		struct stat st;

		if (snprintf(ret_path, PATH_MAX, "%.*s%s%s", (int)n, path,
			     n ? "/" : "", name) < PATH_MAX &&
		    stat(ret_path, &st) == 0 && S_ISREG(st.st_mode) &&
		    access(ret_path, X_OK) == 0)
			return 0;
		path += n + (path[n] == ':');
	}
	return -ENOENT;
}

/* The interpreter of a `#!` line; `env NAME` is followed to NAME. */
static int script_interpreter(char *line, char ret_path[PATH_MAX])
{
	char *save = NULL, *word = strtok_r(line + 2, " \t\n", &save);
	const char *base;

	if (!word)
		return -ENOEXEC;
	base = strrchr(word, '/');
	if (!strcmp(base ? base + 1 : word, "env")) {
		char *next = strtok_r(NULL, " \t\n", &save);

		while (next && (*next == '-' || strchr(next, '=')))
			next = strtok_r(NULL, " \t\n", &save);
		if (next)
			word = next;
	}
	return target_find(word, ret_path);
}

static bool has_section(int fd, const Elf64_Ehdr *h, const char *name)
{
	Elf64_Shdr names, s;
	char text[64];

	if (!h->e_shoff || h->e_shstrndx >= h->e_shnum ||
	    pread(fd, &names, sizeof(names),
		  (off_t)(h->e_shoff + h->e_shstrndx * sizeof(s))) !=
		    sizeof(names))
		return false;
	for (unsigned i = 0; i < h->e_shnum; i++) {
		ssize_t n;

		if (pread(fd, &s, sizeof(s),
			  (off_t)(h->e_shoff + i * sizeof(s))) != sizeof(s))
			return false;
		n = pread(fd, text, sizeof(text) - 1,
			  (off_t)(names.sh_offset + s.sh_name));
		if (n <= 0)
			return false;
		text[n] = '\0';
		if (!strcmp(text, name))
			return true;
	}
	return false;
}

static void target_read_elf(int fd, struct target *target)
{
	Elf64_Phdr segments[SEGMENTS_MAX];
	Elf64_Ehdr h;
	ssize_t n = pread(fd, &h, sizeof(h), 0);

	target->is_elf = n >= EI_NIDENT && !memcmp(h.e_ident, ELFMAG, SELFMAG);
	target->is_ours = target->is_elf && n == sizeof(h) &&
			  h.e_ident[EI_CLASS] == ELFCLASS64 &&
			  h.e_machine == SITES_MACHINE &&
			  h.e_phentsize == sizeof(segments[0]) &&
			  h.e_phnum <= SEGMENTS_MAX;
	if (!target->is_ours)
		return;
	n = pread(fd, segments, h.e_phnum * sizeof(segments[0]),
		  (off_t)h.e_phoff);
	for (size_t i = 0; n > 0 && i < (size_t)n / sizeof(segments[0]); i++) {
		size_t bytes = segments[i].p_filesz;

		if (segments[i].p_type != PT_INTERP || !bytes ||
		    bytes > sizeof(target->interpreter))
			continue;
		if (pread(fd, target->interpreter, bytes,
			  (off_t)segments[i].p_offset) != (ssize_t)bytes)
			bytes = 1;
		target->interpreter[bytes - 1] = '\0';
		target->is_dynamic = target->interpreter[0] != '\0';
	}
	target->is_go = has_section(fd, &h, ".note.go.buildid") ||
			has_section(fd, &h, ".gopclntab");
}

static int target_open(const char *name, struct target *ret_target)
{
	char line[512];
	int r = target_find(name, ret_target->path);

	for (int i = 0; i <= SCRIPTS_MAX && !r; i++) {
		int fd = open(ret_target->path,
			      O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		ssize_t n;

		if (fd < 0)
			return -errno;
		n = fstat(fd, &ret_target->st) < 0
			    ? -1
			    : pread(fd, line, sizeof(line) - 1, 0);
		if (n < 0)
			r = -errno;
		else if (n >= 2 && line[0] == '#' && line[1] == '!') {
			line[n] = '\0';
			line[strcspn(line, "\n")] = '\0';
			r = script_interpreter(line, ret_target->path);
		} else {
			target_read_elf(fd, ret_target);
			close(fd);
			return 0;
		}
		close(fd);
	}
	return r < 0 ? r : -ELOOP;
}

/* ---- is there a way in? -------------------------------------------------- */

static bool is_privileged(const struct target *target, const char **ret_what)
{
	const struct stat *st = &target->st;

	/* ld.so(8), "Secure-execution mode": when the ids would change. */
	if ((st->st_mode & S_ISUID) && st->st_uid != getuid())
		*ret_what = "setuid";
	else if ((st->st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) &&
		 st->st_gid != getgid())
		*ret_what = "setgid";
	else if (getuid() != 0 &&
		 getxattr(target->path, "security.capability", NULL, 0) > 0)
		*ret_what = "a program with file capabilities";
	else
		return false;
	return true;
}

enum target_door target_door(const char *path, char **ret_why)
{
	struct target target = { 0 };
	enum target_door door = DOOR_NOTIFY;
	uint32_t doors = DOORS_BEST;
	const char *what = NULL;
	char *why = NULL;
	int n = 0;

	doors_wanted(&doors);
	if (target_open(path, &target) < 0 || !target.is_elf)
		return DOOR_LIBRARY;
	if (is_privileged(&target, &what)) {
		n = asprintf(&why, "%s is %s: ld.so ignores LD_PRELOAD for it",
			     target.path, what);
		door = DOOR_NONE;
	} else if (!target.is_ours) {
		n = asprintf(&why, "%s is not " SITES_MACHINE_NAME " program",
			     target.path);
		door = DOOR_NONE;
	} else if (target.is_go) {
		n = asprintf(&why,
			     "%s is a Go program: it makes its system calls "
			     "itself, without libc",
			     target.path);
	} else if (!target.is_dynamic) {
		n = asprintf(&why,
			     "%s is statically linked: it loads no library, "
			     "so not ours either",
			     target.path);
	} else if (doors == DOORS_NOTIFY) {
		n = asprintf(&why, DOORS_ENV "=notify");
	} else {
		return DOOR_LIBRARY;
	}
	*ret_why = n < 0 ? NULL : why;
	return door;
}

bool target_reachable(const char *path, char **ret_why)
{
	return target_door(path, ret_why) == DOOR_LIBRARY;
}

/* ---- what it would load -------------------------------------------------- */

/* The environment without LD_PRELOAD, in case that we run inside ourselves;
 * malloc'd, the strings are borrowed. */
static char **environment_clean(void)
{
	size_t n = 0, kept = 0;
	char **env;

	while (environ[n])
		n++;
	env = calloc(n + 1, sizeof(*env));
	for (size_t i = 0; env && i < n; i++)
		if (strncmp(environ[i], "LD_PRELOAD=", 11) &&
		    strncmp(environ[i], "LD_DEBUG", 8))
			env[kept++] = environ[i];
	return env;
}

/* Start `ld.so --list PATH`, see ld.so(8); its output is *ret_out. */
static int list_start(const struct target *target, pid_t *ret_pid,
		      FILE **ret_out)
{
	const char *argv[] = { target->interpreter, "--list", target->path,
			       NULL };
	posix_spawn_file_actions_t actions;
	char **env = environment_clean();
	int ends[2], r;

	if (!env)
		return -ENOMEM;
	if (pipe2(ends, O_CLOEXEC) < 0) {
		r = -errno;
		free(env);
		return r;
	}
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	r = -posix_spawn(ret_pid, target->interpreter, &actions, NULL,
			 (char *const *)(uintptr_t)argv, env);
	posix_spawn_file_actions_destroy(&actions);
	free(env);
	close(ends[1]);
	*ret_out = r < 0 ? NULL : fdopen(ends[0], "r");
	if (!*ret_out)
		close(ends[0]);
	return r;
}

/* Call each for ld.so itself, the program, and every library that it lists:
 *	libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f…)
 *	/lib64/ld-linux-x86-64.so.2 (0x00007f…) */
static int target_each_library(const struct target *target,
			       int (*each)(void *arg, const char *path),
			       void *arg)
{
	char line[LINE_BYTES_MAX];
	unsigned count = 0;
	FILE *out;
	pid_t pid;
	int r = list_start(target, &pid, &out);

	if (r < 0)
		return r;
	r = each(arg, target->interpreter);
	if (!r)
		r = each(arg, target->path);
	while (out && fgets(line, sizeof(line), out)) {
		char *path = strstr(line, " => ");
		char *end = strstr(line, " (0x");

		path = path ? path + 4 : line + strspn(line, " \t");
		if (!end || *path != '/' || r < 0)
			continue;
		*end = '\0';
		if (strcmp(path, target->interpreter) &&
		    count++ < SITES_LIBRARIES_MAX)
			r = each(arg, path);
	}
	if (out)
		fclose(out);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return r;
}

/* A library that can't be planned is left out; a full disk is an error. */
static int library_prepare(void *arg, const char *path)
{
	int r = sites_plan_cached(path, arg, NULL);

	return r == -ENOSPC || r == -EROFS || r == -EDQUOT || r == -ENOMEM ? r
									   : 0;
}

int sites_prepare(const char *sites_dir, const char *target_exe)
{
	struct target target = { 0 };
	int r = target_open(target_exe, &target);

	if (r < 0)
		return r;
	if (!target.is_dynamic || target.is_go)
		return -ENOEXEC;
	if (strstr(target.interpreter, "ld-musl"))
		return 0; /* none of its sites will be patched */
	return target_each_library(&target, library_prepare,
				   (void *)(uintptr_t)sites_dir);
}

/* ---- what was achieved --------------------------------------------------- */

struct describing {
	const char *dir;
	struct sites_libraries found;
};

static void library_count(struct sites_library *library,
			  const struct sites_file *file)
{
	static const uint64_t no_args[6];

	for (uint32_t i = 0; i < file->header->count; i++) {
		const struct site *site = &file->sites[i];
		struct sites_counts *c = &library->counts;
		unsigned id;

		c->total++;
		c->before += site->kind == SITE_BEFORE;
		c->around += site->kind == SITE_AROUND;
		c->funnel += site->kind == SITE_FUNNEL;
		c->skipped += site->kind == SITE_SKIPPED;
		if (site->kind != SITE_LEFT)
			continue;
		c->left++;
		if (site->nr < 0)
			library->left_unknown = true;
		id = site->nr < 0 ? CALL_NONE
				  : call_from_kernel((unsigned long)site->nr,
						     no_args);
		if (id < CALL_COUNT)
			library->left[id] = true;
	}
}

static int library_describe(void *arg, const char *path)
{
	struct describing *d = arg;
	struct sites_library library = { 0 };
	struct sites_file file;
	struct sites_library *items;
	char plan[PATH_MAX];
	int r;

	/* The plan is there, or can be had from the cache. */
	if (sites_plan_cached(path, d->dir, library.build_id) < 0)
		return 0;
	r = snprintf(plan, sizeof(plan), "%s/%s.sites", d->dir,
		     library.build_id);
	if (r < 0 || (size_t)r >= sizeof(plan) ||
	    sites_file_read(plan, &file) < 0)
		return 0;
	library_count(&library, &file);
	sites_file_free(&file);
	if (!library.counts.total)
		return 0;
	items = realloc(d->found.items, (d->found.count + 1) * sizeof(*items));
	if (!items)
		return -ENOMEM;
	d->found.items = items;
	library.path = strdup(path);
	if (!library.path)
		return -ENOMEM;
	items[d->found.count++] = library;
	return 0;
}

int sites_describe(const char *sites_dir, const char *target_exe,
		   struct sites_libraries *ret_libraries)
{
	struct describing d = { .dir = sites_dir };
	struct target target = { 0 };
	int r = target_open(target_exe, &target);

	if (r < 0)
		return r;
	if (!target.is_dynamic || target.is_go)
		return -ENOEXEC;
	r = target_each_library(&target, library_describe, &d);
	if (r < 0)
		sites_libraries_free(&d.found);
	else
		*ret_libraries = d.found;
	return r;
}

static void plan_count(const struct sites_file *file,
		       uint64_t sites[CALL_COUNT], uint64_t left[CALL_COUNT])
{
	static const uint64_t no_args[6];

	for (uint32_t i = 0; i < file->header->count; i++) {
		const struct site *site = &file->sites[i];
		bool is_left = site->kind == SITE_LEFT;
		unsigned id =
			site->nr < 0 ? CALL_NONE
				     : call_from_kernel((unsigned long)site->nr,
							no_args);

		if (id < CALL_COUNT) {
			sites[id]++;
			left[id] += is_left;
		}
		for (id = 0; site->nr < 0 && is_left && id < CALL_COUNT; id++)
			if (call_table[id].has_kernel) {
				sites[id]++;
				left[id]++;
			}
	}
}

int sites_count(const char *sites_dir, uint64_t ret_sites[CALL_COUNT],
		uint64_t ret_left[CALL_COUNT])
{
	DIR *dir = opendir(sites_dir);
	struct dirent *entry;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		char path[PATH_MAX];
		struct sites_file file;

		if (entry->d_name[0] == '.' ||
		    snprintf(path, sizeof(path), "%s/%s", sites_dir,
			     entry->d_name) >= (int)sizeof(path) ||
		    sites_file_read(path, &file) < 0)
			continue;
		plan_count(&file, ret_sites, ret_left);
		sites_file_free(&file);
	}
	closedir(dir);
	return 0;
}

void sites_libraries_free(struct sites_libraries *libraries)
{
	for (size_t i = 0; i < libraries->count; i++)
		free(libraries->items[i].path);
	free(libraries->items);
	*libraries = (struct sites_libraries){ 0 };
}
