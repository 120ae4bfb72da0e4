/* SPDX-License-Identifier: Apache-2.0
 * How far apart two models' values of one output are. For compare.c. */
#ifndef QN_RUN_COMPARE_SUMS_H
#define QN_RUN_COMPARE_SUMS_H

#include "quant/exact_sum.h"
#include "run/compare.h"

/* Sums over all samples of one output; exact, so that no order of threads shows. */
struct qn_output_sums {
    uint64_t            elements, nonfinite, unequal, top1_count, top1_agree, finite;
    struct qn_exact_sum signal, noise, dot, second, absolute;
    double              max_error, sqnr_min; /* of the worst sample */
    int32_t             dtype;
};
void                          qn_sums_init(struct qn_output_sums *sums);
/* Adds one sample. E_DATA when the two differ in type or shape. */
QONNX_MUST_CHECK qonnx_status qn_sums_add(struct qn_output_sums *sums, const struct qn_view *x, const struct qn_view *y,
                                          qonnx_error *err);
void                          qn_sums_merge(struct qn_output_sums *into, const struct qn_output_sums *from);
/* Fills all but the name. */
void                          qn_sums_finish(struct qn_output_comparison *output, const struct qn_output_sums *sums);

/* Floats of any width. */
bool qn_is_real(int32_t type);

#endif
