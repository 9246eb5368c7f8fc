/* names.c - sites by name: functions, files, lines; whose they are. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runner/site_id.h"
#include "runner/sweep/sweep.h"

#define OWN_FRAMES 4 /* that a site is told by */

/* libc looks for these and does without: messages, characters, time zones,
 * names of users.  What a program does with the default is no loss. */
static const char *const optional[] = {
	"setlocale",	"newlocale",	  "bindtextdomain", "textdomain",
	"gettext",	"dgettext",	  "dcgettext",	    "ngettext",
	"dcngettext",	"__dcigettext",	  "dcigettext",	    "iconv_open",
	"tzset",	"localtime",	  "localtime_r",    "mktime",
	"strftime",	"nl_langinfo",	  "getpwuid",	    "getpwnam",
	"getgrgid",	"getpwuid_r",	  "getgrgid_r",	    "qsort",
	"error",	"perror",	  "strerror",	    "strerror_r",
	"__gconv_open", "catopen",	  "tzset_internal", "backtrace",
	"syslog",	"nss_parse_file", "getpwnam_r",	    "getgrnam",
};

static uint64_t hash_string(uint64_t hash, const char *text)
{
	for (; text && *text; text++)
		hash = (hash ^ (uint8_t)*text) * 0x100000001b3ull;
	return hash;
}

static bool is_optional(const struct site_seen *names)
{
	for (size_t i = 0; i < names->count; i++) {
		const struct site_frame *frame = &names->frames[i];

		if (!frame->function || !frame->is_plumbing)
			continue;
		for (size_t n = 0; n < sizeof(optional) / sizeof(*optional);
		     n++)
			if (!strcmp(frame->function, optional[n]))
				return true;
	}
	return false;
}

const struct site_frame *site_frame_told(const struct spot *site)
{
	if (!site->names || !site->names->count)
		return NULL;
	return site->names->own ? site->names->own : &site->names->frames[0];
}

static void name_one(struct sweep *sweep, struct spot *site,
		     const struct site_seen *names)
{
	const struct site_frame *told;

	site->names = names;
	site->own = site->seen.frames_count
			    ? site->seen.frames[0].offset * 31 +
				      site->seen.frames[0].module
			    : 0;
	if (!names)
		return;
	if (names->collapsed)
		sweep->interpreter = names->collapsed;
	site->is_optional = is_optional(names);
	told = site_frame_told(site);
	if (told && told->function)
		site->own = hash_string(hash_string(1, told->module),
					told->function);
	else if (told)
		site->own = hash_string(told->offset, told->module);
}

/* symbolize_stacks() wants a state; ours holds what it reads of one. */
static int stacks_write(struct sweep *sweep, const struct state *from)
{
	struct state *state = calloc(1, sizeof(*state));
	int error;

	if (!state)
		return -ENOMEM;
	memcpy(state->modules, from->modules, sizeof(state->modules));
	memcpy(state->codes, from->codes, sizeof(state->codes));
	for (size_t i = 0; i < sweep->sites_count && i < SHARED_STACKS_MAX;
	     i++) {
		const struct sweep_site *site = &sweep->sites[i].seen;
		struct shared_stack *stack = &state->stacks[i];

		stack->count = site->frames_count < SHARED_FRAMES_MAX
				       ? site->frames_count
				       : SHARED_FRAMES_MAX;
		memcpy(stack->frames, site->frames,
		       stack->count * sizeof(*stack->frames));
		atomic_store(&stack->hash, site->id);
		atomic_store(&stack->ready, 1);
	}
	error = symbolize_stacks(state, sweep->place.run_dir);
	free(state);
	return error;
}

int names_find(struct sweep *sweep, const struct state *state)
{
	int error = stacks_write(sweep, state);

	if (!error)
		error = site_ids_read(sweep->place.run_dir, &sweep->names);
	if (error)
		sweep->names = NULL;
	for (size_t i = 0; i < sweep->sites_count; i++)
		name_one(sweep, &sweep->sites[i],
			 sweep->names
				 ? site_ids_of(sweep->names, (uint32_t)i + 1)
				 : NULL);
	return 0;
}

static const char *last_component(const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;

	return slash ? slash + 1 : path;
}

static int frame_put(char *to, size_t room, const struct site_frame *frame)
{
	const char *module = last_component(frame->module);

	if (frame->function && frame->line)
		return snprintf(to, room, "%s (%s:%d)", frame->function,
				last_component(frame->file), frame->line);
	if (frame->function)
		return snprintf(to, room, "%s (%s)", frame->function,
				module ? module : "?");
	return snprintf(to, room, "%s+0x%llx", module ? module : "?",
			(unsigned long long)frame->offset);
}

char *site_words(const struct spot *site)
{
	const struct site_seen *names = site->names;
	const struct site_frame *own = site_frame_told(site);
	char text[512];
	size_t at = 0, told = 0;

	if (!own)
		return strdup("unknown");
	for (size_t i = (size_t)(own - names->frames);
	     i < names->count && told < OWN_FRAMES && at < sizeof(text); i++) {
		const struct site_frame *frame = &names->frames[i];

		if (told &&
		    (frame->is_plumbing ||
		     (frame->function && !strcmp(frame->function, "_start"))))
			continue;
		if (told++)
			at += (size_t)snprintf(text + at, sizeof(text) - at,
					       " < ");
		if (at < sizeof(text))
			at += (size_t)frame_put(text + at, sizeof(text) - at,
						frame);
	}
	return strdup(text);
}
