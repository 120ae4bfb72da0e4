/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "emit/emit.h"
#include "plan/solve.h"
#include "planned.h"

/* Conv c of x, four channels to four, kernel 1: each output has two pairs of weights. */
static void begin(struct planned *p)
{
    planned_open(p, 4);
    small_conv(&p->s, "c", "x", NULL);
    small_op(&p->s, "Abs", "y", "c");
    small_output(&p->s, "y");
}

static void solve(struct planned *p, const float *low, const float *high)
{
    const float both[2][4] = { { -1, -1, -1, -1 }, { 1, 1, 1, 1 } };
    bool        again;

    planned_saw_channels(p, "x", 4, low, high);
    planned_saw_channels(p, "c", 4, both[0], both[1]);
    assert_ok(qn_solve(&p->plan, p->stats, NULL, p->verdicts, &again, &p->err), &p->err);
    assert_false(again);
}

/* The float weights: all the same, so that nearest codes are all 127. */
static float *weights(struct planned *p, const char *name)
{
    return (float *)(uintptr_t)p->s.graph.values[small_value(&p->s, name)].init->raw_data.data;
}

/* Code i of the weight, made or nearest. */
static int code(const struct planned *p, const char *node, int i)
{
    const struct qn_node_plan *row = node_of(p, node);
    const float                w =
        *(const float *)(const void *)(qn_node_constant(&p->s.graph, small_node(&p->s, node), 1)->raw_data.data +
                                       4 * (size_t)i);

    if (row->weight_codes) return ((const int8_t *)row->weight_codes)[i];
    return (int)rintf(w / row->weight->scale[i / 4]);
}

static const float zeros[4] = { 0, 0, 0, 0 }, ones[4] = { 1, 1, 1, 1 };

static void without_data_the_inputs_may_be_anything(void **state)
{
    struct planned p;

    (void)state;
    begin(&p);
    planned_make(&p, NO_OPTIONS);
    solve(&p, zeros, (const float[]){ 1, 0.01f, 0.01f, 0.01f });
    assert_int_equal(node_of(&p, "c")->pairing, QN_PAIRS_HELD);
    for (int i = 0; i < 16; i += 2) assert_true(255 * (code(&p, "c", i) + code(&p, "c", i + 1)) <= 32767);
    planned_close(&p);
}

/* Channel 0 takes codes up to 255; 1 up to 26, and as many again and 24 are left for what was not seen. */
static void with_data_only_pairs_that_can_saturate_give_way(void **state)
{
    struct planned p;

    (void)state;
    begin(&p);
    planned_make(&p, OPTIONS("calib", "samples.npz"));
    solve(&p, zeros, (const float[]){ 1, 0.102f, 0.2f, 0.2f });
    assert_true(code(&p, "c", 0) + code(&p, "c", 1) < 254 &&
                code(&p, "c", 0) * 255 + code(&p, "c", 1) * (2 * 26 + 24) <= 32767);
    assert_int_equal(node_of(&p, "c")->pairing, QN_PAIRS_HELD);
    planned_close(&p);
    begin(&p);
    planned_make(&p, OPTIONS("calib", "samples.npz", "pair-safe", "always"));
    solve(&p, zeros, (const float[]){ 1, 0.102f, 0.2f, 0.2f });
    for (int i = 0; i < 16; i += 2) assert_true(255 * (code(&p, "c", i) + code(&p, "c", i + 1)) <= 32767);
    planned_close(&p);
}

/* Channels 0 and 1 reach 255 both, but never in one place: their sum is seen to stay at 255 in half of the samples, and at
 * `other` times that in those of the other half. */
static enum qn_pairing pairing_beside(float other)
{
    enum { EACH = 101 };
    struct planned   p;
    struct qn_stats *stats;
    float            values[4 * EACH];
    bool             again;
    enum qn_pairing  pairing;

    begin(&p);
    planned_make(&p, OPTIONS("calib", "samples.npz"));
    for (int i = 0; i < 4 * EACH; i++) values[i] = i / EACH % 2 ? (float)(i % EACH) / 100 : 1 - (float)(i % EACH) / 100;
    stats = &p.made[p.made_count++];
    assert_int_equal(qn_stats_init(stats, 0, NULL), QONNX_OK);
    assert_int_equal(qn_stats_follow_channels(stats, 4, NULL), QONNX_OK);
    qn_stats_add_channels(stats, &(struct qn_channel_view){ values, { 1, 4, EACH }, 1, 0 });
    for (int i = 0; i < 4 * EACH; i++) values[i] *= other;
    qn_stats_add_channels(stats, &(struct qn_channel_view){ values, { 1, 4, EACH }, 1, 1 });
    stats->samples = 1000000; /* hardly any margin */
    planned_saw_channels(&p, "c", 4, zeros, ones);
    p.stats[small_value(&p.s, "x")] = stats;
    for (int i = 0; i < 16; i++) weights(&p, "c_w")[i] = i % 2 ? 0.008f : 0.5f; /* codes 127 and 2 */
    assert_ok(qn_solve(&p.plan, p.stats, NULL, p.verdicts, &again, &p.err), &p.err);
    pairing = node_of(&p, "c")->pairing;
    for (int i = 0; i < 16 && pairing == QN_PAIRS_FREE; i++) assert_int_equal(code(&p, "c", i), i % 2 ? 2 : 127);
    planned_close(&p);
    return pairing;
}

static void channels_that_are_never_large_in_one_place_keep_full_range(void **state)
{
    (void)state;
    assert_int_equal(pairing_beside(1), QN_PAIRS_FREE);
}

/* What half of the samples did not show may come again in others. */
static void where_halves_of_the_samples_differ_more_is_left_for_others(void **state)
{
    (void)state;
    assert_int_equal(pairing_beside(0.9f), QN_PAIRS_FREE);
    assert_int_equal(pairing_beside(0.3f), QN_PAIRS_HELD);
}

static void channels_with_room_keep_full_range(void **state)
{
    struct planned p;

    (void)state;
    begin(&p);
    planned_make(&p, OPTIONS("calib", "samples.npz"));
    weights(&p, "c_w")[0] = weights(&p, "c_w")[4] = weights(&p, "c_w")[8] = weights(&p, "c_w")[12] =
        0; /* of channel 0 */
    solve(&p, zeros, (const float[]){ 1, 0.4f, 0.15f, 0.15f });
    assert_int_equal(node_of(&p, "c")->pairing, QN_PAIRS_FREE);
    assert_null(node_of(&p, "c")->weight_codes);
    for (int i = 0; i < 16; i++) assert_int_equal(code(&p, "c", i), i % 4 ? 127 : 0);
    planned_close(&p);
}

/* Channels 2 and 3 stay low, but behind a Relu6 they may come up to 6 like the others. */
static void what_an_operator_cuts_off_may_be_anything_up_to_there(void **state)
{
    (void)state;
    for (int cut = 0; cut < 2; cut++) {
        struct planned p;
        planned_open(&p, 4);
        small_conv(&p.s, "a", "x", NULL);
        small_constant(&p.s, "low", 0, 0, NULL);
        small_constant(&p.s, "high", 6, 0, NULL);
        if (cut)
            small_op(&p.s, "Clip", "b", "a", "low", "high");
        else
            small_op(&p.s, "Relu", "b", "a");
        small_conv(&p.s, "c", "b", NULL);
        small_op(&p.s, "Abs", "y", "c");
        small_output(&p.s, "y");
        planned_make(&p, OPTIONS("calib", "samples.npz"));
        planned_saw_channels(&p, "b", 4, zeros, (const float[]){ 6, 6, 0.2f, 0.2f });
        for (int i = 0; i < 16; i++) weights(&p, "c_w")[i] = i % 4 < 2 ? 0.001f : 0.5f;
        solve(&p, zeros, ones);
        assert_int_equal(node_of(&p, "c")->pairing, cut ? QN_PAIRS_HELD : QN_PAIRS_FREE);
        planned_close(&p);
    }
}

static void a_channel_that_never_changed_tells_nothing(void **state)
{
    struct planned p;

    (void)state;
    begin(&p);
    planned_make(&p, OPTIONS("calib", "samples.npz"));
    solve(&p, zeros, (const float[]){ 1, 0, 0.1f, 0.1f });
    assert_true(255 * (code(&p, "c", 0) + code(&p, "c", 1)) <= 32767);
    planned_close(&p);
}

/* Inputs from -1 to -0.9 have small codes, but a padded border has the zero point. */
static void zeros_of_a_border_count(void **state)
{
    (void)state;
    for (int padded = 0; padded < 2; padded++) {
        struct planned p;
        begin(&p);
        if (padded)
            qn_attr_set_ints(&p.s.model.arena, p.s.model.pb->graph->node[0], "pads", 4, (int64_t[]){ 0, 1, 0, 0 });
        planned_make(&p, OPTIONS("calib", "samples.npz"));
        solve(&p, (const float[]){ -1, -1, -1, -1 }, (const float[]){ -0.97f, -0.97f, -0.97f, -0.97f });
        assert_int_equal(tensor_of(&p, "x")->params->zero_point[0], 255);
        assert_int_equal(node_of(&p, "c")->pairing, padded ? QN_PAIRS_HELD : QN_PAIRS_FREE);
        planned_close(&p);
    }
}

/* int8 codes are read as uint8 ones 128 higher. */
static void signed_inputs_are_seen_as_the_unsigned_ones_that_kernels_make_of_them(void **state)
{
    struct planned p;

    (void)state;
    begin(&p);
    planned_make(&p, OPTIONS("calib", "samples.npz", "act-type", "int8"));
    solve(&p, (const float[]){ -1, -1, -1, -1 }, ones);
    assert_int_equal(node_of(&p, "c")->pairing, QN_PAIRS_HELD);
    for (int i = 0; i < 16; i += 2) assert_true(255 * (code(&p, "c", i) + code(&p, "c", i + 1)) <= 32767);
    planned_close(&p);
}

static void it_is_left_alone_where_nothing_saturates(void **state)
{
    const char *const *const options[] = { OPTIONS("target", "ort-x86-vnni"), OPTIONS("target", "ort-web"),
                                           OPTIONS("target", "ort-arm"), OPTIONS("pair-safe", "off") };

    (void)state;
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        struct planned p;
        begin(&p);
        planned_make(&p, options[i]);
        solve(&p, zeros, ones);
        assert_int_equal(node_of(&p, "c")->pairing, QN_PAIRS_UNASKED);
        for (int k = 0; k < 16; k++) assert_int_equal(code(&p, "c", k), 127);
        planned_close(&p);
    }
}

static void depthwise_convolutions_are_exempt(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 4);
    small_constant(&p.s, "w", 0.5f, DIMS(4, 1, 3, 3));
    qn_attr_set_int(&p.s.model.arena, small_op(&p.s, "Conv", "c", "x", "w"), "group", 4);
    small_op(&p.s, "Abs", "y", "c");
    small_output(&p.s, "y");
    planned_make(&p, OPTIONS("pair-safe", "always"));
    solve(&p, zeros, ones);
    assert_int_equal(node_of(&p, "c")->pairing, QN_PAIRS_EXEMPT);
    assert_null(node_of(&p, "c")->weight_codes);
    assert_true(node_of(&p, "c")->weight->scale[0] == 0.5f / 127.0f);
    planned_close(&p);
}

/* One weight for two layers whose inputs leave it different codes is written twice. */
static void layers_share_a_weight_only_with_the_same_codes(void **state)
{
    struct planned p;
    size_t         codes = 0;

    (void)state;
    planned_open(&p, 4);
    small_conv(&p.s, "c", "x", NULL);
    small_op(&p.s, "Relu", "r", "c");
    small_op(&p.s, "Conv", "d", "r", "c_w");
    small_op(&p.s, "Abs", "y", "d");
    small_output(&p.s, "y");
    planned_make(&p, OPTIONS("calib", "samples.npz"));
    planned_saw_channels(&p, "r", 4, zeros, (const float[]){ 1, 0.4f, 0.1f, 0.1f });
    planned_saw_channels(&p, "d", 4, zeros, ones);
    for (int i = 0; i < 16; i++) weights(&p, "c_w")[i] = i % 4 ? 0.5f : 0.001f;
    solve(&p, zeros, ones);
    assert_int_equal(node_of(&p, "c")->pairing, QN_PAIRS_HELD);
    assert_int_equal(node_of(&p, "d")->pairing, QN_PAIRS_FREE);
    assert_ok(qn_emit(qn_emitter_find("qdq"), &p.plan, &p.s.graph, &p.err), &p.err);
    for (qn_value_id v = 0; v < p.s.graph.value_count; v++)
        codes += p.s.graph.values[v].init && p.s.graph.values[v].init->data_type == QN_INT8 &&
                 p.s.graph.values[v].init->n_dims == 4;
    assert_int_equal(codes, 2);
    planned_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_data_the_inputs_may_be_anything),
        cmocka_unit_test(with_data_only_pairs_that_can_saturate_give_way),
        cmocka_unit_test(channels_that_are_never_large_in_one_place_keep_full_range),
        cmocka_unit_test(where_halves_of_the_samples_differ_more_is_left_for_others),
        cmocka_unit_test(what_an_operator_cuts_off_may_be_anything_up_to_there),
        cmocka_unit_test(channels_with_room_keep_full_range),
        cmocka_unit_test(a_channel_that_never_changed_tells_nothing),
        cmocka_unit_test(zeros_of_a_border_count),
        cmocka_unit_test(signed_inputs_are_seen_as_the_unsigned_ones_that_kernels_make_of_them),
        cmocka_unit_test(it_is_left_alone_where_nothing_saturates),
        cmocka_unit_test(depthwise_convolutions_are_exempt),
        cmocka_unit_test(layers_share_a_weight_only_with_the_same_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
