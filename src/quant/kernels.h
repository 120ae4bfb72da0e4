/* SPDX-License-Identifier: Apache-2.0
 * The loops observers spend their time in. Results do not depend on the instruction set: sums are formed in a fixed
 * number of lanes that are added in a fixed order. */
#ifndef QN_QUANT_KERNELS_H
#define QN_QUANT_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* Magnitudes from here on stand for "never" (attention masks hold -1e38 or the lowest float): they are counted but set
 * no range and enter no sum. */
#define QN_MASKED_FROM 1e30f

struct qn_scan {
    float    min, max; /* of ordinary values: neither NaN, infinite nor masked; min > max when there are none */
    uint64_t nan, inf, masked, zeros;
    double   sum, sum2; /* of ordinary values and of their squares */
};

/* One pass over n values. */
void qn_scan(const float *x, size_t n, struct qn_scan *out);
/* The same without zeros and sums (left 0), for where only the range is wanted. */
void qn_scan_range(const float *x, size_t n, struct qn_scan *out);

#endif
