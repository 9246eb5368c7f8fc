/* p50, p95, p99 - quantiles of a steady-state probe's latency, by nearest rank.
 * Latency counts from when a sample was due, not from when it was sent; a
 * sample that failed is slower than any limit.  Too few samples don't make a
 * quantile: inconclusive, unless so many were slow that more couldn't mend it.
 */
#include "runner/oracles/oracle.h"

#include <math.h>

static int by_latency(const void *a, const void *b)
{
	const struct sample *x = *(const struct sample *const *)a;
	const struct sample *y = *(const struct sample *const *)b;

	if (x->ok != y->ok)
		return x->ok ? -1 : 1;
	return (x->latency_ns > y->latency_ns) -
	       (x->latency_ns < y->latency_ns);
}

static bool sample_is_slow(const struct expect *expect,
			   const struct sample *sample)
{
	return !sample->ok ||
	       !oracle_compare(expect->op, (double)sample->latency_ns / 1e9,
			       expect->number);
}

static int answer(const struct expect *expect, const struct evidence *evidence,
		  struct finding *ret_finding, unsigned percent,
		  const struct sample **samples, size_t count)
{
	size_t needed = percent == 50 ? 5 : 100 / (100 - percent);
	size_t rank = (count * percent + 99) / 100, slow = 0, failed = 0;
	const struct sample *at, *first_slow = NULL;
	char took[WORDS_SHORT_MAX];
	bool good;

	for (size_t i = 0; i < count; i++) {
		bool is_slow = sample_is_slow(expect, samples[i]);

		if (is_slow &&
		    (!first_slow || samples[i]->due_ns < first_slow->due_ns))
			first_slow = samples[i];
		slow += is_slow;
		failed += !samples[i]->ok;
	}
	if (count < needed && slow * 100 <= (100 - percent) * needed)
		return oracle_unknown(
			ret_finding, "%zu sample%s, p%u needs at least %zu",
			count, count == 1 ? "" : "s", percent, needed);
	qsort(samples, count, sizeof(*samples), by_latency);
	at = samples[rank - 1];
	words_duration(at->latency_ns, took);
	good = !sample_is_slow(expect, at);
	if (!good &&
	    oracle_since(ret_finding, evidence, first_slow->due_ns) < 0)
		return -ENOMEM;
	if (!good) /* what slowed it may have come while it was awaited */
		ret_finding->since_ns += first_slow->latency_ns;
	return oracle_answer(ret_finding, good,
			     words_say("p%u %s%s", percent,
				       oracle_op_words(expect->op),
				       oracle_value(expect)),
			     "p%u was %s (%zu samples, %zu failed)", percent,
			     at->ok ? took : "a failed sample", count, failed);
}

static int judge_quantile(const struct expect *expect,
			  const struct evidence *evidence,
			  struct finding *ret_finding, unsigned percent)
{
	const struct sample **samples;
	size_t count;
	int error = oracle_samples(expect, evidence, &samples, &count);

	if (error < 0)
		return error;
	if (count)
		error = answer(expect, evidence, ret_finding, percent, samples,
			       count);
	else
		error = oracle_unknown(ret_finding,
				       "no steady-state sample was taken");
	free(samples);
	return error;
}

static int judge_p50(const struct expect *expect,
		     const struct evidence *evidence,
		     struct finding *ret_finding)
{
	return judge_quantile(expect, evidence, ret_finding, 50);
}

static int judge_p95(const struct expect *expect,
		     const struct evidence *evidence,
		     struct finding *ret_finding)
{
	return judge_quantile(expect, evidence, ret_finding, 95);
}

static int judge_p99(const struct expect *expect,
		     const struct evidence *evidence,
		     struct finding *ret_finding)
{
	return judge_quantile(expect, evidence, ret_finding, 99);
}

static int tamper(const struct expect *expect, struct evidence *evidence)
{
	for (size_t i = 0; i < evidence->samples_count; i++)
		if (oracle_sample_is_of(expect, evidence,
					&evidence->samples[i]))
			evidence->samples[i].latency_ns +=
				(uint64_t)llround(expect->number * 1e9) + 1;
	return 0;
}

const struct oracle oracle_p50 = { .judge = judge_p50, .tamper = tamper };
const struct oracle oracle_p95 = { .judge = judge_p95, .tamper = tamper };
const struct oracle oracle_p99 = { .judge = judge_p99, .tamper = tamper };
