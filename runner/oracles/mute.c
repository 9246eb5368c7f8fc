/* mute - a non-zero exit without a word: nothing on either stream beyond what
 * the fault-free run says there. */
#include "runner/oracles/oracle.h"

/* said_more - is there anything that the other run didn't say?  A stream that
 * merely ends early says nothing new. */
static bool said_more(const struct text *text, const struct text *bare)
{
	if (!bare || !bare->bytes)
		return text->count > 0;
	return text->count > bare->count ||
	       (text->count &&
		memcmp(text->bytes, bare->bytes, text->count) != 0);
}

static int judge(const struct expect *expect, const struct evidence *evidence,
		 struct finding *ret_finding)
{
	const struct evidence *bare = evidence->bare;
	const struct ending *target = &evidence->target;

	if (!oracle_wants(expect, "none"))
		return oracle_unknown(ret_finding,
				      "mute knows only the value none");
	if (!target->started || !target->ended)
		return oracle_unknown(ret_finding,
				      "the target's end wasn't seen");
	if (!evidence->out.bytes || !evidence->err.bytes)
		return oracle_unknown(ret_finding,
				      "the output wasn't captured");
	if (target->signal || !target->status)
		return oracle_pass(ret_finding, words_say("no mute failure"),
				   target->signal
					   ? "it died by a signal, see crash"
					   : "exit status 0");
	if (said_more(&evidence->err, bare ? &bare->err : NULL) ||
	    said_more(&evidence->out, bare ? &bare->out : NULL))
		return oracle_pass(ret_finding, words_say("no mute failure"),
				   "exit status %d, with a message",
				   target->status);
	if (oracle_since(ret_finding, evidence, target->end_ns) < 0)
		return -ENOMEM;
	return oracle_fail(ret_finding, words_say("no mute failure"),
			   "exit status %d and not a word why", target->status);
}

static int tamper(const struct expect *expect, struct evidence *evidence)
{
	int error = oracle_text_set(&evidence->out, "", 0);

	(void)expect;
	evidence->target.signal = 0;
	evidence->target.status = 1;
	return error ? error : oracle_text_set(&evidence->err, "", 0);
}

const struct oracle oracle_mute = {
	.judge = judge,
	.tamper = tamper,
	.whole = true,
};
