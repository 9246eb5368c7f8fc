/* sites_classify.c - decide for each `syscall` how it may be patched.
 *
 * A jump takes 5 bytes, `syscall` has 2.  In order of preference:
 *  1. the whole instructions just before it make way for the jump, run in the
 *     stub, and `syscall` runs where it stood (SITE_BEFORE);
 *  2. a cancellation funnel is left as it is, its callers come to the stub
 *     instead (SITE_FUNNEL);
 *  3. `syscall` and the whole instructions after it make way (SITE_AROUND);
 *  4. it is left, and that is said (SITE_LEFT).
 * Nothing may jump into the bytes that make way, but to their first.
 */
#include "runner/sites_classify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define JUMP_BYTES     5
#define SYSCALL_BYTES  2
#define INSN_BYTES_MAX 15
#define LOOK_BACK_MAX  32 /* instructions, for a constant number */

struct classifier {
	struct image *image;
	struct decoder decoder;
	struct site *sites;
	uint32_t count;
};

static bool is_target(const struct image *image, uint64_t address)
{
	return image_marked(image, image->targets, address);
}

/* The start of the instruction before address, 0: none in the function. */
static uint64_t insn_before(const struct image *image,
			    const struct image_function *f, uint64_t address)
{
	for (unsigned n = 1; n <= INSN_BYTES_MAX && address - n >= f->start;
	     n++)
		if (image_marked(image, image->starts, address - n))
			return address - n;
	return 0;
}

/* May the instruction run elsewhere, with the same effect? */
static bool insn_is_movable(const struct decoder *d)
{
	const cs_detail *detail = d->insn->detail;
	const cs_x86 *x86 = &detail->x86;

	for (uint8_t i = 0; i < detail->groups_count; i++)
		switch (detail->groups[i]) {
		case CS_GRP_JUMP:
		case CS_GRP_CALL:
		case CS_GRP_RET:
		case CS_GRP_INT:
		case CS_GRP_IRET:
		case CS_GRP_PRIVILEGE:
		case CS_GRP_BRANCH_RELATIVE:
			return false;
		}
	switch (d->insn->id) {
	case X86_INS_SYSCALL:
	case X86_INS_SYSENTER:
	case X86_INS_XBEGIN:
	case X86_INS_XABORT:
	case X86_INS_HLT:
	case X86_INS_UD2:
	case X86_INS_LOOP:
	case X86_INS_LOOPE:
	case X86_INS_LOOPNE:
	case X86_INS_INT3:
		return false;
	}
	for (uint8_t i = 0; i < x86->op_count; i++)
		if ((x86->operands[i].type == X86_OP_MEM &&
		     (x86->operands[i].mem.base == X86_REG_RIP ||
		      x86->operands[i].mem.base == X86_REG_EIP)) ||
		    (x86->operands[i].type == X86_OP_REG &&
		     x86->operands[i].reg == X86_REG_RIP))
			return false;
	return true;
}

static bool is_rax(unsigned reg)
{
	return reg == X86_REG_RAX || reg == X86_REG_EAX || reg == X86_REG_AX ||
	       reg == X86_REG_AL || reg == X86_REG_AH;
}

/* Does the instruction write rax?  If it loads a constant, *ret_nr is it. */
static bool insn_sets_rax(const struct decoder *d, int32_t *ret_nr)
{
	const cs_x86 *x86 = &d->insn->detail->x86;
	const cs_x86_op *to = &x86->operands[0], *from = &x86->operands[1];
	cs_regs read, written;
	uint8_t read_count, written_count;
	bool writes = false;

	if (cs_regs_access(d->detailed, d->insn, read, &read_count, written,
			   &written_count) != CS_ERR_OK)
		return true;
	for (uint8_t i = 0; i < written_count; i++)
		writes |= is_rax(written[i]);
	if (!writes || x86->op_count != 2 || to->type != X86_OP_REG ||
	    (to->reg != X86_REG_EAX && to->reg != X86_REG_RAX))
		return writes;
	if ((d->insn->id == X86_INS_MOV || d->insn->id == X86_INS_MOVABS) &&
	    from->type == X86_OP_IMM && from->imm >= 0 && from->imm < 4096)
		*ret_nr = (int32_t)from->imm;
	if (d->insn->id == X86_INS_XOR && from->type == X86_OP_REG &&
	    from->reg == to->reg)
		*ret_nr = 0;
	return true;
}

/* The number that is surely in rax at `syscall`, or -1: walk back through
 * straight code, up to where something may jump in. */
static int32_t site_number(struct classifier *c, const struct image_function *f,
			   uint64_t address)
{
	int32_t nr = -1;

	for (unsigned i = 0; i < LOOK_BACK_MAX; i++) {
		if (is_target(c->image, address) || address == f->start)
			break;
		address = insn_before(c->image, f, address);
		if (!address || !decoder_at(&c->decoder, c->image, address))
			break;
		for (uint8_t g = 0; g < c->decoder.insn->detail->groups_count;
		     g++)
			if (c->decoder.insn->detail->groups[g] == CS_GRP_CALL)
				return -1;
		if (insn_sets_rax(&c->decoder, &nr))
			return nr;
	}
	return -1;
}

static bool site_try_before(struct classifier *c,
			    const struct image_function *f, struct site *site)
{
	uint64_t start = site->syscall;

	while (site->syscall - start < JUMP_BYTES) {
		site->why = start == f->start		 ? WHY_FIRST
			    : is_target(c->image, start) ? WHY_JUMP_INTO
							 : WHY_UNMOVABLE;
		if (site->why != WHY_UNMOVABLE)
			return false;
		start = insn_before(c->image, f, start);
		if (!start || !decoder_at(&c->decoder, c->image, start) ||
		    !insn_is_movable(&c->decoder))
			return false;
	}
	if (site->syscall + SYSCALL_BYTES - start > SITE_BYTES_MAX)
		return false;
	site->why = WHY_NOT;
	site->kind = SITE_BEFORE;
	site->start = start;
	site->end = site->syscall + SYSCALL_BYTES;
	return true;
}

static bool site_try_around(struct classifier *c,
			    const struct image_function *f, struct site *site)
{
	uint64_t end = site->syscall + SYSCALL_BYTES;

	while (end - site->syscall < JUMP_BYTES) {
		if (end >= f->end || is_target(c->image, end) ||
		    !image_marked(c->image, c->image->starts, end) ||
		    !decoder_at(&c->decoder, c->image, end) ||
		    !insn_is_movable(&c->decoder))
			return false;
		end += c->decoder.insn->size;
	}
	for (uint64_t at = site->syscall + 1; at < end; at++)
		if (is_target(c->image, at))
			return false;
	if (end > f->end || end - site->syscall > SITE_BYTES_MAX)
		return false;
	site->kind = SITE_AROUND;
	site->start = site->syscall;
	site->end = end;
	return true;
}

/* The body that glibc >= 2.41 (__syscall_cancel_arch) and musl
 * (__syscall_cp_asm) share, from the call's arguments to `syscall; ret`. */
static bool site_is_funnel(const struct image *image,
			   const struct image_function *f,
			   const struct site *site)
{
	static const uint8_t body[] = {
		0x49, 0x89, 0xfb,	      /* mov %rdi,%r11 */
		0x48, 0x89, 0xf0,	      /* mov %rsi,%rax */
		0x48, 0x89, 0xd7,	      /* mov %rdx,%rdi */
		0x48, 0x89, 0xce,	      /* mov %rcx,%rsi */
		0x4c, 0x89, 0xc2,	      /* mov %r8,%rdx */
		0x4d, 0x89, 0xca,	      /* mov %r9,%r10 */
		0x4c, 0x8b, 0x44, 0x24, 0x08, /* mov 8(%rsp),%r8 */
		0x4c, 0x8b, 0x4c, 0x24, 0x10, /* mov 16(%rsp),%r9 */
		0x4c, 0x89, 0x5c, 0x24, 0x08, /* mov %r11,8(%rsp) */
		0x0f, 0x05, 0xc3,	      /* syscall; ret */
	};
	uint64_t start = site->syscall + 3 - sizeof(body);

	/* Before it only the check of the cancel flag: 5 to 16 bytes. */
	return start >= f->start + 5 && start <= f->start + 16 &&
	       site->syscall + 3 <= f->end &&
	       !memcmp(image->text + (start - image->text_start), body,
		       sizeof(body));
}

/* All who call the funnel; false if somebody comes to it by another way. */
static bool site_find_callers(struct classifier *c,
			      const struct image_function *funnel,
			      struct site *site)
{
	const struct image *image = c->image;
	uint64_t last = image->text_end - JUMP_BYTES;
	unsigned callers = 0;

	for (uint64_t at = image->text_start; at <= last; at++) {
		const uint8_t *b = image->text + (at - image->text_start);
		int32_t d;

		memcpy(&d, b + 1, sizeof(d));
		if ((*b != 0xe8 && *b != 0xe9) ||
		    at + JUMP_BYTES + (uint64_t)(int64_t)d != funnel->start)
			continue;
		code_sweep_around(&c->decoder, image, at);
		if (!image_marked(image, image->starts, at))
			continue; /* bytes inside another instruction */
		if (*b != 0xe8 || callers++)
			return false;
		for (uint64_t i = at + 1; i < at + JUMP_BYTES; i++)
			if (is_target(image, i))
				return false;
		site->start = at;
	}
	if (!callers)
		return false;
	site->kind = SITE_FUNNEL;
	site->end = site->start + JUMP_BYTES;
	site->function = funnel->start;
	site->nr = -1;
	return true;
}

/* `syscall; jmp` back to it or shortly before: it isn't meant to return, so it
 * is exit or exit_group, whatever register brought the number. */
static bool site_is_endless(const struct image *image, const struct site *site)
{
	const uint8_t *b = image->text + (site->syscall - image->text_start);

	return site->syscall + 4 <= image->text_end && b[2] == 0xeb &&
	       b[3] >= 0xf0 && b[3] <= 0xfc;
}

/* The signal trampoline: unwinders know it by these bytes (libgcc's
 * x86_64_fallback_frame_state), and its FDE begins a byte early. */
static bool site_is_sigreturn(const struct image *image,
			      const struct site *site)
{
	static const uint8_t body[] = { 0x48, 0xc7, 0xc0, 0x0f, 0x00,
					0x00, 0x00, 0x0f, 0x05 };
	uint64_t start = site->syscall + 2 - sizeof(body);

	return image_has_text(image, start) &&
	       !memcmp(image->text + (start - image->text_start), body,
		       sizeof(body));
}

static void site_leave(struct site *site, enum site_kind kind)
{
	site->kind = (uint8_t)kind;
	site->start = site->syscall;
	site->end = site->syscall + SYSCALL_BYTES;
}

static void site_classify(struct classifier *c, const struct image_function *f,
			  struct site *site)
{
	const struct image *image = c->image;

	site->nr = -1;
	site->function = f->is_gap ? 0 : f->start;
	if (site_is_sigreturn(image, site)) {
		site->nr = SYS_rt_sigreturn;
		site_leave(site, SITE_SKIPPED);
	} else if (site_is_endless(image, site)) {
		site_leave(site, SITE_SKIPPED);
	} else if (f->doubtful || f->is_gap) {
		/* Never patched; but clone, whose unwind table ends just at
		 * `syscall`, is left on purpose. */
		struct image_function wide = *f;

		if (f->is_gap && f > image->functions)
			wide.start = f[-1].start;
		site->nr =
			f->doubtful ? -1 : site_number(c, &wide, site->syscall);
		site_leave(site, site_is_skipped(site->nr) ? SITE_SKIPPED
							   : SITE_LEFT);
		if (site->kind == SITE_LEFT)
			site->why = f->is_gap ? WHY_NO_TABLE : WHY_NO_CODE;
	} else if (site_is_funnel(image, f, site)) {
		if (!site_find_callers(c, f, site)) {
			site_leave(site, SITE_LEFT);
			site->why = WHY_FUNNEL;
		}
	} else {
		site->nr = site_number(c, f, site->syscall);
		if (site_is_skipped(site->nr))
			site_leave(site, SITE_SKIPPED);
		else if (!site_try_before(c, f, site) &&
			 !site_try_around(c, f, site))
			site_leave(site, SITE_LEFT);
	}
	site->length = (uint8_t)(site->end - site->start);
	memcpy(site->bytes, image->text + (site->start - image->text_start),
	       site->length);
}

static int site_order(const void *a, const void *b)
{
	const struct site *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* Two sites may want the same bytes: the later one gives way. */
static void sites_settle(struct site *sites, uint32_t count)
{
	uint64_t taken = 0;

	for (uint32_t i = 0; i < count; i++) {
		bool patched = sites[i].kind != SITE_LEFT &&
			       sites[i].kind != SITE_SKIPPED;

		if (patched && sites[i].start < taken) {
			site_leave(&sites[i], SITE_LEFT);
			sites[i].why = WHY_BYTES_TAKEN;
			sites[i].length = SYSCALL_BYTES;
			memset(sites[i].bytes, 0, sizeof(sites[i].bytes));
			memcpy(sites[i].bytes, "\x0f\x05", SYSCALL_BYTES);
		} else if (patched) {
			taken = sites[i].end;
		}
	}
	if (count)
		qsort(sites, count, sizeof(*sites), site_order);
}

/* First sweep around every 0f 05, then judge: a later sweep may find a jump
 * into an earlier site. */
static int classifier_run(struct classifier *c)
{
	struct image *image = c->image;
	uint64_t last = image->text_end - SYSCALL_BYTES;

	for (int pass = 0; pass < 2; pass++)
		for (uint64_t at = image->text_start; at <= last; at++) {
			const uint8_t *b =
				image->text + (at - image->text_start);
			const struct image_function *f;

			if (b[0] != 0x0f || b[1] != 0x05)
				continue;
			if (!pass) {
				code_sweep_around(&c->decoder, image, at);
				continue;
			}
			f = image_function_at(image, at);
			if (!f || (!image_marked(image, image->starts, at) &&
				   (f->is_gap || !f->doubtful)))
				continue; /* other instructions' bytes, data */
			if (c->count == SITES_MAX)
				return -EFBIG;
			c->sites[c->count].syscall = at;
			site_classify(c, f, &c->sites[c->count]);
			c->count++;
		}
	if (c->count)
		qsort(c->sites, c->count, sizeof(*c->sites), site_order);
	sites_settle(c->sites, c->count);
	return 0;
}

int sites_classify(struct image *image, struct site **ret_sites,
		   uint32_t *ret_count)
{
	struct classifier c = { .image = image };
	int r = decoder_open(&c.decoder);

	if (r < 0)
		return r;
	c.sites = calloc(SITES_MAX, sizeof(*c.sites));
	r = c.sites ? code_mark_targets(image) : -ENOMEM;
	if (!r)
		r = classifier_run(&c);
	decoder_close(&c.decoder);
	if (r < 0) {
		free(c.sites);
		return r;
	}
	*ret_sites = c.sites;
	*ret_count = c.count;
	return 0;
}
