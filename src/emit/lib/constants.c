/* SPDX-License-Identifier: Apache-2.0
 * Nodes whose constants become codes though their activations stay as they are: LSTMs and embeddings. */
#include <string.h>

#include "emit/emit.h"
#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"
#include "quant/pack.h"
#include "quant/small_float.h"

/* ---- embeddings ---- */

qonnx_status qn_emit_table(struct qn_edit *edit, const struct qn_plan *plan, qn_node_id node, qonnx_error *err)
{
    struct qn_arena         *arena = qn_edit_arena(edit);
    const struct qn_graph   *g = plan->graph;
    const struct qn_qparams *params = plan->nodes[node].weight;
    const Onnx__TensorProto *table = qn_node_constant(g, node, 0);
    const struct qn_value   *indices = &g->values[qn_node_input(g, node, 1)], *rows = &g->values[qn_node_output(g, node, 0)];
    const bool               scaled = qn_qtype_scaled(params->type);
    struct qn_param_names    names = { 0 };
    const char              *read = qn_edit_name(edit, rows->name, "_codes"), *inputs[3] = { read };
    Onnx__TensorProto       *codes;
    Onnx__NodeProto         *dequantize;

    if (scaled) names = qn_emit_params(edit, params, table->name);
    inputs[1] = names.scale;
    inputs[2] = names.zero_point;
    QN_TRY(qn_emit_weight(&codes, edit, plan, node, 0, err));
    qn_edit_add_initializer(edit, codes);
    qn_edit_set_input(edit, node, 0, codes->name);
    qn_edit_set_output(edit, node, 0, read);
    dequantize = qn_node_new(arena, scaled ? "DequantizeLinear" : "Cast", qn_edit_name(edit, rows->name, scaled ? "_DequantizeLinear" : "_Cast"), scaled ? 3 : 1, inputs, 1, (const char *const *)&rows->name);
    if (dequantize && !scaled) qn_attr_set_int(arena, dequantize, "to", QN_FLOAT);
    if (dequantize && params->axis >= 0) qn_attr_set_int(arena, dequantize, "axis", indices->rank < 0 ? -1 : indices->rank); /* the columns are the last axis */
    qn_edit_insert_after(edit, node, dequantize);
    return QONNX_OK;
}

/* ---- LSTM ---- */

/* The weight in slot 1 or 2 as [directions, inputs, 4 hidden] codes, and scales and zero points of [directions] or
 * [directions, 4 hidden]. */
struct gates {
    const char *codes, *scale, *zero_point;
};

static int8_t *turned(const int8_t *codes, const int64_t dims[3], struct qn_arena *arena)
{
    size_t  directions = (size_t)dims[0], rows = (size_t)dims[1], columns = (size_t)dims[2];
    int8_t *out = qn_arena_array(arena, directions * rows, columns);

    for (size_t d = 0; out && d < directions; d++)
        for (size_t i = 0; i < rows; i++)
            for (size_t k = 0; k < columns; k++) out[(d * columns + k) * rows + i] = codes[(d * rows + i) * columns + k];
    return out;
}

static qonnx_status gates_codes(const struct qn_plan *plan, const Onnx__TensorProto *t, const struct qn_qparams *params, const int8_t *known, struct qn_arena *arena, const int8_t **out, qonnx_error *err)
{
    int              threads = qn_settings_threads(plan->settings);
    struct qn_arena  scratch = { 0 };
    const float     *w;
    size_t           count;
    int8_t          *codes = NULL;
    struct qn_layout layout = { 1, params->count, 0 };
    qonnx_status     status;

    if (known) return (*out = turned(known, t->dims, arena)) ? QONNX_OK : qn_fail_nomem(err);
    status = qn_tensor_floats(t, &scratch, &w, &count, err);
    if (status == QONNX_OK) layout.inner = count / params->count;
    if (status == QONNX_OK && !(codes = qn_arena_alloc_raw(&scratch, count))) status = qn_fail_nomem(err);
    if (status == QONNX_OK) status = qn_quantize(w, layout, params, plan->rounding, codes, threads, err);
    if (status == QONNX_OK && !(*out = turned(codes, t->dims, arena))) status = qn_fail_nomem(err);
    qn_arena_release(&scratch);
    return status;
}

static qonnx_status write_gates(struct qn_edit *edit, const struct qn_plan *plan, const Onnx__TensorProto *t, const struct qn_qparams *params, const int8_t *known, struct gates *names, qonnx_error *err)
{
    struct qn_arena *arena = qn_edit_arena(edit);
    const int64_t    dims[3] = { t->dims[0], t->dims[2], t->dims[1] }, shape[2] = { t->dims[0], t->dims[1] };
    size_t           count = params->count, rank = count == (size_t)t->dims[0] ? 1 : 2, bytes = (size_t)(dims[0] * dims[1] * dims[2]);
    const int8_t    *codes;

    QN_TRY(gates_codes(plan, t, params, known, arena, &codes, err));
    *names = (struct gates){ qn_edit_name(edit, t->name, "_quantized"), qn_edit_name(edit, t->name, "_scale"), qn_edit_name(edit, t->name, "_zero_point") };
    qn_edit_add_initializer(edit, qn_tensor_new(arena, names->codes, QN_INT8, 3, dims, codes, bytes));
    qn_edit_add_initializer(edit, qn_tensor_new(arena, names->scale, QN_FLOAT, rank, shape, qn_arena_memdup(arena, params->scale, count * sizeof(float)), count * sizeof(float)));
    qn_edit_add_initializer(edit, qn_tensor_new(arena, names->zero_point, QN_INT8, rank, shape, qn_arena_array(arena, count, 1), count));
    return QONNX_OK;
}

qonnx_status qn_emit_lstm(struct qn_edit *edit, const struct qn_plan *plan, qn_node_id node, const char *const *inputs, qonnx_error *err)
{
    enum { INPUTS = 12, OWN = 8 }; /* X, W, R, B, lengths, h, c, peepholes; then scale and zero point of W and of R */
    struct qn_arena           *arena = qn_edit_arena(edit);
    const struct qn_node_plan *row = &plan->nodes[node];
    const Onnx__NodeProto     *pb = plan->graph->pb->node[node];
    Onnx__NodeProto           *lstm = qn_node_copy(arena, pb);
    const char                *all[INPUTS];
    struct gates               w, r;

    QN_TRY(write_gates(edit, plan, qn_node_constant(plan->graph, node, 1), row->weight, row->weight_codes, &w, err));
    QN_TRY(write_gates(edit, plan, qn_node_constant(plan->graph, node, 2), row->recurrent, row->recurrent_codes, &r, err));
    for (size_t i = 0; i < OWN; i++) all[i] = i < pb->n_input ? inputs[i] : "";
    all[1] = w.codes, all[2] = r.codes;
    all[8] = w.scale, all[9] = w.zero_point, all[10] = r.scale, all[11] = r.zero_point;
    if (!lstm) return qn_fail_nomem(err);
    lstm->op_type = qn_arena_strdup(arena, row->rule->twin);
    lstm->domain = qn_arena_strdup(arena, row->rule->twin_domain);
    lstm->n_input = INPUTS;
    lstm->input = (char **)(void *)qn_arena_memdup(arena, all, sizeof all);
    qn_attr_remove(lstm, "layout"); /* 0, which is all that it knows */
    qn_edit_replace_node(edit, node, lstm);
    qn_edit_set_opset(edit, "com.microsoft", 1);
    return QONNX_OK;
}
