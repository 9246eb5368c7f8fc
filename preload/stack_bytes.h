/* stack_bytes.h - a reader of bytes that can't leave them.
 * Little-endian; pure, signal-safe. */
#ifndef MISHAP_PRELOAD_STACK_BYTES_H
#define MISHAP_PRELOAD_STACK_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* bad is set by the first read past end, which and all later give zeroes. */
struct cursor {
	const uint8_t *at, *end;
	bool bad;
};

static inline uint64_t take(struct cursor *c, unsigned bytes)
{
	uint64_t value = 0;

	if (c->bad || (uint64_t)(c->end - c->at) < bytes) {
		c->bad = true;
		return 0;
	}
	for (unsigned i = 0; i < bytes; i++)
		value |= (uint64_t)c->at[i] << (8 * i);
	c->at += bytes;
	return value;
}

static inline void skip(struct cursor *c, uint64_t bytes)
{
	if (c->bad || (uint64_t)(c->end - c->at) < bytes)
		c->bad = true;
	else
		c->at += bytes;
}

static inline uint64_t take_uleb(struct cursor *c)
{
	uint64_t value = 0;
	unsigned shift = 0;
	uint8_t byte;

	do {
		byte = (uint8_t)take(c, 1);
		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80 && !c->bad);
	return value;
}

static inline int64_t take_sleb(struct cursor *c)
{
	uint64_t value = 0;
	unsigned shift = 0;
	uint8_t byte;

	do {
		byte = (uint8_t)take(c, 1);
		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80 && !c->bad);
	if (shift < 64 && byte & 0x40)
		value |= ~0ull << shift;
	return (int64_t)value;
}

#endif
