/* SPDX-License-Identifier: Apache-2.0
 * What a layer's input tells about its weights: how large the codes can be that they are multiplied by, and how much an
 * error in them counts. */
#include <math.h>
#include <string.h>

#include "plan/presets.h"
#include "plan/solver.h"

/* Data that was not seen goes beyond what was seen: on real models by up to the channel's whole range again, and by some
 * codes where that is next to nothing. A channel that never changed tells nothing. */
enum { MARGIN = 24 };
/* Even a channel that was never anything but zero counts: as this share of the average one. */
#define LEAST_IMPORTANCE 1e-3

const struct qn_channel_stats *qn_solver_channels(const struct qn_solver *s, const struct qn_open_layer *l)
{
    const struct qn_stats *stats = s->stats[qn_node_input(s->plan->graph, l->node, 0)];
    const size_t           channels = l->shape.weight.groups * l->shape.weight.channels;

    if (!l->shaped || !s->plan->settings->calib || !stats || !stats->channels || !qn_channel_stats_usable(stats->channels)) return NULL;
    return stats->channels->channels == channels ? stats->channels : NULL;
}

static bool is_asked_for(const struct qn_solver *s, const struct qn_open_layer *l)
{
    const struct qn_settings *settings = s->plan->settings;
    const struct qn_qparams  *weight = s->plan->nodes[l->node].weight;

    if (strcmp(settings->pair_safe, "off") == 0 || (strcmp(settings->pair_safe, "auto") == 0 && !settings->target_row->adds_pairs)) return false;
    return l->shaped && settings->act_qtype->code_size == 1 && weight->type->code_size == 1 && weight->type->is_signed;
}

/* In codes as they are with unsigned activations, which signed ones are turned into. */
static int32_t code_of(const struct qn_qparams *input, float x)
{
    const double code = rint((double)x / (double)input->scale[0]) + input->zero_point[0] - input->lo;
    return (int32_t)fmin(fmax(code, 0), input->hi - input->lo);
}

static uint8_t most_of(const struct qn_open_layer *l, const struct qn_qparams *input, struct qn_range seen)
{
    const int32_t low = code_of(input, seen.min), high = code_of(input, seen.max), zero = input->zero_point[0] - input->lo;
    const int32_t top = input->hi - input->lo, most = high + (high - low) + MARGIN;

    if (high == low || most > top) return (uint8_t)top;
    return (uint8_t)(l->shape.pads && most < zero ? zero : most);
}

qonnx_status qn_solve_pairs_begin(struct qn_solver *s, struct qn_open_layer *l)
{
    const struct qn_settings      *settings = s->plan->settings;
    struct qn_node_plan           *row = &s->plan->nodes[l->node];
    const struct qn_products      *p = &l->shape.weight;
    const struct qn_channel_stats *stats;
    const struct qn_qparams       *input = s->plan->tensors[qn_node_input(s->plan->graph, l->node, 0)].params;
    size_t                         count = p->groups * p->channels;
    double                         sum = 0;

    if (!is_asked_for(s, l)) return QONNX_OK;
    row->pairing = p->groups > 1 && p->channels == 1 ? QN_PAIRS_EXEMPT : QN_PAIRS_FREE;
    if (row->pairing == QN_PAIRS_EXEMPT) return QONNX_OK;
    l->most = qn_arena_array(&s->plan->arena, count, sizeof *l->most);
    l->importance = qn_arena_array(&s->plan->arena, count, sizeof *l->importance);
    l->tight = qn_arena_array(&s->plan->arena, p->outputs, sizeof *l->tight);
    if (!l->most || !l->importance || !l->tight) return qn_fail_nomem(s->err);
    stats = qn_solver_channels(s, l);
    for (size_t c = 0; c < count; c++) {
        l->most[c] = stats && strcmp(settings->pair_safe, "always") != 0 ? most_of(l, input, qn_channel_range(stats, c)) : UINT8_MAX;
        l->importance[c] = stats ? (float)qn_channel_mean_square(stats, c) : 1;
        sum += (double)l->importance[c];
    }
    for (size_t c = 0; c < count; c++) l->importance[c] += sum > 0 ? (float)(LEAST_IMPORTANCE * sum / (double)count) : 1;
    return QONNX_OK;
}

static struct qn_pair_task task_of(const struct qn_solver *s, const struct qn_open_layer *l)
{
    const struct qn_qparams *weight = s->plan->nodes[l->node].weight;
    return (struct qn_pair_task){ l->w, l->shape.weight, l->most, l->importance, weight->scale, weight->count, weight->hi, l->tight };
}

qonnx_status qn_solve_pair_scales(struct qn_solver *s, struct qn_open_layer *l)
{
    struct qn_node_plan *row = &s->plan->nodes[l->node];
    struct qn_pair_task  task = task_of(s, l);

    if (!l->most) return QONNX_OK;
    QN_TRY(qn_pair_scales(&task, &row->pair_raised, &l->tight_count, s->threads, s->err));
    if (row->pair_raised) row->pairing = QN_PAIRS_HELD;
    return QONNX_OK;
}

qonnx_status qn_solve_pair_codes(struct qn_solver *s, struct qn_open_layer *l)
{
    struct qn_node_plan *row = &s->plan->nodes[l->node];
    struct qn_pair_task  task = task_of(s, l);
    double               importance = 0;
    int8_t              *codes;

    for (size_t i = 0; l->most && row->rounded && i < l->shape.weight.outputs; i++) l->tight[i] = true; /* other codes */
    if (!l->most || (!l->tight_count && !row->rounded)) return QONNX_OK;
    if (!(codes = qn_arena_alloc_raw(&s->plan->arena, l->w_count))) return qn_fail_nomem(s->err);
    if (row->weight_codes)
        memcpy(codes, row->weight_codes, l->w_count);
    else
        QN_TRY(qn_quantize(l->w, l->layout, row->weight, s->plan->rounding, codes, s->threads, s->err));
    QN_TRY(qn_pair_codes(&task, codes, &row->pair_moved, &l->moved_cost, s->threads, s->err));
    if (!row->pair_moved) return QONNX_OK; /* they can be made again */
    for (size_t c = 0; c < l->shape.weight.groups * l->shape.weight.channels; c++) importance += (double)l->importance[c];
    l->moved_cost *= (double)(l->shape.weight.groups * l->shape.weight.channels) / importance;
    row->weight_codes = codes;
    row->pairing = QN_PAIRS_HELD;
    return QONNX_OK;
}
