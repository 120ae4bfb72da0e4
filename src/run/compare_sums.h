/* SPDX-License-Identifier: Apache-2.0
 * How far apart two models' values of one output are. For compare.c. */
#ifndef QN_RUN_COMPARE_SUMS_H
#define QN_RUN_COMPARE_SUMS_H

#include "quant/exact_sum.h"
#include "run/compare.h"

/* Sums over all samples of one output; exact, so that no order of threads shows. */
struct qn_output_sums {
    uint64_t               elements, nonfinite, unequal, top1_count, top1_agree, finite;
    uint64_t               top_agree[QN_TOP_MOST];
    struct qn_exact_sum    signal, noise, dot, second, absolute, magnitude;
    double                 max_error, sqnr_min; /* of the worst sample */
    struct qn_worst_sample worst[QN_WORST_MOST];
    size_t                 worst_count;
    const size_t          *top;
    size_t                 top_count;
    int32_t                dtype;
};
/* `top` must outlive the sums. */
void                          qn_sums_init(struct qn_output_sums *sums, const size_t *top, size_t top_count);
/* Adds the sample at a position. E_DATA when the two differ in type or shape. */
QONNX_MUST_CHECK qonnx_status qn_sums_add(struct qn_output_sums *sums, size_t position, const struct qn_view *x,
                                          const struct qn_view *y, qonnx_error *err);
void                          qn_sums_merge(struct qn_output_sums *into, const struct qn_output_sums *from);
/* Fills all but the name. */
void                          qn_sums_finish(struct qn_output_comparison *output, const struct qn_output_sums *sums);

/* Floats of any width. */
bool qn_is_real(int32_t type);

#endif
