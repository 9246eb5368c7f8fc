/* test_sites_target.c - the cache of plans; who lets us in and who doesn't. */
#include "tests/unit/test_sites.h"

#include <dirent.h>
#include <elf.h>

static void cache_at(const char *name)
{
	assert_int_equal(setenv("XDG_CACHE_HOME", test_path(name), 1), 0);
}

/* The one file in <cache>/mishap/sites whose name begins so. */
static bool cache_find(const char *cache, const char *build_id,
		       char ret_path[TEST_PATH_MAX])
{
	char dir[TEST_NAME_MAX];
	struct dirent *e;
	bool found = false;
	DIR *d;

	snprintf(dir, sizeof(dir), "%.60s/mishap/sites", cache);
	d = opendir(test_path(dir));
	while (d && !found && (e = readdir(d)))
		if (!strncmp(e->d_name, build_id, strlen(build_id))) {
			snprintf(ret_path, TEST_PATH_MAX, "%.200s/%.200s",
				 test_path(dir), e->d_name);
			found = true;
		}
	if (d)
		closedir(d);
	return found;
}

static void flip_byte(const char *path, long at)
{
	FILE *f = fopen(path, "r+");
	int c;

	assert_non_null(f);
	fseek(f, at, SEEK_SET);
	c = fgetc(f);
	fseek(f, at, SEEK_SET);
	fputc(c ^ 0x10, f);
	assert_int_equal(fclose(f), 0);
}

static char build_id[2 * 32 + 1];

static const char *plan_name(void)
{
	static char name[TEST_NAME_MAX];

	snprintf(name, sizeof(name), "%.64s.sites", build_id);
	return name;
}

static void a_plan_is_kept_and_found_again(void **state)
{
	char kept[TEST_PATH_MAX];
	struct sites_file file;
	struct stat st;

	(void)state;
	cache_at("cache");
	assert_int_equal(sites_plan_cached(test_library("libc.so.6"), test_dir,
					   build_id),
			 0);
	assert_true(cache_find("cache", build_id, kept));
	assert_int_equal(stat(test_path(plan_name()), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	/* What stands in the cache is what the next one gets. */
	assert_int_equal(sites_file_read(kept, &file), 0);
	assert_int_equal(file.bytes, st.st_size);
	sites_file_free(&file);
	assert_int_equal(unlink(test_path(plan_name())), 0);
	assert_int_equal(
		sites_plan_cached(test_library("libc.so.6"), test_dir, NULL),
		0);
	assert_int_equal(sites_file_read(test_path(plan_name()), &file), 0);
	sites_file_free(&file);
}

static void a_corrupt_plan_is_refused(void **state)
{
	static const long places[] = { 0, 9, 17, 24, 30, 100, 5000, 20000 };
	struct sites_file file;

	(void)state;
	for (size_t i = 0; i < TEST_COUNT(places); i++) {
		flip_byte(test_path(plan_name()), places[i]);
		if (places[i] != 30) /* the build-id itself isn't sealed */
			assert_true(sites_file_read(test_path(plan_name()),
						    &file) < 0);
		flip_byte(test_path(plan_name()), places[i]);
	}
	assert_int_equal(sites_file_read(test_path(plan_name()), &file), 0);
	sites_file_free(&file);
	assert_int_equal(truncate(test_path(plan_name()), 3000), 0);
	assert_int_equal(sites_file_read(test_path(plan_name()), &file),
			 -EBADMSG);
}

static void a_corrupt_cache_entry_is_built_anew(void **state)
{
	static const long places[] = { 9, 34, 5000 };
	char kept[TEST_PATH_MAX];
	struct sites_file file;

	(void)state;
	assert_true(cache_find("cache", build_id, kept));
	for (size_t i = 0; i < TEST_COUNT(places); i++) {
		flip_byte(kept, places[i]); /* 34: another's build-id */
		assert_int_equal(sites_plan_cached(test_library("libc.so.6"),
						   test_dir, NULL),
				 0);
		assert_int_equal(sites_file_read(test_path(plan_name()), &file),
				 0);
		assert_true(file.header->count > 100);
		sites_file_free(&file);
		assert_int_equal(sites_file_read(kept, &file), 0); /* mended */
		sites_file_free(&file);
	}
}

/* A plan that others may have written is nobody's word, even with its seal. */
static void a_cache_entry_of_others_is_built_anew(void **state)
{
	char kept[TEST_PATH_MAX], real[TEST_PATH_MAX + 8];
	struct sites_file file;
	struct stat st;

	(void)state;
	assert_true(cache_find("cache", build_id, kept));
	snprintf(real, sizeof(real), "%s.moved", kept);
	for (int way = 0; way < 3; way++) {
		int wanted = way == 1 ? -ELOOP : -EPERM;

		if (way == 0) {
			assert_int_equal(chmod(kept, 0664), 0);
		} else if (way == 1) {
			assert_int_equal(rename(kept, real), 0);
			assert_int_equal(symlink(real, kept), 0);
		} else if (chown(kept, 65534, (gid_t)-1) < 0) {
			break; /* only root can give a file away */
		}
		assert_int_equal(sites_file_read(kept, &file), wanted);
		assert_int_equal(sites_plan_cached(test_library("libc.so.6"),
						   test_dir, NULL),
				 0);
		assert_int_equal(lstat(kept, &st), 0);
		assert_true(S_ISREG(st.st_mode) && st.st_uid == geteuid());
		assert_int_equal(st.st_mode & 07777, 0644);
		assert_int_equal(sites_file_read(kept, &file), 0); /* mended */
		sites_file_free(&file);
	}
	unlink(real);
}

static void no_cache_is_no_reason_to_fail(void **state)
{
	struct sites_file file;

	(void)state;
	test_write("nodir", "", 0);
	cache_at("nodir"); /* a file where a directory should be */
	unlink(test_path(plan_name()));
	assert_int_equal(
		sites_plan_cached(test_library("libc.so.6"), test_dir, NULL),
		0);
	assert_int_equal(sites_file_read(test_path(plan_name()), &file), 0);
	sites_file_free(&file);
	cache_at("cache");
}

static void nonsense_is_no_library(void **state)
{
	static const char text[] =
		"\177ELF but not really, only some text here "
		"that is as long as a header would be";
	uint8_t head[4096] = { 0 };
	FILE *libc = fopen(test_library("libc.so.6"), "r");

	(void)state;
	test_write("text", text, sizeof(text));
	assert_int_equal(sites_plan_make(test_path("text"), test_dir),
			 -ENOEXEC);
	assert_int_equal(sites_plan_make("/dev/null", test_dir), -ENOEXEC);
	assert_int_equal(sites_plan_make(test_dir, test_dir), -ENOEXEC);
	assert_int_equal(sites_plan_make("/nonexistent", test_dir), -ENOENT);
	/* A library that was cut off. */
	assert_int_equal(fread(head, 1, sizeof(head), libc), sizeof(head));
	fclose(libc);
	test_write("head", head, sizeof(head));
	assert_int_equal(sites_plan_make(test_path("head"), test_dir),
			 -ENOEXEC);
}

/* Headers, tables and ends of a real library, with bytes changed: any answer
 * will do, as long as it is one.  `make asan` is who looks closely. */
static void a_damaged_library_does_no_harm(void **state)
{
	static uint8_t whole[1 << 20], damaged[1 << 20];
	FILE *file = fopen(test_library("ld-linux-x86-64.so.2"), "r");
	size_t n = fread(whole, 1, sizeof(whole), file);
	unsigned planned = 0, refused = 0;

	(void)state;
	fclose(file);
	srand(1);
	for (int round = 0; round < 150; round++) {
		size_t length = round % 10 ? n : (size_t)rand() % n;

		memcpy(damaged, whole, n);
		for (int i = 0; i < 1 + round % 8; i++) {
			size_t at = i % 2 ? (size_t)rand() % 1024
					  : (size_t)rand() % n;

			damaged[at] = (uint8_t)rand();
		}
		test_write("damaged", damaged, length);
		if (sites_plan_make(test_path("damaged"), test_dir) < 0)
			refused++;
		else
			planned++;
	}
	assert_true(planned > 10 && refused > 10);
}

/* ---- targets --------------------------------------------------------------*/

static void check_why(const char *path, const char *word)
{
	char *why = NULL;

	assert_false(target_reachable(path, &why));
	assert_non_null(why);
	if (!strstr(why, word))
		fail_msg("no '%s' in: %s", word, why);
	free(why);
}

static void check_reachable(const char *path)
{
	char *why = NULL;

	if (!target_reachable(path, &why))
		fail_msg("%s", why);
	assert_null(why);
}

static void a_usual_program_or_script_lets_us_in(void **state)
{
	static const char shell[] = "#!/bin/sh\nexit 0\n",
			  env[] = "#!/usr/bin/env -S sh -e\nexit 0\n";

	(void)state;
	check_reachable("/bin/ls");
	check_reachable("ls");
	check_reachable("/proc/self/exe");
	test_write("shell", shell, sizeof(shell) - 1);
	check_reachable(test_path("shell"));
	test_write("env", env, sizeof(env) - 1);
	check_reachable(test_path("env"));
	/* What isn't there is for exec to say. */
	check_reachable("/nonexistent");
}

static void a_static_program_is_told(void **state)
{
	char script[TEST_PATH_MAX + 8];

	(void)state;
	test_write("static.c", "int main(void) { return 0; }", 28);
	test_run("cc -static -o %s/static %s/static.c", test_dir, test_dir);
	check_why(test_path("static"), "statically linked");
	test_run("cc -static-pie -o %s/static %s/static.c", test_dir, test_dir);
	check_why(test_path("static"), "statically linked");
	snprintf(script, sizeof(script), "#!%s\n", test_path("static"));
	test_write("script", script, strlen(script));
	check_why(test_path("script"), "statically linked");
	assert_int_equal(sites_prepare(test_dir, test_path("static")),
			 -ENOEXEC);
}

static void a_setuid_or_setgid_program_is_told(void **state)
{
	(void)state;
	if (getuid() != 0) {
		print_message(
			"# not root: only /usr/bin/passwd is looked at\n");
		check_why("/usr/bin/passwd", "setuid");
		return;
	}
	test_run("cp /bin/true %s/su", test_dir);
	check_reachable(test_path("su"));
	/* chown(2) clears the bits, so it comes first. */
	assert_int_equal(chown(test_path("su"), 65534, 65534), 0);
	assert_int_equal(chmod(test_path("su"), 04755), 0);
	check_why(test_path("su"), "setuid");
	assert_int_equal(chmod(test_path("su"), 02755), 0);
	check_why(test_path("su"), "setgid");
	assert_int_equal(chmod(test_path("su"), 02745), 0); /* not executable */
	check_reachable(test_path("su"));
}

static void
a_go_program_and_another_machine_are_told_musl_is_let_in(void **state)
{
	Elf64_Half machine = EM_AARCH64;
	FILE *f;

	(void)state;
	test_write("dynamic.c", "int main(void) { return 0; }", 28);
	test_run("cc -Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1 "
		 "-o %s/musl %s/dynamic.c",
		 test_dir, test_dir);
	check_reachable(test_path("musl"));
	test_write("go.c",
		   "__attribute__((section(\".note.go.buildid\"))) int x = 1;"
		   "int main(void) { return 0; }",
		   83);
	test_run("cc -o %s/go %s/go.c 2>/dev/null", test_dir, test_dir);
	check_why(test_path("go"), "Go");
	test_run("cp %s/go %s/arm", test_dir, test_dir);
	f = fopen(test_path("arm"), "r+");
	fseek(f, offsetof(Elf64_Ehdr, e_machine), SEEK_SET);
	fwrite(&machine, sizeof(machine), 1, f);
	fclose(f);
	check_why(test_path("arm"), "not an x86-64");
}

static void every_library_that_makes_system_calls_gets_a_plan(void **state)
{
	struct sites_libraries found;
	bool libc = false, loader = false;

	(void)state;
	assert_int_equal(mkdir(test_path("plans"), 0755), 0);
	assert_int_equal(sites_prepare(test_path("plans"), "sort"), 0);
	assert_int_equal(sites_describe(test_path("plans"), "sort", &found), 0);
	for (size_t i = 0; i < found.count; i++) {
		const struct sites_library *l = &found.items[i];
		const struct sites_counts *c = &l->counts;
		char name[TEST_NAME_MAX];

		libc |= strstr(l->path, "libc.so.6") != NULL;
		loader |= strstr(l->path, "ld-linux") != NULL;
		snprintf(name, sizeof(name), "plans/%.64s.sites", l->build_id);
		assert_int_equal(access(test_path(name), R_OK), 0);
		assert_int_equal(c->before + c->around + c->funnel + c->left +
					 c->skipped,
				 c->total);
		assert_true(c->before > 0);
		for (unsigned id = 0; !c->left && id < CALL_COUNT; id++)
			assert_false(l->left[id]);
	}
	assert_true(libc && loader);
	sites_libraries_free(&found);
	assert_int_equal(sites_prepare(test_path("plans"), "/nonexistent"),
			 -ENOENT);
	assert_int_equal(sites_prepare(test_path("plans"), "no-such-command"),
			 -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plan_is_kept_and_found_again),
		cmocka_unit_test(a_corrupt_plan_is_refused),
		cmocka_unit_test(a_corrupt_cache_entry_is_built_anew),
		cmocka_unit_test(a_cache_entry_of_others_is_built_anew),
		cmocka_unit_test(no_cache_is_no_reason_to_fail),
		cmocka_unit_test(nonsense_is_no_library),
		cmocka_unit_test(a_damaged_library_does_no_harm),
		cmocka_unit_test(a_usual_program_or_script_lets_us_in),
		cmocka_unit_test(a_static_program_is_told),
		cmocka_unit_test(a_setuid_or_setgid_program_is_told),
		cmocka_unit_test(
			a_go_program_and_another_machine_are_told_musl_is_let_in),
		cmocka_unit_test(
			every_library_that_makes_system_calls_gets_a_plan),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("sites_target", tests, test_enter,
					   test_leave);
}
