/* Starting, watching and stopping processes; keeping what they say. */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runner/capture.h"
#include "runner/clock.h"
#include "runner/launch.h"

extern char **environ;

static struct tree tree;

static int set_up(void **state)
{
	(void)state;
	return tree_open(&tree);
}

static int tear_down(void **state)
{
	(void)state;
	tree_close(&tree);
	return 0;
}

static char *word(const char *text)
{
	return (char *)(uintptr_t)text;
}

static struct tree_process *shell_out(const char *script, enum tree_role role,
				      int out)
{
	char *argv[] = { word("sh"), word("-c"), word(script), NULL };
	struct launch launch = { .argv = argv,
				 .envp = environ,
				 .cwd = "/",
				 .in = -1,
				 .out = out,
				 .err = -1,
				 .ledger_fd = -1,
				 .role = role };
	struct tree_process *process = NULL;

	assert_int_equal(launch_start(&tree, &launch, &process), 0);
	return process;
}

static struct tree_process *shell(const char *script, enum tree_role role)
{
	return shell_out(script, role, -1);
}

static uint64_t in_s(unsigned s)
{
	return clock_now_ns() + s * NS_PER_S;
}

static void an_exit_status_is_told(void **state)
{
	struct tree_process *process = shell("exit 7", TREE_TARGET);
	struct ending ending;

	(void)state;
	assert_true(tree_wait(&tree, process, in_s(5)));
	ending = tree_ending(&tree, process);
	assert_true(ending.started && ending.ended);
	assert_int_equal(ending.status, 7);
	assert_int_equal(ending.signal, 0);
	assert_false(ending.stopped_by_us);
	assert_int_equal(tree.crashes_count, 0);
}

static void a_death_by_signal_is_a_crash(void **state)
{
	struct tree_process *process = shell("kill -ABRT $$", TREE_TARGET);

	(void)state;
	assert_true(tree_wait(&tree, process, in_s(5)));
	assert_int_equal(tree_ending(&tree, process).signal, SIGABRT);
	assert_int_equal(tree.crashes_count, 1);
	assert_int_equal(tree.crashes[0].signal, SIGABRT);
}

static void not_if_we_asked_for_it(void **state)
{
	struct tree_process *process = shell("exec sleep 30", TREE_TARGET);

	(void)state;
	tree_signal(&tree, process, SIGTERM);
	assert_true(tree_wait(&tree, process, in_s(5)));
	assert_true(tree_ending(&tree, process).stopped_by_us);
	assert_int_equal(tree.crashes_count, 0);
}

static void not_if_it_is_a_workload_s(void **state)
{
	struct tree_process *process = shell("kill -ABRT $$", TREE_WORKLOAD);

	(void)state;
	assert_true(tree_wait(&tree, process, in_s(5)));
	assert_int_equal(tree.crashes_count, 0);
}

static void a_segfault_in_answer_to_our_signal_is_a_crash(void **state)
{
	struct tree_process *process =
		shell("trap 'kill -SEGV $$' TERM; while :; do sleep 0.01; done",
		      TREE_TARGET);

	(void)state;
	clock_sleep_until(clock_now_ns() + 100 * NS_PER_MS);
	tree_signal(&tree, process, SIGTERM);
	assert_true(tree_wait(&tree, process, in_s(5)));
	assert_int_equal(tree.crashes_count, 1);
}

/* The parent reaps it: we see it die through its pidfd (Linux 6.15), or as a
 * zombie if we are root. */
static void a_grandchild_s_crash_is_seen(void **state)
{
	struct tree_process *process =
		shell("sh -c 'sleep 0.1; kill -SEGV $$'; sleep 0.1; exit 0",
		      TREE_TARGET);

	(void)state;
	assert_true(tree_wait(&tree, process, in_s(5)));
	assert_int_equal(tree_ending(&tree, process).status, 0);
	for (int n = 0; n < 200 && !tree.crashes_count; n++) {
		tree_alive(&tree, TREE_TARGET);
		clock_sleep_until(clock_now_ns() + 10 * NS_PER_MS);
	}
	if (!tree.crashes_count && tree.unknown_ends)
		TEST_SKIP("this kernel doesn't tell");
	assert_int_equal(tree.crashes_count, 1);
	assert_int_equal(tree.crashes[0].signal, SIGSEGV);
}

static void an_orphan_comes_to_us_and_is_stopped(void **state)
{
	struct tree_process *process =
		shell("setsid sleep 31 & sleep 0.1; exit 0", TREE_TARGET);

	(void)state;
	assert_true(tree_wait(&tree, process, in_s(5)));
	assert_int_equal(tree_alive(&tree, TREE_TARGET), 1);
	assert_int_equal(
		tree_stop(&tree, TREE_TARGET, process, SIGTERM, NS_PER_S), 0);
	assert_int_equal(tree_alive(&tree, TREE_TARGET), 0);
}

static void who_ignores_the_signal_is_killed(void **state)
{
	struct tree_process *process = shell(
		"trap '' TERM; while :; do sleep 0.05; done", TREE_TARGET);
	uint64_t before = clock_now_ns();

	(void)state;
	clock_sleep_until(before + 100 * NS_PER_MS);
	assert_true(tree_stop(&tree, TREE_TARGET, process, SIGTERM,
			      200 * NS_PER_MS) >= 1);
	assert_true(clock_now_ns() - before < 2 * NS_PER_S);
	assert_int_equal(tree_alive(&tree, TREE_TARGET), 0);
}

static void one_role_s_end_spares_the_others(void **state)
{
	struct tree_process *service = shell("exec sleep 32", TREE_SERVICE);
	struct tree_process *target = shell("exec sleep 32", TREE_TARGET);

	(void)state;
	tree_stop(&tree, TREE_TARGET, target, SIGTERM, NS_PER_S);
	assert_int_equal(tree_alive(&tree, TREE_TARGET), 0);
	assert_int_equal(tree_alive(&tree, TREE_SERVICE), 1);
	assert_false(tree_ended(&tree, service));
	tree_kill(&tree, TREE_SERVICE);
	assert_int_equal(tree_alive(&tree, TREE_SERVICE), 0);
}

static void growth_counts_the_whole_tree(void **state)
{
	struct growth growth;

	(void)state;
	shell("sleep 33 & sleep 33 & wait", TREE_TARGET);
	for (int n = 0; n < 200 && tree_alive(&tree, TREE_TARGET) < 3; n++)
		clock_sleep_until(clock_now_ns() + 5 * NS_PER_MS);
	growth = tree_growth(&tree, TREE_TARGET);
	assert_true(growth.known);
	assert_int_equal(growth.threads, 3);
	assert_in_range(growth.fds, 9, 60);
	assert_true(growth.rss_bytes > 100000);
}

static void what_is_no_program_is_refused(void **state)
{
	char *argv[] = { word("/etc/passwd"), NULL };
	struct launch launch = { .argv = argv,
				 .envp = environ,
				 .cwd = "/",
				 .in = -1,
				 .out = -1,
				 .err = -1,
				 .ledger_fd = -1,
				 .role = TREE_TARGET };
	struct tree_process *process;

	(void)state;
	assert_int_equal(launch_start(&tree, &launch, &process), -EACCES);
	argv[0] = word("no-such-program-anywhere");
	assert_int_equal(launch_start(&tree, &launch, &process), -ENOENT);
	argv[0] = word("/bin/true");
	launch.cwd = "/no/such/directory";
	assert_int_equal(launch_start(&tree, &launch, &process), -ENOENT);
	assert_int_equal(tree_alive(&tree, ~0u), 0);
}

static void others_may_wait_for_children_of_their_own(void **state)
{
	int failed = 0;

	(void)state;
	for (int n = 0; n < 20; n++) {
		tree_pause(&tree, true);
		failed += system("exit 0") != 0;
		tree_pause(&tree, false);
	}
	assert_int_equal(failed, 0);
}

static void a_flood_is_read_to_its_end_and_cut(void **state)
{
	char dir[] = "/tmp/mishap-test.XXXXXX", path[64];
	struct capture capture;
	struct text text = { 0 };
	struct tree_process *process;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/out", dir);
	assert_int_equal(capture_open(&capture, 10000), 0);
	assert_int_equal(capture_add(&capture, path, &text, &fd), 0);
	process = shell_out("printf begin; head -c 5000000 /dev/zero",
			    TREE_TARGET, fd);
	close(fd);
	assert_true(tree_wait(&tree, process, in_s(10)));
	capture_close(&capture);
	assert_int_equal(tree_ending(&tree, process).status, 0);
	assert_int_equal(text.count, 10000);
	assert_true(text.truncated);
	assert_memory_equal(text.bytes, "begin", 5);
	assert_int_equal(capture.streams[0].dropped, 5000005 - 10000);
	free(text.bytes);
	free(text.path);
	unlink(path);
	rmdir(dir);
}

static void an_end_that_nobody_closes_holds_us_a_second_at_most(void **state)
{
	struct capture capture;
	struct text text = { 0 };
	uint64_t before = clock_now_ns();
	int fd;

	(void)state;
	assert_int_equal(capture_open(&capture, 100), 0);
	assert_int_equal(capture_add(&capture, "/dev/null", &text, &fd), 0);
	assert_int_equal(write(fd, "x", 1), 1);
	capture_close(&capture);
	assert_true(clock_now_ns() - before < 3 * NS_PER_S);
	assert_string_equal(text.bytes, "x");
	close(fd);
	free(text.bytes);
	free(text.path);
}

static const char *get(char **envp, const char *key)
{
	for (; *envp; envp++)
		if (!strncmp(*envp, key, strlen(key)))
			return *envp + strlen(key);
	return NULL;
}

static void the_environment_keeps_the_users_preloads_first(void **state)
{
	char *items[] = { word("A=mine"), NULL };
	struct strings set = { .items = items, .count = 1 };
	char **envp;

	(void)state;
	setenv("LD_PRELOAD", "theirs.so", 1);
	setenv("A", "old", 1);
	envp = launch_environment(&set, "/lib/ours.so", "/dev/shm/x");
	assert_string_equal(get(envp, "LD_PRELOAD="), "theirs.so:/lib/ours.so");
	assert_string_equal(get(envp, "MISHAP_SHARED="), "/dev/shm/x");
	assert_string_equal(get(envp, "A="), "mine");
	launch_environment_free(envp);
	envp = launch_environment(NULL, NULL, NULL);
	assert_string_equal(get(envp, "LD_PRELOAD="), "theirs.so");
	assert_null(get(envp, "MISHAP_SHARED="));
	launch_environment_free(envp);
	unsetenv("LD_PRELOAD");
	envp = launch_environment(NULL, NULL, NULL);
	assert_null(get(envp, "LD_PRELOAD="));
	launch_environment_free(envp);
}

int main(void)
{
#define TREE(sentence)                                                         \
	cmocka_unit_test_setup_teardown(sentence, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TREE(an_exit_status_is_told),
		TREE(a_death_by_signal_is_a_crash),
		TREE(not_if_we_asked_for_it),
		TREE(not_if_it_is_a_workload_s),
		TREE(a_segfault_in_answer_to_our_signal_is_a_crash),
		TREE(a_grandchild_s_crash_is_seen),
		TREE(an_orphan_comes_to_us_and_is_stopped),
		TREE(who_ignores_the_signal_is_killed),
		TREE(one_role_s_end_spares_the_others),
		TREE(growth_counts_the_whole_tree),
		TREE(what_is_no_program_is_refused),
		TREE(others_may_wait_for_children_of_their_own),
		TREE(a_flood_is_read_to_its_end_and_cut),
		TEST(an_end_that_nobody_closes_holds_us_a_second_at_most),
		TEST(the_environment_keeps_the_users_preloads_first),
	};

	return TESTS_RUN(tests);
}
