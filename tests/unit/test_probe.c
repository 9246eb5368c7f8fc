/* Probes and steady-state samples. */
#include "tests/unit/test.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runner/clock.h"
#include "runner/steady.h"

extern char **environ;

static struct tree tree;
static struct probe_context context;

static int set_up(void **state)
{
	(void)state;
	probe_init();
	context = (struct probe_context){ .tree = &tree,
					  .envp = environ,
					  .cwd = "/" };
	return tree_open(&tree);
}

static int tear_down(void **state)
{
	(void)state;
	tree_close(&tree);
	return 0;
}

static char *word(const char *text)
{
	return (char *)(uintptr_t)text;
}

/* A server that says `answer` to everyone (NULL: accepts, says nothing). */
struct server {
	int fd;
	const char *answer;
	pthread_t thread;
	char where[64];
	unsigned port;
};

static void *server_main(void *arg)
{
	struct server *server = arg;

	for (;;) {
		int fd = accept(server->fd, NULL, NULL);
		char buf[4096];

		if (fd < 0)
			return NULL;
		if (server->answer && read(fd, buf, sizeof(buf)) > 0 &&
		    write(fd, server->answer, strlen(server->answer)) < 0)
			perror("write");
		if (server->answer)
			close(fd);
	}
}

static void server_open(struct server *server, const char *answer)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(addr);

	server->answer = answer;
	server->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(server->fd, (struct sockaddr *)&addr, n), 0);
	assert_int_equal(getsockname(server->fd, (struct sockaddr *)&addr, &n),
			 0);
	assert_int_equal(listen(server->fd, 16), 0);
	server->port = ntohs(addr.sin_port);
	assert_int_equal(
		pthread_create(&server->thread, NULL, server_main, server), 0);
}

static void server_close(struct server *server)
{
	shutdown(server->fd, SHUT_RDWR);
	pthread_join(server->thread, NULL);
	close(server->fd);
}

static bool try_(enum probe_kind kind, const char *where, char *why)
{
	struct probe probe = { .kind = kind, .where = word(where) };

	return probe_try(&probe, &context, clock_now_ns() + NS_PER_S / 2, why);
}

static void tcp_is_healthy_when_somebody_listens(void **state)
{
	char why[PROBE_WHY_MAX], where[64];
	struct server server;

	(void)state;
	server_open(&server, NULL);
	snprintf(where, sizeof(where), "127.0.0.1:%u", server.port);
	assert_true(try_(PROBE_TCP, where, why));
	snprintf(where, sizeof(where), "localhost:%u", server.port);
	assert_true(try_(PROBE_TCP, where, why));
	server_close(&server);
	assert_false(try_(PROBE_TCP, where, why));
	assert_non_null(strstr(why, "refused"));
	assert_false(try_(PROBE_TCP, "no-port", why));
}

static bool http(const char *answer, char *why)
{
	struct server server;
	char where[64];
	bool healthy;

	server_open(&server, answer);
	snprintf(where, sizeof(where), "http://127.0.0.1:%u/", server.port);
	healthy = try_(PROBE_HTTP, where, why);
	server_close(&server);
	return healthy;
}

static void http_is_healthy_at_2xx_and_3xx(void **state)
{
	char why[PROBE_WHY_MAX];

	(void)state;
	assert_true(http("HTTP/1.0 200 OK\r\n\r\nhi", why));
	assert_true(http("HTTP/1.0 204 No Content\r\n\r\n", why));
	assert_true(http("HTTP/1.0 302 Found\r\nLocation: /x\r\n\r\n", why));
	assert_false(http("HTTP/1.0 500 Oops\r\n\r\n", why));
	assert_non_null(strstr(why, "500"));
	assert_false(http("HTTP/1.0 404 Not Found\r\n\r\n", why));
	assert_false(http("nonsense\r\n\r\n", why));
}

static void http_that_never_answers_ends_in_time(void **state)
{
	uint64_t before = clock_now_ns();
	char why[PROBE_WHY_MAX];

	(void)state;
	assert_false(http(NULL, why));
	assert_in_range((clock_now_ns() - before) / NS_PER_MS, 400, 1500);
}

static void a_file_is_looked_for_from_the_working_directory(void **state)
{
	char why[PROBE_WHY_MAX];

	(void)state;
	assert_true(try_(PROBE_FILE, "/etc/passwd", why));
	assert_true(try_(PROBE_FILE, "etc/passwd", why));
	assert_false(try_(PROBE_FILE, "etc/no-such", why));
	assert_non_null(strstr(why, "No such file"));
}

static bool command(const char *script, char *why)
{
	char *items[] = { word("sh"), word("-c"), word(script), NULL };
	struct probe probe = { .kind = PROBE_COMMAND,
			       .command = { .items = items, .count = 3 } };

	return probe_try(&probe, &context, clock_now_ns() + NS_PER_S / 2, why);
}

static void a_command_is_healthy_at_exit_0(void **state)
{
	uint64_t before = clock_now_ns();
	char why[PROBE_WHY_MAX];

	(void)state;
	assert_true(command("exit 0", why));
	assert_false(command("exit 3", why));
	assert_non_null(strstr(why, "exit 3"));
	assert_false(command("kill -9 $$", why));
	assert_non_null(strstr(why, "signal 9"));
	assert_false(command("exec sleep 30", why));
	assert_non_null(strstr(why, "in time"));
	assert_true(clock_now_ns() - before < 3 * NS_PER_S);
}

static struct steady steady_of(char **items, uint64_t every_ms)
{
	return (struct steady){
		.probe = { .kind = PROBE_COMMAND,
			   .command = { .items = items, .count = 3 },
			   .within = { .ns = NS_PER_S, .set = true } },
		.every = { .ns = every_ms * NS_PER_MS, .set = true },
	};
}

static void samples_are_due_in_time_whatever_came_before(void **state)
{
	/* Twice as slow as they are due: the backlog shows as latency. */
	char *items[] = { word("sh"), word("-c"), word("sleep 0.1"), NULL };
	struct steady steady = steady_of(items, 50);
	struct scenario scenario = { .steadies = &steady, .steadies_count = 1 };
	struct steady_set set;
	struct sample *samples;
	size_t count;

	(void)state;
	assert_int_equal(steady_open(&scenario, &context, &set), 0);
	clock_sleep_until(clock_now_ns() + NS_PER_S);
	steady_close(&set, &samples, &count);
	assert_in_range(count, 5, 11);
	for (size_t i = 1; i < count; i++) {
		assert_int_equal(samples[i].due_ns - samples[i - 1].due_ns,
				 50 * NS_PER_MS);
		assert_true(samples[i].latency_ns >=
			    100 * NS_PER_MS + i * 45 * NS_PER_MS);
	}
	free(samples);
}

static void three_healthy_in_a_row_are_steady_again(void **state)
{
	char path[] = "/tmp/mishap-test.XXXXXX", script[64];
	char *items[] = { word("sh"), word("-c"), script, NULL };
	struct steady steady = steady_of(items, 20);
	struct scenario scenario = { .steadies = &steady, .steadies_count = 1 };
	struct steady_set set;
	struct sample *samples;
	uint64_t at_ns = 0, made_ns;
	size_t count, good = 0;

	(void)state;
	close(mkstemp(path));
	unlink(path);
	snprintf(script, sizeof(script), "test -e %s", path);
	assert_int_equal(steady_open(&scenario, &context, &set), 0);
	steady_expect(&set);
	clock_sleep_until(clock_now_ns() + 200 * NS_PER_MS);
	assert_false(steady_reached(&set, &at_ns));
	made_ns = clock_now_ns();
	close(creat(path, 0600));
	for (int n = 0; n < 200 && !steady_reached(&set, &at_ns); n++)
		clock_sleep_until(clock_now_ns() + 10 * NS_PER_MS);
	assert_true(at_ns >= made_ns);
	assert_true(at_ns < clock_now_ns());
	steady_close(&set, &samples, &count);
	for (size_t i = 0; i < count; i++)
		good += samples[i].ok;
	assert_true(good >= STEADY_STREAK && good < count);
	free(samples);
	unlink(path);
}

int main(void)
{
#define PROBE(sentence)                                                        \
	cmocka_unit_test_setup_teardown(sentence, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		PROBE(tcp_is_healthy_when_somebody_listens),
		PROBE(http_is_healthy_at_2xx_and_3xx),
		PROBE(http_that_never_answers_ends_in_time),
		PROBE(a_file_is_looked_for_from_the_working_directory),
		PROBE(a_command_is_healthy_at_exit_0),
		PROBE(samples_are_due_in_time_whatever_came_before),
		PROBE(three_healthy_in_a_row_are_steady_again),
	};

	return TESTS_RUN(tests);
}
