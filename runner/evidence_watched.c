/* What the probes saw, to and from evidence.json. */
#include "runner/evidence_files.h"
#include "runner/evidence_io.h"

#include <errno.h>
#include <string.h>

static void io_group(struct io *io, void *item)
{
	struct watched_group_seen *group = item;

	NUMBER(io, group, asked);
	NUMBER(io, group, on);
	STRING(io, group, why);
	NUMBER(io, group, lost);
}

static void io_exit(struct io *io, void *item)
{
	struct watched_exit *exit = item;

	NUMBER(io, exit, at_ns);
	NUMBER(io, exit, pid);
	NUMBER(io, exit, parent);
	NUMBER(io, exit, status);
	NUMBER(io, exit, signal);
	NUMBER(io, exit, core);
	NUMBER(io, exit, oom);
	NUMBER(io, exit, sender_known);
	NUMBER(io, exit, sender_is_kernel);
	NUMBER(io, exit, sender_is_runner);
	NUMBER(io, exit, sender_is_inside);
	NUMBER(io, exit, sender);
	io_chars(io, "comm", exit->comm, sizeof(exit->comm));
	io_chars(io, "sender_comm", exit->sender_comm,
		 sizeof(exit->sender_comm));
}

static void io_net(struct io *io, void *item)
{
	struct watched_net *net = item;

	NUMBER(io, net, at_ns);
	NUMBER(io, net, until_ns);
	NUMBER(io, net, connects);
	NUMBER(io, net, retransmits);
	NUMBER(io, net, resets);
}

static void io_call(struct io *io, void *item)
{
	struct watched_call *call = item;

	NUMBER(io, call, nr);
	NUMBER(io, call, passed);
	NUMBER(io, call, marked);
	NUMBER(io, call, symbols);
	NUMBER(io, call, asked);
	NUMBER(io, call, escaped);
	NUMBER(io, call, unknown);
	NUMBER(io, call, early);
}

static void io_escape(struct io *io, void *item)
{
	struct watched_escape *escape = item;

	NUMBER(io, escape, nr);
	NUMBER(io, escape, way);
	NUMBER(io, escape, bits);
	NUMBER(io, escape, count);
	io_chars(io, "comm", escape->comm, sizeof(escape->comm));
	STRING(io, escape, site);
}

static void io_kernel_error(struct io *io, void *item)
{
	struct watched_error *error = item;

	NUMBER(io, error, nr);
	NUMBER(io, error, error);
	NUMBER(io, error, count);
}

static void io_acks(struct io *io, void *item)
{
	struct watched_acks *acks = item;

	NUMBER(io, acks, acks);
	NUMBER(io, acks, dirty);
	NUMBER(io, acks, window_max_ns);
	NUMBER(io, acks, first_ns);
	NUMBER(io, acks, writes);
	NUMBER(io, acks, syncs);
	NUMBER(io, acks, sync_errors);
}

/* Those of the phases that there were; the rest are all zeroes. */
static void io_acks_all(struct io *io, struct watched_acks *acks)
{
	static const struct watched_acks none;
	struct watched_acks *items = io->load ? NULL : acks;
	size_t count = 1 + PLAN_PHASES_MAX;

	while (!io->load && count > 1 &&
	       memcmp(&acks[count - 1], &none, sizeof(none)) == 0)
		count--;
	io_list(io, "acks", (void **)&items, &count, sizeof(*items), io_acks);
	if (!io->load)
		return;
	if (count > 1 + PLAN_PHASES_MAX)
		io_fail(io, -EBADMSG);
	else if (items)
		memcpy(acks, items, count * sizeof(*items));
	free(items);
}

void evidence_watched_io(struct io *io, void *item)
{
	struct watched *watched = item;

	NUMBER(io, watched, asked);
	NUMBER(io, watched, notified);
	STRING(io, watched, unobserved);
	STRING(io, watched, data);
	io_fixed(io, "groups", watched->groups, WATCHED_GROUPS,
		 sizeof(*watched->groups), io_group);
	NUMBER(io, watched, attach_ns);
	NUMBER(io, watched, processes);
	NUMBER(io, watched, execs);
	NUMBER(io, watched, in_flight);
	NUMBER(io, watched, escapes_more);
	LIST(io, watched, exits, &watched->exits_count, io_exit);
	LIST(io, watched, net, &watched->net_count, io_net);
	LIST(io, watched, calls, &watched->calls_count, io_call);
	LIST(io, watched, escapes, &watched->escapes_count, io_escape);
	LIST(io, watched, errors, &watched->errors_count, io_kernel_error);
	io_acks_all(io, watched->acks);
}

void evidence_stall_io(struct io *io, void *item)
{
	struct stall_seen *stall = item;

	NUMBER(io, stall, known);
	NUMBER(io, stall, longest_ns);
	NUMBER(io, stall, since_ns);
	io_strings(io, "stacks", &stall->stacks);
}
