/* load_typed.c - programs and probes from the command line: --ready, --load
 * and --steady. */
#include "scenarios/load.h"

#include <string.h>

#include "scenarios/value.h"

/* Its last two words, `within 5s` or `every 50ms`, taken off. */
static bool take_duration_word(struct words *words, const char *key,
			       struct duration *ret)
{
	const struct word *last = words->items + words->count - 1;
	uint64_t ns;

	if (words->count < 3 || !text_is(last[-1].text, last[-1].n, key) ||
	    !read_duration(last->text, last->n, &ns) || !ns)
		return false;
	*ret = (struct duration){ .ns = ns, .set = true };
	words->count -= 2;
	return true;
}

/* The bytes from one word's `skip` on to the last word, as typed. */
static char *written_text(struct load *load, const struct line *line,
			  const struct words *words, size_t from, size_t skip)
{
	const struct word *last = words->items + words->count - 1;
	size_t at = words->items[from].at + skip;

	return arena_copy(load->arena, line->text + at, last->end - at);
}

static void command_take(struct load *load, const struct words *words,
			 size_t from, struct strings *ret)
{
	for (size_t i = from; i < words->count; i++)
		strings_add(load->arena, ret, words->items[i].text,
			    words->items[i].n);
}

/* tcp:HOST:PORT, http://…, file:PATH or COMMAND, from words[from] on. */
static bool probe_take(struct load *load, const struct line *line,
		       const struct words *words, size_t from,
		       struct probe *probe)
{
	const struct word *word = &words->items[from];
	const char *text = word->text;
	size_t n = word->n, skip = 0;

	probe->kind = PROBE_COMMAND;
	if (n > 4 && !memcmp(text, "tcp:", 4))
		probe->kind = PROBE_TCP, skip = 4;
	else if (n > 5 && !memcmp(text, "file:", 5))
		probe->kind = PROBE_FILE, skip = 5;
	else if (load_is_url(text))
		probe->kind = PROBE_HTTP;
	if (probe->kind == PROBE_COMMAND) {
		probe->where = NULL;
		probe->command = (struct strings){ 0 };
		command_take(load, words, from, &probe->command);
		probe->written = written_text(load, line, words, from, 0);
		return true;
	}
	if (words->count > from + 1) {
		diag_error(&load->diag,
			   word_mark(line, &words->items[from + 1]),
			   "quote a path that has spaces in it",
			   "this is one word too many for a probe");
		return false;
	}
	text += skip;
	n -= skip;
	if (probe->kind == PROBE_TCP && !load_is_host_port(text, n)) {
		diag_error(&load->diag, word_mark(line, word),
			   "such as tcp:127.0.0.1:${port}",
			   "tcp: wants HOST:PORT; got \"%.60s\"", text);
		return false;
	}
	probe->where = arena_copy(load->arena, text, n);
	probe->written = word->quoted
				 ? probe->where
				 : written_text(load, line, words, from, skip);
	return true;
}

static bool line_words(struct load *load, const struct line *line,
		       const char *wants, struct words *ret_words)
{
	if (!words_split(&load->diag, line, 0, line->n, &load->scope,
			 ret_words))
		return false;
	if (ret_words->count && ret_words->items[0].n)
		return true;
	diag_error(&load->diag, line->mark, NULL, "%s wants %s",
		   line->mark.file, wants);
	return false;
}

void load_ready_text(struct load *load, const char *text)
{
	struct probe *probe = &load->scenario->target.ready;
	struct line line = line_of_text(&load->diag, "--ready", text);
	struct words words;

	if (!line_words(load, &line,
			"tcp:HOST:PORT, a URL, file:PATH or a command", &words))
		return;
	take_duration_word(&words, "within", &probe->within);
	if (probe_take(load, &line, &words, 0, probe))
		probe->mark = line.mark;
}

void load_load_text(struct load *load, const char *text, unsigned number)
{
	struct scenario *s = load->scenario;
	struct line line = line_of_text(&load->diag, "--load", text);
	struct workload *workload;
	struct words words;

	if (!line_words(load, &line, "a command", &words))
		return;
	workload = arena_grow(load->arena, (void **)&s->workloads,
			      &s->workloads_count, sizeof(*workload));
	load_defaults(load, MAP_workload, workload);
	workload->name = arena_print(load->arena, "load%u", number);
	workload->mark = line.mark;
	workload->written = written_text(load, &line, &words, 0, 0);
	command_take(load, &words, 0, &workload->run);
}

void load_steady_text(struct load *load, const char *text)
{
	struct scenario *s = load->scenario;
	struct line line = line_of_text(&load->diag, "--steady", text);
	struct steady *steady;
	struct words words;

	if (!line_words(load, &line, "NAME PROBE", &words))
		return;
	if (words.count < 2 ||
	    !load_is_title(words.items[0].text, words.items[0].n)) {
		diag_error(&load->diag, line.mark,
			   "such as 'ping tcp:127.0.0.1:${port} every 50ms'",
			   "a steady probe is 'NAME PROBE', and may end in "
			   "'every 50ms'");
		return;
	}
	steady = arena_grow(load->arena, (void **)&s->steadies,
			    &s->steadies_count, sizeof(*steady));
	load_defaults(load, MAP_steady, steady);
	steady->name =
		arena_copy(load->arena, words.items[0].text, words.items[0].n);
	steady->mark = steady->probe.mark = line.mark;
	take_duration_word(&words, "every", &steady->every);
	probe_take(load, &line, &words, 1, &steady->probe);
}
