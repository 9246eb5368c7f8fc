/* Names of errors, against libc's own list. */
#include "core/call.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>

#include "test.h"

static void every_errno_has_the_name_that_libc_gives_it(void **state)
{
	unsigned names = 0;

	(void)state;
	for (int error = 1; error < 4096; error++) {
		const char *want = strerrorname_np(error);
		const char *name = error_name(error);

		if (!want) {
			assert_null(name);
			continue;
		}
		/* libc prefers ENOTSUP; it is EOPNOTSUPP in errno(3) too */
		if (error != EOPNOTSUPP)
			assert_string_equal(name, want);
		assert_int_equal(error_find(name, strlen(name)), error);
		names++;
	}
	assert_true(names > 130);
	assert_null(error_name(0));
}

static void every_code_of_getaddrinfo_has_a_name(void **state)
{
	(void)state;
	for (int code = -1; code > -300; code--) {
		const char *name = error_name(code);
		bool is_known = strcmp(gai_strerror(code), "Unknown error");

		if (name) {
			assert_memory_equal(name, "EAI_", 4);
			assert_int_equal(error_find(name, strlen(name)), code);
		}
		/* glibc 2.36 has no words for EAI_OVERFLOW itself */
		assert_true(name || !is_known);
	}
}

static void two_names_of_one_number_are_both_read(void **state)
{
	(void)state;
	assert_int_equal(error_find("EWOULDBLOCK", 11), EAGAIN);
	assert_int_equal(error_find("EOPNOTSUPP", 10), ENOTSUP);
	assert_int_equal(error_find("ENOTSUP", 7), ENOTSUP);
	assert_int_equal(error_find("EDEADLOCK", 9), EDEADLK);
	assert_string_equal(error_name(EWOULDBLOCK), "EAGAIN");
	assert_string_equal(error_name(ENOTSUP), "EOPNOTSUPP");
}

static void what_is_no_name_is_0(void **state)
{
	(void)state;
	assert_int_equal(error_find("", 0), 0);
	assert_int_equal(error_find("E", 1), 0);
	assert_int_equal(error_find("ENOSP", 5), 0);
	assert_int_equal(error_find("ENOSPC", 5), 0);
	assert_int_equal(error_find("ENOSPCX", 7), 0);
	assert_int_equal(error_find("enospc", 6), 0);
	assert_int_equal(error_find("28", 2), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_errno_has_the_name_that_libc_gives_it),
		TEST(every_code_of_getaddrinfo_has_a_name),
		TEST(two_names_of_one_number_are_both_read),
		TEST(what_is_no_name_is_0),
	};

	return TESTS_RUN(tests);
}
