/* SPDX-License-Identifier: Apache-2.0
 * The price of what a plan does, in nanoseconds of the target's table of costs. ONNX Runtime's convolutions want layouts of
 * their own, in float blocks of channels, on integers the channels last: changes between them have a price too. */
#ifndef QN_PLAN_PRICES_H
#define QN_PLAN_PRICES_H

#include "plan/costs.h"
#include "plan/plan.h"

/* How the readers of a value read it. */
struct qn_readers {
    uint32_t integer, in_float, reordering, transposing;
    bool     elsewhere; /* a float reader wants channels where they were */
    bool     pooling;   /* one is a MaxPool of codes */
    bool     function;  /* the one float reader is a function that a float convolution computes along the way */
};

struct qn_pricing {
    const struct qn_plan  *plan;
    const struct qn_graph *graph;
    const struct qn_costs *costs;
    bool                  *last;    /* of each value: channels lie last, as integer convolutions leave them */
    bool                  *next;    /* of each value: an integer convolution reads it, or what follows from it */
    struct qn_readers     *readers; /* of each value */
};

/* The target has a table of costs. Memory is the arena's. */
QONNX_MUST_CHECK qonnx_status qn_pricing_init(struct qn_pricing *p, const struct qn_plan *plan, struct qn_arena *arena,
                                              qonnx_error *err);

/* A node, in either form. */
struct qn_prices {
    double in_float, on_integers;
    bool   known; /* the sizes are */
};

double           qn_price(struct qn_kernel_cost cost, double elements);
bool             qn_on_integers(const struct qn_pricing *p, qn_node_id n);
/* Elements of a value in one run; 0: not known. */
double           qn_elements(const struct qn_pricing *p, qn_value_id v);
struct qn_prices qn_layer_prices(const struct qn_pricing *p, qn_node_id n);
struct qn_prices qn_node_prices(const struct qn_pricing *p, qn_node_id n);
double           qn_plain_pool_price(const struct qn_pricing *p, qn_node_id n);
/* Float kernels leave the value in the layout of float convolutions. */
bool             qn_makes_blocked(const struct qn_pricing *p, qn_value_id v);
double           qn_layout_price(const struct qn_pricing *p, qn_node_id n);
/* What a quantized value costs over a float one: Q, or DQ for each float reader, and what they do to layouts. */
double           qn_quantize_price(const struct qn_pricing *p, qn_value_id v);
double           qn_dequantize_price(const struct qn_pricing *p, qn_value_id v);
double           qn_shore_price(const struct qn_pricing *p, qn_value_id v);

#endif
