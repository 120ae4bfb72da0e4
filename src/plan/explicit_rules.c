/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/explicit_rules.h"

#include <math.h>
#include <string.h>

#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"
#include "plan/match.h"

/* Operators that wildcards give an input or an output quantizer; others must be named. */
static const char *const activations[] = { "Relu",      "Sigmoid", "Tanh",     "Clip",  "Identity",
                                           "LeakyRelu", "Elu",     "Selu",     "PRelu", "HardSigmoid",
                                           "HardSwish", "Gelu",    "Softplus", "Mish" };

/* ---- what a node can be given ---- */

static bool is_one_of(const struct qn_graph *g, qn_node_id n, const char *const *ops, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (qn_node_is(g, n, ops[i])) return true;
    return false;
}

bool qn_is_layer_op(const struct qn_graph *g, qn_node_id n)
{
    static const char *const ops[] = { "Conv", "ConvTranspose", "Gemm", "MatMul" };
    return is_one_of(g, n, ops, sizeof ops / sizeof *ops);
}

static bool all_finite(const Onnx__TensorProto *tensor)
{
    struct qn_arena scratch = { 0 };
    const float    *x;
    size_t          count;
    float           sum = 0; /* x * 0 is NaN for NaN and infinities, and so is every sum after it */
    bool            read = qn_tensor_floats(tensor, &scratch, &x, &count, NULL) == QONNX_OK;

    for (size_t i = 0; read && i < count; i++) sum += x[i] * 0.0f;
    qn_arena_release(&scratch);
    return read && sum == 0.0f;
}

enum qn_reason qn_layer_reason(const struct qn_graph *g, qn_node_id n)
{
    const Onnx__TensorProto *w = qn_node_constant(g, n, 1);
    bool                     matrix = qn_node_is(g, n, "Gemm") || qn_node_is(g, n, "MatMul");

    if (!w)
        return qn_quantized_already(g, qn_node_input(g, n, 1)) ? QN_REASON_ALREADY_QUANTIZED
                                                               : QN_REASON_WEIGHT_NOT_CONSTANT;
    if (w->data_type != QN_FLOAT) return QN_REASON_WEIGHT_NOT_FLOAT;
    if (matrix ? w->n_dims != 2 : w->n_dims < 3) return QN_REASON_WEIGHT_SHAPE;
    for (size_t i = 0; i < w->n_dims; i++)
        if (w->dims[i] < 1) return QN_REASON_WEIGHT_SHAPE;
    return all_finite(w) ? QN_REASON_QUANTIZED : QN_REASON_WEIGHT_NOT_FINITE;
}

int qn_weight_axis(const struct qn_graph *g, qn_node_id n)
{
    if (qn_node_is(g, n, "Conv")) return 0;
    return qn_node_is(g, n, "Gemm") && qn_attr_int(g->pb->node[n], "transB", 0) ? 0 : 1;
}

bool qn_keeps_metadata(const struct qn_graph *g, qn_node_id n)
{
    const struct qn_rule *rule =
        qn_node_is(g, n, g->pb->node[n]->op_type) ? qn_rule_find(g->pb->node[n]->op_type) : NULL;
    struct qn_rule own;

    if (qn_node_is(g, n, "Relu") || qn_node_is(g, n, "Identity")) return true;
    if (!rule || rule->kind != QN_KIND_MOVE) return false;
    own = *rule;
    return !rule->refine || rule->refine(g, n, &own) == QN_REASON_QUANTIZED;
}

bool qn_linear_bias(const struct qn_graph *g, qn_node_id n, struct qn_use *bias)
{
    qn_value_id              out = qn_node_output(g, n, 0);
    qn_node_id               add = out == QN_NONE ? QN_NONE : qn_value_only_user(g, out);
    const Onnx__TensorProto *w = qn_node_constant(g, n, 1), *b;

    if (!qn_node_is(g, n, "MatMul") || add == QN_NONE || !qn_node_is(g, add, "Add") || !w || w->n_dims != 2)
        return false;
    *bias = (struct qn_use){ add, qn_node_input(g, add, 0) == out ? 1 : 0 };
    b = qn_node_constant(g, add, bias->slot);
    return b && b->data_type == QN_FLOAT && b->n_dims == 1 && b->dims[0] == w->dims[1];
}

/* A bias of one constant number for each output channel. */
static const char *no_bias(const struct qn_graph *g, qn_node_id n)
{
    const Onnx__TensorProto *w = qn_node_constant(g, n, 1), *b;
    const Onnx__NodeProto   *pb = g->pb->node[n];
    struct qn_use            at = { n, 2 };
    int64_t                  channels;

    if (qn_node_is(g, n, "MatMul") ? !qn_linear_bias(g, n, &at) : qn_node_input(g, n, 2) == QN_NONE)
        return "has no bias";
    b = qn_node_constant(g, at.node, at.slot);
    if (!b || b->data_type != QN_FLOAT) return "has a bias that is no float constant";
    channels = w->dims[qn_weight_axis(g, n)] * (qn_node_is(g, n, "ConvTranspose") ? qn_attr_int(pb, "group", 1) : 1);
    if (b->n_dims != 1 || b->dims[0] != channels) return "has a bias that is not one number for each output channel";
    if (qn_node_is(g, n, "Gemm") && (qn_attr_float(pb, "alpha", 1) != 1.0f || qn_attr_float(pb, "beta", 1) != 1.0f))
        return "has an alpha or a beta, which no scale of a bias can follow";
    return all_finite(b) ? NULL : "has a bias that holds NaN or infinity";
}

static size_t varying_inputs(const struct qn_graph *g, qn_node_id n)
{
    size_t count = 0;

    for (size_t slot = 0; slot < g->pb->node[n]->n_input; slot++) {
        qn_value_id v = qn_node_input(g, n, slot);
        count += v != QN_NONE && !g->values[v].init;
    }
    return count;
}

static bool is_float(const struct qn_graph *g, qn_value_id v)
{
    return v != QN_NONE && (!g->values[v].dtype || g->values[v].dtype == QN_FLOAT);
}

/* Why a slot of a node cannot be filled by a rule; NULL when it can. */
static const char *obstacle(const struct qn_graph *g, qn_node_id n, enum qn_slot slot, const struct qn_rule_words *rule)
{
    bool layer = qn_is_layer_op(g, n),
         known = layer || is_one_of(g, n, activations, sizeof activations / sizeof *activations);

    switch (slot) {
    case QN_SLOT_WEIGHT:
        if (!layer) return "has no weight";
        return qn_layer_reason(g, n) == QN_REASON_QUANTIZED ? NULL : qn_reason_text(qn_layer_reason(g, n));
    case QN_SLOT_BIAS:
        if (!layer) return "has no bias";
        return qn_layer_reason(g, n) == QN_REASON_QUANTIZED ? no_bias(g, n) : qn_reason_text(qn_layer_reason(g, n));
    case QN_SLOT_INPUT:
        if (!is_float(g, qn_node_input(g, n, 0)) || g->values[qn_node_input(g, n, 0)].init || varying_inputs(g, n) != 1)
            return "has no single float input";
        break;
    default:
        if (!is_float(g, qn_node_output(g, n, 0))) return "has no float output";
        if (qn_quantized_already(g, qn_node_output(g, n, 0))) return qn_reason_text(QN_REASON_ALREADY_QUANTIZED);
    }
    if (known || rule->op_count || (rule->match && !strpbrk(rule->match, "*?"))) return NULL;
    return "is neither a layer nor an activation: a rule must name its operator";
}

/* ---- all rules on all nodes ---- */

static bool selected(const struct qn_graph *g, qn_node_id n, const struct qn_settings *settings)
{
    bool in = !settings->include.count;

    if (qn_node_has_body(g->pb->node[n])) return false;
    for (size_t i = 0; i < settings->include.count; i++) in |= qn_match_node(settings->include.items[i], g, n);
    for (size_t i = 0; i < settings->exclude.count; i++) in &= !qn_match_node(settings->exclude.items[i], g, n);
    return in;
}

static qonnx_status fail_useless(const struct qn_graph *g, const struct qn_rule_words *rule, qonnx_error *err)
{
    struct qn_nearest nearest = { .word = rule->match ? rule->match : "" };

    for (qn_node_id n = 0; rule->match && n < g->node_count; n++)
        if (g->pb->node[n]->name && *g->pb->node[n]->name) qn_nearest_consider(&nearest, g->pb->node[n]->name);
    return qn_fail(err, QONNX_E_USAGE, "%s:%d: no node is meant by this rule (%s '%s')%s", rule->file, rule->line,
                   rule->match   ? "match"
                   : rule->regex ? "regex"
                                 : "op",
                   rule->match   ? rule->match
                   : rule->regex ? rule->regex
                                 : rule->ops[0],
                   qn_nearest_hint(&nearest));
}

/* One rule on all nodes. */
static qonnx_status apply_rule(const struct qn_graph *g, const struct qn_settings *settings,
                               const struct qn_rule_words *rule, struct qn_node_words *words, qonnx_error *err)
{
    const char *why[QN_SLOT_COUNT] = { NULL };
    qn_node_id  first = QN_NONE;
    bool        used[QN_SLOT_COUNT] = { false };

    for (qn_node_id n = 0; n < g->node_count; n++) {
        if (!selected(g, n, settings) || !qn_rule_matches(rule, g, n)) continue;
        if (first == QN_NONE) first = n;
        for (enum qn_slot slot = 0; slot < QN_SLOT_COUNT; slot++) {
            const struct qn_slot_words *said = &rule->slots[slot];
            const char                 *trouble = said->said ? obstacle(g, n, slot, rule) : NULL;
            if (!said->said) continue;
            if (trouble) {
                if (!why[slot]) why[slot] = trouble;
                continue;
            }
            used[slot] = true;
            if (!said->off && !said->values.row && !words[n].slots[slot].row)
                return qn_fail(err, QONNX_E_USAGE, "%s:%d: %s: changes a quantizer that no earlier rule gives %s",
                               rule->file ? rule->file : "preset", said->line, qn_slot_name(slot), qn_node_label(g, n));
            qn_slot_apply(said, &words[n].slots[slot], &words[n].only_if_float);
            words[n].from[slot] = rule;
        }
    }
    if (rule->optional) return QONNX_OK;
    if (first == QN_NONE) return fail_useless(g, rule, err);
    for (enum qn_slot slot = 0; slot < QN_SLOT_COUNT; slot++)
        if (rule->slots[slot].said && !rule->slots[slot].off && !used[slot])
            return qn_fail(err, QONNX_E_USAGE, "%s:%d: %s: the rule is of no use: %s %s", rule->file,
                           rule->slots[slot].line, qn_slot_name(slot), qn_node_label(g, first), why[slot]);
    return QONNX_OK;
}

qonnx_status qn_said(const struct qn_rule_words *rule, enum qn_slot slot, const char *node, qonnx_status status,
                     qonnx_error *err)
{
    if (status == QONNX_OK) return status;
    if (!rule) return qn_wrap(err, status, "%s: %s", node, qn_slot_name(slot));
    return qn_wrap(err, status, "%s:%d: %s: %s", rule->file ? rule->file : "preset", rule->slots[slot].line, node,
                   qn_slot_name(slot));
}

static qonnx_status check_words(const struct qn_graph *g, qn_node_id n, const struct qn_node_words *words,
                                qonnx_error *err)
{
    for (enum qn_slot slot = 0; slot < QN_SLOT_COUNT; slot++) {
        if (!words->slots[slot].row) continue;
        QN_TRY(
            qn_said(words->from[slot], slot, qn_node_label(g, n), qn_slot_check(slot, &words->slots[slot], err), err));
    }
    return QONNX_OK;
}

qonnx_status qn_explicit_words(const struct qn_graph *graph, const struct qn_settings *settings, struct qn_arena *arena,
                               struct qn_node_words **words, qonnx_error *err)
{
    const struct qn_recipe *recipe = settings->recipe;

    if (!(*words = qn_arena_array(arena, graph->node_count, sizeof **words))) return qn_fail_nomem(err);
    for (size_t i = 0; i < recipe->rule_count; i++) QN_TRY(apply_rule(graph, settings, &recipe->rules[i], *words, err));
    for (qn_node_id n = 0; n < graph->node_count; n++) QN_TRY(check_words(graph, n, &(*words)[n], err));
    return QONNX_OK;
}
