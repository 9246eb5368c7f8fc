/* test_stack_cfi.c - unwind tables made by hand, and tables made of noise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "preload/stack.h"

/* What boot.c provides in the library. */
struct state *guest_state;
const struct shared_header *guest_shared;

#define TABLE_MAX  1024
#define CODE_BYTES 0x100

/* One .eh_frame_hdr with one row, one CIE, one FDE; the code that they speak
 * of would stand 64 KiB behind them. */
struct table {
	uint8_t bytes[TABLE_MAX];
	size_t used, cie, fde, record;
};

static void put(struct table *t, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		t->bytes[t->used++] = (uint8_t)(value >> (8 * i));
}

static void put_at(struct table *t, size_t at, uint32_t value)
{
	memcpy(t->bytes + at, &value, 4);
}

static void put_all(struct table *t, const uint8_t *bytes, size_t n)
{
	memcpy(t->bytes + t->used, bytes, n);
	t->used += n;
}

static uint64_t code_of(const struct table *t)
{
	return (uint64_t)t->bytes + 0x10000;
}

static void record_begin(struct table *t)
{
	t->record = t->used;
	put(t, 0, 4);
}

static void record_end(struct table *t)
{
	while ((t->used - t->record) % 8)
		put(t, 0, 1); /* DW_CFA_nop */
	put_at(t, t->record, (uint32_t)(t->used - t->record - 4));
}

#define BYTES(...)                                                             \
	(const uint8_t[]){ __VA_ARGS__ },                                      \
		sizeof((const uint8_t[]){ __VA_ARGS__ })

/* CIE: def_cfa rsp+8; offset ra at cfa-8.  As every compiler begins. */
static void table_begin_as(struct table *t, const char *augmentation)
{
	memset(t, 0, sizeof *t);
	put_all(t, BYTES(1, 0x1b, 0x03, 0x3b));
	put(t, 32 - 4, 4);  /* .eh_frame, pcrel */
	put(t, 1, 4);	    /* rows */
	put(t, 0x10000, 4); /* code, datarel */
	put(t, 0, 4);	    /* FDE, datarel: below */
	while (t->used < 32)
		put(t, 0, 1);
	t->cie = t->used;
	record_begin(t);
	put(t, 0, 4);
	put(t, 1, 1); /* version */
	put_all(t, (const uint8_t *)augmentation, strlen(augmentation) + 1);
	put_all(t, BYTES(1, 0x78, 16)); /* code 1, data -8, ra 16 */
	put_all(t, BYTES(1, 0x1b));	/* R: pcrel sdata4 */
	put_all(t, BYTES(0x0c, 7, 8, 0x80 | 16, 1));
	record_end(t);
	t->fde = t->used;
	put_at(t, 16, (uint32_t)t->fde);
	put_at(t, 12, 0x10000);
	record_begin(t);
	put(t, t->used - t->cie, 4);
	put(t, code_of(t) - (uint64_t)(t->bytes + t->used), 4);
	put(t, CODE_BYTES, 4);
	put(t, 0, 1); /* no augmentation data */
}

static void table_begin(struct table *t)
{
	table_begin_as(t, "zR");
}

static bool look(struct table *t, uint64_t offset, struct cfi_rule *ret)
{
	struct cfi_span span = { .lo = t->bytes };

	record_end(t);
	span.hi = t->bytes + t->used;
	return cfi_find(&span, t->bytes, code_of(t) + offset, ret);
}

static void assert_cfa(struct table *t, uint64_t offset, int cfa, int off)
{
	struct cfi_rule rule;

	assert_true(look(t, offset, &rule));
	assert_int_equal(rule.cfa, cfa);
	assert_int_equal(rule.cfa_off, off);
	assert_int_equal(rule.ra_off, -8);
}

static void at_its_start_a_function_has_only_the_return_address(void **state)
{
	struct table t;

	(void)state;
	table_begin(&t);
	assert_cfa(&t, 0, CFA_RSP, 8);
	assert_cfa(&t, CODE_BYTES - 1, CFA_RSP, 8);
}

static void an_address_outside_every_function_has_no_rule(void **state)
{
	struct cfi_rule rule;
	struct table t;

	(void)state;
	table_begin(&t);
	assert_false(look(&t, CODE_BYTES, &rule));
	assert_false(look(&t, (uint64_t)-1, &rule));
}

/* push rbp; mov rsp,rbp; … leave; ret */
static void a_frame_pointer_is_followed(void **state)
{
	struct cfi_rule rule;
	struct table t;

	(void)state;
	table_begin(&t);
	put_all(&t, BYTES(0x41, 0x0e, 16, 0x86, 2));	  /* +1: push */
	put_all(&t, BYTES(0x43, 0x0d, 6));		  /* +4: mov */
	put_all(&t, BYTES(0x02, 0x40, 0x0c, 7, 8, 0xc6)); /* +0x44: leave */
	assert_cfa(&t, 0, CFA_RSP, 8);
	assert_cfa(&t, 1, CFA_RSP, 16);
	assert_cfa(&t, 3, CFA_RSP, 16);
	assert_cfa(&t, 4, CFA_RBP, 16);
	assert_true(look(&t, 0x43, &rule));
	assert_int_equal(rule.bp, BP_AT_CFA);
	assert_int_equal(rule.bp_off, -16);
	assert_cfa(&t, 0x44, CFA_RSP, 8);
	assert_true(look(&t, 0x44, &rule));
	assert_int_equal(rule.bp, BP_SAME);
}

static void a_state_is_remembered_and_restored(void **state)
{
	struct table t;

	(void)state;
	table_begin(&t);
	put_all(&t, BYTES(0x41, 0x0e, 48, 0x0a, 0x44, 0x0e, 8, 0x41, 0x0b));
	assert_cfa(&t, 1, CFA_RSP, 48);
	assert_cfa(&t, 5, CFA_RSP, 8);
	assert_cfa(&t, 6, CFA_RSP, 48);
}

static void every_way_to_advance_is_understood(void **state)
{
	struct table t;

	(void)state;
	table_begin(&t);
	put_all(&t, BYTES(0x02, 0x10, 0x0e, 16));	   /* advance_loc1 */
	put_all(&t, BYTES(0x03, 0x10, 0x00, 0x0e, 24));	   /* advance_loc2 */
	put_all(&t, BYTES(0x04, 0x10, 0, 0, 0, 0x0e, 32)); /* advance_loc4 */
	put(&t, 0x01, 1); /* set_loc, to +0x40 */
	put(&t, code_of(&t) + 0x40 - (uint64_t)(t.bytes + t.used), 4);
	put_all(&t, BYTES(0x0e, 40));
	assert_cfa(&t, 0x0f, CFA_RSP, 8);
	assert_cfa(&t, 0x10, CFA_RSP, 16);
	assert_cfa(&t, 0x20, CFA_RSP, 24);
	assert_cfa(&t, 0x30, CFA_RSP, 32);
	assert_cfa(&t, 0x40, CFA_RSP, 40);
}

/* A realigned stack: CFA = *(rbp - 8), rbp at *(rbp + 0). */
static void a_realigned_frame_is_followed(void **state)
{
	struct cfi_rule rule;
	struct table t;

	(void)state;
	table_begin(&t);
	put_all(&t, BYTES(0x10, 6, 2, 0x76, 0)); /* expression rbp: breg6 0 */
	put_all(&t, BYTES(0x0f, 3, 0x76, 0x78, 0x06)); /* breg6 -8; deref */
	assert_cfa(&t, 1, CFA_AT_RBP, -8);
	assert_true(look(&t, 1, &rule));
	assert_int_equal(rule.bp, BP_AT_BP);
	assert_int_equal(rule.bp_off, 0);
	table_begin(&t); /* breg7 32; deref; plus_uconst 8 */
	put_all(&t, BYTES(0x0f, 5, 0x77, 32, 0x06, 0x23, 8));
	assert_cfa(&t, 1, CFA_AT_RSP, 32);
	assert_true(look(&t, 1, &rule));
	assert_int_equal(rule.cfa_add, 8);
}

/* What we don't follow ends the walk, and nothing else. */
static void what_is_not_followed_stops(void **state)
{
	static const struct {
		uint8_t bytes[16];
		size_t n;
	} cases[] = {
		{ { 0x0c, 10, 8 }, 3 }, /* CFA in r10 */
		{ { 0x0f, 6, 0x77, 8, 0x80, 0, 0x3f, 0x1a }, 8 }, /* as a PLT */
		{ { 0x07, 16 }, 2 },	/* no return address: outermost */
		{ { 0x09, 16, 2 }, 3 }, /* return address in a register */
		{ { 0x14, 7, 2 }, 3 },	/* rsp by a rule of its own */
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct cfi_rule rule = { .cfa = CFA_RSP };
		struct table t;

		table_begin(&t);
		put_all(&t, cases[i].bytes, cases[i].n);
		assert_true(look(&t, 1, &rule));
		assert_int_equal(rule.cfa, CFA_STOP);
	}
}

static void a_lost_rbp_is_said(void **state)
{
	struct cfi_rule rule;
	struct table t;

	(void)state;
	table_begin(&t);
	put_all(&t, BYTES(0x07, 6)); /* undefined rbp */
	assert_true(look(&t, 1, &rule));
	assert_int_equal(rule.cfa, CFA_RSP);
	assert_int_equal(rule.bp, BP_LOST);
}

/* As libc's __restore_rt says it: CFA = *(rsp + 160). */
static void the_kernels_signal_frame_is_known(void **state)
{
	struct cfi_rule rule;
	struct table t;

	(void)state;
	table_begin_as(&t, "zRS");
	put_all(&t, BYTES(0x0f, 4, 0x77, 0xa0, 0x01, 0x06));
	assert_true(look(&t, 1, &rule));
	assert_int_equal(rule.cfa, CFA_SIGNAL);
}

/* As our site_amd64.S says it: a frame that was pushed at an instruction. */
static void another_signal_frame_is_what_it_says(void **state)
{
	struct cfi_rule rule;
	struct table t;

	(void)state;
	table_begin_as(&t, "zRS");
	put_all(&t, BYTES(0x0c, 3, 0x80, 2, 0x90, 17, 0x83, 20));
	assert_true(look(&t, 1, &rule));
	assert_int_equal(rule.cfa, CFA_RBX);
	assert_int_equal(rule.cfa_off, 256);
	assert_int_equal(rule.ra_off, -136);
	assert_int_equal(rule.bx_off, -160);
	assert_true(rule.exact);
}

/* Instructions of no meaning, a stack of states that runs over or under. */
static void nonsense_has_no_rule(void **state)
{
	struct cfi_rule rule;
	struct table t;

	(void)state;
	table_begin(&t);
	put_all(&t, BYTES(0x3f));
	assert_false(look(&t, 1, &rule));
	table_begin(&t);
	put_all(&t, BYTES(0x0b)); /* restore, never remembered */
	assert_false(look(&t, 1, &rule));
	table_begin(&t);
	for (int i = 0; i <= CFI_STATES_MAX; i++)
		put(&t, 0x0a, 1);
	assert_false(look(&t, 1, &rule));
	table_begin(&t);
	put_all(&t, BYTES(0x0f, 0x7f, 0x77)); /* a block past its record */
	assert_false(look(&t, 1, &rule));
	table_begin_as(&t, "zX");
	assert_false(look(&t, 1, &rule));
}

/* Every truncation of a whole table, right before a page that isn't there. */
static void a_table_cut_anywhere_is_read_within_its_bounds(void **state)
{
	struct table t;
	struct cfi_rule rule;

	(void)state;
	table_begin(&t);
	put_all(&t, BYTES(0x41, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6));
	record_end(&t);
	for (size_t n = 0; n <= t.used; n++) {
		uint8_t *copy = malloc(n ? n : 1); /* a checker sees over */
		struct cfi_span span = { copy, copy + n };

		memcpy(copy, t.bytes, n);
		cfi_find(&span, copy, (uint64_t)copy + 0x10000 + 4, &rule);
		free(copy);
	}
}

static uint64_t draw(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return *seed >> 33;
}

/* Half of the tables are whole ones with a few bytes spoiled, the others are
 * noise.  The span ends where readable memory ends. */
static void noise_does_no_harm(void **state)
{
	uint64_t seed = 20240229, found = 0;
	uint8_t *page = aligned_alloc(4096, 4096);

	(void)state;
	for (int i = 0; i < 300000; i++) {
		struct cfi_span span;
		struct cfi_rule rule;
		struct table t;
		uint8_t *at;

		table_begin(&t);
		for (int j = 0; j < 40; j++)
			put(&t, draw(&seed), 1);
		record_end(&t);
		for (unsigned j = draw(&seed) % 4; j; j--)
			t.bytes[draw(&seed) % t.used] = (uint8_t)draw(&seed);
		if (i & 1)
			for (size_t j = 0; j < t.used; j++)
				t.bytes[j] = (uint8_t)draw(&seed);
		at = page + 4096 - t.used;
		memcpy(at, t.bytes, t.used);
		span = (struct cfi_span){ at, page + 4096 };
		found += cfi_find(&span, at,
				  (uint64_t)at + 0x10000 + draw(&seed) % 64,
				  &rule);
	}
	free(page);
	assert_true(found > 1000); /* or else nothing was tried */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			at_its_start_a_function_has_only_the_return_address),
		cmocka_unit_test(an_address_outside_every_function_has_no_rule),
		cmocka_unit_test(a_frame_pointer_is_followed),
		cmocka_unit_test(a_state_is_remembered_and_restored),
		cmocka_unit_test(every_way_to_advance_is_understood),
		cmocka_unit_test(a_realigned_frame_is_followed),
		cmocka_unit_test(what_is_not_followed_stops),
		cmocka_unit_test(a_lost_rbp_is_said),
		cmocka_unit_test(the_kernels_signal_frame_is_known),
		cmocka_unit_test(another_signal_frame_is_what_it_says),
		cmocka_unit_test(nonsense_has_no_rule),
		cmocka_unit_test(
			a_table_cut_anywhere_is_read_within_its_bounds),
		cmocka_unit_test(noise_does_no_harm),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
