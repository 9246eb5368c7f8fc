/* arch_aarch64.h - 64-bit ARM, see arch.h.  AAPCS64; syscall(2). */
#ifndef MISHAP_PRELOAD_ARCH_AARCH64_H
#define MISHAP_PRELOAD_ARCH_AARCH64_H

/* As site_aarch64.S stores them.  x[0] to x[5] are the arguments, x[8] is the
 * number, x[0] the result.  x16 and x17 were pushed by the stub and stand
 * above; x19 to x28 are kept by C. */
struct site_regs {
	uint64_t x[19];
	uint64_t x29, x30, nzcv;
	const struct site_stub *stub;
	uint64_t pc; /* address of the original `svc`, for unwinders */
};

#define SITE_RED_ZONE 0

static inline uint64_t site_nr(const struct site_regs *regs)
{
	return regs->x[8];
}

static inline uint64_t *site_arg(const struct site_regs *regs, unsigned n)
{
	return (uint64_t *)(uintptr_t)&regs->x[n - 1];
}

static inline void site_return(struct site_regs *regs, long ret)
{
	regs->x[0] = (uint64_t)ret;
}

static inline long site_returned(const struct site_regs *regs)
{
	return (long)regs->x[0];
}

static inline void site_regs_set(struct site_regs *regs, uint64_t nr,
				 const uint64_t args[6])
{
	*regs = (struct site_regs){ .x[8] = nr };
	for (unsigned n = 0; n < 6; n++)
		regs->x[n] = args[n];
}

static inline uint64_t site_regs_sp(const struct site_regs *regs)
{
	return (uint64_t)(regs + 1) + 16;
}

static inline uint64_t site_regs_bp(const struct site_regs *regs)
{
	return regs->x29;
}

/* site_funnel put them there. */
static inline void *site_cancel_flags(const struct site_regs *regs)
{
	return (void *)regs->x[9];
}

static inline void arch_copy(void *to, const void *from, size_t n)
{
	unsigned char *d = to;
	const unsigned char *s = from;

	while (n--) {
		*d++ = *s++;
		__asm__ volatile("" ::: "memory"); /* stay a loop */
	}
}

static inline void arch_fill(void *to, int c, size_t n)
{
	unsigned char *d = to;

	while (n--) {
		*d++ = (unsigned char)c;
		__asm__ volatile("" ::: "memory"); /* stay a loop */
	}
}

/* There is no such single instruction before ARMv8.1. */
static inline void arch_count(uint64_t *count)
{
	__atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
}

#endif
