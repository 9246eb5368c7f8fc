#include "runner/words.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char *words_say(const char *format, ...)
{
	char *said = NULL;
	va_list ap;
	int n;

	va_start(ap, format);
	n = vasprintf(&said, format, ap);
	va_end(ap);
	return n < 0 ? NULL : said;
}

int words_push(struct strings *strings, char *item)
{
	char **items;

	if (!item)
		return -ENOMEM;
	items = reallocarray(strings->items, strings->count + 2,
			     sizeof(*items));
	if (!items) {
		free(item);
		return -ENOMEM;
	}
	items[strings->count++] = item;
	items[strings->count] = NULL;
	strings->items = items;
	return 0;
}

int words_copy(const struct strings *from, struct strings *ret_to)
{
	struct strings to = { 0 };

	for (size_t i = 0; i < from->count; i++) {
		if (words_push(&to, strdup(from->items[i])) < 0) {
			words_clear(&to);
			return -ENOMEM;
		}
	}
	*ret_to = to;
	return 0;
}

void words_clear(struct strings *strings)
{
	for (size_t i = 0; i < strings->count; i++)
		free(strings->items[i]);
	free(strings->items);
	*strings = (struct strings){ 0 };
}

static bool word_is_plain(const char *word)
{
	return *word && !word[strspn(word, "abcdefghijklmnopqrstuvwxyz"
					   "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
					   "0123456789_-./:=@%+,")];
}

char *words_join(const struct strings *strings)
{
	char *joined = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&joined, &n);

	if (!out)
		return NULL;
	for (size_t i = 0; i < strings->count; i++) {
		const char *word = strings->items[i];

		fputs(i ? " " : "", out);
		if (word_is_plain(word)) {
			fputs(word, out);
			continue;
		}
		fputc('\'', out);
		for (; *word; word++) /* '\'' ends, escapes, begins again */
			if (*word == '\'')
				fputs("'\\''", out);
			else
				fputc(*word, out);
		fputc('\'', out);
	}
	if (fclose(out) != 0) {
		free(joined);
		return NULL;
	}
	return joined;
}

const char *words_duration(uint64_t ns, char ret[WORDS_SHORT_MAX])
{
	static const struct {
		uint64_t ns;
		const char *name;
	} units[] = { { 1000000000, "s" }, { 1000000, "ms" }, { 1000, "us" } };
	double value = (double)ns;
	const char *name = "ns";

	if (ns == 0) {
		strcpy(ret, "0s");
		return ret;
	}
	if (ns >= 120 * 1000000000ull) {
		snprintf(ret, WORDS_SHORT_MAX, "%llum%02llus",
			 (unsigned long long)(ns / 60000000000),
			 (unsigned long long)(ns / 1000000000 % 60));
		return ret;
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(*units); i++) {
		if (ns >= units[i].ns) {
			value = (double)ns / (double)units[i].ns;
			name = units[i].name;
			break;
		}
	}
	snprintf(ret, WORDS_SHORT_MAX,
		 value < 10    ? "%.2f%s"
		 : value < 100 ? "%.1f%s"
			       : "%.0f%s",
		 value, name);
	return ret;
}

const char *words_bytes(uint64_t bytes, char ret[WORDS_SHORT_MAX])
{
	static const char *const names[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double value = (double)bytes;
	size_t i = 0;

	while (value >= 1024 && i + 1 < sizeof(names) / sizeof(*names)) {
		value /= 1024;
		i++;
	}
	snprintf(ret, WORDS_SHORT_MAX,
		 i == 0 || value == (double)(uint64_t)value ? "%.0f%s"
							    : "%.1f%s",
		 value, names[i]);
	return ret;
}

const char *words_signal(int signal, char ret[WORDS_SHORT_MAX])
{
	const char *name = sigabbrev_np(signal);

	if (name)
		snprintf(ret, WORDS_SHORT_MAX, "SIG%s", name);
	else
		snprintf(ret, WORDS_SHORT_MAX, "signal %d", signal);
	return ret;
}

int words_signal_find(const char *name)
{
	char *end;
	long number = strtol(name, &end, 10);

	if (*name && !*end)
		return number > 0 && number < NSIG ? (int)number : 0;
	if (strncmp(name, "SIG", 3) == 0)
		name += 3;
	for (int i = 1; i < NSIG; i++) {
		const char *known = sigabbrev_np(i);

		if (known && strcmp(known, name) == 0)
			return i;
	}
	return 0;
}

char *words_ending(const struct ending *ending)
{
	char name[WORDS_SHORT_MAX], after[WORDS_SHORT_MAX];

	if (!ending->started)
		return words_say("it was never started");
	words_duration(ending->end_ns > ending->start_ns
			       ? ending->end_ns - ending->start_ns
			       : 0,
		       after);
	if (ending->timed_out)
		return words_say("still running after %s, we stopped it",
				 after);
	if (!ending->ended)
		return words_say("nobody saw its end");
	if (!ending->signal)
		return words_say("exit status %d", ending->status);
	words_signal(ending->signal, name);
	if (ending->stopped_by_us)
		return words_say("ended by %s, which we sent at the end", name);
	if (ending->killed_by_rule)
		return words_say("ended by %s, as a rule told", name);
	return words_say("killed by %s%s", name,
			 ending->core ? " (core dumped)" : "");
}

/* Length of the UTF-8 sequence at bytes, 0 if it isn't one (RFC 3629). */
static size_t utf8_length(const unsigned char *bytes, size_t n)
{
	size_t length = bytes[0] < 0x80	  ? 1
			: bytes[0] < 0xc2 ? 0
			: bytes[0] < 0xe0 ? 2
			: bytes[0] < 0xf0 ? 3
			: bytes[0] < 0xf5 ? 4
					  : 0;

	if (!length || length > n || !bytes[0])
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
	if ((bytes[0] == 0xe0 && bytes[1] < 0xa0) || /* overlong */
	    (bytes[0] == 0xed && bytes[1] > 0x9f) || /* surrogates */
	    (bytes[0] == 0xf0 && bytes[1] < 0x90) || /* overlong */
	    (bytes[0] == 0xf4 && bytes[1] > 0x8f))   /* past U+10FFFF */
		return 0;
	return length;
}

json_t *words_json(const char *bytes, size_t n)
{
	char *clean = malloc(3 * n + 1);
	size_t length = 0;
	json_t *json;

	if (!clean)
		return NULL;
	for (size_t i = 0; i < n;) {
		size_t step =
			utf8_length((const unsigned char *)bytes + i, n - i);

		memcpy(clean + length, step ? bytes + i : "\xef\xbf\xbd",
		       step ? step : 3);
		length += step ? step : 3;
		i += step ? step : 1;
	}
	json = json_stringn_nocheck(clean, length);
	free(clean);
	return json;
}

json_t *words_json_string(const char *string)
{
	return string ? words_json(string, strlen(string)) : json_null();
}

int words_read(const char *path, size_t bytes_max, char **ret_bytes,
	       size_t *ret_count)
{
	_cleanup_words_ char *bytes = NULL;
	size_t count = 0, room = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	do {
		if (count + 1 >= room) {
			char *more = realloc(bytes, room = 2 * room + 4096);

			if (!more) {
				close(fd);
				return -ENOMEM;
			}
			bytes = more;
		}
		n = read(fd, bytes + count, room - count - 1);
		if (n < 0 && errno == EINTR) {
			n = 1;
			continue;
		}
		if (n < 0) {
			int error = -errno;

			close(fd);
			return error;
		}
		count += (size_t)n;
	} while (n > 0 && count <= bytes_max);
	close(fd);
	if (count > bytes_max)
		return -EFBIG;
	bytes[count] = '\0';
	*ret_bytes = bytes;
	bytes = NULL;
	if (ret_count)
		*ret_count = count;
	return 0;
}

int words_write(const char *path, int (*write)(FILE *out, const void *what),
		const void *what)
{
	_cleanup_words_ char *beside = words_say("%s.new.%d", path, getpid());
	struct stat st;
	FILE *out;
	int error;

	if (!beside)
		return -ENOMEM;
	/* A pipe or /dev/stdout can't be renamed over. */
	if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) {
		free(beside);
		beside = NULL;
	}
	out = fopen(beside ? beside : path, "we");
	if (!out)
		return -errno;
	error = write(out, what);
	if (fflush(out) != 0 || ferror(out))
		error = error ? error : errno ? -errno : -EIO;
	if (!error && beside && fsync(fileno(out)) < 0)
		error = -errno;
	if (fclose(out) != 0 && !error)
		error = -errno;
	if (!error && beside && rename(beside, path) < 0)
		error = -errno;
	if (error && beside)
		unlink(beside);
	return error;
}

static int json_put(FILE *out, const void *what)
{
	errno = 0;
	if (json_dumpf(what, out, JSON_INDENT(2) | JSON_PRESERVE_ORDER) < 0)
		return errno ? -errno : -EIO;
	return fputc('\n', out) == EOF ? -EIO : 0;
}

int words_write_json(const char *path, const json_t *json)
{
	if (strcmp(path, "-") == 0) {
		int error = json_put(stdout, json);

		return fflush(stdout) != 0 && !error ? -errno : error;
	}
	return words_write(path, json_put, json);
}
