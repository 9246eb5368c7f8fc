/* site_amd64.c - stubs and patches, x86-64, see site.h.
 *
 * BEFORE   displaced instructions; armed? slow way : jump to `syscall`
 * AROUND   armed? slow way : `syscall`, where unwinders know the stub, else
 *          site_around, which makes it; the displaced instructions, and back
 * FUNNEL   armed? slow way by site_funnel : jump to the funnel
 *
 * Scratch registers are those that nobody can count on there: rcx and r11 at
 * a `syscall`, rax and r11 at a call of the funnel.  Nothing is pushed.
 */
#include "preload/site.h"

#include <stddef.h>

#include "preload/guest.h"
#include "preload/site_quick.h"

#define JUMP_BYTES 5 /* e9, or e8, and a distance */

/* Half of what a 32-bit distance spans: it is to be had either way. */
const uint64_t site_reach_bytes = 1ull << 31;

/* site_amd64.S; each wants a struct site_stub in r11. */
HIDDEN extern const char site_funnel[];
HIDDEN extern const char site_funnel_proceed[], site_funnel_result[];

_Static_assert(offsetof(struct site_stub, syscall) == 16 &&
		       sizeof(struct site_stub) == 32,
	       "site_amd64.S knows where the address is");

#define AT(type, member, where)                                                \
	_Static_assert(offsetof(struct type, member) == (where),               \
		       "site_amd64.S knows where it is")
AT(quick_row, rules, QUICK_ROW_RULES);
AT(quick_row, call, QUICK_ROW_CALL);
AT(quick_row, flags, QUICK_ROW_FLAGS);
AT(known, key, KNOWN_STAMP);
AT(known, rules, KNOWN_RULES);
AT(known, counts_epoch, KNOWN_COUNTS_EPOCH);
AT(known, client_in, KNOWN_CLIENT_IN);
AT(state, armed_nr, 0);
AT(state, armed_call, STATE_ARMED_CALL);
AT(state, phase, STATE_PHASE);
AT(state, phase_ns, STATE_PHASE_NS);
AT(process, calls, PROCESS_CALLS);
_Static_assert(sizeof(struct quick_row) == 1 << QUICK_ROW_SHIFT &&
		       sizeof(struct known) == 1 << KNOWN_SHIFT &&
		       GUEST_FDS_MAX == KNOWN_FDS_MAX,
	       "site_amd64.S knows how large it is");
_Static_assert(NR_COUNTED == STATE_NR_COUNTED, "site_amd64.S knows it too");

struct writer {
	uint8_t *at;
	uint64_t delta;
};

static void put(struct writer *w, const char *bytes, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		*(volatile uint8_t *)w->at++ = (uint8_t)bytes[i];
}
#define PUT(w, bytes) put(w, bytes, sizeof(bytes) - 1)

static void put_number(struct writer *w, uint64_t value, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		*(volatile uint8_t *)w->at++ = (uint8_t)(value >> (8 * i));
}

/* The 32-bit distance from the next instruction to an address. */
static void put_distance(struct writer *w, uint64_t to)
{
	put_number(w, to - ((uint64_t)w->at + w->delta + 4), 4);
}

static void put_jump(struct writer *w, uint64_t to)
{
	PUT(w, "\xe9");
	put_distance(w, to);
}

static void put_jump_far(struct writer *w, const struct site_stub *stub,
			 const char *to, bool by_rax)
{
	PUT(w, "\x4c\x8d\x1d"); /* lea stub(%rip),%r11 */
	put_distance(w, (uint64_t)stub + w->delta);
	if (by_rax)
		PUT(w, "\x48\xb8"); /* movabs $to,%rax */
	else
		PUT(w, "\x48\xb9"); /* movabs $to,%rcx */
	put_number(w, (uint64_t)to, 8);
	if (by_rax)
		PUT(w, "\xff\xe0"); /* jmp *%rax */
	else
		PUT(w, "\xff\xe1"); /* jmp *%rcx */
}

/* Is the number armed?  Falls through if not; returns where the distance of
 * the jump to the slow way is to be filled in. */
static uint8_t *put_check(struct writer *w, const struct site *site,
			  uint64_t armed)
{
	uint8_t *out = NULL, *slow;

	if (site->nr >= 0 && site->nr < CALL_NR_MAX) {
		PUT(w, "\x48\xb9"); /* movabs $armed+nr,%rcx */
		put_number(w, armed + (uint64_t)site->nr, 8);
		PUT(w, "\x80\x39\x00"); /* cmpb $0,(%rcx) */
	} else if (site->kind == SITE_FUNNEL) {
		PUT(w, "\x81\xfe"); /* cmp $CALL_NR_MAX,%esi */
		put_number(w, CALL_NR_MAX, 4);
		PUT(w, "\x73\x00"); /* jae out */
		out = w->at;
		PUT(w, "\x48\xb8"); /* movabs $armed,%rax */
		put_number(w, armed, 8);
		PUT(w, "\x41\x89\xf3");		/* mov %esi,%r11d */
		PUT(w, "\x42\x80\x3c\x18\x00"); /* cmpb $0,(%rax,%r11) */
	} else {
		PUT(w, "\x3d"); /* cmp $CALL_NR_MAX,%eax */
		put_number(w, CALL_NR_MAX, 4);
		PUT(w, "\x73\x00"); /* jae out */
		out = w->at;
		PUT(w, "\x48\xb9"); /* movabs $armed,%rcx */
		put_number(w, armed, 8);
		PUT(w, "\x41\x89\xc3");		/* mov %eax,%r11d */
		PUT(w, "\x42\x80\x3c\x19\x00"); /* cmpb $0,(%rcx,%r11) */
	}
	PUT(w, "\x0f\x85"); /* jne slow */
	slow = w->at;
	put_number(w, 0, 4);
	if (out)
		out[-1] = (uint8_t)(w->at - out);
	return slow;
}

static void fill_distance(uint8_t *at, const uint8_t *to)
{
	uint32_t distance = (uint32_t)(to - (at + 4));

	for (unsigned i = 0; i < 4; i++)
		((volatile uint8_t *)at)[i] = (uint8_t)(distance >> (8 * i));
}

uint8_t *stub_write(uint8_t *at, uint64_t delta, bool is_known,
		    const struct site *site, uint64_t base, uint64_t armed)
{
	struct site_stub *stub = (struct site_stub *)at;
	struct writer w = { at + sizeof(*stub), delta };
	const char *displaced = (const char *)site->bytes;
	uint8_t *slow;

	stub->syscall = base + site->syscall;
	stub->nr = site->nr;
	stub->cancel_by_pc = site->kind == SITE_FUNNEL;
	stub->by_symbol = false; /* the pool is full of int3 */
	if (site->kind == SITE_BEFORE) {
		put(&w, displaced, (unsigned)(site->syscall - site->start));
		stub->proceed = stub->syscall;
		stub->result = stub->syscall + 2;
		slow = put_check(&w, site, armed);
		put_jump(&w, stub->proceed);
	} else if (site->kind == SITE_AROUND) {
		slow = put_check(&w, site, armed);
		stub->proceed = (uint64_t)w.at + delta;
		if (is_known) {
			PUT(&w, "\x0f\x05");
		} else {
			put_jump_far(&w, stub, site_around, false);
			stub->proceed = (uint64_t)site_around;
		}
		stub->result = (uint64_t)w.at + delta;
		put(&w, displaced + 2, site->length - 2u);
		put_jump(&w, base + site->end);
	} else {
		stub->syscall = base + site->function;
		stub->proceed = (uint64_t)site_funnel_proceed;
		stub->result = (uint64_t)site_funnel_result;
		slow = put_check(&w, site, armed);
		put_jump(&w, stub->syscall);
	}
	fill_distance(slow, w.at);
	if (site->kind == SITE_FUNNEL)
		put_jump_far(&w, stub, site_funnel, true);
	else
		put_jump_far(&w, stub, site_slow, false);
	return at + STUB_BYTES_MAX;
}

unsigned patch_write(const struct site *site, uint64_t base,
		     const uint8_t *stub, uint8_t ret_bytes[SITE_BYTES_MAX])
{
	const uint8_t *entry = stub + sizeof(struct site_stub);
	unsigned length = site->length;
	int32_t distance =
		(int32_t)((uint64_t)entry - (base + site->start + JUMP_BYTES));

	if (site->kind == SITE_BEFORE) /* `syscall` is left alone */
		length = (unsigned)(site->syscall - site->start);
	ret_bytes[0] = site->kind == SITE_FUNNEL ? 0xe8 : 0xe9;
	for (unsigned i = 0; i < 4; i++)
		ret_bytes[1 + i] = (uint8_t)((uint32_t)distance >> (8 * i));
	for (unsigned i = JUMP_BYTES; i < length; i++)
		ret_bytes[i] = 0xcc; /* nothing leads here */
	return length;
}

bool text_may_call(const uint8_t *text, uint64_t bytes)
{
	for (uint64_t i = 0; i + 1 < bytes; i++)
		if (text[i] == 0x0f && text[i + 1] == 0x05)
			return true;
	return false;
}

/* The processor sees to it itself. */
void text_written(const void *at, uint64_t bytes)
{
	(void)at;
	(void)bytes;
}
