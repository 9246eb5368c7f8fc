#include "runner/late.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runner/sites_plan.h"
#include "runner/tree_proc.h"

/* To decode more takes minutes, and nobody can wait for that. */
#define FILE_BYTES_MAX (16 << 20)
#define LOOK_NS	       100000000 /* a wake-up that got lost costs so much */

static void wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

/* Is the file that we found the one that was asked for? */
static bool is_of(const struct shared_late *entry, const char *build_id)
{
	char text[2 * sizeof(entry->build_id) + 1] = "";
	uint32_t bytes = entry->build_id_bytes;

	if (bytes > sizeof(entry->build_id))
		return false;
	for (uint32_t i = 0; i < bytes; i++)
		sprintf(text + 2 * i, "%02x", entry->build_id[i]);
	return strcmp(text, build_id) == 0;
}

static void serve(const struct late *late, struct shared_late *entry)
{
	char path[sizeof(entry->path) + 32], build_id[2 * 32 + 1] = "";
	char asked[sizeof(entry->path)];
	struct stat st;
	int error;

	memcpy(asked, entry->path, sizeof(asked));
	asked[sizeof(asked) - 1] = '\0';
	if (late->root_pid)
		snprintf(path, sizeof(path), "/proc/%d/root%s", late->root_pid,
			 asked);
	else
		snprintf(path, sizeof(path), "%s", asked);
	if (*asked == '/' && stat(path, &st) == 0 &&
	    st.st_size > FILE_BYTES_MAX) {
		atomic_store(&entry->status, LATE_EMPTY);
		wake(&entry->status);
		return;
	}
	error = *asked == '/'
			? sites_plan_cached(path, late->sites_dir, build_id)
			: -ENOENT;
	atomic_store(&entry->status, !error && is_of(entry, build_id)
					     ? LATE_PLANNED
					     : LATE_FAILED);
	wake(&entry->status);
}

static void *late_main(void *arg)
{
	struct late *late = arg;
	struct state *state = late->state;

	signals_block();
	while (!atomic_load(&late->closing)) {
		const struct timespec look = { .tv_nsec = LOOK_NS };
		uint32_t asked = atomic_load(&state->late_asked);

		for (size_t i = 0; i < SHARED_LATE_MAX; i++)
			if (atomic_load(&state->late[i].key) &&
			    atomic_load(&state->late[i].status) == LATE_ASKED)
				serve(late, &state->late[i]);
		syscall(SYS_futex, &state->late_asked, FUTEX_WAIT, asked, &look,
			NULL, 0);
	}
	return NULL;
}

int late_open(struct state *state, const char *sites_dir, pid_t root_pid,
	      struct late *ret_late)
{
	struct late *late = ret_late;
	int error;

	late->state = state;
	late->sites_dir = sites_dir;
	late->root_pid = root_pid;
	atomic_store(&late->closing, false);
	error = pthread_create(&late->thread, NULL, late_main, late);
	late->open = !error;
	return -error;
}

void late_close(struct late *late)
{
	if (!late->open)
		return;
	atomic_store(&late->closing, true);
	atomic_fetch_add(&late->state->late_asked, 1);
	wake(&late->state->late_asked);
	pthread_join(late->thread, NULL);
	late->open = false;
}
