#include "scenarios/diag.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define MARGIN	     "      | "
#define MARGIN_CELLS 8
#define TAB_CELLS    8

const struct source *diag_source(struct diag *diag, const char *name,
				 const char *bytes, size_t count,
				 bool command_line)
{
	struct source *source = arena_get(diag->arena, sizeof(*source));

	source->name = arena_copy(diag->arena, name, strlen(name));
	source->bytes = bytes;
	source->count = count;
	source->command_line = command_line;
	source->ordinal = 1;
	for (const struct source *s = diag->sources; s; s = s->next)
		if (command_line && !strcmp(s->name, name))
			source->ordinal++;
	source->next = diag->sources;
	diag->sources = source;
	return source;
}

const struct source *diag_source_of(const struct diag *diag,
				    const struct mark *mark)
{
	for (const struct source *s = diag->sources; s; s = s->next)
		if (s->name == mark->file)
			return s;
	return NULL;
}

static void diag_note(struct diag *diag, struct mark mark, const char *help,
		      bool warning, const char *says)
{
	struct diag_item *item;

	if (warning)
		diag->warnings++;
	else
		diag->errors++;
	if (!diag->out || diag->items_count >= DIAG_KEPT_MAX)
		return;
	item = arena_grow(diag->arena, (void **)&diag->items,
			  &diag->items_count, sizeof(*item));
	item->source = diag_source_of(diag, &mark);
	item->mark = mark;
	item->warning = warning;
	item->says = says;
	item->help = help;
}

static char *print_args(struct diag *diag, const char *format, va_list ap)
{
	char *text = NULL;
	char *copy;

	if (vasprintf(&text, format, ap) < 0)
		return arena_copy(diag->arena, format, strlen(format));
	copy = arena_copy(diag->arena, text, strlen(text));
	free(text);
	return copy;
}

void diag_error(struct diag *diag, struct mark mark, const char *help,
		const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	diag_note(diag, mark, help, false, print_args(diag, format, ap));
	va_end(ap);
}

void diag_warn(struct diag *diag, struct mark mark, const char *help,
	       const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	diag_note(diag, mark, help, true, print_args(diag, format, ap));
	va_end(ap);
}

const char *diag_meant(struct diag *diag, const struct near *near)
{
	const char *best = near_found(near);

	return best ? arena_print(diag->arena, "did you mean '%s'?", best)
		    : NULL;
}

/* ---- drawing ----------------------------------------------------------- */

/* One source line as terminal cells: what to print and where the caret is. */
struct drawing {
	struct builder text; /* tabs expanded, controls replaced */
	size_t *starts;	     /* byte of text at which each cell begins */
	size_t cells;
	size_t caret, caret_end; /* in cells */
};

static void drawing_cell(struct drawing *d, const char *text, size_t n,
			 unsigned cells)
{
	for (unsigned i = 0; i < cells; i++) {
		size_t *at = arena_grow(d->text.arena, (void **)&d->starts,
					&d->cells, sizeof(*at));

		*at = d->text.count;
	}
	builder_add(&d->text, text, n);
}

static void drawing_char(struct drawing *d, const char *text, size_t n)
{
	uint32_t point = 0;
	size_t step = utf8_next(text, n, &point);

	if (step == 1 && *text == '\t') {
		do
			drawing_cell(d, " ", 1, 1);
		while (d->cells % TAB_CELLS);
	} else if (!step || point < 0x20 || (point >= 0x7f && point < 0xa0)) {
		drawing_cell(d, "?", 1, 1);
	} else {
		drawing_cell(d, text, step, utf8_columns(point));
	}
}

static void drawing_make(struct drawing *d, const char *line, size_t n,
			 const struct mark *mark)
{
	uint32_t column = 1;

	for (size_t i = 0; i < n; column++) {
		uint32_t point;
		size_t step = utf8_next(line + i, n - i, &point);

		if (column == mark->column)
			d->caret = d->cells;
		if (column == mark->column + mark->width)
			d->caret_end = d->cells;
		drawing_char(d, line + i, step ? step : 1);
		i += step ? step : 1;
	}
	if (mark->column >= column) /* after the end of the line */
		d->caret = d->cells;
	if (mark->column + mark->width >= column)
		d->caret_end = d->cells;
	if (d->caret_end <= d->caret)
		d->caret_end = d->caret + 1;
}

static size_t drawing_byte(const struct drawing *d, size_t cell)
{
	return cell < d->cells ? d->starts[cell] : d->text.count;
}

/* The cells [from, to) that fit, with the caret among them. */
static void drawing_cut(struct drawing *d, size_t *ret_from, size_t *ret_to)
{
	size_t room = DIAG_WIDTH - MARGIN_CELLS;
	size_t from = 0;

	if (d->cells <= room) {
		*ret_from = 0;
		*ret_to = d->cells;
		return;
	}
	if (d->caret_end > room - 4)
		from = d->caret > 24 ? d->caret - 24 : 0;
	*ret_from = from;
	*ret_to = from + room - (from ? 3 : 0);
	if (*ret_to < d->cells)
		*ret_to -= 3;
	else
		*ret_to = d->cells;
}

static void print_help(FILE *out, const char *help, size_t at)
{
	if (!help) {
		fputc('\n', out);
		return;
	}
	if (!strchr(help, '\n') &&
	    at + 1 + utf8_count(help, strlen(help)) <= DIAG_WIDTH) {
		fprintf(out, " %s\n", help);
		return;
	}
	fputc('\n', out);
	print_wrapped(out, MARGIN, MARGIN, DIAG_WIDTH, help);
}

static void draw(struct diag *diag, const struct diag_item *item,
		 const char *line, size_t n)
{
	struct drawing d = { .text.arena = diag->arena };
	size_t from, to, at, end;

	drawing_make(&d, line, n, &item->mark);
	drawing_cut(&d, &from, &to);
	fprintf(diag->out, "%5u | %s%.*s%s\n",
		item->mark.line ? item->mark.line : item->source->ordinal,
		from ? "..." : "",
		(int)(drawing_byte(&d, to) - drawing_byte(&d, from)),
		d.text.bytes ? d.text.bytes + drawing_byte(&d, from) : "",
		to < d.cells ? "..." : "");
	at = d.caret - from + (from ? 3 : 0);
	end = d.caret_end < to || to < d.caret + 1 ? d.caret_end : to;
	fputs(MARGIN, diag->out);
	for (size_t i = 0; i < at; i++)
		fputc(' ', diag->out);
	fputc('^', diag->out);
	for (size_t i = d.caret + 1; i < end; i++)
		fputc('~', diag->out);
	if (end <= d.caret)
		end = d.caret + 1;
	print_help(diag->out, item->help, MARGIN_CELLS + at + end - d.caret);
}

static bool find_line(const struct source *source, const struct mark *mark,
		      const char **ret_line, size_t *ret_n)
{
	const char *at = source->bytes, *end = at + source->count, *stop;

	if (!source->bytes || !mark->column)
		return false;
	if (source->command_line) {
		*ret_line = at;
		*ret_n = source->count;
		return true;
	}
	for (uint32_t line = 1; line < mark->line; line++) {
		at = memchr(at, '\n', (size_t)(end - at));
		if (!at)
			return false;
		at++;
	}
	stop = memchr(at, '\n', (size_t)(end - at));
	*ret_line = at;
	*ret_n = (size_t)((stop ? stop : end) - at);
	if (*ret_n && at[*ret_n - 1] == '\r')
		--*ret_n;
	return true;
}

static void print_item(struct diag *diag, const struct diag_item *item)
{
	const struct mark *mark = &item->mark;
	const char *line;
	size_t n;

	if (mark->file)
		fprintf(diag->out, "%s:", mark->file);
	if (mark->column)
		fprintf(diag->out, "%u:%u:",
			mark->line     ? mark->line
			: item->source ? item->source->ordinal
				       : 1,
			mark->column);
	fprintf(diag->out, "%s%s: %s\n", mark->file ? " " : "",
		item->warning ? "warning" : "error", item->says);
	if (item->source && find_line(item->source, mark, &line, &n))
		draw(diag, item, line, n);
	else if (item->help)
		print_wrapped(diag->out, MARGIN, MARGIN, DIAG_WIDTH,
			      item->help);
}

static bool comes_after(const struct diag_item *a, const struct diag_item *b)
{
	if (a->source != b->source)
		return false; /* sources keep the order in which they spoke */
	if (a->mark.line != b->mark.line)
		return a->mark.line > b->mark.line;
	return a->mark.column > b->mark.column;
}

void diag_flush(struct diag *diag)
{
	size_t shown = 0, errors = 0;

	for (size_t i = 1; i < diag->items_count; i++) {
		struct diag_item item = diag->items[i];
		size_t j = i;

		for (; j && comes_after(&diag->items[j - 1], &item); j--)
			diag->items[j] = diag->items[j - 1];
		diag->items[j] = item;
	}
	for (size_t i = 0; i < diag->items_count; i++) {
		if (shown >= SCENARIO_ERRORS_MAX)
			break;
		print_item(diag, &diag->items[i]);
		errors += !diag->items[i].warning;
		shown++;
	}
	if (diag->out && diag->errors > errors)
		fprintf(diag->out, "and %zu more errors\n",
			diag->errors - errors);
	diag->items_count = 0;
	diag->items = NULL;
}
