/* sight.h - what one run of the target left behind, and what two of them have
 * in common. */
#ifndef MISHAP_RUNNER_SWEEP_SIGHT_H
#define MISHAP_RUNNER_SWEEP_SIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIGHT_OUTPUT_MAX (4u << 20) /* kept of each stream */
#define SIGHT_FILES_MAX	 100000

enum entry_kind {
	ENTRY_FILE,
	ENTRY_DIR,
	ENTRY_LINK,
	ENTRY_OTHER,
	ENTRY_GONE, /* it was there before the run */
};

struct entry {	    /* something that the run changed */
	char *path; /* below the working directory, or absolute: below /tmp */
	uint8_t kind;
	bool is_temporary;   /* below /tmp and its like */
	uint64_t size, hash; /* hash: of bytes, or of a link's target */
};

struct entries { /* sorted by path */
	struct entry *items;
	size_t count, room;
};

struct sight {
	bool ended, hung;
	int status, signal;  /* of the target: exit status, or what killed it */
	uint32_t leader_pid; /* as it saw itself */
	uint64_t duration_ns;
	char *out, *err; /* NUL-terminated */
	size_t out_bytes, err_bytes;
	uint64_t out_size, out_hash; /* of all of it */
	struct entries files;
};

void sight_clear(struct sight *sight);
/* sight_write, sight_read - to and from a descriptor of another process. */
int sight_write(const struct sight *sight, int fd);
int sight_read(int fd, struct sight *ret_sight);

/* What clean runs agree upon. */
struct baseline { /* borrows from the sights */
	const struct sight *sights[3];
	unsigned count;
	bool out_unstable, err_unstable, status_unstable;
	size_t files_unstable;
	const char *unstable_path; /* the first */
};

void baseline_make(struct baseline *baseline, const struct sight *sights,
		   unsigned count);

/* How a run differs from the baseline; what: the first difference, in words. */
struct difference {
	bool out, files, extra_only; /* files differ only by new ones */
	bool destroyed;		     /* a file that was there before is lost */
	bool source_gone; /* removed as in clean runs, but for nothing */
	bool said;	  /* a line on stderr that no clean run has */
	bool said_out;	  /* ... or on stdout */
	char what[200], message[200];
};

void sight_compare(const struct baseline *baseline, const struct sight *sight,
		   struct difference *ret);
/* sight_same_files - of two runs. */
bool sight_same_files(const struct sight *a, const struct sight *b);

/* tree.c - entries of `dir_fd` that aren't in the same way below base_fd (-1:
 * all of them); prefix: said before each path.  tree_list_temporary: all but
 * what stands at its top by these names. */
int tree_list(int dir_fd, int base_fd, struct entries *ret_entries);
int tree_list_temporary(int dir_fd, const char *prefix, char *const *but,
			struct entries *ret_entries);
int entries_add(struct entries *entries, const struct entry *entry);
void entries_sort(struct entries *entries);
void entries_clear(struct entries *entries);
/* tree_copy - a directory's content, for the user inside.  Sizes in all are
 * bounded; -EFBIG past that. */
int tree_copy(int from_fd, int to_fd, unsigned uid, unsigned gid,
	      uint64_t *bytes_left, uint32_t *entries_left);
/* tree_wipe - all below it but the names of keep (NULL-terminated or NULL). */
int tree_wipe(int dir_fd, char *const *keep);

#endif
