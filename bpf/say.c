#include "bpf/say.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char buffer[65536];
static size_t used;
static int failed;

__u64 say_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (__u64)ts.tv_sec * 1000000000u + (__u64)ts.tv_nsec;
}

int say_flush(void)
{
	size_t at = 0;

	while (!failed && at < used) {
		ssize_t n = write(STDOUT_FILENO, buffer + at, used - at);

		if (n >= 0)
			at += (size_t)n;
		else if (errno != EINTR)
			failed = -errno;
	}
	used = 0;
	return failed;
}

static void put(const void *bytes, size_t count)
{
	if (count > sizeof(buffer) - used)
		say_flush();
	memcpy(buffer + used, bytes, count);
	used += count;
}

void say(__u16 type, __u64 seq, __u32 tgid, __u32 tid, __u16 phase,
	 const void *body, size_t bytes)
{
	struct watch_record record = {
		.time_ns = say_now_ns(),
		.size = (__u32)(sizeof(record) + bytes),
		.type = type,
		.phase = phase,
		.tgid = tgid,
		.tid = tid,
		.seq = seq,
	};

	put(&record, sizeof(record));
	put(body, bytes);
}

void say_event(const struct watch_record *record)
{
	put(record, record->size);
}
