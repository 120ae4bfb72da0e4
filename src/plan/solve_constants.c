/* SPDX-License-Identifier: Apache-2.0
 * Constants of nodes whose activations are none of the plan's business: an LSTM's weights, with a scale for each gate of
 * each unit, and an embedding's table, with one for each column. */
#include <math.h>

#include "onnx/tensor.h"
#include "plan/presets.h"
#include "plan/solver.h"

/* How a constant lies: a table is [rows][columns], an LSTM's weights are [directions × 4 hidden][inputs]. */
static struct qn_layout layout_of(const struct qn_solver *s, const struct qn_rule *rule, const Onnx__TensorProto *t, size_t count)
{
    size_t first = (size_t)t->dims[0], channels;

    if (rule->kind == QN_KIND_TABLE && !s->plan->settings->per_channel) return QN_LAYOUT_FLAT(count);
    if (rule->kind == QN_KIND_TABLE) return (struct qn_layout){ first, (size_t)t->dims[1], 1 };
    channels = first * (s->plan->settings->per_channel ? (size_t)t->dims[1] : 1);
    return (struct qn_layout){ 1, channels, count / channels };
}

/* An LSTM's activations take any code up to 255, and two products of it and 64 still fit 16 bits. */
static void keep_pairs_safe(const struct qn_solver *s, const struct qn_rule *rule, struct qn_qparams *params)
{
    enum { SAFE = 64 };

    if (rule->kind != QN_KIND_RECURRENT || !s->plan->settings->target_row->adds_pairs) return;
    params->hi = SAFE;
    params->lo = -SAFE;
}

/* Adds what quantizing the constant loses to *sums. */
static qonnx_status solve_constant(struct qn_solver *s, qn_node_id n, size_t slot, struct qn_qparams **params, struct qn_error_sums *sums)
{
    const struct qn_node_plan *row = &s->plan->nodes[n];
    const Onnx__TensorProto   *t = qn_node_constant(s->plan->graph, n, slot);
    struct qn_arena            scratch = { 0 };
    struct qn_error_sums       lost = { 0 };
    struct qn_layout           layout;
    const float               *x;
    float                     *absmax = NULL;
    size_t                     count;
    qonnx_status               status = qn_tensor_floats(t, &scratch, &x, &count, s->err);

    if (status == QONNX_OK && !count) {
        qn_solver_condemn(s, n, QN_REASON_WEIGHT_SHAPE, NAN);
    } else if (status == QONNX_OK && !qn_all_finite(x, count)) {
        qn_solver_condemn(s, n, QN_REASON_WEIGHT_NOT_FINITE, NAN);
    } else if (status == QONNX_OK) {
        layout = layout_of(s, row->rule, t, count);
        status = qn_solver_params(s, params, s->plan->settings->weight_qtype, true, layout.channels > 1 ? row->rule->axis : -1, layout.channels);
        if (status == QONNX_OK) keep_pairs_safe(s, row->rule, *params);
        if (status == QONNX_OK && !(absmax = qn_arena_array(&scratch, layout.channels, sizeof *absmax))) status = qn_fail_nomem(s->err);
        if (status == QONNX_OK) status = qn_channel_absmax(x, layout, absmax, s->threads, s->err);
        for (size_t i = 0; status == QONNX_OK && i < layout.channels; i++) qn_qparams_set_symmetric(*params, i, absmax[i], (*params)->hi);
        if (status == QONNX_OK) status = qn_quantization_error(x, layout, *params, NULL, &lost, s->threads, s->err);
        sums->signal += lost.signal;
        sums->noise += lost.noise;
    }
    qn_arena_release(&scratch);
    return status;
}

qonnx_status qn_solve_constants(struct qn_solver *s, qn_node_id n)
{
    struct qn_node_plan *row = &s->plan->nodes[n];
    struct qn_error_sums sums = { 0 };

    QN_TRY(solve_constant(s, n, qn_plan_weight_slot(row), &row->weight, &sums));
    if (row->rule->kind == QN_KIND_RECURRENT) QN_TRY(solve_constant(s, n, 2, &row->recurrent, &sums));
    row->weight_sqnr = qn_sqnr_db(sums);
    return QONNX_OK;
}
