/* files.c - records on a file system: a file each, or lines of one log. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runner/load/load.h"

#define PATH_BYTES 4096

static int files_open(struct load_client *client)
{
	client->fd = open(client->options->where,
			  O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return client->fd < 0
		       ? wire_fail(client, -errno, "%s: %s",
				   client->options->where, strerror(errno))
		       : 0;
}

static int files_prepare(struct load_client *client)
{
	const char *where = client->options->where;

	if (mkdir(where, 0755) != 0 && errno != EEXIST)
		return wire_fail(client, -errno, "%s: %s", where,
				 strerror(errno));
	return 0;
}

static int sync_of(const struct load_client *client, int fd)
{
	return client->options->no_sync ? 0 : fsync(fd);
}

static int put(struct load_client *client, int fd, const char *id)
{
	char line[LOAD_ID_BYTES + 2];
	int n = snprintf(line, sizeof(line), "%s\n", id), error = 0;

	if (fd < 0 || write(fd, line, (size_t)n) != n ||
	    sync_of(client, fd) != 0)
		error = -errno;
	if (fd >= 0 && close(fd) != 0 && !error)
		error = -errno;
	return error ? wire_fail(client, error, "%s: %s", id, strerror(-error))
		     : 0;
}

/* A file of its own: written aside, synced, renamed, its directory synced. */
static int create(struct load_client *client, const char *id)
{
	char aside[LOAD_ID_BYTES + 8], name[LOAD_ID_BYTES + 8];
	int error;

	snprintf(aside, sizeof(aside), ".%s.tmp", id);
	snprintf(name, sizeof(name), "%s.rec", id);
	error = put(client,
		    openat(client->fd, aside,
			   O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644),
		    id);
	if (!error && (renameat(client->fd, aside, client->fd, name) != 0 ||
		       sync_of(client, client->fd) != 0))
		error = wire_fail(client, -errno, "%s: %s", name,
				  strerror(errno));
	return error;
}

static int files_send(struct load_client *client, const char *id)
{
	if (load_op_is(client, "create"))
		return create(client, id);
	return put(client,
		   openat(client->fd, "log",
			  O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644),
		   id);
}

static enum load_answer files_receive(struct load_client *client, bool again)
{
	(void)client;
	(void)again;
	return LOAD_DONE;
}

static int log_read(struct load_client *client, FILE *out)
{
	int fd = openat(client->fd, "log", O_RDONLY | O_CLOEXEC);
	FILE *in = fd < 0 ? NULL : fdopen(fd, "r");
	char line[256];

	if (!in)
		return errno == ENOENT ? 0
				       : wire_fail(client, -errno, "log: %s",
						   strerror(errno));
	while (fgets(line, sizeof(line), in)) {
		size_t n = strcspn(line, "\n");

		if (line[n]) /* whole */
			fprintf(out, "present %s %.*s\n",
				client->options->stream, (int)n, line);
	}
	fclose(in);
	return 0;
}

/* A record counts if its file holds what was written. */
static void record_read(struct load_client *client, const char *name, FILE *out)
{
	size_t n = strlen(name);
	char line[256] = "";
	ssize_t bytes;
	int fd;

	if (n < 5 || *name == '.' || strcmp(name + n - 4, ".rec") != 0)
		return;
	fd = openat(client->fd, name, O_RDONLY | O_CLOEXEC);
	bytes = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
	if (fd >= 0)
		close(fd);
	if (bytes == (ssize_t)n - 3 && !strncmp(line, name, n - 4))
		fprintf(out, "present %s %.*s\n", client->options->stream,
			(int)n - 4, name);
	else
		fprintf(out, "invariant %s bad\n", name);
}

static int files_read(struct load_client *client, FILE *out)
{
	int error = files_open(client);
	struct dirent *entry;
	DIR *stream;

	if (error)
		return error;
	if (load_op_is(client, "append"))
		return log_read(client, out);
	stream = opendir(client->options->where);
	if (!stream)
		return -errno;
	while ((entry = readdir(stream)))
		record_read(client, entry->d_name, out);
	closedir(stream);
	return 0;
}

const struct load_driver load_files = {
	.name = "files",
	.where = "DIR",
	.ops = "create|append",
	.open = files_open,
	.send = files_send,
	.receive = files_receive,
	.read = files_read,
	.prepare = files_prepare,
};
