/* SPDX-License-Identifier: Apache-2.0
 * A sum of doubles without rounding, so that it does not depend on the order in which samples, threads or machines
 * add to it. A fixed-point number wide enough for every finite double and 2^62 additions. */
#ifndef QN_QUANT_EXACT_SUM_H
#define QN_QUANT_EXACT_SUM_H

#include <stdbool.h>
#include <stdint.h>

enum { QN_EXACT_DIGITS = 68 };

/* All zero is the empty sum. The value is the sum of digit[i] * 2^(32 i - 1088), unless special is set. */
struct qn_exact_sum {
    int64_t  digit[QN_EXACT_DIGITS];
    uint32_t pending; /* additions since carries were last moved up */
    uint32_t special; /* 1: +inf was added, 2: -inf, 4: NaN; kept apart because they have no digits */
};

void   qn_exact_sum_add(struct qn_exact_sum *sum, double value);
void   qn_exact_sum_merge(struct qn_exact_sum *sum, const struct qn_exact_sum *other);
/* Brings the digits to their one normal form (all but the last in 0 … 2^32-1): equal sums are then equal bytes. */
void   qn_exact_sum_normalize(struct qn_exact_sum *sum);
/* The sum rounded once, half to even; infinite on overflow. */
double qn_exact_sum_value(const struct qn_exact_sum *sum);

#endif
