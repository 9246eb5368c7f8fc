/* cmd_doctor.c - try, on this machine, what a run rests on; say what is
 * missing and what to do about it.  Nothing is changed or left behind. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/coverage.h"
#include "runner/doctor_probes.h"
#include "runner/launch.h"
#include "runner/notify.h"
#include "runner/rundir.h"
#include "runner/sandbox.h"
#include "runner/sites.h"

#define PROBE_PROGRAM "/bin/cat" /* a plain dynamic program */
#define PROBE_NS      10000000000ull

enum need {
	NEED_BASIC,   /* no run without it */
	NEED_SANDBOX, /* --sandbox, sweeps */
	NEED_NICE,
};

struct check {
	const char *name;
	enum need need;
	/* true: it works; fills both in words, advice where it doesn't. */
	bool (*works)(char **ret_seen, char **ret_advice);
};

static bool kernel_works(char **ret_seen, char **ret_advice)
{
	struct utsname name;
	int major = 0, minor = 0;

	if (uname(&name) < 0)
		return false;
	sscanf(name.release, "%d.%d", &major, &minor);
	*ret_seen = words_say("Linux %s, %s", name.release, name.machine);
	if (strcmp(name.machine, "x86_64") != 0)
		*ret_advice = words_say("only x86_64 is known so far");
	else if (major < 5 || (major == 5 && minor < 10))
		*ret_advice = words_say("Linux 5.10 or newer is needed");
	return !*ret_advice;
}

static bool library_works(char **ret_seen, char **ret_advice)
{
	_cleanup_words_ char *library = NULL, *output = NULL, *preload = NULL;
	char *words[] = { (char *)"env", NULL, (char *)PROBE_PROGRAM,
			  (char *)"/proc/self/maps", NULL };
	struct strings argv = { .items = words, .count = 4 };
	struct evidence nowhere = { 0 };
	struct ending ending;
	int error = launch_library(&library);

	if (error < 0) {
		*ret_seen = words_say("libmishap.so isn't there");
		*ret_advice = words_say("it stands beside mishap, or is "
					"installed with it: make, make "
					"install");
		return false;
	}
	words[1] = preload = words_say("LD_PRELOAD=%s", library);
	if (!preload)
		return false;
	error = command_run(&nowhere, &argv, PROBE_NS, 1 << 20, &ending,
			    &output, NULL);
	*ret_seen = words_say("%s", library);
	if (!error && !ending.signal && !ending.status &&
	    strstr(output, "libmishap.so"))
		return true;
	*ret_advice = words_say("a dynamic program doesn't load it: is its "
				"file system mounted noexec, or is it for "
				"another libc?");
	return false;
}

/* The file of libc that we run on ourselves: targets most likely do too. */
static bool sites_work(char **ret_seen, char **ret_advice)
{
	char dir[] = "/tmp/mishap-doctor-XXXXXX";
	struct sites_libraries libraries = { 0 };
	const struct sites_library *libc = NULL;
	int error;

	if (!mkdtemp(dir)) {
		*ret_seen = words_say("/tmp: %s", strerror(errno));
		return false;
	}
	error = sites_prepare(dir, PROBE_PROGRAM);
	if (!error)
		error = sites_describe(dir, PROBE_PROGRAM, &libraries);
	for (size_t i = 0; i < libraries.count; i++)
		if (strstr(libraries.items[i].path, "libc.so"))
			libc = &libraries.items[i];
	if (libc) {
		const struct sites_counts *counts = &libc->counts;

		*ret_seen = words_say(
			"%s, build-id %.12s: %u of %u system "
			"call sites can be patched, %u are left "
			"alone on purpose",
			libc->path, libc->build_id,
			counts->before + counts->around + counts->funnel,
			counts->total - counts->skipped, counts->skipped);
	} else {
		*ret_seen = words_say("no patch plan for libc%s%s",
				      error ? ": " : "",
				      error ? strerror(-error) : "");
		*ret_advice = words_say("faults on system calls can't be "
					"injected here; those on malloc, DNS "
					"and clocks can");
	}
	sites_libraries_free(&libraries);
	tree_remove(dir);
	return libc;
}

static bool memory_works(char **ret_seen, char **ret_advice)
{
	char path[] = "/dev/shm/mishap-doctor-XXXXXX";
	int fd = mkstemp(path);
	int error = fd < 0 ? errno : posix_fallocate(fd, 0, 32 << 20);

	if (fd >= 0) {
		unlink(path);
		close(fd);
	}
	*ret_seen = error ? words_say("/dev/shm: %s", strerror(error))
			  : words_say("/dev/shm has room");
	if (error)
		*ret_advice = words_say("mount a tmpfs of 64 MiB or more: "
					"mount -t tmpfs tmpfs /dev/shm; in "
					"docker: --shm-size=64m");
	return !error;
}

static bool runs_work(char **ret_seen, char **ret_advice)
{
	_cleanup_words_ char *at = NULL, *cwd = getcwd(NULL, 0);

	*ret_seen = words_say("%s", cwd ? cwd : "?");
	if (access(".", W_OK) == 0)
		return true;
	*ret_advice = words_say("%s: runs can be kept elsewhere with "
				"--run-dir DIR",
				strerror(errno));
	return false;
}

/* The thing itself: walls are put up in an empty directory, and torn down. */
static bool sandbox_works(char **ret_seen, char **ret_advice)
{
	char dir[] = "/tmp/mishap-doctor-XXXXXX";
	_cleanup_words_ char *cwd = NULL, *scratch = NULL;
	struct sandbox_input input = { 0 };
	struct sandbox *sandbox = NULL;
	char why[SANDBOX_WHY_MAX] = "";
	int error;

	if (!mkdtemp(dir))
		return false;
	chmod(dir, 0755);
	cwd = words_say("%s/cwd", dir);
	scratch = words_say("%s/scratch", dir);
	error = !cwd || !scratch || mkdir(cwd, 0755) < 0 ||
				mkdir(scratch, 0755) < 0
			? -errno
			: 0;
	input = (struct sandbox_input){ .cwd = cwd, .scratch = scratch };
	if (!error)
		error = sandbox_open(&input, &sandbox, why);
	if (!error) {
		pid_t keeper = sandbox_pid(sandbox);

		sandbox_close(sandbox);
		while (waitpid(keeper, NULL, 0) < 0 && errno == EINTR)
			;
		*ret_seen = words_say("mount, pid and ipc namespaces%s, "
				      "overlay",
				      geteuid() ? ", user namespace" : "");
	} else {
		*ret_seen = words_say("%s", *why ? why : strerror(-error));
		*ret_advice =
			words_say("allow user namespaces (sysctl "
				  "kernel.unprivileged_userns_clone=1; in "
				  "docker --security-opt "
				  "seccomp=unconfined), or run without "
				  "--sandbox on scratch copies");
	}
	tree_remove(dir);
	return !error;
}

static bool notify_door_works(char **ret_seen, char **ret_advice)
{
	char *why = NULL;

	if (notify_works(&why)) {
		*ret_seen = words_say("seccomp user notification, for static "
				      "and Go programs");
		return true;
	}
	*ret_seen = why;
	*ret_advice = words_say("static and Go targets can't be entered "
				"(INCONCLUSIVE); in docker: --security-opt "
				"seccomp=unconfined");
	return false;
}

static bool symbols_work(char **ret_seen, char **ret_advice)
{
	struct stat st;

	if (stat("/usr/lib/debug/.build-id", &st) == 0) {
		*ret_seen = words_say("/usr/lib/debug/.build-id");
		return true;
	}
	*ret_seen = words_say("no debug information of system libraries");
	*ret_advice = words_say("call sites in them are named by symbol only; "
				"programs built with -g show file and line. "
				"Debian: libc6-dbg");
	return false;
}

static const struct check checks[] = {
	{ "kernel", NEED_BASIC, kernel_works },
	{ "library", NEED_BASIC, library_works },
	{ "shared memory", NEED_BASIC, memory_works },
	{ "system calls", NEED_BASIC, sites_work },
	{ "working directory", NEED_NICE, runs_work },
	{ "sandbox", NEED_SANDBOX, sandbox_works },
	{ "notify door", NEED_NICE, notify_door_works },
	{ "debug information", NEED_NICE, symbols_work },
};

static int print_help(void)
{
	puts("mishap doctor - say what works on this machine, and what to do\n"
	     "\n"
	     "  mishap doctor [--json FILE]\n"
	     "  mishap doctor --coverage [OPTION...] -- COMMAND...\n"
	     "\n"
	     "Each thing that a run rests on is tried for real, nothing is\n"
	     "changed.  The exit status is 0 if runs work (without --sandbox "
	     "at\n"
	     "least), else 3.\n"
	     "\n"
	     "How many of a command's system calls could be faulted?  Counted\n"
	     "twice, by us and independently; status 0 from 95 % on, else 3:\n"
	     "  mishap doctor --coverage -- sort -o out in\n"
	     "  mishap doctor --coverage --ready 'redis-cli -p 7000 ping' \\\n"
	     "    --load 'redis-benchmark -p 7000 -n 1000 -q' \\\n"
	     "    -- redis-server --port 7000\n"
	     "\n"
	     "  --coverage      run COMMAND once, without faults, and count\n"
	     "  --load COMMAND  make the command work with a shell command, "
	     "and\n"
	     "                  end it (SIGTERM) when that has ended\n"
	     "  --ready PROBE   start the load when tcp:HOST:PORT, file:PATH, "
	     "a\n"
	     "                  URL or a shell command says so\n"
	     "  --notify        have the kernel ask about static children, "
	     "too; "
	     "a\n"
	     "                  static or Go COMMAND is asked about anyway\n"
	     "  --timeout TIME  end the command after that time, e.g. 30s\n"
	     "  --count-by WHO  strace, or seccomp: a tracer of our own, the\n"
	     "                  default where strace isn't installed\n"
	     "  --json FILE     write it as JSON too; - is standard output\n"
	     "  -h, --help      this page");
	return 0;
}

static int options_read(int argc, char **argv, const char **ret_json)
{
	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "--json=", 7) == 0) {
			*ret_json = argv[i] + 7;
		} else if (strcmp(argv[i], "--json") == 0 && argv[i + 1]) {
			*ret_json = argv[++i];
		} else {
			fprintf(stderr,
				"mishap: doctor doesn't know '%s'\n"
				"  try: mishap doctor --help\n",
				argv[i]);
			return -EINVAL;
		}
	}
	return 0;
}

static json_t *check_json(const struct check *check, bool works,
			  const char *seen, const char *advice)
{
	static const char *const needs[] = { "run", "sandbox", "nice" };

	return json_pack("{ss sb ss so so}", "name", check->name, "ok", works,
			 "for", needs[check->need], "seen",
			 words_json_string(seen), "advice",
			 words_json_string(advice));
}

int cmd_doctor(int argc, char **argv)
{
	_cleanup_json_ json_t *json = NULL;
	json_t *list = json_array();
	const char *json_path = NULL;
	bool basics = true;
	FILE *out;
	int error;

	if (argc == 2 &&
	    (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		json_decref(list);
		return print_help();
	}
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--coverage") == 0) {
			json_decref(list);
			return coverage_command(argc, argv);
		}
	if (options_read(argc, argv, &json_path) < 0) {
		json_decref(list);
		return EXIT_CODE_USAGE;
	}
	out = json_path && strcmp(json_path, "-") == 0 ? stderr : stdout;
	for (size_t i = 0; i < sizeof(checks) / sizeof(*checks); i++) {
		const struct check *check = &checks[i];
		_cleanup_words_ char *seen = NULL, *advice = NULL;
		bool works = check->works(&seen, &advice);

		basics = basics && (works || check->need != NEED_BASIC);
		fprintf(out, "%-5s %-18s %s\n",
			works			    ? "ok"
			: check->need == NEED_BASIC ? "NO"
						    : "no",
			check->name, seen ? seen : "");
		if (advice)
			fprintf(out, "%24s -> %s\n", "", advice);
		json_array_append_new(list,
				      check_json(check, works, seen, advice));
	}
	doctor_probes(out, list);
	fprintf(out, "%s\n",
		basics ? "mishap run works here"
		       : "mishap run doesn't work here yet: see NO above");
	json = json_pack("{si ss ss sb so}", "version", 1, "command", "doctor",
			 "mishap", MISHAP_VERSION, "ok", basics, "checks",
			 list);
	error = json_path ? words_write_json(json_path, json) : 0;
	if (error < 0) {
		fprintf(stderr, "mishap: %s can't be written: %s\n", json_path,
			strerror(-error));
		return basics ? EXIT_CODE_INVALID : EXIT_CODE_INCONCLUSIVE;
	}
	return basics ? EXIT_CODE_PASS : EXIT_CODE_INCONCLUSIVE;
}
