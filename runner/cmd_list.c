/* cmd_list.c - `mishap list`: what can be named. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runner/cli.h"
#include "scenarios/aliases.h"
#include "scenarios/expect_line.h"
#include "scenarios/text.h"

#define LIST_WIDTH 80

static const char help[] =
	"usage: mishap list [--json FILE] WHAT [NAME]…\n"
	"       mishap list --docs scenarios|calls|faults\n"
	"\n"
	"WHAT is one of\n"
	"  calls          what a rule can be about; with NAMEs: everything "
	"known\n"
	"                 of these calls, their errnos and where those come "
	"from\n"
	"  families       groups of calls: file net alloc dns time proc\n"
	"  faults         what can be done to a call\n"
	"  expectations   what can be expected of a run\n"
	"  scenarios      those that come with mishap, or stand in directory "
	"NAME\n"
	"\n"
	"      --json FILE    the list for machines; - is standard output\n"
	"      --docs PAGE    the reference page, as Markdown\n"
	"  -h, --help         this text\n"
	"\n"
	"examples:\n"
	"  mishap list faults\n"
	"  mishap list calls recv fsync\n"
	"  mishap list scenarios\n"
	"\n"
	"exit status: 0, or 2 when there is no such thing.\n";

struct list {
	json_t *json; /* array; NULL: for people */
	struct arena *arena;
	char **names;
	int names_count;
};

static void indented(const char *first, unsigned indent, const char *text)
{
	char rest[40];

	if (!*text) { /* no blanks at the end of a line */
		puts(first);
		return;
	}
	snprintf(rest, sizeof(rest), "%*s", (int)indent, "");
	print_wrapped(stdout, first, rest, LIST_WIDTH, text);
}

/* ---- calls ------------------------------------------------------------- */

static const char *doors_of(const struct call_info *call)
{
	return call->has_kernel && call->has_symbol ? "both"
	       : call->has_kernel		    ? "site"
						    : "symbol";
}

static char *aliases_of(struct arena *arena, unsigned id)
{
	struct builder out = { .arena = arena };

	builder_add(&out, "", 0);
	for (size_t i = 0; i < call_aliases_count; i++)
		if (call_aliases[i].id == id)
			builder_print(&out, "%s%s", out.count ? " " : "",
				      call_aliases[i].name);
	return out.bytes;
}

static char *twins_of(struct arena *arena, unsigned id)
{
	struct builder out = { .arena = arena };

	builder_add(&out, "", 0);
	for (size_t i = 0; i < call_twins_count; i++)
		if (call_twins[i].id == id)
			builder_print(&out, "%s%s", out.count ? " " : "",
				      call_twins[i].name);
	return out.bytes;
}

static char *faults_of(struct arena *arena, unsigned id)
{
	struct builder out = { .arena = arena };

	builder_add(&out, "", 0);
	for (unsigned i = 0; i < FAULT_COUNT; i++)
		if (!fault_table[i]->refuses ||
		    !fault_table[i]->refuses(id, NULL))
			builder_print(&out, "%s%s", out.count ? " " : "",
				      fault_table[i]->name);
	return out.bytes;
}

static json_t *call_json(unsigned id)
{
	const struct call_info *call = &call_table[id];
	json_t *errnos = json_array(), *cites = json_object();
	json_t *aliases = json_array(), *twins = json_array();

	for (unsigned i = 0; i < call->errnos_count; i++)
		json_array_append_new(errnos,
				      json_string(error_name(call->errnos[i])));
	for (const struct call_cite *cite = call->cites; cite->error; cite++)
		json_object_set_new(cites, error_name(cite->error),
				    json_string(cite->source));
	for (size_t i = 0; i < call_aliases_count; i++)
		if (call_aliases[i].id == id)
			json_array_append_new(
				aliases, json_string(call_aliases[i].name));
	for (size_t i = 0; i < call_twins_count; i++)
		if (call_twins[i].id == id)
			json_array_append_new(twins,
					      json_string(call_twins[i].name));
	return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "name",
			 call->name, "family", call_family_names[call->family],
			 "door", doors_of(call), "pages", call->pages, "errnos",
			 errnos, "also", cites, "aliases", aliases, "symbols",
			 twins);
}

static void call_detail(struct list *list, unsigned id)
{
	const struct call_info *call = &call_table[id];
	struct builder out = { .arena = list->arena };

	printf("%s (%s), reached by a %s\n", call->name,
	       call_family_names[call->family],
	       call->has_kernel ? "patched site" : "symbol");
	if (*aliases_of(list->arena, id))
		indented("  also called  ", 15, aliases_of(list->arena, id));
	if (*twins_of(list->arena, id))
		indented("  else by      ", 15, twins_of(list->arena, id));
	for (unsigned i = 0; i < call->errnos_count; i++)
		builder_print(&out, "%s ", error_name(call->errnos[i]));
	builder_print(&out, "(%s)", call->pages);
	indented("  errnos       ", 15, out.bytes);
	for (const struct call_cite *cite = call->cites; cite->error; cite++)
		printf("               %s (%s)\n", error_name(cite->error),
		       cite->source);
	indented("  takes        ", 15, faults_of(list->arena, id));
}

static int list_named_calls(struct list *list)
{
	int worst = 0;

	for (int i = 0; i < list->names_count; i++) {
		const char *name = list->names[i];
		unsigned id = call_find(name, strlen(name));
		struct near near = near_start(name, strlen(name));

		if (id != CALL_NONE && list->json)
			json_array_append_new(list->json, call_json(id));
		else if (id != CALL_NONE)
			call_detail(list, id);
		if (id != CALL_NONE)
			continue;
		for (unsigned c = 0; c < CALL_COUNT; c++)
			near_try(&near, call_table[c].name);
		if (near_found(&near))
			worst = cli_wrong("list",
					  "list: unknown call '%s'; did you "
					  "mean '%s'?",
					  name, near_found(&near));
		else
			worst = cli_wrong("list", "list: unknown call '%s'",
					  name);
	}
	return worst;
}

static int list_calls(struct list *list)
{
	if (list->names_count)
		return list_named_calls(list);
	if (!list->json)
		printf("%-16s %-6s %-7s %s\n", "CALL", "FAMILY", "DOOR",
		       "ALSO CALLED");
	for (unsigned id = 0; id < CALL_COUNT; id++) {
		const struct call_info *call = &call_table[id];
		char row[64];

		if (list->json) {
			json_array_append_new(list->json, call_json(id));
			continue;
		}
		snprintf(row, sizeof(row),
			 *aliases_of(list->arena, id) ? "%-16s %-6s %-7s "
						      : "%-16s %-6s %s",
			 call->name, call_family_names[call->family],
			 doors_of(call));
		indented(row, 32, aliases_of(list->arena, id));
	}
	if (!list->json)
		puts("\nErrnos and their sources: mishap list calls NAME");
	return 0;
}

static int list_families(struct list *list)
{
	for (unsigned family = 0; family < FAMILY_COUNT; family++) {
		struct builder out = { .arena = list->arena };
		json_t *calls = json_array();
		char row[32];

		for (unsigned id = 0; id < CALL_COUNT; id++) {
			if (call_table[id].family != family)
				continue;
			builder_print(&out, "%s ", call_table[id].name);
			json_array_append_new(calls,
					      json_string(call_table[id].name));
		}
		snprintf(row, sizeof(row), "%-7s", call_family_names[family]);
		if (list->json)
			json_array_append_new(
				list->json, json_pack("{s:s, s:O}", "name",
						      call_family_names[family],
						      "calls", calls));
		else
			indented(row, 7, out.bytes);
		json_decref(calls);
	}
	return 0;
}

/* ---- faults and expectations ------------------------------------------- */

static int list_faults(struct list *list)
{
	static const char *const takes[] = {
		[ARG_NONE] = "",	  [ARG_ERROR] = "=ERRNO",
		[ARG_DELAY] = "=TIME",	  [ARG_BYTES] = "=BYTES",
		[ARG_SIGNAL] = "=SIGNAL", [ARG_STATUS] = "=STATUS",
		[ARG_BITS] = "=Nbits",
		[ARG_LIMIT] = "=BYTES",
		[ARG_COUNT] = "=N",
		[ARG_SHARE] = "=SHARE",
		[ARG_SHIFT] = "=+TIME",
		[ARG_DRIFT] = "=+SHARE",
	};

	for (unsigned i = 0; i < FAULT_COUNT; i++) {
		const struct fault *fault = fault_table[i];
		char word[40], row[48];

		snprintf(word, sizeof(word), "%s%s", fault->name,
			 fault->is_model ? "" : takes[fault->arg]);
		if (list->json) {
			json_array_append_new(
				list->json,
				json_pack("{s:s, s:s, s:s, s:b}", "name",
					  fault->name, "says", fault->says,
					  "example", fault->example,
					  "may_be_after", fault->may_be_after));
			continue;
		}
		snprintf(row, sizeof(row), "%-13s ", word);
		indented(row, 14, fault->says);
		printf("%-13s %s\n", "", fault->example);
	}
	if (!list->json)
		puts("\nSelectors and triggers: docs/FAULTS.md, or mishap list "
		     "--docs faults");
	return 0;
}

static int list_expectations(struct list *list)
{
	for (unsigned i = 0; i < EXPECT_COUNT; i++) {
		const struct expect_info *info = &expect_table[i];
		char row[40];

		if (list->json) {
			json_array_append_new(
				list->json,
				json_pack("{s:s, s:s, s:s, s:b}", "name",
					  info->word, "says", info->says,
					  "example", info->example, "in_phases",
					  info->scope == SCOPE_phase));
			continue;
		}
		snprintf(row, sizeof(row), "%-13s ", info->word);
		indented(row, 14, info->says);
		printf("%-13s %s\n", "", info->example);
	}
	return 0;
}

/* ---- scenarios --------------------------------------------------------- */

/* Where they stand: beside build/ in the source tree, or where `make install`
 * puts them. */
static char *library_find(struct arena *arena)
{
	static const char *const places[] = { "../scenarios/library",
					      "../share/mishap/scenarios" };
	char exe[4096];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	char *slash;

	if (n < 0)
		return NULL;
	exe[n] = '\0';
	slash = strrchr(exe, '/');
	if (!slash)
		return NULL;
	*slash = '\0';
	for (size_t i = 0; i < 2; i++) {
		char *path = arena_print(arena, "%s/%s", exe, places[i]);
		char *real = access(path, R_OK) ? NULL : realpath(path, NULL);

		if (!real)
			continue;
		path = arena_print(arena, "%s", real);
		free(real);
		return path;
	}
	return NULL;
}

static int is_yaml(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

	return dot && (!strcmp(dot, ".yaml") || !strcmp(dot, ".yml"));
}

static void list_scenario(struct list *list, const char *path)
{
	struct scenario *s;
	struct builder tags = { .arena = list->arena };
	int rc = scenario_load(path, NULL, NULL, &s);

	if (rc < 0) {
		fprintf(stderr,
			"mishap: %s: it has mistakes: mishap check %s\n", path,
			path);
		return;
	}
	if (list->json) {
		json_array_append_new(list->json,
				      json_pack("{s:s, s:s, s:s?}", "path",
						path, "name", s->name, "about",
						s->about));
		scenario_free(s);
		return;
	}
	builder_add(&tags, "", 0);
	for (size_t i = 0; i < s->tags.count; i++)
		builder_print(&tags, " #%s", s->tags.items[i]);
	printf("%s%s\n", s->name, tags.bytes);
	if (s->about)
		indented("  ", 2, s->about);
	printf("  %s\n", path);
	scenario_free(s);
}

static int list_directory(struct list *list, const char *dir)
{
	struct dirent **entries;
	int n = scandir(dir, &entries, is_yaml, alphasort);

	if (n < 0)
		return cli_wrong("list", "list: %s: %s", dir, strerror(errno));
	for (int i = 0; i < n; i++) {
		list_scenario(list, arena_print(list->arena, "%s/%s", dir,
						entries[i]->d_name));
		free(entries[i]);
	}
	free(entries);
	return 0;
}

static int list_scenarios(struct list *list)
{
	const char *library;
	int worst = 0;

	for (int i = 0; i < list->names_count; i++) {
		int rc = list_directory(list, list->names[i]);

		worst = rc > worst ? rc : worst;
	}
	if (list->names_count)
		return worst;
	library = library_find(list->arena);
	if (!library)
		return cli_wrong("list", "list: no scenarios stand beside this "
					 "program; name a directory");
	return list_directory(list, library);
}

/* ---- the command ------------------------------------------------------- */

static int list_docs(const char *page)
{
	if (!strcmp(page, "scenarios"))
		scenario_print_docs(stdout);
	else if (!strcmp(page, "calls"))
		calls_print_docs(stdout);
	else if (!strcmp(page, "faults"))
		faults_print_docs(stdout);
	else
		return cli_wrong("list",
				 "list: --docs wants scenarios, calls or "
				 "faults; got '%s'",
				 page);
	return 0;
}

static int list_what(const char *what, const char *json_path, char **names,
		     int names_count)
{
	static const struct {
		const char *name;
		int (*list)(struct list *list);
	} kinds[] = {
		{ "calls", list_calls },
		{ "families", list_families },
		{ "faults", list_faults },
		{ "expectations", list_expectations },
		{ "scenarios", list_scenarios },
	};
	struct list list = { .names = names, .names_count = names_count };
	struct near near = near_start(what, strlen(what));
	int rc;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		near_try(&near, kinds[i].name);
		if (strcmp(what, kinds[i].name))
			continue;
		list.arena = arena_open();
		list.json = json_path ? json_array() : NULL;
		rc = kinds[i].list(&list);
		if (list.json && !rc)
			rc = cli_json(json_path,
				      json_pack("{s:i, s:s, s:s, s:O}",
						"version", 1, "command", "list",
						"mishap", MISHAP_VERSION,
						kinds[i].name, list.json));
		json_decref(list.json);
		arena_free(list.arena);
		return rc;
	}
	if (near_found(&near))
		return cli_wrong("list",
				 "list: no '%s' to list; did you mean '%s'?",
				 what, near_found(&near));
	return cli_wrong("list", "list: no '%s' to list", what);
}

int cmd_list(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", required_argument, NULL, 'j' },
		{ "docs", required_argument, NULL, 'd' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	const char *json_path = NULL, *docs = NULL;
	int letter;

	optind = 0;
	while ((letter = cli_next(argc, argv, ":h", options)) != -1) {
		switch (letter) {
		case 'j':
			json_path = optarg;
			break;
		case 'd':
			docs = optarg;
			break;
		case 'h':
			fputs(help, stdout);
			return 0;
		default:
			return EXIT_CODE_USAGE;
		}
	}
	if (docs)
		return list_docs(docs);
	if (optind == argc)
		return cli_wrong("list", "list: of what? calls, families, "
					 "faults, expectations or scenarios");
	return list_what(argv[optind], json_path, argv + optind + 1,
			 argc - optind - 1);
}
