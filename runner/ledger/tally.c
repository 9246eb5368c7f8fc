/* tally.c - sets, registers and lists, record by record; sums.c has the
 * forms that add up. */
#include "runner/ledger/tally.h"

#include <errno.h>
#include <stdlib.h>

#include "runner/ledger/sums.h"

const char *const ledger_class_names[CLASS_COUNT] = {
	[CLASS_LOST] = "lost",
	[CLASS_ALTERED] = "altered",
	[CLASS_DUPLICATED] = "duplicated",
	[CLASS_RESURRECTED] = "resurrected",
	[CLASS_PHANTOM] = "phantom",
	[CLASS_REORDERED] = "reordered",
};

void tally_wrong(struct tallying *t, uint32_t key, enum ledger_class what)
{
	struct ledger_tally *tally = &t->tally;

	tally->counts[what]++;
	tally->wrong += !t->marked[key];
	t->marked[key] = true;
	if (tally->stream.n)
		return;
	tally->stream = t->log->streams[t->log->keys[key].stream];
	tally->id = t->log->keys[key].id;
	tally->first = what;
}

bool tally_excused(const struct tallying *t, const struct ledger_op *op)
{
	const struct ledger_rules *rules = t->rules;

	if (rules->promise.kind == DURABILITY_NONE ||
	    rules->promise.kind == DURABILITY_PREFIX)
		return true;
	if (rules->promise.kind == DURABILITY_STRICT)
		return false;
	for (size_t i = 0; i < rules->deaths_count && op->end_ns; i++)
		if (op->end_ns <= rules->deaths_ns[i] + LEDGER_SKEW_NS &&
		    op->end_ns + rules->promise.window_ns >=
			    rules->deaths_ns[i])
			return true;
	return false;
}

/* ---- one record ---------------------------------------------------------- */
/* What the requests of a key say of the value that is there. */
struct value_seen {
	bool legal;	 /* it may be the last */
	bool superseded; /* it was, and another was acknowledged later */
	bool excused;	 /* that other one may be missing */
	bool failed;	 /* it was known not to have been done */
};

static void value_weigh(const struct tallying *t, const struct ledger_op *op,
			struct value_seen *seen)
{
	const struct ledger_log *log = t->log;
	bool over = false, excused = true;

	for (uint32_t i = log->keys[op->key].last_op; i != LEDGER_NONE;
	     i = log->ops[i].previous) {
		const struct ledger_op *later = &log->ops[i];

		if (later->outcome != LEDGER_ACKED ||
		    !ledger_precedes(op, later))
			continue;
		over = true;
		excused = excused && tally_excused(t, later);
	}
	seen->legal |= !over;
	seen->superseded |= over;
	seen->excused |= over && excused;
}

static struct value_seen value_look(const struct tallying *t, uint32_t key)
{
	const struct ledger_log *log = t->log;
	struct ledger_word value =
		log->presents[log->keys[key].first_present].value;
	struct value_seen seen = { 0 };

	for (uint32_t i = log->keys[key].last_op; i != LEDGER_NONE;
	     i = log->ops[i].previous) {
		const struct ledger_op *op = &log->ops[i];

		/* Who names no value is content with any. */
		if (value.n && op->value.n &&
		    !ledger_word_same(op->value, value))
			continue;
		if (op->outcome == LEDGER_FAILED)
			seen.failed = true;
		else if (!value.n)
			seen.legal = true;
		else
			value_weigh(t, op, &seen);
	}
	return seen;
}

static void value_judge(struct tallying *t, uint32_t key, bool acked)
{
	struct value_seen seen = value_look(t, key);

	if (seen.legal)
		return;
	if (seen.superseded && seen.excused)
		t->tally.excused++;
	else if (seen.superseded)
		tally_wrong(t, key, CLASS_LOST);
	else if (seen.failed && acked)
		tally_wrong(t, key, CLASS_RESURRECTED);
	else
		tally_wrong(t, key, CLASS_ALTERED);
}

/* Is every acknowledged request of the key excused?  A register whose first
 * value was safe long ago may not vanish. */
static bool all_excused(const struct tallying *t, uint32_t key)
{
	const struct ledger_log *log = t->log;

	for (uint32_t i = log->keys[key].last_op; i != LEDGER_NONE;
	     i = log->ops[i].previous)
		if (log->ops[i].outcome == LEDGER_ACKED &&
		    !tally_excused(t, &log->ops[i]))
			return false;
	return true;
}

static void key_judge(struct tallying *t, uint32_t number)
{
	const struct ledger_log *log = t->log;
	const struct ledger_key *key = &log->keys[number];
	bool acked = false, unknown = false, failed = false;

	for (uint32_t i = key->last_op; i != LEDGER_NONE;
	     i = log->ops[i].previous) {
		acked |= log->ops[i].outcome == LEDGER_ACKED;
		unknown |= log->ops[i].outcome == LEDGER_UNKNOWN;
		failed |= log->ops[i].outcome == LEDGER_FAILED;
	}
	t->tally.acked += acked;
	if (!key->presents) {
		if (acked && all_excused(t, number))
			t->tally.excused++;
		else if (acked)
			tally_wrong(t, number, CLASS_LOST);
		return;
	}
	if (key->presents > 1 && !t->rules->promise.repeats)
		tally_wrong(t, number, CLASS_DUPLICATED);
	if (!acked && !unknown) {
		tally_wrong(t, number,
			    failed ? CLASS_RESURRECTED : CLASS_PHANTOM);
		return;
	}
	t->tally.recovered += !acked;
	value_judge(t, number, acked);
}

/* ---- order --------------------------------------------------------------- */
/* The request that acknowledged it first; NULL: none did. */
static const struct ledger_op *first_acked(const struct tallying *t,
					   uint32_t key)
{
	const struct ledger_op *first = NULL;

	for (uint32_t i = t->log->keys[key].last_op; i != LEDGER_NONE;
	     i = t->log->ops[i].previous)
		if (t->log->ops[i].outcome == LEDGER_ACKED)
			first = &t->log->ops[i];
	return first;
}

static const struct ledger_op *later_of(const struct ledger_op *a,
					const struct ledger_op *b)
{
	return !a || (b && b->invoke_at > a->invoke_at) ? b : a;
}

/* Missing, though one that was asked for later is there. */
static int holes_judge(struct tallying *t)
{
	const struct ledger_log *log = t->log;
	const struct ledger_op **latest =
		calloc(log->streams_count + 1u, sizeof(*latest));

	if (!latest)
		return -ENOMEM;
	for (uint32_t i = 0; i < log->keys_count; i++)
		if (log->keys[i].presents) {
			uint32_t stream = log->keys[i].stream;

			latest[stream] =
				later_of(latest[stream], first_acked(t, i));
		}
	for (uint32_t i = 0; i < log->keys_count; i++) {
		uint32_t stream = log->keys[i].stream;
		enum ledger_form form = t->rules->forms[stream];
		const struct ledger_op *op =
			log->keys[i].presents ? NULL : first_acked(t, i);

		if (op && latest[stream] && form < FORM_COUNTER &&
		    (t->rules->promise.kind == DURABILITY_PREFIX ||
		     (form == FORM_APPEND &&
		      t->rules->promise.kind != DURABILITY_NONE)) &&
		    ledger_precedes(op, latest[stream]))
			tally_wrong(t, i, CLASS_REORDERED);
	}
	free(latest);
	return 0;
}

/* Read before one that was acknowledged before it was asked for. */
static int reads_judge(struct tallying *t)
{
	const struct ledger_log *log = t->log;
	const struct ledger_op **latest =
		calloc(log->streams_count + 1u, sizeof(*latest));

	if (!latest)
		return -ENOMEM;
	for (uint32_t i = 0; i < log->presents_count; i++) {
		uint32_t key = log->presents[i].key;
		uint32_t stream = log->keys[key].stream;
		const struct ledger_op *op = first_acked(t, key);

		if (t->rules->forms[stream] != FORM_APPEND || !op ||
		    log->keys[key].first_present != i)
			continue;
		if (latest[stream] && ledger_precedes(op, latest[stream]))
			tally_wrong(t, key, CLASS_REORDERED);
		latest[stream] = later_of(latest[stream], op);
	}
	free(latest);
	return 0;
}

int ledger_tally(const struct ledger_log *log, const struct ledger_rules *rules,
		 struct ledger_tally *ret_tally)
{
	struct tallying t = { .log = log,
			      .rules = rules,
			      .marked = calloc(log->keys_count + 1u, 1) };
	int error = t.marked ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < log->keys_count && !error; i++)
		if (rules->forms[log->keys[i].stream] < FORM_COUNTER)
			key_judge(&t, i);
	if (!error)
		error = holes_judge(&t);
	if (!error)
		error = reads_judge(&t);
	for (uint32_t i = 0; i < log->streams_count && !error; i++) {
		if (rules->forms[i] == FORM_COUNTER)
			counter_judge(&t, i);
		else if (rules->forms[i] == FORM_BANK)
			error = bank_judge(&t, i);
	}
	free(t.marked);
	if (!error)
		*ret_tally = t.tally;
	return error;
}
