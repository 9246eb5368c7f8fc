#include "runner/kill_points.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define KILL_NEVER (UINT64_MAX - 1)

struct points {
	struct options *options;
	struct session **sessions;
	size_t *count;
	uint64_t calls;	     /* that match, in a run without a kill */
	uint64_t held, fell; /* the last that held, the least that failed */
	size_t fell_session;
	unsigned unreached, unpromised;
};

static bool was_killed(const struct evidence *evidence)
{
	for (size_t i = 0; i < evidence->scenario->rules_count; i++)
		if (evidence->scenario->rules[i].plan.fault == FAULT_kill &&
		    evidence->fired[i])
			return true;
	return false;
}

/* The most that any rule which kills has matched in one process: nth= counts
 * so. */
static uint64_t calls_matched(const struct evidence *evidence)
{
	uint64_t most = 0;

	for (size_t i = 0; i < evidence->scenario->rules_count; i++)
		if (evidence->scenario->rules[i].plan.fault == FAULT_kill &&
		    evidence->matched_most[i] > most)
			most = evidence->matched_most[i];
	return most;
}

/* One run at a point; *ret is its session, kept behind the others. */
static int run_at(struct points *p, uint64_t point, struct session **ret)
{
	struct session *more = reallocarray(*p->sessions, *p->count + 1,
					    sizeof(**p->sessions));
	struct session *session;
	int code;

	if (!more)
		return EXIT_CODE_INVALID;
	*p->sessions = more;
	session = &more[*p->count];
	p->options->kill_at = point;
	code = session_run(p->options, NULL, NULL, 0, session);
	if (!session->judgement) {
		session_clear(session);
		return code ? code : EXIT_CODE_INVALID;
	}
	p->options->seed = session->options.seed;
	p->options->seed_set = true;
	++*p->count;
	*ret = session;
	return 0;
}

static void drop_last(struct points *p)
{
	session_clear(&(*p->sessions)[--*p->count]);
}

/* Died before anything was promised: nothing can be lost there. */
static bool promised_nothing(const struct session *session)
{
	const struct evidence *evidence = session->evidence;
	const struct scenario *scenario = evidence->scenario;
	bool ledger = false;

	for (size_t i = 0; i < scenario->expects_count; i++)
		ledger |= scenario->expects[i].subject == EXPECT_ledger;
	return ledger && session->judgement->verdict == VERDICT_INCONCLUSIVE &&
	       !(evidence->ledger.bytes &&
		 strstr(evidence->ledger.bytes, "\nack "));
}

static int point_try(struct points *p, uint64_t point, enum verdict *ret)
{
	FILE *out = session_out(p->options);
	struct session *session = NULL;
	int code = run_at(p, point, &session);
	bool killed;

	if (code)
		return code;
	killed = was_killed(session->evidence);
	*ret = session->judgement->verdict;
	fprintf(out, "kill point %llu of %llu  %-12s  %s\n",
		(unsigned long long)point, (unsigned long long)p->calls,
		!killed			    ? "not reached"
		: promised_nothing(session) ? "no promise"
					    : verdict_name(*ret),
		session->evidence->id);
	fflush(out);
	if (*ret == VERDICT_FAIL) {
		p->fell = point;
		p->fell_session = *p->count - 1;
	} else if (killed) {
		p->held = point;
	}
	if (session->evidence->aborted_signal)
		return 128 + session->evidence->aborted_signal;
	if (*ret != VERDICT_FAIL && (!killed || promised_nothing(session))) {
		p->unreached += !killed;
		p->unpromised += killed;
		drop_last(p);
	}
	return 0;
}

/* Between one that held and one that failed. */
static int narrow(struct points *p)
{
	enum verdict verdict;
	int code = 0;

	while (!code && p->fell > p->held + 1) {
		uint64_t held = p->held;
		uint64_t middle = held + (p->fell - held) / 2;

		code = point_try(p, middle, &verdict);
		if (!code && verdict != VERDICT_FAIL)
			p->held = middle;
	}
	return code;
}

static void summary_print(const struct points *p)
{
	FILE *out = session_out(p->options);

	if (p->fell)
		fprintf(out, "smallest failing kill point: %llu of %llu%s\n",
			(unsigned long long)p->fell,
			(unsigned long long)p->calls,
			p->held ? "; the one before it held" : "");
	else
		fprintf(out, "%zu kill points of %llu calls held", *p->count,
			(unsigned long long)p->calls);
	if (!p->fell && p->unreached)
		fprintf(out, ", %u weren't reached", p->unreached);
	if (!p->fell && p->unpromised)
		fprintf(out, ", %u were before the first promise",
			p->unpromised);
	if (!p->fell)
		fputc('\n', out);
}

/* A run in which nobody is killed: how many points are there? */
static int points_count(struct points *p)
{
	struct session *session = NULL;
	int code = run_at(p, KILL_NEVER, &session);

	if (code)
		return code;
	p->calls = calls_matched(session->evidence);
	if (session->judgement->verdict == VERDICT_FAIL) {
		fputs("it fails without a kill\n", session_out(p->options));
		p->calls = 0; /* that run stands for all */
	} else if (p->calls && !session->evidence->aborted) {
		drop_last(p);
	} else {
		p->calls = 0;
	}
	return 0;
}

int kill_points_run(struct options *options, struct session **sessions,
		    size_t *count)
{
	struct points p = { .options = options,
			    .sessions = sessions,
			    .count = count };
	unsigned tries = options->kill_points;
	int code = points_count(&p);
	uint64_t last = 0;

	if (tries > p.calls)
		tries = (unsigned)p.calls;
	for (unsigned i = 0; !code && !p.fell && i < tries; i++) {
		uint64_t point = tries == 1
					 ? (p.calls + 1) / 2
					 : 1 + i * (p.calls - 1) / (tries - 1);
		enum verdict verdict;

		if (point != last)
			code = point_try(&p, point, &verdict);
		last = point;
	}
	if (!code && p.fell)
		code = narrow(&p);
	if (!code && p.calls)
		summary_print(&p);
	options->kill_at = 0;
	if (!code && p.calls && !*count) {
		fputs("mishap: no kill point was reached\n", stderr);
		code = EXIT_CODE_INCONCLUSIVE;
	}
	return code;
}
