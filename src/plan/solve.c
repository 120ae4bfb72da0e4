/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "onnx/tensor.h"
#include "plan/presets.h"
#include "plan/solved.h"
#include "plan/solver.h"

void qn_solver_condemn(struct qn_solver *s, qn_node_id n, enum qn_reason reason, double db)
{
    if (s->verdicts[n].reason != QN_REASON_QUANTIZED) return;
    s->verdicts[n].reason = reason;
    s->verdicts[n].db = db;
    *s->again = true;
}

/* Every node that computes on the codes of this group: those that read them and those that make them. */
static void condemn_group(struct qn_solver *s, qn_value_id group, enum qn_reason reason, double db)
{
    const struct qn_graph *g = s->plan->graph;

    for (qn_node_id n = 0; n < g->node_count; n++) {
        const struct qn_node_plan *row = &s->plan->nodes[n];
        bool                       touches = false;

        if (row->reason != QN_REASON_QUANTIZED && row->reason != QN_REASON_MOVES_CODES) continue;
        for (size_t slot = 0; slot < g->pb->node[n]->n_input; slot++) {
            qn_value_id v = qn_node_input(g, n, slot);
            touches |= v != QN_NONE && qn_plan_reads_codes(s->plan, n, slot) && s->plan->tensors[v].group == group;
        }
        if (row->result != QN_NONE && s->plan->tensors[row->result].at_producer) touches |= s->plan->tensors[row->result].group == group;
        if (touches) qn_solver_condemn(s, n, reason, db);
    }
}

qonnx_status qn_solver_params(struct qn_solver *s, struct qn_qparams **params, const struct qn_qtype *type, bool narrow, int axis, size_t count)
{
    *params = qn_arena_alloc(&s->plan->arena, sizeof **params);
    if (!*params) return qn_fail_nomem(s->err);
    return qn_qparams_init(*params, &s->plan->arena, type, type->bits, narrow, axis, count, s->err);
}

/* ---- activations ---- */

/* The value that a move made this one from: its elements are a subset of that one's. */
static qn_value_id moved_from(const struct qn_plan *plan, qn_value_id v)
{
    const qn_node_id n = plan->graph->values[v].producer;

    return n == QN_NONE || !plan->nodes[n].rule || plan->nodes[n].rule->kind != QN_KIND_MOVE ? QN_NONE : qn_node_input(plan->graph, n, 0);
}

static const struct qn_stats *stats_of(const struct qn_plan *plan, const struct qn_stats *const *stats, qn_value_id v)
{
    while (v != QN_NONE && !stats[v]) v = moved_from(plan, v);
    return v == QN_NONE ? NULL : stats[v];
}

static struct qn_observe_goal goal_of(const struct qn_plan *plan, const struct qn_tensor_plan *t, const struct qn_qparams *params, const struct qn_ranging *ranging)
{
    const struct qn_settings *settings = plan->settings;
    const double              percentile = ranging && ranging->percentile > 0 ? ranging->percentile : settings->percentile;

    return (struct qn_observe_goal){ params->lo, params->hi, settings->target_row->act_symmetric, t->bounds, t->useful, percentile, settings->momentum };
}

/* Range, parameters and what is left of the signal, found by *ranging or else by what the settings name. */
static qonnx_status find_range(const struct qn_plan *plan, qn_value_id group, const struct qn_stats *stats, const struct qn_ranging *ranging,
                               struct qn_qparams *params, struct qn_solved_range *found, qonnx_error *err)
{
    const struct qn_settings    *settings = plan->settings;
    const struct qn_tensor_plan *t = &plan->tensors[group];

    *found = (struct qn_solved_range){ .stats = stats, .observer = ranging && ranging->observer ? ranging->observer : settings->observer_row };
    found->goal = goal_of(plan, t, params, ranging);
    if (qn_solved_range(plan->solved, group, found)) {
        params->scale[0] = found->scale;
        params->zero_point[0] = found->zero_point;
        return QONNX_OK;
    }
    found->range = found->observer->range(stats, &found->goal);
    if (found->range.max - found->range.min < settings->target_row->least_range) found->range.max = found->range.min + settings->target_row->least_range;
    qn_observe_params(&found->goal, found->range, params->scale, params->zero_point);
    found->sqnr = qn_sqnr_db(qn_stats_noise(stats, params, t->useful));
    found->scale = params->scale[0];
    found->zero_point = params->zero_point[0];
    return qn_solved_keep_range(plan->solved, group, found, err);
}

/* `given` may be nothing. */
static qonnx_status solve_stats(struct qn_solver *s, qn_value_id v, const struct qn_stats *stats, const struct qn_given *given)
{
    const struct qn_settings *settings = s->plan->settings;
    struct qn_tensor_plan    *t = &s->plan->tensors[v];
    struct qn_solved_range    found;

    QN_TRY(qn_solver_params(s, &t->params, settings->act_qtype, false, -1, 1));
    if (t->fixed_scale != 0.0f) {
        t->params->scale[0] = t->fixed_scale;
        t->params->zero_point[0] = t->fixed_zero_point + (settings->act_qtype->is_signed ? settings->act_qtype->lo : 0);
        t->range = qn_qparams_range(t->params, 0);
        if (settings->target_row->act_symmetric) qn_qparams_set_symmetric(t->params, 0, t->range.max, t->params->hi);
        if (!stats || !qn_stats_ordinary(stats)) return QONNX_OK;
        t->sqnr = qn_sqnr_db(qn_stats_noise(stats, t->params, t->useful));
        return QONNX_OK;
    }
    if (stats && qn_stats_ordinary(stats) && (stats->nan || stats->inf)) {
        condemn_group(s, v, QN_REASON_NOT_FINITE, NAN);
        return QONNX_OK;
    }
    if (given->as != QN_GIVEN_NOTHING) {
        const struct qn_observe_goal goal = goal_of(s->plan, t, t->params, NULL);
        t->given = true;
        t->range = qn_given_params(given, &goal, settings->target_row->least_range, t->params);
        t->sqnr = stats && qn_stats_ordinary(stats) ? qn_sqnr_db(qn_stats_noise(stats, t->params, t->useful)) : NAN;
        return QONNX_OK;
    }
    if (!stats || !qn_stats_ordinary(stats)) {
        condemn_group(s, v, QN_REASON_NO_RANGE, NAN);
        return QONNX_OK;
    }
    QN_TRY(find_range(s->plan, v, stats, s->ranging ? &s->ranging[v] : NULL, t->params, &found, s->err));
    t->observer = found.observer;
    t->range = found.range;
    t->sqnr = found.sqnr;
    return QONNX_OK;
}

/* A constant's statistics are those of its values, and its codes can be made at once. */
static qonnx_status solve_constant(struct qn_solver *s, qn_value_id v)
{
    struct qn_tensor_plan *t = &s->plan->tensors[v];
    struct qn_stats        stats;
    const float           *x;
    size_t                 count;
    qonnx_status           status;

    QN_TRY(qn_tensor_floats(s->plan->graph->values[v].init, &s->plan->arena, &x, &count, s->err));
    QN_TRY(qn_stats_init(&stats, 0, s->err));
    qn_stats_add(&stats, x, count);
    status = solve_stats(s, v, &stats, &(struct qn_given){ 0 });
    qn_stats_release(&stats);
    if (status != QONNX_OK || *s->again) return status;
    if (!(t->codes = qn_arena_array(&s->plan->arena, count, t->params->type->code_size))) return qn_fail_nomem(s->err);
    return qn_quantize(x, QN_LAYOUT_FLAT(count), t->params, s->plan->rounding, t->codes, s->threads, s->err);
}

static qonnx_status solve_group(struct qn_solver *s, qn_value_id v)
{
    return s->plan->graph->values[v].init ? solve_constant(s, v) : solve_stats(s, v, stats_of(s->plan, s->stats, v), &s->given[v]);
}

qonnx_status qn_solve_given(struct qn_plan *plan, const struct qn_ranging *ranging, struct qn_given **given, qonnx_error *err)
{
    struct qn_given *all = *given = qn_arena_array(&plan->arena, plan->graph->value_count, sizeof *all);

    if (!all) return qn_fail_nomem(err);
    for (qn_value_id v = 0; ranging && v < plan->graph->value_count; v++) {
        const qn_value_id root = plan->tensors[v].quantized ? plan->tensors[v].group : QN_NONE;
        if (root != QN_NONE && (v == root || ranging[root].given.as == QN_GIVEN_NOTHING)) all[root] = qn_given_join(all[root], ranging[v].given);
    }
    for (qn_value_id v = 0; ranging && v < plan->graph->value_count; v++) {
        qn_value_id from = v;
        if (!plan->tensors[v].quantized || plan->tensors[v].group != v || all[v].as != QN_GIVEN_NOTHING) continue;
        while (from != QN_NONE && ranging[from].given.as == QN_GIVEN_NOTHING) from = moved_from(plan, from);
        if (from != QN_NONE) all[v] = ranging[from].given;
    }
    return QONNX_OK;
}

/* ---- all of it ---- */

static qonnx_status solve_layer(struct qn_solver *s, qn_node_id n)
{
    if (qn_solved_layer(s->plan, n)) return QONNX_OK;
    qn_solved_begin(s->plan, n);
    return qn_solved_end(s->plan, n, qn_solve_layer(s, n), s->err);
}

qonnx_status qn_solve(struct qn_plan *plan, const struct qn_stats *const *stats, const struct qn_ranging *ranging, struct qn_verdict *verdicts, bool *again, qonnx_error *err)
{
    struct qn_solver s = { plan, stats, ranging, NULL, verdicts, again, qn_settings_threads(plan->settings), err };
    struct qn_given *given;

    *again = false;
    QN_TRY(qn_solve_given(plan, ranging, &given, err));
    s.given = given;
    for (qn_value_id v = 0; v < plan->graph->value_count; v++) {
        qonnx_status status;
        if (!plan->tensors[v].quantized || plan->tensors[v].group != v) continue;
        if ((status = solve_group(&s, v)) != QONNX_OK) return qn_wrap(err, status, "tensor '%.200s'", plan->graph->values[v].name);
    }
    if (*again) return QONNX_OK;
    for (qn_value_id v = 0; v < plan->graph->value_count; v++) {
        const struct qn_tensor_plan *root = &plan->tensors[plan->tensors[v].group];
        plan->tensors[v].params = root->params;
        plan->tensors[v].range = root->range;
        plan->tensors[v].observer = root->observer;
        plan->tensors[v].given = root->given;
    }
    for (qn_node_id n = 0; n < plan->graph->node_count; n++) {
        const struct qn_node_plan *row = &plan->nodes[n];
        qonnx_status               status;
        bool constants = row->rule && (plan->settings->acts == QN_ACTS_FLOAT || row->rule->kind == QN_KIND_RECURRENT || row->rule->kind == QN_KIND_TABLE);
        if (row->reason != QN_REASON_QUANTIZED || !(constants || qn_rule_is_layer(row->rule))) continue;
        if ((status = (constants ? qn_solve_constants : solve_layer)(&s, n)) != QONNX_OK) return qn_wrap(err, status, "%s", qn_node_label(plan->graph, n));
    }
    return QONNX_OK;
}
