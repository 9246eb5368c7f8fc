/* plan.h - the flat, position-independent form of a scenario's rules.
 *
 * scenarios/compile.c writes it, plan_open() checks it in the runner and
 * again in the target, and from then on it is read-only.  Offsets only, from
 * the start of the plan; strings are NUL-terminated inside its bytes.
 */
#ifndef MISHAP_CORE_PLAN_H
#define MISHAP_CORE_PLAN_H

#include "core/fault.h"
#include "core/warp.h"

#define PLAN_MAGIC 0x3150414853494d21ull /* "!MISHAP1" */
#define PLAN_BYTES_MAX (4u << 20)
#define PLAN_RULES_MAX 64
#define PLAN_PHASES_MAX 32
#define PLAN_STRING_MAX 4096
#define PLAN_DECISIONS_MAX 100000

enum rule_at { AT_BEFORE, AT_AFTER };
enum rule_per { PER_PROCESS, PER_THREAD, PER_FD };
enum rule_side { SIDE_ANY, SIDE_CLIENT, SIDE_SERVER };

enum rule_selectors {
	SELECT_PATH = 1 << 0,
	SELECT_PEER = 1 << 1,
	SELECT_HOST = 1 << 2,
	SELECT_FD = 1 << 3,
	SELECT_SIZE = 1 << 4,
	SELECT_THREAD = 1 << 5,
	SELECT_EXE = 1 << 6,
	SELECT_FRAME = 1 << 7,
	SELECT_SIDE = 1 << 8,
	SELECT_CLOCK = 1 << 9,
	SELECT_ALL = (1 << 10) - 1,
};
/* These need the object behind the fd: one look per fd, then cached. */
#define SELECT_OBJECT (SELECT_PATH | SELECT_PEER | SELECT_HOST | SELECT_SIDE)

enum rule_triggers {
	TRIGGER_NTH = 1 << 0, /* nth_first..nth_last by nth_step */
	TRIGGER_NTH_RANDOM = 1 << 1, /* one of them, drawn for the process */
	TRIGGER_P = 1 << 2,
	TRIGGER_TIMES = 1 << 3,
	TRIGGER_AFTER_NS = 1 << 4, /* since the rule's phase began */
	TRIGGER_AFTER_BYTES = 1 << 5, /* bytes asked for by matching calls */
	TRIGGER_AFTER_CALLS = 1 << 6,
	TRIGGER_ALL = (1 << 7) - 1,
};

#define NTH_FOREVER UINT64_MAX

/* `peer=`: unset parts match anything. */
struct plan_peer {
	uint16_t family; /* AF_INET, AF_INET6, AF_UNIX, or 0: any */
	uint16_t port; /* 0: any; host byte order */
	uint32_t prefix_bits; /* of addr; 0 with family 0: any address */
	uint8_t addr[16];
	uint32_t path_off; /* AF_UNIX: glob; 0: none */
	uint32_t pad;
};

struct plan_rule {
	uint32_t selectors, triggers;
	uint32_t phases; /* bit i: holds in phase i */
	uint16_t fault; /* enum fault_id */
	uint8_t at, per, side, also, adversarial, clock; /* enum clock_set */
	struct fault_arg arg;
	uint64_t nth_first, nth_last, nth_step; /* 1-based; step >= 1 */
	uint64_t times, after_ns, after_bytes, after_calls;
	uint32_t p_ppm; /* parts per million; 1000000 is always */
	int32_t fd_first, fd_last;
	uint32_t text_off; /* the rule as written, for messages */
	uint32_t path_off, host_off, thread_off, exe_off, frame_off;
	uint64_t size_first, size_last;
	struct plan_peer peer;
	uint32_t line, column; /* in the scenario; 0: from the command line */
};

/* A recorded decision to be forced by a replay; sorted by rule, stream,
 * index, so that the target can search it. */
struct plan_decision {
	uint32_t rule;
	uint32_t pad; /* 0, as every pad in a plan */
	uint64_t stream; /* thread's creation path */
	uint64_t index; /* matching calls of the rule on that thread, 1-based */
};

struct plan_header {
	uint64_t magic;
	uint64_t abi; /* plan_abi(): hash of both tables and these shapes */
	uint64_t checksum; /* of all other bytes, by plan_seal() */
	uint64_t seed;
	uint32_t bytes; /* header included */
	uint32_t rules_count, rules_off;
	uint32_t chain_off; /* uint16_t[CALL_COUNT][2]: first, count */
	uint32_t index_off, index_count; /* uint16_t rule numbers */
	uint32_t decisions_off, decisions_count;
	uint32_t phases_count; /* at least 1 */
	uint32_t replay; /* 1: only the decisions fire */
	uint32_t strings_off, strings_bytes;
};

struct plan {
	const struct plan_header *header;
	const struct plan_rule *rules;
	const uint16_t (*chain)[2];
	const uint16_t *index;
	const struct plan_decision *decisions;
	const char *base;
};

/* plan_open - check and adopt a compiled plan.
 * bytes: length of map, at most PLAN_BYTES_MAX.
 * Returns 0; -EPROTO other magic or ABI; -EBADMSG a count, an offset, an enum
 * or the checksum is wrong.  Borrows map for as long as the plan is used.
 * Signal-safe, thread-safe. */
int plan_open(const void *map, size_t bytes, struct plan *ret_plan);

/* plan_abi - what runner and library must agree upon. */
uint64_t plan_abi(void);
/* plan_checksum - of any bytes; not cryptographic. */
uint64_t plan_checksum(const void *bytes, size_t n);
/* plan_seal - fill magic, abi, bytes and checksum of a plan just written. */
void plan_seal(void *map, size_t bytes);

static inline const char *plan_string(const struct plan *plan, uint32_t off)
{
	return off ? plan->base + off : NULL;
}

/* What a trigger looks at, gathered by the hook. */
struct trigger_input {
	uint64_t seed, rule, process, stream; /* stream: thread's path */
	uint64_t index; /* of this matching call, by the rule's `per`; 1.. */
	uint64_t thread_index; /* the same counted on this thread alone */
	uint64_t fired; /* firings so far, by `per` */
	uint64_t bytes_before; /* asked for by earlier matching calls */
	uint64_t since_ns; /* since the rule's phase began */
};

/* trigger_holds - all triggers of the rule, ANDed; in replay, the recorded
 * decisions instead.  Pure.  `times` is checked against fired, and again by
 * the hook's atomic count. */
bool trigger_holds(const struct plan *plan, const struct plan_rule *rule,
		   const struct trigger_input *in);

/* Pure matchers.  Globs: `*` within a path component, `**` across, `?`,
 * `[a-z]`, `[!a-z]`, none of which but `**` takes a slash; `**` with a slash
 * after it is any number of whole components, none included; no escapes, a
 * `[` that nothing closes is itself.  Linear but for tries that fail late. */
bool glob_match(const char *glob, const char *text);
/* rule_path_match - does the rule's path= match?  A model's tree has its own
 * root in it. */
bool rule_path_match(const struct plan *plan, const struct plan_rule *rule,
		     const char *text);
/* peer_match - an IPv4 peer may come as ::ffff:a.b.c.d and may be wanted so;
 * AF_UNIX names as in ss(8): an abstract one starts with @. */
bool peer_match(const struct plan *plan, const struct plan_peer *want,
		const struct sockaddr *addr, unsigned addrlen);

#endif
