/* rng.h - counter-based randomness: a pure function of its keys.
 *
 * The same (seed, rule, stream, index) gives the same draws in any order, on
 * any thread, in any process, so races can't change a decision.  The mixer is
 * splitmix64's finaliser.  Signal-safe, thread-safe, no state is shared.
 */
#ifndef MISHAP_CORE_RNG_H
#define MISHAP_CORE_RNG_H

#include <stdint.h>

struct rng {
	uint64_t key;
	uint64_t draws;
};

static inline uint64_t rng_mix(uint64_t z)
{
	z += 0x9e3779b97f4a7c15u;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* rng_join - a key from a key and one more part; order matters. */
static inline uint64_t rng_join(uint64_t key, uint64_t part)
{
	return rng_mix(key ^ rng_mix(part));
}

static inline struct rng rng_open(uint64_t seed, uint64_t rule, uint64_t stream,
				  uint64_t index)
{
	uint64_t key = rng_join(rng_join(rng_join(seed, rule), stream), index);

	return (struct rng){ .key = key };
}

static inline uint64_t rng_next(struct rng *rng)
{
	return rng_join(rng->key, ++rng->draws);
}

/* rng_below - uniform in [0, n); 0 for n = 0.  Bias below 2^-64 * n. */
static inline uint64_t rng_below(struct rng *rng, uint64_t n)
{
	return (uint64_t)(((unsigned __int128)rng_next(rng) * n) >> 64);
}

#endif
