/* test.h - what every cmocka program begins with.  A test's name is a
 * sentence; its output is TAP. */
#ifndef MISHAP_TESTS_UNIT_TEST_H
#define MISHAP_TESTS_UNIT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define TEST(sentence) cmocka_unit_test(sentence)
/* cmocka's skip() has no room for a reason; tests/run finds it in this line. */
#define TEST_SKIP(why)                                                         \
	do {                                                                   \
		print_message("# reason: %s\n", why);                          \
		skip();                                                        \
	} while (0)
#define TESTS_RUN(tests)                                                       \
	(cmocka_set_message_output(CM_OUTPUT_TAP),                             \
	 cmocka_run_group_tests(tests, NULL, NULL))

#endif
