#include "core/path.h"

#include <string.h>

#define DELETED " (deleted)"

long path_normalise(char *path)
{
	char *to = path;
	const char *from = path;

	while (*from) {
		const char *end;
		size_t n;

		while (*from == '/')
			from++;
		for (end = from; *end && *end != '/'; end++)
			;
		n = (size_t)(end - from);
		if (n == 2 && from[0] == '.' && from[1] == '.') {
			while (to > path && *--to != '/')
				;
		} else if (n && !(n == 1 && from[0] == '.')) {
			*to++ = '/';
			if (to != from)
				memmove(to, from, n);
			to += n;
		}
		from = end;
	}
	if (to == path)
		*to++ = '/';
	*to = '\0';
	return to - path;
}

bool path_is_normal(const char *path)
{
	for (; *path; path++) {
		if (*path == '/' &&
		    (path[1] == '/' || path[1] == '.' || path[1] == '\0'))
			return false;
	}
	return true;
}

size_t path_strip_deleted(char *path, size_t n)
{
	size_t tail = sizeof(DELETED) - 1;

	if (n > tail && memcmp(path + n - tail, DELETED, tail) == 0)
		n -= tail;
	path[n] = '\0';
	return n;
}
