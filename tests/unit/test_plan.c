/* plan_open: what it takes, and that nothing else gets past it. */
#include "core/plan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "test.h"
#include "tests/plan_walk.h"

static struct small_plan *guarded; /* ends where a forbidden page begins */

/* One page before, two of room, one behind. */
static int map_guarded(void **state)
{
	size_t room = (sizeof(struct small_plan) + 4095) & ~4095ul;
	char *map = mmap(NULL, room + 8192, PROT_NONE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	if (map == MAP_FAILED || mprotect(map + 4096, room, 3))
		return -1;
	guarded = (void *)(map + 4096 + room - sizeof(*guarded));
	return 0;
}

static int open_guarded(void)
{
	struct plan plan = { .base = NULL };
	int r = plan_open(guarded, sizeof(*guarded), &plan);

	if (r < 0)
		assert_null(plan.base); /* untouched on failure */
	else
		plan_walk(&plan);
	return r;
}

static void a_sound_plan_opens_and_can_be_walked(void **state)
{
	struct plan plan;

	(void)state;
	small_plan_write(guarded);
	assert_int_equal(plan_open(guarded, sizeof(*guarded), &plan), 0);
	assert_ptr_equal(plan.rules, guarded->rules);
	assert_ptr_equal(plan.chain, guarded->chain);
	assert_string_equal(plan_string(&plan, plan.rules[0].path_off),
			    "**/out[0-9]*");
	assert_null(plan_string(&plan, plan.rules[0].host_off));
	assert_true(plan_walk(&plan) > 100);
}

static void a_map_may_be_longer_but_never_shorter(void **state)
{
	static _Alignas(8) char room[sizeof(struct small_plan) + 4096];
	struct plan plan;

	(void)state;
	small_plan_write((void *)room);
	assert_int_equal(plan_open(room, sizeof(room), &plan), 0);
	for (size_t n = 0; n < sizeof(struct small_plan); n++)
		assert_int_equal(plan_open(room, n, &plan), -EBADMSG);
	assert_int_equal(plan_open(NULL, 4096, &plan), -EBADMSG);
	memmove(room + 1, room, sizeof(struct small_plan));
	assert_int_equal(plan_open(room + 1, 4096, &plan), -EBADMSG);
}

static void another_magic_or_abi_is_another_protocol(void **state)
{
	(void)state;
	small_plan_write(guarded);
	guarded->header.magic++;
	assert_int_equal(open_guarded(), -EPROTO);
	small_plan_write(guarded);
	guarded->header.abi++;
	assert_int_equal(open_guarded(), -EPROTO);
}

static void every_flipped_bit_is_seen(void **state)
{
	unsigned char *bytes = (void *)guarded;

	(void)state;
	small_plan_write(guarded);
	assert_int_equal(open_guarded(), 0);
	for (size_t i = 0; i < sizeof(*guarded) * 8; i++) {
		bytes[i / 8] ^= (unsigned char)(1 << i % 8);
		if (open_guarded() == 0)
			fail_msg("byte %zu bit %zu", i / 8, i % 8);
		bytes[i / 8] ^= (unsigned char)(1 << i % 8);
	}
	assert_int_equal(open_guarded(), 0);
}

/* The checksum made good again: the deep checks alone stand between a bad
 * offset and the page behind the plan, where reading is death. */
static void a_resealed_flip_is_refused_or_harmless(void **state)
{
	unsigned char *bytes = (void *)guarded;
	size_t refused = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(*guarded) * 8; i++) {
		small_plan_write(guarded);
		bytes[i / 8] ^= (unsigned char)(1 << i % 8);
		plan_seal(guarded, sizeof(*guarded));
		refused += open_guarded() < 0;
	}
	assert_true(refused > 500);
}

static void a_resealed_heap_of_flips_is_refused_or_harmless(void **state)
{
	unsigned char *bytes = (void *)guarded;

	(void)state;
	for (uint64_t i = 0; i < 200000; i++) {
		struct rng rng = rng_open(7, 0, 0, i);
		unsigned flips = 1 + (unsigned)rng_below(&rng, 6);

		small_plan_write(guarded);
		while (flips--)
			bytes[rng_below(&rng,
					offsetof(struct small_plan, strings))] =
				(unsigned char)rng_next(&rng);
		plan_seal(guarded, sizeof(*guarded));
		open_guarded();
	}
}

#define REFUSED(change)                                                        \
	do {                                                                   \
		small_plan_write(guarded);                                     \
		change;                                                        \
		plan_seal(guarded, sizeof(*guarded));                          \
		if (open_guarded() != -EBADMSG)                                \
			fail_msg("%s", #change);                               \
	} while (0)

static void bad_counts_and_offsets_are_refused(void **state)
{
	struct plan_header *h = &guarded->header;

	(void)state;
	REFUSED(h->rules_count = PLAN_RULES_MAX + 1);
	REFUSED(h->rules_count = WALK_RULES + 60);
	REFUSED(h->rules_off = 8);
	REFUSED(h->rules_off += 4);
	REFUSED(h->rules_off = sizeof(*guarded));
	REFUSED(h->rules_off = UINT32_MAX - 7);
	REFUSED(h->chain_off = 0);
	REFUSED(h->chain_off += 1);
	REFUSED(h->chain_off = sizeof(*guarded) - 8);
	REFUSED(h->index_count = 65000);
	REFUSED(h->index_off = 3);
	REFUSED(h->index_off = sizeof(*guarded) - 2);
	REFUSED(h->decisions_count = PLAN_DECISIONS_MAX + 1);
	REFUSED(h->decisions_count = 1000);
	REFUSED(h->decisions_off += 4);
	REFUSED(h->phases_count = 0);
	REFUSED(h->phases_count = PLAN_PHASES_MAX + 1);
	REFUSED(h->replay = 2);
	REFUSED(h->strings_off = UINT32_MAX);
	REFUSED(h->strings_bytes = 0);
	REFUSED(h->strings_bytes = UINT32_MAX);
	REFUSED(h->strings_off += 1);
	REFUSED(guarded->strings[sizeof(guarded->strings) - 1] = 'x');
	/* At an odd place, where all that it holds would be in range. */
	REFUSED((memset(guarded->chain, 0, sizeof(guarded->chain)),
		 h->index_off = h->chain_off + 1, h->index_count = 1));
	REFUSED(guarded->chain[CALL_open][1] = 5);
	REFUSED(guarded->chain[CALL_open][0] = 65535);
	REFUSED(guarded->index[3] = WALK_RULES);
}

static void bad_rules_are_refused(void **state)
{
	struct plan_rule *r = guarded->rules;

	(void)state;
	REFUSED(r[0].fault = FAULT_COUNT);
	REFUSED(r[0].at = AT_AFTER); /* fail= has no after */
	REFUSED(r[2].at = AT_AFTER + 1);
	REFUSED(r[0].per = PER_FD + 1);
	REFUSED(r[0].side = SIDE_SERVER + 1);
	REFUSED(r[0].also = 2);
	REFUSED(r[0].adversarial = 2);
	REFUSED(r[0].clock = CLOCKS_ALL + 1);
	REFUSED(r[0].selectors |= SELECT_ALL + 1);
	REFUSED(r[0].triggers |= TRIGGER_ALL + 1);
	REFUSED(r[0].triggers |= TRIGGER_NTH_RANDOM);
	REFUSED(r[0].nth_first = 0);
	REFUSED(r[0].nth_step = 0);
	REFUSED(r[0].nth_last = 1);
	REFUSED(r[0].times = 0);
	REFUSED(r[0].fd_first = 1001);
	REFUSED((r[0].size_first = 2, r[0].size_last = 1));
	REFUSED(r[0].path_off = 0);
	REFUSED(r[0].path_off = 8);
	REFUSED(r[0].path_off = sizeof(*guarded));
	REFUSED(r[0].text_off = UINT32_MAX);
	REFUSED(r[1].host_off = 0);
	REFUSED(r[1].p_ppm = 1000001);
	REFUSED(r[1].peer.family = AF_NETLINK);
	REFUSED(r[1].peer.prefix_bits = 33);
	REFUSED(r[1].peer.pad = 1);
	REFUSED((r[1].peer.family = AF_INET6, r[1].peer.prefix_bits = 129));
	REFUSED((r[1].peer.family = 0));
	REFUSED(r[2].peer.path_off = 1);
	REFUSED(r[2].peer.port = 1);
	REFUSED(r[2].nth_last = NTH_FOREVER);
	REFUSED(r[2].thread_off = 0);
	REFUSED(r[2].exe_off = 0);
	REFUSED(r[2].frame_off = 0);
}

static void bad_arguments_are_refused(void **state)
{
	struct plan_rule *r = guarded->rules;

	(void)state;
	REFUSED(r[0].arg.v[0] = 0);
	REFUSED(r[0].arg.v[0] = 4096);
	REFUSED(r[0].arg.v[0] = (uint64_t)-4096);
	REFUSED(r[1].arg.v[0] = DELAY_QUANTILES + 1);
	REFUSED(r[1].arg.v[1] = 1000000001);
	REFUSED(r[1].arg.v[2] = FAULT_DELAY_MAX_NS + 1);
	REFUSED((r[1].arg.v[0] = DELAY_JITTER));
	REFUSED(r[2].arg.v[0] = 0);
	REFUSED(r[2].arg.v[0] = 65);
	REFUSED((r[0].fault = FAULT_short, r[0].arg.v[0] = 0));
	REFUSED((r[0].fault = FAULT_exit, r[0].arg.v[0] = 256));
	REFUSED((r[0].fault = FAULT_corrupt, r[0].arg.v[0] = 0));
	REFUSED((r[0].fault = FAULT_corrupt, r[0].arg.v[0] = 65));
	REFUSED((r[0].fault = FAULT_disk_full, r[0].arg.v[0] = 1ull << 63));
	REFUSED((r[0].fault = FAULT_fd_limit, r[0].arg.v[0] = 0));
	REFUSED((r[0].fault = FAULT_rot, r[0].arg.v[0] = 1000001));
	REFUSED((r[0].fault = FAULT_skew, r[0].arg.v[0] = 1ull << 63));
	REFUSED((r[0].fault = FAULT_drift, r[0].arg.v[0] = (uint64_t)-1000000));
}

static void bad_decisions_are_refused(void **state)
{
	struct plan_decision *d = guarded->decisions;

	(void)state;
	REFUSED(d[0].rule = WALK_RULES);
	REFUSED(d[2].rule = WALK_RULES);
	REFUSED(d[0].index = 0);
	REFUSED(d[0].index = 10);
	REFUSED(d[0].stream = 2);
	REFUSED(d[0].rule = 1);
	REFUSED(d[1].pad = 1);
}

static void a_string_that_is_too_long_is_refused(void **state)
{
	const uint32_t bytes = sizeof(struct small_plan) + PLAN_STRING_MAX + 8;
	struct small_plan *p = calloc(1, bytes);
	struct plan plan;

	(void)state;
	for (unsigned n = PLAN_STRING_MAX - 2; n <= PLAN_STRING_MAX; n++) {
		small_plan_write(p);
		p->header.strings_bytes += PLAN_STRING_MAX + 8;
		p->rules[0].path_off = (uint32_t)sizeof(*p);
		memset(p + 1, 'x', n);
		memset((char *)(p + 1) + n, 0, PLAN_STRING_MAX + 8 - n);
		plan_seal(p, bytes);
		assert_int_equal(plan_open(p, bytes, &plan),
				 n < PLAN_STRING_MAX ? 0 : -EBADMSG);
	}
	free(p);
}

static void the_largest_plan_opens_and_a_larger_one_does_not(void **state)
{
	struct small_plan *p = calloc(1, PLAN_BYTES_MAX + 8);
	struct plan plan;

	(void)state;
	small_plan_write(p);
	plan_seal(p, PLAN_BYTES_MAX);
	assert_int_equal(plan_open(p, PLAN_BYTES_MAX, &plan), 0);
	plan_seal(p, PLAN_BYTES_MAX + 8);
	assert_int_equal(plan_open(p, PLAN_BYTES_MAX + 8, &plan), -EBADMSG);
	free(p);
}

static void a_checksum_depends_on_each_byte_and_on_the_length(void **state)
{
	unsigned char bytes[40] = { 0 };
	uint64_t seen[41];

	(void)state;
	for (size_t n = 0; n <= sizeof(bytes); n++) {
		seen[n] = plan_checksum(bytes, n);
		for (size_t i = 0; i < n; i++) {
			assert_int_not_equal(seen[i], seen[n]);
			bytes[i]++;
			assert_int_not_equal(plan_checksum(bytes, n), seen[n]);
			bytes[i]--;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_sound_plan_opens_and_can_be_walked),
		TEST(a_map_may_be_longer_but_never_shorter),
		TEST(another_magic_or_abi_is_another_protocol),
		TEST(every_flipped_bit_is_seen),
		TEST(a_resealed_flip_is_refused_or_harmless),
		TEST(a_resealed_heap_of_flips_is_refused_or_harmless),
		TEST(bad_counts_and_offsets_are_refused),
		TEST(bad_rules_are_refused),
		TEST(bad_arguments_are_refused),
		TEST(bad_decisions_are_refused),
		TEST(a_string_that_is_too_long_is_refused),
		TEST(the_largest_plan_opens_and_a_larger_one_does_not),
		TEST(a_checksum_depends_on_each_byte_and_on_the_length),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, map_guarded, NULL);
}
