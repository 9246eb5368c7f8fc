/* arena.c - allocations made while malloc's real address is being found.
 *
 * dlsym() may allocate, and so may a constructor before ours.  What is given
 * out here is never given out again; free() knows it by its address.
 */
#include "preload/guest.h"

#define ARENA_ALIGN 16

_Alignas(SHARED_PAGE) char guest_arena[ARENA_BYTES];
static _Atomic size_t arena_used;

/* Before each block stands its size. */
void *arena_alloc(size_t align, size_t size)
{
	size_t used = PEEK(arena_used), start, end;

	if (align < ARENA_ALIGN)
		align = ARENA_ALIGN;
	if (size > ARENA_BYTES || align > ARENA_BYTES)
		return NULL;
	do {
		start = (used + sizeof(size_t) + align - 1) & ~(align - 1);
		end = start + size;
		if (end > ARENA_BYTES)
			return NULL;
	} while (!atomic_compare_exchange_weak(&arena_used, &used, end));
	memcpy(guest_arena + start - sizeof(size), &size, sizeof(size));
	return guest_arena + start;
}

size_t arena_size(const void *p)
{
	size_t size;

	memcpy(&size, (const char *)p - sizeof(size), sizeof(size));
	return size;
}
