/* SPDX-License-Identifier: Apache-2.0
 * What must hold of a model before it is used and after each commit: single assignment, order, no duplicate names, sizes
 * of initializers, opset imports present, types, axes and values of QuantizeLinear / DequantizeLinear. */
#ifndef QN_ONNX_CHECK_H
#define QN_ONNX_CHECK_H

#include "onnx/graph.h"

/* E_FORMAT (or E_LIMIT, E_UNSUPPORTED) with the node or tensor named. Nested graphs are checked with their scopes. */
QONNX_MUST_CHECK qonnx_status qn_check(const struct qn_graph *graph, qonnx_error *err);

#endif
