/* fault_calls.c - which calls a rule is about, and which of them can take its
 * action. */
#include "scenarios/fault_line.h"

#include <string.h>

#include "scenarios/aliases.h"

/* Library functions that people name for the call that they end in. */
static const struct {
	const char *name, *call;
} ends_in[] = {
	{ "fopen", "open" },	    { "fdopen", "open" },
	{ "freopen", "open" },	    { "mkstemp", "open" },
	{ "opendir", "open" },	    { "fwrite", "write" },
	{ "fputs", "write" },	    { "puts", "write" },
	{ "printf", "write" },	    { "fprintf", "write" },
	{ "fflush", "write" },	    { "fread", "read" },
	{ "fgets", "read" },	    { "getline", "read" },
	{ "getc", "read" },	    { "fclose", "close" },
	{ "remove", "unlink" },	    { "strdup", "malloc" },
	{ "asprintf", "malloc" },   { "vfork", "posix_spawn" },
	{ "clone", "fork" },	    { "system", "posix_spawn" },
	{ "popen", "posix_spawn" }, { "gethostbyname", "getaddrinfo" },
	{ "fstat", "stat" },	    { "lstat", "stat" },
};

/* Models of the design that this version doesn't have. */
static const struct {
	const char *name, *instead;
} absent_models[] = {
	{ "net.down", "nearest: connect,send,recv peer=HOST:PORT "
		      "fail=ENETUNREACH adversarial" },
	{ "dns.flaky", "nearest: getaddrinfo host=NAME fail=EAI_AGAIN p=30%" },
	{ "power.cut", "nearest: write,fsync,rename path=DIR/** kill=KILL" },
};

static unsigned family_find(const char *name, size_t n)
{
	for (unsigned i = 0; i < FAMILY_COUNT; i++)
		if (text_is(name, n, call_family_names[i]))
			return i;
	return FAMILY_COUNT;
}

static void set_add(struct call_set *set, unsigned id, bool by_name)
{
	set->count += !set->has[id];
	set->has[id] = true;
	set->by_name[id] |= by_name;
}

static void set_add_family(struct call_set *set, unsigned family)
{
	for (unsigned id = 0; id < CALL_COUNT; id++)
		if (call_table[id].family == family)
			set_add(set, id, false);
}

/* FAMILY, FAMILY.*, FAMILY.CALL, CALL; a family's name comes before a call's,
 * so `time` is the family and `time.time` the call. */
static bool set_add_item(struct call_set *set, const char *name, size_t n)
{
	const char *dot = memchr(name, '.', n);
	size_t head = dot ? (size_t)(dot - name) : n;
	unsigned family = family_find(name, head);
	unsigned id;

	if (family < FAMILY_COUNT && (!dot || text_is(dot, n - head, ".*"))) {
		set_add_family(set, family);
		return true;
	}
	if (dot && family == FAMILY_COUNT)
		return false;
	if (dot) {
		name += head + 1;
		n -= head + 1;
	}
	id = call_find(name, n);
	if (id == CALL_NONE || (dot && call_table[id].family != family))
		return false;
	set_add(set, id, true);
	return true;
}

static void try_all(struct near *near)
{
	for (unsigned i = 0; i < FAMILY_COUNT; i++)
		near_try(near, call_family_names[i]);
	for (unsigned id = 0; id < CALL_COUNT; id++)
		near_try(near, call_table[id].name);
	for (size_t i = 0; i < call_aliases_count; i++)
		near_try(near, call_aliases[i].name);
}

static const char *unknown_help(struct diag *diag, const char *name, size_t n)
{
	struct near near = near_start(name, n);

	for (size_t i = 0; i < sizeof(ends_in) / sizeof(*ends_in); i++)
		if (text_is(name, n, ends_in[i].name))
			return arena_print(diag->arena,
					   "it makes the call '%s': name that",
					   ends_in[i].call);
	try_all(&near);
	return near_found(&near) ? diag_meant(diag, &near)
				 : "see `mishap list calls`";
}

static void unknown_call(struct fault_parse *parse, const struct word *word,
			 size_t at, size_t n)
{
	struct mark mark = word_mark_part(parse->line, word, at, at + n);
	const char *name = word->text + at;
	int shown = (int)(n > 60 ? 60 : n);

	for (size_t i = 0; i < sizeof(absent_models) / sizeof(*absent_models);
	     i++) {
		if (text_is(name, n, absent_models[i].name)) {
			parse->absent = true;
			diag_error(parse->diag, mark, absent_models[i].instead,
				   "the model '%s' is not built yet in "
				   "mishap " MISHAP_VERSION,
				   absent_models[i].name);
			return;
		}
	}
	if (memchr(name, '=', n)) {
		diag_error(parse->diag, mark, NULL,
			   "a rule starts with the calls that it is about, "
			   "such as write,fsync");
		return;
	}
	diag_error(parse->diag, mark, unknown_help(parse->diag, name, n),
		   "unknown call '%.*s'", shown, name);
}

static bool calls_word_read(struct fault_parse *parse, const struct word *word)
{
	bool good = true;

	for (size_t at = 0; at <= word->n;) {
		const char *comma = memchr(word->text + at, ',', word->n - at);
		size_t n = comma ? (size_t)(comma - word->text) - at
				 : word->n - at;

		if (!n && at < word->n) {
			diag_error(parse->diag, word_mark(parse->line, word),
				   NULL, "a comma without a call before it");
			return false;
		}
		if (n && !set_add_item(&parse->named, word->text + at, n)) {
			unknown_call(parse, word, at, n);
			good = false;
		}
		at += n + 1;
	}
	return good;
}

/* A model's name is all of the first word. */
static bool model_parse(struct fault_parse *parse, const struct word *word)
{
	for (unsigned i = 0; i < FAULT_COUNT; i++) {
		const struct fault *fault = fault_table[i];

		if (!fault->is_model ||
		    !text_is(word->text, word->n, fault->name))
			continue;
		parse->model = true;
		parse->rule->plan.fault = (uint16_t)i;
		for (unsigned id = 0; id < CALL_COUNT; id++)
			if (!fault->refuses(id, NULL))
				set_add(&parse->named, id, false);
		return true;
	}
	return false;
}

bool fault_calls_parse(struct fault_parse *parse, const struct words *words,
		       size_t *ret_next)
{
	const struct word *first = &words->items[0], *word;
	size_t i = 0;
	bool good = true;

	*ret_next = 1;
	parse->calls_word = first;
	parse->calls_mark = line_mark(parse->line, first->at, first->end);
	if (model_parse(parse, first))
		return true;
	do { /* `write, fsync`: a comma at the end goes on */
		word = &words->items[i++];
		good = calls_word_read(parse, word) && good;
	} while (i < words->count && word->n && word->text[word->n - 1] == ',');
	*ret_next = i;
	parse->calls_word = first;
	parse->calls_mark = line_mark(parse->line, first->at, word->end);
	if (good && !parse->named.count) {
		diag_error(parse->diag, parse->calls_mark, NULL,
			   "a rule starts with the calls that it is about, "
			   "such as write,fsync");
		good = false;
	}
	return good;
}

/* ---- fit --------------------------------------------------------------- */

static void list_plausible(struct builder *out, const struct call_info *call)
{
	builder_print(out, "%s lists", call->pages);
	for (unsigned i = 0; i < call->errnos_count; i++)
		builder_print(out, " %s", error_name(call->errnos[i]));
	if (!call->errnos_count)
		builder_print(out, " none");
	for (const struct call_cite *cite = call->cites; cite->error; cite++)
		builder_print(out, "%s %s (%s)",
			      cite == call->cites ? "; also" : ",",
			      error_name(cite->error), cite->source);
}

static bool errno_fits(const struct fault_parse *parse, unsigned id)
{
	const struct plan_rule *plan = &parse->rule->plan;
	int error = (int)(int64_t)plan->arg.v[0];

	if (fault_table[plan->fault]->arg != ARG_ERROR)
		return true;
	if (call_allows(id, error))
		return true;
	/* An EAI_ code is no errno, and the other way round. */
	return plan->adversarial &&
	       (error < 0) == (call_table[id].fails == FAILS_gai);
}

static const char *refusal(const struct fault_parse *parse, unsigned id)
{
	const struct plan_rule *plan = &parse->rule->plan;
	const struct fault *fault = fault_table[plan->fault];
	unsigned flags = call_table[id].flags;

	if (plan->at == AT_AFTER && flags & CALL_REPLACES_IMAGE)
		return "once it is done there is nobody left to act on";
	if (plan->triggers & TRIGGER_AFTER_BYTES) {
		if (!(flags & (CALL_MOVES_IN | CALL_MOVES_OUT)))
			return "`after=` some bytes, but it moves none";
		if (plan->per == PER_THREAD)
			return "moved bytes are counted by process or by fd";
	}
	return fault->refuses ? fault->refuses(id, &plan->arg) : NULL;
}

/* A selector that can't tell this call from another, or NULL. */
static const char *blind_selector(const struct fault_parse *parse, unsigned id)
{
	static const struct {
		const char *name;
		unsigned bit;
	} selectors[] = {
		{ "path", SELECT_PATH },   { "peer", SELECT_PEER },
		{ "host", SELECT_HOST },   { "fd", SELECT_FD },
		{ "size", SELECT_SIZE },   { "side", SELECT_SIDE },
		{ "clock", SELECT_CLOCK },
	};

	for (size_t i = 0; i < sizeof(selectors) / sizeof(*selectors); i++)
		if (parse->rule->plan.selectors & selectors[i].bit &&
		    !call_can_select(id, selectors[i].bit))
			return selectors[i].name;
	return NULL;
}

static void nothing_fits(struct fault_parse *parse)
{
	const struct plan_rule *plan = &parse->rule->plan;
	const struct fault *fault = fault_table[plan->fault];
	struct mark mark = word_mark(parse->line, parse->action_word);
	struct builder help = { .arena = parse->diag->arena };
	bool many = parse->named.count > 1;
	unsigned id = 0;

	while (!parse->named.has[id])
		id++;
	if (errno_fits(parse, id) && !refusal(parse, id)) {
		diag_error(parse->diag, parse->calls_mark, NULL,
			   "'%s=' can't select %s%s: the call has nothing of "
			   "the kind",
			   blind_selector(parse, id), call_table[id].name,
			   many ? ", nor the others" : "");
		return;
	}
	if (!refusal(parse, id)) {
		list_plausible(&help, &call_table[id]);
		if (!plan->adversarial)
			builder_print(&help, "\nto do it all the same, add "
					     "'adversarial'");
		diag_error(parse->diag, mark, help.bytes,
			   "%s can't fail with %s%s", call_table[id].name,
			   error_name((int)(int64_t)plan->arg.v[0]),
			   many ? ", nor can the others" : "");
		return;
	}
	diag_error(parse->diag, mark, NULL, "'%s' doesn't fit %s%s: %s",
		   fault->name, call_table[id].name,
		   many ? ", nor the others" : "", refusal(parse, id));
}

static void warn_left_out(struct fault_parse *parse, unsigned id)
{
	const struct plan_rule *plan = &parse->rule->plan;
	const struct fault *fault = fault_table[plan->fault];
	const char *why = refusal(parse, id);

	if (!errno_fits(parse, id))
		diag_warn(parse->diag, parse->calls_mark, NULL,
			  "%s can't fail with %s: the rule leaves it out",
			  call_table[id].name,
			  error_name((int)(int64_t)plan->arg.v[0]));
	else if (!why)
		diag_warn(parse->diag, parse->calls_mark, NULL,
			  "'%s=' can't select %s: the rule leaves it out",
			  blind_selector(parse, id), call_table[id].name);
	else
		diag_warn(parse->diag, parse->calls_mark, NULL,
			  "the rule leaves %s out, '%s' doesn't fit it: %s",
			  call_table[id].name, fault->name, why);
}

bool fault_calls_fit(struct fault_parse *parse)
{
	struct rule *rule = parse->rule;

	for (unsigned id = 0; id < CALL_COUNT; id++)
		if (parse->named.has[id] && errno_fits(parse, id) &&
		    !refusal(parse, id) && !blind_selector(parse, id))
			rule->calls[rule->calls_count++] = (uint16_t)id;
	if (!rule->calls_count) {
		nothing_fits(parse);
		return false;
	}
	for (unsigned id = 0, i = 0; id < CALL_COUNT; id++) {
		if (i < rule->calls_count && rule->calls[i] == id)
			i++;
		else if (parse->named.by_name[id])
			warn_left_out(parse, id);
	}
	return true;
}
