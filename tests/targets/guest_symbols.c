/* guest_symbols - calls every symbol of the symbol door once; says what each
 * returned and what became of errno, which is 99 before. */
#include <errno.h>
#include <malloc.h>
#include <netdb.h>
#include <pthread.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char out[4096];
static size_t used;

/* Without malloc: stdout has a buffer only once it is too late. */
static void say(const char *name, long ret)
{
	used += (size_t)snprintf(out + used, sizeof(out) - used, "%s %s %s\n",
				 name,
				 ret == 0    ? "0"
				 : ret == -1 ? "-1"
				 : ret == 11 ? "EAGAIN"
				 : ret == 12 ? "ENOMEM"
				 : ret == -3 ? "EAI_AGAIN"
					     : "other",
				 errno == 99 ? "-" : strerrorname_np(errno));
}

#define SAY(name, ...) (errno = 99, say(name, (long)(__VA_ARGS__)))

static void *nothing(void *arg)
{
	return arg;
}

int main(void)
{
	void *p = NULL;
	struct timespec ts;
	struct timeval tv;
	struct addrinfo *list;
	pthread_t thread;
	pid_t pid;

	SAY("malloc", malloc(7777));
	SAY("calloc", calloc(7777, 1));
	SAY("realloc", realloc(malloc(10), 7777));
	SAY("reallocarray", reallocarray(malloc(10), 7777, 1));
	SAY("memalign", memalign(64, 7777));
	SAY("aligned_alloc", aligned_alloc(64, 7777));
	SAY("posix_memalign", posix_memalign(&p, 64, 7777));
	SAY("getaddrinfo", getaddrinfo("127.0.0.1", "1", NULL, &list));
	SAY("clock_gettime", clock_gettime(CLOCK_REALTIME, &ts));
	SAY("gettimeofday", gettimeofday(&tv, NULL));
	SAY("time", time(NULL));
	SAY("pthread_create", pthread_create(&thread, NULL, nothing, NULL));
	SAY("posix_spawn", posix_spawn(&pid, "/bin/true", NULL, NULL,
				       (char *[]){ "true", NULL }, NULL));
	SAY("posix_spawnp", posix_spawnp(&pid, "true", NULL, NULL,
					 (char *[]){ "true", NULL }, NULL));
	errno = 99;
	pid = fork();
	if (pid == 0)
		_exit(0);
	say("fork", pid);
	errno = 99;
	pid = vfork();
	if (pid == 0)
		_exit(0);
	say("vfork", pid);
	SAY("system", system("exit 7"));
	SAY("popen", popen("exit 7", "r"));
	write(1, out, used);
	return 0;
}
