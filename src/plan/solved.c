/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/solved.h"

#include <stdlib.h>
#include <string.h>

#include "onnx/tensor.h"
#include "plan/presets.h"

/* Weights of the layers that are kept: codes of theirs may be. */
#define KEPT_MOST ((size_t)256 << 20)

struct range_entry {
    struct qn_solved_range    found;
    const struct range_entry *next;
};

/* All that a layer's numbers depend on and that differs between plans of a graph. */
struct layer_key {
    bool                     read; /* its input has parameters, */
    float                    scale;
    int32_t                  zero_point;
    bool                     cut_off; /* and a bound */
    const struct qn_rounded *rounded;
    const char              *tried[8]; /* values of the options on trial, but for those that make the ranges */
};

struct layer_entry {
    struct layer_key          key;
    struct qn_node_plan       row;
    const struct layer_entry *next;
};

struct qn_solved {
    const struct range_entry **ranges; /* by value id */
    const struct layer_entry **layers; /* by node id */
    size_t                     bytes;
    struct qn_arena            arena, plans; /* plans: while this one is in its place */
    bool                       swapped;
};

qonnx_status qn_solved_new(struct qn_solved **solved, const struct qn_graph *graph, qonnx_error *err)
{
    struct qn_solved *made = calloc(1, sizeof *made);

    if (!made) return qn_fail_nomem(err);
    made->ranges = qn_arena_array(&made->arena, graph->value_count, sizeof *made->ranges);
    made->layers = qn_arena_array(&made->arena, graph->node_count, sizeof *made->layers);
    if (qn_arena_failed(&made->arena)) {
        qn_solved_release(made);
        return qn_fail_nomem(err);
    }
    *solved = made;
    return QONNX_OK;
}

void qn_solved_release(struct qn_solved *solved)
{
    if (!solved) return;
    qn_arena_release(&solved->arena);
    free(solved);
}

/* ---- ranges ---- */

static bool same_range(struct qn_range a, struct qn_range b) { return a.min == b.min && a.max == b.max; }

static bool same_goal(const struct qn_observe_goal *a, const struct qn_observe_goal *b)
{
    return a->lo == b->lo && a->hi == b->hi && a->symmetric == b->symmetric && same_range(a->bounds, b->bounds) &&
           same_range(a->useful, b->useful) && a->percentile == b->percentile && a->momentum == b->momentum;
}

bool qn_solved_range(const struct qn_solved *solved, qn_value_id value, struct qn_solved_range *range)
{
    const struct range_entry *e = solved ? solved->ranges[value] : NULL;

    while (e && (e->found.stats != range->stats || e->found.observer != range->observer ||
                 !same_goal(&e->found.goal, &range->goal)))
        e = e->next;
    if (e) *range = e->found;
    return e != NULL;
}

qonnx_status qn_solved_keep_range(struct qn_solved *solved, qn_value_id value, const struct qn_solved_range *range,
                                  qonnx_error *err)
{
    struct range_entry *e;

    if (!solved) return QONNX_OK;
    if (!(e = qn_arena_alloc(&solved->arena, sizeof *e))) return qn_fail_nomem(err);
    *e = (struct range_entry){ *range, solved->ranges[value] };
    solved->ranges[value] = e;
    return QONNX_OK;
}

/* ---- layers ---- */

static struct layer_key key_of(const struct qn_plan *plan, qn_node_id layer)
{
    const struct qn_option_value *trials = plan->settings->preset_row->trials;
    const qn_value_id             x = qn_node_input(plan->graph, layer, 0);
    const struct qn_tensor_plan  *input = &plan->tensors[plan->tensors[x].group];
    struct layer_key              key = { .rounded = plan->rounded ? plan->rounded[layer] : NULL };
    size_t                        count = 0;

    if (input->params) {
        key.read = true;
        key.scale = input->params->scale[0];
        key.zero_point = input->params->zero_point[0];
        key.cut_off = input->bounds.max < INFINITY;
    }
    for (size_t i = 0; trials[i].option && count < sizeof key.tried / sizeof *key.tried; i++)
        if (strcmp(trials[i].option, "observer") != 0)
            key.tried[count++] = qn_settings_value(plan->settings, trials[i].option);
    return key;
}

static bool same_key(const struct layer_key *a, const struct layer_key *b)
{
    bool same = a->read == b->read && a->scale == b->scale && a->zero_point == b->zero_point &&
                a->cut_off == b->cut_off && a->rounded == b->rounded;

    for (size_t i = 0; same && i < sizeof a->tried / sizeof *a->tried; i++)
        same = a->tried[i] == b->tried[i] || (a->tried[i] && b->tried[i] && strcmp(a->tried[i], b->tried[i]) == 0);
    return same;
}

/* What the plan says of the node, with numbers that solve found for it. */
static struct qn_node_plan with_numbers(const struct qn_node_plan *planned, const struct qn_node_plan *numbers)
{
    struct qn_node_plan row = *numbers;

    row.rule = planned->rule;
    row.reason = planned->reason;
    row.db = planned->db;
    row.fused_into = planned->fused_into;
    row.result = planned->result;
    row.reads = planned->reads;
    row.dropped = planned->dropped;
    row.input = planned->input;
    return row;
}

bool qn_solved_layer(struct qn_plan *plan, qn_node_id layer)
{
    const struct layer_entry *e = plan->solved ? plan->solved->layers[layer] : NULL;
    const struct layer_key    key = key_of(plan, layer);

    while (e && !same_key(&e->key, &key)) e = e->next;
    if (e) plan->nodes[layer] = with_numbers(&plan->nodes[layer], &e->row);
    return e != NULL;
}

void qn_solved_begin(struct qn_plan *plan, qn_node_id layer)
{
    struct qn_solved        *solved = plan->solved;
    const Onnx__TensorProto *weight = qn_node_constant(plan->graph, layer, 1);
    size_t                   count = 0;

    if (!solved || !weight || qn_tensor_count(weight, &count, NULL) != QONNX_OK || count > KEPT_MOST - solved->bytes)
        return;
    solved->bytes += count;
    solved->plans = plan->arena;
    plan->arena = solved->arena;
    solved->swapped = true;
}

qonnx_status qn_solved_end(struct qn_plan *plan, qn_node_id layer, qonnx_status status, qonnx_error *err)
{
    struct qn_solved   *solved = plan->solved;
    struct layer_entry *e;

    if (!solved || !solved->swapped) return status;
    solved->arena = plan->arena;
    plan->arena = solved->plans;
    solved->swapped = false;
    if (status != QONNX_OK || !plan->nodes[layer].weight) return status; /* it drops out */
    if (!(e = qn_arena_alloc(&solved->arena, sizeof *e))) return qn_fail_nomem(err);
    *e = (struct layer_entry){ key_of(plan, layer), plan->nodes[layer], solved->layers[layer] };
    solved->layers[layer] = e;
    return QONNX_OK;
}
