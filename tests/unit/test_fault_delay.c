/* delay: the samples are those that its argument describes. */
#include "core/fault.h"

#include <math.h>
#include <stdlib.h>

#include "test.h"

#define SAMPLES 200000
#define MS	1000000ull

static uint64_t samples[SAMPLES];

static int order(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void sample(uint64_t kind, uint64_t v1, uint64_t v2)
{
	struct fault_arg arg = { .v = { kind, v1, v2 } };

	for (uint64_t i = 0; i < SAMPLES; i++) {
		struct call call = { .id = CALL_recv };
		struct rng rng = rng_open(11, 3, 5, i);

		fault_table[FAULT_delay]->judge(&call, &arg, &rng);
		samples[i] = call.delay_ns;
	}
	qsort(samples, SAMPLES, sizeof(*samples), order);
}

static double quantile(double q)
{
	return (double)samples[(size_t)(q * SAMPLES)];
}

static void assert_near(double got, double want, double tolerance)
{
	if (fabs(got - want) > tolerance * want)
		fail_msg("%g instead of %g", got, want);
}

static void a_fixed_delay_is_just_that(void **state)
{
	(void)state;
	sample(DELAY_FIXED, 200 * MS, 0);
	assert_int_equal(samples[0], 200 * MS);
	assert_int_equal(samples[SAMPLES - 1], 200 * MS);
}

static void jitter_is_even_and_stays_within(void **state)
{
	(void)state;
	sample(DELAY_JITTER, 200 * MS, 50 * MS);
	assert_in_range(samples[0], 150 * MS, 151 * MS);
	assert_in_range(samples[SAMPLES - 1], 249 * MS, 250 * MS);
	assert_near(quantile(0.25), 175e6, 0.01);
	assert_near(quantile(0.50), 200e6, 0.01);
	assert_near(quantile(0.75), 225e6, 0.01);
	sample(DELAY_JITTER, 1, 1);
	assert_int_equal(samples[0], 0);
	assert_int_equal(samples[SAMPLES - 1], 2);
	assert_near(quantile(0.5), 1, 0);
	sample(DELAY_JITTER, 7, 0);
	assert_int_equal(samples[0], 7);
	assert_int_equal(samples[SAMPLES - 1], 7);
}

/* The median and the 99th percentile are hit, and what is between and beyond
 * lies on the log-normal curve through them. */
static void quantiles_are_hit(void **state)
{
	static const struct {
		uint64_t p50, p99;
	} table[] = {
		{ 20 * MS, 1000 * MS },	     { 1 * MS, 2 * MS },
		{ 100000, 1000 * MS },	     { 5 * MS, 5 * MS + 1000 },
		{ 1000 * MS, 3600000 * MS },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(table) / sizeof(*table); i++) {
		double p50 = (double)table[i].p50;
		double ratio = (double)table[i].p99 / p50;

		sample(DELAY_QUANTILES, table[i].p50, table[i].p99);
		assert_near(quantile(0.50), p50, 0.02 * log(ratio) + 0.001);
		assert_near(quantile(0.99), p50 * ratio,
			    0.02 * log(ratio) + 0.001);
		assert_near(quantile(0.90), p50 * pow(ratio, 0.55088), 0.05);
		assert_near(quantile(0.10), p50 * pow(ratio, -0.55088), 0.05);
		assert_near(quantile(0.01), p50 / ratio, 0.1);
		assert_true((double)samples[SAMPLES - 1] <=
			    p50 * pow(ratio, 1.6));
	}
}

static void equal_quantiles_are_a_fixed_delay(void **state)
{
	(void)state;
	sample(DELAY_QUANTILES, 123456789, 123456789);
	assert_int_equal(samples[0], 123456789);
	assert_int_equal(samples[SAMPLES - 1], 123456789);
	sample(DELAY_QUANTILES, 0, 0);
	assert_int_equal(samples[SAMPLES - 1], 0);
}

static void no_delay_is_beyond_the_longest(void **state)
{
	(void)state;
	sample(DELAY_QUANTILES, 1, FAULT_DELAY_MAX_NS);
	assert_true(samples[SAMPLES - 1] == FAULT_DELAY_MAX_NS);
	sample(DELAY_QUANTILES, 0, FAULT_DELAY_MAX_NS);
	assert_true(samples[SAMPLES - 1] <= FAULT_DELAY_MAX_NS);
	sample(DELAY_JITTER, FAULT_DELAY_MAX_NS, FAULT_DELAY_MAX_NS);
	assert_true(samples[SAMPLES - 1] <= 2 * FAULT_DELAY_MAX_NS);
}

static void two_rules_delays_add_up(void **state)
{
	struct fault_arg arg = { .v = { DELAY_FIXED, 5, 0 } };
	struct call call = { .id = CALL_recv };
	struct rng rng = { .key = 0 };

	(void)state;
	fault_table[FAULT_delay]->judge(&call, &arg, &rng);
	fault_table[FAULT_delay]->judge(&call, &arg, &rng);
	assert_int_equal(call.delay_ns, 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_fixed_delay_is_just_that),
		TEST(jitter_is_even_and_stays_within),
		TEST(quantiles_are_hit),
		TEST(equal_quantiles_are_a_fixed_delay),
		TEST(no_delay_is_beyond_the_longest),
		TEST(two_rules_delays_add_up),
	};

	return TESTS_RUN(tests);
}
