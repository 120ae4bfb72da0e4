/* SPDX-License-Identifier: Apache-2.0
 * What a layer's input tells about its weights: how large the codes can be that they are multiplied by, and how much an
 * error in them counts. */
#include <math.h>
#include <string.h>

#include "plan/presets.h"
#include "plan/solver.h"

/* Data that was not seen goes beyond what was seen. Of a single channel, on real models, by up to its whole range again,
 * and by some codes where that is next to nothing; of the sum of two, which are seldom largest in one place, about as far
 * as one half of the samples goes beyond the other in some pair of the layer, and the less the more samples there were. */
enum { MARGIN = 24, PAIR_MARGIN = 8, PAIR_LEAST = 8 };
#define PAIR_SHARE 1.25
#define PAIR_SAMPLES 1.5 /* over the root of how many there were */
/* Even a channel that was never anything but zero counts: as this share of the average one. */
#define LEAST_IMPORTANCE 1e-3

const struct qn_stats *qn_solver_channels(const struct qn_solver *s, const struct qn_open_layer *l)
{
    const struct qn_stats *stats = s->stats[qn_node_input(s->plan->graph, l->node, 0)];

    if (!l->shaped || !s->plan->settings->calib || !stats || !stats->channels || !qn_channel_stats_usable(stats->channels)) return NULL;
    return stats->channels->channels == l->shape.weight.groups * l->shape.weight.channels ? stats : NULL;
}

bool qn_solver_holds_pairs(const struct qn_solver *s, const struct qn_qparams *weight)
{
    const struct qn_settings *settings = s->plan->settings;

    if (strcmp(settings->pair_safe, "off") == 0 || (strcmp(settings->pair_safe, "auto") == 0 && !settings->target_row->adds_pairs)) return false;
    return weight->type->code_size == 1 && weight->type->is_signed;
}

/* In codes as they are with unsigned activations, which signed ones are turned into. */
static int32_t code_of(const struct qn_qparams *input, float x)
{
    const double code = rint((double)x / (double)input->scale[0]) + input->zero_point[0] - input->lo;
    return (int32_t)fmin(fmax(code, 0), input->hi - input->lo);
}

/* A channel that never changed tells nothing. */
static int32_t most_of(const struct qn_qparams *input, struct qn_range seen)
{
    const int32_t low = code_of(input, seen.min), high = code_of(input, seen.max), top = input->hi - input->lo;
    const int32_t most = high + (high - low) + MARGIN;

    return high == low || most > top ? top : most;
}

/* Sums of two neighbouring channels' codes: the largest in each half of the samples, and one that none goes below. */
struct sums {
    double  high, other;
    int32_t low;
    bool    known; /* each of the two changed, in either half */
};

static struct sums sums_of(const struct qn_qparams *input, const struct qn_channel_stats *stats, size_t c)
{
    const struct qn_range a = qn_channel_range(stats, c), b = qn_channel_range(stats, c + 1);
    const int32_t         low_a = code_of(input, a.min), low_b = code_of(input, b.min);
    double                half[2];

    for (size_t h = 0; h < 2; h++)
        half[h] = rint((double)stats->pair[c + h] / (double)input->scale[0]) + 2 * (input->zero_point[0] - input->lo) + 1;
    return (struct sums){ .high = fmax(half[0], half[1]),
                          .other = fmin(half[0], half[1]),
                          .low = low_a + low_b,
                          .known = low_a < code_of(input, a.max) && low_b < code_of(input, b.max) && isfinite(half[0] + half[1]) };
}

/* How far beyond the largest sum one may come that was not seen, as a share of what sums range over. */
static double share_of(const struct qn_qparams *input, const struct qn_stats *stats)
{
    double most = 0;

    for (size_t c = 0; c + 1 < stats->channels->channels; c += 2) {
        const struct sums s = sums_of(input, stats->channels, c);
        if (s.known) most = fmax(most, (s.high - s.other) / fmax(s.high - s.low, PAIR_LEAST));
    }
    return PAIR_SHARE * most + PAIR_SAMPLES / sqrt((double)stats->samples);
}

/* Of the largest sums of two neighbouring channels' codes. */
static int32_t both_of(struct sums s, double share, int32_t all)
{
    if (!s.known || !(s.high < all)) return all;
    return (int32_t)fmin(fmax(s.high, s.low) + ceil(share * fmax(s.high - s.low, 0)) + PAIR_MARGIN, all);
}

/* An input that the operator before cuts off may be at its bound in any channel, as it was in others. */
static bool is_cut_off(const struct qn_solver *s, const struct qn_open_layer *l)
{
    const qn_value_id x = qn_node_input(s->plan->graph, l->node, 0);
    return s->plan->tensors[s->plan->tensors[x].group].bounds.max < INFINITY;
}

/* What the input can be: anything (stats NULL), or what it was seen to be and some more. */
static qonnx_status fill_inputs(const struct qn_solver *s, struct qn_open_layer *l, const struct qn_stats *stats)
{
    const struct qn_qparams *input = s->plan->tensors[qn_node_input(s->plan->graph, l->node, 0)].params;
    struct qn_node_plan     *row = &s->plan->nodes[l->node];
    const size_t             count = l->shape.weight.groups * l->shape.weight.channels;
    const int32_t            zero = l->shape.pads ? input->zero_point[0] - input->lo : 0;
    const double             share = stats ? share_of(input, stats) : 0;
    uint8_t                 *most = qn_arena_array(&s->plan->arena, count, sizeof *most);
    uint16_t                *both = qn_arena_array(&s->plan->arena, count, sizeof *both);
    struct qn_pair_inputs   *kept = qn_arena_array(&s->plan->arena, 1, sizeof *kept);

    if (!most || !both || !kept) return qn_fail_nomem(s->err);
    for (size_t c = 0; c < count; c++) {
        const int32_t all = stats ? most_of(input, qn_channel_range(stats->channels, c)) : UINT8_MAX;
        most[c] = (uint8_t)(all < zero ? zero : all);
    }
    for (size_t c = 0; c + 1 < count; c++) {
        const int32_t all = most[c] + most[c + 1], sum = stats && c % 2 == 0 ? both_of(sums_of(input, stats->channels, c), share, all) : all;
        both[c] = (uint16_t)(sum < 2 * zero ? 2 * zero : sum);
    }
    l->inputs = (struct qn_pair_inputs){ most, both };
    *kept = l->inputs;
    row->pair_inputs = kept;
    return QONNX_OK;
}

qonnx_status qn_solve_pairs_begin(struct qn_solver *s, struct qn_open_layer *l)
{
    struct qn_node_plan      *row = &s->plan->nodes[l->node];
    const struct qn_products *p = &l->shape.weight;
    const struct qn_stats    *stats = qn_solver_channels(s, l);
    const bool                anything = strcmp(s->plan->settings->pair_safe, "always") == 0 || is_cut_off(s, l);
    size_t                    count = p->groups * p->channels;
    double                    sum = 0;

    if (!l->shaped || s->plan->settings->act_qtype->code_size != 1 || !qn_solver_holds_pairs(s, row->weight)) return QONNX_OK;
    row->pairing = p->groups > 1 && p->channels == 1 ? QN_PAIRS_EXEMPT : QN_PAIRS_FREE;
    if (row->pairing == QN_PAIRS_EXEMPT) return QONNX_OK;
    l->importance = qn_arena_array(&s->plan->arena, count, sizeof *l->importance);
    l->tight = qn_arena_array(&s->plan->arena, p->outputs, sizeof *l->tight);
    if (!l->importance || !l->tight) return qn_fail_nomem(s->err);
    for (size_t c = 0; c < count; c++) {
        l->importance[c] = stats ? (float)qn_channel_mean_square(stats->channels, c) : 1;
        sum += (double)l->importance[c];
    }
    for (size_t c = 0; c < count; c++) l->importance[c] += sum > 0 ? (float)(LEAST_IMPORTANCE * sum / (double)count) : 1;
    return fill_inputs(s, l, anything ? NULL : stats);
}

static struct qn_pair_task task_of(const struct qn_solver *s, const struct qn_open_layer *l)
{
    const struct qn_qparams *weight = s->plan->nodes[l->node].weight;
    return (struct qn_pair_task){ l->w, l->shape.weight, l->inputs, l->importance, weight->scale, weight->count, weight->hi, l->tight };
}

qonnx_status qn_solve_pair_scales(struct qn_solver *s, struct qn_open_layer *l)
{
    struct qn_node_plan *row = &s->plan->nodes[l->node];
    struct qn_pair_task  task = task_of(s, l);

    if (!l->inputs.most) return QONNX_OK;
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

    for (size_t i = 0; l->inputs.most && row->rounded && i < l->shape.weight.outputs; i++) l->tight[i] = true; /* other codes */
    if (!l->inputs.most || (!l->tight_count && !row->rounded)) return QONNX_OK;
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
