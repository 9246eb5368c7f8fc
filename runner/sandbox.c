/* sandbox.c - the runner's side: who, the keeper's start and end, entering. */
#include "runner/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/sys.h"
#include "runner/sandbox_keeper.h"

#define NOBODY 65534 /* as in Debian's base-passwd */

struct sandbox {
	pid_t pid;
	int pidfd, control_fd;
	int namespaces;
	bool no_network, as_root;
	uid_t uid;
	gid_t gid;
	pthread_mutex_t lock; /* of the control socket */
};

static bool env_id(const char *name, unsigned *ret_id)
{
	const char *value = getenv(name);
	unsigned long id;
	char *end;

	if (!value || !*value)
		return false;
	errno = 0;
	id = strtoul(value, &end, 10);
	if (errno || *end || id == 0 || id >= UINT_MAX)
		return false;
	*ret_id = (unsigned)id;
	return true;
}

void sandbox_user(const char *cwd, uid_t *ret_uid, gid_t *ret_gid)
{
	struct stat st;

	*ret_uid = geteuid();
	*ret_gid = getegid();
	if (*ret_uid != 0)
		return;
	if (env_id("SUDO_UID", ret_uid) && env_id("SUDO_GID", ret_gid))
		return;
	if (stat(cwd, &st) == 0 && st.st_uid != 0) {
		*ret_uid = st.st_uid;
		*ret_gid = st.st_gid;
		return;
	}
	*ret_uid = *ret_gid = NOBODY;
}

static int say(char why[SANDBOX_WHY_MAX], int error, const char *text)
{
	snprintf(why, SANDBOX_WHY_MAX, "%s", text);
	return error;
}

static int file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), error = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		error = -errno;
	close(fd);
	return error;
}

/* We stay who we are inside; nobody else exists there. */
static int map_self(uid_t uid, gid_t gid)
{
	char line[64];
	int error;

	error = file_write("/proc/self/setgroups", "deny");
	snprintf(line, sizeof(line), "%u %u 1\n", uid, uid);
	if (!error)
		error = file_write("/proc/self/uid_map", line);
	snprintf(line, sizeof(line), "%u %u 1\n", gid, gid);
	if (!error)
		error = file_write("/proc/self/gid_map", line);
	return error;
}

/* The one between: makes the namespaces, starts the keeper as the runner's
 * own child (pid 1 of the new pid namespace), and goes. */
_Noreturn static void between_run(struct keeper *keeper, int namespaces,
				  int status_fd)
{
	struct keeper_status status = { 0 };
	uid_t uid = geteuid();
	gid_t gid = getegid();
	long pid = -1;

	status.step = KEEPER_NAMESPACES;
	if (unshare(namespaces) != 0)
		status.error = -errno;
	if (!status.error && (namespaces & CLONE_NEWUSER))
		status.error = map_self(uid, gid);
	if (!status.error) {
		pid = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
		if (pid < 0)
			status.error = -errno;
	}
	if (pid == 0)
		keeper_run(keeper, status_fd);
	status.pid = (pid_t)pid;
	if (write(status_fd, &status, sizeof(status)) < 0)
		_exit(1);
	_exit(0);
}

static const char forbidden[] =
	"--sandbox needs namespaces, and this machine forbids them here.  In a "
	"container: start it with --privileged, or with --security-opt "
	"seccomp=unconfined and user namespaces; on a host: sysctl "
	"kernel.unprivileged_userns_clone=1 (and "
	"kernel.apparmor_restrict_unprivileged_userns=0), or run as root";

static int explain(const struct keeper_status *status,
		   const struct sandbox_input *input, char why[SANDBOX_WHY_MAX])
{
	static const char *const steps[] = KEEPER_STEPS;

	if (status->step == KEEPER_READ) {
		snprintf(why, SANDBOX_WHY_MAX,
			 "--sandbox: the user inside can't read %s%s%s: %s",
			 *status->name == '/' ? "" : input->cwd,
			 *status->name == '/' ? "" : "/", status->name,
			 strerror(-status->error));
		return -EACCES;
	}
	if (status->step == KEEPER_NAMESPACES || status->error == -EPERM)
		return say(why, -EPERM, forbidden);
	snprintf(why, SANDBOX_WHY_MAX, "--sandbox: %s%s%s: %s",
		 steps[status->step], *status->name ? " " : "", status->name,
		 strerror(-status->error));
	return status->error;
}

/* Two reports come: from the one between, with the keeper's pid, and from the
 * keeper, when all walls stand. */
static int reports_read(int fd, struct sandbox *sandbox,
			const struct sandbox_input *input,
			char why[SANDBOX_WHY_MAX])
{
	struct keeper_status status;
	bool ready = false;
	ssize_t n;

	while (!ready || sandbox->pid <= 0) {
		n = read(fd, &status, sizeof(status));
		if (n < 0 && errno == EINTR)
			continue;
		if (n != sizeof(status))
			return say(why, -EIO, "--sandbox: its keeper died");
		if (status.pid > 0)
			sandbox->pid = status.pid;
		if (status.error)
			return explain(&status, input, why);
		ready |= status.step == KEEPER_READY;
	}
	return 0;
}

static int start(struct sandbox *sandbox, struct keeper *keeper,
		 const struct sandbox_input *input, char why[SANDBOX_WHY_MAX])
{
	int control[2], status[2], error;
	pid_t between;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control) != 0)
		return -errno;
	if (pipe2(status, O_CLOEXEC) != 0) {
		error = -errno;
		close(control[0]);
		close(control[1]);
		return error;
	}
	keeper->control_fd = control[1];
	between = fork();
	if (between == 0)
		between_run(keeper, sandbox->namespaces, status[1]);
	error = between < 0 ? -errno : 0;
	close(control[1]);
	close(status[1]);
	sandbox->control_fd = control[0];
	if (!error)
		error = reports_read(status[0], sandbox, input, why);
	close(status[0]);
	if (between > 0)
		waitpid(between, NULL, 0);
	if (!error) {
		sandbox->pidfd = (int)syscall(SYS_pidfd_open, sandbox->pid, 0);
		error = sandbox->pidfd < 0 ? -errno : 0;
	}
	return error;
}

static int input_check(const struct sandbox_input *input, char real[PATH_MAX],
		       char why[SANDBOX_WHY_MAX])
{
	if (!realpath(input->cwd, real)) {
		snprintf(why, SANDBOX_WHY_MAX, "--sandbox: %s: %s", input->cwd,
			 strerror(errno));
		return -errno;
	}
	if (!strcmp(real, "/"))
		return say(why, -EINVAL,
			   "--sandbox: the working directory is /; run from a "
			   "directory of the target's own");
	return 0;
}

/* Root's files are the inner user's, seen through the sandbox, and the other
 * way round; else it could neither read nor write what root put there. */
static int owners_swap(struct keeper *keeper, const struct sandbox *sandbox)
{
	struct stat st;

	keeper->uid = sandbox->uid;
	keeper->gid = sandbox->gid;
	keeper->idmap_fd = -1;
	if (!sandbox->as_root || stat(keeper->cwd, &st) != 0 ||
	    st.st_uid != 0 || sandbox->uid == 0)
		return 0;
	return keeper_idmap_open(sandbox->uid, sandbox->gid, &keeper->idmap_fd);
}

/* Root in a container: of a user namespace of few users, or without
 * CAP_CHOWN. */
static int root_is_bound(int error, const struct sandbox *sandbox,
			 char why[SANDBOX_WHY_MAX])
{
	if (error == EPERM)
		return say(why, -EPERM, forbidden);
	snprintf(why, SANDBOX_WHY_MAX,
		 error == EINVAL
			 ? "--sandbox: root hands the target to user %u, whom "
			   "this container's user namespace doesn't map; "
			   "SUDO_UID=UID names another, or run as a user"
			 : "--sandbox: the run's scratch directory can't be "
			   "given to user %u",
		 (unsigned)sandbox->uid);
	return -error;
}

int sandbox_open(const struct sandbox_input *input,
		 struct sandbox **ret_sandbox, char why[SANDBOX_WHY_MAX])
{
	struct sandbox *sandbox = calloc(1, sizeof(*sandbox));
	char real[PATH_MAX];
	struct keeper keeper = { .input = input,
				 .sandbox = sandbox,
				 .cwd = real };
	int error;

	if (!sandbox)
		return -ENOMEM;
	sandbox->pidfd = sandbox->control_fd = -1;
	pthread_mutex_init(&sandbox->lock, NULL);
	error = input_check(input, real, why);
	if (error) {
		sandbox_close(sandbox);
		return error;
	}
	sandbox_user(real, &sandbox->uid, &sandbox->gid);
	sandbox->as_root = geteuid() == 0;
	sandbox->no_network = input->no_network;
	sandbox->namespaces = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC |
			      (sandbox->as_root ? 0 : CLONE_NEWUSER) |
			      (input->no_network ? CLONE_NEWNET : 0);
	if (sandbox->as_root &&
	    chown(input->scratch, sandbox->uid, sandbox->gid) != 0)
		error = root_is_bound(errno, sandbox, why);
	if (!error)
		error = owners_swap(&keeper, sandbox);
	if (!error)
		error = start(sandbox, &keeper, input, why);
	if (keeper.idmap_fd >= 0)
		close(keeper.idmap_fd);
	if (error) {
		if (!*why)
			snprintf(why, SANDBOX_WHY_MAX, "--sandbox: %s",
				 strerror(-error));
		if (sandbox->pid > 0) {
			kill(sandbox->pid, SIGKILL);
			waitpid(sandbox->pid, NULL, 0);
		}
		sandbox_close(sandbox);
		return error;
	}
	*ret_sandbox = sandbox;
	return 0;
}

void sandbox_close(struct sandbox *sandbox)
{
	if (sandbox->pidfd >= 0) {
		syscall(SYS_pidfd_send_signal, sandbox->pidfd, SIGKILL, NULL,
			0);
		close(sandbox->pidfd);
	}
	if (sandbox->control_fd >= 0)
		close(sandbox->control_fd);
	pthread_mutex_destroy(&sandbox->lock);
	free(sandbox);
}

pid_t sandbox_pid(const struct sandbox *sandbox)
{
	return sandbox->pid;
}

void sandbox_ids(const struct sandbox *sandbox, uid_t *ret_uid, gid_t *ret_gid)
{
	*ret_uid = sandbox->uid;
	*ret_gid = sandbox->gid;
}

int sandbox_enter(const struct sandbox *sandbox)
{
	return setns(sandbox->pidfd, sandbox->namespaces) != 0 ? -errno : 0;
}

/* Raw: libc's would wait for threads that a fork has left behind, nptl(7). */
int sandbox_become(uid_t uid, gid_t gid)
{
	long error = sys3(SYS_setgroups, 0, 0, 0);

	if (!error)
		error = sys3(SYS_setresgid, gid, gid, gid);
	if (!error)
		error = sys3(SYS_setresuid, uid, uid, uid);
	return (int)error;
}

int sandbox_drop(const struct sandbox *sandbox)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -errno;
	if (!sandbox->as_root)
		return 0; /* exec takes the namespace's capabilities away */
	return sandbox_become(sandbox->uid, sandbox->gid);
}

int sandbox_socket(const struct sandbox *sandbox, int family, int type)
{
	struct sandbox *locked = (struct sandbox *)(uintptr_t)sandbox;
	int fd;

	if (!sandbox->no_network)
		return socket(family, type | SOCK_CLOEXEC, 0);
	pthread_mutex_lock(&locked->lock);
	fd = keeper_ask_socket(sandbox->control_fd, family, type);
	pthread_mutex_unlock(&locked->lock);
	return fd;
}
