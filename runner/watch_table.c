#include "runner/watch_table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/call.h"
#include "runner/probes.h"
#include "runner/words.h"

#define ROWS_CALLS     14
#define ROWS_CALLS_MIN 3
#define ROWS_PEERS     5
#define ROWS_ERRORS    4
#define ROWS_SITES     4
#define ROWS_HEAD      2
#define LINES_MAX      64
#define LINE_BYTES     256
#define COLUMNS	       80
#define LEAST_ROWS     12 /* of a terminal, to draw at its foot */
#define LEAST_COLUMNS  40

struct lines {
	char text[LINES_MAX][LINE_BYTES];
	unsigned count;
};

static void add(struct lines *lines, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void add(struct lines *lines, const char *format, ...)
{
	va_list args;

	if (lines->count == LINES_MAX)
		return;
	va_start(args, format);
	vsnprintf(lines->text[lines->count++], LINE_BYTES, format, args);
	va_end(args);
}

/* ---- events
 * ------------------------------------------------------------------
 */

/* What ended badly, and what isn't seen every day. */
static bool is_telling(const struct watch_record *record)
{
	const struct watch_exit_body *end = (const void *)(record + 1);

	if (record->type == WATCH_EXIT)
		return end->signal || end->status;
	return record->type != WATCH_FORK && record->type != WATCH_EXEC;
}

void watch_table_news(struct watch_page *page,
		      const struct watch_record *record, const char *name)
{
	const struct watch_exit_body *end = (const void *)(record + 1);
	const struct watch_signal_body *sent = (const void *)(record + 1);
	char text[sizeof(page->news[0])], number[WORDS_SHORT_MAX];

	if (!is_telling(record))
		return;
	if (record->type == WATCH_EXIT && end->signal)
		snprintf(text, sizeof(text), "%u %.16s killed by %s",
			 record->tgid, end->name,
			 words_signal((int)end->signal, number));
	else if (record->type == WATCH_EXIT)
		snprintf(text, sizeof(text), "%u %.16s exit status %d",
			 record->tgid, end->name, end->status);
	else if (record->type == WATCH_SIGNAL && !sent->sender)
		snprintf(text, sizeof(text), "%u got %s from the kernel",
			 record->tgid, words_signal((int)sent->signal, number));
	else if (record->type == WATCH_SIGNAL)
		snprintf(text, sizeof(text), "%u got %s from %u %.16s",
			 record->tgid, words_signal((int)sent->signal, number),
			 sent->sender, sent->sender_name);
	else
		snprintf(text, sizeof(text), "%u %s", record->tgid, name);
	if (page->news_count == WATCH_PAGE_NEWS)
		memmove(page->news[0], page->news[1],
			sizeof(page->news) - sizeof(page->news[0]));
	else
		page->news_count++;
	memcpy(page->news[page->news_count - 1], text, sizeof(text));
}

/* ---- its parts
 * ---------------------------------------------------------------
 */

static void head_add(const struct watch_page *page, struct lines *lines)
{
	const struct seen *seen = &page->seen;
	char pid[32];

	snprintf(pid, sizeof(pid), "pid %d", (int)page->pid);
	add(lines,
	    "mishap watch  %.28s  %llu process%s, %llu ended, %llu by signals",
	    page->argv ? page->argv[0] : pid, (unsigned long long)seen->live,
	    seen->live == 1 ? "" : "es", (unsigned long long)seen->exits,
	    (unsigned long long)seen->crashes);
}

static void call_add(const struct watch_page *page,
		     const struct seen_call *call, bool is_last,
		     struct lines *lines)
{
	struct seen_call before = seen_before(&page->seen, call);
	uint64_t rate = (call->calls - before.calls) * 1000000 /
			seen_seconds_ppm(&page->seen);
	char name[32], p50[WORDS_SHORT_MAX] = "", p99[WORDS_SHORT_MAX] = "",
		       max[WORDS_SHORT_MAX] = "", per_s[24] = "";

	if (is_last)
		before = (struct seen_call){ 0 };
	else
		snprintf(per_s, sizeof(per_s), "%llu",
			 (unsigned long long)rate);
	if (call->timed > before.timed) {
		words_duration(seen_percentile(call, &before, 50), p50);
		words_duration(seen_percentile(call, &before, 99), p99);
		words_duration(call->max_ns, max);
	}
	add(lines, "%-22.22s %9s %11llu %9llu %7s %7s %7s",
	    seen_call_name(call->nr, call->abi, name), per_s,
	    (unsigned long long)call->calls, (unsigned long long)call->failed,
	    p50, p99, max);
}

/* By what each did since the last time; the snapshot has them by their sum. */
struct busy {
	const struct seen_call *call;
	uint64_t calls;
};

static int by_calls_down(const void *a, const void *b)
{
	const struct busy *x = a, *y = b;

	if (x->calls != y->calls)
		return (x->calls < y->calls) - (x->calls > y->calls);
	return (x->call > y->call) - (x->call < y->call);
}

static void calls_add(const struct watch_page *page, bool is_last,
		      unsigned rows, struct lines *lines)
{
	static struct busy busy[SEEN_CALLS_MAX];
	const struct seen_lists *now = page->seen.now;

	add(lines, "%-22s %9s %11s %9s %7s %7s %7s", "call",
	    is_last ? "" : "calls/s", "total", "failed", "p50", "p99", "max");
	for (size_t i = 0; i < now->calls_count; i++) {
		const struct seen_call *call = &now->calls[i];
		struct seen_call before = seen_before(&page->seen, call);

		busy[i].call = call;
		busy[i].calls = is_last ? 0 : call->calls - before.calls;
	}
	qsort(busy, now->calls_count, sizeof(*busy), by_calls_down);
	for (size_t i = 0; i < now->calls_count && i < rows; i++)
		call_add(page, busy[i].call, is_last, lines);
}

static void errors_add(const struct watch_page *page, struct lines *lines)
{
	const struct seen_lists *now = page->seen.now;
	char name[32];

	for (size_t i = 0; i < now->errors_count && i < ROWS_ERRORS; i++) {
		const struct watch_error_body *error = &now->errors[i];
		const char *word = error_name((int)error->error);

		add(lines, "error  %s %s %llu",
		    seen_call_name(error->nr, error->abi, name),
		    word ? word : "?", (unsigned long long)error->calls);
	}
}

static void peers_add(const struct watch_page *page, struct lines *lines)
{
	const struct seen_lists *now = page->seen.now;
	char name[64], port[16];

	for (size_t i = 0; i < now->peers_count && i < ROWS_PEERS; i++) {
		const struct watch_peer_body *peer = &now->peers[i];

		snprintf(port, sizeof(port), " to :%u", peer->port);
		add(lines,
		    "%-6s %s%s: %llu tries, %llu open, %llu failed, "
		    "%llu resent, %llu resets",
		    peer->listens ? "from" : "to", seen_peer_name(peer, name),
		    peer->listens ? port : "",
		    (unsigned long long)peer->connects,
		    (unsigned long long)(peer->established - peer->closed),
		    (unsigned long long)peer->failed,
		    (unsigned long long)peer->retransmits,
		    (unsigned long long)(peer->resets_sent +
					 peer->resets_received));
	}
}

static void escapes_add(const struct watch_page *page, struct lines *lines)
{
	const struct seen_lists *now = page->seen.now;
	unsigned told = 0;
	char name[32];

	for (size_t i = 0; i < now->uring_count && i < ROWS_SITES; i++)
		add(lines, "io_uring %.16s %llu", now->uring[i].name,
		    (unsigned long long)now->uring[i].submitted);
	for (size_t i = 0; i < now->sites_count && told < ROWS_SITES; i++) {
		const struct watch_site_body *site = &now->sites[i];

		if (site->class != WATCH_ESCAPED)
			continue;
		told++;
		add(lines, "escaped %s %llu  %.16s %.60s+0x%llx",
		    seen_call_name(site->nr, site->abi, name),
		    (unsigned long long)site->calls, site->exe, site->path,
		    (unsigned long long)site->offset);
	}
}

static void rest_add(const struct watch_page *page, struct lines *lines)
{
	const struct seen_lists *now = page->seen.now;

	errors_add(page, lines);
	peers_add(page, lines);
	escapes_add(page, lines);
	for (unsigned i = 0; i < page->news_count; i++)
		add(lines, "event  %s", page->news[i]);
	for (unsigned i = 0; i < WATCH_GROUPS; i++)
		if (now->lost[i].events || now->lost[i].counters)
			add(lines,
			    "lost   some of '%s': its figures are lower bounds",
			    probes_group_name(i));
}

/* ---- at the terminal's foot
 * ---------------------------------------------------
 */

void watch_table_end(struct watch_page *page)
{
	if (!page->rows)
		return;
	/* All lines scroll again; the cursor goes where the table began. */
	fprintf(page->out, "\033[r\033[%u;1H\033[J", page->first_row);
	fflush(page->out);
	page->rows = 0;
}

/* Room for it; false: there is none. */
static bool foot_make(struct watch_page *page)
{
	const char *term = getenv("TERM");
	struct winsize size = { 0 };
	unsigned lines;

	if (!term || strcmp(term, "dumb") == 0 ||
	    ioctl(fileno(page->out), TIOCGWINSZ, &size) < 0 ||
	    size.ws_row < LEAST_ROWS || size.ws_col < LEAST_COLUMNS) {
		watch_table_end(page);
		return false;
	}
	if (page->rows == size.ws_row && page->columns == size.ws_col)
		return true;
	watch_table_end(page);
	lines = size.ws_row * 2u / 3;
	if (lines > LINES_MAX / 2)
		lines = LINES_MAX / 2;
	page->rows = size.ws_row;
	page->columns = size.ws_col;
	page->first_row = size.ws_row - lines + 1;
	for (unsigned i = 0; i < lines; i++)
		putc('\n', page->out);
	/* To set what scrolls moves the cursor home. */
	fprintf(page->out, "\033[%uA\0337\033[1;%ur\0338", lines,
		page->first_row - 1);
	return true;
}

void watch_table_draw(struct watch_page *page)
{
	static struct lines lines, rest;
	unsigned room, calls;

	if (!foot_make(page))
		return;
	lines.count = rest.count = 0;
	room = page->rows - page->first_row + 1;
	rest_add(page, &rest);
	calls = ROWS_HEAD + ROWS_CALLS_MIN + rest.count < room
			? room - ROWS_HEAD - rest.count
			: ROWS_CALLS_MIN;
	head_add(page, &lines);
	calls_add(page, false, calls, &lines);
	for (unsigned i = 0; i < rest.count; i++)
		add(&lines, "%s", rest.text[i]);
	fputs("\0337", page->out);
	for (unsigned i = 0; i < room; i++)
		fprintf(page->out, "\033[%u;1H%.*s\033[K", page->first_row + i,
			(int)page->columns - 1,
			i < lines.count ? lines.text[i] : "");
	fputs("\0338", page->out);
	fflush(page->out);
}

void watch_table_print(struct watch_page *page)
{
	static struct lines lines;

	watch_table_end(page);
	lines.count = 0;
	head_add(page, &lines);
	calls_add(page, true, ROWS_CALLS, &lines);
	rest_add(page, &lines);
	fputs("\r\033[K", page->out); /* over the terminal's own ^C */
	for (unsigned i = 0; i < lines.count; i++)
		fprintf(page->out, "%.*s\n", COLUMNS, lines.text[i]);
	fflush(page->out);
}
