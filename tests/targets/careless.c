/* careless - the program that every scenario is about: it looks at nothing.
 * Each mode makes one classic mistake, and ends with 0 where it can.
 *   careless save OUT         write and close are not looked at
 *   careless commit OUT       nor is fsync
 *   careless copy IN OUT      a short write is taken for a whole one, a read
 *                             error for the end of the file
 *   careless build            malloc's result is used as it comes
 *   careless interrupted IN OUT   EINTR ends the copy
 *   careless replace DOC      rename's result is not looked at
 *   careless rewrite DOC      the document is rewritten in place
 *   careless threads          joins a thread that was never made
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void write_lines(int fd, const char *word)
{
	char block[4096];

	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = i % 16 == 15 ? '\n' : word[i % strlen(word)];
	for (int i = 0; i < 16; i++)
		(void)!write(fd, block, sizeof(block));
}

static int save(const char *path, int sync)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	write_lines(fd, "data");
	if (sync)
		fsync(fd);
	close(fd);
	return 0;
}

static int copy(const char *from, const char *to)
{
	int in = open(from, O_RDONLY);
	int out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	char block[65536];
	ssize_t n;

	while ((n = read(in, block, sizeof(block))) > 0)
		(void)!write(out, block, (size_t)n);
	close(out);
	return 0;
}

static int interrupted(const char *from, const char *to)
{
	int in = open(from, O_RDONLY);
	int out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	char block[65536];
	ssize_t n;

	while ((n = read(in, block, sizeof(block))) != 0) {
		if (n < 0 || write(out, block, (size_t)n) < 0) {
			perror("copy");
			return 1;
		}
	}
	return 0;
}

static int build(void)
{
	for (int i = 0; i < 1000; i++)
		strcpy(malloc(64), "a node of a list that nobody frees");
	return 0;
}

static int replace(const char *doc)
{
	save("doc.new", 0);
	rename("doc.new", doc);
	return 0;
}

static int rewrite(const char *doc)
{
	int in = open(doc, O_RDONLY), out;
	static char text[1 << 20];
	ssize_t n = read(in, text, sizeof(text));

	close(in);
	out = open(doc, O_WRONLY | O_TRUNC);
	for (ssize_t at = 0; at < n; at += 4096)
		(void)!write(out, text + at, (size_t)(n - at < 4096 ? n - at : 4096));
	return 0;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t done = PTHREAD_COND_INITIALIZER;
static int finished;

static void *work(void *arg)
{
	pthread_mutex_lock(&lock);
	finished = 1;
	pthread_cond_signal(&done);
	pthread_mutex_unlock(&lock);
	return arg;
}

static int threads(void)
{
	pthread_t thread;

	pthread_create(&thread, NULL, work, NULL);
	pthread_mutex_lock(&lock);
	while (!finished)
		pthread_cond_wait(&done, &lock);
	pthread_mutex_unlock(&lock);
	return 0;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	if (!strcmp(mode, "save") && argc == 3)
		return save(argv[2], 0);
	if (!strcmp(mode, "commit") && argc == 3)
		return save(argv[2], 1);
	if (!strcmp(mode, "copy") && argc == 4)
		return copy(argv[2], argv[3]);
	if (!strcmp(mode, "build"))
		return build();
	if (!strcmp(mode, "interrupted") && argc == 4)
		return interrupted(argv[2], argv[3]);
	if (!strcmp(mode, "replace") && argc == 3)
		return replace(argv[2]);
	if (!strcmp(mode, "rewrite") && argc == 3)
		return rewrite(argv[2]);
	if (!strcmp(mode, "threads"))
		return threads();
	fprintf(stderr, "careless: no such mode\n");
	return 2;
}
