/* lose=ERROR: the sync fails, and what it should have saved is gone.
 *
 * What the process has written to the file since it last synced it is taken
 * back: contents and length are as they were, as after a disk that couldn't
 * write the pages and a kernel that has dropped them since.  The next sync
 * succeeds, fsync(2) of Linux reports an error once: whoever believes that one
 * has lost data and doesn't know.  nth=1+ fails them all. */
#include "core/fault.h"

static const char *refuses(unsigned call_id, const struct fault_arg *arg)
{
	(void)arg;
	if (call_id != CALL_fsync && call_id != CALL_fdatasync)
		return "it doesn't sync a file of its own";
	return NULL;
}

static bool attends(unsigned call_id)
{
	switch (call_id) {
	case CALL_write:
	case CALL_pwrite:
	case CALL_writev:
	case CALL_pwritev:
	case CALL_ftruncate:
		return true;
	}
	return false;
}

static enum fault_effect effect(unsigned call_id)
{
	(void)call_id;
	return EFFECT_NOT_EXECUTED;
}

static void judge(struct call *call, const struct fault_arg *arg,
		  struct rng *rng)
{
	(void)rng;
	call->skip = true;
	call->loses = true;
	call->error = (int)(int64_t)arg->v[0];
}

FAULT_DEFINE(lose, .says = "the sync reports this error, and its data is gone",
	     .example = "fsync,fdatasync path=**/wal lose=EIO nth=2",
	     .arg = ARG_ERROR, .attends = attends, .refuses = refuses,
	     .effect = effect, .judge = judge);
