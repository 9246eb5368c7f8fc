/* postgres.c - an INSERT a transaction, by PostgreSQL's protocol version 3
 * (its manual, chapter 55): startup, simple queries. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "runner/load/load.h"

#define QUERY_BYTES 1024

struct conninfo {
	char host[256], port[32], user[64], dbname[64], password[128];
};

static void conninfo_set(struct conninfo *info, const char *key, size_t n,
			 const char *value, size_t length)
{
	const struct {
		const char *key;
		char *to;
		size_t room;
	} keys[] = {
		{ "host", info->host, sizeof(info->host) },
		{ "port", info->port, sizeof(info->port) },
		{ "user", info->user, sizeof(info->user) },
		{ "dbname", info->dbname, sizeof(info->dbname) },
		{ "password", info->password, sizeof(info->password) },
	};

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		if (strlen(keys[i].key) == n && !strncmp(keys[i].key, key, n))
			snprintf(keys[i].to, keys[i].room, "%.*s", (int)length,
				 value);
}

/* "host=/run port=5432 user=u dbname=d", as libpq's, without quotes. */
static void conninfo_read(const char *text, struct conninfo *ret)
{
	*ret = (struct conninfo){ .host = "127.0.0.1",
				  .port = "5432",
				  .user = "postgres",
				  .dbname = "postgres" };
	while (*text) {
		size_t word = strcspn(text, " "), n = strcspn(text, "=");

		if (n < word)
			conninfo_set(ret, text, n, text + n + 1, word - n - 1);
		text += word;
		text += strspn(text, " ");
	}
}

static void put_u32(char *to, uint32_t value)
{
	value = htonl(value);
	memcpy(to, &value, sizeof(value));
}

static int startup_send(struct load_client *client, const struct conninfo *info)
{
	char text[512];
	size_t n = 8;

	put_u32(text + 4, 196608); /* 3.0 */
	n += (size_t)sprintf(text + n, "user") + 1;
	n += (size_t)sprintf(text + n, "%s", info->user) + 1;
	n += (size_t)sprintf(text + n, "database") + 1;
	n += (size_t)sprintf(text + n, "%s", info->dbname) + 1;
	text[n++] = '\0';
	put_u32(text, (uint32_t)n);
	return wire_send(client, text, n);
}

static int message_send(struct load_client *client, char type, const char *text)
{
	char message[QUERY_BYTES + 8];
	size_t n = strlen(text) + 1;

	if (n > QUERY_BYTES)
		return -E2BIG;
	message[0] = type;
	put_u32(message + 1, (uint32_t)n + 4);
	memcpy(message + 5, text, n);
	return wire_send(client, message, n + 5);
}

struct message {
	char type;
	const char *body; /* in client->in, until message_drop() */
	size_t bytes;
};

static int message_receive(struct load_client *client, struct message *ret)
{
	uint32_t bytes;
	int error = wire_want(client, 5);

	if (error)
		return error;
	memcpy(&bytes, client->in + 1, sizeof(bytes));
	bytes = ntohl(bytes);
	if (bytes < 4)
		return wire_fail(client, -EPROTO, "no PostgreSQL");
	error = wire_want(client, bytes + 1u);
	*ret = (struct message){ .type = client->in[0],
				 .body = client->in + 5,
				 .bytes = bytes - 4 };
	return error;
}

static void message_drop(struct load_client *client,
			 const struct message *message)
{
	wire_drop(client, message->bytes + 5);
}

/* Of an ErrorResponse: 'C' its SQLSTATE, 'M' its text. */
static void error_field(const struct message *message, char field, char *ret,
			size_t room)
{
	const char *at = message->body, *end = at + message->bytes;

	*ret = '\0';
	while (at < end && *at) {
		size_t n = strnlen(at + 1, (size_t)(end - at) - 1);

		if (*at == field)
			snprintf(ret, room, "%.*s", (int)n, at + 1);
		at += n + 2;
	}
}

static int authenticate(struct load_client *client, const struct message *reply,
			const struct conninfo *info)
{
	uint32_t how;

	if (reply->bytes < 4)
		return -EPROTO;
	memcpy(&how, reply->body, sizeof(how));
	how = ntohl(how);
	if (how == 0)
		return 0;
	if (how == 3)
		return message_send(client, 'p', info->password);
	return wire_fail(client, -EACCES,
			 "authentication method %u isn't known here; trust "
			 "or password, in pg_hba.conf",
			 how);
}

/* Up to ReadyForQuery. */
static int ready_await(struct load_client *client, const struct conninfo *info)
{
	struct message reply;
	int error = 0;
	char type = 0;

	while (!error && type != 'Z') {
		error = message_receive(client, &reply);
		if (error)
			break;
		type = reply.type;
		if (type == 'R')
			error = authenticate(client, &reply, info);
		if (type == 'E') {
			char text[150];

			error_field(&reply, 'M', text, sizeof(text));
			error = wire_fail(client, -ECONNREFUSED, "%s", text);
		}
		if (!error)
			message_drop(client, &reply);
	}
	return error;
}

static int postgres_open(struct load_client *client)
{
	struct conninfo info;
	char socket[64];
	int error;

	conninfo_read(client->options->where, &info);
	snprintf(socket, sizeof(socket), ".s.PGSQL.%s", info.port);
	error = wire_connect(client, info.host,
			     strchr(info.host, '/') ? socket : info.port);
	if (!error)
		error = startup_send(client, &info);
	if (!error)
		error = ready_await(client, &info);
	if (error)
		wire_close(client);
	return error;
}

static int postgres_send(struct load_client *client, const char *id)
{
	const struct load_options *options = client->options;
	char query[QUERY_BYTES];

	snprintf(query, sizeof(query), "INSERT INTO %s(id) VALUES('%s')%s",
		 options->stream, id,
		 options->no_key ? "" : " ON CONFLICT DO NOTHING");
	return message_send(client, 'Q', query);
}

/* Up to ReadyForQuery; rows go to out as `present`.  *ret_state: SQLSTATE of an
 * error, "" if there was none. */
static int result_receive(struct load_client *client, FILE *out,
			  char ret_state[8])
{
	struct message reply;
	char type = 0;
	int error = 0;

	*ret_state = '\0';
	while (!error && type != 'Z') {
		error = message_receive(client, &reply);
		if (error)
			break;
		type = reply.type;
		if (type == 'E') {
			error_field(&reply, 'C', ret_state, 8);
			error_field(&reply, 'M', client->why,
				    sizeof(client->why));
		}
		if (type == 'D' && out && reply.bytes > 6) {
			uint32_t n;

			memcpy(&n, reply.body + 2, sizeof(n));
			n = ntohl(n);
			if (n <= reply.bytes - 6)
				fprintf(out, "present %s %.*s\n",
					client->options->stream, (int)n,
					reply.body + 6);
		}
		message_drop(client, &reply);
	}
	return error;
}

static enum load_answer postgres_receive(struct load_client *client, bool again)
{
	char state[8];

	(void)again;
	if (result_receive(client, NULL, state) < 0)
		return LOAD_UNKNOWN;
	if (!*state)
		return LOAD_DONE;
	/* connection, rollback, resources, intervention, system: ask again */
	if (!strncmp(state, "08", 2) || !strncmp(state, "57", 2) ||
	    !strncmp(state, "58", 2) || !strncmp(state, "XX", 2))
		return LOAD_UNKNOWN;
	if (!strncmp(state, "40", 2) || !strncmp(state, "53", 2))
		return LOAD_UNSENT;
	return LOAD_REFUSED;
}

static int query_run(struct load_client *client, const char *query, FILE *out)
{
	char state[8];
	int error = message_send(client, 'Q', query);

	if (!error)
		error = result_receive(client, out, state);
	if (!error && *state)
		error = -EPROTO;
	return error;
}

static int postgres_prepare(struct load_client *client)
{
	char query[QUERY_BYTES];
	int error = postgres_open(client);

	snprintf(query, sizeof(query),
		 "CREATE TABLE IF NOT EXISTS %s(id text%s)",
		 client->options->stream,
		 client->options->no_key ? "" : " PRIMARY KEY");
	if (!error)
		error = query_run(client, query, NULL);
	wire_close(client);
	return error;
}

static int postgres_read(struct load_client *client, FILE *out)
{
	char query[QUERY_BYTES];
	int error = postgres_open(client);

	snprintf(query, sizeof(query), "SELECT id FROM %s",
		 client->options->stream);
	return error ? error : query_run(client, query, out);
}

const struct load_driver load_postgres = {
	.name = "postgres",
	.where = "'host=DIR port=N user=NAME dbname=NAME'",
	.ops = "insert",
	.open = postgres_open,
	.send = postgres_send,
	.receive = postgres_receive,
	.read = postgres_read,
	.prepare = postgres_prepare,
};
