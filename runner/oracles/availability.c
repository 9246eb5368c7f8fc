/* availability - share of steady-state samples that were healthy. */
#include "runner/oracles/oracle.h"

static int judge(const struct expect *expect, const struct evidence *evidence,
		 struct finding *ret_finding)
{
	const struct sample **samples;
	uint64_t first_bad_ns = 0;
	size_t count, healthy = 0;
	int error = oracle_samples(expect, evidence, &samples, &count);
	double share;
	bool good;

	if (error < 0)
		return error;
	for (size_t i = 0; i < count; i++) {
		healthy += samples[i]->ok;
		if (!samples[i]->ok && !first_bad_ns)
			first_bad_ns = samples[i]->due_ns;
	}
	free(samples);
	if (!count)
		return oracle_unknown(ret_finding,
				      "no steady-state sample was taken");
	share = (double)healthy / (double)count;
	good = oracle_compare(expect->op, share, expect->number);
	if (!good && first_bad_ns &&
	    oracle_since(ret_finding, evidence, first_bad_ns) < 0)
		return -ENOMEM;
	return oracle_answer(
		ret_finding, good,
		words_say("%s%s healthy", oracle_op_words(expect->op),
			  oracle_value(expect)),
		"%.4g%% (%zu of %zu samples)", share * 100, healthy, count);
}

static int tamper(const struct expect *expect, struct evidence *evidence)
{
	for (size_t i = 0; i < evidence->samples_count; i++)
		if (oracle_sample_is_of(expect, evidence,
					&evidence->samples[i]))
			evidence->samples[i].ok = false;
	return 0;
}

const struct oracle oracle_availability = {
	.judge = judge,
	.tamper = tamper,
};
