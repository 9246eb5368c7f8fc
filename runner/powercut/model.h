/* model.h - what each file system promises about order and durability. */
#ifndef MISHAP_RUNNER_POWERCUT_MODEL_H
#define MISHAP_RUNNER_POWERCUT_MODEL_H

#include <stdbool.h>
#include <stddef.h>

enum model_id {
	MODEL_POSIX_MIN,
	MODEL_EXT4_ORDERED,
	MODEL_EXT4_WORST,
	MODEL_XFS,
	MODEL_BTRFS,
	MODEL_COUNT,
};

enum model_size { /* when does a file's new length reach the disk? */
		  SIZE_APART,	/* whenever: nothing ties it to the data */
		  SIZE_DELAYED, /* with the data */
		  SIZE_EARLY,	/* when blocks are allocated, data in flight */
};

enum model_fsync {		/* what does fsync(2) of a file make durable? */
		   FSYNC_INODE, /* its data and size alone, not its name */
		   FSYNC_JOURNAL, /* the whole journal, if the inode is dirty */
		   FSYNC_LOG,	  /* the log up to the inode's last change */
		   FSYNC_TREE, /* the inode, its names, their new directories */
};

struct model {
	const char *name;
	const char *window; /* how long a loss stays possible */
	bool journal;	    /* metadata persists in the order it was made */
	enum model_size size;
	enum model_fsync fsync;
	bool rename_flushes;  /* data first, when a file is replaced */
	bool close_flushes;   /* and when a truncated file is closed */
	bool tail_size_first; /* a grown last block may be NUL for a while */
	bool unlink_is_inode; /* an unlink is a change of its inode, too */
	const char *promise;  /* in a line, for people */
};

extern const struct model model_table[MODEL_COUNT];

/* model_find - by name; NULL: none. */
const struct model *model_find(const char *name, size_t n);

#endif
