/* SPDX-License-Identifier: Apache-2.0 */
#ifndef QN_PLAN_WINDOW_H
#define QN_PLAN_WINDOW_H

#include "onnx/graph.h"
#include "quant/window.h"

/* How a Conv, Gemm or MatMul with constant weights reads its input; false for other nodes and odd attributes. */
bool qn_node_window(const struct qn_graph *graph, qn_node_id node, struct qn_window *window);

#endif
