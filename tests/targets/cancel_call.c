/* cancel_call CALL [ROUNDS] - cancel a thread in read, accept or epoll_wait.
 *
 * Says "cancelled, N cleaned up": N counts a handler of pthread_cleanup_push
 * and a variable with a cleanup attribute, which only unwinding runs.  With
 * ROUNDS, threads that read in a loop while data comes are cancelled at all
 * kinds of moments.  Exit 1: a thread hung, or was not unwound.
 */
#include <gnu/libc-version.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static const char *call;
static int ends[2], listening, polling;
static atomic_int cleaned, working;

static void on_scope_end(int *unused)
{
	(void)unused;
	atomic_fetch_add(&cleaned, 1);
}

static void on_cancel(void *unused)
{
	(void)unused;
	atomic_fetch_add(&cleaned, 1);
}

static void block(void)
{
	struct epoll_event event;
	char c;

	if (!strcmp(call, "read"))
		read(ends[0], &c, 1);
	else if (!strcmp(call, "accept"))
		accept(listening, NULL, NULL);
	else
		epoll_wait(polling, &event, 1, -1);
}

static void *blocked(void *loop)
{
	int scope __attribute__((cleanup(on_scope_end))) = 0;

	pthread_cleanup_push(on_cancel, NULL);
	atomic_store(&working, 1);
	do {
		block();
	} while (loop);
	pthread_cleanup_pop(0);
	return NULL;
}

/* 0: cancelled, 1: returned by itself, 2: it hangs. */
static int cancel(pthread_t thread)
{
	struct timespec until;
	void *result;

	pthread_cancel(thread);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 3;
	if (pthread_timedjoin_np(thread, &result, &until))
		return 2;
	return result != PTHREAD_CANCELED;
}

static void *feed(void *unused)
{
	while (write(ends[1], "x", 1) == 1)
		if (rand() % 8 == 0)
			usleep((useconds_t)(rand() % 100));
	return unused;
}

static int rounds(int n)
{
	pthread_t feeder, thread;

	pthread_create(&feeder, NULL, feed, NULL);
	for (int i = 0; i < n; i++) {
		int before = cleaned;

		atomic_store(&working, 0);
		pthread_create(&thread, NULL, blocked, &working);
		while (!atomic_load(&working))
			;
		usleep((useconds_t)(rand() % 300));
		if (cancel(thread)) {
			printf("round %d hung\n", i);
			return 1;
		}
		if (cleaned != before + 2) {
			printf("round %d was not unwound\n", i);
			return 1;
		}
	}
	printf("cancelled %d times\n", n);
	return 0;
}

int main(int argc, char **argv)
{
	static const char *const ways[] = { "cancelled", "returned", "hung" };
	struct sockaddr_in any = { .sin_family = AF_INET };
	pthread_t thread;
	int way;

	call = argc > 1 ? argv[1] : "read";
	any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listening = socket(AF_INET, SOCK_STREAM, 0);
	polling = epoll_create1(0);
	if (pipe(ends) || bind(listening, (void *)&any, sizeof(any)) ||
	    listen(listening, 1) || polling < 0)
		return 2;
	if (argc > 2) {
		way = rounds(atoi(argv[2]));
		fflush(stdout);
		_exit(way);
	}
	pthread_create(&thread, NULL, blocked, NULL);
	usleep(100000);
	way = cancel(thread);
	printf("%s, %d cleaned up, glibc %s\n", ways[way], cleaned,
	       gnu_get_libc_version());
	fflush(stdout);
	_exit(way != 0 || cleaned != 2);
}
