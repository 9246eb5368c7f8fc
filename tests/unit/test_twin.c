/* The rows of twins.def against libc's own headers, fortified ones too, and
 * against the table of calls. */
#undef _FORTIFY_SOURCE
#define _FORTIFY_SOURCE 2

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/call.h"
#include "tests/unit/test.h"

/* The compiler compares; __REDIRECTed and inlined names keep their types. */
#define IS_LIBCS(symbol, type, params)                                         \
	_Static_assert(                                                        \
		__builtin_types_compatible_p(__typeof__(symbol), type params), \
		#symbol " is not as libc declares it");
#define TWIN(call, nr, fails, point, map, type, symbol, params)                \
	IS_LIBCS(symbol, type, params)
#define TWIN_CHK  TWIN
#define TWIN_BODY TWIN
#define TWIN_OLD(...)
#include "core/twins.def"
#undef TWIN
#undef TWIN_OLD

#define CALL_any    CALL_NONE
#define SYS_syscall -1

static const struct row {
	unsigned call;
	int nr;
	const char *map, *symbol, *params;
} rows[] = {
#define TWIN(call, nr, fails, point, map, type, symbol, params)                \
	{ CALL_##call, SYS_##nr, #map, #symbol, #params },
#define TWIN_OLD TWIN
#include "core/twins.def"
};
#define ROWS (sizeof(rows) / sizeof(*rows))

static void each_twin_stands_for_a_system_call_of_its_row(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		const struct call_kernel *kernel;

		if (rows[i].nr < 0)
			continue;
		kernel = &call_kernel_table[rows[i].nr];
		if (kernel->id != rows[i].call &&
		    kernel->other_id != rows[i].call)
			fail_msg("%s is no %s", rows[i].symbol,
				 call_table[rows[i].call].name);
	}
}

static unsigned params_count(const char *params)
{
	unsigned n = 1;

	if (strcmp(params, "(void)") == 0)
		return 0;
	for (; *params; params++)
		n += *params == ',';
	return n;
}

/* A selector or a fault must find what the view names where the map puts it. */
static void each_map_reaches_all_that_its_view_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < ROWS; i++) {
		const struct row *row = &rows[i];
		bool is_exec = row->call == CALL_execve; /* map: not all */
		struct view v;
		uint8_t wants[11];

		if (row->nr < 0 || strcmp(row->map, "0") == 0)
			continue;
		v = call_kernel_table[row->nr].view;
		memcpy(wants,
		       (uint8_t[]){ v.fd, v.fd2, v.dirfd, v.path, v.dirfd2,
				    v.path2, v.buf, v.len, v.iov, v.iovcnt,
				    v.msg },
		       sizeof(wants));
		for (size_t k = 0; k < sizeof(wants); k++)
			if (wants[k] > strlen(row->map) && !is_exec &&
			    strcmp(row->symbol, "futimes") != 0)
				fail_msg("%s: the map %s has no argument %u",
					 row->symbol, row->map, wants[k]);
		for (const char *c = row->map; *c; c++)
			if (*c >= '1' && *c <= '9' &&
			    (unsigned)(*c - '0') > params_count(row->params))
				fail_msg("%s%s has no argument %c", row->symbol,
					 row->params, *c);
	}
}

static void each_call_of_the_kernel_has_a_twin_or_a_reason(void **state)
{
	/* brk(2) says failure in its own way, and only malloc calls it. */
	static const unsigned without[] = { CALL_brk };
	bool has[CALL_COUNT] = { false };

	(void)state;
	for (size_t i = 0; i < ROWS; i++)
		if (rows[i].call < CALL_COUNT)
			has[rows[i].call] = true;
	for (size_t i = 0; i < sizeof(without) / sizeof(*without); i++)
		has[without[i]] = true;
	for (unsigned id = 0; id < CALL_COUNT; id++)
		if (call_table[id].has_kernel && !has[id])
			fail_msg("%s has no twin", call_table[id].name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_twin_stands_for_a_system_call_of_its_row),
		TEST(each_map_reaches_all_that_its_view_names),
		TEST(each_call_of_the_kernel_has_a_twin_or_a_reason),
	};

	return TESTS_RUN(tests);
}
