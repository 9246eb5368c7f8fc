/* arch_amd64.h - x86-64, see arch.h.  System V ABI, AMD64 supplement. */
#ifndef MISHAP_PRELOAD_ARCH_AMD64_H
#define MISHAP_PRELOAD_ARCH_AMD64_H

/* As site_amd64.S pushes them, lowest address first.  rax is the kernel number
 * on entry, the result on return. */
struct site_regs {
	uint64_t r15, r14, r13, r12, rbx, rbp, r9, r8, r10, rdx, rsi, rdi, rax;
	const struct site_stub *stub;
	uint64_t pc; /* address of the original `syscall`, for unwinders */
};

#define SITE_RED_ZONE 128

static inline uint64_t site_nr(const struct site_regs *regs)
{
	return regs->rax;
}

/* Where the n-th argument is kept, syscall(2). */
static inline uint64_t *site_arg(const struct site_regs *regs, unsigned n)
{
	static const uint8_t offsets[] = {
		0,
		offsetof(struct site_regs, rdi),
		offsetof(struct site_regs, rsi),
		offsetof(struct site_regs, rdx),
		offsetof(struct site_regs, r10),
		offsetof(struct site_regs, r8),
		offsetof(struct site_regs, r9),
	};

	return (uint64_t *)((uintptr_t)regs + offsets[n]);
}

static inline void site_return(struct site_regs *regs, long ret)
{
	regs->rax = (uint64_t)ret;
}

static inline long site_returned(const struct site_regs *regs)
{
	return (long)regs->rax;
}

static inline void site_regs_set(struct site_regs *regs, uint64_t nr,
				 const uint64_t args[6])
{
	*regs = (struct site_regs){ .rax = nr };
	for (unsigned n = 0; n < 6; n++)
		*site_arg(regs, n + 1) = args[n];
}

static inline uint64_t site_regs_sp(const struct site_regs *regs)
{
	return (uint64_t)(regs + 1) + SITE_RED_ZONE;
}

static inline uint64_t site_regs_bp(const struct site_regs *regs)
{
	return regs->rbp;
}

/* Where the funnel would put them itself. */
static inline void *site_cancel_flags(const struct site_regs *regs)
{
	return *(void **)(site_regs_sp(regs) + 8);
}

static inline void arch_copy(void *to, const void *from, size_t n)
{
	__asm__ volatile("rep movsb"
			 : "+D"(to), "+S"(from), "+c"(n)
			 :
			 : "memory");
}

static inline void arch_fill(void *to, int c, size_t n)
{
	__asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(c) : "memory");
}

/* One instruction is atomic enough against our own handlers. */
static inline void arch_count(uint64_t *count)
{
	__asm__ volatile("incq %0" : "+m"(*count));
}

#endif
