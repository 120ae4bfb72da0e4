/* SPDX-License-Identifier: Apache-2.0
 * Constants of nodes whose activations are none of the plan's business: an LSTM's weights, with a scale for each gate of
 * each unit, an embedding's table, with one for each column, and all weights where only weights become codes. */
#include <math.h>

#include "onnx/tensor.h"
#include "plan/block_weight.h"
#include "plan/presets.h"
#include "plan/scan.h"
#include "plan/solver.h"

/* The form of an LSTM that takes codes has a scale for each direction's, even where there is one for a tensor. */
static bool has_integer_form(const struct qn_solver *s, const struct qn_rule *rule) { return rule->kind == QN_KIND_RECURRENT && s->plan->settings->acts != QN_ACTS_FLOAT; }

/* How a constant lies. A float LSTM's directions share their scales: those stand along one axis. */
static qonnx_status find_layout(const struct qn_solver *s, const struct qn_rule *rule, const Onnx__TensorProto *t, size_t count, struct qn_layout *layout)
{
    size_t channels = (size_t)t->dims[0] * (s->plan->settings->per_channel ? (size_t)t->dims[1] : 1);

    if (!has_integer_form(s, rule)) return qn_layout_init(layout, t->dims, t->n_dims, s->plan->settings->per_channel ? rule->axis : QN_NO_AXIS, s->err);
    *layout = (struct qn_layout){ 1, channels, count / channels };
    return QONNX_OK;
}

/* An LSTM's activations take any code up to 255, and two products of it and 64 still fit 16 bits. */
static void keep_pairs_safe(const struct qn_solver *s, const struct qn_rule *rule, struct qn_qparams *params)
{
    enum { SAFE = 64 };

    if (!has_integer_form(s, rule) || !s->plan->settings->target_row->adds_pairs) return;
    params->hi = SAFE;
    params->lo = -SAFE;
}

/* Narrower ranges than the extremes, which takes the constant as a whole. */
static qonnx_status narrow_ranges(struct qn_solver *s, const struct qn_scanned *scanned, int32_t hi, float *absmax)
{
    struct qn_arena scratch = { 0 };
    const float    *x;
    size_t          count;
    qonnx_status    status = qn_tensor_floats(scanned->tensor, &scratch, &x, &count, s->err);

    if (status == QONNX_OK) status = qn_weight_ranges(x, scanned->layout, hi, s->plan->settings->weight_range_how, absmax, s->threads, s->err);
    qn_arena_release(&scratch);
    return status;
}

static qonnx_status solve_scales(struct qn_solver *s, qn_node_id n, const struct qn_scanned *scanned, float *absmax, struct qn_qparams **params, struct qn_error_sums *sums)
{
    const struct qn_rule *rule = s->plan->nodes[n].rule;
    const size_t          channels = scanned->layout.channels;
    const int             axis = rule->axis < 0 ? (int)scanned->tensor->n_dims - 1 : rule->axis;
    struct qn_error_sums  lost;
    bool                  finite;

    QN_TRY(qn_scan_absmax(scanned, absmax, &finite, s->err));
    if (!finite) {
        qn_solver_condemn(s, n, QN_REASON_WEIGHT_NOT_FINITE, NAN);
        return QONNX_OK;
    }
    QN_TRY(qn_solver_params(s, params, s->plan->settings->weight_qtype, true, channels > 1 ? axis : -1, channels));
    keep_pairs_safe(s, rule, *params);
    if (rule->kind == QN_KIND_LAYER && s->plan->settings->weight_range_how != QN_WEIGHT_MINMAX) QN_TRY(narrow_ranges(s, scanned, (*params)->hi, absmax));
    for (size_t i = 0; i < channels; i++) qn_qparams_set_symmetric(*params, i, absmax[i], (*params)->hi);
    QN_TRY(qn_scan_error(scanned, *params, &lost, s->err));
    sums->signal += lost.signal;
    sums->noise += lost.noise;
    return QONNX_OK;
}

/* Adds what quantizing the constant loses to *sums. */
static qonnx_status solve_constant(struct qn_solver *s, qn_node_id n, size_t slot, struct qn_qparams **params, struct qn_error_sums *sums)
{
    const struct qn_graph *g = s->plan->graph;
    struct qn_scanned      scanned = { g->model, qn_node_constant(g, n, slot), { 0 }, s->threads };
    struct qn_arena        scratch = { 0 };
    float                 *absmax;
    size_t                 count;
    qonnx_status           status;

    QN_TRY(qn_tensor_check(scanned.tensor, s->err));
    QN_TRY(qn_tensor_count(scanned.tensor, &count, s->err));
    if (!count) {
        qn_solver_condemn(s, n, QN_REASON_WEIGHT_SHAPE, NAN);
        return QONNX_OK;
    }
    QN_TRY(find_layout(s, s->plan->nodes[n].rule, scanned.tensor, count, &scanned.layout));
    absmax = qn_arena_array(&scratch, scanned.layout.channels, sizeof *absmax);
    status = absmax ? solve_scales(s, n, &scanned, absmax, params, sums) : qn_fail_nomem(s->err);
    qn_arena_release(&scratch);
    return status;
}

/* Scales and codes of blocks follow from their weights alone and are made when they are written. */
static qonnx_status solve_blocks(struct qn_solver *s, qn_node_id n)
{
    const struct qn_settings *settings = s->plan->settings;
    struct qn_block_plan     *blocks = qn_arena_alloc(&s->plan->arena, sizeof *blocks);
    struct qn_arena           scratch = { 0 };
    const float              *x;
    size_t                    count;
    qonnx_status              status;

    if (!blocks || !(blocks->lost = qn_arena_alloc(&s->plan->arena, sizeof *blocks->lost))) return qn_fail_nomem(s->err);
    blocks->form = (struct qn_block_form){ (int)settings->weight_bits, settings->weight_symmetric, (size_t)settings->block_size, settings->weight_range_how };
    status = qn_tensor_floats(qn_node_constant(s->plan->graph, n, 1), &scratch, &x, &count, s->err);
    if (status == QONNX_OK && !qn_all_finite(x, count))
        qn_solver_condemn(s, n, QN_REASON_WEIGHT_NOT_FINITE, NAN);
    else
        s->plan->nodes[n].blocks = blocks;
    qn_arena_release(&scratch);
    return status;
}

qonnx_status qn_solve_constants(struct qn_solver *s, qn_node_id n)
{
    struct qn_node_plan *row = &s->plan->nodes[n];
    struct qn_error_sums sums = { 0 };

    if (qn_block_weight_wanted(s->plan, n)) return solve_blocks(s, n);

    QN_TRY(solve_constant(s, n, qn_plan_weight_slot(row), &row->weight, &sums));
    if (row->rule->kind == QN_KIND_RECURRENT) QN_TRY(solve_constant(s, n, 2, &row->recurrent, &sums));
    row->weight_sqnr = qn_sqnr_db(sums);
    return QONNX_OK;
}
