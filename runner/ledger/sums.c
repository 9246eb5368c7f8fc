#include "runner/ledger/sums.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct span { /* what a sum may be */
	int64_t low, high;
};

static bool number_read(struct ledger_word word, int64_t *ret)
{
	char text[32], *end;

	if (!word.n || word.n >= sizeof(text))
		return false;
	memcpy(text, word.at, word.n);
	text[word.n] = '\0';
	errno = 0;
	*ret = strtoll(text, &end, 10);
	return !errno && !*end;
}

static void span_add(struct span *span, int64_t value, bool certain)
{
	if (certain || value < 0)
		__builtin_add_overflow(span->low, value, &span->low);
	if (certain || value > 0)
		__builtin_add_overflow(span->high, value, &span->high);
}

/* Was it done for certain?  Whoever may lose it can't count on it. */
static bool is_certain(const struct tallying *t, const struct ledger_op *op)
{
	return op->outcome == LEDGER_ACKED && !tally_excused(t, op);
}

static int64_t present_value(const struct tallying *t, uint32_t key)
{
	const struct ledger_log *log = t->log;
	int64_t value = 0;

	if (log->keys[key].presents)
		number_read(log->presents[log->keys[key].first_present].value,
			    &value);
	return value;
}

static void span_judge(struct tallying *t, uint32_t key, struct span span)
{
	int64_t value = present_value(t, key);

	if (t->log->keys[key].presents > 1)
		tally_wrong(t, key, CLASS_ALTERED); /* two answers */
	if (value < span.low)
		tally_wrong(t, key, CLASS_LOST);
	else if (value > span.high && !t->rules->promise.repeats)
		tally_wrong(t, key,
			    t->log->keys[key].last_op == LEDGER_NONE &&
					    span.high == 0
				    ? CLASS_PHANTOM
				    : CLASS_DUPLICATED);
}

void counter_judge(struct tallying *t, uint32_t stream)
{
	const struct ledger_log *log = t->log;

	for (uint32_t key = 0; key < log->keys_count; key++) {
		struct span span = { 0 };

		if (log->keys[key].stream != stream)
			continue;
		for (uint32_t i = log->keys[key].last_op; i != LEDGER_NONE;
		     i = log->ops[i].previous) {
			const struct ledger_op *op = &log->ops[i];
			int64_t value = 1;

			if (op->outcome == LEDGER_FAILED)
				continue;
			number_read(op->value, &value);
			span_add(&span, value, is_certain(t, op));
			t->tally.acked += op->outcome == LEDGER_ACKED;
		}
		span_judge(t, key, span);
	}
}

/* ---- a bank ---------------------------------------------------------------
 */
struct transfer {
	struct ledger_word from, to;
	int64_t amount;
};

static bool transfer_read(struct ledger_word value, struct transfer *ret)
{
	const char *end = value.at + value.n;
	const char *first = memchr(value.at, ':', value.n);
	const char *last = memrchr(value.at, ':', value.n);

	if (!first || first == last)
		return false;
	ret->from =
		(struct ledger_word){ value.at, (size_t)(first - value.at) };
	ret->to = (struct ledger_word){ first + 1, (size_t)(last - first) - 1 };
	return number_read(
		(struct ledger_word){ last + 1, (size_t)(end - last) - 1 },
		&ret->amount);
}

static bool is_outside(struct ledger_word account)
{
	return account.n == 1 && *account.at == '-';
}

/* Accounts are what the reader names; who is named nowhere has nothing. */
static struct span *account_span(struct tallying *t, struct span *spans,
				 uint32_t stream, struct ledger_word account)
{
	for (uint32_t i = 0; i < t->log->presents_count; i++) {
		uint32_t key = t->log->presents[i].key;

		if (t->log->keys[key].stream == stream &&
		    ledger_word_same(t->log->keys[key].id, account))
			return &spans[key];
	}
	return NULL;
}

/* All transfers of a stream; *ret_total: what came from outside. */
static void transfers_add(struct tallying *t, struct span *spans,
			  uint32_t stream, struct span *ret_total)
{
	for (uint32_t i = 0; i < t->log->ops_count; i++) {
		const struct ledger_op *op = &t->log->ops[i];
		bool certain = is_certain(t, op);
		struct transfer transfer;
		struct span *span;

		if (t->log->keys[op->key].stream != stream ||
		    op->outcome == LEDGER_FAILED ||
		    !transfer_read(op->value, &transfer))
			continue;
		t->tally.acked += op->outcome == LEDGER_ACKED;
		if (is_outside(transfer.from) != is_outside(transfer.to))
			span_add(ret_total,
				 is_outside(transfer.from) ? transfer.amount
							   : -transfer.amount,
				 certain);
		span = account_span(t, spans, stream, transfer.from);
		if (span)
			span_add(span, -transfer.amount, certain);
		span = account_span(t, spans, stream, transfer.to);
		if (span)
			span_add(span, transfer.amount, certain);
	}
}

int bank_judge(struct tallying *t, uint32_t stream)
{
	const struct ledger_log *log = t->log;
	struct span *spans = calloc(log->keys_count + 1u, sizeof(*spans));
	struct span total = { 0 };
	uint32_t some = LEDGER_NONE;
	int64_t sum = 0;

	if (!spans)
		return -ENOMEM;
	transfers_add(t, spans, stream, &total);
	for (uint32_t key = 0; key < log->keys_count; key++) {
		if (log->keys[key].stream != stream)
			continue;
		some = some == LEDGER_NONE ? key : some;
		if (!log->keys[key].presents)
			continue;
		some = key;
		span_judge(t, key, spans[key]);
		__builtin_add_overflow(sum, present_value(t, key), &sum);
	}
	if (some != LEDGER_NONE && sum < total.low)
		tally_wrong(t, some, CLASS_LOST);
	else if (some != LEDGER_NONE && sum > total.high)
		tally_wrong(t, some, CLASS_ALTERED);
	free(spans);
	return 0;
}
