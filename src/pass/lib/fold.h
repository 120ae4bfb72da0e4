/* SPDX-License-Identifier: Apache-2.0
 * Evaluation of the few cheap operators that exporters put between a weight and its user. */
#ifndef QN_PASS_LIB_FOLD_H
#define QN_PASS_LIB_FOLD_H

#include "onnx/graph.h"

/* The tensor a Constant node holds, under its output's name; NULL for strings, sparse tensors and malformed nodes. The
 * data are shared with the attribute. */
Onnx__TensorProto *qn_fold_constant(const Onnx__NodeProto *node, struct qn_arena *arena);

/* The result of Cast, Reshape, Squeeze, Unsqueeze, Flatten or Transpose on constants, named as the node's output; NULL
 * when the operator is another one or the result is not defined. `second` is the constant behind input 1, NULL if there
 * is none. Data are shared where the operator does not move them; new data and the tensor are in the arena. */
Onnx__TensorProto *qn_fold(const Onnx__NodeProto *node, const Onnx__TensorProto *x, const Onnx__TensorProto *second,
                           struct qn_arena *arena);

#endif
