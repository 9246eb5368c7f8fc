#include "runner/evidence_files.h"

#include <errno.h>
#include <string.h>

#define EVENTS_MAGIC 0x31544e5645534d21ull /* "!MSEVNT1" */
#define EVENTS_MAX   (1u << 24)

struct events_header {
	uint64_t magic, event_bytes, count;
};

static int put_events(FILE *out, const void *what)
{
	const struct evidence *evidence = what;
	struct events_header header = {
		.magic = EVENTS_MAGIC,
		.event_bytes = sizeof(struct event),
		.count = evidence->events_count,
	};

	if (fwrite(&header, sizeof(header), 1, out) != 1 ||
	    fwrite(evidence->events, sizeof(struct event),
		   evidence->events_count, out) != evidence->events_count)
		return errno ? -errno : -EIO;
	return 0;
}

static int put_text(FILE *out, const void *what)
{
	const struct text *text = what;

	return fwrite(text->bytes, 1, text->count, out) == text->count ? 0
								       : -EIO;
}

/* The engine writes streams as they come; what isn't there yet, we write. */
static int text_save(const char *run_dir, const char *name,
		     const struct text *text)
{
	_cleanup_words_ char *path = words_say("%s/%s", run_dir, name);
	char *there = NULL;
	size_t count = 0;
	bool same;

	if (!path)
		return -ENOMEM;
	if (!text->bytes)
		return 0;
	same = words_read(path, FILE_BYTES_MAX, &there, &count) == 0 &&
	       count >= text->count &&
	       memcmp(there, text->bytes, text->count) == 0;
	free(there);
	return same ? 0 : words_write(path, put_text, text);
}

static int text_load(const char *run_dir, const char *name, struct text *text)
{
	_cleanup_words_ char *path = words_say("%s/%s", run_dir, name);
	size_t kept = text->count;
	int error;

	if (!path)
		return -ENOMEM;
	if (!text->path) /* wasn't captured */
		return 0;
	error = words_read(path, FILE_BYTES_MAX, &text->bytes, &text->count);
	if (error < 0)
		return error;
	if (text->count < kept)
		return -EBADMSG;
	text->count = kept;
	text->bytes[kept] = '\0';
	free(text->path);
	text->path = path;
	path = NULL;
	return 0;
}

/* texts_each - save or load all streams; names are ours, in the directory. */
int evidence_texts(struct evidence *evidence, const char *run_dir, bool load)
{
	size_t workloads = evidence->workload_outs
				   ? evidence->scenario->workloads_count
				   : 0;
	int error = 0;

	for (size_t i = 0; i < workloads + 3 && !error; i++) {
		struct text *text = i == 0   ? &evidence->out
				    : i == 1 ? &evidence->err
				    : i == 2 ? &evidence->ledger
					     : &evidence->workload_outs[i - 3];
		static const char *const ours[] = { "stdout", "stderr",
						    "ledger" };
		char name[40];

		if (i < 3)
			strcpy(name, ours[i]);
		else
			snprintf(name, sizeof(name), "workload%zu.stdout",
				 i - 3);
		error = load ? text_load(run_dir, name, text)
			     : text_save(run_dir, name, text);
	}
	return error;
}

int evidence_events_save(const struct evidence *evidence)
{
	_cleanup_words_ char *path =
		words_say("%s/events.bin", evidence->run_dir);

	return path ? words_write(path, put_events, evidence) : -ENOMEM;
}

int evidence_events_load(const char *run_dir, struct evidence *evidence)
{
	_cleanup_words_ char *path = words_say("%s/events.bin", run_dir);
	_cleanup_words_ char *bytes = NULL;
	struct events_header header;
	size_t n;
	int error;

	if (!path)
		return -ENOMEM;
	error = words_read(path, FILE_BYTES_MAX, &bytes, &n);
	if (error < 0)
		return error;
	if (n < sizeof(header))
		return -EBADMSG;
	memcpy(&header, bytes, sizeof(header));
	if (header.magic != EVENTS_MAGIC ||
	    header.event_bytes != sizeof(struct event) ||
	    header.count > EVENTS_MAX ||
	    n != sizeof(header) + header.count * sizeof(struct event))
		return -EBADMSG;
	evidence->events = malloc(header.count * sizeof(struct event) + 1);
	if (!evidence->events)
		return -ENOMEM;
	evidence->events_count = header.count;
	memcpy(evidence->events, bytes + sizeof(header), n - sizeof(header));
	return 0;
}
