/* The books: every event and every slot ends up in the evidence, once. */
#include "tests/unit/test.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runner/clock.h"
#include "runner/collect.h"

static struct tree tree;
static struct state *shared;
static struct collect collect;

static int set_up(void **state)
{
	(void)state;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(shared, MAP_FAILED);
	assert_int_equal(tree_open(&tree), 0);
	return collect_open(shared, &tree, &collect);
}

static int tear_down(void **state)
{
	(void)state;
	tree_close(&tree);
	return munmap(shared, sizeof(*shared));
}

static void push(uint32_t index)
{
	struct event event = { .index = index, .time_ns = clock_now_ns() };

	ring_push(&shared->ring, &event);
}

static void every_event_arrives_in_order(void **state)
{
	struct evidence evidence = { 0 };
	const uint32_t count = 100000;

	(void)state;
	for (uint32_t i = 0; i < count; i++)
		push(i);
	collect_close(&collect, &evidence);
	assert_int_equal(evidence.events_count, count);
	assert_int_equal(evidence.events_lost, 0);
	for (uint32_t i = 0; i < count; i++)
		assert_int_equal(evidence.events[i].index, i);
	free(evidence.events);
}

static void what_overran_the_ring_is_counted_as_lost(void **state)
{
	struct evidence evidence = { 0 };
	const uint64_t count = 3 * SHARED_EVENTS;

	(void)state;
	for (uint64_t i = 0; i < count; i++)
		push((uint32_t)i);
	collect_close(&collect, &evidence);
	assert_int_equal(evidence.events_count + evidence.events_lost, count);
	free(evidence.events);
}

/* What a writer leaves that is killed between its two steps. */
static void leave_hole(void)
{
	atomic_fetch_add(&shared->ring.head, 1);
}

static uint64_t unread(void)
{
	return atomic_load(&shared->ring.head) -
	       atomic_load(&shared->ring.tail);
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

static void a_killed_writer_holds_the_others_up_for_a_second(void **state)
{
	struct evidence evidence = { 0 };
	uint64_t took_ns;

	(void)state;
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
	free(evidence.events);
}

static void a_hole_at_the_end_is_given_up_when_the_run_ends(void **state)
{
	struct evidence evidence = { 0 };

	(void)state;
	push(1);
	leave_hole();
	collect_close(&collect, &evidence);
	assert_int_equal(evidence.events_count, 1);
	assert_int_equal(evidence.events_lost, 1);
	free(evidence.events);
}

static void slot_fill_at(size_t i, uint32_t status, int32_t pid,
			 uint64_t born_ns)
{
	struct process *process = &shared->processes[i];

	atomic_store(&process->pid, pid);
	atomic_store(&process->sites, SITES_PATCHED);
	atomic_store(&process->sites_patched, 7);
	atomic_store(&process->calls[CALL_write], 10);
	atomic_store(&process->fired[0], 2);
	process->born_ns = born_ns;
	strcpy(process->exe, "sort");
	atomic_store(&process->status, status);
}

static void slot_fill(size_t i, uint32_t status, int32_t pid)
{
	slot_fill_at(i, status, pid, clock_now_ns());
}

static void slots_are_summed_and_named(void **state)
{
	struct evidence evidence = { 0 };

	(void)state;
	slot_fill(0, PROCESS_LIVE, 11);
	slot_fill(1, PROCESS_DONE, 12);
	slot_fill(2, PROCESS_CLAIMED, 13); /* it never got to be one */
	atomic_store(&shared->fired[0], 4);
	atomic_store(&shared->matched[0], 9);
	atomic_store(&shared->lapses, 5);
	atomic_store(&shared->unresolved, 6);
	atomic_store(&shared->late_missed, 3);
	atomic_store(&shared->processes_lost, 8);
	collect_close(&collect, &evidence);
	assert_int_equal(evidence.processes_count, 2);
	assert_int_equal(evidence.processes[0].pid, 11);
	assert_int_equal(evidence.processes[0].sites_patched, 7);
	assert_int_equal(evidence.processes[0].fired, 2);
	assert_string_equal(evidence.processes[0].exe, "sort");
	assert_int_equal(evidence.calls[CALL_write], 20);
	assert_int_equal(evidence.fired[0], 4);
	assert_int_equal(evidence.matched[0], 9);
	assert_int_equal(evidence.lapses, 5);
	assert_int_equal(evidence.unresolved, 6);
	assert_int_equal(evidence.late_missed, 3);
	assert_int_equal(evidence.processes_lost, 8);
	free(evidence.processes);
}

/* fired 3 by the counters; two events, and a hole or nothing for the third. */
static void two_of_three(uint32_t deciding, bool hole,
			 struct evidence *ret_evidence)
{
	slot_fill(0, PROCESS_LIVE, 31);
	atomic_store(&shared->processes[0].deciding, deciding);
	atomic_store(&shared->fired[0], 3);
	push(1);
	if (hole)
		leave_hole();
	push(2);
	collect_close(&collect, ret_evidence);
	free(ret_evidence->events);
	free(ret_evidence->processes);
}

static void a_death_between_decision_and_event_undoes_the_fault(void **state)
{
	struct evidence evidence = { 0 };

	(void)state;
	two_of_three(1, false, &evidence);
	assert_int_equal(evidence.fired[0], 2);
	assert_int_equal(evidence.events_lost, 0);
}

static void and_so_it_does_within_the_event(void **state)
{
	struct evidence evidence = { 0 };

	(void)state;
	two_of_three(1, true, &evidence);
	assert_int_equal(evidence.fired[0], 2);
	assert_int_equal(evidence.events_lost, 0);
}

static void where_nobody_died_an_event_is_missed(void **state)
{
	struct evidence evidence = { 0 };

	(void)state;
	two_of_three(0, true, &evidence);
	assert_int_equal(evidence.fired[0], 3);
	assert_int_equal(evidence.events_lost, 1);
}

static void an_exec_that_never_checked_in_is_lost(void **state)
{
	struct evidence evidence = { 0 };

	(void)state;
	slot_fill(0, PROCESS_EXECING, 21);
	slot_fill(1, PROCESS_LIVE, 22);
	collect_close(&collect, &evidence);
	assert_int_equal(evidence.processes[0].status, PROCESS_LOST);
	assert_int_equal(evidence.processes[1].status, PROCESS_DONE);
	free(evidence.processes);
}

/* A table that runs full is cleared of the dead, and nothing is forgotten. */
static void the_slots_of_the_dead_are_given_back(void **state)
{
	struct evidence evidence = { 0 };
	unsigned free_count = 0;

	(void)state;
	/* Nobody in our tree sees itself as such a pid. */
	for (size_t i = 0; i < SHARED_PROCESSES_MAX; i++)
		slot_fill_at(i, PROCESS_LIVE, 50000000 + (int32_t)i, 0);
	for (int n = 0; n < 500 && !free_count; n++) {
		clock_sleep_until(clock_now_ns() + 10 * NS_PER_MS);
		free_count = atomic_load(&shared->processes[0].status) ==
			     PROCESS_FREE;
	}
	assert_true(free_count);
	clock_sleep_until(clock_now_ns() + 100 * NS_PER_MS);
	assert_int_equal(atomic_load(&shared->processes[0].calls[CALL_write]),
			 0);
	slot_fill(0, PROCESS_LIVE, 99);
	collect_close(&collect, &evidence);
	assert_int_equal(evidence.processes_count, SHARED_PROCESSES_MAX + 1);
	assert_int_equal(evidence.calls[CALL_write],
			 10 * (SHARED_PROCESSES_MAX + 1));
	free(evidence.processes);
}

static void the_slots_of_the_living_are_not(void **state)
{
	struct evidence evidence = { 0 };

	(void)state;
	/* Whoever is there is left alone, seen below us or not. */
	for (size_t i = 0; i < SHARED_PROCESSES_MAX; i++)
		slot_fill(i, PROCESS_LIVE, getpid());
	clock_sleep_until(clock_now_ns() + 300 * NS_PER_MS);
	for (size_t i = 0; i < SHARED_PROCESSES_MAX; i++)
		assert_int_equal(atomic_load(&shared->processes[i].status),
				 PROCESS_LIVE);
	collect_close(&collect, &evidence);
	free(evidence.processes);
}

static void nor_those_that_nobody_has_looked_for_yet(void **state)
{
	struct evidence evidence = { 0 };

	(void)state;
	tree_pause(&tree, true);
	for (size_t i = 0; i < SHARED_PROCESSES_MAX; i++)
		slot_fill(i, PROCESS_LIVE, 50000000 + (int32_t)i);
	clock_sleep_until(clock_now_ns() + 100 * NS_PER_MS);
	for (size_t i = 0; i < SHARED_PROCESSES_MAX; i++)
		assert_int_equal(atomic_load(&shared->processes[i].status),
				 PROCESS_LIVE);
	tree_pause(&tree, false);
	collect_close(&collect, &evidence);
	free(evidence.processes);
}

int main(void)
{
#define BOOKS(sentence)                                                        \
	cmocka_unit_test_setup_teardown(sentence, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		BOOKS(every_event_arrives_in_order),
		BOOKS(what_overran_the_ring_is_counted_as_lost),
		BOOKS(a_killed_writer_holds_the_others_up_for_a_second),
		BOOKS(a_hole_at_the_end_is_given_up_when_the_run_ends),
		BOOKS(slots_are_summed_and_named),
		BOOKS(a_death_between_decision_and_event_undoes_the_fault),
		BOOKS(and_so_it_does_within_the_event),
		BOOKS(where_nobody_died_an_event_is_missed),
		BOOKS(an_exec_that_never_checked_in_is_lost),
		BOOKS(the_slots_of_the_dead_are_given_back),
		BOOKS(the_slots_of_the_living_are_not),
		BOOKS(nor_those_that_nobody_has_looked_for_yet),
	};

	return TESTS_RUN(tests);
}
