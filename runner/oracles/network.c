/* retry_rate, retransmits - what the target asks of the network, as the kernel
 * saw it: static programs, resolvers and raw calls included. */
#include "runner/oracles/oracle.h"

/* The time that an expectation is about: its phase, or the whole run. */
static void window(const struct expect *expect, const struct evidence *evidence,
		   uint64_t *ret_from_ns, uint64_t *ret_to_ns)
{
	const struct phase_seen *phase =
		expect->phase >= 0 ? &evidence->phases[expect->phase] : NULL;

	*ret_from_ns = phase ? phase->start_ns : evidence->start_ns;
	*ret_to_ns = phase ? phase->end_ns : evidence->end_ns;
}

static char *unknown_why(const struct expect *expect,
			 const struct evidence *evidence)
{
	if (expect->phase >= 0 && !evidence->phases[expect->phase].reached)
		return words_say("its phase was never reached");
	return watched_missing(&evidence->watched, 1 << WATCHED_net);
}

static int judge_retry_rate(const struct expect *expect,
			    const struct evidence *evidence,
			    struct finding *ret_finding)
{
	_cleanup_words_ char *why = unknown_why(expect, evidence);
	uint64_t from_ns, to_ns, peak, at_ns;
	unsigned long long all;

	if (why)
		return oracle_unknown(ret_finding, "%s", why);
	window(expect, evidence, &from_ns, &to_ns);
	peak = watched_connects_peak(&evidence->watched, from_ns, to_ns,
				     &at_ns);
	all = watched_net_sum(&evidence->watched, from_ns, to_ns).connects;
	if (!oracle_compare(expect->op, (double)peak, expect->number) &&
	    oracle_since(ret_finding, evidence, at_ns) < 0)
		return -ENOMEM;
	return oracle_answer(
		ret_finding,
		oracle_compare(expect->op, (double)peak, expect->number),
		words_say("%s%s connection attempts in any second",
			  oracle_op_words(expect->op), oracle_value(expect)),
		"%llu in the worst second, %llu in all",
		(unsigned long long)peak, all);
}

static int judge_retransmits(const struct expect *expect,
			     const struct evidence *evidence,
			     struct finding *ret_finding)
{
	_cleanup_words_ char *why = unknown_why(expect, evidence);
	struct watched_net sum;
	uint64_t from_ns, to_ns;

	if (why)
		return oracle_unknown(ret_finding, "%s", why);
	window(expect, evidence, &from_ns, &to_ns);
	sum = watched_net_sum(&evidence->watched, from_ns, to_ns);
	return oracle_answer(ret_finding,
			     oracle_compare(expect->op, (double)sum.retransmits,
					    expect->number),
			     words_say("%s%s TCP segments sent again",
				       oracle_op_words(expect->op),
				       oracle_value(expect)),
			     "%llu", (unsigned long long)sum.retransmits);
}

/* So many of both in one moment of its time. */
static int tamper(const struct expect *expect, struct evidence *evidence)
{
	struct watched *watched = &evidence->watched;
	struct watched_net *net = calloc(1, sizeof(*net));
	uint64_t from_ns, to_ns, many = (uint64_t)expect->number + 1;

	if (!net)
		return -ENOMEM;
	window(expect, evidence, &from_ns, &to_ns);
	if (expect->op == OP_GE || expect->op == OP_GT)
		many = 0;
	*net = (struct watched_net){ .at_ns = from_ns,
				     .until_ns = from_ns + WATCHED_BUCKET_NS,
				     .connects = many,
				     .retransmits = many };
	free(watched->net);
	watched->net = net;
	watched->net_count = 1;
	return 0;
}

const struct oracle oracle_retry_rate = {
	.judge = judge_retry_rate,
	.tamper = tamper,
};
const struct oracle oracle_retransmits = {
	.judge = judge_retransmits,
	.tamper = tamper,
};
