/* guest_cancel - a thread in a call is cancelled; cleanup must run.
 *
 *   guest_cancel read|accept|epoll_wait
 * Exit: 0 cancelled and cleaned up, 1 not, 3 it wouldn't end.
 */
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *what;
static int fds[2], listener, epoll, cleaned;

static void clean(void *arg)
{
	(void)arg;
	cleaned = 1;
}

static void *work(void *arg)
{
	struct epoll_event event;
	char c;

	pthread_cleanup_push(clean, NULL);
	if (strcmp(what, "read") == 0)
		arg = (void *)read(fds[0], &c, 1);
	else if (strcmp(what, "accept") == 0)
		arg = (void *)(long)accept(listener, NULL, NULL);
	else
		arg = (void *)(long)epoll_wait(epoll, &event, 1, -1);
	pthread_cleanup_pop(0);
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	void *result;

	what = argc > 1 ? argv[1] : "read";
	if (pipe(fds))
		return 2;
	listener = socket(AF_INET, SOCK_STREAM, 0);
	listen(listener, 1);
	epoll = epoll_create1(0);
	alarm(20);
	pthread_create(&thread, NULL, work, NULL);
	usleep(100000);
	pthread_cancel(thread);
	pthread_join(thread, &result);
	printf("%s, %s\n",
	       result == PTHREAD_CANCELED ? "cancelled" : "returned",
	       cleaned ? "cleaned up" : "not cleaned up");
	return result == PTHREAD_CANCELED && cleaned ? 0 : 1;
}
