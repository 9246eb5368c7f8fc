/* delay=TIME, delay=TIME+-TIME, delay=p50=TIME,p99=TIME: the call comes late.
 *
 * It is made as usual afterwards.  Of a socket it is what arrives that is late:
 * until then it isn't there, and a program that waits for several of them goes
 * on with the others (preload/net.c).
 *
 * Fixed; or uniform around a middle; or log-
 * normal, the shape of most service latencies, through the median and the
 * 99th percentile that are given:
 *	delay = p50 * (p99 / p50) ^ (z(u) / z(0.99)),  u uniform in [0, 1)
 * z, the normal distribution's quantile, is a table with straight lines in
 * between, mirrored at the median and cut off at u = 0.9999: so no delay is
 * beyond p50 * (p99 / p50) ^ 1.6.  Integers only, since a target's vector
 * registers are its own; a sample is within 0.01 % of that curve. */
#include "core/fault.h"

static const struct knot {
	uint32_t u_ppm;
	uint32_t z_q16; /* z(u) / z(0.99), 16 bits behind the point */
} knots[] = {
	{ 500000, 0 },	    { 550000, 3540 },  { 600000, 7137 },
	{ 650000, 10855 },  { 700000, 14773 }, { 750000, 19001 },
	{ 800000, 23709 },  { 850000, 29198 }, { 900000, 36103 },
	{ 930000, 41575 },  { 950000, 46337 }, { 970000, 52984 },
	{ 980000, 57857 },  { 990000, 65536 }, { 995000, 72564 },
	{ 998000, 81081 },  { 999000, 87056 }, { 999500, 92698 },
	{ 999900, 104769 },
};

#define KNOTS (sizeof(knots) / sizeof(*knots))

/* z_at - for u in the upper half. */
static int64_t z_at(uint32_t u_ppm)
{
	const struct knot *k = knots;
	int64_t rise, run;

	if (u_ppm >= knots[KNOTS - 1].u_ppm)
		return knots[KNOTS - 1].z_q16;
	while (k[1].u_ppm <= u_ppm)
		k++;
	rise = (int64_t)k[1].z_q16 - k[0].z_q16;
	run = (int64_t)k[1].u_ppm - k[0].u_ppm;
	return k[0].z_q16 + rise * (u_ppm - k[0].u_ppm) / run;
}

/* log2_q16 - of x >= 1, 16 bits behind the point: square the mantissa, and
 * each time that it passes 2 is a one. */
static int64_t log2_q16(uint64_t x)
{
	int whole = 63 - __builtin_clzll(x);
	uint64_t mantissa = (x << (63 - whole)) >> 32; /* 1.0 is 1 << 31 */
	int64_t log = whole;

	for (int i = 0; i < 16; i++) {
		mantissa = mantissa * mantissa >> 31;
		log <<= 1;
		if (mantissa >> 32) {
			mantissa >>= 1;
			log |= 1;
		}
	}
	return log;
}

/* exp2_q16 - 2 to the x, for 0 <= x < 60 with 16 bits behind the point. */
static uint64_t exp2_q16(uint64_t x)
{
	static const uint64_t roots[16] = {
		/* 2^(1/2), 2^(1/4) ... with 32 bits behind the point */
		0x16a09e668, 0x1306fe0a3, 0x1172b83c8, 0x10b5586d0,
		0x1059b0d31, 0x102c9a3e7, 0x10163daa0, 0x100b1afa6,
		0x10058c86e, 0x1002c605e, 0x100162f39, 0x1000b175f,
		0x100058ba0, 0x10002c5cc, 0x1000162e5, 0x10000b172,
	};
	uint64_t fraction = 1ull << 32;

	for (int i = 0; i < 16; i++)
		if (x & (0x8000u >> i))
			fraction = (uint64_t)(((unsigned __int128)fraction *
					       roots[i]) >>
					      32);
	return (uint64_t)(((unsigned __int128)fraction << (x >> 16)) >> 32);
}

static uint64_t quantile_ns(uint64_t p50_ns, uint64_t p99_ns, uint32_t u_ppm)
{
	int64_t middle, spread, exponent;
	uint64_t ns;

	if (p99_ns == p50_ns)
		return p50_ns;
	middle = log2_q16(p50_ns ? p50_ns : 1);
	spread = log2_q16(p99_ns) - middle;
	if (u_ppm >= 500000)
		exponent = middle + spread * z_at(u_ppm) / 65536;
	else
		exponent = middle - spread * z_at(999999 - u_ppm) / 65536;
	if (exponent < 0)
		return 0;
	if (exponent >= 60ll << 16)
		return FAULT_DELAY_MAX_NS;
	ns = exp2_q16((uint64_t)exponent);
	return ns < FAULT_DELAY_MAX_NS ? ns : FAULT_DELAY_MAX_NS;
}

static uint64_t sample_ns(const struct fault_arg *arg, struct rng *rng)
{
	switch (arg->v[0]) {
	case DELAY_JITTER:
		return arg->v[1] - arg->v[2] +
		       rng_below(rng, 2 * arg->v[2] + 1);
	case DELAY_QUANTILES:
		return quantile_ns(arg->v[1], arg->v[2],
				   (uint32_t)rng_below(rng, 1000000));
	}
	return arg->v[1];
}

static enum fault_effect effect(unsigned call_id)
{
	(void)call_id;
	return EFFECT_EXECUTED;
}

static void judge(struct call *call, const struct fault_arg *arg,
		  struct rng *rng)
{
	call->delay_ns += sample_ns(arg, rng);
}

FAULT_DEFINE(delay, .says = "the call is made, but only after this long",
	     .example = "recv peer=127.0.0.1:6379 delay=200ms+-50ms p=10%",
	     .arg = ARG_DELAY, .effect = effect, .judge = judge);
