/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/solve.h"

#include <math.h>

#include "plan/solved.h"
#include "planned.h"

static bool solve(struct planned *p)
{
    bool again = true;
    assert_ok(qn_solve(&p->plan, p->stats, NULL, p->verdicts, &again, &p->err), &p->err);
    return again;
}

/* Solves, planning anew while verdicts come. Returns the rounds. */
static int settle(struct planned *p)
{
    int rounds = 1;

    while (solve(p)) {
        qn_plan_release(&p->plan);
        assert_ok(qn_plan_make(&p->plan, &p->s.graph, &p->settings, p->verdicts, &p->err), &p->err);
        assert_true(++rounds < 20);
    }
    return rounds;
}

static float *constant(struct planned *p, const char *name)
{
    return (float *)(uintptr_t)p->s.graph.values[small_value(&p->s, name)].init->raw_data.data;
}

static void bias_scale_is_input_times_weight_scale(void **state)
{
    struct planned             p;
    const struct qn_node_plan *row;

    (void)state;
    planned_open_convs(&p);
    planned_make(&p, OPTIONS("pair-safe", "off"));
    for (int i = 0; i < 16; i++) constant(&p, "a_w")[i] = 0.017f * (float)(i + 1); /* four channels of four */
    for (int i = 0; i < 4; i++) constant(&p, "a_bias")[i] = 0.3f * (float)(i - 1);
    planned_saw_all(&p, 0.7f);
    assert_int_equal(settle(&p), 1);
    row = node_of(&p, "a");
    assert_int_equal(row->weight->count, 4);
    assert_int_equal(row->weight->axis, 0);
    assert_int_equal(row->bias_count, 4);
    for (size_t i = 0; i < 4; i++) {
        float input = tensor_of(&p, "x")->params->scale[0], weight = row->weight->scale[i], scale = row->bias->scale[i];
        assert_true(scale == input * weight); /* exactly, in float32 */
        assert_int_equal(row->bias_codes[i], (int32_t)nearbyint((double)constant(&p, "a_bias")[i] / (double)scale));
        assert_true(weight == 0.017f * (float)(4 * i + 4) / 127.0f);
        assert_int_equal(row->weight->zero_point[i], 0);
    }
    assert_int_equal(row->weight->lo, -127); /* narrow */
    assert_int_equal(row->raised, 0);
    assert_true(row->weight_sqnr > 35);
    planned_close(&p);
}

static void codes_behind_a_clamp_stay_within_its_bounds(void **state)
{
    for (int i = 0; i < 40; i++) {
        struct planned           p;
        const struct qn_qparams *params;
        const float              high = 0.37f * (float)(i + 1);

        (void)state;
        planned_open(&p, 4);
        small_conv(&p.s, "a", "x", NULL);
        small_constant(&p.s, "low", 0, 0, NULL);
        small_constant(&p.s, "high", high, 0, NULL);
        small_op(&p.s, "Clip", "b", "a", "low", "high");
        small_conv(&p.s, "c", "b", NULL);
        small_op(&p.s, "Abs", "y", "c");
        small_output(&p.s, "y");
        planned_make(&p, NO_OPTIONS);
        planned_saw(&p, "x", 1, 0);
        planned_saw(&p, "b", high / 2, high / 2 * 1.0001f); /* a little beyond, as rounding makes it */
        planned_saw(&p, "c", 1, 0);
        assert_int_equal(settle(&p), 1);
        params = tensor_of(&p, "b")->params;
        assert_int_equal(params->zero_point[0], 0);
        assert_true(255.0f * params->scale[0] <= high);
        planned_close(&p);
    }
}

static void a_group_has_one_set_of_parameters(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 4);
    small_conv(&p.s, "a", "x", NULL);
    small_op(&p.s, "Transpose", "t", "a");
    small_op(&p.s, "Reshape", "u", "t", "x");
    small_conv(&p.s, "c", "u", NULL);
    small_op(&p.s, "Abs", "y", "c");
    small_output(&p.s, "y");
    planned_make(&p, NO_OPTIONS);
    planned_saw(&p, "x", 1, 0);
    planned_saw(&p, "a", 3, 0);
    planned_saw(&p, "c", 1, 0);
    assert_int_equal(settle(&p), 1);
    assert_ptr_equal(tensor_of(&p, "t")->params, tensor_of(&p, "a")->params);
    assert_ptr_equal(tensor_of(&p, "u")->params, tensor_of(&p, "a")->params);
    assert_true(fabsf(tensor_of(&p, "u")->params->scale[0] - 6.0f / 255) < 1e-6f);
    planned_close(&p);
}

static void near_dead_channels_get_a_scale_that_their_bias_fits(void **state)
{
    struct planned             p;
    const struct qn_node_plan *row;

    (void)state;
    planned_open_convs(&p);
    planned_make(&p, NO_OPTIONS);
    for (int i = 0; i < 4; i++) {
        constant(&p, "a_w")[i] = 1e-12f;     /* channel 0 */
        constant(&p, "a_w")[4 + i] = 0;      /* channel 1 */
        constant(&p, "a_w")[8 + i] = 1e-40f; /* channel 2: subnormal */
    }
    for (int i = 0; i < 4; i++) constant(&p, "a_bias")[i] = 100;
    planned_saw_all(&p, 1);
    assert_int_equal(settle(&p), 1);
    row = node_of(&p, "a");
    assert_true(row->raised >= 2);
    for (size_t i = 0; i < 4; i++) {
        double value = (double)row->bias_codes[i] * (double)row->bias->scale[i];
        assert_true(isnormal(row->bias->scale[i]) && isnormal(row->weight->scale[i]));
        assert_true(row->bias->scale[i] == tensor_of(&p, "x")->params->scale[0] * row->weight->scale[i]);
        assert_true(fabs(value - 100) < 0.01);
        /* what else adds up leaves the sum within 32 bits */
        assert_true((int64_t)row->bias_codes[i] + 4 * 255 * 127 <= INT32_MAX);
    }
    planned_close(&p);
}

static void one_scale_for_the_tensor_when_asked_for(void **state)
{
    struct planned             p;
    const struct qn_node_plan *row;

    (void)state;
    planned_open_convs(&p);
    planned_make(&p, OPTIONS("per-channel", "off"));
    constant(&p, "a_w")[5] = -2;
    planned_saw_all(&p, 1);
    assert_int_equal(settle(&p), 1);
    row = node_of(&p, "a");
    assert_int_equal(row->weight->count, 1);
    assert_int_equal(row->weight->axis, -1);
    assert_true(row->weight->scale[0] == 2.0f / 127);
    assert_int_equal(row->bias->count, 1);
    assert_int_equal(row->bias_count, 4);
    planned_close(&p);
}

static void signed_activations_shift_their_zero_point(void **state)
{
    struct planned p;

    (void)state;
    planned_open_convs(&p);
    planned_make(&p, OPTIONS("act-type", "int8"));
    planned_saw_all(&p, 1);
    assert_int_equal(settle(&p), 1);
    assert_int_equal(tensor_of(&p, "b")->params->zero_point[0], -128); /* behind a Relu zero is the lowest code */
    assert_string_equal(tensor_of(&p, "b")->params->type->name, "int8");
    planned_close(&p);
}

static void fixed_parameters_need_no_data(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 4);
    small_conv(&p.s, "a", "x", NULL);
    small_op(&p.s, "Sigmoid", "b", "a");
    small_conv(&p.s, "c", "b", NULL);
    small_op(&p.s, "Abs", "y", "c");
    small_output(&p.s, "y");
    planned_make(&p, NO_OPTIONS);
    planned_saw(&p, "x", 1, 0);
    planned_saw(&p, "a", 1, 0);
    planned_saw(&p, "c", 1, 0);
    assert_int_equal(settle(&p), 1);
    assert_true(tensor_of(&p, "b")->params->scale[0] == 1.0f / 256);
    assert_int_equal(tensor_of(&p, "b")->params->zero_point[0], 0);
    planned_close(&p);
}

/* ---- verdicts ---- */

static void a_value_that_was_never_seen_takes_its_nodes_to_float(void **state)
{
    struct planned p;

    (void)state;
    planned_open_convs(&p);
    planned_make(&p, NO_OPTIONS);
    planned_saw(&p, "x", 1, 0);
    planned_saw(&p, "c", 1, 0); /* nothing of b */
    assert_true(settle(&p) > 1);
    assert_reason(&p, "a", QN_REASON_NO_RANGE); /* makes its codes */
    assert_reason(&p, "c", QN_REASON_NO_RANGE); /* reads them */
    assert_false(tensor_of(&p, "x")->quantized || tensor_of(&p, "b")->quantized);
    planned_close(&p);
}

static void nan_and_infinity_take_their_nodes_to_float(void **state)
{
    static const float odd[] = { NAN, INFINITY, -INFINITY };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct planned p;
        planned_open_convs(&p);
        planned_make(&p, NO_OPTIONS);
        planned_saw_all(&p, 1);
        qn_stats_add((struct qn_stats *)(uintptr_t)p.stats[small_value(&p.s, "x")], &odd[i], 1);
        assert_true(settle(&p) > 1);
        assert_reason(&p, "a", QN_REASON_NOT_FINITE);
        assert_reason(&p, "c", QN_REASON_QUANTIZED);
        planned_close(&p);
    }
}

static void values_that_stand_for_never_set_no_range(void **state)
{
    struct planned p;
    const float    never = -1e38f;

    (void)state;
    planned_open_convs(&p);
    planned_make(&p, NO_OPTIONS);
    planned_saw_all(&p, 1);
    qn_stats_add((struct qn_stats *)(uintptr_t)p.stats[small_value(&p.s, "x")], &never, 1);
    assert_int_equal(settle(&p), 1);
    assert_true(tensor_of(&p, "x")->params->scale[0] < 0.01f);
    planned_close(&p);
}

static void weights_that_are_not_finite_take_their_layer_to_float(void **state)
{
    for (int variant = 0; variant < 3; variant++) {
        struct planned p;

        (void)state;
        planned_open_convs(&p);
        planned_make(&p, NO_OPTIONS);
        if (variant < 2) constant(&p, "a_w")[7] = variant ? NAN : -INFINITY;
        if (variant == 2) constant(&p, "a_bias")[3] = NAN;
        planned_saw_all(&p, 1);
        assert_true(settle(&p) > 1);
        assert_reason(&p, "a", QN_REASON_WEIGHT_NOT_FINITE);
        assert_reason(&p, "c", QN_REASON_QUANTIZED);
        planned_close(&p);
    }
}

static void accumulators_are_counted_from_products_and_bits(void **state)
{
    struct planned p;

    (void)state;
    planned_open_convs(&p);
    planned_make(&p, NO_OPTIONS);
    planned_saw_all(&p, 1);
    settle(&p);
    assert_int_equal(node_of(&p, "c")->accumulator_bits, qn_accumulator_bits(8, 8, 4, 0));
    assert_int_equal(node_of(&p, "a")->accumulator_bits, qn_accumulator_bits(8, 8, 4, 32));
    planned_close(&p);
}

static void threads_do_not_change_the_numbers(void **state)
{
    struct planned p[2];

    (void)state;
    for (int i = 0; i < 2; i++) {
        planned_open_convs(&p[i]);
        planned_make(&p[i], OPTIONS("threads", i ? "7" : "1"));
        for (int k = 0; k < 16; k++) constant(&p[i], "a_w")[k] = sinf((float)k);
        planned_saw_all(&p[i], 1);
        settle(&p[i]);
    }
    assert_memory_equal(node_of(&p[0], "a")->weight->scale, node_of(&p[1], "a")->weight->scale, 4 * sizeof(float));
    assert_memory_equal(node_of(&p[0], "a")->bias_codes, node_of(&p[1], "a")->bias_codes, 4 * sizeof(int32_t));
    for (int i = 0; i < 2; i++) planned_close(&p[i]);
}

static void every_failed_allocation_is_reported(void **state)
{
    (void)state;
    for (int from_then_on = 0; from_then_on < 2; from_then_on++) {
        bool done = false;
        for (size_t nth = 1; !done; nth++) {
            struct planned p;
            bool           again;
            qonnx_status   status;

            planned_open_convs(&p);
            planned_make(&p, NO_OPTIONS);
            planned_saw_all(&p, 1);
            qn_arena_inject_failure(nth, from_then_on);
            status = qn_solve(&p.plan, p.stats, NULL, p.verdicts, &again, &p.err);
            qn_arena_inject_failure(0, false);
            done = status == QONNX_OK;
            if (!done) assert_string_equal(qonnx_status_name(status), "E_NOMEM");
            planned_close(&p);
            assert_true(nth < 1000);
        }
    }
}

/* As values with a long tail on one side and a histogram. */
static void saw_tail(struct planned *p, const char *name)
{
    struct qn_stats *stats = (struct qn_stats *)(uintptr_t)p->stats[small_value(&p->s, name)];
    float            x[2000];

    qn_stats_release(stats);
    assert_int_equal(qn_stats_init(stats, QN_HISTOGRAM_ALL, NULL), QONNX_OK);
    for (int i = 0; i < 2000; i++) x[i] = (float)(i % 100 - 50) * 0.02f;
    x[77] = 9;
    qn_stats_add(stats, x, 2000);
}

static void one_tensor_may_have_its_range_found_in_another_way(void **state)
{
    struct planned    p;
    struct qn_ranging ranging[64] = { { 0 } };
    bool              again;
    qn_value_id       b;

    (void)state;
    planned_open_convs(&p);
    planned_make(&p, NO_OPTIONS);
    planned_saw_all(&p, 0.7f);
    b = small_value(&p.s, "b");
    saw_tail(&p, "x");
    saw_tail(&p, "b");
    assert_true(p.s.graph.value_count <= 64);
    ranging[b] = (struct qn_ranging){ qn_observer_find("percentile"), 99 };
    assert_ok(qn_solve(&p.plan, p.stats, ranging, p.verdicts, &again, &p.err), &p.err);
    assert_false(again);
    assert_string_equal(tensor_of(&p, "x")->observer->name, "auto"); /* which is minmax until something is tried */
    assert_true(tensor_of(&p, "x")->range.max == 9);
    assert_string_equal(tensor_of(&p, "b")->observer->name, "percentile");
    assert_true(tensor_of(&p, "b")->range.max < 1.1f);
    planned_close(&p);
}

/* Solves another plan of the same graph. */
static void solve_anew(struct planned *p, struct qn_solved *solved, const struct qn_ranging *ranging)
{
    bool again;

    qn_plan_release(&p->plan);
    assert_ok(qn_plan_make(&p->plan, &p->s.graph, &p->settings, p->verdicts, &p->err), &p->err);
    p->plan.solved = solved;
    assert_ok(qn_solve(&p->plan, p->stats, ranging, p->verdicts, &again, &p->err), &p->err);
    assert_false(again);
}

static void what_was_solved_before_is_taken_again(void **state)
{
    struct planned           p;
    struct qn_solved        *solved;
    struct qn_ranging        ranging[64] = { { 0 } };
    const struct qn_qparams *a, *c;
    float                    scale;

    (void)state;
    planned_open_convs(&p);
    planned_make(&p, NO_OPTIONS);
    planned_saw_all(&p, 0.7f);
    saw_tail(&p, "b");
    assert_int_equal(qn_solved_new(&solved, &p.s.graph, NULL), QONNX_OK);
    solve_anew(&p, solved, NULL);
    a = node_of(&p, "a")->weight;
    c = node_of(&p, "c")->weight;
    scale = tensor_of(&p, "b")->params->scale[0];
    ranging[small_value(&p.s, "b")] = (struct qn_ranging){ qn_observer_find("percentile"), 99 };
    solve_anew(&p, solved, ranging); /* another input for c */
    assert_ptr_equal(node_of(&p, "a")->weight, a);
    assert_ptr_not_equal(node_of(&p, "c")->weight, c);
    assert_true(tensor_of(&p, "b")->params->scale[0] < scale);
    solve_anew(&p, solved, NULL);
    assert_ptr_equal(node_of(&p, "a")->weight, a);
    assert_ptr_equal(node_of(&p, "c")->weight, c);
    assert_true(tensor_of(&p, "b")->params->scale[0] == scale);
    planned_close(&p);
    qn_solved_release(solved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_solved_before_is_taken_again),
        cmocka_unit_test(one_tensor_may_have_its_range_found_in_another_way),
        cmocka_unit_test(bias_scale_is_input_times_weight_scale),
        cmocka_unit_test(codes_behind_a_clamp_stay_within_its_bounds),
        cmocka_unit_test(a_group_has_one_set_of_parameters),
        cmocka_unit_test(near_dead_channels_get_a_scale_that_their_bias_fits),
        cmocka_unit_test(one_scale_for_the_tensor_when_asked_for),
        cmocka_unit_test(signed_activations_shift_their_zero_point),
        cmocka_unit_test(fixed_parameters_need_no_data),
        cmocka_unit_test(a_value_that_was_never_seen_takes_its_nodes_to_float),
        cmocka_unit_test(nan_and_infinity_take_their_nodes_to_float),
        cmocka_unit_test(values_that_stand_for_never_set_no_range),
        cmocka_unit_test(weights_that_are_not_finite_take_their_layer_to_float),
        cmocka_unit_test(accumulators_are_counted_from_products_and_bits),
        cmocka_unit_test(threads_do_not_change_the_numbers),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
