/* SPDX-License-Identifier: Apache-2.0
 * Which integer kernels a plan is expected to run by, and what a runtime would make integer unasked. */
#include "plan/kernels.h"

#include "planned.h"

static const char *kernel(const struct planned *p, const char *node)
{
    return qn_plan_kernel(&p->plan, small_node(&p->s, node));
}
static bool unasked(const struct planned *p, const char *value)
{
    return qn_plan_fuses_unasked(&p->plan, small_value(&p->s, value));
}

static void layers_joins_and_moves_are_named_by_their_kernels(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 4);
    small_conv(&p.s, "a", "x", NULL);
    small_op(&p.s, "Relu", "r", "a");
    small_conv(&p.s, "c", "r", NULL);
    small_op(&p.s, "Add", "sum", "c", "r");
    small_op(&p.s, "MaxPool", "pool", "sum");
    small_conv(&p.s, "d", "pool", NULL);
    small_op(&p.s, "Abs", "y", "d");
    small_output(&p.s, "y");
    planned_make(&p, NO_OPTIONS);
    assert_true(qn_plan_foresees_kernels(&p.plan));
    assert_string_equal(kernel(&p, "a"), "QLinearConv");
    assert_null(kernel(&p, "r")); /* vanishes into a */
    assert_string_equal(kernel(&p, "sum"), "QLinearAdd");
    assert_string_equal(kernel(&p, "pool"), "MaxPool");
    assert_null(kernel(&p, "y"));
    planned_close(&p);
}

static void a_product_leaves_as_float_unless_its_codes_are_wanted(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 2);
    small_constant(&p.s, "w1", 0.5f, DIMS(4, 4));
    small_constant(&p.s, "w2", 0.5f, DIMS(4, 4));
    small_op(&p.s, "MatMul", "first", "x", "w1");
    small_op(&p.s, "MatMul", "last", "first", "w2");
    small_op(&p.s, "Abs", "y", "last");
    small_output(&p.s, "y");
    planned_make(&p, NO_OPTIONS);
    assert_string_equal(kernel(&p, "first"), "QLinearMatMul");
    assert_string_equal(kernel(&p, "last"), "MatMulIntegerToFloat");
    planned_close(&p);
}

/* a → middle → relu → c, where middle is to stay in float */
static void excluded_between(struct planned *p, const char *further)
{
    planned_open(p, 4);
    small_conv(&p->s, "a", "x", NULL);
    small_conv(&p->s, "middle", "a", NULL);
    small_op(&p->s, "Relu", "relu", "middle");
    small_conv(&p->s, "c", "relu", NULL);
    small_op(&p->s, "Abs", "y", "c");
    small_output(&p->s, "y");
    if (further) small_op(&p->s, "Abs", further, "relu");
    if (further) small_output(&p->s, further);
    planned_make(p, OPTIONS("exclude", "middle"));
}

static void a_float_layer_between_codes_would_be_fused_unasked(void **state)
{
    struct planned p;

    (void)state;
    excluded_between(&p, NULL);
    assert_true(unasked(&p, "relu")); /* seen through the Relu */
    assert_false(unasked(&p, "a"));   /* on integers already, as asked */
    assert_false(unasked(&p, "x"));
    planned_close(&p);
    excluded_between(&p, "also"); /* its weight would be quantized all the same */
    assert_true(unasked(&p, "relu"));
    planned_close(&p);
}

/* a → sum of a and `other` → c */
static void float_sum(struct planned *p, const char *other)
{
    planned_open(p, 4);
    small_input(&p->s, "float", 4);
    small_conv(&p->s, "a", "x", NULL);
    small_conv(&p->s, "b", "x", NULL);
    small_op(&p->s, "Add", "sum", "a", other);
    small_conv(&p->s, "c", "sum", NULL);
    small_op(&p->s, "Abs", "y", "c");
    small_op(&p->s, "Abs", "z", "b");
    small_output(&p->s, "y");
    small_output(&p->s, "z");
    planned_make(p, OPTIONS("exclude", "sum"));
}

static void a_float_sum_is_fused_unasked_only_if_all_it_adds_are_codes(void **state)
{
    struct planned p;

    (void)state;
    float_sum(&p, "b");
    assert_true(unasked(&p, "sum"));
    planned_close(&p);
    float_sum(&p, "float");
    assert_false(unasked(&p, "sum"));
    planned_close(&p);
}

static void a_float_product_of_codes_is_multiplied_unasked_also_behind_moves(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 4);
    small_input(&p.s, "float", 4);
    small_conv(&p.s, "a", "x", NULL);
    small_conv(&p.s, "b", "x", NULL);
    small_op(&p.s, "Transpose", "t", "b");
    small_op(&p.s, "MatMul", "both", "a", "t");
    small_op(&p.s, "MatMul", "one", "a", "float");
    small_op(&p.s, "Add", "y", "both", "one");
    small_output(&p.s, "y");
    planned_make(&p, NO_OPTIONS);
    assert_reason(&p, "both", QN_REASON_ACT_TIMES_ACT);
    assert_true(qn_plan_multiplies_unasked(&p.plan, small_node(&p.s, "both")));
    assert_false(qn_plan_multiplies_unasked(&p.plan, small_node(&p.s, "one")));
    planned_close(&p);
}

static void integer_kernels_are_known_by_name(void **state)
{
    (void)state;
    assert_true(qn_is_integer_kernel("QLinearConv"));
    assert_true(qn_is_integer_kernel("MatMulIntegerToFloat"));
    assert_false(qn_is_integer_kernel("QuantizeLinear"));
    assert_false(qn_is_integer_kernel("QuickGelu"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_joins_and_moves_are_named_by_their_kernels),
        cmocka_unit_test(a_product_leaves_as_float_unless_its_codes_are_wanted),
        cmocka_unit_test(a_float_layer_between_codes_would_be_fused_unasked),
        cmocka_unit_test(a_float_sum_is_fused_unasked_only_if_all_it_adds_are_codes),
        cmocka_unit_test(a_float_product_of_codes_is_multiplied_unasked_also_behind_moves),
        cmocka_unit_test(integer_kernels_are_known_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
