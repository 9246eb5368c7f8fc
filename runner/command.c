#include "runner/words.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runner/interrupt.h"
#include "runner/sandbox.h"

#define LOOK_EVERY_MS 200

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* A namespace that the sandbox shares with us needs no entering, and we may
 * not have the right to. */
static bool is_ours(int fd, const char *name)
{
	char path[40];
	struct stat theirs, ours;

	snprintf(path, sizeof(path), "/proc/self/ns/%s", name);
	return fstat(fd, &theirs) == 0 && stat(path, &ours) == 0 &&
	       theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino;
}

/* enter - into the namespaces of the target's sandbox; the user namespace
 * first, where there is one, since it gives the right to the others. */
static int enter(pid_t pid)
{
	static const char *const names[] = { "user", "mnt", "ipc", "net",
					     "pid" };
	int fds[5], error = 0;
	bool shared[5]; /* asked first: our /proc changes on the way */

	for (size_t i = 0; i < 5; i++) {
		char path[40];

		snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid,
			 names[i]);
		fds[i] = open(path, O_RDONLY | O_CLOEXEC);
		if (fds[i] < 0)
			return -errno;
		shared[i] = is_ours(fds[i], names[i]);
	}
	for (size_t i = 0; i < 5 && !error; i++)
		if (!shared[i] && setns(fds[i], 0) < 0)
			error = -errno;
	return error;
}

/* What the keeper tells us: one of these, then it is gone. */
struct told {
	int error;  /* errno of why the command never ran */
	int status; /* as of waitpid(2) */
	bool timed_out;
	uint64_t end_ns;
};

static void tell(int fd, const struct told *told)
{
	if (write(fd, told, sizeof(*told)) != sizeof(*told))
		_exit(1);
	_exit(0);
}

/* The command itself; what went wrong before exec is told in its place. */
static void command(const struct evidence *evidence, char *const *argv, int out,
		    int why)
{
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	uid_t uid = geteuid();
	gid_t gid = getegid();
	int error;

	setpgid(0, 0);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGXFSZ, SIG_DFL);
	if (evidence->sandbox_pid && evidence->cwd)
		sandbox_user(evidence->cwd, &uid, &gid);
	if ((!evidence->cwd || chdir(evidence->cwd) == 0) &&
	    (uid == geteuid() || sandbox_become(uid, gid) == 0) &&
	    dup2(null_fd, 0) == 0 && dup2(out, 1) == 1 && dup2(out, 2) == 2)
		execvp(argv[0], argv);
	error = errno;
	if (write(why, &error, sizeof(error)) != sizeof(error))
		_exit(126);
	_exit(127);
}

/* The keeper stands between us and the command: whoever reaps in our process,
 * the command's status comes by a pipe.  Never returns. */
static void keep(const struct evidence *evidence, char *const *argv,
		 uint64_t deadline_ns, int out, int tells)
{
	struct timespec nap = { .tv_nsec = 5000000 };
	struct told told = { 0 };
	sigset_t none;
	pid_t pid, got = 0;
	int why[2];

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setpgid(0, 0);
	if (evidence->sandbox_pid)
		told.error = -enter(evidence->sandbox_pid);
	if (!told.error && pipe2(why, O_CLOEXEC) < 0)
		told.error = errno;
	if (told.error)
		tell(tells, &told);
	pid = fork();
	if (pid == 0)
		command(evidence, argv, out, why[1]);
	close(why[1]);
	close(out);
	if (pid < 0) {
		told.error = errno;
		tell(tells, &told);
	}
	if (read(why[0], &told.error, sizeof(told.error)) < 0)
		told.error = errno;
	while (got != pid) {
		if (now_ns() >= deadline_ns && !told.timed_out) {
			told.timed_out = true;
			kill(pid, SIGKILL);
			kill(-pid, SIGKILL);
		}
		got = waitpid(pid, &told.status, WNOHANG);
		if (got < 0 && errno != EINTR)
			break;
		if (got != pid)
			nanosleep(&nap, NULL);
	}
	kill(-pid, SIGKILL); /* what it left in the background */
	told.end_ns = now_ns();
	tell(tells, &told);
}

struct taken {
	char *bytes;
	size_t count, max;
};

/* take - one part of the output; past max it is read and dropped.
 * Returns 1 more may come, 0 at the end, -errno. */
static int take(int fd, struct taken *taken)
{
	char part[16384];
	ssize_t n = read(fd, part, sizeof(part));
	char *more;

	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 1 : -errno;
	if (n == 0)
		return 0;
	if ((size_t)n > taken->max - taken->count)
		n = (ssize_t)(taken->max - taken->count);
	more = realloc(taken->bytes, taken->count + (size_t)n + 1);
	if (!more)
		return -ENOMEM;
	memcpy(more + taken->count, part, (size_t)n);
	taken->bytes = more;
	taken->count += (size_t)n;
	more[taken->count] = '\0';
	return 1;
}

/* follow - take output until the keeper has told how it ended.
 * 0: *ret_told is filled; -errno. */
static int follow(int out, int tells, struct taken *taken,
		  struct told *ret_told)
{
	struct pollfd look[] = { { .fd = out, .events = POLLIN },
				 { .fd = tells, .events = POLLIN } };
	bool told = false;

	while (look[0].fd >= 0 || !told) {
		/* Once it has ended, nobody should hold the stream. */
		int ready = poll(look, 2, LOOK_EVERY_MS);

		if (interrupt_signal())
			return -EINTR;
		if (ready < 0 && errno != EINTR)
			return -errno;
		if (ready == 0 && told)
			break;
		if (ready > 0 && look[0].fd >= 0 && look[0].revents) {
			int more = take(out, taken);

			if (more < 0)
				return more;
			if (more == 0)
				look[0].fd = -1;
		}
		if (ready > 0 && !told && look[1].revents) {
			if (read(tells, ret_told, sizeof(*ret_told)) !=
			    sizeof(*ret_told))
				return -ECHILD; /* the keeper was killed */
			told = true;
			look[1].fd = -1;
		}
	}
	return -ret_told->error;
}

int command_run(const struct evidence *evidence, const struct strings *argv,
		uint64_t timeout_ns, size_t output_max,
		struct ending *ret_ending, char **ret_output, size_t *ret_bytes)
{
	struct taken taken = { .max = output_max, .bytes = calloc(1, 1) };
	int out[2] = { -1, -1 }, tells[2] = { -1, -1 }, error = 0;
	uint64_t start_ns = now_ns();
	struct told told = { 0 };
	pid_t keeper = -1;

	if (!taken.bytes)
		return -ENOMEM;
	if (pipe2(out, O_CLOEXEC) < 0 || pipe2(tells, O_CLOEXEC) < 0 ||
	    (keeper = fork()) < 0)
		error = -errno;
	if (keeper == 0)
		keep(evidence, argv->items, start_ns + timeout_ns, out[1],
		     tells[1]);
	close(out[1]);
	close(tells[1]);
	if (!error)
		error = follow(out[0], tells[0], &taken, &told);
	close(out[0]);
	close(tells[0]);
	if (keeper > 0 && error == -EINTR)
		kill(keeper, SIGKILL); /* the engine ends what it leaves */
	if (keeper > 0)
		while (waitpid(keeper, NULL, 0) < 0 && errno == EINTR)
			;
	if (error < 0) {
		free(taken.bytes);
		return error;
	}
	*ret_ending = (struct ending){
		.started = true,
		.ended = true,
		.timed_out = told.timed_out,
		.status = WIFEXITED(told.status) ? WEXITSTATUS(told.status) : 0,
		.signal = WIFSIGNALED(told.status) ? WTERMSIG(told.status) : 0,
		.core = WIFSIGNALED(told.status) && WCOREDUMP(told.status),
		.start_ns = start_ns,
		.end_ns = told.end_ns,
	};
	*ret_output = taken.bytes;
	if (ret_bytes)
		*ret_bytes = taken.count;
	return 0;
}
