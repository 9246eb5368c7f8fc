/* load.h - what `mishap load` is made of: clients that ask, and write down in
 * the ledger what they asked for and what they were told.
 *
 *   load.c      clients, retries, the two incidents
 *   http.c redis.c postgres.c files.c   one way of asking each
 *   wire.c      sockets with deadlines
 */
#ifndef MISHAP_RUNNER_LOAD_LOAD_H
#define MISHAP_RUNNER_LOAD_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define LOAD_CLIENTS_MAX 256
#define LOAD_ID_BYTES	 64
#define LOAD_WHY_BYTES	 200

struct load_options {	   /* all borrowed */
	const char *where; /* URL, HOST:PORT, conninfo, directory */
	const char *stream;
	const char *op;	    /* of the driver; NULL: its first */
	const char *method; /* http; default POST */
	const char *body;   /* http; {id} is replaced */
	const char *prefix; /* of ids; default "" */
	unsigned clients, retries;
	uint64_t count;	     /* requests of each client; 0: until for_ns */
	uint64_t for_ns;     /* 0: until count */
	uint64_t timeout_ns; /* of one request */
	uint64_t pause_ns;   /* after each */
	uint32_t lose_ppm;   /* replies that are lost once it is asked */
	uint32_t twice_ppm;  /* requests that are delivered twice */
	uint64_t seed;
	bool no_key;  /* requests don't say that they are the same */
	bool no_sync; /* files */
	bool read;    /* say what is there, and end */
};

enum load_answer {
	LOAD_DONE,    /* it was said to be done */
	LOAD_REFUSED, /* it was said not to be done */
	LOAD_UNSENT,  /* nobody was there to ask */
	LOAD_UNKNOWN, /* asked, and nobody said what became of it */
};

struct load_client {
	const struct load_options *options;
	const struct load_driver *driver;
	unsigned number;
	int fd;	  /* -1: not connected */
	char *in; /* what was read and isn't used yet */
	size_t in_count, in_room;
	uint64_t until_ns; /* of the request under way */
	uint64_t draws;
	char why[LOAD_WHY_BYTES]; /* the last thing that went wrong */
	uint64_t acked, failed, unknown, retried;
};

struct load_driver {
	const char *name, *where, *ops; /* "a|b": the first is the default */
	/* open - connected and ready to be asked; 0 or -errno. */
	int (*open)(struct load_client *client);
	/* send - put the request on its way.  receive - what was answered. */
	int (*send)(struct load_client *client, const char *id);
	enum load_answer (*receive)(struct load_client *client, bool again);
	/* read - lines `present ...` and `done` on out; 0 or -errno. */
	int (*read)(struct load_client *client, FILE *out);
	/* prepare - once, before all clients; may be NULL. */
	int (*prepare)(struct load_client *client);
};

extern const struct load_driver load_http, load_redis, load_postgres,
	load_files;

/* load_run - an exit code.  driver borrowed. */
int load_run(const struct load_driver *driver,
	     const struct load_options *options);
/* load_op_is - was this one chosen? */
bool load_op_is(const struct load_client *client, const char *op);

/* wire.c - all return 0 or -errno, fill client->why, and keep to until_ns. */
int wire_fail(struct load_client *client, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
int wire_connect(struct load_client *client, const char *host,
		 const char *port); /* host with a slash: a directory or file */
void wire_close(struct load_client *client);
int wire_send(struct load_client *client, const void *bytes, size_t count);
/* wire_fill - one read more into client->in; -ECONNRESET at the end. */
int wire_fill(struct load_client *client);
/* wire_line - a line without its \r\n, in client->in from 0 on; *ret_used: what
 * to drop with wire_drop() when it is done with. */
int wire_line(struct load_client *client, size_t *ret_n, size_t *ret_used);
int wire_want(struct load_client *client, size_t count);
void wire_drop(struct load_client *client, size_t count);
/* wire_host_port - "host:port" into two buffers of 256 bytes; false: it isn't.
 */
bool wire_host_port(const char *text, size_t n, const char *port_default,
		    char host[256], char port[256]);

#endif
