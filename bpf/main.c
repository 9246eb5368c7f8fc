/* main.c - mishap-watch: probes in the kernel, a pipe to the runner.
 *
 * The only program of the house that links libbpf, and the only one that needs
 * capabilities.  What it says and is told: core/watch.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "bpf/say.h"
#include "bpf/watcher.h"
#include "durable.skel.h"

#define LOOK_EVERY_MS	  100
#define COLLAPSE_NS	  1000000000ull
#define EXIT_NO_PROBES	  3
#define WANTED_BY_DEFAULT (1u << WATCH_LIFE | 1u << WATCH_NET)

static volatile sig_atomic_t ended;

static void on_end(int signal)
{
	(void)signal;
	ended = 1;
}

/* ---- events
 * ------------------------------------------------------------------
 */

static int on_record(void *context, void *data, size_t bytes)
{
	const struct watch_record *record = data;
	struct watcher *w = context;

	(void)bytes;
	account_event(w->account, record);
	if (record->type < INNER_MODULE)
		say_event(record);
	return 0;
}

/* ---- commands
 * ----------------------------------------------------------------
 */

static int phase_set(struct watcher *w, const char *argument)
{
	__u32 at = 0; /* SHARED_PHASE */
	__u64 value;
	char *end;

	errno = 0;
	value = strtoul(argument, &end, 10);
	if (errno || *end || end == argument || value >= WATCH_PHASES_MAX)
		return -EINVAL;
	w->phase = (__u16)value;
	return w->words_fd < 0 ||
			       bpf_map_update_elem(w->words_fd, &at, &value, 0)
		       ? -EOPNOTSUPP
		       : 0;
}

static int command_run(struct watcher *w, __u64 id, const char *word,
		       const char *argument, __u64 *ret_value)
{
	if (strcmp(word, "follow") == 0)
		return follow_start(w, atoi(argument), ret_value);
	if (strcmp(word, "adopt") == 0)
		return follow_adopt(w, atoi(argument), ret_value);
	if (strcmp(word, "phase") == 0)
		return phase_set(w, argument);
	if (strcmp(word, "snapshot") == 0)
		return snapshot_say(w, id);
	if (strcmp(word, "threads") == 0)
		return threads_say(w, id);
	if (strcmp(word, "stop") == 0) {
		w->stopping = true;
		return 0;
	}
	return -ENOSYS;
}

static void line_take(struct watcher *w, const char *line)
{
	char word[16] = "", argument[32] = "";
	struct watch_done_body body = { 0 };
	unsigned long long id = 0;

	if (sscanf(line, "%llu %15s %31s", &id, word, argument) < 2 || !id)
		body.error = -EINVAL;
	if (!body.error)
		body.error = command_run(w, id, word, argument, &body.value);
	/* What happened before the answer is told before it. */
	ring_buffer__consume(w->ring);
	say(WATCH_DONE, id, 0, 0, w->phase, &body, sizeof(body));
}

/* lines_read - false: standard input has ended, or a line has no end. */
static bool lines_read(struct watcher *w)
{
	static char text[WATCH_LINE_MAX];
	static size_t used;
	ssize_t n = read(STDIN_FILENO, text + used, sizeof(text) - used);
	char *end;

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	if (n <= 0)
		return false;
	used += (size_t)n;
	while (!w->stopping && (end = memchr(text, '\n', used))) {
		size_t bytes = (size_t)(end - text) + 1;

		*end = '\0';
		line_take(w, text);
		memmove(text, text + bytes, used - bytes);
		used -= bytes;
	}
	return used < sizeof(text);
}

static int loop(struct watcher *w)
{
	struct pollfd look[] = {
		{ .fd = STDIN_FILENO, .events = POLLIN },
		{ .fd = ring_buffer__epoll_fd(w->ring), .events = POLLIN },
		{ .fd = STDOUT_FILENO }, /* POLLERR: nobody reads any more */
	};
	__u64 collapsed_ns = say_now_ns();

	while (!w->stopping && !ended) {
		if (poll(look, 3, LOOK_EVERY_MS) < 0 && errno != EINTR)
			return -errno;
		ring_buffer__consume(w->ring);
		if (look[2].revents & POLLERR ||
		    (look[0].revents && !lines_read(w)))
			break;
		if (say_flush() < 0)
			break;
		if (say_now_ns() - collapsed_ns > COLLAPSE_NS) {
			snapshot_collapse(w);
			collapsed_ns = say_now_ns();
		}
	}
	say_flush();
	return 0;
}

/* ---- options
 * -----------------------------------------------------------------
 */

static int usage(FILE *out)
{
	fputs("mishap-watch - probes in the kernel, for mishap\n"
	      "\n"
	      "  mishap-watch [--groups=LIST] [--sites=DIR] [--data=PATH]\n"
	      "               [--no-cgroup]\n"
	      "\n"
	      "mishap starts it and talks to it by its standard input and\n"
	      "output; to see what probes see, try: mishap watch --help\n"
	      "\n"
	      "It wants root, or: sudo setcap\n"
	      "  cap_bpf,cap_perfmon,cap_net_admin+ep build/mishap-watch\n",
	      out);
	return out == stdout ? 0 : 2;
}

static bool groups_read(struct watcher *w, const char *list)
{
	static const char *const names[] = WATCH_GROUP_NAMES;

	w->wanted = 1u << WATCH_LIFE;
	while (*list) {
		size_t bytes = strcspn(list, ","), i;

		for (i = 0; i < WATCH_GROUPS; i++)
			if (strlen(names[i]) == bytes &&
			    strncmp(names[i], list, bytes) == 0)
				break;
		if (i == WATCH_GROUPS)
			return false;
		w->wanted |= 1u << i;
		list += bytes + (list[bytes] == ',');
	}
	return true;
}

static bool options_read(struct watcher *w, int argc, char **argv)
{
	static const struct option options[] = {
		{ "groups", required_argument, NULL, 'g' },
		{ "sites", required_argument, NULL, 's' },
		{ "data", required_argument, NULL, 'd' },
		{ "no-cgroup", no_argument, NULL, 'n' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int letter;

	while ((letter = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (letter) {
		case 'g':
			if (!groups_read(w, optarg))
				return false;
			break;
		case 's':
			w->sites_dir = optarg;
			break;
		case 'd':
			w->data_path = optarg;
			break;
		case 'n':
			w->no_cgroup = true;
			break;
		case 'h':
			exit(usage(stdout));
		default:
			return false;
		}
	}
	return optind == argc;
}

/* The kernel's dev_t isn't glibc's: 12 bits major, 20 bits minor. */
static int data_set(struct watcher *w)
{
	struct stat st;

	if (!w->data_path || !group_works(w, WATCH_DURABLE_GROUP))
		return 0;
	if (stat(w->data_path, &st) < 0)
		return -errno;
	w->durable->bss->data_inode = st.st_ino;
	w->durable->bss->data_device =
		major(st.st_dev) << 20 | minor(st.st_dev);
	return 0;
}

/* ---- life
 * --------------------------------------------------------------------
 */

static void ready_say(const struct watcher *w, __u64 start_ns)
{
	struct watch_ready_body body = {
		.abi = WATCH_ABI,
		.attach_ns = say_now_ns() - start_ns,
	};

	for (unsigned i = 0; i < WATCH_GROUPS; i++)
		if (group_works(w, i))
			body.groups |= 1u << i;
	say(WATCH_READY, 0, 0, 0, 0, &body, sizeof(body));
	say_flush();
}

static int run(struct watcher *w)
{
	__u64 start_ns = say_now_ns();
	int error;

	groups_open(w);
	if (!group_works(w, WATCH_LIFE)) {
		ready_say(w, start_ns);
		return EXIT_NO_PROBES;
	}
	w->ring = ring_buffer__new(group_map(w, WATCH_LIFE, "events"),
				   on_record, w, NULL);
	error = w->ring ? account_open(w->sites_dir, &w->account) : -errno;
	if (!error)
		error = data_set(w);
	if (error) {
		fprintf(stderr, "mishap-watch: %s\n", strerror(-error));
		return EXIT_NO_PROBES;
	}
	sums_init(&w->sums);
	ready_say(w, start_ns);
	error = loop(w);
	follow_end(w);
	groups_close(w);
	account_close(w->account);
	return error ? EXIT_NO_PROBES : 0;
}

int main(int argc, char **argv)
{
	struct watcher w = { .wanted = WANTED_BY_DEFAULT,
			     .members_fd = -1,
			     .words_fd = -1,
			     .losses_fd = -1 };
	struct sigaction end = { .sa_handler = on_end };

	if (!options_read(&w, argc, argv))
		return usage(stderr);
	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGINT, &end, NULL);
	return run(&w);
}
