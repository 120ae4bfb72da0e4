/* SPDX-License-Identifier: Apache-2.0
 * The preset and target tables: names for sets of option values and for what a runtime is good at. */
#ifndef QN_PLAN_PRESETS_H
#define QN_PLAN_PRESETS_H

#include <stdbool.h>
#include <stddef.h>

#include "plan/rules.h"

struct qn_costs;

struct qn_option_value {
    const char *option, *value;
};

/* A preset is nothing but values of options, as text, that apply where the user said nothing. */
struct qn_preset {
    const char *name, *summary;
    bool        copy; /* open, check and save only */
    const char *rules; /* a recipe's rules, as a JSON array (docs/recipes.md); NULL: the planner decides */
    struct qn_option_value values[16];
    /* Methods to try, in this order, where the option is "auto". An option's first one holds; each other one is kept if
     * the whole model's outputs keep more with it. */
    struct qn_option_value trials[8];
};
const struct qn_preset *qn_preset_at(size_t i); /* NULL behind the last */
const struct qn_preset *qn_preset_find(const char *name);

/* An operator that a target wants in float, and why. */
struct qn_kept_float {
    const char    *op; /* NULL behind the last */
    enum qn_reason reason;
};

/* What a runtime does with quantized operators: a rule's row says what can be quantized, the target's row what pays.
 * docs/targets.md says where each entry comes from. */
struct qn_target {
    const char *name, *summary;
    bool        on_paper;        /* from documentation only: no output for it was ever run on its hardware */
    const char *act_types[4];    /* what it takes, the default first */
    const char *weight_types[4];
    const char *formats[6];      /* what it reads; none: any */
    const struct qn_kept_float *kept_float;
    bool act_symmetric;          /* activations without a zero point */
    bool float_bias;             /* no codes for the bias */
    bool linear_per_tensor;      /* Gemm and MatMul take one scale for their weight */
    float least_range;           /* ranges of activations are at least this wide */
    bool every_tensor;           /* it computes whole graphs on integers: all float values between operators have codes */
    bool pair_per_reader;        /* each reader has a Q and DQ of its own */
    bool fixed_shapes;           /* it cannot run open shapes */
    bool function_kernels;       /* functions between codes have kernels of their own */
    bool act_act_matmul;         /* MatMul of two activations pays */
    bool conv_needs_output;      /* a Conv without quantized output runs in float */
    bool add_unmakes_matmul;     /* an Add of a constant behind an integer MatMul makes it a float Gemm again */
    bool twins_are_kernels;      /* it is ONNX Runtime: integer forms in the op table are the kernels it makes of Q/DQ */
    const struct qn_costs *costs; /* what its kernels cost (costs.h); NULL: not known, and all that can be quantized pays */
    bool adds_pairs;             /* x86 without VNNI: products of neighbours are added in 16 bits, which saturate */
    bool own_operators;          /* it is ONNX Runtime and nothing else: DynamicQuantizeLSTM, GatherBlockQuantized */
    bool clamp_hides_result;     /* a Relu or Clip behind a linear layer keeps it in float unless a lone Q follows */
    bool add_in_layer;           /* the layer before an Add computes it too: its result stays float, the other operand has codes */
    bool mul_needs_output;       /* a Mul of a layer's float result with another activation is computed wrong */
};
const struct qn_target *qn_target_at(size_t i);
const struct qn_target *qn_target_find(const char *name);

#endif
