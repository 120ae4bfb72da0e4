/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "planned.h"

enum { CHANNELS = 4 };
static const float low[CHANNELS] = { 0, 1, 2, 3 }, high[CHANNELS] = { 1, 3, 5, 7 };

static float *constant(struct planned *p, const char *name)
{
    return (float *)(uintptr_t)p->s.graph.values[small_value(&p->s, name)].init->raw_data.data;
}

/* Conv c of x, kernel 1, with or without a bias; no weight but the largest of its channel lies on a code. */
static void solve(struct planned *p, const char *bias, const char *const *options)
{
    const float ends[2][CHANNELS] = { { -1, -1, -1, -1 }, { 1, 1, 1, 1 } };
    bool        again;

    planned_open(p, 4);
    small_conv(&p->s, "c", "x", bias);
    small_op(&p->s, "Abs", "y", "c");
    small_output(&p->s, "y");
    planned_make(p, options);
    for (int i = 0; i < CHANNELS * CHANNELS; i++) constant(p, "c_w")[i] = i % 5 ? 0.0123f * (float)i : 1.7f;
    planned_saw_channels(p, "x", CHANNELS, low, high);
    planned_saw_channels(p, "c", CHANNELS, ends[0], ends[1]);
    assert_ok(qn_solve(&p->plan, p->stats, NULL, p->verdicts, &again, &p->err), &p->err);
    assert_false(again);
    assert_reason(p, "c", QN_REASON_QUANTIZED);
}

/* By how much the mean of the output is off. */
static double shift(struct planned *p, size_t output)
{
    const struct qn_node_plan *row = node_of(p, "c");
    const double               bias = (double)constant(p, "b")[output], scale = (double)row->weight->scale[output];
    double                     shift = (double)row->bias->scale[output] * row->bias_codes[output] - bias;

    for (size_t i = 0; i < CHANNELS; i++) {
        const double w = (double)constant(p, "c_w")[output * CHANNELS + i];
        const int    code =
            row->weight_codes ? ((const int8_t *)row->weight_codes)[output * CHANNELS + i] : (int)rint(w / scale);
        shift += (scale * code - w) * (double)(low[i] + high[i]) / 2;
    }
    return shift;
}

static void the_mean_of_each_output_is_kept_to_half_a_step_of_the_bias(void **state)
{
    struct planned p;

    (void)state;
    solve(&p, "b", OPTIONS("calib", "samples.npz", "bias-correction", "on"));
    for (size_t o = 0; o < CHANNELS; o++)
        assert_true(fabs(shift(&p, o)) <= 0.51 * (double)node_of(&p, "c")->bias->scale[o]);
    planned_close(&p);
}

static void codes_that_gave_way_to_their_neighbours_count_as_they_are(void **state)
{
    struct planned p;

    (void)state;
    solve(&p, "b", OPTIONS("calib", "samples.npz", "bias-correction", "on", "pair-safe", "always"));
    assert_int_equal(node_of(&p, "c")->pairing, QN_PAIRS_HELD);
    for (size_t o = 0; o < CHANNELS; o++)
        assert_true(fabs(shift(&p, o)) <= 0.51 * (double)node_of(&p, "c")->bias->scale[o]);
    planned_close(&p);
}

static void off_or_without_data_a_bias_is_rounded_as_it_is(void **state)
{
    const char *const *const options[] = { OPTIONS("calib", "samples.npz", "bias-correction", "off"),
                                           OPTIONS("bias-correction", "on") };

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct planned p;
        solve(&p, "b", options[i]);
        for (size_t o = 0; o < CHANNELS; o++) {
            const struct qn_node_plan *row = node_of(&p, "c");
            assert_int_equal(row->bias_codes[o], (int)rint(0.25 / (double)row->bias->scale[o]));
            assert_true(fabs(shift(&p, o)) > (double)row->bias->scale[o]);
        }
        planned_close(&p);
    }
}

static void a_layer_without_a_bias_gets_none(void **state)
{
    struct planned p;

    (void)state;
    solve(&p, NULL, OPTIONS("calib", "samples.npz", "bias-correction", "on"));
    assert_null(node_of(&p, "c")->bias);
    planned_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_mean_of_each_output_is_kept_to_half_a_step_of_the_bias),
        cmocka_unit_test(codes_that_gave_way_to_their_neighbours_count_as_they_are),
        cmocka_unit_test(off_or_without_data_a_bias_is_rounded_as_it_is),
        cmocka_unit_test(a_layer_without_a_bias_gets_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
