/* test_symbolize.c - addresses of this very program, told by name. */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "runner/run.h"
#include "runner/words.h"

#define NOINLINE __attribute__((noinline, noclone))

static struct state *state;
static char dir[] = "/tmp/mishap-symbolize.XXXXXX";
static uint64_t bias; /* of this program */

enum { EXE, LIBC, STRIPPED, OTHER, PIPE, LINKED, MODULES };

/* ---- functions with addresses that we know ------------------------------ */

NOINLINE uint64_t return_offset(void);
NOINLINE uint64_t return_offset(void)
{
	return (uint64_t)__builtin_return_address(0) - 1 - bias;
}

static int plain_line, inner_line, outer_line;

NOINLINE uint64_t plain_function(void);
NOINLINE uint64_t plain_function(void)
{
	uint64_t offset;

	plain_line = __LINE__ + 1;
	offset = return_offset();
	__asm__ volatile("" : : : "memory");
	return offset;
}

static inline __attribute__((always_inline)) uint64_t inner_inline(void)
{
	uint64_t offset;

	inner_line = __LINE__ + 1;
	offset = return_offset();
	__asm__ volatile("" : : : "memory");
	return offset;
}

NOINLINE uint64_t outer_function(void);
NOINLINE uint64_t outer_function(void)
{
	outer_line = __LINE__ + 1;
	return inner_inline() + 0;
}

/* ---- the shared state, as a target would have left it -------------------- */

static void module_put(unsigned at, const char *path, const uint8_t *id,
		       uint32_t bytes)
{
	struct shared_module *module = &state->modules[at];

	module->key = at + 1;
	memcpy(module->build_id, id, bytes);
	module->build_id_bytes = bytes;
	snprintf(module->path, sizeof module->path, "%s", path);
	module->ready = 1;
}

static int note_find(struct dl_phdr_info *info, size_t size, void *data)
{
	struct {
		const char *name;
		uint8_t id[32];
		uint32_t bytes;
		uint64_t bias;
	} *want = data;

	(void)size;
	if (*want->name ? !strstr(info->dlpi_name, want->name)
			: info->dlpi_name[0])
		return 0;
	want->bias = info->dlpi_addr;
	for (unsigned i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *h = &info->dlpi_phdr[i];
		const uint8_t *at = (void *)(info->dlpi_addr + h->p_vaddr);
		const uint8_t *end = at + h->p_memsz;

		while (h->p_type == PT_NOTE && at + 12 < end) {
			const ElfW(Nhdr) *note = (const void *)at;

			if (note->n_type == NT_GNU_BUILD_ID) {
				memcpy(want->id, at + 16, note->n_descsz);
				want->bytes = note->n_descsz;
			}
			at += 12 + ((note->n_namesz + 3) & ~3u) +
			      ((note->n_descsz + 3) & ~3u);
		}
	}
	return 1;
}

static uint32_t stack_put(unsigned at, unsigned count, const unsigned *modules,
			  const uint64_t *offsets)
{
	struct shared_stack *stack = &state->stacks[at];

	stack->hash = at + 1;
	stack->count = count;
	for (unsigned i = 0; i < count; i++) {
		stack->frames[i].module = modules[i];
		stack->frames[i].offset = offsets[i];
	}
	stack->ready = 1;
	return at + 1;
}

/* One stack, named. */
static char *named(unsigned count, const unsigned *modules,
		   const uint64_t *offsets)
{
	uint32_t number = stack_put(100, count, modules, offsets);

	assert_int_equal(symbolize_stacks(state, dir), 0);
	return symbolize_site(dir, number);
}

static void assert_named(const char *want, unsigned count,
			 const unsigned *modules, const uint64_t *offsets)
{
	char *got = named(count, modules, offsets);

	if (want) {
		assert_non_null(got);
		assert_string_equal(got, want);
	} else {
		assert_null(got);
	}
	free(got);
}

static void run_command(const char *format, const char *a, const char *b)
{
	char command[1024];

	snprintf(command, sizeof command, format, a, b, dir);
	assert_int_equal(system(command), 0);
}

static int setup(void **unused)
{
	struct {
		const char *name;
		uint8_t id[32];
		uint32_t bytes;
		uint64_t bias;
	} exe = { .name = "" }, libc = { .name = "libc.so" };
	char path[256], self[256] = "";
	uint8_t other[20] = { 1, 2, 3 };

	(void)unused;
	if (!mkdtemp(dir) || readlink("/proc/self/exe", self, 255) < 0)
		return -1;
	state = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	dl_iterate_phdr(note_find, &exe);
	dl_iterate_phdr(note_find, &libc);
	bias = exe.bias;
	module_put(EXE, self, exe.id, exe.bytes);
	module_put(LIBC, "/lib/x86_64-linux-gnu/libc.so.6", libc.id,
		   libc.bytes);
	snprintf(path, sizeof path, "%s/stripped", dir);
	run_command("objcopy -S %s %s", self, path);
	module_put(STRIPPED, path, exe.id, exe.bytes);
	module_put(OTHER, self, other, sizeof other);
	snprintf(path, sizeof path, "%s/pipe", dir);
	mkfifo(path, 0600);
	module_put(PIPE, path, exe.id, exe.bytes);
	snprintf(path, sizeof path, "%s/linked", dir);
	run_command("mkdir %3$s/.debug && cp %1$s %2$s && cd %3$s && "
		    "objcopy --only-keep-debug linked .debug/linked.debug && "
		    "objcopy -S --add-gnu-debuglink=.debug/linked.debug linked",
		    self, path);
	module_put(LINKED, path, exe.id, exe.bytes);
	return exe.bytes ? 0 : -1;
}

static int teardown(void **unused)
{
	(void)unused;
	run_command("rm -rf %3$s; : %1$s %2$s", "", "");
	return 0;
}

/* ---- */

static void a_frame_has_function_file_and_line(void **unused)
{
	uint64_t offset = plain_function();
	unsigned module = EXE + 1;
	char want[128];

	(void)unused;
	snprintf(want, sizeof want,
		 "plain_function (tests/unit/test_symbolize.c:%d)", plain_line);
	assert_named(want, 1, &module, &offset);
}

static void inlined_functions_are_told_from_the_inside_out(void **unused)
{
	uint64_t offset = outer_function();
	unsigned module = EXE + 1;
	json_t *json, *functions;
	char path[256], want[128];

	(void)unused;
	snprintf(want, sizeof want,
		 "inner_inline (tests/unit/test_symbolize.c:%d) < "
		 "outer_function",
		 inner_line);
	assert_named(want, 1, &module, &offset);
	snprintf(path, sizeof path, "%s/stacks.json", dir);
	json = json_load_file(path, 0, NULL);
	functions = json_object_get(
		json_array_get(json_object_get(json, "frames"), 0),
		"functions");
	assert_int_equal(json_array_size(functions), 2);
	assert_int_equal(json_integer_value(json_object_get(
				 json_array_get(functions, 1), "line")),
			 outer_line);
	json_decref(json);
}

static void libc_is_passed_over_and_recursion_is_told_once(void **unused)
{
	Dl_info info;
	uint64_t plain = plain_function(), outer = outer_function();
	unsigned modules[] = { LIBC + 1, EXE + 1, EXE + 1,
			       EXE + 1,	 EXE + 1, LIBC + 1 };
	uint64_t offsets[] = { 0, outer, plain, plain, 0, 0 };
	char want[256];

	(void)unused;
	assert_int_not_equal(dladdr(dlsym(RTLD_DEFAULT, "write"), &info), 0);
	offsets[0] = offsets[5] =
		(uint64_t)info.dli_saddr + 4 - (uint64_t)info.dli_fbase;
	assert_int_not_equal(dladdr((void *)setup, &info), 0);
	offsets[4] = (uint64_t)setup + 4 - bias;
	snprintf(want, sizeof want,
		 "inner_inline (tests/unit/test_symbolize.c:%d) < "
		 "outer_function < plain_function < setup",
		 inner_line);
	assert_named(want, 6, modules, offsets);
}

extern void _start(void);

static void the_start_of_a_program_is_not_its_own(void **unused)
{
	unsigned modules[] = { EXE + 1, EXE + 1 };
	uint64_t offsets[] = { plain_function(), (uint64_t)_start + 4 - bias };
	char want[128];

	(void)unused;
	snprintf(want, sizeof want,
		 "plain_function (tests/unit/test_symbolize.c:%d)", plain_line);
	assert_named(want, 2, modules, offsets);
}

static void a_stack_of_libc_alone_is_told_by_libc(void **unused)
{
	Dl_info info;
	unsigned module = LIBC + 1;
	uint64_t offset;
	char *got;

	(void)unused;
	assert_int_not_equal(dladdr(dlsym(RTLD_DEFAULT, "getenv"), &info), 0);
	offset = (uint64_t)info.dli_saddr + 4 - (uint64_t)info.dli_fbase;
	got = named(1, &module, &offset);
	assert_non_null(strstr(got, "getenv ("));
	free(got);
}

static void without_debug_info_the_module_and_the_offset_are_told(void **unused)
{
	uint64_t offset = plain_function();
	unsigned module = STRIPPED + 1;
	char want[64];

	(void)unused;
	snprintf(want, sizeof want, "stripped+0x%lx", (unsigned long)offset);
	assert_named(want, 1, &module, &offset);
}

static void a_separate_debug_file_is_found_by_its_link(void **unused)
{
	uint64_t offset = plain_function();
	unsigned module = LINKED + 1;
	char want[128];

	(void)unused;
	snprintf(want, sizeof want,
		 "plain_function (tests/unit/test_symbolize.c:%d)", plain_line);
	assert_named(want, 1, &module, &offset);
}

static void a_file_that_was_replaced_is_not_believed(void **unused)
{
	uint64_t offset = plain_function();
	unsigned module = OTHER + 1;
	char want[64];

	(void)unused;
	snprintf(want, sizeof want, "test_symbolize+0x%lx",
		 (unsigned long)offset);
	assert_named(want, 1, &module, &offset);
}

static void a_pipe_in_a_programs_place_holds_nobody_up(void **unused)
{
	uint64_t offset = plain_function();
	unsigned module = PIPE + 1;
	char want[64];

	(void)unused;
	snprintf(want, sizeof want, "pipe+0x%lx", (unsigned long)offset);
	assert_named(want, 1, &module, &offset);
}

static void generated_code_is_called_so(void **unused)
{
	uint64_t offset = 0;
	unsigned module = 0;

	(void)unused;
	assert_named("generated code", 1, &module, &offset);
}

static void what_is_unknown_is_null(void **unused)
{
	char path[256];
	FILE *out;

	(void)unused;
	assert_int_equal(symbolize_stacks(state, dir), 0);
	assert_null(symbolize_site(dir, 0));
	assert_null(symbolize_site(dir, 77));
	assert_null(symbolize_site("/nonexistent", 1));
	snprintf(path, sizeof path, "%s/stacks.json", dir);
	out = fopen(path, "w");
	fputs("{\"version\": 1, \"stacks\": [{\"stack\": 1, \"frames\": [9]},"
	      " {\"stack\": 2, \"frames\": \"x\"}, 3], \"frames\": {}}",
	      out);
	fclose(out);
	assert_null(symbolize_site(dir, 1));
	assert_null(symbolize_site(dir, 2));
	out = fopen(path, "w");
	fputs("not json", out);
	fclose(out);
	assert_null(symbolize_site(dir, 1));
	assert_int_equal(symbolize_stacks(state, "/nonexistent"), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_has_function_file_and_line),
		cmocka_unit_test(
			inlined_functions_are_told_from_the_inside_out),
		cmocka_unit_test(
			libc_is_passed_over_and_recursion_is_told_once),
		cmocka_unit_test(the_start_of_a_program_is_not_its_own),
		cmocka_unit_test(a_stack_of_libc_alone_is_told_by_libc),
		cmocka_unit_test(
			without_debug_info_the_module_and_the_offset_are_told),
		cmocka_unit_test(a_separate_debug_file_is_found_by_its_link),
		cmocka_unit_test(a_file_that_was_replaced_is_not_believed),
		cmocka_unit_test(a_pipe_in_a_programs_place_holds_nobody_up),
		cmocka_unit_test(generated_code_is_called_so),
		cmocka_unit_test(what_is_unknown_is_null),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
