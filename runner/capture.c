#include "runner/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "runner/clock.h"
#include "runner/tree_proc.h"

#define PACKETS_AT_ONCE 64
#define CHUNK_BYTES	65536
#define PIPE_BYTES	(1 << 20)
#define CLOSE_WITHIN_NS NS_PER_S

void capture_text_append(struct text *text, const char *bytes, size_t n)
{
	size_t room = 0;
	char *grown;

	/* Grow by doubling: room is the power of two that holds count + 1. */
	for (room = 64; room < text->count + n + 1; room *= 2)
		;
	grown = realloc(text->bytes, room);
	if (!grown) {
		text->truncated = true;
		return;
	}
	text->bytes = grown;
	memcpy(text->bytes + text->count, bytes, n);
	text->count += n;
	text->bytes[text->count] = '\0';
}

static void file_append(struct capture_stream *stream, const char *bytes,
			size_t n)
{
	while (n && stream->file_fd >= 0 && !stream->file_failed) {
		ssize_t wrote = write(stream->file_fd, bytes, n);

		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote <= 0) { /* a full disk must not hold the target up */
			stream->file_failed = true;
			return;
		}
		bytes += wrote;
		n -= (size_t)wrote;
	}
}

static void stream_end(struct capture_stream *stream)
{
	close(stream->fd);
	stream->fd = -1;
}

/* One chunk; true if there may be more. */
static bool stream_read(struct capture *capture, struct capture_stream *stream,
			char *buf)
{
	ssize_t n = read(stream->fd, buf, CHUNK_BYTES);
	size_t keep;

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		stream_end(stream);
		return false;
	}
	if (n < 0)
		return false;
	if (stream->source && capture->ledger)
		capture_ledger_take(capture, stream, buf, (size_t)n);
	if (stream->held_fd)
		return true;
	keep = capture->bytes_max - stream->kept;
	if (keep > (size_t)n)
		keep = (size_t)n;
	stream->kept += keep;
	stream->dropped += (size_t)n - keep;
	file_append(stream, buf, keep);
	if (stream->text) {
		capture_text_append(stream->text, buf, keep);
		if (keep < (size_t)n)
			stream->text->truncated = true;
	}
	return true;
}

/* What comes packet by packet is read several at a time. */
static bool stream_drain(struct capture *capture, struct capture_stream *stream,
			 char *buf)
{
	int most = stream->source ? PACKETS_AT_ONCE : 1;
	bool more = true;

	while (more && most-- && stream->fd >= 0)
		more = stream_read(capture, stream, buf);
	return more;
}

static bool all_ended(const struct capture *capture)
{
	for (size_t i = 0; i < capture->count; i++)
		if (capture->streams[i].fd >= 0)
			return false;
	return true;
}

static void wait_for_some(struct capture *capture)
{
	struct pollfd polls[CAPTURE_STREAMS_MAX + 1];
	nfds_t count = 0;
	uint64_t count_woken;

	polls[count++] =
		(struct pollfd){ .fd = capture->wake_fd, .events = POLLIN };
	pthread_mutex_lock(&capture->lock);
	for (size_t i = 0; i < capture->count; i++)
		if (capture->streams[i].fd >= 0)
			polls[count++] =
				(struct pollfd){ .fd = capture->streams[i].fd,
						 .events = POLLIN };
	pthread_mutex_unlock(&capture->lock);
	poll(polls, count, 100);
	if (polls[0].revents &&
	    read(capture->wake_fd, &count_woken, sizeof(count_woken)) < 0)
		return;
}

static void *capture_main(void *arg)
{
	struct capture *capture = arg;
	uint64_t until_ns = UINT64_MAX;
	char *buf = malloc(CHUNK_BYTES);

	signals_block();
	while (buf) {
		bool more = false;

		wait_for_some(capture);
		pthread_mutex_lock(&capture->lock);
		for (size_t i = 0; i < capture->count; i++)
			if (capture->streams[i].fd >= 0)
				more |= stream_drain(capture,
						     &capture->streams[i], buf);
		if (capture->closing && until_ns == UINT64_MAX)
			until_ns = clock_now_ns() + CLOSE_WITHIN_NS;
		if (capture->closing && !more &&
		    (all_ended(capture) || clock_now_ns() > until_ns)) {
			pthread_mutex_unlock(&capture->lock);
			break;
		}
		pthread_mutex_unlock(&capture->lock);
	}
	free(buf);
	return NULL;
}

int capture_open(struct capture *ret_capture, size_t bytes_max)
{
	struct capture *capture = ret_capture;
	int error;

	memset(capture, 0, sizeof(*capture));
	capture->bytes_max = bytes_max;
	capture->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (capture->wake_fd < 0)
		return -errno;
	pthread_mutex_init(&capture->lock, NULL);
	error = pthread_create(&capture->thread, NULL, capture_main, capture);
	if (error) {
		close(capture->wake_fd);
		return -error;
	}
	capture->open = true;
	return 0;
}

static void wake(struct capture *capture)
{
	uint64_t one = 1;

	if (write(capture->wake_fd, &one, sizeof(one)) < 0)
		return; /* it is awake anyway every 100 ms */
}

static int stream_open(const char *path, struct text *text, int flags,
		       struct capture_stream *stream, int *ret_write_fd)
{
	int fds[2];

	if (text && !text->path) {
		text->path = strdup(path);
		text->bytes = calloc(1, 1);
		if (!text->path || !text->bytes)
			return -ENOMEM;
	}
	if (pipe2(fds, O_CLOEXEC | flags) != 0)
		return -errno;
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	fcntl(fds[0], F_SETPIPE_SZ, PIPE_BYTES); /* if we may; else 64 KiB */
	stream->fd = fds[0];
	stream->text = text;
	stream->kept = text ? text->count : 0;
	stream->file_fd =
		path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
			    0644)
		     : -1;
	stream->file_failed = stream->file_fd < 0;
	*ret_write_fd = fds[1];
	return 0;
}

static int add(struct capture *capture, const char *path, struct text *text,
	       bool ledger, int *ret_write_fd)
{
	int error = -E2BIG;

	pthread_mutex_lock(&capture->lock);
	if (capture->count < CAPTURE_STREAMS_MAX) {
		struct capture_stream *stream =
			&capture->streams[capture->count];

		stream->source = ledger ? (unsigned)capture->count + 1 : 0;
		error = stream_open(path, text, ledger ? O_DIRECT : 0, stream,
				    ret_write_fd);
		capture->count += !error;
	}
	pthread_mutex_unlock(&capture->lock);
	wake(capture);
	return error;
}

int capture_add(struct capture *capture, const char *path, struct text *text,
		int *ret_write_fd)
{
	return add(capture, path, text, false, ret_write_fd);
}

int capture_add_ledger(struct capture *capture, const char *path,
		       struct text *text, int *ret_write_fd)
{
	return add(capture, path, text, true, ret_write_fd);
}

void capture_close(struct capture *capture)
{
	if (!capture->open)
		return;
	pthread_mutex_lock(&capture->lock);
	capture->closing = true;
	for (size_t i = 0; i < capture->count; i++)
		if (capture->streams[i].held_fd)
			close(capture->streams[i].held_fd);
	pthread_mutex_unlock(&capture->lock);
	wake(capture);
	pthread_join(capture->thread, NULL);
	for (size_t i = 0; i < capture->count; i++) {
		if (capture->streams[i].fd >= 0)
			stream_end(&capture->streams[i]);
		if (capture->streams[i].file_fd >= 0)
			close(capture->streams[i].file_fd);
	}
	close(capture->wake_fd);
	pthread_mutex_destroy(&capture->lock);
	capture->open = false;
}
