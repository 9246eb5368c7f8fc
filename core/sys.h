/* sys.h - raw system calls, for code that must not pass a door of ours.
 * A machine is a file that has sys6: number, six arguments.  Returns what the
 * kernel returns: a result, or -errno.  Signal-safe. */
#ifndef MISHAP_CORE_SYS_H
#define MISHAP_CORE_SYS_H

#include <fcntl.h>
#include <stdint.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#include "core/sys_amd64.h"
#elif defined(__aarch64__)
#include "core/sys_aarch64.h"
#endif

static inline long sys3(long nr, long a, long b, long c)
{
	return sys6(nr, a, b, c, 0, 0, 0);
}

static inline long sys0(long nr)
{
	return sys6(nr, 0, 0, 0, 0, 0, 0);
}

/* By the names that every machine has: 64-bit ARM has no open(2), readlink(2)
 * and access(2). */
static inline long sys_open(const char *path, int flags)
{
	return sys6(SYS_openat, AT_FDCWD, (long)path, flags, 0, 0, 0);
}

static inline long sys_readlink(const char *path, char *buf, unsigned long n)
{
	return sys6(SYS_readlinkat, AT_FDCWD, (long)path, (long)buf, (long)n, 0,
		    0);
}

static inline long sys_access(const char *path, int mode)
{
	return sys3(SYS_faccessat, AT_FDCWD, (long)path, mode);
}

#endif
