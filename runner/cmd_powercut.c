/* cmd_powercut.c - the command line of `mishap powercut`. */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "runner/cli.h"
#include "runner/clock.h"
#include "runner/powercut/powercut.h"
#include "scenarios/value.h"

#define BUDGET_NS  (60 * NS_PER_S)
#define TIMEOUT_NS (10 * NS_PER_S)
#define RECORD_NS  (600 * NS_PER_S)

static const char help[] =
	"mishap powercut - every state that a power loss may leave, judged\n"
	"\n"
	"  mishap powercut [OPTION...] -- COMMAND...\n"
	"  mishap powercut --show RUN:N [--into DIR]\n"
	"\n"
	"COMMAND runs once, in a sandbox, on a copy of the tree; what it does\n"
	"to files there is recorded.  From the log, every state that may be\n"
	"found after power went at any moment is worked out, by what each "
	"file\n"
	"system promises, and taken to a checker.  Findings come with what\n"
	"wasn't on the disk, and with the fsync that is missing.\n"
	"\n"
	"Does git gc keep all branches?\n"
	"  mishap powercut --tree repo --check 'git -C repo log -1' \\\n"
	"    -- git -C repo gc\n"
	"Does a store keep what it acknowledged?  It prints `ack STREAM ID`,\n"
	"the checker prints `present STREAM ID`, and `done` at its end:\n"
	"  mishap powercut --tree data --check ./reader -- ./writer\n"
	"Without a checker every file must hold a content that it had at some\n"
	"close, rename or fsync:\n"
	"  mishap powercut --tree etc --fs ext4-ordered --fs xfs -- ./save\n"
	"\n"
	"options:\n"
	"      --fs MODEL       posix-min, ext4-ordered, ext4-worst, xfs, "
	"btrfs\n"
	"                       or all; again and again; default all\n"
	"      --tree DIR       the files that must survive; default: the\n"
	"                       working directory\n"
	"      --check COMMAND  judges a state: exit status 0 is good\n"
	"      --check-server COMMAND\n"
	"                       the same, started once: reads `check DIR`,\n"
	"                       answers in lines up to `done` or `exit N`\n"
	"      --recover COMMAND\n"
	"                       runs before the check; if it fails: no-start\n"
	"      --durability PROMISE\n"
	"                       strict (default), window:TIME, prefix, none\n"
	"      --budget TIME    for judging, default 60s\n"
	"      --timeout TIME   of one check, default 10s; then it hangs\n"
	"      --states N       distinct trees of each model, default 20000\n"
	"      --seed N         of the random states, default 1\n"
	"      --shard K/N      judge only each N-th state, from the K-th on\n"
	"      --jobs N         states at a time, default: one a processor\n"
	"      --no-network     a loopback of its own and nothing else\n"
	"      --run-dir DIR    where runs are kept; default .mishap/runs\n"
	"      --json FILE      the report as JSON; - is standard output\n"
	"      --show RUN:N     leave the tree of a finding in a folder\n"
	"      --into DIR       that folder; default bad\n"
	"  -q, --quiet          say only the verdict\n"
	"  -h, --help           this page\n"
	"\n"
	"classes: lost, corrupt, non-atomic, inconsistent, no-start,\n"
	"  recovery-crash, recovery-hang\n"
	"exit status: 0 PASS, 1 FAIL, 2 nothing ran, 3 INCONCLUSIVE,\n"
	"  4 ABORTED, 5 INVALID or a report is missing, 128+n signal n\n"
	"see also: docs/POWERCUT.md, mishap(1)\n";

enum letter {
	LETTER_FS = 256,
	LETTER_TREE,
	LETTER_CHECK,
	LETTER_SERVER,
	LETTER_RECOVER,
	LETTER_DURABILITY,
	LETTER_BUDGET,
	LETTER_TIMEOUT,
	LETTER_STATES,
	LETTER_SEED,
	LETTER_SHARD,
	LETTER_JOBS,
	LETTER_NO_NETWORK,
	LETTER_RUN_DIR,
	LETTER_JSON,
	LETTER_SHOW,
	LETTER_INTO,
};

static const struct option letters[] = {
	{ "fs", required_argument, NULL, LETTER_FS },
	{ "tree", required_argument, NULL, LETTER_TREE },
	{ "check", required_argument, NULL, LETTER_CHECK },
	{ "check-server", required_argument, NULL, LETTER_SERVER },
	{ "recover", required_argument, NULL, LETTER_RECOVER },
	{ "durability", required_argument, NULL, LETTER_DURABILITY },
	{ "budget", required_argument, NULL, LETTER_BUDGET },
	{ "timeout", required_argument, NULL, LETTER_TIMEOUT },
	{ "states", required_argument, NULL, LETTER_STATES },
	{ "seed", required_argument, NULL, LETTER_SEED },
	{ "shard", required_argument, NULL, LETTER_SHARD },
	{ "jobs", required_argument, NULL, LETTER_JOBS },
	{ "no-network", no_argument, NULL, LETTER_NO_NETWORK },
	{ "run-dir", required_argument, NULL, LETTER_RUN_DIR },
	{ "json", required_argument, NULL, LETTER_JSON },
	{ "show", required_argument, NULL, LETTER_SHOW },
	{ "into", required_argument, NULL, LETTER_INTO },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 },
};

static bool number_read(const char *text, uint64_t most, uint64_t *ret_number)
{
	char *end;
	unsigned long long number;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno || *end || number > most)
		return false;
	*ret_number = number;
	return true;
}

static int model_add(struct cut_options *options, const struct model *model)
{
	for (unsigned i = 0; i < options->models_count; i++)
		if (options->models[i] == model)
			return 0;
	options->models[options->models_count++] = model;
	return 0;
}

/* One, several with commas between, or all. */
static int take_fs(struct cut_options *options, const char *text)
{
	while (*text) {
		size_t n = strcspn(text, ",");
		const struct model *model = model_find(text, n);

		if (n == 3 && !strncmp(text, "all", 3))
			for (int i = 0; i < MODEL_COUNT; i++)
				model_add(options, &model_table[i]);
		else if (model)
			model_add(options, model);
		else
			return cli_wrong("powercut",
					 "powercut: no model '%.*s'; there are "
					 "posix-min, ext4-ordered, ext4-worst, "
					 "xfs, btrfs and all",
					 (int)n, text);
		text += n + (text[n] == ',');
	}
	return 0;
}

static int take_durability(struct cut_options *options, const char *text)
{
	struct promise *promise = &options->promise;

	if (!strcmp(text, "strict"))
		promise->kind = PROMISE_STRICT;
	else if (!strcmp(text, "prefix"))
		promise->kind = PROMISE_PREFIX;
	else if (!strcmp(text, "none"))
		promise->kind = PROMISE_NONE;
	else if (!strncmp(text, "window", 6) &&
		 (text[6] == ':' || text[6] == ' ') &&
		 read_duration(text + 7, strlen(text + 7), &promise->window_ns))
		promise->kind = PROMISE_WINDOW;
	else
		return cli_wrong("powercut",
				 "powercut: --durability wants strict, "
				 "window:2s, prefix or none; got '%s'",
				 text);
	return 0;
}

static int take_time(const char *name, const char *text, uint64_t *ret_ns)
{
	if (read_duration(text, strlen(text), ret_ns) && *ret_ns)
		return 0;
	return cli_wrong("powercut",
			 "powercut: --%s wants a time such as 30s or 500ms; "
			 "got '%s'",
			 name, text);
}

static int take_shard(struct cut_options *options, const char *text)
{
	unsigned k, n;
	char rest;

	if (sscanf(text, "%u/%u%c", &k, &n, &rest) != 2 || !k || k > n ||
	    n > 100000)
		return cli_wrong("powercut",
				 "powercut: --shard wants K/N such as 2/8; got "
				 "'%s'",
				 text);
	options->shard = k - 1;
	options->shards = n;
	return 0;
}

static int take_number(const char *name, const char *text, uint64_t most,
		       uint64_t *ret_number)
{
	if (number_read(text, most, ret_number))
		return 0;
	return cli_wrong("powercut",
			 "powercut: --%s wants a number up to %llu; got '%s'",
			 name, (unsigned long long)most, text);
}

static int take_numbers(struct cut_options *options, int letter,
			const char *text)
{
	uint64_t number = 0;
	int rc = 0;

	switch (letter) {
	case LETTER_STATES:
		rc = take_number("states", text, 10000000, &number);
		options->states_max = (uint32_t)number;
		break;
	case LETTER_SEED:
		rc = take_number("seed", text, UINT64_MAX, &options->seed);
		break;
	case LETTER_JOBS:
		rc = take_number("jobs", text, JUDGE_JOBS_MAX, &number);
		if (!rc && !number)
			rc = cli_wrong("powercut", "powercut: --jobs wants at "
						   "least 1");
		options->jobs = (unsigned)number;
		break;
	}
	return rc;
}

static int take(struct cut_options *options, int letter, const char *text)
{
	switch (letter) {
	case LETTER_FS:
		return take_fs(options, text);
	case LETTER_TREE:
		options->tree = text;
		return 0;
	case LETTER_CHECK:
		options->check = text;
		return 0;
	case LETTER_SERVER:
		options->server = text;
		return 0;
	case LETTER_RECOVER:
		options->recover = text;
		return 0;
	case LETTER_DURABILITY:
		return take_durability(options, text);
	case LETTER_BUDGET:
		return take_time("budget", text, &options->budget_ns);
	case LETTER_TIMEOUT:
		return take_time("timeout", text, &options->timeout_ns);
	case LETTER_SHARD:
		return take_shard(options, text);
	case LETTER_NO_NETWORK:
		options->no_network = true;
		return 0;
	case LETTER_RUN_DIR:
		options->runs_dir = text;
		return 0;
	case LETTER_JSON:
		options->json_path = text;
		return 0;
	case LETTER_SHOW:
		options->show = text;
		return 0;
	case LETTER_INTO:
		options->into = text;
		return 0;
	case 'q':
		options->quiet = true;
		return 0;
	}
	return take_numbers(options, letter, text);
}

static int options_check(struct cut_options *options, int argc, char **argv)
{
	if (optind < argc)
		return cli_wrong(
			"powercut",
			"powercut: unexpected '%s'; the command stands "
			"behind --",
			argv[optind]);
	if (options->show)
		return 0;
	if (!options->argv || !options->argv[0])
		return cli_wrong("powercut",
				 "powercut: no command; it stands behind --");
	if (options->check && options->server)
		return cli_wrong("powercut", "powercut: --check and "
					     "--check-server are two ways to "
					     "say one thing");
	if (!options->states_max)
		return cli_wrong("powercut",
				 "powercut: --states wants at least 1");
	if (!options->models_count)
		return take_fs(options, "all");
	return 0;
}

int cmd_powercut(int argc, char **argv)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	struct cut_options options = {
		.budget_ns = BUDGET_NS,
		.timeout_ns = TIMEOUT_NS,
		.record_ns = RECORD_NS,
		.seed = 1,
		.states_max = EXPLORE_STATES,
		.jobs = processors < 1		      ? 1
			: processors > JUDGE_JOBS_MAX ? JUDGE_JOBS_MAX
						      : (unsigned)processors,
		.color = -1,
	};
	int letter, rc = 0;

	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--")) {
			options.argv = argv + i + 1;
			argv[i] = NULL;
			argc = i;
		}
	while (!rc && (letter = cli_next(argc, argv, ":qh", letters)) != -1) {
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
	if (rc)
		return rc;
	return options.show ? cut_show(&options) : cut_run(&options);
}
