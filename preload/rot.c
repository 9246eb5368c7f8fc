/* rot.c - which bits of a file are bad: each 4 KiB block by a draw of its own,
 * keyed by seed, rule, the file's name and the block's number. */
#include <unistd.h>

#include "preload/model.h"

#define BLOCK_BYTES 4096

static uint64_t name_key(int fd)
{
	char path[PATH_SHORT_BYTES];
	long n = path_of_fd(fd, path, sizeof(path));
	uint64_t key = 0;

	if (n < 0)
		return 0; /* too long a path: by its blocks alone */
	for (long i = 0; i < n; i++)
		key = path[i] == '/' ? 0
				     : rng_join(key, (unsigned char)path[i]);
	return key;
}

/* Once the bytes have come a read has moved the descriptor's own offset on. */
static int64_t offset_before(const struct flight *flight, size_t moved)
{
	const struct view *view = &flight->row->view;
	int64_t at;

	if (view->offset && (int64_t)flight_arg(flight, view->offset) >= 0)
		return (int64_t)flight_arg(flight, view->offset);
	at = sys3(SYS_lseek, flight->call.fd, 0, SEEK_CUR);
	return at < (int64_t)moved ? -1 : at - (int64_t)moved;
}

unsigned rot_bits(const struct flight *flight, size_t moved,
		  void (*flip)(void *arg, size_t byte, unsigned bit), void *arg)
{
	const struct decision *decision = &flight->pending[PENDING_BYTES];
	int64_t at = offset_before(flight, moved);
	uint64_t key =
		rng_join(guest_plan.header->seed, name_key(flight->call.fd));
	unsigned bad = 0;

	if (at < 0)
		return 0; /* a pipe, a terminal: no block has a number */
	for (uint64_t block = (uint64_t)at / BLOCK_BYTES;
	     block * BLOCK_BYTES < (uint64_t)at + moved; block++) {
		struct rng rng = rng_open(key, decision->rule, block, 0);
		uint64_t bit, byte;

		if (rng_below(&rng, 1000000) >= flight->call.rot_ppm)
			continue;
		bit = rng_below(&rng, BLOCK_BYTES * 8);
		byte = block * BLOCK_BYTES + bit / 8;
		if (byte < (uint64_t)at || byte >= (uint64_t)at + moved)
			continue;
		bad++;
		if (flip)
			flip(arg, byte - (uint64_t)at, (unsigned)(bit % 8));
	}
	return bad;
}
