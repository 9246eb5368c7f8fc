/* peer.c - the `peer=` selector, read and printed. */
#include "scenarios/fault_line.h"

#include <arpa/inet.h>
#include <string.h>

#include "scenarios/value.h"

/* ADDRESS or ADDRESS/BITS, either family; false if it is neither. */
static bool read_address(const char *text, size_t n, struct plan_peer *peer)
{
	char address[INET6_ADDRSTRLEN];
	const char *slash = memchr(text, '/', n);
	size_t length = slash ? (size_t)(slash - text) : n;
	uint64_t bits = 0;
	unsigned most;

	if (length >= sizeof(address))
		return false;
	memcpy(address, text, length);
	address[length] = '\0';
	if (inet_pton(AF_INET, address, peer->addr) == 1)
		peer->family = AF_INET;
	else if (inet_pton(AF_INET6, address, peer->addr) == 1)
		peer->family = AF_INET6;
	else
		return false;
	most = peer->family == AF_INET ? 32 : 128;
	if (slash && !read_count(slash + 1, n - length - 1, most, &bits))
		return false;
	peer->prefix_bits = slash ? (uint32_t)bits : most;
	for (unsigned i = peer->prefix_bits; i < most; i++) /* canonical */
		peer->addr[i / 8] &= (uint8_t) ~(0x80u >> i % 8);
	return true;
}

static bool is_name(const char *text, size_t n)
{
	bool letter = false;

	for (size_t i = 0; i < n; i++) {
		char c = text[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		    c == '_' || c == '*')
			letter = true;
		else if (!(c >= '0' && c <= '9') && c != '.' && c != '-' &&
			 c != '?')
			return false;
	}
	return letter && n <= 253;
}

/* The part before the port: nothing or `*`, [address], address, name. */
static const char *read_host(struct arena *arena, const char *text, size_t n,
			     struct plan_peer *peer, char **ret_host)
{
	if (!n || text_is(text, n, "*"))
		return NULL;
	if (text[0] == '[') {
		if (text[n - 1] != ']' || !read_address(text + 1, n - 2, peer))
			return "no address stands between [ and ]";
		return NULL;
	}
	if (read_address(text, n, peer))
		return NULL;
	if (text_is(text, n, "localhost"))
		return "localhost may be 127.0.0.1 or ::1: say which, or use "
		       "host=localhost";
	if (!is_name(text, n))
		return "it is neither an address, a network nor a name";
	*ret_host = arena_copy(arena, text, n);
	return NULL;
}

const char *peer_read(struct arena *arena, const char *text, size_t n,
		      struct plan_peer *ret_peer, char **ret_host,
		      char **ret_path)
{
	struct plan_peer peer = { 0 };
	const char *colon = memrchr(text, ':', n);
	const char *why;
	char *host = NULL;
	size_t head = n;
	uint64_t port;

	if (n >= 5 && !memcmp(text, "unix:", 5)) {
		if (n == 5)
			return "unix: wants a path, or unix:** for any";
		*ret_peer = (struct plan_peer){ .family = AF_UNIX };
		*ret_path = arena_copy(arena, text + 5, n - 5);
		return NULL;
	}
	/* ::1 and 2001:db8::/32 have colons, and no port */
	if (colon && !read_address(text, n, &peer) && text[n - 1] != ']') {
		head = (size_t)(colon - text);
		if (!read_count(colon + 1, n - head - 1, 65535, &port) || !port)
			return "a port is a number from 1 to 65535";
		peer.port = (uint16_t)port;
		if (memchr(text, ':', head) && text[0] != '[')
			return "an IPv6 address with a port stands in "
			       "brackets: [::1]:80";
	}
	why = read_host(arena, text, head, &peer, &host);
	if (why)
		return why;
	*ret_peer = peer;
	*ret_host = host;
	return NULL;
}

char *fault_peer_print(struct arena *arena, const struct plan_peer *peer,
		       const char *path)
{
	char text[INET6_ADDRSTRLEN] = "*";
	struct builder out = { .arena = arena };
	bool v6 = peer->family == AF_INET6;
	unsigned most = v6 ? 128 : 32;

	if (peer->family == AF_UNIX)
		return arena_print(arena, "unix:%s", path);
	if (peer->family)
		inet_ntop(peer->family, peer->addr, text, sizeof(text));
	builder_print(&out, "%s%s", v6 && peer->port ? "[" : "", text);
	if (peer->family && peer->prefix_bits != most)
		builder_print(&out, "/%u", peer->prefix_bits);
	if (v6 && peer->port)
		builder_print(&out, "]");
	if (peer->port)
		builder_print(&out, ":%u", peer->port);
	return out.bytes;
}
