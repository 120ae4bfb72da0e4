/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/ladder.h"

#include "planned.h"

static struct qn_budget budget_of(const char *option, const char *value)
{
    struct planned p = { 0 };

    planned_settings(&p, OPTIONS("preset", "int4", option, value));
    qn_settings_release(&p.settings);
    return p.settings.budget;
}

static void sizes_are_bytes_units_or_shares(void **state)
{
    static const struct {
        const char     *text;
        double          amount;
        enum qn_measure measure;
    } cases[] = {
        { "1000", 1e3, QN_MEASURE_BYTES },      { "7B", 7, QN_MEASURE_BYTES },
        { "1.5kB", 1500, QN_MEASURE_BYTES },    { "10MB", 1e7, QN_MEASURE_BYTES },
        { "2GB", 2e9, QN_MEASURE_BYTES },       { "4KiB", 4096, QN_MEASURE_BYTES },
        { "0.5MiB", 524288, QN_MEASURE_BYTES }, { "1GiB", 1073741824, QN_MEASURE_BYTES },
        { "25%", 0.25, QN_MEASURE_SHARE },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct qn_budget found = budget_of("target-size", cases[i].text);
        if (found.measure != cases[i].measure || found.amount != cases[i].amount)
            fail_msg("'%s' is %g", cases[i].text, found.amount);
    }
    assert_int_equal(budget_of("target-bpw", "4.5").measure, QN_MEASURE_BITS);
    assert_int_equal(budget_of("block-size", "64").measure, QN_MEASURE_NONE);
}

static void what_is_no_size_is_said(void **state)
{
    static const char *const texts[] = { "x", "MB", "0", "-5", "10mb", "1 MB", "5%%", "1e30", "nan", "inf" };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        qonnx_options     *options = qonnx_options_new();
        struct qn_settings settings;
        qonnx_error        err = { 0 };
        assert_int_equal(qonnx_options_set(options, "preset", "int4", NULL), QONNX_OK);
        assert_int_equal(qonnx_options_set(options, "target-size", texts[i], NULL), QONNX_OK);
        assert_fails(qn_settings_resolve(&settings, options, &err), QONNX_E_USAGE, &err, "is no size");
        qn_settings_release(&settings);
        qonnx_options_free(options);
    }
}

/* 100 deep and 24 wide: 4 blocks of 32, the last one short. */
static void bytes_are_those_of_codes_scales_and_zero_points(void **state)
{
    struct planned         p;
    struct qn_weight_form  form;
    const struct qn_matrix m = { .outputs = 24, .depth = 100 };

    (void)state;
    planned_open(&p, 2);
    small_constant(&p.s, "w", 0.5f, DIMS(100, 24));
    small_op(&p.s, "MatMul", "y", "x", "w");
    small_output(&p.s, "y");
    planned_make(&p, OPTIONS("preset", "int4"));
    assert_true(qn_rung_form(qn_rung_at(0), &p.plan, 0, &form));
    assert_int_equal(qn_rung_bytes(&p.plan, 0, &form, &m), 24 * 100 + 24 * 5);
    assert_true(qn_rung_form(qn_rung_at(2), &p.plan, 0, &form));
    assert_int_equal(form.block, 32);
    assert_int_equal(qn_rung_bytes(&p.plan, 0, &form, &m), 24 * (4 * 32 / 2 + 4 * 4 + 2));
    form.symmetric = true;
    assert_int_equal(qn_rung_bytes(&p.plan, 0, &form, &m), 24 * (4 * 32 / 2 + 4 * 4));
    planned_close(&p);
}

static void formats_have_the_rungs_that_their_opset_has(void **state)
{
    struct planned        p;
    struct qn_weight_form form;
    size_t                two = 0, all = 0;

    (void)state;
    planned_open(&p, 2);
    small_constant(&p.s, "w", 0.5f, DIMS(64, 24));
    small_op(&p.s, "MatMul", "y", "x", "w");
    small_output(&p.s, "y");
    planned_make(&p, OPTIONS("preset", "int4", "format", "qdq"));
    for (size_t i = 0; qn_rung_at(i); i++) {
        if (!qn_rung_form(qn_rung_at(i), &p.plan, 0, &form)) continue;
        all++;
        two += form.bits == 2;
    }
    assert_int_equal(two, 0);
    assert_int_equal(all, 5);
    planned_close(&p);
}

static void layers_without_matrices_have_one_rung(void **state)
{
    struct planned        p;
    struct qn_weight_form form;
    size_t                all = 0;

    (void)state;
    planned_open(&p, 4);
    small_conv(&p.s, "c", "x", NULL);
    small_output(&p.s, "c");
    planned_make(&p, OPTIONS("preset", "int4"));
    for (size_t i = 0; qn_rung_at(i); i++) all += qn_rung_form(qn_rung_at(i), &p.plan, 0, &form);
    assert_int_equal(all, 1);
    planned_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_bytes_units_or_shares),
        cmocka_unit_test(what_is_no_size_is_said),
        cmocka_unit_test(bytes_are_those_of_codes_scales_and_zero_points),
        cmocka_unit_test(formats_have_the_rungs_that_their_opset_has),
        cmocka_unit_test(layers_without_matrices_have_one_rung),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
