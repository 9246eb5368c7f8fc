/* test_stack_walk.c - the walker and its tables, in a process of its own. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "preload/stack.h"
#include "tests/unit/test.h"

/* A sanitizer's own calls, in the walker too, use what we look at. */
#ifdef __SANITIZE_THREAD__
#define INSTRUMENTED true
#else
#define INSTRUMENTED false
#endif

/* What boot.c provides in the library. */
struct state *guest_state;
const struct shared_header *guest_shared;

#define NOINLINE     __attribute__((noinline))
#define KEEP_FRAME() __asm__ volatile("" : : : "memory")

static int setup(void **state)
{
	static struct shared_header header;

	(void)state;
	guest_state = mmap(NULL, sizeof *guest_state, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	guest_shared = &header;
	stack_own_address = NULL; /* this program is the target */
	return guest_state == MAP_FAILED ? -1 : 0;
}

static const struct shared_stack *stack_of(uint32_t number)
{
	assert_in_range(number, 1, SHARED_STACKS_MAX);
	assert_int_equal(guest_state->stacks[number - 1].ready, 1);
	return &guest_state->stacks[number - 1];
}

static const struct shared_module *module_of(const struct shared_frame *frame)
{
	assert_in_range(frame->module, 1, SHARED_MODULES_MAX);
	assert_int_equal(guest_state->modules[frame->module - 1].ready, 1);
	return &guest_state->modules[frame->module - 1];
}

/* Is the frame's offset inside this function of ours? */
static bool is_in(const struct shared_frame *frame, const void *function)
{
	Dl_info info;
	uint64_t start;

	assert_int_not_equal(dladdr(function, &info), 0);
	start = (uint64_t)function - (uint64_t)info.dli_fbase;
	return frame->offset >= start && frame->offset < start + 1000;
}

NOINLINE uint32_t number_inner(int depth);
NOINLINE uint32_t number_inner(int depth)
{
	uint32_t number;

	number = depth ? number_inner(depth - 1) : stack_number_here();
	KEEP_FRAME();
	return number;
}

NOINLINE uint32_t number_outer(void);
NOINLINE uint32_t number_outer(void)
{
	uint32_t number = number_inner(0);

	KEEP_FRAME();
	return number;
}

/* In a child, because what a module is to us is remembered; the first test,
 * because a child inherits what was remembered. */
static void frames_of_the_library_itself_are_left_out(void **state)
{
	int status;

	(void)state;
	if (fork() == 0) {
		const struct shared_stack *stack;
		bool foreign = true;

		stack_own_address = (const void *)number_inner;
		stack = stack_of(number_outer());
		for (unsigned i = 0; i < stack->count; i++)
			foreign &= !strstr(module_of(&stack->frames[i])->path,
					   "test_stack_walk");
		_exit(stack->count >= 1 && foreign ? 0 : 1);
	}
	assert_true(wait(&status) > 0);
	assert_int_equal(status, 0);
}

static void a_stack_names_the_functions_that_called(void **state)
{
	const struct shared_stack *stack = stack_of(number_outer());

	(void)state;
	assert_true(stack->count >= 5);
	assert_true(is_in(&stack->frames[0], stack_number_here));
	assert_true(is_in(&stack->frames[1], number_inner));
	assert_true(is_in(&stack->frames[2], number_outer));
	assert_true(is_in(&stack->frames[3],
			  a_stack_names_the_functions_that_called));
}

/* All of these calls come from one place. */
NOINLINE void numbers_of(int depth, uint32_t *ret_numbers, volatile int count);
NOINLINE void numbers_of(int depth, uint32_t *ret_numbers, volatile int count)
{
	for (int i = 0; i < count; i++)
		ret_numbers[i] = number_inner(depth);
}

static void the_same_stack_has_the_same_number(void **state)
{
	uint32_t numbers[100], other;

	(void)state;
	numbers_of(3, numbers, 100);
	for (int i = 0; i < 100; i++)
		assert_int_equal(numbers[0], numbers[i]);
	numbers_of(4, &other, 1);
	assert_int_not_equal(numbers[0], other);
}

static void a_module_has_its_path_and_its_build_id(void **state)
{
	const struct shared_stack *stack = stack_of(number_outer());
	const struct shared_module *own = module_of(&stack->frames[0]);
	bool libc_seen = false;
	char exe[256] = "";

	(void)state;
	assert_true(readlink("/proc/self/exe", exe, sizeof exe - 1) > 0);
	assert_string_equal(own->path, exe);
	assert_true(own->build_id_bytes >= 16);
	for (unsigned i = 0; i < stack->count; i++) {
		const struct shared_module *module =
			module_of(&stack->frames[i]);

		libc_seen |= strstr(module->path, "libc.so.6") != NULL;
	}
	assert_true(libc_seen);
}

static void a_walk_ends_at_sixteen_frames(void **state)
{
	(void)state;
	assert_int_equal(stack_of(number_inner(40))->count, SHARED_FRAMES_MAX);
}

static void nothing_is_written_without_a_runner(void **state)
{
	const struct shared_header *shared = guest_shared;

	(void)state;
	guest_shared = NULL;
	assert_int_equal(number_outer(), 0);
	guest_shared = shared;
	assert_int_not_equal(number_outer(), 0);
}

/* ---- frame= ------------------------------------------------------------ */

static int looks_seen;

static int compare_looks(const void *a, const void *b)
{
	static int count;

	(void)a;
	(void)b;
	count += stack_has_frame_here("qsort_r") ? 1 : 0;
	count += stack_has_frame_here("libc.so*") ? 2 : 0;
	count += stack_has_frame_here("test_stack_walk") ? 4 : 0;
	count += stack_has_frame_here("qsort_of_another") ? 8 : 0;
	count += stack_has_frame_here("libm.so*") ? 16 : 0;
	looks_seen = count;
	count = 0;
	return 0;
}

static void a_frame_is_found_by_function_or_by_module(void **state)
{
	int items[2] = { 1, 2 };

	(void)state;
	for (int warm = 0; warm < 3; warm++) {
		looks_seen = -1;
		qsort(items, 2, sizeof items[0], compare_looks);
		assert_int_equal(looks_seen, 1 + 2 + 4);
	}
}

/* ---- signals ----------------------------------------------------------- */

static struct stack_frame handler_frames[SHARED_FRAMES_MAX];
static unsigned handler_count;

static void handler(int sig)
{
	struct {
		uint64_t pc, sp, bp;
	} here;

	(void)sig;
	__asm__ volatile("lea 0f(%%rip), %0\n0: mov %%rsp, %1; mov %%rbp, %2"
			 : "=&r"(here.pc), "=&r"(here.sp), "=&r"(here.bp));
	handler_count = stack_walk(here.pc, here.sp, here.bp, handler_frames,
				   SHARED_FRAMES_MAX);
}

NOINLINE void raise_in(int on_altstack);
NOINLINE void raise_in(int on_altstack)
{
	struct sigaction action = { .sa_handler = handler,
				    .sa_flags = on_altstack ? SA_ONSTACK : 0 };

	sigaction(SIGUSR1, &action, NULL);
	handler_count = 0;
	raise(SIGUSR1);
	KEEP_FRAME();
}

static bool handler_saw(const void *function)
{
	for (unsigned i = 0; i < handler_count; i++) {
		struct shared_frame frame = {
			.offset = handler_frames[i].offset,
		};

		if (is_in(&frame, function))
			return true;
	}
	return false;
}

static void a_handler_sees_who_was_interrupted(void **state)
{
	(void)state;
	raise_in(0);
	assert_true(handler_saw(handler));
	assert_true(handler_saw(raise_in));
	assert_true(handler_saw(a_handler_sees_who_was_interrupted));
}

static void a_handler_on_its_own_stack_sees_it_too(void **state)
{
	stack_t alternate = { .ss_sp = malloc(1 << 16), .ss_size = 1 << 16 };
	stack_t off = { .ss_flags = SS_DISABLE };

	(void)state;
	assert_int_equal(sigaltstack(&alternate, NULL), 0);
	raise_in(1);
	sigaltstack(&off, NULL);
	free(alternate.ss_sp);
	assert_true(handler_saw(raise_in));
	assert_true(handler_saw(a_handler_on_its_own_stack_sees_it_too));
}

/* ---- registers ---------------------------------------------------------- */

#define EACH_VECTOR(move)                                                      \
	move("0") move("1") move("2") move("3") move("4") move("5") move("6")  \
		move("7") move("8") move("9") move("10") move("11") move("12") \
			move("13") move("14") move("15")
#define FILL(n)	 "movups 16*" n "(%%rbx), %%xmm" n "\n\t"
#define STORE(n) "movups %%xmm" n ", 16*" n "(%%r12)\n\t"

/* The kernel preserves vector registers, so a site's hook must too; libc's
 * part of a walk that isn't cached uses them. */
static void a_cold_walk_preserves_vector_registers(void **state)
{
	uint8_t before[256], after[256] = { 0 };
	register void *to __asm__("r12") = after;
	register void *number __asm__("r13") = (void *)stack_number_here;

	(void)state;
	if (INSTRUMENTED)
		TEST_SKIP("a sanitizer uses those registers");
	for (int i = 0; i < 256; i++)
		before[i] = (uint8_t)(i * 7 + 1);
	__asm__ volatile(EACH_VECTOR(FILL) "call *%%r13\n\t" EACH_VECTOR(STORE)
			 :
			 : "b"(before), "r"(to), "r"(number)
			 : "memory", "cc", "rax", "rcx", "rdx", "rsi", "rdi",
			   "r8", "r9", "r10", "r11", "xmm0", "xmm1", "xmm2",
			   "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
			   "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14",
			   "xmm15");
	assert_memory_equal(before, after, sizeof before);
}

/* ---- stacks that lie ---------------------------------------------------- */

/* Any registers at all, at any address of ours: whatever comes of it, we are
 * still here.  sp itself is real, as it is where a thread runs. */
static void corrupt_stacks_and_registers_do_not_crash(void **state)
{
	struct stack_frame frames[SHARED_FRAMES_MAX];
	uint64_t seed = 12345, junk[4096];
	const void *starts[] = {
		(void *)qsort,
		(void *)printf,
		(void *)system,
		(void *)corrupt_stacks_and_registers_do_not_crash,
		(void *)fopen,
		(void *)getenv
	};

	(void)state;
	for (int i = 0; i < 20000; i++) {
		uint64_t pc, bp;

		for (unsigned j = 0; j < 64; j++) {
			seed = seed * 6364136223846793005ull + 1;
			junk[j * 64] = seed >> (seed >> 59);
			if (j % 3 == 0) /* near a real stack, near real code */
				junk[j * 64 + 1] =
					(uint64_t)junk + (seed >> 40);
			if (j % 3 == 1)
				junk[j * 64 + 1] =
					(uint64_t)qsort + (seed >> 48);
		}
		pc = (uint64_t)starts[i % 6] + (seed >> 32) % 4096;
		bp = i & 1 ? seed : (uint64_t)junk + (seed >> 50) * 8;
		stack_walk(pc, (uint64_t)junk + (seed >> 34) % 4096 * 8, bp,
			   frames, SHARED_FRAMES_MAX);
	}
}

/* The page above is a guard: a frame that claims to reach into it ends. */
static void a_walk_stops_before_a_page_that_cannot_be_read(void **state)
{
	struct stack_frame frames[SHARED_FRAMES_MAX];
	uint8_t *pages = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct stack_range range;
	uint64_t value;

	(void)state;
	assert_int_equal(mprotect(pages + 2 * 4096, 4096, PROT_NONE), 0);
	range = stack_range_at((uint64_t)pages + 64);
	assert_true(stack_range_read(&range, (uint64_t)pages + 4096, &value));
	assert_false(stack_range_read(&range, (uint64_t)pages + 8192, &value));
	assert_false(stack_range_read(&range, (uint64_t)pages - 8, &value));
	assert_false(stack_range_read(&range, (uint64_t)pages + 65, &value));
	memset(pages, 0x7f, 8192);
	stack_walk((uint64_t)qsort + 64, (uint64_t)pages + 8192 - 64,
		   (uint64_t)pages + 8192 + 64, frames, SHARED_FRAMES_MAX);
	munmap(pages, 3 * 4096);
}

/* ---- many at once ------------------------------------------------------- */

static void *number_often(void *arg)
{
	static __thread uint32_t numbers[20000];

	(void)arg;
	numbers_of(5, numbers, 20000);
	for (int i = 0; i < 20000; i++) {
		if (numbers[i] != numbers[0])
			return NULL;
	}
	return (void *)(uintptr_t)numbers[0];
}

static void threads_agree_on_one_number(void **state)
{
	pthread_t threads[4];
	void *numbers[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, number_often, NULL),
			0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], &numbers[i]);
	for (int i = 0; i < 4; i++) {
		assert_non_null(numbers[i]);
		assert_ptr_equal(numbers[i], numbers[0]);
	}
}

/* Every slot of the table is taken by others: no number, no harm. */
static void a_full_table_gives_no_number(void **state)
{
	struct state *real = guest_state;
	struct state *full = mmap(NULL, sizeof *full, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)state;
	for (unsigned i = 0; i < SHARED_STACKS_MAX; i++)
		full->stacks[i].hash = 1 + i;
	guest_state = full;
	assert_int_equal(number_outer(), 0);
	guest_state = real;
	munmap(full, sizeof *full);
}

/* A writer that died left a slot taken and not ready. */
static void a_slot_left_by_a_dead_writer_is_mended(void **state)
{
	struct shared_stack *slot = NULL;
	uint64_t offset = 0;
	uint32_t number = 0;

	(void)state;
	for (volatile int i = 0; i < 2; i++) {
		uint32_t again = number_outer();

		assert_true(i == 0 || again == number);
		number = again;
		slot = &guest_state->stacks[number - 1];
		if (i == 0) {
			offset = slot->frames[0].offset;
			slot->ready = 0;
			slot->count = 0;
			slot->frames[0].offset = 0;
		}
	}
	assert_int_equal(stack_of(number)->frames[0].offset, offset);
	assert_int_not_equal(offset, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_of_the_library_itself_are_left_out),
		cmocka_unit_test(a_stack_names_the_functions_that_called),
		cmocka_unit_test(the_same_stack_has_the_same_number),
		cmocka_unit_test(a_module_has_its_path_and_its_build_id),
		cmocka_unit_test(a_walk_ends_at_sixteen_frames),
		cmocka_unit_test(nothing_is_written_without_a_runner),
		cmocka_unit_test(a_frame_is_found_by_function_or_by_module),
		cmocka_unit_test(a_handler_sees_who_was_interrupted),
		cmocka_unit_test(a_handler_on_its_own_stack_sees_it_too),
		cmocka_unit_test(a_cold_walk_preserves_vector_registers),
		cmocka_unit_test(corrupt_stacks_and_registers_do_not_crash),
		cmocka_unit_test(
			a_walk_stops_before_a_page_that_cannot_be_read),
		cmocka_unit_test(threads_agree_on_one_number),
		cmocka_unit_test(a_full_table_gives_no_number),
		cmocka_unit_test(a_slot_left_by_a_dead_writer_is_mended),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, NULL);
}
