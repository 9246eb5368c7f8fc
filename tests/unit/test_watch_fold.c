/* Recorded streams of mishap-watch, folded into evidence: no probes needed. */
#include "tests/unit/judge_made.h"

#include "runner/watch_fold.h"

static struct watch_fold *fold;
static struct watched *watched;

static int fold_make(void **state)
{
	(void)state;
	fold = malloc(sizeof(*fold));
	watched = calloc(1, sizeof(*watched));
	watch_fold_open(fold, watched);
	fold->runner_pid = 1;
	fold->runner_name = "mishap";
	return 0;
}

static int fold_free(void **state)
{
	(void)state;
	watch_fold_close(fold);
	watched_clear(watched);
	free(watched);
	free(fold);
	return 0;
}

/* put - one record, as it would come. */
static void put(unsigned type, uint64_t seq, uint64_t at_ns, uint32_t tgid,
		const void *body, size_t bytes)
{
	uint64_t whole[WATCH_RECORD_MAX / 8] = { 0 };
	struct watch_record *record = (void *)whole;

	*record = (struct watch_record){ .time_ns = at_ns,
					 .size = (uint32_t)(sizeof(*record) +
							    bytes),
					 .type = (uint16_t)type,
					 .tgid = tgid,
					 .seq = seq };
	if (bytes)
		memcpy(record + 1, body, bytes);
	watch_fold_record(fold, record);
}

#define PUT(type, seq, at_ns, tgid, body)                                      \
	put(type, seq, at_ns, tgid, &(body), sizeof(body))

static void done(uint64_t seq, uint64_t at_ns)
{
	struct watch_done_body body = { 0 };

	PUT(WATCH_DONE, seq, at_ns, 0, body);
}

static void died(uint32_t tgid, uint32_t signal)
{
	struct watch_exit_body body = { .signal = signal, .name = "worker" };

	PUT(WATCH_EXIT, 0, 100, tgid, body);
}

static void sent(uint32_t tgid, uint32_t signal, uint32_t sender,
		 const char *name)
{
	struct watch_signal_body body = { .signal = signal, .sender = sender };

	strcpy(body.sender_name, name);
	PUT(WATCH_SIGNAL, 0, 90, tgid, body);
}

static void a_death_is_told_with_who_sent_the_signal(void **state)
{
	(void)state;
	sent(7, SIGTERM, 50, "other");
	sent(8, SIGKILL, 51, "nobody");
	sent(7, SIGKILL, 4711, "reaper");
	died(7, SIGKILL);
	assert_int_equal(watched->exits_count, 1);
	assert_true(watched->exits[0].sender_known);
	assert_int_equal(watched->exits[0].sender, 4711);
	assert_string_equal(watched->exits[0].sender_comm, "reaper");
	assert_false(watched->exits[0].sender_is_runner);
}

static void a_signal_that_was_ignored_killed_nobody(void **state)
{
	struct watch_signal_body body = { .signal = SIGKILL,
					  .sender = 9,
					  .result = 1 };

	(void)state;
	PUT(WATCH_SIGNAL, 0, 90, 7, body);
	died(7, SIGKILL);
	assert_false(watched->exits[0].sender_known);
}

static void what_the_runner_sends_is_known_as_such(void **state)
{
	(void)state;
	sent(7, SIGTERM, 1, "anything");
	died(7, SIGTERM);
	sent(8, SIGTERM, 99, "mishap"); /* ours, in another pid namespace */
	died(8, SIGTERM);
	assert_true(watched->exits[0].sender_is_runner);
	assert_true(watched->exits[1].sender_is_runner);
}

static void an_oom_victims_death_is_an_oom_kill(void **state)
{
	struct watch_oom_body body = { .name = "worker" };

	(void)state;
	PUT(WATCH_OOM, 0, 80, 7, body);
	died(6, SIGKILL);
	died(7, SIGKILL);
	died(7, SIGKILL); /* another one, of the same number */
	assert_false(watched->exits[0].oom);
	assert_true(watched->exits[1].oom);
	assert_false(watched->exits[2].oom);
}

static void tally(uint64_t seq, uint32_t nr, uint64_t marked, uint64_t escaped)
{
	struct watch_tally_body body = { .nr = nr, .abi = 64 };

	body.calls[WATCH_MARKED] = marked;
	body.calls[WATCH_ESCAPED] = escaped;
	PUT(WATCH_TALLY, seq, 0, 0, body);
}

static void the_last_snapshot_is_what_counts(void **state)
{
	uint64_t passed[CALL_NR_MAX] = { [1] = 9, [3] = 2 };

	(void)state;
	tally(4, 1, 5, 1);
	done(4, 200);
	tally(5, 1, 9, 2);
	tally(5, 0, 7, 0);
	done(5, 300);
	watch_fold_finish(fold, passed, 3);
	assert_int_equal(watched->calls_count, 3);
	assert_int_equal(watched->calls[0].marked, 9);
	assert_int_equal(watched->calls[0].escaped, 2);
	assert_int_equal(watched->calls[0].passed, 9);
	assert_int_equal(watched->calls[2].nr, 3); /* the kernel saw none */
	assert_int_equal(watched->calls[2].passed, 2);
	assert_int_equal(watched->in_flight, 3);
}

static void vfork_children_pass_us_too(void **state)
{
	struct watch_tally_body body = { .nr = 1, .abi = 64 };

	(void)state;
	body.calls[WATCH_MARKED] = 3;
	body.calls[WATCH_VFORK] = 2;
	PUT(WATCH_TALLY, 1, 0, 0, body);
	assert_int_equal(watched->calls[0].marked, 5);
}

static void peer(uint64_t seq, uint16_t port, uint64_t connects,
		 uint64_t retransmits, bool listens)
{
	struct watch_peer_body body = { .family = 2,
					.port = port,
					.listens = listens,
					.connects = connects,
					.retransmits = retransmits };

	PUT(WATCH_PEER, seq, 0, 0, body);
}

static void what_falls_between_two_looks_is_one_bucket(void **state)
{
	uint64_t at_ns;

	(void)state;
	done(1, 1 * SECOND); /* follow: nothing was seen yet */
	done(2, 2 * SECOND); /* a look that saw nothing */
	peer(3, 80, 4, 0, false);
	peer(3, 81, 1, 1, false);
	peer(3, 22, 50, 0, true); /* they came in */
	done(3, 2 * SECOND + WATCHED_BUCKET_NS);
	peer(4, 80, 4, 0, false);
	peer(4, 81, 1, 1, false);
	done(4, 3 * SECOND); /* nothing new */
	peer(5, 80, 6, 0, false);
	peer(5, 81, 1, 3, false);
	done(5, 4 * SECOND);
	assert_int_equal(watched->net_count, 2);
	assert_int_equal(watched->net[0].at_ns, 2 * SECOND);
	assert_int_equal(watched->net[0].connects, 5);
	assert_int_equal(watched->net[0].retransmits, 1);
	assert_int_equal(watched->net[1].connects, 2);
	assert_int_equal(watched->net[1].retransmits, 2);
	assert_int_equal(watched_connects_peak(watched, 0, UINT64_MAX, &at_ns),
			 5);
}

static void durable(uint64_t seq, uint64_t acks, uint64_t dirty,
		    uint64_t window_ns)
{
	struct watch_durable_body body = { .acks = acks,
					   .acks_dirty = dirty,
					   .writes = acks,
					   .window_max_ns = window_ns };

	PUT(WATCH_DURABLE, seq, 0, 0, body);
	done(seq, seq * SECOND);
}

static void an_answer_belongs_to_the_phase_it_was_given_in(void **state)
{
	struct watch_ack_body first = { .window_ns = 4000 };

	(void)state;
	durable(1, 10, 0, 0);
	fold->phase = 0;
	durable(2, 30, 5, 2000);
	fold->phase = 1;
	PUT(WATCH_ACK_DIRTY, 0, 77, 7, first);
	durable(3, 31, 6, 4000);
	assert_int_equal(watched->acks[0].acks, 10);
	assert_int_equal(watched->acks[1].acks, 20);
	assert_int_equal(watched->acks[1].dirty, 5);
	assert_int_equal(watched->acks[1].window_max_ns, 2000);
	assert_int_equal(watched->acks[2].acks, 1);
	assert_int_equal(watched->acks[2].window_max_ns, 4000);
	assert_int_equal(watched->acks[2].first_ns, 77);
}

static void site(uint32_t class, const char *exe, uint64_t calls)
{
	struct watch_site_body body = { .nr = 1,
					.abi = 64,
					.class = class,
					.calls = calls,
					.offset = 0x10,
					.path = "/nowhere/prog" };

	strcpy(body.exe, exe);
	PUT(WATCH_SITE, 1, 0, 0, body);
}

static void an_escape_is_told_by_place_and_the_same_place_once(void **state)
{
	uint64_t passed[CALL_NR_MAX] = { 0 };

	(void)state;
	tally(1, 1, 0, 5);
	site(WATCH_ESCAPED, "prog", 2);
	site(WATCH_ESCAPED, "prog", 3);	 /* a fork's */
	site(WATCH_BEFORE, "static", 7); /* we never got in */
	site(WATCH_BEFORE, "mishap", 9); /* before it was the program */
	site(WATCH_UNKNOWN, "prog", 4);
	done(1, 100);
	watch_fold_finish(fold, passed, 0);
	assert_int_equal(watched->escapes_count, 2);
	assert_int_equal(watched->escapes[0].count, 7);
	assert_int_equal(watched->escapes[0].way, WATCHED_alone);
	assert_int_equal(watched->escapes[1].count, 5);
	assert_string_equal(watched->escapes[1].site, "prog+0x10");
	assert_int_equal(watched->calls[0].escaped, 12);
}

static void nothing_escapes_the_notify_door(void **state)
{
	uint64_t passed[CALL_NR_MAX] = { 0 };

	(void)state;
	watched->notified = true;
	site(WATCH_BEFORE, "static", 7);
	done(1, 100);
	watch_fold_finish(fold, passed, 0);
	assert_int_equal(watched->escapes_count, 0);
	assert_int_equal(watched->calls[0].escaped, 0);
	assert_int_equal(watched->calls[0].asked, 7);
}

static void where_symbols_are_the_door_the_rest_escaped(void **state)
{
	uint64_t passed[CALL_NR_MAX] = { [1] = 9, [2] = 4, [3] = 8 };
	struct watch_tally_body body = { .nr = 1, .abi = 64 };

	(void)state;
	body.calls[WATCH_MARKED] = 2; /* of a program whose sites are patched */
	body.calls[WATCH_SYMBOLS] = 10;
	PUT(WATCH_TALLY, 1, 0, 0, body);
	body.nr = 3;
	body.calls[WATCH_MARKED] = 0;
	body.calls[WATCH_SYMBOLS] = 8;
	PUT(WATCH_TALLY, 1, 0, 0, body);
	body.nr = 257; /* libc's open() makes openat */
	PUT(WATCH_TALLY, 1, 0, 0, body);
	done(1, 100);
	watch_fold_finish(fold, passed, 0);
	assert_int_equal(watched->calls[0].marked, 9);
	assert_int_equal(watched->calls[0].escaped, 3);
	assert_int_equal(watched->calls[1].marked, 8);
	assert_int_equal(watched->calls[1].escaped, 0);
	assert_int_equal(watched->calls[2].marked, 4);
	assert_int_equal(watched->calls[2].passed, 4);
	assert_int_equal(watched->calls[3].nr, 2);
	assert_int_equal(watched->calls[3].passed, 0);
	assert_int_equal(watched->escapes_count, 2);
	assert_int_equal(watched->escapes[0].way, WATCHED_inner);
	assert_int_equal(watched->escapes[0].nr, 257);
	assert_int_equal(watched->escapes[0].count, 4);
	assert_int_equal(watched->escapes[1].count, 3);
}

static void what_the_guardian_answered_is_no_error_of_the_kernel(void **state)
{
	struct watch_error_body body = {
		.nr = 1, .abi = 64, .error = ENOSPC, .calls = 3
	};
	struct event events[] = {
		{ .call = CALL_write, .error = ENOSPC, .flags = EVENT_NOTIFY },
		{ .call = CALL_write, .error = ENOSPC }, /* the library's */
		{ .call = CALL_write, .error = EIO, .flags = EVENT_NOTIFY },
		{ .call = CALL_read, .error = ENOSPC, .flags = EVENT_NOTIFY },
		{ .call = CALL_write,
		  .error = ENOSPC,
		  .flags = EVENT_NOTIFY | EVENT_LAPSED },
		{ .call = CALL_write, .error = ENOSPC, .flags = EVENT_NOTIFY },
	};

	(void)state;
	PUT(WATCH_ERROR, 1, 0, 0, body);
	done(1, 100);
	watched_pardon(watched, events, 5);
	assert_int_equal(watched->errors[0].count, 2);
	watched_pardon(watched, events, 6);
	assert_int_equal(watched->errors_count, 0);
}

static void a_group_that_is_refused_says_why_and_losses_are_kept(void **state)
{
	struct watch_group_body group = { .group = WATCH_NET,
					  .status = WATCH_REFUSED,
					  .why = "no CAP_BPF" };
	struct watch_lost_body lost = { .group = WATCH_LIFE, .events = 3 };
	char *why;

	(void)state;
	watched->asked = true;
	PUT(WATCH_GROUP, 0, 0, 0, group);
	group = (struct watch_group_body){ .group = WATCH_LIFE,
					   .status = WATCH_WORKS };
	PUT(WATCH_GROUP, 0, 0, 0, group);
	assert_null(watched_missing(watched, 1 << WATCHED_life));
	PUT(WATCH_LOST, 1, 0, 0, lost);
	done(1, 100);
	why = watched_missing(watched, 1 << WATCHED_life);
	assert_string_equal(why, "3 records of the probes 'life' were lost");
	free(why);
	why = watched_missing(watched, 1 << WATCHED_net);
	assert_string_equal(why, "unobserved: probes 'net': no CAP_BPF");
	free(why);
}

static void what_is_unknown_or_too_short_is_passed_over(void **state)
{
	struct watch_done_body none = { 0 };

	(void)state;
	for (unsigned type = 0; type < 200; type++) {
		put(type, 1, 1, 1, &none, 0);
		put(type, 0, 1, 1, &none, 4);
	}
	assert_int_equal(watched->exits_count, 0);
	assert_int_equal(watched->calls_count, 0);
	assert_int_equal(watched->escapes_count, 0);
}

#define FOLD(test) cmocka_unit_test_setup_teardown(test, fold_make, fold_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FOLD(a_death_is_told_with_who_sent_the_signal),
		FOLD(a_signal_that_was_ignored_killed_nobody),
		FOLD(what_the_runner_sends_is_known_as_such),
		FOLD(an_oom_victims_death_is_an_oom_kill),
		FOLD(the_last_snapshot_is_what_counts),
		FOLD(vfork_children_pass_us_too),
		FOLD(what_falls_between_two_looks_is_one_bucket),
		FOLD(an_answer_belongs_to_the_phase_it_was_given_in),
		FOLD(an_escape_is_told_by_place_and_the_same_place_once),
		FOLD(nothing_escapes_the_notify_door),
		FOLD(where_symbols_are_the_door_the_rest_escaped),
		FOLD(what_the_guardian_answered_is_no_error_of_the_kernel),
		FOLD(a_group_that_is_refused_says_why_and_losses_are_kept),
		FOLD(what_is_unknown_or_too_short_is_passed_over),
	};

	return TESTS_RUN(tests);
}
