/* probes.h - a plain client of mishap-watch (core/watch.h): start it, tell it
 * things, read its records one by one.
 *
 * Returns 0 or -errno.  One thread.  A struct probes is zeroed at first.
 */
#ifndef MISHAP_RUNNER_PROBES_H
#define MISHAP_RUNNER_PROBES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/watch.h"

struct probes {
	pid_t pid;
	int command_fd, record_fd;
	uint64_t asked; /* id of the last command */
	char *bytes;	/* read and not yet taken */
	size_t count, at;
};

/* probes_program - mishap-watch beside our own executable, or installed;
 * -ENOENT.  Owned by the caller. */
int probes_program(char **ret_path);
/* probes_open - options: of its command line behind the name, NULL-ended. */
int probes_open(struct probes *probes, const char *const *options);
/* probes_tell - a command without its id; ret_id may be NULL.  -EPIPE: it is
 * gone. */
int probes_tell(struct probes *probes, uint64_t *ret_id, const char *format,
		...) __attribute__((format(printf, 3, 4)));
/* probes_next - the next record, in whole words; it stays until the next call.
 * wait_ms: -1 for ever.  -EAGAIN: none yet; -EPIPE: there will be none any
 * more; -EPROTO: that is no record; -EINTR. */
int probes_next(struct probes *probes, int wait_ms,
		const struct watch_record **ret_record);
/* probes_close - end it and wait for it; what it has still to say is lost. */
void probes_close(struct probes *probes);

/* probes_group_words - "works", "refused", ... of enum watch_status. */
const char *probes_status_word(unsigned status);
const char *probes_group_name(unsigned group);
/* What each group is for, in a few words. */
const char *probes_group_about(unsigned group);

#endif
