#include "runner/watch_page.h"

#include <stdio.h>
#include <string.h>

#include "runner/probes.h"
#include "runner/watch_table.h"
#include "runner/words.h"

/* ---- events -------------------------------------------------------------- */

static const char *const event_names[] = {
	[WATCH_FORK] = "fork",
	[WATCH_EXEC] = "exec",
	[WATCH_EXIT] = "exit",
	[WATCH_SIGNAL] = "signal",
	[WATCH_OOM] = "oom_kill",
	[WATCH_LEFT_CGROUP] = "left_cgroup",
	[WATCH_RESET] = "reset",
	[WATCH_SYNC_ERROR] = "sync_error",
	[WATCH_ACK_DIRTY] = "ack_before_sync",
};

#define EVENTS (sizeof(event_names) / sizeof(*event_names))

static const char *event_name(const struct watch_record *record)
{
	return record->seq == 0 && record->type < EVENTS
		       ? event_names[record->type]
		       : NULL;
}

/* A name that the kernel cut may lack its end. */
static json_t *name_json(const char *name)
{
	return words_json(name, strnlen(name, WATCH_NAME_MAX));
}

static void event_json_add(json_t *json, const struct watch_record *record)
{
	const void *body = record + 1;

	switch (record->type) {
	case WATCH_FORK: {
		const struct watch_fork_body *fork = body;

		json_object_set_new(json, "child", json_integer(fork->child));
		break;
	}
	case WATCH_EXEC: {
		const struct watch_exec_body *exec = body;

		json_object_set_new(json, "name", name_json(exec->name));
		break;
	}
	case WATCH_EXIT: {
		const struct watch_exit_body *end = body;

		json_object_set_new(json, "name", name_json(end->name));
		json_object_set_new(json, "status", json_integer(end->status));
		json_object_set_new(json, "signal", json_integer(end->signal));
		json_object_set_new(
			json, "rss_max_bytes",
			json_integer((json_int_t)end->rss_max_bytes));
		json_object_set_new(json, "cpu_ns",
				    json_integer((json_int_t)(end->user_ns +
							      end->system_ns)));
		break;
	}
	case WATCH_SIGNAL: {
		const struct watch_signal_body *sent = body;

		json_object_set_new(json, "signal", json_integer(sent->signal));
		json_object_set_new(json, "sender", json_integer(sent->sender));
		json_object_set_new(json, "sender_name",
				    name_json(sent->sender_name));
		break;
	}
	case WATCH_ACK_DIRTY: {
		const struct watch_ack_body *ack = body;

		json_object_set_new(json, "window_ns",
				    json_integer((json_int_t)ack->window_ns));
		json_object_set_new(json, "dirty_bytes",
				    json_integer((json_int_t)ack->dirty_bytes));
		break;
	}
	}
}

static void line_print(const struct watch_page *page, json_t *json)
{
	json_dumpf(json, page->out, JSON_COMPACT);
	putc('\n', page->out);
	fflush(page->out);
	json_decref(json);
}

static void event_print(const struct watch_page *page,
			const struct watch_record *record, const char *name)
{
	json_t *json =
		json_pack("{ss ss sI si si}", "type", "event", "event", name,
			  "time_ns", (json_int_t)record->time_ns, "pid",
			  (int)record->tgid, "tid", (int)record->tid);

	event_json_add(json, record);
	line_print(page, json);
}

void watch_page_record(struct watch_page *page,
		       const struct watch_record *record)
{
	const char *name = event_name(record);

	seen_take(&page->seen, record);
	if (name && page->is_table)
		watch_table_news(page, record, name);
	else if (name)
		event_print(page, record, name);
}

/* ---- lines of JSON --------------------------------------------------------
 */

static json_t *call_json(const struct watch_page *page,
			 const struct seen_call *call, bool is_last)
{
	static const char *const classes[] = WATCH_CLASS_NAMES;
	struct seen_call before = seen_before(&page->seen, call);
	char name[32];
	json_t *json, *by_class = json_object();

	if (is_last)
		before = (struct seen_call){ 0 };
	for (size_t i = 0; i < WATCH_CLASSES; i++)
		if (call->by_class[i])
			json_object_set_new(
				by_class, classes[i],
				json_integer((json_int_t)call->by_class[i]));
	json = json_pack("{ss si si sI sI sI so}", "call",
			 seen_call_name(call->nr, call->abi, name), "number",
			 (int)call->nr, "abi", (int)call->abi, "total",
			 (json_int_t)call->calls, "calls",
			 (json_int_t)(call->calls - before.calls), "failed",
			 (json_int_t)(call->failed - before.failed), "classes",
			 by_class);
	if (call->timed > before.timed)
		json_object_set_new(
			json, "latency_ns",
			json_pack(
				"{sI sI sI sI}", "mean",
				(json_int_t)((call->sum_ns - before.sum_ns) /
					     (call->timed - before.timed)),
				"p50",
				(json_int_t)seen_percentile(call, &before, 50),
				"p99",
				(json_int_t)seen_percentile(call, &before, 99),
				"max", (json_int_t)call->max_ns));
	return json;
}

static json_t *peer_json(const struct watch_peer_body *peer)
{
	char name[64];

	return json_pack(
		"{ss sb si sI sI sI sI sI sI sI}", "peer",
		seen_peer_name(peer, name), "incoming", (int)peer->listens,
		"port", (int)peer->port, "attempts", (json_int_t)peer->connects,
		"established", (json_int_t)peer->established, "failed",
		(json_int_t)peer->failed, "closed", (json_int_t)peer->closed,
		"retransmits", (json_int_t)peer->retransmits, "resets_sent",
		(json_int_t)peer->resets_sent, "resets_received",
		(json_int_t)peer->resets_received);
}

static json_t *site_json(const struct watch_site_body *site)
{
	char name[32], address[32];

	snprintf(address, sizeof(address), "0x%llx",
		 (unsigned long long)site->address);
	return json_pack(
		"{ss sI so so sI ss}", "call",
		seen_call_name(site->nr, site->abi, name), "calls",
		(json_int_t)site->calls, "exe", name_json(site->exe), "file",
		words_json(site->path, strnlen(site->path, WATCH_PATH_MAX)),
		"offset", (json_int_t)site->offset, "address", address);
}

static json_t *lists_json(const struct watch_page *page, bool is_last)
{
	const struct seen_lists *now = page->seen.now;
	json_t *json = json_object(), *calls = json_array();
	json_t *errors = json_array(), *peers = json_array();
	json_t *escapes = json_array(), *uring = json_array();
	json_t *strangers = json_array();
	char name[32];

	for (size_t i = 0; i < now->calls_count; i++)
		json_array_append_new(calls,
				      call_json(page, &now->calls[i], is_last));
	for (size_t i = 0; i < now->errors_count; i++)
		json_array_append_new(
			errors,
			json_pack(
				"{ss ss sI}", "call",
				seen_call_name(now->errors[i].nr,
					       now->errors[i].abi, name),
				"error",
				error_name((int)now->errors[i].error)
					? error_name((int)now->errors[i].error)
					: "?",
				"calls", (json_int_t)now->errors[i].calls));
	for (size_t i = 0; i < now->peers_count; i++)
		json_array_append_new(peers, peer_json(&now->peers[i]));
	for (size_t i = 0; i < now->sites_count; i++)
		json_array_append_new(now->sites[i].class == WATCH_BEFORE
					      ? strangers
					      : escapes,
				      site_json(&now->sites[i]));
	for (size_t i = 0; i < now->uring_count; i++)
		json_array_append_new(
			uring, json_pack("{ss sI}", "operation",
					 now->uring[i].name, "submitted",
					 (json_int_t)now->uring[i].submitted));
	json_object_set_new(json, "calls", calls);
	json_object_set_new(json, "errors", errors);
	json_object_set_new(json, "peers", peers);
	json_object_set_new(json, "escapes", escapes);
	json_object_set_new(json, "never_ready", strangers);
	json_object_set_new(json, "io_uring", uring);
	return json;
}

static void sample_json(const struct watch_page *page, bool is_last)
{
	const struct seen *seen = &page->seen;
	const struct seen_lists *now = seen->now;
	json_t *json = json_pack(
		"{ss si sI sI s{sI sI sI sI sI sI sI}}", "type",
		is_last ? "end" : "sample", "version", 1, "time_ns",
		(json_int_t)now->time_ns, "interval_ns",
		(json_int_t)(now->time_ns - seen->before->time_ns), "processes",
		"live", (json_int_t)seen->live, "forks",
		(json_int_t)seen->forks, "execs", (json_int_t)seen->execs,
		"exits", (json_int_t)seen->exits, "crashes",
		(json_int_t)seen->crashes, "signals", (json_int_t)seen->signals,
		"oom_kills", (json_int_t)seen->oom_kills);
	json_t *lists = lists_json(page, is_last), *lost = json_object();

	for (unsigned i = 0; i < WATCH_GROUPS; i++) {
		uint64_t n = now->lost[i].events + now->lost[i].counters;

		if (n)
			json_object_set_new(lost, probes_group_name(i),
					    json_integer((json_int_t)n));
	}
	json_object_update(json, lists);
	json_decref(lists);
	json_object_set_new(json, "lost", lost);
	line_print(page, json);
}

/* ---- both
 * -------------------------------------------------------------------- */

void watch_page_begin(struct watch_page *page, char *const *argv, pid_t pid)
{
	page->argv = argv;
	page->pid = pid;
}

void watch_page_sample(struct watch_page *page, bool is_last)
{
	if (!page->is_table)
		sample_json(page, is_last);
	else if (is_last)
		watch_table_print(page);
	else
		watch_table_draw(page);
}
