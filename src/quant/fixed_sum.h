/* SPDX-License-Identifier: Apache-2.0
 * A sum of doubles that does not depend on the order in which they are added, in 32 bytes: for when there are too many
 * sums for exact_sum.h. Whatever is added counts in steps of 2^-112, cut off towards zero, and as no more than ±2^78;
 * 2^62 additions fit. */
#ifndef QN_QUANT_FIXED_SUM_H
#define QN_QUANT_FIXED_SUM_H

#include <stdint.h>

/* A number of 256 bits in two's complement, lowest limb first. All zero is the empty sum. */
struct qn_fixed_sum {
    uint64_t limb[4];
};

/* NaN adds nothing. */
void   qn_fixed_sum_add(struct qn_fixed_sum *sum, double value);
void   qn_fixed_sum_merge(struct qn_fixed_sum *sum, const struct qn_fixed_sum *other);
/* The sum in double; the last bit may be off by one. */
double qn_fixed_sum_value(const struct qn_fixed_sum *sum);

#endif
