/* fds, threads, rss - what the target gained from ready to the end. */
#include "runner/oracles/oracle.h"

static int judge_growth(const struct expect *expect,
			const struct evidence *evidence,
			struct finding *ret_finding, const char *what,
			uint64_t from, uint64_t to)
{
	double growth = (double)to - (double)from;
	bool bytes = expect->subject == EXPECT_rss;
	char was[WORDS_SHORT_MAX], is[WORDS_SHORT_MAX];

	if (!evidence->at_ready.known || !evidence->at_end.known)
		return oracle_unknown(
			ret_finding, "the target's %s couldn't be read %s",
			what,
			evidence->at_ready.known ? "at the end" : "when ready");
	if (bytes) {
		words_bytes(from, was);
		words_bytes(to, is);
	} else {
		snprintf(was, sizeof(was), "%llu", (unsigned long long)from);
		snprintf(is, sizeof(is), "%llu", (unsigned long long)to);
	}
	return oracle_answer(
		ret_finding, oracle_compare(expect->op, growth, expect->number),
		words_say("%s%s more %s", oracle_op_words(expect->op),
			  oracle_value(expect), what),
		"%s when ready, %s at the end", was, is);
}

static int judge_fds(const struct expect *expect,
		     const struct evidence *evidence,
		     struct finding *ret_finding)
{
	return judge_growth(expect, evidence, ret_finding, "open files",
			    evidence->at_ready.fds, evidence->at_end.fds);
}

static int judge_threads(const struct expect *expect,
			 const struct evidence *evidence,
			 struct finding *ret_finding)
{
	return judge_growth(expect, evidence, ret_finding, "threads",
			    evidence->at_ready.threads,
			    evidence->at_end.threads);
}

static int judge_rss(const struct expect *expect,
		     const struct evidence *evidence,
		     struct finding *ret_finding)
{
	return judge_growth(expect, evidence, ret_finding, "resident memory",
			    evidence->at_ready.rss_bytes,
			    evidence->at_end.rss_bytes);
}

static int tamper(const struct expect *expect, struct evidence *evidence)
{
	uint64_t more = (uint64_t)expect->number + 1;

	evidence->at_end.fds = evidence->at_ready.fds + more;
	evidence->at_end.threads = evidence->at_ready.threads + more;
	evidence->at_end.rss_bytes = evidence->at_ready.rss_bytes + more;
	return 0;
}

const struct oracle oracle_fds = { .judge = judge_fds, .tamper = tamper };
const struct oracle oracle_threads = { .judge = judge_threads,
				       .tamper = tamper };
const struct oracle oracle_rss = { .judge = judge_rss, .tamper = tamper };
