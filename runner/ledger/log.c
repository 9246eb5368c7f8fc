#include "runner/ledger/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/oplog.h"

enum kind { KIND_INVOKE, KIND_ACK, KIND_FAIL, KIND_OTHER };

struct reading { /* one text of writers */
	struct ledger_log *log;
	uint64_t ns;
	uint32_t source;
	uint64_t acks; /* in this write */
	bool timed;
};

static struct ledger_word next_word(const char **at, const char *end)
{
	struct ledger_word word;

	while (*at < end && **at == ' ')
		++*at;
	word.at = *at;
	while (*at < end && **at != ' ' && **at != '\r')
		++*at;
	word.n = (size_t)(*at - word.at);
	return word;
}

static bool word_is(struct ledger_word word, const char *text)
{
	return word.n == strlen(text) && memcmp(word.at, text, word.n) == 0;
}

bool ledger_word_same(struct ledger_word a, struct ledger_word b)
{
	return a.n == b.n && (!a.n || memcmp(a.at, b.at, a.n) == 0);
}

bool ledger_precedes(const struct ledger_op *a, const struct ledger_op *b)
{
	if (a->end_at == LEDGER_NEVER)
		return false;
	if (a->end_source == b->source)
		return a->end_at < b->invoke_at;
	return a->end_ns && b->invoke_ns &&
	       a->end_ns + LEDGER_SKEW_NS < b->invoke_ns;
}

/* ---- tables -------------------------------------------------------------- */
static int grow(void *table, uint32_t count, uint32_t *room, size_t bytes)
{
	void **items = table, *more;
	uint32_t want = *room ? 2 * *room : 64;

	if (count < *room)
		return 0;
	if (count >= LEDGER_LINES_MAX)
		return -E2BIG;
	more = reallocarray(*items, want, bytes);
	if (!more)
		return -ENOMEM;
	*items = more;
	*room = want;
	return 0;
}

static int stream_get(struct ledger_log *log, struct ledger_word name,
		      uint32_t *ret_stream)
{
	int error;

	for (uint32_t i = 0; i < log->streams_count; i++)
		if (ledger_word_same(log->streams[i], name)) {
			*ret_stream = i;
			return 0;
		}
	error = grow(&log->streams, log->streams_count, &log->streams_room,
		     sizeof(*log->streams));
	if (error)
		return error;
	log->streams[log->streams_count] = name;
	*ret_stream = log->streams_count++;
	return 0;
}

static size_t key_place(const struct ledger_log *log, uint32_t stream,
			struct ledger_word id)
{
	size_t at = oplog_hash(id.at, id.n).a + stream;

	for (;; at++) {
		const struct ledger_key *key;

		at &= log->map_room - 1;
		if (log->map[at] == LEDGER_NONE)
			return at;
		key = &log->keys[log->map[at]];
		if (key->stream == stream && ledger_word_same(key->id, id))
			return at;
	}
}

static int map_grow(struct ledger_log *log)
{
	size_t room = log->map_room ? 2 * log->map_room : 256;
	uint32_t *map;

	if (2 * (size_t)log->keys_count < log->map_room)
		return 0;
	map = malloc(room * sizeof(*map));
	if (!map)
		return -ENOMEM;
	memset(map, 0xff, room * sizeof(*map));
	free(log->map);
	log->map = map;
	log->map_room = room;
	for (uint32_t i = 0; i < log->keys_count; i++)
		map[key_place(log, log->keys[i].stream, log->keys[i].id)] = i;
	return 0;
}

static int key_get(struct ledger_log *log, struct ledger_word stream_name,
		   struct ledger_word id, uint32_t *ret_key)
{
	uint32_t stream = 0;
	int error = stream_get(log, stream_name, &stream);
	size_t at;

	if (!error)
		error = grow(&log->keys, log->keys_count, &log->keys_room,
			     sizeof(*log->keys));
	if (!error)
		error = map_grow(log);
	if (error)
		return error;
	at = key_place(log, stream, id);
	if (log->map[at] == LEDGER_NONE) {
		log->keys[log->keys_count] = (struct ledger_key){
			.stream = stream,
			.id = id,
			.last_op = LEDGER_NONE,
		};
		log->map[at] = log->keys_count++;
	}
	*ret_key = log->map[at];
	return 0;
}

/* ---- what writers say ---------------------------------------------------- */
static int op_add(struct reading *reading, uint32_t key,
		  struct ledger_word value)
{
	struct ledger_log *log = reading->log;
	int error = grow(&log->ops, log->ops_count, &log->ops_room,
			 sizeof(*log->ops));

	if (error)
		return error;
	log->ops[log->ops_count] = (struct ledger_op){
		.key = key,
		.previous = log->keys[key].last_op,
		.value = value,
		.source = reading->source,
		.attempts = 1,
		.invoke_at = log->lines,
		.end_at = LEDGER_NEVER,
		.invoke_ns = reading->ns,
	};
	log->keys[key].last_op = log->ops_count++;
	return 0;
}

/* The latest request of this key and value whose outcome isn't known yet.  An
 * outcome that names no value is that of the latest one. */
static uint32_t op_open(const struct ledger_log *log, uint32_t key,
			struct ledger_word value)
{
	for (uint32_t i = log->keys[key].last_op; i != LEDGER_NONE;
	     i = log->ops[i].previous) {
		const struct ledger_op *op = &log->ops[i];

		if (op->outcome == LEDGER_UNKNOWN &&
		    (!value.n || ledger_word_same(op->value, value)))
			return i;
	}
	return LEDGER_NONE;
}

/* An answer may overtake its request, if they take two channels. */
static uint32_t op_answered(const struct reading *reading, uint32_t key,
			    struct ledger_word value)
{
	uint32_t i = reading->log->keys[key].last_op;
	const struct ledger_op *op =
		i == LEDGER_NONE ? NULL : &reading->log->ops[i];

	if (op && !op->attempts && op->source != reading->source &&
	    op->end_ns + LEDGER_SKEW_NS > reading->ns &&
	    ledger_word_same(op->value, value))
		return i;
	return LEDGER_NONE;
}

static int op_take(struct reading *reading, enum kind kind, uint32_t key,
		   struct ledger_word value)
{
	struct ledger_log *log = reading->log;
	uint32_t i = op_open(log, key, value);
	struct ledger_op *op;
	int error;

	if (kind == KIND_INVOKE && i == LEDGER_NONE)
		i = op_answered(reading, key, value);
	if (kind == KIND_INVOKE && i != LEDGER_NONE &&
	    ledger_word_same(log->ops[i].value, value)) {
		log->ops[i].attempts++;
		return 0;
	}
	if (kind == KIND_INVOKE || i == LEDGER_NONE) {
		error = op_add(reading, key, value);
		if (error || kind == KIND_INVOKE)
			return error;
		i = log->ops_count - 1;
		log->ops[i].attempts = 0;
	}
	op = &log->ops[i];
	op->outcome = kind == KIND_ACK ? LEDGER_ACKED : LEDGER_FAILED;
	op->end_at = log->lines;
	op->end_ns = reading->ns;
	op->end_source = reading->source;
	return 0;
}

static enum kind kind_of(struct ledger_word word)
{
	return word_is(word, "invoke") ? KIND_INVOKE
	       : word_is(word, "ack")  ? KIND_ACK
	       : word_is(word, "fail") ? KIND_FAIL
				       : KIND_OTHER;
}

static void write_ends(struct reading *reading)
{
	if (reading->timed && reading->acks > 1)
		reading->log->acks_buffered += reading->acks;
	reading->acks = 0;
}

static void stamp_take(struct reading *reading, const char *at, const char *end)
{
	struct ledger_word ns, source;

	write_ends(reading);
	at++;
	ns = next_word(&at, end);
	source = next_word(&at, end);
	reading->ns = strtoull(ns.at, NULL, 10);
	reading->source = (uint32_t)strtoul(source.at, NULL, 10);
	reading->timed = true;
}

static int write_line(struct reading *reading, const char *at, const char *end)
{
	struct ledger_word stream, id, value;
	enum kind kind;
	uint32_t key = 0;
	int error;

	if (*at == '@') {
		stamp_take(reading, at, end);
		return 0;
	}
	kind = kind_of(next_word(&at, end));
	stream = next_word(&at, end);
	id = next_word(&at, end);
	value = next_word(&at, end);
	if (kind == KIND_OTHER || !id.n)
		return 0;
	error = key_get(reading->log, stream, id, &key);
	if (!error)
		error = op_take(reading, kind, key, value);
	reading->log->lines++;
	reading->log->acks += kind == KIND_ACK;
	reading->acks += kind == KIND_ACK;
	return error;
}

int ledger_log_write(struct ledger_log *log, const char *bytes, size_t count)
{
	struct reading reading = { .log = log };
	const char *end = bytes + count;
	int error = 0;

	while (bytes < end && !error) {
		const char *line = memchr(bytes, '\n', (size_t)(end - bytes));

		if (!line)
			break;
		error = write_line(&reading, bytes, line);
		bytes = line + 1;
	}
	write_ends(&reading);
	return error;
}

/* ---- what the reader says ------------------------------------------------ */
static int read_line(struct ledger_log *log, const char *at, const char *end)
{
	struct ledger_word first = next_word(&at, end);
	struct ledger_word stream = next_word(&at, end);
	struct ledger_word id = next_word(&at, end);
	struct ledger_word value = next_word(&at, end);
	struct ledger_key *key;
	uint32_t number = 0;
	int error;

	log->done |= word_is(first, "done");
	if (word_is(first, "invariant") && !word_is(id, "ok"))
		log->bad_invariant = stream;
	if (!word_is(first, "present") || !id.n)
		return 0;
	error = key_get(log, stream, id, &number);
	if (!error)
		error = grow(&log->presents, log->presents_count,
			     &log->presents_room, sizeof(*log->presents));
	if (error)
		return error;
	key = &log->keys[number];
	if (!key->presents++)
		key->first_present = log->presents_count;
	log->presents[log->presents_count++] =
		(struct ledger_present){ .key = number, .value = value };
	return 0;
}

int ledger_log_read(struct ledger_log *log, const char *bytes, size_t count)
{
	const char *end = bytes + count;
	int error = 0;

	while (bytes < end && !error) {
		const char *line = memchr(bytes, '\n', (size_t)(end - bytes));

		if (!line)
			break;
		error = read_line(log, bytes, line);
		bytes = line + 1;
	}
	return error;
}

void ledger_log_clear(struct ledger_log *log)
{
	free(log->streams);
	free(log->keys);
	free(log->ops);
	free(log->presents);
	free(log->map);
	*log = (struct ledger_log){ 0 };
}
