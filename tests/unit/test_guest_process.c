/* test_guest_process.c - time, signals, threads, children, exec. */
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>

#include "tests/unit/guest_site.h"

#define MS 1000000ull

static void a_delay_is_as_long_as_it_says(void **state)
{
	int fd = file_make("a");
	uint64_t start_ns, took_ns;

	(void)state;
	PLAN("write delay=30000000");
	start_ns = guest_now_ns();
	assert_int_equal(site_call(SYS_write, fd, "a", 1), 1);
	took_ns = guest_now_ns() - start_ns;
	assert_true(took_ns >= 30 * MS);
	assert_true(took_ns < 1000 * MS);
	close(fd);
}

static void nothing(int signal)
{
	(void)signal;
}

/* SIGALRM every 5 ms, handled with these flags. */
static void alarms(int flags)
{
	struct sigaction action = { .sa_handler = nothing, .sa_flags = flags };
	struct itimerspec each = { { 0, 5000000 }, { 0, 5000000 } };
	static timer_t timer;
	static bool has_timer;

	sigaction(SIGALRM, &action, NULL);
	if (!has_timer)
		timer_create(CLOCK_MONOTONIC, NULL, &timer);
	has_timer = true;
	if (flags < 0) {
		each = (struct itimerspec){ 0 };
		signal(SIGALRM, SIG_IGN);
	}
	timer_settime(timer, 0, &each, NULL);
}

static void a_handler_interrupts_a_delay_as_it_would_the_call(void **state)
{
	int fds[2];
	char c;
	uint64_t start_ns = guest_now_ns();

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "abc", 3), 3);
	PLAN("read delay=5000000000");
	alarms(0);
	assert_int_equal(site_call(SYS_read, fds[0], &c, 1), -EINTR);
	assert_true(guest_now_ns() - start_ns < 4000 * MS);
	PLAN("read delay=60000000");
	alarms(SA_RESTART); /* the call would go on, and so does the delay */
	start_ns = guest_now_ns();
	assert_int_equal(site_call(SYS_read, fds[0], &c, 1), 1);
	assert_true(guest_now_ns() - start_ns >= 60 * MS);
	alarms(-1);
	close(fds[0]);
	close(fds[1]);
}

static void a_wait_is_interrupted_whatever_the_handler_says(void **state)
{
	struct timespec ts = { .tv_nsec = 1000 };

	(void)state;
	PLAN("nanosleep delay=5000000000");
	alarms(SA_RESTART);
	assert_int_equal(site_call(SYS_nanosleep, &ts, 0), -EINTR);
	alarms(-1);
}

static void *let_go(void *arg)
{
	usleep(150000);
	if (arg)
		guest_state->phase = 1;
	else
		guest_state->lease.__data.__lock |= 0x40000000;
	return NULL;
}

static void a_hang_ends_with_its_phase_or_with_the_lease(void **state)
{
	int fd = file_make("a");
	pthread_t thread;

	(void)state;
	for (int by_phase = 0; by_phase < 2; by_phase++) {
		uint64_t start_ns = guest_now_ns(), took_ns;

		PLAN("write hang");
		pthread_create(&thread, NULL, let_go, by_phase ? &fd : NULL);
		assert_int_equal(site_call(SYS_write, fd, "a", 1), 1);
		took_ns = guest_now_ns() - start_ns;
		assert_true(took_ns >= 140 * MS && took_ns < 5000 * MS);
		pthread_join(thread, NULL);
	}
	close(fd);
}

static void an_event_is_there_before_the_kill(void **state)
{
	struct event event;
	int status;
	pid_t pid;

	(void)state;
	for (int i = 0; i < 2; i++) {
		PLAN(i ? "write kill=9 nth=1" : "write exit=7 nth=1");
		pid = fork();
		if (pid == 0) {
			site_call(SYS_write, file_make("a"), "a", 1);
			_exit(99);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (i == 0)
			assert_int_equal(WEXITSTATUS(status), 7);
		else
			assert_int_equal(WTERMSIG(status), 9);
		assert_true(next_event(&event));
		assert_int_equal(event.value, i ? 9 : 7);
		assert_int_equal(event.pid, pid);
	}
}

static void a_vfork_child_counts_nothing(void **state)
{
	int fd = file_make("a"), status;
	pid_t pid;

	(void)state;
	PLAN("write fail=EIO");
	pid = vfork();
	if (pid == 0)
		_exit(site_call(SYS_write, fd, "a", 1) == 1 ? 0 : 1);
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	assert_int_equal(guest_state->vfork_skipped, 1);
	assert_int_equal(guest_process->matched[0], 0);
	assert_int_equal(site_call(SYS_write, fd, "a", 1), -EIO);
	close(fd);
}

/* A process's slot outlives it. */
static const struct process *slot_of(int pid)
{
	for (int i = 0; i < SHARED_PROCESSES_MAX; i++) {
		if (guest_state->processes[i].pid == pid)
			return &guest_state->processes[i];
	}
	return NULL;
}

static pid_t child_that_writes_twice(bool by_clone)
{
	int fd = file_make("a"), status;
	pid_t pid = by_clone ? (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)
			     : fork();

	if (pid == 0) {
		long first = site_call(SYS_write, fd, "a", 1);

		sys3(SYS_exit_group,
		     first == 1 && site_call(SYS_write, fd, "a", 1) == -EIO ? 0
									    : 1,
		     0, 0);
	}
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	close(fd);
	return pid;
}

static void a_forked_child_counts_for_itself(void **state)
{
	const struct process *one, *two, *three;
	int fd = file_make("b");

	(void)state;
	PLAN("write fail=EIO nth=2");
	assert_int_equal(site_call(SYS_write, fd, "a", 1), 1);
	one = slot_of(child_that_writes_twice(false));
	two = slot_of(child_that_writes_twice(false));
	three = slot_of(child_that_writes_twice(true)); /* noticed late */
	assert_true(one && two && three);
	assert_true(one->path != two->path && one->path != guest_process->path);
	assert_true(three->path != two->path);
	assert_int_equal(one->matched[0], 2);
	assert_int_equal(one->fired[0], 1);
	assert_int_equal(three->fired[0], 1);
	assert_int_equal(guest_process->matched[0], 1);
	close(fd);
}

static void creation_paths_are_the_same_in_each_run(void **state)
{
	uint64_t paths[2][2], roots[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		PLAN("write fail=EIO nth=2");
		roots[i] = guest_process->path;
		paths[i][0] = slot_of(child_that_writes_twice(false))->path;
		paths[i][1] = slot_of(child_that_writes_twice(false))->path;
	}
	assert_int_equal(roots[0], roots[1]);
	assert_int_equal(paths[0][0], paths[1][0]);
	assert_int_equal(paths[0][1], paths[1][1]);
}

struct worker {
	uint64_t stream;
	uint32_t ordinal;
	bool failed[3];
};

static void *work(void *arg)
{
	struct worker *worker = arg;
	int fd = file_make("w");

	for (int i = 0; i < 3; i++)
		worker->failed[i] = site_call(SYS_write, fd, "a", 1) == -EIO;
	worker->stream = thread_stream();
	worker->ordinal = guest_thread.ordinal;
	close(fd);
	return NULL;
}

static void threads_have_paths_and_counts_of_their_own(void **state)
{
	struct worker workers[2] = { 0 }, stray = { 0 };
	pthread_t threads[3];

	(void)state;
	thread_create_real = pthread_create;
	PLAN("write per=thread fail=EIO nth=2");
	for (int i = 0; i < 2; i++)
		assert_int_equal(
			thread_create(&threads[i], NULL, work, &workers[i]), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	/* one that came by no wrapper of ours */
	pthread_create(&threads[2], NULL, work, &stray);
	pthread_join(threads[2], NULL);
	assert_int_equal(workers[0].ordinal, 1);
	assert_int_equal(workers[1].ordinal, 2);
	assert_int_equal(stray.ordinal, 3);
	assert_true(workers[0].stream != workers[1].stream);
	assert_true(stray.stream && stray.stream != workers[1].stream);
	for (int i = 0; i < 2; i++) {
		assert_false(workers[i].failed[0]);
		assert_true(workers[i].failed[1]);
		assert_false(workers[i].failed[2]);
	}
	assert_true(stray.failed[1]);
}

static void more_threads_than_start_records_still_start(void **state)
{
	static struct worker workers[300];
	pthread_t threads[300];
	pthread_attr_t attr;

	(void)state;
	PLAN("write fail=EIO nth=2");
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 << 10);
	for (int i = 0; i < 300; i++)
		assert_int_equal(
			thread_create(&threads[i], &attr, work, &workers[i]),
			0);
	for (int i = 0; i < 300; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < 300; i++)
		assert_true(workers[i].stream);
}

static void times_holds_among_racing_threads(void **state)
{
	struct worker workers[8] = { 0 };
	pthread_t threads[8];
	unsigned failed = 0;

	(void)state;
	PLAN("write fail=EIO times=5");
	for (int i = 0; i < 8; i++)
		thread_create(&threads[i], NULL, work, &workers[i]);
	for (int i = 0; i < 8; i++) {
		pthread_join(threads[i], NULL);
		for (int k = 0; k < 3; k++)
			failed += workers[i].failed[k];
	}
	assert_int_equal(failed, 5);
	assert_int_equal(guest_process->fired[0], 5);
	assert_int_equal(guest_process->matched[0], 24);
	assert_int_equal(count_events(), 5);
}

static void a_failed_exec_leaves_the_slot_live(void **state)
{
	char *const argv[] = { "nowhere", NULL };

	(void)state;
	PLAN("write fail=EIO");
	strcpy(header.library, "/nowhere/libmishap.so");
	assert_int_equal(site_call(SYS_execve, "/nowhere", argv, environ),
			 -ENOENT);
	assert_int_equal(guest_process->status, PROCESS_LIVE);
	PLAN("execve fail=EACCES");
	assert_int_equal(site_call(SYS_execve, "/bin/true", argv, environ),
			 -EACCES);
}

static void a_child_that_searches_for_its_program_takes_no_slots(void **state)
{
	char *const argv[] = { "nowhere", NULL };
	volatile int used = 0;
	int status;
	pid_t pid;

	(void)state;
	PLAN("write fail=EIO");
	pid = vfork();
	if (pid == 0) {
		site_call(SYS_execve, "/nowhere/a", argv, environ);
		site_call(SYS_execve, "/nowhere/b", argv, environ);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	for (int i = 0; i < SHARED_PROCESSES_MAX; i++)
		used += guest_state->processes[i].status != PROCESS_FREE;
	assert_int_equal(used, 1);
	assert_int_equal(guest_process->status, PROCESS_LIVE);
}

static void an_image_finds_its_slot_behind_one_that_was_given_back(void **state)
{
	struct process *process;

	(void)state;
	PLAN("write fail=EIO");
	process = &guest_state->processes[2];
	guest_state->processes[1].born_ns = 1; /* used, free again */
	process->born_ns = 1;
	process->pid = getpid();
	process->status = PROCESS_EXECING;
	process->path = 1;
	process->matched[0] = 5;
	guest_process->pid = 1;
	process_check_in(guest_state);
	assert_ptr_equal(guest_process, process);
	assert_int_equal(process->status, PROCESS_LIVE);
	assert_int_equal(process->matched[0], 5);
	assert_true(process->path != 1);
}

static void a_full_ring_is_waited_for_but_not_for_long(void **state)
{
	int fd = file_make("a");
	uint64_t start_ns;

	(void)state;
	PLAN("write fail=EIO");
	guest_state->ring.head = SHARED_EVENTS / 4 * 3 + 1;
	start_ns = guest_now_ns();
	assert_int_equal(site_call(SYS_write, fd, "a", 1), -EIO);
	assert_true(guest_now_ns() - start_ns < 500 * MS);
	assert_int_equal(guest_state->events_waited, 1);
	close(fd);
}

static void no_slot_left_makes_a_child_inert_and_is_counted(void **state)
{
	int fd = file_make("a"), status;
	pid_t pid;

	(void)state;
	PLAN("write fail=EIO");
	for (int i = 0; i < SHARED_PROCESSES_MAX; i++)
		guest_state->processes[i].status = PROCESS_LIVE;
	pid = fork();
	if (pid == 0)
		_exit(site_call(SYS_write, fd, "a", 1) == 1 ? 0 : 1);
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	assert_int_equal(guest_state->processes_lost, 1);
	close(fd);
}

/* A child's copy of memory is what it reads, not its parent's; a vfork
 * child's is its parent's. */
static void memory_is_copied_from_where_we_run(void **state)
{
	static volatile char there;
	char copy = 0;
	int status;
	pid_t pid;

	(void)state;
	PLAN("write fail=EIO");
	for (int how = 0; how < 3; how++) {
		there = 'p';
		pid = how == 0 ? fork()
		      : how == 1
			      ? (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)
			      : vfork();
		if (pid == 0) {
			there = 'c';
			_exit(scratch_copy(&copy, (void *)&there, 1) != 1 ||
			      copy != 'c' ||
			      scratch_copy(&copy, (void *)16, 1) != 0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		assert_int_equal(there, how == 2 ? 'c' : 'p');
		assert_int_equal(scratch_copy(&copy, (void *)&there, 1), 1);
		assert_int_equal(copy, there);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(memory_is_copied_from_where_we_run),
		TEST(a_delay_is_as_long_as_it_says),
		TEST(a_handler_interrupts_a_delay_as_it_would_the_call),
		TEST(a_wait_is_interrupted_whatever_the_handler_says),
		TEST(a_hang_ends_with_its_phase_or_with_the_lease),
		TEST(an_event_is_there_before_the_kill),
		TEST(a_vfork_child_counts_nothing),
		TEST(a_forked_child_counts_for_itself),
		TEST(creation_paths_are_the_same_in_each_run),
		TEST(threads_have_paths_and_counts_of_their_own),
		TEST(more_threads_than_start_records_still_start),
		TEST(times_holds_among_racing_threads),
		TEST(a_failed_exec_leaves_the_slot_live),
		TEST(a_child_that_searches_for_its_program_takes_no_slots),
		TEST(an_image_finds_its_slot_behind_one_that_was_given_back),
		TEST(a_full_ring_is_waited_for_but_not_for_long),
		TEST(no_slot_left_makes_a_child_inert_and_is_counted),
	};

	thread_create_real = pthread_create;
	PLAN("write fail=EIO");
	process_watch_forks();
	return GUEST_TESTS_RUN(tests);
}
