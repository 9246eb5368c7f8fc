/* What the probes saw: for the page, and as JSON. */
#include "runner/report/report.h"

#include <errno.h>
#include <string.h>

#define EXITS_SHOWN   3
#define ESCAPES_SHOWN 5
#define ERRORS_SHOWN  5

/* line - "LABEL\tTEXT"; takes text. */
static int line(struct strings *lines, const char *label, char *text)
{
	_cleanup_words_ char *taken = text;

	return taken ? words_push(lines, words_say("%s\t%s", label, taken))
		     : -ENOMEM;
}

/* Deaths by a signal that neither a rule nor the end of the run explains. */
static bool is_telling(const struct evidence *evidence,
		       const struct watched_exit *exit)
{
	return exit->signal && !exit->sender_is_runner &&
	       exit->at_ns < evidence->end_ns;
}

static int exits_say(const struct evidence *evidence, struct strings *lines)
{
	const struct watched *watched = &evidence->watched;
	size_t count = 0;
	int error = 0;

	for (size_t i = 0; i < watched->exits_count && !error; i++) {
		const struct watched_exit *exit = &watched->exits[i];
		_cleanup_words_ char *how = NULL;

		if (!is_telling(evidence, exit) || ++count > EXITS_SHOWN)
			continue;
		how = watched_exit_words(exit);
		error = how ? line(lines, "death",
				   words_say("%.16s (pid %u) %s", exit->comm,
					     exit->pid, how))
			    : -ENOMEM;
	}
	if (!error && count > EXITS_SHOWN)
		error = line(lines, "death",
			     words_say("%zu more", count - EXITS_SHOWN));
	return error;
}

static int books_say(const struct watched *watched, struct strings *lines)
{
	uint64_t marked = 0, escaped = watched->escapes_more, unknown = 0;
	_cleanup_words_ char *asked = NULL;
	uint64_t notified = 0;

	if (!watched->groups[WATCHED_sys].on)
		return 0;
	for (size_t i = 0; i < watched->calls_count; i++) {
		marked += watched->calls[i].marked;
		notified += watched->calls[i].asked;
		escaped += watched->calls[i].escaped;
		unknown += watched->calls[i].unknown;
	}
	for (size_t i = 0; i < watched->escapes_count; i++)
		if (watched->escapes[i].way == WATCHED_uring)
			escaped += watched->escapes[i].count;
	asked = watched->notified
			? words_say(", %llu stood before the notify door",
				    (unsigned long long)notified)
			: strdup("");
	if (!asked)
		return -ENOMEM;
	return line(lines, "books",
		    words_say("%llu calls came to the kernel through us, %llu "
			      "past us, of %llu it can't be told%s",
			      (unsigned long long)marked,
			      (unsigned long long)escaped,
			      (unsigned long long)unknown, asked));
}

static int escapes_say(const struct watched *watched, struct strings *lines)
{
	size_t count = watched->escapes_count;
	int error = 0;

	for (size_t i = 0; i < count && i < ESCAPES_SHOWN && !error; i++)
		error = line(lines, "escape",
			     watched_escape_words(&watched->escapes[i]));
	if (!error && count > ESCAPES_SHOWN)
		error = line(
			lines, "escape",
			words_say("%zu more places", count - ESCAPES_SHOWN));
	return error;
}

static int errors_say(const struct watched *watched, struct strings *lines)
{
	size_t count = 0;
	int error = 0;

	for (size_t i = 0; i < watched->errors_count && !error; i++) {
		const struct watched_error *real = &watched->errors[i];
		const char *call = watched_call_name(real->nr);
		const char *what = error_name(real->error);

		if (!watched_error_is_environment(real) || !call || !what ||
		    ++count > ERRORS_SHOWN)
			continue;
		error = line(lines, "kernel",
			     words_say("%llu %s %s, by itself",
				       (unsigned long long)real->count, call,
				       what));
	}
	return error;
}

int report_watch_lines(const struct evidence *evidence, struct strings *lines)
{
	const struct watched *watched = &evidence->watched;
	_cleanup_words_ char *missing = NULL;
	unsigned asked = 0;
	int error = 0;

	if (!watched->asked)
		return 0;
	for (unsigned i = 0; i < WATCHED_GROUPS; i++)
		asked |= watched->groups[i].asked ? 1u << i : 0;
	missing = watched_missing(watched, asked);
	if (missing)
		error = line(lines, "watch", strdup(missing));
	if (watched->unobserved)
		return error;
	if (!error)
		error = exits_say(evidence, lines);
	if (!error)
		error = books_say(watched, lines);
	if (!error)
		error = escapes_say(watched, lines);
	return error ? error : errors_say(watched, lines);
}

/* ---- JSON
 * ---------------------------------------------------------------------- */

static json_t *groups_json(const struct watched *watched)
{
	json_t *groups = json_object();

	for (size_t i = 0; i < WATCHED_GROUPS; i++) {
		const struct watched_group_seen *group = &watched->groups[i];

		if (group->asked)
			json_object_set_new(
				groups, watched_group_names[i],
				json_pack("{sb so sI}", "on", group->on, "why",
					  words_json_string(group->why), "lost",
					  (json_int_t)group->lost));
	}
	return groups;
}

static json_t *exits_json(const struct watched *watched)
{
	json_t *exits = json_array();

	for (size_t i = 0; i < watched->exits_count; i++) {
		const struct watched_exit *exit = &watched->exits[i];
		char name[WORDS_SHORT_MAX];

		json_array_append_new(
			exits,
			json_pack("{sI so so so sb sb so so}", "pid",
				  (json_int_t)exit->pid, "name",
				  words_json_string(exit->comm), "exit",
				  exit->signal ? json_null()
					       : json_integer(exit->status),
				  "signal",
				  exit->signal ? json_string(words_signal(
							 exit->signal, name))
					       : json_null(),
				  "core", exit->core, "oom", exit->oom,
				  "sender_pid",
				  exit->sender_known
					  ? json_integer(exit->sender)
					  : json_null(),
				  "sender",
				  exit->sender_known
					  ? words_json_string(
						    exit->sender_is_kernel
							    ? "kernel"
							    : exit->sender_comm)
					  : json_null()));
	}
	return exits;
}

static json_t *calls_json(const struct watched *watched)
{
	json_t *calls = json_object();

	for (size_t i = 0; i < watched->calls_count; i++) {
		const struct watched_call *call = &watched->calls[i];
		const char *name = watched_call_name(call->nr);
		_cleanup_words_ char *key =
			name ? words_say("%s:%u", name, call->nr)
			     : words_say(":%u", call->nr);

		json_object_set_new(
			calls, key ? key : "",
			json_pack("{sI sI sI sI sI sI}", "passed",
				  (json_int_t)call->passed, "marked",
				  (json_int_t)call->marked, "asked",
				  (json_int_t)call->asked, "escaped",
				  (json_int_t)call->escaped, "unknown",
				  (json_int_t)call->unknown, "early",
				  (json_int_t)call->early));
	}
	return calls;
}

static json_t *escapes_json(const struct watched *watched)
{
	static const char *const ways[] = { [WATCHED_raw] = "raw",
					    [WATCHED_uring] = "io_uring",
					    [WATCHED_alone] = "not loaded",
					    [WATCHED_inner] = "not by symbol" };
	json_t *escapes = json_array();

	for (size_t i = 0; i < watched->escapes_count; i++) {
		const struct watched_escape *escape = &watched->escapes[i];
		bool uring = escape->way == WATCHED_uring;
		bool nobody = uring || escape->way == WATCHED_inner;

		json_array_append_new(
			escapes,
			json_pack(
				"{so sI ss so so sI}", "call",
				words_json_string(
					uring ? escape->comm
					      : watched_call_name(escape->nr)),
				"number", (json_int_t)escape->nr, "way",
				ways[escape->way], "program",
				nobody ? json_null()
				       : words_json_string(escape->comm),
				"site", words_json_string(escape->site),
				"count", (json_int_t)escape->count));
	}
	return escapes;
}

static json_t *errors_json(const struct watched *watched)
{
	json_t *errors = json_array();

	for (size_t i = 0; i < watched->errors_count; i++) {
		const struct watched_error *error = &watched->errors[i];

		json_array_append_new(
			errors,
			json_pack(
				"{so sI so sI sb}", "call",
				words_json_string(watched_call_name(error->nr)),
				"number", (json_int_t)error->nr, "error",
				words_json_string(error_name(error->error)),
				"count", (json_int_t)error->count,
				"environment",
				watched_error_is_environment(error)));
	}
	return errors;
}

static json_t *network_json(const struct evidence *evidence)
{
	const struct watched *watched = &evidence->watched;
	struct watched_net sum = watched_net_sum(watched, 0, UINT64_MAX);
	uint64_t at_ns;

	return json_pack("{sI sI sI sI}", "connects", (json_int_t)sum.connects,
			 "connects_peak_s",
			 (json_int_t)watched_connects_peak(watched, 0,
							   UINT64_MAX, &at_ns),
			 "retransmits", (json_int_t)sum.retransmits, "resets",
			 (json_int_t)sum.resets);
}

static json_t *acks_json(const struct watched *watched)
{
	struct watched_acks all = { 0 };

	for (size_t i = 0; i <= PLAN_PHASES_MAX; i++) {
		all.acks += watched->acks[i].acks;
		all.dirty += watched->acks[i].dirty;
		all.writes += watched->acks[i].writes;
		all.syncs += watched->acks[i].syncs;
		all.sync_errors += watched->acks[i].sync_errors;
		if (watched->acks[i].window_max_ns > all.window_max_ns)
			all.window_max_ns = watched->acks[i].window_max_ns;
	}
	return json_pack("{so sI sI sf sI sI sI}", "directory",
			 words_json_string(watched->data), "answers",
			 (json_int_t)all.acks, "before_sync",
			 (json_int_t)all.dirty, "window_max_ms",
			 (double)all.window_max_ns / 1e6, "writes",
			 (json_int_t)all.writes, "syncs", (json_int_t)all.syncs,
			 "sync_errors", (json_int_t)all.sync_errors);
}

json_t *report_watch_json(const struct evidence *evidence)
{
	const struct watched *watched = &evidence->watched;

	if (!watched->asked)
		return json_null();
	return json_pack("{so so sf sI so so so so so so}", "unobserved",
			 words_json_string(watched->unobserved), "groups",
			 groups_json(watched), "attach_ms",
			 (double)watched->attach_ns / 1e6, "processes",
			 (json_int_t)watched->processes, "exits",
			 exits_json(watched), "calls", calls_json(watched),
			 "escapes", escapes_json(watched), "errors",
			 errors_json(watched), "network",
			 network_json(evidence), "durability",
			 watched->data ? acks_json(watched) : json_null());
}
