/* warp.h - clocks that tell another time than the kernel's: shifted, fast,
 * slow, or standing still.  Pure arithmetic on ns since a clock's own epoch.
 */
#ifndef MISHAP_CORE_WARP_H
#define MISHAP_CORE_WARP_H

#include <stdbool.h>
#include <stdint.h>

/* A hundred years: 2026 and this fit into an int64_t of ns. */
#define WARP_SHIFT_MAX_NS  (100ll * 365 * 86400 * 1000000000)
#define WARP_DRIFT_MIN_PPM (-999999) /* less would stand still, or go back */
#define WARP_DRIFT_MAX_PPM 9000000
#define WARP_NEVER	   INT64_MAX

/* `clock=`: which clocks a rule is about; CPU clocks are never among them. */
enum clock_set { CLOCKS_ANY, CLOCKS_REALTIME, CLOCKS_MONOTONIC, CLOCKS_ALL };

enum warp_kind { WARP_SHIFT, WARP_DRIFT, WARP_FREEZE };

struct warp {
	enum warp_kind kind;
	int64_t by;	   /* WARP_SHIFT: ns; WARP_DRIFT: ppm */
	int64_t anchor_ns; /* the clock's true time when it began */
};

/* clock_is_of - is a clockid_t one of the set? */
bool clock_is_of(int clock, enum clock_set set);
/* warp_tell - what the clock tells at a true time; never less than 0. */
int64_t warp_tell(const struct warp *warp, int64_t true_ns);
/* warp_reach - a true time at which it tells told_ns or more, the earliest but
 * for rounding; WARP_NEVER if it stands still before that. */
int64_t warp_reach(const struct warp *warp, int64_t told_ns);

#endif
