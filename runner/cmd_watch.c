/* cmd_watch.c - the probes alone: watch a command, or a process that runs, and
 * say once a second what it does.  Nothing is injected, nothing is preloaded.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/cli.h"
#include "runner/clock.h"
#include "runner/interrupt.h"
#include "runner/probes.h"
#include "runner/watch_page.h"
#include "runner/watch_table.h"
#include "runner/words.h"

#define GROUPS_BY_DEFAULT "life,net,sys,latency"
#define INTERVAL_MIN_MS	  100
#define INTERVAL_MAX_MS	  3600000
#define LOOK_MS		  100
#define READY_MS	  20000
#define FINAL_MS	  5000
#define TABLE_BYTES	  (64 << 10)

struct watching {
	char *const *argv; /* NULL: pid runs already */
	pid_t pid;
	bool ended;
	int status; /* of waitpid(2) */
	uint64_t interval_ns;
	const char *groups, *sites, *data;

	struct probes probes;
	struct watch_page page;
	uint64_t snapshot; /* id of the one under way; 0: none */
	bool gone;	   /* mishap-watch is */
};

static int print_help(void)
{
	puts("mishap watch - see what a program does, by probes in the kernel\n"
	     "\n"
	     "  mishap watch [OPTION...] -- COMMAND [ARGUMENT...]\n"
	     "  mishap watch [OPTION...] --pid PID\n"
	     "\n"
	     "Every second: calls by rate, real errors, latency, connections,\n"
	     "processes; of all descendants, static programs and Go too, and "
	     "of\n"
	     "nobody else.  On a terminal that is a table, otherwise a line "
	     "of\n"
	     "JSON each, and one for every fork, exec, exit and signal.  "
	     "Nothing\n"
	     "is injected.  Ctrl-C ends it; with --pid the process goes on.\n"
	     "\n"
	     "  --pid PID        a process that runs, with its descendants\n"
	     "  --interval TIME  default 1s; 100ms or more\n"
	     "  --groups LIST    of life, net, sys, durable, latency; default\n"
	     "                   life,net,sys,latency.  life and net cost "
	     "nothing\n"
	     "                   per call; the others some 50 to 130 ns per "
	     "call\n"
	     "                   of the target, and 25 to 50 ns of everybody "
	     "else's\n"
	     "  --data DIR       with durable: where data must be synced "
	     "before\n"
	     "                   it is acknowledged\n"
	     "  --sites DIR      patch plans of a run: which calls escaped the "
	     "doors\n"
	     "                   of a target that has libmishap.so in it\n"
	     "  --json FILE      the lines of JSON go there; - is standard "
	     "output\n"
	     "  -h, --help       this page\n"
	     "\n"
	     "The exit status is the command's; 3 if there can be no probes, "
	     "with\n"
	     "what would help (root, or capabilities for mishap-watch).");
	return 0;
}

/* ---- options --------------------------------------------------------------
 */

static int interval_read(struct watching *w, const char *text)
{
	char *end;
	double n = strtod(text, &end);
	uint64_t ms = 0;

	if (end != text && n > 0 && strcmp(end, "ms") == 0)
		ms = (uint64_t)n;
	else if (end != text && n > 0 && strcmp(end, "s") == 0 && n < 3601)
		ms = (uint64_t)(n * 1000);
	if (ms < INTERVAL_MIN_MS || ms > INTERVAL_MAX_MS)
		return cli_wrong("watch",
				 "--interval wants 100ms to 3600s; got '%s'",
				 text);
	w->interval_ns = ms * NS_PER_MS;
	return 0;
}

static int groups_check(const char *list)
{
	for (const char *at = list; *at;) {
		size_t bytes = strcspn(at, ","), i;

		for (i = 0; i < WATCH_SNAP; i++)
			if (strlen(probes_group_name((unsigned)i)) == bytes &&
			    strncmp(probes_group_name((unsigned)i), at,
				    bytes) == 0)
				break;
		if (i == WATCH_SNAP)
			return cli_wrong("watch",
					 "there is no group '%.*s'; life, net, "
					 "sys, durable, latency",
					 (int)bytes, at);
		at += bytes + (at[bytes] == ',');
	}
	return 0;
}

static int json_open(struct watching *w, const char *path)
{
	w->page.is_table = false;
	if (strcmp(path, "-") == 0)
		return 0;
	w->page.out = fopen(path, "we");
	if (w->page.out)
		return 0;
	fprintf(stderr, "mishap: %s: %s\n", path, strerror(errno));
	return EXIT_CODE_USAGE;
}

static int option_take(struct watching *w, int letter, const char *text)
{
	char *end;

	switch (letter) {
	case 'p':
		w->pid = (pid_t)strtol(text, &end, 10);
		if (w->pid <= 0 || *end)
			return cli_wrong("watch", "'%s' is no process id",
					 text);
		return 0;
	case 'i':
		return interval_read(w, text);
	case 'g':
		w->groups = text;
		return groups_check(text);
	case 'd':
		w->data = text;
		return 0;
	case 's':
		w->sites = text;
		return 0;
	case 'j':
		return json_open(w, text);
	}
	return EXIT_CODE_USAGE;
}

static int options_read(struct watching *w, int argc, char **argv)
{
	static const struct option options[] = {
		{ "pid", required_argument, NULL, 'p' },
		{ "interval", required_argument, NULL, 'i' },
		{ "groups", required_argument, NULL, 'g' },
		{ "data", required_argument, NULL, 'd' },
		{ "sites", required_argument, NULL, 's' },
		{ "json", required_argument, NULL, 'j' },
		{ 0 },
	};
	struct cli_scenario cli = { 0 };
	int letter, code;

	argc = cli_split(&cli, argc, argv);
	w->argv = cli.run;
	while ((letter = cli_next(argc, argv, "", options)) != -1) {
		code = letter == '?' ? EXIT_CODE_USAGE
				     : option_take(w, letter, optarg);
		if (code)
			return code;
	}
	if (optind < argc)
		return cli_wrong("watch", "the command stands behind `--`: %s",
				 argv[optind]);
	if (!w->argv == !w->pid)
		return cli_wrong("watch", "%s",
				 w->pid ? "either a command or --pid, not both"
					: "whom? -- COMMAND, or --pid PID");
	return 0;
}

/* ---- the command ------------------------------------------------------------
 */

/* A child that waits for `go`, then becomes the command. */
static int command_start(struct watching *w, int *ret_go)
{
	int go[2];
	char byte;

	if (pipe2(go, O_CLOEXEC) < 0)
		return -errno;
	w->pid = fork();
	if (w->pid < 0) {
		close(go[0]);
		close(go[1]);
		return -errno;
	}
	if (w->pid == 0) {
		close(go[1]);
		if (read(go[0], &byte, 1) != 1)
			_exit(127);
		signal(SIGXFSZ, SIG_DFL);
		signal(SIGPIPE, SIG_DFL);
		execvp(w->argv[0], w->argv);
		fprintf(stderr, "mishap: %s: %s\n", w->argv[0],
			strerror(errno));
		_exit(errno == ENOENT ? 127 : 126);
	}
	close(go[0]);
	*ret_go = go[1];
	return 0;
}

/* Has whom we watch ended? */
static bool target_ended(struct watching *w)
{
	if (!w->ended && w->argv)
		w->ended = waitpid(w->pid, &w->status, WNOHANG) == w->pid;
	else if (!w->ended)
		w->ended = kill(w->pid, 0) < 0 && errno == ESRCH;
	return w->ended;
}

/* ---- records ----------------------------------------------------------------
 */

/* records_take - all that come within ms; true: until DONE of the id came. */
static bool records_take(struct watching *w, uint64_t id, int ms,
			 struct watch_done_body *ret)
{
	uint64_t until_ns = clock_now_ns() + (uint64_t)ms * NS_PER_MS;
	const struct watch_record *record;
	const struct watch_done_body *done;

	for (;;) {
		int error = probes_next(&w->probes, clock_left_ms(until_ns, ms),
					&record);

		if (error == -EINTR)
			continue;
		if (error) {
			w->gone |= error != -EAGAIN;
			return false;
		}
		done = (const void *)(record + 1);
		if (record->type == WATCH_DONE && record->seq == id) {
			*ret = *done;
			return true;
		}
		if (record->type == WATCH_DONE && record->seq == w->snapshot) {
			w->snapshot = 0;
			seen_end(&w->page.seen, record->time_ns);
			watch_page_sample(&w->page, false);
		} else {
			watch_page_record(&w->page, record);
		}
		if (record->type == WATCH_READY && !id)
			return true;
	}
}

static int ask(struct watching *w, const char *word, int pid)
{
	struct watch_done_body answer;
	uint64_t id;
	int error = probes_tell(&w->probes, &id, "%s %d", word, pid);

	if (error)
		return error;
	if (!records_take(w, id, FINAL_MS, &answer))
		return -EPIPE;
	w->page.seen.live = w->argv ? 1 : answer.value;
	return answer.error;
}

static void snapshot_ask(struct watching *w)
{
	if (w->snapshot) /* the last one is still under way */
		return;
	seen_begin(&w->page.seen);
	if (probes_tell(&w->probes, &w->snapshot, "snapshot") < 0)
		w->gone = true;
}

static void snapshot_final(struct watching *w)
{
	struct watch_done_body answer;
	uint64_t id;

	id = w->snapshot;
	w->snapshot = 0;
	if (id && records_take(w, id, FINAL_MS, &answer))
		seen_end(&w->page.seen, clock_now_ns());
	seen_begin(&w->page.seen);
	if (probes_tell(&w->probes, &id, "snapshot") == 0 &&
	    records_take(w, id, FINAL_MS, &answer))
		seen_end(&w->page.seen, clock_now_ns());
}

static void watch_on(struct watching *w)
{
	uint64_t next_ns = clock_now_ns() + w->interval_ns;
	struct watch_done_body answer;
	int signals = 0;

	while (!w->gone && !target_ended(w)) {
		if (interrupt_signal()) {
			if (!w->argv)
				break;
			/* The terminal has told the command as well. */
			if (signals++ == 0 && interrupt_signal() != SIGINT)
				kill(w->pid, SIGTERM);
			if (interrupt_hurry())
				kill(w->pid, SIGKILL);
		}
		records_take(w, UINT64_MAX, clock_left_ms(next_ns, LOOK_MS) + 1,
			     &answer);
		if (clock_now_ns() < next_ns)
			continue;
		snapshot_ask(w);
		next_ns += w->interval_ns;
	}
}

static int exit_code(const struct watching *w)
{
	if (!w->argv)
		return 0;
	return WIFEXITED(w->status) ? WEXITSTATUS(w->status)
				    : 128 + WTERMSIG(w->status);
}

static int unobserved(struct watching *w, const char *why)
{
	const struct watch_group_body *life = &w->page.seen.groups[WATCH_LIFE];

	watch_table_end(&w->page);
	fprintf(stderr, "mishap: unobserved: %s\n",
		*life->why ? life->why : why);
	return EXIT_CODE_INCONCLUSIVE;
}

static int probes_start(struct watching *w)
{
	char groups[128], sites[4096], data[4096];
	const char *options[] = { groups, NULL, NULL, NULL };
	struct watch_done_body answer;
	size_t count = 1;

	snprintf(groups, sizeof(groups), "--groups=%s", w->groups);
	snprintf(sites, sizeof(sites), "--sites=%s", w->sites ? w->sites : "");
	snprintf(data, sizeof(data), "--data=%s", w->data ? w->data : "");
	if (w->sites)
		options[count++] = sites;
	if (w->data)
		options[count++] = data;
	if (probes_open(&w->probes, options) < 0)
		return unobserved(w,
				  "mishap-watch isn't there; it is built "
				  "where clang, llvm, bpftool and libbpf-dev "
				  "are: make deps all");
	if (!records_take(w, 0, READY_MS, &answer) ||
	    !w->page.seen.ready.groups)
		return unobserved(w, "mishap-watch doesn't get ready");
	return 0;
}

static int watch_from(struct watching *w)
{
	int go = -1, code = probes_start(w), error = 0;

	if (code)
		return code;
	watch_page_begin(&w->page, w->argv, w->pid);
	if (w->argv)
		error = command_start(w, &go);
	if (!error)
		error = ask(w, w->argv ? "follow" : "adopt", (int)w->pid);
	if (error) {
		fprintf(stderr, "mishap: %d can't be watched: %s\n",
			(int)w->pid, strerror(-error));
		if (go >= 0)
			close(go);
		return error == -ESRCH || error == -EPERM
			       ? EXIT_CODE_USAGE
			       : EXIT_CODE_INCONCLUSIVE;
	}
	w->page.seen.now->time_ns = clock_now_ns();
	if (go >= 0 && write(go, "x", 1) != 1)
		error = -errno;
	close(go);
	watch_on(w);
	if (w->argv && !w->ended)
		waitpid(w->pid, &w->status, 0);
	if (w->gone)
		return unobserved(w, "mishap-watch ended");
	snapshot_final(w);
	watch_page_sample(&w->page, true);
	return exit_code(w);
}

int cmd_watch(int argc, char **argv)
{
	struct watching w = {
		.interval_ns = NS_PER_S,
		.groups = GROUPS_BY_DEFAULT,
		.probes = { .command_fd = -1, .record_fd = -1 },
		.page = { .is_table = isatty(STDOUT_FILENO), .out = stdout },
	};
	int code;

	if (argc == 2 &&
	    (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
		return print_help();
	code = options_read(&w, argc, argv);
	if (code)
		return code;
	if (seen_open(&w.page.seen) < 0)
		return EXIT_CODE_INVALID;
	if (w.page.is_table) /* in one piece, between what the command says */
		setvbuf(stdout, NULL, _IOFBF, TABLE_BYTES);
	interrupt_open();
	signal(SIGPIPE, SIG_IGN);
	code = watch_from(&w);
	interrupt_close();
	probes_close(&w.probes);
	seen_close(&w.page.seen);
	return code;
}
