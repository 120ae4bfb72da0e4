/* SPDX-License-Identifier: Apache-2.0
 * Pseudo-random numbers that are the same everywhere: splitmix64 (Steele, Lea, Flood 2014). */
#ifndef QN_RUN_RANDOM_H
#define QN_RUN_RANDOM_H

#include <stdint.h>

struct qn_random {
    uint64_t state;
};

static inline void qn_random_seed(struct qn_random *random, uint64_t seed) { random->state = seed; }

static inline uint64_t qn_random_next(struct qn_random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* In 0 ... limit-1; limit > 0. The bias of the remainder is below limit / 2^64. */
static inline uint64_t qn_random_below(struct qn_random *random, uint64_t limit)
{
    return qn_random_next(random) % limit;
}

/* In (0, 1). */
static inline double qn_random_unit(struct qn_random *random)
{
    return ((double)(qn_random_next(random) >> 11) + 0.5) / 9007199254740992.0;
}

#endif
