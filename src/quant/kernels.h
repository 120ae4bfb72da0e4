/* SPDX-License-Identifier: Apache-2.0
 * The loops observers spend their time in. Results do not depend on the instruction set: sums are formed in a fixed
 * number of lanes that are added in a fixed order. */
#ifndef QN_QUANT_KERNELS_H
#define QN_QUANT_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Magnitudes from here on stand for "never" (attention masks hold -1e38 or the lowest float): they are counted but set
 * no range and enter no sum. */
#define QN_MASKED_FROM 1e30f

enum { QN_SCAN_BLOCK = 4096, QN_LANES = 64 };

struct qn_scan {
    float    min, max; /* of ordinary values: neither NaN, infinite nor masked; min > max when there are none */
    uint64_t nan, inf, masked;
    uint64_t summed; /* ordinary values in the blocks that were summed; over them: */
    uint64_t zeros;
    double   sum, sum2; /* of the values and of their squares */
};

/* One pass over n values. Of the blocks of QN_SCAN_BLOCK values the first, and then each `every`-th, are summed too,
 * which takes twice as long as the rest; 1 sums all, 0 none. */
void qn_scan(const float *x, size_t n, size_t every, struct qn_scan *out);

/* y[i] = a[i] + b[i], where it is negative 0 if it is to be cut. */
void qn_add(const float *a, const float *b, size_t n, bool cut, float *y);

/* What values lie between, in so many lanes: value i of a step is in lane i. */
struct qn_ends {
    float    min[QN_LANES], max[QN_LANES]; /* mean nothing when a value was not ordinary, as does: */
    float    pair[QN_LANES / 2];           /* the largest sum of the values in lanes 2 i and 2 i + 1 */
    uint32_t top[QN_LANES];                /* the greatest magnitude, as bits */
};

/* To about four digits; not finite where a value is not, or its square. */
float qn_sum_squares(const float *x, size_t n);

void qn_ends_init(struct qn_ends *ends);
/* Steps of QN_LANES values each, of which the next begins `stride` values after the last. */
void qn_ends_scan(const float *x, size_t stride, size_t steps, struct qn_ends *ends);
void qn_ends_pairs(const float *x, size_t stride, size_t steps, struct qn_ends *ends);
/* The lower or greater of each two. */
void qn_take_lower(float *into, const float *from, size_t n);
void qn_take_upper(float *into, const float *from, size_t n);
/* Not all were ordinary. */
bool qn_ends_odd(const struct qn_ends *ends);
/* Lane i takes over what lanes i + width, i + 2 * width … below width * count hold; and so do pairs, if width is even. */
void qn_ends_fold(struct qn_ends *ends, size_t width, size_t count);

#endif
