/* sight.c - what a run left, handed from worker to runner, and compared.
 *
 * What clean runs don't agree upon is unstable: of it only the shape is looked
 * at (is it there, is it empty, is it much smaller), and the report names it.
 */
#include "runner/sweep/sight.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runner/words.h"

#define LINE_MAX_ 512

void sight_clear(struct sight *sight)
{
	free(sight->out);
	free(sight->err);
	entries_clear(&sight->files);
	*sight = (struct sight){ 0 };
}

/* ---- from process to process ------------------------------------------- */

struct fixed { /* of a sight */
	struct sight sight;
	uint64_t files_count;
};

static int all_write(FILE *out, const void *bytes, size_t n)
{
	return n && fwrite(bytes, 1, n, out) != n ? -EIO : 0;
}

int sight_write(const struct sight *sight, int fd)
{
	struct fixed fixed = { .sight = *sight,
			       .files_count = sight->files.count };
	FILE *out = fdopen(dup(fd), "w");
	int error;

	if (!out)
		return -errno;
	error = all_write(out, &fixed, sizeof(fixed));
	if (!error)
		error = all_write(out, sight->out, sight->out_bytes);
	if (!error)
		error = all_write(out, sight->err, sight->err_bytes);
	for (size_t i = 0; i < sight->files.count && !error; i++) {
		const struct entry *entry = &sight->files.items[i];
		uint64_t n = strlen(entry->path);

		error = all_write(out, entry, sizeof(*entry));
		if (!error)
			error = all_write(out, &n, sizeof(n));
		if (!error)
			error = all_write(out, entry->path, n);
	}
	return fclose(out) != 0 && !error ? -EIO : error;
}

static char *text_read(FILE *in, size_t n)
{
	char *text = malloc(n + 1);

	if (!text || fread(text, 1, n, in) != n) {
		free(text);
		return NULL;
	}
	text[n] = '\0';
	return text;
}

static int entry_read(FILE *in, struct sight *sight)
{
	struct entry entry;
	uint64_t n;

	if (fread(&entry, sizeof(entry), 1, in) != 1 ||
	    fread(&n, sizeof(n), 1, in) != 1 || n > 65536)
		return -EBADMSG;
	entry.path = text_read(in, n);
	return entry.path ? entries_add(&sight->files, &entry) : -ENOMEM;
}

/* Reads on from where it stands: several may follow each other. */
static int sight_read_from(FILE *in, struct sight *ret_sight)
{
	struct fixed fixed;
	int error = 0;

	if (fread(&fixed, sizeof(fixed), 1, in) != 1)
		return -ENODATA;
	*ret_sight = fixed.sight;
	ret_sight->files = (struct entries){ 0 };
	ret_sight->out = text_read(in, fixed.sight.out_bytes);
	ret_sight->err =
		ret_sight->out ? text_read(in, fixed.sight.err_bytes) : NULL;
	if (!ret_sight->err)
		error = -EBADMSG;
	for (uint64_t i = 0; i < fixed.files_count && !error; i++)
		error = entry_read(in, ret_sight);
	if (error)
		sight_clear(ret_sight);
	return error;
}

int sight_read(int fd, struct sight *ret_sight)
{
	int copy = dup(fd), error;
	off_t at;
	FILE *in;

	if (copy < 0)
		return -errno;
	in = fdopen(copy, "r");
	if (!in) {
		close(copy);
		return -errno;
	}
	error = sight_read_from(in, ret_sight);
	at = ftello(in); /* what stdio has read ahead isn't ours */
	fclose(in);
	if (!error && lseek(fd, at, SEEK_SET) < 0)
		error = -errno;
	return error;
}

/* ---- lines -------------------------------------------------------------- */

/* Numbers change from run to run: pids, addresses, times. */
static bool lines_equal(const char *a, size_t a_bytes, const char *b,
			size_t b_bytes)
{
	size_t i = 0, j = 0;

	while (i < a_bytes && j < b_bytes) {
		bool number = isxdigit((unsigned char)a[i]) &&
			      isxdigit((unsigned char)b[j]) &&
			      (isdigit((unsigned char)a[i]) ||
			       isdigit((unsigned char)b[j]));

		if (number) {
			while (i < a_bytes && isxdigit((unsigned char)a[i]))
				i++;
			while (j < b_bytes && isxdigit((unsigned char)b[j]))
				j++;
		} else if (a[i++] != b[j++]) {
			return false;
		}
	}
	return i == a_bytes && j == b_bytes;
}

static bool has_line(const char *text, const char *line, size_t n)
{
	for (const char *at = text; *at;) {
		size_t bytes = strcspn(at, "\n");

		if (lines_equal(at, bytes, line, n))
			return true;
		at += bytes + (at[bytes] == '\n');
	}
	return false;
}

/* The first line of a stream that no clean run has; NULL: none. */
static const char *new_line(const struct baseline *baseline, const char *text,
			    bool is_out, size_t *ret_bytes)
{
	for (const char *at = text; at && *at;) {
		size_t n = strcspn(at, "\n");
		bool is_new = n > 0;

		for (unsigned i = 0; i < baseline->count && is_new; i++)
			is_new = !has_line(is_out ? baseline->sights[i]->out
						  : baseline->sights[i]->err,
					   at, n);
		if (is_new) {
			*ret_bytes = n;
			return at;
		}
		at += n + (at[n] == '\n');
	}
	return NULL;
}

static void line_put(char *ret, size_t room, const char *line, size_t n)
{
	size_t at = 0;

	for (size_t i = 0; i < n && at + 1 < room; i++)
		ret[at++] = isprint((unsigned char)line[i]) ? line[i] : '?';
	ret[at] = '\0';
}

/* ---- the baseline ------------------------------------------------------- */

static bool same_out(const struct sight *a, const struct sight *b)
{
	return a->out_size == b->out_size && a->out_hash == b->out_hash;
}

static bool same_entry(const struct entry *a, const struct entry *b)
{
	return a->kind == b->kind && a->size == b->size && a->hash == b->hash;
}

static const struct entry *entry_find(const struct sight *sight,
				      const char *path)
{
	size_t lo = 0, hi = sight->files.count;

	while (lo < hi) {
		size_t at = (lo + hi) / 2;
		int order = strcmp(sight->files.items[at].path, path);

		if (order == 0)
			return &sight->files.items[at];
		if (order < 0)
			lo = at + 1;
		else
			hi = at;
	}
	return NULL;
}

bool sight_same_files(const struct sight *a, const struct sight *b)
{
	if (a->files.count != b->files.count)
		return false;
	for (size_t i = 0; i < a->files.count; i++)
		if (strcmp(a->files.items[i].path, b->files.items[i].path) ||
		    !same_entry(&a->files.items[i], &b->files.items[i]))
			return false;
	return true;
}

/* Do all clean runs leave the same under this path? */
static bool is_stable(const struct baseline *baseline, const char *path)
{
	const struct entry *first = entry_find(baseline->sights[0], path);

	for (unsigned i = 1; i < baseline->count; i++) {
		const struct entry *other =
			entry_find(baseline->sights[i], path);

		if (!first != !other || (first && !same_entry(first, other)))
			return false;
	}
	return true;
}

static void unstable_files(struct baseline *baseline)
{
	for (unsigned i = 0; i < baseline->count; i++)
		for (size_t f = 0; f < baseline->sights[i]->files.count; f++) {
			const char *path =
				baseline->sights[i]->files.items[f].path;

			if (is_stable(baseline, path) ||
			    (i && entry_find(baseline->sights[0], path)))
				continue;
			baseline->files_unstable++;
			if (!baseline->unstable_path)
				baseline->unstable_path = path;
		}
}

void baseline_make(struct baseline *baseline, const struct sight *sights,
		   unsigned count)
{
	*baseline = (struct baseline){ .count = count };
	for (unsigned i = 0; i < count; i++)
		baseline->sights[i] = &sights[i];
	for (unsigned i = 1; i < count; i++) {
		size_t n;

		if (!same_out(&sights[0], &sights[i]))
			baseline->out_unstable = true;
		if (sights[0].status != sights[i].status)
			baseline->status_unstable = true;
		if (sights[0].err_bytes != sights[i].err_bytes ||
		    memcmp(sights[0].err, sights[i].err, sights[0].err_bytes))
			baseline->err_unstable = true;
		(void)n;
	}
	unstable_files(baseline);
}

/* ---- comparing ---------------------------------------------------------- */

/* The least size that clean runs have under a path; false: not in all. */
static bool least_size(const struct baseline *baseline, const char *path,
		       uint64_t *ret_size)
{
	*ret_size = UINT64_MAX;
	for (unsigned i = 0; i < baseline->count; i++) {
		const struct entry *entry =
			entry_find(baseline->sights[i], path);

		if (!entry || entry->kind != ENTRY_FILE)
			return false;
		if (entry->size < *ret_size)
			*ret_size = entry->size;
	}
	return true;
}

static void say(struct difference *ret, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void say(struct difference *ret, const char *format, ...)
{
	va_list args;

	if (*ret->what)
		return;
	va_start(args, format);
	vsnprintf(ret->what, sizeof(ret->what), format, args);
	va_end(args);
}

/* Of a path that clean runs know. */
static void compare_known(const struct baseline *baseline,
			  const struct entry *want, const struct entry *got,
			  struct difference *ret)
{
	uint64_t least;

	if (want->is_temporary)
		return; /* what is left in /tmp is nobody's result */
	if (is_stable(baseline, want->path)) {
		if (got && same_entry(want, got))
			return;
		ret->extra_only = false;
		ret->files = true;
		if (!got)
			say(ret,
			    want->kind == ENTRY_GONE ? "%s is still there"
						     : "%s isn't as it should "
						       "be: it wasn't written",
			    want->path);
		else if (got->kind == ENTRY_FILE && want->kind == ENTRY_FILE)
			say(ret, "%s has %llu bytes, not %llu%s", want->path,
			    (unsigned long long)got->size,
			    (unsigned long long)want->size,
			    got->size == want->size ? ": they differ" : "");
		else
			say(ret, "%s isn't as it should be", want->path);
		return;
	}
	if (!least_size(baseline, want->path, &least))
		return;
	if (!got ||
	    (got->kind == ENTRY_FILE && least && got->size < least / 2)) {
		ret->extra_only = false;
		ret->files = true;
		if (got)
			say(ret, "%s has %llu bytes, not about %llu",
			    want->path, (unsigned long long)got->size,
			    (unsigned long long)least);
		else
			say(ret, "%s is missing", want->path);
	}
}

/* Of a path that no clean run changes. */
static void compare_extra(const struct entry *got, struct difference *ret)
{
	if (got->is_temporary) {
		ret->files = true;
		say(ret, "%s is left behind", got->path);
		return;
	}
	ret->files = true;
	if (got->kind == ENTRY_GONE) {
		ret->destroyed = true;
		ret->extra_only = false;
		*ret->what = '\0'; /* nothing weighs more */
		say(ret, "%s, which was there before, is gone", got->path);
	} else {
		say(ret, "%s is left behind", got->path);
	}
}

/* With names that change from run to run nothing can be said of new ones. */
static bool names_vary(const struct baseline *baseline)
{
	const struct sight *first = baseline->sights[0];

	for (unsigned i = 1; i < baseline->count; i++) {
		const struct sight *other = baseline->sights[i];

		if (other->files.count != first->files.count)
			return true;
		for (size_t f = 0; f < first->files.count; f++)
			if (strcmp(first->files.items[f].path,
				   other->files.items[f].path) != 0)
				return true;
	}
	return false;
}

static bool is_known(const struct baseline *baseline, const char *path)
{
	for (unsigned i = 0; i < baseline->count; i++)
		if (entry_find(baseline->sights[i], path))
			return true;
	return false;
}

static void compare_files(const struct baseline *baseline,
			  const struct sight *sight, struct difference *ret)
{
	const struct sight *first = baseline->sights[0];
	bool vary = names_vary(baseline);

	ret->extra_only = true;
	for (size_t i = 0; i < first->files.count; i++)
		compare_known(baseline, &first->files.items[i],
			      entry_find(sight, first->files.items[i].path),
			      ret);
	for (size_t i = 0; i < sight->files.count; i++)
		if (!is_known(baseline, sight->files.items[i].path) &&
		    (!vary || sight->files.items[i].kind == ENTRY_GONE))
			compare_extra(&sight->files.items[i], ret);
	ret->extra_only &= ret->files;
}

/* Both are written to the same length or the output is cut. */
static void compare_out(const struct baseline *baseline,
			const struct sight *sight, struct difference *ret)
{
	uint64_t least = UINT64_MAX;

	for (unsigned i = 0; i < baseline->count; i++) {
		if (same_out(baseline->sights[i], sight))
			return;
		if (baseline->sights[i]->out_size < least)
			least = baseline->sights[i]->out_size;
	}
	if (baseline->out_unstable) {
		if (!least || sight->out_size >= least / 2)
			return;
	}
	ret->out = true;
	say(ret, "standard output has %llu bytes, not %llu%s",
	    (unsigned long long)sight->out_size,
	    (unsigned long long)baseline->sights[0]->out_size,
	    sight->out_size == baseline->sights[0]->out_size ? ": they differ"
							     : "");
}

/* The result isn't what it should be, and what it was made of has gone. */
static void compare_gone(const struct baseline *baseline,
			 const struct sight *sight, struct difference *ret)
{
	const struct sight *first = baseline->sights[0];
	size_t n = strlen(ret->what);

	for (size_t i = 0; i < first->files.count && ret->files; i++) {
		const struct entry *entry = &first->files.items[i];
		const struct entry *got = entry_find(sight, entry->path);

		if (entry->kind != ENTRY_GONE || !got ||
		    got->kind != ENTRY_GONE || ret->extra_only)
			continue;
		snprintf(ret->what + n, sizeof(ret->what) - n,
			 "; %s is removed all the same", entry->path);
		ret->source_gone = true;
		return;
	}
}

void sight_compare(const struct baseline *baseline, const struct sight *sight,
		   struct difference *ret)
{
	const char *line;
	size_t n;

	*ret = (struct difference){ 0 };
	compare_files(baseline, sight, ret);
	compare_out(baseline, sight, ret);
	compare_gone(baseline, sight, ret);
	line = new_line(baseline, sight->err, false, &n);
	ret->said = line != NULL;
	if (!line && ret->out) {
		line = new_line(baseline, sight->out, true, &n);
		ret->said_out = line != NULL;
	}
	if (line)
		line_put(ret->message, sizeof(ret->message), line, n);
}
