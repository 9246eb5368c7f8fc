#include "runner/coverage.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/late.h"
#include "runner/launch.h"
#include "runner/lease.h"
#include "runner/rundir.h"
#include "runner/shared_file.h"
#include "runner/sites.h"

#define ENOUGH_PPM 950000 /* as a scenario's min_coverage */
#define TRACED_MAX 65536  /* words of the command */

struct row {
	unsigned nr;
	const char *name;
	uint64_t made, seen;
	enum { DOOR_SITE, DOOR_SYMBOL } door;
	bool nameable; /* a rule can name it */
};

struct coverage {
	struct row rows[CALL_NR_MAX];
	size_t count;
	uint64_t made, seen;
	struct coverage_made strace;
	uint64_t processes_lost;
	struct ending ending;
};

/* What one measurement makes, and removes. */
struct measurement {
	char *const *argv; /* of the command */
	char dir[PATH_MAX / 2], log[PATH_MAX];
	char *library, *exe;
	char **env;
	void *plan;
	size_t plan_bytes;
	struct shared_file shared;
	struct lease lease;
	struct late late;
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
	memset(m->shared.state->armed_nr, NR_COUNTED,
	       sizeof(m->shared.state->armed_nr));
	memset(m->shared.state->armed_call, 1,
	       sizeof(m->shared.state->armed_call));
	return 0;
}

static int command_find(struct measurement *m)
{
	static const struct strings none;
	char cwd[PATH_MAX];
	_cleanup_words_ char *why = NULL;
	int error;

	m->env = launch_environment(&none, NULL, NULL);
	if (!m->env || !getcwd(cwd, sizeof(cwd)))
		return -ENOMEM;
	error = launch_find(m->argv[0], cwd, m->env, &m->exe);
	if (error) {
		fprintf(stderr, "mishap: %s: %s\n", m->argv[0],
			error == -ENOENT ? "no such program"
					 : strerror(-error));
		return error;
	}
	if (!target_reachable(m->exe, &why))
		return skipped_say(why ? why : strerror(ENOMEM));
	return 0;
}

static char *traced_variable(const char *const *envp, const char *key)
{
	size_t n = strlen(key);

	for (; *envp; envp++)
		if (strncmp(*envp, key, n) == 0 && (*envp)[n] == '=')
			return words_say("%s", *envp);
	return NULL;
}

/* strace itself stays without us: -E is for what it starts. */
static int command_run_traced(struct measurement *m, struct ending *ret_ending)
{
	static const struct strings none;
	char **inside = launch_environment(&none, m->library, m->shared.path);
	_cleanup_words_ char *preload = NULL, *meet = NULL;
	const char *head[] = { "strace", "-f", "-n", "-i",   "-qq",
			       "-s",	 "0",  "-o", m->log, "-E",
			       NULL,	 "-E", NULL, "--",   NULL };
	size_t heads = sizeof(head) / sizeof(*head) - 1, words = 0;
	const char **argv = NULL;
	void (*was)(int);
	int status, error = inside ? 0 : -ENOMEM;
	pid_t pid;

	if (inside) {
		preload = traced_variable((const char *const *)inside,
					  "LD_PRELOAD");
		meet = traced_variable((const char *const *)inside, SHARED_ENV);
	}
	launch_environment_free(inside);
	while (m->argv[words] && words < TRACED_MAX)
		words++;
	argv = calloc(heads + words + 1, sizeof(*argv));
	if (error || !preload || !meet || !argv) {
		free(argv);
		return -ENOMEM;
	}
	head[10] = preload;
	head[12] = meet;
	memcpy(argv, head, heads * sizeof(*argv));
	memcpy(argv + heads, m->argv, words * sizeof(*argv));
	fflush(NULL);
	was = signal(SIGINT, SIG_IGN); /* strace and the command get theirs */
	error = -posix_spawnp(&pid, "strace", NULL, NULL,
			      (char *const *)(uintptr_t)argv, m->env);
	free(argv);
	while (!error && waitpid(pid, &status, 0) < 0)
		error = errno == EINTR ? 0 : -errno;
	signal(SIGINT, was);
	if (error == -ENOENT)
		return skipped_say("strace isn't installed: apt-get install "
				   "strace");
	if (!error)
		*ret_ending = (struct ending){
			.started = true,
			.ended = true,
			.status = WIFEXITED(status) ? WEXITSTATUS(status) : 0,
			.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
		};
	return error;
}

/* ---- the two counts, side by side ---------------------------------------- */

static bool is_nameable(unsigned nr)
{
	return call_kernel_table[nr].id != CALL_NONE;
}

/* Processes and threads are made by what the symbol door stands before. */
static uint64_t made_by_symbols(const struct state *state)
{
	static const uint16_t calls[] = { CALL_fork, CALL_posix_spawn,
					  CALL_pthread_create };
	uint64_t made = 0;

	for (size_t i = 0; i < SHARED_PROCESSES_MAX; i++)
		for (size_t k = 0; k < sizeof(calls) / sizeof(*calls); k++)
			made += atomic_load(
				&state->processes[i].calls[calls[k]]);
	return made;
}

static bool makes_children(unsigned nr)
{
	return nr == SYS_clone || nr == SYS_clone3 || nr == SYS_fork ||
	       nr == SYS_vfork;
}

static int row_compare(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->made != y->made)
		return x->made < y->made ? 1 : -1;
	return strcmp(x->name, y->name);
}

static void row_add(struct coverage *c, struct row row)
{
	if (row.seen > row.made) /* it is a share, and no more */
		row.seen = row.made;
	c->rows[c->count++] = row;
	c->made += row.made;
	c->seen += row.seen;
}

static void rows_fill(struct coverage *c, const struct state *state)
{
	uint64_t children = 0;

	for (unsigned nr = 0; nr < CALL_NR_MAX; nr++) {
		uint64_t made = c->strace.made[nr];

		if (makes_children(nr))
			children += made;
		else if (made && !site_is_skipped(nr))
			row_add(c, (struct row){
					   .nr = nr,
					   .name = c->strace.names[nr],
					   .made = made,
					   .seen = atomic_load(
						   &state->seen_nr[nr]),
					   .door = DOOR_SITE,
					   .nameable = is_nameable(nr),
				   });
	}
	if (children)
		row_add(c, (struct row){ .nr = SYS_clone,
					 .name = "clone/fork/vfork",
					 .made = children,
					 .seen = made_by_symbols(state),
					 .door = DOOR_SYMBOL,
					 .nameable = true });
	qsort(c->rows, c->count, sizeof(*c->rows), row_compare);
}

static int measure(struct measurement *m, struct coverage *ret_coverage)
{
	FILE *log = NULL;
	int error = command_find(m);

	if (!error)
		error = doors_open(m);
	if (!error)
		error = sites_prepare(m->shared.sites_dir, m->exe);
	if (!error)
		error = lease_take(m->shared.state, &m->lease);
	if (!error)
		error = late_open(m->shared.state, m->shared.sites_dir, 0,
				  &m->late);
	if (!error)
		error = command_run_traced(m, &ret_coverage->ending);
	if (!error) {
		log = fopen(m->log, "re");
		error = log ? coverage_read(log, &ret_coverage->strace)
			    : -EBADMSG;
		if (error == -EBADMSG)
			error = skipped_say("strace can't trace here, or is "
					    "older than 5.12");
	}
	if (log)
		fclose(log);
	if (!error) {
		rows_fill(ret_coverage, m->shared.state);
		ret_coverage->processes_lost =
			atomic_load(&m->shared.state->processes_lost);
	}
	return error;
}

static void measurement_end(struct measurement *m)
{
	late_close(&m->late);
	lease_give_back(&m->lease);
	shared_file_remove(&m->shared);
	launch_environment_free(m->env);
	free(m->library);
	free(m->exe);
	free(m->plan);
	tree_remove(m->dir);
}

/* ---- what is said -------------------------------------------------------- */

static double percent(uint64_t seen, uint64_t made)
{
	return made ? 100.0 * (double)seen / (double)made : 100;
}

/* Never rounded up to 100. */
static const char *percent_words(uint64_t seen, uint64_t made, char ret[16])
{
	double share = percent(seen, made);

	if (seen < made && share > 99.9)
		share = 99.9;
	snprintf(ret, 16, "%.1f %%", share);
	return ret;
}

static bool is_enough(const struct coverage *c)
{
	return c->strace.any &&
	       (double)c->seen * 1e6 >= (double)c->made * ENOUGH_PPM;
}

/* A list that wraps at 80 columns, behind a head. */
static void list_print(FILE *out, const char *head, unsigned *column,
		       const char *name, uint64_t n)
{
	char word[128];
	int bytes = snprintf(word, sizeof(word), "%s %llu", name,
			     (unsigned long long)n);

	if (!*column)
		*column = (unsigned)fprintf(out, "%s", head);
	else if (*column + (unsigned)bytes + 2 > 79)
		*column = (unsigned)fprintf(out, ",\n  ") - 2;
	else
		*column += (unsigned)fprintf(out, ", ");
	*column += (unsigned)fprintf(out, "%s", word);
}

static void missed_print(FILE *out, const struct coverage *c)
{
	unsigned column = 0;

	for (size_t i = 0; i < c->count; i++)
		if (c->rows[i].seen < c->rows[i].made)
			list_print(out, "missed: ", &column, c->rows[i].name,
				   c->rows[i].made - c->rows[i].seen);
	fprintf(out, "%s\n", column ? "" : "missed: nothing");
	column = 0;
	for (unsigned nr = 0; nr < CALL_NR_MAX; nr++)
		if (c->strace.made[nr] && site_is_skipped(nr) &&
		    !makes_children(nr))
			list_print(out, "left alone on purpose: ", &column,
				   c->strace.names[nr], c->strace.made[nr]);
	if (column)
		fputc('\n', out);
	for (size_t i = 0; i < c->strace.strangers.count; i++)
		fprintf(out, "never got into: %s\n",
			c->strace.strangers.items[i]);
	if (c->processes_lost)
		fprintf(out,
			"%llu processes found no place in the books (there is "
			"room for %d)\n",
			(unsigned long long)c->processes_lost,
			SHARED_PROCESSES_MAX);
}

static void coverage_print(FILE *out, const struct coverage *c)
{
	_cleanup_words_ char *end = words_ending(&c->ending);
	char share[16];

	fprintf(out, "%-28s %10s %10s %8s  %s\n", "call", "made", "seen",
		"share", "door");
	for (size_t i = 0; i < c->count; i++) {
		const struct row *row = &c->rows[i];

		fprintf(out, "%-28s %10llu %10llu %8s  %s\n", row->name,
			(unsigned long long)row->made,
			(unsigned long long)row->seen,
			percent_words(row->seen, row->made, share),
			row->seen == 0		   ? "none"
			: row->door == DOOR_SYMBOL ? "symbol"
			: row->nameable		   ? "site"
						   : "site, no rule");
	}
	fprintf(out, "%-28s %10llu %10llu %8s\n", "total",
		(unsigned long long)c->made, (unsigned long long)c->seen,
		percent_words(c->seen, c->made, share));
	missed_print(out, c);
	fprintf(out, "the command: %s\n", end ? end : "?");
	fprintf(out, "%s\n",
		is_enough(c) ? "faults reach this command"
		: c->strace.any
			? "less than 95 % of its calls come by our doors"
			: "the library never got ready in it");
}

static json_t *row_json(const struct row *row)
{
	return json_pack("{ss si sI sI ss sb}", "call", row->name, "number",
			 (int)row->nr, "made", (json_int_t)row->made, "seen",
			 (json_int_t)row->seen, "door",
			 row->door == DOOR_SYMBOL ? "symbol" : "site",
			 "nameable", row->nameable);
}

static json_t *coverage_json(const struct coverage *c)
{
	json_t *calls = json_array(), *alone = json_object();
	json_t *strangers = json_array();

	for (size_t i = 0; i < c->count; i++)
		json_array_append_new(calls, row_json(&c->rows[i]));
	for (unsigned nr = 0; nr < CALL_NR_MAX; nr++)
		if (c->strace.made[nr] && site_is_skipped(nr) &&
		    !makes_children(nr))
			json_object_set_new(
				alone, c->strace.names[nr],
				json_integer((json_int_t)c->strace.made[nr]));
	for (size_t i = 0; i < c->strace.strangers.count; i++)
		json_array_append_new(
			strangers,
			words_json_string(c->strace.strangers.items[i]));
	return json_pack(
		"{si ss ss sb sI sI sf si si so so so sI}", "version", 1,
		"command", "doctor", "mishap", MISHAP_VERSION, "ok",
		is_enough(c), "made", (json_int_t)c->made, "seen",
		(json_int_t)c->seen, "ratio", percent(c->seen, c->made) / 100,
		"exit", c->ending.status, "signal", c->ending.signal, "calls",
		calls, "left_alone", alone, "never_got_into", strangers,
		"processes_lost", (json_int_t)c->processes_lost);
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

static int options_read(int argc, char **argv, const char **ret_json,
			char *const **ret_command)
{
	int i = 1;

	for (; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (strncmp(argv[i], "--json=", 7) == 0)
			*ret_json = argv[i] + 7;
		else if (strcmp(argv[i], "--json") == 0 && i + 1 < argc)
			*ret_json = argv[++i];
		else if (strcmp(argv[i], "--coverage") != 0)
			return usage_say("doctor --coverage doesn't know '%s'",
					 argv[i]);
	}
	if (i + 1 >= argc)
		return usage_say("doctor --coverage wants a command%s", "");
	*ret_command = &argv[i + 1];
	return 0;
}

int coverage_command(int argc, char **argv)
{
	struct measurement m = { .shared.owner_fd = -1 };
	const char *tmp = getenv("TMPDIR");
	struct coverage *c = calloc(1, sizeof(*c));
	const char *json_path = NULL;
	_cleanup_json_ json_t *json = NULL;
	int error, exit_code = EXIT_CODE_INCONCLUSIVE;

	if (!c || options_read(argc, argv, &json_path, &m.argv) < 0) {
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
	error = measure(&m, c);
	if (error == -ENOENT || error == -EACCES)
		exit_code = EXIT_CODE_USAGE;
	else if (error && error != -ECANCELED)
		fprintf(stderr, "mishap: coverage can't be measured: %s\n",
			strerror(-error));
	if (!error) {
		bool on_stdout = json_path && strcmp(json_path, "-") == 0;

		coverage_print(on_stdout ? stderr : stdout, c);
		if (is_enough(c))
			exit_code = EXIT_CODE_PASS;
		json = json_path ? coverage_json(c) : NULL;
		error = json_path ? words_write_json(json_path, json) : 0;
		if (error < 0) {
			fprintf(stderr, "mishap: %s can't be written: %s\n",
				json_path, strerror(-error));
			exit_code = EXIT_CODE_INVALID;
		}
	}
	coverage_clear(&c->strace);
	measurement_end(&m);
	free(c);
	return exit_code;
}
