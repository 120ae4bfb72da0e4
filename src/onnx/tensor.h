/* SPDX-License-Identifier: Apache-2.0
 * Typed access to TensorProto, whichever of its fields holds the data. */
#ifndef QN_ONNX_TENSOR_H
#define QN_ONNX_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "onnx.pb-c.h"

/* Number of elements; E_FORMAT for negative dims, E_LIMIT when the product overflows. Rank 0 has one element. */
QONNX_MUST_CHECK qonnx_status qn_tensor_count(const Onnx__TensorProto *tensor, size_t *count, qonnx_error *err);
/* Checks type, dims, and that the data field holds exactly as many elements as dims say. */
QONNX_MUST_CHECK qonnx_status qn_tensor_check(const Onnx__TensorProto *tensor, qonnx_error *err);

/* The elements as float. Points into the tensor when it holds aligned float data, else at a converted copy in the arena
 * (double, float16, bfloat16 and the integer types convert). */
QONNX_MUST_CHECK qonnx_status qn_tensor_floats(const Onnx__TensorProto *tensor, struct qn_arena *arena, const float **values, size_t *count, qonnx_error *err);
/* Elements first … first+count-1, which it has, of a checked tensor; false for a type that cannot be read as float. */
bool qn_tensor_float_part(const Onnx__TensorProto *tensor, size_t first, size_t count, float *values);
/* The elements of an integer or bool tensor as int64, in the arena. */
QONNX_MUST_CHECK qonnx_status qn_tensor_ints(const Onnx__TensorProto *tensor, struct qn_arena *arena, const int64_t **values, size_t *count, qonnx_error *err);

/* A float32 tensor in float16 or bfloat16, if that holds every value of it exactly (NaN never); else, or when memory is
 * out, NULL. */
Onnx__TensorProto *qn_tensor_narrowed(const Onnx__TensorProto *tensor, int32_t half, struct qn_arena *arena);

/* New tensors, all in the arena (NULL after an arena failure). Bytes are not copied: they must outlive the tensor. */
Onnx__TensorProto *qn_tensor_new(struct qn_arena *arena, const char *name, int32_t type, size_t rank, const int64_t *dims, const void *bytes, size_t size);
Onnx__TensorProto *qn_tensor_float_scalar(struct qn_arena *arena, const char *name, float value);
Onnx__TensorProto *qn_tensor_int64_vector(struct qn_arena *arena, const char *name, size_t count, const int64_t *values);

#endif
