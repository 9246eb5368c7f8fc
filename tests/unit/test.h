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
#define TESTS_RUN(tests)                                                       \
	(cmocka_set_message_output(CM_OUTPUT_TAP),                             \
	 cmocka_run_group_tests(tests, NULL, NULL))

#endif
