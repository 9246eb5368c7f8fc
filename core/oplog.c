/* oplog.c - read records in place; every length is checked. */
#include "core/oplog.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define DATA_MAX ((uint64_t)1 << 40)

size_t oplog_bytes(const struct oplog_record *record)
{
	size_t bytes = sizeof(*record) + record->name_bytes +
		       record->name2_bytes + record->data_bytes;

	return (bytes + 7) & ~(size_t)7;
}

/* The preload library holds this too, and imports nothing of libc for it. */
static bool ends_at(const char *text, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (!text[i])
			return false;
	return !text[bytes];
}

int oplog_check(const void *log, size_t bytes)
{
	const struct oplog_header *header = log;

	if (bytes < sizeof(*header) || header->magic != OPLOG_MAGIC ||
	    header->version != OPLOG_VERSION ||
	    header->root_bytes >= OPLOG_ROOT_MAX ||
	    !ends_at(header->root, header->root_bytes))
		return -EPROTO;
	return 0;
}

int oplog_next(const void *log, size_t bytes, size_t *at,
	       struct oplog_view *ret_view)
{
	const struct oplog_record *record;
	size_t left;

	if (*at == 0)
		*at = sizeof(struct oplog_header);
	if (*at == bytes)
		return 0;
	if (*at > bytes || bytes - *at < sizeof(*record))
		return -EBADMSG;
	record = (const void *)((const char *)log + *at);
	left = bytes - *at;
	if (record->kind >= OPLOG_KINDS ||
	    record->name_bytes > OPLOG_NAME_MAX ||
	    record->name2_bytes > OPLOG_NAME_MAX ||
	    record->data_bytes > DATA_MAX || oplog_bytes(record) > left)
		return -EBADMSG;
	ret_view->record = record;
	ret_view->name = (const char *)(record + 1);
	ret_view->name2 = ret_view->name + record->name_bytes;
	ret_view->data = (const uint8_t *)ret_view->name2 + record->name2_bytes;
	*at += oplog_bytes(record);
	return 1;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
	__uint128_t product = (__uint128_t)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

struct oplog_hash oplog_hash(const void *bytes, size_t n)
{
	struct oplog_hash hash = { 0x9e3779b97f4a7c15ull ^ n,
				   0xc2b2ae3d27d4eb4full + n };
	const uint8_t *at = bytes;
	uint64_t word[2];

	for (; n >= 16; n -= 16, at += 16) {
		memcpy(word, at, 16);
		hash.a = mix(hash.a ^ word[0], 0xa0761d6478bd642full ^ word[1]);
		hash.b =
			mix(hash.b ^ word[1], 0xe7037ed1a0b428dbull ^ word[0]) +
			hash.a;
	}
	if (n) {
		memset(word, 0, sizeof(word));
		memcpy(word, at, n);
		hash.a = mix(hash.a ^ word[0], 0xa0761d6478bd642full ^ word[1]);
		hash.b =
			mix(hash.b ^ word[1], 0xe7037ed1a0b428dbull ^ word[0]) +
			hash.a;
	}
	hash.a = mix(hash.a ^ 0x589965cc75374cc3ull, 0x1d8e4e27c47d124full);
	hash.b = mix(hash.b ^ 0xeb44accab455d165ull, hash.a | 1);
	return hash;
}
