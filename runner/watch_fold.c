#include "runner/watch_fold.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core/call.h"

/* body - of a record, if it is long enough; copied, for alignment's sake. */
#define BODY(record, type, name)                                               \
	type name;                                                             \
	if ((record)->size < sizeof(*(record)) + sizeof(name))                 \
		return;                                                        \
	memcpy(&name, (record) + 1, sizeof(name))

static void *grow(struct watch_fold *fold, void **items, size_t *count,
		  size_t size, size_t max)
{
	char *more = *count < max ? realloc(*items, (*count + 1) * size) : NULL;

	if (!more) {
		fold->failed = true;
		return NULL;
	}
	*items = more;
	more += *count * size;
	memset(more, 0, size);
	++*count;
	return more;
}

#define GROW(fold, of, field, max)                                             \
	grow(fold, (void **)&(of)->field, &(of)->field##_count,                \
	     sizeof(*(of)->field), max)

void watch_fold_open(struct watch_fold *fold, struct watched *watched)
{
	memset(fold, 0, sizeof(*fold));
	fold->watched = watched;
	fold->phase = PLAN_PHASES_MAX;
}

void watch_fold_close(struct watch_fold *fold)
{
	free(fold->sites);
	fold->sites = NULL;
	fold->sites_count = 0;
}

/* ---- events -------------------------------------------------------------- */

static void signal_take(struct watch_fold *fold,
			const struct watch_record *record)
{
	struct fold_signal *kept =
		&fold->signals[fold->signals_count % FOLD_SIGNALS_MAX];
	BODY(record, struct watch_signal_body, body);

	if (body.result)
		return; /* it was ignored, or pending already */
	fold->signals_count++;
	*kept = (struct fold_signal){ .tgid = record->tgid,
				      .sender = body.sender,
				      .signal = body.signal,
				      .sender_followed = body.sender_followed };
	memcpy(kept->sender_name, body.sender_name, sizeof(body.sender_name));
}

static const struct fold_signal *signal_of(const struct watch_fold *fold,
					   uint32_t tgid, uint32_t number)
{
	uint64_t count = fold->signals_count;

	for (uint64_t i = 0; i < count && i < FOLD_SIGNALS_MAX; i++) {
		const struct fold_signal *sent =
			&fold->signals[(count - 1 - i) % FOLD_SIGNALS_MAX];

		if (sent->tgid == tgid && sent->signal == number)
			return sent;
	}
	return NULL;
}

static void sender_fill(const struct watch_fold *fold,
			struct watched_exit *exit)
{
	const struct fold_signal *sent =
		signal_of(fold, exit->pid, (uint32_t)exit->signal);

	if (!sent)
		return;
	exit->sender_known = true;
	exit->sender = sent->sender;
	exit->sender_is_kernel = !sent->sender;
	exit->sender_is_inside = sent->sender_followed;
	memcpy(exit->sender_comm, sent->sender_name, sizeof(exit->sender_comm));
	exit->sender_comm[sizeof(exit->sender_comm) - 1] = '\0';
	exit->sender_is_runner = sent->sender && !sent->sender_followed &&
				 (sent->sender == fold->runner_pid ||
				  (fold->runner_name &&
				   strncmp(fold->runner_name, exit->sender_comm,
					   WATCH_NAME_MAX - 1) == 0));
}

static bool oom_take(struct watch_fold *fold, uint32_t tgid)
{
	for (size_t i = 0; i < fold->oom_count; i++) {
		if (fold->oom[i] != tgid)
			continue;
		fold->oom[i] = fold->oom[--fold->oom_count];
		return true;
	}
	return false;
}

static void exit_take(struct watch_fold *fold,
		      const struct watch_record *record)
{
	struct watched_exit *exit;
	BODY(record, struct watch_exit_body, body);

	fold->deaths += body.signal != 0;
	exit = GROW(fold, fold->watched, exits, WATCHED_EXITS_MAX);
	if (!exit)
		return;
	*exit = (struct watched_exit){ .at_ns = record->time_ns,
				       .pid = record->tgid,
				       .status = body.status,
				       .signal = (int)body.signal,
				       .core = body.core,
				       .oom = oom_take(fold, record->tgid) };
	memcpy(exit->comm, body.name, sizeof(exit->comm));
	exit->comm[sizeof(exit->comm) - 1] = '\0';
	if (exit->signal)
		sender_fill(fold, exit);
}

static void oom_note(struct watch_fold *fold, const struct watch_record *record)
{
	if (fold->oom_count < sizeof(fold->oom) / sizeof(*fold->oom))
		fold->oom[fold->oom_count++] = record->tgid;
	else
		fold->failed = true;
}

static struct watched_acks *acks_now(struct watch_fold *fold)
{
	bool is_outside = fold->phase >= PLAN_PHASES_MAX;

	return &fold->watched->acks[is_outside ? 0 : 1 + fold->phase];
}

static void ack_take(struct watch_fold *fold, const struct watch_record *record)
{
	struct watched_acks *acks = acks_now(fold);
	BODY(record, struct watch_ack_body, body);

	if (!acks->first_ns)
		acks->first_ns = record->time_ns;
	if (body.window_ns > acks->window_max_ns)
		acks->window_max_ns = body.window_ns;
}

static void group_take(struct watch_fold *fold,
		       const struct watch_record *record)
{
	static const int ours[WATCH_GROUPS] = {
		[WATCH_LIFE] = WATCHED_life,
		[WATCH_NET] = WATCHED_net,
		[WATCH_SYS] = WATCHED_sys,
		[WATCH_DURABLE_GROUP] = WATCHED_durable,
		[WATCH_LATENCY_GROUP] = -1,
		[WATCH_SNAP] = -1,
	};
	struct watched_group_seen *group;
	BODY(record, struct watch_group_body, body);

	if (body.group >= WATCH_GROUPS || ours[body.group] < 0)
		return;
	group = &fold->watched->groups[ours[body.group]];
	group->on = body.status == WATCH_WORKS || body.status == WATCH_PARTLY;
	if (body.status != WATCH_REFUSED && body.status != WATCH_ABSENT)
		return;
	body.why[sizeof(body.why) - 1] = '\0';
	free(group->why);
	group->why = strdup(*body.why ? body.why : "the kernel has none");
}

/* ---- snapshots ------------------------------------------------------------
 */

/* Counters only grow, so that the last whole snapshot says it all. */
static void snapshot_begin(struct watch_fold *fold, uint64_t seq)
{
	struct watched *watched = fold->watched;

	fold->seq = seq;
	fold->over = false;
	fold->sum_connects = fold->sum_retransmits = fold->sum_resets = 0;
	fold->sites_count = 0;
	watched->calls_count = watched->errors_count = 0;
	for (size_t i = 0; i < watched->escapes_count; i++)
		free(watched->escapes[i].site);
	watched->escapes_count = 0;
	watched->escapes_more = 0;
	for (size_t i = 0; i < WATCHED_GROUPS; i++)
		watched->groups[i].lost = 0;
}

static struct watched_call *call_of(struct watch_fold *fold, uint16_t nr)
{
	struct watched *watched = fold->watched;
	struct watched_call *call;

	for (size_t i = 0; i < watched->calls_count; i++)
		if (watched->calls[i].nr == nr)
			return &watched->calls[i];
	call = GROW(fold, watched, calls, 2 * CALL_NR_MAX);
	if (call)
		call->nr = nr;
	return call;
}

static void tally_take(struct watch_fold *fold,
		       const struct watch_record *record)
{
	struct watched_call *call;
	BODY(record, struct watch_tally_body, body);

	if (body.abi != 64) /* only sites tell of those: they all escaped */
		return;
	call = call_of(fold, (uint16_t)body.nr);
	if (!call)
		return;
	call->marked += body.calls[WATCH_MARKED] + body.calls[WATCH_VFORK];
	call->symbols += body.calls[WATCH_SYMBOLS];
	call->escaped += body.calls[WATCH_ESCAPED];
	call->unknown += body.calls[WATCH_UNKNOWN];
	call->early += body.calls[WATCH_BEFORE] + body.calls[WATCH_OWN];
}

static void error_take(struct watch_fold *fold,
		       const struct watch_record *record)
{
	struct watched_error *error;
	BODY(record, struct watch_error_body, body);

	if (body.abi != 64 || body.class == WATCH_OWN)
		return;
	error = GROW(fold, fold->watched, errors, WATCHED_ERRORS_MAX * 8);
	if (error)
		*error = (struct watched_error){ .nr = (uint16_t)body.nr,
						 .error = (int)body.error,
						 .count = body.calls };
}

static void uring_take(struct watch_fold *fold,
		       const struct watch_record *record)
{
	struct watched_escape *escape;
	BODY(record, struct watch_uring_body, body);

	escape = GROW(fold, fold->watched, escapes, WATCHED_ESCAPES_MAX);
	if (!escape) {
		fold->watched->escapes_more += body.submitted;
		return;
	}
	*escape = (struct watched_escape){ .nr = (uint16_t)body.opcode,
					   .way = WATCHED_uring,
					   .bits = 64,
					   .count = body.submitted };
	memcpy(escape->comm, body.name, sizeof(escape->comm));
	escape->comm[sizeof(escape->comm) - 1] = '\0';
}

static void site_take(struct watch_fold *fold,
		      const struct watch_record *record)
{
	struct watch_site_body *site;
	BODY(record, struct watch_site_body, body);

	body.exe[sizeof(body.exe) - 1] = '\0';
	body.path[sizeof(body.path) - 1] = '\0';
	site = GROW(fold, fold, sites, 65536);
	if (site)
		*site = body;
}

static void peer_take(struct watch_fold *fold,
		      const struct watch_record *record)
{
	BODY(record, struct watch_peer_body, body);

	fold->sum_connects += body.listens ? 0 : body.connects;
	fold->sum_retransmits += body.retransmits;
	fold->sum_resets += body.resets_sent + body.resets_received;
}

static void durable_take(struct watch_fold *fold,
			 const struct watch_record *record)
{
	struct watched_acks *acks = acks_now(fold);
	const struct watch_durable_body *was = &fold->durable;
	BODY(record, struct watch_durable_body, body);

	acks->acks += body.acks - was->acks;
	acks->dirty += body.acks_dirty - was->acks_dirty;
	acks->writes += body.writes - was->writes;
	acks->syncs += body.syncs - was->syncs;
	acks->sync_errors += body.sync_errors - was->sync_errors;
	if (body.window_max_ns > was->window_max_ns &&
	    body.window_max_ns > acks->window_max_ns)
		acks->window_max_ns = body.window_max_ns;
	fold->durable = body;
}

static void lost_take(struct watch_fold *fold,
		      const struct watch_record *record)
{
	BODY(record, struct watch_lost_body, body);

	/* WATCH_LIFE … WATCH_DURABLE_GROUP are WATCHED_life … durable. */
	if (body.group <= WATCH_DURABLE_GROUP)
		fold->watched->groups[body.group].lost +=
			body.events + body.counters;
}
_Static_assert((int)WATCH_LIFE == (int)WATCHED_life &&
		       (int)WATCH_NET == (int)WATCHED_net &&
		       (int)WATCH_SYS == (int)WATCHED_sys &&
		       (int)WATCH_DURABLE_GROUP == (int)WATCHED_durable,
	       "lost_take() takes one for the other");

static void snapshot_end(struct watch_fold *fold,
			 const struct watch_record *record)
{
	struct watched_net *net;
	uint64_t connects = fold->sum_connects - fold->connects;
	uint64_t retransmits = fold->sum_retransmits - fold->retransmits;
	uint64_t resets = fold->sum_resets - fold->resets;

	fold->over = true;
	fold->seq = 0;
	if (fold->look_ns && (connects || retransmits || resets)) {
		net = GROW(fold, fold->watched, net, WATCHED_NET_MAX);
		if (net)
			*net = (struct watched_net){
				.at_ns = fold->look_ns,
				.until_ns = record->time_ns,
				.connects = connects,
				.retransmits = retransmits,
				.resets = resets,
			};
	}
	fold->connects = fold->sum_connects;
	fold->retransmits = fold->sum_retransmits;
	fold->resets = fold->sum_resets;
	fold->look_ns = record->time_ns;
}

static void answer_take(struct watch_fold *fold,
			const struct watch_record *record)
{
	static void (*const takes[])(struct watch_fold *,
				     const struct watch_record *) = {
		[WATCH_TALLY - WATCH_TALLY] = tally_take,
		[WATCH_SITE - WATCH_TALLY] = site_take,
		[WATCH_ERROR - WATCH_TALLY] = error_take,
		[WATCH_URING - WATCH_TALLY] = uring_take,
		[WATCH_PEER - WATCH_TALLY] = peer_take,
		[WATCH_DURABLE - WATCH_TALLY] = durable_take,
		[WATCH_LOST - WATCH_TALLY] = lost_take,
	};
	unsigned type = record->type - WATCH_TALLY;

	if (type >= sizeof(takes) / sizeof(*takes))
		return;
	if (fold->seq != record->seq)
		snapshot_begin(fold, record->seq);
	if (takes[type])
		takes[type](fold, record);
}

void watch_fold_record(struct watch_fold *fold,
		       const struct watch_record *record)
{
	switch (record->type) {
	case WATCH_GROUP:
		group_take(fold, record);
		break;
	case WATCH_FORK:
		fold->watched->processes++;
		break;
	case WATCH_EXEC:
		fold->execs++;
		break;
	case WATCH_EXIT:
		exit_take(fold, record);
		break;
	case WATCH_SIGNAL:
		signal_take(fold, record);
		break;
	case WATCH_OOM:
		oom_note(fold, record);
		break;
	case WATCH_ACK_DIRTY:
		ack_take(fold, record);
		break;
	case WATCH_DONE:
		if (fold->seq && fold->seq == record->seq)
			snapshot_end(fold, record);
		else if (!fold->connects && !fold->retransmits && !fold->resets)
			fold->look_ns = record->time_ns; /* still nothing */
		break;
	default:
		if (record->type >= WATCH_TALLY && record->type < WATCH_THREAD)
			answer_take(fold, record);
	}
}

/* ---- the end ----------------------------------------------------------------
 */

/* way_of - how a site's calls came past us; -1: nobody minds what we do
 * ourselves before we become the program. */
static int way_of(const struct watch_fold *fold,
		  const struct watch_site_body *site)
{
	if (site->class == WATCH_ESCAPED)
		return WATCHED_raw;
	if (site->class != WATCH_BEFORE ||
	    (fold->runner_name &&
	     strncmp(fold->runner_name, site->exe, WATCH_NAME_MAX - 1) == 0))
		return -1;
	return WATCHED_alone;
}

static bool is_same(const struct watched_escape *a,
		    const struct watched_escape *b)
{
	return a->nr == b->nr && a->way == b->way && a->bits == b->bits &&
	       strcmp(a->comm, b->comm) == 0 && a->site && b->site &&
	       strcmp(a->site, b->site) == 0;
}

/* The same site of a hundred forks is told once. */
static void escape_add(struct watch_fold *fold, struct watched_escape *escape)
{
	struct watched *watched = fold->watched;
	struct watched_escape *added;

	for (size_t i = 0; i < watched->escapes_count; i++) {
		if (!is_same(&watched->escapes[i], escape))
			continue;
		watched->escapes[i].count += escape->count;
		free(escape->site);
		return;
	}
	added = watched->escapes_count < WATCHED_ESCAPES_MAX
			? GROW(fold, watched, escapes, WATCHED_ESCAPES_MAX)
			: NULL;
	if (added) {
		*added = *escape;
		return;
	}
	watched->escapes_more += escape->count;
	free(escape->site);
}

/* Nothing comes past the notify door: whatever a rule names is asked about. */
static void asked_add(struct watch_fold *fold,
		      const struct watch_site_body *site)
{
	struct watched_call *call =
		site->abi == 64 ? call_of(fold, (uint16_t)site->nr) : NULL;

	if (!call)
		return;
	call->asked += site->calls;
	call->early -= site->calls < call->early ? site->calls : call->early;
}

static unsigned id_of(uint16_t nr)
{
	return nr < CALL_NR_MAX ? call_kernel_table[nr].id : CALL_NONE;
}

/* What a symbol is booked as may be another number than libc makes of it: open
 * is openat.  Then it came there under that one. */
static void passed_move(struct watched *watched, struct watched_call *from)
{
	for (size_t i = 0; i < watched->calls_count; i++) {
		struct watched_call *to = &watched->calls[i];
		uint64_t has = from->marked + from->symbols + from->unknown;
		uint64_t bears = to->marked + to->symbols, n;

		if (from->passed <= has || to == from || !to->symbols ||
		    to->passed >= bears || id_of(to->nr) == CALL_NONE ||
		    id_of(to->nr) != id_of(from->nr))
			continue;
		n = from->passed - has < bears - to->passed
			    ? from->passed - has
			    : bears - to->passed;
		from->passed -= n;
		to->passed += n;
	}
}

/* Of calls that are seen by their symbols, those that the library let go on
 * came through us, whichever they were. */
static void symbols_fold(struct watch_fold *fold, struct watched_call *call)
{
	struct watched_escape escape = { .nr = call->nr,
					 .way = WATCHED_inner,
					 .bits = 64 };
	uint64_t ours =
		call->passed > call->marked ? call->passed - call->marked : 0;

	if (ours > call->symbols)
		ours = call->symbols;
	call->marked += ours;
	escape.count = call->symbols - ours;
	call->escaped += escape.count;
	if (escape.count)
		escape_add(fold, &escape);
}

static void site_fold(struct watch_fold *fold,
		      const struct watch_site_body *site)
{
	struct watched_escape escape = { .nr = (uint16_t)site->nr,
					 .bits = (uint8_t)site->abi,
					 .count = site->calls };
	int way = way_of(fold, site);
	struct watched_call *call;

	if (way < 0)
		return;
	if (way == WATCHED_alone && fold->watched->notified) {
		asked_add(fold, site);
		return;
	}
	escape.way = (uint8_t)way;
	memcpy(escape.comm, site->exe, sizeof(escape.comm));
	escape.site = watch_site_words(site->path, site->offset, site->address);
	if (way == WATCHED_alone && site->abi == 64) {
		call = call_of(fold, (uint16_t)site->nr);
		if (call) { /* they were counted as early */
			call->escaped += site->calls;
			call->early -= site->calls < call->early ? site->calls
								 : call->early;
		}
	}
	escape_add(fold, &escape);
}

static int by_count_down(const void *a, const void *b)
{
	const struct watched_escape *x = a, *y = b;

	return (x->count < y->count) - (x->count > y->count);
}

void watch_fold_finish(struct watch_fold *fold, const uint64_t *passed,
		       uint64_t threads)
{
	struct watched *watched = fold->watched;

	for (size_t i = 0; i < fold->sites_count; i++)
		site_fold(fold, &fold->sites[i]);
	for (unsigned nr = 0; nr < CALL_NR_MAX; nr++) {
		struct watched_call *call =
			passed[nr] ? call_of(fold, (uint16_t)nr) : NULL;

		if (call)
			call->passed = passed[nr];
	}
	for (size_t i = 0; i < watched->calls_count; i++)
		passed_move(watched, &watched->calls[i]);
	for (size_t i = 0; i < watched->calls_count; i++)
		symbols_fold(fold, &watched->calls[i]);
	watched->in_flight = fold->deaths + threads;
	watched->execs = fold->execs;
	if (watched->escapes_count)
		qsort(watched->escapes, watched->escapes_count,
		      sizeof(*watched->escapes), by_count_down);
}
