/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/rank.h"

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

    if (x->db != y->db) return x->db < y->db ? -1 : 1;
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

qonnx_status qn_plan_rank(const struct qn_plan *plan, struct qn_arena *arena, struct qn_unit **units,
                          size_t *unit_count, qonnx_error *err)
{
    const size_t    values = plan->graph->value_count, nodes = plan->graph->node_count;
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
        uint32_t unit = parts[i].unit;
        double   db = unit < values ? plan->tensors[unit].sqnr : plan->nodes[unit - values].weight_sqnr;
        for (end = i + 1; end < count && parts[end].unit == unit;) end++;
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
