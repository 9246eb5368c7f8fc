/* Clocks that tell another time: what they tell, and when they reach one. */
#include "core/warp.h"

#include <time.h>

#include "test.h"

#define S 1000000000ll

static void a_shifted_clock_is_off_by_as_much_at_any_time(void **state)
{
	const struct warp ahead = { WARP_SHIFT, 3600 * S, 0 };
	const struct warp behind = { WARP_SHIFT, -10 * S, 0 };

	(void)state;
	assert_int_equal(warp_tell(&ahead, 100 * S), 3700 * S);
	assert_int_equal(warp_reach(&ahead, 3700 * S), 100 * S);
	assert_int_equal(warp_tell(&behind, 100 * S), 90 * S);
	assert_int_equal(warp_tell(&behind, 5 * S), 0); /* no time before it */
}

static void a_fast_clock_tells_more_than_has_passed(void **state)
{
	const struct warp fast = { WARP_DRIFT, 100000, 50 * S }; /* 10 % */

	(void)state;
	assert_int_equal(warp_tell(&fast, 50 * S), 50 * S);
	assert_int_equal(warp_tell(&fast, 40 * S), 40 * S);
	assert_int_equal(warp_tell(&fast, 60 * S), 61 * S);
	assert_int_equal(warp_reach(&fast, 61 * S), 60 * S);
	assert_int_equal(warp_reach(&fast, 45 * S), 45 * S);
}

static void a_slow_clock_never_goes_back(void **state)
{
	const struct warp slow = { WARP_DRIFT, -999999, S };
	int64_t last = 0;

	(void)state;
	for (int64_t t = 0; t < 4 * S; t += 12345678) {
		assert_true(warp_tell(&slow, t) >= last);
		last = warp_tell(&slow, t);
	}
	assert_int_equal(warp_tell(&slow, 3 * S), S + 2000);
}

static void a_frozen_clock_tells_its_last_time_for_good(void **state)
{
	const struct warp frozen = { WARP_FREEZE, 0, 7 * S };

	(void)state;
	assert_int_equal(warp_tell(&frozen, 6 * S), 6 * S);
	assert_int_equal(warp_tell(&frozen, 9 * S), 7 * S);
	assert_int_equal(warp_reach(&frozen, 7 * S), 7 * S);
	assert_int_equal(warp_reach(&frozen, 7 * S + 1), WARP_NEVER);
}

/* A wait that ended before the clock tells its time would be made again. */
static void a_time_is_told_when_it_is_reached(void **state)
{
	static const int64_t drifts[] = { -999999, -500000, -1,
					  1,	   333333,  9000000 };

	(void)state;
	for (size_t i = 0; i < sizeof(drifts) / sizeof(*drifts); i++) {
		const struct warp warp = { WARP_DRIFT, drifts[i], 17 };

		for (int64_t told = 0; told < 1000; told += 7) {
			int64_t due = warp_reach(&warp, told);

			assert_true(warp_tell(&warp, due) >= told);
			if (told > 17 && drifts[i] > 0)
				assert_true(warp_tell(&warp, due - 2) < told);
		}
	}
}

static void the_farthest_shifts_and_longest_drifts_do_not_overflow(void **state)
{
	const int64_t today = 1800000000 * S;
	const struct warp far = { WARP_SHIFT, WARP_SHIFT_MAX_NS, 0 };
	const struct warp fast = { WARP_DRIFT, WARP_DRIFT_MAX_PPM, today };

	(void)state;
	assert_int_equal(warp_tell(&far, today), today + WARP_SHIFT_MAX_NS);
	assert_int_equal(warp_tell(&fast, today + 366 * 86400 * S),
			 today + 3660 * 86400 * S);
}

static void only_the_clocks_of_a_set_are_in_it(void **state)
{
	(void)state;
	assert_true(clock_is_of(CLOCK_TAI, CLOCKS_REALTIME));
	assert_true(clock_is_of(CLOCK_REALTIME_COARSE, CLOCKS_ALL));
	assert_false(clock_is_of(CLOCK_REALTIME, CLOCKS_MONOTONIC));
	assert_true(clock_is_of(CLOCK_BOOTTIME, CLOCKS_MONOTONIC));
	assert_false(clock_is_of(CLOCK_MONOTONIC, CLOCKS_REALTIME));
	assert_false(clock_is_of(CLOCK_THREAD_CPUTIME_ID, CLOCKS_ALL));
	assert_true(clock_is_of(CLOCK_THREAD_CPUTIME_ID, CLOCKS_ANY));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_shifted_clock_is_off_by_as_much_at_any_time),
		TEST(a_fast_clock_tells_more_than_has_passed),
		TEST(a_slow_clock_never_goes_back),
		TEST(a_frozen_clock_tells_its_last_time_for_good),
		TEST(a_time_is_told_when_it_is_reached),
		TEST(the_farthest_shifts_and_longest_drifts_do_not_overflow),
		TEST(only_the_clocks_of_a_set_are_in_it),
	};

	return TESTS_RUN(tests);
}
