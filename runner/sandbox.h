/* sandbox.h - walls around whatever the target's side of a run starts.
 *
 * Private mount, pid and ipc namespaces (and a user namespace when we aren't
 * root), held by one keeper process, which is pid 1 inside and reaps there.
 *  - an own /dev, /dev/shm, /tmp, /proc;
 *  - an overlay over the working directory, its upper layer in memory: the
 *    real files stay as they are, what the target left is seen through
 *    /proc/KEEPER/root until sandbox_close();
 *  - the run's scratch directory, writable for real;
 *  - everything else read-only, and what the user inside can't pass (/root)
 *    empty but for the working directory and the files that argv names;
 *  - no root: no_new_privs, no capabilities, and as root another user, see
 *    sandbox_user().
 * Limits: what is mounted below the working directory isn't seen inside;
 * without root, a file of another user or group can be read, removed and
 * replaced, but not written to (EOVERFLOW: its owner has no number in our user
 * namespace). The keeper dies with the runner, and with it everything inside.
 */
#ifndef MISHAP_RUNNER_SANDBOX_H
#define MISHAP_RUNNER_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define SANDBOX_WHY_MAX	  512
#define SANDBOX_BOUND_MAX 32

struct sandbox; /* opaque */

struct sandbox_input {		  /* all borrowed, absolute */
	const char *cwd;	  /* overlaid; not "/" */
	const char *scratch;	  /* bound, writable; its owner is set */
	const char *shared_dir;	  /* bound, writable; NULL: none */
	const char *const *bound; /* files and directories that are seen though
				     /tmp, /dev or a closed directory hides
				     them; NULL-terminated, SANDBOX_BOUND_MAX
				     at most, or NULL */
	char *const *argv; /* words that name files are inputs to be read */
	const char *stdin_path; /* so is this; NULL: none */
	bool no_network;	/* a loopback of its own, nothing else */
};

/* sandbox_open - *ret_pid is the keeper, a child of ours, to be reaped by the
 * caller.  -EPERM: namespaces are forbidden here, why says what to do;
 * -EINVAL: cwd; -EACCES: an input that the user inside can't read, why
 * names it. */
int sandbox_open(const struct sandbox_input *input,
		 struct sandbox **ret_sandbox, char why[SANDBOX_WHY_MAX]);
/* sandbox_close - kill the keeper (and all inside) if it lives; free. */
void sandbox_close(struct sandbox *sandbox);
pid_t sandbox_pid(const struct sandbox *sandbox);
/* sandbox_user - who the target is inside: ourselves; as root SUDO_UID and
 * SUDO_GID, else the owner of cwd, else 65534. */
void sandbox_user(const char *cwd, uid_t *ret_uid, gid_t *ret_gid);

void sandbox_ids(const struct sandbox *sandbox, uid_t *ret_uid, gid_t *ret_gid);

/* In a child of ours, async-signal-safe.  enter: join the namespaces; only
 * children started after it are in the pid namespace.  drop: become the user
 * inside, for good.  0 or -errno. */
int sandbox_enter(const struct sandbox *sandbox);
int sandbox_drop(const struct sandbox *sandbox);
/* sandbox_become - another user, for good, without any group but gid. */
int sandbox_become(uid_t uid, gid_t gid);
/* sandbox_socket - a socket of the sandbox's network.  -1 and errno. */
int sandbox_socket(const struct sandbox *sandbox, int family, int type);

#endif
