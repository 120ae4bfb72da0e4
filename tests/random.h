/* SPDX-License-Identifier: Apache-2.0
 * Random numbers for property tests: the same ones on every machine (splitmix64). */
#ifndef QN_TESTS_RANDOM_H
#define QN_TESTS_RANDOM_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct rng {
    uint64_t state;
};

static inline uint64_t rng_next(struct rng *rng)
{
    uint64_t z = rng->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static inline size_t rng_below(struct rng *rng, size_t limit) { return (size_t)(rng_next(rng) % limit); }

/* Even in [0, 1). */
static inline double rng_unit(struct rng *rng) { return (double)(rng_next(rng) >> 11) * 0x1p-53; }

/* Even in [low, high]. */
static inline float rng_between(struct rng *rng, float low, float high)
{
    return (float)(low + rng_unit(rng) * ((double)high - low));
}

/* Any bit pattern: subnormals, infinities and NaN among them. */
static inline float rng_any_float(struct rng *rng)
{
    const uint32_t bits = (uint32_t)(rng_next(rng) >> 32);
    float          value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline double rng_any_double(struct rng *rng)
{
    const uint64_t bits = rng_next(rng);
    double         value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Roughly normal, variance 1. */
static inline float rng_normal(struct rng *rng)
{
    double sum = -6;
    for (int i = 0; i < 12; i++) sum += rng_unit(rng);
    return (float)sum;
}

#endif
