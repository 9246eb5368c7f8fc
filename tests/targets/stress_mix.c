/* stress_mix - threads that fork, vfork, spawn, exec, load libraries, cancel
 * one another, take signals and do I/O, all at once; each checks what it gets.
 *
 *   stress_mix DIR SECONDS [LIBRARY…]   DIR/good and DIR/bad must exist
 *   stress_mix DIR child                what it execs: exits 5 if all is well
 * In $STRESS_FAULTS, if it is set, each write to bad must fail with EIO; all
 * else must succeed.  $STRESS_THREADS: of each kind (default 1);
 * $STRESS_WITHOUT: kinds that are left out, "cancels,signals".
 * Exit: 0 so it was; 1 it wasn't, and what; 3 a thread stood still for 60 s.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STILL_S	    60
#define THREADS_MAX 64

extern char **environ;

static char paths[2][4096]; /* good, bad */
static const char *self, *dir;
static char **libraries;
static int libraries_count, with_faults;
static atomic_int over, begun;
static atomic_long wrong, signals;

struct worker {
	const char *kind;
	void (*once)(struct worker *w);
	unsigned seed;
	atomic_long done;
	pthread_t thread;
};

static struct worker workers[THREADS_MAX];
static int workers_count;

static void fail(const char *what)
{
	char text[256];
	int n = snprintf(text, sizeof(text), "wrong: %s (%s)\n", what,
			 strerror(errno));

	if (atomic_fetch_add(&wrong, 1) < 10)
		(void)!write(2, text, (size_t)n);
}

static unsigned roll(struct worker *w, unsigned n)
{
	return (unsigned)rand_r(&w->seed) % n;
}

/* Whose fd numbers are the same few; also in handlers and in children. */
static int write_one(int is_bad)
{
	int fd = open(paths[is_bad], O_WRONLY | O_APPEND | O_CLOEXEC), good;
	ssize_t n;

	if (fd < 0)
		return 0;
	n = write(fd, "x", 1);
	good = is_bad && with_faults ? n == -1 && errno == EIO : n == 1;
	return close(fd) == 0 && good;
}

static void handler(int number)
{
	int was = errno;

	(void)number;
	atomic_fetch_add(&signals, 1);
	if (!write_one((int)(atomic_load(&signals) & 1)))
		atomic_fetch_add(&wrong, 1);
	errno = was;
}

static int status_of(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status)
				 : 1000 + WTERMSIG(status);
}

static void once_write(struct worker *w)
{
	void *p = malloc(roll(w, 5000) + 1);

	if (!p || !write_one((int)roll(w, 2)))
		fail("write");
	free(p);
}

static void once_fork(struct worker *w)
{
	int is_bad = (int)roll(w, 2);
	pid_t pid = fork();

	if (pid == 0)
		_exit(write_one(is_bad) && write_one(!is_bad) ? 7 : 8);
	if (pid < 0 || status_of(pid) != 7)
		fail("fork");
}

static void once_vfork(struct worker *w)
{
	char *argv[] = { (char *)(uintptr_t)self, (char *)(uintptr_t)dir,
			 (char *)(uintptr_t) "child", NULL };
	int there = (int)roll(w, 4);
	pid_t pid = vfork();

	if (pid == 0) {
		execve(there ? self : "/nothing/here", argv, environ);
		_exit(9);
	}
	if (pid < 0 || status_of(pid) != (there ? 5 : 9))
		fail("vfork");
}

static void once_exec(struct worker *w)
{
	char *argv[] = { (char *)(uintptr_t)self, (char *)(uintptr_t)dir,
			 (char *)(uintptr_t) "child", NULL };
	char *empty[] = { NULL };
	pid_t pid = fork();

	if (pid == 0) {
		execve(self, argv,
		       roll(w, 2) && !with_faults ? empty : environ);
		_exit(9);
	}
	if (pid < 0 || status_of(pid) != 5)
		fail("exec");
}

static void once_spawn(struct worker *w)
{
	char *argv[] = { (char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c",
			 (char *)(uintptr_t) "exit 3", NULL };
	char line[16] = "";
	FILE *pipe;
	pid_t pid;
	int status;

	switch (roll(w, 3)) {
	case 0:
		if (posix_spawnp(&pid, "sh", NULL, NULL, argv, environ) != 0 ||
		    status_of(pid) != 3)
			fail("posix_spawn");
		return;
	case 1:
		status = system("exit 4");
		if (status == -1 || WEXITSTATUS(status) != 4)
			fail("system");
		return;
	}
	pipe = popen("echo hi", "re");
	if (!pipe || !fgets(line, sizeof(line), pipe) ||
	    strcmp(line, "hi\n") != 0 || pclose(pipe) != 0)
		fail("popen");
}

static int call_back(void *arg)
{
	return *(int *)arg;
}

static void once_load(struct worker *w)
{
	int (*call)(int (*)(void *), void *), five = 5;
	void *library;

	if (!libraries_count)
		return;
	library = dlopen(libraries[roll(w, (unsigned)libraries_count)],
			 RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		fail(dlerror());
		return;
	}
	*(void **)&call = dlsym(library, "plugin_call");
	if (!call || call(call_back, &five) != 5)
		fail("a library's call");
	if (dlclose(library) != 0)
		fail("dlclose");
}

struct blocked {
	int how, fds[2];
	atomic_int pushed, cleaned;
};

static void clean(void *arg)
{
	atomic_store(&((struct blocked *)arg)->cleaned, 1);
}

static void *block(void *arg)
{
	struct blocked *b = arg;
	struct timespec hour = { .tv_sec = 3600 };
	struct pollfd pollfd = { .fd = b->fds[0], .events = POLLIN };
	char byte;

	pthread_cleanup_push(clean, b);
	atomic_store(&b->pushed, 1);
	for (;;)
		switch (b->how) {
		case 0:
			(void)!read(b->fds[0], &byte, 1);
			break;
		case 1:
			poll(&pollfd, 1, -1);
			break;
		case 2:
			recv(b->fds[0], &byte, 1, 0);
			break;
		default:
			nanosleep(&hour, NULL);
		}
	pthread_cleanup_pop(0);
	return NULL;
}

static void once_cancel(struct worker *w)
{
	struct blocked b = { .how = (int)roll(w, 4) };
	struct timespec pause = { .tv_nsec = (long)roll(w, 400000) };
	void *result = NULL;
	pthread_t thread;
	sigset_t all, was;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, b.fds) < 0) {
		fail("socketpair");
		return;
	}
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &was);
	if (pthread_create(&thread, NULL, block, &b) != 0) {
		fail("pthread_create");
	} else {
		nanosleep(&pause, NULL);
		pthread_cancel(thread);
		if (pthread_join(thread, &result) != 0 ||
		    result != PTHREAD_CANCELED)
			fail("cancel");
		if (atomic_load(&b.pushed) != atomic_load(&b.cleaned))
			fail("a cancelled thread's cleanup");
	}
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	close(b.fds[0]);
	close(b.fds[1]);
}

static void once_signal(struct worker *w)
{
	struct timespec pause = { .tv_nsec = 200000 };

	pthread_kill(workers[roll(w, (unsigned)workers_count)].thread, SIGUSR1);
	nanosleep(&pause, NULL);
}

static const struct kind {
	const char *name;
	void (*once)(struct worker *w);
} kinds[] = {
	{ "writes", once_write },   { "forks", once_fork },
	{ "vforks", once_vfork },   { "execs", once_exec },
	{ "spawns", once_spawn },   { "loads", once_load },
	{ "cancels", once_cancel }, { "signals", once_signal },
};

#define KINDS (int)(sizeof(kinds) / sizeof(*kinds))

static void *work(void *arg)
{
	struct worker *w = arg;
	static _Thread_local char stack[65536];
	stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) };

	sigset_t usr1;

	if (w->seed & 1)
		sigaltstack(&alternate, NULL);
	while (!atomic_load(&begun))
		sched_yield();
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
	while (!atomic_load(&over)) {
		w->once(w);
		atomic_fetch_add(&w->done, 1);
	}
	alternate.ss_flags = SS_DISABLE;
	sigaltstack(&alternate, NULL);
	return NULL;
}

/* Does each of them get on? */
static void watch(int seconds)
{
	long before[THREADS_MAX] = { 0 };
	int still[THREADS_MAX] = { 0 };
	time_t end = time(NULL) + seconds;

	while (time(NULL) < end && !atomic_load(&wrong)) {
		struct timespec second = { .tv_sec = 1 };

		nanosleep(&second, NULL);
		for (int i = 0; i < workers_count; i++) {
			long now = atomic_load(&workers[i].done);

			still[i] = now == before[i] ? still[i] + 1 : 0;
			before[i] = now;
			if (still[i] < STILL_S)
				continue;
			fprintf(stderr, "stood still: %s after %ld\n",
				workers[i].kind, now);
			abort();
		}
	}
}

static int child(void)
{
	void *p = malloc(1000);
	int good = p && write_one(0) && write_one(1);

	free(p);
	return good ? 5 : 6;
}

static void begin(int each)
{
	struct sigaction action = { .sa_handler = handler,
				    .sa_flags = SA_RESTART | SA_ONSTACK };
	const char *without = getenv("STRESS_WITHOUT");
	sigset_t usr1;

	sigaction(SIGUSR1, &action, NULL);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	/* pthread_kill() needs all of their numbers. */
	pthread_sigmask(SIG_BLOCK, &usr1, NULL);
	for (int i = 0; i < each * KINDS && i < THREADS_MAX; i++) {
		const struct kind *kind = &kinds[KINDS - 1 - i % KINDS];
		struct worker *w = &workers[workers_count];

		if (without && strstr(without, kind->name))
			continue;
		w->kind = kind->name;
		w->once = kind->once;
		w->seed = (unsigned)workers_count++;
	}
	for (int i = workers_count; i-- > 0;)
		if (pthread_create(&workers[i].thread, NULL, work,
				   &workers[i]) != 0)
			abort();
	atomic_store(&begun, 1);
	pthread_sigmask(SIG_UNBLOCK, &usr1, NULL);
}

int main(int argc, char **argv)
{
	const char *each = getenv("STRESS_THREADS");

	if (argc < 3)
		return 2;
	self = realpath("/proc/self/exe", NULL);
	if (!self)
		return 2;
	dir = argv[1];
	with_faults = getenv("STRESS_FAULTS") != NULL;
	snprintf(paths[0], sizeof(paths[0]), "%s/good", dir);
	snprintf(paths[1], sizeof(paths[1]), "%s/bad", dir);
	if (strcmp(argv[2], "child") == 0)
		return child();
	libraries = argv + 3;
	libraries_count = argc - 3;
	begin(each ? atoi(each) : 1);
	watch(atoi(argv[2]));
	atomic_store(&over, 1);
	for (int i = 0; i < workers_count; i++)
		pthread_join(workers[i].thread, NULL);
	for (int k = 0; k < KINDS; k++) {
		long done = 0, threads = 0;

		for (int i = 0; i < workers_count; i++)
			if (workers[i].kind == kinds[k].name) {
				done += atomic_load(&workers[i].done);
				threads++;
			}
		printf("%s %ld ", kinds[k].name, done);
		if (threads && !done)
			fail("a kind did nothing");
	}
	printf("taken %ld wrong %ld\n", atomic_load(&signals),
	       atomic_load(&wrong));
	return atomic_load(&wrong) != 0;
}
