/* test_coverage.c - the independent count behind `mishap doctor --coverage`:
 * what is one call, whose it is, and what strace's log says of it. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "runner/coverage_count.h"

#define OWN_START  0x1000
#define OWN_BYTES  0x1000
#define AROUND_IP  0x1800
#define TARGETS_IP 0x9000

static struct coverage_made made;

static void call(struct count *count, int pid, unsigned nr, uint64_t ip)
{
	struct count_call one = { .pid = pid, .nr = nr, .ip = ip };

	assert_int_equal(count_call(count, &one), 0);
}

static struct count *begin(void)
{
	struct count *count;

	coverage_clear(&made);
	count = count_open(&made);
	assert_non_null(count);
	call(count, 1, SYS_execve, 0); /* by the counter's own child */
	assert_int_equal(count_exec(count, 1, strdup("/bin/it")), 0);
	return count;
}

static void mark_ready(struct count *count, int pid)
{
	struct count_call mark = { .pid = pid,
				   .nr = SYS_madvise,
				   .args = { AROUND_IP, 16,
					     SHARED_MARK_AROUND } };

	assert_int_equal(count_call(count, &mark), 0);
	mark.args[0] = OWN_START;
	mark.args[1] = OWN_BYTES;
	mark.args[2] = SHARED_MARK_OWN;
	assert_int_equal(count_call(count, &mark), 0);
}

static void only_what_follows_our_start_counts(void **state)
{
	struct count *count = begin();

	(void)state;
	call(count, 1, SYS_openat, TARGETS_IP);
	mark_ready(count, 1);
	call(count, 1, SYS_write, TARGETS_IP);
	call(count, 1, SYS_write, OWN_START + 4); /* the hook's own */
	call(count, 1, SYS_write, AROUND_IP + 4); /* for the target */
	assert_int_equal(count_close(count), 0);
	assert_int_equal(made.made[SYS_openat], 0);
	assert_int_equal(made.made[SYS_write], 2);
	assert_int_equal(made.made[SYS_madvise], 0);
	assert_true(made.any);
	assert_int_equal(made.strangers.count, 0);
}

static void a_program_that_never_got_ready_counts_whole(void **state)
{
	struct count *count = begin();

	(void)state;
	mark_ready(count, 1);
	assert_int_equal(count_child(count, 2, 1), 0);
	call(count, 2, SYS_close, TARGETS_IP);
	assert_int_equal(count_exec(count, 2, strdup("/bin/static")), 0);
	call(count, 2, SYS_read, TARGETS_IP);
	call(count, 1, SYS_close, TARGETS_IP);
	assert_int_equal(count_close(count), 0);
	assert_int_equal(made.made[SYS_close], 2);
	assert_int_equal(made.made[SYS_read], 0);
	assert_int_equal(made.outside[SYS_read], 1);
	assert_int_equal(made.strangers.count, 1);
	assert_string_equal(made.strangers.items[0], "/bin/static");
	assert_int_equal(made.strangers_calls, 1);
}

static void a_call_that_a_signal_interrupts_is_one_call(void **state)
{
	struct count *count = begin();

	(void)state;
	mark_ready(count, 1);
	call(count, 1, SYS_read, TARGETS_IP);
	count_interrupted(count, 1, SYS_read, TARGETS_IP);
	call(count, 1, SYS_rt_sigreturn, TARGETS_IP + 64);
	count_sigreturn(count, 1, false);
	call(count, 1, SYS_read, TARGETS_IP); /* made again by the kernel */
	assert_int_equal(made.made[SYS_read], 1);
	count_interrupted(count, 1, SYS_read, TARGETS_IP);
	count_sigreturn(count, 1, true);
	call(count, 1, SYS_read, TARGETS_IP); /* made by the program */
	assert_int_equal(made.made[SYS_read], 2);
	assert_int_equal(count_close(count), 0);
}

static void a_number_that_is_given_out_again_is_another_process(void **state)
{
	struct count *count = begin();

	(void)state;
	mark_ready(count, 1);
	assert_int_equal(count_child(count, 2, 1), 0);
	assert_int_equal(count_exec(count, 2, strdup("/bin/static")), 0);
	count_ended(count, 2);
	assert_false(count_knows(count, 2));
	assert_int_equal(count_child(count, 2, 1), 0);
	call(count, 2, SYS_read, TARGETS_IP);
	assert_int_equal(count_close(count), 0);
	assert_int_equal(made.strangers.count, 0);
	assert_int_equal(made.made[SYS_read], 1);
}

static void a_log_of_strace_is_read_to_the_same_count(void **state)
{
	static char text[] =
		"7 [  59] [0000000000000001] execve(\"/bin/it\", [], 0x1) = 0\n"
		"7 [ 257] [0000000000009000] openat(AT_FDCWD, \"\", 0) = 3\n"
		"7 [  28] [0000000000001010] madvise(0x1000, 4096, "
		"0x6d6f776e /* MADV_??? */) = -1 EINVAL (Invalid argument)\n"
		/* a child is heard of before the call that makes it ends */
		"7 [  56] [0000000000009000] clone(child_stack=NULL "
		"<unfinished ...>\n"
		"8 [   1] [0000000000009000] write(1, \"\"..., 1) = 1\n"
		"7 [  56] [0000000000009000] <... clone resumed>) = 8\n"
		"8 [   0] [0000000000009000] read(0, 0x1, 1) = ? ERESTARTSYS "
		"(To be restarted if SA_RESTART is set)\n"
		"8 [  15] [0000000000009040] rt_sigreturn({mask=[]}) = 0\n"
		"8 [   0] [0000000000009000] read(0, \"\"..., 1) = 1\n"
		/* an exec that fails, told in two halves */
		"8 [  59] [0000000000009000] execve(\"/none\", [] "
		"<unfinished ...>\n"
		"7 [   3] [0000000000009000] close(3) = 0\n"
		"8 [  59] [0000000000009000] <... execve resumed>) = -1 ENOENT "
		"(No such file or directory)\n"
		"8 [   3] [0000000000009000] close(4) = 0\n"
		"8 +++ exited with 0 +++\n";
	FILE *log = fmemopen(text, sizeof(text) - 1, "r");

	(void)state;
	coverage_clear(&made);
	assert_non_null(log);
	assert_int_equal(coverage_read(log, &made), 0);
	fclose(log);
	assert_int_equal(made.made[SYS_openat], 0);
	assert_int_equal(made.made[SYS_write], 1);
	assert_int_equal(made.made[SYS_read], 1);
	assert_int_equal(made.made[SYS_close], 2);
	assert_int_equal(made.made[SYS_clone], 1);
	assert_int_equal(made.strangers.count, 0);
}

static const struct coverage_row *row_of(const struct coverage *c, unsigned nr)
{
	for (size_t i = 0; i < c->count; i++)
		if (c->rows[i].nr == nr)
			return &c->rows[i];
	return NULL;
}

/* A call that its process's end cut off may never have been made. */
static void what_the_kernel_did_not_ask_about_is_missed(void **state)
{
	struct count *count = begin();
	struct coverage *c = calloc(1, sizeof(*c));
	struct state *seen = calloc(1, sizeof(*seen));

	(void)state;
	assert_non_null(c);
	assert_non_null(seen);
	for (int i = 0; i < 5; i++) {
		call(count, 1, SYS_read, TARGETS_IP);
		count_returned(count, 1);
	}
	call(count, 1, SYS_getuid, TARGETS_IP);
	count_returned(count, 1);
	assert_int_equal(count_child(count, 2, 1), 0);
	call(count, 2, SYS_epoll_wait, TARGETS_IP);
	count_ended(count, 2);
	assert_int_equal(count_close(count), 0);
	seen->notified_nr[SYS_read] = 3;
	c->counted = made;
	c->notify = true;
	coverage_fill(c, seen);
	assert_int_equal(c->made, 5);
	assert_int_equal(c->seen, 3);
	assert_false(coverage_is_enough(c));
	assert_non_null(row_of(c, SYS_read));
	assert_int_equal(row_of(c, SYS_read)->door, DOOR_NOTIFIED);
	assert_int_equal(c->cut[SYS_epoll_wait], 1);
	assert_int_equal(c->unnamed[SYS_getuid], 1);
	free(c);
	free(seen);
}

static void what_is_no_log_is_refused(void **state)
{
	static char text[] = "strace: ptrace(PTRACE_TRACEME): not permitted\n";
	FILE *log = fmemopen(text, sizeof(text) - 1, "r");

	(void)state;
	assert_non_null(log);
	assert_int_equal(coverage_read(log, &made), -EBADMSG);
	fclose(log);
}

static void kernel_numbers_have_the_kernels_names(void **state)
{
	(void)state;
	assert_string_equal(coverage_call_name(SYS_read), "read");
	assert_string_equal(coverage_call_name(SYS_openat), "openat");
	assert_string_equal(coverage_call_name(CALL_NR_MAX), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(only_what_follows_our_start_counts),
		TEST(a_program_that_never_got_ready_counts_whole),
		TEST(a_call_that_a_signal_interrupts_is_one_call),
		TEST(a_number_that_is_given_out_again_is_another_process),
		TEST(a_log_of_strace_is_read_to_the_same_count),
		TEST(what_the_kernel_did_not_ask_about_is_missed),
		TEST(what_is_no_log_is_refused),
		TEST(kernel_numbers_have_the_kernels_names),
	};
	int failed = TESTS_RUN(tests);

	coverage_clear(&made);
	return failed;
}
