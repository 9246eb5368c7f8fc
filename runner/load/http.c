/* http.c - a POST that carries its idempotency key; 2xx is done. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "runner/load/load.h"

#define REQUEST_BYTES 16384

struct url {
	char host[256], port[256];
	const char *path;
};

static bool url_read(const char *text, struct url *ret)
{
	const char *at = text + strlen("http://");
	size_t n;

	if (strncmp(text, "http://", strlen("http://")) != 0)
		return false;
	n = strcspn(at, "/");
	ret->path = at[n] ? at + n : "/";
	return wire_host_port(at, n, "80", ret->host, ret->port);
}

/* text with {id} replaced, behind what is in out already. */
static void put_with_id(char *out, size_t room, const char *text,
			const char *id)
{
	size_t n = strlen(out);

	while (*text && n + 1 < room) {
		if (!strncmp(text, "{id}", 4)) {
			snprintf(out + n, room - n, "%s", id);
			n += strlen(out + n);
			text += 4;
		} else {
			out[n++] = *text++;
			out[n] = '\0';
		}
	}
}

static int http_open(struct load_client *client)
{
	struct url url;

	if (!url_read(client->options->where, &url))
		return wire_fail(client, -EINVAL,
				 "%s is no http://HOST:PORT/PATH",
				 client->options->where);
	return wire_connect(client, url.host, url.port);
}

static int http_send(struct load_client *client, const char *id)
{
	const struct load_options *options = client->options;
	char request[REQUEST_BYTES], path[4096] = "", body[8192] = "";
	struct url url;
	int n;

	if (!url_read(options->where, &url))
		return -EINVAL;
	put_with_id(path, sizeof(path), url.path, id);
	put_with_id(body, sizeof(body),
		    options->body ? options->body : "{\"id\": \"{id}\"}\n", id);
	n = snprintf(request, sizeof(request),
		     "%s %s HTTP/1.1\r\nHost: %s:%s\r\nContent-Type: "
		     "application/json\r\nContent-Length: %zu\r\n%s%s%s\r\n%s",
		     options->method ? options->method : "POST", path, url.host,
		     url.port, strlen(body),
		     options->no_key ? "" : "Idempotency-Key: ",
		     options->no_key ? "" : id, options->no_key ? "" : "\r\n",
		     body);
	return n < 0 || (size_t)n >= sizeof(request)
		       ? -E2BIG
		       : wire_send(client, request, (size_t)n);
}

struct reply {
	int status;
	long length; /* -1: not said */
	bool chunked, closes;
};

static int head_receive(struct load_client *client, struct reply *reply)
{
	bool first = true;

	*reply = (struct reply){ .length = -1 };
	for (;;) {
		size_t n, used;
		int error = wire_line(client, &n, &used);
		char line[512];

		if (error)
			return error;
		snprintf(line, sizeof(line), "%.*s", (int)n, client->in);
		wire_drop(client, used);
		if (first && sscanf(line, "HTTP/%*s %d", &reply->status) != 1)
			return wire_fail(client, -EPROTO, "no HTTP: %.60s",
					 line);
		if (first && !strncmp(line, "HTTP/1.0", 8))
			reply->closes = true;
		if (!first && !n)
			return 0;
		if (!strncasecmp(line, "content-length:", 15))
			reply->length = atol(line + 15);
		if (!strncasecmp(line, "transfer-encoding: chunked", 26))
			reply->chunked = true;
		if (!strncasecmp(line, "connection: close", 17))
			reply->closes = true;
		first = false;
	}
}

/* One chunk's bytes, appended to out; 0 bytes: the last. */
static int chunk_receive(struct load_client *client, FILE *out, size_t *ret_n)
{
	size_t n, used, bytes;
	int error = wire_line(client, &n, &used);

	if (error)
		return error;
	bytes = strtoul(client->in, NULL, 16);
	wire_drop(client, used);
	error = wire_want(client, bytes + 2);
	if (error)
		return error;
	if (out)
		fwrite(client->in, 1, bytes, out);
	wire_drop(client, bytes + 2);
	*ret_n = bytes;
	return 0;
}

static int body_receive(struct load_client *client, const struct reply *reply,
			FILE *out)
{
	size_t n = 1;
	int error = 0;

	if (reply->status == 204 || reply->status == 304)
		return 0;
	while (reply->chunked && n && !error)
		error = chunk_receive(client, out, &n);
	if (reply->chunked)
		return error;
	if (reply->length >= 0) {
		error = wire_want(client, (size_t)reply->length);
	} else { /* until it closes */
		while (!error)
			error = wire_fill(client);
		error = error == -ECONNRESET ? 0 : error;
	}
	n = reply->length >= 0 ? (size_t)reply->length : client->in_count;
	if (!error && out)
		fwrite(client->in, 1, n, out);
	if (!error)
		wire_drop(client, n);
	return error;
}

static enum load_answer http_receive(struct load_client *client, bool again)
{
	struct reply reply;
	int error = head_receive(client, &reply);

	if (!error)
		error = body_receive(client, &reply, NULL);
	if (error)
		return LOAD_UNKNOWN;
	if (reply.closes)
		wire_close(client);
	if (reply.status >= 200 && reply.status < 300)
		return LOAD_DONE;
	wire_fail(client, 0, "HTTP status %d", reply.status);
	if (reply.status == 409 && again) /* it was done the first time */
		return LOAD_DONE;
	if (reply.status == 408 || reply.status == 425 || reply.status == 429)
		return LOAD_UNKNOWN;
	return reply.status >= 400 && reply.status < 500 ? LOAD_REFUSED
							 : LOAD_UNKNOWN;
}

/* The body's lines: `present ...` as they are, else ID [VALUE]. */
static int http_read(struct load_client *client, FILE *out)
{
	char *body = NULL, *save = NULL;
	struct reply reply;
	size_t bytes = 0;
	FILE *into;
	struct load_options options = *client->options;
	int error;

	options.method = "GET";
	options.body = "";
	options.no_key = true;
	client->options = &options;
	error = http_open(client);
	if (!error)
		error = http_send(client, "");
	if (!error)
		error = head_receive(client, &reply);
	into = open_memstream(&body, &bytes);
	if (!error && into)
		error = body_receive(client, &reply, into);
	if (into)
		fclose(into);
	if (!error && reply.status != 200)
		error = wire_fail(client, -EPROTO, "HTTP status %d",
				  reply.status);
	for (char *line = error || !body ? NULL : strtok_r(body, "\r\n", &save);
	     line; line = strtok_r(NULL, "\r\n", &save)) {
		bool ready = !strncmp(line, "present ", 8) ||
			     !strncmp(line, "invariant ", 10);

		if (strcmp(line, "done") != 0)
			fprintf(out, "%s%s%s%s\n", ready ? "" : "present ",
				ready ? "" : options.stream, ready ? "" : " ",
				line);
	}
	free(body);
	return error;
}

const struct load_driver load_http = {
	.name = "http",
	.where = "http://HOST:PORT/PATH",
	.ops = "post",
	.open = http_open,
	.send = http_send,
	.receive = http_receive,
	.read = http_read,
};
