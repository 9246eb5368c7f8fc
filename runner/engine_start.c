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
#include "runner/engine.h"
#include "runner/interrupt.h"
#include "runner/words.h"

#define PREPARE_WITHIN_NS (60 * NS_PER_S)
#define PROBE_EVERY_NS	  (20 * NS_PER_MS)
#define PROBE_WITHIN_NS	  (1 * NS_PER_S) /* one attempt, at most */
#define RESTART_AFTER_NS  (100 * NS_PER_MS)
#define TAIL_BYTES	  400

char *engine_program_cwd(const struct program *program)
{
	char here[PATH_MAX], *cwd;
	int n;

	if (program->cwd && program->cwd[0] == '/')
		return strdup(program->cwd);
	if (!getcwd(here, sizeof(here)))
		return NULL;
	if (!program->cwd)
		return strdup(here);
	n = asprintf(&cwd, "%s/%s", here, program->cwd);
	return n < 0 ? NULL : cwd;
}

struct probe_context engine_probe_context(struct engine *engine)
{
	return (struct probe_context){ .tree = &engine->tree,
				       .envp = engine->env_plain,
				       .cwd = engine->evidence->cwd,
				       .sandbox = engine->sandbox };
}

/* The last words of a file, for a message. */
static void tail_read(const char *path, char *tail, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = 0;
	off_t end;

	tail[0] = '\0';
	if (fd < 0)
		return;
	end = lseek(fd, 0, SEEK_END);
	if (end > (off_t)size - 1)
		n = pread(fd, tail, size - 1, end - (off_t)size + 1);
	else
		n = pread(fd, tail, size - 1, 0);
	close(fd);
	tail[n > 0 ? n : 0] = '\0';
	while (n > 0 && tail[n - 1] == '\n')
		tail[--n] = '\0';
}

static int prepare_one(struct engine *engine, const struct launch *launch,
		       const char *log)
{
	const char *name = launch->argv[0];
	struct tree_process *process;
	char tail[TAIL_BYTES];
	struct ending ending;
	uint64_t until;
	int error;

	error = launch_start(&engine->tree, launch, &process);
	if (error)
		return engine_fail(-ECANCELED, "prepare failed: %s: %s", name,
				   strerror(-error));
	until = clock_now_ns() + PREPARE_WITHIN_NS;
	while (!tree_wait(&engine->tree, process,
			  clock_now_ns() + ENGINE_TICK_NS) &&
	       clock_now_ns() < until && !interrupt_signal())
		;
	ending = tree_ending(&engine->tree, process);
	if (!ending.ended) {
		tree_signal(&engine->tree, process, SIGKILL);
		tree_wait(&engine->tree, process, clock_now_ns() + NS_PER_S);
	}
	tree_drop(&engine->tree, process);
	tail_read(log, tail, sizeof(tail));
	if (!ending.ended)
		return engine_fail(-ECANCELED, "prepare failed: %s: %s", name,
				   interrupt_signal() ? "interrupted"
						      : "still runs after 60s");
	if (ending.signal)
		return engine_fail(-ECANCELED,
				   "prepare failed: %s: died by SIG%s%s%s",
				   name, sigabbrev_np(ending.signal),
				   *tail ? ": " : "", tail);
	if (ending.status)
		return engine_fail(-ECANCELED,
				   "prepare failed: %s: exit %d%s%s", name,
				   ending.status, *tail ? ": " : "", tail);
	return 0;
}

int engine_prepare(struct engine *engine, const struct program *program)
{
	char log[PATH_MAX], *cwd = NULL, **envp = NULL;
	int fd, error = 0;

	if (!program->prepare_count)
		return 0;
	snprintf(log, sizeof(log), "%s/prepare.log", engine->evidence->run_dir);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	cwd = engine_program_cwd(program);
	envp = launch_environment(&program->env, NULL, NULL);
	if (!cwd || !envp)
		error = -ENOMEM;
	for (size_t i = 0; i < program->prepare_count && !error; i++) {
		struct launch launch = { .argv = program->prepare[i].items,
					 .envp = envp,
					 .cwd = cwd,
					 .in = -1,
					 .out = fd,
					 .err = fd,
					 .ledger_fd = -1,
					 .role = TREE_COMMAND,
					 .sandbox = engine->sandbox };

		error = prepare_one(engine, &launch, log);
	}
	launch_environment_free(envp);
	free(cwd);
	if (fd >= 0)
		close(fd);
	return error;
}

/* As an init would with Restart=on-failure, systemd.service(5). */
static bool restart_is_due(struct engine *engine)
{
	struct ending ending = tree_ending(&engine->tree, engine->target);

	return engine->scenario->target.restart_on_crash && ending.ended &&
	       !ending.stopped_by_us && (ending.signal || ending.status) &&
	       engine->evidence->restarts < ENGINE_RESTARTS_MAX;
}

static void restart(struct engine *engine)
{
	struct ending ending;

	if (!restart_is_due(engine))
		return;
	ending = tree_ending(&engine->tree, engine->target);
	if (clock_now_ns() < ending.end_ns + RESTART_AFTER_NS)
		return;
	tree_drop(&engine->tree, engine->target);
	engine->evidence->restarts++;
	if (engine_target_start(engine) != 0)
		engine_abort(engine, "the target couldn't be started again");
}

/* Try until healthy, until *process has ended for good, or until the probe's
 * `within`.  true: healthy. */
static bool await_probe(struct engine *engine, const struct probe *probe,
			struct tree_process *const *process, unsigned role,
			const struct probe_context *context,
			char why[PROBE_WHY_MAX])
{
	uint64_t until = clock_now_ns() + probe->within.ns, next;

	for (;;) {
		next = clock_now_ns() + PROBE_EVERY_NS;
		if (probe_try(probe, context,
			      clock_now_ns() + PROBE_WITHIN_NS < until
				      ? clock_now_ns() + PROBE_WITHIN_NS
				      : until,
			      why))
			return true;
		if (clock_now_ns() >= until || !limits_hold(engine))
			return false;
		if (process == &engine->target && restart_is_due(engine)) {
			restart(engine);
		} else if (tree_ended(&engine->tree, *process) &&
			   !tree_alive(&engine->tree, role)) {
			struct ending ending =
				tree_ending(&engine->tree, *process);

			snprintf(why, PROBE_WHY_MAX,
				 "it ended before it was ready (%s %d)",
				 ending.signal ? "signal" : "exit",
				 ending.signal ? ending.signal : ending.status);
			return false;
		}
		clock_sleep_until(next);
	}
}

static int service_start(struct engine *engine, size_t index)
{
	const struct program *service = &engine->scenario->services[index];
	const char *name =
		service->name ? service->name : service->run.items[0];
	struct probe_context context = engine_probe_context(engine);
	struct launch launch = { .argv = service->run.items,
				 .in = -1,
				 .ledger_fd = -1,
				 .role = TREE_SERVICE,
				 .sandbox = engine->sandbox };
	char log[PATH_MAX], why[PROBE_WHY_MAX], **envp, *cwd;
	int fd = -1, error;

	error = engine_prepare(engine, service);
	if (error)
		return error;
	snprintf(log, sizeof(log), "%s/service-%zu.log",
		 engine->evidence->run_dir, index + 1);
	error = capture_add(&engine->capture, log, NULL, &fd);
	cwd = engine_program_cwd(service);
	envp = launch_environment(&service->env, NULL, NULL);
	if (!error && (!cwd || !envp))
		error = -ENOMEM;
	if (!error) {
		launch.envp = context.envp = envp;
		launch.cwd = context.cwd = cwd;
		launch.out = launch.err = fd;
		error = launch_start(&engine->tree, &launch,
				     &engine->services[index]);
	}
	if (fd >= 0)
		close(fd);
	if (error)
		engine_fail(error, "service %s can't be started: %s", name,
			    strerror(-error));
	else if (service->ready.kind != PROBE_NONE &&
		 !await_probe(engine, &service->ready, &engine->services[index],
			      TREE_SERVICE, &context, why))
		error = engine_fail(-ECANCELED, "service %s isn't ready: %s",
				    name, why);
	launch_environment_free(envp);
	free(cwd);
	return error ? -ECANCELED : 0;
}

int engine_services_start(struct engine *engine)
{
	int error = 0;

	tree_orphans(&engine->tree, TREE_SERVICE);
	for (size_t i = 0; i < engine->scenario->services_count && !error; i++)
		error = service_start(engine, i);
	return error;
}

/* Its standard input: the scenario's file, or our own. */
static int stdin_open(const struct engine *engine)
{
	const char *path = engine->scenario->target.stdin_path;
	char *whole;
	int fd;

	if (!path)
		return fcntl(0, F_GETFD) < 0 ? -1 : 0;
	if (path[0] == '/')
		fd = open(path, O_RDONLY | O_CLOEXEC);
	else if (asprintf(&whole, "%s/%s", engine->evidence->cwd, path) < 0)
		return -ENOMEM;
	else {
		fd = open(whole, O_RDONLY | O_CLOEXEC);
		free(whole);
	}
	return fd < 0 ? -errno : fd;
}

int engine_target_start(struct engine *engine)
{
	const struct program *target = &engine->scenario->target;
	struct evidence *evidence = engine->evidence;
	struct launch launch = { .argv = target->run.items,
				 .envp = engine->env_target,
				 .cwd = evidence->cwd,
				 .out = -1,
				 .err = -1,
				 .ledger_fd = -1,
				 .role = TREE_TARGET,
				 .sandbox = engine->sandbox,
				 .notify = engine->notify.channel < 0
						   ? NULL
						   : &engine->notify,
				 .arg = &engine->watch };
	char path[PATH_MAX];
	int error;

	if (engine->ledger.expected)
		launch.ledger_fd = engine->ledger.fd;
	tree_orphans(&engine->tree, TREE_TARGET);
	launch.in = stdin_open(engine);
	if (launch.in < -1)
		return engine_fail(launch.in, "%s: %s", target->stdin_path,
				   strerror(-launch.in));
	snprintf(path, sizeof(path), "%s/stdout", evidence->run_dir);
	error = engine->ledger.expected
			? capture_add_ledger(&engine->capture, path,
					     &evidence->out, &launch.out)
			: capture_add(&engine->capture, path, &evidence->out,
				      &launch.out);
	snprintf(path, sizeof(path), "%s/stderr", evidence->run_dir);
	if (!error)
		error = capture_add(&engine->capture, path, &evidence->err,
				    &launch.err);
	if (watch_await_ready(&engine->watch))
		launch.before_exec = watch_follow;
	if (!error)
		error = launch_start(&engine->tree, &launch, &engine->target);
	if (launch.in > 2)
		close(launch.in);
	if (launch.out >= 0)
		close(launch.out);
	if (launch.err >= 0)
		close(launch.err);
	if (error)
		return engine_fail(error, "%s: %s", target->run.items[0],
				   strerror(-error));
	return 0;
}

void engine_await_ready(struct engine *engine)
{
	const struct probe *probe = &engine->scenario->target.ready;
	struct evidence *evidence = engine->evidence;
	struct probe_context context = engine_probe_context(engine);
	char why[PROBE_WHY_MAX] = "";

	if (probe->kind != PROBE_NONE) {
		progress_live("waiting for %s to be ready",
			      engine->scenario->target.run.items[0]);
		evidence->ready = await_probe(engine, probe, &engine->target,
					      TREE_TARGET, &context, why);
	} else {
		evidence->ready = true;
	}
	evidence->ready_ns = evidence->ready ? clock_now_ns() : 0;
	if (!evidence->ready)
		evidence->ready_why = strdup(why);
}

bool engine_recover(struct engine *engine)
{
	const struct program *target = &engine->scenario->target;
	struct probe_context context = engine_probe_context(engine);
	char why[PROBE_WHY_MAX] = "";
	bool up = true;

	if (tree_ended(&engine->tree, engine->target) &&
	    !restart_is_due(engine)) {
		tree_drop(&engine->tree, engine->target);
		up = engine_target_start(engine) == 0;
	}
	up = up && await_probe(engine, &target->ready, &engine->target,
			       TREE_TARGET, &context, why);
	if (!up && !engine->evidence->aborted)
		engine->evidence->no_recovery = words_say(
			"after the faults it didn't come up again: %s", why);
	return up;
}

/* Something for the target to do: it runs to its end, or somebody asks it. */
static bool has_work(const struct engine *engine)
{
	bool asked = engine->steady.count > 0;

	for (size_t i = 0;
	     engine->workloads && i < engine->scenario->workloads_count; i++)
		asked |= engine->workloads[i].count &&
			 !engine->workloads[i].over;
	return engine->to_completion || asked;
}

/* A run of --kill-points has one kill: whoever comes up after it stays up. */
static void kill_point_look(struct engine *engine)
{
	if (engine->options->kill_at && !engine->kill_point_met &&
	    collect_fired(engine->shared.state)) {
		engine->kill_point_met = true;
		engine_disarm(engine);
	}
}

bool engine_tick(struct engine *engine, uint64_t until_ns)
{
	uint64_t next = clock_now_ns() + ENGINE_TICK_NS;

	kill_point_look(engine);
	if (next > until_ns)
		next = until_ns;
	if (!tree_ended(&engine->tree, engine->target)) {
		tree_wait(&engine->tree, engine->target, next);
	} else {
		clock_sleep_until(next);
		restart(engine);
	}
	watch_look(&engine->watch);
	stall_look(&engine->stall, &engine->tree, has_work(engine),
		   &engine->evidence->stall);
	return limits_hold(engine);
}
