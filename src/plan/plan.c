/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/plan.h"

#include <math.h>
#include <string.h>

#include "plan/explicit.h"
#include "plan/layer_shape.h"
#include "plan/match.h"
#include "plan/pays.h"
#include "plan/planner.h"
#include "plan/tails.h"

enum qn_role qn_rule_role(const struct qn_rule *rule, size_t slot) { return slot < 3 && (rule->in[slot] || !rule->rest) ? rule->in[slot] : rule->rest; }

/* Weights are rounded with an eye on what they are multiplied by. All channels of a model are limited as those of one
 * tensor are. */
static void follow_channels(struct qn_plan *plan)
{
    size_t budget = (size_t)QN_CHANNELS_MAX * 16;

    for (qn_node_id n = 0; n < plan->graph->node_count; n++) {
        const struct qn_node_plan *row = &plan->nodes[n];
        struct qn_tensor_plan     *input;
        struct qn_layer_shape      shape;

        if (row->reason != QN_REASON_QUANTIZED || row->rule->kind != QN_KIND_LAYER || !qn_layer_shape(plan->graph, n, &shape)) continue;
        input = &plan->tensors[qn_node_input(plan->graph, n, 0)];
        if (input->channels || shape.weight.channels > QN_CHANNELS_MAX / shape.weight.groups || shape.weight.groups * shape.weight.channels > budget) continue;
        input->channels = shape.weight.groups * shape.weight.channels;
        input->channel_axis = shape.input_axis;
        budget -= input->channels;
    }
}

/* Where only weights become codes, data are of use for how these are rounded. */
static bool looks_at_inputs(const struct qn_settings *s)
{
    if (s->acts != QN_ACTS_FLOAT) return s->acts == QN_ACTS_STATIC;
    return (s->calib || s->stats) && (qn_settings_may_be(s, "rounding", "second-order") || qn_settings_may_be(s, "rounding", "small") || (s->block_size && qn_settings_may_be(s, "weight-importance", "on")));
}

static qonnx_status make(struct qn_planner *p, const struct qn_verdict *verdicts, qonnx_error *err)
{
    size_t values = p->graph->value_count, nodes = p->graph->node_count;

    p->plan->tensors = qn_arena_array(&p->plan->arena, values, sizeof *p->plan->tensors);
    p->plan->nodes = qn_arena_array(&p->plan->arena, nodes, sizeof *p->plan->nodes);
    p->root = qn_arena_array(&p->scratch, values, sizeof *p->root);
    p->chain = qn_arena_array(&p->scratch, nodes, sizeof *p->chain);
    p->ready = qn_arena_array(&p->scratch, values, sizeof *p->ready);
    p->wanted = qn_arena_array(&p->scratch, values, sizeof *p->wanted);
    p->depth = qn_arena_array(&p->scratch, nodes, sizeof *p->depth);
    p->blocked = qn_arena_array(&p->scratch, nodes, sizeof *p->blocked);
    if (qn_arena_failed(&p->scratch) || qn_arena_failed(&p->plan->arena)) return qn_fail_nomem(err);
    for (qn_value_id v = 0; v < values; v++) p->plan->tensors[v] = (struct qn_tensor_plan){ .group = v, .bounds = QN_UNBOUNDED, .useful = QN_UNBOUNDED, .sqnr = NAN };
    QN_TRY(qn_match_check(&p->settings->include, "include", p->graph, err));
    QN_TRY(qn_match_check(&p->settings->exclude, "exclude", p->graph, err));
    QN_TRY(qn_match_check(&p->settings->overridden, "override", p->graph, err));
    QN_TRY(qn_plan_classify(p, verdicts, err));
    for (qn_node_id n = 0; n < nodes; n++)
        if (!(p->plan->nodes[n].reads = qn_arena_array(&p->plan->arena, p->graph->pb->node[n]->n_input, sizeof(bool)))) return qn_fail_nomem(err);
    qn_plan_place(p);
    if (looks_at_inputs(p->settings)) follow_channels(p->plan);
    if (p->settings->acts != QN_ACTS_STATIC) return QONNX_OK;
    return qn_plan_find_useful(p, err);
}

static qonnx_status make_without(struct qn_plan *plan, const struct qn_graph *graph, const struct qn_settings *settings, const struct qn_verdict *verdicts, const bool *losing, qonnx_error *err)
{
    struct qn_planner p = { .plan = plan, .graph = graph, .settings = settings, .losing = losing };
    qonnx_status      status;

    plan->graph = graph;
    plan->settings = settings;
    status = make(&p, verdicts, err);
    qn_arena_release(&p.scratch);
    return status;
}

/* What is at a loss goes to float, until nothing is. Ordinary models take three rounds. */
enum { MAX_ROUNDS = 16 };

qonnx_status qn_plan_make(struct qn_plan *plan, const struct qn_graph *graph, const struct qn_settings *settings, const struct qn_verdict *verdicts, qonnx_error *err)
{
    struct qn_arena arena = { 0 };
    bool           *losing = qn_arena_array(&arena, graph->node_count, sizeof *losing), again = true;
    int             rounds = 0;
    qonnx_status    status = losing ? QONNX_OK : qn_fail_nomem(err);

    memset(plan, 0, sizeof *plan);
    while (again && status == QONNX_OK && rounds++ < MAX_ROUNDS) {
        qn_plan_release(plan);
        status = make_without(plan, graph, settings, verdicts, losing, err);
        if (status == QONNX_OK) status = qn_plan_losses(plan, losing, &again, err);
    }
    qn_arena_release(&arena);
    if (status != QONNX_OK) qn_plan_release(plan);
    return status;
}

void qn_plan_release(struct qn_plan *plan)
{
    qn_arena_release(&plan->arena);
    memset(plan, 0, sizeof *plan);
}

size_t qn_plan_weight_slot(const struct qn_node_plan *row) { return row->rule && row->rule->kind == QN_KIND_TABLE ? 0 : 1; }

double qn_plan_weight_db(const struct qn_node_plan *row)
{
    const struct qn_loss *loss = row->lost && row->lost->same ? row->lost->same : row->lost;

    if (!loss) return row->weight_sqnr;
    return loss->known ? qn_sqnr_db(loss->sums) : NAN;
}

const struct qn_qparams *qn_plan_weight(const struct qn_node_plan *row, size_t slot) { return slot == qn_plan_weight_slot(row) ? row->weight : row->recurrent; }

struct qn_use qn_plan_bias(const struct qn_plan *plan, qn_node_id layer)
{
    return plan->recipe && plan->recipe->adds[layer].node != QN_NONE ? plan->recipe->adds[layer] : (struct qn_use){ layer, 2 };
}

static bool is_op(const struct qn_graph *g, qn_node_id n, const char *op)
{
    return n != QN_NONE && strcmp(g->pb->node[n]->op_type, op) == 0;
}

bool qn_quantized_already(const struct qn_graph *graph, qn_value_id v)
{
    const struct qn_value *value = v == QN_NONE ? NULL : &graph->values[v];

    if (!value) return false;
    if (is_op(graph, value->producer, "DequantizeLinear") || is_op(graph, value->producer, "Quant")) return true;
    for (uint32_t u = 0; u < value->use_count; u++) {
        const struct qn_use *use = &graph->uses[value->use_at + u];
        if (use->slot || !(is_op(graph, use->node, "QuantizeLinear") || is_op(graph, use->node, "Quant"))) return false;
    }
    return value->use_count && !(value->flags & (QN_OUTPUT | QN_CAPTURED));
}

bool qn_plan_reads_codes(const struct qn_plan *plan, qn_node_id node, size_t slot)
{
    return slot < plan->graph->pb->node[node]->n_input && plan->nodes[node].reads[slot];
}

qonnx_status qn_plan_observed(struct qn_plan *plan, const qn_value_id **values, size_t *count, qonnx_error *err)
{
    qn_value_id *list = qn_arena_array(&plan->arena, plan->graph->value_count, sizeof *list);
    size_t       n = 0;

    if (!list) return qn_fail_nomem(err);
    for (qn_value_id v = 0; v < plan->graph->value_count; v++) {
        const struct qn_tensor_plan *t = &plan->tensors[v];
        /* a float node's result with fixed parameters is looked at for what they would lose; emitters ask for ranks */
        bool range = t->group == v && (t->fixed_scale == 0.0f || !t->at_producer), rank = plan->graph->values[v].rank < 0;
        if (((t->quantized && (range || rank)) || t->channels) && !plan->graph->values[v].init) list[n++] = v;
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
        bool layer = qn_rule_is_layer(row->rule);
        bool quantized = qn_reason_is_quantized(row->reason);
        counts.nodes -= row->reason == QN_REASON_SCOPE;
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
        if (t->useful.min > -INFINITY || t->useful.max < INFINITY) qn_strbuf_printf(text, ", useful within [%g, %g]", (double)t->useful.min, (double)t->useful.max);
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
