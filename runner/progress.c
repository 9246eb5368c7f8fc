/* progress.c - one live line on a terminal, plain lines in a log. */
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "runner/clock.h"
#include "runner/run.h"

#define LIVE_EVERY_NS (100 * NS_PER_MS)
#define LINE_MAX_     256

static struct {
	pthread_mutex_t lock;
	FILE *out; /* NULL: closed, or quiet */
	bool tty, color, shown;
	uint64_t next_ns;
} progress = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int columns(void)
{
	struct winsize size;

	if (ioctl(fileno(progress.out), TIOCGWINSZ, &size) != 0 || !size.ws_col)
		return 80;
	return size.ws_col > LINE_MAX_ ? LINE_MAX_ : size.ws_col;
}

/* line_cut - at so many characters, never within one. */
static void line_cut(char *line, int max)
{
	for (; *line; line++)
		if (((unsigned char)*line & 0xc0) != 0x80 && max-- <= 0) {
			*line = '\0';
			return;
		}
}

static void live_clear(void)
{
	if (progress.shown)
		fputs("\r\033[K", progress.out);
	progress.shown = false;
}

void progress_open(bool quiet, bool color, FILE *out)
{
	const char *term = getenv("TERM");

	pthread_mutex_lock(&progress.lock);
	progress.out = quiet ? NULL : out;
	progress.tty = !quiet && isatty(fileno(out)) &&
		       (!term || strcmp(term, "dumb") != 0);
	progress.color = color && progress.tty;
	progress.shown = false;
	progress.next_ns = 0;
	pthread_mutex_unlock(&progress.lock);
}

void progress_say(const char *format, ...)
{
	va_list args;

	pthread_mutex_lock(&progress.lock);
	if (progress.out) {
		live_clear();
		va_start(args, format);
		vfprintf(progress.out, format, args);
		va_end(args);
		fputc('\n', progress.out);
		fflush(progress.out);
	}
	pthread_mutex_unlock(&progress.lock);
}

/* A log gets none of these; a terminal ten a second at most. */
void progress_live(const char *format, ...)
{
	char line[LINE_MAX_ * 4];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	pthread_mutex_lock(&progress.lock);
	if (progress.out && progress.tty && !*line) {
		live_clear();
		fflush(progress.out);
	} else if (progress.out && progress.tty &&
		   clock_now_ns() >= progress.next_ns) {
		live_clear();
		line_cut(line, columns() - 1);
		fprintf(progress.out, "%s%s%s", progress.color ? "\033[2m" : "",
			line, progress.color ? "\033[0m" : "");
		fflush(progress.out);
		progress.shown = true;
		progress.next_ns = clock_now_ns() + LIVE_EVERY_NS;
	}
	pthread_mutex_unlock(&progress.lock);
}

void progress_close(void)
{
	pthread_mutex_lock(&progress.lock);
	if (progress.out) {
		live_clear();
		fflush(progress.out);
	}
	progress.out = NULL;
	pthread_mutex_unlock(&progress.lock);
}
