/* SPDX-License-Identifier: Apache-2.0
 * Exact order statistics without sorting or copying. */
#ifndef QN_QUANT_ORDER_H
#define QN_QUANT_ORDER_H

#include "quant/pack.h"

/* The k-th smallest, from 1, of the ordinary values (finite, |x| < QN_MASKED_FROM) of one channel, or of their
 * magnitudes. k must lie in 1 … their number. Three passes over the channel. */
float qn_order_statistic(const float *x, struct qn_layout layout, size_t channel, bool magnitude, uint64_t k);

#endif
