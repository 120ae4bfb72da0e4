/* SPDX-License-Identifier: Apache-2.0
 * Inputs of layers that go together, as those behind a Relu do. */
#ifndef QN_TESTS_CORRELATED_H
#define QN_TESTS_CORRELATED_H

#include <math.h>
#include <stdlib.h>

#include "random.h"

/* Means of products of k inputs, [k][k], over so many samples; the first `dead` ones are always 0. The caller frees it. */
static inline double *correlated(struct rng *rng, size_t k, size_t samples, size_t dead)
{
    double *h = calloc(k * k, sizeof *h), *x = calloc(k, sizeof *x);

    for (size_t s = 0; s < samples; s++) {
        double common = rng_unit(rng), before = 0;
        for (size_t i = 0; i < k; i++) {
            before = 0.7 * before + (rng_unit(rng) - 0.5);
            x[i] = i < dead ? 0 : fmax(0, common + before);
        }
        for (size_t i = 0; i < k; i++)
            for (size_t j = 0; j < k; j++) h[i * k + j] += x[i] * x[j] / (double)samples;
    }
    free(x);
    return h;
}

#endif
