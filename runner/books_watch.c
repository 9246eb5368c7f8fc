/* books_watch.c - the library's books beside the kernel's: what it let go on
 * must have come there through it, and nothing that it kept. */
#include <errno.h>
#include <string.h>

#include "runner/oracles/oracle.h"
#include "runner/verdict.h"

#define NR_EXECVE   59 /* a good one never comes back to be counted */
#define NR_EXECVEAT 322

const char *watched_call_name(uint16_t nr)
{
	const struct call_kernel *row =
		nr < CALL_NR_MAX ? &call_kernel_table[nr] : NULL;

	return row && row->id < CALL_COUNT ? call_table[row->id].name : NULL;
}

static char *call_words(uint16_t nr)
{
	const char *name = watched_call_name(nr);

	return name ? strdup(name) : words_say("system call %u", nr);
}

static int add(struct findings *findings, enum verdict verdict,
	       const char *name, char *expected, char *seen)
{
	return books_add(findings, verdict, name, NULL, -1, expected, seen);
}

static bool watched_has_symbols(const struct watched *watched)
{
	for (size_t i = 0; i < watched->calls_count; i++)
		if (watched->calls[i].symbols)
			return true;
	return false;
}

/* ---- the balance ------------------------------------------------------------
 */

/* How far the two may differ: what can't be told, and what was under way when a
 * thread was killed.  By its symbol a call may be another number than libc
 * makes of it. */
static bool is_balanced(const struct watched *watched,
			const struct watched_call *call)
{
	if (call->nr == NR_EXECVE || call->nr == NR_EXECVEAT)
		return true;
	if (call->passed > call->marked && watched_has_symbols(watched))
		return true;
	return call->passed >= call->marked &&
	       call->passed <=
		       call->marked + call->unknown + watched->in_flight;
}

static int judge_balance(const struct evidence *evidence,
			 struct findings *findings)
{
	const struct watched *watched = &evidence->watched;
	const struct watched_call *wrong = NULL;
	_cleanup_words_ char *name = NULL;
	size_t count = 0;

	for (size_t i = 0; i < watched->calls_count; i++) {
		if (is_balanced(watched, &watched->calls[i]))
			continue;
		wrong = wrong ? wrong : &watched->calls[i];
		count++;
	}
	if (!wrong)
		return 0;
	name = call_words(wrong->nr);
	if (!name)
		return -ENOMEM;
	return add(findings, VERDICT_INVALID, "books balance",
		   words_say("what the library lets go on comes to the kernel "
			     "through it, and nothing else does"),
		   words_say("%s: %llu let go on, %llu came through us%s", name,
			     (unsigned long long)wrong->passed,
			     (unsigned long long)wrong->marked,
			     count > 1 ? "; others differ, too" : ""));
}

/* ---- escapes
 * ----------------------------------------------------------------- */

/* Calls of one id: all that came to the kernel, and those past us. */
struct share {
	uint64_t all, missed;
	const struct watched_escape *first;
};

static unsigned escape_call(const struct watched_escape *escape)
{
	if (escape->way == WATCHED_uring)
		return call_find(escape->comm, strlen(escape->comm));
	if (escape->bits != 64 || escape->nr >= CALL_NR_MAX)
		return CALL_NONE;
	return call_kernel_table[escape->nr].id;
}

static struct share share_of(const struct watched *watched, unsigned id)
{
	struct share share = { 0 };

	for (size_t i = 0; i < watched->calls_count; i++) {
		const struct watched_call *call = &watched->calls[i];

		if (call->nr >= CALL_NR_MAX ||
		    call_kernel_table[call->nr].id != id)
			continue;
		share.all += call->marked + call->escaped + call->unknown;
		share.missed += call->escaped + call->unknown;
	}
	for (size_t i = 0; i < watched->escapes_count; i++) {
		const struct watched_escape *escape = &watched->escapes[i];

		if (escape_call(escape) != id)
			continue;
		share.first = share.first ? share.first : escape;
		if (escape->way == WATCHED_uring) {
			share.all += escape->count;
			share.missed += escape->count;
		}
	}
	return share;
}

char *watched_escape_words(const struct watched_escape *escape)
{
	static const char *const ways[] = {
		[WATCHED_raw] = "",
		[WATCHED_uring] = " by io_uring",
		[WATCHED_alone] = ", which the library isn't in",
		[WATCHED_inner] = "",
	};
	_cleanup_words_ char *name =
		escape->way == WATCHED_uring ? strdup(escape->comm)
		: escape->bits != 64
			? words_say("32-bit system call %u", escape->nr)
			: call_words(escape->nr);

	if (!name)
		return NULL;
	if (escape->way == WATCHED_uring)
		return words_say("%llu %s by io_uring",
				 (unsigned long long)escape->count, name);
	if (escape->way == WATCHED_inner)
		return words_say("%llu %s by none of libc's symbols",
				 (unsigned long long)escape->count, name);
	return words_say("%llu %s by %s in %.16s%s",
			 (unsigned long long)escape->count, name,
			 escape->site ? escape->site : "?", escape->comm,
			 ways[escape->way]);
}

static int judge_escapes_of(const struct evidence *evidence, unsigned id,
			    struct findings *findings)
{
	uint32_t min_ppm = evidence->scenario->min_coverage_ppm;
	struct share share = share_of(&evidence->watched, id);
	_cleanup_words_ char *first =
		share.first ? watched_escape_words(share.first) : strdup("");

	if (!first)
		return -ENOMEM;
	if (share.missed * 1000000 <= share.all * (1000000 - min_ppm))
		return 0;
	return add(findings, VERDICT_INCONCLUSIVE, "calls seen",
		   words_say("at least %.4g%% of the target's calls of %s pass "
			     "us",
			     min_ppm / 1e4, call_table[id].name),
		   words_say("%llu of %llu calls of %s came to the kernel past "
			     "us%s%s",
			     (unsigned long long)share.missed,
			     (unsigned long long)share.all, call_table[id].name,
			     *first ? ": " : "", first));
}

static int judge_escapes(const struct evidence *evidence,
			 struct findings *findings)
{
	const struct scenario *scenario = evidence->scenario;
	bool named[CALL_COUNT] = { false };
	int error = 0;

	for (size_t i = 0; i < scenario->rules_count; i++)
		for (size_t k = 0; k < scenario->rules[i].calls_count; k++)
			named[scenario->rules[i].calls[k]] = true;
	for (unsigned id = 0; id < CALL_COUNT && !error; id++)
		if (named[id] && call_table[id].has_kernel)
			error = judge_escapes_of(evidence, id, findings);
	return error;
}

/* ---- the environment
 * ------------------------------------------------------------ */

/* What a disk or a file system says when it is at its end.  Others are everyday
 * answers: ENOENT, EAGAIN, ECONNREFUSED. */
bool watched_error_is_environment(const struct watched_error *error)
{
	unsigned id = error->nr < CALL_NR_MAX ? call_kernel_table[error->nr].id
					      : CALL_NONE;

	if (id >= CALL_COUNT || call_table[id].family != FAMILY_file)
		return false;
	switch (error->error) {
	case EIO:
	case ENOSPC:
	case EDQUOT:
	case ESTALE:
	case EUCLEAN:
	case EREMOTEIO:
	case ENFILE:
		return true;
	}
	return false;
}

static int judge_environment(const struct evidence *evidence,
			     struct findings *findings)
{
	const struct watched *watched = &evidence->watched;

	for (size_t i = 0; i < watched->errors_count; i++) {
		const struct watched_error *error = &watched->errors[i];
		_cleanup_words_ char *name = NULL;
		const char *what = error_name(error->error);

		if (!watched_error_is_environment(error))
			continue;
		name = call_words(error->nr);
		if (!name)
			return -ENOMEM;
		return add(
			findings, VERDICT_INCONCLUSIVE, "sound environment",
			words_say("the kernel itself reports no I/O error"),
			words_say("%s failed %llu time%s with %s, and not by "
				  "a fault of ours",
				  name, (unsigned long long)error->count,
				  error->count == 1 ? "" : "s",
				  what ? what : "an error"));
	}
	return 0;
}

int books_excuse(const struct evidence *evidence, struct findings *findings)
{
	bool is_ill = false;

	for (size_t i = 0; i < evidence->watched.errors_count; i++)
		is_ill |= watched_error_is_environment(
			&evidence->watched.errors[i]);
	for (size_t i = 0; is_ill && i < findings->count; i++) {
		struct finding *finding = &findings->items[i];
		_cleanup_words_ char *seen = NULL;

		if (!finding->expect || finding->verdict != VERDICT_FAIL)
			continue;
		seen = finding->seen;
		finding->seen =
			words_say("%s; but the machine itself failed", seen);
		finding->verdict = VERDICT_INCONCLUSIVE;
		if (!finding->seen)
			return -ENOMEM;
	}
	return 0;
}

/* It was on, and then not, or not whole. */
static int judge_loss(const struct watched *watched, const char *missing,
		      struct findings *findings)
{
	if (watched->unobserved || !watched->groups[WATCHED_sys].on)
		return 0; /* the page says "unobserved" */
	return add(findings, VERDICT_INCONCLUSIVE, "every call counted",
		   words_say("probes see all of the run"),
		   words_say("%s", missing));
}

int books_judge_watch(const struct evidence *evidence,
		      struct findings *findings)
{
	const struct watched *watched = &evidence->watched;
	_cleanup_words_ char *missing = NULL;
	int error;

	if (!watched->asked || !watched->groups[WATCHED_sys].asked ||
	    evidence->aborted)
		return 0;
	missing =
		watched_missing(watched, 1 << WATCHED_sys | 1 << WATCHED_life);
	if (missing)
		return judge_loss(watched, missing, findings);
	error = judge_balance(evidence, findings);
	if (!error)
		error = judge_escapes(evidence, findings);
	return error ? error : judge_environment(evidence, findings);
}
