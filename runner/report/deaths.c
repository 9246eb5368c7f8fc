/* The stacks of who died or hung, as coroner.h has them written down. */
#include "runner/report/report.h"

#include <string.h>

#include "runner/coroner.h"
#include "runner/site_id.h"

#define DEATHS_MAX	 3  /* that are told; the rest is counted */
#define DEAD_FRAMES_MAX	 12 /* of the thread that died */
#define HUNG_THREADS_MAX 8
#define HUNG_FRAMES_MAX	 7
#define LINE_MAX_COLUMNS 80

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static const char *last_component(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool is_python(const json_t *frame)
{
	const char *language = text_of(frame, "language");

	return language && !strcmp(language, "python");
}

/* "function (file:line)", "app.py:12 in function", "module+0x12" */
static char *frame_say(const json_t *frame)
{
	const char *function = text_of(frame, "function");
	const char *module = text_of(frame, "module");
	const char *file = text_of(frame, "file");
	const char *offset = text_of(frame, "offset");
	long long line = json_integer_value(json_object_get(frame, "line"));

	if (is_python(frame))
		return words_say("%s:%lld in %s",
				 file ? python_file_name(file) : "?", line,
				 function ? function : "?");
	if (function && file)
		return words_say("%s (%s:%lld)", function, last_component(file),
				 line);
	if (function && module)
		return words_say("%s (%s)", function, last_component(module));
	if (function)
		return words_say("%s", function);
	return module ? words_say("%s+%s", last_component(module),
				  offset ? offset : "?")
		      : words_say("generated code");
}

/* Where an interpreter's functions are told, its own aren't. */
static bool is_told(const json_t *frame, bool of_python)
{
	const char *runs = of_python && !is_python(frame)
				   ? site_interpreter(text_of(frame, "module"))
				   : NULL;

	return !runs || strcmp(runs, "python") != 0;
}

static void line_put(FILE *out, const char *start, const char *text)
{
	int left = LINE_MAX_COLUMNS - (int)strlen(start);

	fputs(start, out);
	for (; *text; text++) { /* a column per code point */
		left -= ((unsigned char)*text & 0xc0) != 0x80;
		if (left < 0)
			break;
		fputc((unsigned char)*text < 0x20 ? '?' : *text, out);
	}
	fputc('\n', out);
}

static void frames_put(const json_t *thread, size_t max, bool color, FILE *out)
{
	const json_t *frames = json_object_get(thread, "frames"), *frame;
	bool of_python = false, owned = false;
	size_t i, told = 0, left = 0;

	json_array_foreach(frames, i, frame) of_python |= is_python(frame);
	json_array_foreach(frames, i, frame)
	{
		_cleanup_words_ char *words = NULL;
		bool is_own;

		if (!is_told(frame, of_python))
			continue;
		if (told == max) {
			left++;
			continue;
		}
		is_own = !owned && is_python(frame) == of_python &&
			 !json_is_true(json_object_get(frame, "plumbing"));
		owned |= is_own;
		words = frame_say(frame);
		if (is_own && color)
			fputs("\033[1m", out);
		line_put(out, is_own ? "       > " : "         ",
			 words ? words : "?");
		if (is_own && color)
			fputs("\033[0m", out);
		told++;
	}
	if (left)
		fprintf(out, "         and %zu more\n", left);
	if (!told && !left)
		fputs("         its frames can't be read\n", out);
}

static void thread_put(const json_t *thread, FILE *out)
{
	const char *name = text_of(thread, "name");
	const char *call = text_of(thread, "call");
	_cleanup_words_ char *words = words_say(
		"thread %s (%lld)%s%s", name ? name : "?",
		(long long)json_integer_value(json_object_get(thread, "tid")),
		call ? " in " : "", call ? call : "");

	line_put(out, "       ", words ? words : "?");
}

static void death_put(const json_t *death, bool color, FILE *out)
{
	const json_t *threads = json_object_get(death, "threads"), *thread;
	const char *number = text_of(death, "signal");
	const char *why = text_of(death, "why"), *program;
	const char *missing = text_of(death, "missing");
	size_t i, count = json_array_size(threads);
	_cleanup_words_ char *words = NULL;

	program = text_of(death, "program");
	words = words_say(
		"%s %lld %s%s%s%s%s:", program ? program : "?",
		(long long)json_integer_value(json_object_get(death, "pid")),
		why ? why : "hung", number ? " by " : "", number ? number : "",
		missing ? "; no stacks: " : "", missing ? missing : "");
	if (words && missing)
		words[strlen(words) - 1] = '\0';
	line_put(out, "     ", words ? words : "?");
	if (number) {
		thread = json_array_get(threads, 0);
		if (thread)
			frames_put(thread, DEAD_FRAMES_MAX, color, out);
		if (count > 1)
			fprintf(out, "       (and %zu other thread%s)\n",
				count - 1, count == 2 ? "" : "s");
		return;
	}
	json_array_foreach(threads, i, thread)
	{
		if (i == HUNG_THREADS_MAX) {
			fprintf(out, "       (and %zu more threads)\n",
				count - i);
			break;
		}
		thread_put(thread, out);
		frames_put(thread, HUNG_FRAMES_MAX, color, out);
	}
}

size_t report_deaths(const struct evidence *evidence, bool color, FILE *out)
{
	json_t *deaths =
		evidence->run_dir ? deaths_read(evidence->run_dir) : NULL;
	size_t i, count = json_array_size(deaths);
	json_t *death;

	json_array_foreach(deaths, i, death)
	{
		if (i == DEATHS_MAX) {
			fprintf(out, "     and %zu more: deaths.json\n",
				count - i);
			break;
		}
		death_put(death, color, out);
	}
	json_decref(deaths);
	return count;
}

json_t *report_deaths_json(const struct evidence *evidence)
{
	json_t *deaths =
		evidence->run_dir ? deaths_read(evidence->run_dir) : NULL;

	return deaths ? deaths : json_array();
}
