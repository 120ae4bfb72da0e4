/* SPDX-License-Identifier: Apache-2.0 */
#include "onnx/dtype.h"

#include <stdio.h>

#define T(name) ONNX__TENSOR_PROTO__DATA_TYPE__##name

/*    type              name              bits float  signed opset */
static const struct qn_dtype table[] = {
    { T(FLOAT), "float", 32, true, true, 0 },
    { T(UINT8), "uint8", 8, false, false, 10 },
    { T(INT8), "int8", 8, false, true, 10 },
    { T(UINT16), "uint16", 16, false, false, 21 },
    { T(INT16), "int16", 16, false, true, 21 },
    { T(INT32), "int32", 32, false, true, 10 },
    { T(INT64), "int64", 64, false, true, 0 },
    { T(STRING), "string", 0, false, false, 0 },
    { T(BOOL), "bool", 8, false, false, 0 },
    { T(FLOAT16), "float16", 16, true, true, 0 },
    { T(DOUBLE), "double", 64, true, true, 0 },
    { T(UINT32), "uint32", 32, false, false, 0 },
    { T(UINT64), "uint64", 64, false, false, 0 },
    { T(COMPLEX64), "complex64", 64, false, true, 0 },
    { T(COMPLEX128), "complex128", 128, false, true, 0 },
    { T(BFLOAT16), "bfloat16", 16, true, true, 0 },
    { T(FLOAT8E4M3FN), "float8e4m3fn", 8, true, true, 19 },
    { T(FLOAT8E4M3FNUZ), "float8e4m3fnuz", 8, true, true, 19 },
    { T(FLOAT8E5M2), "float8e5m2", 8, true, true, 19 },
    { T(FLOAT8E5M2FNUZ), "float8e5m2fnuz", 8, true, true, 19 },
    { T(UINT4), "uint4", 4, false, false, 21 },
    { T(INT4), "int4", 4, false, true, 21 },
    { T(FLOAT4E2M1), "float4e2m1", 4, true, true, 23 },
    { T(FLOAT8E8M0), "float8e8m0", 8, true, false, 0 },
    { T(UINT2), "uint2", 2, false, false, 25 },
    { T(INT2), "int2", 2, false, true, 25 },
};

const struct qn_dtype *qn_dtype_find(int32_t type)
{
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if ((int32_t)table[i].type == type) return &table[i];
    return NULL;
}

bool qn_dtype_is_half(int32_t type) { return type == QN_FLOAT16 || type == QN_BFLOAT16; }

const char *qn_dtype_name(int32_t type)
{
    static _Thread_local char unknown[24];
    const struct qn_dtype    *row = qn_dtype_find(type);

    if (row) return row->name;
    snprintf(unknown, sizeof unknown, "type %d", (int)type);
    return unknown;
}
