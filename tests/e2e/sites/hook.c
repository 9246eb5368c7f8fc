/* hook.c - the site door with a hook that only counts, for sites.sh and
 * cancel.sh.  It is preloaded, and told by its environment:
 *
 * SITES_DIR    where the plans are
 * SITES_COUNTS a file of 512 counters, by kernel number, then a struct process
 * SITES_ARM    none (default), all
 * SITES_HOW    pass (default): the call runs where it stands
 *              around: the hook makes it
 *              naive: the hook makes it with a bare `syscall` of its own
 *              delay: a blocking call waits 300 ms in the hook first
 *              fail: write is refused with ENOSPC
 *              quick: no rule wants any fd below 1024, the hook isn't asked
 *
 * Its constructor ends with close(-4242), for who reads along with strace.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "core/sys.h"
#include "preload/around.h"
#include "preload/guest.h"
#include "preload/site_quick.h"

struct counts {
	_Atomic uint64_t by_nr[CALL_NR_MAX];
	_Atomic uint64_t patch_ns, processes, mismatches, others;
	_Atomic uint32_t patched, left;
};

struct state *guest_state;
struct process *guest_process; /* none: nothing is patched late */
const struct shared_header *guest_shared;
struct known guest_fds[GUEST_FDS_MAX];
_Atomic uint32_t object_salt;
uint8_t site_quick_flags[CALL_NR_MAX];
static const char nobody_knows;
const char *guest_single_threaded = &nobody_knows;
struct quick_row site_quick_rows[CALL_NR_MAX];
static struct counts *counts;
static bool around, naive, delay, fail;

static bool is_blocking(int nr)
{
	unsigned id = nr < CALL_NR_MAX ? call_kernel_table[nr].id : CALL_NONE;

	return id == CALL_read || id == CALL_accept || id == CALL_epoll_wait;
}

long site_hook(struct site_regs *regs)
{
	uint64_t nr = site_nr(regs);

	if (nr < CALL_NR_MAX)
		atomic_fetch_add(&counts->by_nr[nr], 1);
	if (fail && nr == SYS_write) {
		site_return(regs, -ENOSPC);
		return SITE_RETURN;
	}
	if (delay && is_blocking((int)nr)) {
		const struct timespec ts = { .tv_nsec = 300000000 };

		sys3(SYS_nanosleep, (long)&ts, 0, 0);
	}
	if (naive)
		site_return(regs, sys6((long)nr, (long)*site_arg(regs, 1),
				       (long)*site_arg(regs, 2),
				       (long)*site_arg(regs, 3),
				       (long)*site_arg(regs, 4),
				       (long)*site_arg(regs, 5),
				       (long)*site_arg(regs, 6)));
	else if (around)
		site_return(regs, around_call(regs));
	else
		return SITE_PROCEED;
	return SITE_RETURN;
}

/* As when every fd was looked at, and there is a rule that wants another. */
static void quick_fill_all(struct process *process)
{
	const uint8_t flags = QUICK_PASSES | QUICK_BY_FD;

	guest_process = process;
	memset(guest_state->armed_call, 1, sizeof(guest_state->armed_call));
	for (unsigned nr = 0; nr < CALL_NR_MAX; nr++) {
		if (site_is_skipped(nr))
			continue;
		site_quick_rows[nr].rules = 2;
		site_quick_rows[nr].flags = site_quick_flags[nr] =
			nr == SYS_close ? flags | QUICK_FORGETS : flags;
	}
	for (unsigned fd = 0; fd < GUEST_FDS_MAX; fd++) {
		guest_fds[fd].key = 1;
		guest_fds[fd].rules = ~2ull;
	}
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	sys3(SYS_clock_gettime, CLOCK_MONOTONIC, (long)&ts, 0);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static bool says(const char *name, const char *value)
{
	const char *is = getenv(name);

	return is && !strcmp(is, value);
}

__attribute__((constructor)) static void begin(void)
{
	static struct process process;
	const char *dir = getenv("SITES_DIR"), *path = getenv("SITES_COUNTS");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	uint64_t start_ns;

	guest_state = mmap(NULL, sizeof(*guest_state), PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE,
		      fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);
	if (fd >= 0)
		sys3(SYS_close, fd, 0, 0);
	around = says("SITES_HOW", "around");
	naive = says("SITES_HOW", "naive");
	delay = says("SITES_HOW", "delay");
	fail = says("SITES_HOW", "fail");
	start_ns = now_ns();
	if (dir)
		sites_patch(dir, &process);
	atomic_fetch_add(&counts->patch_ns, now_ns() - start_ns);
	atomic_fetch_add(&counts->processes, 1);
	atomic_fetch_add(&counts->mismatches, process.sites == SITES_MISMATCH);
	atomic_fetch_add(&counts->others,
			 process.sites != SITES_MISMATCH &&
				 process.sites != SITES_PATCHED);
	atomic_store(&counts->patched, process.sites_patched);
	atomic_store(&counts->left, process.sites_left);
	if (says("SITES_HOW", "quick"))
		quick_fill_all(&process);
	if (says("SITES_ARM", "all"))
		memset(guest_state->armed_nr, 1, sizeof(guest_state->armed_nr));
	sys3(SYS_close, -4242, 0, 0);
}
