/* The lease, with an owner that is really killed; and the shared file. */
#include "core/shared.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "test.h"

static struct state *shared;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* A state as a runner makes it, the lease not yet taken. */
static int state_map(void **state)
{
	pthread_mutexattr_t attr;

	(void)state;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return -1;
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&shared->lease, &attr);
	atomic_store(&shared->heartbeat_ns, now_ns());
	return 0;
}

static int state_unmap(void **state)
{
	(void)state;
	return munmap(shared, sizeof(*shared));
}

static void a_lease_that_nobody_took_does_not_hold(void **state)
{
	(void)state;
	assert_false(lease_holds(shared, now_ns()));
	memset(&shared->lease, 0, sizeof(shared->lease));
	assert_false(lease_holds(shared, now_ns()));
}

static void a_lease_holds_while_its_owner_does(void **state)
{
	(void)state;
	assert_int_equal(pthread_mutex_lock(&shared->lease), 0);
	assert_true(lease_holds(shared, now_ns()));
	assert_int_equal(pthread_mutex_unlock(&shared->lease), 0);
	assert_false(lease_holds(shared, now_ns()));
}

static void a_killed_owner_ends_it_within_milliseconds(void **state)
{
	uint64_t killed_ns, ended_ns;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		pthread_mutex_lock(&shared->lease);
		for (;;)
			pause();
	}
	while (!lease_holds(shared, now_ns()))
		atomic_store(&shared->heartbeat_ns, now_ns());
	kill(pid, SIGKILL);
	killed_ns = now_ns();
	do {
		ended_ns = now_ns();
		atomic_store(&shared->heartbeat_ns, ended_ns);
	} while (lease_holds(shared, ended_ns) &&
		 ended_ns - killed_ns < 5000000000u);
	assert_false(lease_holds(shared, ended_ns));
	print_message("# ended %lu us after the kill\n",
		      (ended_ns - killed_ns) / 1000);
	assert_true(ended_ns - killed_ns < 1000000000u);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void a_word_without_a_living_owner_holds_nothing(void **state)
{
	(void)state;
	shared->lease.__data.__lock = (int)FUTEX_WAITERS;
	assert_false(lease_holds(shared, now_ns()));
	shared->lease.__data.__lock = (int)(FUTEX_WAITERS | 1);
	assert_true(lease_holds(shared, now_ns()));
	shared->lease.__data.__lock = (int)(FUTEX_OWNER_DIED | 1);
	assert_false(lease_holds(shared, now_ns()));
}

static void an_owner_that_exits_ends_it_too(void **state)
{
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		pthread_mutex_lock(&shared->lease);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_true(shared->lease.__data.__lock != 0);
	assert_false(lease_holds(shared, now_ns()));
}

static void *lock_and_wait(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&shared->lease);
	pthread_mutex_unlock(&shared->lease);
	return NULL;
}

static void somebody_who_waits_for_it_changes_nothing(void **state)
{
	pthread_t thread;

	(void)state;
	pthread_mutex_lock(&shared->lease);
	pthread_create(&thread, NULL, lock_and_wait, NULL);
	while (!((unsigned)__atomic_load_n(&shared->lease.__data.__lock,
					   __ATOMIC_RELAXED) >>
		 31)) /* FUTEX_WAITERS */
		usleep(1000);
	assert_true(lease_holds(shared, now_ns()));
	pthread_mutex_unlock(&shared->lease);
	pthread_join(thread, NULL);
}

static void halt_ends_it_for_good(void **state)
{
	(void)state;
	pthread_mutex_lock(&shared->lease);
	atomic_store(&shared->halted, 1);
	assert_false(lease_holds(shared, now_ns()));
	pthread_mutex_unlock(&shared->lease);
}

static void a_runner_whose_heart_stopped_has_lost_it(void **state)
{
	const uint64_t beat_ns = 5000000000u;

	(void)state;
	pthread_mutex_lock(&shared->lease);
	atomic_store(&shared->heartbeat_ns, beat_ns);
	assert_true(lease_holds(shared, beat_ns));
	assert_true(lease_holds(shared, beat_ns + SHARED_LAPSE_NS));
	assert_false(lease_holds(shared, beat_ns + SHARED_LAPSE_NS + 1));
	assert_false(lease_holds(shared, UINT64_MAX));
	/* A beat that came after the caller looked at its clock. */
	assert_true(lease_holds(shared, beat_ns - 1));
	assert_true(lease_holds(shared, 0));
	pthread_mutex_unlock(&shared->lease);
}

/* ---- the file ---- */

static struct shared_header sound_header(size_t *ret_bytes)
{
	struct shared_header h = {
		.magic = SHARED_MAGIC,
		.abi = shared_abi(),
		.plan_off = SHARED_PAGE,
		.plan_bytes = SHARED_PAGE,
		.state_off = 2ul * SHARED_PAGE,
		.state_bytes = sizeof(struct state),
		.sites_dir = "/tmp/sites",
		.library = "/tmp/libmishap.so",
	};

	*ret_bytes = h.state_off + h.state_bytes;
	return h;
}

static void a_whole_file_is_ours_and_a_cut_one_is_not(void **state)
{
	size_t bytes;
	struct shared_header h = sound_header(&bytes);

	(void)state;
	assert_int_equal(shared_check(&h, bytes), 0);
	assert_int_equal(shared_check(&h, bytes + 1), 0);
	assert_int_equal(shared_check(&h, bytes - 1), -EBADMSG);
	assert_int_equal(shared_check(&h, sizeof(h) - 1), -EBADMSG);
	assert_int_equal(shared_check(&h, 0), -EBADMSG);
}

#define CHECKED(change, want)                                                  \
	do {                                                                   \
		size_t bytes;                                                  \
		struct shared_header h = sound_header(&bytes);                 \
                                                                               \
		change;                                                        \
		if (shared_check(&h, bytes) != (want))                         \
			fail_msg("%s", #change);                               \
	} while (0)

static void a_bent_header_is_refused(void **state)
{
	(void)state;
	CHECKED(h.magic++, -EPROTO);
	CHECKED(h.abi++, -EPROTO);
	CHECKED(h.plan_off = 0, -EBADMSG);
	CHECKED(h.plan_off++, -EBADMSG);
	CHECKED(h.plan_off = UINT64_MAX & ~4095ull, -EBADMSG);
	CHECKED(h.plan_off = h.state_off, -EBADMSG);
	CHECKED(h.plan_bytes = SHARED_PAGE + 1, -EBADMSG);
	CHECKED(h.plan_bytes = UINT64_MAX, -EBADMSG);
	CHECKED(h.plan_bytes = 8, -EBADMSG);
	CHECKED(h.state_off = 0, -EBADMSG);
	CHECKED(h.state_off -= 8, -EBADMSG);
	CHECKED(h.state_off += SHARED_PAGE, -EBADMSG);
	CHECKED(h.state_bytes--, -EBADMSG);
	CHECKED(h.state_bytes = UINT64_MAX, -EBADMSG);
	CHECKED(memset(h.sites_dir, 'x', sizeof(h.sites_dir)), -EBADMSG);
	CHECKED(memset(h.library, 'x', sizeof(h.library)), -EBADMSG);
}

#define SHARED(sentence)                                                       \
	cmocka_unit_test_setup_teardown(sentence, state_map, state_unmap)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SHARED(a_lease_that_nobody_took_does_not_hold),
		SHARED(a_lease_holds_while_its_owner_does),
		SHARED(a_killed_owner_ends_it_within_milliseconds),
		SHARED(a_word_without_a_living_owner_holds_nothing),
		SHARED(an_owner_that_exits_ends_it_too),
		SHARED(somebody_who_waits_for_it_changes_nothing),
		SHARED(halt_ends_it_for_good),
		SHARED(a_runner_whose_heart_stopped_has_lost_it),
		TEST(a_whole_file_is_ours_and_a_cut_one_is_not),
		TEST(a_bent_header_is_refused),
	};

	return TESTS_RUN(tests);
}
