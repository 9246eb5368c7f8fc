#include "runner/ledger/export.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum type { TYPE_INVOKE, TYPE_OK, TYPE_FAIL, TYPE_INFO };
static const char *const type_names[] = { "invoke", "ok", "fail", "info" };

struct moment { /* a request begins or ends */
	uint64_t at, ns;
	uint32_t op;
	bool ends;
};

struct exporting {
	const struct ledger_log *log;
	enum ledger_form form;
	enum export_format format;
	FILE *out;
	uint32_t *processes; /* by op */
	uint32_t processes_count;
	uint64_t index, last_ns;
	uint32_t stream;
};

/* ---- words --------------------------------------------------------------- */
static bool is_number(struct ledger_word word)
{
	size_t i = word.n && *word.at == '-';

	if (word.n == i || word.n - i > 18)
		return false;
	for (; i < word.n; i++)
		if (!isdigit((unsigned char)word.at[i]))
			return false;
	return true;
}

static void put_word(struct exporting *e, struct ledger_word word)
{
	if (is_number(word)) {
		fprintf(e->out, "%.*s", (int)word.n, word.at);
		return;
	}
	fputc('"', e->out);
	for (size_t i = 0; i < word.n; i++) {
		unsigned char c = (unsigned char)word.at[i];

		if (c == '"' || c == '\\')
			fprintf(e->out, "\\%c", c);
		else if (c < 0x20)
			fprintf(e->out, "\\u%04x", c);
		else
			fputc(c, e->out);
	}
	fputc('"', e->out);
}

static void put_name(struct exporting *e, const char *name)
{
	fprintf(e->out, e->format == EXPORT_EDN ? ":%s" : "\"%s\"", name);
}

static void put_key(struct exporting *e, const char *name, bool first)
{
	if (!first)
		fputs(", ", e->out);
	fprintf(e->out, e->format == EXPORT_EDN ? ":%s " : "\"%s\": ", name);
}

/* ---- one operation ------------------------------------------------------- */
static const char *function_of(enum ledger_form form, bool reads)
{
	if (form == FORM_REGISTER || form == FORM_APPEND)
		return "txn";
	if (reads)
		return "read";
	return form == FORM_BANK ? "transfer" : "add";
}

static void op_head(struct exporting *e, uint64_t ns, enum type type,
		    uint32_t process, bool reads)
{
	fputs(e->index ? (e->format == EXPORT_EDN ? "\n " : ",\n ") : " ",
	      e->out);
	fputc('{', e->out);
	put_key(e, "index", true);
	fprintf(e->out, "%llu", (unsigned long long)e->index++);
	put_key(e, "time", false);
	fprintf(e->out, "%llu", (unsigned long long)ns);
	put_key(e, "type", false);
	put_name(e, type_names[type]);
	put_key(e, "process", false);
	fprintf(e->out, "%u", process);
	put_key(e, "f", false);
	put_name(e, function_of(e->form, reads));
	put_key(e, "value", false);
	e->last_ns = ns;
}

static struct ledger_word word_of(const char *text)
{
	return (struct ledger_word){ text, strlen(text) };
}

/* FROM:TO:AMOUNT as Jepsen's bank has it. */
static void put_transfer(struct exporting *e, struct ledger_word value)
{
	const char *first = memchr(value.at, ':', value.n);
	const char *last = memrchr(value.at, ':', value.n);
	const char *end = value.at + value.n;

	if (!first || first == last) {
		put_word(e, value);
		return;
	}
	fputc('{', e->out);
	put_key(e, "from", true);
	put_word(e,
		 (struct ledger_word){ value.at, (size_t)(first - value.at) });
	put_key(e, "to", false);
	put_word(e,
		 (struct ledger_word){ first + 1, (size_t)(last - first) - 1 });
	put_key(e, "amount", false);
	put_word(e, (struct ledger_word){ last + 1, (size_t)(end - last) - 1 });
	fputc('}', e->out);
}

static void put_value(struct exporting *e, const struct ledger_op *op)
{
	struct ledger_word id = e->log->keys[op->key].id;
	const char *comma = e->format == EXPORT_EDN ? " " : ", ";

	switch (e->form) {
	case FORM_REGISTER:
		fputs("[[", e->out);
		put_name(e, "w");
		fputs(comma, e->out);
		put_word(e, id);
		fputs(comma, e->out);
		put_word(e, op->value);
		fputs("]]", e->out);
		return;
	case FORM_APPEND: /* the stream is the list, an id one of its items */
		fputs("[[", e->out);
		put_name(e, "append");
		fputs(comma, e->out);
		put_word(e, e->log->streams[e->stream]);
		fputs(comma, e->out);
		put_word(e, id);
		fputs("]]", e->out);
		return;
	case FORM_BANK:
		put_transfer(e, op->value);
		return;
	case FORM_COUNTER:
		put_word(e, op->value.n ? op->value : word_of("1"));
		return;
	default:
		put_word(e, id);
	}
}

/* ---- what the reader found, as one read at the end ------------------------
 */
static void put_present(struct exporting *e, const struct ledger_present *at,
			bool first)
{
	struct ledger_word id = e->log->keys[at->key].id;
	const char *comma = e->format == EXPORT_EDN ? " " : ", ";

	if (!first)
		fputs(comma, e->out);
	if (e->form == FORM_REGISTER) {
		fputc('[', e->out);
		put_name(e, "r");
		fputs(comma, e->out);
		put_word(e, id);
		fputs(comma, e->out);
		put_word(e, at->value);
		fputc(']', e->out);
	} else if (e->form == FORM_BANK) {
		/* a key of JSON is a text, whatever it looks like */
		if (e->format == EXPORT_EDN || !is_number(id))
			put_word(e, id);
		else
			fprintf(e->out, "\"%.*s\"", (int)id.n, id.at);
		fputs(e->format == EXPORT_EDN ? " " : ": ", e->out);
		put_word(e, at->value);
	} else {
		put_word(e, e->form == FORM_COUNTER ? at->value : id);
	}
}

static void put_presents(struct exporting *e)
{
	bool first = true, edn = e->format == EXPORT_EDN;
	static const char *const open[][2] = {
		[FORM_SET] = { "#{", "[" }, [FORM_REGISTER] = { "[", "[" },
		[FORM_APPEND] = { "", "" }, [FORM_COUNTER] = { "", "" },
		[FORM_BANK] = { "{", "{" },
	};
	static const char *const shut[][2] = {
		[FORM_SET] = { "}", "]" },  [FORM_REGISTER] = { "]", "]" },
		[FORM_APPEND] = { "", "" }, [FORM_COUNTER] = { "", "" },
		[FORM_BANK] = { "}", "}" },
	};

	if (e->form == FORM_APPEND) {
		fputs("[[", e->out);
		put_name(e, "r");
		fputs(edn ? " " : ", ", e->out);
		put_word(e, e->log->streams[e->stream]);
		fputs(edn ? " [" : ", [", e->out);
	}
	fputs(open[e->form][!edn], e->out);
	for (uint32_t i = 0; i < e->log->presents_count; i++) {
		const struct ledger_present *at = &e->log->presents[i];

		if (e->log->keys[at->key].stream != e->stream)
			continue;
		if (e->form == FORM_COUNTER && !first)
			break; /* one counter a history */
		put_present(e, at, first);
		first = false;
	}
	if (e->form == FORM_COUNTER && first)
		fputc('0', e->out);
	fputs(shut[e->form][!edn], e->out);
	if (e->form == FORM_APPEND)
		fputs("]]]", e->out);
}

static void read_put(struct exporting *e)
{
	uint32_t process = e->processes_count;

	if (!e->log->done)
		return;
	op_head(e, e->last_ns + 1, TYPE_INVOKE, process, true);
	fputs(e->format == EXPORT_EDN ? "nil}" : "null}", e->out);
	op_head(e, e->last_ns + 1, TYPE_OK, process, true);
	put_presents(e);
	fputc('}', e->out);
}

/* ---- the whole ------------------------------------------------------------
 */
static int by_moment(const void *a, const void *b)
{
	const struct moment *x = a, *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return (x->ends > y->ends) - (x->ends < y->ends);
}

static size_t moments_find(const struct exporting *e, struct moment *moments)
{
	size_t count = 0;

	for (uint32_t i = 0; i < e->log->ops_count; i++) {
		const struct ledger_op *op = &e->log->ops[i];

		if (e->log->keys[op->key].stream != e->stream)
			continue;
		moments[count++] = (struct moment){ .at = op->invoke_at,
						    .ns = op->invoke_ns,
						    .op = i };
		moments[count++] = (struct moment){ .at = op->end_at,
						    .ns = op->end_ns,
						    .op = i,
						    .ends = true };
	}
	qsort(moments, count, sizeof(*moments), by_moment);
	return count;
}

/* A process that is free, or a new one.  busy: by process. */
static uint32_t process_get(struct exporting *e, bool *busy)
{
	uint32_t i = 0;

	while (i < e->processes_count && busy[i])
		i++;
	e->processes_count += i == e->processes_count;
	busy[i] = true;
	return i;
}

static void moments_put(struct exporting *e, const struct moment *moments,
			size_t count, bool *busy)
{
	for (size_t i = 0; i < count; i++) {
		const struct moment *at = &moments[i];
		const struct ledger_op *op = &e->log->ops[at->op];
		enum type type = TYPE_INVOKE;

		if (!at->ends)
			e->processes[at->op] = process_get(e, busy);
		else if (op->outcome == LEDGER_UNKNOWN)
			type = TYPE_INFO;
		else
			type = op->outcome == LEDGER_ACKED ? TYPE_OK
							   : TYPE_FAIL;
		if (at->ends && type != TYPE_INFO)
			busy[e->processes[at->op]] = false;
		op_head(e, at->ns ? at->ns : e->last_ns, type,
			e->processes[at->op], false);
		put_value(e, op);
		fputc('}', e->out);
	}
}

static void operation_put(struct exporting *e, const struct ledger_op *op,
			  uint32_t process)
{
	fputs(e->index++ ? ",\n " : " ", e->out);
	fprintf(e->out,
		"{\"ClientId\": %u, \"Call\": %llu, \"Return\": ", process,
		(unsigned long long)op->invoke_at);
	if (op->end_at == LEDGER_NEVER)
		fprintf(e->out, "%lld", (long long)INT64_MAX);
	else
		fprintf(e->out, "%llu", (unsigned long long)op->end_at);
	fputs(", \"Input\": {\"Op\": \"write\", \"Key\": ", e->out);
	put_word(e, e->log->keys[op->key].id);
	fputs(", \"Value\": ", e->out);
	put_word(e, op->value);
	fputs("}, \"Output\": {\"Known\": ", e->out);
	fputs(op->outcome == LEDGER_ACKED ? "true}}" : "false}}", e->out);
}

/* What failed wasn't done, and isn't in porcupine's history. */
static void porcupine_put(struct exporting *e)
{
	uint64_t end = e->log->lines + 1;

	for (uint32_t i = 0; i < e->log->ops_count; i++) {
		const struct ledger_op *op = &e->log->ops[i];

		if (e->log->keys[op->key].stream == e->stream &&
		    op->outcome != LEDGER_FAILED)
			operation_put(e, op, e->processes[i]);
	}
	for (uint32_t i = 0; i < e->log->presents_count; i++) {
		const struct ledger_present *at = &e->log->presents[i];

		if (e->log->keys[at->key].stream != e->stream)
			continue;
		fputs(e->index++ ? ",\n " : " ", e->out);
		fprintf(e->out,
			"{\"ClientId\": %u, \"Call\": %llu, \"Return\": %llu, "
			"\"Input\": {\"Op\": \"read\", \"Key\": ",
			e->processes_count, (unsigned long long)end,
			(unsigned long long)end + 1);
		put_word(e, e->log->keys[at->key].id);
		fputs("}, \"Output\": {\"Known\": true, \"Value\": ", e->out);
		put_word(e, at->value);
		fputs("}}", e->out);
		end += 2;
	}
}

int ledger_export(const struct ledger_log *log, uint32_t stream,
		  enum ledger_form form, enum export_format format, FILE *out)
{
	struct exporting e = { .log = log,
			       .form = form,
			       .format = format,
			       .out = out,
			       .stream = stream };
	struct moment *moments =
		calloc(2 * (size_t)log->ops_count + 1, sizeof(*moments));
	bool *busy = calloc(log->ops_count + 1u, 1);
	size_t count;
	FILE *nowhere = NULL;

	e.processes = calloc(log->ops_count + 1u, sizeof(*e.processes));
	if (format == EXPORT_PORCUPINE)
		nowhere = fopen("/dev/null", "we");
	if (moments && busy && e.processes) {
		count = moments_find(&e, moments);
		fputs("[\n", out);
		e.out = nowhere ? nowhere : out;
		moments_put(&e, moments, count, busy);
		e.out = out;
		if (format == EXPORT_PORCUPINE) {
			e.index = 0;
			porcupine_put(&e);
		} else {
			read_put(&e);
		}
		fputs("\n]\n", out);
	}
	if (nowhere)
		fclose(nowhere);
	free(busy);
	free(e.processes);
	count = moments != NULL;
	free(moments);
	return !count ? -ENOMEM : ferror(out) ? -EIO : 0;
}
