/* test_sites_plan.c - what the planner makes of code, and of this libc. */
#include "tests/unit/test_sites.h"

#include "tests/unit/test_sites_cases.h"

/* ---- awkward code ---------------------------------------------------------*/

/* The symbols at `syscall`s: KIND_name or KIND_name_nrN. */
static const struct {
	const char *prefix;
	enum site_kind kind;
} kinds[] = {
	{ "before_", SITE_BEFORE }, { "around_", SITE_AROUND },
	{ "left_", SITE_LEFT },	    { "skipped_", SITE_SKIPPED },
	{ "funnel_", SITE_FUNNEL },
};

static void each_awkward_site_is_judged_as_its_name_says(void **state)
{
	char line[TEST_PATH_MAX + 8], name[128];
	struct sites_file file;
	unsigned long address;
	unsigned seen = 0;
	FILE *nm;

	(void)state;
	test_write("cases.s", sites_cases, sizeof(sites_cases) - 1);
	test_run("cc -shared -nostdlib -Wl,-Bsymbolic -Wl,--build-id=sha1 "
		 "-o %s/cases.so %s/cases.s",
		 test_dir, test_dir);
	assert_int_equal(test_plan(test_path("cases.so"), &file), 0);
	snprintf(line, sizeof(line), "nm %s", test_path("cases.so"));
	nm = popen(line, "r");
	while (fgets(line, sizeof(line), nm)) {
		const struct site *site;
		const char *nr;
		size_t k = 0;

		if (sscanf(line, "%lx t %127s", &address, name) != 2)
			continue;
		while (k < TEST_COUNT(kinds) &&
		       strncmp(name, kinds[k].prefix, strlen(kinds[k].prefix)))
			k++;
		if (k == TEST_COUNT(kinds))
			continue;
		site = test_site_at(&file, address);
		assert_non_null(site);
		if (site->kind != kinds[k].kind)
			fail_msg("%s is of kind %d", name, site->kind);
		nr = strstr(name, "_nr");
		if (nr)
			assert_int_equal(site->nr, atoi(nr + 3));
		else
			assert_int_equal(site->nr, -1);
		seen++;
	}
	pclose(nm);
	assert_int_equal(seen, 18);
	assert_int_equal(file.header->count, seen); /* none but those */
	sites_file_free(&file);
}

static void a_funnel_is_redirected_at_its_only_caller(void **state)
{
	struct sites_file file;
	unsigned found = 0;

	(void)state;
	assert_int_equal(test_plan(test_path("cases.so"), &file), 0);
	for (uint32_t i = 0; i < file.header->count; i++) {
		const struct site *site = &file.sites[i];

		if (site->kind != SITE_FUNNEL)
			continue;
		found++;
		assert_int_equal(site->bytes[0], 0xe8);
		assert_int_equal(site->length, 5);
		assert_true(site->start > site->syscall);
		assert_int_equal(site->function % 16, 0);
	}
	assert_int_equal(found, 1);
	sites_file_free(&file);
}

/* ---- this libc, against objdump -------------------------------------------*/

struct listing { /* what `objdump -d` says of a library */
	uint64_t *starts, *targets, *syscalls;
	size_t starts_count, targets_count, syscalls_count;
};

static int address_order(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static bool has(const uint64_t *sorted, size_t count, uint64_t address)
{
	return bsearch(&address, sorted, count, sizeof(address), address_order);
}

static void listing_read(const char *path, struct listing *ret_listing)
{
	enum { ROOM = 1 << 22 };
	struct listing l = {
		.starts = calloc(ROOM, sizeof(uint64_t)),
		.targets = calloc(ROOM, sizeof(uint64_t)),
		.syscalls = calloc(4096, sizeof(uint64_t)),
	};
	char line[1024];
	FILE *out;

	snprintf(line, sizeof(line), "objdump -d -w --no-show-raw-insn %s",
		 path);
	out = popen(line, "r");
	assert_non_null(out);
	while (fgets(line, sizeof(line), out)) {
		unsigned long address, to;
		char insn[64] = "", rest[64] = "";
		int n = sscanf(line, " %lx:\t%63s %63s", &address, insn, rest);

		if (n < 2 || l.starts_count == ROOM || l.targets_count == ROOM)
			continue;
		l.starts[l.starts_count++] = address;
		if (!strcmp(insn, "syscall") && l.syscalls_count < 4096)
			l.syscalls[l.syscalls_count++] = address;
		if ((insn[0] == 'j' || !strcmp(insn, "call") ||
		     !strncmp(insn, "loop", 4) || !strcmp(insn, "bnd")) &&
		    n == 3 && sscanf(rest, "%lx", &to) == 1)
			l.targets[l.targets_count++] = to;
	}
	assert_int_equal(pclose(out), 0);
	qsort(l.targets, l.targets_count, sizeof(uint64_t), address_order);
	*ret_listing = l;
}

/* No boundary of what is displaced is amid an instruction, nothing jumps into
 * it. */
static void check_window(const struct listing *l, const struct site *site)
{
	assert_true(has(l->starts, l->starts_count, site->start));
	assert_true(has(l->starts, l->starts_count, site->end));
	if (site->kind == SITE_FUNNEL)
		return;
	for (uint64_t at = site->start + 1;
	     at < site->end &&
	     (site->kind == SITE_AROUND || at <= site->syscall);
	     at++)
		if (has(l->targets, l->targets_count, at))
			fail_msg("a jump leads to %lx, inside of a patch", at);
}

static void compare_with_objdump(const char *path)
{
	unsigned counts[SITE_FUNNEL + 1] = { 0 };
	struct sites_file file;
	struct listing l;

	assert_int_equal(test_plan(path, &file), 0);
	listing_read(path, &l);
	for (uint32_t i = 0; i < file.header->count; i++) {
		const struct site *site = &file.sites[i];

		assert_true(has(l.syscalls, l.syscalls_count, site->syscall));
		counts[site->kind]++;
		if (site->kind != SITE_LEFT && site->kind != SITE_SKIPPED)
			check_window(&l, site);
	}
	for (size_t i = 0; i < l.syscalls_count; i++)
		if (!test_site_at(&file, l.syscalls[i]))
			fail_msg("%lx isn't accounted for", l.syscalls[i]);
	assert_int_equal(file.header->count, l.syscalls_count);
	print_message("# %s: %zu syscalls, %u before, %u around, %u funnel, "
		      "%u skipped, %u left\n",
		      path, l.syscalls_count, counts[SITE_BEFORE],
		      counts[SITE_AROUND], counts[SITE_FUNNEL],
		      counts[SITE_SKIPPED], counts[SITE_LEFT]);
	/* Few may be left, or the door isn't worth its name. */
	assert_true(counts[SITE_LEFT] * 100 <= l.syscalls_count);
	assert_true(counts[SITE_SKIPPED] * 3 <= l.syscalls_count);
	free(l.starts);
	free(l.targets);
	free(l.syscalls);
	sites_file_free(&file);
}

static void
every_syscall_of_libc_is_accounted_for_and_none_is_invented(void **s)
{
	(void)s;
	compare_with_objdump(test_library("libc.so.6"));
}

static void every_syscall_of_the_loader_is_accounted_for(void **s)
{
	(void)s;
	compare_with_objdump(test_library("ld-linux-x86-64.so.2"));
}

static void every_syscall_of_another_libc_is_accounted_for(void **s)
{
	char path[TEST_PATH_MAX];

	(void)s;
	snprintf(path, sizeof(path), "%s/libc.so.6",
		 getenv("MISHAP_OTHER_LIBC"));
	compare_with_objdump(path);
}

static void a_constant_number_is_the_one_that_objdump_shows(void **state)
{
	char line[1024];
	struct sites_file file;
	unsigned long address, nr, before = 0, number = 0, seen = 0;
	FILE *out;

	(void)state;
	assert_int_equal(test_plan(test_library("libc.so.6"), &file), 0);
	snprintf(line, sizeof(line), "objdump -d -w --no-show-raw-insn %s",
		 test_library("libc.so.6"));
	out = popen(line, "r");
	while (fgets(line, sizeof(line), out)) {
		if (strstr(line, ",%eax") &&
		    sscanf(line, " %lx:\tmov    $0x%lx,", &address, &nr) == 2) {
			before = address;
			number = nr;
		} else if (strstr(line, "\tsyscall") &&
			   sscanf(line, " %lx:", &address) == 1 &&
			   address == before + 5 &&
			   test_site_at(&file, address)->nr >= 0) {
			assert_int_equal(test_site_at(&file, address)->nr,
					 number);
			seen++;
		}
	}
	pclose(out);
	assert_true(seen > 100);
	sites_file_free(&file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_awkward_site_is_judged_as_its_name_says),
		cmocka_unit_test(a_funnel_is_redirected_at_its_only_caller),
		cmocka_unit_test(
			every_syscall_of_libc_is_accounted_for_and_none_is_invented),
		cmocka_unit_test(every_syscall_of_the_loader_is_accounted_for),
		cmocka_unit_test(
			a_constant_number_is_the_one_that_objdump_shows),
	};
	const struct CMUnitTest others[] = {
		cmocka_unit_test(
			every_syscall_of_another_libc_is_accounted_for),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	if (getenv("MISHAP_OTHER_LIBC")) /* asked for by cancel.sh */
		return cmocka_run_group_tests_name("other libc", others,
						   test_enter, test_leave);
	return cmocka_run_group_tests_name("sites_plan", tests, test_enter,
					   test_leave);
}
