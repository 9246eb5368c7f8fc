/* mem.c - what the compiler and we need of string.h, without libc's, which
 * uses vector registers that a site's caller counts on. */
#include "preload/guest.h"

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	arch_copy(to, from, n);
	return to;
}

void *memmove(void *to, const void *from, size_t n)
{
	unsigned char *d = to;
	const unsigned char *s = from;

	if (d <= s || d >= s + n)
		return memcpy(to, from, n);
	while (n--) {
		d[n] = s[n];
		__asm__ volatile("" ::: "memory"); /* stay a loop */
	}
	return to;
}

void *memset(void *to, int c, size_t n)
{
	arch_fill(to, c, n);
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *p = a, *q = b;

	for (; n; n--, p++, q++) {
		if (*p != *q)
			return *p - *q;
	}
	return 0;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n]) {
		n++;
		__asm__ volatile("" ::: "memory"); /* stay a loop */
	}
	return n;
}
