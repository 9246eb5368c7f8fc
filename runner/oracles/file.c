/* file - what became of a file: exists, absent, unchanged, equals FILE, one-of
 * FILE FILE.  Contents are compared by hash and length. */
#include "runner/oracles/oracle.h"

#include <sys/stat.h>
#include <unistd.h>

/* args: PATH VERB [OTHER [OTHER]] */
static const char *arg(const struct expect *expect, size_t i)
{
	return i < expect->args.count ? expect->args.items[i] : "";
}

static bool verb_is(const struct expect *expect, const char *verb)
{
	return strcmp(arg(expect, 1), verb) == 0;
}

/* look - existence, and the hash where there is one to be had. */
static void look(const struct evidence *evidence, const char *path,
		 bool *ret_exists, uint64_t *ret_hash, uint64_t *ret_bytes,
		 int *ret_error)
{
	int error = oracle_hash(evidence, path, ret_hash, ret_bytes);

	/* A directory or a socket exists too: only its content is unknown. */
	*ret_exists = error == 0 || error == -EISDIR || error == -ENOTSUP ||
		      error == -ENXIO;
	*ret_error = error == -ENOENT || error == -ENOTDIR ? ENOENT : -error;
}

/* seen_slot - this path's place in the evidence, once per expectation's
 * comparison files (they may differ for one path). */
static struct file_seen *seen_slot(const struct expect *expect,
				   const struct evidence *evidence)
{
	const struct scenario *scenario = evidence->scenario;
	size_t slot = 0;

	for (size_t i = 0; i < scenario->expects_count; i++) {
		if (scenario->expects[i].subject != EXPECT_file)
			continue;
		if (&scenario->expects[i] == expect)
			return slot < evidence->files_count
				       ? &evidence->files[slot]
				       : NULL;
		slot++;
	}
	return NULL;
}

static int before(const struct expect *expect, struct evidence *evidence)
{
	struct file_seen *files = reallocarray(
		evidence->files, evidence->files_count + 1, sizeof(*files));
	struct file_seen *seen;

	if (!files)
		return -ENOMEM;
	evidence->files = files;
	seen = &files[evidence->files_count];
	*seen = (struct file_seen){
		.path = strdup(arg(expect, 0)),
		.error_after = EAGAIN, /* nobody has looked yet */
	};
	if (!seen->path)
		return -ENOMEM;
	evidence->files_count++;
	look(evidence, seen->path, &seen->exists_before, &seen->hash_before,
	     &seen->bytes_before, &seen->error_before);
	return 0;
}

static int after(const struct expect *expect, struct evidence *evidence)
{
	struct file_seen *seen = seen_slot(expect, evidence);
	uint64_t bytes;

	if (!seen)
		return 0;
	look(evidence, seen->path, &seen->exists_after, &seen->hash_after,
	     &seen->bytes_after, &seen->error_after);
	for (size_t i = 0; i < 2 && i + 2 < expect->args.count; i++) {
		look(evidence, arg(expect, i + 2), &seen->exists_other[i],
		     &seen->hash_other[i], &bytes, &seen->error_other[i]);
		/* An absent file isn't the same as an empty one. */
	}
	return 0;
}

static int judge_content(const struct expect *expect,
			 const struct file_seen *seen, char *expected,
			 struct finding *ret_finding)
{
	bool unchanged = verb_is(expect, "unchanged");
	bool same = false;

	if (unchanged && seen->error_before) {
		free(expected);
		return oracle_unknown(ret_finding, "%s before the run: %s",
				      seen->path, strerror(seen->error_before));
	}
	for (size_t i = 0; !unchanged && i + 2 < expect->args.count; i++) {
		if (seen->error_other[i]) {
			free(expected);
			return oracle_unknown(ret_finding, "%s: %s",
					      arg(expect, i + 2),
					      strerror(seen->error_other[i]));
		}
		same |= seen->hash_after == seen->hash_other[i];
	}
	if (unchanged)
		same = seen->hash_after == seen->hash_before &&
		       seen->bytes_after == seen->bytes_before;
	if (!seen->exists_after)
		return oracle_fail(ret_finding, expected, "it is gone");
	return oracle_answer(ret_finding, same, expected,
			     same ? "it is, %llu bytes"
				  : "another content, %llu bytes",
			     (unsigned long long)seen->bytes_after);
}

static int judge(const struct expect *expect, const struct evidence *evidence,
		 struct finding *ret_finding)
{
	const struct file_seen *seen = seen_slot(expect, evidence);
	char *expected;

	if (!seen || seen->error_after == EAGAIN)
		return oracle_unknown(ret_finding, "%s wasn't looked at",
				      arg(expect, 0));
	if (seen->error_after && seen->error_after != ENOENT &&
	    (!seen->exists_after ||
	     !(verb_is(expect, "exists") || verb_is(expect, "absent"))))
		return oracle_unknown(ret_finding, "%s: %s", seen->path,
				      strerror(seen->error_after));
	expected = words_say("%s %s%s%s%s%s", seen->path, arg(expect, 1),
			     expect->args.count > 2 ? " " : "", arg(expect, 2),
			     expect->args.count > 3 ? " " : "", arg(expect, 3));
	if (!expected)
		return -ENOMEM;
	if (verb_is(expect, "exists") || verb_is(expect, "absent"))
		return oracle_answer(
			ret_finding,
			seen->exists_after == verb_is(expect, "exists"),
			expected,
			seen->exists_after ? "it is there" : "it isn't there");
	return judge_content(expect, seen, expected, ret_finding);
}

static int tamper(const struct expect *expect, struct evidence *evidence)
{
	struct file_seen *seen = seen_slot(expect, evidence);

	if (!seen)
		return -ENOTSUP;
	if (verb_is(expect, "exists") || verb_is(expect, "absent")) {
		seen->exists_after = verb_is(expect, "absent");
		return 0;
	}
	seen->bytes_after++; /* a byte more: then the hash is another too */
	do
		seen->hash_after++;
	while (seen->hash_after == seen->hash_other[0] ||
	       seen->hash_after == seen->hash_other[1]);
	return 0;
}

/* Work undone comes of a failure. */
static bool by_fault(const struct expect *expect)
{
	return verb_is(expect, "absent") || verb_is(expect, "unchanged");
}

const struct oracle oracle_file = {
	.before = before,
	.after = after,
	.judge = judge,
	.tamper = tamper,
	.whole = true,
	.by_fault = by_fault,
};
