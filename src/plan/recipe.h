/* SPDX-License-Identifier: Apache-2.0
 * Recipes: which quantizer each layer's weight, bias, input and output has, as ordered rules in a JSON file or in a
 * preset's row. What they mean is in docs/recipes.md. A recipe knows no model; explicit.h applies it to one. */
#ifndef QN_PLAN_RECIPE_H
#define QN_PLAN_RECIPE_H

#include "base/strbuf.h"
#include "onnx/graph.h"
#include "quant/quantizer.h"

enum qn_slot { QN_SLOT_WEIGHT, QN_SLOT_BIAS, QN_SLOT_INPUT, QN_SLOT_OUTPUT, QN_SLOT_COUNT };
const char *qn_slot_name(enum qn_slot slot);

/* The keys a rule gives for a slot. */
enum qn_slot_key {
    QN_KEY_BIT_WIDTH = 1 << 0,
    QN_KEY_SIGNED = 1 << 1,
    QN_KEY_NARROW = 1 << 2,
    QN_KEY_PER_CHANNEL = 1 << 3,
    QN_KEY_MIN_VAL = 1 << 4,
    QN_KEY_MAX_VAL = 1 << 5,
    QN_KEY_COLLECT_STEPS = 1 << 6,
    QN_KEY_MOMENTUM = 1 << 7,
    QN_KEY_LOW_PERCENTILE = 1 << 8,
    QN_KEY_HIGH_PERCENTILE = 1 << 9,
    QN_KEY_ONLY_IF_FLOAT = 1 << 10,
};

/* What one rule says of one slot. */
struct qn_slot_words {
    bool                said, off;
    unsigned            keys;
    struct qn_quantizer values;        /* row: the quantizer, NULL when the rule changes what earlier ones said */
    bool                only_if_float; /* leave out where what the layer reads is quantized already */
    int                 line;
};

struct qn_rule_words {
    const char          *file; /* NULL: of a preset */
    int                  line;
    bool                 optional;      /* may match nothing */
    const char          *match, *regex; /* of the node's name or an output's; at most one is not NULL */
    const char         **ops;           /* and the operator is one of these; none: any */
    size_t               op_count;
    struct qn_slot_words slots[QN_SLOT_COUNT];
};

/* A model input whose values are quantized already. */
struct qn_input_words {
    const char *file, *name;
    int         line;
    float       scale;
    int32_t     zero_point;
    int         bits;
    bool        is_signed, narrow;
};

struct qn_option_words {
    const char *name, *value;
    int         line;
};

struct qn_recipe {
    struct qn_rule_words   *rules; /* in order: the last that matches wins */
    size_t                  rule_count, rule_room;
    struct qn_input_words  *inputs;
    size_t                  input_count, input_room;
    struct qn_option_words *options; /* and passes, as values of "pass" */
    size_t                  option_count, option_room;
    bool                    has_rules; /* perhaps none: then nothing is quantized; false: the planner decides */
    bool                    no_passes; /* an empty list of passes */
};

/* Adds what the file says to the recipe. Every error is E_USAGE and names the file, the line and the key. All memory
 * comes from the arena. */
QONNX_MUST_CHECK qonnx_status qn_recipe_read(struct qn_recipe *recipe, const char *path, struct qn_arena *arena,
                                             qonnx_error *err);
/* The same from text; `path` stands in errors, NULL for a preset's rules. */
QONNX_MUST_CHECK qonnx_status qn_recipe_parse(struct qn_recipe *recipe, const char *path, const char *text, size_t size,
                                              struct qn_arena *arena, qonnx_error *err);

/* Does the rule speak of this node? */
bool qn_rule_matches(const struct qn_rule_words *rule, const struct qn_graph *graph, qn_node_id node);

/* One slot under one rule more: `q` (its row NULL for none) becomes what holds after it. */
void qn_slot_apply(const struct qn_slot_words *words, struct qn_quantizer *q, bool *only_if_float);
/* Is this quantizer meant for this slot, and do its settings agree? E_USAGE. */
QONNX_MUST_CHECK qonnx_status qn_slot_check(enum qn_slot slot, const struct qn_quantizer *q, qonnx_error *err);

#endif
