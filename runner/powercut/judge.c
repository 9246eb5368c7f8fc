/* judge.c - start workers, wait for them, collect what they say. */
#include "runner/powercut/judge.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/clock.h"
#include "runner/interrupt.h"
#include "runner/powercut/worker.h"

#define LOOK_EVERY_US 2000

struct team {
	struct shared_work *shared;
	pid_t helpers[JUDGE_JOBS_MAX];
	int results[JUDGE_JOBS_MAX];
	unsigned count;
};

/* Enters the sandbox; its child is within the pid namespace, and is the
 * worker. */
static _Noreturn void helper_run(struct worker *worker)
{
	int error = sandbox_enter(worker->sandbox), status;
	pid_t pid;

	if (error) {
		atomic_store(&worker->shared->error, error);
		_exit(1);
	}
	pid = fork();
	if (pid == 0)
		worker_run(worker);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		_exit(1);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static int team_start(const struct judge *judge, const struct judge_item *items,
		      uint32_t count, struct team *team)
{
	unsigned jobs = judge->jobs < count ? judge->jobs : count;

	team->shared = mmap(NULL, sizeof(*team->shared), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (team->shared == MAP_FAILED)
		return -errno;
	for (; team->count < jobs && team->count < JUDGE_JOBS_MAX;
	     team->count++) {
		struct worker worker = { .judge = judge,
					 .sandbox =
						 judge->sandboxes[team->count],
					 .items = items,
					 .count = count,
					 .shared = team->shared };
		int fd = memfd_create("mishap-results", MFD_CLOEXEC);
		pid_t pid;

		if (fd < 0)
			return -errno;
		worker.results_fd = team->results[team->count] = fd;
		fflush(NULL);
		pid = fork();
		if (pid == 0)
			helper_run(&worker);
		team->helpers[team->count] = pid;
		if (pid < 0)
			return -errno;
	}
	return 0;
}

/* Until all have gone, time is up, or somebody wants us to stop; workers are
 * given time to finish what they are at. */
static void team_wait(const struct judge *judge, struct team *team,
		      uint64_t until_ns)
{
	uint64_t grace = judge->timeout_ns + NS_PER_S;
	bool told = false;
	unsigned left = team->count;

	while (left) {
		left = 0;
		for (unsigned i = 0; i < team->count; i++)
			if (team->helpers[i] > 0) {
				if (waitpid(team->helpers[i], NULL, WNOHANG) ==
				    team->helpers[i])
					team->helpers[i] = -1;
				else
					left++;
			}
		if (judge->progress)
			judge->progress(atomic_load(&team->shared->done),
					judge->data);
		if (!told && (interrupt_signal() ||
			      (until_ns && clock_now_ns() > until_ns))) {
			atomic_store(&team->shared->stop, true);
			until_ns = clock_now_ns() + grace;
			told = true;
		}
		if (told && (clock_now_ns() > until_ns || interrupt_hurry() ||
			     interrupt_signal()))
			for (unsigned i = 0; i < team->count; i++)
				if (team->helpers[i] > 0)
					kill(team->helpers[i], SIGKILL);
		if (left)
			usleep(LOOK_EVERY_US);
	}
}

static int results_take(int fd, struct outcome *outcomes, uint32_t count)
{
	struct verdict_row row;
	struct stat st;
	char *map;
	size_t at = 0;

	if (fstat(fd, &st) != 0)
		return -errno;
	if (!st.st_size)
		return 0;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	while (at + sizeof(row) <= (size_t)st.st_size) {
		struct outcome *outcome;

		memcpy(&row, map + at, sizeof(row));
		at += sizeof(row);
		if (row.item >= count || at + row.bytes > (size_t)st.st_size)
			break; /* a worker was killed as it wrote */
		outcome = &outcomes[row.item];
		outcome->kind = row.kind;
		outcome->recovering = row.recovering;
		outcome->status = row.status;
		outcome->text = row.bytes ? strndup(map + at, row.bytes) : NULL;
		outcome->bytes =
			outcome->text ? (uint32_t)strlen(outcome->text) : 0;
		at += row.bytes;
	}
	munmap(map, (size_t)st.st_size);
	return 0;
}

static void explain(const struct team *team, char why[SANDBOX_WHY_MAX])
{
	static const char *const steps[] = {
		[STEP_ENTER] = "entering the sandbox",
		[STEP_MOUNT] = "mounting the tree",
		[STEP_LAY] = "laying out a state",
		[STEP_CHECKER] = "running the checker",
	};

	snprintf(why, SANDBOX_WHY_MAX, "%s: %s",
		 steps[atomic_load(&team->shared->step)],
		 strerror(-atomic_load(&team->shared->error)));
}

int judge_batch(const struct judge *judge, const struct judge_item *items,
		uint32_t count, uint64_t until_ns, struct outcome *outcomes,
		char why[SANDBOX_WHY_MAX])
{
	struct team team = { 0 };
	int error;

	if (!count)
		return 0;
	error = team_start(judge, items, count, &team);
	if (team.shared == MAP_FAILED)
		return error;
	if (error)
		atomic_store(&team.shared->stop, true);
	team_wait(judge, &team, until_ns);
	for (unsigned i = 0; i < team.count; i++) {
		int taken = results_take(team.results[i], outcomes, count);

		error = error ? error : taken;
		close(team.results[i]);
	}
	if (!error && atomic_load(&team.shared->error)) {
		error = atomic_load(&team.shared->error);
		explain(&team, why);
	}
	munmap(team.shared, sizeof(*team.shared));
	return error;
}

void outcomes_clear(struct outcome *outcomes, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		free(outcomes[i].text);
}
