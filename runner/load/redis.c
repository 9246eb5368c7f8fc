/* redis.c - SET of a key of its own, RPUSH to a list, INCR of a counter. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "runner/load/load.h"

#define WORDS_MAX 8

/* What is asked again isn't done again: the key is remembered with it. */
static const char push_once[] =
	"if redis.call('SADD', KEYS[1] .. ':keys', ARGV[1]) == 1 then "
	"redis.call('RPUSH', KEYS[1], ARGV[1]) end return 'OK'";
static const char count_once[] =
	"if redis.call('SADD', KEYS[1] .. ':keys', ARGV[1]) == 1 then "
	"redis.call('INCR', KEYS[1]) end return 'OK'";

static int redis_open(struct load_client *client)
{
	const char *where = client->options->where;
	char host[256], port[256];

	if (strchr(where, '/'))
		return wire_connect(client, where, NULL);
	if (!wire_host_port(where, strlen(where), "6379", host, port))
		return wire_fail(client, -EINVAL, "%s is no HOST:PORT", where);
	return wire_connect(client, host, port);
}

/* words - up to the NULL. */
static int command_send(struct load_client *client, ...)
{
	const char *words[WORDS_MAX];
	char text[4096];
	size_t count = 0, n;
	va_list args;

	va_start(args, client);
	while (count < WORDS_MAX && (words[count] = va_arg(args, char *)))
		count++;
	va_end(args);
	n = (size_t)snprintf(text, sizeof(text), "*%zu\r\n", count);
	for (size_t i = 0; i < count && n < sizeof(text); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
				      "$%zu\r\n%s\r\n", strlen(words[i]),
				      words[i]);
	return n < sizeof(text) ? wire_send(client, text, n) : -E2BIG;
}

static int redis_send(struct load_client *client, const char *id)
{
	const struct load_options *options = client->options;
	char key[256];

	if (load_op_is(client, "set")) {
		snprintf(key, sizeof(key), "%s:%s", options->stream, id);
		return command_send(client, "SET", key, "1", NULL);
	}
	if (load_op_is(client, "rpush"))
		return options->no_key
			       ? command_send(client, "RPUSH", options->stream,
					      id, NULL)
			       : command_send(client, "EVAL", push_once, "1",
					      options->stream, id, NULL);
	return options->no_key
		       ? command_send(client, "INCR", options->stream, NULL)
		       : command_send(client, "EVAL", count_once, "1",
				      options->stream, id, NULL);
}

/* A word on one line, of a length, or nothing; a list: *ret_list items. */
struct value {
	char type;
	long number;
	char text[512];
};

static int value_receive(struct load_client *client, struct value *value)
{
	size_t n, used;
	int error = wire_line(client, &n, &used);

	if (error)
		return error;
	value->type = n ? client->in[0] : '\0';
	snprintf(value->text, sizeof(value->text), "%.*s", n ? (int)n - 1 : 0,
		 client->in + 1);
	value->number = atol(value->text);
	wire_drop(client, used);
	if (value->type != '$' || value->number < 0)
		return 0;
	error = wire_want(client, (size_t)value->number + 2);
	if (error)
		return error;
	snprintf(value->text, sizeof(value->text), "%.*s", (int)value->number,
		 client->in);
	wire_drop(client, (size_t)value->number + 2);
	return 0;
}

static enum load_answer redis_receive(struct load_client *client, bool again)
{
	struct value value;

	(void)again;
	if (value_receive(client, &value) < 0)
		return LOAD_UNKNOWN;
	if (value.type != '-')
		return LOAD_DONE;
	wire_fail(client, 0, "%.150s", value.text);
	/* LOADING, MASTERDOWN, BUSY, MISCONF ...: nothing was done */
	return LOAD_UNSENT;
}

static int list_read(struct load_client *client, FILE *out)
{
	struct value value;
	int error = command_send(client, "LRANGE", client->options->stream, "0",
				 "-1", NULL);
	long count;

	if (!error)
		error = value_receive(client, &value);
	if (!error && value.type != '*')
		return wire_fail(client, -EPROTO, "LRANGE: %.150s", value.text);
	count = error ? 0 : value.number;
	while (!error && count-- > 0) {
		error = value_receive(client, &value);
		if (!error)
			fprintf(out, "present %s %s\n", client->options->stream,
				value.text);
	}
	return error;
}

static int counter_read(struct load_client *client, FILE *out)
{
	struct value value;
	int error = command_send(client, "GET", client->options->stream, NULL);

	if (!error)
		error = value_receive(client, &value);
	if (!error && value.type == '$' && value.number >= 0)
		fprintf(out, "present %s count %s\n", client->options->stream,
			value.text);
	return error;
}

/* One round of SCAN; *cursor "0" again: that was all. */
static int scan_once(struct load_client *client, char cursor[64], FILE *out)
{
	const char *stream = client->options->stream;
	size_t head = strlen(stream) + 1;
	struct value value;
	char match[256];
	long count;
	int error;

	snprintf(match, sizeof(match), "%s:*", stream);
	error = command_send(client, "SCAN", cursor, "MATCH", match, "COUNT",
			     "1000", NULL);
	if (!error)
		error = value_receive(client, &value);
	if (!error && value.type != '*')
		return wire_fail(client, -EPROTO, "SCAN: %.150s", value.text);
	if (!error)
		error = value_receive(client, &value);
	if (!error)
		snprintf(cursor, 64, "%.60s", value.text);
	if (!error)
		error = value_receive(client, &value);
	count = error ? 0 : value.number;
	while (!error && count-- > 0) {
		error = value_receive(client, &value);
		if (!error && strlen(value.text) > head)
			fprintf(out, "present %s %s\n", stream,
				value.text + head);
	}
	return error;
}

static int redis_read(struct load_client *client, FILE *out)
{
	char cursor[64] = "0";
	int error = redis_open(client);

	if (error)
		return error;
	if (load_op_is(client, "rpush"))
		return list_read(client, out);
	if (load_op_is(client, "incr"))
		return counter_read(client, out);
	do
		error = scan_once(client, cursor, out);
	while (!error && strcmp(cursor, "0") != 0);
	return error;
}

const struct load_driver load_redis = {
	.name = "redis",
	.where = "HOST:PORT, or the path of a socket",
	.ops = "set|rpush|incr",
	.open = redis_open,
	.send = redis_send,
	.receive = redis_receive,
	.read = redis_read,
};
