/* ledger - records that were acknowledged are there afterwards, once, with the
 * value that was acknowledged; nothing is there that nobody asked for.
 *
 * Writers (workloads on standard output or MISHAP_LEDGER_FD, the target on
 * standard output) say, a line each:
 *   invoke STREAM ID [VALUE]   it is about to be asked for
 *   ack    STREAM ID [VALUE]   it is safe, somebody was told so
 *   fail   STREAM ID [VALUE]   it is known not to have been done
 * The reader says `present STREAM ID [VALUE]`, `invariant NAME ok|bad` and at
 * last `done`.  All other lines are passed over.
 */
#include "runner/oracles/oracle.h"

enum row_kind { ROW_invoke, ROW_ack, ROW_fail, ROW_present };

struct word { /* borrowed from a stream */
	const char *at;
	size_t n;
};

struct row {
	enum row_kind kind;
	struct word stream, id, value;
	size_t order;
};

struct rows {
	struct row *items;
	size_t count, room;
	struct word bad_invariant;
	bool done, truncated;
};

struct tally {
	size_t acked, lost, duplicated, phantom, altered;
	const struct row *first; /* the first that is wrong */
};

static struct word next_word(const char **at, const char *end)
{
	struct word word;

	while (*at < end && **at == ' ')
		++*at;
	word.at = *at;
	while (*at < end && **at != ' ' && **at != '\r')
		++*at;
	word.n = (size_t)(*at - word.at);
	return word;
}

static bool word_is(struct word word, const char *text)
{
	return word.n == strlen(text) && memcmp(word.at, text, word.n) == 0;
}

static int word_order(struct word a, struct word b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int order = n ? memcmp(a.at, b.at, n) : 0;

	return order ? order : (a.n > b.n) - (a.n < b.n);
}

static int rows_add(struct rows *rows, const struct row *row)
{
	if (rows->count == rows->room) {
		size_t room = 2 * rows->room + 256;
		struct row *items =
			reallocarray(rows->items, room, sizeof(*items));

		if (!items)
			return -ENOMEM;
		rows->items = items;
		rows->room = room;
	}
	rows->items[rows->count] = *row;
	rows->items[rows->count].order = rows->count;
	rows->count++;
	return 0;
}

static int line_read(struct rows *rows, const char *at, const char *end,
		     bool reader)
{
	static const char *const kinds[] = { "invoke", "ack", "fail",
					     "present" };
	struct word first = next_word(&at, end);
	struct row row = { 0 };

	if (reader && word_is(first, "done"))
		rows->done = true;
	if (reader && word_is(first, "invariant")) {
		struct word name = next_word(&at, end);

		if (!word_is(next_word(&at, end), "ok"))
			rows->bad_invariant = name;
		return 0;
	}
	for (size_t i = 0; i < 4; i++) {
		if (!word_is(first, kinds[i]) || (i == ROW_present) != reader)
			continue;
		row.kind = (enum row_kind)i;
		row.stream = next_word(&at, end);
		row.id = next_word(&at, end);
		row.value = next_word(&at, end);
		return row.id.n ? rows_add(rows, &row) : 0;
	}
	return 0;
}

/* The last line counts only when it is whole. */
static int stream_read(struct rows *rows, const char *bytes, size_t count,
		       bool truncated, bool reader)
{
	const char *at = bytes, *end = bytes + count;

	rows->truncated |= truncated;
	while (at < end) {
		const char *line_end = memchr(at, '\n', (size_t)(end - at));

		if (!line_end)
			break;
		if (line_read(rows, at, line_end, reader) < 0)
			return -ENOMEM;
		at = line_end + 1;
	}
	return 0;
}

static int writers_read(const struct evidence *evidence, struct rows *rows)
{
	size_t workloads = evidence->workload_outs
				   ? evidence->scenario->workloads_count
				   : 0;
	int error = 0;

	rows->truncated = evidence->ledger.truncated;
	if (evidence->ledger.bytes)
		error = stream_read(rows, evidence->ledger.bytes,
				    evidence->ledger.count,
				    evidence->ledger.truncated, false);
	if (!error && evidence->out.bytes)
		error = stream_read(rows, evidence->out.bytes,
				    evidence->out.count,
				    evidence->out.truncated, false);
	for (size_t i = 0; i < workloads && !error; i++) {
		const struct text *out = &evidence->workload_outs[i];

		if (out->bytes)
			error = stream_read(rows, out->bytes, out->count,
					    out->truncated, false);
	}
	return error;
}

static int by_key(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int order = word_order(x->stream, y->stream);

	if (!order)
		order = word_order(x->id, y->id);
	return order ? order : (x->order > y->order) - (x->order < y->order);
}

static bool same_key(const struct row *a, const struct row *b)
{
	return word_order(a->stream, b->stream) == 0 &&
	       word_order(a->id, b->id) == 0;
}

/* value_is_good - may this be there, after these rows of one key?  The last
 * acknowledged value may, and one whose outcome nobody knows. */
static bool value_is_good(const struct row *rows, size_t count,
			  struct word value)
{
	const struct row *acked = NULL;

	for (size_t i = 0; i < count; i++)
		if (rows[i].kind == ROW_ack)
			acked = &rows[i];
	if (!value.n || (acked && (!acked->value.n ||
				   word_order(acked->value, value) == 0)))
		return true;
	for (size_t i = 0; i < count; i++) {
		bool known = false;

		if (rows[i].kind != ROW_invoke ||
		    word_order(rows[i].value, value) != 0)
			continue;
		for (size_t k = i + 1; k < count; k++)
			known |= rows[k].kind != ROW_invoke &&
				 word_order(rows[k].value, value) == 0;
		if (!known)
			return true;
	}
	return false;
}

/* One key: what was asked for, and how often it is there. */
static void key_tally(struct tally *tally, const struct row *rows, size_t count,
		      const struct row *presents, size_t presents_count)
{
	bool acked = false, unknown = false, wrong;
	size_t invoked = 0, failed = 0;

	for (size_t i = 0; i < count; i++) {
		acked |= rows[i].kind == ROW_ack;
		invoked += rows[i].kind == ROW_invoke;
		failed += rows[i].kind == ROW_fail;
	}
	unknown = invoked > failed;
	tally->acked += acked;
	wrong = acked && !presents_count;
	tally->lost += wrong;
	if (presents_count > 1) {
		tally->duplicated++;
		wrong = true;
	}
	if (presents_count && !acked && !unknown) {
		tally->phantom++;
		wrong = true;
	} else if (presents_count &&
		   !value_is_good(rows, count, presents[0].value)) {
		tally->altered++;
		wrong = true;
	}
	if (wrong && !tally->first)
		tally->first = count ? rows : presents;
}

static void rows_tally(struct rows *writes, struct rows *reads,
		       struct tally *ret_tally)
{
	struct tally tally = { 0 };
	size_t w = 0, r = 0;

	if (writes->count)
		qsort(writes->items, writes->count, sizeof(struct row), by_key);
	if (reads->count)
		qsort(reads->items, reads->count, sizeof(struct row), by_key);
	while (w < writes->count || r < reads->count) {
		const struct row *write = writes->items + w;
		const struct row *read = reads->items + r;
		const struct row *key = write;
		size_t w_from = w, r_from = r;

		if (w == writes->count)
			key = read;
		else if (r < reads->count) {
			int order = word_order(read->stream, write->stream);

			if (!order)
				order = word_order(read->id, write->id);
			key = order < 0 ? read : write;
		}
		while (w < writes->count && same_key(writes->items + w, key))
			w++;
		while (r < reads->count && same_key(reads->items + r, key))
			r++;
		key_tally(&tally, write, w - w_from, read, r - r_from);
	}
	*ret_tally = tally;
}

static int answer(const struct expect *expect, struct rows *writes,
		  struct rows *reads, struct finding *ret_finding)
{
	struct tally tally;
	char *expected;

	if (!oracle_wants(expect, "strict"))
		return oracle_unknown(ret_finding,
				      "ledger knows only the value strict");
	rows_tally(writes, reads, &tally);
	if (!tally.acked)
		return oracle_unknown(ret_finding,
				      "no record was acknowledged");
	if (!reads->done || writes->truncated || reads->truncated)
		return oracle_unknown(ret_finding, "%s",
				      !reads->done
					      ? "the reader never said `done`"
					      : "the ledger was cut");
	expected = words_say("every acknowledged record is there, once");
	if (!expected)
		return -ENOMEM;
	if (reads->bad_invariant.n)
		return oracle_fail(ret_finding, expected,
				   "invariant %.*s is "
				   "bad",
				   (int)reads->bad_invariant.n,
				   reads->bad_invariant.at);
	if (!tally.first)
		return oracle_pass(ret_finding, expected,
				   "all %zu acknowledged records are there",
				   tally.acked);
	return oracle_fail(ret_finding, expected,
			   "of %zu acknowledged: %zu lost, %zu altered; %zu "
			   "duplicated, %zu phantom; the first is %.*s %.*s",
			   tally.acked, tally.lost, tally.altered,
			   tally.duplicated, tally.phantom,
			   (int)tally.first->stream.n, tally.first->stream.at,
			   (int)tally.first->id.n, tally.first->id.at);
}

static int judge(const struct expect *expect, const struct evidence *evidence,
		 struct finding *ret_finding)
{
	const struct command_seen *reader = oracle_command(evidence, expect);
	struct rows writes = { 0 }, reads = { 0 };
	int error;

	if (!reader || !reader->ending.started || !reader->output)
		return oracle_unknown(ret_finding, "the reader wasn't run%s%s",
				      reader && reader->output ? ": " : "",
				      reader && reader->output ? reader->output
							       : "");
	error = writers_read(evidence, &writes);
	if (!error)
		error = stream_read(&reads, reader->output, reader->bytes,
				    reader->truncated, true);
	if (!error)
		error = answer(expect, &writes, &reads, ret_finding);
	free(writes.items);
	free(reads.items);
	return error;
}

static int after(const struct expect *expect, struct evidence *evidence)
{
	_cleanup_words_ char *path = words_say("%s/ledger", evidence->run_dir);
	struct text *ledger = &evidence->ledger;
	int error;

	if (!path)
		return -ENOMEM;
	if (!ledger->bytes) {
		error = words_read(path, ORACLE_READER_BYTES, &ledger->bytes,
				   &ledger->count);
		if (error == -ENOMEM)
			return error;
		ledger->truncated = error == -EFBIG;
	}
	return oracle_command_run(expect, evidence, ORACLE_READER_BYTES);
}

/* One acknowledged record is no longer there: the reader found nothing. */
static int tamper(const struct expect *expect, struct evidence *evidence)
{
	struct command_seen *reader = oracle_command(evidence, expect);
	char *nothing = strdup("done\n");

	if (!reader || !nothing) {
		free(nothing);
		return reader ? -ENOMEM : -ENOTSUP;
	}
	free(reader->output);
	reader->output = nothing;
	reader->bytes = strlen(nothing);
	return 0;
}

const struct oracle oracle_ledger = {
	.after = after,
	.judge = judge,
	.tamper = tamper,
	.whole = true,
};
