/* SPDX-License-Identifier: Apache-2.0
 * Integer constants: their codes, and the float values that these stand for. */
#include <math.h>
#include <string.h>

#include "lift/lifter.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"
#include "quant/pack.h"

/* The bytes that raw_data would hold, from the typed field: each number there is one code, or one byte of packed ones. */
static const void *raw_of_typed(const Onnx__TensorProto *tensor, struct qn_arena *arena, const struct qn_qtype *type)
{
    size_t   size = type->per_byte > 1 ? 1 : type->code_size;
    uint8_t *bytes = qn_arena_array(arena, tensor->n_int32_data, size);

    for (size_t i = 0; bytes && i < tensor->n_int32_data; i++)
        memcpy(bytes + i * size, &tensor->int32_data[i], size); /* little-endian */
    return bytes;
}

const void *qn_codes_of(const Onnx__TensorProto *tensor, struct qn_arena *arena, const struct qn_qtype **type,
                        size_t *count)
{
    const void *raw;
    void       *codes;

    *type = qn_qtype_by_onnx(tensor->data_type);
    if (!*type || qn_tensor_check(tensor, NULL) != QONNX_OK || qn_tensor_count(tensor, count, NULL) != QONNX_OK)
        return NULL;
    raw = tensor->has_raw_data ? tensor->raw_data.data : raw_of_typed(tensor, arena, *type);
    if (!raw && *count) return NULL;
    if ((*type)->code_size == 1 && (*type)->per_byte == 1 && raw) return raw;
    codes = qn_arena_array(arena, *count ? *count : 1, (*type)->code_size); /* raw data have no alignment */
    if (codes && *count) qn_unpack(*type, raw, *count, codes);
    return codes;
}

int32_t qn_code_at(const struct qn_qtype *type, const void *codes, size_t i)
{
    if (type->code_size == 4) return ((const int32_t *)codes)[i];
    if (type->code_size == 2) return type->is_signed ? ((const int16_t *)codes)[i] : ((const uint16_t *)codes)[i];
    return type->is_signed ? ((const int8_t *)codes)[i] : ((const uint8_t *)codes)[i];
}

/* The same codes cut to lo … hi; a copy only where that changes something. */
static const void *cut(const struct qn_qtype *type, const void *codes, size_t count, int32_t lo, int32_t hi,
                       struct qn_arena *arena)
{
    uint8_t *copy = NULL;

    for (size_t i = 0; i < count; i++) {
        int32_t code = qn_code_at(type, codes, i), kept = code < lo ? lo : code > hi ? hi : code;
        if (kept == code) continue;
        if (!copy && !(copy = (uint8_t *)qn_arena_memdup(arena, codes, count * type->code_size))) return NULL;
        memcpy(copy + i * type->code_size, &kept, type->code_size); /* little-endian */
    }
    return copy ? copy : codes;
}

const void *qn_item_codes(struct qn_lifter *l, const struct qn_item *item, size_t *count)
{
    const struct qn_qtype *type;
    const void            *codes = qn_codes_of(item->codes, l->arena, &type, count);

    return codes ? cut(type, codes, *count, item->clip_lo, item->clip_hi, l->arena) : NULL;
}

static int threads(const struct qn_lifter *l)
{
    return qn_settings_threads(l->settings);
}

qonnx_status qn_item_values(struct qn_lifter *l, const struct qn_item *item, Onnx__TensorProto **tensor)
{
    const struct qn_qparams *qp = &item->grid->qp;
    struct qn_layout         layout;
    size_t                   count;
    const void              *codes = qn_item_codes(l, item, &count);
    float                   *values;

    if (!codes) return qn_fail_nomem(l->err);
    QN_TRY(
        qn_layout_init(&layout, item->codes->dims, item->codes->n_dims, qp->axis < 0 ? QN_NO_AXIS : qp->axis, l->err));
    if (!(values = qn_arena_array(&l->graph->model->arena, count, sizeof *values))) return qn_fail_nomem(l->err);
    QN_TRY(qn_dequantize(codes, layout, qp, values, threads(l), l->err));
    *tensor = qn_tensor_new(&l->graph->model->arena, item->name, QN_FLOAT, item->codes->n_dims, item->codes->dims,
                            values, count * sizeof *values);
    return *tensor ? QONNX_OK : qn_fail_nomem(l->err);
}

/* Whether an int32 code stands for exactly x, as DequantizeLinear computes it. */
static bool stands_for(int64_t code, float scale, float x) { return (float)code * scale == x; }

/* Codes of more than 24 bits are lost in a float quotient, though the code that x was made from may still be found. */
static int32_t wide_code(float x, float scale, const struct qn_qparams *qp)
{
    float   quotient = x / scale;
    int64_t code;

    if (isnan(quotient)) return 0;
    if (!(fabsf(quotient) < 0x1p31f)) return quotient < 0 ? qp->lo : qp->hi;
    code = (int64_t)rintf(quotient);
    for (int64_t step = 0; step < 3 && fabsf(quotient) >= 0x1p22f; step++) {
        int64_t exact = llrint((double)x / (double)scale);
        if (stands_for(exact + step, scale, x)) return (int32_t)(exact + step > qp->hi ? qp->hi : exact + step);
        if (stands_for(exact - step, scale, x)) return (int32_t)(exact - step < qp->lo ? qp->lo : exact - step);
    }
    return (int32_t)(code < qp->lo ? qp->lo : code > qp->hi ? qp->hi : code);
}

/* Codes written beside the values are right as long as nobody has changed these. */
static bool take_wide_codes(const struct qn_item *item, const float *x, size_t count, int32_t *codes)
{
    const struct qn_qparams *qp = &item->grid->qp;

    if (!item->wide_codes || item->wide_count != count || (qp->count != 1 && qp->count != count)) return false;
    for (size_t i = 0; i < count; i++) {
        if (item->wide_codes[i] < qp->lo || item->wide_codes[i] > qp->hi ||
            !stands_for(item->wide_codes[i], qp->scale[qp->count == 1 ? 0 : i], x[i]))
            return false;
        codes[i] = (int32_t)item->wide_codes[i];
    }
    return true;
}

qonnx_status qn_codes_from_floats(struct qn_lifter *l, const Onnx__TensorProto *tensor, const struct qn_item *item,
                                  void **codes)
{
    const struct qn_grid *grid = item->grid;
    struct qn_layout      layout;
    const float          *x;
    size_t                count;
    bool                  shifted = false;

    QN_TRY(qn_tensor_floats(tensor, &l->scratch, &x, &count, l->err));
    QN_TRY(
        qn_layout_init(&layout, tensor->dims, tensor->n_dims, grid->qp.axis < 0 ? QN_NO_AXIS : grid->qp.axis, l->err));
    if (grid->qp.count != 1 && grid->qp.count != layout.channels)
        return qn_fail(l->err, QONNX_E_FORMAT, "%zu scales for %zu channels", grid->qp.count, layout.channels);
    if (!(*codes = qn_arena_array(l->arena, count, grid->qp.type->code_size))) return qn_fail_nomem(l->err);
    for (size_t i = 0; i < grid->qp.count; i++) shifted |= grid->qp.zero_point[i] != 0;
    if (grid->qp.type->code_size < 4 || shifted)
        return qn_quantize(x, layout, &grid->qp, grid->shift_first ? QN_SHIFT_THEN_ROUND : QN_ROUND_THEN_SHIFT, *codes,
                           threads(l), l->err);
    if (take_wide_codes(item, x, count, *codes)) return QONNX_OK;
    for (size_t i = 0; i < count; i++)
        ((int32_t *)*codes)[i] =
            wide_code(x[i], grid->qp.scale[grid->qp.count == 1 ? 0 : i / layout.inner % layout.channels], &grid->qp);
    return QONNX_OK;
}
