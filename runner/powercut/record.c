/* record.c - the tree in memory at its own path, the program, the log. */
#include "runner/powercut/record.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runner/clock.h"
#include "runner/powercut/recorder.h"

static int put_header(struct recorder *recorder)
{
	struct oplog_header header = { .magic = OPLOG_MAGIC,
				       .version = OPLOG_VERSION };
	size_t n = strlen(recorder->input->tree);

	if (n >= sizeof(header.root))
		return -ENAMETOOLONG;
	header.root_bytes = (uint32_t)n;
	memcpy(header.root, recorder->input->tree, n);
	if (write(recorder->sink.fd, &header, sizeof(header)) != sizeof(header))
		return -EIO;
	return 0;
}

static int mount_tree(struct recorder *recorder)
{
	const char *tree = recorder->input->tree;
	const struct task self = { .tid = getpid() };
	int from = open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct fd_info info;
	struct stat st;
	int error = 0;
	uid_t uid;
	gid_t gid;

	if (from < 0)
		return -errno;
	sandbox_ids(recorder->input->sandbox, &uid, &gid);
	if (unshare(CLONE_NEWNS) != 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("mishap", tree, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") !=
		    0)
		error = -errno;
	if (!error) {
		recorder->root_fd =
			open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (recorder->root_fd < 0 ||
		    fstat(recorder->root_fd, &st) != 0 ||
		    !fd_look(&self, recorder->root_fd, &info))
			error = -EIO;
	}
	if (!error) {
		recorder->dev = st.st_dev;
		recorder->mount = info.id.mount;
		error = snapshot_copy(recorder, from, uid, gid);
	}
	close(from);
	return error;
}

static int ledgers_find(struct recorder *recorder)
{
	const struct task self = { .tid = getpid() };
	const int fds[2] = { recorder->input->out_fd,
			     recorder->input->ledger_fd };
	struct fd_info info;

	for (int i = 0; i < 2; i++) {
		if (!fd_look(&self, fds[i], &info))
			return -EIO;
		recorder->ledgers[i] = info.id;
	}
	return 0;
}

static void recorder_free(struct recorder *recorder)
{
	for (size_t i = 0; i < recorder->mapped_count; i++) {
		close(recorder->mapped[i].fd);
		free(recorder->mapped[i].shadow);
	}
	where_free(recorder);
	free(recorder->mapped);
	free(recorder->opens);
	free(recorder->tasks);
	free(recorder->inos);
	free(recorder->sink.bytes);
}

int record_run(const struct record_input *input)
{
	struct recorder recorder = { .input = input,
				     .root_fd = -1,
				     .sink.fd = input->log_fd };
	struct task nobody = { 0 };
	int error, ended = 0, status = 0;

	error = put_header(&recorder);
	if (!error)
		error = mount_tree(&recorder);
	if (!error)
		error = ledgers_find(&recorder);
	if (!error)
		ended = trace_run(&recorder, &status);
	if (!error && ended && ended != -ETIMEDOUT)
		error = ended;
	if (!error) {
		maps_look(&recorder, &nobody, true);
		error = snapshot_final(&recorder);
	}
	if (!error) {
		struct oplog_record record = { .kind = OPLOG_END,
					       .size = (uint64_t)status };

		sink_put(&recorder.sink, &record, NULL, NULL, NULL);
		sink_flush(&recorder.sink);
		error = recorder.sink.error;
	}
	recorder_free(&recorder);
	return error ? error : ended;
}
