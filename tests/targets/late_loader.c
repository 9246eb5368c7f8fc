/* late_loader.c - loads libraries that make system calls of their own, late.
 *
 * late_loader PLUGIN            one call of its plugin_write; status 1: failed
 * late_loader SECONDS PLUGIN…   threads load, call and close them all the
 *                               while, children are forked in the middle of it.
 *                               A PLUGIN each, so that it really comes and
 *                               goes.  Prints how much was done. */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static _Atomic int over;
static _Atomic unsigned long loads, children, wrong;
static char **plugins;
static int plugins_count, null_fd;

static long call(const char *path, int fd, int closes)
{
	void *library = dlopen(path, RTLD_NOW);
	long (*plugin_write)(int);
	void *symbol = library ? dlsym(library, "plugin_write") : NULL;
	long ret = -1;

	if (!symbol)
		return -1;
	memcpy(&plugin_write, &symbol, sizeof(symbol));
	ret = plugin_write(fd);
	if (closes)
		dlclose(library);
	return ret;
}

static void *thread(void *arg)
{
	const char *plugin = plugins[(size_t)arg % (size_t)plugins_count];

	while (!over) {
		if (call(plugin, null_fd, 1) <= 0)
			wrong++;
		loads++;
	}
	return NULL;
}

/* In the child of a fork glibc's loader may be locked for good. */
static void fork_one(void)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(write(null_fd, "child\n", 6) == 6 ? 0 : 1);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		wrong++;
	children++;
}

int main(int argc, char **argv)
{
	pthread_t threads[4];
	time_t end;

	if (argc == 2)
		return call(argv[1], 1, 0) > 0 ? 0 : 1;
	if (argc < 3)
		return 2;
	end = time(NULL) + atoi(argv[1]);
	plugins = argv + 2;
	plugins_count = argc - 2;
	null_fd = open("/dev/null", O_WRONLY);
	for (size_t i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, thread, (void *)i);
	for (; time(NULL) < end; usleep(5000))
		fork_one();
	over = 1;
	for (size_t i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	printf("%lu loads, %lu children, %lu wrong\n", loads, children, wrong);
	return wrong || !loads || !children;
}
