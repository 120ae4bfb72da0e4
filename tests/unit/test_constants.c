/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>

#include "planned.h"
#include "random.h"

static float *constant(struct planned *p, const char *name)
{
    return (float *)(uintptr_t)p->s.graph.values[small_value(&p->s, name)].init->raw_data.data;
}

static bool solve(struct planned *p)
{
    bool again = true;
    assert_ok(qn_solve(&p->plan, p->stats, NULL, p->verdicts, &again, &p->err), &p->err);
    return again;
}

/* ---- embeddings ---- */

static void begin_table(struct planned *p, int64_t rows)
{
    planned_open(p, 2);
    small_constant(&p->s, "table", 0.5f, DIMS(rows, 4));
    small_op(&p->s, "Gather", "read", "table", "x");
    small_op(&p->s, "Abs", "y", "read");
    small_output(&p->s, "y");
}

static void an_embedding_has_a_scale_for_each_column(void **state)
{
    struct planned             p;
    const struct qn_node_plan *row;

    (void)state;
    begin_table(&p, 20);
    planned_make(&p, OPTIONS("embeddings", "int8"));
    assert_reason(&p, "read", QN_REASON_QUANTIZED);
    for (int i = 0; i < 80; i++) constant(&p, "table")[i] = (float)((i % 4 + 1) * (i / 4 - 9)); /* up to 10 times the column */
    assert_false(solve(&p));
    row = node_of(&p, "read");
    assert_int_equal(row->weight->axis, 1);
    assert_int_equal(row->weight->count, 4);
    for (int k = 0; k < 4; k++) assert_true(row->weight->scale[k] == (float)(10 * (k + 1)) / 127);
    assert_int_equal(qn_plan_weight_slot(row), 0);
    assert_true(row->weight_sqnr > 30);
    assert_int_equal(qn_plan_count(&p.plan).layers, 0); /* nothing is multiplied */
    planned_close(&p);
}

static void an_embedding_is_kept_unless_asked_for(void **state)
{
    static const char *const kept[][4] = { { "embeddings", "float", NULL }, { "embeddings", "int8", "format", "qonnx" } };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct planned p;
        begin_table(&p, 20);
        planned_make(&p, OPTIONS(kept[i][0], kept[i][1], kept[i][2], kept[i][3]));
        assert_reason(&p, "read", QN_REASON_EMBEDDING);
        planned_close(&p);
    }
}

static void a_short_table_is_kept(void **state)
{
    struct planned p;

    (void)state;
    begin_table(&p, 15);
    planned_make(&p, OPTIONS("embeddings", "int8"));
    assert_reason(&p, "read", QN_REASON_SLOWER_ON_TARGET);
    planned_close(&p);
}

static void a_table_that_is_not_finite_is_kept(void **state)
{
    struct planned p;

    (void)state;
    begin_table(&p, 20);
    planned_make(&p, OPTIONS("embeddings", "int8"));
    constant(&p, "table")[7] = INFINITY;
    assert_true(solve(&p));
    assert_int_equal(p.verdicts[small_node(&p.s, "read")].reason, QN_REASON_WEIGHT_NOT_FINITE);
    planned_close(&p);
}

/* ---- LSTM ---- */

/* Two directions of 64 units, 64 inputs. */
static void begin_lstm(struct planned *p)
{
    planned_open(p, 3);
    small_constant(&p->s, "w", 0.5f, DIMS(2, 256, 64));
    small_constant(&p->s, "r", 0.5f, DIMS(2, 256, 64));
    small_op(&p->s, "LSTM", "lstm", "x", "w", "r");
    small_op(&p->s, "Abs", "y", "lstm");
    small_output(&p->s, "y");
}

static void each_gate_of_each_unit_has_a_scale(void **state)
{
    struct planned             p;
    const struct qn_node_plan *row;

    (void)state;
    begin_lstm(&p);
    planned_make(&p, OPTIONS("target", "ort-x86-vnni"));
    for (int i = 0; i < 2 * 256; i++) constant(&p, "w")[i * 64 + i % 64] = (float)(i + 1), constant(&p, "r")[i * 64] = -(float)(2 * i + 1);
    assert_false(solve(&p));
    row = node_of(&p, "lstm");
    assert_int_equal(row->weight->count, 512);
    assert_int_equal(row->recurrent->count, 512);
    for (int i = 0; i < 512; i++) {
        assert_true(row->weight->scale[i] == (float)(i + 1) / 127);
        assert_true(row->recurrent->scale[i] == (float)(2 * i + 1) / 127);
    }
    assert_int_equal(qn_plan_count(&p.plan).layers_quantized, 1);
    planned_close(&p);
}

static void one_scale_for_each_direction_when_asked_for(void **state)
{
    struct planned             p;
    const struct qn_node_plan *row;

    (void)state;
    begin_lstm(&p);
    planned_make(&p, OPTIONS("target", "ort-arm", "per-channel", "off"));
    constant(&p, "w")[256 * 64 + 5] = 12.7f;
    assert_false(solve(&p));
    row = node_of(&p, "lstm");
    assert_int_equal(row->weight->count, 2);
    assert_true(row->weight->scale[0] == 0.5f / 127 && row->weight->scale[1] == 12.7f / 127);
    planned_close(&p);
}

/* About normal. */
static void fill_gates(struct planned *p, const char *name)
{
    struct rng rng = { 7 };

    for (int i = 0; i < 2 * 256 * 64; i++) {
        float sum = 0;
        for (int k = 0; k < 6; k++) sum += rng_between(&rng, -1, 1);
        constant(p, name)[i] = sum;
    }
}

static double lstm_sqnr(const char *const *options, int *largest)
{
    struct planned             p;
    const struct qn_node_plan *row;
    double                     db;

    begin_lstm(&p);
    planned_make(&p, options);
    fill_gates(&p, "w");
    fill_gates(&p, "r");
    assert_false(solve(&p));
    row = node_of(&p, "lstm");
    assert_int_equal(row->weight->hi, 127);
    *largest = 0;
    for (int slot = 0; slot < 2; slot++) {
        const int8_t *codes = slot ? row->recurrent_codes : row->weight_codes;
        for (int i = 0; codes && i < 2 * 256 * 64; i += 2) {
            const int a = codes[i], b = codes[i + 1];
            assert_true(255 * ((a > 0 ? a : 0) + (b > 0 ? b : 0)) <= INT16_MAX);
            assert_true(255 * ((a < 0 ? a : 0) + (b < 0 ? b : 0)) >= INT16_MIN);
            if (abs(a) > *largest) *largest = abs(a);
        }
    }
    assert_int_equal(row->pairing, *largest ? QN_PAIRS_HELD : QN_PAIRS_UNASKED);
    db = row->weight_sqnr;
    planned_close(&p);
    return db;
}

static void pairs_of_an_lstms_codes_fit_16_bits_without_losing_a_bit(void **state)
{
    static const char *const each[] = { "on", "off" };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        int          largest;
        const double held = lstm_sqnr(OPTIONS("target", "ort-x86", "per-channel", each[i]), &largest);
        assert_in_range(largest, 80, 127);
        assert_true(held > lstm_sqnr(OPTIONS("target", "ort-x86-vnni", "per-channel", each[i]), &largest) - 3); /* a bit is 6 dB */
        assert_int_equal(largest, 0);
        lstm_sqnr(OPTIONS("target", "ort-x86", "pair-safe", "off", "per-channel", each[i]), &largest);
        assert_int_equal(largest, 0);
        lstm_sqnr(OPTIONS("target", "ort-x86-vnni", "pair-safe", "always", "per-channel", each[i]), &largest);
        assert_in_range(largest, 80, 127);
    }
}

static void nothing_around_an_lstm_is_quantized_for_it(void **state)
{
    static const char *const targets[] = { "ort-x86", "generic" };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct planned p;
        begin_lstm(&p);
        planned_make(&p, OPTIONS("target", targets[i]));
        assert_reason(&p, "lstm", i ? QN_REASON_NOT_PORTABLE : QN_REASON_QUANTIZED);
        for (qn_value_id v = 0; v < p.s.graph.value_count; v++) assert_false(p.plan.tensors[v].quantized);
        planned_close(&p);
    }
}

static void an_lstm_is_kept_by_formats_for_other_readers(void **state)
{
    static const char *const formats[] = { "qcdq", "qonnx" };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct planned p;
        begin_lstm(&p);
        planned_make(&p, OPTIONS("target", "ort-x86", "format", formats[i]));
        assert_reason(&p, "lstm", QN_REASON_NOT_PORTABLE);
        planned_close(&p);
    }
}

static void weights_of_odd_shapes_are_kept(void **state)
{
    static const int64_t w[][3] = { { 2, 256, 64 }, { 1, 256, 64 }, { 3, 256, 64 }, { 1, 260, 64 }, { 1, 256, 0 }, { 0, 256, 64 } };
    static const int64_t r[][3] = { { 1, 256, 64 }, { 1, 256, 65 }, { 3, 256, 64 }, { 1, 256, 64 }, { 1, 256, 64 }, { 0, 256, 64 } };

    (void)state;
    for (size_t i = 0; i < 6; i++) {
        struct planned p;
        planned_open(&p, 3);
        small_constant(&p.s, "w", 0.5f, 3, w[i]);
        small_constant(&p.s, "r", 0.5f, 3, r[i]);
        small_op(&p.s, "LSTM", "lstm", "x", "w", "r");
        small_op(&p.s, "Abs", "y", "lstm");
        small_output(&p.s, "y");
        planned_make(&p, OPTIONS("target", "ort-x86"));
        assert_reason(&p, "lstm", QN_REASON_WEIGHT_SHAPE);
        planned_close(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_embedding_has_a_scale_for_each_column),
        cmocka_unit_test(an_embedding_is_kept_unless_asked_for),
        cmocka_unit_test(a_short_table_is_kept),
        cmocka_unit_test(a_table_that_is_not_finite_is_kept),
        cmocka_unit_test(each_gate_of_each_unit_has_a_scale),
        cmocka_unit_test(one_scale_for_each_direction_when_asked_for),
        cmocka_unit_test(pairs_of_an_lstms_codes_fit_16_bits_without_losing_a_bit),
        cmocka_unit_test(nothing_around_an_lstm_is_quantized_for_it),
        cmocka_unit_test(an_lstm_is_kept_by_formats_for_other_readers),
        cmocka_unit_test(weights_of_odd_shapes_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
