/* hook.c - what both doors meet in: judge, then act in one fixed order.
 *
 * delay, hang, kill or exit (unless after), the call or not, corruption, kill
 * or exit (if after), the result.  The site door leaves the call to the
 * target's own instruction whenever nothing has to follow it.
 */
#include <fcntl.h>
#include <time.h>

#include "core/arm.h"
#include "preload/around.h"
#include "preload/guest.h"
#include "preload/late.h"
#include "preload/model.h"
#include "preload/net.h"
#include "preload/sweep.h"
#include "preload/warp.h"

uint64_t *flight_reg(const struct flight *flight, unsigned n)
{
	return site_arg(flight->regs, n);
}

uint64_t flight_arg(const struct flight *flight, unsigned n)
{
	return n ? *flight_reg(flight, n) : 0;
}

/* fstat(2) may come as newfstatat(fd, "", …, AT_EMPTY_PATH). */
static bool is_fd_at_dirfd(const struct flight *flight)
{
	return flight->call.id == CALL_fstat && !flight->row->view.fd;
}

int flight_fd(const struct flight *flight)
{
	const struct call_kernel *row = flight->row;

	if (!row)
		return flight->call.fd;
	if (is_fd_at_dirfd(flight))
		return (int)flight_arg(flight, row->view.dirfd);
	return row->view.fd ? (int)flight_arg(flight, row->view.fd) : -1;
}

/* Bytes in an iovec array that may not be readable. */
static size_t iov_bytes(const struct iovec *iov, unsigned count)
{
	struct iovec part[16];
	size_t bytes = 0;

	while (count) {
		unsigned n = count < 16 ? count : 16;

		if (scratch_copy(part, iov, n * sizeof(*iov)) !=
		    n * sizeof(*iov))
			return bytes;
		for (unsigned i = 0; i < n; i++)
			bytes += part[i].iov_len;
		iov += n;
		count -= n;
	}
	return bytes;
}

static void fill_vectors(struct call *call)
{
	struct msghdr msg;

	if (call->msg) {
		if (scratch_copy(&msg, call->msg, sizeof(msg)) != sizeof(msg))
			return;
		call->iov = msg.msg_iov;
		call->iovcnt = (unsigned)msg.msg_iovlen;
		if (msg.msg_name && !call->addr) {
			call->addr = msg.msg_name;
			call->addrlen = msg.msg_namelen;
		}
	}
	if (call->iov && call->iovcnt <= IOV_COUNT_MAX)
		call->len = iov_bytes(call->iov, call->iovcnt);
}

void flight_fill(struct flight *flight)
{
	struct call *call = &flight->call;
	uint64_t args[6];

	if (flight->filled)
		return;
	flight->filled = true;
	for (unsigned n = 0; n < 6; n++)
		args[n] = flight_arg(flight, n + 1);
	call_fill(flight->row, call->id, args, call);
	call->at_site = !flight->regs->stub->by_symbol;
	if (call->iov || call->msg)
		fill_vectors(call);
}

void flight_ask_nonblocking(struct flight *flight)
{
	struct call *call = &flight->call;
	long flags;

	if (call->nonblocking || call->fd < 0)
		return;
	flags = sys3(SYS_fcntl, call->fd, F_GETFL, 0);
	call->nonblocking = (flags >= 0 && flags & O_NONBLOCK) ||
			    call->msgflags & MSG_DONTWAIT;
}

/* What is known of an fd goes out of date with these, whatever becomes of
 * the call: at worst it is looked up once more. */
static void note_objects(const struct flight *flight)
{
	int fd = flight_fd(flight);

	switch (flight->call.id) {
	case CALL_close:
		object_forget(fd);
		fdcount_forget(fd);
		break;
	case CALL_close_range:
		object_forget_range((unsigned)fd,
				    (unsigned)flight_arg(flight, 2));
		break;
	case CALL_dup:
		if (flight->row->view.fd2) {
			object_forget((int)flight_arg(flight, 2));
			fdcount_forget((int)flight_arg(flight, 2));
		}
		break;
	case CALL_connect:
		object_connects(fd);
		break;
	case CALL_rename:
		object_renames();
		break;
	}
}

/* A result as a system call says it. */
static long site_result(const struct flight *flight, long ret)
{
	const struct call *call = &flight->call;

	if (call->error && call_table[call->id].flags & CALL_OLD_BREAK)
		return sys3(SYS_brk, 0, 0, 0);
	if (call->error)
		return -call->error;
	return call->has_result ? (long)call->result : ret;
}

/* What recvmsg(2) fills in where a stream has ended: nothing.  Left as it was
 * the target would take its own buffer for control data. */
static void message_empty(const struct call *call)
{
	if (!call->msg || !(call_table[call->id].flags & CALL_MOVES_IN))
		return;
	call->msg->msg_namelen = 0;
	call->msg->msg_controllen = 0;
	call->msg->msg_flags = 0;
}

/* A sleep that was never begun has all of its time left; nanosleep(2). */
static void sleep_remains(const struct flight *flight)
{
	const struct site_regs *regs = flight->regs;
	bool is_old = site_nr(regs) == SYS_nanosleep;
	uint64_t want = *site_arg(regs, is_old ? 1 : 3);
	uint64_t left = *site_arg(regs, is_old ? 2 : 4);
	struct timespec time;

	if (flight->call.id != CALL_nanosleep || !left ||
	    (!is_old && *site_arg(regs, 2) & TIMER_ABSTIME))
		return;
	if (scratch_copy(&time, (const void *)want, sizeof(time)) ==
	    sizeof(time))
		scratch_write((void *)left, &time, sizeof(time));
}

static bool is_error(long ret)
{
	return (unsigned long)ret > -4096ul;
}

/* The books of the runner's probes: what was seen here and wasn't kept from the
 * kernel must have come to it. */
static void keep_count(const struct site_regs *regs, uint64_t n)
{
	if (UNLIKELY(guest_state->armed_nr[site_nr(regs)] == NR_COUNTED))
		atomic_fetch_add_explicit(&guest_state->kept_nr[site_nr(regs)],
					  n, memory_order_relaxed);
}

/* Will it end here, before it is made? */
static bool ends_before(const struct call *call)
{
	return !call->after && (call->kill_signal || call->exit_status >= 0);
}

/* The call was made, or came to nothing with ret: the books want to know. */
static void site_settle(struct flight *flight, long ret)
{
	if (UNLIKELY(flight->note.kind != NOTE_NONE))
		model_settle(flight, ret);
	rules_weigh(flight, ret);
}

/* Everything that a decided call at a site needs; SITE_PROCEED only if the
 * call shall run where it stands. */
static long site_act(struct flight *flight)
{
	struct call *call = &flight->call;
	struct site_regs *regs = flight->regs;
	bool releases = call_table[call->id].flags & CALL_RELEASES_FD;
	bool needs_after, ends = ends_before(call);
	long ret;

	if (UNLIKELY(net_rules) && call->delay_ns)
		net_defers(flight);
	if (ends)
		keep_count(regs, 1);
	ret = act_before(flight);
	if (ends) /* a handler took the signal */
		keep_count(regs, (uint64_t)-1);
	if (ret < 0) {
		keep_count(regs, 1);
		site_settle(flight, ret);
		sleep_remains(flight);
		site_return(regs, ret);
		return SITE_RETURN;
	}
	if (call->skip && !releases) {
		keep_count(regs, 1);
		if (call->has_result)
			message_empty(call);
		if (call->loses)
			unsynced_lose(call->fd);
		sleep_remains(flight);
		act_after(flight);
		site_return(regs, net_act(flight, site_result(flight, 0)));
		return SITE_RETURN;
	}
	needs_after = call->skip || call->after || call->has_result ||
		      flight->weighs || flight->net_tracks;
	if (flight->net_tracks && call->len > flight->net_seen &&
	    (!call->len_max || call->len_max > flight->net_seen))
		call->len_max = flight->net_seen;
	if (call->id == CALL_execve)
		ret = exec_call(regs);
	else if (call->len_max || call->corrupt_bits || call->rot_ppm)
		ret = bend_call(flight, needs_after);
	else if (needs_after)
		ret = around_call(regs);
	else
		return SITE_PROCEED;
	if (ret == BEND_PROCEED)
		return SITE_PROCEED;
	site_settle(flight, ret);
	if (flight->net_tracks)
		net_ends(flight, ret);
	if (!is_error(ret) && call->error &&
	    !rules_settle(flight, PENDING_ERROR, 0, false))
		call->error = 0;
	act_after(flight);
	if (!is_error(ret))
		ret = site_result(flight, ret);
	site_return(regs, ret);
	return SITE_RETURN;
}

/* A ring would make calls that rules name where no door sees them: refused as
 * by the sysctl kernel.io_uring_disabled, for as long as faults may hold. */
static long site_refuse(struct site_regs *regs)
{
	if (site_nr(regs) != SYS_io_uring_setup ||
	    !plan_wants_uring(&guest_plan) ||
	    !lease_holds(guest_state, clock_ns()))
		return SITE_PROCEED;
	BUMP(guest_state->uring_refused);
	site_return(regs, -EPERM);
	return SITE_RETURN;
}

/* Made by nobody, or by us in another shape. */
static long site_answer(struct site_regs *regs, long ret)
{
	keep_count(regs, 1);
	site_return(regs, ret);
	return SITE_RETURN;
}

long site_hook(struct site_regs *regs)
{
	const struct call_kernel *row;
	struct flight flight;
	bool acts = false;
	unsigned id;
	uint64_t nr = site_nr(regs);
	long ret;

	if (nr >= CALL_NR_MAX)
		return SITE_PROCEED;
	if (UNLIKELY(guest_state->armed_nr[nr] == NR_COUNTED))
		BUMP(guest_state->seen_nr[nr]);
	row = &call_kernel_table[nr];
	id = row->id;
	flight.row = row;
	flight.regs = regs;
	if (row->other_arg &&
	    flight_arg(&flight, row->other_arg) & row->other_mask)
		id = row->other_id;
	if (id == CALL_NONE && warp_wants(nr)) {
		site_return(regs, warp_call(regs));
		return SITE_RETURN;
	}
	if (id == CALL_NONE)
		return UNLIKELY(guest_sweep != NULL) && nr == SYS_getrandom &&
				       sweep_random(regs)
			       ? SITE_RETURN
			       : site_refuse(regs);
	flight.call.id = (uint16_t)id;
	flight.filled = false;
	flight.weighs = flight.warps = 0;
	flight.note.kind = NOTE_NONE;
	flight.net_tracks = false;
	if (UNLIKELY(id == CALL_stat) && guest_ledger_is_kept() &&
	    ledger_told(&flight))
		return site_answer(regs, -ENOENT);
	if (guest_process && guest_state->armed_call[id]) {
		count_call(&guest_process->calls[id]);
		if (UNLIKELY(net_rules) && net_begins(&flight, &ret))
			return site_answer(regs, ret);
		acts = rules_judge(&flight) || flight.net_tracks;
		note_objects(&flight);
		if (UNLIKELY(net_rules) && !acts && net_waits(&flight, &ret))
			return site_answer(regs, ret);
	}
	if (acts && site_act(&flight) != SITE_PROCEED)
		return SITE_RETURN;
	if (late_is_due(regs))
		ret = late_map(regs);
	else if (!acts && flight.weighs)
		ret = around_call(regs);
	else if (!acts && warp_wants(nr))
		ret = warp_call(regs);
	else if (!acts && id == CALL_execve)
		ret = exec_call(regs);
	else if (UNLIKELY(guest_sweep != NULL) && !acts &&
		 sweep_listens(&flight))
		sweep_heard(&flight, ret = around_call(regs));
	else
		return SITE_PROCEED;
	if (!acts && flight.weighs)
		site_settle(&flight, ret);
	site_return(regs, ret);
	return SITE_RETURN;
}

bool hook_before(struct flight *flight)
{
	struct call *call = &flight->call;

	flight->row = NULL;
	flight->regs = NULL;
	flight->filled = true;
	call->fd = call->fd2 = call->exit_status = -1;
	call->dirfd = call->dirfd2 = AT_FDCWD;
	if (!guest_process)
		return true;
	count_call(&guest_process->calls[call->id]);
	if (!rules_judge(flight))
		return true;
	if (act_before(flight) < 0 && !call->error) {
		call->error = EINTR;
		call->after = false;
		return false;
	}
	return !call->skip;
}

/* Does this return value say success? */
static bool symbol_succeeded(unsigned fails, intptr_t ret)
{
	switch (fails) {
	case FAILS_minus1:
	case FAILS_mapfail:
		return ret != -1;
	case FAILS_null:
		return ret != 0;
	}
	return ret == 0; /* error, gai */
}

/* fork(2) returns twice, and what follows it is its caller's. */
static bool is_forked_child(const struct call *call, intptr_t ret)
{
	return call->id == CALL_fork && !call->skip && ret == 0;
}

intptr_t hook_after(struct flight *flight, intptr_t ret)
{
	struct call *call = &flight->call;
	unsigned fails = call_table[call->id].fails;

	if (!flight->acts || is_forked_child(call, ret))
		return ret;
	if (call->after && call->error &&
	    (!symbol_succeeded(fails, ret) ||
	     !rules_settle(flight, PENDING_ERROR, 0, false)))
		call->error = 0;
	if (flight->warps && symbol_succeeded(fails, ret))
		ret = warp_reading(flight, ret);
	if (call->after)
		act_after(flight);
	if (!call->error)
		return call->has_result ? (intptr_t)call->result : ret;
	switch (fails) {
	case FAILS_error:
	case FAILS_gai:
		return call->error;
	case FAILS_null:
		errno = call->error;
		return 0;
	}
	errno = call->error;
	return -1;
}
