/* guest_hostile - does all that a target may do to lose its judge.
 *
 *   guest_hostile SCRATCH        every step; says which were not failed
 *   guest_hostile SCRATCH STEP   one write, for the steps that exec
 * Each step writes MARK bytes and must see EIO.  Exit: 0 all of them did.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MARK 77

static char *scratch, *self;
static char *const empty[] = { NULL };
static volatile int seen_in_handler;

/* 0: the write was failed. */
static int mark(void)
{
	char bytes[MARK] = "";
	int fd = open("/mark", O_WRONLY); /* there inside the chroot */
	int ret;

	if (fd < 0)
		fd = open("/dev/null", O_WRONLY);
	ret = write(fd, bytes, MARK) == -1 && errno == EIO ? 0 : 1;
	close(fd);
	return ret;
}

static void handler(int signal)
{
	int was = errno;

	(void)signal;
	seen_in_handler = mark() == 0;
	errno = was;
}

static int in_signal_handler(void)
{
	/* what the kernel needs and one page more, with nothing below it */
	long page = sysconf(_SC_PAGESIZE);
	size_t bytes = (getauxval(AT_MINSIGSTKSZ) / page + 2) * page;
	char *map = mmap(NULL, bytes + page, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_t alternate = { .ss_sp = map + page, .ss_size = bytes };
	struct sigaction action = { .sa_handler = handler,
				    .sa_flags = SA_ONSTACK };

	mprotect(map, page, PROT_NONE);
	sigaltstack(&alternate, NULL);
	sigaction(SIGUSR1, &action, NULL);
	errno = 4711;
	raise(SIGUSR1);
	return seen_in_handler && errno == 4711 ? 0 : 1;
}

static int after_closing_every_fd(void)
{
	for (int fd = 0; fd < 1024; fd++)
		close(fd);
	syscall(SYS_close_range, 0, ~0u, 0);
	return mark();
}

static int as_nobody(void)
{
	if (setgid(65534) || setuid(65534))
		return 1;
	return mark();
}

static int exec_empty(void)
{
	execve(self, (char *[]){ self, scratch, "exec", NULL }, empty);
	return 1;
}

static int exec_null(void)
{
	execve(self, (char *[]){ self, scratch, "exec", NULL }, NULL);
	return 1;
}

static int exec_as_nobody(void)
{
	if (setgid(65534) || setuid(65534))
		return 1;
	return exec_empty();
}

static int exec_after_closing(void)
{
	syscall(SYS_close_range, 0, ~0u, 0);
	return exec_empty();
}

static int exec_by_fd(void)
{
	int fd = open(self, O_RDONLY | O_CLOEXEC);

	fexecve(fd, (char *[]){ self, scratch, "exec", NULL }, empty);
	return 1;
}

static int in_chroot(void)
{
	if (chroot(scratch) || chdir("/"))
		return 1;
	/* an exec that fails must leave us as we were */
	execve("/nowhere", (char *[]){ "nowhere", NULL }, empty);
	return mark();
}

static int status_of(pid_t pid)
{
	int status = 1;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

static int by_posix_spawn(void)
{
	pid_t pid;

	if (posix_spawn(&pid, self, NULL, NULL,
			(char *[]){ self, scratch, "exec", NULL }, empty))
		return 1;
	return status_of(pid);
}

static int by_vfork(void)
{
	pid_t pid = vfork();

	if (pid == 0) {
		execve(self, (char *[]){ self, scratch, "exec", NULL }, empty);
		_exit(1);
	}
	return status_of(pid);
}

static int by_raw_clone(void)
{
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(mark());
	return status_of(pid);
}

static void *in_thread(void *arg)
{
	*(int *)arg = mark();
	return NULL;
}

static int by_thread(void)
{
	pthread_t thread;
	int ret = 1;

	pthread_create(&thread, NULL, in_thread, &ret);
	pthread_join(thread, NULL);
	return ret;
}

static int as_daemon(void)
{
	int fds[2], ret = 1;
	pid_t pid;

	if (pipe(fds))
		return 1;
	pid = fork();
	if (pid == 0) {
		daemon(0, 0); /* forks once more, inside libc */
		ret = mark();
		write(fds[1], &ret, sizeof(ret));
		_exit(0);
	}
	status_of(pid);
	if (read(fds[0], &ret, sizeof(ret)) != sizeof(ret))
		ret = 1;
	return ret;
}

static const struct step {
	const char *name;
	int (*run)(void);
} steps[] = {
	{ "plain", mark },
	{ "signal handler", in_signal_handler },
	{ "every fd closed", after_closing_every_fd },
	{ "setuid", as_nobody },
	{ "chroot", in_chroot },
	{ "thread", by_thread },
	{ "raw clone", by_raw_clone },
	{ "daemon", as_daemon },
	{ "exec, empty environment", exec_empty },
	{ "exec, NULL environment", exec_null },
	{ "exec after setuid", exec_as_nobody },
	{ "exec, every fd closed", exec_after_closing },
	{ "fexecve", exec_by_fd },
	{ "posix_spawn", by_posix_spawn },
	{ "vfork and exec", by_vfork },
};

int main(int argc, char **argv)
{
	int bad = 0;

	if (argc < 2)
		return 2;
	self = argv[0];
	scratch = argv[1];
	if (argc > 2)
		return mark();
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(steps[i].run());
		if (status_of(pid)) {
			printf("lost at: %s\n", steps[i].name);
			bad = 1;
		} else {
			printf("seen: %s\n", steps[i].name);
		}
		fflush(stdout);
	}
	return bad;
}
