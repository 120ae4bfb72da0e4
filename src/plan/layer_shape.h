/* SPDX-License-Identifier: Apache-2.0
 * A layer as products of matrices: which of its input's channels each of its weights is multiplied by. */
#ifndef QN_PLAN_LAYER_SHAPE_H
#define QN_PLAN_LAYER_SHAPE_H

#include "plan/rules.h"

/* The weight of output o, tap t (a place in the kernel of a convolution) and channel c of o's group is at
 * o * out_stride + t * tap_stride + c * in_stride. */
struct qn_layer_shape {
    size_t outputs, groups, taps, channels; /* channels: of one group's input */
    size_t out_stride, tap_stride, in_stride;
    int    input_axis; /* of the input's channels, groups * channels in all; -1: the last */
    bool   pads;       /* zeros may stand where the input ends */
};

/* The first of the input's channels that output o reads. */
static inline size_t qn_layer_first_channel(const struct qn_layer_shape *s, size_t o) { return o / (s->outputs / s->groups) * s->channels; }

/* False for layers of other kinds (transposed convolutions) and where shapes contradict each other. */
bool qn_layer_shape(const struct qn_graph *graph, qn_node_id node, struct qn_layer_shape *shape);

#endif
