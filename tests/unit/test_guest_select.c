/* test_guest_select.c - which calls a rule is about. */
#include <netdb.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include "tests/unit/guest_site.h"
#include "tests/unit/test.h"

/* Is a one-byte write to this fd failed? */
static bool fails(int fd)
{
	return site_call(SYS_write, fd, "x", 1) == -EIO;
}

static void an_fd_is_known_by_its_path(void **state)
{
	int a = file_make("a"), b = file_make("b"), other;

	(void)state;
	PLAN("write path=/tmp/**/a fail=EIO");
	assert_true(fails(a));
	assert_true(fails(a)); /* remembered */
	assert_false(fails(b));
	assert_false(fails(b));
	other = dup(a);
	assert_true(fails(other));
	close(a);
	close(b);
	close(other);
}

static void a_deleted_file_keeps_its_name(void **state)
{
	int fd = file_make("gone");
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/gone", scratch_dir);
	unlink(path);
	PLAN("write path=**/gone fail=EIO");
	assert_true(fails(fd));
	close(fd);
}

static void
a_known_fd_of_no_interest_is_counted_and_other_rules_hold(void **state)
{
	int b = file_make("b");

	(void)state;
	PLAN("write path=**/a fail=EIO");
	for (int i = 0; i < 3; i++)
		assert_false(fails(b));
	assert_int_equal(guest_process->calls[CALL_write], 3);
	assert_int_equal(guest_process->matched[0], 0);
	PLAN("write path=**/a fail=EIO", "write fail=ENOSPC nth=3");
	assert_int_equal(site_call(SYS_write, b, "x", 1), 1);
	assert_int_equal(site_call(SYS_write, b, "x", 1), 1);
	assert_int_equal(site_call(SYS_write, b, "x", 1), -ENOSPC);
	close(b);
}

static void an_address_of_the_call_is_nearer_than_a_known_fd(void **state)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(9),
				  .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_int_equal(connect(fd, (void *)&to, sizeof(to)), 0);
	PLAN("send peer=127.0.0.1:10 fail=EIO");
	for (int i = 0; i < 2; i++) /* known from the first on */
		assert_int_not_equal(site_call(SYS_sendto, fd, "x", 1, 0, 0, 0),
				     -EIO);
	to.sin_port = htons(10);
	assert_int_equal(site_call(SYS_sendto, fd, "x", 1, 0, &to, sizeof(to)),
			 -EIO);
	close(fd);
}

static void a_number_that_is_closed_is_forgotten(void **state)
{
	int a = file_make("a"), b = file_make("b");

	(void)state;
	PLAN("write path=**/a fail=EIO");
	assert_true(fails(a));
	site_call(SYS_close, a);
	assert_int_equal(file_make("b"), a); /* the number comes back */
	assert_false(fails(a));
	close(a);
	a = file_make("a");
	site_call(SYS_close_range, a, ~0u, 0);
	assert_int_equal(file_make("b"), a);
	assert_false(fails(a));
	close(a);
	close(b);
}

static void a_number_that_is_replaced_is_forgotten(void **state)
{
	int a = file_make("a"), b = file_make("b");

	(void)state;
	PLAN("write path=**/a fail=EIO");
	assert_false(fails(b));
	assert_int_equal(site_call(SYS_dup2, a, b), b);
	assert_true(fails(b));
	b = file_make("b");
	assert_int_equal(site_call(SYS_dup3, b, a, 0), a);
	assert_false(fails(a));
	close(a);
	close(b);
}

static void a_large_fd_is_looked_up_each_time(void **state)
{
	int fd = file_make("a"), large = fcntl(fd, F_DUPFD, GUEST_FDS_MAX);

	(void)state;
	if (large < 0)
		TEST_SKIP("RLIMIT_NOFILE is too low");
	PLAN("write path=**/a fail=EIO", "write per=fd fail=EIO nth=1");
	assert_true(fails(large));
	assert_int_equal(guest_state->unresolved, 1); /* per=fd: no count */
	close(fd);
	close(large);
}

static long open_as(int dirfd, const char *path)
{
	return site_call(SYS_openat, dirfd, path, O_RDONLY);
}

static void a_path_argument_is_made_absolute_and_normal(void **state)
{
	int here = open(".", O_PATH | O_DIRECTORY), dir;
	char path[256], rule[128];

	(void)state;
	close(file_make("a"));
	dir = open(scratch_dir, O_PATH | O_DIRECTORY);
	snprintf(rule, sizeof(rule), "open path=%s/a fail=EIO", scratch_dir);
	PLAN(rule);
	snprintf(path, sizeof(path), "%s//x/.././/a", scratch_dir);
	assert_int_equal(open_as(AT_FDCWD, path), -EIO);
	snprintf(path, sizeof(path), "/../..%s/a/", scratch_dir);
	assert_int_equal(open_as(AT_FDCWD, path), -EIO);
	assert_int_equal(open_as(dir, "a"), -EIO);
	assert_int_equal(open_as(dir, "./b/../a"), -EIO);
	assert_int_equal(open_as(dir, "nowhere"), -ENOENT);
	assert_int_equal(chdir(scratch_dir), 0);
	assert_int_equal(open_as(AT_FDCWD, "a"), -EIO);
	assert_int_equal(site_call(SYS_open, "a", O_RDONLY), -EIO);
	assert_int_equal(fchdir(here), 0);
	close(here);
	close(dir);
}

static void either_path_of_a_rename_will_do(void **state)
{
	char from[128], to[128];

	(void)state;
	close(file_make("from"));
	snprintf(from, sizeof(from), "%s/from", scratch_dir);
	snprintf(to, sizeof(to), "%s/to", scratch_dir);
	PLAN("rename path=**/from fail=EIO");
	assert_int_equal(site_call(SYS_rename, from, to), -EIO);
	PLAN("rename path=**/to fail=EIO");
	assert_int_equal(
		site_call(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0),
		-EIO);
	PLAN("rename path=**/neither fail=EIO");
	assert_int_equal(site_call(SYS_rename, from, to), 0);
}

static void unlinkat_is_told_from_rmdir(void **state)
{
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/dir", scratch_dir);
	assert_int_equal(mkdir(path, 0700), 0);
	PLAN("unlink fail=EIO");
	assert_int_equal(site_call(SYS_unlinkat, AT_FDCWD, path, AT_REMOVEDIR),
			 0);
	assert_int_equal(guest_process->calls[CALL_rmdir], 0); /* not armed */
	assert_int_equal(site_call(SYS_unlinkat, AT_FDCWD, path, 0), -EIO);
}

/* A listener on loopback; its address. */
static int listener_make(struct sockaddr_in *ret_addr)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t n = sizeof(*ret_addr);

	*ret_addr = (struct sockaddr_in){ .sin_family = AF_INET };
	ret_addr->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (void *)ret_addr, n), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (void *)ret_addr, &n), 0);
	return fd;
}

static void a_socket_is_known_by_its_peer(void **state)
{
	struct sockaddr_in addr;
	int listener = listener_make(&addr), fd;
	char rule[128], wrong[128];

	(void)state;
	snprintf(rule, sizeof(rule),
		 "connect,send,write peer=127.0.0.1:%u fail=EIO nth=2",
		 ntohs(addr.sin_port));
	snprintf(wrong, sizeof(wrong),
		 "connect,send,write peer=127.0.0.1:%u fail=EPIPE",
		 ntohs(addr.sin_port) + 1);
	PLAN(wrong, rule);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(site_call(SYS_sendto, fd, "a", 1, MSG_NOSIGNAL),
			 -EPIPE); /* unconnected: not remembered as nobody's */
	assert_int_equal(site_call(SYS_connect, fd, &addr, sizeof(addr)), 0);
	assert_int_equal(site_call(SYS_sendto, fd, "a", 1), -EIO);
	assert_int_equal(site_call(SYS_write, fd, "a", 1), 1);
	assert_int_equal(guest_process->matched[0], 0);
	assert_int_equal(guest_process->matched[1], 3);
	close(fd);
	close(listener);
}

static void
an_address_is_nearer_than_what_the_socket_is_connected_to(void **state)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct iovec iov = { "a", 1 };
	struct msghdr msg = { .msg_name = &to,
			      .msg_namelen = sizeof(to),
			      .msg_iov = &iov,
			      .msg_iovlen = 1 };

	(void)state;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	PLAN("send,sendmsg peer=127.0.0.1:9 fail=ENOBUFS");
	assert_int_equal(site_call(SYS_sendto, fd, "a", 1, 0, &to, sizeof(to)),
			 -ENOBUFS);
	assert_int_equal(site_call(SYS_sendmsg, fd, &msg, 0), -ENOBUFS);
	to.sin_port = htons(10);
	assert_int_equal(site_call(SYS_sendto, fd, "a", 1, 0, &to, sizeof(to)),
			 1);
	close(fd);
}

static void a_unix_peer_is_known_by_its_path(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)state;
	snprintf(un.sun_path, sizeof(un.sun_path), "%s/sock", scratch_dir);
	assert_int_equal(bind(listener, (void *)&un, sizeof(un)), 0);
	assert_int_equal(listen(listener, 1), 0);
	PLAN("connect,write peer=/tmp/**/sock fail=EIO nth=2");
	assert_int_equal(site_call(SYS_connect, fd, &un, sizeof(un)), 0);
	assert_true(fails(fd));
	close(fd);
	close(listener);
}

static void a_client_is_told_from_a_server(void **state)
{
	struct sockaddr_in addr;
	int listener = listener_make(&addr);
	int client = socket(AF_INET, SOCK_STREAM, 0), server, seen;

	(void)state;
	assert_int_equal(connect(client, (void *)&addr, sizeof(addr)), 0);
	server = accept(listener, NULL, NULL);
	PLAN("write side=server fail=EIO");
	assert_true(fails(server));
	assert_false(fails(client));
	PLAN("write side=client fail=EIO", "connect side=client delay=1");
	assert_false(fails(server));
	assert_true(fails(client));
	/* seen while it connects, after which nothing needs to be looked up */
	seen = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(site_call(SYS_connect, seen, &addr, sizeof(addr)), 0);
	assert_int_equal(guest_process->matched[1], 1);
	assert_true(fails(seen));
	close(client);
	close(server);
	close(seen);
	close(listener);
}

static void a_host_is_known_by_the_addresses_behind_its_name(void **state)
{
	struct sockaddr_in addr;
	int listener = listener_make(&addr), fd;
	struct addrinfo answer = { .ai_addr = (void *)&addr,
				   .ai_addrlen = sizeof(addr) };

	(void)state;
	PLAN("write,connect host=db.* fail=EIO nth=2");
	fd = socket(AF_INET, SOCK_STREAM, 0);
	host_note("web.example", &answer);
	assert_int_equal(site_call(SYS_connect, fd, &addr, sizeof(addr)), 0);
	assert_int_equal(guest_process->matched[0], 0);
	host_note("db.example", &answer);
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(site_call(SYS_connect, fd, &addr, sizeof(addr)), 0);
	assert_true(fails(fd));
	close(fd);
	close(listener);
}

static void fd_and_size_are_ranges(void **state)
{
	int fd = file_make("a");
	char rule[64];

	(void)state;
	snprintf(rule, sizeof(rule), "write fd=%d size=3 fail=EIO", fd);
	PLAN(rule);
	assert_int_equal(site_call(SYS_write, fd, "ab", 2), 2);
	assert_int_equal(site_call(SYS_write, fd, "abc", 3), -EIO);
	assert_int_equal(site_call(SYS_write, fd + 100, "abc", 3), -EBADF);
	close(fd);
}

static void a_thread_is_known_by_name_or_by_number(void **state)
{
	int fd = file_make("a");

	(void)state;
	PLAN("write thread=wor* fail=EIO");
	assert_false(fails(fd));
	prctl(PR_SET_NAME, "worker-1");
	assert_true(fails(fd));
	PLAN("write thread=1 fail=EIO");
	assert_false(fails(fd));
	PLAN("write thread=0 fail=EIO");
	assert_true(fails(fd));
	close(fd);
}

static void counts_can_be_kept_per_fd(void **state)
{
	int a = file_make("a"), b = file_make("b");

	(void)state;
	PLAN("write per=fd fail=EIO nth=2");
	assert_false(fails(a));
	assert_false(fails(b));
	assert_true(fails(a));
	assert_true(fails(b));
	site_call(SYS_close, a);
	assert_int_equal(file_make("a"), a);
	assert_false(fails(a)); /* a new life of the number */
	assert_true(fails(a));
	close(a);
	close(b);
}

static void after_bytes_counts_what_was_asked_for(void **state)
{
	int fd = file_make("a");

	(void)state;
	PLAN("write after_bytes=5 fail=ENOSPC");
	assert_int_equal(site_call(SYS_write, fd, "abc", 3), 3);
	assert_int_equal(site_call(SYS_write, fd, "abc", 3), 3);
	assert_int_equal(site_call(SYS_write, fd, "abc", 3), -ENOSPC);
	close(fd);
}

static void without_a_buffer_it_is_doubt_and_the_real_call(void **state)
{
	char *taken[64], name[251], path[300];
	int fd, n = 0;

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	name[250] = '\0';
	name[249] = 'a'; /* with its directory too long for a frame */
	snprintf(path, sizeof(path), "/tmp/nowhere/%s", name);
	fd = file_make(name);
	PLAN("write,open path=**a fail=EIO");
	while ((taken[n] = scratch_claim()) != NULL)
		n++;
	assert_true(n >= 8);
	assert_false(fails(fd));
	assert_int_equal(guest_state->unresolved, 1);
	assert_int_equal(open_as(AT_FDCWD, path), -ENOENT);
	assert_int_equal(guest_state->unresolved, 2);
	while (n)
		scratch_release(taken[--n]);
	assert_true(fails(fd));
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_fd_is_known_by_its_path),
		TEST(a_deleted_file_keeps_its_name),
		TEST(a_known_fd_of_no_interest_is_counted_and_other_rules_hold),
		TEST(an_address_of_the_call_is_nearer_than_a_known_fd),
		TEST(a_number_that_is_closed_is_forgotten),
		TEST(a_number_that_is_replaced_is_forgotten),
		TEST(a_large_fd_is_looked_up_each_time),
		TEST(a_path_argument_is_made_absolute_and_normal),
		TEST(either_path_of_a_rename_will_do),
		TEST(unlinkat_is_told_from_rmdir),
		TEST(a_socket_is_known_by_its_peer),
		TEST(an_address_is_nearer_than_what_the_socket_is_connected_to),
		TEST(a_unix_peer_is_known_by_its_path),
		TEST(a_client_is_told_from_a_server),
		TEST(a_host_is_known_by_the_addresses_behind_its_name),
		TEST(fd_and_size_are_ranges),
		TEST(a_thread_is_known_by_name_or_by_number),
		TEST(counts_can_be_kept_per_fd),
		TEST(after_bytes_counts_what_was_asked_for),
		TEST(without_a_buffer_it_is_doubt_and_the_real_call),
	};

	return GUEST_TESTS_RUN(tests);
}
