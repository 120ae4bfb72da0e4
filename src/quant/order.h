/* SPDX-License-Identifier: Apache-2.0
 * Exact order statistics without sorting or copying. */
#ifndef QN_QUANT_ORDER_H
#define QN_QUANT_ORDER_H

#include "quant/pack.h"

/* The k-th smallest, from 1, of the ordinary values (finite, |x| < QN_MASKED_FROM) of one channel, or of their
 * magnitudes. There are n such values and k is one of 1 … n. One pass over the channel for ranks near an end, else
 * three. */
float qn_order_statistic(const float *x, struct qn_layout layout, size_t channel, bool magnitude, uint64_t k,
                         uint64_t n);

#endif
