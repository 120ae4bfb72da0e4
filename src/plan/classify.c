/* SPDX-License-Identifier: Apache-2.0
 * Can this node be quantized at all? Its row, its constants, the target and the user each may say no. */
#include <math.h>
#include <string.h>

#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/scopes.h"
#include "plan/block_weight.h"
#include "plan/match.h"
#include "plan/overrides.h"
#include "plan/planner.h"
#include "plan/presets.h"
#include "quant/small_float.h"

/* QN_REASON_QUANTIZED when the target has nothing against it. */
static enum qn_reason kept_float(const struct qn_planner *p, const char *op)
{
    for (const struct qn_kept_float *k = p->settings->target_row->kept_float; k && k->op; k++)
        if (strcmp(k->op, op) == 0) return k->reason;
    return QN_REASON_QUANTIZED;
}

static enum qn_reason check_weight(const struct qn_graph *g, qn_value_id v, size_t least_rank)
{
    const Onnx__TensorProto *w = v == QN_NONE ? NULL : g->values[v].init;

    if (!w) return qn_quantized_already(g, v) ? QN_REASON_ALREADY_QUANTIZED : QN_REASON_WEIGHT_NOT_CONSTANT;
    if (w->data_type != QN_FLOAT) return QN_REASON_WEIGHT_NOT_FLOAT;
    if (w->n_dims < least_rank) return QN_REASON_WEIGHT_SHAPE;
    for (size_t i = 0; i < w->n_dims; i++)
        if (w->dims[i] < 1) return QN_REASON_WEIGHT_SHAPE;
    return QN_REASON_QUANTIZED;
}

/* A bias goes into int32 codes only as one constant for each output channel; other forms keep kernels from fusing. */
static enum qn_reason check_bias(const struct qn_graph *g, qn_node_id n, const struct qn_rule *rule)
{
    const Onnx__TensorProto *w = qn_node_constant(g, n, 1), *b = qn_node_constant(g, n, 2);
    qn_value_id              v = qn_node_input(g, n, 2);
    size_t                   last;

    if (v == QN_NONE) return QN_REASON_QUANTIZED;
    if (!b) return QN_REASON_WEIGHT_NOT_CONSTANT;
    if (b->data_type != QN_FLOAT) return QN_REASON_WEIGHT_NOT_FLOAT;
    last = b->n_dims - 1;
    if (!b->n_dims || b->dims[last] != w->dims[rule->axis]) return QN_REASON_WEIGHT_SHAPE;
    for (size_t i = 0; i < last; i++)
        if (b->dims[i] != 1) return QN_REASON_WEIGHT_SHAPE;
    return QN_REASON_QUANTIZED;
}

static enum qn_reason check_layer(const struct qn_planner *p, qn_node_id n, const struct qn_rule *rule)
{
    const struct qn_graph *g = p->graph;

    enum qn_reason         reason;

    if (rule->in[1] == QN_ROLE_ACT) return p->settings->target_row->act_act_matmul ? QN_REASON_QUANTIZED : QN_REASON_ACT_TIMES_ACT;
    reason = check_weight(g, qn_node_input(g, n, 1), 2);
    return reason == QN_REASON_QUANTIZED && rule->in[2] == QN_ROLE_BIAS ? check_bias(g, n, rule) : reason;
}

static bool user_selects(const struct qn_list *patterns, const struct qn_graph *g, qn_node_id n)
{
    for (size_t i = 0; i < patterns->count; i++)
        if (qn_match_node(patterns->items[i], g, n)) return true;
    return false;
}

/* On targets that compute on integers alone an operator without a rule has codes around it all the same. */
static const struct qn_rule any_operator = { .op = "", .kind = QN_KIND_POINTWISE, .in = { QN_ROLE_ACT } };

/* What only asks for a target or an option; NOT_NEEDED for all else. */
static enum qn_reason check_wanted(const struct qn_planner *p, const struct qn_rule *rule, const struct qn_weight_form *form)
{
    const struct qn_settings *s = p->settings;
    bool                      foreign = strcmp(s->format, "qonnx") == 0, own = s->target_row->own_operators && !foreign && strcmp(s->format, "qcdq") != 0;

    if (rule->kind == QN_KIND_TABLE && (foreign || form->type->floating || strcmp(form->embeddings, "float") == 0)) return QN_REASON_EMBEDDING;
    if (rule->kind == QN_KIND_TABLE && qn_table_bits(form->embeddings) && !own) return QN_REASON_NOT_PORTABLE;
    if (rule->kind == QN_KIND_RECURRENT && rule->twin && !own) return QN_REASON_NOT_PORTABLE;
    return QN_REASON_NOT_NEEDED;
}

/* Where only weights become codes, all that matters is whether there are any: what computes with them is a float operator,
 * whatever its attributes. The rule's own refinement still says where its channels lie. */
static enum qn_reason classify_weights(const struct qn_planner *p, qn_node_id n, struct qn_rule *own, const struct qn_weight_form *form)
{
    const struct qn_graph *g = p->graph;
    enum qn_reason         reason = own->refine ? own->refine(g, n, own) : QN_REASON_QUANTIZED;

    switch (own->kind) {
    case QN_KIND_LAYER:
        if (own->in[1] == QN_ROLE_ACT) return qn_node_constant(g, n, 0) ? reason : QN_REASON_ACT_TIMES_ACT;
        return (reason = check_weight(g, qn_node_input(g, n, 1), 2)) == QN_REASON_QUANTIZED ? QN_REASON_NOT_NEEDED : reason;
    case QN_KIND_RECURRENT:
        if (strcmp(p->settings->format, "qonnx") == 0) return QN_REASON_NOT_PORTABLE;
        if ((reason = check_weight(g, qn_node_input(g, n, 1), 3)) != QN_REASON_QUANTIZED) return reason;
        return (reason = check_weight(g, qn_node_input(g, n, 2), 3)) == QN_REASON_QUANTIZED ? QN_REASON_NOT_NEEDED : reason;
    case QN_KIND_TABLE: return !qn_qtype_scaled(form->type) ? QN_REASON_NOT_NEEDED : check_wanted(p, own, form);
    default: return QN_REASON_ONLY_WEIGHTS;
    }
}

/* Where activations get their codes as the model runs, convolutions are slower for it. */
static enum qn_reason classify_dynamic(const struct qn_planner *p, qn_node_id n, struct qn_rule *own, const struct qn_weight_form *form)
{
    enum qn_reason reason = own->kind == QN_KIND_RECURRENT ? check_wanted(p, own, form) : QN_REASON_NOT_NEEDED;

    if (reason != QN_REASON_NOT_NEEDED) return reason;
    if (own->refine && (reason = own->refine(p->graph, n, own)) != QN_REASON_QUANTIZED) return reason;
    switch (own->kind) {
    case QN_KIND_LAYER:
        if (own->in[1] == QN_ROLE_ACT) return QN_REASON_ACT_TIMES_ACT;
        if (!own->blocks) return QN_REASON_SLOWER_ON_TARGET;
        return (reason = check_weight(p->graph, qn_node_input(p->graph, n, 1), 2)) == QN_REASON_QUANTIZED ? QN_REASON_NOT_NEEDED : reason;
    case QN_KIND_RECURRENT:
    case QN_KIND_TABLE: return check_wanted(p, own, form);
    default: return QN_REASON_ONLY_WEIGHTS;
    }
}

static enum qn_reason classify(const struct qn_planner *p, qn_node_id n, struct qn_rule *own, const struct qn_weight_form *form)
{
    const struct qn_graph *g = p->graph;
    const Onnx__NodeProto *pb = g->pb->node[n];
    const struct qn_rule  *rule;
    enum qn_reason         reason;

    if (qn_is_mark(pb)) return QN_REASON_SCOPE;
    if (qn_node_has_body(pb)) return QN_REASON_HAS_BODY;
    if (pb->domain && *pb->domain && strcmp(pb->domain, "ai.onnx") != 0) return QN_REASON_OTHER_DOMAIN;
    if (qn_node_is(g, n, "QuantizeLinear") || qn_node_is(g, n, "DequantizeLinear")) return QN_REASON_ALREADY_QUANTIZED;
    if (qn_node_is(g, n, "Einsum")) return QN_REASON_EINSUM;
    reason = p->settings->acts != QN_ACTS_STATIC ? QN_REASON_QUANTIZED : kept_float(p, pb->op_type);
    if (!(rule = qn_rule_find(pb->op_type))) {
        if (reason != QN_REASON_QUANTIZED) return reason;
        if (p->settings->acts != QN_ACTS_STATIC || !p->settings->target_row->every_tensor) return QN_REASON_OP_NOT_IN_TABLE;
        rule = &any_operator;
    }
    *own = *rule;
    if (p->settings->include.count && !user_selects(&p->settings->include, g, n)) return QN_REASON_NOT_INCLUDED;
    if (form->keep_float || user_selects(&p->settings->exclude, g, n)) return QN_REASON_EXCLUDED;
    if (reason != QN_REASON_QUANTIZED) return reason;
    if (p->settings->acts == QN_ACTS_FLOAT) return classify_weights(p, n, own, form);
    if (p->settings->acts == QN_ACTS_DYNAMIC) return classify_dynamic(p, n, own, form);
    if (rule->since > qn_model_opset(g->model, "")) return QN_REASON_OPSET;
    if (rule->kind == QN_KIND_RECURRENT && (reason = check_wanted(p, rule, form)) != QN_REASON_NOT_NEEDED) return reason;
    if (rule->refine && (reason = rule->refine(g, n, own)) != QN_REASON_QUANTIZED) return reason;
    if (rule->kind == QN_KIND_LAYER && (reason = check_layer(p, n, own)) != QN_REASON_QUANTIZED) return reason;
    if (p->losing[n]) return QN_REASON_SLOWER_ON_TARGET;
    return check_wanted(p, own, form); /* until a quantized node needs it */
}

/* A node that its pattern matches has a weight that takes what it asks for. What passes folded away was warned of. */
static qonnx_status check_override(const struct qn_planner *p, size_t i, qonnx_error *err)
{
    const struct qn_override *override = &p->settings->overrides[i];
    const bool                blocks = qn_override_blocks(override);
    bool                      any = false;

    for (qn_node_id n = 0; n < p->graph->node_count; n++) {
        const struct qn_rule *rule = p->plan->nodes[n].rule;
        if (!qn_match_node(p->settings->overridden.items[i], p->graph, n)) continue;
        if (rule && (override->keep_float || (blocks ? rule->blocks : rule->kind == QN_KIND_LAYER || rule->kind == QN_KIND_RECURRENT || rule->kind == QN_KIND_TABLE))) return QONNX_OK;
        any = true;
    }
    return any ? qn_fail(err, QONNX_E_USAGE, "--override %.200s: no node that it matches has a weight%s", override->text, blocks ? " that can be in blocks, as those of MatMul and Gemm" : "") : QONNX_OK;
}

qonnx_status qn_plan_classify(struct qn_planner *p, const struct qn_verdict *verdicts, qonnx_error *err)
{
    for (qn_node_id n = 0; n < p->graph->node_count; n++) {
        struct qn_node_plan *row = &p->plan->nodes[n];
        struct qn_rule      *own = qn_arena_alloc(&p->plan->arena, sizeof *own);

        if (!own) return qn_fail_nomem(err);
        QN_TRY(qn_overrides_form(p->settings, p->graph, n, &row->form, err));
        if (verdicts && verdicts[n].form) row->form = *verdicts[n].form;
        if (p->settings->dry_run) row->form.range = QN_WEIGHT_MINMAX; /* sizes do not depend on it */
        row->reason = classify(p, n, own, &row->form);
        row->rule = own->op ? own : NULL;
        row->fused_into = row->result = QN_NONE;
        row->db = row->weight_sqnr = NAN;
        if (verdicts && verdicts[n].reason != QN_REASON_QUANTIZED && row->reason == QN_REASON_NOT_NEEDED) {
            row->reason = verdicts[n].reason;
            row->db = verdicts[n].db;
        }
    }
    for (size_t i = 0; i < p->settings->overridden.count; i++) QN_TRY(check_override(p, i, err));
    return QONNX_OK;
}

