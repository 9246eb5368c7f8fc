/* capture_ledger.c - the lines of a ledger, out of whatever streams say them,
 * in the order in which they came, with time and channel before each write. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runner/capture.h"
#include "runner/clock.h"

#define LEDGER_BYTES_MAX (64u << 20)

static bool is_ledger_line(const char *line, size_t n)
{
	return (n > 4 && memcmp(line, "ack ", 4) == 0) ||
	       (n > 5 && memcmp(line, "fail ", 5) == 0) ||
	       (n > 7 && memcmp(line, "invoke ", 7) == 0);
}

struct taking { /* one write */
	struct capture *capture;
	struct capture_stream *stream;
	bool stamped;
};

static void line_keep(struct taking *taking, const char *line, size_t n)
{
	struct text *ledger = taking->capture->ledger;
	char stamp[48];
	int length;

	if (!is_ledger_line(line, n))
		return;
	if (ledger->count > LEDGER_BYTES_MAX) {
		ledger->truncated = true;
		return;
	}
	length = snprintf(stamp, sizeof(stamp), "@%llu %u\n",
			  (unsigned long long)clock_now_ns(),
			  taking->stream->source);
	if (!taking->stamped)
		capture_text_append(ledger, stamp, (size_t)length);
	/* Of a FIFO it isn't known what came together. */
	taking->stamped = !taking->stream->held_fd;
	capture_text_append(ledger, line, n);
	capture_text_append(ledger, "\n", 1);
}

/* The beginning of a line that an earlier write left open. */
static const char *line_join(struct taking *taking, const char *bytes,
			     const char *line_end)
{
	struct capture_stream *stream = taking->stream;
	size_t n = (size_t)(line_end - bytes);

	if (!stream->open_bytes)
		return bytes;
	if (n > sizeof(stream->open_line) - stream->open_bytes)
		n = sizeof(stream->open_line) - stream->open_bytes;
	memcpy(stream->open_line + stream->open_bytes, bytes, n);
	line_keep(taking, stream->open_line, stream->open_bytes + n);
	stream->open_bytes = 0;
	return line_end + 1;
}

static void line_leave(struct capture_stream *stream, const char *bytes,
		       size_t n)
{
	if (n > sizeof(stream->open_line) - stream->open_bytes)
		n = sizeof(stream->open_line) - stream->open_bytes;
	memcpy(stream->open_line + stream->open_bytes, bytes, n);
	stream->open_bytes += n;
}

void capture_ledger_take(struct capture *capture, struct capture_stream *stream,
			 const char *bytes, size_t n)
{
	struct taking taking = { .capture = capture, .stream = stream };
	const char *end = bytes + n;

	while (bytes < end) {
		const char *line_end =
			memchr(bytes, '\n', (size_t)(end - bytes));

		if (!line_end) {
			line_leave(stream, bytes, (size_t)(end - bytes));
			return;
		}
		if (stream->open_bytes) {
			bytes = line_join(&taking, bytes, line_end);
			continue;
		}
		line_keep(&taking, bytes, (size_t)(line_end - bytes));
		bytes = line_end + 1;
	}
}

int capture_ledger_fifo(struct capture *capture, const char *path)
{
	int fd, held, error = -E2BIG;

	if (mkfifo(path, 0666) != 0 || chmod(path, 0666) != 0)
		return -errno;
	fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	held = fd < 0 ? -1 : open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	if (held < 0) {
		error = -errno;
		if (fd >= 0)
			close(fd);
		return error;
	}
	pthread_mutex_lock(&capture->lock);
	if (capture->count < CAPTURE_STREAMS_MAX) {
		capture->streams[capture->count] = (struct capture_stream){
			.fd = fd,
			.file_fd = -1,
			.held_fd = held,
			.source = (unsigned)capture->count + 1,
		};
		capture->count++;
		error = 0;
	}
	pthread_mutex_unlock(&capture->lock);
	if (error) {
		close(fd);
		close(held);
	}
	return error;
}
