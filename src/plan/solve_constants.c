/* SPDX-License-Identifier: Apache-2.0
 * Constants of nodes whose activations are none of the plan's business: an LSTM's weights, with a scale for each gate of
 * each unit, an embedding's table, with one for each column, and all weights where only weights become codes. */
#include <math.h>
#include <string.h>

#include "onnx/tensor.h"
#include "plan/block_weight.h"
#include "plan/presets.h"
#include "plan/round.h"
#include "plan/scan.h"
#include "plan/solver.h"
#include "quant/pair_safe.h"
#include "quant/small_float.h"

/* The form of an LSTM that takes codes has a scale for each direction's, even where there is one for a tensor. */
static bool has_integer_form(const struct qn_solver *s, const struct qn_rule *rule) { return rule->kind == QN_KIND_RECURRENT && s->plan->settings->acts != QN_ACTS_FLOAT; }

/* How a constant lies. A float LSTM's directions share their scales: those stand along one axis. */
static qonnx_status find_layout(const struct qn_solver *s, const struct qn_node_plan *row, const Onnx__TensorProto *t, size_t count, struct qn_layout *layout)
{
    size_t channels = (size_t)t->dims[0] * (row->form.per_channel ? (size_t)t->dims[1] : 1);

    if (!has_integer_form(s, row->rule)) return qn_layout_init(layout, t->dims, t->n_dims, row->form.per_channel ? row->rule->axis : QN_NO_AXIS, s->err);
    *layout = (struct qn_layout){ 1, channels, count / channels };
    return QONNX_OK;
}

/* An LSTM's activations are quantized as it runs and may take any code: makes the weight's codes such that no sum of two
 * products saturates. Each direction is a matrix product of its own. */
static qonnx_status hold_directions(struct qn_solver *s, struct qn_node_plan *row, const Onnx__TensorProto *t, const float *w, struct qn_qparams *params, int8_t *codes, struct qn_arena *scratch)
{
    const size_t        directions = (size_t)t->dims[0], rows = (size_t)t->dims[1], columns = (size_t)t->dims[2];
    const size_t        scales = params->count / directions;
    struct qn_layout    layout = { 1, scales, rows * columns / scales };
    struct qn_qparams   part = *params; /* of one direction */
    float              *importance = qn_arena_array(scratch, columns, sizeof *importance);
    uint8_t            *most = qn_arena_array(scratch, columns, sizeof *most);
    bool               *tight = qn_arena_array(scratch, rows, sizeof *tight);
    struct qn_pair_task task = { NULL, { rows, 1, 1, columns, columns, 0, 1 }, { most, NULL }, importance, NULL, scales, params->hi, tight };
    size_t              raised, left, moved;
    double              cost;

    if (!importance || !most || !tight) return qn_fail_nomem(s->err);
    for (size_t i = 0; i < columns; i++) {
        importance[i] = 1;
        most[i] = UINT8_MAX;
    }
    part.count = scales;
    for (size_t d = 0; d < directions; d++) {
        task.w = w + d * rows * columns;
        task.scale = part.scale = params->scale + d * scales;
        part.zero_point = params->zero_point + d * scales;
        QN_TRY(qn_pair_scales(&task, &raised, &left, s->threads, s->err));
        QN_TRY(qn_quantize(task.w, layout, &part, s->plan->rounding, codes + d * rows * columns, s->threads, s->err));
        QN_TRY(qn_pair_codes(&task, codes + d * rows * columns, &moved, &cost, s->threads, s->err));
        row->pair_raised += raised;
        row->pair_moved += moved;
    }
    row->pairing = row->pair_raised || row->pair_moved ? QN_PAIRS_HELD : QN_PAIRS_FREE;
    return QONNX_OK;
}

/* *codes are the plan's. */
static qonnx_status hold_pairs(struct qn_solver *s, qn_node_id n, const struct qn_scanned *scanned, struct qn_qparams *params, void **codes, struct qn_error_sums *lost)
{
    struct qn_arena scratch = { 0 };
    const float    *x;
    size_t          count;
    qonnx_status    status = qn_tensor_floats(scanned->tensor, &scratch, &x, &count, s->err);

    if (status == QONNX_OK && !(*codes = qn_arena_alloc_raw(&s->plan->arena, count))) status = qn_fail_nomem(s->err);
    if (status == QONNX_OK) status = hold_directions(s, &s->plan->nodes[n], scanned->tensor, x, params, *codes, &scratch);
    if (status == QONNX_OK) status = qn_quantization_error(x, scanned->layout, params, *codes, lost, s->threads, s->err);
    qn_arena_release(&scratch);
    return status;
}

/* Narrower ranges than the extremes, which takes the constant as a whole. */
static qonnx_status narrow_ranges(struct qn_solver *s, const struct qn_scanned *scanned, enum qn_weight_range how, int32_t hi, float *absmax)
{
    struct qn_arena scratch = { 0 };
    const float    *x;
    size_t          count;
    qonnx_status    status = qn_tensor_floats(scanned->tensor, &scratch, &x, &count, s->err);

    if (status == QONNX_OK) status = qn_weight_ranges(x, scanned->layout, hi, how, absmax, s->threads, s->err);
    qn_arena_release(&scratch);
    return status;
}

/* Takes the largest magnitude to the last code or the largest number; floats of 16 bits are what they are. */
static void set_scale(struct qn_qparams *params, size_t i, float absmax)
{
    const struct qn_small_float *type = params->type->floating;

    if (!type)
        qn_qparams_set_symmetric(params, i, absmax, params->hi);
    else if (type->scaled)
        params->scale[i] = qn_scale_clamp((absmax > 0 ? absmax : 1) / qn_small_float_value(type, type->largest));
}

/* Where only weights become codes and nothing is tried out, what one loses is of no interest before it is written if it is
 * sure to keep more than what has to be kept: no error of a weight in range is more than half a step. */
static bool keeps_enough(const struct qn_solver *s, const struct qn_node_plan *row, const struct qn_scanned *scanned, const struct qn_qparams *params, const float *absmax, double power)
{
    const struct qn_settings *settings = s->plan->settings;
    const double              each = (double)(qn_layout_count(scanned->layout) / params->count);
    double                    noise = 0;

    if (settings->acts != QN_ACTS_FLOAT || row->rule->kind == QN_KIND_RECURRENT || settings->calib || settings->stats || params->type->floating) return false;
    if (row->form.range != QN_WEIGHT_MINMAX) return false;
    if (strcmp(settings->format, "qdq") != 0 && strcmp(settings->format, "qoperator") != 0) return false;
    for (size_t i = 0; i < params->count; i++) {
        if (absmax[i] > params->scale[i] * ((float)params->hi + 0.5f)) return false;
        noise += (double)params->scale[i] * (double)params->scale[i] / 4 * each;
    }
    return noise > 0 && 10 * log10(power / noise) >= (double)settings->node_sqnr + 1;
}

static qonnx_status note_loss(struct qn_solver *s, qn_node_id n)
{
    s->plan->nodes[n].lost = qn_arena_alloc(&s->plan->arena, sizeof(struct qn_loss));
    return s->plan->nodes[n].lost ? QONNX_OK : qn_fail_nomem(s->err);
}

static qonnx_status solve_scales(struct qn_solver *s, qn_node_id n, const struct qn_scanned *scanned, float *absmax, struct qn_qparams **params, void **codes, struct qn_error_sums *sums)
{
    const struct qn_rule        *rule = s->plan->nodes[n].rule;
    const struct qn_weight_form *form = &s->plan->nodes[n].form;
    const struct qn_qtype       *type = form->type;
    const size_t           channels = scanned->layout.channels;
    const int              axis = rule->axis < 0 ? (int)scanned->tensor->n_dims - 1 : rule->axis;
    struct qn_error_sums   lost = { 0, 0 };
    size_t                 clamped = 0;
    double                 power;
    bool                   finite;

    QN_TRY(qn_scan_absmax(scanned, absmax, &finite, &power, s->err));
    if (!finite) {
        qn_solver_condemn(s, n, QN_REASON_WEIGHT_NOT_FINITE, NAN);
        return QONNX_OK;
    }
    QN_TRY(qn_solver_params(s, params, type, true, channels > 1 ? axis : -1, channels));
    if (!type->floating && rule->kind == QN_KIND_LAYER && form->range != QN_WEIGHT_MINMAX) QN_TRY(narrow_ranges(s, scanned, form->range, (*params)->hi, absmax));
    for (size_t i = 0; i < channels; i++) set_scale(*params, i, absmax[i]);
    if (has_integer_form(s, rule) && qn_solver_holds_pairs(s, *params))
        QN_TRY(hold_pairs(s, n, scanned, *params, codes, &lost));
    else if (keeps_enough(s, &s->plan->nodes[n], scanned, *params, absmax, power))
        return note_loss(s, n);
    else
        QN_TRY(qn_scan_error(scanned, *params, &lost, &clamped, s->err));
    s->plan->nodes[n].clamped += clamped;
    sums->signal += lost.signal;
    sums->noise += lost.noise;
    return QONNX_OK;
}

/* Adds what quantizing the constant loses to *sums. *codes remain NULL where nothing is to be held. */
static qonnx_status solve_constant(struct qn_solver *s, qn_node_id n, size_t slot, struct qn_qparams **params, void **codes, struct qn_error_sums *sums)
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
    QN_TRY(find_layout(s, &s->plan->nodes[n], scanned.tensor, count, &scanned.layout));
    if (!qn_qtype_scaled(s->plan->nodes[n].form.type)) scanned.layout = QN_LAYOUT_FLAT(count);
    absmax = qn_arena_array(&scratch, scanned.layout.channels, sizeof *absmax);
    status = absmax ? solve_scales(s, n, &scanned, absmax, params, codes, sums) : qn_fail_nomem(s->err);
    qn_arena_release(&scratch);
    return status;
}

/* What was seen of the first input, if that was looked at. */
static const struct qn_stats *seen_by(const struct qn_solver *s, qn_node_id n)
{
    const qn_value_id      input = qn_node_input(s->plan->graph, n, 0);
    const struct qn_stats *seen = s->stats && input != QN_NONE ? s->stats[input] : NULL;

    return seen && qn_stats_ordinary(seen) && !seen->nan && !seen->inf ? seen : NULL;
}

/* What the error of a weight costs the outputs: the mean square of what it is multiplied by. */
static qonnx_status weigh_channels(struct qn_solver *s, qn_node_id n, const float **importance)
{
    const struct qn_stats         *seen = seen_by(s, n);
    const struct qn_channel_stats *channels = seen ? seen->channels : NULL;
    struct qn_layer_shape          shape;
    double                         mean = 0;
    float                         *made;

    if (strcmp(s->plan->settings->weight_importance, "on") != 0 || !channels || !qn_channel_stats_usable(channels)) return QONNX_OK;
    if (!qn_layer_shape(s->plan->graph, n, &shape) || shape.weight.channels != channels->channels) return QONNX_OK;
    for (size_t c = 0; c < channels->channels; c++) mean += qn_channel_mean_square(channels, c) / (double)channels->channels;
    if (!(mean > 0) || !isfinite(mean)) return QONNX_OK;
    if (!(made = qn_arena_array(&s->plan->arena, channels->channels, sizeof *made))) return qn_fail_nomem(s->err);
    for (size_t c = 0; c < channels->channels; c++) made[c] = (float)(qn_channel_mean_square(channels, c) / mean + (double)s->plan->settings->damping / 100);
    *importance = made;
    return QONNX_OK;
}

/* Scales and codes of blocks follow from their weights alone and are made when they are written. */
static qonnx_status solve_blocks(struct qn_solver *s, qn_node_id n)
{
    struct qn_scanned         scanned = { s->plan->graph->model, qn_node_constant(s->plan->graph, n, qn_plan_weight_slot(&s->plan->nodes[n])), { 0 }, s->threads };
    struct qn_block_plan     *blocks = qn_arena_alloc(&s->plan->arena, sizeof *blocks);
    size_t                    count;
    double                    power;
    bool                      finite;

    if (!blocks) return qn_fail_nomem(s->err);
    QN_TRY(note_loss(s, n));
    blocks->form = qn_block_form_of(s->plan, n);
    QN_TRY(qn_tensor_check(scanned.tensor, s->err));
    QN_TRY(qn_tensor_count(scanned.tensor, &count, s->err));
    scanned.layout = QN_LAYOUT_FLAT(count);
    QN_TRY(qn_scan_absmax(&scanned, NULL, &finite, &power, s->err));
    if (!finite) {
        qn_solver_condemn(s, n, QN_REASON_WEIGHT_NOT_FINITE, NAN);
        return QONNX_OK;
    }
    s->plan->nodes[n].blocks = blocks;
    QN_TRY(weigh_channels(s, n, &blocks->importance));
    qn_round_take_blocks(s->plan, n);
    return QONNX_OK;
}

/* What second-order rounding made of the weight, if it was asked to. */
static qonnx_status take_rounded(struct qn_solver *s, qn_node_id n)
{
    struct qn_node_plan     *row = &s->plan->nodes[n];
    const Onnx__TensorProto *t = qn_node_constant(s->plan->graph, n, 1);
    struct qn_arena          scratch = { 0 };
    struct qn_layout         layout;
    struct qn_error_sums     lost;
    const float             *x, *no_bias = NULL;
    size_t                   count;
    qonnx_status             status;

    QN_TRY(qn_round_take(s->plan, n, &no_bias, 0, s->err));
    if (!row->rounded) return QONNX_OK;
    status = qn_tensor_floats(t, &scratch, &x, &count, s->err);
    if (status == QONNX_OK) status = find_layout(s, row, t, count, &layout);
    if (status == QONNX_OK) status = qn_quantization_error(x, layout, row->weight, row->weight_codes, &lost, s->threads, s->err);
    if (status == QONNX_OK) row->weight_sqnr = qn_sqnr_db(lost);
    qn_arena_release(&scratch);
    return status;
}

qonnx_status qn_solve_constants(struct qn_solver *s, qn_node_id n)
{
    struct qn_node_plan *row = &s->plan->nodes[n];
    struct qn_error_sums sums = { 0 };

    if (row->rule->kind != QN_KIND_TABLE && seen_by(s, n)) s->plan->tensors[qn_node_input(s->plan->graph, n, 0)].range = qn_stats_range(seen_by(s, n));
    if (qn_block_weight_wanted(s->plan, n)) return solve_blocks(s, n);
    row->pair_raised = row->pair_moved = 0;
    row->lost = NULL;
    QN_TRY(solve_constant(s, n, qn_plan_weight_slot(row), &row->weight, &row->weight_codes, &sums));
    if (row->rule->kind == QN_KIND_RECURRENT) QN_TRY(solve_constant(s, n, 2, &row->recurrent, &row->recurrent_codes, &sums));
    row->weight_sqnr = qn_sqnr_db(sums);
    return row->weight && row->rule->kind == QN_KIND_LAYER ? take_rounded(s, n) : QONNX_OK;
}
