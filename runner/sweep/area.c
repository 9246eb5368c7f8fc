#include "runner/sweep/area.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/arm.h"
#include "runner/sweep/sweep.h"

static size_t page_up(size_t n)
{
	return (n + SHARED_PAGE - 1) & ~(size_t)(SHARED_PAGE - 1);
}

static int map(struct area *area, const struct shared_file *run, int fd)
{
	size_t state_off = page_up(SHARED_PAGE + run->header->plan_bytes);
	size_t sweep_off = state_off + page_up(sizeof(struct state));
	struct shared_file *file = &area->file;
	void *at;

	file->bytes = sweep_off + sizeof(struct sweep_area);
	/* Sparse: pages that a run has used are given back after it. */
	if (fchmod(fd, 0666) != 0 || ftruncate(fd, (off_t)file->bytes) != 0)
		return -errno;
	at = mmap(NULL, file->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	file->header = at;
	file->state = (void *)((char *)at + state_off);
	area->sweep = (void *)((char *)at + sweep_off);
	memcpy((char *)at + SHARED_PAGE, shared_file_plan(run),
	       run->header->plan_bytes);
	*file->header = *run->header;
	file->header->plan_off = SHARED_PAGE;
	file->header->state_off = state_off;
	file->header->sweep_off = sweep_off;
	file->header->sweep_bytes = sizeof(struct sweep_area);
	return 0;
}

int area_open(const struct shared_file *run, unsigned number,
	      struct area *ret_area)
{
	struct area *area = ret_area;
	int fd, error;

	*area = (struct area){ .file.owner_fd = -1 };
	snprintf(area->file.path, sizeof(area->file.path), "%s/w%u", run->dir,
		 number);
	strcpy(area->file.sites_dir, run->sites_dir);
	fd = open(area->file.path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666);
	if (fd < 0)
		return -errno;
	error = map(area, run, fd);
	close(fd);
	if (!error &&
	    asprintf(&area->envp_shared, SHARED_ENV "=%s", area->file.path) < 0)
		error = -ENOMEM;
	if (!error)
		error = shared_check(area->file.header, area->file.bytes);
	return error;
}

void area_close(struct area *area)
{
	late_close(&area->late);
	if (*area->file.path)
		unlink(area->file.path);
	shared_file_unmap(&area->file);
	free(area->envp_shared);
	*area = (struct area){ .file.owner_fd = -1 };
}

static void forget(void *from, void *to)
{
	if (madvise(from, (size_t)((char *)to - (char *)from), MADV_REMOVE) !=
	    0)
		memset(from, 0, (size_t)((char *)to - (char *)from));
}

void area_reset(struct area *area)
{
	struct state *state = area->file.state;

	forget(state->processes,
	       (char *)area->file.header + area->file.header->sweep_off);
	forget(area->sweep, (char *)area->sweep + sizeof(*area->sweep));
	atomic_store(&state->vfork_skipped, 0);
	atomic_store(&state->processes_lost, 0);
}

void area_arm(struct area *area, bool all)
{
	struct state *state = area->file.state;

	memset(state->armed_call, 0, sizeof(state->armed_call));
	plan_arm_nothing(state->armed_nr);
	state->armed_nr[SYS_getrandom] = NR_ASKED;
	for (unsigned nr = 0; all && nr < CALL_NR_MAX; nr++) {
		const struct call_kernel *row = &call_kernel_table[nr];

		if (row->id < CALL_COUNT && faults_listens(row->id))
			state->armed_nr[nr] = NR_ASKED;
	}
	for (unsigned id = 0; all && id < CALL_COUNT; id++)
		state->armed_call[id] = faults_listens(id);
	atomic_store(&state->armed, 1);
}

void area_learn(struct area *area, const struct area *from)
{
	memcpy(area->file.state->late, from->file.state->late,
	       sizeof(from->file.state->late));
}
