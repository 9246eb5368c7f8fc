/* history.c - the ledger of a run as Jepsen or porcupine would have written it:
 * `mishap report --history edn|json|porcupine[:STREAM]`. */
#include <errno.h>
#include <string.h>

#include "runner/ledger/export.h"
#include "runner/report/report.h"
#include "runner/words.h"

static int format_read(const char *text, enum export_format *ret_format,
		       const char **ret_stream)
{
	static const char *const names[] = { "edn", "json", "porcupine" };
	size_t n = strcspn(text, ":");

	for (unsigned i = 0; i < 3; i++)
		if (strlen(names[i]) == n && !strncmp(text, names[i], n)) {
			*ret_format = (enum export_format)i;
			*ret_stream = text[n] ? text + n + 1 : NULL;
			return 0;
		}
	fprintf(stderr,
		"mishap: --history wants edn, json or porcupine, and "
		":STREAM after it where there are several; got '%s'\n",
		text);
	return -EINVAL;
}

static enum ledger_form form_of(const struct scenario *scenario,
				struct ledger_word stream)
{
	enum ledger_form form = FORM_SET;

	for (size_t i = 0; i < scenario->streams.count; i++) {
		const char *text = scenario->streams.items[i];
		const char *equals = strchr(text, '=');
		struct ledger_word name = { text, (size_t)(equals - text) };

		if (ledger_word_same(name, stream))
			form_read(equals + 1, strlen(equals + 1), &form);
	}
	return form;
}

/* The stream that was asked for, or the only one. */
static int stream_find(const struct ledger_log *log, const char *name,
		       uint32_t *ret_stream)
{
	struct ledger_word word = { name, name ? strlen(name) : 0 };

	if (!log->streams_count) {
		fputs("mishap: this run kept no ledger\n", stderr);
		return -ENOENT;
	}
	if (!name && log->streams_count == 1) {
		*ret_stream = 0;
		return 0;
	}
	for (uint32_t i = 0; name && i < log->streams_count; i++)
		if (ledger_word_same(log->streams[i], word)) {
			*ret_stream = i;
			return 0;
		}
	fputs("mishap: --history FORMAT:STREAM; the streams are", stderr);
	for (uint32_t i = 0; i < log->streams_count; i++)
		fprintf(stderr, " %.*s", (int)log->streams[i].n,
			log->streams[i].at);
	fputc('\n', stderr);
	return -ENOENT;
}

static int log_fill(const struct evidence *evidence, struct ledger_log *log)
{
	const struct scenario *scenario = evidence->scenario;
	int error = 0;

	if (evidence->ledger.bytes)
		error = ledger_log_write(log, evidence->ledger.bytes,
					 evidence->ledger.count);
	for (size_t i = 0; i < evidence->commands_count && !error; i++) {
		const struct command_seen *seen = &evidence->commands[i];

		if (scenario->expects[seen->expect].subject == EXPECT_ledger &&
		    seen->output && !log->done)
			error = ledger_log_read(log, seen->output, seen->bytes);
	}
	return error;
}

int report_history(const struct evidence *evidence, const char *how, FILE *out)
{
	struct ledger_log log = { 0 };
	enum export_format format;
	const char *name = NULL;
	uint32_t stream = 0;
	int error = format_read(how, &format, &name);

	if (!error)
		error = log_fill(evidence, &log);
	if (!error)
		error = stream_find(&log, name, &stream);
	if (!error)
		error = ledger_export(
			&log, stream,
			form_of(evidence->scenario, log.streams[stream]),
			format, out);
	ledger_log_clear(&log);
	return error;
}
