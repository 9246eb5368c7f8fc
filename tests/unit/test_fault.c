/* Every fault on every call: what is refused and why, what is judged. */
#include "core/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "test.h"

#define EACH_CALL(id)  for (unsigned id = 0; id < CALL_COUNT; id++)
#define EACH_FAULT(id) for (unsigned id = 0; id < FAULT_COUNT; id++)

/* A likely argument for each kind. */
static struct fault_arg likely(const struct fault *fault)
{
	static const uint64_t likely_v[] = {
		[ARG_ERROR] = EIO,   [ARG_DELAY] = DELAY_FIXED,
		[ARG_BYTES] = 1,     [ARG_SIGNAL] = 9,
		[ARG_STATUS] = 7,    [ARG_BITS] = 3,
		[ARG_SHIFT] = 1000,  [ARG_DRIFT] = 1000,
		[ARG_LIMIT] = 100,   [ARG_COUNT] = 4,
		[ARG_SHARE] = 10000,
	};

	return (struct fault_arg){ .v = { likely_v[fault->arg], 1000, 1000 } };
}

static const char *refusal(unsigned fault, unsigned call)
{
	struct fault_arg arg = likely(fault_table[fault]);

	if (!fault_table[fault]->refuses)
		return NULL;
	return fault_table[fault]->refuses(call, &arg);
}

static struct call fresh(unsigned id)
{
	return (struct call){ .id = (uint16_t)id,
			      .fd = 3,
			      .len = 100,
			      .exit_status = -1,
			      .room = 60,
			      .owed_ns = 5,
			      .nonblocking = true };
}

static struct call judged(unsigned fault, unsigned call_id)
{
	struct call call = fresh(call_id);
	struct fault_arg arg = likely(fault_table[fault]);
	struct rng rng = rng_open(1, 2, 3, 4);

	fault_table[fault]->judge(&call, &arg, &rng);
	return call;
}

static void every_fault_is_whole(void **state)
{
	(void)state;
	assert_true(FAULT_COUNT >= 14);
	EACH_FAULT(f)
	{
		const struct fault *fault = fault_table[f];

		assert_non_null(fault);
		assert_non_null(fault->judge);
		assert_non_null(fault->effect);
		assert_in_range(strlen(fault->says), 10, 70);
		assert_non_null(strstr(fault->example, fault->name));
		if (f)
			assert_true(strcmp(fault_table[f - 1]->name,
					   fault->name) < 0);
	}
}

static void every_example_begins_with_calls_that_it_fits(void **state)
{
	(void)state;
	EACH_FAULT(f)
	{
		const char *word = fault_table[f]->example;
		size_t n;

		if (fault_table[f]->is_model) {
			n = strlen(fault_table[f]->name);
			assert_memory_equal(word, fault_table[f]->name, n);
			continue;
		}
		do {
			unsigned id;

			n = strcspn(word, ", ");
			id = call_find(word, n);
			assert_int_not_equal(id, CALL_NONE);
			assert_null(refusal(f, id));
			word += n + 1;
		} while (word[-1] == ',');
	}
}

/* "lie can't open: there is no descriptor to hand back" */
static void every_refusal_completes_a_sentence(void **state)
{
	(void)state;
	EACH_FAULT(f)
	EACH_CALL(id)
	{
		const char *why = refusal(f, id);

		if (!why)
			continue;
		assert_in_range(strlen(why), 15, 70);
		assert_true(*why >= 'a' && *why <= 'z');
		assert_true(why[strlen(why) - 1] != '.');
		/* asked without an argument, the answer is the same kind */
		assert_non_null(fault_table[f]->refuses(id, NULL));
	}
}

static bool fits(unsigned fault, const char *calls)
{
	for (size_t n; *calls; calls += n + (calls[n] == ' ')) {
		unsigned id;

		n = strcspn(calls, " ");
		id = call_find(calls, n);
		assert_int_not_equal(id, CALL_NONE);
		if (refusal(fault, id))
			return false;
	}
	return true;
}

static bool fits_none(unsigned fault, const char *calls)
{
	for (size_t n; *calls; calls += n + (calls[n] == ' ')) {
		unsigned id;

		n = strcspn(calls, " ");
		id = call_find(calls, n);
		assert_int_not_equal(id, CALL_NONE);
		if (!refusal(fault, id))
			return false;
	}
	return true;
}

static void only_what_can_fail_is_failed(void **state)
{
	(void)state;
	EACH_CALL(id)
	assert_int_equal(refusal(FAULT_fail, id) != NULL, id == CALL_sync);
}

static void only_what_moves_bytes_is_cut(void **state)
{
	(void)state;
	assert_true(fits(FAULT_short, "read pread readv preadv write pwrite "
				      "writev send sendmsg recv recvmsg "
				      "sendfile copy_file_range splice"));
	assert_true(fits_none(FAULT_short, "open close fsync getdents recvmmsg "
					   "sendmmsg malloc connect poll"));
}

static void only_what_reads_comes_to_an_end(void **state)
{
	(void)state;
	assert_true(fits(FAULT_eof, "read pread readv preadv recv recvmsg"));
	assert_true(fits_none(FAULT_eof, "write send sendfile accept getdents "
					 "recvmmsg open close poll mmap"));
}

static void only_what_moves_over_a_connection_is_reset(void **state)
{
	(void)state;
	assert_true(fits(FAULT_reset, "read readv recv recvmsg write writev "
				      "send sendmsg sendfile splice"));
	assert_true(fits_none(FAULT_reset, "connect accept pread open close "
					   "poll epoll_wait getaddrinfo"));
}

static void only_bytes_that_pass_through_memory_are_bent(void **state)
{
	(void)state;
	assert_true(fits(FAULT_corrupt, "read recv recvmsg readv preadv "
					"write send sendmsg pwritev"));
	assert_true(fits_none(FAULT_corrupt, "sendfile splice copy_file_range "
					     "open fsync malloc getdents"));
}

static void only_a_success_that_hands_nothing_back_is_a_lie(void **state)
{
	(void)state;
	assert_true(fits(FAULT_lie, "write pwrite writev send sendmsg fsync "
				    "fdatasync sync syncfs msync unlink rename "
				    "rmdir mkdir ftruncate fallocate chmod "
				    "shutdown setsockopt link symlink"));
	assert_true(fits_none(FAULT_lie,
			      "open mmap malloc calloc realloc munmap read "
			      "recv accept socket dup pipe close fork execve "
			      "posix_spawn pthread_create getaddrinfo stat "
			      "sendfile copy_file_range sendmmsg poll brk "
			      "clock_gettime connect close_range mprotect"));
}

static void what_only_a_result_names_is_never_late(void **state)
{
	(void)state;
	assert_true(fits(FAULT_late, "write read recv send fsync rename unlink "
				     "connect close ftruncate poll sendmmsg"));
	assert_true(fits_none(
		FAULT_late,
		"open socket accept dup pipe epoll_create fcntl malloc "
		"realloc posix_memalign mmap munmap mremap brk "
		"fork posix_spawn execve pthread_create sync "
		"getaddrinfo"));
}

static void any_call_may_be_slow_or_the_last_one(void **state)
{
	(void)state;
	EACH_CALL(id)
	{
		assert_null(refusal(FAULT_delay, id));
		assert_null(refusal(FAULT_hang, id));
		assert_null(refusal(FAULT_kill, id));
		assert_null(refusal(FAULT_exit, id));
	}
}

/* What docs say of a pair is what the verdict does. */
static void the_effect_that_is_told_is_the_verdict(void **state)
{
	(void)state;
	EACH_FAULT(f)
	EACH_CALL(id)
	{
		struct call call = judged(f, id);

		if (refusal(f, id))
			continue;
		switch (fault_table[f]->effect(id)) {
		case EFFECT_NOT_EXECUTED:
			assert_true(call.skip != call.hang);
			assert_false(call.after);
			break;
		case EFFECT_EXECUTED_THEN_FAILED:
			assert_true(call.after && call.error && !call.skip);
			break;
		case EFFECT_PARTIAL:
			assert_true(call.len_max && !call.skip);
			break;
		case EFFECT_EXECUTED:
			assert_true(call.delay_ns || call.corrupt_bits ||
				    call.is_warped || call.rot_ppm);
			assert_true(!call.skip && !call.error);
			break;
		case EFFECT_ENDS_PROCESS:
			assert_true(call.kill_signal || call.exit_status >= 0);
			break;
		}
		/* A result and an error exclude each other. */
		assert_false(call.has_result && call.error);
	}
}

static void a_failed_close_was_made(void **state)
{
	struct call call = judged(FAULT_fail, CALL_close);

	(void)state;
	assert_true(call.after);
	assert_false(call.skip);
	assert_int_equal(call.error, EIO);
	call = judged(FAULT_fail, CALL_write);
	assert_true(call.skip);
	assert_false(call.after);
	assert_int_equal(call.error, EIO);
}

static void an_eai_code_keeps_its_sign(void **state)
{
	struct call call = fresh(CALL_getaddrinfo);
	struct fault_arg arg = { .v = { (uint64_t)(int64_t)-3 } };
	struct rng rng = { .key = 0 };

	(void)state;
	fault_table[FAULT_fail]->judge(&call, &arg, &rng);
	assert_int_equal(call.error, -3);
}

static bool applies(unsigned fault, unsigned id, uint64_t v, size_t len,
		    bool nonblocking)
{
	struct call call = fresh(id);
	struct fault_arg arg = { .v = { v } };

	call.len = len;
	call.nonblocking = nonblocking;
	return fault_table[fault]->applies(&call, &arg);
}

static void eagain_wants_a_descriptor_that_would_not_block(void **state)
{
	static const unsigned ids[] = { CALL_read,     CALL_write,   CALL_recv,
					CALL_send,     CALL_accept,  CALL_readv,
					CALL_sendmmsg, CALL_sendfile };

	(void)state;
	for (unsigned i = 0; i < sizeof(ids) / sizeof(*ids); i++) {
		assert_false(applies(FAULT_fail, ids[i], EAGAIN, 1, false));
		assert_true(applies(FAULT_fail, ids[i], EAGAIN, 1, true));
		assert_true(applies(FAULT_fail, ids[i], EIO, 1, false));
		assert_true(applies(FAULT_fail, ids[i], EINTR, 1, false));
	}
	/* There it means: out of processes, of ports, of locks. */
	assert_true(applies(FAULT_fail, CALL_fork, EAGAIN, 0, false));
	assert_true(applies(FAULT_fail, CALL_mmap, EAGAIN, 0, false));
	assert_true(applies(FAULT_fail, CALL_connect, EAGAIN, 0, false));
	assert_false(applies(FAULT_fail, CALL_connect, EINPROGRESS, 0, false));
	assert_true(applies(FAULT_fail, CALL_connect, EINPROGRESS, 0, true));
	assert_true(fault_table[FAULT_fail]->may_force);
	assert_false(applies(FAULT_late, CALL_write, EAGAIN, 1, false));
	assert_true(applies(FAULT_late, CALL_write, EAGAIN, 1, true));
	assert_true(applies(FAULT_late, CALL_write, EIO, 1, false));
	assert_true(fault_table[FAULT_late]->may_force);
}

static void a_cut_leaves_at_least_a_byte_and_cuts_one(void **state)
{
	(void)state;
	for (uint64_t most = 1; most < 300; most++)
		for (size_t len = 0; len < 300; len++) {
			struct call call = fresh(CALL_write);
			struct fault_arg arg = { .v = { most } };
			struct rng rng = { .key = 0 };

			call.len = len;
			assert_int_equal(applies(FAULT_short, CALL_write, most,
						 len, false),
					 len > most);
			fault_table[FAULT_short]->judge(&call, &arg, &rng);
			assert_int_equal(call.len_max, len > most ? most : 0);
		}
	assert_false(applies(FAULT_eof, CALL_read, 0, 0, false));
	assert_true(applies(FAULT_eof, CALL_read, 0, 1, false));
	assert_false(applies(FAULT_corrupt, CALL_read, 1, 0, false));
	assert_true(applies(FAULT_corrupt, CALL_read, 1, 1, false));
}

static void a_lie_reports_all_that_one_call_can_move(void **state)
{
	struct call call = fresh(CALL_write);
	struct rng rng = { .key = 0 };

	(void)state;
	fault_table[FAULT_lie]->judge(&call, NULL, &rng);
	assert_true(call.has_result && call.skip);
	assert_int_equal(call.result, 100);
	call.len = 0x80000000u; /* write(2), NOTES: at most 0x7ffff000 */
	fault_table[FAULT_lie]->judge(&call, NULL, &rng);
	assert_int_equal(call.result, 0x7ffff000);
	call = judged(FAULT_lie, CALL_fsync);
	assert_true(call.has_result && call.skip);
	assert_int_equal(call.result, 0);
	call = judged(FAULT_eof, CALL_read);
	assert_true(call.has_result && call.skip);
	assert_int_equal(call.result, 0);
}

static void what_has_room_lands_and_the_rest_does_not(void **state)
{
	struct fault_arg arg = { .v = { 100 } };
	struct call call = fresh(CALL_write);

	(void)state;
	fault_table[FAULT_disk_full]->judge(&call, &arg, NULL);
	assert_int_equal(call.len_max, 60);
	assert_false(call.skip);
	call = fresh(CALL_write);
	call.room = 0;
	fault_table[FAULT_disk_full]->judge(&call, &arg, NULL);
	assert_true(call.skip);
	assert_int_equal(call.error, ENOSPC);
	call = fresh(CALL_fallocate);
	fault_table[FAULT_disk_quota]->judge(&call, &arg, NULL);
	assert_true(call.skip);
	assert_int_equal(call.error, EDQUOT);
}

static void a_torn_write_is_cut_and_the_process_killed_after_it(void **state)
{
	struct fault_arg arg = { .v = { 100 } };
	struct call call = fresh(CALL_write);

	(void)state;
	assert_false(fault_table[FAULT_torn]->applies(&call, &arg));
	arg.v[0] = 99;
	assert_true(fault_table[FAULT_torn]->applies(&call, &arg));
	fault_table[FAULT_torn]->judge(&call, &arg, NULL);
	assert_int_equal(call.len_max, 99);
	assert_true(call.after && call.kill_signal && !call.skip);
}

static void a_lock_s_errors_fit_commands_for_locks_only(void **state)
{
	struct call call = fresh(CALL_fcntl);

	(void)state;
	call.flags = F_GETFL;
	assert_false(call_may_say(&call, ENOLCK));
	assert_false(call_may_say(&call, EMFILE));
	assert_true(call_may_say(&call, EBADF));
	call.flags = F_SETLKW;
	assert_true(call_may_say(&call, ENOLCK));
	assert_false(call_may_say(&call, EAGAIN));
	call.flags = F_SETLK;
	assert_true(call_may_say(&call, EAGAIN));
	call.flags = F_DUPFD_CLOEXEC;
	assert_true(call_may_say(&call, EMFILE));
}

static void a_judge_is_pure(void **state)
{
	(void)state;
	EACH_FAULT(f)
	EACH_CALL(id)
	{
		struct call a, b;

		memset(&a, 0, sizeof(a));
		memset(&b, 0, sizeof(b));
		a = judged(f, id);
		b = judged(f, id);
		assert_memory_equal(&a, &b, sizeof(a));
	}
}

static void corruption_is_drawn_anew_for_each_call(void **state)
{
	struct fault_arg arg = { .v = { 3 } };
	uint64_t before = 0;

	(void)state;
	for (uint64_t i = 0; i < 1000; i++) {
		struct call call = fresh(CALL_read);
		struct rng rng = rng_open(1, 2, 3, i);

		fault_table[FAULT_corrupt]->judge(&call, &arg, &rng);
		assert_int_equal(call.corrupt_bits, 3);
		assert_int_not_equal(call.corrupt_seed, before);
		before = call.corrupt_seed;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_fault_is_whole),
		TEST(every_example_begins_with_calls_that_it_fits),
		TEST(every_refusal_completes_a_sentence),
		TEST(only_what_can_fail_is_failed),
		TEST(only_what_moves_bytes_is_cut),
		TEST(only_what_reads_comes_to_an_end),
		TEST(only_what_moves_over_a_connection_is_reset),
		TEST(only_bytes_that_pass_through_memory_are_bent),
		TEST(only_a_success_that_hands_nothing_back_is_a_lie),
		TEST(what_only_a_result_names_is_never_late),
		TEST(any_call_may_be_slow_or_the_last_one),
		TEST(the_effect_that_is_told_is_the_verdict),
		TEST(a_failed_close_was_made),
		TEST(an_eai_code_keeps_its_sign),
		TEST(eagain_wants_a_descriptor_that_would_not_block),
		TEST(a_cut_leaves_at_least_a_byte_and_cuts_one),
		TEST(a_lie_reports_all_that_one_call_can_move),
		TEST(what_has_room_lands_and_the_rest_does_not),
		TEST(a_torn_write_is_cut_and_the_process_killed_after_it),
		TEST(a_lock_s_errors_fit_commands_for_locks_only),
		TEST(a_judge_is_pure),
		TEST(corruption_is_drawn_anew_for_each_call),
	};

	return TESTS_RUN(tests);
}
