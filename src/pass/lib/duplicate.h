/* SPDX-License-Identifier: Apache-2.0
 * Repeating channels of what MatMul and Gemm read. */
#ifndef QN_PASS_LIB_DUPLICATE_H
#define QN_PASS_LIB_DUPLICATE_H

#include "onnx/edit.h"

struct qn_duplicate {
    qn_value_id       value;
    const qn_node_id *layers; /* MatMul or Gemm (not transA) by a constant matrix, which read it as their first input */
    size_t            layer_count, channels;
    const uint32_t   *copies; /* of each channel on the last axis */
};

/* Results of the Mul, the Gather and the Concat. */
struct qn_duplicated {
    const char *shared, *repeats, *all;
};

/* Queues that the layers read Concat(y, Gather(y, …)) with y = Mul(value, 1 / copies) instead, their weights having a row
 * for each copy: the same result. Other readers keep the value. */
QONNX_MUST_CHECK qonnx_status qn_pass_duplicate(const struct qn_graph *graph, struct qn_edit *edit,
                                                const struct qn_duplicate *what, struct qn_duplicated *names,
                                                qonnx_error *err);

#endif
