/* SPDX-License-Identifier: Apache-2.0
 * Layers whose activations get their codes when the model runs: DynamicQuantizeLinear, MatMulInteger, Cast and a Mul by both
 * scales, the form that ONNX Runtime makes one kernel of. */
#include <string.h>

#include "emit/lib/around.h"
#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"
#include "quant/pack.h"

/* ---- activations ---- */

/* Codes, scale and zero point of what the layer reads; made before the first layer that reads it in its graph. */
static const struct qn_written *quantized_input(struct qn_around *w, qn_node_id n)
{
    const struct qn_graph *g = w->plan->graph;
    const qn_value_id      x = qn_node_input(g, n, 0);
    const char            *name = g->values[x].name, *out[3];
    struct qn_written     *made = qn_around_find_dynamic(w, n);

    if (made) return made;
    out[0] = qn_edit_name(w->edit, name, "_quantized");
    out[1] = qn_edit_name(w->edit, name, "_scale");
    out[2] = qn_edit_name(w->edit, name, "_zero_point");
    if (!(made = qn_around_new_dynamic(w, n))) return NULL;
    memcpy(made->names, out, sizeof out);
    qn_edit_insert_before(w->edit, n,
                          qn_node_new(w->arena, "DynamicQuantizeLinear",
                                      qn_edit_name(w->edit, name, "_DynamicQuantizeLinear"), 1, &name, 3, out));
    return made;
}

/* ---- weights ---- */

/* The codes of a weight that a Gemm reads turned, as a matrix that they are multiplied by as they are. */
static qonnx_status turned_codes(struct qn_around *w, qn_node_id n, Onnx__TensorProto **codes)
{
    const struct qn_node_plan *row = &w->plan->nodes[n];
    const Onnx__TensorProto   *t = qn_node_constant(w->plan->graph, n, 1);
    const size_t               rows = (size_t)t->dims[0], columns = (size_t)t->dims[1];
    const int64_t              dims[2] = { t->dims[1], t->dims[0] };
    const int8_t              *from = row->weight_codes;
    int8_t                    *made, *out = qn_arena_array(w->arena, rows, columns);
    struct qn_layout           layout;
    const float               *x;
    size_t                     count;

    if (!out) return qn_fail_nomem(w->err);
    if (!from) {
        if (!(made = qn_arena_array(&w->scratch, rows, columns))) return qn_fail_nomem(w->err);
        QN_TRY(qn_tensor_floats(t, &w->scratch, &x, &count, w->err));
        QN_TRY(qn_layout_init(&layout, t->dims, t->n_dims, row->weight->axis < 0 ? QN_NO_AXIS : row->weight->axis,
                              w->err));
        QN_TRY(qn_quantize(x, layout, row->weight, w->plan->rounding, made,
                           qn_settings_threads(w->plan->settings), w->err));
        from = made;
    }
    for (size_t i = 0; i < rows; i++)
        for (size_t k = 0; k < columns; k++) out[k * rows + i] = from[i * columns + k];
    *codes = qn_tensor_new(w->arena, qn_edit_name(w->edit, t->name, "_quantized"), row->weight->type->onnx_type, 2,
                           dims, out, rows * columns);
    return *codes ? QONNX_OK : qn_fail_nomem(w->err);
}

/* names: codes, scale and zero point. */
static qonnx_status quantized_weight(struct qn_around *w, qn_node_id n, const char **names)
{
    const bool turned = qn_node_is(w->plan->graph, n, "Gemm") && qn_attr_int(w->plan->graph->pb->node[n], "transB", 0);
    Onnx__TensorProto    *codes = NULL;
    struct qn_param_names params;

    if (turned)
        QN_TRY(turned_codes(w, n, &codes));
    else
        QN_TRY(qn_emit_weight(&codes, w->edit, w->plan, n, 1, w->err));
    qn_edit_add_initializer(w->edit, codes);
    params = qn_emit_params(w->edit, w->plan->nodes[n].weight, qn_node_constant(w->plan->graph, n, 1)->name);
    names[0] = codes->name;
    names[1] = params.scale;
    names[2] = params.zero_point;
    return QONNX_OK;
}

/* ---- layers ---- */

static const char *put(struct qn_around *w, qn_node_id n, const char *op, const char *base, size_t inputs,
                       const char *const *input, const char *out)
{
    Onnx__NodeProto *node = qn_around_node(w, (struct qn_place){ n, true }, op, base, inputs, input, out);

    if (node && strcmp(op, "Cast") == 0) qn_attr_set_int(w->arena, node, "to", QN_FLOAT);
    return out;
}

qonnx_status qn_dynamic_layer(struct qn_around *w, qn_node_id n)
{
    const Onnx__NodeProto *pb = w->plan->graph->pb->node[n];
    const bool             adds = pb->n_input > 2 && *pb->input[2];
    const char            *y = pb->output[0], *weight[3], *sum, *scale, *product,
               *scaled = adds ? qn_edit_name(w->edit, y, "_product") : y;
    const struct qn_written *x = quantized_input(w, n);
    Onnx__NodeProto         *last;

    if (!x) return qn_fail_nomem(w->err);
    QN_TRY(quantized_weight(w, n, weight));
    sum = put(w, n, "MatMulInteger", y, 4, (const char *const[]){ x->names[0], weight[0], x->names[2], weight[2] },
              qn_edit_name(w->edit, y, "_sum"));
    product = put(w, n, "Cast", y, 1, &sum, qn_edit_name(w->edit, y, "_sum_float"));
    scale = put(w, n, "Mul", weight[1], 2, (const char *const[]){ x->names[1], weight[1] },
                qn_edit_name(w->edit, y, "_scale"));
    if (adds) {
        put(w, n, "Mul", y, 2, (const char *const[]){ product, scale }, scaled);
        last = qn_node_new(w->arena, "Add", pb->name ? pb->name : "", 2, (const char *const[]){ scaled, pb->input[2] },
                           1, &y);
    } else {
        last =
            qn_node_new(w->arena, "Mul", pb->name ? pb->name : "", 2, (const char *const[]){ product, scale }, 1, &y);
    }
    qn_edit_replace_node(w->edit, n, last);
    return QONNX_OK;
}
