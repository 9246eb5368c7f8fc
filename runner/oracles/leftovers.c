/* leftovers - no file below DIR that matches GLOB and wasn't there before. */
#include "runner/oracles/oracle.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#define DEPTH_MAX 16
#define NAMES_MAX 20000

static const char *glob_of(const struct expect *expect)
{
	return expect->args.count > 1 ? expect->args.items[1] : "*";
}

/* A glob without a slash is about the last component. */
static bool is_meant(const struct expect *expect, const char *path)
{
	const char *glob = glob_of(expect), *last = strrchr(path, '/');

	return glob_match(glob, strchr(glob, '/') || !last ? path : last + 1);
}

/* ours: our own run directory, as a path below the first one; NULL: it isn't
 * there.  What we write is nobody's leftover. */
static int list_dir(int dir_fd, const char *below, int depth, const char *ours,
		    struct strings *names)
{
	DIR *dir = fdopendir(dir_fd);
	struct dirent *entry;
	int error = 0;

	if (!dir) {
		error = -errno;
		close(dir_fd);
		return error;
	}
	while (!error && (errno = 0, entry = readdir(dir))) {
		_cleanup_words_ char *path = NULL;
		int fd;

		if (strcmp(entry->d_name, ".") == 0 ||
		    strcmp(entry->d_name, "..") == 0)
			continue;
		if (names->count >= NAMES_MAX) {
			error = -E2BIG;
			break;
		}
		path = words_say("%s%s", below, entry->d_name);
		if (path && ours && strcmp(path, ours) == 0)
			continue;
		if (!path || words_push(names, strdup(path)) < 0) {
			error = -ENOMEM;
			break;
		}
		if (entry->d_type != DT_DIR)
			continue;
		fd = openat(dirfd(dir), entry->d_name,
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd >= 0 && depth < DEPTH_MAX) {
			_cleanup_words_ char *inner = words_say("%s/", path);

			error = inner ? list_dir(fd, inner, depth + 1, ours,
						 names)
				      : -ENOMEM;
		} else if (fd < 0 && errno != ENOENT) {
			error = -errno;
		} else if (fd >= 0) {
			close(fd);
			error = -ELOOP;
		}
	}
	if (!error && errno)
		error = -errno;
	closedir(dir);
	return error;
}

static int list(const struct expect *expect, const struct evidence *evidence,
		struct strings *ret_names)
{
	const char *dir = expect->args.items[0], *run_dir = evidence->run_dir;
	_cleanup_words_ char *path =
		*dir == '/' ? strdup(dir)
			    : words_say("%s/%s", evidence->cwd, dir);
	char real[PATH_MAX];
	size_t n = path && realpath(path, real) ? strlen(real) : 0;
	int fd = oracle_open(evidence, dir);
	bool within = n && run_dir && strncmp(run_dir, real, n) == 0 &&
		      run_dir[n] == '/';

	return fd < 0 ? fd
		      : list_dir(fd, "", 0, within ? run_dir + n + 1 : NULL,
				 ret_names);
}

static struct names_seen *seen_of(const struct expect *expect,
				  const struct evidence *evidence)
{
	size_t index = oracle_index(expect, evidence);

	for (size_t i = 0; i < evidence->names_count; i++)
		if (evidence->names[i].expect == index)
			return &evidence->names[i];
	return NULL;
}

static int before(const struct expect *expect, struct evidence *evidence)
{
	struct names_seen *names = reallocarray(
		evidence->names, evidence->names_count + 1, sizeof(*names));
	struct names_seen *seen;
	int error;

	if (!names)
		return -ENOMEM;
	evidence->names = names;
	seen = &names[evidence->names_count++];
	*seen = (struct names_seen){
		.expect = oracle_index(expect, evidence),
		.error_after = EAGAIN, /* nobody has looked yet */
	};
	error = list(expect, evidence, &seen->before);
	/* A directory that the target makes had nothing in it before. */
	seen->error_before = error == -ENOENT ? 0 : -error;
	return error == -ENOMEM ? error : 0;
}

static int after(const struct expect *expect, struct evidence *evidence)
{
	struct names_seen *seen = seen_of(expect, evidence);
	int error;

	if (!seen)
		return 0;
	error = list(expect, evidence, &seen->after);
	seen->error_after = -error;
	return error == -ENOMEM ? error : 0;
}

static bool was_there(const struct names_seen *seen, const char *name)
{
	for (size_t i = 0; i < seen->before.count; i++)
		if (strcmp(seen->before.items[i], name) == 0)
			return true;
	return false;
}

static int judge(const struct expect *expect, const struct evidence *evidence,
		 struct finding *ret_finding)
{
	const struct names_seen *seen = seen_of(expect, evidence);
	const char *dir = expect->args.items[0];
	const char *first = NULL;
	size_t count = 0;

	if (!oracle_wants(expect, "none"))
		return oracle_unknown(ret_finding,
				      "leftovers knows only the value none");
	if (!seen || seen->error_after == EAGAIN)
		return oracle_unknown(ret_finding, "%s wasn't looked at", dir);
	if (seen->error_before || seen->error_after)
		return oracle_unknown(ret_finding, "%s: %s", dir,
				      strerror(seen->error_after
						       ? seen->error_after
						       : seen->error_before));
	for (size_t i = 0; i < seen->after.count; i++) {
		const char *name = seen->after.items[i];

		if (!is_meant(expect, name) || was_there(seen, name))
			continue;
		first = first ? first : name;
		count++;
	}
	if (!count)
		return oracle_pass(ret_finding,
				   words_say("nothing new in %s matches %s",
					     dir, glob_of(expect)),
				   "%zu name%s, none new", seen->after.count,
				   seen->after.count == 1 ? "" : "s");
	return oracle_fail(
		ret_finding,
		words_say("nothing new in %s matches %s", dir, glob_of(expect)),
		"%zu new, the first is %s/%s", count, dir, first);
}

/* name_for - a name that the glob matches. */
static char *name_for(const char *glob)
{
	char *name = strdup(glob), *to = name;

	for (const char *p = glob; name && *p; p++) {
		const char *end = *p == '[' ? strchr(p, ']') : NULL;

		if (end) {
			*to++ = p[1];
			p = end;
		} else if (*p == '*' || *p == '?') {
			*to++ = 'x';
		} else {
			*to++ = *p;
		}
	}
	if (name)
		*to = '\0';
	return name;
}

static int tamper(const struct expect *expect, struct evidence *evidence)
{
	struct names_seen *seen = seen_of(expect, evidence);
	char *name = name_for(glob_of(expect));

	if (!seen || !name) {
		free(name);
		return name ? -ENOTSUP : -ENOMEM;
	}
	for (size_t i = 0; i < seen->before.count; i++)
		if (strcmp(seen->before.items[i], name) == 0)
			seen->before.items[i][0] = '\0';
	return words_push(&seen->after, name);
}

const struct oracle oracle_leftovers = {
	.before = before,
	.after = after,
	.judge = judge,
	.tamper = tamper,
	.whole = true,
};
