/* test_sites_aarch64.c - what the planner makes of 64-bit ARM's code, and of a
 * libc of that machine; with its assembler, where that is installed. */
#include "tests/unit/test_sites.h"

#define CROSS "aarch64-linux-gnu-"
#define LIBC  "/usr/aarch64-linux-gnu/lib/libc.so.6"

static const char cases[] =
	"	.macro begin name\n"
	"	.p2align 4\n"
	"	.type \\name, %function\n"
	"\\name:	.cfi_startproc\n"
	"	.endm\n"
	"	.macro done name\n"
	"	ret\n"
	"	.cfi_endproc\n"
	"	.size \\name, .-\\name\n"
	"	.endm\n"
	"	.text\n"
	"begin plain\n"
	"	mov x8, #64\n"
	"before_plain_nr64:	svc #0\n"
	"done plain\n"
	/* the short form of the same */
	"begin narrow\n"
	"	mov w8, #63\n"
	"before_narrow_nr63:	svc #0\n"
	"done narrow\n"
	/* a jump leads past the load of the number */
	"begin joined\n"
	"	cbz x0, around_joined\n"
	"	mov x8, #64\n"
	"around_joined:	svc #0\n"
	"done joined\n"
	"begin tested\n"
	"	tbnz x0, #3, around_tested\n"
	"	mov x8, #64\n"
	"around_tested:	svc #0\n"
	"done tested\n"
	"begin looped\n"
	"	mov x8, #64\n"
	"around_looped:	svc #0\n"
	"	b.ne around_looped\n"
	"done looped\n"
	/* a jump to the load itself comes to the stub as it should */
	"begin again\n"
	"1:	mov x8, #64\n"
	"before_again_nr64:	svc #0\n"
	"	b.eq 1b\n"
	"done again\n"
	/* the number stands further back */
	"begin early\n"
	"	mov x8, #56\n"
	"	mov x1, x2\n"
	"	adrp x2, plain\n"
	"around_early_nr56:	svc #0\n"
	"done early\n"
	/* ... but a call may have changed it */
	"begin called\n"
	"	mov x8, #56\n"
	"	bl plain\n"
	"around_called:	svc #0\n"
	"done called\n"
	/* whatever the caller says */
	"begin any\n"
	"	sxtw x8, w0\n"
	"around_any:	svc #0\n"
	"done any\n"
	"begin cloning\n"
	"	mov x8, #220\n"
	"skipped_clone_nr220:	svc #0\n"
	"done cloning\n"
	"begin futexing\n"
	"	mov x8, #98\n"
	"	mov x4, #0\n"
	"skipped_futex_nr98:	svc #0\n"
	"done futexing\n"
	/* another trap is none of ours */
	"begin trapped\n"
	"	svc #1\n"
	"done trapped\n"
	/* the funnel of glibc >= 2.41, and the one who calls it */
	"	.macro a_funnel label\n"
	"	ldr w0, [x0]\n"
	"	tbnz w0, #3, plain\n"
	"	mov x8, x1\n"
	"	mov x0, x2\n"
	"	mov x1, x3\n"
	"	mov x2, x4\n"
	"	mov x3, x5\n"
	"	mov x4, x6\n"
	"	mov x5, x7\n"
	"\\label:	svc #0\n"
	"	.endm\n"
	"begin funnel\n"
	"a_funnel funnel_called\n"
	"done funnel\n"
	"begin caller\n"
	"	bl funnel\n"
	"done caller\n"
	/* ... and one to which two ways lead */
	"begin funnel2\n"
	"a_funnel left_funnel\n"
	"done funnel2\n"
	"begin caller2\n"
	"	cbz x0, funnel2\n"
	"	bl funnel2\n"
	"done caller2\n"
	/* no table, no symbol */
	"	.p2align 4\n"
	"	.zero 16\n"
	"	mov x8, #64\n"
	"left_bare_nr64:	svc #0\n"
	"	ret\n"
	"	.section .note.GNU-stack,\"\",%progbits\n";

static const struct {
	const char *prefix;
	enum site_kind kind;
} kinds[] = {
	{ "before_", SITE_BEFORE }, { "around_", SITE_AROUND },
	{ "left_", SITE_LEFT },	    { "skipped_", SITE_SKIPPED },
	{ "funnel_", SITE_FUNNEL },
};

static bool is_there(const char *program)
{
	char line[128];

	snprintf(line, sizeof(line), "command -v %s >/dev/null", program);
	if (system(line) == 0)
		return true;
	printf("# reason: %s isn't installed\n", program);
	return false;
}

/* A label's name says what is to be made of the site. */
static void check_label(const struct sites_file *file, unsigned long address,
			const char *name, unsigned *seen)
{
	const struct site *site;
	const char *nr = strstr(name, "_nr");
	size_t k = 0;

	while (k < TEST_COUNT(kinds) &&
	       strncmp(name, kinds[k].prefix, strlen(kinds[k].prefix)))
		k++;
	if (k == TEST_COUNT(kinds))
		return;
	site = test_site_at(file, address);
	if (!site || site->kind != kinds[k].kind ||
	    site->nr != (nr ? atoi(nr + 3) : -1))
		fail_msg("%s is of kind %d, its number %d", name,
			 site ? site->kind : -1, site ? site->nr : 0);
	assert_int_equal(site->why != WHY_NOT,
			 site->kind == SITE_AROUND || site->kind == SITE_LEFT);
	++*seen;
}

static void each_site_is_judged_as_its_name_says(void **state)
{
	char line[TEST_PATH_MAX + 64], name[128];
	struct sites_file file;
	unsigned long address;
	unsigned seen = 0;
	FILE *nm;

	(void)state;
	if (!is_there(CROSS "gcc"))
		skip();
	test_write("cases.s", cases, sizeof(cases) - 1);
	test_run(CROSS "gcc -shared -nostdlib -Wl,-Bsymbolic "
		       "-Wl,--build-id=sha1 -o %s/cases.so %s/cases.s",
		 test_dir, test_dir);
	assert_int_equal(test_plan(test_path("cases.so"), &file), 0);
	assert_int_equal(file.header->machine, EM_AARCH64);
	snprintf(line, sizeof(line), CROSS "nm %s", test_path("cases.so"));
	nm = popen(line, "r");
	while (fgets(line, sizeof(line), nm))
		if (sscanf(line, "%lx t %127s", &address, name) == 2)
			check_label(&file, address, name, &seen);
	pclose(nm);
	assert_int_equal(seen, 14);
	assert_int_equal(file.header->count, seen); /* none but those */
	sites_file_free(&file);
}

static void every_svc_of_its_libc_is_accounted_for(void **state)
{
	char line[512];
	struct sites_file file;
	unsigned long address;
	unsigned seen = 0, left = 0;
	FILE *dump;

	(void)state;
	if (!is_there(CROSS "objdump") || !is_there(LIBC))
		skip();
	assert_int_equal(test_plan(LIBC, &file), 0);
	dump = popen(CROSS "objdump -d " LIBC, "r");
	while (fgets(line, sizeof(line), dump)) {
		int end = 0;

		sscanf(line, " %lx: d4000001 svc%n", &address, &end);
		if (!end)
			continue;
		seen++;
		if (!test_site_at(&file, address))
			fail_msg("the svc at %lx isn't in the plan", address);
	}
	pclose(dump);
	for (uint32_t i = 0; i < file.header->count; i++)
		left += file.sites[i].kind == SITE_LEFT;
	assert_true(seen > 300);
	assert_int_equal(file.header->count, seen);
	assert_int_equal(left, 0);
	sites_file_free(&file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_site_is_judged_as_its_name_says),
		cmocka_unit_test(every_svc_of_its_libc_is_accounted_for),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, test_enter, test_leave);
}
