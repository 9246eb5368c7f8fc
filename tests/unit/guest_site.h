/* guest_site.h - calls through site_slow, as a stub would make them, for tests
 * of the hook in the test's own process.
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

/* To site_slow with the registers regs[]: rax, rdi, rsi, rdx, r10, r8, r9; if
 * it lets the call pass, that is made here.  regs[] are then as they came
 * back.  Returns whether the call was made here. */
bool site_go(struct site_stub *stub, uint64_t regs[7]);
__asm__(".text\n"
	"site_go:\n"
	"	.cfi_startproc\n"
	"	push %rbx\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	push %r12\n"
	"	.cfi_adjust_cfa_offset 8\n"
	"	mov %rdi, %r11\n"
	"	mov %rsi, %rbx\n"
	"	xor %r12d, %r12d\n"
	"	lea 1f(%rip), %rcx\n"
	"	mov %rcx, (%r11)\n"
	"	lea 2f(%rip), %rcx\n"
	"	mov %rcx, 8(%r11)\n"
	"	mov %rcx, 16(%r11)\n"
	"	mov (%rbx), %rax\n"
	"	mov 8(%rbx), %rdi\n"
	"	mov 16(%rbx), %rsi\n"
	"	mov 24(%rbx), %rdx\n"
	"	mov 32(%rbx), %r10\n"
	"	mov 40(%rbx), %r8\n"
	"	mov 48(%rbx), %r9\n"
	"	jmp site_slow\n"
	"1:	inc %r12d\n"
	"	syscall\n"
	"2:	mov %rax, (%rbx)\n"
	"	mov %rdi, 8(%rbx)\n"
	"	mov %rsi, 16(%rbx)\n"
	"	mov %rdx, 24(%rbx)\n"
	"	mov %r10, 32(%rbx)\n"
	"	mov %r8, 40(%rbx)\n"
	"	mov %r9, 48(%rbx)\n"
	"	mov %r12d, %eax\n"
	"	pop %r12\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	pop %rbx\n"
	"	.cfi_adjust_cfa_offset -8\n"
	"	ret\n"
	"	.cfi_endproc\n");

/* Make a system call as the target does at a patched site.  `made` says, if
 * it isn't NULL, whether the target's own instruction made it. */
static inline long site_call_made(bool *ret_made, long nr, long a, long b,
				  long c, long d, long e, long f)
{
	struct site_stub stub = { .nr = -1 };
	uint64_t regs[7] = { (uint64_t)nr, (uint64_t)a, (uint64_t)b,
			     (uint64_t)c,  (uint64_t)d, (uint64_t)e,
			     (uint64_t)f };
	bool made = guest_state->armed_nr[nr] == 0;

	if (made)
		regs[0] = (uint64_t)sys6(nr, a, b, c, d, e, f);
	else
		made = site_go(&stub, regs);
	if (ret_made)
		*ret_made = made;
	return (long)regs[0];
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
	quick_fill();
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
	char path[512];
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
