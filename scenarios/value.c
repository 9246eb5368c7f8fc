#include "scenarios/value.h"

#include <signal.h>
#include <string.h>

#include "core/warp.h"

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit times[] = {
	{ "h", 3600000000000ull }, { "m", 60000000000ull },
	{ "s", 1000000000ull },	   { "ms", 1000000ull },
	{ "us", 1000ull },	   { "ns", 1ull },
	{ "µs", 1000ull },	   { 0 },
};

static const struct unit sizes[] = {
	{ "GiB", 1ull << 30 },	 { "MiB", 1ull << 20 },
	{ "KiB", 1ull << 10 },	 { "B", 1ull },
	{ "GB", 1000000000ull }, { "MB", 1000000ull },
	{ "kB", 1000ull },	 { 0 },
};

/* Of a clock that is set wrong: no calendar, 365 days. */
static const struct unit shifts[] = {
	{ "y", 365 * 86400000000000ull },
	{ "d", 86400000000000ull },
	{ "h", 3600000000000ull },
	{ "m", 60000000000ull },
	{ "s", 1000000000ull },
	{ "ms", 1000000ull },
	{ "us", 1000ull },
	{ "ns", 1ull },
	{ 0 },
};

static const struct unit drifts[] = { { "%", 10000ull },
				      { "ppm", 1ull },
				      { 0 } };

static const struct unit shares[] = { { "%", 10000ull }, { 0 } };

bool read_count(const char *text, size_t n, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;

	if (!n)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (text[i] < '0' || text[i] > '9' ||
		    __builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, text[i] - '0', &value))
			return false;
	}
	if (value > max)
		return false;
	*ret = value;
	return true;
}

/* A decimal number and a unit, exact in integers: 1.5s is 1500000000 ns.
 * A fraction that the unit can't hold exactly (0.3ns) is refused. */
static bool read_quantity(const char *text, size_t n, const struct unit *units,
			  uint64_t max, uint64_t *ret)
{
	size_t whole = 0, end;
	uint64_t value, scale = 1, part = 0;
	const struct unit *unit = units;

	while (whole < n && text[whole] >= '0' && text[whole] <= '9')
		whole++;
	end = whole;
	if (end + 1 < n && text[end] == '.') {
		for (end++; end < n && text[end] >= '0' && text[end] <= '9';
		     end++) {
			if (end - whole > 12)
				return false;
			scale *= 10;
			part = part * 10 + (uint64_t)(text[end] - '0');
		}
		if (scale == 1)
			return false;
	}
	while (unit->name && !text_is(text + end, n - end, unit->name))
		unit++;
	if (!unit->name || !read_count(text, whole, UINT64_MAX, &value) ||
	    __builtin_mul_overflow(value, unit->factor, &value))
		return false;
	if (((unsigned __int128)part * unit->factor) % scale)
		return false;
	part = (uint64_t)((unsigned __int128)part * unit->factor / scale);
	if (__builtin_add_overflow(value, part, &value) || value > max)
		return false;
	*ret = value;
	return true;
}

bool read_duration(const char *text, size_t n, uint64_t *ret_ns)
{
	return read_quantity(text, n, times, DURATION_NS_MAX, ret_ns);
}

bool read_bytes(const char *text, size_t n, bool bare, uint64_t *ret_bytes)
{
	return read_quantity(text, n, sizes, INT64_MAX, ret_bytes) ||
	       (bare && read_count(text, n, INT64_MAX, ret_bytes));
}

bool read_ratio(const char *text, size_t n, uint64_t *ret_ppm)
{
	return read_quantity(text, n, shares, 1000000, ret_ppm);
}

static bool read_signed(const char *text, size_t n, const struct unit *units,
			int64_t least, int64_t most, int64_t *ret)
{
	bool is_negative = n && text[0] == '-';
	bool has_sign = is_negative || (n && text[0] == '+');
	uint64_t size;
	int64_t value;

	if (!read_quantity(text + has_sign, n - has_sign, units, INT64_MAX,
			   &size))
		return false;
	value = is_negative ? -(int64_t)size : (int64_t)size;
	if (value < least || value > most)
		return false;
	*ret = value;
	return true;
}

bool read_shift(const char *text, size_t n, int64_t *ret_ns)
{
	return read_signed(text, n, shifts, -WARP_SHIFT_MAX_NS,
			   WARP_SHIFT_MAX_NS, ret_ns);
}

bool read_drift(const char *text, size_t n, int64_t *ret_ppm)
{
	return read_signed(text, n, drifts, WARP_DRIFT_MIN_PPM,
			   WARP_DRIFT_MAX_PPM, ret_ppm);
}

bool read_rate(const char *text, size_t n, double *ret)
{
	double per = 1;
	uint64_t count;

	if (n > 2 && text[n - 2] == '/') {
		if (text[n - 1] == 'm')
			per = 60;
		else if (text[n - 1] != 's')
			return false;
		n -= 2;
	}
	if (!read_count(text, n, 1ull << 53, &count))
		return false;
	*ret = (double)count / per;
	return true;
}

/* signal(7), x86 and ARM column; glibc keeps 32 and 33 for itself. */
static const struct {
	const char *name;
	int number;
} signals[] = {
	{ "HUP", SIGHUP },	 { "INT", SIGINT },	  { "QUIT", SIGQUIT },
	{ "ILL", SIGILL },	 { "TRAP", SIGTRAP },	  { "ABRT", SIGABRT },
	{ "BUS", SIGBUS },	 { "FPE", SIGFPE },	  { "KILL", SIGKILL },
	{ "USR1", SIGUSR1 },	 { "SEGV", SIGSEGV },	  { "USR2", SIGUSR2 },
	{ "PIPE", SIGPIPE },	 { "ALRM", SIGALRM },	  { "TERM", SIGTERM },
	{ "STKFLT", SIGSTKFLT }, { "CHLD", SIGCHLD },	  { "CONT", SIGCONT },
	{ "STOP", SIGSTOP },	 { "TSTP", SIGTSTP },	  { "TTIN", SIGTTIN },
	{ "TTOU", SIGTTOU },	 { "URG", SIGURG },	  { "XCPU", SIGXCPU },
	{ "XFSZ", SIGXFSZ },	 { "VTALRM", SIGVTALRM }, { "PROF", SIGPROF },
	{ "WINCH", SIGWINCH },	 { "IO", SIGIO },	  { "PWR", SIGPWR },
	{ "SYS", SIGSYS },
};

#define SIGNALS (sizeof(signals) / sizeof(*signals))

const char *signal_name_at(size_t i)
{
	return i < SIGNALS ? signals[i].name : NULL;
}

bool read_signal(const char *text, size_t n, int *ret_signal)
{
	uint64_t number;

	if (read_count(text, n, 64, &number) && number) {
		*ret_signal = (int)number;
		return true;
	}
	if (n > 3 && !memcmp(text, "SIG", 3)) {
		text += 3;
		n -= 3;
	}
	for (size_t i = 0; i < SIGNALS; i++) {
		if (text_is(text, n, signals[i].name)) {
			*ret_signal = signals[i].number;
			return true;
		}
	}
	return false;
}

char *print_signal(struct arena *arena, int signal)
{
	for (size_t i = 0; i < SIGNALS; i++)
		if (signals[i].number == signal)
			return arena_print(arena, "%s", signals[i].name);
	return arena_print(arena, "%d", signal);
}

static char *print_quantity(struct arena *arena, uint64_t value,
			    const struct unit *units, const struct unit *least)
{
	for (const struct unit *unit = units; unit->name; unit++) {
		if (value && value % unit->factor == 0)
			return arena_print(
				arena, "%llu%s",
				(unsigned long long)(value / unit->factor),
				unit->name);
		if (unit == least)
			break;
	}
	return arena_print(arena, "%llu%s", (unsigned long long)value,
			   least->name);
}

/* 1500 ms is better said as 1.5s; 90 s stays 90s. */
char *print_duration(struct arena *arena, uint64_t ns)
{
	if (ns >= 1000000000ull && ns % 1000000000ull && ns % 100000000ull == 0)
		return arena_print(
			arena, "%llu.%llus",
			(unsigned long long)(ns / 1000000000ull),
			(unsigned long long)(ns / 100000000ull % 10));
	return print_quantity(arena, ns, times, &times[5]);
}

static uint64_t size_of(int64_t value)
{
	return value < 0 ? -(uint64_t)value : (uint64_t)value;
}

char *print_shift(struct arena *arena, int64_t ns)
{
	return arena_print(
		arena, "%c%s", ns < 0 ? '-' : '+',
		print_quantity(arena, size_of(ns), shifts, &shifts[7]));
}

char *print_drift(struct arena *arena, int64_t ppm)
{
	char sign = ppm < 0 ? '-' : '+';

	if (ppm % 100)
		return arena_print(arena,
				   "%c%llu"
				   "ppm",
				   sign, (unsigned long long)size_of(ppm));
	return arena_print(arena, "%c%s", sign,
			   print_ratio(arena, size_of(ppm)));
}

char *print_bytes(struct arena *arena, uint64_t bytes)
{
	return print_quantity(arena, bytes, sizes, &sizes[3]);
}

char *print_ratio(struct arena *arena, uint64_t ppm)
{
	char *text = arena_print(arena, "%llu.%04llu",
				 (unsigned long long)(ppm / 10000),
				 (unsigned long long)(ppm % 10000));
	size_t n = strlen(text);

	while (text[n - 1] == '0')
		n--;
	if (text[n - 1] == '.')
		n--;
	return arena_print(arena, "%.*s%%", (int)n, text);
}
