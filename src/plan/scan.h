/* SPDX-License-Identifier: Apache-2.0
 * Looks at constants of any size without holding them: in slabs, on several threads, giving each span of a mapped file
 * back to the system behind it. */
#ifndef QN_PLAN_SCAN_H
#define QN_PLAN_SCAN_H

#include "onnx/model.h"
#include "quant/pack.h"

/* A checked tensor of floats, and how it lies. */
struct qn_scanned {
    const struct qn_model   *model;
    const Onnx__TensorProto *tensor;
    struct qn_layout         layout;
    int                      threads;
};

/* The largest magnitude of each channel, NaN passed over, unless `absmax` is NULL; *finite: there are neither NaN nor infinities. *power is the sum
 * of all squares, to some digits, or less. */
QONNX_MUST_CHECK qonnx_status qn_scan_absmax(const struct qn_scanned *scanned, float *absmax, bool *finite,
                                             double *power, qonnx_error *err);
/* As qn_quantization_error with the nearest codes; how many values are too large for a type of floats. */
QONNX_MUST_CHECK qonnx_status qn_scan_error(const struct qn_scanned *scanned, const struct qn_qparams *params,
                                            struct qn_error_sums *sums, size_t *clamped, qonnx_error *err);

#endif
