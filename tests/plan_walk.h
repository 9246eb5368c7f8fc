/* plan_walk.h - a small plan, and a walk over all that an opened plan offers.
 *
 * The walk does with a plan what a hook may do: whatever plan_open() let pass
 * must not lead it out of the plan's bytes.  Used by the unit tests (with a
 * guard page behind the plan) and by the fuzzer (under ASan).
 */
#ifndef MISHAP_TESTS_PLAN_WALK_H
#define MISHAP_TESTS_PLAN_WALK_H

#include <netinet/in.h>
#include <string.h>

#include "core/plan.h"

#define WALK_RULES     3
#define WALK_INDEX     4
#define WALK_DECISIONS 3

/* A whole plan in one struct: easy to write, easy to break. */
struct small_plan {
	struct plan_header header;
	struct plan_rule rules[WALK_RULES];
	struct plan_decision decisions[WALK_DECISIONS];
	uint16_t chain[CALL_COUNT][2];
	uint16_t index[WALK_INDEX];
	char strings[160];
};

static inline uint32_t small_string(struct small_plan *p, const char *text)
{
	uint32_t at = p->header.strings_bytes;

	p->header.strings_bytes += (uint32_t)strlen(text) + 1;
	memcpy(p->strings + at, text, strlen(text) + 1);
	return p->header.strings_off + at;
}

static inline void small_rules(struct small_plan *p)
{
	p->rules[0] = (struct plan_rule){
		.selectors = SELECT_PATH | SELECT_FD | SELECT_SIZE,
		.triggers = TRIGGER_NTH | TRIGGER_TIMES,
		.phases = 1,
		.fault = FAULT_fail,
		.arg = { .v = { 28 } },
		.nth_first = 2,
		.nth_last = NTH_FOREVER,
		.nth_step = 3,
		.times = 5,
		.fd_last = 1000,
		.size_last = UINT64_MAX,
		.text_off = small_string(p, "write path=**/out fail=ENOSPC"),
		.path_off = small_string(p, "**/out[0-9]*"),
	};
	p->rules[1] = (struct plan_rule){
		.selectors = SELECT_PEER | SELECT_HOST | SELECT_SIDE,
		.triggers = TRIGGER_P | TRIGGER_AFTER_NS | TRIGGER_AFTER_BYTES,
		.phases = 3,
		.fault = FAULT_delay,
		.side = SIDE_CLIENT,
		.per = PER_FD,
		.also = 1,
		.arg = { .v = { DELAY_QUANTILES, 20000000, 1000000000 } },
		.after_ns = 1000,
		.after_bytes = 64,
		.p_ppm = 500000,
		.text_off = small_string(p, "recv delay=p50=20ms,p99=1s"),
		.host_off = small_string(p, "*.example.org"),
		.peer = { .family = AF_INET,
			  .port = 80,
			  .prefix_bits = 8,
			  .addr = { 127 } },
	};
	p->rules[2] = (struct plan_rule){
		.selectors =
			SELECT_PEER | SELECT_THREAD | SELECT_EXE | SELECT_FRAME,
		.triggers = TRIGGER_NTH_RANDOM | TRIGGER_AFTER_CALLS,
		.phases = 2,
		.fault = FAULT_kill,
		.at = AT_AFTER,
		.per = PER_THREAD,
		.adversarial = 1,
		.arg = { .v = { 9 } },
		.nth_first = 1,
		.nth_last = 400,
		.nth_step = 1,
		.after_calls = 3,
		.thread_off = small_string(p, "worker*"),
		.exe_off = small_string(p, "postgres"),
		.frame_off = small_string(p, "commit"),
		.peer = { .family = AF_UNIX,
			  .path_off = small_string(p, "@bus-[!x]**") },
		.line = 7,
		.column = 3,
	};
}

/* small_plan_write - a sound plan that uses every part of the format. */
static inline void small_plan_write(struct small_plan *p)
{
	memset(p, 0, sizeof(*p));
	p->header = (struct plan_header){
		.seed = 42,
		.rules_count = WALK_RULES,
		.rules_off = offsetof(struct small_plan, rules),
		.chain_off = offsetof(struct small_plan, chain),
		.index_off = offsetof(struct small_plan, index),
		.index_count = WALK_INDEX,
		.decisions_off = offsetof(struct small_plan, decisions),
		.decisions_count = WALK_DECISIONS,
		.phases_count = 2,
		.strings_off = offsetof(struct small_plan, strings),
	};
	small_rules(p);
	p->header.strings_bytes = sizeof(p->strings);
	p->decisions[0] = (struct plan_decision){ .stream = 1, .index = 2 };
	p->decisions[1] = (struct plan_decision){ .stream = 1, .index = 9 };
	p->decisions[2] =
		(struct plan_decision){ .rule = 2, .stream = 1, .index = 1 };
	p->index[0] = 0;
	p->index[1] = 2;
	p->index[2] = 1;
	p->index[3] = 2;
	p->chain[CALL_write][1] = 2;
	p->chain[CALL_recv][0] = 2;
	p->chain[CALL_recv][1] = 2;
	plan_seal(p, sizeof(*p));
}

static inline unsigned walk_string(const struct plan *plan, uint32_t off,
				   const char *text)
{
	const char *s = plan_string(plan, off);

	return s ? (unsigned)strlen(s) + glob_match(s, text) : 0;
}

static inline unsigned walk_peer(const struct plan *plan,
				 const struct plan_peer *peer)
{
	const struct sockaddr_in in = { .sin_family = AF_INET,
					.sin_port = 0x5000 };
	const struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	const struct sockaddr un = { .sa_family = AF_UNIX,
				     .sa_data = "\0bus-1" };

	return peer_match(plan, peer, (const void *)&in, sizeof(in)) +
	       peer_match(plan, peer, (const void *)&in6, sizeof(in6)) +
	       peer_match(plan, peer, &un, 8);
}

static inline unsigned walk_rule(const struct plan *plan, uint32_t number,
				 unsigned call_id)
{
	const struct plan_rule *rule = &plan->rules[number];
	const struct fault *fault = fault_table[rule->fault];
	unsigned sum = 0;

	sum += walk_string(plan, rule->text_off, "x");
	sum += walk_string(plan, rule->path_off, "/tmp/out1");
	sum += walk_string(plan, rule->host_off, "a.example.org");
	sum += walk_string(plan, rule->thread_off, "worker1");
	sum += walk_string(plan, rule->exe_off, "postgres");
	sum += walk_string(plan, rule->frame_off, "commit");
	sum += walk_peer(plan, &rule->peer);
	for (uint64_t i = 1; i < 4; i++) {
		struct trigger_input in = { .seed = plan->header->seed,
					    .rule = number,
					    .process = 1,
					    .stream = 1,
					    .index = i,
					    .thread_index = i,
					    .bytes_before = i * 100,
					    .since_ns = i * 1000000 };
		struct rng rng = rng_open(in.seed, number, 1, i);
		struct call call = { .id = (uint16_t)call_id, .len = 10 };

		sum += trigger_holds(plan, rule, &in);
		if (!fault->applies || fault->applies(&call, &rule->arg))
			fault->judge(&call, &rule->arg, &rng);
		sum += call.skip + call.delay_ns % 2;
	}
	return sum;
}

static inline unsigned plan_walk(const struct plan *plan)
{
	unsigned sum = 0;

	for (unsigned id = 0; id < CALL_COUNT; id++)
		for (unsigned i = 0; i < plan->chain[id][1]; i++)
			sum += walk_rule(
				plan, plan->index[plan->chain[id][0] + i], id);
	for (uint32_t i = 0; i < plan->header->rules_count; i++)
		sum += walk_rule(plan, i, CALL_write);
	for (uint32_t i = 0; i < plan->header->decisions_count; i++)
		sum += plan->decisions[i].index != 0;
	return sum;
}

#endif
