/* SPDX-License-Identifier: Apache-2.0
 *
 * QDQ: the operators stay float, with QuantizeLinear/DequantizeLinear around them; a runtime that knows the patterns
 * computes on the codes. What runtimes need for that: one Q and one DQ a tensor, shared by all readers; explicit zero
 * points; rank-0 scales for one parameter; constants as codes with a DQ; the bias in int32 with exactly the product of
 * input and weight scale. */
#include <string.h>

#include "emit/emit.h"
#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"

/* A weight that was written already; layers that share one share the copy when the numbers are the same. */
struct written {
    qn_value_id              value;
    const struct qn_qparams *params;
    const char              *name; /* of the dequantized value */
};

struct writer {
    const struct qn_plan  *plan;
    struct qn_edit        *edit;
    struct qn_arena       *arena;
    struct qn_param_names *params;    /* by group */
    const char           **dequantized; /* by value: name of its dequantized form */
    struct written        *written;
    size_t                 written_count, written_room;
    struct qn_arena        scratch;
    qonnx_error           *err;
};

static const char *add_node(struct writer *w, qn_node_id at, bool before, const char *op, const char *base, const char *suffix, const char *x, struct qn_param_names params, int axis)
{
    const char      *out = qn_edit_name(w->edit, base, suffix);
    const char      *name = qn_edit_name(w->edit, base, strcmp(op, "QuantizeLinear") == 0 ? "_QuantizeLinear" : "_DequantizeLinear");
    const char      *inputs[] = { x, params.scale, params.zero_point };
    Onnx__NodeProto *node = qn_node_new(w->arena, op, name, 3, inputs, 1, &out);

    if (axis >= 0) qn_attr_set_int(w->arena, node, "axis", axis);
    if (before)
        qn_edit_insert_before(w->edit, at, node);
    else
        qn_edit_insert_after(w->edit, at, node);
    return out;
}

static void describe(struct writer *w, const char *name, int32_t dtype, qn_value_id like)
{
    const struct qn_value *v = &w->plan->graph->values[like];
    if (v->dtype) qn_edit_add_value_info(w->edit, name, dtype, v->rank, v->dims);
}

/* ---- activations ---- */

static void write_activation(struct writer *w, qn_value_id v)
{
    const struct qn_graph       *g = w->plan->graph;
    const struct qn_tensor_plan *t = &w->plan->tensors[v];
    qn_node_id                   producer = g->values[v].producer;
    const char                  *name = g->values[v].name, *codes;
    struct qn_param_names       *params = &w->params[t->group];

    if (!params->scale) *params = qn_emit_params(w->edit, t->params, g->values[t->group].name);
    codes = add_node(w, producer, producer == QN_NONE, "QuantizeLinear", name, "_quantized", name, *params, -1);
    w->dequantized[v] = add_node(w, producer, producer == QN_NONE, "DequantizeLinear", name, "_dequantized", codes, *params, -1);
    describe(w, codes, t->params->type->onnx_type, v);
    describe(w, w->dequantized[v], QN_FLOAT, v);
}

/* ---- weights and biases ---- */

static bool same_params(const struct qn_qparams *a, const struct qn_qparams *b)
{
    return a->axis == b->axis && a->count == b->count && memcmp(a->scale, b->scale, a->count * sizeof *a->scale) == 0;
}

static qonnx_status write_weight(struct writer *w, qn_node_id n)
{
    const struct qn_qparams *params = w->plan->nodes[n].weight;
    qn_value_id              value = qn_node_input(w->plan->graph, n, 1);
    const char              *name = w->plan->graph->values[value].name, *out = NULL;
    Onnx__TensorProto       *codes;
    struct written          *grown;

    for (size_t i = 0; i < w->written_count && !out; i++)
        if (w->written[i].value == value && same_params(w->written[i].params, params)) out = w->written[i].name;
    if (!out) {
        QN_TRY(qn_emit_weight(&codes, w->edit, w->plan, n, w->err));
        qn_edit_add_initializer(w->edit, codes);
        out = add_node(w, n, true, "DequantizeLinear", name, "_dequantized", codes->name, qn_emit_params(w->edit, params, name), params->axis);
        grown = qn_arena_grow(&w->scratch, w->written, w->written_count, &w->written_room, sizeof *grown);
        if (!grown) return qn_fail_nomem(w->err);
        w->written = grown;
        grown[w->written_count++] = (struct written){ value, params, out };
    }
    qn_edit_set_input(w->edit, n, 1, out);
    return QONNX_OK;
}

static void write_bias(struct writer *w, qn_node_id n)
{
    const struct qn_node_plan *row = &w->plan->nodes[n];
    const Onnx__TensorProto   *bias = qn_node_constant(w->plan->graph, n, 2);
    int64_t                    dim = (int64_t)row->bias_count;
    size_t                     size = row->bias_count * sizeof *row->bias_codes;
    const char                *codes = qn_edit_name(w->edit, bias->name, "_quantized"), *out;

    qn_edit_add_initializer(w->edit, qn_tensor_new(w->arena, codes, QN_INT32, 1, &dim, qn_arena_memdup(w->arena, row->bias_codes, size), size));
    out = add_node(w, n, true, "DequantizeLinear", bias->name, "_dequantized", codes, qn_emit_params(w->edit, row->bias, bias->name), row->bias->axis);
    qn_edit_set_input(w->edit, n, 2, out);
}

/* MatMul, Add of a 1-D bias, float result: ONNX Runtime turns the pair into a float Gemm and dequantizes the weight on
 * each run. A bias of the result's rank keeps the integer MatMul. */
static qonnx_status lift_bias(struct writer *w, qn_node_id n)
{
    const struct qn_graph *g = w->plan->graph;
    qn_value_id            out = qn_node_output(g, n, 0), x = qn_node_input(g, n, 0);
    qn_node_id             add = out == QN_NONE ? QN_NONE : qn_value_only_user(g, out);
    int32_t                rank = g->values[x].rank;

    if (add == QN_NONE || !qn_node_is(g, add, "Add") || rank < 3 || w->plan->tensors[w->plan->nodes[n].result].quantized) return QONNX_OK;
    for (size_t slot = 0; slot < 2; slot++) {
        const Onnx__TensorProto *bias = qn_node_constant(g, add, slot);
        Onnx__TensorProto       *lifted;
        int64_t                  dims[3] = { 1, 1, 0 };
        const float             *values;
        size_t                   count;

        if (!bias || bias->n_dims != 1 || bias->data_type != QN_FLOAT) continue;
        QN_TRY(qn_tensor_floats(bias, w->arena, &values, &count, w->err));
        dims[2] = bias->dims[0];
        lifted = qn_tensor_new(w->arena, qn_edit_name(w->edit, bias->name, "_rank3"), QN_FLOAT, 3, dims, values, count * sizeof *values);
        if (!lifted) return qn_fail_nomem(w->err);
        qn_edit_add_initializer(w->edit, lifted);
        qn_edit_set_input(w->edit, add, slot, lifted->name);
    }
    return QONNX_OK;
}

static qonnx_status write_layer(struct writer *w, qn_node_id n)
{
    const struct qn_node_plan *row = &w->plan->nodes[n];

    if (!row->weight) return QONNX_OK; /* a product of two activations */
    QN_TRY(write_weight(w, n));
    if (row->bias) write_bias(w, n);
    return strcmp(row->rule->op, "MatMul") == 0 ? lift_bias(w, n) : QONNX_OK;
}

static void rewire(struct writer *w)
{
    const struct qn_graph *g = w->plan->graph;

    for (qn_value_id v = 0; v < g->value_count; v++)
        for (uint32_t u = 0; u < g->values[v].use_count; u++) {
            const struct qn_use *use = &g->uses[g->values[v].use_at + u];
            if (use->slot != QN_SLOT_CAPTURED && w->dequantized[v] && qn_plan_reads_codes(w->plan, use->node, use->slot))
                qn_edit_set_input(w->edit, use->node, use->slot, w->dequantized[v]);
        }
}

static qonnx_status write_all(struct writer *w)
{
    const struct qn_graph *g = w->plan->graph;

    w->arena = qn_edit_arena(w->edit);
    w->params = qn_arena_array(&w->scratch, g->value_count, sizeof *w->params);
    w->dequantized = qn_arena_array(&w->scratch, g->value_count, sizeof(char *));
    if (!w->params || !w->dequantized) return qn_fail_nomem(w->err);
    for (qn_value_id v = 0; v < g->value_count; v++)
        if (w->plan->tensors[v].quantized) write_activation(w, v);
    for (qn_node_id n = 0; n < g->node_count; n++) {
        const struct qn_node_plan *row = &w->plan->nodes[n];
        qonnx_status               status;
        if (row->reason != QN_REASON_QUANTIZED || row->rule->kind != QN_KIND_LAYER) continue;
        if ((status = write_layer(w, n)) != QONNX_OK) return qn_wrap(w->err, status, "%s", qn_node_label(g, n));
    }
    rewire(w);
    qn_edit_drop_unused(w->edit);
    return QONNX_OK;
}

static qonnx_status emit(const struct qn_plan *plan, struct qn_edit *edit, qonnx_error *err)
{
    struct writer w = { .plan = plan, .edit = edit, .err = err };
    qonnx_status  status = write_all(&w);

    qn_arena_release(&w.scratch);
    return status;
}

const struct qn_emitter qn_emit_qdq = { "qdq", "QuantizeLinear/DequantizeLinear around float operators", 13, emit };
