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

enum { QN_SCAN_BLOCK = 4096 };

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

#endif
