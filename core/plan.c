/* plan.c - sealing a plan, and checking one before a single offset of it is
 * trusted.  The same code runs in the runner and in the target. */
#include "core/plan.h"

#include <errno.h>

#define HASH_START 0x6d69736861702121ull

/* hash_bytes - go on hashing; unaligned, eight bytes a step. */
static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t n)
{
	typedef uint64_t __attribute__((may_alias, aligned(1))) word;
	const unsigned char *p = bytes;
	uint64_t tail = n;

	for (; n >= sizeof(word); p += sizeof(word), n -= sizeof(word)) {
		hash = (hash ^ *(const word *)p) * 0x9e3779b97f4a7c15ull;
		hash ^= hash >> 32;
	}
	for (; n > 0; n--)
		tail = (tail << 8) ^ *p++;
	return rng_join(hash, tail);
}

static uint64_t hash_string(uint64_t hash, const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return hash_bytes(hash, s, n);
}

uint64_t plan_checksum(const void *bytes, size_t n)
{
	return hash_bytes(HASH_START, bytes, n);
}

/* The header's own checksum field is left out, all else counts. */
static uint64_t checksum_of(const struct plan_header *header)
{
	const char *base = (const char *)header;
	size_t field = offsetof(struct plan_header, checksum);
	size_t after = field + sizeof(header->checksum);
	uint64_t hash = hash_bytes(HASH_START, base, field);

	return hash_bytes(hash, base + after, header->bytes - after);
}

uint64_t plan_abi(void)
{
	const uint64_t shapes[] = {
		sizeof(struct plan_header),
		sizeof(struct plan_rule),
		sizeof(struct plan_decision),
		offsetof(struct plan_header, strings_bytes),
		offsetof(struct plan_rule, arg),
		offsetof(struct plan_rule, p_ppm),
		offsetof(struct plan_rule, text_off),
		offsetof(struct plan_rule, peer),
		offsetof(struct plan_rule, column),
		CALL_COUNT,
		FAULT_COUNT,
	};
	uint64_t hash = hash_bytes(HASH_START, shapes, sizeof(shapes));

	for (unsigned i = 0; i < CALL_COUNT; i++) {
		hash = hash_string(hash, call_table[i].name);
		hash = rng_join(hash, call_table[i].flags);
	}
	for (unsigned i = 0; i < FAULT_COUNT; i++) {
		hash = hash_string(hash, fault_table[i]->name);
		hash = rng_join(hash, fault_table[i]->arg);
	}
	return hash;
}

void plan_seal(void *map, size_t bytes)
{
	struct plan_header *header = map;

	header->magic = PLAN_MAGIC;
	header->abi = plan_abi();
	header->bytes = (uint32_t)bytes;
	header->checksum = checksum_of(header);
}

/* Does an array lie inside the plan, behind the header, and aligned? */
static bool holds_array(const struct plan_header *h, uint32_t off,
			uint64_t count, size_t item_bytes, size_t align)
{
	if (count == 0)
		return true;
	return off >= sizeof(*h) && off % align == 0 && off <= h->bytes &&
	       count * item_bytes <= h->bytes - off;
}

/* Is off 0 (and that's allowed), or the start of a whole string? */
static bool holds_string(const struct plan_header *h, uint32_t off,
			 bool is_needed)
{
	const char *base = (const char *)h;
	uint32_t end = h->strings_off + h->strings_bytes;

	if (off == 0)
		return !is_needed;
	if (off < h->strings_off || off >= end)
		return false;
	for (uint32_t i = off; i < end && i - off < PLAN_STRING_MAX; i++)
		if (base[i] == '\0')
			return true;
	return false;
}

static bool is_arg_sound(enum arg_type type, const struct fault_arg *arg)
{
	int64_t error = (int64_t)arg->v[0];

	switch (type) {
	case ARG_NONE:
		return true;
	case ARG_ERROR: /* EAI_ codes are kept negative */
		return error >= -4095 && error <= 4095 && error != 0;
	case ARG_DELAY:
		if (arg->v[1] > FAULT_DELAY_MAX_NS ||
		    arg->v[2] > FAULT_DELAY_MAX_NS)
			return false;
		if (arg->v[0] == DELAY_JITTER)
			return arg->v[2] <= arg->v[1];
		if (arg->v[0] == DELAY_QUANTILES)
			return arg->v[1] <= arg->v[2];
		return arg->v[0] == DELAY_FIXED;
	case ARG_BYTES:
		return arg->v[0] >= 1;
	case ARG_SIGNAL:
		return arg->v[0] >= 1 && arg->v[0] <= 64;
	case ARG_STATUS:
		return arg->v[0] <= 255;
	case ARG_BITS:
		return arg->v[0] >= 1 && arg->v[0] <= 64;
	case ARG_LIMIT:
		return arg->v[0] <= INT64_MAX;
	case ARG_COUNT:
		return arg->v[0] >= 1 && arg->v[0] <= INT32_MAX;
	case ARG_SHARE:
		return arg->v[0] >= 1 && arg->v[0] <= 1000000;
	case ARG_SHIFT:
		return error >= -WARP_SHIFT_MAX_NS &&
		       error <= WARP_SHIFT_MAX_NS;
	case ARG_DRIFT:
		return error >= WARP_DRIFT_MIN_PPM &&
		       error <= WARP_DRIFT_MAX_PPM;
	}
	return false;
}

static bool is_peer_sound(const struct plan_header *h,
			  const struct plan_peer *peer)
{
	if (peer->pad != 0 || !holds_string(h, peer->path_off, false))
		return false;
	switch (peer->family) {
	case 0:
		return peer->prefix_bits == 0 && peer->path_off == 0;
	case AF_INET:
		return peer->prefix_bits <= 32 && peer->path_off == 0;
	case AF_INET6:
		return peer->prefix_bits <= 128 && peer->path_off == 0;
	case AF_UNIX:
		return peer->prefix_bits == 0 && peer->port == 0;
	}
	return false;
}

static bool are_triggers_sound(const struct plan_rule *rule)
{
	const uint32_t nth = TRIGGER_NTH | TRIGGER_NTH_RANDOM;

	if (rule->triggers & ~(uint32_t)TRIGGER_ALL || rule->p_ppm > 1000000 ||
	    (rule->triggers & nth) == nth)
		return false;
	if (rule->triggers & nth &&
	    (rule->nth_first == 0 || rule->nth_step == 0 ||
	     rule->nth_first > rule->nth_last))
		return false;
	if (rule->triggers & TRIGGER_NTH_RANDOM &&
	    rule->nth_last == NTH_FOREVER)
		return false;
	return !(rule->triggers & TRIGGER_TIMES) || rule->times > 0;
}

static bool are_selectors_sound(const struct plan_header *h,
				const struct plan_rule *rule)
{
	uint32_t selectors = rule->selectors;

	if (selectors & ~(uint32_t)SELECT_ALL)
		return false;
	if (!holds_string(h, rule->path_off, selectors & SELECT_PATH) ||
	    !holds_string(h, rule->host_off, selectors & SELECT_HOST) ||
	    !holds_string(h, rule->thread_off, selectors & SELECT_THREAD) ||
	    !holds_string(h, rule->exe_off, selectors & SELECT_EXE) ||
	    !holds_string(h, rule->frame_off, selectors & SELECT_FRAME))
		return false;
	if (selectors & SELECT_FD && rule->fd_first > rule->fd_last)
		return false;
	if (selectors & SELECT_SIZE && rule->size_first > rule->size_last)
		return false;
	return is_peer_sound(h, &rule->peer);
}

static bool is_rule_sound(const struct plan_header *h,
			  const struct plan_rule *rule)
{
	const struct fault *fault;

	if (rule->fault >= FAULT_COUNT || rule->at > AT_AFTER ||
	    rule->per > PER_FD || rule->side > SIDE_SERVER || rule->also > 1 ||
	    rule->adversarial > 1 || rule->clock > CLOCKS_ALL)
		return false;
	fault = fault_table[rule->fault];
	return (rule->at == AT_BEFORE || fault->may_be_after) &&
	       is_arg_sound(fault->arg, &rule->arg) &&
	       holds_string(h, rule->text_off, false) &&
	       are_triggers_sound(rule) && are_selectors_sound(h, rule);
}

/* decision_order - negative, 0, positive, as by rule, stream, index. */
static int decision_order(const struct plan_decision *a,
			  const struct plan_decision *b)
{
	if (a->rule != b->rule)
		return a->rule < b->rule ? -1 : 1;
	if (a->stream != b->stream)
		return a->stream < b->stream ? -1 : 1;
	if (a->index != b->index)
		return a->index < b->index ? -1 : 1;
	return 0;
}

static bool are_decisions_sound(const struct plan_header *h,
				const struct plan_decision *decisions)
{
	for (uint32_t i = 0; i < h->decisions_count; i++) {
		if (decisions[i].rule >= h->rules_count ||
		    decisions[i].pad != 0 || decisions[i].index == 0)
			return false;
		if (i && decision_order(&decisions[i - 1], &decisions[i]) > 0)
			return false;
	}
	return true;
}

static bool is_header_sound(const struct plan_header *h)
{
	const char *base = (const char *)h;

	if (h->rules_count > PLAN_RULES_MAX ||
	    h->index_count > PLAN_RULES_MAX * CALL_COUNT ||
	    h->decisions_count > PLAN_DECISIONS_MAX || h->replay > 1 ||
	    h->phases_count < 1 || h->phases_count > PLAN_PHASES_MAX)
		return false;
	if (!holds_array(h, h->rules_off, h->rules_count,
			 sizeof(struct plan_rule),
			 _Alignof(struct plan_rule)) ||
	    !holds_array(h, h->chain_off, CALL_COUNT, sizeof(uint16_t[2]), 2) ||
	    !holds_array(h, h->index_off, h->index_count, 2, 2) ||
	    !holds_array(h, h->decisions_off, h->decisions_count,
			 sizeof(struct plan_decision),
			 _Alignof(struct plan_decision)) ||
	    !holds_array(h, h->strings_off, h->strings_bytes, 1, 1))
		return false;
	return h->strings_bytes == 0 ||
	       base[h->strings_off + h->strings_bytes - 1] == '\0';
}

static bool are_chains_sound(const struct plan *plan)
{
	const struct plan_header *h = plan->header;

	for (uint32_t i = 0; i < CALL_COUNT; i++)
		if ((uint32_t)plan->chain[i][0] + plan->chain[i][1] >
		    h->index_count)
			return false;
	for (uint32_t i = 0; i < h->index_count; i++)
		if (plan->index[i] >= h->rules_count)
			return false;
	return true;
}

int plan_open(const void *map, size_t bytes, struct plan *ret_plan)
{
	const struct plan_header *h = map;
	const char *base = map;
	struct plan plan;

	if (!map || (uintptr_t)map % _Alignof(struct plan_header) ||
	    bytes < sizeof(*h))
		return -EBADMSG;
	if (h->magic != PLAN_MAGIC || h->abi != plan_abi())
		return -EPROTO;
	if (h->bytes < sizeof(*h) || h->bytes > bytes ||
	    h->bytes > PLAN_BYTES_MAX || h->checksum != checksum_of(h) ||
	    !is_header_sound(h))
		return -EBADMSG;

	plan = (struct plan){
		.header = h,
		.rules = (const void *)(base + h->rules_off),
		.chain = (const void *)(base + h->chain_off),
		.index = (const void *)(base + h->index_off),
		.decisions = (const void *)(base + h->decisions_off),
		.base = base,
	};
	for (uint32_t i = 0; i < h->rules_count; i++)
		if (!is_rule_sound(h, &plan.rules[i]))
			return -EBADMSG;
	if (!are_chains_sound(&plan) || !are_decisions_sound(h, plan.decisions))
		return -EBADMSG;
	*ret_plan = plan;
	return 0;
}
