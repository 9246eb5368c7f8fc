/* recording.c - the recorder in its own process, and the log it leaves. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/clock.h"
#include "runner/interrupt.h"
#include "runner/launch.h"
#include "runner/powercut/powercut.h"
#include "runner/powercut/record.h"
#include "runner/words.h"

#define TAIL_BYTES 2000 /* of what the program said, for a report */

struct outputs {
	int log, out, err, ledger;
	int errors[2]; /* a pipe: what went wrong */
};

static int outputs_make(struct outputs *outputs)
{
	outputs->log = memfd_create("mishap-oplog", MFD_CLOEXEC);
	outputs->out = memfd_create("mishap-stdout", MFD_CLOEXEC);
	outputs->err = memfd_create("mishap-stderr", MFD_CLOEXEC);
	outputs->ledger = memfd_create("mishap-ledger", MFD_CLOEXEC);
	if (outputs->log < 0 || outputs->out < 0 || outputs->err < 0 ||
	    outputs->ledger < 0 || pipe2(outputs->errors, O_CLOEXEC) != 0)
		return -errno;
	/* What the program writes goes to the end, whoever writes. */
	if (fcntl(outputs->out, F_SETFL, O_APPEND) != 0 ||
	    fcntl(outputs->err, F_SETFL, O_APPEND) != 0 ||
	    fcntl(outputs->ledger, F_SETFL, O_APPEND) != 0)
		return -errno;
	return 0;
}

static _Noreturn void recorder_run(const struct record_input *input, int tells)
{
	int error;

	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	error = record_run(input);
	if (write(tells, &error, sizeof(error)) != sizeof(error))
		_exit(1);
	_exit(0);
}

/* The one between us and the recorder: enters, so that the recorder is born
 * within the sandbox's pid namespace. */
static _Noreturn void helper_run(const struct record_input *input, int tells)
{
	int error = sandbox_enter(input->sandbox), status;
	pid_t pid = error ? -1 : fork();

	if (pid == 0)
		recorder_run(input, tells);
	if (pid < 0) {
		error = error ? error : -errno;
		if (write(tells, &error, sizeof(error)) != sizeof(error))
			_exit(1);
		_exit(1);
	}
	waitpid(pid, &status, 0);
	_exit(0);
}

static int helper_wait(pid_t pid, int tells)
{
	int error = -ECHILD, status;

	while (waitpid(pid, &status, WNOHANG) != pid) {
		if (interrupt_signal()) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			return -EINTR;
		}
		usleep(2000);
	}
	if (read(tells, &error, sizeof(error)) != sizeof(error))
		return -ECHILD;
	return error;
}

static void output_save(const struct cut_result *result, const char *name,
			int from)
{
	_cleanup_words_ char *path =
		words_say("%s/%s", result->place.run_dir, name);
	char part[65536];
	ssize_t n;
	int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
			     0644)
		      : -1;

	for (off_t at = 0;
	     fd >= 0 && (n = pread(from, part, sizeof(part), at)) > 0; at += n)
		if (write(fd, part, (size_t)n) != n)
			break;
	if (fd >= 0)
		close(fd);
}

static int log_take(const struct cut_options *options,
		    struct cut_result *result, int fd)
{
	struct stat st;
	void *log;

	(void)options;
	if (fstat(fd, &st) != 0)
		return -errno;
	if (!st.st_size)
		return -ENODATA;
	log = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (log == MAP_FAILED)
		return -errno;
	result->log = log;
	result->log_bytes = (size_t)st.st_size;
	return 0;
}

int cut_record(const struct cut_options *options, struct cut_result *result,
	       const struct sandbox *sandbox)
{
	char ledger[] = "MISHAP_LEDGER_FD=9";
	char *set_items[] = { ledger, NULL };
	const struct strings set = { .items = set_items, .count = 1 };
	char **envp = launch_environment(&set, NULL, NULL);
	struct outputs outputs = { 0 };
	struct record_input input = {
		.sandbox = sandbox,
		.tree = result->tree,
		.cwd = result->cwd,
		.argv = options->argv,
		.envp = envp,
		.timeout_ns = options->record_ns,
	};
	int error = envp ? outputs_make(&outputs) : -ENOMEM;
	pid_t pid = -1;

	input.log_fd = outputs.log;
	input.out_fd = outputs.out;
	input.err_fd = outputs.err;
	input.ledger_fd = outputs.ledger;
	fflush(NULL);
	if (!error)
		pid = fork();
	if (pid == 0)
		helper_run(&input, outputs.errors[1]);
	if (!error && pid < 0)
		error = -errno;
	close(outputs.errors[1]);
	if (!error)
		error = helper_wait(pid, outputs.errors[0]);
	close(outputs.errors[0]);
	output_save(result, "stdout", outputs.out);
	output_save(result, "stderr", outputs.err);
	output_save(result, "oplog", outputs.log);
	if (!error || error == -ETIMEDOUT) {
		int taken = log_take(options, result, outputs.log);

		error = error ? error : taken;
	}
	close(outputs.log);
	close(outputs.out);
	close(outputs.err);
	close(outputs.ledger);
	launch_environment_free(envp);
	return error;
}
