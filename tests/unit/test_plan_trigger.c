/* Triggers, one at a time, all together, and as a replay has them. */
#include "core/plan.h"

#include <string.h>

#include "test.h"
#include "tests/plan_walk.h"

static struct plan_header live = { .phases_count = 1 };
static const struct plan plan = { .header = &live };

static bool holds_at(struct plan_rule rule, uint64_t index)
{
	struct trigger_input in = { .seed = 1,
				    .process = 5,
				    .stream = 6,
				    .index = index,
				    .thread_index = index };

	return trigger_holds(&plan, &rule, &in);
}

static void a_rule_without_triggers_always_holds(void **state)
{
	(void)state;
	for (uint64_t i = 1; i < 1000; i++)
		assert_true(holds_at((struct plan_rule){ .triggers = 0 }, i));
}

static void nth_is_first_to_last_by_step(void **state)
{
	static const struct {
		uint64_t first, last, step;
		const char *holds; /* at 1, 2, 3 ... */
	} table[] = {
		{ 3, 3, 1, "00100000000" },
		{ 1, 1, 1, "10000000000" },
		{ 3, NTH_FOREVER, 1, "00111111111" },
		{ 3, NTH_FOREVER, 2, "00101010101" },
		{ 2, 5, 1, "01111000000" },
		{ 2, 7, 3, "01001000000" },
		{ 2, 8, 3, "01001001000" },
		{ 1, NTH_FOREVER, NTH_FOREVER, "10000000000" },
	};

	(void)state;
	for (unsigned t = 0; t < sizeof(table) / sizeof(*table); t++)
		for (unsigned i = 0; table[t].holds[i]; i++) {
			struct plan_rule rule = { .triggers = TRIGGER_NTH,
						  .nth_first = table[t].first,
						  .nth_last = table[t].last,
						  .nth_step = table[t].step };

			if (holds_at(rule, i + 1) != (table[t].holds[i] == '1'))
				fail_msg("row %u at %u", t, i + 1);
		}
}

static void a_random_nth_is_one_index_of_a_process(void **state)
{
	struct plan_rule rule = { .triggers = TRIGGER_NTH_RANDOM,
				  .nth_first = 11,
				  .nth_last = 30,
				  .nth_step = 1 };
	unsigned seen[41] = { 0 };

	(void)state;
	for (uint64_t process = 0; process < 4000; process++) {
		unsigned times = 0;

		for (uint64_t i = 1; i <= 40; i++) {
			struct trigger_input in = { .seed = 9,
						    .rule = 2,
						    .process = process,
						    .stream = i % 3,
						    .index = i,
						    .thread_index = i % 7 };

			if (trigger_holds(&plan, &rule, &in)) {
				seen[i]++;
				times++;
			}
		}
		assert_int_equal(times, 1);
	}
	for (unsigned i = 0; i <= 40; i++) {
		if (i < 11 || i > 30)
			assert_int_equal(seen[i], 0);
		else
			assert_in_range(seen[i], 140, 260); /* 200 expected */
	}
}

static void a_random_nth_depends_on_seed_and_rule(void **state)
{
	struct plan_rule rule = { .triggers = TRIGGER_NTH_RANDOM,
				  .nth_first = 1,
				  .nth_last = 1000000,
				  .nth_step = 1 };
	struct plan_rule one = rule;

	(void)state;
	one.nth_last = 1;
	assert_true(holds_at(one, 1));
	for (uint64_t i = 1; i <= 1000000; i++) {
		struct trigger_input in = { .seed = 1,
					    .process = 5,
					    .index = i };

		if (!trigger_holds(&plan, &rule, &in))
			continue;
		in.seed = 2;
		assert_false(trigger_holds(&plan, &rule, &in));
		in.seed = 1;
		in.rule = 1;
		assert_false(trigger_holds(&plan, &rule, &in));
		return;
	}
	fail_msg("no index was drawn");
}

static unsigned count_of_p(uint32_t ppm, uint64_t stream, unsigned calls)
{
	struct plan_rule rule = { .triggers = TRIGGER_P, .p_ppm = ppm };
	unsigned n = 0;

	for (unsigned i = 1; i <= calls; i++) {
		struct trigger_input in = { .seed = 3,
					    .rule = 1,
					    .stream = stream,
					    .index = 77,
					    .thread_index = i };

		n += trigger_holds(&plan, &rule, &in);
	}
	return n;
}

static void p_is_a_share_and_its_ends_are_exact(void **state)
{
	(void)state;
	assert_int_equal(count_of_p(0, 0, 1000000), 0);
	assert_int_equal(count_of_p(1000000, 0, 1000000), 1000000);
	/* within five standard deviations */
	assert_in_range(count_of_p(100000, 0, 100000), 9525, 10475);
	assert_in_range(count_of_p(500000, 0, 100000), 49209, 50791);
	assert_in_range(count_of_p(1000, 0, 1000000), 842, 1158);
	assert_true(count_of_p(1, 0, 1000000) <= 8);
}

static void p_is_drawn_for_each_thread_by_its_own_count(void **state)
{
	struct plan_rule rule = { .triggers = TRIGGER_P, .p_ppm = 500000 };
	unsigned same = 0;

	(void)state;
	for (uint64_t i = 1; i <= 10000; i++) {
		struct trigger_input a = { .stream = 1, .thread_index = i };
		struct trigger_input b = { .stream = 2, .thread_index = i };
		bool held = trigger_holds(&plan, &rule, &a);

		same += held == trigger_holds(&plan, &rule, &b);
		a.index = 999; /* the other counts don't matter */
		a.process = 999;
		assert_int_equal(trigger_holds(&plan, &rule, &a), held);
	}
	assert_in_range(same, 4750, 5250);
}

/* p=1% must not pick the calls whose delay would be in the lowest 1 %. */
static void the_draws_of_p_say_nothing_about_the_faults_own(void **state)
{
	struct plan_rule rule = { .triggers = TRIGGER_P, .p_ppm = 10000 };
	double sum = 0;
	unsigned n = 0;

	(void)state;
	for (uint64_t i = 1; i <= 500000; i++) {
		struct trigger_input in = { .seed = 4, .thread_index = i };
		struct rng own = rng_open(4, 0, 0, i);

		if (!trigger_holds(&plan, &rule, &in))
			continue;
		sum += (double)rng_below(&own, 1000);
		n++;
	}
	assert_in_range((unsigned)(sum / n), 480, 520);
}

static void times_counts_what_fired(void **state)
{
	struct plan_rule rule = { .triggers = TRIGGER_TIMES, .times = 2 };
	struct trigger_input in = { .index = 50 };

	(void)state;
	assert_true(trigger_holds(&plan, &rule, &in));
	in.fired = 1;
	assert_true(trigger_holds(&plan, &rule, &in));
	in.fired = 2;
	assert_false(trigger_holds(&plan, &rule, &in));
	in.fired = UINT64_MAX;
	assert_false(trigger_holds(&plan, &rule, &in));
}

static void after_waits_for_time_bytes_or_calls(void **state)
{
	struct plan_rule ns = { .triggers = TRIGGER_AFTER_NS, .after_ns = 10 };
	struct plan_rule bytes = { .triggers = TRIGGER_AFTER_BYTES,
				   .after_bytes = 10 };
	struct plan_rule calls = { .triggers = TRIGGER_AFTER_CALLS,
				   .after_calls = 10 };
	struct trigger_input in = { .index = 10,
				    .since_ns = 9,
				    .bytes_before = 9 };

	(void)state;
	assert_false(trigger_holds(&plan, &ns, &in));
	assert_false(trigger_holds(&plan, &bytes, &in));
	assert_false(trigger_holds(&plan, &calls, &in));
	in = (struct trigger_input){ .index = 11,
				     .since_ns = 10,
				     .bytes_before = 10 };
	assert_true(trigger_holds(&plan, &ns, &in));
	assert_true(trigger_holds(&plan, &bytes, &in));
	assert_true(trigger_holds(&plan, &calls, &in));
}

/* Every set of triggers holds just when each of its members does. */
static void triggers_are_anded(void **state)
{
	struct plan_rule rule = { .nth_first = 5,
				  .nth_last = 9,
				  .nth_step = 2,
				  .p_ppm = 500000,
				  .times = 2,
				  .after_ns = 100,
				  .after_bytes = 100,
				  .after_calls = 6 };

	(void)state;
	for (uint64_t i = 0; i < 100000; i++) {
		struct rng rng = rng_open(8, 0, 0, i);
		uint32_t set = (uint32_t)rng_below(&rng, TRIGGER_ALL + 1);
		struct trigger_input in = {
			.index = 1 + rng_below(&rng, 10),
			.thread_index = rng_below(&rng, 10),
			.fired = rng_below(&rng, 4),
			.bytes_before = rng_below(&rng, 200),
			.since_ns = rng_below(&rng, 200),
		};
		bool want = true;

		for (unsigned bit = 0; bit < 7; bit++) {
			rule.triggers = set & (1u << bit);
			want = want && trigger_holds(&plan, &rule, &in);
		}
		rule.triggers = set;
		assert_int_equal(trigger_holds(&plan, &rule, &in), want);
	}
}

static void a_replay_fires_the_recorded_decisions_alone(void **state)
{
	static struct plan_decision decisions[600];
	struct plan_header header = { .replay = 1 };
	struct plan replay = { .header = &header, .decisions = decisions };
	/* Triggers that hold never, and always: neither counts. */
	struct plan_rule never = { .triggers = TRIGGER_P, .p_ppm = 0 };
	struct plan_rule always = { .triggers = 0 };
	uint32_t n = 0;

	(void)state;
	for (uint32_t rule = 0; rule < 6; rule += 2)
		for (uint64_t stream = 1; stream < 11; stream++)
			for (uint64_t i = 1; i <= 20; i++)
				decisions[n++] = (struct plan_decision){
					.rule = rule,
					.stream = stream << 60,
					.index = i * 3
				};
	assert_int_equal(n, 600);
	for (header.decisions_count = 600;; header.decisions_count = 0) {
		unsigned held = 0;

		for (uint64_t k = 0; k < 7 * 12 * 64; k++) {
			struct trigger_input in = {
				.rule = k / 64 / 12,
				.stream = (k / 64 % 12) << 60,
				.thread_index = k % 64,
				.index = 1000,
			};
			bool want = in.rule % 2 == 0 && in.rule < 6 &&
				    in.stream && k / 64 % 12 < 11 && k % 64 &&
				    k % 64 % 3 == 0 && k % 64 <= 60;

			want = want && header.decisions_count;
			assert_int_equal(trigger_holds(&replay, &never, &in),
					 want);
			assert_int_equal(trigger_holds(&replay, &always, &in),
					 want);
			held += want;
		}
		assert_int_equal(held, header.decisions_count);
		if (!header.decisions_count)
			break;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_rule_without_triggers_always_holds),
		TEST(nth_is_first_to_last_by_step),
		TEST(a_random_nth_is_one_index_of_a_process),
		TEST(a_random_nth_depends_on_seed_and_rule),
		TEST(p_is_a_share_and_its_ends_are_exact),
		TEST(p_is_drawn_for_each_thread_by_its_own_count),
		TEST(the_draws_of_p_say_nothing_about_the_faults_own),
		TEST(times_counts_what_fired),
		TEST(after_waits_for_time_bytes_or_calls),
		TEST(triggers_are_anded),
		TEST(a_replay_fires_the_recorded_decisions_alone),
	};

	return TESTS_RUN(tests);
}
