/* SPDX-License-Identifier: Apache-2.0
 * Quantizers as the formats write them. */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "lift/lifter.h"
#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"

static const char *domain_of(const struct qn_graph *graph, qn_node_id n)
{
    const char *domain = graph->pb->node[n]->domain;
    return domain ? domain : "";
}

bool qn_lift_is(const struct qn_graph *graph, qn_node_id n, const char *op)
{
    if (strcmp(graph->pb->node[n]->op_type, op) != 0) return false;
    return qn_node_is(graph, n, op) || strcmp(domain_of(graph, n), "com.microsoft") == 0;
}

bool qn_lift_is_qonnx(const struct qn_graph *graph, qn_node_id n)
{
    static const char *const domains[] = { "qonnx.custom_op.general", "finn.custom_op.general", "onnx.brevitas" };

    for (size_t i = 0; i < sizeof domains / sizeof *domains; i++)
        if (strcmp(domain_of(graph, n), domains[i]) == 0) return true;
    return false;
}

/* ---- comparing ---- */

bool qn_same_numbers(const struct qn_qparams *a, const struct qn_qparams *b)
{
    return a->type == b->type && a->axis == b->axis && a->count == b->count &&
           memcmp(a->scale, b->scale, a->count * sizeof *a->scale) == 0 &&
           memcmp(a->zero_point, b->zero_point, a->count * sizeof *a->zero_point) == 0;
}

bool qn_same_grid(const struct qn_grid *a, const struct qn_grid *b)
{
    return a == b || (a->qp.lo == b->qp.lo && a->qp.hi == b->qp.hi && a->shift_first == b->shift_first &&
                      qn_same_numbers(&a->qp, &b->qp));
}

/* ---- building ---- */

static struct qn_grid *new_grid(struct qn_lifter *l, const struct qn_qtype *type, int bits, bool narrow, size_t count)
{
    struct qn_grid *grid = qn_arena_alloc(l->arena, sizeof *grid);

    if (!grid || qn_qparams_init(&grid->qp, l->arena, type, bits, narrow, -1, count, NULL) != QONNX_OK) return NULL;
    return grid;
}

static const char *set_scales(struct qn_lifter *l, struct qn_grid *grid, const Onnx__TensorProto *scale)
{
    const float *values;
    size_t       count;

    if (qn_tensor_floats(scale, &l->scratch, &values, &count, NULL) != QONNX_OK || count != grid->qp.count)
        return "its scale cannot be read";
    for (size_t i = 0; i < count; i++) {
        if (!(values[i] > 0) || !isnormal(values[i])) return "a scale is not a positive, normal and finite number";
        grid->qp.scale[i] = values[i];
    }
    return NULL;
}

struct qn_grid *qn_grid_cut(struct qn_lifter *l, const struct qn_grid *grid, int32_t lo, int32_t hi)
{
    struct qn_grid *cut = qn_arena_alloc(l->arena, sizeof *cut);

    if (!cut) return NULL;
    *cut = *grid;
    if (lo > cut->qp.lo) cut->qp.lo = lo;
    if (hi < cut->qp.hi) cut->qp.hi = hi;
    for (int bits = cut->qp.type->bits; bits > 1; bits--)
        for (int narrow = 0; narrow < 2; narrow++) {
            int32_t low, high;
            if (!qn_int_range(bits, cut->qp.is_signed, narrow, &low, &high) || low != cut->qp.lo || high != cut->qp.hi)
                continue;
            cut->qp.bits = bits;
            cut->qp.narrow = narrow;
            return cut;
        }
    return NULL;
}

/* ---- QuantizeLinear and DequantizeLinear ---- */

static const char *set_zero_points(struct qn_lifter *l, struct qn_grid *grid, const Onnx__TensorProto *zero)
{
    const struct qn_qtype *type;
    size_t                 count;
    const void            *codes;

    if (!zero) return NULL;
    if (!(codes = qn_codes_of(zero, &l->scratch, &type, &count))) return "its zero point cannot be read";
    if (count != 1 && count != grid->qp.count) return "scale and zero point differ in shape";
    for (size_t i = 0; i < grid->qp.count; i++) grid->qp.zero_point[i] = qn_code_at(type, codes, count == 1 ? 0 : i);
    return NULL;
}

static const char *set_axis(const struct qn_lifter *l, qn_node_id n, struct qn_grid *grid)
{
    const Onnx__NodeProto *pb = l->graph->pb->node[n];
    qn_value_id            x = qn_node_input(l->graph, n, 0);
    const struct qn_value *value = x == QN_NONE ? NULL : &l->graph->values[x];
    int64_t                axis = qn_attr_int(pb, "axis", 1);

    if (grid->qp.count == 1) return NULL;
    if (axis < 0 && (!value || value->rank < 0)) return "its axis counts from the end of a tensor of unknown rank";
    if (axis < 0) axis += value->rank;
    if (axis < 0 || axis > 64 || (value && value->rank >= 0 && axis >= value->rank)) return "its axis is out of range";
    if (value && value->rank >= 0 && value->dims[axis] >= 0 && (uint64_t)value->dims[axis] != grid->qp.count)
        return "it has another number of scales than channels";
    grid->qp.axis = (int)axis;
    return NULL;
}

/* Attributes that change the arithmetic. */
static const char *check_attributes(const Onnx__NodeProto *pb)
{
    int64_t output = qn_attr_int(pb, "output_dtype", 0), precision = qn_attr_int(pb, "precision", 0);

    if (qn_attr_int(pb, "block_size", 0)) return "it is quantized in blocks";
    if (precision && precision != QN_FLOAT) return "it is computed in another precision than float32";
    if (strcmp(pb->op_type, "DequantizeLinear") == 0 && output && output != QN_FLOAT)
        return "its result is not float32";
    return NULL;
}

static const char *initializer_name(const struct qn_graph *graph, qn_node_id n, size_t slot)
{
    qn_value_id v = qn_node_input(graph, n, slot);
    return v == QN_NONE ? NULL : graph->values[v].name;
}

const char *qn_grid_of_qdq(struct qn_lifter *l, qn_node_id n, int32_t codes, struct qn_grid **grid)
{
    const Onnx__NodeProto   *pb = l->graph->pb->node[n];
    const Onnx__TensorProto *scale = qn_node_constant(l->graph, n, 1), *zero = qn_node_constant(l->graph, n, 2);
    const struct qn_qtype   *type;
    const char              *reason = check_attributes(pb);
    size_t                   count;

    if (reason) return reason;
    if (!scale) return "its scale is not a constant";
    if (!zero && qn_node_input(l->graph, n, 2) != QN_NONE) return "its zero point is not a constant";
    if (scale->data_type != QN_FLOAT) return "its scale is not float32";
    if (scale->n_dims > 1) return "it is quantized in blocks";
    if (qn_tensor_count(scale, &count, NULL) != QONNX_OK || !count) return "its scale cannot be read";
    if (zero) codes = zero->data_type;
    if (!codes) codes = (int32_t)qn_attr_int(pb, "output_dtype", QN_UINT8);
    if (!(type = qn_qtype_by_onnx(codes))) return "its codes are of a type that is not an integer of 2 to 32 bits";
    if (!(*grid = new_grid(l, type, type->bits, false, count))) return "out of memory"; /* sticky: nobody will see it */
    if ((reason = set_scales(l, *grid, scale)) || (reason = set_zero_points(l, *grid, zero)) ||
        (reason = set_axis(l, n, *grid)))
        return reason;
    (*grid)->scale = initializer_name(l->graph, n, 1);
    (*grid)->zero_point = initializer_name(l->graph, n, 2);
    return NULL;
}

/* ---- Quant ---- */

static bool scalar_of(struct qn_lifter *l, qn_node_id n, size_t slot, float *value)
{
    const Onnx__TensorProto *tensor = qn_node_constant(l->graph, n, slot);
    const float             *values;
    size_t                   count;

    if (!tensor || qn_tensor_floats(tensor, &l->scratch, &values, &count, NULL) != QONNX_OK || !count) return false;
    for (size_t i = 1; i < count; i++)
        if (values[i] != values[0]) return false;
    *value = values[0];
    return true;
}

/* The one axis on which a tensor that broadcasts to `rank` is longer than 1; -1 for none. */
static const char *broadcast_axis(const Onnx__TensorProto *tensor, int32_t rank, int *axis)
{
    *axis = -1;
    for (size_t i = 0; i < tensor->n_dims; i++) {
        int64_t at = (int64_t)i;
        if (tensor->dims[i] == 1) continue;
        if (*axis >= 0) return "its scales vary on more than one axis";
        if (rank < 0 && tensor->n_dims == 1) return "which axis its scales are for cannot be told without a shape";
        if (rank >= 0) at += rank - (int64_t)tensor->n_dims;
        if (at < 0 || at > 64) return "its scales have more dimensions than the tensor";
        *axis = (int)at;
    }
    return NULL;
}

static const char *set_float_zero_points(struct qn_lifter *l, struct qn_grid *grid, const Onnx__TensorProto *zero,
                                         int32_t rank)
{
    const struct qn_qtype *type = grid->qp.type;
    const float           *values;
    const char            *reason;
    size_t                 count;
    int                    axis;

    if ((reason = broadcast_axis(zero, rank, &axis))) return reason;
    if (qn_tensor_floats(zero, &l->scratch, &values, &count, NULL) != QONNX_OK ||
        (count != 1 && (count != grid->qp.count || axis != grid->qp.axis)))
        return "its zero points do not go with its scales";
    for (size_t i = 0; i < grid->qp.count; i++) {
        float z = values[count == 1 ? 0 : i];
        if (!(z >= (float)type->lo && z <= (float)type->hi) || z != rintf(z))
            return "a zero point is not one of the codes";
        grid->qp.zero_point[i] = (int32_t)z;
    }
    return NULL;
}

static const char *check_rounding(const Onnx__NodeProto *pb)
{
    const Onnx__AttributeProto *mode = qn_attr_find(pb, "rounding_mode");
    char                        text[16] = "";

    if (!mode) return NULL;
    for (size_t i = 0; mode->has_s && i < mode->s.len && i + 1 < sizeof text; i++)
        text[i] = (char)toupper(mode->s.data[i]);
    return strcmp(text, "ROUND") == 0 || strcmp(text, "HALF_EVEN") == 0 ? NULL : "its rounding mode is not ROUND";
}

/* Wide biases go into int32, whatever their bits: those of layers, and constants that are added behind one. */
static bool is_bias(const struct qn_graph *graph, qn_node_id n)
{
    qn_value_id x = qn_node_input(graph, n, 0), out = qn_node_output(graph, n, 0);

    if (x == QN_NONE || out == QN_NONE || !graph->values[x].init) return false;
    for (uint32_t i = 0; i < graph->values[out].use_count; i++) {
        const struct qn_use  *use = &graph->uses[graph->values[out].use_at + i];
        const struct qn_rule *rule = qn_rule_find(graph->pb->node[use->node]->op_type);
        if (!qn_node_is(graph, use->node, "Add") && (use->slot != 2 || !rule || rule->in[2] != QN_ROLE_BIAS)) return false;
    }
    return graph->values[out].use_count > 0;
}

const char *qn_grid_of_quant(struct qn_lifter *l, qn_node_id n, struct qn_grid **grid)
{
    const Onnx__NodeProto   *pb = l->graph->pb->node[n];
    const Onnx__TensorProto *scale = qn_node_constant(l->graph, n, 1), *zero = qn_node_constant(l->graph, n, 2);
    qn_value_id              x = qn_node_input(l->graph, n, 0);
    int32_t                  rank = x == QN_NONE ? -1 : l->graph->values[x].rank, lo, hi;
    bool                     is_signed = qn_attr_int(pb, "signed", 1) != 0, narrow = qn_attr_int(pb, "narrow", 0) != 0;
    const struct qn_qtype   *type;
    const char              *reason = check_rounding(pb);
    size_t                   count;
    float                    bits;
    int                      axis;

    if (reason) return reason;
    if (!scale || !zero) return "its scale or zero point is not a constant";
    if (!scalar_of(l, n, 3, &bits)) return "its bit width is not one constant";
    if (bits == 1) return "it has one bit";
    if (!(bits >= 2 && bits <= 32) || bits != rintf(bits)) return "its bit width is not a whole number from 2 to 32";
    if (!(type = qn_qtype_for((int)bits, is_signed, is_signed && bits > 8 && is_bias(l->graph, n) ? 32 : 8)) ||
        !qn_int_range((int)bits, is_signed, narrow, &lo, &hi))
        return "no integer type holds its codes";
    if (qn_tensor_count(scale, &count, NULL) != QONNX_OK || !count) return "its scale cannot be read";
    if ((reason = broadcast_axis(scale, rank, &axis))) return reason;
    if (x != QN_NONE && axis >= 0 && rank >= 0 && l->graph->values[x].dims[axis] >= 0 &&
        (uint64_t)l->graph->values[x].dims[axis] != count)
        return "it has another number of scales than channels";
    if (!(*grid = new_grid(l, type, (int)bits, narrow, count))) return "out of memory"; /* sticky */
    (*grid)->qp.axis = axis;
    (*grid)->shift_first = true;
    if ((reason = set_scales(l, *grid, scale))) return reason;
    return set_float_zero_points(l, *grid, zero, rank);
}
