/* test_arm.c - which doors a plan opens in a phase. */
#include <sys/syscall.h>

#include "tests/unit/guest_shared.h"
#include "tests/unit/test.h"

static char bytes[GUEST_PLAN_BYTES] __attribute__((aligned(4096)));
static uint8_t nrs[CALL_NR_MAX], calls[CALL_COUNT];

static void arm(unsigned phase, unsigned count, const char *const *rules)
{
	struct plan plan;

	memset(nrs, 7, sizeof(nrs));
	memset(calls, 7, sizeof(calls));
	guest_plan_write(bytes, sizeof(bytes), 1, 3, rules, count);
	assert_int_equal(plan_open(bytes, sizeof(bytes), &plan), 0);
	plan_arm(&plan, phase, nrs, calls);
}

#define ARM(phase, ...)                                                        \
	arm(phase, sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *),   \
	    (const char *[]){ __VA_ARGS__ })

static unsigned sum(const uint8_t *table, unsigned n)
{
	unsigned total = 0;

	for (unsigned i = 0; i < n; i++)
		total += table[i];
	return total;
}

static void a_call_opens_all_its_kernel_numbers(void **state)
{
	(void)state;
	ARM(0, "open fail=EIO");
	assert_true(nrs[SYS_open] && nrs[SYS_openat] && nrs[SYS_openat2] &&
		    nrs[SYS_creat]);
	assert_true(nrs[SYS_execve] && nrs[SYS_execveat]);
	assert_true(nrs[SYS_io_uring_setup]);
	assert_int_equal(sum(nrs, CALL_NR_MAX), 8);
	assert_int_equal(calls[CALL_open], 1);
	assert_int_equal(sum(calls, CALL_COUNT), 1);
}

static void a_call_that_is_another_by_its_flags_opens_the_number(void **state)
{
	(void)state;
	ARM(0, "rmdir fail=EIO");
	assert_true(nrs[SYS_rmdir] && nrs[SYS_unlinkat]);
	assert_false(nrs[SYS_unlink]);
	assert_int_equal(calls[CALL_unlink], 0);
}

static void only_rules_of_the_phase_open_doors(void **state)
{
	(void)state;
	ARM(2, "read fail=EIO phase=1", "write fail=EIO phase=2");
	assert_false(nrs[SYS_read]);
	assert_true(nrs[SYS_write]);
	ARM(0, "read fail=EIO phase=1");
	assert_int_equal(sum(calls, CALL_COUNT), 0);
	assert_int_equal(sum(nrs, CALL_NR_MAX), 4); /* exec*, mmap, uring */
}

static void what_is_remembered_of_fds_needs_the_calls_that_end_it(void **state)
{
	(void)state;
	ARM(0, "write path=/x fail=EIO");
	assert_true(nrs[SYS_close] && nrs[SYS_close_range] && nrs[SYS_dup2] &&
		    nrs[SYS_dup3] && nrs[SYS_connect]);
	assert_true(calls[CALL_close] && calls[CALL_connect]);
	assert_false(calls[CALL_getaddrinfo]);
	ARM(0, "write per=fd fail=EIO");
	assert_true(nrs[SYS_close] && calls[CALL_close]);
	ARM(0, "write host=db fail=EIO");
	assert_true(nrs[SYS_close] && calls[CALL_getaddrinfo]);
	ARM(0, "write size=3 fail=EIO");
	assert_false(nrs[SYS_close]);
}

static void a_ring_is_refused_where_it_could_make_a_named_call(void **state)
{
	(void)state;
	ARM(0, "send fail=EIO phase=1");
	assert_true(nrs[SYS_io_uring_setup]);
	ARM(0, "nanosleep fail=EINTR", "malloc fail=ENOMEM");
	assert_false(nrs[SYS_io_uring_setup]);
}

static void disarmed_exec_is_still_watched(void **state)
{
	(void)state;
	memset(nrs, 7, sizeof(nrs));
	plan_arm_nothing(nrs);
	assert_true(nrs[SYS_execve] == 1 && nrs[SYS_execveat] == 1 &&
		    nrs[SYS_mmap] == 1);
	assert_int_equal(sum(nrs, CALL_NR_MAX), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_call_opens_all_its_kernel_numbers),
		TEST(a_call_that_is_another_by_its_flags_opens_the_number),
		TEST(only_rules_of_the_phase_open_doors),
		TEST(what_is_remembered_of_fds_needs_the_calls_that_end_it),
		TEST(a_ring_is_refused_where_it_could_make_a_named_call),
		TEST(disarmed_exec_is_still_watched),
	};

	return TESTS_RUN(tests);
}
