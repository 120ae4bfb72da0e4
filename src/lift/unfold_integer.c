/* SPDX-License-Identifier: Apache-2.0
 * An integer product, a Cast and a Mul by the product of both scales: a float product of quantized operands. */
#include <math.h>
#include <string.h>

#include "lift/unfold.h"
#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"

/* The scale that codes were made with, looking back through operators that move them. */
static const char *scale_of_codes(const struct qn_unfolder *u, const char *name)
{
    for (size_t steps = 0; steps < 64; steps++) {
        qn_value_id            v = qn_graph_find(u->graph, name);
        qn_node_id             n = v == QN_NONE ? QN_NONE : u->graph->values[v].producer;
        const Onnx__NodeProto *pb = n == QN_NONE ? NULL : u->graph->pb->node[n];
        const struct qn_rule  *rule;

        if (!pb) return NULL;
        if (qn_lift_is(u->graph, n, "QuantizeLinear")) return pb->n_input > 1 ? pb->input[1] : NULL;
        for (size_t i = 0; (rule = qn_rule_at(i)); i++) {
            const char *at;
            size_t      slot = 0;
            if (!rule->twin_inputs || strcmp(rule->twin, pb->op_type) != 0) continue;
            for (at = rule->twin_inputs; *at && *at != 'S'; at++) slot++;
            return *at && slot < pb->n_input ? pb->input[slot] : NULL;
        }
        rule = qn_rule_find(pb->op_type);
        if (!qn_node_is(u->graph, n, "Clip") && (!rule || rule->kind != QN_KIND_MOVE)) return NULL;
        name = pb->n_input ? pb->input[0] : "";
    }
    return NULL;
}

/* The node that alone reads a node's result, if it is of that kind. */
static qn_node_id only_reader(const struct qn_graph *g, qn_node_id n, const char *op)
{
    qn_value_id out = qn_node_output(g, n, 0);
    qn_node_id  next = out == QN_NONE ? QN_NONE : qn_value_only_user(g, out);
    return next != QN_NONE && qn_node_is(g, next, op) && g->pb->node[next]->n_output == 1 ? next : QN_NONE;
}

/* The weight's scales, when only their product with the input's is written: those whose product it is. */
static const char *divide(struct qn_unfolder *u, const Onnx__TensorProto *product, float x, struct qn_operand *w)
{
    const float *p;
    float       *scales;
    size_t       count;
    int64_t      dim;

    if (product->data_type != QN_FLOAT || qn_tensor_floats(product, u->arena, &p, &count, NULL) != QONNX_OK)
        return "its scale cannot be read";
    if (!(scales = qn_arena_array(u->arena, count, sizeof *scales))) return NULL; /* sticky */
    for (size_t i = 0; i < count; i++) {
        scales[i] = p[i] / x;
        if (scales[i] * x != p[i] && nextafterf(scales[i], INFINITY) * x == p[i])
            scales[i] = nextafterf(scales[i], INFINITY);
        if (scales[i] * x != p[i] && nextafterf(scales[i], 0) * x == p[i]) scales[i] = nextafterf(scales[i], 0);
    }
    dim = (int64_t)count;
    w->scale = qn_edit_name(u->edit, w->codes, "_scale");
    qn_edit_add_initializer(u->edit, qn_tensor_new(u->arena, w->scale, QN_FLOAT, count > 1, &dim, scales,
                                                   count * sizeof *scales));
    w->scales = scales;
    w->count = count;
    return NULL;
}

/* Finds both scales behind the factor. */
static const char *split_factor(struct qn_unfolder *u, const char *factor, qn_node_id *product)
{
    const Onnx__TensorProto *constant = qn_unfold_constant(u, factor), *x;
    qn_value_id              v = qn_graph_find(u->graph, factor);
    const float             *value;
    size_t                   count;

    *product = v == QN_NONE || constant ? QN_NONE : u->graph->values[v].producer;
    if (*product != QN_NONE && qn_node_is(u->graph, *product, "Mul")) {
        u->in[0].scale = u->graph->pb->node[*product]->input[0];
        u->in[1].scale = u->graph->pb->node[*product]->n_input > 1 ? u->graph->pb->node[*product]->input[1] : "";
        if (qn_value_only_user(u->graph, v) == QN_NONE) *product = QN_NONE; /* others need it */
    } else if (!constant || !(u->in[0].scale = scale_of_codes(u, u->in[0].codes))) {
        u->in[0].scale = "";
        return "the scale of its input is not a constant";
    }
    x = qn_unfold_constant(u, u->in[0].scale);
    if (!x || x->data_type != QN_FLOAT || qn_tensor_floats(x, u->arena, &value, &count, NULL) != QONNX_OK ||
        count != 1 || !(*value > 0))
        return "the scale of its input is not a constant";
    return constant ? divide(u, constant, *value, &u->in[1]) : NULL;
}

/* One zero point for all scales, as the integer operators write it, goes through the same widening as elsewhere. */
static const char *widen(struct qn_unfolder *u)
{
    const Onnx__TensorProto *zero = qn_unfold_constant(u, u->in[1].zero);
    int64_t                  dim = (int64_t)u->in[1].count;
    const struct qn_qtype   *type;
    const void              *codes;
    uint8_t                 *bytes;
    size_t                   count;

    if (qn_unfold_constant(u, u->in[1].scale)) return qn_unfold_vectors(u, &u->in[1]);
    if (u->in[1].count == 1 || !*u->in[1].zero) return NULL; /* the scales are new, and a vector already */
    if (!zero || !(codes = qn_codes_of(zero, u->arena, &type, &count)) || (count != 1 && count != u->in[1].count))
        return "the zero point of its weight cannot be read";
    if (count != 1) return NULL;
    if (!(bytes = qn_arena_array(u->arena, u->in[1].count, type->code_size))) return NULL;
    for (size_t i = 0; i < u->in[1].count; i++) memcpy(bytes + i * type->code_size, codes, type->code_size);
    u->in[1].zero = qn_edit_name(u->edit, u->in[1].zero, "_vector");
    qn_edit_add_initializer(u->edit, qn_tensor_new(u->arena, u->in[1].zero, zero->data_type, 1, &dim, bytes,
                                                   u->in[1].count * type->code_size));
    return NULL;
}

const char *qn_unfold_integer(struct qn_unfolder *u)
{
    const struct qn_graph   *g = u->graph;
    const Onnx__NodeProto   *pb = g->pb->node[u->node];
    const Onnx__TensorProto *weight = pb->n_input > 1 ? qn_unfold_constant(u, pb->input[1]) : NULL;
    qn_node_id cast = only_reader(g, u->node, "Cast"), mul = cast == QN_NONE ? QN_NONE : only_reader(g, cast, "Mul"),
               product;
    const Onnx__NodeProto *scaled;
    const char            *reason, *factor, *names[2], *out;
    Onnx__NodeProto       *node;
    bool                   conv = strcmp(pb->op_type, "ConvInteger") == 0;

    if (mul == QN_NONE || qn_attr_int(g->pb->node[cast], "to", 0) != QN_FLOAT || g->pb->node[mul]->n_input != 2)
        return "its sum is not scaled by a Mul";
    if (!weight) return "its weight is not a constant";
    scaled = g->pb->node[mul];
    factor = scaled->input[strcmp(scaled->input[0], g->pb->node[cast]->output[0]) == 0];
    u->in[0] = (struct qn_operand){ .codes = pb->input[0], .scale = "", .zero = pb->n_input > 2 ? pb->input[2] : "" };
    u->in[1] = (struct qn_operand){
        .codes = pb->input[1], .scale = "", .zero = pb->n_input > 3 ? pb->input[3] : "", .type = weight->data_type
    };
    if ((reason = split_factor(u, factor, &product)) || (reason = widen(u))) return reason;
    names[0] = qn_unfold_dequantize(u, &u->in[0], -1);
    names[1] = qn_unfold_dequantize(u, &u->in[1], u->in[1].count == 1 ? -1 : conv ? 0 : (int)weight->n_dims - 1);
    if (!(node = qn_node_copy(u->arena, pb))) return NULL;
    node->op_type = qn_arena_strdup(u->arena, conv ? "Conv" : "MatMul");
    node->n_input = 2;
    node->input = (char **)(void *)qn_arena_memdup(u->arena, names, sizeof names);
    out = scaled->output[0];
    node->output = (char **)(void *)qn_arena_memdup(u->arena, &out, sizeof out);
    qn_edit_replace_node(u->edit, u->node, node);
    qn_edit_remove_node(u->edit, cast);
    qn_edit_remove_node(u->edit, mul);
    if (product != QN_NONE) qn_edit_remove_node(u->edit, product);
    u->lifter->lift->qoperator++;
    return NULL;
}
