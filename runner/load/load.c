#include "runner/load/load.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/rng.h"
#include "runner/clock.h"
#include "runner/run.h"

#define BACKOFF_FIRST_NS (20 * NS_PER_MS)
#define BACKOFF_MOST_NS	 (500 * NS_PER_MS)

static int ledger_fd = STDOUT_FILENO;
static atomic_bool ledger_broken;

bool load_op_is(const struct load_client *client, const char *op)
{
	const char *chosen =
		client->options->op ? client->options->op : client->driver->ops;
	size_t n = strcspn(chosen, "|");

	return strlen(op) == n && !strncmp(op, chosen, n);
}

/* One write a line: what is told is told now. */
static void tell(const struct load_client *client, const char *kind,
		 const char *id)
{
	char line[512];
	/* Of a counter all are one record. */
	const char *value = load_op_is(client, "incr") ? " 1" : "";
	int n = snprintf(line, sizeof(line), "%s %s %s%s\n", kind,
			 client->options->stream, *value ? "count" : id, value);

	if (write(ledger_fd, line, (size_t)n) != n)
		atomic_store(&ledger_broken, true);
}

static bool chance(struct load_client *client, uint32_t ppm)
{
	struct rng rng = rng_open(client->options->seed, client->number, 0,
				  client->draws++);

	return ppm && rng_below(&rng, 1000000) < ppm;
}

static void pause_ns(uint64_t ns)
{
	clock_sleep_until(clock_now_ns() + ns);
}

/* A proxy's retry: the same request by a second connection, at once. */
static void deliver_again(struct load_client *client, const char *id)
{
	struct load_client second = *client;

	second.fd = -1;
	second.in = NULL;
	second.in_count = second.in_room = 0;
	if (client->driver->open(&second) == 0 &&
	    client->driver->send(&second, id) == 0)
		client->driver->receive(&second, true);
	wire_close(&second);
	free(second.in);
}

/* The connection breaks when the request is there and its answer isn't. */
static enum load_answer lose_reply(struct load_client *client)
{
	client->driver->receive(client, false);
	wire_close(client);
	snprintf(client->why, sizeof(client->why), "its reply was lost");
	return LOAD_UNKNOWN;
}

static enum load_answer ask_once(struct load_client *client, const char *id,
				 bool again)
{
	const struct load_options *options = client->options;
	enum load_answer answer;

	client->until_ns = clock_now_ns() + options->timeout_ns;
	if (client->fd < 0 && client->driver->open(client) < 0) {
		wire_close(client);
		return LOAD_UNSENT;
	}
	if (client->driver->send(client, id) < 0) {
		wire_close(client);
		return LOAD_UNKNOWN;
	}
	if (chance(client, options->lose_ppm))
		return lose_reply(client);
	answer = client->driver->receive(client, again);
	if (answer == LOAD_UNKNOWN)
		wire_close(client);
	if (answer == LOAD_DONE && chance(client, options->twice_ppm))
		deliver_again(client, id);
	return answer;
}

static void ask(struct load_client *client, const char *id)
{
	uint64_t backoff = BACKOFF_FIRST_NS;
	bool sent = false;
	unsigned tries = 0;

	tell(client, "invoke", id);
	for (;;) {
		enum load_answer answer = ask_once(client, id, sent);

		if (answer == LOAD_DONE) {
			client->acked++;
			tell(client, "ack", id);
			return;
		}
		sent |= answer == LOAD_UNKNOWN;
		if (answer == LOAD_REFUSED && !sent) {
			client->failed++;
			tell(client, "fail", id);
			return;
		}
		if (tries++ >= client->options->retries)
			break;
		client->retried++;
		pause_ns(backoff);
		backoff = 2 * backoff > BACKOFF_MOST_NS ? BACKOFF_MOST_NS
							: 2 * backoff;
	}
	if (sent) { /* whether it was done, who knows */
		client->unknown++;
	} else {
		client->failed++;
		tell(client, "fail", id);
	}
}

static void *client_main(void *arg)
{
	struct load_client *client = arg;
	const struct load_options *options = client->options;
	uint64_t until =
		options->for_ns ? clock_now_ns() + options->for_ns : UINT64_MAX;

	for (uint64_t i = 0;
	     (!options->count || i < options->count) &&
	     clock_now_ns() < until && !atomic_load(&ledger_broken);
	     i++) {
		char id[LOAD_ID_BYTES];

		snprintf(id, sizeof(id), "%s%u-%llu", options->prefix,
			 client->number, (unsigned long long)i);
		ask(client, id);
		if (options->pause_ns)
			pause_ns(options->pause_ns);
	}
	wire_close(client);
	free(client->in);
	return NULL;
}

static void client_init(struct load_client *client,
			const struct load_driver *driver,
			const struct load_options *options, unsigned number)
{
	*client = (struct load_client){
		.options = options,
		.driver = driver,
		.number = number,
		.fd = -1,
		.until_ns = clock_now_ns() + options->timeout_ns,
	};
}

static int prepare(const struct load_driver *driver,
		   const struct load_options *options)
{
	struct load_client client;
	int error = 0;

	client_init(&client, driver, options, 0);
	if (driver->prepare)
		error = driver->prepare(&client);
	if (error)
		fprintf(stderr, "mishap: load %s: %s\n", driver->name,
			*client.why ? client.why : strerror(-error));
	free(client.in);
	return error;
}

static int read_back(const struct load_driver *driver,
		     const struct load_options *options)
{
	struct load_client client;
	int error;

	client_init(&client, driver, options, 0);
	client.until_ns = clock_now_ns() + 10 * options->timeout_ns;
	error = driver->read(&client, stdout);
	wire_close(&client);
	free(client.in);
	if (error) {
		fprintf(stderr, "mishap: load %s: %s\n", driver->name,
			*client.why ? client.why : strerror(-error));
		return EXIT_CODE_FAIL;
	}
	puts("done");
	return fflush(stdout) == 0 ? 0 : EXIT_CODE_FAIL;
}

static void report(const struct load_client *clients, unsigned count)
{
	uint64_t acked = 0, failed = 0, unknown = 0, retried = 0;
	const char *why = "";

	for (unsigned i = 0; i < count; i++) {
		acked += clients[i].acked;
		failed += clients[i].failed;
		unknown += clients[i].unknown;
		retried += clients[i].retried;
		if (*clients[i].why)
			why = clients[i].why;
	}
	fprintf(stderr,
		"%llu acknowledged, %llu failed, %llu without an outcome; %llu "
		"retries%s%s\n",
		(unsigned long long)acked, (unsigned long long)failed,
		(unsigned long long)unknown, (unsigned long long)retried,
		*why ? "; at last: " : "", why);
}

/* As a workload we have a descriptor for the ledger; else standard output. */
static void ledger_find(void)
{
	const char *fd = getenv("MISHAP_LEDGER_FD");

	if (fd && *fd)
		ledger_fd = atoi(fd);
}

int load_run(const struct load_driver *driver,
	     const struct load_options *options)
{
	struct load_client *clients;
	pthread_t *threads;
	unsigned started = 0;

	if (options->read)
		return read_back(driver, options);
	if (prepare(driver, options) < 0)
		return EXIT_CODE_FAIL;
	ledger_find();
	clients = calloc(options->clients, sizeof(*clients));
	threads = calloc(options->clients, sizeof(*threads));
	while (clients && threads && started < options->clients) {
		client_init(&clients[started], driver, options, started);
		if (pthread_create(&threads[started], NULL, client_main,
				   &clients[started]) != 0)
			break;
		started++;
	}
	for (unsigned i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	if (started)
		report(clients, started);
	free(clients);
	free(threads);
	return started == options->clients && !atomic_load(&ledger_broken)
		       ? 0
		       : EXIT_CODE_FAIL;
}
