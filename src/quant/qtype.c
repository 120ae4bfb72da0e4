/* SPDX-License-Identifier: Apache-2.0 */
#include "quant/qtype.h"

#include <string.h>

#include "quant/small_float.h"

/* clang-format off */
/* name, bits, signed, codes from and to, number in ONNX, opset with one scale and with several, codes per byte, bytes */
static const struct qn_qtype types[] = {
    { "int8",   8,  true,  INT8_MIN,  INT8_MAX,   3,  10, 13, 1, 1, NULL },
    { "uint8",  8,  false, 0,         UINT8_MAX,  2,  10, 13, 1, 1, NULL },
    { "int16",  16, true,  INT16_MIN, INT16_MAX,  5,  21, 21, 0, 2, NULL },
    { "uint16", 16, false, 0,         UINT16_MAX, 4,  21, 21, 0, 2, NULL },
    { "int32",  32, true,  INT32_MIN, INT32_MAX,  6,  10, 13, 0, 4, NULL },
    { "int4",   4,  true,  -8,        7,          22, 21, 21, 2, 1, NULL },
    { "uint4",  4,  false, 0,         15,         21, 21, 21, 2, 1, NULL },
    { "int2",   2,  true,  -2,        1,          26, 25, 25, 4, 1, NULL },
    { "uint2",  2,  false, 0,         3,          25, 25, 25, 4, 1, NULL },
};
static const struct qn_qtype floats[] = {
    { "float16",      16, true, INT16_MIN, INT16_MAX, 10, 13, 13, 0, 2, &qn_float16 },
    { "bfloat16",     16, true, INT16_MIN, INT16_MAX, 16, 13, 13, 0, 2, &qn_bfloat16 },
    { "float8e4m3fn", 8,  true, INT8_MIN,  INT8_MAX,  17, 19, 19, 1, 1, &qn_float8e4m3fn },
};
/* clang-format on */

enum { TYPE_COUNT = sizeof types / sizeof types[0] };

const struct qn_qtype *qn_qtype_at(size_t i) { return i < TYPE_COUNT ? &types[i] : NULL; }

const struct qn_qtype *qn_qtype_find(const char *name)
{
    for (size_t i = 0; i < TYPE_COUNT; i++)
        if (!strcmp(types[i].name, name)) return &types[i];
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++)
        if (!strcmp(floats[i].name, name)) return &floats[i];
    return NULL;
}

const struct qn_qtype *qn_qtype_by_onnx(int onnx_type)
{
    for (size_t i = 0; i < TYPE_COUNT; i++)
        if (types[i].onnx_type == onnx_type) return &types[i];
    return NULL;
}

const struct qn_qtype *qn_qtype_for(int bits, bool is_signed, int min_bits)
{
    const struct qn_qtype *best = NULL;

    if (bits < 1) return NULL;
    for (size_t i = 0; i < TYPE_COUNT; i++) {
        const struct qn_qtype *type = &types[i];
        if (type->is_signed != is_signed || type->bits < bits || type->bits < min_bits) continue;
        if (!best || type->bits < best->bits) best = type;
    }
    return best;
}

size_t qn_qtype_bytes(const struct qn_qtype *type, size_t count)
{
    size_t bytes;

    if (type->per_byte) return count / (size_t)type->per_byte + (count % (size_t)type->per_byte != 0);
    return __builtin_mul_overflow(count, type->code_size, &bytes) ? SIZE_MAX : bytes;
}

bool qn_int_range(int bits, bool is_signed, bool narrow, int32_t *lo, int32_t *hi)
{
    int64_t low, high;

    if (bits < 1 || bits > (is_signed ? 32 : 31)) return false;
    low = is_signed ? -(INT64_C(1) << (bits - 1)) + narrow : 0;
    high = is_signed ? (INT64_C(1) << (bits - 1)) - 1 : (INT64_C(1) << bits) - 1 - narrow;
    if (low >= high) return false;
    *lo = (int32_t)low;
    *hi = (int32_t)high;
    return true;
}
