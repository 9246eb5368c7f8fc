/* sites_aarch64.c - where 64-bit ARM's system calls stand, and how each may be
 * patched.  Encodings: Arm Architecture Reference Manual, C4.1. */
#include "runner/sites_aarch64.h"

#include <capstone/capstone.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define INSN_BYTES    4
#define SVC_0	      0xd4000001u
#define LOOK_BACK_MAX 32 /* instructions, for a constant number */

struct classifier {
	struct image *image;
	csh decoder;
	cs_insn *insn;
	struct site *sites;
	uint32_t count;
};

static uint32_t insn_word(const struct image *image, uint64_t address)
{
	uint32_t word;

	memcpy(&word, image->text + (address - image->text_start),
	       sizeof(word));
	return word;
}

/* A distance of `bits` bits at bit `at`, in instructions. */
static uint64_t distance(uint32_t word, unsigned at, unsigned bits)
{
	int32_t d = (int32_t)(word << (32 - at - bits)) >> (32 - bits);

	return (uint64_t)(int64_t)d * INSN_BYTES;
}

/* Where b, bl, b.cond, cbz, cbnz, tbz or tbnz may go; 0: it is none. */
static uint64_t branch_target(uint32_t word, uint64_t address)
{
	if ((word & 0x7c000000) == 0x14000000)
		return address + distance(word, 0, 26);
	if ((word & 0xff000000) == 0x54000000 ||
	    (word & 0x7e000000) == 0x34000000)
		return address + distance(word, 5, 19);
	if ((word & 0x7e000000) == 0x36000000)
		return address + distance(word, 5, 14);
	return 0;
}

static void mark_branches(const struct image *image, uint64_t first)
{
	for (uint64_t at = first; at + INSN_BYTES <= image->text_end;
	     at += INSN_BYTES)
		image_mark(image, image->targets,
			   branch_target(insn_word(image, at), at));
}

static bool is_x8(unsigned reg)
{
	return reg == ARM64_REG_X8 || reg == ARM64_REG_W8;
}

/* Does the instruction write x8?  If it loads a constant, *ret_nr is it. */
static bool insn_sets_x8(struct classifier *c, int32_t *ret_nr)
{
	const cs_arm64 *arm = &c->insn->detail->arm64;
	cs_regs read, written;
	uint8_t read_count, written_count;
	bool writes = false;

	if (cs_regs_access(c->decoder, c->insn, read, &read_count, written,
			   &written_count) != CS_ERR_OK)
		return true;
	for (uint8_t i = 0; i < written_count; i++)
		writes |= is_x8(written[i]);
	if (writes && arm->op_count == 2 &&
	    (c->insn->id == ARM64_INS_MOV || c->insn->id == ARM64_INS_MOVZ) &&
	    arm->operands[1].type == ARM64_OP_IMM &&
	    !arm->operands[1].shift.value && arm->operands[1].imm >= 0 &&
	    arm->operands[1].imm < 4096)
		*ret_nr = (int32_t)arm->operands[1].imm;
	return writes;
}

static bool insn_leaves(const cs_insn *insn)
{
	const cs_detail *detail = insn->detail;

	for (uint8_t i = 0; i < detail->groups_count; i++)
		if (detail->groups[i] == CS_GRP_CALL ||
		    detail->groups[i] == CS_GRP_JUMP ||
		    detail->groups[i] == CS_GRP_RET)
			return true;
	return false;
}

static bool insn_decode(struct classifier *c, uint64_t address)
{
	const uint8_t *at = c->image->text + (address - c->image->text_start);
	size_t left = INSN_BYTES;

	return cs_disasm_iter(c->decoder, &at, &left, &address, c->insn);
}

/* The number that is surely in x8, or -1: back through straight code. */
static int32_t site_number(struct classifier *c, uint64_t start,
			   uint64_t address)
{
	int32_t nr = -1;

	for (unsigned i = 0; i < LOOK_BACK_MAX && address > start; i++) {
		if (image_marked(c->image, c->image->targets, address))
			return -1;
		address -= INSN_BYTES;
		if (!insn_decode(c, address) || insn_leaves(c->insn))
			return -1;
		if (insn_sets_x8(c, &nr))
			return nr;
	}
	return -1;
}

/* movz w8 or x8, #imm, without a shift. */
static bool is_number_load(uint32_t word)
{
	return (word & 0x7fe0001f) == 0x52800008;
}

/* What glibc >= 2.41 (__syscall_cancel_arch) does with the call's arguments,
 * up to `svc; ret`. */
static bool site_is_funnel(const struct image *image,
			   const struct image_function *f,
			   const struct site *site)
{
	static const uint32_t body[] = {
		0xaa0103e8,		/* mov x8, x1 */
		0xaa0203e0,		/* mov x0, x2 */
		0xaa0303e1,		/* mov x1, x3 */
		0xaa0403e2,		/* mov x2, x4 */
		0xaa0503e3,		/* mov x3, x5 */
		0xaa0603e4,		/* mov x4, x6 */
		0xaa0703e5,		/* mov x5, x7 */
		SVC_0,	    0xd65f03c0, /* ret */
	};
	uint64_t start = site->syscall + 2 * INSN_BYTES - sizeof(body);

	/* Before it only the check of the cancel flag. */
	return start >= f->start + 2 * INSN_BYTES &&
	       start <= f->start + 5 * INSN_BYTES &&
	       site->syscall + 2 * INSN_BYTES <= f->end &&
	       !memcmp(image->text + (start - image->text_start), body,
		       sizeof(body));
}

static void site_set(struct site *site, enum site_kind kind, uint64_t start,
		     uint64_t end)
{
	site->kind = (uint8_t)kind;
	site->start = start;
	site->end = end;
}

static void site_leave(struct site *site, enum site_kind kind,
		       enum site_why why)
{
	site_set(site, kind, site->syscall, site->syscall + INSN_BYTES);
	site->why = (uint8_t)why;
}

/* The one who calls the funnel; left, if there are others. */
static void site_redirect_caller(const struct image *image, uint64_t first,
				 uint64_t funnel, struct site *site)
{
	unsigned callers = 0;

	for (uint64_t at = first; at + INSN_BYTES <= image->text_end;
	     at += INSN_BYTES) {
		uint32_t word = insn_word(image, at);

		if (branch_target(word, at) != funnel)
			continue;
		callers += (word & 0xfc000000) == 0x94000000 ? 1 : 2;
		site_set(site, SITE_FUNNEL, at, at + INSN_BYTES);
	}
	site->nr = -1;
	site->function = funnel;
	if (callers != 1)
		site_leave(site, SITE_LEFT, WHY_FUNNEL);
}

static void site_classify(struct classifier *c, const struct image_function *f,
			  uint64_t first, struct site *site)
{
	const struct image *image = c->image;
	uint64_t start = f->start;

	/* clone's unwind table ends just at `svc`. */
	if (f->is_gap && f > image->functions)
		start = f[-1].start;
	site->function = f->is_gap ? 0 : f->start;
	site->nr = site_number(c, start, site->syscall);
	if (aarch64_is_skipped(site->nr)) {
		site_leave(site, SITE_SKIPPED, WHY_NOT);
	} else if (f->is_gap) {
		site_leave(site, SITE_LEFT, WHY_NO_TABLE);
	} else if (site_is_funnel(image, f, site)) {
		site_redirect_caller(image, first, f->start, site);
	} else if (site->syscall == f->start) {
		site_leave(site, SITE_AROUND, WHY_FIRST);
	} else if (image_marked(image, image->targets, site->syscall)) {
		site_leave(site, SITE_AROUND, WHY_JUMP_INTO);
	} else if (site->nr < 0 ||
		   !is_number_load(
			   insn_word(image, site->syscall - INSN_BYTES))) {
		site_leave(site, SITE_AROUND, WHY_UNMOVABLE);
	} else {
		site_set(site, SITE_BEFORE, site->syscall - INSN_BYTES,
			 site->syscall + INSN_BYTES);
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

static int classifier_run(struct classifier *c)
{
	const struct image *image = c->image;
	uint64_t first = (image->text_start + INSN_BYTES - 1) &
			 ~(uint64_t)(INSN_BYTES - 1);

	mark_branches(image, first);
	for (uint64_t at = first; at + INSN_BYTES <= image->text_end;
	     at += INSN_BYTES) {
		const struct image_function *f;

		if (insn_word(image, at) != SVC_0)
			continue;
		f = image_function_at(image, at);
		if (!f)
			continue;
		if (c->count == SITES_MAX)
			return -EFBIG;
		c->sites[c->count].syscall = at;
		site_classify(c, f, first, &c->sites[c->count]);
		c->count++;
	}
	if (c->count)
		qsort(c->sites, c->count, sizeof(*c->sites), site_order);
	return 0;
}

int sites_classify_aarch64(struct image *image, struct site **ret_sites,
			   uint32_t *ret_count)
{
	struct classifier c = { .image = image };
	int r;

	if (cs_open(CS_ARCH_ARM64, CS_MODE_LITTLE_ENDIAN, &c.decoder) !=
	    CS_ERR_OK)
		return -ENOMEM;
	cs_option(c.decoder, CS_OPT_DETAIL, CS_OPT_ON);
	c.insn = cs_malloc(c.decoder);
	c.sites = calloc(SITES_MAX, sizeof(*c.sites));
	r = c.insn && c.sites ? classifier_run(&c) : -ENOMEM;
	if (c.insn)
		cs_free(c.insn, 1);
	cs_close(&c.decoder);
	if (r < 0) {
		free(c.sites);
		return r;
	}
	*ret_sites = c.sites;
	*ret_count = c.count;
	return 0;
}
