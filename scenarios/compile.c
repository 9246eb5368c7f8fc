/* compile.c - from rules to the flat plan that the target maps. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "scenarios/text.h"

/* A plan under way: bytes that grow, offsets into them. */
struct plan_maker {
	char *bytes;
	size_t count, room;
	int error; /* of the first thing that failed */
};

/* Room for `bytes` zeroes, aligned to 8; the offset, 0 after a failure. */
static size_t maker_room(struct plan_maker *maker, size_t bytes)
{
	size_t at = (maker->count + 7) & ~(size_t)7;
	size_t end = at + bytes;

	if (maker->error)
		return 0;
	if (end > PLAN_BYTES_MAX) {
		maker->error = -E2BIG;
		return 0;
	}
	if (end > maker->room) {
		size_t room = 2 * end;
		char *more = realloc(maker->bytes, room);

		if (!more) {
			maker->error = -ENOMEM;
			return 0;
		}
		memset(more + maker->room, 0, room - maker->room);
		maker->bytes = more;
		maker->room = room;
	}
	maker->count = end;
	return at;
}

static size_t maker_add(struct plan_maker *maker, const void *bytes, size_t n)
{
	size_t at = maker_room(maker, n);

	if (!maker->error && n)
		memcpy(maker->bytes + at, bytes, n);
	return at;
}

static uint32_t maker_string(struct plan_maker *maker, const char *text)
{
	size_t n;

	if (!text)
		return 0;
	n = strlen(text);
	if (n >= PLAN_STRING_MAX && !maker->error)
		maker->error = -E2BIG;
	return (uint32_t)maker_add(maker, text, n + 1);
}

/* ---- paths ------------------------------------------------------------- */

/* The directory's own characters must not act as a glob's. */
static void add_plain(struct builder *out, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strchr("*?[", text[i]))
			builder_print(out, "[%c]", text[i]);
		else
			builder_add(out, text + i, 1);
	}
}

/* A relative glob is anchored at cwd; `.` and `..` at its start are walked.
 * One that begins with a slash or with ** is taken as it stands. */
static char *path_anchor(struct arena *arena, const char *glob, const char *cwd)
{
	struct builder out = { .arena = arena };
	size_t n = strlen(cwd);

	while (n > 1 && cwd[n - 1] == '/')
		n--;
	if (glob[0] == '/' || !strncmp(glob, "**", 2))
		return arena_print(arena, "%s", glob);
	for (;;) {
		if (!strncmp(glob, "./", 2)) {
			glob += 2;
		} else if (!strncmp(glob, "../", 3)) {
			glob += 3;
			while (n > 1 && cwd[n - 1] != '/')
				n--;
			while (n > 1 && cwd[n - 1] == '/')
				n--;
		} else {
			break;
		}
	}
	add_plain(&out, cwd, n);
	builder_print(&out, "%s%s", n > 1 ? "/" : "", glob);
	return out.bytes;
}

/* A model is about the whole tree under a path. */
static char *tree_glob(struct arena *arena, const struct rule *rule, char *glob)
{
	size_t n = strlen(glob);

	if (!fault_table[rule->plan.fault]->is_model ||
	    strpbrk(rule->path, "*?["))
		return glob;
	while (n > 1 && glob[n - 1] == '/')
		n--;
	return arena_print(arena, "%.*s%s", (int)n, glob, n > 1 ? "/**" : "**");
}

/* ---- parts ------------------------------------------------------------- */

/* A rule of the whole run holds its breath while the target recovers. */
static uint32_t rule_phases(const struct scenario *scenario,
			    const struct rule *rule)
{
	uint32_t phases = rule->phases;

	for (size_t i = 0;
	     rule->phases == UINT32_MAX && i < scenario->phases_count; i++)
		if (scenario->phases[i].within.set)
			phases &= ~(1u << i);
	return phases;
}

static void compile_strings(struct plan_maker *maker, struct arena *arena,
			    const struct scenario *scenario, const char *cwd,
			    size_t rules_at)
{
	for (size_t i = 0; i < scenario->rules_count && !maker->error; i++) {
		const struct rule *rule = &scenario->rules[i];
		struct plan_rule plan = rule->plan;

		plan.phases = rule_phases(scenario, rule);
		plan.text_off = maker_string(maker, rule->text);
		plan.host_off = maker_string(maker, rule->host);
		plan.thread_off = maker_string(maker, rule->thread);
		plan.exe_off = maker_string(maker, rule->exe);
		plan.frame_off = maker_string(maker, rule->frame);
		plan.peer.path_off = maker_string(maker, rule->peer_path);
		if (rule->path)
			plan.path_off = maker_string(
				maker,
				tree_glob(arena, rule,
					  path_anchor(arena, rule->path, cwd)));
		if (!maker->error)
			memcpy(maker->bytes + rules_at + i * sizeof(plan),
			       &plan, sizeof(plan));
	}
}

/* Those that it may act on, and those that its books need. */
static bool rule_sees(const struct rule *rule, unsigned id)
{
	const struct fault *fault = fault_table[rule->plan.fault];

	for (size_t i = 0; i < rule->calls_count; i++)
		if (rule->calls[i] == id)
			return true;
	return fault->attends && fault->attends(id);
}

/* chain[call]: the rules that name it, in the order of the scenario. */
static void compile_chains(struct plan_maker *maker,
			   const struct scenario *scenario,
			   struct plan_header *header)
{
	uint16_t(*chain)[2] = calloc(CALL_COUNT, sizeof(*chain));
	uint16_t *index =
		calloc((size_t)PLAN_RULES_MAX * CALL_COUNT, sizeof(*index));
	uint32_t count = 0;

	if (!chain || !index) {
		maker->error = -ENOMEM;
		free(chain);
		free(index);
		return;
	}
	for (unsigned id = 0; id < CALL_COUNT; id++) {
		chain[id][0] = (uint16_t)count;
		for (size_t i = 0; i < scenario->rules_count; i++)
			if (rule_sees(&scenario->rules[i], id))
				index[count++] = (uint16_t)i;
		chain[id][1] = (uint16_t)(count - chain[id][0]);
	}
	header->chain_off =
		(uint32_t)maker_add(maker, chain, CALL_COUNT * sizeof(*chain));
	header->index_off =
		(uint32_t)maker_add(maker, index, count * sizeof(*index));
	header->index_count = count;
	free(chain);
	free(index);
}

static void compile_parts(struct plan_maker *maker, struct arena *arena,
			  const struct scenario *scenario, const char *cwd,
			  struct plan_header *header)
{
	size_t strings;

	maker_room(maker, sizeof(*header));
	header->rules_count = (uint32_t)scenario->rules_count;
	header->rules_off = (uint32_t)maker_room(
		maker, scenario->rules_count * sizeof(struct plan_rule));
	compile_chains(maker, scenario, header);
	strings = maker_room(maker, 8); /* so that no string is at its start */
	compile_strings(maker, arena, scenario, cwd, header->rules_off);
	header->strings_off = (uint32_t)strings;
	header->strings_bytes = (uint32_t)(maker->count - strings);
}

int scenario_compile(const struct scenario *scenario, uint64_t seed,
		     const char *cwd, const struct plan_decision *decisions,
		     size_t decisions_count, bool replay, void **ret_plan,
		     size_t *ret_bytes)
{
	struct plan_header header = {
		.seed = seed,
		.replay = replay,
		.phases_count = (uint32_t)scenario->phases_count,
		.decisions_count = (uint32_t)decisions_count,
	};
	struct plan_maker maker = { 0 };
	struct arena *arena;
	struct plan plan;

	if (decisions_count > PLAN_DECISIONS_MAX ||
	    scenario->rules_count > PLAN_RULES_MAX)
		return -E2BIG;
	arena = arena_open();
	compile_parts(&maker, arena, scenario, cwd, &header);
	arena_free(arena);
	header.decisions_off = (uint32_t)maker_add(
		&maker, decisions, decisions_count * sizeof(*decisions));
	if (!maker.error) {
		memcpy(maker.bytes, &header, sizeof(header));
		plan_seal(maker.bytes, maker.count);
		maker.error = plan_open(maker.bytes, maker.count, &plan);
	}
	if (maker.error) {
		free(maker.bytes);
		return maker.error;
	}
	*ret_plan = maker.bytes;
	*ret_bytes = maker.count;
	return 0;
}
