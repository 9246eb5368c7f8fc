/* readable.c - memory that may be read without asking the kernel first.
 *
 * A path argument is read before the call is made, and where the kernel would
 * say EFAULT we must not fault.  To ask it costs half as much as an open(2).
 * But most paths are literals or lie in the caller's frames, and two kinds of
 * memory are there as long as the program runs: what the kernel mapped
 * read-only of its file, as our own text and libc's are; and the main thread's
 * stack from the caller's stack pointer up, since a stack has no holes.
 */
#include <elf.h>
#include <link.h>
#include <sys/auxv.h>

#include "preload/guest.h"

#define RANGES_MAX	8
#define STACK_BYTES_MAX (8ull << 20) /* nothing else is mapped so near */

static struct range {
	uintptr_t start, end;
} ranges[RANGES_MAX];
static unsigned ranges_count;
static uintptr_t stack_end;

/* The last string that execve(2) puts on the stack is the file's name. */
static void look_at_stack(void)
{
	uintptr_t end = getauxval(AT_EXECFN), here = (uintptr_t)&end;

	if (end > here && end - here < STACK_BYTES_MAX)
		stack_end = end + strlen((const char *)end) + 1;
}

void readable_look(void)
{
	const ElfW(Phdr) *headers = (const void *)getauxval(AT_PHDR);
	unsigned count = (unsigned)getauxval(AT_PHNUM);
	uintptr_t base = 0;
	bool has_base = false;

	look_at_stack();
	if (!headers || getauxval(AT_PHENT) != sizeof(*headers))
		return;
	for (unsigned i = 0; i < count; i++) {
		if (headers[i].p_type != PT_PHDR)
			continue;
		base = (uintptr_t)headers - headers[i].p_vaddr;
		has_base = true;
	}
	if (!has_base)
		return;
	for (unsigned i = 0; i < count && ranges_count < RANGES_MAX; i++) {
		const ElfW(Phdr) *p = &headers[i];

		if (p->p_type != PT_LOAD ||
		    (p->p_flags & (PF_R | PF_W)) != PF_R)
			continue;
		ranges[ranges_count++] = (struct range){
			.start = base + p->p_vaddr,
			.end = base + p->p_vaddr + p->p_filesz,
		};
	}
}

size_t readable_bytes(const void *from, const struct site_regs *regs)
{
	uintptr_t at = (uintptr_t)from;

	for (unsigned i = 0; i < ranges_count; i++) {
		if (at >= ranges[i].start && at < ranges[i].end)
			return ranges[i].end - at;
	}
	if (regs && at < stack_end) {
		uintptr_t sp = site_regs_sp(regs);

		if (at >= sp && stack_end - sp < STACK_BYTES_MAX)
			return stack_end - at;
	}
	return 0;
}
