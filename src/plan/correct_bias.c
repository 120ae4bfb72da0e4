/* SPDX-License-Identifier: Apache-2.0
 * Rounded weights shift the mean of a layer's output: by their errors times the means of the channels that they are
 * multiplied by. A depthwise convolution adds up so few of them that they do not cancel. The bias takes it back. */
#include <string.h>

#include "plan/solver.h"

/* Nearest codes, or those that are chosen. */
static qonnx_status codes_of(const struct qn_solver *s, const struct qn_open_layer *l, const int8_t **codes)
{
    const struct qn_node_plan *row = &s->plan->nodes[l->node];
    int8_t                    *made;

    *codes = row->weight_codes;
    if (*codes) return QONNX_OK;
    if (!(made = qn_arena_alloc_raw(&s->plan->arena, l->w_count))) return qn_fail_nomem(s->err);
    *codes = made;
    return qn_quantize(l->w, l->layout, row->weight, s->plan->rounding, made, s->threads, s->err);
}

/* What output o lacks, on average. */
static double shift_of(const struct qn_open_layer *l, const struct qn_qparams *weight, const int8_t *codes,
                       const double *means, size_t o)
{
    const struct qn_products *p = &l->shape.weight;
    const size_t              slot = weight->count > 1 ? o : 0, first = qn_products_first_channel(p, o);
    const double              scale = (double)weight->scale[slot];
    double                    shift = 0;

    for (size_t c = 0; c < p->channels; c++) {
        double error = 0;
        for (size_t t = 0; t < p->taps; t++) {
            const size_t at = o * p->out_stride + t * p->tap_stride + c * p->in_stride;
            error += (double)l->w[at] - scale * (codes[at] - weight->zero_point[slot]);
        }
        shift += error * means[first + c];
    }
    return shift;
}

qonnx_status qn_solve_correct_bias(struct qn_solver *s, struct qn_open_layer *l)
{
    const struct qn_node_plan *row = &s->plan->nodes[l->node];
    const struct qn_stats     *input = qn_solver_channels(s, l);
    const int8_t              *codes;
    float                     *corrected;
    double                    *means;

    if (strcmp(s->plan->settings->bias_correction, "on") != 0 || row->rounded || !l->b || !input) return QONNX_OK;
    if (l->b_count != l->shape.weight.outputs || row->weight->type->code_size != 1 || !row->weight->is_signed)
        return QONNX_OK;
    QN_TRY(codes_of(s, l, &codes));
    corrected = qn_arena_array(&s->plan->arena, l->b_count, sizeof *corrected);
    means = qn_arena_array(&s->plan->arena, input->channels->channels, sizeof *means);
    if (!corrected || !means) return qn_fail_nomem(s->err);
    for (size_t c = 0; c < input->channels->channels; c++) means[c] = qn_channel_mean(input->channels, c);
    for (size_t o = 0; o < l->b_count; o++)
        corrected[o] = (float)((double)l->b[o] + shift_of(l, row->weight, codes, means, o));
    l->b = corrected;
    return QONNX_OK;
}
