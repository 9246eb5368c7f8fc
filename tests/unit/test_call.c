/* The table tests itself: a new row is tested by being there. */
#include "core/call.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <malloc.h>
#include <pthread.h>
#include <unistd.h>

#include "test.h"

/* A second reading of calls.def, by other macros. */
struct row {
	const char *name;
	int errnos[64];
};

#define KERNEL(...)
#define KERNEL_IF(...)
#define ALIAS(...)
#define SYMBOL(...)
#define CITE(error, source) error,
#define EACH(...)	    __VA_ARGS__ __VA_OPT__(, )
#define BOTH(...)	    __VA_ARGS__
#define CALL(family, name, fails, flags, pages, errnos, cites)                 \
	{ #name, { EACH errnos BOTH cites 0 } },
static const struct row rows[] = {
#include "core/calls.def"
};
#undef CALL
#undef KERNEL
#undef KERNEL_IF
#undef SYMBOL
#undef CITE

/* Prototypes are libc's own: a drift doesn't compile. */
#define CALL(...)
#define KERNEL(...)
#define KERNEL_IF(...)
#define SYMBOL(name, ret, symbol, params, ...)                                 \
	_Static_assert(__builtin_types_compatible_p(__typeof__(&symbol),       \
						    ret(*) params),            \
		       #symbol " has libc's prototype");
#include "core/calls.def"
#undef KERNEL
#undef KERNEL_IF
#undef SYMBOL

struct kernel_row {
	const char *name;
	unsigned id, nr;
};

#define SYMBOL(...)
#define KERNEL_IF(...)
#define KERNEL(name, syscall, ...) { #syscall, CALL_##name, SYS_##syscall },
#include <sys/syscall.h>
static const struct kernel_row kernel_rows[] = {
#include "core/calls.def"
};
#undef KERNEL
#define COUNT(array) (sizeof(array) / sizeof(*(array)))

static void every_row_stands_at_its_id(void **state)
{
	(void)state;
	assert_int_equal(COUNT(rows), CALL_COUNT);
	for (unsigned id = 0; id < CALL_COUNT; id++) {
		assert_string_equal(call_table[id].name, rows[id].name);
		assert_true(call_table[id].family < FAMILY_COUNT);
		assert_non_null(call_family_names[call_table[id].family]);
		assert_non_null(strchr(call_table[id].pages, '.'));
	}
}

static void every_name_and_no_other_is_found(void **state)
{
	(void)state;
	for (unsigned id = 0; id < CALL_COUNT; id++) {
		const char *name = call_table[id].name;
		char longer[64];

		assert_int_equal(call_find(name, strlen(name)), id);
		snprintf(longer, sizeof(longer), "%s_", name);
		assert_int_equal(call_find(longer, strlen(longer)), CALL_NONE);
	}
	assert_int_equal(call_find("", 0), CALL_NONE);
	assert_int_equal(call_find("rea", 3), CALL_NONE);
	assert_int_equal(call_find("write", 4), CALL_NONE);
}

static void every_alias_leads_to_its_call(void **state)
{
	static const struct {
		const char *alias;
		unsigned id;
	} aliases[] = {
#undef ALIAS
#define ALIAS(alias, name) { #alias, CALL_##name },
#define KERNEL(...)
#include "core/calls.def"
#undef KERNEL
#undef ALIAS
	};

	(void)state;
	assert_true(COUNT(aliases) > 30);
	for (unsigned i = 0; i < COUNT(aliases); i++) {
		const char *alias = aliases[i].alias;

		assert_int_equal(call_find(alias, strlen(alias)),
				 aliases[i].id);
		for (unsigned id = 0; id < CALL_COUNT; id++)
			assert_string_not_equal(alias, call_table[id].name);
	}
}

/* Every row against every number that could be an error. */
static void a_call_may_fail_just_as_its_row_says(void **state)
{
	(void)state;
	for (unsigned id = 0; id < CALL_COUNT; id++) {
		for (int error = -200; error <= 4096; error++) {
			bool is_listed = false;

			for (const int *e = rows[id].errnos; *e; e++)
				is_listed |= *e == error;
			if (call_allows(id, error) != is_listed)
				fail_msg("%s and %d", rows[id].name, error);
		}
	}
	assert_false(call_allows(CALL_NONE, EIO));
	assert_false(call_allows(CALL_COUNT, EIO));
}

static void no_row_names_an_error_twice(void **state)
{
	(void)state;
	for (unsigned id = 0; id < CALL_COUNT; id++)
		for (const int *e = rows[id].errnos; *e; e++)
			for (const int *f = e + 1; *f; f++)
				if (*e == *f)
					fail_msg("%s has %s twice",
						 rows[id].name, error_name(*e));
}

static void every_error_is_one_that_its_row_can_report(void **state)
{
	(void)state;
	for (unsigned id = 0; id < CALL_COUNT; id++) {
		const struct call_info *info = &call_table[id];

		if (info->flags & CALL_NEVER_FAILS)
			assert_int_equal(rows[id].errnos[0], 0);
		else
			assert_true(info->errnos_count > 0);
		for (const int *e = rows[id].errnos; *e; e++) {
			assert_non_null(error_name(*e));
			assert_int_equal(*e < 0, info->fails == FAILS_gai);
		}
		for (const struct call_cite *c = info->cites; c->error; c++)
			assert_true(strlen(c->source) >= 5);
	}
}

static void every_row_can_be_reached_by_a_door(void **state)
{
	(void)state;
	for (unsigned id = 0; id < CALL_COUNT; id++) {
		bool has_number = false;

		for (unsigned nr = 0; nr < CALL_NR_MAX; nr++)
			has_number |= call_kernel_table[nr].id == id ||
				      call_kernel_table[nr].other_id == id;
		assert_int_equal(has_number, call_table[id].has_kernel);
		assert_true(has_number || call_table[id].has_symbol);
	}
	assert_false(call_table[CALL_malloc].has_kernel);
	assert_true(call_table[CALL_malloc].has_symbol);
	assert_false(call_table[CALL_read].has_symbol);
}

static void every_kernel_number_is_one_row_and_no_more(void **state)
{
	unsigned known = 0;

	(void)state;
	for (unsigned i = 0; i < COUNT(kernel_rows); i++) {
		const struct kernel_row *row = &kernel_rows[i];

		assert_true(row->nr < CALL_NR_MAX);
		assert_int_equal(call_kernel_table[row->nr].id, row->id);
		for (unsigned j = 0; j < i; j++)
			assert_int_not_equal(row->nr, kernel_rows[j].nr);
	}
	for (unsigned nr = 0; nr < CALL_NR_MAX; nr++)
		known += call_kernel_table[nr].id != CALL_NONE;
	assert_int_equal(known, COUNT(kernel_rows));
}

static void a_view_points_at_arguments_that_exist(void **state)
{
	(void)state;
	for (unsigned nr = 0; nr < CALL_NR_MAX; nr++) {
		const struct call_kernel *kernel = &call_kernel_table[nr];
		const uint8_t *at = (const uint8_t *)&kernel->view;

		for (unsigned i = 0; i < sizeof(kernel->view); i++)
			assert_true(at[i] <= 6);
		assert_int_equal(!kernel->view.buf || kernel->view.len, true);
		assert_int_equal(!kernel->view.iov, !kernel->view.iovcnt);
		assert_int_equal(!kernel->view.addr, !kernel->view.addrlen);
		assert_true(kernel->other_arg <= 6);
	}
}

static void what_moves_bytes_says_how_many(void **state)
{
	const unsigned moves = CALL_MOVES_IN | CALL_MOVES_OUT;

	(void)state;
	for (unsigned nr = 0; nr < CALL_NR_MAX; nr++) {
		const struct call_kernel *kernel = &call_kernel_table[nr];
		const struct view *view = &kernel->view;

		if (kernel->id == CALL_NONE ||
		    !(call_table[kernel->id].flags & moves))
			continue;
		if (!view->len && !view->iov && !view->msg)
			fail_msg("%s", call_table[kernel->id].name);
		assert_true(view->fd);
	}
	for (unsigned id = 0; id < CALL_COUNT; id++) {
		unsigned flags = call_table[id].flags;

		assert_int_not_equal(flags & moves, moves);
		if (flags & CALL_MOVES_WHOLE)
			assert_int_equal(flags & moves, 0);
	}
	assert_true(call_has_buffer(CALL_write));
	assert_true(call_has_buffer(CALL_sendmsg));
	assert_false(call_has_buffer(CALL_sendfile));
	assert_false(call_has_buffer(CALL_open));
}

static void an_argument_may_make_it_another_call(void **state)
{
	uint64_t args[6] = { 3, 0, 0, 0, 0, 0 };

	(void)state;
	assert_int_equal(call_from_kernel(SYS_unlinkat, args), CALL_unlink);
	args[2] = AT_REMOVEDIR;
	assert_int_equal(call_from_kernel(SYS_unlinkat, args), CALL_rmdir);
	args[2] = ~(uint64_t)AT_REMOVEDIR;
	assert_int_equal(call_from_kernel(SYS_unlinkat, args), CALL_unlink);
	assert_int_equal(call_from_kernel(SYS_read, args), CALL_read);
	assert_int_equal(call_from_kernel(SYS_rt_sigreturn, args), CALL_NONE);
	assert_int_equal(call_from_kernel(CALL_NR_MAX, args), CALL_NONE);
	assert_int_equal(call_from_kernel(~0ul, args), CALL_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_row_stands_at_its_id),
		TEST(every_name_and_no_other_is_found),
		TEST(every_alias_leads_to_its_call),
		TEST(a_call_may_fail_just_as_its_row_says),
		TEST(no_row_names_an_error_twice),
		TEST(every_error_is_one_that_its_row_can_report),
		TEST(every_row_can_be_reached_by_a_door),
		TEST(every_kernel_number_is_one_row_and_no_more),
		TEST(a_view_points_at_arguments_that_exist),
		TEST(what_moves_bytes_says_how_many),
		TEST(an_argument_may_make_it_another_call),
	};

	return TESTS_RUN(tests);
}
