/* cmd_sweep.c - the command line of `mishap sweep`. */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "runner/cli.h"
#include "runner/clock.h"
#include "runner/sweep/sweep.h"
#include "scenarios/value.h"

static const char help[] =
	"mishap sweep - every call of a run that may fail, failed in turn\n"
	"\n"
	"  mishap sweep [OPTION...] -- COMMAND...\n"
	"\n"
	"COMMAND runs a few times as it is: its outputs, the files that it\n"
	"changes and its exit status are what every other run is compared\n"
	"with.  Then it runs once for each place in it that may fail (a call\n"
	"and its stack) and each way in which that may: a full disk, a bad\n"
	"one, a short write, no memory, no thread, a close that reports what\n"
	"was lost; once, from there on, and for a whole file.  Always in a\n"
	"sandbox, on copies of the working directory, never as root.\n"
	"\n"
	"Does it lose data without a word?\n"
	"  mishap sweep -- lz4 --rm in\n"
	"  mishap sweep -- sh -c 'sort in | uniq -c >out'\n"
	"Only its memory, and only for a minute:\n"
	"  mishap sweep --calls alloc --budget 60s -- objdump -d prog\n"
	"Is what it leaves still good?\n"
	"  mishap sweep --check 'sqlite3 t.db \"pragma integrity_check\"' \\\n"
	"    -- sqlite3 t.db 'insert into t values (1)'\n"
	"One of its bugs again, in a debugger:\n"
	"  mishap replay --gdb RUN:BUG\n"
	"\n"
	"options:\n"
	"      --calls FAMILY   file, net, alloc, dns, proc; with commas\n"
	"                       between; default: all of them\n"
	"      --check COMMAND  judges what a run has left: 0 is good\n"
	"      --budget TIME    for all of it, default 10m; 0: no limit\n"
	"      --timeout TIME   longer is a hang; default: ten times a clean\n"
	"                       run, at least 2s\n"
	"      --stdin FILE     its standard input; default: ours, if that is\n"
	"                       a file\n"
	"      --jobs N         runs at a time, default: one a processor\n"
	"      --shard K/N      try only the K-th of N parts\n"
	"      --loader         what libraries do before main(), too\n"
	"      --shell          the shell itself, too, where COMMAND is sh -c\n"
	"      --strict         what is only noted (libc's own crashes, no\n"
	"                       word where memory is out) is a bug, too\n"
	"      --list           say what may fail, and fail nothing\n"
	"      --no-network     a loopback of its own and nothing else\n"
	"      --run-dir DIR    where runs are kept; default .mishap/runs\n"
	"      --json FILE      the report as JSON; - is standard output\n"
	"  -v, --verbose        all bugs, not just the first twenty\n"
	"  -q, --quiet          say only the verdict\n"
	"  -h, --help           this page\n"
	"\n"
	"classes of a cell: handled, reported; silent (exit 0, and its "
	"results\n"
	"  differ), mute (fails without a word), crashed, hung, leaked,\n"
	"  corrupted are bugs; unreached\n"
	"exit status: 0 PASS, 1 FAIL, 2 nothing ran, 3 INCONCLUSIVE,\n"
	"  4 ABORTED, 5 INVALID or a report is missing, 128+n signal n\n"
	"see also: docs/SWEEP.md, mishap(1)\n";

#define BUDGET_NS (600 * NS_PER_S)

enum letter {
	LETTER_CALLS = 256,
	LETTER_CHECK,
	LETTER_BUDGET,
	LETTER_TIMEOUT,
	LETTER_STDIN,
	LETTER_JOBS,
	LETTER_SHARD,
	LETTER_LOADER,
	LETTER_SHELL,
	LETTER_STRICT,
	LETTER_LIST,
	LETTER_NO_NETWORK,
	LETTER_RUN_DIR,
	LETTER_JSON,
};

static const struct option letters[] = {
	{ "calls", required_argument, NULL, LETTER_CALLS },
	{ "check", required_argument, NULL, LETTER_CHECK },
	{ "budget", required_argument, NULL, LETTER_BUDGET },
	{ "timeout", required_argument, NULL, LETTER_TIMEOUT },
	{ "stdin", required_argument, NULL, LETTER_STDIN },
	{ "jobs", required_argument, NULL, LETTER_JOBS },
	{ "shard", required_argument, NULL, LETTER_SHARD },
	{ "loader", no_argument, NULL, LETTER_LOADER },
	{ "shell", no_argument, NULL, LETTER_SHELL },
	{ "strict", no_argument, NULL, LETTER_STRICT },
	{ "list", no_argument, NULL, LETTER_LIST },
	{ "no-network", no_argument, NULL, LETTER_NO_NETWORK },
	{ "run-dir", required_argument, NULL, LETTER_RUN_DIR },
	{ "json", required_argument, NULL, LETTER_JSON },
	{ "verbose", no_argument, NULL, 'v' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static int take_calls(struct sweep_options *options, const char *text)
{
	memset(options->families, 0, sizeof(options->families));
	while (*text) {
		size_t n = strcspn(text, ",");
		unsigned family = 0;

		while (family < FAMILY_COUNT &&
		       (strlen(call_family_names[family]) != n ||
			strncmp(call_family_names[family], text, n) != 0))
			family++;
		if (family == FAMILY_COUNT || family == FAMILY_time)
			return cli_wrong("sweep",
					 "sweep: no family '%.*s'; there are "
					 "file, net, alloc, dns and proc",
					 (int)n, text);
		options->families[family] = true;
		text += n + (text[n] == ',');
	}
	return 0;
}

static int take_time(const char *name, const char *text, bool may_be_0,
		     uint64_t *ret_ns)
{
	if (may_be_0 && !strcmp(text, "0")) {
		*ret_ns = 0;
		return 0;
	}
	if (read_duration(text, strlen(text), ret_ns) && *ret_ns)
		return 0;
	return cli_wrong("sweep",
			 "sweep: --%s wants a time such as 30s or 500ms; got "
			 "'%s'",
			 name, text);
}

static int take_shard(struct sweep_options *options, const char *text)
{
	unsigned k, n;
	char rest;

	if (sscanf(text, "%u/%u%c", &k, &n, &rest) != 2 || !k || k > n ||
	    n > 100000)
		return cli_wrong("sweep",
				 "sweep: --shard wants K/N such as 2/8; got "
				 "'%s'",
				 text);
	options->shard = k - 1;
	options->shards = n;
	return 0;
}

static int take_jobs(struct sweep_options *options, const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (!isdigit((unsigned char)*text) || *end || !n || n > SWEEP_JOBS_MAX)
		return cli_wrong("sweep",
				 "sweep: --jobs wants a number from 1 to %d; "
				 "got '%s'",
				 SWEEP_JOBS_MAX, text);
	options->jobs = (unsigned)n;
	return 0;
}

static int take(struct sweep_options *options, int letter, const char *text)
{
	switch (letter) {
	case LETTER_CALLS:
		return take_calls(options, text);
	case LETTER_CHECK:
		options->check = text;
		return 0;
	case LETTER_BUDGET:
		return take_time("budget", text, true, &options->budget_ns);
	case LETTER_TIMEOUT:
		return take_time("timeout", text, false, &options->timeout_ns);
	case LETTER_STDIN:
		options->stdin_path = text;
		return 0;
	case LETTER_JOBS:
		return take_jobs(options, text);
	case LETTER_SHARD:
		return take_shard(options, text);
	case LETTER_LOADER:
		options->loader = true;
		return 0;
	case LETTER_SHELL:
		options->shell = true;
		return 0;
	case LETTER_STRICT:
		options->strict = true;
		return 0;
	case LETTER_LIST:
		options->list_only = true;
		return 0;
	case LETTER_NO_NETWORK:
		options->no_network = true;
		return 0;
	case LETTER_RUN_DIR:
		options->runs_dir = text;
		return 0;
	case LETTER_JSON:
		options->json_path = text;
		return 0;
	case 'v':
		options->verbose = true;
		return 0;
	case 'q':
		options->quiet = true;
		return 0;
	}
	return 0;
}

static int options_check(const struct sweep_options *options, int argc,
			 char **argv)
{
	if (optind < argc)
		return cli_wrong("sweep",
				 "sweep: unexpected '%s'; the command stands "
				 "behind --",
				 argv[optind]);
	if (!options->argv || !options->argv[0])
		return cli_wrong("sweep",
				 "sweep: no command; it stands behind --");
	return 0;
}

int cmd_sweep(int argc, char **argv)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	struct sweep_options options = {
		.budget_ns = BUDGET_NS,
		.jobs = processors < 1		      ? 1
			: processors > SWEEP_JOBS_MAX ? SWEEP_JOBS_MAX
						      : (unsigned)processors,
		.color = -1,
	};
	int letter, rc = 0;

	for (unsigned i = 0; i < FAMILY_COUNT; i++)
		options.families[i] = i != FAMILY_time;
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--")) {
			options.argv = argv + i + 1;
			argv[i] = NULL;
			argc = i;
		}
	while (!rc && (letter = cli_next(argc, argv, ":vqh", letters)) != -1) {
		if (letter == '?')
			return EXIT_CODE_USAGE;
		if (letter == 'h') {
			fputs(help, stdout);
			return 0;
		}
		rc = take(&options, letter, optarg);
	}
	if (!rc)
		rc = options_check(&options, argc, argv);
	return rc ? rc : sweep_run(&options);
}
