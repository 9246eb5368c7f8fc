/* lie: the call reports success, and isn't made.
 *
 * A disk whose cache loses what it acknowledged, a send that never leaves.
 * Only where success hands nothing back but itself: 0, or for a write the
 * whole length, which is at most what one call can move (write(2), NOTES).
 * munmap never lies: the target would go on to use memory that it gave up. */
#include "core/fault.h"

#define MOVE_BYTES_MAX 0x7ffff000 /* MAX_RW_COUNT, include/linux/fs.h */

static const char *refuses(unsigned call_id, const struct fault_arg *arg)
{
	unsigned flags = call_table[call_id].flags;

	(void)arg;
	if (call_id == CALL_munmap)
		return "munmap never lies: the memory must be gone";
	if (flags & CALL_RELEASES_FD)
		return "the descriptor must be released";
	if (flags & CALL_CREATES_FD)
		return "there is no descriptor to hand back";
	if (flags & (CALL_CREATES_PROCESS | CALL_CREATES_THREAD))
		return "there is no child to hand back";
	if (flags & CALL_REPLACES_IMAGE)
		return "it returns only when it has failed";
	if (call_table[call_id].family == FAMILY_alloc)
		return "there is no memory to hand back";
	if (flags & CALL_MOVES_IN)
		return "there are no bytes to hand back; `eof` says so";
	if (flags & (CALL_SYNCS | CALL_CHANGES))
		return NULL;
	if (!(flags & CALL_MOVES_OUT))
		return "its success hands back more than itself";
	if (!call_has_buffer(call_id))
		return "only the kernel knows how much there was to move";
	return NULL;
}

static enum fault_effect effect(unsigned call_id)
{
	(void)call_id;
	return EFFECT_NOT_EXECUTED;
}

static void judge(struct call *call, const struct fault_arg *arg,
		  struct rng *rng)
{
	uint64_t moved = 0;

	(void)arg;
	(void)rng;
	if (call_table[call->id].flags & CALL_MOVES_OUT)
		moved = call->len < MOVE_BYTES_MAX ? call->len : MOVE_BYTES_MAX;
	call->skip = true;
	call->has_result = true;
	call->result = (int64_t)moved;
}

FAULT_DEFINE(lie, .says = "the call reports success, and isn't made",
	     .example = "fsync,fdatasync path=**/wal lie", .arg = ARG_NONE,
	     .refuses = refuses, .effect = effect, .judge = judge);
