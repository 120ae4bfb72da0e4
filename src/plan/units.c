/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/units.h"

#include <math.h>
#include <stdlib.h>

static int compare_parts(const void *a, const void *b)
{
    const struct qn_part *x = a, *y = b;

    if (x->unit != y->unit) return x->unit < y->unit ? -1 : 1;
    return (x->node > y->node) - (x->node < y->node);
}

static int compare_units(const void *a, const void *b)
{
    const struct qn_unit *x = a, *y = b;

    if (x->parts->node != y->parts->node) return x->parts->node < y->parts->node ? -1 : 1;
    return (x->parts > y->parts) - (x->parts < y->parts);
}

/* The units that the node takes part in: tensors whose codes it reads or makes, and its weight. */
static size_t list_parts(const struct qn_plan *plan, qn_node_id n, struct qn_part *parts)
{
    const struct qn_graph     *g = plan->graph;
    const struct qn_node_plan *row = &plan->nodes[n];
    size_t                     count = 0;

    if (row->reason != QN_REASON_QUANTIZED && row->reason != QN_REASON_MOVES_CODES) return 0;
    for (size_t slot = 0; slot < g->pb->node[n]->n_input; slot++) {
        qn_value_id v = qn_node_input(g, n, slot);
        if (v != QN_NONE && qn_plan_reads_codes(plan, n, slot))
            parts[count++] = (struct qn_part){ plan->tensors[v].group, n };
    }
    if (row->result != QN_NONE && plan->tensors[row->result].at_producer)
        parts[count++] = (struct qn_part){ plan->tensors[row->result].group, n };
    if (row->weight) parts[count++] = (struct qn_part){ (uint32_t)g->value_count + n, n };
    return count;
}

static double power(const struct qn_stats *stats)
{
    return stats && stats->summed ? qn_exact_sum_value(&stats->sum2) / (double)stats->summed : NAN;
}

/* Noise to signal of a layer's result: of its input's error, and of its weight's. */
struct share {
    double input, weight;
};

static struct share share_of(const struct qn_plan *plan, const struct qn_stats *const *stats, qn_node_id n)
{
    const struct qn_node_plan   *row = &plan->nodes[n];
    qn_value_id                  x = qn_node_input(plan->graph, n, 0);
    const struct qn_tensor_plan *t = &plan->tensors[plan->tensors[x].group];
    const struct qn_stats       *seen = stats[plan->tensors[x].group];
    double                       in = power(seen), out = row->result == QN_NONE ? NAN : power(stats[row->result]);

    if (!seen || !(in > 0) || !t->params)
        return (struct share){ pow(10, -t->sqnr / 10), pow(10, -row->weight_sqnr / 10) };
    if (!(out > 0)) out = row->weight_power * in; /* as if nothing cancelled */
    return (struct share){ row->weight_power * qn_stats_noise(seen, t->params, t->useful).noise / out,
                           row->weight_noise * in / out };
}

/* dB of a unit: what it keeps of itself, or less where a reader is left with less. */
static double weigh(const struct qn_plan *plan, const struct qn_stats *const *stats, const struct qn_part *parts,
                    size_t count)
{
    const size_t values = plan->graph->value_count;
    uint32_t     unit = parts->unit;
    double       db;

    if (unit >= values) {
        qn_node_id layer = (qn_node_id)(unit - values);
        return fmin(plan->nodes[layer].weight_sqnr, -10 * log10(share_of(plan, stats, layer).weight));
    }
    db = plan->tensors[unit].sqnr;
    for (size_t i = 0; i < count && !isnan(db); i++) {
        qn_value_id x = qn_node_input(plan->graph, parts[i].node, 0);
        if (plan->nodes[parts[i].node].weight && x != QN_NONE && plan->tensors[x].group == unit)
            db = fmin(db, -10 * log10(share_of(plan, stats, parts[i].node).input));
    }
    return db;
}

qonnx_status qn_plan_units(const struct qn_plan *plan, const struct qn_stats *const *stats, struct qn_arena *arena,
                           struct qn_unit **units, size_t *unit_count, qonnx_error *err)
{
    const size_t    nodes = plan->graph->node_count;
    size_t          room = 0, count = 0;
    struct qn_part *parts;

    for (qn_node_id n = 0; n < nodes; n++) room += 2 + plan->graph->pb->node[n]->n_input;
    parts = qn_arena_array(arena, room, sizeof *parts);
    *units = qn_arena_array(arena, room, sizeof **units);
    if (!parts || !*units) return qn_fail_nomem(err);
    for (qn_node_id n = 0; n < nodes; n++) count += list_parts(plan, n, parts + count);
    qsort(parts, count, sizeof *parts, compare_parts);
    *unit_count = 0;
    for (size_t i = 0, end; i < count; i = end) {
        double db;
        for (end = i + 1; end < count && parts[end].unit == parts[i].unit;) end++;
        db = weigh(plan, stats, parts + i, end - i);
        if (!isnan(db))
            (*units)[(*unit_count)++] = (struct qn_unit){ .db = db, .parts = parts + i, .part_count = end - i };
    }
    qsort(*units, *unit_count, sizeof **units, compare_units);
    return QONNX_OK;
}

bool qn_unit_condemn(const struct qn_unit *unit, struct qn_verdict *verdicts)
{
    bool any = false;

    for (size_t i = 0; i < unit->part_count; i++) {
        struct qn_verdict *verdict = &verdicts[unit->parts[i].node];
        if (verdict->reason != QN_REASON_QUANTIZED) continue;
        *verdict = (struct qn_verdict){ QN_REASON_QUANTIZATION_ERROR, unit->db };
        any = true;
    }
    return any;
}

/* Values of one sample; of a value that was not seen, those of the one that is made of it alone. 0: not known. */
static double elements(const struct qn_graph *g, const struct qn_stats *const *stats, qn_value_id v)
{
    for (int step = 0; v != QN_NONE && step < 2; step++) {
        qn_node_id next;
        if (stats[v] && stats[v]->samples) return (double)stats[v]->count / (double)stats[v]->samples;
        if ((next = qn_value_only_user(g, v)) == QN_NONE) return 0;
        v = qn_node_output(g, next, 0);
    }
    return 0;
}

double qn_plan_work(const struct qn_plan *plan, const struct qn_stats *const *stats, qn_node_id n)
{
    const struct qn_rule    *rule = plan->nodes[n].rule;
    const Onnx__TensorProto *w = rule && rule->kind == QN_KIND_LAYER && rule->in[1] == QN_ROLE_WEIGHT
                                     ? qn_node_constant(plan->graph, n, 1)
                                     : NULL;
    double                   size = 1, positions;

    if (!w || !w->n_dims) return 0;
    for (size_t i = 0; i < w->n_dims; i++) size *= (double)w->dims[i];
    positions = elements(plan->graph, stats, qn_node_output(plan->graph, n, 0)) /
                (double)w->dims[rule->axis < 0 ? (int)w->n_dims - 1 : rule->axis];
    return size * fmax(positions, 1);
}
