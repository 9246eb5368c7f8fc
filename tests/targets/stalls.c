/* stalls works|deadlock|sleeps - a program whose two threads take two locks:
 * in one order, in opposite orders, or one that sleeps for 2 s while it holds
 * them. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t accounts = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t journal = PTHREAD_MUTEX_INITIALIZER;
static useconds_t pause_us = 1000;

static void *post_entry(void *arg)
{
	pthread_mutex_t *first = arg;
	pthread_mutex_t *second = first == &accounts ? &journal : &accounts;

	for (int i = 0; i < 100; i++) {
		pthread_mutex_lock(first);
		usleep(pause_us);
		pthread_mutex_lock(second);
		pthread_mutex_unlock(second);
		pthread_mutex_unlock(first);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "works";
	pthread_t other;

	if (strcmp(how, "sleeps") == 0) {
		sleep(2);
		return 0;
	}
	pthread_create(&other, NULL, post_entry,
		       strcmp(how, "deadlock") == 0 ? &journal : &accounts);
	post_entry(&accounts);
	pthread_join(other, NULL);
	puts("done");
	return 0;
}
