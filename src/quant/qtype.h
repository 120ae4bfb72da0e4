/* SPDX-License-Identifier: Apache-2.0
 * The integer types that quantized values are stored in, and the integer ranges within them. */
#ifndef QN_QUANT_QTYPE_H
#define QN_QUANT_QTYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct qn_qtype {
    const char *name; /* as ONNX spells it: "int8" */
    int         bits;
    bool        is_signed;
    int32_t     lo, hi;         /* every code the storage can hold */
    int         onnx_type;      /* TensorProto.DataType */
    int         min_opset;      /* of ai.onnx, for QuantizeLinear/DequantizeLinear with one scale */
    int         min_opset_axis; /* the same with a scale per channel */
    int         per_byte;       /* codes packed into one byte: 1, 2 or 4; 0 for types wider than a byte */
    size_t      code_size;      /* bytes of one code before packing: 1, 2 or 4 */
    const struct qn_small_float *floating; /* a type of floats, which weights are stored in (small_float.h); NULL */
};

/* The i-th row of integers, NULL behind the last. */
const struct qn_qtype *qn_qtype_at(size_t i);
/* By name: also the types of floats, which nothing else here gives. */
const struct qn_qtype *qn_qtype_find(const char *name);
const struct qn_qtype *qn_qtype_by_onnx(int onnx_type);
/* The narrowest type that holds codes of that many bits (1 … 32) and signedness with at least `min_bits` of storage
 * (8 keeps 4-bit codes in int8); NULL when there is none: the only 32-bit type is signed. */
const struct qn_qtype *qn_qtype_for(int bits, bool is_signed, int min_bits);

/* Bytes that `count` codes take in a file, the last byte padded; SIZE_MAX on overflow. */
size_t qn_qtype_bytes(const struct qn_qtype *type, size_t count);

/* The integer range of a bit width. Narrow leaves out the lowest code of a signed range (so that it is symmetric) and
 * the highest of an unsigned one. False when there is no such range in int32 or it would hold fewer than two codes. */
bool qn_int_range(int bits, bool is_signed, bool narrow, int32_t *lo, int32_t *hi);

#endif
