/* candidates.c - barriers that a programmer could add.
 *
 * A place of a kind is a call on a name of a kind: digits don't count, and of a
 * rename only where it leads to does. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runner/powercut/synth.h"

#define PLACES_MAX 100000
#define DIRTY_MAX  64 /* nodes that one place may sync */

/* Names of a kind: digits are one, and so is what looks random. */
static void pattern_of(const char *name, char pattern[200])
{
	size_t n = 0;

	for (; *name && n + 1 < 200; name++) {
		if (isdigit((unsigned char)*name)) {
			if (!n || pattern[n - 1] != '#')
				pattern[n++] = '#';
		} else {
			pattern[n++] = *name;
		}
	}
	pattern[n] = '\0';
}

static const char *verb_of(const struct op *op)
{
	switch (op->kind) {
	case OPLOG_RENAME:
		return "rename";
	case OPLOG_LINK:
		return "link";
	case OPLOG_UNLINK:
		return "unlink";
	case OPLOG_TRUNCATE:
		return "truncation";
	case OPLOG_WRITE:
		return "write";
	case OPLOG_LEDGER:
		return "acknowledgement";
	}
	return NULL;
}

/* "rename(a.tmp -> a)", "the acknowledgement", for people and as a kind. */
static void place_say(const struct history *history, const struct op *op,
		      char text[300], char pattern[300])
{
	char *from = NULL, *to = NULL, part[200], part2[200] = "";

	if (op->kind == OPLOG_LEDGER) {
		snprintf(text, 300, "the acknowledgement");
		snprintf(pattern, 300, "ack");
		return;
	}
	from = op->slot != NONE ? history_path(history, op->slot)
				: history_name(history, op->node);
	to = op->slot2 != NONE ? history_path(history, op->slot2) : NULL;
	pattern_of(from ? from : "", part);
	if (to)
		pattern_of(to, part2);
	snprintf(text, 300, "%s(%.120s%s%.120s)", verb_of(op), from,
		 to ? " -> " : "", to ? to : "");
	/* A temporary name may be random; where it goes isn't. */
	snprintf(pattern, 300, "%s %s", verb_of(op), to ? part2 : part);
	free(from);
	free(to);
}

static struct candidate *candidate_get(struct synth *synth, const char *key)
{
	for (uint32_t i = 0; i < synth->count; i++)
		if (!strcmp(synth->candidates[i].key, key))
			return &synth->candidates[i];
	if (synth->count == CANDIDATES_MAX)
		return NULL;
	snprintf(synth->candidates[synth->count].key,
		 sizeof(synth->candidates->key), "%s", key);
	return &synth->candidates[synth->count++];
}

static int spot_add(struct synth *synth, uint32_t before, uint32_t node)
{
	const struct history *history = synth->explore->history;
	const struct op *op =
		before < history->ops_count ? &history->ops[before] : NULL;
	bool self = op && op->node == node && op->kind != OPLOG_LEDGER;
	bool is_dir = history->nodes[node].kind == NODE_DIR;
	char place[300] = "the end", kind[300] = "end", key[512], name[200];
	char *full = history_name(history, node);
	struct candidate *candidate;
	struct barrier_spot *spots;

	if (!full)
		return -ENOMEM;
	/* A file that is renamed is known to people by its name before. */
	if (self && op->slot2 != NONE) {
		free(full);
		full = history_path(history, op->slot);
	}
	if (op)
		place_say(history, op, place, kind);
	pattern_of(full, name);
	snprintf(key, sizeof(key), "%.*s|%s|%s", 250, kind,
		 is_dir ? "dir" : "file", self ? "self" : name);
	candidate = candidate_get(synth, key);
	if (candidate && !candidate->count)
		snprintf(candidate->text, sizeof(candidate->text),
			 "fsync(%s%.150s) before %.250s",
			 is_dir ? "directory " : "", full, place);
	free(full);
	if (!candidate || synth->places >= PLACES_MAX)
		return 0;
	if (candidate->count == candidate->room) {
		candidate->room = candidate->room ? 2 * candidate->room : 8;
		spots = reallocarray(candidate->spots, candidate->room,
				     sizeof(*spots));
		if (!spots)
			return -ENOMEM;
		candidate->spots = spots;
	}
	candidate->spots[candidate->count++] =
		(struct barrier_spot){ before, node };
	synth->places++;
	return 0;
}

/* ---- what is dirty, and where a barrier could stand -----------------------
 */
struct dirty {
	uint32_t nodes[DIRTY_MAX]; /* in the order in which they became so */
	uint32_t count;
};

static void dirty_drop(struct dirty *dirty, uint32_t node)
{
	for (uint32_t i = 0; i < dirty->count; i++)
		if (dirty->nodes[i] == node) {
			memmove(&dirty->nodes[i], &dirty->nodes[i + 1],
				(--dirty->count - i) * sizeof(node));
			return;
		}
}

static void dirty_add(struct dirty *dirty, uint32_t node)
{
	dirty_drop(dirty, node);
	if (dirty->count == DIRTY_MAX)
		dirty_drop(dirty, dirty->nodes[0]);
	dirty->nodes[dirty->count++] = node;
}

static void dirty_note(struct dirty *dirty, const struct history *history,
		       const struct op *op)
{
	switch (op->kind) {
	case OPLOG_WRITE:
	case OPLOG_TRUNCATE:
		dirty_add(dirty, op->node);
		return;
	case OPLOG_FSYNC:
	case OPLOG_FDATASYNC:
		dirty_drop(dirty, op->node);
		return;
	case OPLOG_SYNC:
		dirty->count = 0;
		return;
	}
	if (op->slot != NONE)
		dirty_add(dirty, history->slots[op->slot].dir);
	if (op->slot2 != NONE)
		dirty_add(dirty, history->slots[op->slot2].dir);
}

static bool is_ack(const struct op *op)
{
	return op->kind == OPLOG_LEDGER && op->text_bytes > 4 &&
	       !memcmp(op->text, "ack ", 4);
}

/* Writes are places, too: a log before the data that it describes. */
static bool is_place(const struct history *history, uint32_t i)
{
	const struct op *op = &history->ops[i];

	if (op->kind == OPLOG_LEDGER)
		return is_ack(op);
	if (op->flags & OPLOG_MAPPED) /* no line of code is there */
		return false;
	if (op->kind == OPLOG_WRITE) /* the first of several */
		return i && (history->ops[i - 1].kind != OPLOG_WRITE ||
			     history->ops[i - 1].node != op->node);
	return verb_of(op) != NULL;
}

int candidates_find(struct synth *synth)
{
	const struct history *history = synth->explore->history;
	struct dirty dirty = { 0 };
	int error = 0;

	for (uint32_t i = 0; i <= history->ops_count && !error; i++) {
		bool end = i == history->ops_count;

		if (end || is_place(history, i))
			for (uint32_t k = dirty.count; k-- > 0 && !error;) {
				bool own =
					!end &&
					history->ops[i].kind == OPLOG_WRITE &&
					history->ops[i].node == dirty.nodes[k];

				if (!own)
					error = spot_add(synth, i,
							 dirty.nodes[k]);
			}
		if (!end)
			dirty_note(&dirty, history, &history->ops[i]);
	}
	return error;
}
