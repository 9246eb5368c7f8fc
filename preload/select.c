/* select.c - do a rule's selectors hold for a call?
 *
 * Cheap ones first; whatever needs the object behind an fd is asked of
 * object.c, which remembers; the stack comes last.
 */
#include <fcntl.h>
#include <sys/prctl.h>

#include "preload/guest.h"
#include "preload/stack.h"

#define NAME_MAX_BYTES 16 /* prctl(2), PR_GET_NAME */

static bool size_holds(struct flight *flight, const struct plan_rule *rule)
{
	const struct call *call = &flight->call;
	uint64_t size;

	flight_fill(flight);
	size = call->size ? call->size : call->len;
	return size >= rule->size_first && size <= rule->size_last;
}

/* `thread=3` is the third thread that was made, 0 the main thread; anything
 * else is a glob on the name that the kernel knows the thread by. */
static bool thread_holds(const char *want)
{
	char name[NAME_MAX_BYTES] = { 0 };
	uint32_t ordinal = 0;
	const char *p = want;

	for (; *p >= '0' && *p <= '9'; p++)
		ordinal = ordinal * 10 + (uint32_t)(*p - '0');
	if (p != want && *p == '\0') {
		thread_stream(); /* an unknown thread gets its number here */
		return guest_thread.ordinal == ordinal;
	}
	sys3(SYS_prctl, PR_GET_NAME, (long)name, 0);
	return glob_match(want, name);
}

static bool frame_holds(const struct flight *flight, const char *glob)
{
	const struct site_regs *regs = flight->regs;

	if (regs && !regs->stub->by_symbol)
		return stack_has_frame(regs->pc, site_regs_sp(regs),
				       site_regs_bp(regs), glob);
	return stack_has_frame_here(glob);
}

/* A path argument, and the directory that it starts from. */
struct path_arg {
	int dirfd;
	const char *path; /* NULL: there is none */
};

static void path_args_read(const struct flight *flight,
			   struct path_arg first[1], struct path_arg second[1])
{
	const struct call *call = &flight->call;
	const struct view *view;

	if (flight->filled) {
		*first = (struct path_arg){ call->dirfd, call->path };
		*second = (struct path_arg){ call->dirfd2, call->path2 };
		return;
	}
	view = &flight->row->view;
	first->dirfd =
		view->dirfd ? (int)flight_arg(flight, view->dirfd) : AT_FDCWD;
	first->path = (const char *)flight_arg(flight, view->path);
	second->dirfd =
		view->dirfd2 ? (int)flight_arg(flight, view->dirfd2) : AT_FDCWD;
	second->path = (const char *)flight_arg(flight, view->path2);
}

/* Add the wanted rules whose path= matches; false: it isn't known, for want
 * of memory or of what the kernel would tell. */
static bool path_look(const struct flight *flight, const struct path_arg *arg,
		      uint64_t wanted, uint64_t *rules)
{
	char small[PATH_SHORT_BYTES], *buf = small;
	long n = path_of_arg(flight, arg->dirfd, arg->path, buf, sizeof(small));

	if (n == -ENAMETOOLONG) {
		buf = scratch_claim();
		if (!buf)
			return false;
		n = path_of_arg(flight, arg->dirfd, arg->path, buf,
				GUEST_PATH_MAX);
	}
	for (uint64_t left = n < 0 ? 0 : wanted; left; left &= left - 1) {
		unsigned r = (unsigned)__builtin_ctzll(left);

		if (rule_path_match(&guest_plan, &guest_plan.rules[r], buf))
			*rules |= 1ull << r;
	}
	if (buf != small)
		scratch_release(buf);
	return n >= 0 || n == -EFAULT || n == -ENOTDIR;
}

/* A path argument says what the call is about; either of two will do. */
static uint64_t path_rules(const struct flight *flight)
{
	uint64_t wanted = quick_calls[flight->call.id].by_path, rules = 0;
	struct path_arg first, second;
	bool is_sure = true;

	path_args_read(flight, &first, &second);
	if (first.path)
		is_sure = path_look(flight, &first, wanted, &rules);
	if (second.path && rules != wanted)
		is_sure &= path_look(flight, &second, wanted, &rules);
	if (!is_sure && rules != wanted)
		BUMP(guest_state->unresolved);
	return rules;
}

/* An address argument, as connect and sendto have it, is nearer to the call
 * than whatever its fd was connected to; bind's is our own address. */
static bool has_addr(const struct call *call)
{
	return call->addr && call->id != CALL_bind;
}

static bool addr_holds(const struct call *call, unsigned r)
{
	struct sockaddr_storage addr;
	size_t n = call->addrlen;
	bool is_client = call->id == CALL_connect ||
			 !(guest_plan.rules[r].selectors & SELECT_SIDE) ||
			 object_is_client(call->fd);

	if (n > sizeof(addr))
		n = sizeof(addr);
	if (scratch_copy(&addr, call->addr, n) != n)
		return false; /* EFAULT is the kernel's to say */
	return object_rules_addr((const void *)&addr, (unsigned)n, is_client) >>
		       r &
	       1;
}

/* What the call is about is looked at once, for all rules of the chain; and
 * isn't remembered where libc may close it unseen. */
static uint64_t objects_of_fd(struct flight *flight, int fd)
{
	bool will_close = guest_by_symbols ||
			  call_table[flight->call.id].flags & CALL_RELEASES_FD;

	if (!flight->has_objects)
		flight->objects = object_rules(fd, will_close);
	flight->has_objects = true;
	return flight->objects;
}

static uint64_t objects_of_path(struct flight *flight)
{
	if (!flight->has_objects)
		flight->objects = path_rules(flight);
	flight->has_objects = true;
	return flight->objects;
}

bool select_excludes(struct flight *flight)
{
	bool has_path =
		flight->filled
			? flight->call.path != NULL
			: flight_arg(flight, flight->row->view.path) != 0;

	return quick_calls[flight->call.id].all_by_path && has_path &&
	       !objects_of_path(flight);
}

static bool object_holds(struct flight *flight, unsigned r,
			 const struct plan_rule *rule)
{
	const struct view *view = flight->row ? &flight->row->view : NULL;
	unsigned about = rule->selectors & SELECT_OBJECT;

	if (view && !view->path && !view->addr && !view->msg)
		return objects_of_fd(flight, flight_fd(flight)) >> r & 1;
	if (view && view->path && flight_arg(flight, view->path))
		return objects_of_path(flight) >> r & 1;
	flight_fill(flight);
	if (flight->call.host)
		return about == SELECT_HOST &&
		       glob_match(guest_plan.base + rule->host_off,
				  flight->call.host);
	if (flight->call.path)
		return objects_of_path(flight) >> r & 1;
	if (has_addr(&flight->call) && !(about & SELECT_PATH))
		return addr_holds(&flight->call, r);
	return objects_of_fd(flight, flight->call.fd) >> r & 1;
}

static bool clock_holds(struct flight *flight, const struct plan_rule *rule)
{
	int clock = call_clock(&flight->call);

	return clock >= 0 && clock_is_of(clock, rule->clock);
}

bool select_holds(struct flight *flight, unsigned r)
{
	const struct plan_rule *rule = &guest_plan.rules[r];
	unsigned want = rule->selectors;
	const char *base = guest_plan.base;

	if (want & SELECT_EXE && !(guest_exe_rules >> r & 1))
		return false;
	if (want & SELECT_FD) {
		int fd = flight_fd(flight);

		if (fd < rule->fd_first || fd > rule->fd_last)
			return false;
	}
	if (want & SELECT_CLOCK && !clock_holds(flight, rule))
		return false;
	if (want & SELECT_OBJECT && !object_holds(flight, r, rule))
		return false;
	if (want & SELECT_SIZE && !size_holds(flight, rule))
		return false;
	if (want & SELECT_THREAD && !thread_holds(base + rule->thread_off))
		return false;
	return !(want & SELECT_FRAME) ||
	       frame_holds(flight, base + rule->frame_off);
}
