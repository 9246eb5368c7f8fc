/* dag_words.c - micro-operations for people. */
#include <stdio.h>
#include <stdlib.h>

#include "runner/powercut/dag.h"

char *dag_say(const struct dag *dag, uint32_t id)
{
	const struct micro *micro = &dag->micros[id];
	const struct op *op = &dag->ops[micro->op];
	const struct history *history = dag->history;
	char *name = NULL, *other = NULL, *text = NULL;
	int n = 0;

	if (op->slot != NONE)
		name = history_path(history, op->slot);
	else if (op->node != NONE)
		name = history_name(history, op->node);
	if (op->slot2 != NONE)
		other = history_path(history, op->slot2);
	switch (micro->kind) {
	case MICRO_DATA:
	case MICRO_APPEND:
		n = asprintf(&text, "%s %s, %llu bytes at %llu",
			     micro->kind == MICRO_APPEND ||
					     micro->offset + micro->size >
						     op->old_size
				     ? "data of append to"
				     : "data written over",
			     name, (unsigned long long)micro->size,
			     (unsigned long long)micro->offset);
		break;
	case MICRO_SIZE:
		n = asprintf(&text, "length %llu of %s",
			     (unsigned long long)micro->size, name);
		break;
	case MICRO_TRUNCATE:
		n = asprintf(&text, "truncation of %s to %llu", name,
			     (unsigned long long)micro->size);
		break;
	case MICRO_NAMES:
		n = asprintf(&text, "%s %s%s%s",
			     op->kind == OPLOG_RENAME	  ? "rename of"
			     : op->kind == OPLOG_EXCHANGE ? "exchange of"
			     : op->kind == OPLOG_LINK	  ? "link"
			     : op->kind == OPLOG_MKDIR	  ? "directory"
			     : op->kind == OPLOG_SYMLINK  ? "symbolic link"
			     : op->kind == OPLOG_UNLINK ||
					     op->kind == OPLOG_RMDIR
				     ? "removal of"
				     : "name",
			     name, other ? " to " : "", other ? other : "");
		break;
	default:
		n = asprintf(&text, "allocation of %s", name);
	}
	free(name);
	free(other);
	return n < 0 ? NULL : text;
}
