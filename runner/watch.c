#include "runner/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runner/clock.h"
#include "runner/probes.h"
#include "runner/tree_proc.h"
#include "runner/words.h"

#define READY_WITHIN_NS	 (20 * NS_PER_S)
#define ANSWER_WITHIN_NS (3 * NS_PER_S)
#define END_WITHIN_NS	 (1 * NS_PER_S)
#define LOOK_NS		 WATCHED_BUCKET_NS

/* unobserved - nothing can be seen at all; the first reason stands.  Locked, or
 * before there is a second thread. */
static void unobserved(struct watch *watch, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void unobserved(struct watch *watch, const char *format, ...)
{
	va_list ap;

	watch->broken = true;
	if (watch->watched->unobserved)
		return;
	va_start(ap, format);
	if (vasprintf(&watch->watched->unobserved, format, ap) < 0)
		watch->watched->unobserved = NULL;
	va_end(ap);
}

/* incomplete - from some time on nothing was seen.  Locked. */
static void incomplete(struct watch *watch, const char *why)
{
	watch->broken = true;
	for (size_t i = 0; i < WATCHED_GROUPS; i++) {
		struct watched_group_seen *group = &watch->watched->groups[i];

		if (group->asked && !group->why)
			group->why = strdup(why);
	}
}

/* ---- records ----------------------------------------------------------------
 */

static void ready_take(struct watch *watch, const struct watch_record *record)
{
	const struct watched_group_seen *life =
		&watch->watched->groups[WATCHED_life];
	struct watch_ready_body body;

	if (record->size < sizeof(*record) + sizeof(body))
		return;
	memcpy(&body, record + 1, sizeof(body));
	watch->watched->attach_ns = body.attach_ns;
	if (body.abi != WATCH_ABI)
		unobserved(watch, "mishap-watch is of another version; build "
				  "or install both together");
	else if (!body.groups)
		unobserved(watch, "%s",
			   life->why ? life->why : "no probe can be had");
	watch->ready = true;
	pthread_cond_broadcast(&watch->changed);
}

static void done_take(struct watch *watch, const struct watch_record *record)
{
	struct watch_done_body body = { 0 };

	if (record->size >= sizeof(*record) + sizeof(body))
		memcpy(&body, record + 1, sizeof(body));
	if (record->seq > watch->done)
		watch->done = record->seq;
	watch->done_error = body.error;
	pthread_cond_broadcast(&watch->changed);
}

/* Returns the bytes that were whole records; SIZE_MAX: that is no stream of
 * ours. */
static size_t records_take(struct watch *watch, const char *bytes, size_t count)
{
	size_t at = 0;

	while (count - at >= sizeof(struct watch_record)) {
		uint64_t whole[WATCH_RECORD_MAX / sizeof(uint64_t)];
		const struct watch_record *record = (const void *)whole;

		memcpy(whole, bytes + at, sizeof(*record));
		if (record->size < sizeof(*record) ||
		    record->size > WATCH_RECORD_MAX || record->size % 8)
			return SIZE_MAX;
		if (count - at < record->size)
			break;
		memcpy(whole, bytes + at, record->size);
		watch_fold_record(watch->fold, record);
		if (record->type == WATCH_READY)
			ready_take(watch, record);
		else if (record->type == WATCH_DONE)
			done_take(watch, record);
		at += record->size;
	}
	return at;
}

static void *watch_main(void *arg)
{
	struct watch *watch = arg;
	char *bytes = malloc(WATCH_BYTES_MAX);
	size_t count = 0, taken;
	ssize_t n = 0;

	signals_block();
	while (bytes) {
		n = read(watch->record_fd, bytes + count,
			 WATCH_BYTES_MAX - count);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		count += (size_t)n;
		pthread_mutex_lock(&watch->lock);
		taken = records_take(watch, bytes, count);
		if (taken == SIZE_MAX)
			incomplete(watch, "what mishap-watch said couldn't be "
					  "read");
		pthread_mutex_unlock(&watch->lock);
		if (taken == SIZE_MAX)
			break;
		count -= taken;
		memmove(bytes, bytes + taken, count);
	}
	free(bytes);
	pthread_mutex_lock(&watch->lock);
	watch->ended = true;
	pthread_cond_broadcast(&watch->changed);
	pthread_mutex_unlock(&watch->lock);
	return NULL;
}

/* ---- commands
 * ----------------------------------------------------------------- */

/* tell - one line; its id, 0: it couldn't be sent.  Never waits. */
static uint64_t tell(struct watch *watch, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static uint64_t tell(struct watch *watch, const char *format, ...)
{
	char line[WATCH_LINE_MAX];
	uint64_t id = ++watch->asked;
	int n = snprintf(line, sizeof(line), "%llu ", (unsigned long long)id);
	va_list ap;

	va_start(ap, format);
	n += vsnprintf(line + n, sizeof(line) - (size_t)n - 1, format, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 2)
		return 0;
	line[n++] = '\n';
	return write(watch->command_fd, line, (size_t)n) == n ? id : 0;
}

/* answered - is it, in time?  Otherwise whatever is asked later is in doubt. */
static bool answered(struct watch *watch, uint64_t id)
{
	struct timespec at = clock_timespec(clock_now_ns() + ANSWER_WITHIN_NS);
	bool is_done;

	pthread_mutex_lock(&watch->lock);
	while (id && watch->done < id && !watch->ended && !watch->broken)
		if (pthread_cond_timedwait(&watch->changed, &watch->lock,
					   &at) == ETIMEDOUT)
			break;
	is_done = id && watch->done >= id;
	if (!is_done)
		incomplete(watch, watch->ended
					  ? "mishap-watch died in mid-run; "
					    "see watch.log"
					  : "mishap-watch stalled");
	pthread_mutex_unlock(&watch->lock);
	return is_done;
}

static bool usable(struct watch *watch)
{
	bool is_usable;

	if (!watch->open)
		return false;
	pthread_mutex_lock(&watch->lock);
	is_usable = watch->ready && !watch->broken;
	pthread_mutex_unlock(&watch->lock);
	return is_usable;
}

bool watch_await_ready(struct watch *watch)
{
	struct timespec at = clock_timespec(clock_now_ns() + READY_WITHIN_NS);

	if (!watch->open)
		return false;
	pthread_mutex_lock(&watch->lock);
	while (!watch->ready && !watch->ended &&
	       pthread_cond_timedwait(&watch->changed, &watch->lock, &at) !=
		       ETIMEDOUT)
		;
	if (!watch->ready)
		unobserved(watch, watch->ended
					  ? "mishap-watch ended before its "
					    "probes were there; see watch.log"
					  : "mishap-watch wasn't ready in 20s");
	pthread_mutex_unlock(&watch->lock);
	return usable(watch);
}

void watch_follow(pid_t pid, void *arg)
{
	struct watch *watch = arg;

	if (!usable(watch) ||
	    !answered(watch, tell(watch, "follow %d", (int)pid)))
		return;
	pthread_mutex_lock(&watch->lock);
	if (watch->done_error)
		unobserved(watch, "the target couldn't be followed: %s",
			   strerror(-watch->done_error));
	watch->watched->processes++;
	pthread_mutex_unlock(&watch->lock);
}

void watch_phase(struct watch *watch, unsigned phase)
{
	if (!usable(watch) || !answered(watch, tell(watch, "snapshot")))
		return;
	pthread_mutex_lock(&watch->lock);
	watch->fold->phase = phase;
	pthread_mutex_unlock(&watch->lock);
	tell(watch, "phase %u", phase);
	watch->next_look_ns = clock_now_ns() + LOOK_NS;
}

void watch_look(struct watch *watch)
{
	uint64_t now = clock_now_ns(), done;

	if (!watch->input.looks_often || now < watch->next_look_ns ||
	    !usable(watch))
		return;
	watch->next_look_ns = now + LOOK_NS;
	pthread_mutex_lock(&watch->lock);
	done = watch->done;
	pthread_mutex_unlock(&watch->lock);
	if (done == watch->asked) /* else the last look is still under way */
		tell(watch, "snapshot");
}

/* ---- from beginning to end
 * ------------------------------------------------------ */

static void groups_words(unsigned groups, char *ret, size_t size)
{
	static const char *const names[] = WATCH_GROUP_NAMES;
	size_t at = 0;

	*ret = '\0';
	for (unsigned i = 0; i < WATCH_GROUPS; i++)
		if (groups >> i & 1)
			at += (size_t)snprintf(ret + at, size - at, "%s%s",
					       at ? "," : "", names[i]);
}

static int start(struct watch *watch, char *program)
{
	const struct watch_input *input = &watch->input;
	char groups[96], sites[PATH_MAX], data[PATH_MAX], log[PATH_MAX];
	char *argv[] = { program, groups, sites, data, NULL };
	struct launch launch = { .argv = argv,
				 .envp = input->envp,
				 .cwd = "/",
				 .ledger_fd = -1,
				 .role = TREE_WATCHER };
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, error;

	strcpy(groups, "--groups=");
	groups_words(input->groups, groups + 9, sizeof(groups) - 9);
	snprintf(sites, sizeof(sites), "--sites=%s", input->sites_dir);
	if (input->data)
		snprintf(data, sizeof(data), "--data=%s", input->data);
	else
		argv[3] = NULL;
	snprintf(log, sizeof(log), "%s/watch.log", input->run_dir);
	if (pipe2(in, O_CLOEXEC) != 0)
		return -errno;
	if (pipe2(out, O_CLOEXEC) != 0) {
		error = -errno;
		close(in[0]);
		close(in[1]);
		return error;
	}
	launch.in = in[0];
	launch.out = out[1];
	launch.err = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	error = launch_start(watch->tree, &launch, &watch->process);
	close(in[0]);
	close(out[1]);
	if (launch.err >= 0)
		close(launch.err);
	if (error) {
		close(in[1]);
		close(out[0]);
		return error;
	}
	fcntl(in[1], F_SETFL, O_NONBLOCK); /* never wait for one that stalls */
	watch->command_fd = in[1];
	watch->record_fd = out[0];
	return 0;
}

static void conditions_make(struct watch *watch)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&watch->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&watch->changed, &attr);
	pthread_condattr_destroy(&attr);
}

void watch_open(struct watch *watch, struct tree *tree,
		const struct watch_input *input, struct watched *watched)
{
	char *program = NULL;
	int error;

	memset(watch, 0, sizeof(*watch));
	watch->input = *input;
	watch->watched = watched;
	watch->tree = tree;
	watched->asked = true;
	for (unsigned i = 0; i < WATCHED_GROUPS; i++)
		watched->groups[i].asked = input->groups >> i & 1;
	error = probes_program(&program);
	if (error) {
		unobserved(watch, "mishap-watch isn't there; it is built where "
				  "clang, bpftool and libbpf-dev are");
		return;
	}
	watch->fold = malloc(sizeof(*watch->fold));
	if (watch->fold) {
		watch_fold_open(watch->fold, watched);
		watch->fold->runner_pid = (uint32_t)getpid();
		watch->fold->runner_name = program_invocation_short_name;
	}
	error = watch->fold ? start(watch, program) : -ENOMEM;
	free(program);
	if (!error) {
		conditions_make(watch);
		error = -pthread_create(&watch->thread, NULL, watch_main,
					watch);
		watch->open = !error;
	}
	if (error)
		unobserved(watch, "mishap-watch can't be started: %s",
			   strerror(-error));
}

/* It ends by itself when its standard input does; else it is ended. */
static void end(struct watch *watch)
{
	close(watch->command_fd);
	if (!tree_wait(watch->tree, watch->process,
		       clock_now_ns() + END_WITHIN_NS)) {
		tree_signal(watch->tree, watch->process, SIGKILL);
		tree_wait(watch->tree, watch->process,
			  clock_now_ns() + END_WITHIN_NS);
	}
	pthread_join(watch->thread, NULL);
	close(watch->record_fd);
	tree_drop(watch->tree, watch->process);
}

void watch_close(struct watch *watch, const uint64_t *passed, uint64_t threads)
{
	if (watch->open) {
		if (usable(watch) && answered(watch, tell(watch, "snapshot")))
			answered(watch, tell(watch, "stop"));
		end(watch);
		if (watch->fold->failed)
			incomplete(watch, "there was no room for all that was "
					  "seen");
		watch_fold_finish(watch->fold, passed, threads);
		pthread_mutex_destroy(&watch->lock);
		pthread_cond_destroy(&watch->changed);
		watch->open = false;
	}
	if (watch->fold)
		watch_fold_close(watch->fold);
	free(watch->fold);
	watch->fold = NULL;
}
