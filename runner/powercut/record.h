/* record.h - run a program and log what it does to a tree of files.
 *
 * The program and all that it starts are traced: a filter stops them at the
 * system calls that change files, make them durable, or may be an
 * acknowledgement, and at no other.  So static programs, other languages and
 * children of any kind are seen alike.  What can't be seen (io_uring, 32-bit
 * calls) is said in the log, as UNSOUND.
 *
 * The tree is copied into memory and mounted at its own path, so that what is
 * recorded never touches the real one.
 */
#ifndef MISHAP_RUNNER_POWERCUT_RECORD_H
#define MISHAP_RUNNER_POWERCUT_RECORD_H

#include "runner/sandbox.h"
#include <stdint.h>

struct record_input { /* all borrowed */
	const struct sandbox *sandbox;
	const char *tree, *cwd; /* absolute, without links */
	char *const *argv;
	char *const *envp;
	int log_fd;	    /* empty; written */
	int out_fd, err_fd; /* of the program; regular files, O_APPEND */
	int ledger_fd;	    /* its MISHAP_LEDGER_FD; regular, O_APPEND */
	uint64_t timeout_ns;
};

/* record_run - in a process of its own that has entered the sandbox's
 * namespaces, but not dropped its rights.  0; -ETIMEDOUT: it ran too long and
 * was killed; -errno. */
int record_run(const struct record_input *input);

#endif
