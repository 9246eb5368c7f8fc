/* ledger - what was acknowledged is there after recovery, as it was promised;
 * nothing is there that nobody asked for.
 *
 * Lines are read by runner/ledger/log.h and weighed by tally.h; what was
 * promised stands in the expectation, else in the scenario's `durability`.
 */
#include "runner/ledger/tally.h"
#include "runner/oracles/oracle.h"

struct ledger_case {
	struct ledger_log log;
	struct ledger_rules rules;
	struct ledger_tally tally;
	enum ledger_form *forms;
	uint64_t *deaths;
};

static void case_clear(struct ledger_case *c)
{
	ledger_log_clear(&c->log);
	free(c->forms);
	free(c->deaths);
}

static struct durability promise_of(const struct expect *expect,
				    const struct scenario *scenario)
{
	const char *value = oracle_value(expect);
	struct durability promise = { 0 }; /* strict, nothing twice */

	if (scenario->durability_set)
		promise = scenario->durability;
	promise_read(value, strlen(value), &promise);
	return promise;
}

static int forms_find(struct ledger_case *c, const struct scenario *scenario)
{
	c->forms = calloc(c->log.streams_count + 1u, sizeof(*c->forms));
	if (!c->forms)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->log.streams_count; i++)
		for (size_t k = 0; k < scenario->streams.count; k++) {
			const char *text = scenario->streams.items[k];
			const char *form = strchr(text, '=') + 1;
			struct ledger_word name = { text,
						    (size_t)(form - text) - 1 };

			if (ledger_word_same(name, c->log.streams[i]))
				form_read(form, strlen(form), &c->forms[i]);
		}
	c->rules.forms = c->forms;
	return 0;
}

/* When somebody of the target died: what it lost, it lost then. */
static int deaths_find(struct ledger_case *c, const struct evidence *evidence)
{
	size_t count = 0;

	c->deaths = calloc(evidence->crashes_count + evidence->events_count + 1,
			   sizeof(*c->deaths));
	if (!c->deaths)
		return -ENOMEM;
	for (size_t i = 0; i < evidence->crashes_count; i++)
		c->deaths[count++] = evidence->crashes[i].end_ns;
	for (size_t i = 0; i < evidence->events_count; i++)
		if (evidence->events[i].fault == FAULT_kill &&
		    !(evidence->events[i].flags & EVENT_LAPSED))
			c->deaths[count++] = evidence->events[i].time_ns;
	if (evidence->target.ended && evidence->target.signal)
		c->deaths[count++] = evidence->target.end_ns;
	c->rules.deaths_ns = c->deaths;
	c->rules.deaths_count = count;
	return 0;
}

static int case_open(const struct expect *expect,
		     const struct evidence *evidence,
		     const struct command_seen *reader,
		     struct ledger_case *ret_case)
{
	struct ledger_case c = { .rules.promise = promise_of(
					 expect, evidence->scenario) };
	int error = 0;

	if (evidence->ledger.bytes)
		error = ledger_log_write(&c.log, evidence->ledger.bytes,
					 evidence->ledger.count);
	if (!error)
		error = ledger_log_read(&c.log, reader->output, reader->bytes);
	if (!error)
		error = forms_find(&c, evidence->scenario);
	if (!error)
		error = deaths_find(&c, evidence);
	if (!error)
		error = ledger_tally(&c.log, &c.rules, &c.tally);
	if (error) {
		case_clear(&c);
		return error;
	}
	*ret_case = c;
	return 0;
}

static char *promise_words(const struct durability *promise)
{
	static const char *const kinds[] = {
		[DURABILITY_STRICT] = "every acknowledged record is there",
		[DURABILITY_WINDOW] = "every acknowledged record is there, but "
				      "for the last before a death",
		[DURABILITY_PREFIX] = "no acknowledged record is missing "
				      "before one that is there",
		[DURABILITY_NONE] = "no record is there that nobody asked for",
	};

	return words_say("%s%s", kinds[promise->kind],
			 promise->repeats ? "" : ", once");
}

/* Acknowledgements that came several in one write were late: mind stdio. */
static char *warning_words(const struct ledger_case *c)
{
	if (!c->log.acks_buffered)
		return strdup("");
	return words_say("; warning: %llu acknowledgements came several in one "
			 "write, so late: flush each line",
			 (unsigned long long)c->log.acks_buffered);
}

static int answer_good(const struct ledger_case *c, char *expected,
		       const char *warning, struct finding *ret_finding)
{
	const struct ledger_tally *tally = &c->tally;

	if (tally->excused)
		return oracle_pass(ret_finding, expected,
				   "of %llu acknowledged records %llu are "
				   "missing, as the promise allows; %llu "
				   "recovered%s",
				   (unsigned long long)tally->acked,
				   (unsigned long long)tally->excused,
				   (unsigned long long)tally->recovered,
				   warning);
	return oracle_pass(ret_finding, expected,
			   "all %llu acknowledged records are there; %llu "
			   "recovered%s",
			   (unsigned long long)tally->acked,
			   (unsigned long long)tally->recovered, warning);
}

static int answer_bad(const struct ledger_case *c, char *expected,
		      const char *warning, struct finding *ret_finding)
{
	const struct ledger_tally *tally = &c->tally;
	const uint64_t *counts = tally->counts;

	return oracle_fail(
		ret_finding, expected,
		"of %llu acknowledged: %llu lost, %llu altered; %llu "
		"duplicated, %llu resurrected, %llu reordered, %llu phantom; "
		"the first is %.*s %.*s, %s%s",
		(unsigned long long)tally->acked,
		(unsigned long long)counts[CLASS_LOST],
		(unsigned long long)counts[CLASS_ALTERED],
		(unsigned long long)counts[CLASS_DUPLICATED],
		(unsigned long long)counts[CLASS_RESURRECTED],
		(unsigned long long)counts[CLASS_REORDERED],
		(unsigned long long)counts[CLASS_PHANTOM], (int)tally->stream.n,
		tally->stream.at, (int)tally->id.n, tally->id.at,
		ledger_class_names[tally->first], warning);
}

static int answer(const struct ledger_case *c, bool truncated,
		  struct finding *ret_finding)
{
	_cleanup_words_ char *warning = warning_words(c);
	char *expected;

	if (!c->log.acks && !(c->log.done && c->log.bad_invariant.n))
		return oracle_unknown(ret_finding,
				      "no record was acknowledged");
	if (!c->log.done || truncated)
		return oracle_unknown(ret_finding, "%s",
				      !c->log.done
					      ? "the reader never said `done`"
					      : "the ledger was cut");
	expected = promise_words(&c->rules.promise);
	if (!expected || !warning) {
		free(expected);
		return -ENOMEM;
	}
	if (c->log.bad_invariant.n)
		return oracle_fail(ret_finding, expected,
				   "invariant %.*s is bad%s",
				   (int)c->log.bad_invariant.n,
				   c->log.bad_invariant.at, warning);
	return c->tally.wrong ? answer_bad(c, expected, warning, ret_finding)
			      : answer_good(c, expected, warning, ret_finding);
}

static int judge(const struct expect *expect, const struct evidence *evidence,
		 struct finding *ret_finding)
{
	const struct command_seen *reader = oracle_command(evidence, expect);
	struct ledger_case c;
	int error;

	if (evidence->no_recovery)
		return oracle_fail(ret_finding,
				   words_say("the target comes up again"), "%s",
				   evidence->no_recovery);
	if (!reader || !reader->ending.started || !reader->output)
		return oracle_unknown(ret_finding, "the reader wasn't run%s%s",
				      reader && reader->output ? ": " : "",
				      reader && reader->output ? reader->output
							       : "");
	error = case_open(expect, evidence, reader, &c);
	if (error == -E2BIG)
		return oracle_unknown(ret_finding, "the ledger is too long");
	if (error)
		return error;
	error = answer(&c, evidence->ledger.truncated || reader->truncated,
		       ret_finding);
	case_clear(&c);
	return error;
}

static int after(const struct expect *expect, struct evidence *evidence)
{
	if (evidence->no_recovery || oracle_command(evidence, expect))
		return 0; /* it was read while the target was up */
	return oracle_command_run(expect, evidence, ORACLE_READER_BYTES);
}

/* ---- tampering ------------------------------------------------------------
 */
/* The number-th present line, from its beginning to the next line. */
static const char *present_line(const char *from, const char *end,
				uint32_t number, const char **ret_next)
{
	while (from < end) {
		const char *next = memchr(from, '\n', (size_t)(end - from));

		if (!next)
			return NULL;
		*ret_next = next + 1;
		if (next - from > 8 && memcmp(from, "present ", 8) == 0 &&
		    !number--)
			return from;
		from = next + 1;
	}
	return NULL;
}

static bool is_acked(const struct ledger_log *log, uint32_t key)
{
	for (uint32_t i = log->keys[key].last_op; i != LEDGER_NONE;
	     i = log->ops[i].previous)
		if (log->ops[i].outcome == LEDGER_ACKED)
			return true;
	return false;
}

/* A record that is there, once, and was acknowledged; LEDGER_NONE. */
static uint32_t record_find(const struct ledger_case *c)
{
	const struct ledger_log *log = &c->log;

	for (uint32_t i = 0; i < log->presents_count; i++) {
		uint32_t key = log->presents[i].key;

		if (log->keys[key].presents == 1 && is_acked(log, key) &&
		    c->forms[log->keys[key].stream] < FORM_COUNTER)
			return i;
	}
	return LEDGER_NONE;
}

/* One record is no longer there; where losses are excused, one is there twice;
 * where that is fine, too, there is one that nobody asked for. */
static char *spoiled(const struct ledger_case *c,
		     const struct command_seen *reader)
{
	const struct durability *promise = &c->rules.promise;
	const char *text = reader->output, *next = NULL;
	uint32_t number = record_find(c);
	const char *line = number == LEDGER_NONE
				   ? NULL
				   : present_line(text, text + reader->bytes,
						  number, &next);

	if (!line || promise->kind == DURABILITY_WINDOW)
		return strdup("done\n");
	if (promise->kind == DURABILITY_STRICT)
		return words_say("%.*s%s", (int)(line - text), text, next);
	if (!promise->repeats)
		return words_say("%.*s%s", (int)(next - line), line, text);
	return words_say("%.*s - x\n%s", 8 + (int)strcspn(line + 8, " "), line,
			 text);
}

static int tamper(const struct expect *expect, struct evidence *evidence)
{
	struct command_seen *reader = oracle_command(evidence, expect);
	struct ledger_case c;
	char *text;
	int error;

	if (!reader || !reader->output)
		return -ENOTSUP;
	error = case_open(expect, evidence, reader, &c);
	if (error)
		return error;
	text = spoiled(&c, reader);
	case_clear(&c);
	if (!text)
		return -ENOMEM;
	free(reader->output);
	reader->output = text;
	reader->bytes = strlen(text);
	return 0;
}

const struct oracle oracle_ledger = {
	.after = after,
	.judge = judge,
	.tamper = tamper,
	.whole = true,
};
