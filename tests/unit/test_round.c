/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/round.h"

#include <math.h>

#include "onnx/attr.h"
#include "plan/window.h"
#include "planned.h"
#include "random.h"

/* A layer whose input is seen, with sums of products to round it by. */
struct fixture {
    struct planned   p;
    struct qn_window window;
    struct qn_gram   gram;
    struct qn_arena  arena;
};

static float *constant(struct fixture *f, const char *name)
{
    return (float *)(uintptr_t)f->p.s.graph.values[small_value(&f->p.s, name)].init->raw_data.data;
}

static void solve(struct fixture *f)
{
    bool again;
    assert_ok(qn_solve(&f->p.plan, f->p.stats, NULL, f->p.verdicts, &again, &f->p.err), &f->p.err);
    assert_false(again);
}

static void begin(struct fixture *f, const char *const *options)
{
    struct rng rng = { 5 };

    memset(f, 0, sizeof *f);
    planned_open(&f->p, 4);
    small_conv(&f->p.s, "a", "x", "a_bias");
    small_op(&f->p.s, "Abs", "y", "a");
    small_output(&f->p.s, "y");
    planned_make(&f->p, options);
    for (int i = 0; i < 16; i++) constant(f, "a_w")[i] = rng_between(&rng, -1, 1);
    for (int i = 0; i < 4; i++) constant(f, "a_bias")[i] = 0.25f;
    planned_saw_all(&f->p, 1);
    solve(f);
}

static void gather(struct fixture *f)
{
    enum { PIXELS = 256 };
    const int64_t       dims[] = { 1, 4, 16, 16 };
    struct qn_gram_room room = { 0 };
    struct rng          rng = { 6 };
    float               x[4 * PIXELS];

    for (int i = 0; i < PIXELS; i++) {
        const float common = rng_between(&rng, 0, 0.8f);
        for (int c = 0; c < 4; c++) x[c * PIXELS + i] = common + rng_between(&rng, 0, 0.2f);
    }
    assert_int_equal(qn_gram_init(&f->gram, &f->window, qn_round_absmax(&f->p.plan, small_node(&f->p.s, "a")), SIZE_MAX, NULL), QONNX_OK);
    assert_int_equal(qn_gram_add(&f->gram, &room, x, 4, dims, 0, NULL), QONNX_OK);
    qn_gram_room_release(&room);
}

static void end(struct fixture *f)
{
    qn_gram_release(&f->gram);
    qn_arena_release(&f->arena);
    planned_close(&f->p);
}

static void rounded_weights_are_taken_by_the_next_plan(void **state)
{
    struct fixture             f;
    const struct qn_rounded   *list[16] = { NULL };
    const struct qn_rounded   *rounded;
    const struct qn_node_plan *row;
    int32_t                    before[4];
    qn_node_id                 a;
    bool                       moved = false;

    (void)state;
    begin(&f, OPTIONS("rounding", "second-order", "pair-safe", "off"));
    a = small_node(&f.p.s, "a");
    memcpy(before, node_of(&f.p, "a")->bias_codes, sizeof before);
    assert_true(qn_round_wanted(&f.p.plan, a, &f.window));
    gather(&f);
    assert_int_equal(qn_round_layer(&f.p.plan, a, &f.gram, &f.arena, &rounded, NULL), QONNX_OK);
    assert_true(rounded->gain > 1);
    assert_int_equal(rounded->rows, 256);
    list[a] = rounded;
    qn_plan_release(&f.p.plan);
    assert_ok(qn_plan_make(&f.p.plan, &f.p.s.graph, &f.p.settings, f.p.verdicts, &f.p.err), &f.p.err);
    f.p.plan.rounded = list;
    solve(&f);
    row = node_of(&f.p, "a");
    assert_ptr_equal(row->rounded, rounded);
    assert_false(qn_round_wanted(&f.p.plan, a, &f.window));
    assert_memory_equal(row->weight_codes, rounded->codes, 16);
    for (int i = 0; i < 4; i++) {
        const float wanted = 0.25f + rounded->bias[i], scale = tensor_of(&f.p, "x")->params->scale[0] * rounded->scale[i];
        assert_true(row->weight->scale[i] == rounded->scale[i]);
        assert_int_equal(row->bias_codes[i], (int32_t)nearbyint((double)wanted / (double)scale));
        moved |= row->bias_codes[i] != before[i];
    }
    assert_true(moved);
    constant(&f, "a_w")[3] = 2; /* another scale to start from: what was found no longer holds */
    qn_plan_release(&f.p.plan);
    assert_ok(qn_plan_make(&f.p.plan, &f.p.s.graph, &f.p.settings, f.p.verdicts, &f.p.err), &f.p.err);
    f.p.plan.rounded = list;
    solve(&f);
    assert_null(node_of(&f.p, "a")->rounded);
    end(&f);
}

static void scope_says_which_layers_are_rounded(void **state)
{
    static const struct {
        const char *rounding;
        bool        wanted;
    } cases[] = { { "auto", false }, { "nearest", false }, { "small", true }, { "second-order", true } };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f;
        begin(&f, OPTIONS("rounding", cases[i].rounding));
        assert_int_equal(qn_round_wanted(&f.p.plan, small_node(&f.p.s, "a"), &f.window), cases[i].wanted);
        end(&f);
    }
}

static void four_bits_stay_within_seven_steps(void **state)
{
    struct fixture           f;
    const struct qn_rounded *rounded;
    const int8_t            *codes;
    int                      largest = 0;

    (void)state;
    begin(&f, OPTIONS("rounding", "second-order", "weight-bits", "4"));
    assert_true(qn_round_wanted(&f.p.plan, small_node(&f.p.s, "a"), &f.window));
    gather(&f);
    assert_int_equal(qn_round_layer(&f.p.plan, small_node(&f.p.s, "a"), &f.gram, &f.arena, &rounded, NULL), QONNX_OK);
    codes = rounded->codes;
    for (int i = 0; i < 16; i++) {
        assert_in_range(codes[i] + 7, 0, 14);
        if (abs(codes[i]) > largest) largest = abs(codes[i]);
    }
    assert_int_equal(largest, 7);
    end(&f);
}

static void pairs_that_cannot_saturate_stay_so(void **state)
{
    struct fixture           f;
    const struct qn_rounded *list[16] = { NULL }, *rounded;
    const int8_t            *codes;
    qn_node_id               a;

    (void)state;
    begin(&f, OPTIONS("rounding", "second-order", "pair-safe", "always"));
    a = small_node(&f.p.s, "a");
    assert_true(qn_round_wanted(&f.p.plan, a, &f.window));
    gather(&f);
    assert_int_equal(qn_round_layer(&f.p.plan, a, &f.gram, &f.arena, &rounded, NULL), QONNX_OK);
    assert_true(rounded->gain > 0.5);
    codes = rounded->codes;
    for (int i = 0; i < 16; i += 2) {
        assert_true(255 * ((codes[i] > 0 ? codes[i] : 0) + (codes[i + 1] > 0 ? codes[i + 1] : 0)) <= INT16_MAX);
        assert_true(255 * ((codes[i] < 0 ? codes[i] : 0) + (codes[i + 1] < 0 ? codes[i + 1] : 0)) >= INT16_MIN);
    }
    list[a] = rounded;
    qn_plan_release(&f.p.plan);
    assert_ok(qn_plan_make(&f.p.plan, &f.p.s.graph, &f.p.settings, f.p.verdicts, &f.p.err), &f.p.err);
    f.p.plan.rounded = list;
    solve(&f);
    assert_ptr_equal(node_of(&f.p, "a")->weight_codes, codes); /* nothing was left to be moved */
    end(&f);
}

static void windows_follow_the_attributes(void **state)
{
    struct small     s;
    struct qn_window w;
    Onnx__NodeProto *conv;
    const int64_t    strides[] = { 2, 1 }, pads[] = { 1, 0, 2, 3 };

    (void)state;
    small_open(&s);
    small_input(&s, "x", 4);
    small_conv(&s, "a", "x", NULL);
    small_op(&s, "Abs", "y", "a");
    small_output(&s, "y");
    conv = s.model.pb->graph->node[0];
    qn_attr_set_ints(&s.model.arena, conv, "strides", 2, strides);
    qn_attr_set_ints(&s.model.arena, conv, "pads", 4, pads);
    assert_ok(small_index(&s), &s.err);
    assert_true(qn_node_window(&s.graph, small_node(&s, "a"), &w));
    assert_int_equal(w.dims, 2);
    assert_int_equal(w.channels, 4);
    assert_int_equal(w.stride[0], 2);
    assert_int_equal(w.dilation[1], 1);
    assert_int_equal(w.before[0], 1);
    assert_int_equal(w.after[1], 3);
    assert_false(qn_node_window(&s.graph, small_node(&s, "y"), &w));
    qn_attr_set_string(&s.model.arena, conv, "auto_pad", "SAME_LOWER");
    assert_true(qn_node_window(&s.graph, small_node(&s, "a"), &w));
    assert_int_equal(w.pad, QN_PAD_SAME_LOWER);
    qn_attr_set_string(&s.model.arena, conv, "auto_pad", "VALID");
    assert_true(qn_node_window(&s.graph, small_node(&s, "a"), &w));
    assert_int_equal(w.before[0], 0);
    qn_attr_set_ints(&s.model.arena, conv, "strides", 1, strides); /* one too few */
    assert_false(qn_node_window(&s.graph, small_node(&s, "a"), &w));
    qn_attr_set_ints(&s.model.arena, conv, "strides", 2, strides);
    qn_attr_set_int(&s.model.arena, conv, "group", 3); /* 4 channels */
    assert_false(qn_node_window(&s.graph, small_node(&s, "a"), &w));
    small_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounded_weights_are_taken_by_the_next_plan),
        cmocka_unit_test(scope_says_which_layers_are_rounded),
        cmocka_unit_test(four_bits_stay_within_seven_steps),
        cmocka_unit_test(pairs_that_cannot_saturate_stay_so),
        cmocka_unit_test(windows_follow_the_attributes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
