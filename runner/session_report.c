#include "runner/session.h"

#include <errno.h>
#include <string.h>

#include "runner/options.h"
#include "runner/report/report.h"

struct all { /* what a writer is given */
	const struct session *sessions;
	size_t count, worst;
};

static json_t *repeat_json(const struct all *all)
{
	json_t *items = json_array();
	size_t passed = 0;

	for (size_t i = 0; items && i < all->count; i++) {
		const struct session *session = &all->sessions[i];

		passed += session->judgement->verdict == VERDICT_PASS;
		json_array_append_new(
			items,
			json_pack("{ss sI ss si}", "id", session->evidence->id,
				  "seed", (json_int_t)session->evidence->seed,
				  "verdict",
				  verdict_name(session->judgement->verdict),
				  "exit", session_exit_code(session, false)));
	}
	return json_pack("{sI sI so}", "runs", (json_int_t)all->count, "passed",
			 (json_int_t)passed, "items", items);
}

static int put_json(FILE *out, const void *what)
{
	const struct all *all = what;
	const struct session *worst = &all->sessions[all->worst];
	_cleanup_json_ json_t *json =
		report_json(worst->evidence, worst->judgement);

	if (!json || json_object_set_new(json, "repeat", repeat_json(all)) < 0)
		return -ENOMEM;
	errno = 0;
	if (json_dumpf(json, out, JSON_INDENT(2) | JSON_PRESERVE_ORDER) < 0 ||
	    fputc('\n', out) == EOF)
		return errno ? -errno : -EIO;
	return 0;
}

static int put_junit(FILE *out, const void *what)
{
	const struct all *all = what;
	const struct evidence **evidences =
		calloc(all->count, sizeof(*evidences));
	const struct judgement **judgements =
		calloc(all->count, sizeof(*judgements));
	int error = -ENOMEM;

	for (size_t i = 0; evidences && judgements && i < all->count; i++) {
		evidences[i] = all->sessions[i].evidence;
		judgements[i] = all->sessions[i].judgement;
	}
	if (evidences && judgements)
		error = report_junit(evidences, judgements, all->count, out);
	free(evidences);
	free(judgements);
	return error;
}

static int put_events(FILE *out, const void *what)
{
	const struct all *all = what;

	return report_events(all->sessions[all->worst].evidence, out);
}

/* One format; true if it couldn't be written. */
static bool report_fails(const char *path,
			 int (*put)(FILE *out, const void *what),
			 const struct all *all)
{
	int error;

	if (!path)
		return false;
	if (strcmp(path, "-") == 0) {
		error = put(stdout, all);
		if (!error && fflush(stdout) != 0)
			error = -errno;
	} else {
		error = words_write(path, put, all);
	}
	if (error < 0)
		fprintf(stderr, "mishap: warning: %s can't be written: %s\n",
			strcmp(path, "-") == 0 ? "standard output" : path,
			strerror(-error));
	return error < 0;
}

bool session_reports(const struct options *options,
		     const struct session *sessions, size_t count, size_t worst)
{
	const struct all all = { .sessions = sessions,
				 .count = count,
				 .worst = worst };
	bool fails = report_fails(options->json_path, put_json, &all);

	fails |= report_fails(options->junit_path, put_junit, &all);
	return report_fails(options->events_path, put_events, &all) || fails;
}

static bool is_stdout(const char *path)
{
	return path && strcmp(path, "-") == 0;
}

FILE *session_out(const struct options *options)
{
	return is_stdout(options->json_path) ||
			       is_stdout(options->junit_path) ||
			       is_stdout(options->events_path)
		       ? stderr
		       : stdout;
}

void session_print(const struct options *options, const struct session *session)
{
	FILE *out = session_out(options);
	const struct judgement *judgement = session->judgement;

	if (options->quiet) {
		fprintf(out, "%s  %s\n", verdict_name(judgement->verdict),
			judgement->replay);
		return;
	}
	report_terminal(session->evidence, judgement,
			options_color(options, out), out);
}
