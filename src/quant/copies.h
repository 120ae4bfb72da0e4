/* SPDX-License-Identifier: Apache-2.0
 * Channels with outliers, spread over several: a channel divided by s and repeated s times says the same to whoever adds
 * its copies up, and takes one s-th of the range. */
#ifndef QN_QUANT_COPIES_H
#define QN_QUANT_COPIES_H

#include <stddef.h>
#include <stdint.h>

/* Into copies[0 … n-1], each 1 or more and in all at most n + budget, such that the largest absmax / copies is least.
 * Returns that. */
float qn_copies_choose(const float *absmax, size_t n, size_t budget, uint32_t *copies);

#endif
