/* test_notify.c - what the kernel asks about, and what can't be answered. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include "runner/notify.h"
#include "tests/unit/guest_shared.h"
#include "tests/unit/test.h"

#define CHANNEL 17

static char bytes[GUEST_PLAN_BYTES] __attribute__((aligned(4096)));
static const bool nothing[CALL_COUNT];
static struct msghdr message;
static struct plan plan;
static struct notify_filter filter;
static bool wanted[CALL_NR_MAX];

static void make_counted(const bool *counted, unsigned count,
			 const char *const *rules)
{
	guest_plan_write(bytes, sizeof(bytes), 1, 3, rules, count);
	assert_int_equal(plan_open(bytes, sizeof(bytes), &plan), 0);
	notify_wants(&plan, counted, wanted);
	assert_int_equal(notify_filter_make(wanted, CHANNEL, &message, &filter),
			 0);
}

#define MAKE(...)                                                              \
	make_counted(nothing,                                                  \
		     sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *), \
		     (const char *[]){ __VA_ARGS__ })

static unsigned ask(unsigned nr, uint64_t first, uint64_t second)
{
	const uint64_t args[6] = { first, second };

	return notify_filter_run(&filter, AUDIT_ARCH_X86_64, nr, args);
}

static void just_the_named_calls_and_exec_are_asked_about(void **state)
{
	(void)state;
	MAKE("open fail=EIO phase=2", "rmdir fail=EIO");
	for (unsigned nr = 0; nr < CALL_NR_MAX; nr++) {
		bool named = nr == SYS_open || nr == SYS_openat ||
			     nr == SYS_openat2 || nr == SYS_creat ||
			     nr == SYS_rmdir || nr == SYS_unlinkat ||
			     nr == SYS_execve || nr == SYS_execveat ||
			     nr == SYS_io_uring_setup;

		assert_int_equal(ask(nr, 0, 0), named ? SECCOMP_RET_USER_NOTIF
						      : SECCOMP_RET_ALLOW);
	}
}

static void a_counted_call_is_asked_about_without_a_rule(void **state)
{
	bool counted[CALL_COUNT] = { [CALL_fsync] = true };
	const char *rules[] = { "nanosleep fail=EINTR" };

	(void)state;
	make_counted(counted, 1, rules);
	assert_int_equal(ask(SYS_fsync, 0, 0), SECCOMP_RET_USER_NOTIF);
	assert_int_equal(ask(SYS_fdatasync, 0, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(ask(SYS_io_uring_setup, 0, 0), SECCOMP_RET_ALLOW);
}

static void counts_by_descriptor_need_what_releases_them(void **state)
{
	(void)state;
	MAKE("write fail=EIO per=fd");
	assert_int_equal(ask(SYS_close, 0, 0), SECCOMP_RET_USER_NOTIF);
	assert_int_equal(ask(SYS_dup2, 0, 0), SECCOMP_RET_USER_NOTIF);
	MAKE("write fail=EIO");
	assert_int_equal(ask(SYS_close, 0, 0), SECCOMP_RET_ALLOW);
}

static void calls_of_another_abi_are_asked_about(void **state)
{
	const uint64_t args[6] = { 0 };

	(void)state;
	MAKE("write fail=EIO");
	assert_int_equal(notify_filter_run(&filter, AUDIT_ARCH_I386, 20, args),
			 SECCOMP_RET_USER_NOTIF);
	assert_int_equal(ask(0x40000000u + SYS_getpid, 0, 0),
			 SECCOMP_RET_USER_NOTIF);
	assert_int_equal(ask(SYS_getpid, 0, 0), SECCOMP_RET_ALLOW);
}

static void only_our_own_message_passes_sendmsg(void **state)
{
	uint64_t at = (uint64_t)(uintptr_t)&message;

	(void)state;
	MAKE("sendmsg fail=EIO");
	assert_int_equal(ask(SYS_sendmsg, CHANNEL, at), SECCOMP_RET_ALLOW);
	assert_int_equal(ask(SYS_sendmsg, CHANNEL + 1, at),
			 SECCOMP_RET_USER_NOTIF);
	assert_int_equal(ask(SYS_sendmsg, CHANNEL, at + 1),
			 SECCOMP_RET_USER_NOTIF);
	assert_int_equal(ask(SYS_sendmsg, CHANNEL, at + (1ull << 32)),
			 SECCOMP_RET_USER_NOTIF);
	assert_int_equal(ask(SYS_write, CHANNEL, at), SECCOMP_RET_ALLOW);
}

static void a_filter_that_jumps_too_far_is_refused(void **state)
{
	(void)state;
	for (unsigned nr = 0; nr < CALL_NR_MAX; nr++)
		wanted[nr] = nr < 256;
	assert_int_equal(notify_filter_make(wanted, CHANNEL, &message, &filter),
			 -E2BIG);
	wanted[0] = false;
	assert_int_equal(notify_filter_make(wanted, CHANNEL, &message, &filter),
			 0);
	assert_int_equal(ask(255, 0, 0), SECCOMP_RET_USER_NOTIF);
	assert_int_equal(ask(1, 0, 0), SECCOMP_RET_USER_NOTIF);
	assert_int_equal(ask(0, 0, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(ask(256, 0, 0), SECCOMP_RET_ALLOW);
}

static bool cannot(const char *rule, unsigned id)
{
	MAKE(rule);
	return notify_cannot(&plan.rules[0], id) != NULL;
}

static void what_needs_the_inside_of_a_process_cannot_be_done(void **state)
{
	(void)state;
	assert_true(cannot("write corrupt=1", CALL_write));
	assert_true(cannot("write late=EIO", CALL_write));
	assert_true(cannot("write exit=1", CALL_write));
	assert_true(cannot("write kill=9 at=after", CALL_write));
	assert_true(cannot("write frame=main fail=EIO", CALL_write));
	assert_true(cannot("connect host=db fail=ECONNREFUSED", CALL_connect));
	assert_true(cannot("close fail=EIO", CALL_close));
	assert_true(cannot("brk fail=ENOMEM", CALL_brk));
	assert_true(cannot("sendfile short=1", CALL_sendfile));
	assert_true(cannot("malloc fail=ENOMEM", CALL_malloc));
}

static void what_an_answer_says_can_be_done(void **state)
{
	(void)state;
	assert_false(cannot("write fail=EIO", CALL_write));
	assert_false(cannot("close delay=1000", CALL_close));
	assert_false(cannot("read short=1", CALL_read));
	assert_false(cannot("read eof", CALL_read));
	assert_false(cannot("fsync lie", CALL_fsync));
	assert_false(cannot("fsync hang", CALL_fsync));
	assert_false(cannot("rename kill=9", CALL_rename));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(just_the_named_calls_and_exec_are_asked_about),
		TEST(a_counted_call_is_asked_about_without_a_rule),
		TEST(counts_by_descriptor_need_what_releases_them),
		TEST(calls_of_another_abi_are_asked_about),
		TEST(only_our_own_message_passes_sendmsg),
		TEST(a_filter_that_jumps_too_far_is_refused),
		TEST(what_needs_the_inside_of_a_process_cannot_be_done),
		TEST(what_an_answer_says_can_be_done),
	};

	return TESTS_RUN(tests);
}
