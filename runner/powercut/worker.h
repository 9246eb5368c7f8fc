/* worker.h - one judging process: its mount, its checker. */
#ifndef MISHAP_RUNNER_POWERCUT_WORKER_H
#define MISHAP_RUNNER_POWERCUT_WORKER_H

#include <stdatomic.h>

#include "runner/powercut/judge.h"

struct shared_work { /* between runner and workers */
	_Atomic uint32_t next, done;
	_Atomic bool stop;
	_Atomic int error; /* the first */
	_Atomic int step;  /* where: enum worker_step */
};

enum worker_step {
	STEP_ENTER,
	STEP_MOUNT,
	STEP_LAY,
	STEP_CHECKER,
};

struct verdict_row { /* a worker's answer; text follows it */
	uint32_t item;
	uint8_t kind, recovering;
	uint16_t pad;
	int32_t status;
	uint32_t bytes;
};

struct worker {
	const struct judge *judge;
	const struct sandbox *sandbox;
	const struct judge_item *items;
	uint32_t count;
	struct shared_work *shared;
	int results_fd;			/* written from its beginning on */
	int mount_fd;			/* the tmpfs at the tree's path */
	int root_fd;			/* where trees are laid */
	int base_fd, upper_fd, work_fd; /* overlay; -1: trees are rewritten */
	const struct dag *dag;		/* what shape and lay are of */
	struct shape shape;
	struct lay lay;
	int out_fd; /* what a checker says; a memfd */
	struct ending_of {
		int status;
		bool ended;
	} * ending;	      /* shared with the checker's init */
	char *const *argv[2]; /* recover, check */
	/* The server. */
	pid_t server;
	int ask_fd, answer_fd;
};

/* In the sandbox's pid namespace, with all rights still; never returns. */
_Noreturn void worker_run(struct worker *worker);

/* check_exec - check_exec.c: run a command; fills kind and status. */
int check_exec(struct worker *worker, char *const *argv,
	       struct verdict_row *row);
/* check_server - check_server.c: ask the one that is there, or start one; its
 * answer is left in out_fd. */
int check_server(struct worker *worker, struct verdict_row *row);
void check_server_end(struct worker *worker);
/* worker_child - in a child: in place of what it was, the checker. */
_Noreturn void worker_exec(const struct worker *worker, char *const *argv,
			   int in, int out);
char **command_split(const char *command);

#endif
