/* compare.c - a preload that walks twice at every malloc, read and write:
 * with our walker and with libunwind's, and counts where they agree.
 *
 * libunwind is opened privately, so that its _Unwind_* don't stand in for the
 * program's.  What was seen is appended to $STACK_COMPARE_OUT at exit:
 * "EXE stacks N frames N agreed N deeper N"; frames are those that libunwind
 * found (at most 16 a stack), agreed those that we found equal, deeper the
 * stacks in which we went further than it did.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "preload/stack.h"

#define STACKS_MAX 2000000
#define TOLD_MAX   5

struct state *guest_state;
const struct shared_header *guest_shared;

static int (*unwind)(void **addresses, int count);
static uint64_t own_lo, own_hi, spoil;
static pid_t born;
static __thread bool inside;
static _Atomic uint64_t stacks, frames, agreed, deeper, told;

EXPORT void *__libc_malloc(size_t size);
EXPORT void *__libc_calloc(size_t count, size_t size);
EXPORT void *__libc_realloc(void *old, size_t size);

static __attribute__((constructor)) void open_privately(void)
{
	struct dl_find_object object;
	void *library = dlopen("libunwind.so.8", RTLD_NOW | RTLD_LOCAL);

	if (_dl_find_object((void *)open_privately, &object) == 0) {
		own_lo = (uint64_t)object.dlfo_map_start;
		own_hi = (uint64_t)object.dlfo_map_end;
	}
	born = getpid();
	if (getenv("STACK_COMPARE_SPOIL"))
		spoil = strtoull(getenv("STACK_COMPARE_SPOIL"), NULL, 10);
	if (library)
		*(void **)&unwind = dlsym(library, "unw_backtrace");
}

static uint64_t address_of(const struct stack_frame *frame)
{
	struct stack_module module;

	if (!stack_module_get(frame->place, &module))
		return 0;
	return frame->offset + module.bias + 1; /* the return address */
}

static void tell(void **theirs, int n, const struct stack_frame *ours,
		 unsigned count)
{
	const char *path = getenv("STACK_COMPARE_OUT");
	FILE *out;

	if (!path || atomic_fetch_add(&told, 1) >= TOLD_MAX ||
	    !(out = fopen(path, "ae")))
		return;
	for (int i = 0; i < n; i++) {
		Dl_info info = { 0 };

		dladdr(theirs[i], &info);
		fprintf(out, "# %s %p %#lx %s+%#lx\n",
			(unsigned)i < count && address_of(&ours[i]) ==
						       (uint64_t)theirs[i]
				? "="
				: "!",
			theirs[i],
			(unsigned)i < count ? address_of(&ours[i]) : 0,
			info.dli_fname ? info.dli_fname : "?",
			(char *)theirs[i] - (char *)info.dli_fbase);
	}
	fprintf(out, "#\n");
	fclose(out);
}

static __attribute__((noinline)) void compare(uint64_t pc, uint64_t sp,
					      uint64_t bp)
{
	struct stack_frame ours[SHARED_FRAMES_MAX];
	unsigned count = stack_walk(pc, sp, bp, ours, SHARED_FRAMES_MAX);
	void *all[SHARED_FRAMES_MAX + 8], **theirs = all;
	int n = unwind(all, SHARED_FRAMES_MAX + 8), same = 0;

	if (spoil && count && atomic_load(&stacks) % spoil == 0)
		ours[0].offset++;

	while (n > 0 && (uint64_t)*theirs >= own_lo &&
	       (uint64_t)*theirs < own_hi) {
		theirs++;
		n--;
	}
	if (n > SHARED_FRAMES_MAX)
		n = SHARED_FRAMES_MAX;
	while (same < n && same < (int)count &&
	       address_of(&ours[same]) == (uint64_t)theirs[same])
		same++;
	atomic_fetch_add(&stacks, 1);
	atomic_fetch_add(&frames, n);
	atomic_fetch_add(&agreed, same);
	atomic_fetch_add(&deeper, same == n && (int)count > n);
	if (same < n)
		tell(theirs, n, ours, count);
}

#define COMPARE()                                                              \
	do {                                                                   \
		uint64_t pc_, sp_, bp_;                                        \
		if (unwind && !inside && atomic_load(&stacks) < STACKS_MAX) {  \
			inside = true;                                         \
			__asm__ volatile("lea 0f(%%rip), %0\n0:\n\t"           \
					 "mov %%rsp, %1\n\t"                   \
					 "mov %%rbp, %2"                       \
					 : "=&r"(pc_), "=&r"(sp_),             \
					   "=&r"(bp_));                        \
			if (getpid() == born)                                  \
				compare(pc_, sp_, bp_);                        \
			inside = false;                                        \
		}                                                              \
	} while (0)

EXPORT void *malloc(size_t size)
{
	COMPARE();
	return __libc_malloc(size);
}

EXPORT void *calloc(size_t count, size_t size)
{
	COMPARE();
	return __libc_calloc(count, size);
}

EXPORT void *realloc(void *old, size_t size)
{
	COMPARE();
	return __libc_realloc(old, size);
}

EXPORT ssize_t read(int fd, void *bytes, size_t count)
{
	COMPARE();
	return syscall(SYS_read, fd, bytes, count);
}

EXPORT ssize_t write(int fd, const void *bytes, size_t count)
{
	COMPARE();
	return syscall(SYS_write, fd, bytes, count);
}

static __attribute__((destructor)) void sum_up(void)
{
	const char *path = getenv("STACK_COMPARE_OUT");
	char line[256], exe[128] = "";
	int fd;

	inside = true;
	if (!path || stacks == 0 || getpid() != born)
		return;
	if (readlink("/proc/self/exe", exe, sizeof exe - 1) < 0)
		strcpy(exe, "?");
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
	snprintf(line, sizeof line,
		 "%s stacks %lu frames %lu agreed %lu deeper %lu\n", exe,
		 (unsigned long)stacks, (unsigned long)frames,
		 (unsigned long)agreed, (unsigned long)deeper);
	if (fd >= 0 && syscall(SYS_write, fd, line, strlen(line)) < 0)
		perror(path);
	close(fd);
}
