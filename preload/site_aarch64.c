/* site_aarch64.c - stubs and patches, 64-bit ARM, see site.h.
 *
 * A slot's instructions, by their number from the slot's start; its first
 * eight words are struct site_stub.  Where x16 and x17 are pushed must be the
 * same in every slot, for unwinders (SLOT_PUSHED in site_aarch64.S).
 *
 *  BEFORE, in at 8     AROUND, in at 14         FUNNEL, in at 14
 *   8 ldr x8, =armed
 *   9 ldrb w8, [x8]
 *  10 cbnz w8, 13
 *  11 mov x8, #number
 *  12 b svc
 *  13 mov x8, #number
 *  14 push x16, x17    push x16, x17            push x16, x17
 *  15 b 20             lsr x16, x8, #9          lsr x16, x1, #9
 *  16 -                cbnz x16, 23             cbnz x16, 23
 *  17 -                ldr x16, =armed          ldr x16, =armed
 *  18 -                ldrb w16, [x16, x8]      ldrb w16, [x16, x1]
 *  19 -                cbz w16, 23              cbz w16, 23
 *  20 adr x16, slot    adr x16, slot            adr x16, slot
 *  21 ldr x17, =slow   ldr x17, =slow           ldr x17, =site_funnel
 *  22 br x17           br x17                   br x17
 *  23 pop x16, x17     pop x16, x17             pop x16, x17
 *  24 b svc            svc #0                   b funnel
 *  25 -                b back                   -
 *  26 pop x16, x17     pop x16, x17             -
 *  27 b back           b back                   -
 *  28 =armed, 30 =slow
 *
 * A BEFORE site's displaced instruction sets x8, which is free until then.
 */
#include "preload/site.h"

#include <stddef.h>

const uint64_t site_reach_bytes = 128ull << 20; /* of b and bl */

/* site_aarch64.S; each wants a struct site_stub in x16. */
HIDDEN extern const char site_funnel[];
HIDDEN extern const char site_funnel_proceed[], site_funnel_result[];

_Static_assert(offsetof(struct site_stub, syscall) == 16 &&
		       sizeof(struct site_stub) == 32,
	       "site_aarch64.S knows where the address is");
_Static_assert(sizeof(struct site_regs) == 192 &&
		       offsetof(struct site_regs, x29) == 152 &&
		       offsetof(struct site_regs, nzcv) == 168 &&
		       offsetof(struct site_regs, stub) == 176 &&
		       offsetof(struct site_regs, pc) == 184,
	       "site_aarch64.S knows where registers are");
_Static_assert(CALL_NR_MAX == 1 << 9, "stubs compare by a shift");

#define SVC_0	    0xd4000001u
#define NOP	    0xd503201fu
#define PUSH_16_17  0xa9bf47f0u		      /* stp x16, x17, [sp, #-16]! */
#define POP_16_17   0xa8c147f0u		      /* ldp x16, x17, [sp], #16 */
#define LDRB_W8_X8  0x39400108u		      /* ldrb w8, [x8] */
#define LDRB_W16(n) (0x38606a10u | (n) << 16) /* ldrb w16, [x16, xN] */
#define LSR_X16(n)  (0xd349fc10u | (n) << 5)  /* lsr x16, xN, #9 */
#define BR_X17	    0xd61f0220u
#define AT_ARMED    28
#define AT_SLOW	    30

/* From instruction `from` to `to`, both by their number in the slot. */
#define LDR_LITERAL(reg, from, to) (0x58000000u | ((to) - (from)) << 5 | (reg))
#define CBZ(reg, from, to)	   (0x34000000u | ((to) - (from)) << 5 | (reg))
#define CBNZ(reg, from, to)	   (0x35000000u | ((to) - (from)) << 5 | (reg))
#define CBNZ_X(reg, from, to)	   (0xb5000000u | ((to) - (from)) << 5 | (reg))
/* adr x16, the slot's start, from instruction `from`; the distance is a
 * multiple of 4. */
#define ADR_X16_SLOT(from)                                                     \
	(0x10000010u | ((0u - (uint32_t)(from)) & 0x7ffff) << 5)

static uint32_t branch(uint64_t from, uint64_t to, bool link)
{
	return (link ? 0x94000000u : 0x14000000u) |
	       ((uint32_t)((to - from) >> 2) & 0x3ffffff);
}

static void put_word(volatile uint32_t *slot, unsigned at, uint64_t value)
{
	slot[at] = (uint32_t)value;
	slot[at + 1] = (uint32_t)(value >> 32);
}

static uint32_t insn_at(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 |
	       (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

/* 14 to 23: push, look at armed[xN], go to the slow way or on. */
static void put_check(volatile uint32_t *slot, unsigned reg)
{
	slot[15] = LSR_X16(reg);
	slot[16] = CBNZ_X(16, 16, 23);
	slot[17] = LDR_LITERAL(16, 17, AT_ARMED);
	slot[18] = LDRB_W16(reg);
	slot[19] = CBZ(16, 19, 23);
}

static void put_before(volatile uint32_t *slot, const struct site *site)
{
	slot[8] = LDR_LITERAL(8, 8, AT_ARMED);
	slot[9] = LDRB_W8_X8;
	slot[10] = CBNZ(8, 10, 13);
	slot[11] = slot[13] = insn_at(site->bytes);
	slot[15] = branch(0, 5 * 4, false);
	for (unsigned i = 16; i < 20; i++)
		slot[i] = NOP;
}

uint8_t *stub_write(uint8_t *at, uint64_t delta, bool is_known,
		    const struct site *site, uint64_t base, uint64_t armed)
{
	struct site_stub *stub = (struct site_stub *)at;
	volatile uint32_t *slot = (volatile uint32_t *)at;
	uint64_t runs_at = (uint64_t)at + delta;
	uint64_t slow = (uint64_t)site_slow;

	(void)is_known; /* one that blocks elsewhere can't be unwound */
	stub->syscall = base + site->syscall;
	stub->nr = site->nr;
	stub->cancel_by_pc = site->kind == SITE_FUNNEL;
	stub->proceed = runs_at + 23 * 4;
	stub->result = runs_at + 26 * 4;
	for (unsigned i = 8; i < AT_ARMED; i++)
		slot[i] = NOP;
	slot[14] = PUSH_16_17;
	slot[20] = ADR_X16_SLOT(20);
	slot[21] = LDR_LITERAL(17, 21, AT_SLOW);
	slot[22] = BR_X17;
	slot[23] = slot[26] = POP_16_17;
	slot[27] = branch(runs_at + 27 * 4, stub->syscall + 4, false);
	if (site->kind == SITE_BEFORE) {
		put_before(slot, site);
		slot[12] = branch(runs_at + 12 * 4, stub->syscall, false);
		slot[24] = branch(runs_at + 24 * 4, stub->syscall, false);
		armed += (uint64_t)site->nr;
	} else if (site->kind == SITE_AROUND) {
		put_check(slot, 8);
		slot[24] = SVC_0;
		slot[25] = branch(runs_at + 25 * 4, stub->syscall + 4, false);
	} else {
		put_check(slot, 1);
		stub->syscall = base + site->function;
		stub->proceed = (uint64_t)site_funnel_proceed;
		stub->result = (uint64_t)site_funnel_result;
		slot[24] = branch(runs_at + 24 * 4, stub->syscall, false);
		slow = (uint64_t)site_funnel;
	}
	put_word(slot, AT_ARMED, armed);
	put_word(slot, AT_SLOW, slow);
	return at + STUB_BYTES_MAX;
}

unsigned patch_write(const struct site *site, uint64_t base,
		     const uint8_t *stub, uint8_t ret_bytes[SITE_BYTES_MAX])
{
	unsigned entry = site->kind == SITE_BEFORE ? 8 : 14;
	uint32_t insn = branch(base + site->start, (uint64_t)stub + entry * 4,
			       site->kind == SITE_FUNNEL);

	for (unsigned i = 0; i < 4; i++)
		ret_bytes[i] = (uint8_t)(insn >> (8 * i));
	return 4;
}

bool text_may_call(const uint8_t *text, uint64_t bytes)
{
	for (uint64_t i = 0; i + 4 <= bytes; i += 4)
		if (insn_at(text + i) == SVC_0)
			return true;
	return false;
}

void text_written(const void *at, uint64_t bytes)
{
	char *start = (char *)(uintptr_t)at;

	__builtin___clear_cache(start, start + bytes);
}
