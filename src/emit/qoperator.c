/* SPDX-License-Identifier: Apache-2.0
 *
 * QOperator: operators that take and give codes. Written in two steps: first as QDQ, then each float operator between
 * DequantizeLinear and QuantizeLinear that has an integer twin becomes that twin, whose operands are the names that stand
 * there already. The op table's twin strings give their order. What has no twin stays between DQ and Q. */
#include <math.h>
#include <string.h>

#include "emit/lib/around.h"
#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"

enum { MAX_OPERANDS = 64 };

struct folder {
    const struct qn_graph *graph;
    struct qn_edit        *edit;
    struct qn_arena       *arena;
    uint32_t              *consumed; /* by value: uses that the twins no longer have */
    bool                   microsoft;
};

/* The Q or DQ node that makes or takes a value. */
static qn_node_id producer(const struct folder *f, qn_value_id v, const char *op)
{
    qn_node_id n = v == QN_NONE ? QN_NONE : f->graph->values[v].producer;
    return n != QN_NONE && qn_node_is(f->graph, n, op) ? n : QN_NONE;
}

static const char *input(const struct folder *f, qn_node_id n, size_t slot) { return f->graph->pb->node[n]->input[slot]; }

static int32_t code_type(const struct folder *f, qn_node_id qdq)
{
    const Onnx__TensorProto *zero = qn_node_constant(f->graph, qdq, 2);
    return zero ? zero->data_type : 0;
}

static bool per_tensor(const struct folder *f, qn_node_id qdq)
{
    const Onnx__TensorProto *scale = qn_node_constant(f->graph, qdq, 1);
    return scale && scale->n_dims == 0;
}

/* A node in the making. */
struct twin {
    qn_node_id  node, q, clamp; /* q: the QuantizeLinear after it; clamp: a Relu or Clip between */
    qn_node_id  from[MAX_OPERANDS]; /* by input slot: the DequantizeLinear */
    const char *operands[MAX_OPERANDS];
    size_t      count;
};

static bool same_operand(const struct folder *f, const char *a, const char *b)
{
    const Onnx__TensorProto *x, *y;
    qn_value_id              i = qn_graph_find(f->graph, a), k = qn_graph_find(f->graph, b);

    if (strcmp(a, b) == 0) return true;
    if (i == QN_NONE || k == QN_NONE || !(x = f->graph->values[i].init) || !(y = f->graph->values[k].init)) return false;
    return x->data_type == y->data_type && x->n_dims == 0 && y->n_dims == 0 && x->has_raw_data && y->has_raw_data && x->raw_data.len == y->raw_data.len &&
           memcmp(x->raw_data.data, y->raw_data.data, x->raw_data.len) == 0;
}

/* ---- what surrounds a node ---- */

static float scalar(const struct folder *f, qn_node_id n, size_t slot, float absent)
{
    const Onnx__TensorProto *t = qn_node_constant(f->graph, n, slot);
    struct qn_arena          scratch = { 0 };
    const float             *x;
    size_t                   count;
    float                    value = absent;

    if (t && qn_tensor_floats(t, &scratch, &x, &count, NULL) == QONNX_OK && count == 1) value = *x;
    qn_arena_release(&scratch);
    return value;
}

/* True when saturating the codes cuts at least as much as the clamp does, so that it may go. */
static bool saturates(const struct folder *f, qn_node_id clamp, qn_node_id q)
{
    const Onnx__TensorProto *zero = qn_node_constant(f->graph, q, 2);
    bool                     relu = qn_node_is(f->graph, clamp, "Relu");
    float                    s = scalar(f, q, 1, NAN), z = scalar(f, q, 2, NAN);
    float                    lo = zero && zero->data_type == QN_UINT8 ? 0 : -128, hi = lo + 255;
    float                    min = relu ? 0 : scalar(f, clamp, 1, -INFINITY), max = relu ? INFINITY : scalar(f, clamp, 2, INFINITY);

    if (!relu && !qn_node_is(f->graph, clamp, "Clip")) return false;
    return (lo - z) * s >= min && (hi - z) * s <= max; /* false for NaN */
}

/* The Q that is the only reader of a node's first result, perhaps behind a clamp. */
static void find_output(const struct folder *f, struct twin *t)
{
    qn_value_id out = qn_node_output(f->graph, t->node, 0);
    qn_node_id  next = out == QN_NONE ? QN_NONE : qn_value_only_user(f->graph, out), behind;

    t->q = t->clamp = QN_NONE;
    if (next == QN_NONE) return;
    if (qn_node_is(f->graph, next, "QuantizeLinear")) {
        if (per_tensor(f, next) && qn_node_input(f->graph, next, 0) == out) t->q = next;
        return;
    }
    out = qn_node_output(f->graph, next, 0);
    behind = out == QN_NONE ? QN_NONE : qn_value_only_user(f->graph, out);
    if (behind == QN_NONE || !qn_node_is(f->graph, behind, "QuantizeLinear") || !per_tensor(f, behind) || !saturates(f, next, behind)) return;
    t->clamp = next;
    t->q = behind;
}

/* Kernels take a bias in int32 whose scale is the product of the others, and are not told otherwise. */
static bool bias_fits(const struct folder *f, const struct twin *t, qn_node_id bias)
{
    const Onnx__TensorProto *bs = qn_node_constant(f->graph, bias, 1), *ws = qn_node_constant(f->graph, t->from[1], 1), *zero = qn_node_constant(f->graph, bias, 2);
    float                    xs = scalar(f, t->from[0], 1, NAN);
    struct qn_arena          scratch = { 0 };
    const float             *b, *w, *z = NULL;
    size_t                   nb, nw, nz = 0;
    bool                     fits;

    if (code_type(f, bias) != QN_INT32 || !bs || !ws) return false;
    fits = qn_tensor_floats(bs, &scratch, &b, &nb, NULL) == QONNX_OK && qn_tensor_floats(ws, &scratch, &w, &nw, NULL) == QONNX_OK && (nb == nw || nb == 1);
    if (fits && zero) fits = qn_tensor_floats(zero, &scratch, &z, &nz, NULL) == QONNX_OK;
    for (size_t i = 0; fits && i < nw; i++) fits = b[nb == 1 ? 0 : i] == qn_bias_scale(xs, w[i]);
    for (size_t i = 0; fits && i < nz; i++) fits = z[i] == 0;
    qn_arena_release(&scratch);
    return fits;
}

static bool find_inputs(const struct folder *f, const struct qn_rule *rule, struct twin *t)
{
    const Onnx__NodeProto *pb = f->graph->pb->node[t->node];

    if (pb->n_input > 16) return false; /* 3 operands for each input of a Concat must fit */
    for (size_t slot = 0; slot < pb->n_input; slot++) {
        enum qn_role role = slot < 3 && (rule->in[slot] || !rule->rest) ? rule->in[slot] : rule->rest;
        qn_value_id  v = qn_node_input(f->graph, t->node, slot), codes;

        t->from[slot] = QN_NONE;
        if (v == QN_NONE || role == QN_ROLE_OTHER) continue;
        if ((t->from[slot] = producer(f, v, "DequantizeLinear")) == QN_NONE || !code_type(f, t->from[slot])) return false;
        codes = qn_node_input(f->graph, t->from[slot], 0);
        if (role == QN_ROLE_ACT && !per_tensor(f, t->from[slot])) return false;
        if (role != QN_ROLE_ACT && !f->graph->values[codes].init) return false;
        if (role == QN_ROLE_BIAS && !bias_fits(f, t, t->from[slot])) return false;
    }
    return true;
}

/* Kernels exist for u8·u8→u8, u8·s8→u8 and s8·s8→s8 products, and for joins of one type. */
static bool types_fit(const struct folder *f, const struct qn_rule *rule, const struct twin *t)
{
    int32_t x = code_type(f, t->from[0]), y = t->q == QN_NONE ? x : code_type(f, t->q);

    if ((x != QN_UINT8 && x != QN_INT8) || y != x) return false;
    for (size_t slot = 1; slot < f->graph->pb->node[t->node]->n_input; slot++) {
        int32_t type = t->from[slot] == QN_NONE ? 0 : code_type(f, t->from[slot]);
        if (!type || type == QN_INT32) continue;
        if (rule->kind == QN_KIND_LAYER ? (type != QN_UINT8 && type != QN_INT8) || (x == QN_INT8 && type != QN_INT8) : type != x) return false;
    }
    return true;
}

/* ---- building ---- */

static void push(struct twin *t, const char *name)
{
    if (t->count < MAX_OPERANDS) t->operands[t->count++] = name;
}

/* A convolution's or integer product's zero points as one number when they are all zero, as exporters write them. (QGemm
 * and QLinearMatMul want as many as scales.) */
static const char *weight_zero(struct folder *f, qn_node_id dq)
{
    const Onnx__TensorProto *zero = qn_node_constant(f->graph, dq, 2);
    const char              *name;

    if (!zero->n_dims || !zero->has_raw_data) return input(f, dq, 2);
    for (size_t i = 0; i < zero->raw_data.len; i++)
        if (zero->raw_data.data[i]) return input(f, dq, 2);
    name = qn_edit_name(f->edit, input(f, dq, 2), "_scalar");
    qn_edit_add_initializer(f->edit, qn_tensor_new(f->arena, name, zero->data_type, 0, NULL, qn_arena_alloc(f->arena, 1), 1));
    return name;
}

static void push_tensor(struct folder *f, struct twin *t, size_t slot)
{
    qn_node_id dq = t->from[slot];
    push(t, dq == QN_NONE ? "" : input(f, dq, 0));
}

static void push_params(struct folder *f, struct twin *t, size_t slot, bool weight)
{
    push(t, input(f, t->from[slot], 1));
    push(t, weight && qn_node_is(f->graph, t->node, "Conv") ? weight_zero(f, t->from[slot]) : input(f, t->from[slot], 2));
}

/* Follows the twin string: see rules.c. */
static void collect_operands(struct folder *f, const struct qn_rule *rule, struct twin *t)
{
    size_t slot = 0, inputs = f->graph->pb->node[t->node]->n_input;
    bool   weight = false;

    for (const char *c = rule->twin_inputs; *c; c++) {
        switch (*c) {
        case 'X': slot = 0, weight = false, push_tensor(f, t, slot); break;
        case 'Y': slot = 1, weight = false, push_tensor(f, t, slot); break;
        case 'W': slot = 1, weight = rule->in[1] == QN_ROLE_WEIGHT, push_tensor(f, t, slot); break;
        case 'B': push(t, inputs > 2 && t->from[2] != QN_NONE ? input(f, t->from[2], 0) : ""); break;
        case 's': push_params(f, t, slot, weight); break; /* and 'z' */
        case 'S':
            if (t->q == QN_NONE) break;
            push(t, input(f, t->q, 1));
            push(t, input(f, t->q, 2));
            break;
        case '*':
            for (slot = 0; slot < inputs; slot++) {
                push_tensor(f, t, slot);
                push_params(f, t, slot, false);
            }
            c += strlen(c) - 1;
            break;
        default: break; /* 'z' and 'Z' came with their letters */
        }
    }
    while (t->count && !*t->operands[t->count - 1]) t->count--; /* absent at the end: not written */
}

static void consume(struct folder *f, const struct twin *t)
{
    for (size_t slot = 0; slot < f->graph->pb->node[t->node]->n_input; slot++)
        if (t->from[slot] != QN_NONE) f->consumed[qn_node_input(f->graph, t->node, slot)]++;
    if (t->clamp != QN_NONE) qn_edit_remove_node(f->edit, t->clamp);
    if (t->q != QN_NONE) qn_edit_remove_node(f->edit, t->q);
}

static void write_twin(struct folder *f, const struct qn_rule *rule, struct twin *t)
{
    const Onnx__NodeProto *pb = f->graph->pb->node[t->node];
    const char            *out = t->q == QN_NONE ? pb->output[0] : f->graph->pb->node[t->q]->output[0];
    Onnx__NodeProto       *node;

    collect_operands(f, rule, t);
    if (!(node = qn_node_copy(f->arena, pb))) return;
    node->op_type = qn_arena_strdup(f->arena, rule->twin);
    if (*rule->twin_domain) node->domain = qn_arena_strdup(f->arena, rule->twin_domain);
    f->microsoft |= *rule->twin_domain != 0;
    node->n_input = t->count;
    node->input = (char **)(void *)qn_arena_memdup(f->arena, t->operands, t->count * sizeof *t->operands);
    node->output[0] = (char *)(uintptr_t)out;
    qn_attr_remove(node, "beta"); /* a Gemm's, 1 here; QGemm does not know it */
    qn_edit_replace_node(f->edit, t->node, node);
    consume(f, t);
}

/* MatMul with a float result: integer product, then both scales, as a product of their own: a runtime folds it, and a
 * reader finds them. */
static void write_matmul_integer(struct folder *f, struct twin *t)
{
    const Onnx__NodeProto *pb = f->graph->pb->node[t->node];
    const char *base = pb->output[0], *sum = qn_edit_name(f->edit, base, "_int32"), *cast = qn_edit_name(f->edit, base, "_unscaled"), *scale = qn_edit_name(f->edit, base, "_scale");
    const char *operands[] = { input(f, t->from[0], 0), input(f, t->from[1], 0), input(f, t->from[0], 2), weight_zero(f, t->from[1]) };
    const char *scales[] = { input(f, t->from[0], 1), input(f, t->from[1], 1) }, *scaled[] = { cast, scale };
    Onnx__NodeProto *node;

    qn_edit_replace_node(f->edit, t->node, qn_node_new(f->arena, "MatMulInteger", pb->name ? pb->name : "", 4, operands, 1, &sum));
    node = qn_node_new(f->arena, "Cast", qn_edit_name(f->edit, base, "_Cast"), 1, &sum, 1, &cast);
    qn_attr_set_int(f->arena, node, "to", QN_FLOAT);
    qn_edit_insert_after(f->edit, t->node, node);
    qn_edit_insert_after(f->edit, t->node, qn_node_new(f->arena, "Mul", qn_edit_name(f->edit, scale, "_Mul"), 2, scales, 1, &scale));
    qn_edit_insert_after(f->edit, t->node, qn_node_new(f->arena, "Mul", qn_edit_name(f->edit, base, "_Mul"), 2, scaled, 1, (const char *const *)pb->output));
    consume(f, t);
}

/* ---- moves ---- */

static bool pads_with_zero(const struct folder *f, qn_node_id n)
{
    return qn_node_input(f->graph, n, 2) == QN_NONE || scalar(f, n, 2, NAN) == 0;
}

/* Integers are padded with the code of 0, where floats have 0 by themselves. */
static void pad_with_code(struct folder *f, Onnx__NodeProto *node, const char *zero)
{
    size_t count = node->n_input < 3 ? 3 : node->n_input;
    char **inputs = qn_arena_array(f->arena, count, sizeof *inputs);

    for (size_t i = 0; inputs && i < count; i++) inputs[i] = i == 2 ? (char *)(uintptr_t)zero : i < node->n_input ? node->input[i] : (char *)(uintptr_t) "";
    if (!inputs) return;
    node->input = inputs;
    node->n_input = count;
}

/* A node that moves values can move codes when all its results are quantized with its input's parameters. */
static bool write_move(struct folder *f, qn_node_id n)
{
    const Onnx__NodeProto *pb = f->graph->pb->node[n];
    qn_node_id             dq = producer(f, qn_node_input(f->graph, n, 0), "DequantizeLinear"), q[16];
    Onnx__NodeProto       *node;

    if (dq == QN_NONE || pb->n_output > 16 || !per_tensor(f, dq)) return false;
    for (size_t slot = 0; slot < pb->n_output; slot++) {
        qn_value_id out = qn_node_output(f->graph, n, slot);
        q[slot] = out == QN_NONE ? QN_NONE : qn_value_only_user(f->graph, out);
        if (out == QN_NONE) continue;
        if (q[slot] == QN_NONE || !qn_node_is(f->graph, q[slot], "QuantizeLinear") || !same_operand(f, input(f, q[slot], 1), input(f, dq, 1)) || !same_operand(f, input(f, q[slot], 2), input(f, dq, 2))) return false;
    }
    if (qn_node_is(f->graph, n, "Pad") && !pads_with_zero(f, n)) return false;
    if (!(node = qn_node_copy(f->arena, pb))) return false;
    if (qn_node_is(f->graph, n, "Pad")) pad_with_code(f, node, input(f, dq, 2));
    node->input[0] = (char *)(uintptr_t)input(f, dq, 0);
    for (size_t slot = 0; slot < pb->n_output; slot++) {
        if (q[slot] == QN_NONE) continue;
        node->output[slot] = f->graph->pb->node[q[slot]]->output[0];
        qn_edit_remove_node(f->edit, q[slot]);
    }
    f->consumed[qn_node_input(f->graph, n, 0)]++;
    qn_edit_replace_node(f->edit, n, node);
    return true;
}

/* ---- all ---- */

static bool dequantizes_constant(const struct folder *f, qn_node_id n, size_t slot)
{
    qn_node_id dq = producer(f, qn_node_input(f->graph, n, slot), "DequantizeLinear");
    return dq != QN_NONE && qn_node_constant(f->graph, dq, 0);
}

static void fold_node(struct folder *f, qn_node_id n)
{
    const struct qn_rule *row = qn_node_is(f->graph, n, f->graph->pb->node[n]->op_type) ? qn_rule_find(f->graph->pb->node[n]->op_type) : NULL;
    struct qn_rule        rule;
    struct twin           t = { .node = n };

    if (!row || (row->refine && (rule = *row, row->refine(f->graph, n, &rule)) != QN_REASON_QUANTIZED)) return;
    rule = *row;
    if (strcmp(rule.op, "MatMul") == 0 && !dequantizes_constant(f, n, 1)) rule.in[1] = QN_ROLE_ACT;
    if (rule.kind == QN_KIND_MOVE) {
        write_move(f, n);
        return;
    }
    if (!rule.twin || !rule.twin_inputs || !find_inputs(f, &rule, &t) || t.from[0] == QN_NONE) return;
    find_output(f, &t);
    if (!types_fit(f, &rule, &t)) return;
    if (strcmp(rule.op, "MatMul") == 0 && t.q == QN_NONE) {
        if (f->graph->values[qn_node_input(f->graph, t.from[1], 0)].init) write_matmul_integer(f, &t);
        return;
    }
    if (t.q == QN_NONE && strcmp(rule.op, "Gemm") != 0) return;
    write_twin(f, &rule, &t);
}

static qonnx_status fold(const struct qn_graph *graph, struct qn_edit *edit, qonnx_error *err)
{
    struct qn_arena scratch = { 0 };
    struct folder   f = { .graph = graph, .edit = edit, .arena = qn_edit_arena(edit) };
    qonnx_status    status = QONNX_OK;

    f.consumed = qn_arena_array(&scratch, graph->value_count, sizeof *f.consumed);
    if (!f.consumed) status = qn_fail_nomem(err);
    for (qn_node_id n = 0; n < graph->node_count && status == QONNX_OK; n++) fold_node(&f, n);
    for (qn_value_id v = 0; v < graph->value_count && status == QONNX_OK; v++)
        if (f.consumed[v] && f.consumed[v] == graph->values[v].use_count && !(graph->values[v].flags & (QN_OUTPUT | QN_CAPTURED))) {
            qn_edit_remove_node(edit, graph->values[v].producer);
            qn_edit_drop_value_info(edit, graph->values[v].name);
        }
    if (f.microsoft) qn_edit_set_opset(edit, "com.microsoft", 1);
    qn_edit_drop_unused(edit);
    qn_arena_release(&scratch);
    return status;
}

static qonnx_status weight(struct qn_around *w, qn_node_id node, size_t slot, const char **out) { return qn_qdq_weight(w, node, slot, false, out); }

static qonnx_status emit(const struct qn_plan *plan, struct qn_edit *edit, qonnx_error *err)
{
    static const struct qn_style style = { qn_qdq_activation, qn_qdq_codes, qn_qdq_values, weight, qn_qdq_bias, qn_nbits_layer, NULL };
    return qn_around_write(plan, edit, &style, err);
}

const struct qn_emitter qn_emit_qoperator = { "qoperator", "operators on codes: QLinearConv, QLinearMatMul and their kin", 13, .emit = emit, .fold = fold };
