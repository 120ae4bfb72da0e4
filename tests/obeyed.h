/* SPDX-License-Identifier: Apache-2.0
 * A small graph with a plan that obeys a recipe. */
#ifndef QN_TESTS_OBEYED_H
#define QN_TESTS_OBEYED_H

#include "plan/explicit.h"
#include "planned.h"

#define GIVEN "{\"quantizer\": \"Int8ActPerTensorFloatMinMaxInit\", \"min_val\": -1, \"max_val\": 1}" /* scale 1/128 */
#define WEIGHT "\"weight\": \"Int8WeightPerTensorFloat\""

static inline qonnx_status obey_document(struct planned *p, const char *text)
{
    struct qn_recipe *recipe;

    assert_ok(small_index(&p->s), &p->s.err);
    planned_settings(p, NO_OPTIONS);
    recipe = qn_arena_alloc(&p->settings.arena, sizeof *recipe);
    assert_ok(qn_recipe_parse(recipe, "r.json", text, strlen(text), &p->settings.arena, &p->err), &p->err);
    p->settings.recipe = recipe;
    QN_TRY(qn_explicit_plan(&p->plan, &p->s.graph, &p->settings, &p->err));
    return qn_explicit_weights(&p->plan, &p->err);
}

/* Rules, the first on line 1. */
static inline qonnx_status obey(struct planned *p, const char *rules)
{
    char text[2048];

    snprintf(text, sizeof text, "{\"version\": 1, \"rules\": [%s]}", rules);
    return obey_document(p, text);
}

static inline void obeys(struct planned *p, const char *rules) { assert_ok(obey(p, rules), &p->err); }
static inline void solves(struct planned *p) { assert_ok(qn_explicit_solve(&p->plan, &p->err), &p->err); }

static inline size_t reads(const struct planned *p, const char *node) { return (size_t)node_of(p, node)->reads[0]; }

/* x -> a (Conv) -> b (Relu) -> y (Conv) */
static inline void open_chain(struct planned *p)
{
    planned_open(p, 4);
    small_conv(&p->s, "a", "x", "a_b");
    small_op(&p->s, "Relu", "b", "a");
    small_conv(&p->s, "y", "b", "y_b");
    small_output(&p->s, "y");
}

#endif
