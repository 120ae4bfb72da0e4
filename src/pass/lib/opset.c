/* SPDX-License-Identifier: Apache-2.0 */
#include "pass/lib/opset.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"

/* ---- helpers ---- */

static qonnx_status refuse(const struct qn_raise *r, const char *why)
{
    const char *name = r->node->name && *r->node->name ? r->node->name : "(no name)";
    return qn_fail(r->err, QONNX_E_UNSUPPORTED, "node '%.150s' (%.60s) cannot be raised from opset %lld to %d: %s",
                   name, r->node->op_type, (long long)r->from, r->to, why);
}

static const char *base_name(const struct qn_raise *r)
{
    if (r->node->name && *r->node->name) return r->node->name;
    return r->node->n_output ? r->node->output[0] : r->node->op_type;
}

static bool has_input(const struct qn_raise *r, size_t slot)
{
    return slot < r->node->n_input && *r->node->input[slot];
}
static bool has_output(const struct qn_raise *r, size_t slot)
{
    return slot < r->node->n_output && *r->node->output[slot];
}

static void set_input(struct qn_raise *r, size_t slot, const char *name)
{
    Onnx__NodeProto *node = r->node;

    if (slot >= node->n_input) {
        char **longer = qn_arena_array(r->arena, slot + 1, sizeof *longer);
        if (!longer) return;
        for (size_t i = 0; i <= slot; i++) longer[i] = i < node->n_input ? node->input[i] : (char *)(uintptr_t) "";
        node->input = longer;
        node->n_input = slot + 1;
    }
    node->input[slot] = (char *)(uintptr_t)name;
}

/* New constants live in the main graph, where nested graphs can read them too. */
static void set_constant(struct qn_raise *r, size_t slot, Onnx__TensorProto *tensor)
{
    qn_edit_add_initializer(r->edit, tensor);
    if (tensor) set_input(r, slot, tensor->name);
}

static void set_ints(struct qn_raise *r, size_t slot, const char *what, size_t count, const int64_t *values)
{
    set_constant(r, slot, qn_tensor_int64_vector(r->arena, qn_edit_name(r->edit, base_name(r), what), count, values));
}

/* Moves an attribute of integers to an input; nothing where it is absent or the input is there already. */
static void ints_to_input(struct qn_raise *r, const char *attr, size_t slot, const char *suffix)
{
    size_t         count;
    const int64_t *values = qn_attr_ints(r->node, attr, &count);

    if (!values || has_input(r, slot)) return;
    set_ints(r, slot, suffix, count, values);
    qn_attr_remove(r->node, attr);
}

static void add_before(struct qn_raise *r, Onnx__NodeProto *node)
{
    if (r->before_count < sizeof r->before / sizeof *r->before) r->before[r->before_count++] = node;
}

static void add_declared(const Onnx__ValueInfoProto *const *list, size_t count, const char *name, struct qn_fact *fact)
{
    for (size_t i = 0; i < count; i++) {
        const Onnx__TypeProto *type = list[i]->type;
        if (!list[i]->name || strcmp(list[i]->name, name) != 0 || !type ||
            type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE || !type->tensor_type)
            continue;
        fact->dtype = type->tensor_type->elem_type;
        if (type->tensor_type->shape && type->tensor_type->shape->n_dim <= 64)
            fact->rank = (int32_t)type->tensor_type->shape->n_dim;
    }
}

/* What is known of a value: inferred in the main graph, only what is declared in a nested one. */
static struct qn_fact fact_of(const struct qn_raise *r, const char *name)
{
    struct qn_fact fact = { .rank = -1, .length = -1 };
    qn_value_id    id = r->body ? QN_NONE : qn_graph_find(r->graph, name);

    if (!r->body) return id == QN_NONE ? fact : r->facts[id];
    add_declared((const Onnx__ValueInfoProto *const *)r->body->input, r->body->n_input, name, &fact);
    add_declared((const Onnx__ValueInfoProto *const *)r->body->output, r->body->n_output, name, &fact);
    add_declared((const Onnx__ValueInfoProto *const *)r->body->value_info, r->body->n_value_info, name, &fact);
    return fact;
}

/* The constant behind an input; NULL in nested graphs, where none is looked for. */
static const Onnx__TensorProto *constant(const struct qn_raise *r, size_t slot)
{
    qn_value_id id = !r->body && has_input(r, slot) ? qn_graph_find(r->graph, r->node->input[slot]) : QN_NONE;
    return id == QN_NONE ? NULL : r->graph->values[id].init;
}

/* A scalar that has to have the type of the node's first input. */
static qonnx_status set_scalar_like_x(struct qn_raise *r, size_t slot, const char *suffix, float value)
{
    int32_t type = has_input(r, 0) ? fact_of(r, r->node->input[0]).dtype : 0;
    double  wide = (double)value;

    if (!type && has_output(r, 0)) type = fact_of(r, r->node->output[0]).dtype;
    if (!type && r->all_float) type = QN_FLOAT;
    if (type == QN_FLOAT)
        set_constant(r, slot, qn_tensor_float_scalar(r->arena, qn_edit_name(r->edit, base_name(r), suffix), value));
    else if (type == QN_DOUBLE)
        set_constant(r, slot,
                     qn_tensor_new(r->arena, qn_edit_name(r->edit, base_name(r), suffix), QN_DOUBLE, 0, NULL,
                                   qn_arena_memdup(r->arena, &wide, sizeof wide), sizeof wide));
    else
        return refuse(r, type ? "its element type is neither float nor double" : "its element type is not known");
    return QONNX_OK;
}

/* ---- one function a change ---- */

static qonnx_status axes_to_input(struct qn_raise *r)
{
    ints_to_input(r, "axes", 1, "_axes");
    return QONNX_OK;
}

static qonnx_status split_to_input(struct qn_raise *r)
{
    ints_to_input(r, "split", 1, "_split");
    return QONNX_OK;
}

/* The attribute `axes` said less than 0 … n-1 only together with starts and ends of the same length. */
static qonnx_status slice_to_inputs(struct qn_raise *r)
{
    if (r->node->n_input > 1) return QONNX_OK;
    ints_to_input(r, "starts", 1, "_starts");
    ints_to_input(r, "ends", 2, "_ends");
    ints_to_input(r, "axes", 3, "_axes");
    return QONNX_OK;
}

static qonnx_status k_to_input(struct qn_raise *r)
{
    int64_t k = qn_attr_int(r->node, "k", -1);

    if (k < 0 || has_input(r, 1)) return QONNX_OK;
    set_ints(r, 1, "_k", 1, &k);
    qn_attr_remove(r->node, "k");
    return QONNX_OK;
}

/* The defaults were the smallest and the largest float: an absent bound says the same of finite values. */
static qonnx_status clip_bounds_to_inputs(struct qn_raise *r)
{
    float low = qn_attr_float(r->node, "min", -FLT_MAX), high = qn_attr_float(r->node, "max", FLT_MAX);

    if (r->node->n_input != 1) return QONNX_OK;
    if (qn_attr_find(r->node, "min") && !(low <= -FLT_MAX)) QN_TRY(set_scalar_like_x(r, 1, "_min", low));
    if (qn_attr_find(r->node, "max") && !(high >= FLT_MAX)) QN_TRY(set_scalar_like_x(r, 2, "_max", high));
    qn_attr_remove(r->node, "min");
    qn_attr_remove(r->node, "max");
    return QONNX_OK;
}

static qonnx_status pads_to_inputs(struct qn_raise *r)
{
    float value = qn_attr_float(r->node, "value", 0.0f);

    if (r->node->n_input != 1) return QONNX_OK;
    ints_to_input(r, "pads", 1, "_pads");
    if (value != 0 && r->node->n_input == 2) QN_TRY(set_scalar_like_x(r, 2, "_value", value)); /* absent means 0 */
    qn_attr_remove(r->node, "value");
    return QONNX_OK;
}

/* At inference the ratio is not used, but dropping it would lose it for whoever trains on. The mask changed its type and
 * meaning: it can only be dropped. */
static qonnx_status ratio_to_input(struct qn_raise *r)
{
    qn_value_id mask = has_output(r, 1) && !r->body ? qn_graph_find(r->graph, r->node->output[1]) : QN_NONE;

    if (r->node->n_input != 1 || r->node->n_output > 2) return QONNX_OK;
    if (has_output(r, 1) &&
        (mask == QN_NONE || r->graph->values[mask].use_count || (r->graph->values[mask].flags & QN_OUTPUT)))
        return refuse(r, "its mask output is used");
    if (mask != QN_NONE) qn_edit_drop_value_info(r->edit, r->node->output[1]);
    if (r->node->n_output > 1) r->node->n_output = 1;
    if (qn_attr_find(r->node, "ratio"))
        set_constant(r, 1,
                     qn_tensor_float_scalar(r->arena, qn_edit_name(r->edit, base_name(r), "_ratio"),
                                            qn_attr_float(r->node, "ratio", 0.5f)));
    qn_attr_remove(r->node, "ratio");
    return QONNX_OK;
}

/* With spatial = 0 each activation had its own parameters; the same as now only where there is one per channel. */
static qonnx_status drop_spatial(struct qn_raise *r)
{
    if (!qn_attr_int(r->node, "spatial", 1) && !(has_input(r, 1) && fact_of(r, r->node->input[1]).rank == 1))
        return refuse(r, "attribute spatial = 0 is gone");
    qn_attr_remove(r->node, "spatial");
    return QONNX_OK;
}

static qonnx_status rename_scatter(struct qn_raise *r)
{
    r->node->op_type = qn_arena_strdup(r->arena, "ScatterElements");
    return QONNX_OK;
}

static qonnx_status removed(struct qn_raise *r) { return refuse(r, "the operator is gone"); }
static qonnx_status batched_scan(struct qn_raise *r) { return refuse(r, "its batch axis is gone"); }

/* Where no sizes are given the outputs say how many parts there are. */
static qonnx_status count_parts(struct qn_raise *r)
{
    if (!has_input(r, 1)) qn_attr_set_int(r->arena, r->node, "num_outputs", (int64_t)r->node->n_output);
    return QONNX_OK;
}

/* The default is another one now. */
static qonnx_status keep_roi_mode(struct qn_raise *r)
{
    if (!qn_attr_find(r->node, "coordinate_transformation_mode")) qn_attr_set_string(r->arena, r->node, "coordinate_transformation_mode", "output_half_pixel");
    return QONNX_OK;
}

static qonnx_status rename_grid_mode(struct qn_raise *r)
{
    if (!qn_attr_find(r->node, "mode") || qn_attr_is(r->node, "mode", "bilinear")) qn_attr_set_string(r->arena, r->node, "mode", "linear");
    if (qn_attr_is(r->node, "mode", "bicubic")) qn_attr_set_string(r->arena, r->node, "mode", "cubic");
    return QONNX_OK;
}

static qonnx_status axis_to_input(struct qn_raise *r)
{
    int64_t axis = qn_attr_int(r->node, "axis", 1);

    set_constant(r, 2, qn_tensor_new(r->arena, qn_edit_name(r->edit, base_name(r), "_axis"), QN_INT64, 0, NULL, qn_arena_memdup(r->arena, &axis, sizeof axis), sizeof axis));
    qn_attr_remove(r->node, "axis");
    return QONNX_OK;
}

/* ---- Softmax, LogSoftmax, Hardmax: worked on [dims before axis] x [dims from axis on]; now on one axis ---- */

/* True when all sizes behind the axis are known to be 1, so that there is one axis to work on. */
static bool only_ones_behind(const struct qn_raise *r, int64_t axis)
{
    qn_value_id            id = r->body ? QN_NONE : qn_graph_find(r->graph, r->node->input[0]);
    const struct qn_value *x = id == QN_NONE ? NULL : &r->graph->values[id];

    if (!x || x->rank < 1) return false;
    for (int64_t i = axis + 1; i < x->rank; i++)
        if (x->dims[i] != 1) return false;
    return true;
}

static qonnx_status coerced_2d(struct qn_raise *r)
{
    int64_t          axis = qn_attr_int(r->node, "axis", 1), rank;
    const char      *x, *shape, *flat, *result, *y;
    Onnx__NodeProto *flatten;

    if (!has_input(r, 0) || !has_output(r, 0) || r->node->n_output != 1) return QONNX_OK;
    x = r->node->input[0], y = r->node->output[0];
    rank = fact_of(r, x).rank;
    if (rank < 0) rank = fact_of(r, y).rank;
    if (axis < -1 && rank >= 0) axis += rank;
    if (axis == -1 || (rank >= 0 && (axis == rank - 1 || axis < 0 || axis >= rank)) || only_ones_behind(r, axis)) {
        qn_attr_set_int(r->arena, r->node, "axis", axis); /* the default is another one now */
        return QONNX_OK;
    }
    shape = qn_edit_name(r->edit, base_name(r), "_shape");
    flat = qn_edit_name(r->edit, base_name(r), "_2d");
    result = qn_edit_name(r->edit, base_name(r), "_2d_result");
    flatten = qn_node_new(r->arena, "Flatten", flat, 1, &x, 1, &flat);
    qn_attr_set_int(r->arena, flatten, "axis", axis);
    add_before(r, qn_node_new(r->arena, "Shape", shape, 1, &x, 1, &shape));
    add_before(r, flatten);
    qn_attr_set_int(r->arena, r->node, "axis", -1);
    r->node->input[0] = (char *)(uintptr_t)flat;
    r->node->output[0] = (char *)(uintptr_t)result;
    add_before(r, r->node);
    r->node = qn_node_new(r->arena, "Reshape", result, 2, (const char *[]){ result, shape }, 1, &y);
    return r->node ? QONNX_OK : qn_fail_nomem(r->err);
}

/* ---- Upsample and Resize ---- */

/* +1: all scales are >= 1; -1: all <= 1; 0: mixed, malformed or not constant. */
static int direction_of(const struct qn_raise *r, size_t slot)
{
    const Onnx__TensorProto *scales = constant(r, slot);
    struct qn_arena          scratch = { 0 };
    const float             *values;
    size_t                   count = 0;
    bool                     up = true, down = true, known;

    known = scales && scales->data_type == QN_FLOAT &&
            qn_tensor_floats(scales, &scratch, &values, &count, NULL) == QONNX_OK;
    for (size_t i = 0; known && i < count; i++) {
        up = up && values[i] >= 1;
        down = down && values[i] <= 1;
    }
    qn_arena_release(&scratch);
    return known && (up || down) ? (up ? 1 : -1) : 0;
}

/* Before opset 11 coordinates were always x / scale, and "nearest" rounded down when enlarging and up when shrinking. */
static qonnx_status scales_to_resize(struct qn_raise *r, int direction)
{
    const char *scales = r->node->input[1];

    if (qn_attr_is(r->node, "mode", "bilinear") || qn_attr_is(r->node, "mode", "trilinear"))
        qn_attr_set_string(r->arena, r->node, "mode", "linear");
    if (!qn_attr_is(r->node, "mode", "linear")) {
        if (!direction) return refuse(r, "how its nearest mode rounds depends on scales that are not known");
        qn_attr_set_string(r->arena, r->node, "nearest_mode", direction > 0 ? "floor" : "ceil");
    }
    qn_attr_set_string(r->arena, r->node, "coordinate_transformation_mode", "asymmetric");
    r->node->op_type = qn_arena_strdup(r->arena, "Resize");
    set_input(r, 1, "");
    set_input(r, 2, scales);
    return QONNX_OK;
}

/* Upsample never shrinks, by its definition. */
static qonnx_status upsample_to_resize(struct qn_raise *r)
{
    const Onnx__AttributeProto *attr = qn_attr_find(r->node, "scales");
    int64_t                     dim = attr ? (int64_t)attr->n_floats : 0;

    if (!has_input(r, 0)) return QONNX_OK;
    if (r->node->n_input == 1 && dim > 0) {
        const char *name = qn_edit_name(r->edit, base_name(r), "_scales");
        set_constant(r, 1,
                     qn_tensor_new(r->arena, name, QN_FLOAT, 1, &dim, attr->floats, attr->n_floats * sizeof(float)));
        qn_attr_remove(r->node, "scales");
    }
    return has_input(r, 1) && r->node->n_input == 2 ? scales_to_resize(r, 1) : QONNX_OK;
}

static qonnx_status resize_10(struct qn_raise *r)
{
    return r->node->n_input == 2 && has_input(r, 1) ? scales_to_resize(r, direction_of(r, 1)) : QONNX_OK;
}

/* Both operands had to be given: the one that is not meant was an empty tensor. One coordinate mode is gone; rounded
 * down it is half_pixel rounded half up. */
static qonnx_status resize_11(struct qn_raise *r)
{
    const Onnx__TensorProto *scales = constant(r, 2);
    size_t                   count;

    if (has_input(r, 3) && scales && qn_tensor_count(scales, &count, NULL) == QONNX_OK && !count)
        r->node->input[2] = (char *)(uintptr_t) "";
    if (!qn_attr_is(r->node, "coordinate_transformation_mode", "tf_half_pixel_for_nn")) return QONNX_OK;
    if (!qn_attr_is(r->node, "nearest_mode", "floor") || qn_attr_is(r->node, "mode", "linear") ||
        qn_attr_is(r->node, "mode", "cubic"))
        return refuse(r, "coordinate_transformation_mode tf_half_pixel_for_nn is gone");
    qn_attr_set_string(r->arena, r->node, "coordinate_transformation_mode", "half_pixel");
    qn_attr_set_string(r->arena, r->node, "nearest_mode", "round_prefer_ceil");
    return QONNX_OK;
}

/* ---- the table ---- */

/* A node of an opset before `since` goes through the function; several rows of one operator in rising order. */
static const struct {
    const char *op;
    int         since;
    qonnx_status (*convert)(struct qn_raise *r);
} rows[] = {
    { "BatchNormalization", 9, drop_spatial },
    { "Scan", 9, batched_scan },
    { "Resize", 11, resize_10 },
    { "Slice", 10, slice_to_inputs },
    { "TopK", 10, k_to_input },
    { "Clip", 11, clip_bounds_to_inputs },
    { "Pad", 11, pads_to_inputs },
    { "Scatter", 11, rename_scatter },
    { "Dropout", 12, ratio_to_input },
    { "Hardmax", 13, coerced_2d },
    { "LogSoftmax", 13, coerced_2d },
    { "ReduceSum", 13, axes_to_input },
    { "Resize", 13, resize_11 },
    { "Softmax", 13, coerced_2d },
    { "Split", 13, split_to_input },
    { "Squeeze", 13, axes_to_input },
    { "Unsqueeze", 13, axes_to_input },
    { "Upsample", 13, upsample_to_resize },
    { "DFT", 20, axis_to_input },
    { "GridSample", 20, rename_grid_mode },
    { "GroupNormalization", 21, removed },
    { "ReduceL1", 18, axes_to_input },
    { "ReduceL2", 18, axes_to_input },
    { "ReduceLogSum", 18, axes_to_input },
    { "ReduceLogSumExp", 18, axes_to_input },
    { "ReduceMax", 18, axes_to_input },
    { "ReduceMean", 18, axes_to_input },
    { "ReduceMin", 18, axes_to_input },
    { "ReduceProd", 18, axes_to_input },
    { "ReduceSumSquare", 18, axes_to_input },
    { "RoiAlign", 16, keep_roi_mode },
    { "Split", 18, count_parts },
    /* experimental operators of the first releases */
    /* clang-format off */
    { "ATen", 13, removed }, { "Affine", 13, removed }, { "ConstantFill", 13, removed }, { "Crop", 13, removed },
    { "GRUUnit", 13, removed }, { "GivenTensorFill", 13, removed }, { "ImageScaler", 13, removed },
    { "ParametricSoftplus", 13, removed }, { "Scale", 13, removed }, { "ScaledTanh", 13, removed },
    /* clang-format on */
};

bool qn_raise_concerns(const Onnx__NodeProto *node, int64_t from, int to)
{
    if (node->domain && *node->domain && strcmp(node->domain, "ai.onnx") != 0) return false;
    for (size_t row = 0; node->op_type && row < sizeof rows / sizeof *rows; row++)
        if (from < rows[row].since && rows[row].since <= to && strcmp(node->op_type, rows[row].op) == 0) return true;
    return false;
}

qonnx_status qn_raise_node(struct qn_raise *raise)
{
    const char *op = raise->node->op_type; /* rows are those of the operator it was */

    for (size_t row = 0; row < sizeof rows / sizeof *rows; row++)
        if (raise->from < rows[row].since && rows[row].since <= raise->to && strcmp(op, rows[row].op) == 0) QN_TRY(rows[row].convert(raise));
    return QONNX_OK;
}
