/* A text that an extended regular expression matches: regex(7), walked once,
 * the first alternative and the fewest repetitions taken.  Only tampering uses
 * it, and it checks its own work with regexec(3). */
#include "runner/oracles/oracle.h"

#include <ctype.h>
#include <regex.h>
#include <wctype.h>

#define DEPTH_MAX  32
#define SAMPLE_MAX 4096

struct walk {
	const char *at;
	char out[SAMPLE_MAX];
	size_t n;
	int depth;
};

static void put(struct walk *walk, char c)
{
	if (walk->n + 1 < sizeof(walk->out))
		walk->out[walk->n++] = c;
}

static bool class_has(const char *name, size_t n, int c)
{
	char word[16];

	if (n >= sizeof(word))
		return false;
	memcpy(word, name, n);
	word[n] = '\0';
	return iswctype((wint_t)c, wctype(word));
}

/* bracket_has - is c in the list after `[` (and `^`)?  Moves to its end. */
static bool bracket_has(const char **at, int c)
{
	const char *p = *at;
	bool has = false;

	do {
		const char *end;

		if (p[0] == '[' && p[1] == ':' && (end = strstr(p, ":]"))) {
			has |= class_has(p + 2, (size_t)(end - p - 2), c);
			p = end + 2;
		} else if (p[0] && p[1] == '-' && p[2] && p[2] != ']') {
			has |= c >= (unsigned char)p[0] &&
			       c <= (unsigned char)p[2];
			p += 3;
		} else if (*p) {
			has |= c == (unsigned char)*p++;
		}
	} while (*p && *p != ']');
	*at = *p ? p + 1 : p;
	return has;
}

static void bracket(struct walk *walk)
{
	const char *start = walk->at;
	bool negated = *start == '^';
	char found = '\0';

	start += negated;
	for (int c = 'a'; !found && c != 'a' - 1; c = c == '~' ? ' ' : c + 1) {
		const char *p = start;

		if (bracket_has(&p, c) != negated)
			found = (char)c;
	}
	bracket_has(&start, 0);
	walk->at = start;
	if (found)
		put(walk, found);
}

static void alternatives(struct walk *walk);

static void atom(struct walk *walk)
{
	char c = *walk->at++;

	switch (c) {
	case '(':
		if (++walk->depth < DEPTH_MAX)
			alternatives(walk);
		walk->depth--;
		if (*walk->at == ')')
			walk->at++;
		break;
	case '[':
		bracket(walk);
		break;
	case '.':
		put(walk, 'x');
		break;
	case '^':
	case '$':
		break;
	case '\\':
		c = *walk->at ? *walk->at++ : '\\';
		if (c == 'w')
			put(walk, 'w');
		else if (c == 's')
			put(walk, ' ');
		else if (!strchr("bB<>", c))
			put(walk, c);
		break;
	default:
		put(walk, c);
	}
}

/* repeat - after an atom that wrote from..n: once for +, none for * and ?. */
static void repeat(struct walk *walk, size_t from)
{
	size_t length = walk->n - from;
	long times = 1;

	while (*walk->at && strchr("*?+{", *walk->at)) {
		char c = *walk->at;

		if (c == '{' && !isdigit((unsigned char)walk->at[1]))
			return;
		walk->at++;
		times = c == '+' ? times : 0;
		if (c == '{') {
			char *end;

			times = strtol(walk->at, &end, 10);
			end = strchr(end, '}');
			walk->at = end ? end + 1 : walk->at;
		}
	}
	if (times == 0)
		walk->n = from;
	for (long i = 1; i < times && i < SAMPLE_MAX; i++)
		for (size_t k = 0; k < length; k++)
			put(walk, walk->out[from + k]);
}

static void alternatives(struct walk *walk)
{
	size_t start = walk->n, first = 0;
	bool chosen = false;

	while (*walk->at && *walk->at != ')') {
		size_t from = walk->n;

		if (*walk->at == '|') {
			walk->at++;
			if (!chosen)
				first = walk->n;
			chosen = true;
			continue;
		}
		atom(walk);
		repeat(walk, from);
	}
	if (chosen) /* what came after the first `|` isn't kept */
		walk->n = first > start ? first : start;
}

char *oracle_sample(const char *regex)
{
	struct walk *walk = calloc(1, sizeof(*walk));
	char *sample = NULL;
	regex_t compiled;

	if (!walk)
		return NULL;
	walk->at = strncmp(regex, "(?i)", 4) == 0 ? regex + 4 : regex;
	while (*walk->at) { /* a stray `)` ends an alternative early */
		alternatives(walk);
		if (*walk->at == ')')
			put(walk, *walk->at++);
	}
	walk->out[walk->n] = '\0';
	if (expect_regcomp(regex, REG_NEWLINE, &compiled) == 0) {
		if (regexec(&compiled, walk->out, 0, NULL, 0) == 0)
			sample = strdup(walk->out);
		regfree(&compiled);
	}
	free(walk);
	return sample;
}
