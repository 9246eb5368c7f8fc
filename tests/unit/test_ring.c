/* The event ring at its full size: order, laps, threads. */
#include "core/shared.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

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

/* An event whose every word follows from two numbers. */
static struct event event_of(uint64_t writer, uint64_t n)
{
	struct event event = { .stream = writer, .time_ns = n };

	event.value = (int64_t)rng_join(writer, n);
	event.pid = (uint32_t)event.value;
	event.index = (uint32_t)n;
	event.thread_index = (uint32_t)~n;
	event.stack = (uint32_t)(event.value >> 7);
	event.fd = (int32_t)(event.value >> 13);
	event.error = (int16_t)(event.value >> 17);
	event.call = (uint16_t)(event.value >> 19);
	event.process = (uint16_t)writer;
	return event;
}

static bool is_whole(const struct event *event)
{
	struct event want = event_of(event->stream, event->time_ns);

	return event->value == want.value && event->pid == want.pid &&
	       event->index == want.index &&
	       event->thread_index == want.thread_index &&
	       event->stack == want.stack && event->fd == want.fd &&
	       event->error == want.error && event->call == want.call &&
	       event->process == want.process;
}

static void push(uint64_t writer, uint64_t n)
{
	struct event event = event_of(writer, n);

	ring_push(ring, &event);
}

static void what_is_pushed_is_popped_in_order(void **state)
{
	struct event event;
	uint64_t lost = 0;

	(void)state;
	assert_int_equal(ring_pop(ring, false, &event, &lost), 0);
	for (uint64_t n = 0; n < 1000; n++)
		push(1, n);
	for (uint64_t n = 0; n < 1000; n++) {
		assert_int_equal(ring_pop(ring, false, &event, &lost), 1);
		assert_true(is_whole(&event));
		assert_int_equal(event.time_ns, n);
		assert_int_equal(event.seq, n + 1);
	}
	assert_int_equal(ring_pop(ring, true, &event, &lost), 0);
	assert_int_equal(lost, 0);
}

static void a_lap_loses_the_oldest_and_counts_them(void **state)
{
	struct event event;
	uint64_t lost = 0, popped = 0;

	(void)state;
	for (uint64_t n = 0; n < SHARED_EVENTS; n++)
		push(1, n);
	assert_int_equal(ring_pop(ring, false, &event, &lost), 1);
	assert_int_equal(event.time_ns, 0);
	for (uint64_t n = 0; n < 3ull * SHARED_EVENTS + 100; n++)
		push(2, n);
	for (; ring_pop(ring, false, &event, &lost); popped++)
		assert_int_equal(event.time_ns,
				 2ull * SHARED_EVENTS + 100 + popped);
	assert_int_equal(popped, SHARED_EVENTS);
	assert_int_equal(lost, 3ull * SHARED_EVENTS + 99);
}

#define WRITERS 6
#define EACH	150000

static void *write_each(void *arg)
{
	for (uint64_t n = 1; n <= EACH; n++)
		push((uint64_t)(uintptr_t)arg, n);
	return NULL;
}

/* Reads along, stops now and then so that it is lapped, and checks all. */
static void threads_lose_nothing_that_is_not_counted(void **state)
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
	assert_true(popped >= SHARED_EVENTS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			what_is_pushed_is_popped_in_order, ring_map,
			ring_unmap),
		cmocka_unit_test_setup_teardown(
			a_lap_loses_the_oldest_and_counts_them, ring_map,
			ring_unmap),
		cmocka_unit_test_setup_teardown(
			threads_lose_nothing_that_is_not_counted, ring_map,
			ring_unmap),
	};

	return TESTS_RUN(tests);
}
