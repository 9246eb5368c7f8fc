/* heap.h - between symbols.c, which knows the allocator, and heap.c. */
#ifndef MISHAP_PRELOAD_HEAP_H
#define MISHAP_PRELOAD_HEAP_H

#include "preload/guest.h"

HIDDEN extern _Atomic int64_t guest_heap_bytes;
/* What the allocator says of a block, 0 for NULL; symbols.c sets it. */
HIDDEN extern size_t (*guest_heap_usable)(void *p);

#endif
