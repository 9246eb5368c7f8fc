/* sandbox_keeper.c - runs as pid 1 of the sandbox, a child without threads. */
#include "runner/sandbox_keeper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/sandbox_mounts.h"

#define READ_DEPTH_MAX 16

static int loopback_up(void)
{
	struct ifreq request = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), error = 0;

	if (fd < 0)
		return -errno;
	request.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(fd, SIOCSIFFLAGS, &request) != 0)
		error = -errno;
	close(fd);
	return error;
}

struct reading {
	struct keeper_status *status;
	unsigned entries;
};

/* Look for what the user inside may not read, a directory at a time. */
static void read_try(struct reading *reading, int dir_fd, const char *prefix,
		     unsigned depth)
{
	DIR *dir = fdopendir(dir_fd);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)) && !reading->status->error) {
		const char *name = entry->d_name;
		bool is_dir = entry->d_type == DT_DIR;
		char path[KEEPER_NAME_MAX + NAME_MAX + 2];
		int fd;

		if (!strcmp(name, ".") || !strcmp(name, "..") ||
		    !strcmp(name, ".mishap") ||
		    strlen(prefix) + strlen(name) >= KEEPER_NAME_MAX ||
		    reading->entries++ >= KEEPER_ENTRIES_MAX)
			continue;
		snprintf(path, sizeof(path), "%s%s%s", prefix,
			 *prefix ? "/" : "", name);
		if (faccessat(dirfd(dir), name, is_dir ? R_OK | X_OK : R_OK,
			      AT_EACCESS) != 0 &&
		    errno == EACCES) {
			reading->status->error = -EACCES;
			snprintf(reading->status->name, KEEPER_NAME_MAX, "%.*s",
				 KEEPER_NAME_MAX - 1, path);
			break;
		}
		if (!is_dir || depth == READ_DEPTH_MAX)
			continue;
		fd = openat(dirfd(dir), name,
			    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (fd >= 0)
			read_try(reading, fd, path, depth + 1);
	}
	if (dir)
		closedir(dir);
}

static void argument_try(struct reading *reading, const char *name)
{
	if (reading->status->error || !name || !*name ||
	    faccessat(AT_FDCWD, name, R_OK, AT_EACCESS) == 0 || errno != EACCES)
		return;
	reading->status->error = -EACCES;
	snprintf(reading->status->name, KEEPER_NAME_MAX, "%s", name);
}

_Noreturn static void reader_run(const struct keeper *keeper, int report_fd)
{
	struct keeper_status status = { .step = KEEPER_READ };
	struct reading reading = { .status = &status };
	int fd;

	status.error = sandbox_drop(keeper->sandbox);
	fd = open(keeper->input->cwd, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!status.error && fd < 0) {
		status.error = -errno;
		strcpy(status.name, ".");
	}
	if (!status.error && fchdir(fd) != 0)
		status.error = -errno;
	for (char *const *arg = keeper->input->argv; arg && *arg; arg++)
		argument_try(&reading, *arg);
	argument_try(&reading, keeper->input->stdin_path);
	if (!status.error)
		read_try(&reading, fd, "", 0);
	if (write(report_fd, &status, sizeof(status)) != sizeof(status))
		_exit(1);
	_exit(0);
}

/* An input that the target couldn't read would make it fail on its own. */
static void readable_check(const struct keeper *keeper,
			   struct keeper_status *status)
{
	struct keeper_status seen;
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) != 0)
		return;
	pid = fork();
	if (pid == 0)
		reader_run(keeper, fds[1]);
	close(fds[1]);
	if (pid > 0 && read(fds[0], &seen, sizeof(seen)) == sizeof(seen) &&
	    seen.error)
		*status = seen;
	close(fds[0]);
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

struct ask {
	int32_t family, type;
};

static void socket_give(int control_fd, const struct ask *ask)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	int32_t error = 0;
	struct iovec iov = { .iov_base = &error, .iov_len = sizeof(error) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;
	int fd = socket(ask->family, ask->type | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		error = errno;
	} else {
		msg.msg_control = control.bytes;
		msg.msg_controllen = sizeof(control.bytes);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	}
	sendmsg(control_fd, &msg, MSG_NOSIGNAL);
	if (fd >= 0)
		close(fd);
}

int keeper_ask_socket(int control_fd, int family, int type)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct ask ask = { .family = family, .type = type };
	int32_t error = EIO;
	struct iovec iov = { .iov_base = &error, .iov_len = sizeof(error) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control.bytes,
			      .msg_controllen = sizeof(control.bytes) };
	struct cmsghdr *cmsg;
	int fd = -1;

	if (send(control_fd, &ask, sizeof(ask), MSG_NOSIGNAL) != sizeof(ask) ||
	    recvmsg(control_fd, &msg, MSG_CMSG_CLOEXEC) != sizeof(error))
		return -1;
	cmsg = CMSG_FIRSTHDR(&msg);
	if (!error && cmsg && cmsg->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(cmsg), sizeof(fd));
	else
		errno = error;
	return fd;
}

/* Reap who comes to us, hand out sockets, until the runner is gone; then our
 * end takes everything inside with it. */
_Noreturn static void house_keep(int control_fd)
{
	struct pollfd polls[2] = { { .fd = control_fd, .events = POLLIN } };
	struct signalfd_siginfo info;
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	polls[1].fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	polls[1].events = POLLIN;
	for (;;) {
		struct ask ask;

		if (poll(polls, 2, 100) < 0 && errno != EINTR)
			_exit(1);
		if (polls[1].revents)
			while (read(polls[1].fd, &info, sizeof(info)) > 0)
				;
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		if (!polls[0].revents)
			continue;
		if (recv(control_fd, &ask, sizeof(ask), 0) != sizeof(ask))
			_exit(0);
		socket_give(control_fd, &ask);
	}
}

/* Whatever else the runner holds (its lock, its pipes) isn't ours to keep. */
static void fds_close(int keep_a, int keep_b, int keep_c)
{
	int keep[] = { keep_a, keep_b, keep_c };

	for (int i = 0; i < 3; i++)
		for (int k = i + 1; k < 3; k++)
			if (keep[k] < keep[i]) {
				int swap = keep[i];

				keep[i] = keep[k];
				keep[k] = swap;
			}
	for (int i = 0, from = 0; i < 4; i++) {
		int to = i < 3 ? keep[i] - 1 : INT_MAX;

		if (to >= from)
			close_range((unsigned)from, (unsigned)to, 0);
		if (i < 3 && keep[i] >= from)
			from = keep[i] + 1;
	}
}

_Noreturn void keeper_run(const struct keeper *keeper, int status_fd)
{
	struct keeper_status status = { 0 };
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	setsid();
	prctl(PR_SET_NAME, "mishap-sandbox");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* The runner must be able to look inside and to join. */
	prctl(PR_SET_DUMPABLE, 1);
	fds_close(keeper->control_fd, status_fd, keeper->idmap_fd);
	mounts_make(keeper, &status);
	if (!status.error && keeper->input->no_network) {
		status.error = loopback_up();
		status.step = KEEPER_NETWORK;
	}
	if (!status.error)
		readable_check(keeper, &status);
	if (!status.error)
		status.step = KEEPER_READY;
	if (write(status_fd, &status, sizeof(status)) != sizeof(status) ||
	    status.error)
		_exit(1);
	close(status_fd);
	if (keeper->idmap_fd >= 0)
		close(keeper->idmap_fd);
	house_keep(keeper->control_fd);
}

static int map_swapped(pid_t pid, const char *file, unsigned id)
{
	char path[64], lines[256];
	int fd, n, error = 0;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = snprintf(lines, sizeof(lines), "0 %u 1\n%u 0 1\n%u %u %u\n", id, id,
		     id + 1, id + 1, ~0u - (id + 1));
	if (id > 1)
		n += snprintf(lines + n, sizeof(lines) - (size_t)n, "1 1 %u\n",
			      id - 1);
	if (write(fd, lines, (size_t)n) != n)
		error = -errno;
	close(fd);
	return error;
}

int keeper_idmap_open(uid_t uid, gid_t gid, int *ret_fd)
{
	int up[2], error = 0, fd = -1;
	char path[64], byte = 0;
	pid_t pid;

	if (gid == 0)
		return 0;
	if (pipe2(up, O_CLOEXEC) != 0)
		return -errno;
	pid = fork();
	if (pid == 0) { /* it lives until we have its namespace in hand */
		byte = unshare(CLONE_NEWUSER) != 0;
		if (write(up[1], &byte, 1) == 1)
			for (;;)
				pause();
		_exit(1);
	}
	close(up[1]);
	if (pid < 0 || read(up[0], &byte, 1) != 1 || byte)
		error = -EPERM;
	close(up[0]);
	if (!error)
		error = map_swapped(pid, "uid_map", uid);
	if (!error)
		error = map_swapped(pid, "gid_map", gid);
	if (!error) {
		snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		error = fd < 0 ? -errno : 0;
	}
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	if (!error)
		*ret_fd = fd;
	return error;
}
