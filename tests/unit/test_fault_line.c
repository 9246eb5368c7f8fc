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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rule_prints_as_its_canonical_line),
		cmocka_unit_test(a_canonical_line_reads_as_the_same_rule),
		cmocka_unit_test(every_example_of_a_fault_parses),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
