/* SPDX-License-Identifier: Apache-2.0
 * A layer as products of matrices: which of its input's channels each of its weights is multiplied by. */
#ifndef QN_PLAN_LAYER_SHAPE_H
#define QN_PLAN_LAYER_SHAPE_H

#include "plan/rules.h"
#include "quant/pair_safe.h"

struct qn_layer_shape {
    struct qn_products weight;
    int                input_axis; /* of the input's channels, groups * channels in all; -1: the last */
    bool               pads;       /* zeros may stand where the input ends */
};

/* False for layers of other kinds (transposed convolutions) and where shapes contradict each other. */
bool qn_layer_shape(const struct qn_graph *graph, qn_node_id node, struct qn_layer_shape *shape);

#endif
