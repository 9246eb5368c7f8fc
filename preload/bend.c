/* bend.c - transfers that are cut short, and bytes that are flipped.
 *
 * A cut is made before the call, to the byte, across vectors and messages, in
 * copies: the target's own vectors and buffers are never written to, save for
 * the bytes that the call itself brings.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "preload/around.h"
#include "preload/model.h"

/* Longer corrupted writes are cut to this, which write(2) allows. */
#define CORRUPT_BYTES_MAX (16u << 20)
#define CORRUPT_BITS_MAX  64 /* ARG_BITS, core/fault.h */

static bool fd_is_stream(int fd)
{
	int type = 0;
	unsigned bytes = sizeof(type);

	return sys6(SYS_getsockopt, fd, SOL_SOCKET, SO_TYPE, (long)&type,
		    (long)&bytes, 0) == 0 &&
	       type == SOCK_STREAM;
}

/* Bytes may be cut off where the object is a stream of them: not from a
 * datagram, an event counter, or a transfer that must keep to blocks. */
bool bend_can_cut(struct flight *flight, size_t len_max)
{
	const struct call *call = &flight->call;
	struct stat st;
	long flags;

	if (call->len <= len_max || len_max == 0)
		return false;
	if (call->iovcnt > IOV_COUNT_MAX)
		return false; /* the kernel refuses it */
	flags = sys3(SYS_fcntl, call->fd, F_GETFL, 0);
	if (flags < 0 || flags & O_DIRECT ||
	    sys3(SYS_fstat, call->fd, (long)&st, 0) < 0)
		return false;
	switch (st.st_mode & S_IFMT) {
	case S_IFREG:
	case S_IFIFO:
	case S_IFCHR:
	case S_IFBLK:
		return true;
	case S_IFSOCK:
		return fd_is_stream(call->fd);
	}
	return false;
}

/* A copy that lives in one scratch buffer, or in a mapping of its own. */
struct copy {
	char *bytes;
	size_t mapped; /* 0: a scratch buffer */
};

static bool copy_open(size_t n, struct copy *ret_copy)
{
	char *bytes = n <= GUEST_PATH_MAX ? scratch_claim() : NULL;
	long map;

	if (bytes) {
		*ret_copy = (struct copy){ .bytes = bytes };
		return true;
	}
	map = sys6(SYS_mmap, 0, (long)n, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map < 0 && map > -4096)
		return false;
	*ret_copy = (struct copy){ .bytes = (char *)map, .mapped = n };
	return true;
}

static void copy_close(struct copy *copy)
{
	if (copy->mapped)
		sys3(SYS_munmap, (long)copy->bytes, (long)copy->mapped, 0);
	else if (copy->bytes)
		scratch_release(copy->bytes);
}

/* What a bent call is made with. */
struct bend {
	struct copy vector, bytes;
	struct iovec *iov; /* as passed to the kernel; NULL: buf */
	unsigned iovcnt;
	void *buf;
	size_t len;
	struct msghdr msg;
	uint64_t bits[CORRUPT_BITS_MAX]; /* flipped; on the way out only */
	unsigned bits_count;
};

/* Copy the vector, up to the entry in which the cut lies. */
static bool vector_cut(const struct call *call, struct bend *bend)
{
	size_t want = call->iovcnt * sizeof(struct iovec), left = bend->len;

	if (!copy_open(want, &bend->vector) ||
	    scratch_copy(bend->vector.bytes, call->iov, want) != want)
		return false;
	bend->iov = (struct iovec *)bend->vector.bytes;
	for (bend->iovcnt = 0; bend->iovcnt < call->iovcnt && left;
	     bend->iovcnt++) {
		struct iovec *entry = &bend->iov[bend->iovcnt];

		if (entry->iov_len > left)
			entry->iov_len = left;
		left -= entry->iov_len;
	}
	return true;
}

/* The byte of a transfer that stands at an offset. */
static uint8_t *byte_at(const struct bend *bend, size_t at)
{
	uint8_t *bytes = bend->buf;

	for (unsigned e = 0; bend->iov && e < bend->iovcnt; e++) {
		bytes = bend->iov[e].iov_base;
		if (at < bend->iov[e].iov_len)
			break;
		at -= bend->iov[e].iov_len;
	}
	return bytes + at;
}

/* The bits to flip in so many bytes: distinct, and the same for the same seed
 * and length; all of them where there are fewer than were asked for. */
static unsigned bits_choose(const struct call *call, size_t bytes,
			    uint64_t bits[CORRUPT_BITS_MAX])
{
	struct rng rng = { .key = call->corrupt_seed };
	unsigned want = call->corrupt_bits, n = 0;

	if (bytes * 8 < want)
		want = (unsigned)bytes * 8;
	while (n < want) {
		uint64_t bit = rng_below(&rng, bytes * 8);
		unsigned i = 0;

		while (i < n && bits[i] != bit)
			i++;
		if (i == n)
			bits[n++] = bit;
	}
	return n;
}

static void flip_bits(const struct bend *bend, const uint64_t *bits, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		*byte_at(bend, bits[i] / 8) ^= (uint8_t)(1u << (bits[i] % 8));
}

/* How many of them lie in the part that was moved. */
static unsigned bits_within(const uint64_t *bits, unsigned n, size_t moved)
{
	unsigned within = 0;

	for (unsigned i = 0; i < n; i++)
		within += bits[i] / 8 < moved;
	return within;
}

/* Bring the bytes that are to be sent into a copy, and flip there. */
static bool outgoing_corrupt(const struct call *call, struct bend *bend)
{
	size_t have = 0;

	if (!copy_open(bend->len, &bend->bytes))
		return false;
	if (!bend->iov)
		have = scratch_copy(bend->bytes.bytes, bend->buf, bend->len);
	for (unsigned e = 0; bend->iov && e < bend->iovcnt; e++)
		have += scratch_copy(bend->bytes.bytes + have,
				     bend->iov[e].iov_base,
				     bend->iov[e].iov_len);
	if (have != bend->len)
		return false; /* EFAULT is the kernel's to say */
	bend->buf = bend->bytes.bytes;
	if (bend->iov) {
		bend->iov[0] = (struct iovec){ bend->buf, bend->len };
		bend->iovcnt = 1;
	}
	bend->bits_count = bits_choose(call, bend->len, bend->bits);
	flip_bits(bend, bend->bits, bend->bits_count);
	return true;
}

static bool bend_open(const struct call *call, unsigned flags,
		      struct bend *bend)
{
	bend->buf = call->buf;
	bend->len = call->len;
	if (call->len_max && call->len_max < bend->len)
		bend->len = call->len_max;
	if (call->corrupt_bits && flags & CALL_MOVES_OUT &&
	    bend->len > CORRUPT_BYTES_MAX)
		bend->len = CORRUPT_BYTES_MAX;
	if (call->iov && !vector_cut(call, bend))
		return false;
	if (call->corrupt_bits && flags & CALL_MOVES_OUT && bend->len)
		return outgoing_corrupt(call, bend);
	return true;
}

/* Make the call with the bent arguments in its registers, which are put back
 * afterwards: the kernel would have kept them. */
static long call_bent(struct flight *flight, struct bend *bend)
{
	const struct view *view = &flight->row->view;
	struct msghdr *msg = flight->call.msg;
	uint64_t was[7];
	long ret;

	for (unsigned n = 1; n <= 6; n++)
		was[n] = flight_arg(flight, n);
	if (view->buf)
		*flight_reg(flight, view->buf) = (uint64_t)bend->buf;
	if (view->len)
		*flight_reg(flight, view->len) = bend->len;
	if (view->iov) {
		*flight_reg(flight, view->iov) = (uint64_t)bend->iov;
		*flight_reg(flight, view->iovcnt) = bend->iovcnt;
	}
	if (view->msg) {
		bend->msg = *msg;
		bend->msg.msg_iov = bend->iov;
		bend->msg.msg_iovlen = bend->iovcnt;
		*flight_reg(flight, view->msg) = (uint64_t)&bend->msg;
	}
	ret = around_call(flight->regs);
	for (unsigned n = 1; n <= 6; n++)
		*flight_reg(flight, n) = was[n];
	if (view->msg && ret >= 0 &&
	    call_table[flight->call.id].flags & CALL_MOVES_IN) {
		msg->msg_namelen = bend->msg.msg_namelen;
		msg->msg_controllen = bend->msg.msg_controllen;
		msg->msg_flags = bend->msg.msg_flags;
	}
	return ret;
}

static void rot_flip(void *bend, size_t byte, unsigned bit)
{
	*byte_at(bend, byte) ^= (uint8_t)(1u << bit);
}

static void rot_settle(struct flight *flight, struct bend *bend, size_t moved)
{
	unsigned n = moved ? rot_bits(flight, moved, NULL, NULL) : 0;

	if (n && rules_settle(flight, PENDING_BYTES, n, false))
		rot_bits(flight, moved, rot_flip, bend);
}

/* What came, or went, is bent: not before the books have it, coming in; as far
 * as it got, going out. */
static void bend_settle(struct flight *flight, struct bend *bend, long ret)
{
	const struct call *call = &flight->call;
	/* recv(2), MSG_TRUNC: more than there is room for */
	size_t moved = ret > 0 ? (size_t)ret : 0;
	unsigned n;

	if (moved > bend->len)
		moved = bend->len;
	if (call->rot_ppm) {
		rot_settle(flight, bend, moved);
		return;
	}
	if (call_table[call->id].flags & CALL_MOVES_IN) {
		n = moved ? bits_choose(call, moved, bend->bits) : 0;
		if (n && rules_settle(flight, PENDING_BYTES, n, false))
			flip_bits(bend, bend->bits, n);
		return;
	}
	n = bits_within(bend->bits, bend->bits_count, moved);
	if (n)
		rules_settle(flight, PENDING_BYTES, n, true);
}

/* In doubt the call is made as it was asked for. */
long bend_call(struct flight *flight, bool needs_after)
{
	const struct call *call = &flight->call;
	unsigned flags = call_table[call->id].flags;
	struct bend bend = { .len = 0 };
	bool is_vector = call->iov || call->msg;
	long ret;

	if (!call->corrupt_bits && !call->rot_ppm && !is_vector &&
	    !needs_after) {
		*flight_reg(flight, flight->row->view.len) = call->len_max;
		return BEND_PROCEED;
	}
	if (is_vector && (call->iovcnt == 0 || call->iovcnt > IOV_COUNT_MAX))
		ret = around_call(flight->regs);
	else if (bend_open(call, flags, &bend))
		ret = call_bent(flight, &bend);
	else
		ret = around_call(flight->regs);
	if (call->corrupt_bits || call->rot_ppm)
		bend_settle(flight, &bend, ret);
	copy_close(&bend.bytes);
	copy_close(&bend.vector);
	return ret;
}
