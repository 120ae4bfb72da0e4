/* SPDX-License-Identifier: Apache-2.0
 * A second copy of a model's main graph, so that one can be edited while the other is still read. */
#ifndef QN_ONNX_FORK_H
#define QN_ONNX_FORK_H

#include "onnx/graph.h"

/* The model's graph becomes a copy whose nodes may be edited, and *fork is its index, with the ids of graphs built on
 * the old one; those go on reading the old one. Tensors and nested graphs are shared. */
QONNX_MUST_CHECK qonnx_status qn_graph_fork(struct qn_graph *fork, struct qn_model *model, qonnx_error *err);

#endif
