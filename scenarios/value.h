/* value.h - quantities with units, as they are written and printed.
 *
 * Readers take text of n bytes and want all of it; false leaves *ret alone.
 * Printers write what the reader reads to the same value, in the largest unit
 * that divides it.
 */
#ifndef MISHAP_SCENARIOS_VALUE_H
#define MISHAP_SCENARIOS_VALUE_H

#include "scenarios/text.h"

#define DURATION_NS_MAX (366ull * 86400 * 1000000000) /* a leap year */

#define DURATION_WANTS "a duration such as 200ms, 1.5s or 50us"
#define BYTES_WANTS    "a number of bytes such as 100B, 64KiB or 1MiB"
#define RATIO_WANTS    "a share such as 10% or 0.5%"

bool read_count(const char *text, size_t n, uint64_t max, uint64_t *ret);
bool read_duration(const char *text, size_t n, uint64_t *ret_ns);
/* bare: a number without a unit is bytes too. */
bool read_bytes(const char *text, size_t n, bool bare, uint64_t *ret_bytes);
/* read_shift - a signed time, with days and years: +1h, -20y. */
bool read_shift(const char *text, size_t n, int64_t *ret_ns);
/* read_drift - a signed share in % or ppm. */
bool read_drift(const char *text, size_t n, int64_t *ret_ppm);
bool read_ratio(const char *text, size_t n, uint64_t *ret_ppm);
/* read_rate - "40", "40/s", "40/m"; per second, or the bare number. */
bool read_rate(const char *text, size_t n, double *ret);
/* read_signal - KILL, SIGKILL or sigkill's number 1..64. */
bool read_signal(const char *text, size_t n, int *ret_signal);

char *print_duration(struct arena *arena, uint64_t ns);
char *print_shift(struct arena *arena, int64_t ns);
char *print_drift(struct arena *arena, int64_t ppm);
char *print_bytes(struct arena *arena, uint64_t bytes);
char *print_ratio(struct arena *arena, uint64_t ppm);
char *print_signal(struct arena *arena, int signal); /* "KILL", "RTMIN+1" */
/* signal_name_at - the i-th name, for suggestions; NULL at the end. */
const char *signal_name_at(size_t i);

#endif
