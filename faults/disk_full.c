/* disk.full path=TREE limit=BYTES: a disk with so much room left.
 *
 * What makes files of the tree longer uses the room up, for all processes
 * together; the write that doesn't fit any more lands as far as it does, the
 * next one gets ENOSPC, write(2).  Truncating gives room back, and so does the
 * removal of a file's last name and descriptor.  statfs(2) agrees.  Whatever is
 * overwritten in place costs nothing. */
#include "core/fault.h"

#include <errno.h>

const char *call_needs_no_room(unsigned call_id, const struct fault_arg *arg)
{
	(void)arg;
	switch (call_id) {
	case CALL_write:
	case CALL_pwrite:
	case CALL_writev:
	case CALL_pwritev:
	case CALL_fallocate:
	case CALL_sendfile:
	case CALL_copy_file_range:
	case CALL_splice:
		return NULL;
	}
	return "it makes no file longer";
}

bool call_changes_room(unsigned call_id)
{
	switch (call_id) {
	case CALL_open:
	case CALL_close:
	case CALL_unlink:
	case CALL_rename:
	case CALL_truncate:
	case CALL_ftruncate:
	case CALL_statfs:
		return true;
	}
	return false;
}

enum fault_effect call_lands_partly(unsigned call_id)
{
	return call_id == CALL_fallocate ? EFFECT_NOT_EXECUTED : EFFECT_PARTIAL;
}

/* The hook has found out how many bytes there is room for. */
static void judge(struct call *call, const struct fault_arg *arg,
		  struct rng *rng)
{
	(void)arg;
	(void)rng;
	call_take_room(call, ENOSPC);
}

MODEL_DEFINE(disk_full, "disk.full",
	     .says = "the tree has room for so many bytes, then ENOSPC",
	     .example = "disk.full path=/var/lib/app limit=64KiB",
	     .arg = ARG_LIMIT, .arg_key = "limit", .arg_optional = true,
	     .attends = call_changes_room, .refuses = call_needs_no_room,
	     .effect = call_lands_partly, .judge = judge);
