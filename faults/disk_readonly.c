/* disk.readonly path=TREE: the file system has become read-only.
 *
 * As the kernel remounts it after an error (mount(8), errors=remount-ro): what
 * would change the tree gets EROFS, through descriptors that were open before,
 * too; reading goes on.  statfs(2) says ST_RDONLY. */
#include "core/fault.h"

#include <errno.h>

static const char *refuses(unsigned call_id, const struct fault_arg *arg)
{
	(void)arg;
	switch (call_id) {
	case CALL_open:
	case CALL_access:
	case CALL_write:
	case CALL_pwrite:
	case CALL_writev:
	case CALL_pwritev:
	case CALL_ftruncate:
	case CALL_truncate:
	case CALL_fallocate:
	case CALL_rename:
	case CALL_link:
	case CALL_unlink:
	case CALL_rmdir:
	case CALL_mkdir:
	case CALL_symlink:
	case CALL_chmod:
	case CALL_fchmod:
	case CALL_chown:
	case CALL_fchown:
	case CALL_utimens:
	case CALL_copy_file_range:
	case CALL_sendfile:
		return NULL;
	}
	return "it changes nothing on a disk";
}

static bool attends(unsigned call_id)
{
	return call_id == CALL_statfs;
}

static enum fault_effect effect(unsigned call_id)
{
	(void)call_id;
	return EFFECT_NOT_EXECUTED;
}

static void judge(struct call *call, const struct fault_arg *arg,
		  struct rng *rng)
{
	(void)arg;
	(void)rng;
	call->skip = true;
	call->error = EROFS;
}

MODEL_DEFINE(disk_readonly, "disk.readonly",
	     .says = "the tree is read-only: what would change it gets EROFS",
	     .example = "disk.readonly path=/var/lib/app after=5s",
	     .arg = ARG_NONE, .attends = attends, .refuses = refuses,
	     .effect = effect, .judge = judge);
