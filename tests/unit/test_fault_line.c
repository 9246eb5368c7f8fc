/* The one-line grammar: what it reads, what it prints, what it says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "scenarios/fault_line.h"

struct outcome {
	struct arena *arena;
	struct rule rule;
	bool good;
	char *says;
	size_t says_bytes;
};

static struct outcome parse(const char *text)
{
	struct outcome o = { .arena = arena_open() };
	FILE *out = open_memstream(&o.says, &o.says_bytes);
	struct diag diag = { .out = out, .arena = o.arena };
	struct line line = line_of_text(&diag, "-f", text);

	o.good = fault_line_parse(&diag, &line, &(struct scope){ 0 },
				  UINT32_MAX, &o.rule);
	diag_flush(&diag);
	fclose(out);
	return o;
}

static void outcome_free(struct outcome *o)
{
	arena_free(o->arena);
	free(o->says);
}

/* ---- good lines -------------------------------------------------------- */

static const struct {
	const char *text, *canonical;
} good[] = {
	{ "write fail=ENOSPC", "write fail=ENOSPC" },
	{ "fsync,write  fail=EIO", "write,fsync fail=EIO" },
	{ "write, fsync fail=EIO", "write,fsync fail=EIO" },
	{ "write path=\"a b\" fail=EIO", "write path=\"a b\" fail=EIO" },
	{ "write path='a \"b' fail=EIO", "write path='a \"b' fail=EIO" },
	{ "write path=\"it's \\\"q\\\"\" fail=EIO",
	  "write path=\"it's \\\"q\\\"\" fail=EIO" },
	{ "write path=$${x} fail=EIO", "write path=$${x} fail=EIO" },
	{ "nth=3 fail", NULL },
	{ "file fail=EIO", "file fail=EIO" },
	{ "file.* fail=EIO", "file fail=EIO" },
	{ "file.read fail=EIO", "read fail=EIO" },
	{ "time delay=1s", "time delay=1s" },
	{ "time.time delay=1s", "time.time delay=1s" },
	{ "getdents64,openat fail=ENOENT", "open,getdents fail=ENOENT" },
	{ "dns fail=EAI_AGAIN", "getaddrinfo fail=EAI_AGAIN" },
	{ "write fail=EIO nth=3", "write fail=EIO nth=3" },
	{ "write fail=EIO nth=3+", "write fail=EIO nth=3+" },
	{ "write fail=EIO nth=3+2", "write fail=EIO nth=3+2" },
	{ "write fail=EIO nth=2..5", "write fail=EIO nth=2..5" },
	{ "write fail=EIO nth=2..9+3", "write fail=EIO nth=2..9+3" },
	{ "write fail=EIO nth=random(1..400)",
	  "write fail=EIO nth=random(1..400)" },
	{ "write p=10% times=1 fail=EIO", "write fail=EIO p=10% times=1" },
	{ "write fail=EIO p=0.05%", "write fail=EIO p=0.05%" },
	{ "write fail=EIO after=64KiB", "write fail=EIO after=64KiB" },
	{ "write fail=EIO after=10s after=100",
	  "write fail=EIO after=10s after=100" },
	{ "recv delay=200ms", "recv delay=200ms" },
	{ "recv delay=200ms+-50ms", "recv delay=200ms+-50ms" },
	{ "recv delay=200ms±50ms", "recv delay=200ms+-50ms" },
	{ "recv delay=p50=20ms,p99=1s", "recv delay=p50=20ms,p99=1s" },
	{ "recv delay=1500ms", "recv delay=1.5s" },
	{ "rename kill=SIGKILL at=after", "rename kill=KILL at=after" },
	{ "write kill=9", "write kill=KILL" },
	{ "write kill=34", "write kill=34" },
	{ "read corrupt=1bit", "read corrupt=1bit" },
	{ "read corrupt=3bits", "read corrupt=3bits" },
	{ "write short=1", "write short=1" },
	{ "write short=4096", "write short=4KiB" },
	{ "connect exit=1", "connect exit=1" },
	{ "fsync lie", "fsync lie" },
	{ "recv eof also", "recv eof also" },
	{ "write fail=ENOENT adversarial", "write fail=ENOENT adversarial" },
	{ "recv peer=127.0.0.1:6379 hang", "recv peer=127.0.0.1:6379 hang" },
	{ "recv peer=10.1.2.3/8 hang", "recv peer=10.0.0.0/8 hang" },
	{ "recv peer=10.0.0.0/8:443 hang", "recv peer=10.0.0.0/8:443 hang" },
	{ "recv peer=[::1]:80 hang", "recv peer=[::1]:80 hang" },
	{ "recv peer=::1 hang", "recv peer=::1 hang" },
	{ "recv peer=[::1] hang", "recv peer=::1 hang" },
	{ "recv peer=2001:db8::/32 hang", "recv peer=2001:db8::/32 hang" },
	{ "recv peer=*:80 hang", "recv peer=*:80 hang" },
	{ "recv peer=:80 hang", "recv peer=*:80 hang" },
	{ "recv peer=unix:/run/*.sock hang",
	  "recv peer=unix:/run/*.sock hang" },
	{ "connect peer=api.pay.example:443 hang",
	  "connect peer=*:443 host=api.pay.example hang" },
	{ "connect peer=api.pay.example hang",
	  "connect host=api.pay.example hang" },
	{ "write fd=stdout fail=EIO", "write fd=1 fail=EIO" },
	{ "write fd=0..2 fail=EIO", "write fd=0..2 fail=EIO" },
	{ "write fd=3+ fail=EIO", "write fd=3+ fail=EIO" },
	{ "malloc size=1MiB+ fail=ENOMEM", "malloc size=1MiB+ fail=ENOMEM" },
	{ "malloc size=100 fail=ENOMEM", "malloc size=100B fail=ENOMEM" },
	{ "read thread=wal* exe=postgres frame=XLogWrite eof per=thread",
	  "read thread=wal* exe=postgres frame=XLogWrite eof per=thread" },
	{ "send side=server per=fd short=10",
	  "send side=server short=10 per=fd" },
};

static void a_rule_prints_as_its_canonical_line(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		struct outcome o = parse(good[i].text);

		if (!good[i].canonical) {
			assert_false(o.good);
		} else {
			if (!o.good)
				print_error("%s\n%s", good[i].text, o.says);
			assert_true(o.good);
			assert_string_equal(o.rule.text, good[i].canonical);
			assert_string_equal(o.says, "");
		}
		outcome_free(&o);
	}
}

static void a_canonical_line_reads_as_the_same_rule(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		struct outcome a, b;

		if (!good[i].canonical)
			continue;
		a = parse(good[i].text);
		b = parse(a.rule.text);
		assert_true(b.good);
		assert_string_equal(a.rule.text, b.rule.text);
		assert_memory_equal(&a.rule.plan, &b.rule.plan,
				    sizeof(a.rule.plan));
		assert_int_equal(a.rule.calls_count, b.rule.calls_count);
		assert_memory_equal(a.rule.calls, b.rule.calls,
				    sizeof(*a.rule.calls) * a.rule.calls_count);
		outcome_free(&a);
		outcome_free(&b);
	}
}

static void every_example_of_a_fault_parses(void **state)
{
	(void)state;
	for (unsigned i = 0; i < FAULT_COUNT; i++) {
		struct outcome o = parse(fault_table[i]->example);

		if (!o.good)
			print_error("%s", o.says);
		assert_true(o.good);
		assert_int_equal(o.rule.plan.fault, i);
		outcome_free(&o);
	}
}

/* ---- what it means ----------------------------------------------------- */

static struct plan_rule plan_of(const char *text)
{
	struct outcome o = parse(text);
	struct plan_rule plan = o.rule.plan;

	assert_true(o.good);
	outcome_free(&o);
	return plan;
}

static void quantities_arrive_in_base_units(void **state)
{
	struct plan_rule p;

	(void)state;
	p = plan_of("write delay=1.5s+-50us");
	assert_true(p.arg.v[0] == DELAY_JITTER);
	assert_true(p.arg.v[1] == 1500000000 && p.arg.v[2] == 50000);
	p = plan_of("write delay=p50=20ms,p99=2m");
	assert_true(p.arg.v[0] == DELAY_QUANTILES);
	assert_true(p.arg.v[1] == 20000000 && p.arg.v[2] == 120000000000ull);
	p = plan_of("write fail=ENOSPC after=1.5KiB p=0.5%");
	assert_int_equal(p.triggers, TRIGGER_AFTER_BYTES | TRIGGER_P);
	assert_true(p.after_bytes == 1536 && p.p_ppm == 5000);
	assert_true((int64_t)p.arg.v[0] == 28);
	p = plan_of("write fail=EIO after=250ms times=7");
	assert_int_equal(p.triggers, TRIGGER_AFTER_NS | TRIGGER_TIMES);
	assert_true(p.after_ns == 250000000 && p.times == 7);
	p = plan_of("dns fail=EAI_AGAIN");
	assert_true((int64_t)p.arg.v[0] == -3);
	p = plan_of("write kill=SEGV at=after per=thread also");
	assert_true(p.arg.v[0] == 11 && p.at == AT_AFTER);
	assert_true(p.per == PER_THREAD && p.also == 1);
}

static void nth_counts_as_strace_does(void **state)
{
	static const struct {
		const char *text;
		uint32_t trigger;
		uint64_t first, last, step;
	} cases[] = {
		{ "write fail=EIO nth=3", TRIGGER_NTH, 3, 3, 1 },
		{ "write fail=EIO nth=3+", TRIGGER_NTH, 3, NTH_FOREVER, 1 },
		{ "write fail=EIO nth=3+2", TRIGGER_NTH, 3, NTH_FOREVER, 2 },
		{ "write fail=EIO nth=2..5", TRIGGER_NTH, 2, 5, 1 },
		{ "write fail=EIO nth=2..9+3", TRIGGER_NTH, 2, 9, 3 },
		{ "write fail=EIO nth=random(1..400)", TRIGGER_NTH_RANDOM, 1,
		  400, 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct plan_rule p = plan_of(cases[i].text);

		assert_int_equal(p.triggers, cases[i].trigger);
		assert_true(p.nth_first == cases[i].first);
		assert_true(p.nth_last == cases[i].last);
		assert_true(p.nth_step == cases[i].step);
	}
}

static void selectors_arrive_as_they_were_meant(void **state)
{
	struct plan_rule p;

	(void)state;
	p = plan_of("recv peer=10.1.2.3/8:443 hang");
	assert_int_equal(p.selectors, SELECT_PEER);
	assert_int_equal(p.peer.family, AF_INET);
	assert_int_equal(p.peer.prefix_bits, 8);
	assert_int_equal(p.peer.port, 443);
	assert_int_equal(p.peer.addr[0], 10);
	assert_int_equal(p.peer.addr[1], 0);
	p = plan_of("recv peer=[::1]:80 hang");
	assert_int_equal(p.peer.family, AF_INET6);
	assert_int_equal(p.peer.prefix_bits, 128);
	assert_int_equal(p.peer.addr[15], 1);
	p = plan_of("recv peer=unix:/run/x hang");
	assert_int_equal(p.peer.family, AF_UNIX);
	p = plan_of("connect peer=db.example:5432 hang");
	assert_int_equal(p.selectors, SELECT_PEER | SELECT_HOST);
	assert_int_equal(p.peer.family, 0);
	assert_int_equal(p.peer.port, 5432);
	p = plan_of("write fd=3+ size=1KiB..2KiB side=server fail=EIO");
	assert_int_equal(p.selectors, SELECT_FD | SELECT_SIZE | SELECT_SIDE);
	assert_int_equal(p.fd_first, 3);
	assert_int_equal(p.fd_last, INT32_MAX);
	assert_true(p.size_first == 1024 && p.size_last == 2048);
	assert_int_equal(p.side, SIDE_SERVER);
}

static bool has_call(const struct outcome *o, unsigned id)
{
	for (size_t i = 0; i < o->rule.calls_count; i++)
		if (o->rule.calls[i] == id)
			return true;
	return false;
}

static void a_family_acts_where_the_errno_is_plausible(void **state)
{
	struct outcome o = parse("file fail=ENOSPC");

	(void)state;
	assert_true(has_call(&o, CALL_write) && has_call(&o, CALL_fsync));
	assert_false(has_call(&o, CALL_read) || has_call(&o, CALL_lseek));
	assert_string_equal(o.says, ""); /* nobody named read */
	outcome_free(&o);
	o = parse("file path=/x fail=EIO");
	assert_true(has_call(&o, CALL_open) && has_call(&o, CALL_write));
	assert_false(has_call(&o, CALL_sync)); /* it can't fail */
	assert_false(has_call(&o, CALL_recv));
	outcome_free(&o);
	o = parse("write fail=ENOENT adversarial");
	assert_true(has_call(&o, CALL_write));
	assert_int_equal(o.rule.plan.adversarial, 1);
	outcome_free(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rule_prints_as_its_canonical_line),
		cmocka_unit_test(a_canonical_line_reads_as_the_same_rule),
		cmocka_unit_test(every_example_of_a_fault_parses),
		cmocka_unit_test(quantities_arrive_in_base_units),
		cmocka_unit_test(nth_counts_as_strace_does),
		cmocka_unit_test(selectors_arrive_as_they_were_meant),
		cmocka_unit_test(a_family_acts_where_the_errno_is_plausible),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
