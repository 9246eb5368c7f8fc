/* The walls, from inside and from outside. */
#include "tests/unit/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/clock.h"
#include "runner/launch.h"

extern char **environ;

static char base[64], cwd[96], scratch[96];
static struct tree tree;
static struct sandbox *sandbox;
static struct tree_process *keeper;
static char why[SANDBOX_WHY_MAX];

static char *word(const char *text)
{
	return (char *)(uintptr_t)text;
}

static void file_make(const char *path, const char *text, mode_t mode)
{
	FILE *out = fopen(path, "w");

	assert_non_null(out);
	fputs(text, out);
	fclose(out);
	assert_int_equal(chmod(path, mode), 0);
}

static int set_up(void **state)
{
	char path[160];

	(void)state;
	strcpy(base, "/tmp/mishap-test.XXXXXX");
	assert_non_null(mkdtemp(base));
	assert_int_equal(chmod(base, 0755), 0);
	snprintf(cwd, sizeof(cwd), "%s/cwd", base);
	snprintf(scratch, sizeof(scratch), "%s/scratch", base);
	assert_int_equal(mkdir(cwd, 0755), 0);
	assert_int_equal(mkdir(scratch, 0755), 0);
	snprintf(path, sizeof(path), "%s/doc", cwd);
	file_make(path, "precious", 0644);
	sandbox = NULL;
	why[0] = '\0';
	return tree_open(&tree);
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	if (sandbox)
		sandbox_close(sandbox);
	tree_close(&tree);
	snprintf(command, sizeof(command), "rm -rf %s", base);
	return system(command) == 0 ? 0 : -1;
}

static int open_(struct sandbox_input input)
{
	int error;

	input.cwd = input.cwd ? input.cwd : cwd;
	input.scratch = scratch;
	tree_begin(&tree);
	error = sandbox_open(&input, &sandbox, why);
	if (error) {
		tree_add(&tree, 0, TREE_SANDBOX, &keeper);
		if (error == -EPERM)
			TEST_SKIP(why);
		return error;
	}
	return tree_add(&tree, sandbox_pid(sandbox), TREE_SANDBOX, &keeper);
}

static struct tree_process *start(const char *script)
{
	char *argv[] = { word("sh"), word("-c"), word(script), NULL };
	struct launch launch = { .argv = argv,
				 .envp = environ,
				 .cwd = cwd,
				 .in = -1,
				 .out = -1,
				 .err = -1,
				 .ledger_fd = -1,
				 .role = TREE_TARGET,
				 .sandbox = sandbox };
	struct tree_process *process = NULL;

	assert_int_equal(launch_start(&tree, &launch, &process), 0);
	return process;
}

static int inside(const char *script)
{
	struct tree_process *process = start(script);
	struct ending ending;

	assert_true(tree_wait(&tree, process, clock_now_ns() + 10 * NS_PER_S));
	ending = tree_ending(&tree, process);
	return ending.signal ? -ending.signal : ending.status;
}

static void reads(const char *dir, const char *name, const char *want)
{
	char path[256], got[64] = "";
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY);
	if (!want) {
		assert_int_equal(fd, -1);
		return;
	}
	assert_true(fd >= 0);
	assert_true(read(fd, got, sizeof(got) - 1) >= 0);
	close(fd);
	assert_string_equal(got, want);
}

static void what_is_done_is_seen_through_the_keeper_alone(void **state)
{
	char view[160];

	(void)state;
	assert_int_equal(open_((struct sandbox_input){ 0 }), 0);
	assert_int_equal(inside("printf x >doc && printf y >new"), 0);
	snprintf(view, sizeof(view), "/proc/%d/root%s",
		 (int)sandbox_pid(sandbox), cwd);
	reads(view, "doc", "x");
	reads(view, "new", "y");
	reads(cwd, "doc", "precious");
	reads(cwd, "new", NULL);
}

static void a_file_can_be_removed_and_made_anew(void **state)
{
	(void)state;
	assert_int_equal(open_((struct sandbox_input){ 0 }), 0);
	assert_int_equal(inside("rm doc && mkdir doc && rmdir doc && "
				"printf z >doc && mv doc other && "
				"mkdir -p a/b && mv a c && test -d c/b"),
			 0);
	reads(cwd, "doc", "precious");
}

static void scratch_is_written_for_real(void **state)
{
	char script[192];

	(void)state;
	assert_int_equal(open_((struct sandbox_input){ 0 }), 0);
	snprintf(script, sizeof(script), "printf kept >%s/f", scratch);
	assert_int_equal(inside(script), 0);
	reads(scratch, "f", "kept");
}

static void scratch_may_be_the_working_directory(void **state)
{
	(void)state;
	strcpy(cwd, scratch);
	assert_int_equal(open_((struct sandbox_input){ 0 }), 0);
	assert_int_equal(inside("printf kept >f"), 0);
	reads(scratch, "f", "kept");
}

static void the_first_pid_inside_is_the_keeper(void **state)
{
	struct tree_process *process;

	(void)state;
	assert_int_equal(open_((struct sandbox_input){ 0 }), 0);
	assert_int_equal(keeper->own_pid, 1);
	process = start("kill -9 1; sleep 0.1; kill -0 1");
	assert_true(process->own_pid > 1 && process->own_pid < 10);
	assert_true(tree_wait(&tree, process, clock_now_ns() + 5 * NS_PER_S));
	assert_false(tree_ended(&tree, keeper));
}

static void an_orphan_inside_is_reaped_inside(void **state)
{
	(void)state;
	assert_int_equal(open_((struct sandbox_input){ 0 }), 0);
	assert_int_equal(inside("(setsid sh -c 'sleep 0.1' &) ; sleep 0.3; "
				"! grep -l '^State:.Z' /proc/[0-9]*/status"),
			 0);
}

static void closing_ends_everything_inside(void **state)
{
	(void)state;
	assert_int_equal(open_((struct sandbox_input){ 0 }), 0);
	start("trap '' TERM HUP INT; setsid sleep 34 & sleep 34");
	for (int n = 0; n < 400 && tree_alive(&tree, TREE_TARGET) < 3; n++)
		clock_sleep_until(clock_now_ns() + 5 * NS_PER_MS);
	assert_true(tree_alive(&tree, TREE_TARGET) >= 2);
	sandbox_close(sandbox);
	sandbox = NULL;
	for (int n = 0; n < 400 && tree_alive(&tree, ~0u); n++)
		clock_sleep_until(clock_now_ns() + 5 * NS_PER_MS);
	assert_int_equal(tree_alive(&tree, ~0u), 0);
}

struct starts {
	const char *script;
	int failed;
};

static void *start_many(void *arg)
{
	struct starts *starts = arg;

	for (int n = 0; n < 25; n++)
		starts->failed += inside(starts->script) != 0;
	return NULL;
}

/* Whoever forks while threads run must not wait for them: libc's setgroups
 * would, and did. */
static void threads_may_start_programs_at_once(void **state)
{
	struct starts starts[4] = { { .script = "exit 0" },
				    { .script = "id -u" },
				    { .script = "test -w doc" },
				    { .script = ":" } };
	pthread_t threads[4];

	(void)state;
	assert_int_equal(open_((struct sandbox_input){ 0 }), 0);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, start_many,
						&starts[i]),
				 0);
	for (size_t i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(starts[i].failed, 0);
	}
}

static int connect_error(int fd, unsigned port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_port = htons((uint16_t)port),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return 0;
	return errno;
}

/* A listener of ours: seen with the host's network, not without. */
static void a_socket_is_of_the_sandbox_s_network(void **state)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;
	socklen_t n = sizeof(addr);

	(void)state;
	assert_int_equal(bind(listener, (struct sockaddr *)&addr, n), 0);
	assert_int_equal(listen(listener, 4), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&addr, &n),
			 0);
	assert_int_equal(open_((struct sandbox_input){ .no_network = true }),
			 0);
	fd = sandbox_socket(sandbox, AF_INET, SOCK_STREAM);
	assert_true(fd >= 0);
	assert_int_equal(connect_error(fd, ntohs(addr.sin_port)), ECONNREFUSED);
	close(fd);
	assert_int_equal(sandbox_socket(sandbox, 12345, SOCK_STREAM), -1);
	assert_int_equal(errno, EAFNOSUPPORT);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect_error(fd, ntohs(addr.sin_port)), 0);
	close(fd);
	close(listener);
}

static void the_root_is_no_working_directory(void **state)
{
	(void)state;
	assert_int_equal(open_((struct sandbox_input){ .cwd = "/" }), -EINVAL);
	assert_non_null(strstr(why, "working directory is /"));
	assert_int_equal(open_((struct sandbox_input){ .cwd = "/no/such" }),
			 -ENOENT);
}

static void what_the_user_inside_can_t_read_is_named(void **state)
{
	char path[160];

	(void)state;
	if (geteuid() != 0)
		TEST_SKIP("needs root");
	snprintf(path, sizeof(path), "%s/theirs", cwd);
	file_make(path, "secret", 0600);
	assert_int_equal(chown(path, 4444, 4444), 0);
	assert_int_equal(open_((struct sandbox_input){ 0 }), -EACCES);
	assert_non_null(strstr(why, path));
}

static void root_becomes_another(void **state)
{
	char path[160];
	uid_t uid;
	gid_t gid;

	(void)state;
	sandbox_user(cwd, &uid, &gid);
	if (geteuid() != 0) {
		assert_int_equal(uid, geteuid());
		return;
	}
	unsetenv("SUDO_UID");
	unsetenv("SUDO_GID");
	sandbox_user(cwd, &uid, &gid);
	assert_int_equal(uid, 65534);
	setenv("SUDO_UID", "1000", 1);
	setenv("SUDO_GID", "1001", 1);
	sandbox_user(cwd, &uid, &gid);
	assert_int_equal(uid, 1000);
	assert_int_equal(gid, 1001);
	setenv("SUDO_UID", "0", 1); /* sudo by root itself */
	sandbox_user(cwd, &uid, &gid);
	assert_int_equal(uid, 65534);
	unsetenv("SUDO_UID");
	unsetenv("SUDO_GID");
	snprintf(path, sizeof(path), "%s/cwd", base);
	assert_int_equal(chown(path, 777, 778), 0);
	sandbox_user(cwd, &uid, &gid);
	assert_int_equal(uid, 777);
	assert_int_equal(gid, 778);
}

int main(void)
{
#define WALLS(sentence)                                                        \
	cmocka_unit_test_setup_teardown(sentence, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		WALLS(what_is_done_is_seen_through_the_keeper_alone),
		WALLS(a_file_can_be_removed_and_made_anew),
		WALLS(scratch_is_written_for_real),
		WALLS(scratch_may_be_the_working_directory),
		WALLS(the_first_pid_inside_is_the_keeper),
		WALLS(an_orphan_inside_is_reaped_inside),
		WALLS(closing_ends_everything_inside),
		WALLS(threads_may_start_programs_at_once),
		WALLS(a_socket_is_of_the_sandbox_s_network),
		WALLS(the_root_is_no_working_directory),
		WALLS(what_the_user_inside_can_t_read_is_named),
		WALLS(root_becomes_another),
	};

	return TESTS_RUN(tests);
}
