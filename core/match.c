/* match.c - globs and peers.  Pure, iterative, no memory but the stack. */
#include "core/plan.h"

#include <netinet/in.h>
#include <sys/un.h>

/* class_end - the `]` that closes the class at glob[0] == '[', or NULL. */
static const char *class_end(const char *glob)
{
	const char *p = glob + 1;

	if (*p == '!' || *p == '^')
		p++;
	if (*p == ']') /* the first one stands for itself */
		p++;
	while (*p && *p != ']')
		p++;
	return *p ? p : NULL;
}

static bool class_has(const char *glob, const char *end, char c)
{
	const unsigned char want = (unsigned char)c;
	const char *p = glob + 1;
	bool is_negated = *p == '!' || *p == '^', has = false;

	if (is_negated)
		p++;
	while (p < end) {
		unsigned char low = (unsigned char)*p, high = low;

		if (p[1] == '-' && p + 2 < end) {
			high = (unsigned char)p[2];
			p += 2;
		}
		p++;
		if (want >= low && want <= high)
			has = true;
	}
	return has != is_negated;
}

/* match_one - does the glob's next element take c?  NULL: no; else the glob
 * after it.  A `[` that nothing closes stands for itself. */
static const char *match_one(const char *glob, char c)
{
	const char *end;

	switch (*glob) {
	case '\0':
		return NULL;
	case '?':
		return c != '/' ? glob + 1 : NULL;
	case '[':
		end = class_end(glob);
		if (!end)
			break;
		return c != '/' && class_has(glob, end, c) ? end + 1 : NULL;
	}
	return *glob == c ? glob + 1 : NULL;
}

/* Where to go on when a try fails: only the latest `*` since the latest `**`
 * need be tried again, because each had the earliest match already. */
struct retry {
	const char *glob;  /* after the star; NULL: none yet */
	const char *text;  /* where the star's next try begins */
	bool by_component; /* `**` and a slash: tries begin after a slash */
};

/* Let a star take more of the text; false when it can't. */
static bool retry_component(struct retry *star)
{
	if (!star->glob || *star->text == '\0' || *star->text == '/')
		return false;
	star->text++;
	return true;
}

static bool retry_across(struct retry *star)
{
	if (!star->glob || *star->text == '\0')
		return false;
	if (star->by_component)
		while (*star->text && *star->text != '/')
			star->text++;
	if (*star->text == '\0')
		return false;
	star->text++;
	return true;
}

bool glob_match(const char *glob, const char *text)
{
	struct retry one = { .glob = NULL }, any = { .glob = NULL };
	const char *start = glob;

	for (;;) {
		const char *next;

		if (glob[0] == '*' && glob[1] == '*') {
			bool is_whole = glob == start || glob[-1] == '/';

			while (*glob == '*')
				glob++;
			any = (struct retry){ .text = text };
			any.by_component = is_whole && *glob == '/';
			any.glob = any.by_component ? ++glob : glob;
			one.glob = NULL;
			continue;
		}
		if (*glob == '*') {
			one = (struct retry){ .glob = ++glob, .text = text };
			continue;
		}
		if (*glob == '\0' && *text == '\0')
			return true;
		next = *text ? match_one(glob, *text) : NULL;
		if (next) {
			glob = next;
			text++;
		} else if (retry_component(&one)) {
			glob = one.glob;
			text = one.text;
		} else if (one.glob && *one.text == '\0') {
			return false; /* a later start has less text */
		} else if (retry_across(&any)) {
			one.glob = NULL;
			glob = any.glob;
			text = any.text;
		} else {
			return false;
		}
	}
}

/* A peer in one shape: IPv4 as ::ffff:a.b.c.d. */
struct peer {
	uint8_t addr[16];
	uint16_t port;
	bool is_v4;
};

static bool is_mapped(const uint8_t addr[16])
{
	for (int i = 0; i < 10; i++)
		if (addr[i])
			return false;
	return addr[10] == 0xff && addr[11] == 0xff;
}

static void map_v4(uint8_t addr[16], const uint8_t *v4)
{
	for (int i = 0; i < 10; i++)
		addr[i] = 0;
	addr[10] = addr[11] = 0xff;
	for (int i = 0; i < 4; i++)
		addr[12 + i] = v4[i];
}

static bool peer_read(const struct sockaddr *addr, unsigned addrlen,
		      struct peer *ret_peer)
{
	if (addr->sa_family == AF_INET &&
	    addrlen >= sizeof(struct sockaddr_in)) {
		const struct sockaddr_in *in = (const void *)addr;

		map_v4(ret_peer->addr, (const uint8_t *)&in->sin_addr);
		ret_peer->port = __builtin_bswap16(in->sin_port);
		ret_peer->is_v4 = true;
		return true;
	}
	/* Without the scope id, as before RFC 2553: 24 bytes. */
	if (addr->sa_family == AF_INET6 &&
	    addrlen >= offsetof(struct sockaddr_in6, sin6_scope_id)) {
		const struct sockaddr_in6 *in6 = (const void *)addr;

		for (int i = 0; i < 16; i++)
			ret_peer->addr[i] = in6->sin6_addr.s6_addr[i];
		ret_peer->port = __builtin_bswap16(in6->sin6_port);
		ret_peer->is_v4 = is_mapped(ret_peer->addr);
		return true;
	}
	return false;
}

static bool has_prefix(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	for (; bits >= 8; bits -= 8)
		if (*a++ != *b++)
			return false;
	return bits == 0 || (*a ^ *b) >> (8 - bits) == 0;
}

static bool match_ip(const struct plan_peer *want, const struct peer *peer)
{
	uint8_t addr[16];
	unsigned bits = want->prefix_bits;
	bool is_v4 = want->family == AF_INET;

	if (want->port && want->port != peer->port)
		return false;
	if (want->family == 0)
		return true;
	if (is_v4) {
		map_v4(addr, want->addr);
		bits += 96;
	} else {
		for (int i = 0; i < 16; i++)
			addr[i] = want->addr[i];
		is_v4 = bits >= 96 && is_mapped(addr);
	}
	/* ::/0 is every IPv6 peer, not every peer */
	return is_v4 == peer->is_v4 && has_prefix(addr, peer->addr, bits);
}

/* A path as in ss(8): an abstract name starts with @, its NULs are @ too. */
static bool match_unix(const struct plan *plan, const struct plan_peer *want,
		       const struct sockaddr *addr, unsigned addrlen)
{
	const struct sockaddr_un *un = (const void *)addr;
	const unsigned start = offsetof(struct sockaddr_un, sun_path);
	char name[sizeof(un->sun_path) + 1];
	unsigned n = 0, length = addrlen > start ? addrlen - start : 0;
	bool is_abstract;

	if (!want->path_off)
		return true;
	if (length > sizeof(un->sun_path))
		length = sizeof(un->sun_path);
	is_abstract = length && un->sun_path[0] == '\0';
	for (; n < length; n++) {
		name[n] = un->sun_path[n];
		if (name[n] == '\0' && !is_abstract)
			break;
		if (name[n] == '\0')
			name[n] = '@';
	}
	name[n] = '\0';
	return glob_match(plan->base + want->path_off, name);
}

bool peer_match(const struct plan *plan, const struct plan_peer *want,
		const struct sockaddr *addr, unsigned addrlen)
{
	struct peer peer;

	if (!addr || addrlen < sizeof(addr->sa_family))
		return false;
	if (addr->sa_family == AF_UNIX) {
		if (want->family == AF_UNIX)
			return match_unix(plan, want, addr, addrlen);
		return want->family == 0 && want->port == 0;
	}
	if (want->family == AF_UNIX)
		return false;
	if (peer_read(addr, addrlen, &peer))
		return match_ip(want, &peer);
	return want->family == 0 && want->port == 0;
}
