/* host.c - the addresses behind the names that the target asked for.
 *
 * getaddrinfo's answers are kept for the rules whose host= matches the name,
 * so that a later connection to one of them is known for what it is.  The
 * oldest of HOST_ADDRESSES_MAX is overwritten.
 */
#include <netdb.h>
#include <netinet/in.h>

#include "preload/guest.h"

#define HOST_ADDRESSES_MAX 256

/* rules is stored last and cleared first: 0 while the entry is written. */
static struct host_address {
	_Atomic uint64_t rules;
	_Atomic uint64_t high, low; /* IPv6, or IPv4 as ::ffff:a.b.c.d */
} addresses[HOST_ADDRESSES_MAX];
static _Atomic uint32_t addresses_made;

static bool address_read(const struct sockaddr *addr, unsigned addrlen,
			 uint64_t *ret_high, uint64_t *ret_low)
{
	if (addr->sa_family == AF_INET &&
	    addrlen >= sizeof(struct sockaddr_in)) {
		*ret_high = 0;
		*ret_low = ((const struct sockaddr_in *)addr)->sin_addr.s_addr;
		*ret_low = *ret_low << 32 | 0xffff0000u;
		return true;
	}
	if (addr->sa_family == AF_INET6 &&
	    addrlen >= offsetof(struct sockaddr_in6, sin6_scope_id)) {
		const void *bytes =
			&((const struct sockaddr_in6 *)addr)->sin6_addr;

		memcpy(ret_high, bytes, 8);
		memcpy(ret_low, (const char *)bytes + 8, 8);
		return true;
	}
	return false;
}

static uint64_t rules_for_name(const char *node)
{
	uint64_t rules = 0;

	for (unsigned r = 0; r < guest_plan.header->rules_count; r++) {
		const struct plan_rule *rule = &guest_plan.rules[r];

		if (rule->selectors & SELECT_HOST &&
		    glob_match(guest_plan.base + rule->host_off, node))
			rules |= 1ull << r;
	}
	return rules;
}

static void address_keep(uint64_t rules, uint64_t high, uint64_t low)
{
	struct host_address *free_one;

	for (unsigned i = 0; i < HOST_ADDRESSES_MAX; i++) {
		struct host_address *one = &addresses[i];

		if (PEEK(one->rules) && PEEK(one->high) == high &&
		    PEEK(one->low) == low) {
			atomic_fetch_or(&one->rules, rules);
			return;
		}
	}
	free_one = &addresses[BUMP(addresses_made) % HOST_ADDRESSES_MAX];
	atomic_store(&free_one->rules, 0);
	atomic_store(&free_one->high, high);
	atomic_store(&free_one->low, low);
	atomic_store(&free_one->rules, rules);
}

void host_note(const char *node, const struct addrinfo *list)
{
	uint64_t rules = rules_for_name(node), high, low;

	for (; rules && list; list = list->ai_next) {
		if (address_read(list->ai_addr, list->ai_addrlen, &high, &low))
			address_keep(rules, high, low);
	}
}

uint64_t host_rules(const struct sockaddr *addr, unsigned addrlen)
{
	uint64_t rules = 0, high, low;

	if (!PEEK(addresses_made) || !address_read(addr, addrlen, &high, &low))
		return 0;
	for (unsigned i = 0; i < HOST_ADDRESSES_MAX; i++) {
		uint64_t seen = atomic_load(&addresses[i].rules);

		if (seen && atomic_load(&addresses[i].high) == high &&
		    atomic_load(&addresses[i].low) == low)
			rules |= seen;
	}
	return rules;
}
