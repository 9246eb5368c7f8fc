#include "runner/doctor_probes.h"

#include <errno.h>
#include <string.h>

#include "runner/probes.h"
#include "runner/words.h"

#define READY_MS    10000
#define WHY_COLUMNS 52
#define NOT_BUILT                                                              \
	"mishap-watch isn't there; it is built where clang, llvm, bpftool "    \
	"and "                                                                 \
	"libbpf-dev are: make deps all"

/* Wrapped, since what would help can be long. */
static void advice_print(FILE *out, const char *advice)
{
	const char *arrow = "->";

	while (*advice) {
		size_t bytes = strlen(advice), at = bytes;

		if (bytes > WHY_COLUMNS)
			for (at = WHY_COLUMNS; at > 20 && advice[at] != ' ';
			     at--)
				;
		if (at <= 20)
			at = bytes < WHY_COLUMNS ? bytes : strcspn(advice, " ");
		fprintf(out, "%24s %s %.*s\n", "", arrow, (int)at, advice);
		advice += at + (advice[at] == ' ');
		arrow = "  ";
	}
}

static void group_add(FILE *out, json_t *checks,
		      const struct watch_group_body *group)
{
	bool works =
		group->status == WATCH_WORKS || group->status == WATCH_PARTLY;
	_cleanup_words_ char *name =
		words_say("probes: %s", probes_group_name(group->group));
	_cleanup_words_ char *seen =
		words_say("%s: %s", probes_status_word(group->status),
			  probes_group_about(group->group));

	fprintf(out, "%-5s %-18s %s\n", works ? "ok" : "no", name ? name : "",
		seen ? seen : "");
	advice_print(out, group->why);
	json_array_append_new(
		checks,
		json_pack("{so sb ss so so}", "name", words_json_string(name),
			  "ok", works, "for", "probes", "seen",
			  words_json_string(seen), "advice",
			  words_json_string(*group->why ? group->why : NULL)));
}

/* What is the same for all is said once. */
static void nothing_add(FILE *out, json_t *checks, const char *status,
			const char *why)
{
	fprintf(out, "%-5s %-18s %s\n", "no", "probes", status);
	advice_print(out, why);
	json_array_append_new(checks,
			      json_pack("{ss sb ss ss ss}", "name", "probes",
					"ok", false, "for", "probes", "seen",
					status, "advice", why));
}

static size_t groups_read(struct probes *probes,
			  struct watch_group_body groups[WATCH_GROUPS])
{
	const struct watch_record *record;
	size_t count = 0;

	while (probes_next(probes, READY_MS, &record) == 0 &&
	       record->type != WATCH_READY)
		if (record->type == WATCH_GROUP && count < WATCH_GROUPS)
			memcpy(&groups[count++], record + 1, sizeof(*groups));
	return count;
}

void doctor_probes(FILE *out, json_t *checks)
{
	static const char *const options[] = {
		"--groups=life,net,sys,durable,latency,snap", NULL
	};
	struct watch_group_body groups[WATCH_GROUPS] = { 0 };
	struct probes probes;
	size_t count, alike = 1;

	if (probes_open(&probes, options) < 0) {
		nothing_add(out, checks, "absent: not built", NOT_BUILT);
		return;
	}
	count = groups_read(&probes, groups);
	probes_close(&probes);
	while (alike < count && groups[alike].status == groups[0].status &&
	       strcmp(groups[alike].why, groups[0].why) == 0)
		alike++;
	if (count == 0)
		nothing_add(out, checks, "absent: mishap-watch says nothing",
			    "try: mishap-watch --help");
	else if (alike == count && *groups[0].why)
		nothing_add(out, checks, probes_status_word(groups[0].status),
			    groups[0].why);
	else
		for (size_t i = 0; i < count; i++)
			group_add(out, checks, &groups[i]);
}
