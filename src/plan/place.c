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
#include <math.h>
#include <string.h>

#include "onnx/dtype.h"
#include "plan/planner.h"
#include "plan/presets.h"
#include "plan/tails.h"

static const struct qn_rule *rule_of(const struct qn_planner *p, qn_node_id n) { return p->plan->nodes[n].rule; }
static bool is_layer(const struct qn_planner *p, qn_node_id n) { return rule_of(p, n) && rule_of(p, n)->kind == QN_KIND_LAYER; }
static bool is_constant(const struct qn_graph *g, qn_value_id v) { return v != QN_NONE && g->values[v].init; }

/* Still in the running to be quantized. */
static bool open_node(const struct qn_planner *p, qn_node_id n) { return p->plan->nodes[n].reason == QN_REASON_NOT_NEEDED && !p->blocked[n]; }

/* ---- 2. chains ---- */

/* The one tensor that the node is a pointwise function of, or QN_NONE when there are several or none. */
static qn_value_id common_root(const struct qn_planner *p, qn_node_id n)
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

static void find_chains(struct qn_planner *p)
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

/* The interval a Relu or Clip with constant bounds cuts to, if zero is in it. */
static bool clamp_bounds(const struct qn_planner *p, qn_node_id n, struct qn_range *bounds)
{
    return qn_plan_clamp_bounds(p->graph, n, bounds) && bounds->min <= 0 && bounds->max >= 0 && bounds->min < bounds->max;
}

/* Where the result of a layer, join or pool appears: its output, or that of a clamp nobody else sees the input of. */
void qn_plan_absorb_clamps(struct qn_planner *p)
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

static bool any_input_ready(const struct qn_planner *p, qn_node_id n)
{
    for (size_t slot = 0; slot < p->graph->pb->node[n]->n_input; slot++) {
        qn_value_id v = qn_node_input(p->graph, n, slot);
        if (v != QN_NONE && qn_rule_role(rule_of(p, n), slot) == QN_ROLE_ACT && p->ready[v]) return true;
    }
    return false;
}

/* ONNX Runtime looks through a Relu or Clip for the Q that makes a linear layer integer. It gives up when the clamp's one
 * reader is none, and when the layer's result has further readers. */
static bool clamp_hides_result(const struct qn_planner *p, qn_node_id n)
{
    qn_value_id            out = qn_node_output(p->graph, n, 0), clamped;
    const struct qn_value *v = out == QN_NONE ? NULL : &p->graph->values[out];

    for (uint32_t u = 0; v && u < v->use_count; u++) {
        qn_node_id            reader = p->graph->uses[v->use_at + u].node;
        const struct qn_rule *rule = qn_rule_find(p->graph->pb->node[reader]->op_type);

        if (!rule || !rule->clamp) continue;
        if (qn_value_only_user(p->graph, out) != reader) return true;
        clamped = qn_node_output(p->graph, reader, 0);
        return clamped != QN_NONE && !(p->graph->values[clamped].flags & QN_OUTPUT) && p->graph->values[clamped].use_count == 1;
    }
    return false;
}

/* A Gemm without a bias takes a Transpose or a Sum of two behind it for a part of itself, and is a float Gemm then. */
static bool gemm_swallows_reader(const struct qn_planner *p, qn_node_id n)
{
    qn_value_id            out = qn_node_output(p->graph, n, 0);
    const struct qn_value *v = out == QN_NONE ? NULL : &p->graph->values[out];

    if (!qn_node_is(p->graph, n, "Gemm") || qn_node_input(p->graph, n, 2) != QN_NONE) return false;
    for (uint32_t u = 0; v && u < v->use_count; u++) {
        qn_node_id reader = p->graph->uses[v->use_at + u].node;
        if (qn_node_is(p->graph, reader, "Transpose") || (qn_node_is(p->graph, reader, "Sum") && p->graph->pb->node[reader]->n_input == 2)) return true;
    }
    return false;
}

/* OpenVINO multiplies with the scales of the channels as late as it can, and where shapes are open it then does so wrong in
 * a Mul of the layer's result with another activation. */
static bool mul_reads_result(const struct qn_planner *p, qn_node_id n)
{
    qn_value_id            out = qn_node_output(p->graph, n, 0);
    const struct qn_value *v = out == QN_NONE ? NULL : &p->graph->values[out];

    for (uint32_t u = 0; v && u < v->use_count; u++) {
        qn_node_id reader = p->graph->uses[v->use_at + u].node;
        if (qn_node_is(p->graph, reader, "Mul") && !p->chain[reader]) return true;
    }
    return false;
}

/* Linear layers may have a float result at no loss, but for what a clamp may hide; a convolution (on targets that ask for
 * it) may not, so its result is made of integers whatever comes next. */
static bool output_forced(const struct qn_planner *p, qn_node_id n)
{
    const struct qn_target *target = p->settings->target_row;

    if (!is_layer(p, n)) return false;
    if (target->mul_needs_output && mul_reads_result(p, n)) return true;
    return strcmp(rule_of(p, n)->op, "Conv") == 0 ? target->conv_needs_output
                                                  : target->clamp_hides_result && (clamp_hides_result(p, n) || gemm_swallows_reader(p, n));
}

static void find_ready(struct qn_planner *p)
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

/* Layers on the longest way to each layer, itself included. */
static void find_depths(struct qn_planner *p)
{
    for (qn_node_id n = 0; n < p->graph->node_count; n++) {
        for (size_t slot = 0; slot < p->graph->pb->node[n]->n_input; slot++) {
            qn_value_id v = qn_node_input(p->graph, n, slot);
            qn_node_id  before = v == QN_NONE ? QN_NONE : p->graph->values[v].producer;
            if (before != QN_NONE && p->depth[before] > p->depth[n]) p->depth[n] = p->depth[before];
        }
        p->depth[n] += is_layer(p, n);
    }
}

/* ---- 5. wanted ---- */

static void want_inputs(struct qn_planner *p, qn_node_id n)
{
    for (size_t slot = 0; slot < p->graph->pb->node[n]->n_input; slot++) {
        qn_value_id v = qn_node_input(p->graph, n, slot);
        if (v != QN_NONE && qn_rule_role(rule_of(p, n), slot) == QN_ROLE_ACT) p->wanted[v] = true;
    }
}

/* All results are wanted as codes, and none leaves the graph. A part of a Split that nobody reads has no Q either, and
 * runtimes fuse all of the parts or none. */
static bool outputs_wanted(const struct qn_planner *p, qn_node_id n)
{
    for (size_t slot = 0; slot < p->graph->pb->node[n]->n_output; slot++) {
        qn_value_id v = qn_node_output(p->graph, n, slot);
        if (v == QN_NONE || !p->wanted[v] || p->graph->values[v].flags & (QN_OUTPUT | QN_CAPTURED)) return false;
    }
    return p->graph->pb->node[n]->n_output > 0;
}

static bool constant_operand(const struct qn_planner *p, qn_node_id n)
{
    for (size_t slot = 0; slot < p->graph->pb->node[n]->n_input; slot++)
        if (qn_rule_role(rule_of(p, n), slot) == QN_ROLE_ACT && is_constant(p->graph, qn_node_input(p->graph, n, slot))) return true;
    return false;
}

/* The layer whose result nobody but the Add reads, so that the target adds while it computes. */
static qn_node_id layer_before(const struct qn_planner *p, qn_node_id add, size_t slot)
{
    qn_value_id v = qn_node_input(p->graph, add, slot);
    qn_node_id  n = v == QN_NONE ? QN_NONE : p->graph->values[v].producer;

    return n != QN_NONE && is_layer(p, n) && open_node(p, n) && qn_value_only_user(p->graph, v) == add ? n : QN_NONE;
}

/* Of two layers the one that more layers stand behind is computed last, and adds what the other has left. */
static bool add_in_layer(struct qn_planner *p, qn_node_id n)
{
    qn_node_id first = layer_before(p, n, 0), second = layer_before(p, n, 1);
    size_t     residual = first == QN_NONE || (second != QN_NONE && p->depth[second] > p->depth[first]) ? 0 : 1;
    qn_node_id layer = residual == 0 ? second : first;

    if (layer == QN_NONE) return false;
    p->plan->nodes[n].reason = QN_REASON_FUSED;
    p->plan->nodes[n].fused_into = layer;
    p->plan->nodes[n].reads[residual] = true;
    p->wanted[qn_node_input(p->graph, n, residual)] = true;
    return true;
}

static void decide_join(struct qn_planner *p, qn_node_id n)
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

static void decide_node(struct qn_planner *p, qn_node_id n)
{
    struct qn_node_plan *row = &p->plan->nodes[n];

    if (!open_node(p, n) || p->chain[n]) return;
    switch (row->rule->kind) {
    case QN_KIND_LAYER:
        row->reason = QN_REASON_QUANTIZED;
        want_inputs(p, n);
        break;
    case QN_KIND_JOIN:
        if (p->settings->target_row->add_in_layer && strcmp(row->rule->op, "Add") == 0 && add_in_layer(p, n)) break;
        decide_join(p, n);
        break;
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
    case QN_KIND_RECURRENT:
    case QN_KIND_TABLE: row->reason = QN_REASON_QUANTIZED; break; /* asks nothing of its neighbours */
    case QN_KIND_POINTWISE: break;
    }
}

/* A result that leaves the graph is in float for it: on some targets it cannot at the same time be quantized for others.
 * Behind a clamp it can. */
static bool leaves_and_is_wanted(const struct qn_planner *p, qn_node_id n)
{
    const struct qn_value *v = &p->graph->values[p->plan->nodes[n].result];

    if (!p->settings->target_row->clamp_hides_result || p->plan->nodes[n].result != qn_node_output(p->graph, n, 0)) return false;
    for (uint32_t u = 0; u < v->use_count; u++) {
        qn_node_id reader = p->graph->uses[v->use_at + u].node;
        if (open_node(p, reader) && !p->chain[reader]) return true;
    }
    return false;
}

/* Layers whose result must be quantized but may not be. True when one dropped out. */
static bool drop_layers(struct qn_planner *p)
{
    bool dropped = false;

    for (qn_node_id n = 0; n < p->graph->node_count; n++) {
        struct qn_node_plan *row = &p->plan->nodes[n];
        if (!open_node(p, n) || !is_layer(p, n)) continue;
        if (row->result != QN_NONE && !(p->graph->values[row->result].flags & (QN_OUTPUT | QN_CAPTURED))) continue;
        if (!output_forced(p, n) && (row->result == QN_NONE || !leaves_and_is_wanted(p, n))) continue;
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
void qn_plan_join_groups(struct qn_tensor_plan *tensors, qn_value_id a, qn_value_id b)
{
    a = find_group(tensors, a);
    b = find_group(tensors, b);
    if (a == b) return;
    tensors[a > b ? a : b].group = a > b ? b : a;
}

void qn_plan_settle_groups(struct qn_planner *p)
{
    for (qn_value_id v = 0; v < p->graph->value_count; v++) p->plan->tensors[v].group = find_group(p->plan->tensors, v);
}

static void mark_result(struct qn_planner *p, qn_node_id n)
{
    struct qn_node_plan *row = &p->plan->nodes[n];
    qn_value_id          v = row->result;

    if (v == QN_NONE || !(p->wanted[v] || output_forced(p, n)) || p->graph->values[v].flags & (QN_OUTPUT | QN_CAPTURED)) return;
    p->plan->tensors[v].quantized = p->plan->tensors[v].at_producer = true;
    if (v != qn_node_output(p->graph, n, 0)) p->plan->nodes[p->graph->values[v].producer].reason = QN_REASON_FUSED;
}

static void mark_tensors(struct qn_planner *p)
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
            qn_plan_join_groups(tensors, qn_node_input(p->graph, n, 0), out);
        }
    }
    qn_plan_settle_groups(p);
}

/* A pointwise node alone between two quantized tensors is what integer kernels for functions are made for. */
static void settle_pointwise(struct qn_planner *p)
{
    for (qn_node_id n = 0; n < p->graph->node_count; n++) {
        struct qn_node_plan *row = &p->plan->nodes[n];
        qn_value_id          in, out;

        if (row->reason != QN_REASON_NOT_NEEDED || !p->chain[n]) continue;
        in = qn_node_input(p->graph, n, 0);
        out = qn_node_output(p->graph, n, 0);
        row->reason = QN_REASON_POINTWISE_CHAIN;
        if (!p->settings->target_row->function_kernels || !row->rule->twin || row->rule->kind != QN_KIND_POINTWISE || in == QN_NONE || out == QN_NONE) continue;
        if (!p->plan->tensors[in].at_producer || !p->plan->tensors[out].quantized || p->graph->values[out].flags & (QN_OUTPUT | QN_CAPTURED)) continue;
        if (p->plan->tensors[out].group != out) continue;
        row->reason = QN_REASON_QUANTIZED;
        p->plan->tensors[out].at_producer = true;
        p->plan->tensors[out].fixed_scale = row->rule->fixed_scale;
        p->plan->tensors[out].fixed_zero_point = row->rule->fixed_zero_point;
    }
}

/* ONNX Runtime computes Q of a Softmax of a dequantized tensor on codes, float or not in our eyes, and wraps around
 * where the result's scale is much below 1/256. With that scale it is right, and so is everybody else. */
void qn_plan_settle_softmax(struct qn_planner *p)
{
    for (qn_node_id n = 0; n < p->graph->node_count; n++) {
        qn_value_id out = qn_node_output(p->graph, n, 0);

        if (!qn_node_is(p->graph, n, "Softmax") || out == QN_NONE || !p->plan->tensors[out].quantized) continue;
        p->plan->tensors[p->plan->tensors[out].group].fixed_scale = 1.0f / 256;
    }
}

/* Nodes that never see a quantizable tensor are told apart from those that could have been quantized. */
static void settle_rest(struct qn_planner *p)
{
    for (qn_node_id n = 0; n < p->graph->node_count; n++) {
        struct qn_node_plan *row = &p->plan->nodes[n];
        qn_value_id          in = qn_node_input(p->graph, n, 0);

        if (row->reason != QN_REASON_NOT_NEEDED) continue;
        if (in != QN_NONE && p->graph->values[in].dtype && p->graph->values[in].dtype != QN_FLOAT) row->reason = QN_REASON_NO_WEIGHTS;
    }
}


/* Every reader of a value that integers made sees codes; of others only those that compute on integers do. */
static void mark_readers(struct qn_planner *p)
{
    for (qn_node_id n = 0; n < p->graph->node_count; n++) {
        const struct qn_node_plan *row = &p->plan->nodes[n];
        bool integer = row->rule && (row->reason == QN_REASON_QUANTIZED || row->reason == QN_REASON_MOVES_CODES);

        for (size_t slot = 0; slot < p->graph->pb->node[n]->n_input; slot++) {
            qn_value_id v = qn_node_input(p->graph, n, slot);
            if (v == QN_NONE || !p->plan->tensors[v].quantized) continue;
            row->reads[slot] |= p->plan->tensors[v].at_producer || (integer && qn_rule_role(row->rule, slot) == QN_ROLE_ACT);
        }
    }
}

/* Every weight that can be. */
static void place_weights(struct qn_planner *p)
{
    for (qn_node_id n = 0; n < p->graph->node_count; n++)
        if (open_node(p, n)) p->plan->nodes[n].reason = QN_REASON_QUANTIZED;
}

void qn_plan_place(struct qn_planner *p)
{
    if (p->settings->acts != QN_ACTS_STATIC) {
        place_weights(p);
        return;
    }
    if (p->settings->target_row->every_tensor) {
        qn_plan_place_all(p);
        mark_readers(p);
        return;
    }
    find_chains(p);
    do
        qn_plan_absorb_clamps(p);
    while (drop_layers(p));
    find_ready(p);
    find_depths(p);
    for (qn_node_id n = (qn_node_id)p->graph->node_count; n-- > 0;) decide_node(p, n);
    mark_tensors(p);
    settle_pointwise(p);
    qn_plan_settle_softmax(p);
    settle_rest(p);
    mark_readers(p);
}
