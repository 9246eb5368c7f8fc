/* Calls that pass without the hook, and memory that is read without asking. */
#include "tests/unit/guest_site.h"
#include "tests/unit/test.h"

#include <fcntl.h>
#include <netinet/in.h>

/* From now on whoever asks the hook is failed, whatever the call is about. */
static void bait(void)
{
	((struct plan_rule *)guest_plan.rules)[0].selectors = 0;
}

static long write_one(int fd)
{
	return site_call(SYS_write, fd, "x", 1);
}

static void a_known_fd_that_no_rule_wants_passes_without_the_hook(void **state)
{
	int b = file_make("b"), c = file_make("c");

	(void)state;
	PLAN("write path=**/a fail=EIO");
	assert_int_equal(write_one(b), 1);
	bait();
	assert_int_equal(write_one(b), 1);
	assert_int_equal(write_one(b), 1);
	assert_int_equal(guest_process->calls[CALL_write], 3);
	assert_int_equal(write_one(c), -EIO); /* not known yet */
	assert_int_equal(guest_process->calls[CALL_write], 4);
	guest_state->phase_ns += 2; /* known, but of another time */
	assert_int_equal(write_one(b), -EIO);
	close(b);
	close(c);
}

static void a_large_fd_has_no_quick_pass(void **state)
{
	int b = file_make("b"), large = fcntl(b, F_DUPFD, GUEST_FDS_MAX);

	(void)state;
	if (large < 0)
		TEST_SKIP("RLIMIT_NOFILE is too low");
	PLAN("write path=**/a fail=EIO");
	assert_int_equal(write_one(large), 1);
	assert_int_equal(site_call(SYS_write, -1, "x", 1), -EBADF);
	bait();
	assert_int_equal(write_one(large), -EIO);
	assert_int_equal(site_call(SYS_write, -1, "x", 1), -EIO);
	close(large);
	close(b);
}

static void a_send_with_an_address_has_no_quick_pass(void **state)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	PLAN("send peer=127.0.0.9 fail=EPIPE");
	assert_int_equal(site_call(SYS_sendto, fds[0], "x", 1, 0, NULL, 0), 1);
	bait();
	assert_int_equal(site_call(SYS_sendto, fds[0], "x", 1, 0, NULL, 0), 1);
	assert_int_equal(
		site_call(SYS_sendto, fds[0], "x", 1, 0, &to, sizeof(to)),
		-EPIPE);
	close(fds[0]);
	close(fds[1]);
}

static void a_rule_without_an_object_is_asked_each_time(void **state)
{
	int b = file_make("b");

	(void)state;
	PLAN("write path=**/a fail=EIO", "write fail=ENOSPC nth=3");
	assert_int_equal(write_one(b), 1);
	assert_int_equal(write_one(b), 1);
	assert_int_equal(write_one(b), -ENOSPC);
	close(b);
}

static void a_close_that_no_rule_wants_only_forgets(void **state)
{
	int b = file_make("b");
	struct known *known = &guest_fds[b];
	uint64_t lives;

	(void)state;
	PLAN("write path=**/a fail=EIO per=fd");
	write_one(b);
	known->client_in = 1;
	assert_non_null(fdcount_of(b));
	lives = known->key >> 32;
	assert_true((uint32_t)known->key != 0);
	bait();
	assert_int_equal(site_call(SYS_close, b), 0);
	assert_true(known->key == (lives + 1) << 32);
	assert_int_equal(known->client_in, 0);
	assert_int_equal(known->counts_epoch, 0);
	assert_int_equal(guest_process->calls[CALL_close], 1);
	assert_int_equal(site_call(SYS_close, b), -EBADF);
	assert_int_equal(site_call(SYS_close, 100000), -EBADF);
	assert_int_equal(guest_process->calls[CALL_close], 3);
}

static void a_close_with_rules_asks_until_its_fd_is_known(void **state)
{
	int b = file_make("b"), c = file_make("c");

	(void)state;
	PLAN("write,close path=**/a fail=EIO");
	write_one(b);
	bait();
	assert_int_equal(site_call(SYS_close, b), 0);
	assert_true((uint32_t)guest_fds[b].key == 0);
	assert_int_equal(site_call(SYS_close, c), -EIO);
}

static void rules_of_other_programs_are_no_reason_to_ask(void **state)
{
	int b = file_make("b");

	(void)state;
	PLAN("write exe=other fail=EIO", "malloc exe=other fail=ENOMEM");
	bait();
	assert_int_equal(write_one(b), 1);
	assert_int_equal(guest_process->calls[CALL_write], 1);
	assert_true(quick_passes_size(CALL_malloc, 8));
	guest_exe_rules = 3;
	quick_fill();
	assert_int_equal(write_one(b), -EIO);
	assert_false(quick_passes_size(CALL_malloc, 8));
	guest_exe_rules = 0;
	close(b);
}

static void what_is_not_armed_is_not_counted(void **state)
{
	int b = file_make("b");

	(void)state;
	PLAN("write path=**/a fail=EIO");
	write_one(b);
	guest_state->armed_call[CALL_write] = 0;
	write_one(b);
	assert_int_equal(guest_process->calls[CALL_write], 1);
	close(b);
}

static void what_is_counted_by_number_is_counted_there(void **state)
{
	int b = file_make("b");

	(void)state;
	PLAN("write path=**/a fail=EIO");
	write_one(b);
	guest_state->armed_nr[SYS_write] = NR_COUNTED;
	write_one(b);
	write_one(b);
	assert_int_equal(guest_state->seen_nr[SYS_write], 2);
	assert_int_equal(guest_process->calls[CALL_write], 3);
	close(b);
}

static void a_fork_makes_all_fds_unknown(void **state)
{
	int b = file_make("b");

	(void)state;
	PLAN("write path=**/a fail=EIO");
	write_one(b);
	bait();
	assert_int_equal(write_one(b), 1);
	object_forget_all();
	assert_int_equal(write_one(b), -EIO);
	close(b);
}

static void a_quick_pass_leaves_all_registers_alone(void **state)
{
	struct site_stub stub = { .nr = -1 };
	int b = file_make("b");
	uint64_t regs[7] = { SYS_write, (uint64_t)b, (uint64_t) "xyz", 3, ~1ull,
			     ~2ull,	~3ull };
	uint64_t was[7];

	(void)state;
	PLAN("write path=**/a fail=EIO");
	for (int i = 0; i < 2; i++) { /* by the hook, then without */
		regs[0] = SYS_write;
		memcpy(was, regs, sizeof(was));
		was[0] = 3;
		assert_true(site_go(&stub, regs));
		assert_memory_equal(regs, was, sizeof(was));
		bait();
	}
	regs[0] = SYS_write;
	regs[1] = 99; /* begun, and given up */
	memcpy(was, regs, sizeof(was));
	was[0] = (uint64_t)-EIO;
	assert_false(site_go(&stub, regs));
	assert_memory_equal(regs, was, sizeof(was));
	close(b);
}

static void sizes_that_no_rule_wants_pass(void **state)
{
	(void)state;
	PLAN("malloc size=100 fail=ENOMEM", "malloc size=300 fail=ENOMEM",
	     "calloc size=5 fail=ENOMEM", "calloc fail=ENOMEM nth=9");
	assert_true(quick_passes_size(CALL_malloc, 99));
	assert_true(quick_passes_size(CALL_malloc, 0));
	assert_true(quick_passes_size(CALL_malloc, 301));
	assert_int_equal(guest_process->calls[CALL_malloc], 3);
	assert_false(quick_passes_size(CALL_malloc, 100));
	assert_false(quick_passes_size(CALL_malloc, 200));
	assert_false(quick_passes_size(CALL_malloc, 300));
	assert_false(quick_passes_size(CALL_calloc, 4));
	assert_int_equal(guest_process->calls[CALL_malloc], 3);
}

/* ---- memory ---------------------------------------------------------------
 */

static void literals_and_callers_frames_are_known_to_be_there(void **state)
{
	static const char literal[] = "/literal";
	static char data[] = "/data";
	char *heap = strdup("/heap");
	struct site_frame frame = { .target = { 0 } };
	const struct site_regs *regs = &frame.regs;

	(void)state;
	readable_look();
	assert_true(readable_bytes(literal, NULL) >= sizeof(literal));
	assert_true(readable_bytes(frame.target, regs) >= sizeof(frame.target));
	assert_int_equal(readable_bytes(frame.red_zone, regs), 0);
	assert_int_equal(readable_bytes(frame.target, NULL), 0);
	assert_int_equal(readable_bytes(data, regs), 0);
	assert_int_equal(readable_bytes(heap, regs), 0);
	assert_int_equal(readable_bytes((void *)16, regs), 0);
	assert_int_equal(readable_bytes((void *)-1, regs), 0);
	free(heap);
}

static long open_at(const char *path)
{
	return site_call(SYS_openat, AT_FDCWD, path, O_RDONLY, 0);
}

static void a_path_is_read_wherever_it_lies(void **state)
{
	char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char frame[] = "/nowhere/x/../frame", *heap = strdup("/nowhere/heap");

	(void)state;
	readable_look();
	PLAN("open path=/nowhere/* fail=EIO", "open path=**/lost fail=EPERM");
	assert_int_equal(open_at("/nowhere/literal"), -EIO);
	assert_int_equal(open_at("nowhere/lost"), -EPERM);
	assert_int_equal(open_at("/elsewhere/literal"), -ENOENT);
	assert_int_equal(open_at(frame), -EIO);
	assert_int_equal(open_at(heap), -EIO);
	munmap(map + 4096, 4096);
	strcpy(map + 4096 - 14, "/nowhere/heap");
	assert_int_equal(open_at(map + 4096 - 14), -EIO);
	map[4095] = 'p'; /* no end */
	assert_int_equal(open_at(map + 4096 - 14), -EFAULT);
	mprotect(map, 4096, PROT_NONE);
	assert_int_equal(open_at(map + 4096 - 14), -EFAULT);
	assert_int_equal(open_at((void *)(1ull << 63)), -EFAULT);
	assert_int_equal(open_at(NULL), -EFAULT);
	munmap(map, 4096);
	free(heap);
}

static void a_long_path_is_read_as_well_as_a_short_one(void **state)
{
	static char long_path[5000];

	(void)state;
	PLAN("open path=/nowhere/** fail=EIO");
	for (size_t n = 240; n < 4096; n += n < 270 || n > 4080 ? 1 : 77) {
		memset(long_path, 'x', sizeof(long_path));
		memcpy(long_path, "/nowhere/", 9);
		for (size_t i = 100; i < n; i += 100)
			long_path[i] = '/';
		long_path[n] = '\0';
		assert_int_equal(open_at(long_path), -EIO);
	}
	assert_int_equal(guest_state->unresolved, 0);
	memset(long_path, 'x', sizeof(long_path));
	long_path[0] = '/';
	long_path[4096] = '\0';
	assert_int_equal(open_at(long_path), -ENAMETOOLONG);
	assert_int_equal(guest_state->unresolved, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_known_fd_that_no_rule_wants_passes_without_the_hook),
		TEST(a_large_fd_has_no_quick_pass),
		TEST(a_send_with_an_address_has_no_quick_pass),
		TEST(a_rule_without_an_object_is_asked_each_time),
		TEST(a_close_that_no_rule_wants_only_forgets),
		TEST(a_close_with_rules_asks_until_its_fd_is_known),
		TEST(rules_of_other_programs_are_no_reason_to_ask),
		TEST(what_is_not_armed_is_not_counted),
		TEST(what_is_counted_by_number_is_counted_there),
		TEST(a_fork_makes_all_fds_unknown),
		TEST(a_quick_pass_leaves_all_registers_alone),
		TEST(sizes_that_no_rule_wants_pass),
		TEST(literals_and_callers_frames_are_known_to_be_there),
		TEST(a_path_is_read_wherever_it_lies),
		TEST(a_long_path_is_read_as_well_as_a_short_one),
	};

	return GUEST_TESTS_RUN(tests);
}
