/* quick.c - what the plan says of a call before anything of it is known.
 *
 * Rules whose exe= is another program's don't count here; those of all phases
 * do, so that nothing has to be made anew when the phase changes.
 */
#include "preload/guest.h"
#include "preload/net.h"
#include "preload/site_quick.h"
#include "preload/sweep.h"

uint8_t site_quick_flags[CALL_NR_MAX];
struct quick_row site_quick_rows[CALL_NR_MAX];
struct quick_call quick_calls[CALL_COUNT];

/* The rules of a call that may want one of this process's. */
static uint64_t rules_of(unsigned id)
{
	const uint16_t *chain = guest_plan.chain[id];
	uint64_t rules = 0;

	for (unsigned i = 0; i < chain[1]; i++) {
		unsigned r = guest_plan.index[chain[0] + i];

		if (!(guest_plan.rules[r].selectors & SELECT_EXE) ||
		    guest_exe_rules >> r & 1)
			rules |= 1ull << r;
	}
	return rules;
}

/* Do all of the rules have one of the selectors? */
static bool all_select(uint64_t rules, unsigned selectors)
{
	for (unsigned r = 0; r < PLAN_RULES_MAX; r++) {
		if (rules >> r & 1 &&
		    !(guest_plan.rules[r].selectors & selectors))
			return false;
	}
	return true;
}

/* Does note_objects() in hook.c do something about it, or the hook itself? */
static bool is_for_the_hook(const struct call_kernel *row)
{
	if (net_rules && row->id != CALL_NONE && net_way_of(row->id))
		return true;
	switch (row->id) {
	case CALL_NONE:
	case CALL_execve:
	case CALL_connect:
	case CALL_close_range:
	case CALL_rename:
	case CALL_mmap: /* of code: late.c */
	case CALL_nanosleep: /* until a bent clock's time: warp_site.c */
		return true;
	}
	if (row->id == CALL_stat && guest_ledger_is_kept())
		return true;
	return row->other_arg || (row->id == CALL_dup && row->view.fd2);
}

static uint8_t flags_of(const struct call_kernel *row, uint64_t rules)
{
	const struct view *view = &row->view;
	uint8_t flags = QUICK_PASSES;

	if (is_for_the_hook(row))
		return 0;
	if (row->id == CALL_close)
		flags |= QUICK_FORGETS;
	if (!rules)
		return flags;
	if (view->fd != 1 || view->path || view->msg ||
	    !all_select(rules, SELECT_OBJECT))
		return 0;
	if (view->addr && view->addr != 5)
		return 0;
	if (view->addr)
		flags |= QUICK_NO_ADDR;
	return flags | QUICK_BY_FD;
}

static struct quick_call call_of(uint64_t rules)
{
	struct quick_call call = { .size_first = UINT64_MAX };

	for (unsigned r = 0; r < PLAN_RULES_MAX; r++) {
		const struct plan_rule *rule = &guest_plan.rules[r];

		if (!(rules >> r & 1))
			continue;
		if (rule->size_first < call.size_first)
			call.size_first = rule->size_first;
		if (rule->size_last > call.size_last)
			call.size_last = rule->size_last;
		if ((rule->selectors & SELECT_OBJECT) == SELECT_PATH)
			call.by_path |= 1ull << r;
	}
	if (!all_select(rules, SELECT_SIZE)) {
		call.size_first = 0;
		call.size_last = UINT64_MAX;
	}
	call.all_by_path = rules && call.by_path == rules;
	return call;
}

/* In a sweep every call is looked at. */
static void quick_nothing(void)
{
	for (unsigned id = 0; id < CALL_COUNT; id++)
		quick_calls[id] =
			(struct quick_call){ .size_last = UINT64_MAX };
}

void quick_fill(void)
{
	if (guest_sweep) {
		quick_nothing();
		return;
	}
	net_fill();
	for (unsigned id = 0; id < CALL_COUNT; id++)
		quick_calls[id] = call_of(rules_of(id));
	for (unsigned nr = 0; nr < CALL_NR_MAX; nr++) {
		const struct call_kernel *row = &call_kernel_table[nr];
		uint64_t rules = row->id < CALL_COUNT ? rules_of(row->id) : 0;
		uint8_t flags = site_is_skipped(nr) ? 0 : flags_of(row, rules);

		site_quick_rows[nr] = (struct quick_row){
			.rules = rules,
			.call = row->id,
			.flags = flags,
		};
		site_quick_flags[nr] = flags;
	}
}
