/* The shared file, its directory, the lease and the ports, from the runner. */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/clock.h"
#include "runner/lease.h"
#include "runner/ports.h"
#include "runner/shared_file.h"

static const char plan[5000] = "any bytes: the plan is checked by its reader";

static struct shared_file make(void)
{
	struct shared_file file;

	assert_int_equal(shared_file_create(plan, sizeof(plan),
					    "/usr/lib/libmishap.so", &file),
			 0);
	return file;
}

static void the_file_is_whole_and_allocated(void **state)
{
	struct shared_file file = make();
	struct stat st;

	(void)state;
	assert_int_equal(stat(file.path, &st), 0);
	assert_int_equal(st.st_size, file.bytes);
	assert_true((size_t)st.st_blocks * 512 >= file.bytes);
	assert_int_equal(st.st_mode & 07777, 0666);
	assert_int_equal(shared_check(file.header, file.bytes), 0);
	assert_memory_equal(shared_file_plan(&file), plan, sizeof(plan));
	shared_file_remove(&file);
}

static void others_may_pass_through_the_directory_but_not_list_it(void **state)
{
	struct shared_file file;
	struct stat st;
	mode_t before = umask(077);

	(void)state;
	file = make();
	umask(before);
	assert_int_equal(stat(file.dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0711);
	assert_int_equal(stat(file.sites_dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	shared_file_remove(&file);
}

static void removing_leaves_nothing(void **state)
{
	struct shared_file file = make();
	char dir[sizeof(file.dir)], path[512];
	int fd;

	(void)state;
	strcpy(dir, file.dir);
	snprintf(path, sizeof(path), "%s/x.sites", file.sites_dir);
	fd = open(path, O_CREAT | O_WRONLY, 0644);
	assert_true(fd >= 0);
	close(fd);
	shared_file_remove(&file);
	assert_int_equal(access(dir, F_OK), -1);
	shared_file_remove(&file); /* once more does no harm */
}

static void a_library_that_ld_preload_cannot_name_is_lent(void **state)
{
	static const char *const odd[] = { "a b.so", "a:b.so", "$LIB.so" };
	char dir[] = "/tmp/mishap-test.XXXXXX", library[64], *path = NULL;

	(void)state;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chmod(dir, 0755), 0);
	for (size_t i = 0; i < 3; i++) {
		struct shared_file file = make();
		FILE *out;

		snprintf(library, sizeof(library), "%s/%s", dir, odd[i]);
		out = fopen(library, "w");
		assert_non_null(out);
		fclose(out);
		assert_int_equal(
			shared_file_lend_library(&file, library, &path), 0);
		assert_string_equal(file.header->library, path);
		assert_null(strpbrk(path, " :$"));
		assert_int_equal(access(path, R_OK), 0);
		free(path);
		shared_file_remove(&file);
		unlink(library);
	}
	rmdir(dir);
}

static void a_library_too_long_for_the_header_is_lent(void **state)
{
	char dir[] = "/tmp/mishap-test.XXXXXX", library[512], *path = NULL;
	struct shared_file file;
	FILE *out;

	(void)state;
	assert_non_null(mkdtemp(dir));
	memset(library, '/', sizeof(library));
	snprintf(library + 300, 200, "%s/lib.so", dir);
	out = fopen(library, "w");
	assert_non_null(out);
	fclose(out);
	assert_int_equal(shared_file_create(plan, sizeof(plan), library, &file),
			 0);
	assert_int_equal(shared_file_lend_library(&file, library, &path), 0);
	assert_string_equal(file.header->library, path);
	assert_int_equal(access(path, R_OK), 0);
	free(path);
	shared_file_remove(&file);
	unlink(library);
	rmdir(dir);
}

static void a_library_that_not_all_can_read_is_lent(void **state)
{
	char dir[] = "/tmp/mishap-test.XXXXXX", library[64], *path = NULL;
	struct shared_file file = make();
	struct stat st;
	FILE *out;

	(void)state;
	assert_non_null(mkdtemp(dir)); /* 0700 */
	snprintf(library, sizeof(library), "%s/lib.so", dir);
	out = fopen(library, "w");
	assert_non_null(out);
	fputs("not really a library", out);
	fclose(out);
	assert_int_equal(shared_file_lend_library(&file, library, &path), 0);
	assert_string_not_equal(path, library);
	assert_string_equal(file.header->library, path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 20);
	assert_int_equal(st.st_mode & 0777, 0755);
	free(path);
	chmod(dir, 0755);
	shared_file_remove(&file);
	file = make();
	assert_int_equal(shared_file_lend_library(&file, library, &path), 0);
	assert_string_equal(path, library);
	free(path);
	shared_file_remove(&file);
	unlink(library);
	rmdir(dir);
}

struct look {
	const char *dir;
	bool seen, live;
	int pid;
};

static void look_at(const char *dir, int pid, bool live, void *arg)
{
	struct look *look = arg;

	if (strcmp(dir, look->dir) != 0)
		return;
	look->seen = true;
	look->live = live;
	look->pid = pid;
}

static void a_live_run_is_seen_and_not_swept(void **state)
{
	struct shared_file file = make();
	struct look look = { .dir = file.dir };

	(void)state;
	shared_dirs_visit(look_at, &look);
	assert_true(look.seen);
	assert_true(look.live);
	assert_int_equal(look.pid, getpid());
	shared_dirs_sweep();
	assert_int_equal(access(file.path, F_OK), 0);
	shared_file_remove(&file);
}

static void what_a_killed_runner_leaves_is_stale_and_swept(void **state)
{
	char dir[sizeof(((struct shared_file *)0)->dir)];
	struct look look = { .dir = dir };
	int fds[2];
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	if (pid == 0) {
		struct shared_file file = make();

		if (write(fds[1], file.dir, sizeof(dir)) < 0)
			_exit(1);
		pause();
	}
	assert_int_equal(read(fds[0], dir, sizeof(dir)), sizeof(dir));
	shared_dirs_visit(look_at, &look);
	assert_true(look.live);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	shared_dirs_visit(look_at, &look);
	assert_false(look.live);
	assert_true(shared_dirs_sweep() >= 1);
	assert_int_equal(access(dir, F_OK), -1);
	close(fds[0]);
	close(fds[1]);
}

static void nobody_elses_directory_is_swept(void **state)
{
	static const char *const names[] = {
		"/dev/shm/mishap-notes",
		"/dev/shm/mishap-0123456789abcdef0123456789abcdef0",
		"/dev/shm/mishap-0123456789abcdef0123456789abcdeX",
	};
	const struct timespec old[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		mkdir(names[i], 0755);
		utimensat(AT_FDCWD, names[i], old, 0);
	}
	shared_dirs_sweep();
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(rmdir(names[i]), 0);
}

static void a_damaged_file_is_not_mapped(void **state)
{
	struct shared_file file = make(), other;

	(void)state;
	assert_int_equal(shared_file_map(file.dir, &other), 0);
	shared_file_unmap(&other);
	file.header->magic++;
	assert_int_equal(shared_file_map(file.dir, &other), -EPROTO);
	assert_int_equal(truncate(file.path, 100), 0);
	assert_int_equal(shared_file_map(file.dir, &other), -EBADMSG);
	shared_file_remove(&file);
}

static void disarming_closes_every_door(void **state)
{
	struct shared_file file = make();

	(void)state;
	memset(file.state->armed_nr, 1, sizeof(file.state->armed_nr));
	memset(file.state->armed_call, 1, sizeof(file.state->armed_call));
	atomic_store(&file.state->armed, 1);
	shared_state_disarm(file.state);
	assert_int_equal(atomic_load(&file.state->armed), 0);
	for (size_t i = 0; i < sizeof(file.state->armed_nr); i++)
		assert_int_equal(file.state->armed_nr[i], 0);
	for (size_t i = 0; i < sizeof(file.state->armed_call); i++)
		assert_int_equal(file.state->armed_call[i], 0);
	shared_file_remove(&file);
}

static void the_lease_holds_while_it_is_taken(void **state)
{
	struct shared_file file = make();
	struct lease lease;
	uint64_t first;

	(void)state;
	assert_false(lease_holds(file.state, clock_now_ns()));
	assert_int_equal(lease_take(file.state, &lease), 0);
	assert_true(lease_holds(file.state, clock_now_ns()));
	first = atomic_load(&file.state->heartbeat_ns);
	clock_sleep_until(clock_now_ns() + 3 * SHARED_HEARTBEAT_NS);
	assert_true(atomic_load(&file.state->heartbeat_ns) > first);
	lease_give_back(&lease);
	assert_false(lease_holds(file.state, clock_now_ns()));
	shared_file_remove(&file);
}

static void the_lease_of_a_killed_runner_lapses_within_50_ms(void **state)
{
	struct shared_file file = make();
	uint64_t killed_ns;
	pid_t pid;

	(void)state;
	pid = fork();
	if (pid == 0) {
		struct lease lease;

		if (lease_take(file.state, &lease) == 0)
			pause();
		_exit(1);
	}
	while (!lease_holds(file.state, clock_now_ns()))
		clock_sleep_until(clock_now_ns() + NS_PER_MS);
	killed_ns = clock_now_ns();
	kill(pid, SIGKILL);
	while (lease_holds(file.state, clock_now_ns()))
		;
	assert_true(clock_now_ns() - killed_ns < 50 * NS_PER_MS);
	waitpid(pid, NULL, 0);
	shared_file_remove(&file);
}

static void ports_differ_and_are_free(void **state)
{
	unsigned ports[10], one;

	(void)state;
	assert_int_equal(ports_find(ports, 10), 0);
	for (size_t i = 0; i < 10; i++) {
		assert_in_range(ports[i], 1024, 65535);
		for (size_t k = 0; k < i; k++)
			assert_int_not_equal(ports[i], ports[k]);
	}
	assert_int_equal(ports_find(&one, PORTS_MAX + 1), -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_file_is_whole_and_allocated),
		TEST(others_may_pass_through_the_directory_but_not_list_it),
		TEST(removing_leaves_nothing),
		TEST(a_library_that_ld_preload_cannot_name_is_lent),
		TEST(a_library_too_long_for_the_header_is_lent),
		TEST(a_library_that_not_all_can_read_is_lent),
		TEST(a_live_run_is_seen_and_not_swept),
		TEST(what_a_killed_runner_leaves_is_stale_and_swept),
		TEST(nobody_elses_directory_is_swept),
		TEST(a_damaged_file_is_not_mapped),
		TEST(disarming_closes_every_door),
		TEST(the_lease_holds_while_it_is_taken),
		TEST(the_lease_of_a_killed_runner_lapses_within_50_ms),
		TEST(ports_differ_and_are_free),
	};

	return TESTS_RUN(tests);
}
