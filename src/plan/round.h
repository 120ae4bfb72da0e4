/* SPDX-License-Identifier: Apache-2.0
 * Second-order rounding of a solved plan's weights: see quant/form.h. */
#ifndef QN_PLAN_ROUND_H
#define QN_PLAN_ROUND_H

#include "plan/plan.h"
#include "quant/block_round.h"
#include "quant/gram.h"

/* What came out for a layer. It holds in every later plan in which its weights start from the same scales. */
struct qn_rounded {
    size_t       count;        /* of scales */
    const float *base, *scale; /* before and after */
    const void  *codes;        /* as qn_node_plan has them */
    struct qn_block_rounded *blocks; /* of a weight in blocks, instead of all these: what was found, */
    struct qn_block_form           form;   /* for such ones */
    const float *bias;         /* by channel, to be added to the bias: makes good the mean of the output's error; NULL without a bias */
    uint64_t     rows;         /* of its input that were seen */
    double       gain;         /* dB that the layer's output gained by it, on what was seen */
};

/* Makes the layer's weights, whose scales are known, and *b those that were rounded before, if these are what the settings
 * ask for. */
QONNX_MUST_CHECK qonnx_status qn_round_take(struct qn_plan *plan, qn_node_id layer, const float **b, size_t b_count, qonnx_error *err);

/* The same for a weight in blocks, whose form is known. */
void qn_round_take_blocks(struct qn_plan *plan, qn_node_id layer);

/* True for layers of a solved plan that are to be rounded and have not been: those that the settings ask for, and that
 * have a window. */
bool qn_round_wanted(const struct qn_plan *plan, qn_node_id layer, struct qn_window *window);
/* Where a layer that reads floats has a float constant added to each of its outputs; false: nowhere. */
bool   qn_round_bias(const struct qn_plan *plan, qn_node_id layer, struct qn_use *at);
/* Largest magnitude in the layer's input, and how many of its rows are enough. */
float  qn_round_absmax(const struct qn_plan *plan, qn_node_id layer);
size_t qn_round_rows(const struct qn_window *window);
/* So many columns of the window at once, where sums for all of them would take too much memory: `columns` at most, but
 * a block at least; all of them where the layer cannot be rounded in parts. */
size_t qn_round_part(const struct qn_plan *plan, qn_node_id layer, const struct qn_window *window, size_t columns);
/* Rounds by sums over the layer's window or over a part of it; parts follow each other, and *rounded is what those before
 * came to. The result is the arena's. The plan itself does not change: it is to be solved anew, with the result. */
QONNX_MUST_CHECK qonnx_status qn_round_layer(const struct qn_plan *plan, qn_node_id layer, const struct qn_gram *gram, struct qn_arena *arena, const struct qn_rounded **rounded, qonnx_error *err);

#endif
