/* SPDX-License-Identifier: Apache-2.0
 * Weights in blocks, rounded with an eye on the data. */
#include <math.h>

#include "plan/round.h"
#include "planned.h"
#include "random.h"

struct fixture {
    struct planned p;
    qn_node_id     layer;
};

static void plan_anew(struct fixture *f, const struct qn_rounded *const *list)
{
    bool again;

    if (f->p.plan.graph) qn_plan_release(&f->p.plan);
    assert_ok(qn_plan_make(&f->p.plan, &f->p.s.graph, &f->p.settings, f->p.verdicts, &f->p.err), &f->p.err);
    f->p.plan.rounded = list;
    assert_ok(qn_solve(&f->p.plan, f->p.stats, NULL, f->p.verdicts, &again, &f->p.err), &f->p.err);
    assert_false(again);
}

/* A Gemm of four by four weights, whose input's channels are of these sizes. */
static void begin(struct fixture *f, const char *const *options, const float *sizes)
{
    struct rng rng = { 5 };
    float      low[4], *w;

    memset(f, 0, sizeof *f);
    planned_open(&f->p, 2);
    small_gemm(&f->p.s, "a", "x");
    small_output(&f->p.s, "a");
    planned_make(&f->p, options);
    f->layer = small_node(&f->p.s, "a");
    w = (float *)(uintptr_t)f->p.s.graph.values[small_value(&f->p.s, "a_w")].init->raw_data.data;
    for (int i = 0; i < 16; i++) w[i] = rng_between(&rng, -1, 1);
    for (int i = 0; i < 4; i++) low[i] = -sizes[i];
    planned_saw_channels(&f->p, "x", 4, low, sizes);
    plan_anew(f, NULL);
}

static void a_layer_that_stays_float_is_looked_into_only_where_data_are_of_use(void **state)
{
    static const float sizes[4] = { 1, 1, 1, 1 };
    const struct {
        const char *const *options;
        size_t             observed;
    } cases[] = {
        { OPTIONS("preset", "int4"), 0 },
        { OPTIONS("preset", "int4", "calib", "data"), 1 },
        { OPTIONS("preset", "int4", "stats", "data"), 1 },
        { OPTIONS("preset", "int4", "calib", "data", "rounding", "nearest", "weight-importance", "off"), 0 },
        { OPTIONS("preset", "int4", "calib", "data", "rounding", "nearest"), 1 },
        { OPTIONS("preset", "int8-weights", "calib", "data", "rounding", "nearest"), 0 },
        { OPTIONS("preset", "int8-weights", "calib", "data", "rounding", "small"), 1 },
        { OPTIONS("preset", "fp16", "calib", "data"), 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture     f;
        const qn_value_id *ids;
        size_t             count;
        begin(&f, cases[i].options, sizes);
        assert_int_equal(qn_plan_observed(&f.p.plan, &ids, &count, NULL), QONNX_OK);
        assert_int_equal(count, cases[i].observed);
        planned_close(&f.p);
    }
}

static void errors_count_by_the_mean_square_of_the_channel(void **state)
{
    static const float sizes[4] = { 1, 2, 0, 4 };
    struct fixture     f;
    const float       *importance;

    (void)state;
    begin(&f, OPTIONS("preset", "int4", "calib", "data", "weight-importance", "on", "damping", "5"), sizes);
    importance = node_of(&f.p, "a")->blocks->importance;
    assert_non_null(importance);
    for (int i = 0; i < 4; i++) assert_true(fabsf(importance[i] - sizes[i] * sizes[i] * 4 / 21 - 0.05f) < 0.01f);
    planned_close(&f.p);
    begin(&f, OPTIONS("preset", "int4", "calib", "data", "weight-importance", "off"), sizes);
    assert_null(node_of(&f.p, "a")->blocks->importance);
    planned_close(&f.p);
    begin(&f, OPTIONS("preset", "int4", "calib", "data", "weight-importance", "on"), (const float[]){ 0, 0, 0, 0 });
    assert_null(node_of(&f.p, "a")->blocks->importance);
    planned_close(&f.p);
}

static void gather(const struct fixture *f, const struct qn_window *window, struct qn_gram *gram)
{
    enum { ROWS = 256 };
    struct qn_gram_room room = { 0 };
    struct rng          rng = { 6 };
    float               x[ROWS * 4];

    for (int i = 0; i < ROWS; i++) {
        const float common = rng_between(&rng, 0, 0.8f);
        for (int c = 0; c < 4; c++) x[i * 4 + c] = common + rng_between(&rng, 0, 0.2f);
    }
    assert_int_equal(qn_gram_init(gram, window, qn_round_absmax(&f->p.plan, f->layer), SIZE_MAX, NULL), QONNX_OK);
    assert_int_equal(qn_gram_add(gram, &room, x, 2, (const int64_t[]){ ROWS, 4 }, 0, NULL), QONNX_OK);
    qn_gram_room_release(&room);
}

/* What second-order rounding made of the layer, and what it made it from. */
struct rounding {
    struct qn_window         window;
    struct qn_gram           gram;
    struct qn_arena          arena;
    const struct qn_rounded *list[16], *made;
};

/* It is there in the next plan. */
static void round_layer(struct fixture *f, struct rounding *r)
{
    memset(r, 0, sizeof *r);
    assert_true(qn_round_wanted(&f->p.plan, f->layer, &r->window));
    gather(f, &r->window, &r->gram);
    assert_int_equal(qn_round_layer(&f->p.plan, f->layer, &r->gram, &r->arena, &r->made, NULL), QONNX_OK);
    r->list[f->layer] = r->made;
    plan_anew(f, r->list);
}

static void rounding_release(struct rounding *r)
{
    qn_gram_release(&r->gram);
    qn_arena_release(&r->arena);
}

static void blocks_are_taken_by_the_next_plan_of_the_same_form(void **state)
{
    static const float sizes[4] = { 1, 1, 1, 1 };
    struct fixture     f;
    struct rounding    r;

    (void)state;
    begin(&f, OPTIONS("preset", "int2", "calib", "data", "rounding", "second-order"), sizes);
    assert_true(qn_round_absmax(&f.p.plan, f.layer) == 1);
    round_layer(&f, &r);
    assert_true(r.made->gain > 1);
    assert_int_equal(r.made->rows, 256);
    assert_ptr_equal(node_of(&f.p, "a")->rounded, r.made);
    assert_true(node_of(&f.p, "a")->lost->sums.noise == r.made->blocks->lost.noise);
    assert_false(qn_round_wanted(&f.p.plan, f.layer, &r.window));
    f.p.settings.weight_symmetric = true;
    plan_anew(&f, r.list);
    assert_null(node_of(&f.p, "a")->rounded);
    f.p.settings.weight_symmetric = false;
    f.p.settings.rounding = "nearest";
    plan_anew(&f, r.list);
    assert_null(node_of(&f.p, "a")->rounded);
    assert_false(qn_round_wanted(&f.p.plan, f.layer, &r.window));
    rounding_release(&r);
    planned_close(&f.p);
}

static void layers_in_blocks_can_be_rounded_in_parts(void **state)
{
    static const float     sizes[4] = { 1, 1, 1, 1 };
    const struct qn_window window = { .groups = 1, .channels = 100 };
    struct fixture         f;

    (void)state;
    begin(&f, OPTIONS("preset", "int4", "calib", "data", "rounding", "second-order"), sizes);
    assert_int_equal(qn_round_part(&f.p.plan, f.layer, &window, 200), 100);
    assert_int_equal(qn_round_part(&f.p.plan, f.layer, &window, 70), 64);
    assert_int_equal(qn_round_part(&f.p.plan, f.layer, &window, 5), 32);
    planned_close(&f.p);
    begin(&f, OPTIONS("preset", "int8-weights", "calib", "data", "rounding", "second-order"), sizes);
    assert_int_equal(qn_round_part(&f.p.plan, f.layer, &window, 70), 100);
    planned_close(&f.p);
}

static void what_was_never_seen_is_not_rounded_by(void **state)
{
    struct fixture   f;
    struct qn_window window;

    (void)state;
    begin(&f, OPTIONS("preset", "int4", "calib", "data", "rounding", "second-order"), (const float[]){ 0, 0, 0, 0 });
    assert_false(qn_round_wanted(&f.p.plan, f.layer, &window));
    planned_close(&f.p);
}

static void whole_channels_of_float_layers_are_rounded_too(void **state)
{
    static const float sizes[4] = { 1, 1, 1, 1 };
    struct fixture     f;
    struct rounding    r;
    double             before;

    (void)state;
    begin(&f, OPTIONS("preset", "int8-weights", "calib", "data", "rounding", "second-order"), sizes);
    before = node_of(&f.p, "a")->weight_sqnr;
    round_layer(&f, &r);
    assert_memory_equal(node_of(&f.p, "a")->weight_codes, r.made->codes, 16);
    assert_true(node_of(&f.p, "a")->weight_sqnr < before); /* the weights themselves lose: outputs gain */
    rounding_release(&r);
    planned_close(&f.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_layer_that_stays_float_is_looked_into_only_where_data_are_of_use),
        cmocka_unit_test(errors_count_by_the_mean_square_of_the_channel),
        cmocka_unit_test(blocks_are_taken_by_the_next_plan_of_the_same_form),
        cmocka_unit_test(layers_in_blocks_can_be_rounded_in_parts),
        cmocka_unit_test(what_was_never_seen_is_not_rounded_by),
        cmocka_unit_test(whole_channels_of_float_layers_are_rounded_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
