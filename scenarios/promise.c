#include "scenarios/promise.h"

#include <string.h>

#include "scenarios/value.h"

const char *const form_names[FORM_COUNT] = {
	[FORM_SET] = "set",	  [FORM_REGISTER] = "register",
	[FORM_APPEND] = "append", [FORM_COUNTER] = "counter",
	[FORM_BANK] = "bank",
};

bool form_read(const char *text, size_t n, enum ledger_form *ret)
{
	for (unsigned i = 0; i < FORM_COUNT; i++)
		if (text_is(text, n, form_names[i])) {
			*ret = (enum ledger_form)i;
			return true;
		}
	return false;
}

struct parts {
	const char *at, *end;
};

static const char *part_next(struct parts *parts, size_t *ret_n)
{
	const char *from;

	while (parts->at < parts->end && strchr(" ,:", *parts->at))
		parts->at++;
	from = parts->at;
	while (parts->at < parts->end && !strchr(" ,:", *parts->at))
		parts->at++;
	*ret_n = (size_t)(parts->at - from);
	return from;
}

/* Which of the four; false: none of them. */
static bool kind_read(const char *text, size_t n, enum durability_kind *ret)
{
	static const char *const names[] = { "strict", "window", "prefix",
					     "none" };

	for (unsigned i = 0; i < 4; i++)
		if (text_is(text, n, names[i])) {
			*ret = (enum durability_kind)i;
			return true;
		}
	return false;
}

/* How often: -1: no such word. */
static int times_read(const char *text, size_t n)
{
	static const char *const names[] = { "at_most_once", "at_least_once",
					     "exactly_once" };

	for (int i = 0; i < 3; i++)
		if (text_is(text, n, names[i]))
			return i;
	return -1;
}

bool promise_read(const char *text, size_t n, struct durability *ret)
{
	struct parts parts = { .at = text, .end = text + n };
	struct durability promise = { 0 };
	bool has_kind = false;
	int times = -1;
	const char *word;
	size_t length;

	while ((word = part_next(&parts, &length)), length) {
		if (times < 0 && (times = times_read(word, length)) >= 0)
			continue;
		if (has_kind || !kind_read(word, length, &promise.kind))
			return false;
		has_kind = true;
		if (promise.kind != DURABILITY_WINDOW)
			continue;
		word = part_next(&parts, &length);
		if (!read_duration(word, length, &promise.window_ns) ||
		    !promise.window_ns)
			return false;
	}
	if (!has_kind && times < 0)
		return false;
	if (times == 2 && has_kind && promise.kind != DURABILITY_STRICT)
		return false; /* exactly once, but for some */
	if (times == 0 && !has_kind)
		promise.kind = DURABILITY_NONE;
	promise.repeats = times == 1;
	*ret = promise;
	return true;
}
