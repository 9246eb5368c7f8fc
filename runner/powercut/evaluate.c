/* evaluate.c - acknowledged and not there, there and never asked for. */
#include "runner/powercut/evaluate.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum line_kind { LINE_INVOKE, LINE_ACK, LINE_FAIL, LINE_PRESENT, LINE_KINDS };

const char *const violation_names[VIOLATION_COUNT] = {
	"lost",	    "corrupt",	      "non-atomic",    "inconsistent",
	"no-start", "recovery-crash", "recovery-hang",
};

struct word {
	const char *at;
	uint32_t n;
};

static struct word next_word(const char **at, const char *end)
{
	struct word word;

	while (*at < end && **at == ' ')
		++*at;
	word.at = *at;
	while (*at < end && **at != ' ' && **at != '\r')
		++*at;
	word.n = (uint32_t)(*at - word.at);
	return word;
}

static bool word_is(struct word word, const char *text)
{
	return word.n == strlen(text) && !memcmp(word.at, text, word.n);
}

/* ---- keys ---------------------------------------------------------------- */
static size_t key_place(const struct ledger *ledger, const char *text,
			uint32_t bytes)
{
	size_t at = oplog_hash(text, bytes).a;

	for (;; at++) {
		const struct ledger_key *key;

		at &= ledger->map_room - 1;
		if (ledger->map[at] == NONE)
			return at;
		key = &ledger->keys[ledger->map[at]];
		if (key->bytes == bytes && !memcmp(key->text, text, bytes))
			return at;
	}
}

static int keys_grow(struct ledger *ledger)
{
	size_t room = ledger->map_room ? 2 * ledger->map_room : 256;
	uint32_t *map;

	if (ledger->keys_count == ledger->keys_room) {
		uint32_t more = ledger->keys_room ? 2 * ledger->keys_room : 64;
		struct ledger_key *keys =
			reallocarray(ledger->keys, more, sizeof(*keys));

		if (!keys)
			return -ENOMEM;
		ledger->keys = keys;
		ledger->keys_room = more;
	}
	if (2 * ledger->keys_count < ledger->map_room)
		return 0;
	map = malloc(room * sizeof(*map));
	if (!map)
		return -ENOMEM;
	memset(map, 0xff, room * sizeof(*map));
	free(ledger->map);
	ledger->map = map;
	ledger->map_room = room;
	for (uint32_t i = 0; i < ledger->keys_count; i++)
		map[key_place(ledger, ledger->keys[i].text,
			      ledger->keys[i].bytes)] = i;
	return 0;
}

/* Keys have a text of their own: an answer may go before the ledger does. */
static int key_get(struct ledger *ledger, struct word stream, struct word id,
		   uint32_t *ret_key)
{
	uint32_t bytes = (uint32_t)(id.at + id.n - stream.at);
	int error = keys_grow(ledger);
	size_t at;

	if (error)
		return error;
	at = key_place(ledger, stream.at, bytes);
	if (ledger->map[at] == NONE) {
		char *text = strndup(stream.at, bytes);

		if (!text)
			return -ENOMEM;
		ledger->keys[ledger->keys_count] = (struct ledger_key){
			.text = text,
			.bytes = bytes,
			.stream = stream.n,
			.last = NONE,
		};
		ledger->map[at] = ledger->keys_count++;
	}
	*ret_key = ledger->map[at];
	return 0;
}

/* ---- reading ------------------------------------------------------------- */
static int line_kind(struct word word)
{
	static const char *const kinds[] = { "invoke", "ack", "fail",
					     "present" };

	for (int i = 0; i < LINE_KINDS; i++)
		if (word_is(word, kinds[i]))
			return i;
	return -1;
}

int ledger_read(const struct history *history, struct ledger *ret_ledger)
{
	struct ledger ledger = { 0 };
	int error = 0;

	ledger.rows =
		calloc((size_t)history->ops_count + 1, sizeof(*ledger.rows));
	if (!ledger.rows)
		return -ENOMEM;
	for (uint32_t i = 0; i < history->ops_count && !error; i++) {
		const struct op *op = &history->ops[i];
		const char *at = op->text, *end = at + op->text_bytes;
		struct ledger_row *row = &ledger.rows[ledger.count];
		struct word first, stream, id, value;
		int kind;

		if (op->kind != OPLOG_LEDGER)
			continue;
		first = next_word(&at, end);
		stream = next_word(&at, end);
		id = next_word(&at, end);
		value = next_word(&at, end);
		kind = line_kind(first);
		ledger.count++;
		row->kind = LINE_KINDS; /* of no meaning, but counted */
		row->time_ns = op->time_ns;
		if (!id.n || kind < 0 || kind == LINE_PRESENT)
			continue;
		row->kind = (uint8_t)kind;
		row->value = value.at;
		row->value_bytes = value.n;
		ledger.acks += kind == LINE_ACK;
		error = key_get(&ledger, stream, id, &row->key);
		if (!error) {
			row->previous = ledger.keys[row->key].last;
			ledger.keys[row->key].last = ledger.count - 1;
		}
	}
	ledger.keys_own = ledger.keys_count;
	if (error) {
		ledger_clear(&ledger);
		return error;
	}
	*ret_ledger = ledger;
	return 0;
}

void ledger_clear(struct ledger *ledger)
{
	for (uint32_t i = 0; i < ledger->keys_count; i++)
		free(ledger->keys[i].text);
	free(ledger->rows);
	free(ledger->keys);
	free(ledger->map);
	*ledger = (struct ledger){ 0 };
}

static void violates(struct answer *answer, enum violation what,
		     const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void violates(struct answer *answer, enum violation what,
		     const char *format, ...)
{
	va_list args;

	answer->violations |= 1u << what;
	if (answer->says)
		return;
	va_start(args, format);
	if (vasprintf(&answer->says, format, args) < 0)
		answer->says = NULL;
	va_end(args);
}

static void violation_line(struct answer *answer, const char *at,
			   const char *end)
{
	struct word name = next_word(&at, end);

	while (at < end && *at == ' ')
		at++;
	for (int i = 0; i < VIOLATION_COUNT; i++)
		if (word_is(name, violation_names[i])) {
			violates(answer, (enum violation)i, "%.*s",
				 (int)(end - at), at);
			return;
		}
	violates(answer, VIOLATION_INCONSISTENT, "%.*s %.*s", (int)name.n,
		 name.at, (int)(end - at), at);
}

static int answer_line(struct ledger *ledger, struct answer *answer,
		       uint32_t *room, const char *at, const char *end)
{
	struct word first = next_word(&at, end), stream, id, value;
	struct present *more;

	if (word_is(first, "done")) {
		answer->done = answer->speaks = true;
	} else if (word_is(first, "invariant")) {
		struct word name = next_word(&at, end);

		answer->speaks = true;
		if (!word_is(next_word(&at, end), "ok"))
			violates(answer, VIOLATION_INCONSISTENT,
				 "invariant %.*s doesn't hold", (int)name.n,
				 name.at);
	} else if (word_is(first, "violation")) {
		violation_line(answer, at, end);
	} else if (word_is(first, "present")) {
		stream = next_word(&at, end);
		id = next_word(&at, end);
		value = next_word(&at, end);
		if (!id.n)
			return 0;
		answer->speaks = true;
		if (answer->count == *room) {
			*room = *room ? 2 * *room : 64;
			more = reallocarray(answer->presents, *room,
					    sizeof(*more));
			if (!more)
				return -ENOMEM;
			answer->presents = more;
		}
		answer->presents[answer->count].value = value.at;
		answer->presents[answer->count].value_bytes = value.n;
		return key_get(ledger, stream, id,
			       &answer->presents[answer->count++].key);
	}
	return 0;
}

/* What a shell makes of a command that a signal ended. */
static bool is_crash_status(int status)
{
	return status == 128 + SIGSEGV || status == 128 + SIGABRT ||
	       status == 128 + SIGBUS || status == 128 + SIGILL ||
	       status == 128 + SIGFPE;
}

/* The last line that isn't of the ledger, for people. */
static const char *last_words(const struct outcome *outcome, int *n)
{
	const char *end = outcome->text + outcome->bytes, *at;

	*n = 0;
	if (!outcome->bytes)
		return "";
	while (end > outcome->text && (end[-1] == '\n' || end[-1] == ' '))
		end--;
	at = memrchr(outcome->text, '\n', (size_t)(end - outcome->text));
	at = at ? at + 1 : outcome->text;
	*n = (int)(end - at) > 160 ? 160 : (int)(end - at);
	return at;
}

static void ending_judge(struct answer *answer)
{
	const struct outcome *outcome = answer->outcome;
	const char *who = outcome->recovering ? "the recovery" : "the checker";
	const char *words;
	int n;

	words = last_words(outcome, &n);
	switch (outcome->kind) {
	case OUTCOME_HUNG:
		violates(answer, VIOLATION_RECOVERY_HANG,
			 "%s was still running at the timeout", who);
		break;
	case OUTCOME_SIGNALLED:
		violates(answer, VIOLATION_RECOVERY_CRASH,
			 "%s was killed by signal %d (%s)%s%.*s", who,
			 outcome->status, strsignal(outcome->status),
			 n ? ": " : "", n, words);
		break;
	case OUTCOME_EXITED:
		if (outcome->status && is_crash_status(outcome->status))
			violates(answer, VIOLATION_RECOVERY_CRASH,
				 "%s crashed, exit status %d", who,
				 outcome->status);
		else if (outcome->status && !answer->violations)
			violates(answer,
				 outcome->recovering ? VIOLATION_NO_START
						     : VIOLATION_INCONSISTENT,
				 "%s ended with exit status %d%s%.*s", who,
				 outcome->status, n ? ": " : "", n, words);
		break;
	}
}

int answer_read(struct ledger *ledger, const struct outcome *outcome,
		struct answer *ret_answer)
{
	struct answer answer = { .outcome = outcome };
	const char *at = outcome->text, *end = at + outcome->bytes;
	uint32_t room = 0;
	int error = 0;

	while (at && at < end && !error) {
		const char *line = memchr(at, '\n', (size_t)(end - at));

		line = line ? line : end;
		error = answer_line(ledger, &answer, &room, at, line);
		at = line + 1;
	}
	ending_judge(&answer);
	*ret_answer = answer;
	return error;
}

void answer_clear(struct answer *answer)
{
	free(answer->presents);
	free(answer->says);
	*answer = (struct answer){ 0 };
}

/* ---- evaluating ---------------------------------------------------------- */
static void say(char **says, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void say(char **says, const char *format, ...)
{
	va_list args;

	if (!says || *says)
		return;
	va_start(args, format);
	if (vasprintf(says, format, args) < 0)
		*says = NULL;
	va_end(args);
}

static unsigned lost_check(const struct evaluation *evaluation, uint32_t lines,
			   uint64_t now_ns, char **says)
{
	const struct ledger *ledger = evaluation->ledger;
	const struct promise *promise = &evaluation->promise;
	uint32_t until = lines;

	if (promise->kind == PROMISE_NONE)
		return 0;
	if (promise->kind == PROMISE_PREFIX) {
		/* Up to the last that is there, all must be. */
		while (until &&
		       (ledger->rows[until - 1].kind != LINE_ACK ||
			!evaluation->present[ledger->rows[until - 1].key]))
			until--;
	}
	for (uint32_t i = 0; i < until; i++) {
		const struct ledger_row *row = &ledger->rows[i];
		const struct ledger_key *key;

		if (row->kind != LINE_ACK || evaluation->present[row->key])
			continue;
		if (promise->kind == PROMISE_WINDOW &&
		    row->time_ns + promise->window_ns > now_ns)
			continue;
		key = &ledger->keys[row->key];
		say(says, "%.*s was acknowledged and isn't there",
		    (int)key->bytes, key->text);
		return 1u << VIOLATION_LOST;
	}
	return 0;
}

static bool same_value(const struct present *present,
		       const struct ledger_row *row)
{
	return present->value_bytes == row->value_bytes &&
	       !memcmp(present->value, row->value, row->value_bytes);
}

/* The value of the last acknowledgement, or of a request after it. */
static unsigned value_check(const struct evaluation *evaluation,
			    const struct present *present, uint32_t lines,
			    char **says)
{
	const struct ledger *ledger = evaluation->ledger;
	const struct ledger_key *key = &ledger->keys[present->key];
	bool old = false, acked = false;

	if (!present->value_bytes)
		return 0;
	for (uint32_t i = key->last; i != NONE; i = ledger->rows[i].previous) {
		const struct ledger_row *row = &ledger->rows[i];

		if (row->kind >= LINE_FAIL || !row->value_bytes)
			continue;
		if (same_value(present, row) && !acked)
			return 0;
		old |= same_value(present, row);
		acked |= row->kind == LINE_ACK && i < lines;
	}
	if (!acked) /* nothing was promised of it yet */
		return 0;
	if (old && evaluation->promise.kind != PROMISE_STRICT)
		return 0;
	say(says, "%.*s holds %s value", (int)key->bytes, key->text,
	    old ? "an older" : "another");
	return 1u << (old ? VIOLATION_LOST : VIOLATION_CORRUPT);
}

void ledger_before(struct ledger *ledger, const struct answer *answer)
{
	for (uint32_t i = 0; i < answer->count; i++)
		ledger->keys[answer->presents[i].key].before = true;
}

/* There, in a stream that is kept, and neither asked for nor there before. */
static bool is_phantom(const struct ledger *ledger, uint32_t key)
{
	const struct ledger_key *asked = &ledger->keys[key];

	if (key < ledger->keys_own || asked->before)
		return false;
	for (uint32_t i = 0; i < ledger->keys_own; i++)
		if (ledger->keys[i].stream == asked->stream &&
		    !memcmp(ledger->keys[i].text, asked->text, asked->stream))
			return true;
	return false;
}

static unsigned presents_check(const struct evaluation *evaluation,
			       const struct answer *answer, uint32_t lines,
			       char **says)
{
	const struct ledger *ledger = evaluation->ledger;
	unsigned found = 0;

	for (uint32_t i = 0; i < answer->count; i++) {
		const struct present *present = &answer->presents[i];
		const struct ledger_key *key = &ledger->keys[present->key];

		if (evaluation->present[present->key]++ == 1) {
			say(says, "%.*s is there twice", (int)key->bytes,
			    key->text);
			found |= 1u << VIOLATION_INCONSISTENT;
		}
		if (evaluation->present[present->key] > 2)
			evaluation->present[present->key] = 2;
	}
	for (uint32_t i = 0; i < answer->count; i++) {
		const struct present *present = &answer->presents[i];
		const struct ledger_key *key = &ledger->keys[present->key];

		found |= value_check(evaluation, present, lines, says);
		if (is_phantom(ledger, present->key)) {
			say(says, "%.*s is there, and nobody asked for it",
			    (int)key->bytes, key->text);
			found |= 1u << VIOLATION_INCONSISTENT;
		}
	}
	return found;
}

unsigned evaluate(const struct evaluation *evaluation,
		  const struct answer *answer, uint32_t lines, uint64_t now_ns,
		  char **says)
{
	const struct ledger *ledger = evaluation->ledger;
	unsigned found = answer->violations;

	if (says && answer->says)
		*says = strdup(answer->says);
	if (answer->outcome->kind != OUTCOME_EXITED ||
	    answer->outcome->status != 0 || !answer->speaks || !ledger->count)
		return found;
	if (!answer->done) {
		say(says, "the checker ended without saying done");
		return found | 1u << VIOLATION_INCONSISTENT;
	}
	memset(evaluation->present, 0, ledger->keys_count + 1);
	found |= presents_check(evaluation, answer, lines, says);
	found |= lost_check(evaluation, lines, now_ns, says);
	return found;
}
