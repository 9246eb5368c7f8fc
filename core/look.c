#include "core/look.h"

/* A tree's own root: the glob without the slash and the stars at its end.  What
 * was no glob may be written as classes of one letter. */
static bool is_root(const char *glob, const char *text)
{
	while (*glob && !(glob[0] == '/' && glob[1] == '*' && glob[2] == '*' &&
			  !glob[3])) {
		char c = *glob++;

		if (c == '[' && glob[0] && glob[1] == ']') {
			c = glob[0];
			glob += 2;
		}
		if (*text++ != c)
			return false;
	}
	return *glob && !*text;
}

bool rule_path_match(const struct plan *plan, const struct plan_rule *rule,
		     const char *text)
{
	const char *glob = plan->base + rule->path_off;

	return glob_match(glob, text) ||
	       (fault_table[rule->fault]->is_model && is_root(glob, text));
}

#define TCP_LISTEN_HEX "0A" /* proc(5), /proc/net/tcp: the state column */

static bool rule_fits(const struct plan *plan, unsigned r,
		      const struct look *look, uint64_t hosts)
{
	const struct plan_rule *rule = &plan->rules[r];
	unsigned want = rule->selectors;

	if (want & SELECT_PATH &&
	    !(look->path && rule_path_match(plan, rule, look->path)))
		return false;
	if (want & SELECT_PEER &&
	    !(look->has_peer &&
	      peer_match(plan, &rule->peer, (const void *)&look->peer,
			 look->peer_bytes)))
		return false;
	if (want & SELECT_HOST && !(hosts >> r & 1))
		return false;
	if (want & SELECT_SIDE &&
	    !(look->is_socket &&
	      look->is_client == (rule->side == SIDE_CLIENT)))
		return false;
	return true;
}

uint64_t look_rules(const struct plan *plan, const struct look *look,
		    uint64_t hosts)
{
	uint64_t rules = 0;

	for (unsigned r = 0; r < plan->header->rules_count; r++) {
		if (plan->rules[r].selectors & SELECT_OBJECT &&
		    rule_fits(plan, r, look, hosts))
			rules |= 1ull << r;
	}
	return rules;
}

enum look_line look_line(const char *line, const char *end, unsigned port)
{
	unsigned colons = 0, value = 0;

	for (; line < end; line++) {
		if (*line == ':' && ++colons == 2)
			break;
	}
	for (line++; line < end && *line != ' '; line++) {
		unsigned digit = (unsigned)*line - '0';

		value = value * 16 + (digit > 9 ? digit - 7 : digit);
	}
	for (line++; line < end && *line != ' '; line++)
		; /* the remote address */
	if (end - line <= 2)
		return LINE_OTHER; /* the table's head */
	if (line[1] != TCP_LISTEN_HEX[0] || line[2] != TCP_LISTEN_HEX[1])
		return LINE_LAST;
	return value == port ? LINE_FOUND : LINE_OTHER;
}
