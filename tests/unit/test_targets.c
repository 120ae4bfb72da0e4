/* SPDX-License-Identifier: Apache-2.0
 * The rows of the target table, and how plans obey them. */
#include "plan/presets.h"

#include <stdio.h>

#include "planned.h"

static qonnx_status resolve(const char *const *set, qonnx_error *err)
{
    struct qn_settings settings;
    qonnx_options     *options = qonnx_options_new();
    qonnx_status       status;

    for (; *set; set += 2) assert_int_equal(qonnx_options_set(options, set[0], set[1], NULL), QONNX_OK);
    status = qn_settings_resolve(&settings, options, err);
    qn_settings_release(&settings);
    qonnx_options_free(options);
    return status;
}

static void every_target_has_defaults_that_it_takes_itself(void **state)
{
    const struct qn_target *target;

    (void)state;
    for (size_t i = 0; (target = qn_target_at(i)); i++) {
        assert_ptr_equal(qn_target_find(target->name), target);
        assert_non_null(qn_qtype_find(target->act_types[0]));
        assert_non_null(qn_qtype_find(target->weight_types[0]));
        assert_int_equal(resolve(OPTIONS("target", target->name), NULL), QONNX_OK);
    }
}

static void what_was_never_run_says_so_where_it_is_chosen(void **state)
{
    const struct qn_target *target;

    (void)state;
    for (size_t i = 0; (target = qn_target_at(i)); i++) assert_true(target->on_paper == (strstr(target->summary, "not run on hardware") != NULL));
    assert_non_null(strstr(qn_target_find("generic")->summary, "not for TensorRT or QNN"));
}

static void operators_are_kept_in_float_for_a_reason_and_named_once(void **state)
{
    const struct qn_target *target;

    (void)state;
    for (size_t i = 0; (target = qn_target_at(i)); i++)
        for (const struct qn_kept_float *k = target->kept_float; k && k->op; k++) {
            assert_false(qn_reason_is_quantized(k->reason));
            for (const struct qn_kept_float *other = k + 1; other->op; other++) assert_string_not_equal(k->op, other->op);
        }
}

static void what_the_target_does_not_take_is_refused(void **state)
{
    static const char *const cases[][3] = {
        { "act-type", "int8", "-o act-type=int8: --target openvino does not take such activations" },
        { "format", "qoperator", "--format qoperator: --target openvino does not read it, or not as integers; it reads qdq" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        qonnx_error err = { 0 };
        assert_int_equal(resolve(OPTIONS("target", "openvino", cases[i][0], cases[i][1]), &err), QONNX_E_USAGE);
        assert_string_equal(err.message, cases[i][2]);
        assert_int_equal(resolve(OPTIONS("target", "generic", cases[i][0], cases[i][1]), NULL), QONNX_OK);
    }
}

/* x -> stem -> Relu r -> conv a -> Relu -> conv b -+-> Add s -> Relu t -> conv y -> Abs z
 *                    `-> shortcut (conv c, or r itself) -' */
static void residual(struct planned *p, const char *target, bool shortcut_conv, bool shortcut_first)
{
    const char *other = shortcut_conv ? "c" : "r";

    planned_open(p, 4);
    small_conv(&p->s, "stem", "x", NULL);
    small_op(&p->s, "Relu", "r", "stem");
    small_conv(&p->s, "a", "r", NULL);
    small_op(&p->s, "Relu", "ar", "a");
    small_conv(&p->s, "b", "ar", NULL);
    if (shortcut_conv) small_conv(&p->s, "c", "r", NULL);
    if (shortcut_first)
        small_op(&p->s, "Add", "s", other, "b");
    else
        small_op(&p->s, "Add", "s", "b", other);
    small_op(&p->s, "Relu", "t", "s");
    small_conv(&p->s, "y", "t", NULL);
    small_op(&p->s, "Abs", "z", "y");
    small_output(&p->s, "z");
    planned_make(p, OPTIONS("target", target));
}

static void openvino_adds_in_the_layer_and_reads_codes_of_the_residual(void **state)
{
    (void)state;
    for (int variant = 0; variant < 4; variant++) {
        struct planned p;
        bool           shortcut_conv = variant & 1, first = variant & 2;

        residual(&p, "openvino", shortcut_conv, first);
        assert_reason(&p, "s", QN_REASON_FUSED);
        assert_int_equal(node_of(&p, "s")->fused_into, small_node(&p.s, "b")); /* the branch with more layers */
        assert_false(tensor_of(&p, "b")->quantized);
        assert_true(tensor_of(&p, shortcut_conv ? "c" : "r")->quantized);
        assert_true(qn_plan_reads_codes(&p.plan, small_node(&p.s, "s"), first ? 0 : 1));
        assert_false(qn_plan_reads_codes(&p.plan, small_node(&p.s, "s"), first ? 1 : 0));
        assert_false(tensor_of(&p, "s")->quantized); /* nothing between the sum and its Relu */
        assert_true(tensor_of(&p, "t")->quantized);
        assert_false(tensor_of(&p, "y")->quantized); /* the function behind is computed on floats */
        planned_close(&p);
    }
}

static void onnx_runtime_adds_on_codes(void **state)
{
    struct planned p;

    (void)state;
    residual(&p, "ort-x86", true, false);
    assert_reason(&p, "s", QN_REASON_QUANTIZED);
    assert_true(tensor_of(&p, "b")->quantized && tensor_of(&p, "c")->quantized && tensor_of(&p, "y")->quantized);
    planned_close(&p);
}

/* A gate on a layer's result: conv a -> Mul(a, conv of its mean). */
static void openvino_multiplies_no_float_results(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 4);
    small_conv(&p.s, "a", "x", NULL);
    small_op(&p.s, "GlobalAveragePool", "mean", "a");
    small_conv(&p.s, "gate", "mean", NULL);
    small_op(&p.s, "Sigmoid", "g", "gate");
    small_op(&p.s, "Mul", "m", "a", "g");
    small_conv(&p.s, "b", "m", NULL);
    small_op(&p.s, "Sigmoid", "s", "b");
    small_op(&p.s, "Mul", "y", "b", "s"); /* a function of one tensor: no product of two */
    small_output(&p.s, "y");
    planned_make(&p, OPTIONS("target", "openvino"));
    assert_true(tensor_of(&p, "a")->quantized && tensor_of(&p, "a")->at_producer);
    assert_false(tensor_of(&p, "b")->quantized);
    planned_close(&p);
}

static void recurrent_operators_stay_float_for_openvino(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 3);
    small_constant(&p.s, "w", 0.5f, DIMS(1, 16, 4));
    small_constant(&p.s, "r", 0.5f, DIMS(1, 16, 4));
    small_op(&p.s, "LSTM", "y", "x", "w", "r");
    small_output(&p.s, "y");
    planned_make(&p, OPTIONS("target", "openvino"));
    assert_reason(&p, "y", QN_REASON_NOT_ON_TARGET);
    assert_false(tensor_of(&p, "x")->quantized);
    planned_close(&p);
}

/* x -> conv a with bias -> Relu r -> conv y */
static void two_layers(struct planned *p, const char *target)
{
    planned_open(p, 4);
    small_conv(&p->s, "a", "x", "bias");
    small_op(&p->s, "Relu", "r", "a");
    small_conv(&p->s, "y", "r", NULL);
    small_output(&p->s, "y");
    planned_make(p, OPTIONS("target", target));
}

static void solve(struct planned *p)
{
    bool again;
    assert_ok(qn_solve(&p->plan, p->stats, NULL, p->verdicts, &again, &p->err), &p->err);
    assert_false(again);
}

static void tensorrt_has_no_zero_points_and_no_codes_for_biases(void **state)
{
    struct planned p;

    (void)state;
    two_layers(&p, "tensorrt");
    planned_saw(&p, "x", 3, 1); /* from -2 to 4 */
    planned_saw(&p, "r", 2, 2);
    solve(&p);
    assert_string_equal(tensor_of(&p, "x")->params->type->name, "int8");
    assert_int_equal(tensor_of(&p, "x")->params->zero_point[0], 0);
    assert_float_equal(tensor_of(&p, "x")->params->scale[0], 4.0 / 127, 1e-7);
    assert_int_equal(tensor_of(&p, "r")->params->zero_point[0], 0); /* also where nothing is negative */
    assert_float_equal(tensor_of(&p, "r")->params->scale[0], 4.0 / 127, 1e-7);
    assert_false(tensor_of(&p, "a")->quantized);
    assert_false(tensor_of(&p, "y")->quantized);
    assert_null(node_of(&p, "a")->bias);
    assert_int_equal(node_of(&p, "a")->weight->count, 4);
    planned_close(&p);
}

static void qnn_has_codes_for_all_tensors_but_those_before_clamps(void **state)
{
    struct planned p;

    (void)state;
    two_layers(&p, "qnn");
    assert_true(tensor_of(&p, "x")->quantized && tensor_of(&p, "r")->quantized && tensor_of(&p, "y")->quantized);
    assert_false(tensor_of(&p, "a")->quantized);
    assert_reason(&p, "r", QN_REASON_FUSED);
    planned_close(&p);
}

/* Operators that others leave in float, constants beside them, and what moves values. */
static void qnn_quantizes_functions_and_constants_and_operators_without_a_rule(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 4);
    small_conv(&p.s, "a", "x", NULL);
    small_op(&p.s, "Sigmoid", "s", "a");
    small_op(&p.s, "Tanh", "t", "a");
    small_constant(&p.s, "k", 3.0f, DIMS(1));
    small_op(&p.s, "Mul", "m", "s", "k");
    small_op(&p.s, "Transpose", "v", "m");
    small_op(&p.s, "Strange", "o", "t");
    small_output(&p.s, "v");
    small_output(&p.s, "o");
    planned_make(&p, OPTIONS("target", "qnn"));
    for (size_t i = 0; i < 7; i++) assert_true(tensor_of(&p, (const char *const[]){ "x", "a", "s", "t", "k", "m", "v" }[i])->quantized);
    assert_reason(&p, "m", QN_REASON_QUANTIZED);
    assert_reason(&p, "v", QN_REASON_MOVES_CODES);
    assert_reason(&p, "o", QN_REASON_QUANTIZED);
    assert_true(qn_plan_reads_codes(&p.plan, small_node(&p.s, "o"), 0));
    planned_saw_all(&p, 2);
    solve(&p);
    assert_float_equal(tensor_of(&p, "s")->params->scale[0], 1.0 / 256, 1e-12);
    assert_int_equal(tensor_of(&p, "s")->params->zero_point[0], 0);
    assert_float_equal(tensor_of(&p, "t")->params->scale[0], 1.0 / 128, 1e-12);
    assert_int_equal(tensor_of(&p, "t")->params->zero_point[0], 128);
    assert_float_equal(tensor_of(&p, "k")->params->scale[0], 3.0 / 255, 1e-5);
    assert_int_equal(((const uint8_t *)tensor_of(&p, "k")->codes)[0], 255);
    assert_ptr_equal(tensor_of(&p, "v")->params, tensor_of(&p, "m")->params);
    planned_close(&p);
}

static void qnn_has_a_least_range_and_one_scale_for_linear_weights(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 2);
    small_gemm(&p.s, "y", "x");
    small_output(&p.s, "y");
    planned_make(&p, OPTIONS("target", "qnn"));
    planned_saw(&p, "x", 1e-7f, 1e-7f);
    planned_saw(&p, "y", 1, 0);
    solve(&p);
    assert_float_equal(tensor_of(&p, "x")->params->scale[0], 1e-4 / 255, 1e-10);
    assert_int_equal(node_of(&p, "y")->weight->count, 1);
    planned_close(&p);
}

static void qnn_leaves_integers_and_what_is_excluded_alone(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 4);
    small_op(&p.s, "Shape", "shape", "x");
    small_op(&p.s, "Squeeze", "dims", "shape");
    small_gemm(&p.s, "a", "x");
    small_op(&p.s, "Reshape", "y", "a", "dims");
    small_output(&p.s, "y");
    planned_make(&p, OPTIONS("target", "qnn", "exclude", "op:Reshape"));
    assert_false(tensor_of(&p, "shape")->quantized || tensor_of(&p, "dims")->quantized || tensor_of(&p, "y")->quantized);
    assert_true(tensor_of(&p, "a")->quantized);
    assert_reason(&p, "dims", QN_REASON_NO_WEIGHTS);
    assert_reason(&p, "y", QN_REASON_EXCLUDED);
    planned_close(&p);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_target_has_defaults_that_it_takes_itself),
        cmocka_unit_test(what_was_never_run_says_so_where_it_is_chosen),
        cmocka_unit_test(operators_are_kept_in_float_for_a_reason_and_named_once),
        cmocka_unit_test(what_the_target_does_not_take_is_refused),
        cmocka_unit_test(openvino_adds_in_the_layer_and_reads_codes_of_the_residual),
        cmocka_unit_test(onnx_runtime_adds_on_codes),
        cmocka_unit_test(openvino_multiplies_no_float_results),
        cmocka_unit_test(recurrent_operators_stay_float_for_openvino),
        cmocka_unit_test(tensorrt_has_no_zero_points_and_no_codes_for_biases),
        cmocka_unit_test(qnn_has_codes_for_all_tensors_but_those_before_clamps),
        cmocka_unit_test(qnn_quantizes_functions_and_constants_and_operators_without_a_rule),
        cmocka_unit_test(qnn_has_a_least_range_and_one_scale_for_linear_weights),
        cmocka_unit_test(qnn_leaves_integers_and_what_is_excluded_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
