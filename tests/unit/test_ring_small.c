/* The event ring with eight slots: writers lap one another all the time, and
 * are killed while they write. */
#define SHARED_EVENTS 8
#include "core/ring.c"

#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test.h"

static struct ring *ring;

static int ring_map(void **state)
{
	(void)state;
	ring = mmap(NULL, sizeof(*ring), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return ring == MAP_FAILED ? -1 : 0;
}

static int ring_unmap(void **state)
{
	(void)state;
	return munmap(ring, sizeof(*ring));
}

static void push(uint64_t writer, uint64_t n)
{
	struct event event = { .stream = writer,
			       .time_ns = n,
			       .value = (int64_t)rng_join(writer, n),
			       .pid = (uint32_t)~n,
			       .process = (uint16_t)(writer ^ n) };

	ring_push(ring, &event);
}

static bool is_whole(const struct event *e)
{
	return e->value == (int64_t)rng_join(e->stream, e->time_ns) &&
	       e->pid == (uint32_t)~e->time_ns &&
	       e->process == (uint16_t)(e->stream ^ e->time_ns);
}

static int pop(bool final, uint64_t *ret_lost)
{
	struct event event;
	int got = ring_pop(ring, final, &event, ret_lost);

	if (got)
		assert_true(is_whole(&event));
	return got ? (int)event.time_ns : -1;
}

static void a_hole_is_waited_for_and_given_up_in_the_end(void **state)
{
	uint64_t lost = 0;

	(void)state;
	push(1, 10);
	atomic_fetch_add(&ring->head, 1); /* killed before its claim */
	push(1, 12);
	assert_int_equal(pop(false, &lost), 10);
	assert_int_equal(pop(false, &lost), -1);
	assert_int_equal(pop(false, &lost), -1);
	assert_int_equal(lost, 0);
	assert_int_equal(pop(true, &lost), 12);
	assert_int_equal(lost, 1);
	assert_int_equal(pop(true, &lost), -1);
	assert_int_equal(lost, 1);
}

static void a_torn_event_is_never_handed_out(void **state)
{
	uint64_t lost = 0;

	(void)state;
	atomic_fetch_add(&ring->head, 1);
	assert_true(slot_claim(&ring->events[0], 1)); /* killed in its write */
	ring->events[0].value = 77;
	push(1, 11);
	assert_int_equal(pop(false, &lost), -1);
	assert_int_equal(lost, 0);
	assert_int_equal(pop(true, &lost), 11);
	assert_int_equal(lost, 1);
}

/* A slot whose writer died costs one event a lap, at once and counted. */
static void a_dead_writers_slot_is_passed_over(void **state)
{
	uint64_t lost = 0;

	(void)state;
	atomic_fetch_add(&ring->head, 1);
	assert_true(slot_claim(&ring->events[0], 1));
	assert_int_equal(pop(true, &lost), -1);
	assert_int_equal(lost, 1);
	for (int lap = 1; lap < 4; lap++) {
		for (int i = 1; i <= SHARED_EVENTS; i++) {
			push(1, (uint64_t)(lap * 100 + i));
			if (i == SHARED_EVENTS) /* position 8, 16 ...: slot 0 */
				assert_int_equal(pop(false, &lost), -1);
			else
				assert_int_equal(pop(false, &lost),
						 lap * 100 + i);
		}
		assert_int_equal(lost, 1 + lap);
	}
}

static void a_slow_writer_hands_its_slot_back(void **state)
{
	uint64_t lost = 0;

	(void)state;
	atomic_fetch_add(&ring->head, 1);
	assert_true(slot_claim(&ring->events[0], 1));
	for (int i = 1; i <= SHARED_EVENTS; i++)
		push(1, (uint64_t)i); /* the last finds slot 0 taken */
	assert_int_equal(atomic_load(&ring->events[0].seq), WRITING | LOST | 9);
	slot_publish(&ring->events[0], 1);
	assert_int_equal(atomic_load(&ring->events[0].seq), LOST | 9);
	for (int i = 1; i < SHARED_EVENTS; i++)
		assert_int_equal(pop(false, &lost), i);
	assert_int_equal(pop(false, &lost), -1);
	assert_int_equal(lost, 2); /* the slow one's own, and the last */
	for (int i = 1; i <= SHARED_EVENTS; i++) {
		push(1, (uint64_t)i);
		assert_int_equal(pop(false, &lost), i);
	}
	assert_int_equal(lost, 2);
}

static void who_is_overtaken_writes_nothing(void **state)
{
	(void)state;
	for (int i = 0; i < 2 * SHARED_EVENTS; i++)
		push(1, (uint64_t)i);
	assert_false(slot_claim(&ring->events[0], 1));
	assert_false(slot_claim(&ring->events[0], 9));
	assert_int_equal(atomic_load(&ring->events[0].seq), 9);
}

#define WRITERS 4
#define EACH	400000

static void *write_each(void *arg)
{
	for (uint64_t n = 1; n <= EACH; n++)
		push((uint64_t)(uintptr_t)arg, n);
	return NULL;
}

static void threads_that_lap_one_another_never_mix(void **state)
{
	pthread_t threads[WRITERS];
	uint64_t last[WRITERS + 1] = { 0 }, lost = 0, popped = 0;
	struct event event;
	bool final = false;

	(void)state;
	for (uintptr_t i = 0; i < WRITERS; i++)
		pthread_create(&threads[i], NULL, write_each, (void *)(i + 1));
	for (;;) {
		while (ring_pop(ring, final, &event, &lost)) {
			popped++;
			assert_true(is_whole(&event));
			assert_in_range(event.stream, 1, WRITERS);
			assert_true(event.time_ns > last[event.stream]);
			last[event.stream] = event.time_ns;
		}
		if (final)
			break;
		if (atomic_load(&ring->head) == (uint64_t)WRITERS * EACH) {
			for (int i = 0; i < WRITERS; i++)
				pthread_join(threads[i], NULL);
			final = true;
		}
	}
	assert_int_equal(popped + lost, (uint64_t)WRITERS * EACH);
	assert_true(popped > 0);
	/* Nobody died: every slot was handed back. */
	for (int i = 0; i < SHARED_EVENTS; i++)
		assert_false(atomic_load(&ring->events[i].seq) & WRITING);
}

static pid_t writer_start(uint64_t writer)
{
	pid_t pid = fork();

	if (pid == 0)
		for (uint64_t n = 1;; n++)
			push(writer, n);
	assert_true(pid > 0);
	return pid;
}

/* Writers in processes, killed wherever they happen to be; the next two find
 * what they left, then the ring is new. */
static void killed_writers_leave_counted_losses_and_no_torn_event(void **state)
{
	uint64_t all = 0, dead_slots = 0, begun = 0;

	for (uint64_t round = 0; round < 200; round++) {
		struct rng rng = rng_open(5, 0, 0, round);
		struct timespec nap = { .tv_nsec =
						(long)rng_below(&rng, 400000) };
		pid_t pids[2] = { writer_start(1), writer_start(2) };
		uint64_t lost = 0, popped = 0;

		nanosleep(&nap, NULL);
		for (int i = 0; i < 1000; i++)
			popped += pop(false, &lost) >= 0;
		for (int i = 0; i < 2; i++)
			kill(pids[i], SIGKILL);
		for (int i = 0; i < 2; i++)
			waitpid(pids[i], NULL, 0);
		while (pop(true, &lost) >= 0)
			popped++;
		all += popped;
		assert_int_equal(popped + lost,
				 atomic_load(&ring->head) - begun);
		begun = atomic_load(&ring->head);
		if (round % 2 == 0) /* the next two go on here */
			continue;
		for (int i = 0; i < SHARED_EVENTS; i++)
			dead_slots += atomic_load(&ring->events[i].seq) >> 63;
		ring_unmap(state);
		ring_map(state);
		begun = 0;
	}
	print_message("# %lu popped, %lu slots of dead writers\n", all,
		      dead_slots);
	assert_true(all > 1000);
	assert_true(dead_slots > 0);
}

#define RINGED(sentence)                                                       \
	cmocka_unit_test_setup_teardown(sentence, ring_map, ring_unmap)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RINGED(a_hole_is_waited_for_and_given_up_in_the_end),
		RINGED(a_torn_event_is_never_handed_out),
		RINGED(a_dead_writers_slot_is_passed_over),
		RINGED(a_slow_writer_hands_its_slot_back),
		RINGED(who_is_overtaken_writes_nothing),
		RINGED(threads_that_lap_one_another_never_mix),
		RINGED(killed_writers_leave_counted_losses_and_no_torn_event),
	};

	return TESTS_RUN(tests);
}
