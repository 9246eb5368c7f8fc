/* workload - exit status of the workloads, or of the one that is named. */
#include "runner/oracles/oracle.h"

static bool is_meant(const struct expect *expect, const struct workload *work)
{
	return !expect->args.count ||
	       (work->name && strcmp(work->name, expect->args.items[0]) == 0);
}

static bool status_is_wanted(const struct expect *expect, int status)
{
	for (size_t i = 0; i < expect->values.count; i++)
		if (atoi(expect->values.items[i]) == status)
			return expect->op != OP_NE;
	return expect->op == OP_NE;
}

static int judge(const struct expect *expect, const struct evidence *evidence,
		 struct finding *ret_finding)
{
	const struct scenario *scenario = evidence->scenario;
	_cleanup_words_ char *values = words_join(&expect->values);
	_cleanup_words_ char *how = NULL;
	size_t count = 0;

	if (!values)
		return -ENOMEM;
	for (size_t i = 0; evidence->workloads && i < scenario->workloads_count;
	     i++) {
		const struct ending *ending = &evidence->workloads[i];
		const char *name = scenario->workloads[i].name;

		if (!is_meant(expect, &scenario->workloads[i]))
			continue;
		count++;
		free(how);
		how = words_ending(ending);
		if (!how)
			return -ENOMEM;
		if (!ending->started ||
		    (!ending->ended && !ending->timed_out) ||
		    ending->stopped_by_us)
			return oracle_unknown(ret_finding, "%s: %s",
					      name ? name : "workload", how);
		if (ending->timed_out || ending->signal ||
		    !status_is_wanted(expect, ending->status))
			return oracle_fail(
				ret_finding,
				words_say("exit status %s%s",
					  oracle_op_words(expect->op), values),
				"%s: %s", name ? name : "workload", how);
	}
	if (!count)
		return oracle_unknown(ret_finding, "no %s ran",
				      expect->args.count
					      ? "workload of that name"
					      : "workload");
	return oracle_pass(ret_finding,
			   words_say("exit status %s%s",
				     oracle_op_words(expect->op), values),
			   "%s", how);
}

static int tamper(const struct expect *expect, struct evidence *evidence)
{
	const struct scenario *scenario = evidence->scenario;

	for (size_t i = 0; evidence->workloads && i < scenario->workloads_count;
	     i++) {
		if (!is_meant(expect, &scenario->workloads[i]))
			continue;
		for (int status = 0; status < 256; status++) {
			evidence->workloads[i].status = status;
			if (!status_is_wanted(expect, status))
				return 0;
		}
	}
	return -ENOTSUP;
}

static bool by_fault(const struct expect *expect)
{
	return !status_is_wanted(expect, 0);
}

static bool settled(const struct expect *expect,
		    const struct evidence *evidence)
{
	size_t count = evidence->scenario->workloads_count;
	bool failed = false;

	for (size_t i = 0; evidence->workloads && i < count && !failed; i++)
		failed = is_meant(expect, &evidence->scenario->workloads[i]) &&
			 oracle_ended(&evidence->workloads[i], evidence) &&
			 !status_is_wanted(expect,
					   evidence->workloads[i].status);
	return failed;
}

const struct oracle oracle_workload = {
	.judge = judge,
	.tamper = tamper,
	.whole = true,
	.settled = settled,
	.by_fault = by_fault,
};
