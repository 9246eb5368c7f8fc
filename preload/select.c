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

	if (regs)
		return stack_has_frame(regs->rip, site_regs_sp(regs), regs->rbp,
				       glob);
	return stack_has_frame_here(glob);
}

/* A path argument says what the call is about; either of two will do. */
static bool path_args_hold(const struct call *call, const char *glob)
{
	const char *paths[] = { call->path, call->path2 };
	const int dirfds[] = { call->dirfd, call->dirfd2 };
	bool is_in_doubt = false, holds = false;
	char *buf = scratch_claim();

	if (!buf) {
		BUMP(guest_state->unresolved);
		return false;
	}
	for (int i = 0; i < 2 && !holds; i++) {
		holds = paths[i] &&
			path_of_arg(dirfds[i], paths[i], buf, &is_in_doubt) &&
			glob_match(glob, buf);
	}
	scratch_release(buf);
	if (is_in_doubt && !holds)
		BUMP(guest_state->unresolved);
	return holds;
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

static bool object_holds(struct flight *flight, unsigned r,
			 const struct plan_rule *rule)
{
	const struct view *view = flight->row ? &flight->row->view : NULL;
	unsigned about = rule->selectors & SELECT_OBJECT;

	if (view && !view->path && !view->addr && !view->msg)
		return object_rules(flight_fd(flight)) >> r & 1;
	flight_fill(flight);
	if (flight->call.host)
		return about == SELECT_HOST &&
		       glob_match(guest_plan.base + rule->host_off,
				  flight->call.host);
	if (flight->call.path)
		return about == SELECT_PATH &&
		       path_args_hold(&flight->call,
				      guest_plan.base + rule->path_off);
	if (has_addr(&flight->call) && !(about & SELECT_PATH))
		return addr_holds(&flight->call, r);
	return object_rules(flight->call.fd) >> r & 1;
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
	if (want & SELECT_OBJECT && !object_holds(flight, r, rule))
		return false;
	if (want & SELECT_SIZE && !size_holds(flight, rule))
		return false;
	if (want & SELECT_THREAD && !thread_holds(base + rule->thread_off))
		return false;
	return !(want & SELECT_FRAME) ||
	       frame_holds(flight, base + rule->frame_off);
}
