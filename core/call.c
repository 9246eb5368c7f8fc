/* call.c - the tables that calls.def spells out, and the look-ups on them. */
#include "core/call.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <sys/syscall.h>
#include <time.h>

#include "kernel.h" /* made from calls.def: NR_name */

/* The words that a row's flags are written in. */
enum {
	BLOCKS = CALL_BLOCKS,
	MOVES_IN = CALL_MOVES_IN,
	MOVES_OUT = CALL_MOVES_OUT,
	MOVES_WHOLE = CALL_MOVES_WHOLE,
	CREATES_FD = CALL_CREATES_FD,
	RELEASES_FD = CALL_RELEASES_FD,
	SYNCS = CALL_SYNCS,
	NEVER_FAILS = CALL_NEVER_FAILS,
	OLD_BREAK = CALL_OLD_BREAK,
	ALLOCATES = CALL_ALLOCATES,
	WAITS = CALL_WAITS,
	CREATES_PROCESS = CALL_CREATES_PROCESS,
	CREATES_THREAD = CALL_CREATES_THREAD,
	REPLACES_IMAGE = CALL_REPLACES_IMAGE,
	CHANGES = CALL_CHANGES,
};

/* Later rows refine earlier ones: a KERNEL row sets one member of its call's
 * entry, a known number overrides "we don't look". */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init"

#define OPEN(...)     __VA_ARGS__
#define ERRNOS(...)   __VA_ARGS__ __VA_OPT__(, )
#define CITE(e, text) { .error = e, .source = text },
#define INTS(...)     ((const int[]){ __VA_ARGS__ })

const struct call_info call_table[CALL_COUNT] = {
#define KERNEL(...)
#define KERNEL_IF(...)
#define ALIAS(...)
#define SYMBOL(...)
#define CALL(fam, id, how, bits, mans, list, sources)                          \
	[CALL_##id] = {                                                        \
		.name = #id,                                                   \
		.pages = mans,                                                 \
		.errnos = INTS(ERRNOS list 0),                                 \
		.errnos_count = sizeof(INTS(ERRNOS list 0)) / sizeof(int) - 1, \
		.cites = (const struct call_cite[]){ OPEN sources{ 0 } },      \
		.flags = bits,                                                 \
		.family = FAMILY_##fam,                                        \
		.fails = FAILS_##how,                                          \
	},
#include "core/calls.def"
#undef CALL
#undef KERNEL
#undef KERNEL_IF
#undef SYMBOL
#define CALL(...)
#define KERNEL(id, ...)	   [CALL_##id].has_kernel = true,
#define KERNEL_IF(id, ...) [CALL_##id].has_kernel = true,
#define SYMBOL(id, ...)	   [CALL_##id].has_symbol = true,
#include "core/calls.def"
#undef KERNEL
#undef KERNEL_IF
#undef SYMBOL
};

/* What this machine's kernel doesn't have falls into the last one. */
const struct call_kernel call_kernel_table[CALL_NR_MAX + 1] = {
	[0 ... CALL_NR_MAX] = { .id = CALL_NONE, .other_id = CALL_NONE },
#define KERNEL_IF(...)
#define SYMBOL(...)
#define KERNEL(call, nr, ...)                                                  \
	[NR_##nr] = { .id = CALL_##call,                                       \
		      .other_id = CALL_NONE,                                   \
		      .view = { __VA_ARGS__ } },
#include "core/calls.def"
#undef KERNEL
#undef KERNEL_IF
#define KERNEL(...)
#define KERNEL_IF(call, nr, arg, mask)                                         \
	[NR_##nr].other_id = CALL_##call, [NR_##nr].other_arg = arg,           \
	[NR_##nr].other_mask = mask,
#include "core/calls.def"
#undef KERNEL_IF
#undef ALIAS
};

#pragma GCC diagnostic pop

static const struct call_alias {
	const char *name;
	uint16_t id;
} aliases[] = {
#define KERNEL_IF(...)
#define ALIAS(alias, call) { #alias, CALL_##call },
#include "core/calls.def"
#undef ALIAS
#undef CALL
#undef KERNEL
#undef KERNEL_IF
#undef SYMBOL
};

const char *const call_family_names[FAMILY_COUNT] = {
	[FAMILY_file] = "file",	  [FAMILY_net] = "net",
	[FAMILY_alloc] = "alloc", [FAMILY_dns] = "dns",
	[FAMILY_time] = "time",	  [FAMILY_proc] = "proc",
};

static bool is_word(const char *word, const char *name, size_t n)
{
	size_t i;

	for (i = 0; i < n && word[i]; i++)
		if (word[i] != name[i])
			return false;
	return i == n && word[i] == '\0';
}

unsigned call_find(const char *name, size_t n)
{
	for (unsigned id = 0; id < CALL_COUNT; id++)
		if (is_word(call_table[id].name, name, n))
			return id;
	for (size_t i = 0; i < sizeof(aliases) / sizeof(*aliases); i++)
		if (is_word(aliases[i].name, name, n))
			return aliases[i].id;
	return CALL_NONE;
}

bool call_allows(unsigned id, int error)
{
	if (id >= CALL_COUNT || error == 0)
		return false;
	for (unsigned i = 0; i < call_table[id].errnos_count; i++)
		if (call_table[id].errnos[i] == error)
			return true;
	for (const struct call_cite *c = call_table[id].cites; c->error; c++)
		if (c->error == error)
			return true;
	return false;
}

/* What only some of its commands can say, fcntl(2). */
static bool fcntl_may_say(int command, int error)
{
	switch (error) {
	case EMFILE:
		return command == F_DUPFD || command == F_DUPFD_CLOEXEC;
	case EAGAIN:
	case EACCES:
		return command == F_SETLK || command == F_OFD_SETLK;
	case ENOLCK:
	case EDEADLK:
		return command == F_SETLK || command == F_SETLKW ||
		       command == F_OFD_SETLK || command == F_OFD_SETLKW;
	}
	return true;
}

bool call_may_say(const struct call *call, int error)
{
	const unsigned moves =
		CALL_MOVES_IN | CALL_MOVES_OUT | CALL_MOVES_WHOLE;
	unsigned flags = call_table[call->id].flags;

	if (call->id == CALL_fcntl)
		return fcntl_may_say((int)call->flags, error);
	if (error == EINPROGRESS)
		return call->nonblocking;
	if (error != EAGAIN || !(flags & CALL_BLOCKS))
		return true;
	if (flags & moves || call->id == CALL_accept)
		return call->nonblocking;
	return true;
}

int call_clock(const struct call *call)
{
	switch (call->id) {
	case CALL_clock_gettime:
		return (int)call->flags;
	case CALL_gettimeofday:
	case CALL_time:
		return CLOCK_REALTIME;
	}
	return -1;
}

bool call_has_buffer(unsigned id)
{
	for (unsigned nr = 0; nr < CALL_NR_MAX; nr++) {
		const struct call_kernel *kernel = &call_kernel_table[nr];
		const struct view *view = &kernel->view;

		if (kernel->id == id && (view->buf || view->iov || view->msg))
			return true;
	}
	return false;
}

unsigned call_from_kernel(unsigned long nr, const uint64_t args[6])
{
	const struct call_kernel *kernel;

	if (nr >= CALL_NR_MAX)
		return CALL_NONE;
	kernel = &call_kernel_table[nr];
	if (kernel->other_arg &&
	    args[kernel->other_arg - 1] & kernel->other_mask)
		return kernel->other_id;
	return kernel->id;
}

void call_fill(const struct call_kernel *row, unsigned id,
	       const uint64_t args[6], struct call *ret_call)
{
	const struct view *view = &row->view;

#define ARG(n)	      (view->n ? args[view->n - 1] : 0)
#define ARG_OR(n, no) (view->n ? (int)args[view->n - 1] : (no))
	*ret_call = (struct call){
		.id = (uint16_t)id,
		.at_site = true,
		.fd = ARG_OR(fd, -1),
		.fd2 = ARG_OR(fd2, -1),
		.dirfd = ARG_OR(dirfd, AT_FDCWD),
		.dirfd2 = ARG_OR(dirfd2, AT_FDCWD),
		.path = (const char *)ARG(path),
		.path2 = (const char *)ARG(path2),
		.buf = (void *)ARG(buf),
		.iov = (struct iovec *)ARG(iov),
		.msg = (struct msghdr *)ARG(msg),
		.addr = (const struct sockaddr *)ARG(addr),
		.len = ARG(len),
		.size = ARG(size),
		.iovcnt = (unsigned)ARG(iovcnt),
		.addrlen = (unsigned)ARG(addrlen),
		.flags = (unsigned)ARG(flags),
		.msgflags = (unsigned)ARG(msgflags),
		.exit_status = -1,
	};
#undef ARG
#undef ARG_OR
	/* fstat(2) may come as newfstatat(fd, "", ..., AT_EMPTY_PATH). */
	if (id == CALL_fstat && !view->fd) {
		ret_call->fd = ret_call->dirfd;
		ret_call->path = NULL;
	}
}
