#include "runner/stall.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runner/clock.h"
#include "runner/words.h"

#define LOOK_NS (20 * NS_PER_MS)

/* What one look adds up. */
struct look {
	uint64_t turns, threads;
	bool runs; /* one is on a CPU, or waits for one */
};

void stall_open(const struct scenario *scenario, struct stall *ret_stall)
{
	*ret_stall = (struct stall){ 0 };
	for (size_t i = 0; i < scenario->expects_count; i++) {
		const struct expect *expect = &scenario->expects[i];
		uint64_t ns = (uint64_t)(expect->number * 1e9);

		if (expect->subject == EXPECT_stall && ns &&
		    (!ret_stall->limit_ns || ns < ret_stall->limit_ns))
			ret_stall->limit_ns = ns;
	}
}

static bool file_line(int dir, const char *tid, const char *name, char *buf,
		      size_t size)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%.20s/%s", tid, name);
	fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, buf, size - 1);
	close(fd);
	buf[n > 0 ? n : 0] = '\0';
	return n > 0;
}

/* The library's code in a process: [from, to); false: it isn't there. */
static bool library_range(pid_t pid, uint64_t *ret_from, uint64_t *ret_to)
{
	char path[64], line[512];
	unsigned long from, to;
	bool found = false;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	maps = fopen(path, "re");
	while (maps && fgets(line, sizeof(line), maps)) {
		if (!strstr(line, "/libmishap.so") ||
		    sscanf(line, "%lx-%lx", &from, &to) != 2)
			continue;
		*ret_from = found && *ret_from < from ? *ret_from : from;
		*ret_to = found && *ret_to > to ? *ret_to : to;
		found = true;
	}
	if (maps)
		fclose(maps);
	return found;
}

/* Does it sleep in a fault of ours?  The hook wakes now and then to look after
 * the lease: that isn't the target's progress. */
static bool is_held_by_us(pid_t pid, int dir, const char *tid)
{
	char buf[256], *last;
	uint64_t from, to, pc;

	if (!file_line(dir, tid, "syscall", buf, sizeof(buf)) ||
	    atoi(buf) != SYS_clock_nanosleep)
		return false;
	last = strrchr(buf, ' ');
	pc = last ? strtoull(last + 1, NULL, 16) : 0;
	return pc && library_range(pid, &from, &to) && pc >= from && pc < to;
}

/* Turns on a CPU so far: the third number of schedstat.  Without it, ticks of
 * CPU time, fields 14 and 15 of proc(5)'s stat. */
static uint64_t turns_of(int dir, const char *tid, const char *stat)
{
	unsigned long long ran, waited, turns, user, system;
	char buf[128];

	if (file_line(dir, tid, "schedstat", buf, sizeof(buf)) &&
	    sscanf(buf, "%llu %llu %llu", &ran, &waited, &turns) == 3)
		return turns;
	if (sscanf(stat,
		   " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu",
		   &user, &system) == 2)
		return user + system;
	return 0;
}

static void look_at(pid_t pid, struct look *look)
{
	char path[64], stat[512];
	struct dirent *entry;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	tasks = opendir(path);
	while (tasks && look->threads < STALL_THREADS_MAX &&
	       (entry = readdir(tasks))) {
		int dir = dirfd(tasks);
		const char *at;

		if (entry->d_name[0] == '.' ||
		    !file_line(dir, entry->d_name, "stat", stat, sizeof(stat)))
			continue;
		at = strrchr(stat, ')');
		if (!at || at[1] != ' ' || at[2] == 'Z' || at[2] == 'X')
			continue;
		look->threads++;
		if (is_held_by_us(pid, dir, entry->d_name))
			continue;
		look->runs |= at[2] == 'R';
		look->turns += turns_of(dir, entry->d_name, at + 1);
	}
	if (tasks)
		closedir(tasks);
}

/* To look at its stacks gives each thread a turn: ours, not its own.  The tree
 * is paused, for its reaper would take ptrace(2)'s stops for itself. */
static void stacks_keep(struct stall *stall, struct tree *tree,
			const pid_t *pids, size_t count,
			struct stall_seen *seen)
{
	struct look look = { 0 };

	stall->kept = true;
	words_clear(&seen->stacks);
	tree_pause(tree, true);
	for (size_t i = 0; i < count; i++)
		threads_stacks(pids[i], &seen->stacks);
	tree_pause(tree, false);
	clock_sleep_until(clock_now_ns() + NS_PER_MS);
	for (size_t i = 0; i < count; i++)
		look_at(pids[i], &look);
	if (look.threads == stall->threads)
		stall->turns = look.turns;
}

void stall_look(struct stall *stall, struct tree *tree, bool has_work,
		struct stall_seen *seen)
{
	uint64_t now = clock_now_ns(), lasted;
	pid_t pids[STALL_PIDS_MAX];
	struct look look = { 0 };
	size_t count;

	if (!stall->limit_ns || now < stall->next_ns)
		return;
	stall->next_ns = now + LOOK_NS;
	count = has_work ? tree_pids(tree, TREE_TARGET, pids, STALL_PIDS_MAX)
			 : 0;
	for (size_t i = 0; i < count; i++)
		look_at(pids[i], &look);
	if (!look.threads) { /* nothing to do, or nobody to do it */
		stall->moved_ns = 0;
		return;
	}
	seen->known = true;
	if (!stall->moved_ns || look.runs || look.turns != stall->turns ||
	    look.threads != stall->threads) {
		stall->turns = look.turns;
		stall->threads = look.threads;
		stall->moved_ns = now;
		stall->kept = false;
		return;
	}
	lasted = now - stall->moved_ns;
	if (lasted <= seen->longest_ns)
		return;
	seen->longest_ns = lasted;
	seen->since_ns = stall->moved_ns;
	if (lasted >= stall->limit_ns && !stall->kept)
		stacks_keep(stall, tree, pids, count, seen);
}
