/* log.c - records go out through a buffer. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runner/powercut/recorder.h"

#define SINK_FLUSH (1 << 20)

static void sink_write(struct sink *sink, const void *from, size_t n)
{
	const uint8_t *at = from;

	while (n && !sink->error) {
		ssize_t done = write(sink->fd, at, n);

		if (done < 0 && errno != EINTR)
			sink->error = -errno;
		if (done > 0) {
			at += done;
			n -= (size_t)done;
		}
	}
}

void sink_flush(struct sink *sink)
{
	sink_write(sink, sink->bytes, sink->count);
	sink->count = 0;
}

static void sink_add(struct sink *sink, const void *from, size_t n)
{
	if (!sink->bytes)
		sink->bytes = malloc(sink->room = 2 * SINK_FLUSH);
	if (!sink->bytes) {
		sink->error = -ENOMEM;
		return;
	}
	if (sink->count + n > sink->room)
		sink_flush(sink);
	if (n > sink->room) {
		sink_write(sink, from, n);
		return;
	}
	if (n)
		memcpy(sink->bytes + sink->count, from, n);
	sink->count += n;
}

void sink_put(struct sink *sink, const struct oplog_record *record,
	      const char *name, const char *name2, const void *data)
{
	static const char zeroes[8];
	size_t bytes = sizeof(*record) + record->name_bytes +
		       record->name2_bytes + record->data_bytes;

	sink_add(sink, record, sizeof(*record));
	sink_add(sink, name, record->name_bytes);
	sink_add(sink, name2, record->name2_bytes);
	sink_add(sink, data, record->data_bytes);
	sink_add(sink, zeroes, oplog_bytes(record) - bytes);
}

void recorder_unsound(struct recorder *recorder, const char *why)
{
	struct oplog_record record = { .kind = OPLOG_UNSOUND,
				       .name_bytes = (uint32_t)strlen(why) };

	if (!recorder->unsound)
		sink_put(&recorder->sink, &record, why, NULL, NULL);
	recorder->unsound = true;
}
