/* SPDX-License-Identifier: Apache-2.0
 * A layer's weight and bias. */
#include <math.h>
#include <string.h>

#include "onnx/attr.h"
#include "onnx/tensor.h"
#include "plan/presets.h"
#include "plan/round.h"
#include "plan/solver.h"

bool qn_all_finite(const float *x, size_t n)
{
    enum { LANES = 16 };
    float sum[LANES] = { 0 }, all = 0; /* x * 0 is NaN for NaN and infinities, and so is every sum after it */
    for (; n % LANES; n--) all += x[n - 1] * 0.0f;
    for (size_t i = 0; i < n; i += LANES)
        for (size_t j = 0; j < LANES; j++) sum[j] += x[i + j] * 0.0f;
    for (size_t j = 0; j < LANES; j++) all += sum[j];
    return all == 0.0f;
}

/* Products that add up in one output element. */
static uint64_t count_products(const struct qn_solver *s, const struct qn_open_layer *l, bool for_bits)
{
    const Onnx__NodeProto *pb = s->plan->graph->pb->node[l->node];
    uint64_t               n = 1, taps = 0;
    size_t                 strides_count;
    const int64_t         *strides;

    if (strcmp(pb->op_type, "ConvTranspose") != 0) {
        for (size_t i = 0; i < l->weight->n_dims; i++)
            if (i != (size_t)l->axis) n *= (uint64_t)l->weight->dims[i];
        return n;
    }
    strides = qn_attr_ints(pb, "strides", &strides_count);
    for (size_t i = 2; i < l->weight->n_dims; i++) {
        int64_t stride = i - 2 < strides_count && strides[i - 2] > 0 ? strides[i - 2] : 1;
        uint64_t per_dim = (uint64_t)((l->weight->dims[i] + stride - 1) / stride);
        taps += per_dim ? per_dim : 1;
        n *= per_dim ? per_dim : 1;
    }
    return for_bits ? (uint64_t)l->weight->dims[1] * taps : (uint64_t)l->weight->dims[0] * n;
}

/* E_DATA-like trouble with the weight is a verdict, not an error. *usable tells. */
static qonnx_status load_layer(struct qn_solver *s, struct qn_open_layer *l, bool *usable)
{
    const struct qn_graph      *g = s->plan->graph;
    const struct qn_node_plan  *row = &s->plan->nodes[l->node];
    qn_value_id                 x = qn_node_input(g, l->node, 0);
    const struct qn_qparams    *input = s->plan->tensors[s->plan->tensors[x].group].params;

    *usable = false;
    l->weight = qn_node_constant(g, l->node, 1);
    l->bias = input && row->rule->in[2] == QN_ROLE_BIAS ? qn_node_constant(g, l->node, 2) : NULL; /* else it is added in float */
    l->axis = row->rule->axis < 0 ? (int)l->weight->n_dims - 1 : row->rule->axis;
    l->input_scale = input ? input->scale[0] : 1;
    QN_TRY(qn_tensor_floats(l->weight, &s->plan->arena, &l->w, &l->w_count, s->err));
    l->shaped = qn_layer_shape(g, l->node, &l->shape);
    QN_TRY(qn_layout_init(&l->layout, l->weight->dims, l->weight->n_dims, l->axis, s->err));
    l->products = count_products(s, l, false);
    if (!qn_all_finite(l->w, l->w_count)) {
        qn_solver_condemn(s, l->node, QN_REASON_WEIGHT_NOT_FINITE, NAN);
        return QONNX_OK;
    }
    if (l->bias) {
        QN_TRY(qn_tensor_floats(l->bias, &s->plan->arena, &l->b, &l->b_count, s->err));
        if (!qn_all_finite(l->b, l->b_count)) {
            qn_solver_condemn(s, l->node, QN_REASON_WEIGHT_NOT_FINITE, NAN);
            return QONNX_OK;
        }
    }
    *usable = true;
    return QONNX_OK;
}

static int32_t bias_limit(const struct qn_solver *s, const struct qn_open_layer *l, const struct qn_node_plan *row)
{
    return qn_bias_code_limit(l->products, s->plan->settings->act_qtype->is_signed ? 128 : 255, row->weight->hi);
}

/* Near-dead channels have scales so small that their bias would not fit int32: they get a larger one. */
static qonnx_status guard_bias(struct qn_solver *s, const struct qn_open_layer *l, struct qn_node_plan *row)
{
    const int32_t limit = bias_limit(s, l, row);

    if (!(row->least_scale = qn_arena_array(&s->plan->arena, row->weight->count, sizeof *row->least_scale))) return qn_fail_nomem(s->err);
    for (size_t i = 0; i < row->weight->count; i++) {
        float absmax = 0;
        if (row->weight->count == 1)
            for (size_t k = 0; k < l->b_count; k++) absmax = fmaxf(absmax, fabsf(l->b[k]));
        else
            absmax = fabsf(l->b[i]);
        row->least_scale[i] = qn_bias_min_weight_scale(l->input_scale, absmax, limit);
        if (row->weight->scale[i] >= row->least_scale[i]) continue;
        row->weight->scale[i] = row->least_scale[i];
        row->raised++;
    }
    return QONNX_OK;
}

static qonnx_status solve_bias(struct qn_solver *s, struct qn_open_layer *l, struct qn_node_plan *row)
{
    QN_TRY(qn_solver_params(s, &row->bias, qn_qtype_find("int32"), false, row->weight->axis < 0 ? -1 : 0, row->weight->count));
    row->bias_count = l->b_count;
    row->bias_codes = qn_arena_array(&s->plan->arena, l->b_count, sizeof *row->bias_codes);
    if (!row->bias_codes) return qn_fail_nomem(s->err);
    for (size_t i = 0; i < row->bias->count; i++) row->bias->scale[i] = qn_bias_scale(l->input_scale, row->weight->scale[i]);
    qn_bias_codes(l->b, l->b_count, row->bias->scale, row->bias->count, bias_limit(s, l, row), row->bias_codes);
    return QONNX_OK;
}

/* Codes may use fewer bits than their type has. */
static qonnx_status new_weight(struct qn_solver *s, struct qn_node_plan *row, int axis, size_t channels)
{
    const struct qn_qtype *type = row->form.type;
    const int              bits = row->form.bits < type->bits ? row->form.bits : type->bits;

    if (!(row->weight = qn_arena_alloc(&s->plan->arena, sizeof *row->weight))) return qn_fail_nomem(s->err);
    return qn_qparams_init(row->weight, &s->plan->arena, type, bits, true, axis, channels, s->err);
}

qonnx_status qn_solve_layer(struct qn_solver *s, qn_node_id n)
{
    const struct qn_settings *settings = s->plan->settings;
    struct qn_node_plan      *row = &s->plan->nodes[n];
    struct qn_open_layer      l = { .node = n };
    struct qn_error_sums      sums;
    float                    *absmax;
    bool                      usable, per_channel;

    QN_TRY(load_layer(s, &l, &usable));
    if (!usable) return QONNX_OK;
    per_channel = row->form.per_channel && l.layout.channels > 1; /* one channel is the tensor: a rank-0 scale */
    if (settings->target_row->linear_per_tensor && strstr(row->rule->op, "Conv") != row->rule->op) per_channel = false;
    if (settings->target_row->float_bias) l.bias = NULL;
    if (!per_channel) l.layout = QN_LAYOUT_FLAT(l.w_count);
    QN_TRY(new_weight(s, row, per_channel ? l.axis : -1, l.layout.channels));
    absmax = qn_arena_array(&s->plan->arena, l.layout.channels, sizeof *absmax);
    if (!absmax) return qn_fail_nomem(s->err);
    QN_TRY(qn_channel_absmax(l.w, l.layout, absmax, s->threads, s->err));
    QN_TRY(qn_weight_ranges(l.w, l.layout, row->weight->hi, row->form.range, absmax, s->threads, s->err));
    for (size_t i = 0; i < l.layout.channels; i++) qn_qparams_set_symmetric(row->weight, i, absmax[i], row->weight->hi);
    if (l.bias) QN_TRY(guard_bias(s, &l, row));
    QN_TRY(qn_solve_pairs_begin(s, &l));
    QN_TRY(qn_solve_pair_scales(s, &l));
    QN_TRY(qn_round_take(s->plan, n, &l.b, l.b_count, s->err));
    QN_TRY(qn_solve_pair_codes(s, &l));
    QN_TRY(qn_solve_correct_bias(s, &l));
    if (l.bias) QN_TRY(solve_bias(s, &l, row));
    QN_TRY(qn_quantization_error(l.w, l.layout, row->weight, row->weight_codes, &sums, s->threads, s->err));
    row->weight_sqnr = qn_sqnr_db(sums);
    if (row->weight_codes) { /* codes moved where that costs the output little, whatever it does to the weights */
        QN_TRY(qn_quantization_error(l.w, l.layout, row->weight, NULL, &sums, s->threads, s->err));
        sums.noise += l.moved_cost;
    }
    row->weight_power = sums.signal / (double)l.weight->dims[l.axis];
    row->weight_noise = sums.noise / (double)l.weight->dims[l.axis];
    row->accumulator_bits = qn_accumulator_bits(settings->act_qtype->bits, row->weight->bits, count_products(s, &l, true), l.bias ? 32 : 0);
    return QONNX_OK;
}
