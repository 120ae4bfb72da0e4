/* SPDX-License-Identifier: Apache-2.0
 * Symmetric ranges of weights that clip the largest where that makes less error in all. */
#ifndef QN_QUANT_WEIGHT_RANGE_H
#define QN_QUANT_WEIGHT_RANGE_H

#include "quant/pack.h"

enum qn_weight_range {
    QN_WEIGHT_MINMAX, /* nothing is clipped */
    QN_WEIGHT_MSE,    /* least squared error, by trial */
    QN_WEIGHT_OCTAV,  /* where clipping and even rounding errors balance, by fixed point */
    QN_WEIGHT_HQQ,    /* of blocks: by zero points that leave out large errors (blocks.h) */
};

/* absmax[c] of each channel, its largest magnitude, becomes the end of its range for codes up to ±steps. */
QONNX_MUST_CHECK qonnx_status qn_weight_ranges(const float *w, struct qn_layout layout, int32_t steps,
                                               enum qn_weight_range how, float *absmax, int threads, qonnx_error *err);

#endif
