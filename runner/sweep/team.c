#include "runner/sweep/team.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/coroner.h"
#include "runner/interrupt.h"
#include "runner/sweep/worker.h"

#define LOOK_EVERY_US 2000

/* Enters the sandbox; its child is within the pid namespace. */
static _Noreturn void helper_run(struct worker *worker)
{
	int error, status;
	pid_t pid;

	error = sandbox_enter(worker->sweep->sandboxes[worker->number]);
	if (error)
		sweep_worker_give_up(worker, error);
	pid = fork();
	if (pid == 0)
		sweep_worker_run(worker);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		_exit(1);
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static pid_t helper_start(struct worker *worker)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0)
		helper_run(worker);
	return pid;
}

static struct board *board_make(void)
{
	void *at = mmap(NULL, sizeof(struct board), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

static void explain(const struct sweep *sweep, const struct board *board,
		    char *why)
{
	static const char *const steps[] = {
		[STEP_NONE] = "entering the sandbox",
		[STEP_COPY] = "copying the working directory",
		[STEP_MOUNT] = "mounting the working directory",
		[STEP_RUN] = "starting the target",
		[STEP_LOOK] = "looking at what the target left",
	};
	int error = atomic_load(&board->error);

	if (error == -EFBIG)
		snprintf(why, SANDBOX_WHY_MAX,
			 "%s holds more than 512 MiB or 50000 files, and a "
			 "sweep works on copies of it; run from a smaller "
			 "directory",
			 sweep->cwd);
	else
		snprintf(why, SANDBOX_WHY_MAX, "%s: %s",
			 steps[atomic_load(&board->step)], strerror(-error));
}

struct team {
	struct board *board;
	pid_t helpers[SWEEP_JOBS_MAX];
	unsigned count;
};

/* A process that was started with the worker's file in its environment. */
static pid_t target_of(const struct area *area)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	pid_t found = 0;

	while (proc && !found && (entry = readdir(proc))) {
		static char environ_of[65536];
		char path[300];
		pid_t pid = (pid_t)atoi(entry->d_name);
		FILE *in;
		size_t n;

		if (pid <= 0)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/environ", (int)pid);
		in = fopen(path, "re");
		n = in ? fread(environ_of, 1, sizeof(environ_of), in) : 0;
		if (in)
			fclose(in);
		if (memmem(environ_of, n, area->envp_shared,
			   strlen(area->envp_shared)))
			found = pid;
	}
	if (proc)
		closedir(proc);
	return found;
}

static void hang_look(struct team *team, struct sweep *sweep,
		      struct coroner *coroner)
{
	pid_t pid;

	if (atomic_load(&team->board->hangs) ==
	    atomic_load(&team->board->hangs_seen))
		return;
	pid = target_of(&sweep->areas[0]);
	if (pid)
		coroner_hang(coroner, pid, "it made no end");
	atomic_fetch_add(&team->board->hangs_seen, 1);
}

static unsigned team_left(struct team *team)
{
	unsigned left = 0;

	for (unsigned i = 0; i < team->count; i++) {
		int status;

		if (team->helpers[i] <= 0)
			continue;
		if (waitpid(team->helpers[i], &status, WNOHANG) !=
		    team->helpers[i]) {
			left++;
			continue;
		}
		team->helpers[i] = -1;
		if ((!WIFEXITED(status) || WEXITSTATUS(status)) &&
		    !atomic_load(&team->board->error))
			atomic_store(&team->board->error, -ECHILD);
	}
	return left;
}

static void team_wait(struct sweep *sweep, struct team *team, uint32_t count,
		      const char *doing, struct coroner *coroner)
{
	bool told = false;

	while (team_left(team)) {
		if (coroner)
			hang_look(team, sweep, coroner);
		if (doing && count)
			progress_live("%s: %u of %u", doing,
				      atomic_load(&team->board->done), count);
		else if (doing)
			progress_live("%s", doing);
		if (interrupt_signal() && !told) {
			atomic_store(&team->board->stop, 1);
			told = true;
		}
		if (interrupt_signal() && (interrupt_hurry() || !count))
			for (unsigned i = 0; i < team->count; i++)
				if (team->helpers[i] > 0)
					kill(team->helpers[i], SIGKILL);
		usleep(LOOK_EVERY_US);
	}
	if (interrupt_signal())
		sweep->interrupted = true;
}

static int team_end(struct sweep *sweep, struct team *team, char *why)
{
	int error = atomic_load(&team->board->error);

	if (error && !sweep->interrupted)
		explain(sweep, team->board, why);
	else
		error = 0;
	munmap(team->board, sizeof(*team->board));
	return error;
}

static int baseline_part(struct sweep *sweep, enum task task, int sights_fd,
			 char *why)
{
	struct team team = { .board = board_make(), .count = 1 };
	struct worker worker = { .sweep = sweep,
				 .board = team.board,
				 .task = task,
				 .sights_fd = sights_fd };

	if (!team.board)
		return -ENOMEM;
	team.helpers[0] = helper_start(&worker);
	team_wait(sweep, &team, 0, "clean runs", NULL);
	return team_end(sweep, &team, why);
}

int team_baseline(struct sweep *sweep, char *why)
{
	static const unsigned order[SWEEP_BASELINES] = { 0, 3, 1, 2 };
	int fd = memfd_create("mishap-sights", MFD_CLOEXEC), error;

	if (fd < 0)
		return -errno;
	error = baseline_part(sweep, TASK_FIRST, fd, why);
	if (!error && !sweep->interrupted)
		error = baseline_part(sweep, TASK_SECOND, fd, why);
	lseek(fd, 0, SEEK_SET);
	for (unsigned i = 0;
	     i < SWEEP_BASELINES && !error && !sweep->interrupted; i++)
		error = sight_read(fd, &sweep->base[order[i]]);
	close(fd);
	return error;
}

int team_cells(struct sweep *sweep, const uint32_t *order, uint32_t count,
	       uint64_t until_ns, const char *doing, char *why)
{
	unsigned jobs =
		sweep->options->jobs < count ? sweep->options->jobs : count;
	struct team team = { .board = board_make() };

	if (!team.board)
		return -ENOMEM;
	for (; team.count < jobs; team.count++) {
		struct worker worker = { .sweep = sweep,
					 .board = team.board,
					 .task = TASK_CELLS,
					 .number = team.count,
					 .order = order,
					 .count = count,
					 .until_ns = until_ns };

		team.helpers[team.count] = helper_start(&worker);
	}
	team_wait(sweep, &team, count, doing, NULL);
	return team_end(sweep, &team, why);
}

int team_portrait(struct sweep *sweep, uint32_t cell, const char *run_dir,
		  char *why)
{
	struct team team = { .board = board_make(), .count = 1 };
	struct worker worker = { .sweep = sweep,
				 .board = team.board,
				 .task = TASK_PORTRAIT,
				 .order = &cell,
				 .count = 1 };
	struct coroner *coroner = NULL;

	if (!team.board)
		return -ENOMEM;
	if (coroner_open(&sweep->areas[0].file, run_dir, &coroner) < 0)
		coroner = NULL;
	team.helpers[0] = helper_start(&worker);
	team_wait(sweep, &team, 1, NULL, coroner);
	coroner_close(coroner);
	atomic_store(&sweep->areas[0].file.state->attend_on, ATTEND_OFF);
	return team_end(sweep, &team, why);
}

int team_debugger(struct sweep *sweep, uint32_t cell, char *why)
{
	struct team team = { .board = board_make(), .count = 1 };
	struct worker worker = { .sweep = sweep,
				 .board = team.board,
				 .task = TASK_DEBUGGER,
				 .order = &cell,
				 .count = 1 };

	if (!team.board)
		return -ENOMEM;
	team.helpers[0] = helper_start(&worker);
	team_wait(sweep, &team, 1, NULL, NULL);
	return team_end(sweep, &team, why);
}
