#include "runner/kill_points.h"
#include "runner/options.h"
#include "runner/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int print_help(void)
{
	puts("mishap run - take a program through a scenario and judge it\n"
	     "\n"
	     "  mishap run [OPTION...] SCENARIO.yaml [-- COMMAND...]\n"
	     "  mishap run [OPTION...] -f RULE... -- COMMAND...\n"
	     "\n"
	     "A full disk at the second write; sort must not claim success:\n"
	     "  mishap run -f 'write path=**/out fail=ENOSPC nth=2' \\\n"
	     "    --expect 'exit!=0' -- sort -o out in\n"
	     "A slow network for a service, with an SLO:\n"
	     "  mishap run --ready 'tcp:127.0.0.1:${port}' \\\n"
	     "    --phase 'slow 5s: recv side=server delay=20ms' \\\n"
	     "    --steady 'ping redis-cli -p ${port} ping' \\\n"
	     "    --expect 'p99<100ms' -- redis-server --port '${port}'\n"
	     "Out of memory at a random allocation, 20 times:\n"
	     "  mishap run --sandbox --repeat 20 \\\n"
	     "    -f 'malloc fail=ENOMEM nth=random(1..400)' -- ./parser in\n"
	     "No success that hides a failed call:\n"
	     "  mishap run -f 'fsync fail=EIO' --expect 'silent==none' \\\n"
	     "    -- ./save doc.txt\n"
	     "A kill at 50 of all fsyncs in turn; what was acknowledged stays:\n"
	     "  mishap run --kill-points 50 -f 'fsync kill=KILL' \\\n"
	     "    --expect 'ledger ./read-back' -- ./store\n"
	     "For a CI job:\n"
	     "  mishap run checkout.yaml -q --junit mishap.xml\n"
	     "\n"
	     "options:");
	options_print(FOR_RUN, stdout);
	puts("\n"
	     "exit status: 0 PASS, 1 FAIL, 2 nothing ran, 3 INCONCLUSIVE,\n"
	     "  4 ABORTED, 5 INVALID or a report is missing, 128+n signal n\n"
	     "see also: mishap list faults, mishap explain, mishap(1)");
	return 0;
}

/* One line per repetition; the worst gets its page at the end. */
static void print_one(const struct options *options,
		      const struct session *session, unsigned number,
		      unsigned count)
{
	FILE *out = session_out(options);
	const struct strings *reasons = &session->judgement->reasons;

	if (options->verbose)
		session_print(options, session);
	fprintf(out, "run %u of %u  %-12s  seed %llu  %s\n", number, count,
		verdict_name(session->judgement->verdict),
		(unsigned long long)session->evidence->seed,
		reasons->count ? reasons->items[0] : session->evidence->id);
	fflush(out);
}

static void print_all(const struct options *options,
		      const struct session *sessions, size_t count,
		      size_t worst)
{
	FILE *out = session_out(options);
	size_t passed = 0;

	if (count == 1 || (!options->verbose && !options->quiet &&
			   sessions[worst].judgement->verdict != VERDICT_PASS))
		session_print(options, &sessions[worst]);
	if (count == 1)
		return;
	for (size_t i = 0; i < count; i++)
		passed += sessions[i].judgement->verdict == VERDICT_PASS;
	fprintf(out, "%s  %zu of %zu passed\n",
		verdict_name(sessions[worst].judgement->verdict), passed,
		count);
}

/* repeat_run - all repetitions.  Returns an exit code where one of them came
 * to nothing, else 0.  *sessions grows. */
static int repeat_run(struct options *options, struct session **sessions,
		      size_t *count)
{
	unsigned repeat = options->repeat ? options->repeat : 1;

	for (unsigned i = 0; i < repeat; i++) {
		struct session *more =
			reallocarray(*sessions, i + 1, sizeof(**sessions));
		int code;

		if (!more)
			return EXIT_CODE_INVALID;
		*sessions = more;
		code = session_run(options, NULL, NULL, i, &more[i]);
		if (!more[i].judgement) {
			session_clear(&more[i]);
			return code;
		}
		*count = i + 1;
		if (i == 0) { /* now the scenario has been read */
			if (!options->repeat && more[0].scenario->repeat > 1)
				repeat = more[0].scenario->repeat;
			options->seed = more[0].options.seed;
			options->seed_set = true;
		}
		if (repeat > 1)
			print_one(options, &more[i], i + 1, repeat);
		if (more[i].evidence->aborted_signal)
			break;
	}
	return 0;
}

int cmd_run(int argc, char **argv)
{
	struct parsed parsed;
	struct options *options = &parsed.options;
	struct session *sessions = NULL;
	size_t count = 0, worst = 0;
	int code;

	if (options_parse(argc, argv, FOR_RUN, &parsed) < 0)
		return EXIT_CODE_USAGE;
	if (parsed.help) {
		options_clear(&parsed);
		return print_help();
	}
	code = options->kill_points
		       ? kill_points_run(options, &sessions, &count)
		       : repeat_run(options, &sessions, &count);
	for (size_t i = 1; i < count; i++)
		if (sessions[i].judgement->verdict >
		    sessions[worst].judgement->verdict)
			worst = i;
	if (count) {
		bool unwritten;

		print_all(options, sessions, count, worst);
		unwritten = session_reports(options, sessions, count, worst);
		if (fflush(session_out(options)) != 0 && !unwritten) {
			fprintf(stderr,
				"mishap: warning: standard output can't be "
				"written: %s\n",
				strerror(errno));
			unwritten = true;
		}
		/* A later repetition that came to nothing shows nothing. */
		if (!code)
			code = session_exit_code(&sessions[worst], unwritten);
		for (size_t i = 0; i < count && !code; i++)
			code = session_exit_code(&sessions[i], unwritten);
	}
	for (size_t i = 0; i < count; i++)
		session_clear(&sessions[i]);
	free(sessions);
	options_clear(&parsed);
	return code;
}
