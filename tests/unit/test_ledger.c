/* A ledger held against what a reader found: each class in each form, each
 * promise, and evidence that was tampered with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "runner/ledger/export.h"
#include "runner/ledger/tally.h"

#define S "000000000" /* behind a figure in seconds: as ns */

struct row {
	const char *promise;
	enum ledger_form form;
	const char *writes, *reads;
	uint64_t
		counts[CLASS_COUNT]; /* lost altered dup resurr phantom reord */
	uint64_t excused, recovered;
};

#define TWO "invoke s 1\nack s 1\ninvoke s 2\nack s 2\n"
#define SUM "invoke s n 5\nack s n 5\ninvoke s n 7\n"
#define BANK                                                                   \
	"ack s o1 -:a:100\nack s o2 -:b:50\ninvoke s t1 a:b:10\nack s t1 "     \
	"a:b:10\ninvoke s t2 b:a:5\n"
#define REGISTER                                                               \
	"invoke s x 1\nack s x 1\ninvoke s x 2\nack s x 2\ninvoke s x 3\n"

static const struct row rows[] = {
	/* A set. */
	{ "strict",
	  FORM_SET,
	  TWO,
	  "present s 1\npresent s 2\ndone\n",
	  { 0 },
	  0,
	  0 },
	{ "strict", FORM_SET, TWO, "present s 2\ndone\n", { 1 }, 0, 0 },
	{ "strict", FORM_SET, TWO, "present s 1\ndone\n", { 1 }, 0, 0 },
	{ "strict",
	  FORM_SET,
	  TWO,
	  "present s 1\npresent s 2\npresent s 2\ndone\n",
	  { 0, 0, 1 },
	  0,
	  0 },
	{ "at_least_once",
	  FORM_SET,
	  TWO,
	  "present s 1\npresent s 2\npresent s 2\ndone\n",
	  { 0 },
	  0,
	  0 },
	{ "at_least_once", FORM_SET, TWO, "present s 2\ndone\n", { 1 }, 0, 0 },
	{ "at_most_once", FORM_SET, TWO, "present s 2\ndone\n", { 0 }, 1, 0 },
	{ "at_most_once",
	  FORM_SET,
	  TWO,
	  "present s 2\npresent s 2\ndone\n",
	  { 0, 0, 1 },
	  1,
	  0 },
	{ "exactly_once",
	  FORM_SET,
	  TWO,
	  "present s 2\npresent s 2\ndone\n",
	  { 1, 0, 1 },
	  0,
	  0 },
	{ "strict",
	  FORM_SET,
	  TWO "invoke s 3\nfail s 3\n",
	  "present s 1\npresent s 2\npresent s 3\ndone\n",
	  { 0, 0, 0, 1 },
	  0,
	  0 },
	{ "strict",
	  FORM_SET,
	  TWO,
	  "present s 1\npresent s 2\npresent s 3\ndone\n",
	  { 0, 0, 0, 0, 1 },
	  0,
	  0 },
	{ "strict",
	  FORM_SET,
	  TWO "invoke s 3\n",
	  "present s 1\npresent s 2\npresent s 3\ndone\n",
	  { 0 },
	  0,
	  1 },
	{ "none", FORM_SET, TWO, "done\n", { 0 }, 2, 0 },
	{ "none",
	  FORM_SET,
	  TWO,
	  "present s 9\ndone\n",
	  { 0, 0, 0, 0, 1 },
	  2,
	  0 },
	/* A request that is repeated is one; what is there twice is told. */
	{ "strict",
	  FORM_SET,
	  "invoke s 1\ninvoke s 1\nack s 1\n",
	  "present s 1\ndone\n",
	  { 0 },
	  0,
	  0 },
	/* A prefix: what is missing is missing at the end. */
	{ "prefix", FORM_SET, TWO, "present s 1\ndone\n", { 0 }, 1, 0 },
	{ "prefix",
	  FORM_SET,
	  TWO,
	  "present s 2\ndone\n",
	  { 0, 0, 0, 0, 0, 1 },
	  1,
	  0 },
	/* A window: one death at 10 s. */
	{ "window 2s",
	  FORM_SET,
	  "@7" S " 1\nack s 1\n@9" S " 1\nack s 2\n",
	  "present s 1\ndone\n",
	  { 0 },
	  1,
	  0 },
	{ "window 2s",
	  FORM_SET,
	  "@7" S " 1\nack s 1\n@9" S " 1\nack s 2\n",
	  "present s 2\ndone\n",
	  { 1 },
	  0,
	  0 },
	{ "window 2s",
	  FORM_SET,
	  "@7" S " 1\nack s 1\n@11" S " 1\nack s 2\n",
	  "present s 1\ndone\n",
	  { 1 },
	  0,
	  0 },
	/* A register. */
	{ "strict",
	  FORM_REGISTER,
	  REGISTER,
	  "present s x 2\ndone\n",
	  { 0 },
	  0,
	  0 },
	{ "strict",
	  FORM_REGISTER,
	  REGISTER,
	  "present s x 3\ndone\n",
	  { 0 },
	  0,
	  0 },
	{ "strict",
	  FORM_REGISTER,
	  REGISTER,
	  "present s x 1\ndone\n",
	  { 1 },
	  0,
	  0 },
	{ "none",
	  FORM_REGISTER,
	  REGISTER,
	  "present s x 1\ndone\n",
	  { 0 },
	  1,
	  0 },
	{ "strict",
	  FORM_REGISTER,
	  REGISTER,
	  "present s x 9\ndone\n",
	  { 0, 1 },
	  0,
	  0 },
	/* Two that overlap: either may be the last. */
	{ "strict",
	  FORM_REGISTER,
	  "invoke s x 1\ninvoke s x 2\nack s x 2\nack s x 1\n",
	  "present s x 2\ndone\n",
	  { 0 },
	  0,
	  0 },
	/* Across channels, only what is far enough apart has an order. */
	{ "strict",
	  FORM_REGISTER,
	  "@1000 1\nack s x 1\n@2000 2\ninvoke s x 2\nack s x 2\n",
	  "present s x 1\ndone\n",
	  { 0 },
	  0,
	  0 },
	{ "strict",
	  FORM_REGISTER,
	  "@1" S " 1\nack s x 1\n@2" S " 2\ninvoke s x 2\nack s x 2\n",
	  "present s x 1\ndone\n",
	  { 1 },
	  0,
	  0 },
	/* A list. */
	{ "strict",
	  FORM_APPEND,
	  TWO,
	  "present s 1\npresent s 2\ndone\n",
	  { 0 },
	  0,
	  0 },
	{ "strict",
	  FORM_APPEND,
	  TWO,
	  "present s 2\npresent s 1\ndone\n",
	  { 0, 0, 0, 0, 0, 1 },
	  0,
	  0 },
	{ "window 20s",
	  FORM_APPEND,
	  "@1" S " 1\nack s 1\n@2" S " 1\nack s 2\n",
	  "present s 2\ndone\n",
	  { 0, 0, 0, 0, 0, 1 },
	  1,
	  0 },
	/* A counter. */
	{ "strict", FORM_COUNTER, SUM, "present s n 5\ndone\n", { 0 }, 0, 0 },
	{ "strict", FORM_COUNTER, SUM, "present s n 12\ndone\n", { 0 }, 0, 0 },
	{ "strict", FORM_COUNTER, SUM, "present s n 4\ndone\n", { 1 }, 0, 0 },
	{ "strict", FORM_COUNTER, SUM, "done\n", { 1 }, 0, 0 },
	{ "strict",
	  FORM_COUNTER,
	  SUM,
	  "present s n 17\ndone\n",
	  { 0, 0, 1 },
	  0,
	  0 },
	{ "none", FORM_COUNTER, SUM, "present s n 0\ndone\n", { 0 }, 0, 0 },
	/* A bank. */
	{ "strict",
	  FORM_BANK,
	  BANK,
	  "present s a 90\npresent s b 60\ndone\n",
	  { 0 },
	  0,
	  0 },
	{ "strict",
	  FORM_BANK,
	  BANK,
	  "present s a 95\npresent s b 55\ndone\n",
	  { 0 },
	  0,
	  0 },
	{ "strict",
	  FORM_BANK,
	  BANK,
	  "present s a 90\npresent s b 55\ndone\n",
	  { 1 },
	  0,
	  0 },
	{ "strict",
	  FORM_BANK,
	  BANK,
	  "present s a 100\npresent s b 50\ndone\n",
	  { 1, 0, 1 },
	  0,
	  0 },
};

static int tally_of(const struct row *row, const char *reads,
		    struct ledger_tally *ret_tally)
{
	static const uint64_t death = 10000000000u;
	enum ledger_form forms[4] = { row->form, row->form, row->form,
				      row->form };
	struct ledger_rules rules = { .forms = forms,
				      .deaths_ns = &death,
				      .deaths_count = 1 };
	struct ledger_log log = { 0 };
	int error;

	assert_true(promise_read(row->promise, strlen(row->promise),
				 &rules.promise));
	assert_int_equal(
		ledger_log_write(&log, row->writes, strlen(row->writes)), 0);
	assert_int_equal(ledger_log_read(&log, reads, strlen(reads)), 0);
	assert_true(log.done);
	error = ledger_tally(&log, &rules, ret_tally);
	ledger_log_clear(&log);
	return error;
}

static void each_form_and_promise_tells_its_classes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct ledger_tally tally;

		assert_int_equal(tally_of(&rows[i], rows[i].reads, &tally), 0);
		for (int k = 0; k < CLASS_COUNT; k++)
			if (tally.counts[k] != rows[i].counts[k])
				fail_msg("row %zu: %s is %llu, not %llu", i,
					 ledger_class_names[k],
					 (unsigned long long)tally.counts[k],
					 (unsigned long long)rows[i].counts[k]);
		if (tally.excused != rows[i].excused ||
		    tally.recovered != rows[i].recovered)
			fail_msg("row %zu: excused %llu, recovered %llu", i,
				 (unsigned long long)tally.excused,
				 (unsigned long long)tally.recovered);
	}
}

/* A hundred records that are all there; then one is dropped, doubled, and two
 * are swapped. */
static void tampered_evidence_goes_red(void **state)
{
	char writes[8192] = "", reads[4][4096] = { "", "", "", "" };
	struct row row = { .promise = "strict",
			   .form = FORM_APPEND,
			   .writes = writes };
	struct ledger_tally tally;

	(void)state;
	for (int i = 0; i < 100; i++) {
		int swapped = i == 40 ? 41 : i == 41 ? 40 : i;

		sprintf(writes + strlen(writes), "invoke s %d\nack s %d\n", i,
			i);
		sprintf(reads[0] + strlen(reads[0]), "present s %d\n", i);
		if (i != 17)
			sprintf(reads[1] + strlen(reads[1]), "present s %d\n",
				i);
		sprintf(reads[2] + strlen(reads[2]), "present s %d\n%s", i,
			i == 17 ? "present s 17\n" : "");
		sprintf(reads[3] + strlen(reads[3]), "present s %d\n", swapped);
	}
	for (int i = 0; i < 4; i++) {
		strcat(reads[i], "done\n");
		assert_int_equal(tally_of(&row, reads[i], &tally), 0);
		assert_int_equal(tally.wrong, i > 0);
		if (i)
			assert_int_equal(tally.first,
					 i == 1	  ? CLASS_LOST
					 : i == 2 ? CLASS_DUPLICATED
						  : CLASS_REORDERED);
	}
}

static void acknowledgements_in_one_write_are_counted(void **state)
{
	static const char one[] = "@1 1\nack s 1\n@2 1\nack s 2\n";
	static const char two[] = "@1 1\nack s 1\nack s 2\n@2 1\nack s 3\n";
	struct ledger_log log = { 0 };

	(void)state;
	assert_int_equal(ledger_log_write(&log, one, strlen(one)), 0);
	assert_int_equal(log.acks_buffered, 0);
	assert_int_equal(ledger_log_write(&log, two, strlen(two)), 0);
	assert_int_equal(log.acks_buffered, 2);
	ledger_log_clear(&log);
}

static void promises_are_read_word_by_word(void **state)
{
	static const char *const good[] = { "strict",
					    "window 2s",
					    "window:500ms",
					    "prefix",
					    "none",
					    "at_most_once",
					    "window 2s, at_least_once",
					    "exactly_once" };
	static const char *const bad[] = {
		"",	    "windows 2s",    "window",
		"window 2", "strict prefix", "none exactly_once"
	};
	struct durability promise;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_true(promise_read(good[i], strlen(good[i]), &promise));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_false(promise_read(bad[i], strlen(bad[i]), &promise));
}

static char *exported(enum ledger_form form, enum export_format format,
		      const char *writes, const char *reads)
{
	struct ledger_log log = { 0 };
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);

	assert_int_equal(ledger_log_write(&log, writes, strlen(writes)), 0);
	assert_int_equal(ledger_log_read(&log, reads, strlen(reads)), 0);
	assert_int_equal(ledger_export(&log, 0, form, format, out), 0);
	fclose(out);
	ledger_log_clear(&log);
	return text;
}

static void a_history_is_exported_as_jepsen_writes_it(void **state)
{
	static const char writes[] =
		"@1000 1\ninvoke s 1\ninvoke s 2\n@2000 1\nack s 1\n"
		"@3000 1\ninvoke s 3\nfail s 3\n";
	char *edn =
		exported(FORM_SET, EXPORT_EDN, writes, "present s 1\ndone\n");
	char *json =
		exported(FORM_SET, EXPORT_JSON, writes, "present s 1\ndone\n");

	(void)state;
	assert_non_null(strstr(edn, "{:index 0, :time 1000, :type :invoke, "
				    ":process 0, :f :add, :value 1}"));
	/* Nobody knows what became of 2: its process never asks again. */
	assert_non_null(strstr(edn, ":type :info, :process 1, :f :add, "
				    ":value 2}"));
	assert_non_null(strstr(edn, ":type :fail, :process 0, :f :add, "
				    ":value 3}"));
	assert_non_null(strstr(edn, ":type :ok, :process 2, :f :read, "
				    ":value #{1}}"));
	assert_non_null(strstr(json, "\"type\": \"info\""));
	free(edn);
	free(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_form_and_promise_tells_its_classes),
		cmocka_unit_test(tampered_evidence_goes_red),
		cmocka_unit_test(acknowledgements_in_one_write_are_counted),
		cmocka_unit_test(promises_are_read_word_by_word),
		cmocka_unit_test(a_history_is_exported_as_jepsen_writes_it),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
