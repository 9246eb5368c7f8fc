/* site_id.h - what a call site is: the identity of a stack, and its frames.
 *
 * A stack's number is good within one run; its id is the same in every run of
 * the same files, on every machine: a hash of (build-id, address) of native
 * frames and (file name, function, line) of an interpreter's.  Whoever keys
 * anything by call site keys it by (call, id).
 *
 * Read from RUN_DIR/stacks.json, which symbolize_stacks() wrote.  Not
 * thread-safe; strings live as long as the struct site_ids.
 */
#ifndef MISHAP_RUNNER_SITE_ID_H
#define MISHAP_RUNNER_SITE_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SITE_FRAMES_MAX 64 /* with inlined ones; more are left out */

struct site_frame {
	const char *language; /* "native", "python" */
	const char *module;   /* path; NULL: generated code, or a script */
	uint64_t offset;      /* of native code, in the module's file */
	const char *function; /* NULL: unknown */
	const char *file;     /* NULL: unknown */
	int line;	      /* 0: unknown */
	bool is_inlined;      /* into the frame after it */
	bool is_plumbing;     /* libc, the loader, an interpreter's own … */
};

struct site_seen {
	uint32_t stack; /* number in this run */
	uint64_t id;
	struct site_frame frames[SITE_FRAMES_MAX]; /* innermost first */
	size_t count;
	/* The innermost frame that is the program's own; NULL: there is none.
	 */
	const struct site_frame *own;
	/* The interpreter whose functions aren't told apart: all that it runs
	 * is one site, and coverage of its sites can't be told.  NULL: none. */
	const char *collapsed;
};

struct site_ids;

/* site_ids_read - 0; -ENOENT no stack was recorded; -EBADMSG not what we wrote.
 */
int site_ids_read(const char *run_dir, struct site_ids **ret_ids);
void site_ids_free(struct site_ids *ids); /* NULL is fine */
size_t site_ids_count(const struct site_ids *ids);
const struct site_seen *site_ids_at(const struct site_ids *ids, size_t index);
/* site_ids_of - by its number, as events have it; NULL: unknown. */
const struct site_seen *site_ids_of(const struct site_ids *ids, uint32_t stack);

/* site_is_plumbing - what a program calls and didn't write.  module: path or
 * NULL; file: of the source, for python; may be NULL. */
bool site_is_plumbing(const char *module, const char *language,
		      const char *file);
/* site_interpreter - the language that this module's program is written in,
 * by its name; NULL: it is no interpreter that we know. */
const char *site_interpreter(const char *module);

#endif
