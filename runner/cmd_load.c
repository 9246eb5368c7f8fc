/* cmd_load.c - the command line of `mishap load`. */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "runner/cli.h"
#include "runner/clock.h"
#include "runner/load/load.h"
#include "runner/run.h"
#include "scenarios/value.h"

static const char help[] =
	"mishap load - make a service work, and write down what it promised\n"
	"\n"
	"  mishap load http URL [OPTION...]\n"
	"  mishap load redis HOST:PORT [OPTION...]\n"
	"  mishap load postgres 'host=DIR port=N user=NAME dbname=NAME' ...\n"
	"  mishap load files DIR [OPTION...]\n"
	"  mishap load KIND WHERE --read      what is there, for a reader\n"
	"\n"
	"Concurrent clients ask again, with the same idempotency key, until "
	"they\n"
	"know; the ledger (docs/LEDGER.md) goes to $MISHAP_LEDGER_FD, else to\n"
	"standard output.\n"
	"\n"
	"Does redis keep what it acknowledged, when it is killed in "
	"mid-write?\n"
	"  mishap run --ready 'tcp:127.0.0.1:${port}' \\\n"
	"    -f 'write path=**/*.aof kill=KILL nth=50' \\\n"
	"    --load 'mishap load redis 127.0.0.1:${port}' \\\n"
	"    --expect 'ledger mishap load redis 127.0.0.1:${port} --read' \\\n"
	"    -- redis-server --port '${port}' --appendonly yes "
	"--appendfsync always\n"
	"Is a card charged twice, when replies are lost?\n"
	"  --load 'mishap load http http://127.0.0.1:${port}/charge "
	"--lose-reply 10%'\n"
	"\n"
	"options:\n"
	"      --clients N      at once, default 8\n"
	"      --count N        requests of each client, default 50\n"
	"      --for TIME       instead: as many as it takes\n"
	"      --stream NAME    of the ledger; also the table, list or key "
	"prefix;\n"
	"                       default load\n"
	"      --op WORD        redis: set (default), rpush, incr; files: "
	"create\n"
	"                       (default), append\n"
	"      --retry N        how often a request is repeated, default 50\n"
	"      --timeout TIME   of one try, default 2s\n"
	"      --pause TIME     after each request\n"
	"      --lose-reply P   so many replies are lost, such as 5%: asked, "
	"done,\n"
	"                       and nobody was told\n"
	"      --twice P        so many requests are delivered twice, by two\n"
	"                       connections, as a proxy that retries does\n"
	"      --no-key         without an idempotency key: http sends no "
	"header,\n"
	"                       redis and postgres don't look for what is "
	"there\n"
	"      --no-sync        files: acknowledged without fsync\n"
	"      --method WORD    http, default POST\n"
	"      --body TEXT      http; {id} in it and in the URL is the id\n"
	"      --prefix WORD    before ids, where several loads share a "
	"stream\n"
	"      --seed N         of --lose-reply and --twice, default 1\n"
	"      --read           print `present STREAM ID` of all that is "
	"there,\n"
	"                       and `done`; http: of the lines that a GET "
	"gives\n"
	"  -h, --help           this page\n"
	"\n"
	"exit status: 0, whatever was answered; 1 it couldn't work at all;\n"
	"  2 the command line is wrong\n";

enum letter {
	LETTER_CLIENTS = 256,
	LETTER_COUNT,
	LETTER_FOR,
	LETTER_STREAM,
	LETTER_OP,
	LETTER_RETRY,
	LETTER_TIMEOUT,
	LETTER_PAUSE,
	LETTER_LOSE,
	LETTER_TWICE,
	LETTER_NO_KEY,
	LETTER_NO_SYNC,
	LETTER_METHOD,
	LETTER_BODY,
	LETTER_PREFIX,
	LETTER_SEED,
	LETTER_READ,
};

static const struct option letters[] = {
	{ "clients", required_argument, NULL, LETTER_CLIENTS },
	{ "count", required_argument, NULL, LETTER_COUNT },
	{ "for", required_argument, NULL, LETTER_FOR },
	{ "stream", required_argument, NULL, LETTER_STREAM },
	{ "op", required_argument, NULL, LETTER_OP },
	{ "retry", required_argument, NULL, LETTER_RETRY },
	{ "timeout", required_argument, NULL, LETTER_TIMEOUT },
	{ "pause", required_argument, NULL, LETTER_PAUSE },
	{ "lose-reply", required_argument, NULL, LETTER_LOSE },
	{ "twice", required_argument, NULL, LETTER_TWICE },
	{ "no-key", no_argument, NULL, LETTER_NO_KEY },
	{ "no-sync", no_argument, NULL, LETTER_NO_SYNC },
	{ "method", required_argument, NULL, LETTER_METHOD },
	{ "body", required_argument, NULL, LETTER_BODY },
	{ "prefix", required_argument, NULL, LETTER_PREFIX },
	{ "seed", required_argument, NULL, LETTER_SEED },
	{ "read", no_argument, NULL, LETTER_READ },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static const char *letter_name(int letter)
{
	for (size_t i = 0; letters[i].name; i++)
		if (letters[i].val == letter)
			return letters[i].name;
	return "";
}

static int take_number(int letter, const char *text, uint64_t least,
		       uint64_t most, uint64_t *ret)
{
	uint64_t number;

	if (read_count(text, strlen(text), most, &number) && number >= least) {
		*ret = number;
		return 0;
	}
	return cli_wrong("load",
			 "load: --%s wants a number from %llu to %llu; got "
			 "'%s'",
			 letter_name(letter), (unsigned long long)least,
			 (unsigned long long)most, text);
}

static int take_time(int letter, const char *text, uint64_t *ret_ns)
{
	if (read_duration(text, strlen(text), ret_ns) && *ret_ns)
		return 0;
	return cli_wrong("load",
			 "load: --%s wants " DURATION_WANTS "; got '%s'",
			 letter_name(letter), text);
}

static int take_share(int letter, const char *text, uint32_t *ret_ppm)
{
	uint64_t ppm;

	if (!read_ratio(text, strlen(text), &ppm) || ppm > 1000000)
		return cli_wrong("load", "load: --%s wants %s; got '%s'",
				 letter_name(letter), RATIO_WANTS, text);
	*ret_ppm = (uint32_t)ppm;
	return 0;
}

/* A word of the ledger; it also becomes a table's or a file's name. */
static int take_word(int letter, const char *text, const char **ret)
{
	for (const char *c = text; *c; c++)
		if (!isalnum((unsigned char)*c) && *c != '_' && *c != '-')
			return cli_wrong("load",
					 "load: --%s wants a word of letters, "
					 "digits, _ and -; got '%s'",
					 letter_name(letter), text);
	*ret = text;
	return strlen(text) <= 40 ? 0
				  : cli_wrong("load", "load: --%s is too long",
					      letter_name(letter));
}

static int take_numbers(struct load_options *options, int letter,
			const char *text)
{
	uint64_t number = 0;
	int rc = 0;

	switch (letter) {
	case LETTER_CLIENTS:
		rc = take_number(letter, text, 1, LOAD_CLIENTS_MAX, &number);
		options->clients = (unsigned)number;
		return rc;
	case LETTER_COUNT:
		return take_number(letter, text, 1, UINT32_MAX,
				   &options->count);
	case LETTER_RETRY:
		rc = take_number(letter, text, 0, 1000000, &number);
		options->retries = (unsigned)number;
		return rc;
	case LETTER_SEED:
		return take_number(letter, text, 0, INT64_MAX, &options->seed);
	case LETTER_FOR:
		return take_time(letter, text, &options->for_ns);
	case LETTER_TIMEOUT:
		return take_time(letter, text, &options->timeout_ns);
	case LETTER_PAUSE:
		return take_time(letter, text, &options->pause_ns);
	case LETTER_LOSE:
		return take_share(letter, text, &options->lose_ppm);
	case LETTER_TWICE:
		return take_share(letter, text, &options->twice_ppm);
	}
	return rc;
}

static int take(struct load_options *options, int letter, const char *text)
{
	switch (letter) {
	case LETTER_STREAM:
		return take_word(letter, text, &options->stream);
	case LETTER_PREFIX:
		return take_word(letter, text, &options->prefix);
	case LETTER_OP:
		options->op = text;
		return 0;
	case LETTER_METHOD:
		options->method = text;
		return 0;
	case LETTER_BODY:
		options->body = text;
		return 0;
	case LETTER_NO_KEY:
		options->no_key = true;
		return 0;
	case LETTER_NO_SYNC:
		options->no_sync = true;
		return 0;
	case LETTER_READ:
		options->read = true;
		return 0;
	}
	return take_numbers(options, letter, text);
}

static const struct load_driver *driver_find(const char *name)
{
	const struct load_driver *drivers[] = { &load_http, &load_redis,
						&load_postgres, &load_files };

	for (size_t i = 0; name && i < 4; i++)
		if (!strcmp(drivers[i]->name, name))
			return drivers[i];
	return NULL;
}

/* Is the op one of the driver's? */
static bool op_is_known(const struct load_driver *driver, const char *op)
{
	const char *at = driver->ops;

	while (op && *at) {
		size_t n = strcspn(at, "|");

		if (strlen(op) == n && !strncmp(op, at, n))
			return true;
		at += n + (at[n] == '|');
	}
	return !op;
}

static int operands_take(int argc, char **argv, struct load_options *options,
			 const struct load_driver **ret_driver)
{
	const struct load_driver *driver =
		driver_find(optind < argc ? argv[optind] : NULL);

	if (!driver)
		return cli_wrong(
			"load",
			"load: wants http, redis, postgres or files%s%s",
			optind < argc ? "; got " : "",
			optind < argc ? argv[optind] : "");
	if (argc - optind != 2)
		return cli_wrong("load", "load %s: wants %s", driver->name,
				 driver->where);
	options->where = argv[optind + 1];
	if (!op_is_known(driver, options->op))
		return cli_wrong("load",
				 "load %s: --op wants one of %s; got "
				 "'%s'",
				 driver->name, driver->ops, options->op);
	*ret_driver = driver;
	return 0;
}

int cmd_load(int argc, char **argv)
{
	struct load_options options = {
		.stream = "load",
		.prefix = "",
		.clients = 8,
		.retries = 50,
		.timeout_ns = 2 * NS_PER_S,
		.seed = 1,
	};
	const struct load_driver *driver = NULL;
	int letter, rc = 0;

	while (!rc && (letter = cli_next(argc, argv, ":h", letters)) != -1) {
		if (letter == '?')
			return EXIT_CODE_USAGE;
		if (letter == 'h') {
			fputs(help, stdout);
			return 0;
		}
		rc = take(&options, letter, optarg);
	}
	if (!rc)
		rc = operands_take(argc, argv, &options, &driver);
	if (rc)
		return rc;
	if (!options.count && !options.for_ns)
		options.count = 50;
	return load_run(driver, &options);
}
