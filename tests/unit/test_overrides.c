/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/overrides.h"

#include "planned.h"

/* Three layers in a row. */
static void open_model(struct planned *p)
{
    planned_open(p, 2);
    small_gemm(&p->s, "a", "x");
    small_gemm(&p->s, "b", "a");
    small_gemm(&p->s, "c", "b");
    small_output(&p->s, "c");
}

static struct qn_weight_form form_of(const struct planned *p, const char *node) { return node_of(p, node)->form; }

static void a_later_override_wins_key_by_key(void **state)
{
    struct planned p;

    (void)state;
    open_model(&p);
    planned_make(&p, OPTIONS("preset", "int4", "override", "?:weight-bits=8,weight-range=hqq", "override",
                             "b:block-size=64", "override", "c:preset=int2"));
    assert_int_equal(form_of(&p, "a").bits, 8);
    assert_int_equal(form_of(&p, "a").block, 32);
    assert_int_equal(form_of(&p, "a").range, QN_WEIGHT_HQQ);
    assert_int_equal(form_of(&p, "b").bits, 8);
    assert_int_equal(form_of(&p, "b").block, 64);
    assert_int_equal(form_of(&p, "c").bits, 2); /* all that the preset says */
    assert_int_equal(form_of(&p, "c").block, 16);
    assert_int_equal(form_of(&p, "c").range, QN_WEIGHT_MSE);
    planned_close(&p);
}

static void what_a_preset_does_not_say_is_the_default(void **state)
{
    struct planned p;

    (void)state;
    open_model(&p);
    planned_make(&p, OPTIONS("preset", "int4", "override", "b:preset=int8-weights"));
    assert_int_equal(form_of(&p, "a").block, 32);
    assert_int_equal(form_of(&p, "b").block, 0);
    assert_int_equal(form_of(&p, "b").bits, 8);
    assert_true(form_of(&p, "b").symmetric);
    assert_string_equal(form_of(&p, "b").type->name, "int8");
    planned_close(&p);
}

static void nodes_are_named_by_their_weights_too(void **state)
{
    struct planned p;

    (void)state;
    open_model(&p);
    planned_make(&p, OPTIONS("preset", "int4", "override", "b_w:float"));
    assert_reason(&p, "a", QN_REASON_QUANTIZED);
    assert_reason(&p, "b", QN_REASON_EXCLUDED);
    planned_close(&p);
}

static void float_is_taken_back_by_a_later_override(void **state)
{
    struct planned p;

    (void)state;
    open_model(&p);
    planned_make(&p, OPTIONS("preset", "int8-weights", "override", "*:float", "override", "b:weight-range=mse"));
    assert_reason(&p, "a", QN_REASON_EXCLUDED);
    assert_reason(&p, "b", QN_REASON_QUANTIZED);
    assert_reason(&p, "c", QN_REASON_EXCLUDED);
    planned_close(&p);
}

static void fails(const char *override, const char *text)
{
    qonnx_options     *options = qonnx_options_new();
    qonnx_error        err = { 0 };
    struct qn_settings settings;

    assert_int_equal(qonnx_options_set(options, "override", override, NULL), QONNX_OK);
    assert_fails(qn_settings_resolve(&settings, options, &err), QONNX_E_USAGE, &err, text);
    assert_fails(QONNX_E_USAGE, QONNX_E_USAGE, &err, override); /* it is named */
    qn_settings_release(&settings);
    qonnx_options_free(options);
}

static void what_is_no_override_is_named_with_what_it_lacks(void **state)
{
    (void)state;
    fails("op:Gemm:,", "it has the form PATTERN:KEY=VALUE,");
    fails("conv1", "PATTERN:KEY=VALUE");
    fails(":float", "PATTERN:KEY=VALUE");
    fails("conv1:", "PATTERN:KEY=VALUE");
    fails("conv1:weight-bit=4", "did you mean 'weight-bits'?");
    fails("conv1:weight-bits", "is neither float nor");
    fails("conv1:weight-bits=40", "not a whole number from 2 to 8");
    fails("onnx::MatMul_1:weight-range=mean", "unknown weight-range");
    fails("conv1:preset=int3", "unknown preset");
    fails("conv1:preset=copy", "says nothing of single weights");
    fails("conv1:preset=brevitas-w8", "says nothing of single weights");
}

static void what_cannot_be_names_override_and_node(void **state)
{
    struct planned p;

    (void)state;
    open_model(&p);
    assert_fails(planned_try(&p, OPTIONS("preset", "int8", "override", "b:block-size=32")), QONNX_E_USAGE, &p.err,
                 "--override b:block-size=32: node 'b'");
    planned_close(&p);
}

static void a_pattern_without_weights_is_an_error(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 4);
    small_conv(&p.s, "c", "x", NULL);
    small_op(&p.s, "Relu", "r", "c");
    small_output(&p.s, "r");
    assert_fails(planned_try(&p, OPTIONS("preset", "int8-weights", "override", "r:weight-range=mse")), QONNX_E_USAGE,
                 &p.err, "no node that it matches has a weight");
    planned_close(&p);

    planned_open(&p, 4);
    small_conv(&p.s, "c", "x", NULL);
    small_output(&p.s, "c");
    assert_fails(planned_try(&p, OPTIONS("preset", "int8-weights", "override", "c:preset=int4")), QONNX_E_USAGE, &p.err,
                 "that can be in blocks");
    planned_close(&p);

    planned_open(&p, 4);
    small_conv(&p.s, "c", "x", NULL);
    small_output(&p.s, "c");
    assert_fails(planned_try(&p, OPTIONS("preset", "int8-weights", "override", "d:float")), QONNX_E_USAGE, &p.err,
                 "no node matches 'd'");
    planned_close(&p);
}

static void static_layers_take_bits_and_ranges_of_their_own(void **state)
{
    struct planned p;
    bool           again;

    (void)state;
    open_model(&p);
    planned_make(&p, OPTIONS("preset", "int8", "only-faster", "off", "override", "b:weight-bits=4,per-channel=off"));
    planned_saw_all(&p, 1);
    assert_ok(qn_solve(&p.plan, p.stats, NULL, p.verdicts, &again, &p.err), &p.err);
    assert_int_equal(node_of(&p, "a")->weight->bits, 8);
    assert_int_equal(node_of(&p, "b")->weight->bits, 4);
    assert_int_equal(node_of(&p, "b")->weight->count, 1);
    planned_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_later_override_wins_key_by_key),
        cmocka_unit_test(what_a_preset_does_not_say_is_the_default),
        cmocka_unit_test(nodes_are_named_by_their_weights_too),
        cmocka_unit_test(float_is_taken_back_by_a_later_override),
        cmocka_unit_test(what_is_no_override_is_named_with_what_it_lacks),
        cmocka_unit_test(what_cannot_be_names_override_and_node),
        cmocka_unit_test(a_pattern_without_weights_is_an_error),
        cmocka_unit_test(static_layers_take_bits_and_ranges_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
