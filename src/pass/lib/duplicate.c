/* SPDX-License-Identifier: Apache-2.0 */
#include "pass/lib/duplicate.h"

#include <string.h>

#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"

/* Channel of each copy behind the first ones, in order. */
static const int64_t *list_extra(struct qn_arena *arena, const struct qn_duplicate *what, size_t *count)
{
    int64_t *extra;

    *count = 0;
    for (size_t c = 0; c < what->channels; c++) *count += what->copies[c] - 1;
    if (!(extra = qn_arena_array(arena, *count, sizeof *extra))) return NULL;
    for (size_t c = 0, at = 0; c < what->channels; c++)
        for (uint32_t k = 1; k < what->copies[c]; k++) extra[at++] = (int64_t)c;
    return extra;
}

/* The matrix with those rows, or columns, once more at its end. */
static qonnx_status widen_weight(const struct qn_graph *graph, struct qn_edit *edit, qn_node_id layer,
                                 const int64_t *extra, size_t count, qonnx_error *err)
{
    struct qn_arena         *arena = qn_edit_arena(edit);
    const Onnx__NodeProto   *node = graph->pb->node[layer];
    const Onnx__TensorProto *weight = qn_node_constant(graph, layer, 1);
    const bool               by_row = !qn_attr_int(node, "transB", 0);
    const size_t             rows = (size_t)weight->dims[0], columns = (size_t)weight->dims[1];
    const size_t             wide = by_row ? columns : columns + count, high = by_row ? rows + count : rows;
    const char              *name = qn_edit_name(edit, weight->name, "_repeated");
    const int64_t            dims[2] = { (int64_t)high, (int64_t)wide };
    const float             *w;
    float                   *made;
    size_t                   elements;

    QN_TRY(qn_tensor_floats(weight, arena, &w, &elements, err));
    if (!(made = qn_arena_alloc(arena, (rows + (by_row ? count : 0)) * wide * sizeof *made))) return qn_fail_nomem(err);
    for (size_t r = 0; r < high; r++) {
        const size_t from = r < rows ? r : (size_t)extra[r - rows];
        memcpy(made + r * wide, w + from * columns, columns * sizeof *w);
        for (size_t c = columns; c < wide; c++) made[r * wide + c] = w[from * columns + (size_t)extra[c - columns]];
    }
    qn_edit_add_initializer(edit, qn_tensor_new(arena, name, QN_FLOAT, 2, dims, made, high * wide * sizeof *made));
    qn_edit_set_input(edit, layer, 1, name);
    return QONNX_OK;
}

static void insert(struct qn_edit *edit, qn_node_id before, const char *op, const char *a, const char *b,
                   const char *out, bool axis)
{
    const char      *inputs[2] = { a, b }, *outputs[1] = { out };
    Onnx__NodeProto *node = qn_node_new(qn_edit_arena(edit), op, out, 2, inputs, 1, outputs);

    if (node && axis) qn_attr_set_int(qn_edit_arena(edit), node, "axis", -1);
    qn_edit_insert_before(edit, before, node);
}

qonnx_status qn_pass_duplicate(const struct qn_graph *graph, struct qn_edit *edit, const struct qn_duplicate *what,
                               struct qn_duplicated *names, qonnx_error *err)
{
    struct qn_arena *arena = qn_edit_arena(edit);
    const char      *x = graph->values[what->value].name;
    const char      *shares = qn_edit_name(edit, x, "_shares"), *shared = qn_edit_name(edit, x, "_shared"),
               *channels = qn_edit_name(edit, x, "_outliers");
    const char    *repeated = qn_edit_name(edit, x, "_repeats"), *all = qn_edit_name(edit, x, "_repeated");
    const int64_t  dims[1] = { (int64_t)what->channels };
    float         *factors = qn_arena_array(arena, what->channels, sizeof *factors);
    qn_node_id     first = what->layers[0];
    size_t         count;
    const int64_t *extra = list_extra(arena, what, &count);

    if (!factors || !extra) return qn_fail_nomem(err);
    for (size_t c = 0; c < what->channels; c++) factors[c] = 1.0f / (float)what->copies[c];
    for (size_t i = 1; i < what->layer_count; i++)
        if (what->layers[i] < first) first = what->layers[i];
    qn_edit_add_initializer(edit,
                            qn_tensor_new(arena, shares, QN_FLOAT, 1, dims, factors, what->channels * sizeof *factors));
    qn_edit_add_initializer(edit, qn_tensor_int64_vector(arena, channels, count, extra));
    insert(edit, first, "Mul", x, shares, shared, false);
    insert(edit, first, "Gather", shared, channels, repeated, true);
    insert(edit, first, "Concat", shared, repeated, all, true);
    for (size_t i = 0; i < what->layer_count; i++) {
        qn_edit_set_input(edit, what->layers[i], 0, all);
        QN_TRY(widen_weight(graph, edit, what->layers[i], extra, count, err));
    }
    qn_edit_drop_unused(edit);
    *names = (struct qn_duplicated){ shared, repeated, all };
    return QONNX_OK;
}
