/* guest_storm - threads, signals and children that open, write and close files
 * whose numbers are always the same few.
 *
 *   guest_storm DIR SECONDS     DIR/good and DIR/bad must exist
 * Each write to bad must fail with EIO, each to good must succeed.
 * Exit: 0 so it was; 1 it wasn't, with a count.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char paths[2][4096]; /* good, bad */
static atomic_long writes, wrong;
static time_t end;

static void write_one(int is_bad)
{
	int fd = open(paths[is_bad], O_WRONLY | O_APPEND), other;
	ssize_t n;

	if (fd < 0)
		return;
	n = write(fd, "x", 1);
	atomic_fetch_add(&writes, 1);
	if (is_bad ? n != -1 || errno != EIO : n != 1)
		atomic_fetch_add(&wrong, 1);
	other = open(paths[!is_bad], O_WRONLY | O_APPEND);
	if (other >= 0 && dup2(fd, other) == other) {
		n = write(other, "x", 1);
		if (is_bad ? n != -1 || errno != EIO : n != 1)
			atomic_fetch_add(&wrong, 1);
	}
	close(other);
	close(fd);
}

static void handler(int signal)
{
	int was = errno;

	write_one(signal == SIGALRM);
	errno = was;
}

static void *storm(void *arg)
{
	unsigned seed = (unsigned)(long)arg;

	while (time(NULL) < end) {
		free(malloc((size_t)(rand_r(&seed) % 5000 + 1)));
		write_one(rand_r(&seed) & 1);
	}
	return NULL;
}

static void children(void)
{
	while (time(NULL) < end) {
		pid_t pid = fork();

		if (pid == 0) {
			long before = wrong;

			for (int i = 0; i < 20; i++)
				write_one(i & 1);
			_exit(wrong != before);
		}
		int status = 0;

		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		if (status)
			atomic_fetch_add(&wrong, 1);
		if (system("exit 0"))
			atomic_fetch_add(&wrong, 1);
	}
}

int main(int argc, char **argv)
{
	struct itimerval often = { { 0, 997 }, { 0, 997 } };
	pthread_t threads[4];

	if (argc < 3)
		return 2;
	snprintf(paths[0], sizeof(paths[0]), "%s/good", argv[1]);
	snprintf(paths[1], sizeof(paths[1]), "%s/bad", argv[1]);
	end = time(NULL) + atoi(argv[2]);
	struct sigaction action = { .sa_handler = handler,
				    .sa_flags = SA_RESTART };
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	for (long i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, storm, (void *)i);
	children();
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	printf("%ld writes, %ld wrong\n", writes, wrong);
	return wrong != 0;
}
