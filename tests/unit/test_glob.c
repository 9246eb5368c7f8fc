/* Globs, and the peers that a rule may select. */
#include "core/plan.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <time.h>

#include "test.h"

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static const struct {
	const char *glob, *text;
	bool matches;
} globs[] = {
	{ "", "", true },
	{ "", "a", false },
	{ "a", "", false },
	{ "abc", "abc", true },
	{ "abc", "abcd", false },
	{ "abcd", "abc", false },
	{ "*", "", true },
	{ "*", "abc", true },
	{ "*", "a/b", false },
	{ "*.c", "x.c", true },
	{ "*.c", "x/y.c", false },
	{ "/tmp/*.db", "/tmp/a.db", true },
	{ "/tmp/*.db", "/tmp/a/b.db", false },
	{ "/tmp/*/b", "/tmp/a/b", true },
	{ "/tmp/*/b", "/tmp//b", true },
	{ "a*b*c", "aXbYbZc", true },
	{ "a*b*c", "aXbYbZ", false },
	{ "a*b/c*d", "aXXb/cYYd", true },
	{ "a*b/c*d", "aXb/bb/cd", false },
	{ "**", "", true },
	{ "**", "/any/thing", true },
	{ "**/out", "/tmp/out", true },
	{ "**/out", "out", true },
	{ "**/out", "/tmp/timeout", false },
	{ "**/out", "/tmp/out/x", false },
	{ "**out", "/tmp/timeout", true },
	{ "/tmp/**", "/tmp/a", true },
	{ "/tmp/**", "/tmp/a/b/c", true },
	{ "/tmp/**", "/tmp", false },
	{ "/tmp/**", "/var/tmp/a", false },
	{ "/a/**/b", "/a/b", true },
	{ "/a/**/b", "/a/x/b", true },
	{ "/a/**/b", "/a/x/y/b", true },
	{ "/a/**/b", "/a/xb", false },
	{ "/a/**/b", "/ab", false },
	{ "/a/**/*.c", "/a/x/y.c", true },
	{ "/a/**/*.c", "/a/y.c", true },
	{ "/a/**/*.c", "/a/x/y.h", false },
	{ "**/a*b", "/ac/ab/acb", true },
	{ "**/a*b", "/ac/ab/c", false },
	{ "**/data/*/log", "/x/data/y/data/1/log", true },
	{ "a**b", "a/x/b", true },
	{ "a**b**c", "a/b/b/d", false },
	{ "***", "a/b", true },
	{ "?", "a", true },
	{ "?", "/", false },
	{ "?", "", false },
	{ "a?c", "abc", true },
	{ "[a-c]x", "bx", true },
	{ "[a-c]x", "dx", false },
	{ "[!a-c]x", "dx", true },
	{ "[!a-c]x", "ax", false },
	{ "[^a]x", "bx", true },
	{ "[]]", "]", true },
	{ "[!]]", "]", false },
	{ "[a-]", "-", true },
	{ "[abc0-9]", "7", true },
	{ "[!a]", "/", false },
	{ "[/]", "/", false },
	{ "[", "[", true },
	{ "[a", "[a", true },
	{ "[a", "a", false },
	{ "[!", "[!", true },
	{ "x[\x80-\xff]", "x\xc3", true },
	{ "*[0-9]", "log.17", true },
	{ "*[0-9]", "log.1x", false },
};

static void globs_match_as_the_table_says(void **state)
{
	(void)state;
	for (unsigned i = 0; i < COUNT(globs); i++)
		if (glob_match(globs[i].glob, globs[i].text) !=
		    globs[i].matches)
			fail_msg("'%s' and '%s'", globs[i].glob, globs[i].text);
}

/* The plainest matcher there is, for short words only; tokens are the same:
 * a whole `**` with a slash, `**`, `*`, a character. */
static bool slow_match(const char *start, const char *glob, const char *text)
{
	if (glob[0] == '*' && glob[1] == '*') {
		bool is_whole = glob == start || glob[-1] == '/';

		while (*glob == '*')
			glob++;
		if (is_whole && *glob == '/') {
			for (const char *t = text;; t++) {
				if ((t == text || t[-1] == '/') &&
				    slow_match(start, glob + 1, t))
					return true;
				if (!*t)
					return false;
			}
		}
		for (;; text++) {
			if (slow_match(start, glob, text))
				return true;
			if (!*text)
				return false;
		}
	}
	if (*glob == '*') {
		for (;; text++) {
			if (slow_match(start, glob + 1, text))
				return true;
			if (!*text || *text == '/')
				return false;
		}
	}
	if (!*glob || !*text)
		return *glob == *text;
	return *glob == *text && slow_match(start, glob + 1, text + 1);
}

static void next_word(char *word, unsigned n, unsigned at, const char *letters)
{
	unsigned base = (unsigned)strlen(letters);

	for (unsigned i = 0; i < n; i++, at /= base)
		word[i] = letters[at % base];
	word[n] = '\0';
}

/* Every glob of six letters a, slash and star against every text of up to six,
 * and longer ones with a second letter, drawn. */
static void globs_agree_with_a_plain_recursive_matcher(void **state)
{
	char glob[16], text[16];
	unsigned matched = 0, tried = 0;

	(void)state;
	for (unsigned g = 0; g < 729; g++)
		for (unsigned t = 0; t < 64; t++)
			for (unsigned n = 0; n <= 6; n++) {
				bool want;

				next_word(glob, 6, g, "a/*");
				next_word(text, n, t, "a/");
				want = slow_match(glob, glob, text);
				matched += want;
				tried++;
				if (glob_match(glob, text) != want)
					fail_msg("'%s' and '%s'", glob, text);
			}
	for (unsigned i = 0; i < 300000; i++) {
		struct rng rng = rng_open(1, 1, 1, i);
		bool want;

		next_word(glob, 1 + rng_below(&rng, 9), rng_next(&rng),
			  "ab/**");
		next_word(text, rng_below(&rng, 12), rng_next(&rng), "aab/");
		want = slow_match(glob, glob, text);
		matched += want;
		tried++;
		if (glob_match(glob, text) != want)
			fail_msg("'%s' and '%s'", glob, text);
	}
	assert_true(matched > 10000 && matched < tried / 2);
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void the_longest_path_and_a_bad_glob_take_no_time(void **state)
{
	static char glob[PLAN_STRING_MAX], text[4096];
	double start = seconds();

	(void)state;
	for (unsigned i = 0; i + 4 < sizeof(glob); i += 4)
		memcpy(glob + i, "**a*", 5);
	strcpy(glob + sizeof(glob) - 8, "b");
	memset(text, 'a', sizeof(text) - 1);
	for (unsigned i = 200; i < sizeof(text) - 1; i += 200)
		text[i] = '/';
	assert_false(glob_match(glob, text));
	memset(glob, 'a', 2000);
	memcpy(glob, "**a*", 4);
	strcpy(glob + 2000, "b");
	memset(text, 'a', sizeof(text) - 1);
	assert_false(glob_match(glob, text));
	assert_true(seconds() - start < 0.5);
}

/* ---- peers ---- */

union address {
	struct sockaddr any;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	struct sockaddr_un un;
};

static unsigned address(union address *ret, const char *host, uint16_t port)
{
	*ret = (union address){ .any.sa_family = AF_UNSPEC };
	if (inet_pton(AF_INET, host, &ret->in.sin_addr) == 1) {
		ret->in.sin_family = AF_INET;
		ret->in.sin_port = htons(port);
		return sizeof(ret->in);
	}
	assert_int_equal(inet_pton(AF_INET6, host, &ret->in6.sin6_addr), 1);
	ret->in6.sin6_family = AF_INET6;
	ret->in6.sin6_port = htons(port);
	return sizeof(ret->in6);
}

static struct plan_peer wanted(const char *net, unsigned bits, uint16_t port)
{
	struct plan_peer want = { .port = port, .prefix_bits = bits };

	if (!net)
		return want;
	want.family = strchr(net, ':') ? AF_INET6 : AF_INET;
	assert_int_equal(inet_pton(want.family, net, want.addr), 1);
	return want;
}

static const struct {
	const char *net;
	unsigned bits;
	uint16_t port;
	const char *host;
	uint16_t host_port;
	bool matches;
} peers[] = {
	{ NULL, 0, 0, "10.1.2.3", 80, true },
	{ NULL, 0, 80, "10.1.2.3", 80, true },
	{ NULL, 0, 80, "10.1.2.3", 81, false },
	{ NULL, 0, 80, "::1", 80, true },
	{ "10.0.0.0", 8, 0, "10.1.2.3", 80, true },
	{ "10.0.0.0", 8, 0, "11.1.2.3", 80, false },
	{ "10.0.0.0", 8, 443, "10.1.2.3", 80, false },
	{ "10.1.2.3", 32, 0, "10.1.2.3", 80, true },
	{ "10.1.2.3", 32, 0, "10.1.2.2", 80, false },
	{ "10.1.2.2", 31, 0, "10.1.2.3", 80, true },
	{ "10.1.2.128", 25, 0, "10.1.2.127", 80, false },
	{ "0.0.0.0", 0, 0, "192.0.2.1", 80, true },
	{ "0.0.0.0", 0, 0, "::1", 80, false },
	{ "127.0.0.1", 32, 0, "::ffff:127.0.0.1", 80, true },
	{ "127.0.0.1", 32, 80, "::ffff:127.0.0.1", 81, false },
	{ "127.0.0.1", 32, 0, "::ffff:127.0.0.2", 80, false },
	{ "::ffff:127.0.0.1", 128, 0, "127.0.0.1", 80, true },
	{ "::ffff:127.0.0.0", 104, 0, "127.9.9.9", 80, true },
	{ "::ffff:127.0.0.0", 104, 0, "126.9.9.9", 80, false },
	{ "::1", 128, 0, "::1", 80, true },
	{ "::1", 128, 0, "::2", 80, false },
	{ "::1", 128, 80, "::1", 80, true },
	{ "2001:db8::", 32, 0, "2001:db8:1::2", 80, true },
	{ "2001:db8::", 33, 0, "2001:db8:8000::2", 80, false },
	{ "::", 0, 0, "2001:db8::1", 80, true },
	{ "::", 0, 0, "127.0.0.1", 80, false },
	{ "::", 0, 0, "::ffff:127.0.0.1", 80, false },
};

static void peers_match_as_the_table_says(void **state)
{
	const struct plan plan = { .base = "" };

	(void)state;
	for (unsigned i = 0; i < COUNT(peers); i++) {
		union address addr;
		unsigned n = address(&addr, peers[i].host, peers[i].host_port);
		struct plan_peer want =
			wanted(peers[i].net, peers[i].bits, peers[i].port);

		if (peer_match(&plan, &want, &addr.any, n) != peers[i].matches)
			fail_msg("%s/%u:%u and %s", peers[i].net, peers[i].bits,
				 peers[i].port, peers[i].host);
		assert_false(peer_match(&plan, &want, &addr.any, n / 2) &&
			     want.family);
	}
}

static void a_unix_peer_is_its_path_or_its_abstract_name(void **state)
{
	/* offsets 1, 13, 20: as in a plan's strings */
	const char base[] = "\0/run/*.sock\0@bus-*\0@a@b";
	const struct plan plan = { .base = base };
	struct plan_peer run = { .family = AF_UNIX, .path_off = 1 };
	struct plan_peer bus = { .family = AF_UNIX, .path_off = 13 };
	struct plan_peer nul = { .family = AF_UNIX, .path_off = 20 };
	struct plan_peer every = { .family = AF_UNIX };
	struct plan_peer any = { .family = 0 };
	struct plan_peer port = { .port = 80 };
	struct plan_peer v4 = wanted("0.0.0.0", 0, 0);
	union address a = { .un = { .sun_family = AF_UNIX } };
	const unsigned start = offsetof(struct sockaddr_un, sun_path);

	(void)state;
	strcpy(a.un.sun_path, "/run/x.sock");
	assert_true(peer_match(&plan, &run, &a.any, sizeof(a.un)));
	assert_true(peer_match(&plan, &run, &a.any, start + 11)); /* no NUL */
	assert_false(peer_match(&plan, &run, &a.any, start + 10));
	assert_false(peer_match(&plan, &bus, &a.any, sizeof(a.un)));
	assert_true(peer_match(&plan, &every, &a.any, sizeof(a.un)));
	assert_true(peer_match(&plan, &any, &a.any, sizeof(a.un)));
	assert_false(peer_match(&plan, &port, &a.any, sizeof(a.un)));
	assert_false(peer_match(&plan, &v4, &a.any, sizeof(a.un)));

	memcpy(a.un.sun_path, "\0bus-7", 6);
	assert_true(peer_match(&plan, &bus, &a.any, start + 6));
	assert_false(peer_match(&plan, &run, &a.any, start + 6));
	memcpy(a.un.sun_path, "\0a\0b", 4);
	assert_true(peer_match(&plan, &nul, &a.any, start + 4));

	/* socketpair(2) and unbound clients have no name at all */
	assert_true(peer_match(&plan, &every, &a.any, start));
	assert_false(peer_match(&plan, &run, &a.any, start));
	memset(a.un.sun_path, 'x', sizeof(a.un.sun_path));
	assert_false(peer_match(&plan, &run, &a.any, 4096));
}

static void what_cant_be_read_is_no_peer(void **state)
{
	const struct plan plan = { .base = "" };
	struct plan_peer any = { .family = 0 }, v4 = wanted("0.0.0.0", 0, 0);
	union address a = { .any.sa_family = AF_INET };

	(void)state;
	assert_false(peer_match(&plan, &any, NULL, 0));
	assert_false(peer_match(&plan, &any, &a.any, 1));
	assert_false(peer_match(&plan, &v4, &a.any, 8));
	a.any.sa_family = AF_NETLINK;
	assert_true(peer_match(&plan, &any, &a.any, sizeof(a)));
	assert_false(peer_match(&plan, &v4, &a.any, sizeof(a)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(globs_match_as_the_table_says),
		TEST(globs_agree_with_a_plain_recursive_matcher),
		TEST(the_longest_path_and_a_bad_glob_take_no_time),
		TEST(peers_match_as_the_table_says),
		TEST(a_unix_peer_is_its_path_or_its_abstract_name),
		TEST(what_cant_be_read_is_no_peer),
	};

	return TESTS_RUN(tests);
}
