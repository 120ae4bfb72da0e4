/* SPDX-License-Identifier: Apache-2.0
 * Second-order rounding (form.h) of weights in blocks: the scale of a block is found when its turn comes, for what its
 * weights have become by making up for the errors of those before. */
#ifndef QN_QUANT_BLOCK_ROUND_H
#define QN_QUANT_BLOCK_ROUND_H

#include "quant/blocks.h"
#include "quant/form.h"

/* Room for the result. */
struct qn_block_rounded {
    float               *scale;       /* [outputs][blocks] */
    uint8_t             *zero;        /* the same, one a byte; NULL: symmetric */
    uint8_t             *codes;       /* packed, as struct qn_matrix has them */
    struct qn_error_sums lost;        /* by the weights themselves */
    double               given, left; /* what outputs lose, by the form: with nearest codes, and now */
    const double        *mean;  /* of the inputs; may be NULL, or else: */
    double              *shift; /* by output: what its codes take from its mean */
};

/* The form's variables are the matrix's depth. */
QONNX_MUST_CHECK qonnx_status qn_block_round(const struct qn_form *form, const struct qn_matrix *matrix,
                                             const struct qn_block_form *blocks, struct qn_block_rounded *rounded,
                                             int threads, qonnx_error *err);

#endif
