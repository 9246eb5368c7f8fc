/* silent - a call was failed, the target says success, its output or a file
 * that an expectation names isn't what a fault-free run makes, and nothing was
 * said on standard error beyond what that run says: data was lost in silence.
 */
#include "runner/oracles/oracle.h"

/* Which file differs from the fault-free run's; NULL: none. */
static const char *file_other(const struct evidence *evidence,
			      const struct evidence *bare)
{
	for (size_t i = 0; i < evidence->files_count && i < bare->files_count;
	     i++) {
		const struct file_seen *a = &evidence->files[i];
		const struct file_seen *b = &bare->files[i];

		if (a->exists_after != b->exists_after ||
		    a->hash_after != b->hash_after ||
		    a->bytes_after != b->bytes_after)
			return a->path;
	}
	return NULL;
}

static int judge(const struct expect *expect, const struct evidence *evidence,
		 struct finding *ret_finding)
{
	const struct evidence *bare = evidence->bare;
	const struct event *failed = oracle_failed_call(evidence);
	const char *file;
	bool other;

	if (!oracle_wants(expect, "none"))
		return oracle_unknown(ret_finding,
				      "silent knows only the value none");
	if (!bare)
		return oracle_unknown(ret_finding,
				      "there is no fault-free run to compare");
	if (!evidence->target.ended || !bare->target.ended)
		return oracle_unknown(ret_finding,
				      "the target's end wasn't seen");
	if (bare->target.signal || bare->target.status)
		return oracle_unknown(
			ret_finding, "the fault-free run failed too (%s %d)",
			bare->target.signal ? "signal" : "exit status",
			bare->target.signal ? bare->target.signal
					    : bare->target.status);
	if (!evidence->out.bytes || !evidence->err.bytes || !bare->out.bytes ||
	    !bare->err.bytes || evidence->out.truncated || bare->out.truncated)
		return oracle_unknown(ret_finding,
				      "the output wasn't captured whole");
	if (!failed)
		return oracle_unknown(ret_finding, "no call was made to fail");
	if (evidence->target.signal || evidence->target.status)
		return oracle_pass(ret_finding, words_say("no silent success"),
				   "not silent: it didn't end with status 0");
	file = file_other(evidence, bare);
	other = !oracle_text_same(&evidence->out, &bare->out);
	if (!other && !file)
		return oracle_pass(ret_finding, words_say("no silent success"),
				   "output and files are those of the "
				   "fault-free run");
	if (evidence->err.count &&
	    !oracle_text_same(&evidence->err, &bare->err))
		return oracle_pass(ret_finding, words_say("no silent success"),
				   "not silent: it wrote to standard error");
	if (oracle_since(ret_finding, evidence, failed->time_ns) < 0)
		return -ENOMEM;
	return oracle_fail(ret_finding, words_say("no silent success"),
			   "%s failed with %s, exit status 0, nothing said, "
			   "but %s%s from the fault-free run",
			   call_table[failed->call].name,
			   error_name(failed->error) ? error_name(failed->error)
						     : "an error",
			   file ? file : "standard output", " differs");
}

static int tamper(const struct expect *expect, struct evidence *evidence)
{
	const struct evidence *bare = evidence->bare;
	int error;

	(void)expect;
	if (!bare || !bare->err.bytes)
		return -ENOTSUP;
	evidence->target.signal = evidence->target.status = 0;
	error = oracle_text_set(&evidence->err, bare->err.bytes,
				bare->err.count);
	return error ? error
		     : oracle_text_set(&evidence->out, "tampered with", 13);
}

const struct oracle oracle_silent = {
	.judge = judge,
	.tamper = tamper,
	.whole = true,
};
