/* probe.h - is it healthy?  One attempt, bounded in time. */
#ifndef MISHAP_RUNNER_PROBE_H
#define MISHAP_RUNNER_PROBE_H

#include "runner/launch.h"

#define PROBE_WHY_MAX 256

struct probe_context { /* all borrowed */
	struct tree *tree;
	char *const *envp; /* of a command */
	const char *cwd;   /* of a command, and of a relative path */
	const struct sandbox *sandbox; /* NULL: none */
};

/* probe_try - tcp: a connection is accepted; http: the answer is 2xx or 3xx
 * (redirects aren't followed, proxies aren't used); file: it exists; command:
 * exit 0.  Returns by until_ns.  why: in words, when it isn't healthy. */
bool probe_try(const struct probe *probe, const struct probe_context *context,
	       uint64_t until_ns, char why[PROBE_WHY_MAX]);
/* probe_init - once, from the main thread, before any other. */
void probe_init(void);

#endif
