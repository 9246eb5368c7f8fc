/* stdout, stderr, output - what the target said: an extended regular
 * expression, line by line, `(?i)` first to ignore case; or, with ==, the whole
 * of it, but for one newline at its end. */
#include "runner/oracles/oracle.h"

#include <ctype.h>
#include <regex.h>

/* Copies the line of the stream that a match begins in. */
static char *quote(const struct text *text, size_t at)
{
	size_t from = at, to = at;
	char *line;

	while (from > 0 && text->bytes[from - 1] != '\n')
		from--;
	while (to < text->count && text->bytes[to] != '\n' &&
	       to - from < ORACLE_QUOTE_BYTES)
		to++;
	line = strndup(text->bytes + from, to - from);
	for (char *p = line; p && *p; p++)
		if (iscntrl((unsigned char)*p))
			*p = ' ';
	return line;
}

/* regex_find - where does it match?  1: *ret_at; 0: nowhere; -EINVAL. */
static int regex_find(const char *regex, const struct text *text,
		      size_t *ret_at)
{
	regmatch_t match = { .rm_so = 0, .rm_eo = (regoff_t)text->count };
	regex_t compiled;
	int found;

	if (expect_regcomp(regex, REG_NEWLINE, &compiled) != 0)
		return -EINVAL;
	found = regexec(&compiled, text->bytes, 1, &match, REG_STARTEND) == 0;
	regfree(&compiled);
	if (found)
		*ret_at = (size_t)match.rm_so;
	return found;
}

static bool text_is(const struct text *text, const char *value)
{
	size_t n = strlen(value), count = text->count;

	if (count && text->bytes[count - 1] == '\n' &&
	    (!n || value[n - 1] != '\n'))
		count--;
	return count == n && memcmp(text->bytes, value, n) == 0;
}

static int judge_whole(const struct expect *expect, const struct text *text,
		       const char *name, struct finding *ret_finding)
{
	bool same = text_is(text, oracle_value(expect));

	if (text->truncated)
		return oracle_unknown(ret_finding, "%s was cut at %zu bytes",
				      name, text->count);
	return oracle_answer(
		ret_finding, same,
		words_say("%s is \"%s\"", name, oracle_value(expect)),
		same ? "it is, %zu bytes" : "another text, %zu bytes",
		text->count);
}

static int judge_streams(const struct expect *expect,
			 const struct text *const texts[2], const char *name,
			 struct finding *ret_finding)
{
	const char *regex = oracle_value(expect);
	bool wanted = expect->op == OP_MATCH;
	const struct text *hit = NULL;
	_cleanup_words_ char *line = NULL;
	size_t bytes = 0, at = 0;
	bool cut = false;

	for (size_t i = 0; i < 2 && texts[i]; i++) {
		int found;

		if (!texts[i]->bytes)
			return oracle_unknown(ret_finding, "%s wasn't captured",
					      name);
		if (expect->op == OP_EQ)
			return judge_whole(expect, texts[i], name, ret_finding);
		found = hit ? 0 : regex_find(regex, texts[i], &at);
		if (found < 0)
			return oracle_unknown(ret_finding,
					      "not a regular expression: %s",
					      regex);
		if (found)
			hit = texts[i];
		bytes += texts[i]->count;
		cut |= texts[i]->truncated;
	}
	if (!hit && cut)
		return oracle_unknown(
			ret_finding, "%s was cut at %zu bytes, no match so far",
			name, bytes);
	line = hit ? quote(hit, at) : words_say("no match in %zu bytes", bytes);
	return oracle_answer(ret_finding, !hit != wanted,
			     words_say("%s %s \"%s\"", name,
				       wanted ? "matches" : "never matches",
				       regex),
			     hit ? "\"%s\"" : "%s", line ? line : "");
}

/* Spoil a stream so that the expectation can't hold on it. */
static int tamper_stream(const struct expect *expect, struct text *text)
{
	_cleanup_words_ char *sample = NULL;

	if (expect->op == OP_MATCH)
		return oracle_text_set(text, "", 0);
	if (expect->op == OP_EQ)
		return oracle_text_append(text, "tampered");
	sample = oracle_sample(oracle_value(expect));
	return sample ? oracle_text_append(text, sample) : -ENOTSUP;
}

static int judge_out(const struct expect *expect,
		     const struct evidence *evidence,
		     struct finding *ret_finding)
{
	return judge_streams(
		expect, (const struct text *const[]){ &evidence->out, NULL },
		"standard output", ret_finding);
}

static int judge_err(const struct expect *expect,
		     const struct evidence *evidence,
		     struct finding *ret_finding)
{
	return judge_streams(
		expect, (const struct text *const[]){ &evidence->err, NULL },
		"standard error", ret_finding);
}

static int judge_both(const struct expect *expect,
		      const struct evidence *evidence,
		      struct finding *ret_finding)
{
	return judge_streams(
		expect,
		(const struct text *const[]){ &evidence->out, &evidence->err },
		"output", ret_finding);
}

static int tamper_out(const struct expect *expect, struct evidence *evidence)
{
	return tamper_stream(expect, &evidence->out);
}

static int tamper_err(const struct expect *expect, struct evidence *evidence)
{
	return tamper_stream(expect, &evidence->err);
}

static int tamper_both(const struct expect *expect, struct evidence *evidence)
{
	int error = tamper_stream(expect, &evidence->out);

	return error ? error : tamper_stream(expect, &evidence->err);
}

/* A message comes of a failure; what is on stdout comes of itself. */
static bool by_fault(const struct expect *expect)
{
	return expect->op == OP_MATCH;
}

static bool settled(const struct expect *expect,
		    const struct evidence *evidence)
{
	(void)evidence;
	return expect->op == OP_NOMATCH; /* it was said */
}

/* <stdio.h> has macros of these names. */
#undef stdout
#undef stderr
const struct oracle oracle_stdout = {
	.judge = judge_out,
	.tamper = tamper_out,
	.whole = true,
	.settled = settled,
};
const struct oracle oracle_stderr = {
	.judge = judge_err,
	.tamper = tamper_err,
	.whole = true,
	.settled = settled,
	.by_fault = by_fault,
};
const struct oracle oracle_output = {
	.judge = judge_both,
	.tamper = tamper_both,
	.whole = true,
	.settled = settled,
	.by_fault = by_fault,
};
