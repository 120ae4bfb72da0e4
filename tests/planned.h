/* SPDX-License-Identifier: Apache-2.0
 * A small graph with a plan, and statistics made up for it. */
#ifndef QN_TESTS_PLANNED_H
#define QN_TESTS_PLANNED_H

#include "plan/presets.h"
#include "plan/solve.h"
#include "small_graph.h"

struct planned {
    struct small           s;
    struct qn_settings     settings;
    struct qn_plan         plan;
    struct qn_verdict     *verdicts;
    const struct qn_stats **stats;
    struct qn_stats       *made;
    size_t                 made_count;
    qonnx_error            err;
};

/* The caller has built p->s.model; options are name, value, …, NULL. */
static inline void planned_settings(struct planned *p, const char *const *set)
{
    qonnx_options *options = qonnx_options_new();

    for (; *set; set += 2) assert_int_equal(qonnx_options_set(options, set[0], set[1], NULL), QONNX_OK);
    assert_int_equal(qn_settings_resolve(&p->settings, options, NULL), QONNX_OK);
    qonnx_options_free(options);
}

static inline qonnx_status planned_try(struct planned *p, const char *const *set)
{
    assert_ok(small_index(&p->s), &p->s.err);
    planned_settings(p, set);
    p->verdicts = qn_arena_array(&p->s.model.arena, p->s.graph.node_count, sizeof *p->verdicts);
    p->stats = qn_arena_array(&p->s.model.arena, p->s.graph.value_count, sizeof(struct qn_stats *));
    p->made = qn_arena_array(&p->s.model.arena, p->s.graph.value_count, sizeof *p->made);
    return qn_plan_make(&p->plan, &p->s.graph, &p->settings, p->verdicts, &p->err);
}

static inline void planned_make(struct planned *p, const char *const *set) { assert_ok(planned_try(p, set), &p->err); }
#define NO_OPTIONS ((const char *const[]){ NULL })
#define OPTIONS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static inline void planned_close(struct planned *p)
{
    for (size_t i = 0; i < p->made_count; i++) qn_stats_release(&p->made[i]);
    if (p->plan.graph) qn_plan_release(&p->plan);
    qn_settings_release(&p->settings);
    small_close(&p->s);
}

/* Statistics of values from -1 to 1 times `scale`, plus `shift`. */
static inline void planned_saw(struct planned *p, const char *name, float scale, float shift)
{
    struct qn_stats *stats = &p->made[p->made_count++];
    float            values[201];

    for (int i = 0; i < 201; i++) values[i] = (float)(i - 100) / 100.0f * scale + shift;
    assert_int_equal(qn_stats_init(stats, 0, NULL), QONNX_OK);
    qn_stats_add(stats, values, 201);
    p->stats[small_value(&p->s, name)] = stats;
}

/* Values of one sample whose channels, on axis 1, go evenly from low[c] to high[c]. */
static inline void planned_saw_channels(struct planned *p, const char *name, size_t channels, const float *low, const float *high)
{
    enum { EACH = 101 };
    struct qn_stats *stats = &p->made[p->made_count++];
    float           *values = malloc(channels * EACH * sizeof *values);

    for (size_t i = 0; i < channels * EACH; i++) values[i] = low[i / EACH] + (high[i / EACH] - low[i / EACH]) * (float)(i % EACH) / (EACH - 1);
    assert_int_equal(qn_stats_init(stats, 0, NULL), QONNX_OK);
    assert_int_equal(qn_stats_follow_channels(stats, channels, NULL), QONNX_OK);
    qn_stats_add_channels(stats, &(struct qn_channel_view){ values, { 1, channels, EACH }, 1 });
    p->stats[small_value(&p->s, name)] = stats;
    free(values);
}

/* The same for every value the plan asks for. */
static inline void planned_saw_all(struct planned *p, float scale)
{
    const qn_value_id *ids;
    size_t             count;

    assert_int_equal(qn_plan_observed(&p->plan, &ids, &count, NULL), QONNX_OK);
    for (size_t i = 0; i < count; i++) /* behind a Relu nothing is negative */
        planned_saw(p, p->s.graph.values[ids[i]].name, scale, p->plan.tensors[ids[i]].bounds.min == 0.0f ? scale : 0);
}

static inline const struct qn_tensor_plan *tensor_of(const struct planned *p, const char *name) { return &p->plan.tensors[small_value(&p->s, name)]; }
static inline const struct qn_node_plan   *node_of(const struct planned *p, const char *name) { return &p->plan.nodes[small_node(&p->s, name)]; }

static inline void assert_reason(const struct planned *p, const char *node, enum qn_reason wanted)
{
    if (node_of(p, node)->reason == wanted) return;
    fail_msg("node '%s' is not as wanted: %s", node, qn_reason_text(node_of(p, node)->reason));
}

/* conv NAME of x with weights [4,4,1,1] and, unless it is NULL, a bias. */
static inline void small_conv(struct small *s, const char *name, const char *x, const char *bias)
{
    const char *w = qn_arena_printf(&s->model.arena, "%s_w", name);

    if (!w) return;
    small_constant(s, w, 0.5f, DIMS(4, 4, 1, 1));
    if (bias) {
        small_constant(s, bias, 0.25f, DIMS(4));
        small_op(s, "Conv", name, x, w, bias);
    } else {
        small_op(s, "Conv", name, x, w);
    }
}

static inline void small_gemm(struct small *s, const char *name, const char *x)
{
    const char *w = qn_arena_printf(&s->model.arena, "%s_w", name);

    small_constant(s, w, 0.5f, DIMS(4, 4));
    small_op(s, "Gemm", name, x, w);
}

static inline void planned_open(struct planned *p, int rank)
{
    memset(p, 0, sizeof *p);
    small_open(&p->s);
    small_input(&p->s, "x", rank);
}

/* Begins with conv a with a bias → Relu b → conv c → Abs y; no plan yet. */
static inline void planned_open_convs(struct planned *p)
{
    planned_open(p, 4);
    small_conv(&p->s, "a", "x", "a_bias");
    small_op(&p->s, "Relu", "b", "a");
    small_conv(&p->s, "c", "b", NULL);
    small_op(&p->s, "Abs", "y", "c");
    small_output(&p->s, "y");
}

#endif
