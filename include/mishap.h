/* mishap.h - tell mishap's ledger what your program promises, in C and C++.
 *
 *   mishap_invoke("orders", "17", "");   about to be asked for
 *   mishap_ack("orders", "17", "");      it is safe, somebody is told so now
 *   mishap_fail("orders", "17", "");     it is known not to have been done
 *
 * stream and id are words without spaces or slashes; value is one, or "" (NULL
 * is fine), and is what `present STREAM ID VALUE` of the reader is compared
 * with.  All that happens is one stat(2) of a path that doesn't exist, some
 * 200 ns: nothing is linked, kept or allocated, and without mishap nobody
 * notices.  Under `mishap run` and `mishap powercut` the path is heard.  A
 * line of more than 4096 bytes is not told.  errno is kept.  Thread-safe.
 *
 * The functions are weak: a program may define its own.
 * Any other language does the same with a stat of its own, such as Python's
 * os.path.exists("/.mishap/ack/orders/17").
 */
#ifndef MISHAP_H
#define MISHAP_H

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MISHAP_WEAK __attribute__((weak, unused))

MISHAP_WEAK void mishap_tell(const char *kind, const char *stream,
			     const char *id, const char *value)
{
	char path[4096];
	struct stat st;
	int error = errno, n;

	n = snprintf(path, sizeof(path), "/.mishap/%s/%s/%s%s%s", kind, stream,
		     id, value && *value ? "/" : "", value ? value : "");
	if (n > 0 && n < (int)sizeof(path) && stat(path, &st) == 0)
		n = 0; /* nobody has such a file */
	errno = error;
}

MISHAP_WEAK void mishap_invoke(const char *stream, const char *id,
			       const char *value)
{
	mishap_tell("invoke", stream, id, value);
}

MISHAP_WEAK void mishap_ack(const char *stream, const char *id,
			    const char *value)
{
	mishap_tell("ack", stream, id, value);
}

MISHAP_WEAK void mishap_fail(const char *stream, const char *id,
			     const char *value)
{
	mishap_tell("fail", stream, id, value);
}

#ifdef __cplusplus
}
#endif
#endif
