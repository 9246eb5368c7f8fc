/* launch.h - start a program: target, service, workload or command. */
#ifndef MISHAP_RUNNER_LAUNCH_H
#define MISHAP_RUNNER_LAUNCH_H

#include "runner/notify.h"
#include "runner/sandbox.h"
#include "runner/tree.h"

struct launch { /* all borrowed */
	char *const *argv;
	char *const *envp;
	const char *cwd;
	int in, out, err; /* fds that become 0, 1, 2; -1: /dev/null */
	int ledger_fd;	  /* MISHAP_LEDGER_FD of a workload; -1: none */
	enum tree_role role;
	const struct sandbox *sandbox; /* NULL: none */
	const struct notify *notify;   /* its calls are asked about; or NULL */
	/* Called once the process is there and has not yet become the program;
	 * that waits for it.  NULL: nothing is. */
	void (*before_exec)(pid_t pid, void *arg);
	void *arg;
};

#define LAUNCH_LEDGER_FD 9

/* launch_find - the file that argv[0] means, by PATH of envp and cwd.
 * Owned by the caller.  -ENOENT, -EACCES. */
int launch_find(const char *name, const char *cwd, char *const *envp,
		char **ret_path);
/* launch_start - in a session of its own, signals as we found them.
 * -ENOENT, -EACCES, -ENOEXEC …: the program; the child is gone then. */
int launch_start(struct tree *tree, const struct launch *launch,
		 struct tree_process **ret_process);

/* launch_environment - our own, with `set` ("K=V") on top.  library: appended
 * to LD_PRELOAD; shared: becomes MISHAP_SHARED; NULL for the unfaulted.
 * A NULL-terminated list to be freed with launch_environment_free(). */
char **launch_environment(const struct strings *set, const char *library,
			  const char *shared);
void launch_environment_free(char **envp);
/* launch_library - libmishap.so beside our own executable, or installed. */
int launch_library(char **ret_path);
/* launch_signals_keep - remember how signals stood before we changed any. */
void launch_signals_keep(void);

#endif
