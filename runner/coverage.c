#include "runner/coverage.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runner/coverage_run.h"
#include "runner/doors.h"
#include "runner/interrupt.h"
#include "runner/late.h"
#include "runner/launch.h"
#include "runner/lease.h"
#include "runner/probe.h"
#include "runner/rundir.h"
#include "runner/shared_file.h"
#include "runner/sites.h"
#include "scenarios/value.h"

/* What one measurement makes, and removes. */
struct measurement {
	char dir[PATH_MAX / 2], log[PATH_MAX];
	char *library, *exe;
	char **outside, **inside;
	void *plan;
	size_t plan_bytes;
	struct shared_file shared;
	struct lease lease;
	struct late late;
	struct notify notify;
	struct coverage_run run;
	const char *json;    /* where to, or NULL */
	const char *counter; /* wanted; NULL: strace, else seccomp */
	bool wants_notify;   /* --notify */
	bool is_static;	     /* or Go's, or all that is wanted is notify */
};

static int skipped_say(const char *why)
{
	fprintf(stderr, "mishap: skipped: %s\n", why);
	return -ECANCELED;
}

/* Every number is asked for and counted, every call is looked at, and there
 * is no rule that could act. */
static int doors_open(struct measurement *m)
{
	static const struct strings none;
	struct phase phase = { 0 };
	struct scenario nothing = { .phases = &phase, .phases_count = 1 };
	char *lent = NULL;
	int error = launch_library(&m->library);

	if (error)
		return skipped_say("libmishap.so isn't beside mishap");
	error = scenario_compile(&nothing, 1, "/", NULL, 0, false, &m->plan,
				 &m->plan_bytes);
	if (!error)
		error = shared_file_create(m->plan, m->plan_bytes, m->library,
					   &m->shared);
	if (!error)
		error = shared_file_lend_library(&m->shared, m->library, &lent);
	if (error) {
		fprintf(stderr, "mishap: no room to meet the command in: %s\n",
			strerror(-error));
		return error;
	}
	free(m->library);
	m->library = lent;
	m->inside = launch_environment(&none, m->library, m->shared.path);
	if (doors_wanted(&m->shared.header->doors) < 0)
		return skipped_say(DOORS_ENV " wants best, symbols or notify");
	memset(m->shared.state->armed_nr, NR_COUNTED,
	       sizeof(m->shared.state->armed_nr));
	memset(m->shared.state->armed_call, 1,
	       sizeof(m->shared.state->armed_call));
	return m->inside ? 0 : -ENOMEM;
}

static int command_find(struct measurement *m)
{
	static const struct strings none;
	const char *name = m->run.argv[0];
	char cwd[PATH_MAX];
	_cleanup_words_ char *why = NULL;
	int error;

	m->outside = launch_environment(&none, NULL, NULL);
	if (!m->outside || !getcwd(cwd, sizeof(cwd)))
		return -ENOMEM;
	error = launch_find(name, cwd, m->outside, &m->exe);
	if (error) {
		fprintf(stderr, "mishap: %s: %s\n", name,
			error == -ENOENT ? "no such program"
					 : strerror(-error));
		return error;
	}
	switch (target_door(m->exe, &why)) {
	case DOOR_LIBRARY:
		return 0;
	case DOOR_NOTIFY:
		m->is_static = true;
		return 0;
	case DOOR_NONE:
		break;
	}
	return skipped_say(why ? why : strerror(ENOMEM));
}

/* The kernel asks about every call that a rule can name. */
static int notify_door_open(struct measurement *m)
{
	_cleanup_words_ char *why = NULL;
	bool named[CALL_COUNT];
	struct plan plan;
	struct notify_input input = { .state = m->shared.state,
				      .plan = &plan,
				      .counted = named,
				      .shared_path = m->shared.path };
	int error = plan_open(m->plan, m->plan_bytes, &plan);

	if (error)
		return error;
	if (!notify_works(&why))
		return skipped_say(why ? why : strerror(ENOMEM));
	for (unsigned id = 0; id < CALL_COUNT; id++)
		named[id] = call_table[id].has_kernel;
	error = notify_open(NULL, &input, &m->notify);
	if (!error)
		m->run.notify = &m->notify;
	return error;
}

/* By whom there is, or just by whom is wanted. */
static int command_count(struct measurement *m, struct coverage *c)
{
	bool any = !m->counter;
	int error = -ENOENT;

	c->counter = "strace";
	if (any || strcmp(m->counter, c->counter) == 0)
		error = coverage_by_strace(&m->run, &c->counted, &c->ending);
	if (error == -EBADMSG || (error == -ESRCH && !any))
		return skipped_say("strace can't trace here, or is older than "
				   "5.12");
	if (error != -ENOENT && error != -ESRCH)
		return error;
	if (!any && strcmp(m->counter, "strace") == 0)
		return skipped_say("strace isn't installed: apt-get install "
				   "strace");
	c->counter = "seccomp";
	error = coverage_by_seccomp(&m->run, &c->counted, &c->ending);
	if (error == -EPERM || error == -EACCES || error == -EBADMSG)
		return skipped_say("a process may not be traced here; that "
				   "needs ptrace(2) and seccomp(2)");
	return error;
}

static int measure(struct measurement *m, struct coverage *ret_coverage)
{
	int error = command_find(m);

	if (!error)
		error = doors_open(m);
	if (!error && !m->is_static)
		error = sites_prepare(m->shared.sites_dir, m->exe);
	if (!error)
		error = lease_take(m->shared.state, &m->lease);
	if (!error)
		error = late_open(m->shared.state, m->shared.sites_dir, 0,
				  &m->late);
	if (!error && (m->is_static || m->wants_notify))
		error = notify_door_open(m);
	if (error)
		return error;
	m->run.exe = m->exe;
	m->run.inside = m->inside;
	m->run.outside = m->outside;
	m->run.log = m->log;
	fflush(NULL);
	interrupt_open(); /* ^C is the command's; we end with it */
	error = coverage_attend(&m->run);
	if (!error)
		error = command_count(m, ret_coverage);
	coverage_leave(&m->run);
	interrupt_close();
	if (error)
		return error;
	if (!notify_close(&m->notify)) {
		fputs("mishap: the notify door's guardian was gone before the "
		      "end\n",
		      stderr);
		return -EIO;
	}
	ret_coverage->notify = m->run.notify != NULL;
	coverage_fill(ret_coverage, m->shared.state);
	ret_coverage->has_load = m->run.has_load;
	ret_coverage->load = m->run.load_ending;
	return 0;
}

static void measurement_end(struct measurement *m)
{
	notify_close(&m->notify);
	late_close(&m->late);
	lease_give_back(&m->lease);
	shared_file_remove(&m->shared);
	launch_environment_free(m->outside);
	launch_environment_free(m->inside);
	free(m->library);
	free(m->exe);
	free(m->plan);
	tree_remove(m->dir);
}

/* ---- the command --------------------------------------------------------- */

static int usage_say(const char *format, const char *what)
{
	fputs("mishap: ", stderr);
	fprintf(stderr, format, what);
	fputs("\n  try: mishap doctor --coverage -- COMMAND [ARGUMENT]...\n",
	      stderr);
	return -EINVAL;
}

/* --NAME VALUE or --NAME=VALUE; argv[*i] becomes the last word of it. */
static bool option_take(int argc, char **argv, int *i, const char *name,
			const char **ret_value)
{
	size_t n = strlen(name);

	if (strncmp(argv[*i], name, n) != 0)
		return false;
	if (argv[*i][n] == '=') {
		*ret_value = argv[*i] + n + 1;
		return true;
	}
	if (argv[*i][n] != '\0' || *i + 1 >= argc)
		return false;
	*ret_value = argv[++*i];
	return true;
}

static int options_read(int argc, char **argv, struct measurement *m)
{
	const char *timeout = NULL;
	int i = 1;

	for (; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--notify") == 0)
			m->wants_notify = true;
		else if (strcmp(argv[i], "--coverage") != 0 &&
			 !option_take(argc, argv, &i, "--json", &m->json) &&
			 !option_take(argc, argv, &i, "--ready",
				      &m->run.ready) &&
			 !option_take(argc, argv, &i, "--load", &m->run.load) &&
			 !option_take(argc, argv, &i, "--timeout", &timeout) &&
			 !option_take(argc, argv, &i, "--count-by",
				      &m->counter))
			return usage_say("doctor --coverage doesn't know '%s'",
					 argv[i]);
	if (i + 1 >= argc)
		return usage_say("doctor --coverage wants a command%s", "");
	if (timeout &&
	    (!read_duration(timeout, strlen(timeout), &m->run.timeout_ns) ||
	     !m->run.timeout_ns))
		return usage_say("--timeout wants " DURATION_WANTS
				 "; got \"%s\"",
				 timeout);
	if (m->counter && strcmp(m->counter, "strace") != 0 &&
	    strcmp(m->counter, "seccomp") != 0)
		return usage_say("--count-by wants strace or seccomp; got "
				 "\"%s\"",
				 m->counter);
	if (m->run.ready && !m->run.load)
		return usage_say("--ready is what a --load waits for%s", "");
	m->run.argv = &argv[i + 1];
	return 0;
}

/* Returns the exit code. */
static int coverage_say(const struct measurement *m, const struct coverage *c)
{
	bool on_stdout = m->json && strcmp(m->json, "-") == 0;
	_cleanup_json_ json_t *json = NULL;
	int error;

	coverage_print(on_stdout ? stderr : stdout, c);
	json = m->json ? coverage_json(c) : NULL;
	error = m->json ? words_write_json(m->json, json) : 0;
	if (error < 0) {
		fprintf(stderr, "mishap: %s can't be written: %s\n", m->json,
			strerror(-error));
		return EXIT_CODE_INVALID;
	}
	return coverage_is_enough(c) ? EXIT_CODE_PASS : EXIT_CODE_INCONCLUSIVE;
}

int coverage_command(int argc, char **argv)
{
	struct measurement m = { .shared.owner_fd = -1, .notify.channel = -1 };
	const char *tmp = getenv("TMPDIR");
	struct coverage *c = calloc(1, sizeof(*c));
	int error, exit_code = EXIT_CODE_INCONCLUSIVE;

	if (!c || options_read(argc, argv, &m) < 0) {
		free(c);
		return EXIT_CODE_USAGE;
	}
	snprintf(m.dir, sizeof(m.dir), "%s/mishap-coverage-XXXXXX",
		 tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(m.dir)) {
		fprintf(stderr, "mishap: %s: %s\n", m.dir, strerror(errno));
		free(c);
		return EXIT_CODE_INVALID;
	}
	snprintf(m.log, sizeof(m.log), "%s/strace", m.dir);
	probe_init();
	error = measure(&m, c);
	if (error == -ENOENT || error == -EACCES)
		exit_code = EXIT_CODE_USAGE;
	else if (error && error != -ECANCELED)
		fprintf(stderr, "mishap: coverage can't be measured: %s\n",
			strerror(-error));
	if (!error)
		exit_code = coverage_say(&m, c);
	coverage_clear(&c->counted);
	measurement_end(&m);
	free(c);
	return exit_code;
}
