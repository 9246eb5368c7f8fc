/* expect_line.h - one expectation in one line: SUBJECT [ARGUMENT…] OP VALUE. */
#ifndef MISHAP_SCENARIOS_EXPECT_LINE_H
#define MISHAP_SCENARIOS_EXPECT_LINE_H

#include "scenarios/words.h"

enum expect_value {
	VALUE_none,
	VALUE_absent,
	VALUE_promise,
	VALUE_regex,
	VALUE_status,
	VALUE_signal,
	VALUE_duration,
	VALUE_ratio,
	VALUE_rate,
	VALUE_bytes,
	VALUE_count,
};

enum expect_scope { SCOPE_run, SCOPE_phase };

struct expect_info {
	const char *word, *says, *example;
	unsigned args_min, args_max;
	uint32_t ops; /* bit by enum expect_op */
	enum expect_value value;
	enum expect_scope scope;
};

extern const struct expect_info expect_table[EXPECT_COUNT];
extern const char *const expect_op_names[]; /* "==", by enum expect_op */

/* expect_line_parse - fill ret_expect; all strings belong to diag->arena.
 * phase: index, or -1.  False after errors were noted. */
bool expect_line_parse(struct diag *diag, const struct line *line,
		       const struct scope *scope, int phase,
		       struct expect *ret_expect);
/* expect_value_wants - "a duration such as …", for messages and docs. */
const char *expect_value_wants(enum expect_value value);

#endif
