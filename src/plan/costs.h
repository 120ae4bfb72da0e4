/* SPDX-License-Identifier: Apache-2.0
 * What kernels cost on a target, so that a plan can be priced without a clock. */
#ifndef QN_PLAN_COSTS_H
#define QN_PLAN_COSTS_H

/* A layer, in nanoseconds: for itself, and for each product, weight, element read, element written, and piece of the
 * input that is gathered for one position (a tap of the filter); more for those of fewer channels than a vector holds. */
struct qn_layer_cost {
    double node, product, weight, in, out, tap, thin_tap;
};

/* Any other kernel: for itself and for each element. */
struct qn_kernel_cost {
    double node, element;
};

/* Pairs are { in float, on integers }. */
struct qn_costs {
    int                   lanes; /* output channels that one vector holds: fewer cost as much */
    struct qn_layer_cost  conv[2], depthwise[2], linear[2];
    struct qn_kernel_cost join[2], pool[2], function[2];
    struct qn_kernel_cost quantize, dequantize;
    struct qn_kernel_cost reorder;    /* floats into the layout of float convolutions, or back */
    struct qn_kernel_cost exchange;   /* floats between that layout and that of integer convolutions */
    struct qn_kernel_cost transpose;  /* codes into the layout of integer convolutions, or back */
    double                plain_pool; /* for each element of codes that MaxPool reads in another layout than theirs */
};

/* ONNX Runtime on x86. */
extern const struct qn_costs qn_costs_ort_x86;

#endif
