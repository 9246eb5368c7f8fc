/* bench/stack.c - what a walk costs, warm and cold, beside libunwind's.
 *
 * Each figure is the best of rounds that take turns, ns per walk; libunwind
 * is opened privately and left out where it isn't installed.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "preload/stack.h"

#define ROUNDS 20
#define WALKS  20000
#define DEPTH  24

struct state *guest_state;
const struct shared_header *guest_shared;

static struct shared_header header;
static int (*unwind)(void **addresses, int count);

enum { WALK, NUMBER, FRAME, UNWIND, KINDS };

static const char *const names[KINDS] = {
	"16 frames, our walk",
	"16 frames, number in the shared table",
	"frame= that is not there, 16 frames",
	"16 frames, libunwind's unw_backtrace",
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static __attribute__((noinline)) double measure(int kind)
{
	struct stack_frame frames[SHARED_FRAMES_MAX];
	uint64_t pc, sp, bp, start = now_ns();
	void *addresses[SHARED_FRAMES_MAX];
	uint64_t got = 0;

	for (int i = 0; i < WALKS; i++) {
		__asm__ volatile("lea 0f(%%rip), %0\n0:\n\t"
				 "mov %%rsp, %1\n\t"
				 "mov %%rbp, %2"
				 : "=&r"(pc), "=&r"(sp), "=&r"(bp));
		if (kind == WALK)
			got += stack_walk(pc, sp, bp, frames,
					  SHARED_FRAMES_MAX);
		else if (kind == NUMBER)
			got += stack_number(pc, sp, bp) ? 16 : 0;
		else if (kind == FRAME)
			got += stack_has_frame(pc, sp, bp, "nobody") ? 0 : 16;
		else
			got += (uint64_t)unwind(addresses, SHARED_FRAMES_MAX);
	}
	if (got != 16ull * WALKS) {
		fprintf(stderr, "%s: %.2f frames a walk\n", names[kind],
			(double)got / WALKS);
		exit(1);
	}
	return (double)(now_ns() - start) / WALKS;
}

static double best[KINDS];

static __attribute__((noinline)) void deep(int depth)
{
	if (depth) {
		deep(depth - 1);
		__asm__ volatile("" : : : "memory");
		return;
	}
	for (int round = 0; round < ROUNDS; round++) {
		for (int kind = 0; kind < KINDS; kind++) {
			double ns =
				kind == UNWIND && !unwind ? 0 : measure(kind);

			if (round == 0 || ns < best[kind])
				best[kind] = ns;
		}
	}
}

int main(void)
{
	void *library = dlopen("libunwind.so.8", RTLD_NOW | RTLD_LOCAL);

	if (library)
		*(void **)&unwind = dlsym(library, "unw_backtrace");
	guest_state = mmap(NULL, sizeof *guest_state, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	guest_shared = &header;
	stack_own_address = NULL;
	deep(DEPTH);
	for (int kind = 0; kind < KINDS; kind++) {
		if (kind == UNWIND && !unwind)
			printf("%-42s not installed\n", names[kind]);
		else
			printf("%-42s %6.1f ns\n", names[kind], best[kind]);
	}
	return 0;
}
