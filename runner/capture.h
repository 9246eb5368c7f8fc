/* capture.h - what programs say, kept without ever holding them up.
 *
 * One thread reads all pipes.  Of each stream the first bytes_max are written
 * to its file; the rest is read, counted and dropped. */
#ifndef MISHAP_RUNNER_CAPTURE_H
#define MISHAP_RUNNER_CAPTURE_H

#include <pthread.h>
#include <stdbool.h>

#include "runner/run.h"

#define CAPTURE_STREAMS_MAX 512

struct capture_stream {
	int fd, file_fd;   /* pipe's read end, -1 at its end; -1: no file */
	struct text *text; /* owned by the evidence; NULL: the file alone */
	uint64_t kept, dropped;
	bool file_failed;
	/* Of one that may say lines of a ledger: */
	unsigned source; /* its channel's number there; 0: it doesn't */
	int held_fd;	 /* a FIFO's other end, until we close; else 0 */
	size_t open_bytes;
	char open_line[512]; /* what has no end yet */
};

struct capture {
	pthread_mutex_t lock;
	pthread_t thread;
	bool open, closing;
	int wake_fd;
	size_t bytes_max;
	struct text *ledger; /* owned by the evidence; NULL: none is kept */
	struct capture_stream streams[CAPTURE_STREAMS_MAX];
	size_t count;
};

int capture_open(struct capture *ret_capture, size_t bytes_max);
/* capture_add - a new stream into the file at path (appended to).  text gets
 * path and bytes, or is NULL.  *ret_write_fd is the pipe's end for a child;
 * the caller closes it once that child has started. */
int capture_add(struct capture *capture, const char *path, struct text *text,
		int *ret_write_fd);
/* capture_add_ledger - the same, and lines of a ledger that come by it are put
 * into capture->ledger, which is set before.  path may be NULL.  Each write is
 * read as one: packets, O_DIRECT in pipe(2). */
int capture_add_ledger(struct capture *capture, const char *path,
		       struct text *text, int *ret_write_fd);
/* capture_ledger_fifo - lines that come by a FIFO that is made at path. */
int capture_ledger_fifo(struct capture *capture, const char *path);
/* capture_close - read what is left, until all ends are closed or 1 s has
 * gone, and give up the rest. */
void capture_close(struct capture *capture);

/* capture_ledger.c and capture.c, for one another; the lock is held. */
void capture_ledger_take(struct capture *capture, struct capture_stream *stream,
			 const char *bytes, size_t n);
void capture_text_append(struct text *text, const char *bytes, size_t n);

#endif
