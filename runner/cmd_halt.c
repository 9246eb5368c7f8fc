/* cmd_halt.c - mishap halt: disarm every live run of this user, at once. */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "runner/cli.h"
#include "runner/shared_file.h"

struct halting {
	json_t *runs; /* array of objects */
	unsigned halted, swept, failed;
	bool quiet;
};

static void tell(struct halting *halting, const char *dir, int pid,
		 const char *what, int error)
{
	json_t *run = json_pack("{s:s, s:i, s:s, s:s?}", "dir", dir, "pid", pid,
				"done", what, "error",
				error ? strerror(error) : NULL);

	if (run)
		json_array_append_new(halting->runs, run);
	if (error)
		fprintf(stderr,
			"mishap: run of pid %d (%s) can't be halted: "
			"%s\n",
			pid, dir, strerror(error));
	else if (!halting->quiet)
		printf("%s run of pid %d (%s)\n", what, pid, dir);
}

/* halted first: the runner may be arming a phase just now, and looks at it
 * after it has. */
static void halt_one(const char *dir, int pid, bool live, void *arg)
{
	struct halting *halting = arg;
	struct shared_file file;
	int error;

	if (!live)
		return;
	error = shared_file_map(dir, &file);
	if (error) {
		halting->failed++;
		tell(halting, dir, pid, "left", -error);
		return;
	}
	atomic_store(&file.state->halted, 1);
	shared_state_disarm(file.state);
	shared_file_unmap(&file);
	halting->halted++;
	tell(halting, dir, pid, "halted", 0);
}

static int json_save(const struct halting *halting, const char *path)
{
	json_t *json = json_pack("{s:i, s:s, s:s, s:i, s:i, s:i, s:O}",
				 "version", 1, "command", "halt", "mishap",
				 MISHAP_VERSION, "halted", (int)halting->halted,
				 "swept", (int)halting->swept, "failed",
				 (int)halting->failed, "runs", halting->runs);

	return json ? cli_json(path, json) : EXIT_CODE_INVALID;
}

static int usage(FILE *out)
{
	fputs("usage: mishap halt [--json FILE] [--quiet]\n"
	      "\n"
	      "Disarm every live run of yours at once: no further fault is "
	      "made.\n"
	      "What was done stays done. The runs end by themselves, "
	      "ABORTED.\n",
	      out);
	return out == stdout ? EXIT_CODE_PASS : EXIT_CODE_USAGE;
}

int cmd_halt(int argc, char **argv)
{
	static const struct option known[] = {
		{ "json", required_argument, NULL, 'j' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct halting halting = { .runs = json_array() };
	const char *json_path = NULL;
	int option, error = 0;

	optind = 0;
	while ((option = getopt_long(argc, argv, "qh", known, NULL)) != -1)
		switch (option) {
		case 'j':
			json_path = optarg;
			break;
		case 'q':
			halting.quiet = true;
			break;
		case 'h':
			json_decref(halting.runs);
			return usage(stdout);
		default:
			json_decref(halting.runs);
			return usage(stderr);
		}
	halting.quiet |= json_path && !strcmp(json_path, "-");
	if (optind < argc) {
		json_decref(halting.runs);
		return usage(stderr);
	}
	shared_dirs_visit(halt_one, &halting);
	halting.swept = shared_dirs_sweep();
	if (!halting.quiet && !halting.halted && !halting.failed)
		puts("no live run of yours");
	if (!halting.quiet && halting.swept)
		printf("removed %u director%s of runs that were killed\n",
		       halting.swept, halting.swept == 1 ? "y" : "ies");
	if (json_path)
		error = json_save(&halting, json_path);
	json_decref(halting.runs);
	return error || halting.failed ? EXIT_CODE_INVALID : EXIT_CODE_PASS;
}
