#include "scenarios/fault_line.h"

#include <string.h>

const struct fault_key_info fault_key_table[FAULT_KEY_COUNT] = {
#define SELECTOR(name, w, s) [FAULT_KEY_##name] = { #name, w, s, 's' },
#define TRIGGER(name, w, s)  [FAULT_KEY_##name] = { #name, w, s, 't' },
#define FLAG(name, w, s)     [FAULT_KEY_##name] = { #name, w, s, 'f' },
#include "scenarios/faults_keys.def"
#undef SELECTOR
#undef TRIGGER
#undef FLAG
};

/* Named by the design, not built in this version: what comes nearest. */
static const struct {
	const char *name, *instead;
} absent_actions[] = {
	{ "rate", "nearest: delay=, on the calls that move the bytes" },
	{ "drop", "nearest: hang, or fail=ETIMEDOUT" },
};

static bool value_start(const struct word *word, size_t *ret_name_n,
			size_t *ret_at)
{
	const char *equals = memchr(word->text, '=', word->n);

	*ret_name_n = equals ? (size_t)(equals - word->text) : word->n;
	*ret_at = *ret_name_n + (equals != NULL);
	return equals != NULL;
}

static bool is_absent(struct fault_parse *parse, const struct word *word,
		      size_t n)
{
	for (size_t i = 0; i < sizeof(absent_actions) / sizeof(*absent_actions);
	     i++) {
		if (!text_is(word->text, n, absent_actions[i].name))
			continue;
		diag_error(parse->diag, word_mark(parse->line, word),
			   absent_actions[i].instead,
			   "'%s' is not built yet in mishap " MISHAP_VERSION,
			   absent_actions[i].name);
		return true;
	}
	return false;
}

static void unknown_word(struct fault_parse *parse, const struct word *word,
			 size_t n)
{
	struct near near = near_start(word->text, n);
	const char *help;

	if (word->n && word->text[0] == '=') {
		diag_error(parse->diag, word_mark(parse->line, word),
			   "such as fail=ENOSPC", "no spaces around '='");
		return;
	}
	for (size_t i = 0; i < FAULT_KEY_COUNT; i++)
		near_try(&near, fault_key_table[i].name);
	for (size_t i = 0; i < FAULT_COUNT; i++)
		near_try(&near, fault_table[i]->name);
	help = diag_meant(parse->diag, &near);
	if (!help && !error_find(word->text, n) &&
	    call_find(word->text, n) != CALL_NONE)
		help = "calls are joined by commas: write,fsync";
	else if (error_find(word->text, n))
		help = arena_print(parse->diag->arena, "write fail=%.*s",
				   (int)n, word->text);
	diag_error(parse->diag, word_mark_part(parse->line, word, 0, n), help,
		   "unknown word '%.*s' in a rule", (int)(n > 60 ? 60 : n),
		   word->text);
}

static bool action_take(struct fault_parse *parse, const struct word *word,
			unsigned fault, bool has_value, size_t at)
{
	const struct fault *kind = fault_table[fault];

	if (parse->action_word) {
		diag_error(parse->diag, word_mark(parse->line, word),
			   "write a second rule for it, and mark the first "
			   "one 'also'",
			   "a rule has one action, and '%s' was given already",
			   fault_table[parse->rule->plan.fault]->name);
		return false;
	}
	if (kind->arg == ARG_NONE && has_value) {
		diag_error(parse->diag, word_mark(parse->line, word), NULL,
			   "'%s' is a bare word, it takes no value",
			   kind->name);
		return false;
	}
	parse->action_word = word;
	parse->action_at = at;
	parse->rule->plan.fault = (uint16_t)fault;
	return true;
}

static bool key_take(struct fault_parse *parse, const struct word *word,
		     enum fault_key key, bool has_value, size_t at)
{
	const struct fault_key_info *info = &fault_key_table[key];
	struct plan_rule *plan = &parse->rule->plan;
	struct mark mark = word_mark(parse->line, word);

	/* after=10s after=100 are two triggers; the reader sees to it */
	if (parse->keys_seen & (1u << key) && key != FAULT_KEY_after) {
		diag_error(parse->diag, mark, NULL, "'%s' is given twice",
			   info->name);
		return false;
	}
	parse->keys_seen |= 1u << key;
	if (info->kind == 'f') {
		if (has_value) {
			diag_error(parse->diag, mark, NULL,
				   "'%s' is a bare word, it takes no value",
				   info->name);
			return false;
		}
		if (key == FAULT_KEY_also)
			plan->also = 1;
		else
			plan->adversarial = 1;
		return true;
	}
	if (!has_value || at >= word->n) {
		diag_error(parse->diag, mark, NULL, "'%s' wants %s", info->name,
			   info->wants);
		return false;
	}
	if (info->kind == 's')
		return fault_selector_read(parse, key, word, at);
	return fault_trigger_read(parse, key, word, at);
}

/* A model's argument; an action beside it is one too many. */
static bool model_word_take(struct fault_parse *parse, const struct word *word,
			    size_t name_n, bool has_value, size_t at)
{
	unsigned model = parse->rule->plan.fault;
	const struct fault *fault = fault_table[model];

	if (fault->arg_key && text_is(word->text, name_n, fault->arg_key))
		return action_take(parse, word, model, has_value, at);
	for (unsigned i = 0; i < FAULT_COUNT; i++) {
		if (fault_table[i]->is_model ||
		    !text_is(word->text, name_n, fault_table[i]->name))
			continue;
		diag_error(parse->diag, word_mark(parse->line, word), NULL,
			   "'%s' is a model: it says itself what is done to "
			   "which calls, and takes no action",
			   fault->name);
		return false;
	}
	unknown_word(parse, word, name_n);
	return false;
}

static bool word_take(struct fault_parse *parse, const struct word *word)
{
	size_t name_n, at;
	bool has_value = value_start(word, &name_n, &at);

	for (unsigned i = 0; i < FAULT_KEY_COUNT; i++)
		if (text_is(word->text, name_n, fault_key_table[i].name))
			return key_take(parse, word, i, has_value, at);
	if (parse->model)
		return model_word_take(parse, word, name_n, has_value, at);
	for (unsigned i = 0; i < FAULT_COUNT; i++)
		if (!fault_table[i]->is_model &&
		    text_is(word->text, name_n, fault_table[i]->name))
			return action_take(parse, word, i, has_value, at);
	if (!is_absent(parse, word, name_n))
		unknown_word(parse, word, name_n);
	return false;
}

/* A model is the action; what it may lack is its argument. */
static bool model_check(struct fault_parse *parse)
{
	const struct fault *fault = fault_table[parse->rule->plan.fault];

	if (fault->arg == ARG_NONE ||
	    (fault->arg_optional && !parse->action_word))
		return true;
	if (parse->action_word)
		return fault_arg_read(parse, parse->action_word,
				      parse->action_at);
	diag_error(
		parse->diag, parse->line->mark,
		arena_print(parse->diag->arena, "such as: %s", fault->example),
		"'%s' wants %s=", fault->name, fault->arg_key);
	return false;
}

/* Said or not, a clock is bent; which one stands in the rule. */
static bool clock_check(struct fault_parse *parse)
{
	struct plan_rule *plan = &parse->rule->plan;

	if (!fault_table[plan->fault]->stands)
		return true;
	if (!(plan->selectors & SELECT_CLOCK)) {
		plan->selectors |= SELECT_CLOCK;
		plan->clock = CLOCKS_REALTIME;
	}
	if (plan->fault != FAULT_skew || plan->clock == CLOCKS_REALTIME ||
	    (int64_t)plan->arg.v[0] >= 0 || plan->adversarial)
		return true;
	diag_error(parse->diag, word_mark(parse->line, parse->action_word),
		   "to do it all the same, add 'adversarial'",
		   "a monotonic clock never goes back");
	return false;
}

static bool action_check(struct fault_parse *parse)
{
	struct diag *diag = parse->diag;
	struct builder names = { .arena = diag->arena };
	const struct fault *fault;

	if (parse->model)
		return model_check(parse);
	if (!parse->action_word) {
		for (size_t i = 0; i < FAULT_COUNT; i++)
			if (!fault_table[i]->is_model)
				builder_print(&names, "%s%s%s", i ? " " : "",
					      fault_table[i]->name,
					      fault_table[i]->arg ? "=" : "");
		diag_error(diag, parse->line->mark,
			   arena_print(diag->arena, "one of: %s", names.bytes),
			   "this rule has no action");
		return false;
	}
	fault = fault_table[parse->rule->plan.fault];
	if (fault->arg != ARG_NONE &&
	    !fault_arg_read(parse, parse->action_word, parse->action_at))
		return false;
	if (parse->rule->plan.at == AT_AFTER && !fault->may_be_after) {
		diag_error(diag, word_mark(parse->line, parse->action_word),
			   NULL, "'%s' can't act after the call", fault->name);
		return false;
	}
	return clock_check(parse);
}

static void rule_start(struct rule *rule, const struct mark *mark,
		       uint32_t phases)
{
	*rule = (struct rule){ .mark = *mark, .phases = phases };
	rule->plan.nth_first = 1;
	rule->plan.nth_last = NTH_FOREVER;
	rule->plan.nth_step = 1;
	rule->plan.p_ppm = 1000000;
	rule->plan.fd_last = INT32_MAX;
	rule->plan.size_last = UINT64_MAX;
	rule->plan.phases = phases;
	rule->plan.line = mark->line;
	rule->plan.column = mark->line ? mark->column : 0;
}

bool fault_line_parse(struct diag *diag, const struct line *line,
		      const struct scope *scope, uint32_t phases,
		      struct rule *ret_rule)
{
	struct rule rule;
	struct fault_parse parse = { .diag = diag,
				     .line = line,
				     .rule = &rule };
	struct words words;
	size_t next;
	bool good = true;

	rule_start(&rule, &line->mark, phases);
	if (!words_split(diag, line, 0, line->n, scope, &words))
		return false;
	if (!words.count) {
		diag_error(diag, line->mark, "such as: write fail=ENOSPC",
			   "an empty rule");
		return false;
	}
	good = fault_calls_parse(&parse, &words, &next);
	if (parse.absent) /* its arguments are no words of ours */
		return false;
	for (size_t i = next; i < words.count; i++)
		good = word_take(&parse, &words.items[i]) && good;
	if (!good || !action_check(&parse) || !fault_calls_fit(&parse))
		return false;
	rule.text = fault_line_print(diag->arena, &rule, &parse.named);
	if (strlen(rule.text) >= PLAN_STRING_MAX) {
		diag_error(diag, line->mark, NULL,
			   "a rule longer than %d bytes", PLAN_STRING_MAX);
		return false;
	}
	rule.written = vars_named(line->text, line->n)
			       ? arena_copy(diag->arena, line->text, line->n)
			       : rule.text;
	*ret_rule = rule;
	return true;
}
