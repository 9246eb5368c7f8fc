#include "scenarios/expect_line.h"

#include <string.h>

#include "scenarios/promise.h"
#include "scenarios/value.h"

#define A(min, max)			     .args_min = min, .args_max = max
#define B(op)				     (1u << OP_##op)
#define OPS_1(a)			     B(a)
#define OPS_2(a, ...)			     B(a) | OPS_1(__VA_ARGS__)
#define OPS_3(a, ...)			     B(a) | OPS_2(__VA_ARGS__)
#define OPS_4(a, ...)			     B(a) | OPS_3(__VA_ARGS__)
#define OPS_5(a, ...)			     B(a) | OPS_4(__VA_ARGS__)
#define OPS_6(a, ...)			     B(a) | OPS_5(__VA_ARGS__)
#define OPS_7(a, ...)			     B(a) | OPS_6(__VA_ARGS__)
#define PICK(a, b, c, d, e, f, g, name, ...) name
#define OPS(...)                                                               \
	PICK(__VA_ARGS__, OPS_7, OPS_6, OPS_5, OPS_4, OPS_3, OPS_2, OPS_1, )   \
	(__VA_ARGS__)

const struct expect_info expect_table[EXPECT_COUNT] = {
#define EXPECT(name, w, args, allowed, kind, where, about, sample)             \
	[EXPECT_##name] = { .word = w,                                         \
			    .says = about,                                     \
			    .example = sample,                                 \
			    .ops = allowed,                                    \
			    .value = kind,                                     \
			    .scope = where,                                    \
			    args },
#include "scenarios/expects.def"
#undef EXPECT
};

const char *const expect_op_names[] = {
	[OP_NONE] = "",	  [OP_EQ] = "==",      [OP_NE] = "!=", [OP_LT] = "<",
	[OP_LE] = "<=",	  [OP_GT] = ">",       [OP_GE] = ">=", [OP_IN] = "in",
	[OP_MATCH] = "~", [OP_NOMATCH] = "!~",
};

const char *expect_subject_name(enum expect_subject subject)
{
	return expect_table[subject].word;
}

int expect_regcomp(const char *pattern, int flags, regex_t *ret_regex)
{
	flags |= REG_EXTENDED;
	if (!strncmp(pattern, "(?i)", 4)) {
		pattern += 4;
		flags |= REG_ICASE;
	}
	return regcomp(ret_regex, pattern, flags);
}

const char *expect_value_wants(enum expect_value value)
{
	static const char *const wants[] = {
		[VALUE_none] = "nothing",
		[VALUE_absent] = "the word none",
		[VALUE_promise] = PROMISE_WANTS,
		[VALUE_regex] = "a regular expression in quotes, regex(7)",
		[VALUE_status] = "an exit status from 0 to 255",
		[VALUE_signal] = "a signal such as KILL, or none",
		[VALUE_duration] = DURATION_WANTS,
		[VALUE_ratio] = RATIO_WANTS,
		[VALUE_rate] = "a number such as 100, or a rate such as 40/s",
		[VALUE_bytes] = BYTES_WANTS,
		[VALUE_count] = "a number",
	};

	return wants[value];
}

/* ---- the operator ------------------------------------------------------ */

/* Where the line's operator stands, outside quotes. */
struct found {
	enum expect_op op;
	size_t at, end;
};

static const struct {
	const char *text;
	enum expect_op op;
} operators[] = { /* the longer before the shorter */
		  { "==", OP_EQ }, { "!=", OP_NE },	 { "<=", OP_LE },
		  { ">=", OP_GE }, { "!~", OP_NOMATCH }, { "=", OP_EQ },
		  { "<", OP_LT },  { ">", OP_GT },	 { "~", OP_MATCH }
};

#define OPERATORS (sizeof(operators) / sizeof(*operators))

static size_t quoted_end(const char *text, size_t n, size_t at)
{
	char quote = text[at++];

	while (at < n && text[at] != quote) {
		if (quote == '"' && text[at] == '\\' && at + 1 < n)
			at++;
		at++;
	}
	return at < n ? at : n - 1;
}

static bool is_blank(const struct line *line, size_t at)
{
	return at >= line->n || line->text[at] == ' ' || line->text[at] == '\t';
}

static struct found operator_find(const struct line *line)
{
	const char *text = line->text;
	size_t n = line->n;

	for (size_t at = 0; at < n; at++) {
		if (text[at] == '"' || text[at] == '\'') {
			at = quoted_end(text, n, at);
			continue;
		}
		if (at && is_blank(line, at - 1) && n - at > 2 &&
		    !memcmp(text + at, "in", 2) && is_blank(line, at + 2))
			return (struct found){ OP_IN, at, at + 2 };
		for (size_t i = 0; i < OPERATORS; i++) {
			size_t length = strlen(operators[i].text);

			if (n - at >= length &&
			    !memcmp(text + at, operators[i].text, length))
				return (struct found){ operators[i].op, at,
						       at + length };
		}
	}
	return (struct found){ OP_NONE, n, n };
}

/* ---- values ------------------------------------------------------------ */

struct expect_parse {
	struct diag *diag;
	const struct line *line;
	const struct expect_info *info;
	struct expect *expect;
	struct words args, values;
};

static bool value_regex(struct expect_parse *parse, const struct word *word)
{
	char why[128];
	regex_t regex;
	int rc;

	if (parse->expect->op != OP_MATCH && parse->expect->op != OP_NOMATCH)
		return true; /* == compares the whole text */
	if (!word->n) {
		diag_error(parse->diag, word_mark(parse->line, word), NULL,
			   "an empty regular expression matches anything");
		return false;
	}
	rc = expect_regcomp(word->text, REG_NOSUB, &regex);
	if (!rc) {
		regfree(&regex);
		return true;
	}
	regerror(rc, &regex, why, sizeof(why));
	diag_error(parse->diag, word_mark(parse->line, word), NULL,
		   "this regular expression doesn't compile: %s", why);
	return false;
}

static bool value_signal(const char *text, size_t n, double *ret)
{
	int signal;

	if (text_is(text, n, "none")) {
		*ret = 0;
		return true;
	}
	if (!read_signal(text, n, &signal))
		return false;
	*ret = signal;
	return true;
}

static bool value_number(struct expect_parse *parse, const char *text, size_t n,
			 double *ret)
{
	uint64_t whole = 0;
	bool good = false;
	double scale = 1;

	switch (parse->info->value) {
	case VALUE_status:
		good = read_count(text, n, 255, &whole);
		break;
	case VALUE_count:
		good = read_count(text, n, 1ull << 53, &whole);
		break;
	case VALUE_duration:
		good = read_duration(text, n, &whole);
		scale = 1e9;
		break;
	case VALUE_ratio:
		good = read_ratio(text, n, &whole);
		scale = 1e6;
		break;
	case VALUE_bytes:
		good = read_bytes(text, n, false, &whole);
		break;
	case VALUE_rate:
		parse->expect->per_second = memchr(text, '/', n) != NULL;
		return read_rate(text, n, ret);
	case VALUE_signal:
		return value_signal(text, n, ret);
	default:
		break;
	}
	if (good)
		*ret = (double)whole / scale;
	return good;
}

/* The text as it is kept: one spelling of each signal. */
static void value_keep(struct expect_parse *parse, const char *text, size_t n,
		       double number)
{
	struct strings *values = &parse->expect->values;

	if (parse->info->value == VALUE_signal && number > 0)
		text = print_signal(parse->diag->arena, (int)number);
	else
		text = arena_copy(parse->diag->arena, text, n);
	strings_add(parse->diag->arena, values, text, strlen(text));
}

static bool value_take(struct expect_parse *parse, const struct word *word,
		       size_t at, size_t n)
{
	const char *text = word->text + at;
	struct expect *expect = parse->expect;
	struct durability promise;
	double number = 0;
	bool good;

	switch (parse->info->value) {
	case VALUE_none:
	case VALUE_absent:
		good = text_is(text, n, "none");
		break;
	case VALUE_promise:
		good = promise_read(text, n, &promise);
		break;
	case VALUE_regex:
		if (!value_regex(parse, word))
			return false;
		good = true;
		break;
	default:
		good = value_number(parse, text, n, &number);
		if (good && !expect->has_number) {
			expect->number = number;
			expect->has_number = true;
		}
	}
	if (!good) {
		diag_error(parse->diag,
			   word_mark_part(parse->line, word, at, at + n), NULL,
			   "'%s' wants %s; got \"%.*s\"", parse->info->word,
			   expect_value_wants(parse->info->value),
			   (int)(n > 60 ? 60 : n), text);
		return false;
	}
	value_keep(parse, text, n, number);
	return true;
}

static bool values_in(struct expect_parse *parse)
{
	for (size_t i = 0; i < parse->values.count; i++) {
		const struct word *word = &parse->values.items[i];

		for (size_t at = 0; at < word->n;) {
			const char *comma =
				memchr(word->text + at, ',', word->n - at);
			size_t n = comma ? (size_t)(comma - word->text) - at
					 : word->n - at;

			if (n && !value_take(parse, word, at, n))
				return false;
			at += n + 1;
		}
	}
	if (parse->expect->values.count > SCENARIO_ITEMS_MAX) {
		diag_error(parse->diag, parse->line->mark, NULL,
			   "more than %d values", SCENARIO_ITEMS_MAX);
		return false;
	}
	return true;
}

static bool values_read(struct expect_parse *parse)
{
	const struct expect_info *info = parse->info;

	if (parse->expect->op == OP_NONE)
		return true;
	if (!parse->values.count) {
		diag_error(parse->diag, parse->line->mark,
			   arena_print(parse->diag->arena, "such as: %s",
				       info->example),
			   "'%s' wants %s after '%s'", info->word,
			   expect_value_wants(info->value),
			   expect_op_names[parse->expect->op]);
		return false;
	}
	if (parse->expect->op == OP_IN)
		return values_in(parse);
	if (parse->values.count > 1) {
		diag_error(parse->diag,
			   word_mark(parse->line, &parse->values.items[1]),
			   "put a value with spaces in quotes",
			   "one value is enough");
		return false;
	}
	return value_take(parse, &parse->values.items[0], 0,
			  parse->values.items[0].n);
}

/* ---- arguments --------------------------------------------------------- */

/* file PATH exists | absent | unchanged | equals FILE | one-of FILE FILE */
static bool file_args_check(struct expect_parse *parse)
{
	static const struct {
		const char *word;
		size_t more;
	} states[] = { { "exists", 0 },
		       { "absent", 0 },
		       { "unchanged", 0 },
		       { "equals", 1 },
		       { "one-of", 2 } };
	const struct word *word = &parse->args.items[1];
	struct near near = near_start(word->text, word->n);

	for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++) {
		near_try(&near, states[i].word);
		if (!text_is(word->text, word->n, states[i].word))
			continue;
		if (parse->args.count == 2 + states[i].more)
			return true;
		diag_error(parse->diag, word_mark(parse->line, word), NULL,
			   "'%s' wants %zu file%s after it; got %zu",
			   states[i].word, states[i].more,
			   states[i].more == 1 ? "" : "s",
			   parse->args.count - 2);
		return false;
	}
	diag_error(parse->diag, word_mark(parse->line, word),
		   diag_meant(parse->diag, &near),
		   "a file is exists, absent, unchanged, equals FILE or "
		   "one-of FILE FILE; got \"%.*s\"",
		   (int)(word->n > 60 ? 60 : word->n), word->text);
	return false;
}

static bool calls_args_check(struct expect_parse *parse)
{
	const struct word *word = &parse->args.items[0];
	struct near near = near_start(word->text, word->n);

	if (call_find(word->text, word->n) != CALL_NONE)
		return true;
	for (unsigned id = 0; id < CALL_COUNT; id++)
		near_try(&near, call_table[id].name);
	diag_error(parse->diag, word_mark(parse->line, word),
		   diag_meant(parse->diag, &near), "unknown call '%.*s'",
		   (int)(word->n > 60 ? 60 : word->n), word->text);
	return false;
}

static bool args_read(struct expect_parse *parse)
{
	const struct expect_info *info = parse->info;
	const struct words *args = &parse->args;

	if (args->count < info->args_min || args->count > info->args_max) {
		bool over = args->count > info->args_max;

		unsigned most = over ? info->args_max : info->args_min;
		const char *where = info->ops == B(NONE)
					    ? "after it"
					    : "before its operator";

		diag_error(parse->diag,
			   over ? word_mark(parse->line,
					    &args->items[info->args_max])
				: parse->line->mark,
			   arena_print(parse->diag->arena, "such as: %s",
				       info->example),
			   "'%s' %s %s", info->word,
			   !most ? "takes no word"
				 : arena_print(parse->diag->arena,
					       "wants at %s %u word%s",
					       over ? "most" : "least", most,
					       most == 1 ? "" : "s"),
			   where);
		return false;
	}
	for (size_t i = 0; i < args->count; i++)
		strings_add(parse->diag->arena, &parse->expect->args,
			    args->items[i].text, args->items[i].n);
	if (parse->expect->subject == EXPECT_file)
		return file_args_check(parse);
	if (parse->expect->subject == EXPECT_calls)
		return calls_args_check(parse);
	return true;
}

/* ---- the line ---------------------------------------------------------- */

static bool subject_find(struct expect_parse *parse, const struct word *word)
{
	struct near near = near_start(word->text, word->n);
	const char *help;

	for (unsigned i = 0; i < EXPECT_COUNT; i++) {
		near_try(&near, expect_table[i].word);
		if (text_is(word->text, word->n, expect_table[i].word)) {
			parse->expect->subject = i;
			parse->info = &expect_table[i];
			return true;
		}
	}
	help = diag_meant(parse->diag, &near);
	diag_error(parse->diag, word_mark(parse->line, word),
		   help ? help : "see `mishap list expectations`",
		   "unknown expectation '%.*s'",
		   (int)(word->n > 60 ? 60 : word->n), word->text);
	return false;
}

static bool operator_check(struct expect_parse *parse,
			   const struct found *found)
{
	struct builder ops = { .arena = parse->diag->arena };

	if (parse->info->ops & (1u << found->op))
		return true;
	for (unsigned op = 0; op <= OP_NOMATCH; op++)
		if (parse->info->ops & (1u << op))
			builder_print(&ops, "%s%s", ops.count ? " " : "",
				      op ? expect_op_names[op] : "none");
	diag_error(parse->diag,
		   found->op ? line_mark(parse->line, found->at, found->end)
			     : parse->line->mark,
		   arena_print(parse->diag->arena, "such as: %s",
			       parse->info->example),
		   "'%s' takes %s: %s", parse->info->word,
		   strchr(ops.bytes, ' ') ? "one of these operators"
					  : "this operator",
		   ops.bytes);
	return false;
}

static char *expect_print(struct arena *arena, const struct expect *expect)
{
	const struct expect_info *info = &expect_table[expect->subject];
	struct builder out = { .arena = arena };
	const char *gap;

	builder_print(&out, "%s", info->word);
	for (size_t i = 0; i < expect->args.count; i++) {
		builder_add(&out, " ", 1);
		word_quote(&out, expect->args.items[i],
			   info->ops == B(NONE) ? "" : "=<>~!");
	}
	if (expect->op == OP_NONE)
		return out.bytes;
	gap = expect->args.count || expect->op == OP_IN ? " " : "";
	builder_print(&out, "%s%s%s", gap, expect_op_names[expect->op], gap);
	for (size_t i = 0; i < expect->values.count; i++) {
		if (i)
			builder_add(&out, ",", 1);
		if (info->value == VALUE_regex && expect->values.items[i][0])
			/* always in quotes: it is a text, not a word */
			word_quote(&out, expect->values.items[i],
				   expect->values.items[i]);
		else
			word_quote(&out, expect->values.items[i], "");
	}
	return out.bytes;
}

/* An argument that is the word `in` would be read as the operator; `file a
 * equals in` has no operator, so nothing is looked for there. */
static struct found operator_of(const struct expect_parse *parse)
{
	if (parse->info->ops == B(NONE))
		return (struct found){ OP_NONE, parse->line->n,
				       parse->line->n };
	return operator_find(parse->line);
}

static size_t subject_end(const struct line *line)
{
	size_t at = strspn(line->text, " \t\n");

	while (at < line->n &&
	       ((line->text[at] >= 'a' && line->text[at] <= 'z') ||
		line->text[at] == '_' ||
		(line->text[at] >= '0' && line->text[at] <= '9')))
		at++;
	return at;
}

bool expect_line_parse(struct diag *diag, const struct line *line,
		       const struct scope *scope, int phase,
		       struct expect *ret_expect)
{
	struct expect expect = { .mark = line->mark, .phase = phase };
	struct expect_parse parse = { .diag = diag,
				      .line = line,
				      .expect = &expect };
	size_t end = subject_end(line);
	struct words subject;
	struct found found;

	if (!words_split(diag, line, 0, end, NULL, &subject))
		return false;
	if (!subject.count) {
		diag_error(diag, line->mark, "such as: exit!=0",
			   line->n ? "an expectation starts with its subject"
				   : "an empty expectation");
		return false;
	}
	if (!subject_find(&parse, &subject.items[0]))
		return false;
	found = operator_of(&parse);
	expect.op = found.op;
	if (!words_split(diag, line, end, found.at, scope, &parse.args) ||
	    !words_split(diag, line, found.end, line->n, scope, &parse.values))
		return false;
	if (!operator_check(&parse, &found) || !args_read(&parse) ||
	    !values_read(&parse))
		return false;
	if (phase >= 0 && parse.info->scope == SCOPE_run) {
		diag_error(diag, line->mark,
			   "move it to the scenario's own 'expect'",
			   "'%s' is judged over the whole run, not in a phase",
			   parse.info->word);
		return false;
	}
	expect.text = expect_print(diag->arena, &expect);
	expect.written = vars_named(line->text, line->n)
				 ? arena_copy(diag->arena, line->text, line->n)
				 : expect.text;
	*ret_expect = expect;
	return true;
}
