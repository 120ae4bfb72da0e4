/* SPDX-License-Identifier: Apache-2.0
 *
 * How placement is decided. Layers (Conv, Gemm, MatMul with a weight) are what pays, so the inputs of layers are
 * quantized, and of the rest only what lies between them and then runs on integers as well:
 *
 *   1. classify   each node against its row and the target's; layers that cannot be quantized drop out
 *   2. chains     pointwise nodes are grouped by the one tensor they are a function of, and stay in float
 *   3. clamps     a Relu or Clip that only reads one layer's or join's result vanishes into it
 *   4. ready      forwards: which values come out of integer kernels anyway
 *   5. wanted     backwards: which values must be quantized because an integer kernel reads them
 *
 * A Conv whose result may not be quantized drops out; then 3 to 5 start again, until nothing changes. */
#include "plan/plan.h"

#include <math.h>
#include <string.h>

#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"
#include "plan/match.h"
#include "plan/presets.h"

struct planner {
    struct qn_plan        *plan;
    const struct qn_graph *graph;
    const struct qn_settings *settings;
    qn_value_id *root;   /* of each value: the tensor it is a pointwise function of, itself for others */
    bool        *chain;  /* of each node: pointwise with one root */
    bool        *ready, *wanted; /* of each value */
    bool        *blocked; /* of each node: dropped out while planning */
    struct qn_arena scratch;
};

static const struct qn_rule *rule_of(const struct planner *p, qn_node_id n) { return p->plan->nodes[n].rule; }
static bool is_layer(const struct planner *p, qn_node_id n) { return rule_of(p, n) && rule_of(p, n)->kind == QN_KIND_LAYER; }
static bool is_constant(const struct qn_graph *g, qn_value_id v) { return v != QN_NONE && g->values[v].init; }

static enum qn_role role_of(const struct qn_rule *rule, size_t slot) { return slot < 3 && (rule->in[slot] || !rule->rest) ? rule->in[slot] : rule->rest; }

/* Still in the running to be quantized. */
static bool open_node(const struct planner *p, qn_node_id n) { return p->plan->nodes[n].reason == QN_REASON_NOT_NEEDED && !p->blocked[n]; }

/* ---- 1. classify ---- */

static bool is_slower(const struct planner *p, const char *op)
{
    for (const char *const *s = p->settings->target_row->slower; s && *s; s++)
        if (strcmp(*s, op) == 0) return true;
    return false;
}

static enum qn_reason check_weight(const struct qn_graph *g, qn_value_id v, size_t least_rank)
{
    const Onnx__TensorProto *w = v == QN_NONE ? NULL : g->values[v].init;

    if (!w) return QN_REASON_WEIGHT_NOT_CONSTANT;
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

static enum qn_reason check_layer(const struct planner *p, qn_node_id n, const struct qn_rule *rule)
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

static enum qn_reason classify(const struct planner *p, qn_node_id n, struct qn_rule *own)
{
    const struct qn_graph *g = p->graph;
    const Onnx__NodeProto *pb = g->pb->node[n];
    const struct qn_rule  *rule;
    enum qn_reason         reason;

    if (qn_node_has_body(pb)) return QN_REASON_HAS_BODY;
    if (pb->domain && *pb->domain && strcmp(pb->domain, "ai.onnx") != 0) return QN_REASON_MODEL_FUNCTION;
    if (qn_node_is(g, n, "QuantizeLinear") || qn_node_is(g, n, "DequantizeLinear")) return QN_REASON_ALREADY_QUANTIZED;
    if (!(rule = qn_rule_find(pb->op_type))) return is_slower(p, pb->op_type) ? QN_REASON_SLOWER_ON_TARGET : QN_REASON_OP_NOT_IN_TABLE;
    *own = *rule;
    if (p->settings->include.count && !user_selects(&p->settings->include, g, n)) return QN_REASON_NOT_INCLUDED;
    if (user_selects(&p->settings->exclude, g, n)) return QN_REASON_EXCLUDED;
    if (is_slower(p, rule->op)) return QN_REASON_SLOWER_ON_TARGET;
    if (rule->since > qn_model_opset(g->model, "")) return QN_REASON_OPSET;
    if (rule->refine && (reason = rule->refine(g, n, own)) != QN_REASON_QUANTIZED) return reason;
    if (rule->kind == QN_KIND_LAYER && (reason = check_layer(p, n, own)) != QN_REASON_QUANTIZED) return reason;
    return QN_REASON_NOT_NEEDED; /* until a quantized node needs it */
}

static qonnx_status classify_all(struct planner *p, const struct qn_verdict *verdicts, qonnx_error *err)
{
    for (qn_node_id n = 0; n < p->graph->node_count; n++) {
        struct qn_node_plan *row = &p->plan->nodes[n];
        struct qn_rule      *own = qn_arena_alloc(&p->plan->arena, sizeof *own);

        if (!own) return qn_fail_nomem(err);
        row->reason = classify(p, n, own);
        row->rule = own->op ? own : NULL;
        row->fused_into = row->result = QN_NONE;
        row->db = row->weight_sqnr = NAN;
        if (verdicts && verdicts[n].reason != QN_REASON_QUANTIZED && row->reason == QN_REASON_NOT_NEEDED) {
            row->reason = verdicts[n].reason;
            row->db = verdicts[n].db;
        }
    }
    return QONNX_OK;
}

/* ---- 2. chains ---- */

/* The one tensor that the node is a pointwise function of, or QN_NONE when there are several or none. */
static qn_value_id common_root(const struct planner *p, qn_node_id n)
{
    const Onnx__NodeProto *pb = p->graph->pb->node[n];
    qn_value_id            common = QN_NONE;

    for (size_t slot = 0; slot < pb->n_input; slot++) {
        qn_value_id v = qn_node_input(p->graph, n, slot);
        if (v == QN_NONE || is_constant(p->graph, v)) continue;
        if (common != QN_NONE && p->root[v] != common) return QN_NONE;
        common = p->root[v];
    }
    return common;
}

static void find_chains(struct planner *p)
{
    for (qn_value_id v = 0; v < p->graph->value_count; v++) p->root[v] = v;
    for (qn_node_id n = 0; n < p->graph->node_count; n++) {
        const struct qn_rule *rule = qn_rule_find(p->graph->pb->node[n]->op_type);
        qn_value_id           out = qn_node_output(p->graph, n, 0), root;

        if (!rule || !rule_of(p, n) || !(rule->kind == QN_KIND_POINTWISE || rule->also_pointwise)) continue;
        root = common_root(p, n);
        if (root == QN_NONE || out == QN_NONE) continue;
        p->chain[n] = true;
        p->root[out] = root;
    }
}

/* ---- 3. clamps ---- */

/* The interval a Relu or Clip with constant bounds cuts to. */
static bool clamp_bounds(const struct planner *p, qn_node_id n, struct qn_range *bounds)
{
    const struct qn_graph *g = p->graph;
    const Onnx__NodeProto *pb = g->pb->node[n];

    *bounds = QN_UNBOUNDED;
    if (qn_node_is(g, n, "Relu")) {
        bounds->min = 0;
        return true;
    }
    if (qn_attr_find(pb, "min") || qn_attr_find(pb, "max")) { /* before opset 11 */
        bounds->min = qn_attr_float(pb, "min", -INFINITY);
        bounds->max = qn_attr_float(pb, "max", INFINITY);
    }
    for (size_t slot = 1; slot < pb->n_input && slot < 3; slot++) {
        const Onnx__TensorProto *bound = qn_node_constant(g, n, slot);
        struct qn_arena          scratch = { 0 };
        const float             *value;
        size_t                   count;
        bool                     ok;

        if (!*pb->input[slot]) continue;
        ok = bound && bound->data_type == QN_FLOAT && qn_tensor_floats(bound, &scratch, &value, &count, NULL) == QONNX_OK && count == 1;
        if (ok) *(slot == 1 ? &bounds->min : &bounds->max) = *value;
        qn_arena_release(&scratch);
        if (!ok) return false;
    }
    return bounds->min <= 0 && bounds->max >= 0 && bounds->min < bounds->max;
}

/* Where the result of a layer, join or pool appears: its output, or that of a clamp nobody else sees the input of. */
static void absorb_clamps(struct planner *p)
{
    for (qn_node_id n = 0; n < p->graph->node_count; n++) {
        struct qn_node_plan *row = &p->plan->nodes[n];
        struct qn_range      bounds = QN_UNBOUNDED;
        qn_value_id          out = qn_node_output(p->graph, n, 0);
        qn_node_id           next;

        row->result = QN_NONE;
        if (!open_node(p, n) || p->chain[n] || !(row->rule->kind == QN_KIND_LAYER || row->rule->kind == QN_KIND_JOIN || row->rule->kind == QN_KIND_POOL) || out == QN_NONE) continue;
        row->result = out;
        next = qn_value_only_user(p->graph, out);
        if (next == QN_NONE || !rule_of(p, next) || !rule_of(p, next)->clamp || !open_node(p, next) || qn_node_input(p->graph, next, 0) != out || !clamp_bounds(p, next, &bounds)) continue;
        p->plan->nodes[next].fused_into = n;
        row->result = qn_node_output(p->graph, next, 0);
        p->plan->tensors[row->result].bounds = bounds;
    }
}

/* ---- 4. ready ---- */

static bool any_input_ready(const struct planner *p, qn_node_id n)
{
    for (size_t slot = 0; slot < p->graph->pb->node[n]->n_input; slot++) {
        qn_value_id v = qn_node_input(p->graph, n, slot);
        if (v != QN_NONE && role_of(rule_of(p, n), slot) == QN_ROLE_ACT && p->ready[v]) return true;
    }
    return false;
}

/* Linear layers may have a float result at no loss; a convolution (on targets that ask for it) may not, so its result
 * is made of integers whatever comes next. */
static bool output_forced(const struct planner *p, qn_node_id n)
{
    const char *op = rule_of(p, n)->op;
    return is_layer(p, n) && p->settings->target_row->conv_needs_output && strcmp(op, "Conv") == 0;
}

static void find_ready(struct planner *p)
{
    memset(p->ready, 0, p->graph->value_count * sizeof *p->ready);
    for (qn_node_id n = 0; n < p->graph->node_count; n++) {
        const struct qn_node_plan *row = &p->plan->nodes[n];
        if (!open_node(p, n) || p->chain[n]) continue;
        if (is_layer(p, n) ? output_forced(p, n) : any_input_ready(p, n)) {
            if (row->result != QN_NONE)
                p->ready[row->result] = true;
            else if (row->rule->kind == QN_KIND_MOVE)
                for (size_t slot = 0; slot < p->graph->pb->node[n]->n_output; slot++) {
                    qn_value_id out = qn_node_output(p->graph, n, slot);
                    if (out != QN_NONE) p->ready[out] = true;
                }
        }
    }
}

/* ---- 5. wanted ---- */

static void want_inputs(struct planner *p, qn_node_id n)
{
    for (size_t slot = 0; slot < p->graph->pb->node[n]->n_input; slot++) {
        qn_value_id v = qn_node_input(p->graph, n, slot);
        if (v != QN_NONE && role_of(rule_of(p, n), slot) == QN_ROLE_ACT) p->wanted[v] = true;
    }
}

/* All results that anybody reads are wanted as codes, and none leaves the graph. */
static bool outputs_wanted(const struct planner *p, qn_node_id n)
{
    size_t read = 0;
    for (size_t slot = 0; slot < p->graph->pb->node[n]->n_output; slot++) {
        qn_value_id v = qn_node_output(p->graph, n, slot);
        if (v == QN_NONE || (!p->graph->values[v].use_count && !(p->graph->values[v].flags & QN_OUTPUT))) continue;
        if (!p->wanted[v] || p->graph->values[v].flags & (QN_OUTPUT | QN_CAPTURED)) return false;
        read++;
    }
    return read > 0;
}

static bool constant_operand(const struct planner *p, qn_node_id n)
{
    for (size_t slot = 0; slot < p->graph->pb->node[n]->n_input; slot++)
        if (role_of(rule_of(p, n), slot) == QN_ROLE_ACT && is_constant(p->graph, qn_node_input(p->graph, n, slot))) return true;
    return false;
}

static void decide_join(struct planner *p, qn_node_id n)
{
    struct qn_node_plan *row = &p->plan->nodes[n];
    bool                 wanted = row->result != QN_NONE && p->wanted[row->result];
    bool                 leaves = row->result != QN_NONE && p->graph->values[row->result].flags & (QN_OUTPUT | QN_CAPTURED);

    if (leaves) {
        row->reason = QN_REASON_GRAPH_OUTPUT;
    } else if (wanted && (constant_operand(p, n) || (strcmp(row->rule->op, "Concat") != 0 && !any_input_ready(p, n)))) {
        row->reason = QN_REASON_INPUT_FLOAT;
    } else if (wanted) {
        row->reason = QN_REASON_QUANTIZED;
        want_inputs(p, n);
    }
}

static void decide_node(struct planner *p, qn_node_id n)
{
    struct qn_node_plan *row = &p->plan->nodes[n];

    if (!open_node(p, n) || p->chain[n]) return;
    switch (row->rule->kind) {
    case QN_KIND_LAYER:
        row->reason = QN_REASON_QUANTIZED;
        want_inputs(p, n);
        break;
    case QN_KIND_JOIN: decide_join(p, n); break;
    case QN_KIND_MOVE:
        if (!outputs_wanted(p, n) || is_constant(p->graph, qn_node_input(p->graph, n, 0))) break;
        row->reason = QN_REASON_MOVES_CODES;
        want_inputs(p, n);
        break;
    case QN_KIND_POOL:
        if (row->result == QN_NONE || !p->wanted[row->result] || p->graph->values[row->result].flags & (QN_OUTPUT | QN_CAPTURED)) break;
        if (!any_input_ready(p, n)) {
            row->reason = QN_REASON_INPUT_FLOAT;
            break;
        }
        row->reason = QN_REASON_QUANTIZED;
        want_inputs(p, n);
        break;
    case QN_KIND_POINTWISE: break;
    }
}

/* Layers whose result must be quantized but may not be. True when one dropped out. */
static bool drop_layers(struct planner *p)
{
    bool dropped = false;

    for (qn_node_id n = 0; n < p->graph->node_count; n++) {
        struct qn_node_plan *row = &p->plan->nodes[n];
        if (!open_node(p, n) || !is_layer(p, n) || !output_forced(p, n)) continue;
        if (row->result != QN_NONE && !(p->graph->values[row->result].flags & (QN_OUTPUT | QN_CAPTURED))) continue;
        row->reason = QN_REASON_GRAPH_OUTPUT;
        p->blocked[n] = dropped = true;
    }
    return dropped;
}

/* ---- tensors ---- */

static qn_value_id find_group(struct qn_tensor_plan *tensors, qn_value_id v)
{
    while (tensors[v].group != v) v = tensors[v].group = tensors[tensors[v].group].group;
    return v;
}

/* The lower id becomes the group's: it is the value nearer to the graph's inputs, whose range covers the others'. */
static void join_groups(struct qn_tensor_plan *tensors, qn_value_id a, qn_value_id b)
{
    a = find_group(tensors, a);
    b = find_group(tensors, b);
    if (a == b) return;
    tensors[a > b ? a : b].group = a > b ? b : a;
}

static void mark_result(struct planner *p, qn_node_id n)
{
    struct qn_node_plan *row = &p->plan->nodes[n];
    qn_value_id          v = row->result;

    if (v == QN_NONE || !(p->wanted[v] || output_forced(p, n)) || p->graph->values[v].flags & (QN_OUTPUT | QN_CAPTURED)) return;
    p->plan->tensors[v].quantized = p->plan->tensors[v].at_producer = true;
    if (v != qn_node_output(p->graph, n, 0)) p->plan->nodes[p->graph->values[v].producer].reason = QN_REASON_FUSED;
}

static void mark_tensors(struct planner *p)
{
    struct qn_tensor_plan *tensors = p->plan->tensors;

    for (qn_value_id v = 0; v < p->graph->value_count; v++) tensors[v].quantized = p->wanted[v];
    for (qn_node_id n = 0; n < p->graph->node_count; n++) {
        struct qn_node_plan *row = &p->plan->nodes[n];
        if (row->reason == QN_REASON_QUANTIZED) mark_result(p, n);
        if (row->reason != QN_REASON_MOVES_CODES) continue;
        for (size_t slot = 0; slot < p->graph->pb->node[n]->n_output; slot++) {
            qn_value_id out = qn_node_output(p->graph, n, slot);
            if (out == QN_NONE || !tensors[out].quantized) continue;
            tensors[out].at_producer = true;
            join_groups(tensors, qn_node_input(p->graph, n, 0), out);
        }
    }
    for (qn_value_id v = 0; v < p->graph->value_count; v++) tensors[v].group = find_group(tensors, v);
}

/* A pointwise node alone between two quantized tensors is what integer kernels for functions are made for. */
static void settle_pointwise(struct planner *p)
{
    for (qn_node_id n = 0; n < p->graph->node_count; n++) {
        struct qn_node_plan *row = &p->plan->nodes[n];
        qn_value_id          in, out;

        if (row->reason != QN_REASON_NOT_NEEDED || !p->chain[n]) continue;
        in = qn_node_input(p->graph, n, 0);
        out = qn_node_output(p->graph, n, 0);
        row->reason = QN_REASON_POINTWISE_CHAIN;
        if (!row->rule->twin || row->rule->kind != QN_KIND_POINTWISE || in == QN_NONE || out == QN_NONE) continue;
        if (!p->plan->tensors[in].at_producer || !p->plan->tensors[out].quantized || p->graph->values[out].flags & (QN_OUTPUT | QN_CAPTURED)) continue;
        if (p->plan->tensors[out].group != out) continue;
        row->reason = QN_REASON_QUANTIZED;
        p->plan->tensors[out].at_producer = true;
        p->plan->tensors[out].fixed_scale = row->rule->fixed_scale;
        p->plan->tensors[out].fixed_zero_point = row->rule->fixed_zero_point;
    }
}

/* Nodes that never see a quantizable tensor are told apart from those that could have been quantized. */
static void settle_rest(struct planner *p)
{
    for (qn_node_id n = 0; n < p->graph->node_count; n++) {
        struct qn_node_plan *row = &p->plan->nodes[n];
        qn_value_id          in = qn_node_input(p->graph, n, 0);

        if (row->reason != QN_REASON_NOT_NEEDED) continue;
        if (in != QN_NONE && p->graph->values[in].dtype && p->graph->values[in].dtype != QN_FLOAT) row->reason = QN_REASON_NO_WEIGHTS;
    }
}

static qonnx_status make(struct planner *p, const struct qn_verdict *verdicts, qonnx_error *err)
{
    size_t values = p->graph->value_count, nodes = p->graph->node_count;

    p->plan->tensors = qn_arena_array(&p->plan->arena, values, sizeof *p->plan->tensors);
    p->plan->nodes = qn_arena_array(&p->plan->arena, nodes, sizeof *p->plan->nodes);
    p->root = qn_arena_array(&p->scratch, values, sizeof *p->root);
    p->chain = qn_arena_array(&p->scratch, nodes, sizeof *p->chain);
    p->ready = qn_arena_array(&p->scratch, values, sizeof *p->ready);
    p->wanted = qn_arena_array(&p->scratch, values, sizeof *p->wanted);
    p->blocked = qn_arena_array(&p->scratch, nodes, sizeof *p->blocked);
    if (qn_arena_failed(&p->scratch) || qn_arena_failed(&p->plan->arena)) return qn_fail_nomem(err);
    for (qn_value_id v = 0; v < values; v++) p->plan->tensors[v] = (struct qn_tensor_plan){ .group = v, .bounds = QN_UNBOUNDED, .sqnr = NAN };
    QN_TRY(qn_match_check(&p->settings->include, "include", p->graph, err));
    QN_TRY(qn_match_check(&p->settings->exclude, "exclude", p->graph, err));
    QN_TRY(classify_all(p, verdicts, err));
    find_chains(p);
    do
        absorb_clamps(p);
    while (drop_layers(p));
    find_ready(p);
    for (qn_node_id n = (qn_node_id)nodes; n-- > 0;) decide_node(p, n);
    mark_tensors(p);
    settle_pointwise(p);
    settle_rest(p);
    return QONNX_OK;
}

qonnx_status qn_plan_make(struct qn_plan *plan, const struct qn_graph *graph, const struct qn_settings *settings, const struct qn_verdict *verdicts, qonnx_error *err)
{
    struct planner p = { .plan = plan, .graph = graph, .settings = settings };
    qonnx_status   status;

    memset(plan, 0, sizeof *plan);
    plan->graph = graph;
    plan->settings = settings;
    status = make(&p, verdicts, err);
    qn_arena_release(&p.scratch);
    if (status != QONNX_OK) qn_plan_release(plan);
    return status;
}

void qn_plan_release(struct qn_plan *plan)
{
    qn_arena_release(&plan->arena);
    memset(plan, 0, sizeof *plan);
}

bool qn_plan_reads_codes(const struct qn_plan *plan, qn_node_id node, size_t slot)
{
    const struct qn_node_plan *row = &plan->nodes[node];
    qn_value_id                v = qn_node_input(plan->graph, node, slot);

    if (v == QN_NONE || !plan->tensors[v].quantized) return false;
    if (plan->tensors[v].at_producer) return true;
    return row->rule && (row->reason == QN_REASON_QUANTIZED || row->reason == QN_REASON_MOVES_CODES) && role_of(row->rule, slot) == QN_ROLE_ACT;
}

qonnx_status qn_plan_observed(struct qn_plan *plan, const qn_value_id **values, size_t *count, qonnx_error *err)
{
    qn_value_id *list = qn_arena_array(&plan->arena, plan->graph->value_count, sizeof *list);
    size_t       n = 0;

    if (!list) return qn_fail_nomem(err);
    for (qn_value_id v = 0; v < plan->graph->value_count; v++) {
        const struct qn_tensor_plan *t = &plan->tensors[v];
        bool range = t->group == v && t->fixed_scale == 0.0f, rank = plan->graph->values[v].rank < 0; /* emitters ask for ranks */
        if (t->quantized && (range || rank) && !plan->graph->values[v].init) list[n++] = v;
    }
    *values = list;
    *count = n;
    return QONNX_OK;
}

struct qn_plan_counts qn_plan_count(const struct qn_plan *plan)
{
    struct qn_plan_counts counts = { .nodes = plan->graph->node_count };

    for (qn_node_id n = 0; n < plan->graph->node_count; n++) {
        const struct qn_node_plan *row = &plan->nodes[n];
        bool layer = row->rule && row->rule->kind == QN_KIND_LAYER && row->rule->in[1] == QN_ROLE_WEIGHT;
        bool quantized = qn_reason_is_quantized(row->reason);
        counts.quantized += quantized;
        counts.layers += layer;
        counts.layers_quantized += layer && quantized;
    }
    return counts;
}

void qn_plan_dump(const struct qn_plan *plan, struct qn_strbuf *text)
{
    for (qn_value_id v = 0; v < plan->graph->value_count; v++) {
        const struct qn_tensor_plan *t = &plan->tensors[v];
        if (!t->quantized) continue;
        qn_strbuf_puts(text, "tensor ");
        qn_strbuf_quote(text, plan->graph->values[v].name);
        qn_strbuf_puts(text, t->at_producer ? " made of integers" : " for integer readers");
        if (t->group != v) {
            qn_strbuf_puts(text, ", parameters of ");
            qn_strbuf_quote(text, plan->graph->values[t->group].name);
        }
        if (t->bounds.min > -INFINITY || t->bounds.max < INFINITY) qn_strbuf_printf(text, ", bounds [%g, %g]", (double)t->bounds.min, (double)t->bounds.max);
        if (t->fixed_scale != 0.0f) qn_strbuf_printf(text, ", fixed scale %g", (double)t->fixed_scale);
        qn_strbuf_puts(text, "\n");
    }
    for (qn_node_id n = 0; n < plan->graph->node_count; n++) {
        const struct qn_node_plan *row = &plan->nodes[n];
        qn_strbuf_printf(text, "%s: %s", qn_node_label(plan->graph, n), qn_reason_name(row->reason));
        if (row->reason == QN_REASON_QUANTIZATION_ERROR) qn_strbuf_printf(text, " (%.1f dB)", row->db);
        qn_strbuf_puts(text, "\n");
    }
}
