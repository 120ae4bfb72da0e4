/* SPDX-License-Identifier: Apache-2.0
 * Evaluation of the few cheap operators that exporters put between a weight and its user. */
#ifndef QN_PASS_LIB_FOLD_H
#define QN_PASS_LIB_FOLD_H

#include "onnx/graph.h"

/* The tensor a Constant node holds, under its output's name; NULL for strings, sparse tensors and malformed nodes. The
 * data are shared with the attribute. */
Onnx__TensorProto *qn_fold_constant(const Onnx__NodeProto *node, struct qn_arena *arena);

/* The result of one of the cheap operators below on constants, named as the node's output; NULL when the operator is
 * another one or the result is not defined. `inputs` has one entry for each of the node's: the constant, or NULL for an
 * input that is absent or not constant. Data are shared where the operator does not move them; new data and the tensor
 * are in the arena.
 *
 * Cast, Reshape, Squeeze, Unsqueeze, Flatten, Transpose. */
Onnx__TensorProto *qn_fold(const Onnx__NodeProto *node, const Onnx__TensorProto *const *inputs, struct qn_arena *arena);
/* These and Add, Sub, Mul, Div, Neg, Reciprocal, Sqrt of float32, unless the result is larger than all that it is made of; Concat, Slice. */
Onnx__TensorProto *qn_fold_values(const Onnx__NodeProto *node, const Onnx__TensorProto *const *inputs, struct qn_arena *arena);

/* For fold*.c: the elements as bytes in memory order, whichever field holds them; NULL for strings and types below a byte. */
const uint8_t *qn_fold_bytes(const Onnx__TensorProto *x, size_t *width);

#endif
