/* SPDX-License-Identifier: Apache-2.0
 * QOperator nodes as what they compute: DequantizeLinear for each operand, the float operator, QuantizeLinear. The op
 * table's twin strings say which operand is what.
 *
 * A kernel whose result cannot be negative because the lowest code stands for 0 gets a Relu: such a code is what writers
 * make of a Relu, which would be missing from the float graph. It changes nothing where the result is quantized. */
#include <string.h>

#include "lift/lifter.h"
#include "lift/unfold.h"
#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"

/* ---- operands ---- */

static const char *input(const struct qn_unfolder *u, size_t slot)
{
    const Onnx__NodeProto *pb = u->graph->pb->node[u->node];
    return slot < pb->n_input ? pb->input[slot] : "";
}

const Onnx__TensorProto *qn_unfold_constant(const struct qn_unfolder *u, const char *name)
{
    qn_value_id v = qn_graph_find(u->graph, name);
    return v == QN_NONE ? NULL : u->graph->values[v].init;
}

/* The lowest code of a type, and whether it is the code of 0 (an absent zero point is 0). */
static bool lowest_is_zero(const struct qn_unfolder *u, const struct qn_operand *x)
{
    const Onnx__TensorProto *zero = qn_unfold_constant(u, x->zero);
    struct qn_arena          scratch = { 0 };
    const struct qn_qtype   *type;
    const void              *codes;
    size_t                   count;
    bool                     is = false;

    if (!*x->zero) return x->type == QN_UINT8;
    if (zero && (codes = qn_codes_of(zero, &scratch, &type, &count)) && count == 1)
        is = qn_code_at(type, codes, 0) == type->lo;
    qn_arena_release(&scratch);
    return is;
}

/* Follows the twin string. */
static const char *collect(struct qn_unfolder *u, const char *twin)
{
    size_t             at = 0, inputs = u->graph->pb->node[u->node]->n_input;
    struct qn_operand *now = NULL;

    for (const char *c = twin; *c; c++) {
        switch (*c) {
        case 'X': now = &u->in[0], now->codes = input(u, at++), u->count = 1; break;
        case 'Y':
        case 'W': now = &u->in[1], now->codes = input(u, at++), u->count = 2; break;
        case 'B': u->in[2].codes = input(u, at++), u->count = *u->in[2].codes ? 3 : 2; break;
        case 's': now->scale = input(u, at++); break;
        case 'z': now->zero = input(u, at++); break;
        case 'S': u->out.scale = input(u, at++); break;
        case 'Z': u->out.zero = input(u, at++); break;
        case '*':
            for (; at + 2 < inputs && u->count < QN_MAX_OPERANDS; at += 3)
                u->in[u->count++] =
                    (struct qn_operand){ .codes = input(u, at), .scale = input(u, at + 1), .zero = input(u, at + 2) };
            c += strlen(c) - 1;
            break;
        }
    }
    if (at < inputs) return "it has more operands than are known";
    for (size_t i = 0; i < u->count; i++)
        if (!*u->in[i].codes || (i < 2 && !*u->in[i].scale)) return "an operand is missing";
    return NULL;
}

/* ---- building ---- */

/* DequantizeLinear of one operand, in front of the node; the name of what it makes. */
const char *qn_unfold_dequantize(struct qn_unfolder *u, const struct qn_operand *x, int axis)
{
    const char      *out = qn_edit_name(u->edit, x->codes, "_dequantized"), *inputs[] = { x->codes, x->scale, x->zero };
    Onnx__NodeProto *node = qn_node_new(u->arena, "DequantizeLinear", qn_edit_name(u->edit, out, "_DequantizeLinear"),
                                        *x->zero ? 3 : 2, inputs, 1, &out);

    if (axis >= 0) qn_attr_set_int(u->arena, node, "axis", axis);
    qn_edit_insert_before(u->edit, u->node, node);
    return out;
}

/* Scales and zero points of a weight as vectors of one length, or both as one number. */
const char *qn_unfold_vectors(struct qn_unfolder *u, struct qn_operand *w)
{
    const Onnx__TensorProto *scale = qn_unfold_constant(u, w->scale), *zero = qn_unfold_constant(u, w->zero);
    const float             *scales;
    size_t                   count, zeros = 1;
    const struct qn_qtype   *type;
    const void              *codes = NULL;
    uint8_t                 *bytes;
    int64_t                  dim;

    if (!scale || (*w->zero && !zero) || scale->data_type != QN_FLOAT ||
        qn_tensor_floats(scale, u->arena, &scales, &count, NULL) != QONNX_OK)
        return "a scale or zero point of its weight is not a constant";
    if (zero && !(codes = qn_codes_of(zero, u->arena, &type, &zeros)))
        return "the zero point of its weight cannot be read";
    if (zeros != 1 && zeros != count) return "scale and zero point of its weight differ in shape";
    w->scales = scales;
    w->count = count;
    if (count == 1) return NULL;
    dim = (int64_t)count;
    if (scale->n_dims != 1) {
        w->scale = qn_edit_name(u->edit, w->scale, "_vector");
        qn_edit_add_initializer(u->edit,
                                qn_tensor_new(u->arena, w->scale, QN_FLOAT, 1, &dim, scales, count * sizeof *scales));
    }
    if (!zero || (zero->n_dims == 1 && zeros == count)) return NULL;
    if (!(bytes = qn_arena_array(u->arena, count, type->code_size))) return NULL; /* sticky */
    for (size_t i = 0; i < count; i++)
        memcpy(bytes + i * type->code_size, (const uint8_t *)codes + (zeros == 1 ? 0 : i) * type->code_size,
               type->code_size);
    w->zero = qn_edit_name(u->edit, w->zero, "_vector");
    qn_edit_add_initializer(u->edit,
                            qn_tensor_new(u->arena, w->zero, zero->data_type, 1, &dim, bytes, count * type->code_size));
    return NULL;
}

/* One number for each of `count` channels, on the last axis. */
static bool is_row(const Onnx__TensorProto *tensor, size_t count)
{
    for (size_t i = 0; i < tensor->n_dims; i++)
        if (tensor->dims[i] != (i + 1 < tensor->n_dims ? 1 : (int64_t)count)) return false;
    return tensor->n_dims > 0;
}

/* The bias' scale is not written in QOperator: it is the product of the others. */
static const char *scale_bias(struct qn_unfolder *u, const struct qn_rule *rule)
{
    const Onnx__TensorProto *x = qn_unfold_constant(u, u->in[0].scale), *bias = qn_unfold_constant(u, u->in[2].codes);
    const struct qn_operand *w = &u->in[1];
    const float             *xs;
    float                   *product, alpha = qn_attr_float(u->graph->pb->node[u->node], "alpha", 1);
    size_t                   count;
    int64_t                  dim = (int64_t)w->count;

    (void)rule;
    if (!x || x->data_type != QN_FLOAT || qn_tensor_floats(x, u->arena, &xs, &count, NULL) != QONNX_OK || count != 1)
        return "the scale of its input is not a constant";
    if (!bias || bias->data_type != QN_INT32) return "its bias is not a constant of int32";
    if (w->count > 1 && !is_row(bias, w->count)) return "its bias has an unusual shape";
    if (!(product = qn_arena_array(u->arena, w->count, sizeof *product))) return NULL; /* sticky */
    for (size_t i = 0; i < w->count; i++)
        product[i] = alpha == 1.0f ? qn_bias_scale(xs[0], w->scales[i]) : alpha * xs[0] * w->scales[i];
    u->in[2].scale = qn_edit_name(u->edit, u->in[2].codes, "_scale");
    u->in[2].zero = "";
    qn_edit_add_initializer(u->edit, qn_tensor_new(u->arena, u->in[2].scale, QN_FLOAT, w->count > 1, &dim, product,
                                                   w->count * sizeof *product));
    return NULL;
}

/* The axis of the weight's scales: that of the output channels. */
static int weight_axis(const struct qn_unfolder *u, const struct qn_rule *rule)
{
    const Onnx__TensorProto *w = qn_unfold_constant(u, u->in[1].codes);
    int                      axis = rule->axis;

    if (strcmp(rule->op, "Gemm") == 0) axis = qn_attr_int(u->graph->pb->node[u->node], "transB", 0) ? 0 : 1;
    return axis >= 0 ? axis : w ? (int)w->n_dims - 1 : 1;
}

static void add_after(struct qn_unfolder *u, const char *op, const char *name, size_t inputs,
                      const char *const *input_names, const char *out)
{
    qn_edit_insert_after(u->edit, u->node, qn_node_new(u->arena, op, name, inputs, input_names, 1, &out));
}

/* True when the operator's result might be negative though the lowest code stands for 0. */
static bool needs_relu(const struct qn_unfolder *u, const struct qn_rule *rule)
{
    if (!*u->out.scale || !lowest_is_zero(u, &u->out)) return false;
    if (rule->kind == QN_KIND_LAYER) return true;
    if (rule->kind != QN_KIND_JOIN || strcmp(rule->op, "Concat") == 0) return false;
    for (size_t i = 0; i < u->count; i++)
        if (!lowest_is_zero(u, &u->in[i])) return true;
    return false;
}

static void remember(struct qn_lifter *l, const char *relu)
{
    const char **grown =
        qn_arena_grow(l->arena, (void *)l->lift->relus, l->lift->relu_count, &l->lift->relu_room, sizeof *grown);

    if (!grown) return;
    l->lift->relus = grown;
    grown[l->lift->relu_count++] = relu;
}

/* The node itself, and the Relu and Q behind it. */
static void replace(struct qn_unfolder *u, const struct qn_rule *rule, size_t count, const char *const *names)
{
    const Onnx__NodeProto *pb = u->graph->pb->node[u->node];
    const char            *out = pb->output[0], *base = out, *floats, *clamped, *quantize[3];
    Onnx__NodeProto       *node = qn_node_copy(u->arena, pb);
    size_t                 length = strlen(out);
    bool                   relu = needs_relu(u, rule);

    if (!node) return;
    if (length > 10 && strcmp(out + length - 10, "_quantized") == 0)
        base = qn_arena_printf(u->arena, "%.*s", (int)(length - 10), out);
    clamped = *u->out.scale ? qn_edit_name(u->edit, base, base == out ? "_float" : "") : out;
    floats = relu ? qn_edit_name(u->edit, base, "_before_Relu") : clamped;
    node->op_type = qn_arena_strdup(u->arena, rule->op);
    node->domain = NULL;
    node->n_input = count;
    node->input = (char **)(void *)qn_arena_memdup(u->arena, names, count * sizeof *names);
    node->output = (char **)(void *)qn_arena_memdup(u->arena, &floats, sizeof floats);
    qn_attr_remove(node, "channels_last");
    qn_attr_remove(node, "opset");
    qn_edit_replace_node(u->edit, u->node, node);
    if (relu) {
        add_after(u, "Relu", qn_edit_name(u->edit, base, "_Relu"), 1, &floats, clamped);
        remember(u->lifter, clamped);
    }
    if (!*u->out.scale) return;
    quantize[0] = clamped;
    quantize[1] = u->out.scale;
    quantize[2] = u->out.zero;
    add_after(u, "QuantizeLinear", qn_edit_name(u->edit, base, "_QuantizeLinear"), *u->out.zero ? 3 : 2, quantize, out);
}

/* ---- one node ---- */

/* A zero point that is left out stands for 0 of the codes' type, which for int8 has to be said. */
static void complete(struct qn_unfolder *u, struct qn_operand *x)
{
    const Onnx__TensorProto *zero = qn_unfold_constant(u, x->zero);

    if (zero) x->type = zero->data_type;
    if (*x->zero || !*x->scale || x->type != QN_INT8) return;
    x->zero = qn_edit_name(u->edit, x->scale, "_zero_point");
    qn_edit_add_initializer(u->edit,
                            qn_tensor_new(u->arena, x->zero, QN_INT8, 0, NULL, qn_arena_alloc(u->arena, 1), 1));
}

static int32_t type_of(const struct qn_unfolder *u, const char *name)
{
    qn_value_id v = qn_graph_find(u->graph, name);
    return v == QN_NONE ? 0 : u->graph->values[v].dtype;
}

static const char *unfold(struct qn_unfolder *u, const struct qn_rule *rule)
{
    const Onnx__NodeProto *pb = u->graph->pb->node[u->node];
    const char            *reason, *names[QN_MAX_OPERANDS];
    bool                   weight = rule->in[1] == QN_ROLE_WEIGHT;

    if (pb->n_output != 1 || !*pb->output[0]) return "it has no result";
    if (qn_attr_int(pb, "channels_last", 0)) return "its channels are last";
    if ((reason = collect(u, rule->twin_inputs))) return reason;
    for (size_t i = 0; i < u->count; i++) u->in[i].type = type_of(u, u->in[i].codes);
    u->out.type = u->in[0].type ? u->in[0].type : QN_UINT8;
    if (weight && (reason = qn_unfold_vectors(u, &u->in[1]))) return reason;
    if (rule->in[2] == QN_ROLE_BIAS && u->count > 2 && (reason = scale_bias(u, rule))) return reason;
    for (size_t i = 0; i < u->count && i < 2; i++) complete(u, &u->in[i]);
    complete(u, &u->out);
    for (size_t i = 0; i < u->count; i++) {
        bool spread = weight && u->in[1].count > 1;
        int  axis = !spread  ? -1
                    : i == 1 ? weight_axis(u, rule)
                    : i == 2 ? (int)qn_unfold_constant(u, u->in[2].codes)->n_dims - 1
                             : -1;
        names[i] = qn_unfold_dequantize(u, &u->in[i], axis);
    }
    replace(u, rule, u->count, names);
    u->lifter->lift->qoperator++;
    return NULL;
}

/* Softmax is never written in integers (it is slower), but it is read. */
static const struct qn_rule softmax = { .op = "Softmax",
                                        .kind = QN_KIND_POINTWISE,
                                        .in = { QN_ROLE_ACT },
                                        .twin_domain = "com.microsoft",
                                        .twin = "QLinearSoftmax",
                                        .twin_inputs = "XszSZ" };

static bool is_twin(const Onnx__NodeProto *pb, const struct qn_rule *rule)
{
    const char *domain = pb->domain && strcmp(pb->domain, "ai.onnx") != 0 ? pb->domain : "";
    /* ONNX Runtime has a QLinearConv of its own domain too */
    return rule->twin_inputs && strcmp(pb->op_type, rule->twin) == 0 &&
           (strcmp(domain, rule->twin_domain) == 0 || strcmp(domain, "com.microsoft") == 0);
}

static const struct qn_rule *rule_of_twin(const Onnx__NodeProto *pb)
{
    const struct qn_rule *rule;

    for (size_t i = 0; (rule = qn_rule_at(i)); i++)
        if (is_twin(pb, rule)) return rule;
    return is_twin(pb, &softmax) ? &softmax : NULL;
}

static bool is_integer_operator(const char *op)
{
    static const char *const names[] = { "QAttention",
                                         "QGemm",
                                         "QMoE",
                                         "QOrderedMatMul",
                                         "DynamicQuantizeMatMul",
                                         "DynamicQuantizeLSTM",
                                         "MatMulNBits",
                                         "MatMulBnb4",
                                         "GatherBlockQuantized",
                                         "MatMulIntegerToFloat",
                                         "MulInteger",
                                         "ReduceSumInteger",
                                         "QEmbedLayerNormalization" };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(op, names[i]) == 0) return true;
    return strncmp(op, "QLinear", 7) == 0;
}

static const char *unfold_node(struct qn_lifter *l, struct qn_edit *edit, qn_node_id n, const struct qn_rule *rule)
{
    const Onnx__NodeProto *pb = l->graph->pb->node[n];
    struct qn_unfolder u = { .lifter = l, .graph = l->graph, .edit = edit, .arena = qn_edit_arena(edit), .node = n };

    for (size_t i = 0; i < QN_MAX_OPERANDS; i++) u.in[i] = (struct qn_operand){ .codes = "", .scale = "", .zero = "" };
    u.out = u.in[0];
    if (!rule) return qn_unfold_integer(&u);
    if (rule == &softmax && (qn_attr_int(pb, "opset", 0) < 13) != (qn_model_opset(l->graph->model, "") < 13))
        return "it follows the rules of another opset";
    return unfold(&u, rule);
}

static void visit(struct qn_lifter *l, struct qn_edit *edit, qn_node_id n)
{
    const Onnx__NodeProto *pb = l->graph->pb->node[n];
    const struct qn_rule  *rule = rule_of_twin(pb);
    const char            *reason = NULL;

    if (rule || qn_node_is(l->graph, n, "MatMulInteger") || qn_node_is(l->graph, n, "ConvInteger"))
        reason = unfold_node(l, edit, n, rule);
    else if (is_integer_operator(pb->op_type))
        reason = "no float form of it is known";
    if (reason) qn_lift_note(l, n, reason);
}

qonnx_status qn_lift_unfold(struct qn_lifter *l)
{
    struct qn_edit *edit;
    bool            changed;

    QN_TRY(qn_edit_begin(&edit, l->graph, l->err));
    for (qn_node_id n = 0; n < l->graph->node_count; n++) visit(l, edit, n);
    qn_edit_drop_unused(edit);
    if (!qn_arena_failed(l->arena)) return qn_edit_commit(edit, &changed, l->err);
    qn_edit_cancel(edit);
    return qn_fail_nomem(l->err);
}

bool qn_lift_wants_opset_13(const struct qn_graph *graph)
{
    if (qn_model_opset(graph->model, "") >= 13) return false;
    for (qn_node_id n = 0; n < graph->node_count; n++) {
        const struct qn_rule    *rule = rule_of_twin(graph->pb->node[n]);
        const Onnx__TensorProto *scale = rule && rule->in[1] == QN_ROLE_WEIGHT ? qn_node_constant(graph, n, 4) : NULL;
        for (size_t i = 0; scale && i < scale->n_dims; i++)
            if (scale->dims[i] != 1) return true;
    }
    return false;
}
