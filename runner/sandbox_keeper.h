/* sandbox_keeper.h - pid 1 of a sandbox: builds the walls, then keeps house. */
#ifndef MISHAP_RUNNER_SANDBOX_KEEPER_H
#define MISHAP_RUNNER_SANDBOX_KEEPER_H

#include <stdint.h>

#include "runner/sandbox.h"

#define KEEPER_NAME_MAX	   256
#define KEEPER_ENTRIES_MAX 4096 /* of cwd that are tried for readability */

enum keeper_step {
	KEEPER_READY,
	KEEPER_NAMESPACES,
	KEEPER_ROOT,
	KEEPER_PROC,
	KEEPER_DEV,
	KEEPER_TMP,
	KEEPER_OVERLAY,
	KEEPER_BIND,
	KEEPER_PIVOT,
	KEEPER_NETWORK,
	KEEPER_READ,
};

#define KEEPER_STEPS                                                           \
	{                                                                      \
		"ready", "namespaces", "a read-only root", "its own /proc",    \
			"its own /dev", "its own /tmp",                        \
			"an overlay over the working directory", "binding",    \
			"changing the root", "the loopback", "reading",        \
	}

struct keeper_status { /* over a pipe: at most PIPE_BUF */
	int32_t error; /* 0 or -errno */
	int32_t pid;   /* of the keeper; from the one between only */
	uint32_t step; /* enum keeper_step: where it went wrong */
	char name[KEEPER_NAME_MAX];
};

struct keeper { /* all borrowed */
	const struct sandbox_input *input;
	const struct sandbox *sandbox;
	const char *cwd; /* input->cwd without links */
	uid_t uid;	 /* of the user inside */
	gid_t gid;
	int idmap_fd; /* user namespace that swaps owners; -1: none */
	int control_fd;
};

_Noreturn void keeper_run(const struct keeper *keeper, int status_fd);
/* keeper_idmap_open - a user namespace that maps root to uid and gid, and back;
 * all others to themselves. */
int keeper_idmap_open(uid_t uid, gid_t gid, int *ret_fd);
/* keeper_ask_socket - from the runner.  An fd, or -1 and errno. */
int keeper_ask_socket(int control_fd, int family, int type);

#endif
