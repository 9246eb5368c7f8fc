/* fault_args.c - what stands after `=` in a rule. */
#include "scenarios/fault_line.h"

#include <string.h>

#include "scenarios/value.h"

/* One value of a word: bytes [at, n) of it. */
struct value {
	struct fault_parse *parse;
	const struct word *word;
	size_t at;
	const char *text;
	size_t n;
};

static bool value_wrong(const struct value *value, const char *help,
			const char *says)
{
	diag_error(value->parse->diag,
		   word_mark_part(value->parse->line, value->word, value->at,
				  value->word->n),
		   help, "'%.*s' %s; got \"%.*s\"",
		   (int)(value->at ? value->at - 1 : 0), value->word->text,
		   says, (int)(value->n > 60 ? 60 : value->n), value->text);
	return false;
}

static bool value_wants(const struct value *value, const char *wants)
{
	return value_wrong(
		value, NULL,
		arena_print(value->parse->diag->arena, "wants %s", wants));
}

/* FIRST, FIRST..LAST or FIRST+ of numbers that `read` reads. */
static bool read_range(const char *text, size_t n, uint64_t most,
		       bool (*read)(const char *, size_t, uint64_t *),
		       uint64_t *ret_first, uint64_t *ret_last)
{
	const char *dots = memmem(text, n, "..", 2);
	uint64_t first, last;

	if (dots) {
		size_t head = (size_t)(dots - text);

		if (!read(text, head, &first) ||
		    !read(dots + 2, n - head - 2, &last))
			return false;
	} else if (n && text[n - 1] == '+') {
		if (!read(text, n - 1, &first))
			return false;
		last = most;
	} else {
		if (!read(text, n, &first))
			return false;
		last = first;
	}
	if (first > last || first > most || (dots && last > most))
		return false;
	*ret_first = first;
	*ret_last = last;
	return true;
}

static bool read_number(const char *text, size_t n, uint64_t *ret)
{
	return read_count(text, n, UINT64_MAX - 1, ret);
}

static bool read_size(const char *text, size_t n, uint64_t *ret)
{
	return read_bytes(text, n, true, ret);
}

static bool read_fd(const char *text, size_t n, uint64_t *ret)
{
	static const char *const names[] = { "stdin", "stdout", "stderr" };

	for (unsigned i = 0; i < 3; i++) {
		if (text_is(text, n, names[i])) {
			*ret = i;
			return true;
		}
	}
	return read_count(text, n, INT32_MAX, ret);
}

/* ---- selectors --------------------------------------------------------- */

static bool peer_take(const struct value *value)
{
	struct rule *rule = value->parse->rule;
	char *host = NULL, *path = NULL;
	const char *why = peer_read(value->parse->diag->arena, value->text,
				    value->n, &rule->plan.peer, &host, &path);

	if (why)
		return value_wrong(value, why, "wants HOST:PORT");
	if (host && rule->host)
		return value_wrong(value, NULL,
				   "names a host, and so does 'host'");
	if (host) { /* known by name alone: host= and the port */
		rule->host = host;
		rule->plan.selectors |= SELECT_HOST;
	}
	if (!host || rule->plan.peer.port)
		rule->plan.selectors |= SELECT_PEER;
	rule->peer_path = path;
	rule->peer = fault_peer_print(value->parse->diag->arena,
				      &rule->plan.peer, path);
	return true;
}

static bool glob_take(const struct value *value, char **ret, uint32_t selector)
{
	struct rule *rule = value->parse->rule;

	if (*ret)
		return value_wrong(value, NULL, "is given twice");
	if (value->n >= PLAN_STRING_MAX / 2)
		return value_wrong(value, NULL, "is too long");
	*ret = arena_copy(value->parse->diag->arena, value->text, value->n);
	rule->plan.selectors |= selector;
	return true;
}

static bool path_take(const struct value *value)
{
	if (memmem(value->text, value->n, "//", 2))
		return value_wrong(value, NULL, "has an empty component");
	return glob_take(value, &value->parse->rule->path, SELECT_PATH);
}

/* One of up to three words; its place among them, or -1. */
static int choice(const struct value *value, const char *a, const char *b,
		  const char *c)
{
	const char *const words[] = { a, b, c };

	for (int i = 0; i < 3; i++)
		if (words[i] && text_is(value->text, value->n, words[i]))
			return i;
	return -1;
}

static bool clock_take(const struct value *value)
{
	struct plan_rule *plan = &value->parse->rule->plan;
	int chosen = choice(value, "realtime", "monotonic", "all");

	if (chosen < 0)
		return value_wants(value,
				   fault_key_table[FAULT_KEY_clock].wants);
	plan->clock = (uint8_t)(CLOCKS_REALTIME + chosen);
	plan->selectors |= SELECT_CLOCK;
	return true;
}

bool fault_selector_read(struct fault_parse *parse, enum fault_key key,
			 const struct word *word, size_t at)
{
	struct rule *rule = parse->rule;
	struct plan_rule *plan = &rule->plan;
	const struct value value = { parse, word, at, word->text + at,
				     word->n - at };
	const char *wants = fault_key_table[key].wants;
	uint64_t first, last;

	switch (key) {
	case FAULT_KEY_path:
		return path_take(&value);
	case FAULT_KEY_peer:
		return peer_take(&value);
	case FAULT_KEY_host:
		return glob_take(&value, &rule->host, SELECT_HOST);
	case FAULT_KEY_thread:
		return glob_take(&value, &rule->thread, SELECT_THREAD);
	case FAULT_KEY_exe:
		if (memchr(value.text, '/', value.n))
			return value_wants(&value, wants);
		return glob_take(&value, &rule->exe, SELECT_EXE);
	case FAULT_KEY_frame:
		return glob_take(&value, &rule->frame, SELECT_FRAME);
	case FAULT_KEY_fd:
		if (!read_range(value.text, value.n, INT32_MAX, read_fd, &first,
				&last))
			return value_wants(&value, wants);
		plan->fd_first = (int32_t)first;
		plan->fd_last = (int32_t)last;
		plan->selectors |= SELECT_FD;
		return true;
	case FAULT_KEY_size:
		if (!read_range(value.text, value.n, UINT64_MAX, read_size,
				&first, &last))
			return value_wants(&value, wants);
		plan->size_first = first;
		plan->size_last = last;
		plan->selectors |= SELECT_SIZE;
		return true;
	case FAULT_KEY_side:
		if (!text_is(value.text, value.n, "client") &&
		    !text_is(value.text, value.n, "server"))
			return value_wants(&value, wants);
		plan->side = value.text[0] == 'c' ? SIDE_CLIENT : SIDE_SERVER;
		plan->selectors |= SELECT_SIDE;
		return true;
	case FAULT_KEY_clock:
		return clock_take(&value);
	default:
		return false;
	}
}

/* ---- triggers ---------------------------------------------------------- */

/* strace(1) writes them so too: 3, 3+, 3+2, 2..5, 2..9+3. */
static bool nth_take(const struct value *value)
{
	static const char random[] = "random(";
	struct plan_rule *plan = &value->parse->rule->plan;
	const char *text = value->text;
	size_t n = value->n, head = sizeof(random) - 1;
	uint64_t step = 1;
	bool is_random =
		n > head && !memcmp(text, random, head) && text[n - 1] == ')';
	const char *plus;

	if (is_random) {
		text += head;
		n -= head + 1;
	}
	plus = memchr(text, '+', n);
	if (plus && plus + 1 < text + n) {
		size_t tail = (size_t)(text + n - plus) - 1;

		if (!read_count(plus + 1, tail, UINT64_MAX - 1, &step) || !step)
			return value_wants(
				value, fault_key_table[FAULT_KEY_nth].wants);
		n = (size_t)(plus - text) + !memmem(text, n, "..", 2);
	}
	if (!read_range(text, n, NTH_FOREVER, read_number, &plan->nth_first,
			&plan->nth_last) ||
	    !plan->nth_first ||
	    (is_random && (plan->nth_last == NTH_FOREVER || plus)))
		return value_wants(value, fault_key_table[FAULT_KEY_nth].wants);
	plan->nth_step = step;
	plan->triggers |= is_random ? TRIGGER_NTH_RANDOM : TRIGGER_NTH;
	return true;
}

static bool after_take(const struct value *value)
{
	struct plan_rule *plan = &value->parse->rule->plan;
	const char *text = value->text;
	uint32_t kind;

	if (read_count(text, value->n, UINT64_MAX - 1, &plan->after_calls))
		kind = TRIGGER_AFTER_CALLS;
	else if (read_duration(text, value->n, &plan->after_ns))
		kind = TRIGGER_AFTER_NS;
	else if (read_bytes(text, value->n, false, &plan->after_bytes))
		kind = TRIGGER_AFTER_BYTES;
	else
		return value_wants(value,
				   fault_key_table[FAULT_KEY_after].wants);
	if (plan->triggers & kind)
		return value_wrong(value, NULL, "is given twice in this unit");
	plan->triggers |= kind;
	return true;
}

static bool p_take(const struct value *value)
{
	struct plan_rule *plan = &value->parse->rule->plan;
	uint64_t ppm;

	if (!read_ratio(value->text, value->n, &ppm))
		return value_wants(value, fault_key_table[FAULT_KEY_p].wants);
	if (!ppm)
		diag_warn(value->parse->diag,
			  word_mark(value->parse->line, value->word), NULL,
			  "p=0%% never holds: the rule counts and doesn't act");
	plan->p_ppm = (uint32_t)ppm;
	plan->triggers |= TRIGGER_P;
	return true;
}

bool fault_trigger_read(struct fault_parse *parse, enum fault_key key,
			const struct word *word, size_t at)
{
	struct plan_rule *plan = &parse->rule->plan;
	const struct value value = { parse, word, at, word->text + at,
				     word->n - at };
	int chosen;

	switch (key) {
	case FAULT_KEY_nth:
		return nth_take(&value);
	case FAULT_KEY_p:
		return p_take(&value);
	case FAULT_KEY_after:
		return after_take(&value);
	case FAULT_KEY_times:
		if (!read_count(value.text, value.n, UINT64_MAX - 1,
				&plan->times) ||
		    !plan->times)
			break;
		plan->triggers |= TRIGGER_TIMES;
		return true;
	case FAULT_KEY_at:
		chosen = choice(&value, "before", "after", NULL);
		if (chosen < 0)
			break;
		plan->at = chosen ? AT_AFTER : AT_BEFORE;
		return true;
	case FAULT_KEY_per:
		chosen = choice(&value, "process", "thread", "fd");
		if (chosen < 0)
			break;
		plan->per = (uint8_t)(PER_PROCESS + chosen);
		return true;
	default:
		break;
	}
	return value_wants(&value, fault_key_table[key].wants);
}

/* ---- the action's argument --------------------------------------------- */

static bool error_take(const struct value *value, struct fault_arg *arg)
{
	struct diag *diag = value->parse->diag;
	int error = error_find(value->text, value->n);
	struct near near;
	char upper[41];
	uint64_t number;
	size_t n = value->n < 40 ? value->n : 40;

	if (error) {
		arg->v[0] = (uint64_t)(int64_t)error;
		return true;
	}
	if (read_count(value->text, value->n, 4095, &number) &&
	    error_name((int)number))
		return value_wrong(value,
				   arena_print(diag->arena, "%llu is %s",
					       (unsigned long long)number,
					       error_name((int)number)),
				   "wants the errno's name");
	for (size_t i = 0; i < n; i++) {
		char c = value->text[i];

		upper[i] = c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
	}
	upper[n] = '\0';
	near = near_start(upper, n);
	near.n = n;
	for (int i = -128; i < 134; i++)
		if (error_name(i) && i)
			near_try(&near, error_name(i));
	/* enospc: the same letters, so nothing is wrong but their case */
	return value_wrong(value, diag_meant(diag, &near),
			   "wants an errno such as ENOSPC");
}

static bool delay_quantiles(const char *text, size_t n, struct fault_arg *arg)
{
	const char *comma = memmem(text, n, ",p99=", 5);
	size_t head;

	if (n < 4 || memcmp(text, "p50=", 4) || !comma)
		return false;
	head = (size_t)(comma - text);
	arg->v[0] = DELAY_QUANTILES;
	return read_duration(text + 4, head - 4, &arg->v[1]) &&
	       read_duration(comma + 5, n - head - 5, &arg->v[2]) &&
	       arg->v[1] <= arg->v[2];
}

static bool delay_take(const struct value *value, struct fault_arg *arg)
{
	static const char wants[] =
		"wants a time such as 200ms, 200ms+-50ms or p50=20ms,p99=1s";
	const char *text = value->text;
	const char *plus = memmem(text, value->n, "+-", 2);
	size_t n = value->n, head = n;

	if (!plus)
		plus = memmem(text, n, "±", 2); /* two bytes too */
	if (plus) {
		head = (size_t)(plus - text);
		arg->v[0] = DELAY_JITTER;
		if (!read_duration(text, head, &arg->v[1]) ||
		    !read_duration(plus + 2, n - head - 2, &arg->v[2]))
			return value_wrong(value, NULL, wants);
		if (arg->v[2] > arg->v[1])
			return value_wrong(value, NULL,
					   "can't vary by more than itself");
	} else if (!delay_quantiles(text, n, arg)) {
		*arg = (struct fault_arg){ .v = { DELAY_FIXED } };
		if (!read_duration(text, n, &arg->v[1]))
			return value_wrong(value, NULL, wants);
	}
	if (arg->v[1] > FAULT_DELAY_MAX_NS || arg->v[2] > FAULT_DELAY_MAX_NS)
		return value_wrong(value, NULL, "is at most a day");
	if (!arg->v[1] && !arg->v[2])
		return value_wrong(value, NULL, "wants more than nothing");
	return true;
}

static bool bits_take(const struct value *value, struct fault_arg *arg)
{
	size_t n = value->n;

	while (n && (value->text[n - 1] < '0' || value->text[n - 1] > '9'))
		n--;
	if ((text_is(value->text + n, value->n - n, "bit") ||
	     text_is(value->text + n, value->n - n, "bits")) &&
	    read_count(value->text, n, 64, &arg->v[0]) && arg->v[0])
		return true;
	return value_wants(value, "a number of bits from 1bit to 64bits");
}

static bool signal_take(const struct value *value, struct fault_arg *arg)
{
	struct near near = near_start(value->text, value->n);
	int signal;

	if (read_signal(value->text, value->n, &signal)) {
		arg->v[0] = (uint64_t)signal;
		return true;
	}
	for (size_t i = 0; signal_name_at(i); i++)
		near_try(&near, signal_name_at(i));
	return value_wrong(value, diag_meant(value->parse->diag, &near),
			   "wants a signal such as KILL or TERM");
}

static bool signed_take(struct fault_arg *arg, int64_t number)
{
	arg->v[0] = (uint64_t)number;
	return true;
}

bool fault_arg_read(struct fault_parse *parse, const struct word *word,
		    size_t at)
{
	static const char *const examples[] = {
		[ARG_ERROR] = "an errno such as ENOSPC",
		[ARG_DELAY] = "a time such as 200ms",
		[ARG_BYTES] = "a number of bytes from 1",
		[ARG_SIGNAL] = "a signal such as KILL",
		[ARG_STATUS] = "a status from 0 to 255",
		[ARG_BITS] = "a number of bits such as 1bit",
		[ARG_LIMIT] = "a number of bytes such as 0 or 64KiB",
		[ARG_COUNT] = "a number from 1",
		[ARG_SHARE] = "a share such as 1%",
		[ARG_SHIFT] = "a time such as +1h, -90s or -20y",
		[ARG_DRIFT] = "a share such as +10% or -50ppm",
	};
	struct fault_arg *arg = &parse->rule->plan.arg;
	const struct fault *fault = fault_table[parse->rule->plan.fault];
	enum arg_type type = fault->arg;
	struct value value = { parse, word, at, word->text + at, word->n - at };
	int64_t number;

	if (at > word->n || !value.n || word->text[at - 1] != '=') {
		diag_error(parse->diag, word_mark(parse->line, word), NULL,
			   "'%s' wants %s", fault_arg_word(fault),
			   examples[type]);
		return false;
	}
	switch (type) {
	case ARG_NONE:
		return true;
	case ARG_ERROR:
		return error_take(&value, arg);
	case ARG_DELAY:
		return delay_take(&value, arg);
	case ARG_BYTES:
		if (read_bytes(value.text, value.n, true, &arg->v[0]) &&
		    arg->v[0])
			return true;
		break;
	case ARG_SIGNAL:
		return signal_take(&value, arg);
	case ARG_STATUS:
		if (read_count(value.text, value.n, 255, &arg->v[0]))
			return true;
		break;
	case ARG_BITS:
		return bits_take(&value, arg);
	case ARG_LIMIT:
		if (read_bytes(value.text, value.n, true, &arg->v[0]))
			return true;
		break;
	case ARG_COUNT:
		if (read_count(value.text, value.n, INT32_MAX, &arg->v[0]) &&
		    arg->v[0])
			return true;
		break;
	case ARG_SHARE:
		if (read_ratio(value.text, value.n, &arg->v[0]) && arg->v[0])
			return true;
		break;
	case ARG_SHIFT:
		if (read_shift(value.text, value.n, &number) && number)
			return signed_take(arg, number);
		break;
	case ARG_DRIFT:
		if (read_drift(value.text, value.n, &number) && number)
			return signed_take(arg, number);
		break;
	}
	return value_wants(&value, examples[type]);
}
