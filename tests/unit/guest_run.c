/* guest_run - run a program under a hand-made plan and say what was decided.
 *
 *   guest_run [-r RULE]… [-p PHASES] [-o FILE] [-l LIBRARY] [-d DIR] [-k MS]
 *             [-n MS] [-q] [-w DIR] [--] COMMAND…
 *   -o  where the books go, one line each; default: stderr
 *   -d  where the shared file goes; default: a new directory in /tmp
 *   -s  where patch plans are; default: they are made
 *   -k  let go of the lease after MS, as a runner does that dies
 *   -n  go to the next phase every MS
 *   -w  count every system call, and say to probes what stands where; patch
 *       plans go to DIR, and stay there
 *   -q  all doors closed: only what the library does by itself
 * Ends when every descendant has ended, with COMMAND's status.
 */
#include <dirent.h>
#include <errno.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "runner/sites.h"
#include "tests/unit/guest_shared.h"

static struct {
	const char *rules[PLAN_RULES_MAX];
	unsigned count;
	const char *out, *dir, *watched, *sites;
	char library[256];
	bool quiet;
} asked;

static struct guest_file file;
static atomic_bool done;
static unsigned let_go_ms, phase_ms, phases = 1;

/* What has been read from the ring, so that it never fills. */
static struct event *events;
static size_t events_count, events_room;
static uint64_t events_lost;

static void drain(void)
{
	struct event event;

	while (ring_pop(&file.state->ring, false, &event, &events_lost) == 1) {
		if (events_count == events_room) {
			events_room = events_room ? 2 * events_room : 4096;
			events = realloc(events, events_room * sizeof(event));
		}
		events[events_count++] = event;
	}
}

/* Slots of those that are gone may be taken again. */
static void release(void)
{
	for (unsigned i = 0; i < SHARED_PROCESSES_MAX; i++) {
		struct process *process = &file.state->processes[i];

		if (process->status == PROCESS_LIVE && kill(process->pid, 0) &&
		    errno == ESRCH)
			atomic_store(&process->status, PROCESS_DONE);
	}
}

static void *beat(void *arg)
{
	uint64_t start_ns = guest_now_ns(), phase_ns = start_ns;
	bool beating = true;
	unsigned turns = 0;

	for (; !done; usleep(2000)) {
		uint64_t now_ns = guest_now_ns();

		drain();
		if (++turns % 16 == 0)
			release();
		if (let_go_ms && now_ns - start_ns > let_go_ms * 1000000ull) {
			/* as the kernel does when the owner dies */
			file.state->lease.__data.__lock |= 0x40000000;
			let_go_ms = 0;
			beating = false;
		}
		if (beating)
			atomic_store(&file.state->heartbeat_ns, now_ns);
		if (phase_ms && now_ns - phase_ns > phase_ms * 1000000ull) {
			phase_ns = now_ns;
			guest_arm(&file, (file.state->phase + 1) % phases);
		}
	}
	return arg;
}

static void say_books(FILE *out)
{
	const struct state *state = file.state;

	drain();
	for (size_t i = 0; i < events_count; i++) {
		const struct event e = events[i];
		const char *error = e.error ? error_name(e.error) : "-";

		fprintf(out,
			"event call=%s fault=%s rule=%u fd=%d error=%s "
			"value=%lld index=%u thread_index=%u flags=%u pid=%u "
			"process=%u stream=%llx stack=%u\n",
			call_table[e.call].name, fault_table[e.fault]->name,
			e.rule, e.fd, error, (long long)e.value, e.index,
			e.thread_index, e.flags, e.pid, e.process,
			(unsigned long long)e.stream, e.stack);
	}
	for (unsigned r = 0; r < file.opened.header->rules_count; r++)
		fprintf(out, "rule %u matched=%llu fired=%llu\n", r,
			(unsigned long long)state->matched[r],
			(unsigned long long)state->fired[r]);
	for (unsigned i = 0; i < SHARED_PROCESSES_MAX; i++) {
		const struct process *p = &state->processes[i];

		if (p->pid)
			fprintf(out,
				"process %u pid=%d status=%u path=%llx "
				"exe=%s sites=%u patched=%u left=%u\n",
				i, p->pid, p->status,
				(unsigned long long)p->path, p->exe, p->sites,
				p->sites_patched, p->sites_left);
		for (unsigned id = 0; id < CALL_COUNT; id++) {
			if (p->calls[id])
				fprintf(out, "calls %u %s=%llu\n", i,
					call_table[id].name,
					(unsigned long long)p->calls[id]);
		}
	}
	for (unsigned nr = 0; asked.watched && nr < CALL_NR_MAX; nr++)
		if (state->seen_nr[nr])
			fprintf(out, "seen %u %llu\n", nr,
				(unsigned long long)state->seen_nr[nr]);
	fprintf(out,
		"books lapses=%llu unresolved=%llu lost=%llu waited=%llu "
		"vfork=%llu processes_lost=%llu\n",
		(unsigned long long)state->lapses,
		(unsigned long long)state->unresolved,
		(unsigned long long)events_lost,
		(unsigned long long)state->events_waited,
		(unsigned long long)state->vfork_skipped,
		(unsigned long long)state->processes_lost);
}

static void launch(char **argv, const char *library)
{
	const char *before = getenv("LD_PRELOAD");
	char preload[2048];

	snprintf(preload, sizeof(preload), "%s%s%s", before ? before : "",
		 before ? ":" : "", library);
	setenv("LD_PRELOAD", preload, 1);
	setenv(SHARED_ENV, file.path, 1);
	execvp(argv[0], argv);
	perror(argv[0]);
	_exit(127);
}

static int wait_for_all(pid_t first)
{
	int status, end = 0;
	pid_t pid;

	while ((pid = waitpid(-1, &status, 0)) > 0 || errno == EINTR) {
		if (pid == first)
			end = WIFEXITED(status) ? WEXITSTATUS(status)
						: 128 + WTERMSIG(status);
	}
	return end;
}

static void options_read(int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "+r:p:o:l:d:s:k:n:qw:")) != -1) {
		switch (c) {
		case 'r':
			asked.rules[asked.count++] = optarg;
			break;
		case 'p':
			phases = (unsigned)atoi(optarg);
			break;
		case 'o':
			asked.out = optarg;
			break;
		case 'l':
			snprintf(asked.library, sizeof(asked.library), "%s",
				 optarg);
			break;
		case 'd':
			asked.dir = optarg;
			break;
		case 's':
			asked.sites = optarg;
			break;
		case 'k':
			let_go_ms = (unsigned)atoi(optarg);
			break;
		case 'n':
			phase_ms = (unsigned)atoi(optarg);
			break;
		case 'w':
			asked.watched = optarg;
			break;
		case 'q':
			asked.quiet = true;
			break;
		default:
			exit(2);
		}
	}
}

/* build/tests/guest_run -> build/libmishap.so */
static void library_find(void)
{
	ssize_t n = readlink("/proc/self/exe", asked.library,
			     sizeof(asked.library) - 64);

	asked.library[n > 0 ? n : 0] = '\0';
	*strrchr(asked.library, '/') = '\0';
	strcpy(strrchr(asked.library, '/'), "/libmishap.so");
}

/* Patch plans for what every program here loads. */
static const char *sites_make(const char *program)
{
	static char sites[] = "/tmp/guest-sites.XXXXXX";
	int ret;

	if (!mkdtemp(sites) || chmod(sites, 0755))
		exit(2);
	ret = sites_prepare(sites, program);
	if (ret)
		fprintf(stderr, "guest_run: no sites for %s: %s\n", program,
			strerror(-ret));
	return sites;
}

static void sites_remove(const char *sites)
{
	struct dirent *entry;
	DIR *dir = opendir(sites);

	while (dir && (entry = readdir(dir)) != NULL)
		unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
	rmdir(sites);
}

int main(int argc, char **argv)
{
	char dir[] = "/tmp/guest-run.XXXXXX";
	FILE *out = stderr;
	const char *sites;
	pthread_t beater;
	pid_t pid;
	int end;

	options_read(argc, argv);
	if (!*asked.library)
		library_find();
	if (!asked.dir) {
		asked.dir = mkdtemp(dir);
		chmod(dir, 0711);
	}
	sites = asked.sites ? asked.sites : asked.watched;
	if (!sites || (!asked.sites && sites_prepare(sites, argv[optind])))
		sites = sites_make(argv[optind]);
	guest_file_make(&file, asked.dir, asked.library, sites, phases,
			asked.rules, asked.count);
	if (asked.quiet) {
		memset(file.state->armed_call, 0, CALL_COUNT);
		plan_arm_nothing(file.state->armed_nr);
	}
	if (asked.watched) {
		memset(file.state->armed_nr, NR_COUNTED,
		       sizeof(file.state->armed_nr));
		atomic_store(&file.state->watched, 1);
	}
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid = fork();
	if (pid == 0)
		launch(argv + optind, asked.library);
	pthread_create(&beater, NULL, beat, NULL);
	end = wait_for_all(pid);
	done = true;
	pthread_join(beater, NULL);
	if (asked.out)
		out = fopen(asked.out, "w");
	say_books(out);
	if (sites != asked.watched && sites != asked.sites)
		sites_remove(sites);
	unlink(file.path);
	if (asked.dir == dir)
		rmdir(dir);
	return end;
}
