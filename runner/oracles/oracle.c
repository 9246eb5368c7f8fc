#include "runner/oracles/oracle.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int answer(struct finding *ret, enum verdict verdict, char *expected,
		  const char *format, va_list ap)
{
	char *seen = NULL;

	if (vasprintf(&seen, format, ap) < 0) {
		free(expected);
		return -ENOMEM;
	}
	free(ret->expected);
	free(ret->seen);
	ret->verdict = verdict;
	ret->expected = expected;
	ret->seen = seen;
	return 0;
}

int oracle_pass(struct finding *ret, char *expected, const char *seen, ...)
{
	va_list ap;
	int error;

	va_start(ap, seen);
	error = answer(ret, VERDICT_PASS, expected, seen, ap);
	va_end(ap);
	return error;
}

int oracle_fail(struct finding *ret, char *expected, const char *seen, ...)
{
	va_list ap;
	int error;

	va_start(ap, seen);
	error = answer(ret, VERDICT_FAIL, expected, seen, ap);
	va_end(ap);
	return error;
}

int oracle_unknown(struct finding *ret, const char *why, ...)
{
	va_list ap;
	int error;

	va_start(ap, why);
	error = answer(ret, VERDICT_INCONCLUSIVE, NULL, why, ap);
	va_end(ap);
	return error;
}

int oracle_answer(struct finding *ret, bool good, char *expected,
		  const char *seen, ...)
{
	va_list ap;
	int error;

	va_start(ap, seen);
	error = answer(ret, good ? VERDICT_PASS : VERDICT_FAIL, expected, seen,
		       ap);
	va_end(ap);
	return error;
}

int oracle_since(struct finding *ret, const struct evidence *evidence,
		 uint64_t at_ns)
{
	const struct scenario *scenario = evidence->scenario;
	int phase = evidence_phase_at(evidence, at_ns);
	char after[WORDS_SHORT_MAX];

	words_duration(at_ns > evidence->start_ns ? at_ns - evidence->start_ns
						  : 0,
		       after);
	free(ret->since);
	ret->since_ns = at_ns;
	ret->since = phase >= 0 && scenario->phases_written
			     ? words_say("%s, phase %s", after,
					 scenario->phases[phase].name)
			     : words_say("%s", after);
	return ret->since ? 0 : -ENOMEM;
}

bool oracle_ended(const struct ending *ending, const struct evidence *evidence)
{
	return ending->ended && !ending->stopped_by_us &&
	       !ending->killed_by_rule && ending->end_ns <= evidence->end_ns;
}

bool oracle_compare(enum expect_op op, double left, double right)
{
	switch (op) {
	case OP_EQ:
		return left == right;
	case OP_NE:
		return left != right;
	case OP_LT:
		return left < right;
	case OP_LE:
		return left <= right;
	case OP_GT:
		return left > right;
	case OP_GE:
		return left >= right;
	default:
		return false;
	}
}

const char *oracle_op_words(enum expect_op op)
{
	switch (op) {
	case OP_NE:
		return "other than ";
	case OP_LT:
		return "below ";
	case OP_LE:
		return "at most ";
	case OP_GT:
		return "above ";
	case OP_GE:
		return "at least ";
	case OP_IN:
		return "one of ";
	default:
		return "";
	}
}

const char *oracle_value(const struct expect *expect)
{
	return expect->values.count ? expect->values.items[0] : "";
}

bool oracle_wants(const struct expect *expect, const char *word)
{
	return strcmp(oracle_value(expect), word) == 0;
}

static char *path_absolute(const struct evidence *evidence, const char *path)
{
	if (*path == '/' || !evidence->cwd)
		return strdup(path);
	return words_say("%s/%s", evidence->cwd, path);
}

int oracle_open(const struct evidence *evidence, const char *path)
{
	_cleanup_words_ char *absolute = path_absolute(evidence, path);
	struct open_how how = {
		.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
		.resolve = RESOLVE_IN_ROOT,
	};
	char root_path[40];
	int root, fd;

	if (!absolute)
		return -ENOMEM;
	if (!evidence->sandbox_pid) {
		fd = open(absolute, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		return fd < 0 ? -errno : fd;
	}
	snprintf(root_path, sizeof(root_path), "/proc/%d/root",
		 (int)evidence->sandbox_pid);
	root = open(root_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	fd = (int)syscall(SYS_openat2, root, absolute, &how, sizeof(how));
	fd = fd < 0 ? -errno : fd;
	close(root);
	return fd;
}

int oracle_hash(const struct evidence *evidence, const char *path,
		uint64_t *ret_hash, uint64_t *ret_bytes)
{
	uint64_t hash = 0xcbf29ce484222325u, bytes = 0;
	unsigned char part[65536];
	struct stat st;
	ssize_t n = 0;
	int fd = oracle_open(evidence, path);
	int error = 0;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		error = -errno;
	else if (!S_ISREG(st.st_mode))
		error = S_ISDIR(st.st_mode) ? -EISDIR : -ENOTSUP;
	while (!error && (n = read(fd, part, sizeof(part))) != 0) {
		if (n < 0) {
			error = errno == EINTR ? 0 : -errno;
			continue;
		}
		for (ssize_t i = 0; i < n; i++)
			hash = (hash ^ part[i]) * 0x100000001b3u;
		bytes += (uint64_t)n;
	}
	close(fd);
	if (error)
		return error;
	*ret_hash = hash;
	*ret_bytes = bytes;
	return 0;
}

int oracle_text_set(struct text *text, const char *bytes, size_t count)
{
	char *copy = malloc(count + 1);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, bytes, count);
	copy[count] = '\0';
	free(text->bytes);
	text->bytes = copy;
	text->count = count;
	text->truncated = false;
	return 0;
}

int oracle_text_append(struct text *text, const char *line)
{
	size_t n = strlen(line);
	char *more = malloc(text->count + n + 3);

	if (!more)
		return -ENOMEM;
	if (text->count)
		memcpy(more, text->bytes, text->count);
	more[text->count] = '\n';
	memcpy(more + text->count + 1, line, n);
	more[text->count + n + 1] = '\n';
	more[text->count + n + 2] = '\0';
	free(text->bytes);
	text->bytes = more;
	text->count += n + 2;
	return 0;
}

bool oracle_text_same(const struct text *a, const struct text *b)
{
	return a->count == b->count &&
	       (!a->count || memcmp(a->bytes, b->bytes, a->count) == 0);
}

bool oracle_sample_is_of(const struct expect *expect,
			 const struct evidence *evidence,
			 const struct sample *sample)
{
	const struct scenario *scenario = evidence->scenario;

	if (expect->phase >= 0 && sample->phase != (unsigned)expect->phase)
		return false;
	if (!expect->args.count)
		return true;
	return sample->steady < scenario->steadies_count &&
	       strcmp(scenario->steadies[sample->steady].name,
		      expect->args.items[0]) == 0;
}

int oracle_samples(const struct expect *expect, const struct evidence *evidence,
		   const struct sample ***ret_samples, size_t *ret_count)
{
	const struct sample **samples =
		calloc(evidence->samples_count + 1, sizeof(struct sample *));
	size_t count = 0;

	if (!samples)
		return -ENOMEM;
	for (size_t i = 0; i < evidence->samples_count; i++)
		if (oracle_sample_is_of(expect, evidence,
					&evidence->samples[i]))
			samples[count++] = &evidence->samples[i];
	*ret_samples = samples;
	*ret_count = count;
	return 0;
}

const struct event *oracle_failed_call(const struct evidence *evidence)
{
	for (size_t i = 0; i < evidence->events_count; i++)
		if (evidence->events[i].error &&
		    !(evidence->events[i].flags & EVENT_LAPSED))
			return &evidence->events[i];
	return NULL;
}

size_t oracle_index(const struct expect *expect,
		    const struct evidence *evidence)
{
	const struct scenario *scenario = evidence->scenario;

	for (size_t i = 0; i < scenario->expects_count; i++)
		if (&scenario->expects[i] == expect)
			return i;
	return SIZE_MAX;
}

struct command_seen *oracle_command(const struct evidence *evidence,
				    const struct expect *expect)
{
	size_t index = oracle_index(expect, evidence);

	for (size_t i = 0; i < evidence->commands_count; i++)
		if (evidence->commands[i].expect == index)
			return &evidence->commands[i];
	return NULL;
}

int oracle_command_run(const struct expect *expect, struct evidence *evidence,
		       size_t output_max)
{
	struct command_seen seen = { .expect = oracle_index(expect, evidence) };
	struct command_seen *commands =
		reallocarray(evidence->commands, evidence->commands_count + 1,
			     sizeof(*commands));
	int error;

	if (!commands)
		return -ENOMEM;
	evidence->commands = commands;
	error = command_run(evidence, &expect->args, ORACLE_COMMAND_NS,
			    output_max, &seen.ending, &seen.output,
			    &seen.bytes);
	if (error == -ENOMEM)
		return error;
	if (error < 0) { /* never started: that stays to be seen */
		seen.ending = (struct ending){ 0 };
		seen.output = words_say("%s: %s", expect->args.items[0],
					strerror(-error));
		seen.bytes = seen.output ? strlen(seen.output) : 0;
	}
	seen.truncated = seen.bytes >= output_max;
	commands[evidence->commands_count++] = seen;
	return 0;
}
