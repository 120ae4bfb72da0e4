/* SPDX-License-Identifier: Apache-2.0
 * What each ONNX element type is. Numbers are TensorProto.DataType's. */
#ifndef QN_ONNX_DTYPE_H
#define QN_ONNX_DTYPE_H

#include <stdbool.h>
#include <stdint.h>

#include "onnx.pb-c.h"

#define QN_FLOAT ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT
#define QN_UINT8 ONNX__TENSOR_PROTO__DATA_TYPE__UINT8
#define QN_INT8 ONNX__TENSOR_PROTO__DATA_TYPE__INT8
#define QN_INT32 ONNX__TENSOR_PROTO__DATA_TYPE__INT32
#define QN_INT64 ONNX__TENSOR_PROTO__DATA_TYPE__INT64
#define QN_BOOL ONNX__TENSOR_PROTO__DATA_TYPE__BOOL
#define QN_DOUBLE ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE
#define QN_FLOAT16 ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16
#define QN_BFLOAT16 ONNX__TENSOR_PROTO__DATA_TYPE__BFLOAT16

struct qn_dtype {
    int32_t     type;
    const char *name; /* as ONNX spells it, lower case: "float", "int8" */
    int         bits; /* of one element; 0 for strings */
    bool        is_float, is_signed;
    int         min_opset; /* of ai.onnx, for QuantizeLinear/DequantizeLinear codes; 0: never a code */
};

/* The row of a type, or NULL for one this library does not know. */
const struct qn_dtype *qn_dtype_find(int32_t type);
/* float16 or bfloat16. */
bool qn_dtype_is_half(int32_t type);
/* Its name, or "type 99" in a static per-thread buffer. */
const char *qn_dtype_name(int32_t type);

#endif
