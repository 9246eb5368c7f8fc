/* The reader's side of the books, with events that are written by hand. */
#include "runner/collect.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "runner/clock.h"
#include "tests/unit/test.h"

static struct state *state;
static struct tree tree;
static struct collect collect;

static int begin(void **unused)
{
	(void)unused;
	state = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return state == MAP_FAILED || collect_open(state, &tree, &collect);
}

static int end(void **unused)
{
	(void)unused;
	free(collect.events);
	free(collect.processes);
	return munmap(state, sizeof(*state));
}

static void push(uint32_t n)
{
	struct event event = { .index = n };

	ring_push(&state->ring, &event);
}

/* What a writer leaves that is killed between its two steps. */
static void leave_hole(void)
{
	atomic_fetch_add(&state->ring.head, 1);
}

static uint64_t unread(void)
{
	return atomic_load(&state->ring.head) - atomic_load(&state->ring.tail);
}

/* Until all is read, or the time is over; returns how long it took. */
static uint64_t wait_read(uint64_t most_ns)
{
	uint64_t start_ns = clock_now_ns(), now_ns = start_ns;

	while (unread() && now_ns - start_ns < most_ns) {
		clock_sleep_until(now_ns + NS_PER_MS);
		now_ns = clock_now_ns();
	}
	return now_ns - start_ns;
}

static void events_are_read_while_they_come(void **unused)
{
	struct evidence evidence = { 0 };

	(void)unused;
	for (uint32_t n = 0; n < 1000; n++)
		push(n);
	wait_read(10 * NS_PER_S);
	assert_int_equal(unread(), 0);
	collect_close(&collect, &evidence);
	assert_int_equal(evidence.events_count, 1000);
	assert_int_equal(evidence.events[999].index, 999);
	assert_int_equal(evidence.events_lost, 0);
}

static void a_killed_writer_holds_the_others_up_for_a_second(void **unused)
{
	struct evidence evidence = { 0 };
	uint64_t took_ns;

	(void)unused;
	push(1);
	leave_hole();
	push(2);
	push(3);
	took_ns = wait_read(20 * NS_PER_S);
	assert_int_equal(unread(), 0);
	assert_true(took_ns > NS_PER_S * 9 / 10);
	push(4); /* and everything is as before */
	assert_true(wait_read(20 * NS_PER_S) < took_ns);
	collect_close(&collect, &evidence);
	assert_int_equal(evidence.events_count, 4);
	for (uint32_t n = 0; n < 4; n++)
		assert_int_equal(evidence.events[n].index, n + 1);
	assert_int_equal(evidence.events_lost, 1);
}

static void a_hole_at_the_end_is_given_up_when_the_run_ends(void **unused)
{
	struct evidence evidence = { 0 };

	(void)unused;
	push(1);
	leave_hole();
	collect_close(&collect, &evidence);
	assert_int_equal(evidence.events_count, 1);
	assert_int_equal(evidence.events_lost, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(events_are_read_while_they_come,
						begin, end),
		cmocka_unit_test_setup_teardown(
			a_killed_writer_holds_the_others_up_for_a_second, begin,
			end),
		cmocka_unit_test_setup_teardown(
			a_hole_at_the_end_is_given_up_when_the_run_ends, begin,
			end),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
