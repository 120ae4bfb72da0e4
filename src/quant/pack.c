/* SPDX-License-Identifier: Apache-2.0 */
#include "quant/pack.h"

#include <string.h>

qonnx_status qn_layout_init(struct qn_layout *layout, const int64_t *dims, size_t rank, int axis, qonnx_error *err)
{
    struct qn_layout made = { 1, 1, 1 };
    const int64_t    place = axis < 0 ? axis + (int64_t)rank : axis;
    size_t           total = 1;

    if (axis != QN_NO_AXIS && (place < 0 || place >= (int64_t)rank))
        return qn_fail(err, QONNX_E_FORMAT, "axis %d is outside a tensor of rank %zu", axis, rank);
    for (size_t i = 0; i < rank; i++) {
        size_t *part = axis == QN_NO_AXIS || (int64_t)i > place ? &made.inner
                       : (int64_t)i < place                     ? &made.outer
                                                                : &made.channels;
        if (dims[i] < 0) return qn_fail(err, QONNX_E_FORMAT, "dimension %zu is negative", i);
        if (__builtin_mul_overflow(*part, (uint64_t)dims[i], part)) total = SIZE_MAX;
    }
    if (total == SIZE_MAX || __builtin_mul_overflow(made.outer, made.channels, &total) ||
        __builtin_mul_overflow(total, made.inner, &total) || total > PTRDIFF_MAX / sizeof(float))
        return qn_fail(err, QONNX_E_LIMIT, "the product of the dimensions is too large");
    *layout = made;
    return QONNX_OK;
}

size_t qn_layout_count(struct qn_layout layout) { return layout.outer * layout.channels * layout.inner; }

void qn_pack(const struct qn_qtype *type, const void *codes, size_t count, void *bytes)
{
    const uint8_t *from = codes;
    uint8_t       *to = bytes;
    const size_t   per = (size_t)type->per_byte;
    const unsigned mask = (1u << type->bits % 32) - 1;

    if (per < 2) {
        if (count) memcpy(bytes, codes, count * type->code_size);
        return;
    }
    for (size_t i = 0; i < count; i += per) {
        const size_t some = count - i < per ? count - i : per;
        unsigned     byte = 0;
        for (size_t j = 0; j < some; j++) byte |= (from[i + j] & mask) << (j * (unsigned)type->bits);
        *to++ = (uint8_t)byte;
    }
}

void qn_unpack(const struct qn_qtype *type, const void *bytes, size_t count, void *codes)
{
    const uint8_t *from = bytes;
    uint8_t       *to = codes;
    const size_t   per = (size_t)type->per_byte;
    const unsigned mask = (1u << type->bits % 32) - 1, sign = type->is_signed ? 1u << (type->bits - 1) : 0;

    if (per < 2) {
        if (count) memcpy(codes, bytes, count * type->code_size);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const unsigned code = (unsigned)from[i / per] >> (i % per * (unsigned)type->bits) & mask;
        to[i] = (uint8_t)((code ^ sign) - sign); /* extends the sign */
    }
}
