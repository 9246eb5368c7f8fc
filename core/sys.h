/* sys.h - raw system calls, for code that must not pass a door of ours.
 * x86-64 only; another architecture is another file behind this interface.
 * Returns what the kernel returns: a result, or -errno.  Signal-safe. */
#ifndef MISHAP_CORE_SYS_H
#define MISHAP_CORE_SYS_H

#include <stdint.h>
#include <sys/syscall.h>

static inline long sys6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8),
			   "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

static inline long sys3(long nr, long a, long b, long c)
{
	return sys6(nr, a, b, c, 0, 0, 0);
}

static inline long sys0(long nr)
{
	return sys6(nr, 0, 0, 0, 0, 0, 0);
}

#endif
