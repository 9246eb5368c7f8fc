/* model.c - the five models, each rule with where it comes from.
 *
 * posix-min: POSIX.1-2017 fsync(), fdatasync(), XSH 3.376 "Synchronized I/O
 *   File Integrity Completion"; rename() is atomic for other processes; a new
 *   name is durable when its directory was synced, fsync(2) "Notes".
 * ext4: Documentation/admin-guide/ext4.rst, data=ordered: data goes to the
 *   file system before metadata is committed to the journal, which commits
 *   whole transactions in order (Documentation/filesystems/ext4/journal.rst);
 *   auto_da_alloc: replacing by rename and by truncation flush the new data
 *   (fs/ext4/namei.c ext4_rename, fs/ext4/file.c ext4_release_file);
 *   fsync commits the inode's transaction (fs/ext4/fsync.c) and with it all
 *   before; fdatasync follows i_datasync_tid, which a rename doesn't move;
 *   dioread_nolock (default since 5.6) allocates unwritten extents: converted
 *   after the data is written, so that ext4-worst is for what is in flight
 *   where size was logged and data wasn't.
 * xfs: Documentation/filesystems/xfs/xfs-delayed-logging-design.rst: the log
 *   is an ordered sequence; size is logged after the data (ioend, di_size);
 *   fsync forces the log up to the inode's last change (fs/xfs/xfs_file.c,
 *   ip->i_itemp->ili_commit_seq); no flush at rename.
 * btrfs: Documentation of commit and tree-log: fsync writes a log tree that
 *   holds the inode, its references and new ancestors (fs/btrfs/tree-log.c,
 *   btrfs_log_inode_parent, btrfs_log_new_name); all else waits for the commit,
 *   which is whole.
 * `make conformance` compares the last four with what this kernel leaves on
 * its disk. */
#include "runner/powercut/model.h"

#include <string.h>

#define SECONDS	  "seconds"
#define IN_FLIGHT "in flight"

const struct model model_table[MODEL_COUNT] = {
	[MODEL_POSIX_MIN] = {
		.name = "posix-min",
		.window = SECONDS,
		.size = SIZE_APART,
		.fsync = FSYNC_INODE,
		.promise = "what POSIX promises: fsync of a file says nothing "
			   "of its name",
	},
	[MODEL_EXT4_ORDERED] = {
		.name = "ext4-ordered",
		.window = SECONDS,
		.journal = true,
		.size = SIZE_DELAYED,
		.fsync = FSYNC_JOURNAL,
		.rename_flushes = true,
		.close_flushes = true,
		.tail_size_first = true,
		.promise = "ext4 as it is mounted by default, data=ordered",
	},
	[MODEL_EXT4_WORST] = {
		.name = "ext4-worst",
		.window = IN_FLIGHT,
		.journal = true,
		.size = SIZE_EARLY,
		.fsync = FSYNC_JOURNAL,
		.rename_flushes = true,
		.close_flushes = true,
		.tail_size_first = true,
		.promise = "ext4 while data is in flight: right size, NUL "
			   "bytes",
	},
	[MODEL_XFS] = {
		.name = "xfs",
		.window = SECONDS,
		.journal = true,
		.size = SIZE_DELAYED,
		.fsync = FSYNC_LOG,
		.unlink_is_inode = true,
		.promise = "xfs: names first, data later; empty files after "
			   "a rename",
	},
	[MODEL_BTRFS] = {
		.name = "btrfs",
		.window = SECONDS,
		.journal = true,
		.size = SIZE_DELAYED,
		.fsync = FSYNC_TREE,
		.promise = "btrfs: whole commits, and a log of what was synced",
	},
};

const struct model *model_find(const char *name, size_t n)
{
	for (size_t i = 0; i < MODEL_COUNT; i++)
		if (strlen(model_table[i].name) == n &&
		    !memcmp(model_table[i].name, name, n))
			return &model_table[i];
	return NULL;
}
