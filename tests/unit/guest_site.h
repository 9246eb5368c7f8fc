/* guest_site.h - calls through site_hook(), as a stub would make them, for
 * tests of the hook in the test's own process.
 */
#ifndef MISHAP_TESTS_GUEST_SITE_H
#define MISHAP_TESTS_GUEST_SITE_H

#include <errno.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "preload/guest.h"
#include "tests/unit/guest_shared.h"
#include "tests/unit/test.h"

/* What boot.c provides in the library. */
struct state *guest_state;
struct plan guest_plan;
const struct shared_header *guest_shared;
struct process *guest_process;
char guest_shared_path[GUEST_PATH_MAX];
uint64_t guest_exe_rules;

static struct shared_header header;
static char plan_bytes[GUEST_PLAN_BYTES] __attribute__((aligned(4096)));

/* A stub's frame: registers, the red zone, and what the target had. */
struct site_frame {
	struct site_regs regs;
	char red_zone[SITE_RED_ZONE];
	uint64_t target[16];
};

/* Make a system call as the target does at a patched site.  `made` says, if
 * it isn't NULL, whether the target's own instruction made it. */
static inline long site_call_made(bool *ret_made, long nr, long a, long b,
				  long c, long d, long e, long f)
{
	static const struct site_stub stub = { .nr = -1 };
	struct site_frame frame = { .regs = { .rax = (uint64_t)nr,
					      .rdi = (uint64_t)a,
					      .rsi = (uint64_t)b,
					      .rdx = (uint64_t)c,
					      .r10 = (uint64_t)d,
					      .r8 = (uint64_t)e,
					      .r9 = (uint64_t)f,
					      .stub = &stub,
					      .rip = (uint64_t)&syscall } };
	struct site_regs *regs = &frame.regs;
	bool made = guest_state->armed_nr[nr] == 0 ||
		    site_hook(regs) == SITE_PROCEED;

	if (ret_made)
		*ret_made = made;
	if (!made)
		return (long)regs->rax;
	return sys6((long)regs->rax, (long)regs->rdi, (long)regs->rsi,
		    (long)regs->rdx, (long)regs->r10, (long)regs->r8,
		    (long)regs->r9);
}

#define SITE_ARGS(a, b, c, d, e, f, ...)                                       \
	(long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f)
#define site_call(nr, ...)                                                     \
	site_call_made(NULL, nr, SITE_ARGS(__VA_ARGS__, 0, 0, 0, 0, 0, 0))

/* Begin anew: these rules, nothing counted, everything in phase 0. */
static inline void plan_of(unsigned count, const char *const *rules)
{
	struct guest_file file = { .plan = plan_bytes };
	struct state *state = guest_state;

	if (!state)
		state = mmap(NULL, sizeof(*state), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	else
		memset(state, 0, sizeof(*state));
	guest_shared = &header;
	guest_state = state;
	guest_process = NULL;
	memset(&guest_thread, 0, sizeof(guest_thread));
	guest_plan_write(plan_bytes, sizeof(plan_bytes), 42, 2, rules, count);
	assert_int_equal(plan_open(plan_bytes, sizeof(plan_bytes), &guest_plan),
			 0);
	process_check_in(state);
	assert_non_null(guest_process);
	fdcount_forget_all();
	object_forget_range(0, GUEST_FDS_MAX);
	file.state = state;
	file.opened = guest_plan;
	guest_lease_take(state);
	guest_arm(&file, 0);
}

#define PLAN(...)                                                              \
	plan_of(sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(char *),      \
		(const char *[]){ __VA_ARGS__ })

static inline bool next_event(struct event *ret_event)
{
	uint64_t lost = 0;

	return ring_pop(&guest_state->ring, true, ret_event, &lost) == 1;
}

static inline unsigned count_events(void)
{
	struct event event;
	unsigned n = 0;

	while (next_event(&event))
		n++;
	return n;
}

/* A file in a new directory; the descriptor is open for both. */
static char scratch_dir[64];

static inline int file_make(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", scratch_dir, name);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	return fd;
}

static inline int scratch_make(void **state)
{
	(void)state;
	strcpy(scratch_dir, "/tmp/test-guest.XXXXXX");
	return mkdtemp(scratch_dir) ? 0 : -1;
}

static inline int scratch_remove(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", scratch_dir);
	return system(command);
}

#define GUEST_TESTS_RUN(tests)                                                 \
	(cmocka_set_message_output(CM_OUTPUT_TAP),                             \
	 cmocka_run_group_tests(tests, scratch_make, scratch_remove))

#endif
