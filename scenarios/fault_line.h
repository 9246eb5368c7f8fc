/* fault_line.h - one rule in one line: CALLS [selector=…] ACTION [trigger=…].
 *
 * The same grammar serves files, -f, live control and the log.  Selectors,
 * action and triggers stand in any order after the calls.  A rule's text is
 * canonical: it parses to the same rule and prints to the same text.
 */
#ifndef MISHAP_SCENARIOS_FAULT_LINE_H
#define MISHAP_SCENARIOS_FAULT_LINE_H

#include "scenarios/words.h"

/* The calls that a rule names, before those are left out that can't take its
 * action. */
struct call_set {
	bool has[CALL_COUNT];
	bool by_name[CALL_COUNT]; /* not only through a family */
	size_t count;
};

/* A rule under way, shared by the fault_*.c files. */
struct fault_parse {
	struct diag *diag;
	const struct line *line;
	struct rule *rule;
	struct call_set named;
	const struct word *calls_word, *action_word;
	struct mark calls_mark;
	bool absent;	    /* it named a model that isn't built */
	bool model;	    /* it names a model instead of calls */
	uint32_t keys_seen; /* bit by FAULT_KEY_ */
	size_t action_at;   /* byte of the action word where its value begins */
};

/* Every word after the calls but the actions, one row. */
enum fault_key {
#define SELECTOR(name, ...) FAULT_KEY_##name,
#define TRIGGER(name, ...)  FAULT_KEY_##name,
#define FLAG(name, ...)	    FAULT_KEY_##name,
#include "scenarios/faults_keys.def"
#undef SELECTOR
#undef TRIGGER
#undef FLAG
	FAULT_KEY_COUNT,
};

struct fault_key_info {
	const char *name, *wants, *says;
	char kind; /* s: selector, t: trigger, f: flag, a bare word */
};

extern const struct fault_key_info fault_key_table[FAULT_KEY_COUNT];

/* fault_line_parse - fill ret_rule; all strings belong to diag->arena.
 * False after errors were noted.  phases: of the rule, see struct rule. */
bool fault_line_parse(struct diag *diag, const struct line *line,
		      const struct scope *scope, uint32_t phases,
		      struct rule *ret_rule);

/* fault_calls.c: the first words. */
bool fault_calls_parse(struct fault_parse *parse, const struct words *words,
		       size_t *ret_next);
/* Leave out what can't take the action; an error when nothing is left. */
bool fault_calls_fit(struct fault_parse *parse);

/* fault_args.c: what stands after `=`. */
bool fault_selector_read(struct fault_parse *parse, enum fault_key key,
			 const struct word *word, size_t at);
bool fault_trigger_read(struct fault_parse *parse, enum fault_key key,
			const struct word *word, size_t at);
bool fault_arg_read(struct fault_parse *parse, const struct word *word,
		    size_t at);

/* fault_arg_word - what stands before `=` and the fault's argument. */
static inline const char *fault_arg_word(const struct fault *fault)
{
	return fault->is_model ? fault->arg_key : fault->name;
}

/* fault_print.c */
char *fault_line_print(struct arena *arena, const struct rule *rule,
		       const struct call_set *named);
char *fault_arg_print(struct arena *arena, const struct fault *fault,
		      const struct fault_arg *arg);
char *fault_peer_print(struct arena *arena, const struct plan_peer *peer,
		       const char *path);
/* "3", "3+", "2..5", "random(1..400)". */
char *fault_nth_print(struct arena *arena, const struct plan_rule *rule);

/* peer.c - 10.0.0.0/8:443, [::1]:80, :6379, unix:/run/x.sock, name:443.
 * *ret_host: the name, when it is one (then it is not in ret_peer).
 * Returns NULL, or what is wrong with it. */
const char *peer_read(struct arena *arena, const char *text, size_t n,
		      struct plan_peer *ret_peer, char **ret_host,
		      char **ret_path);

#endif
