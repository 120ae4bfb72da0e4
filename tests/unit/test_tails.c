/* SPDX-License-Identifier: Apache-2.0
 * Where a tensor stops making a difference to those who read it. */
#include <math.h>

#include "planned.h"

/* conv t → what the test puts between t and u → conv v → Abs y */
static void begin(struct planned *p)
{
    planned_open(p, 4);
    small_conv(&p->s, "t", "x", NULL);
    small_constant(&p->s, "zero", 0, 0, NULL);
    small_constant(&p->s, "one", 1, 0, NULL);
    small_constant(&p->s, "two", 2, 0, NULL);
    small_constant(&p->s, "three", 3, 0, NULL);
    small_constant(&p->s, "six", 6, 0, NULL);
    small_constant(&p->s, "minus", -1, 0, NULL);
    small_constant(&p->s, "channels", 0.5f, 4, (const int64_t[]){ 1, 4, 1, 1 });
}

static void finish(struct planned *p)
{
    small_conv(&p->s, "v", "u", NULL);
    small_op(&p->s, "Abs", "y", "v");
    small_output(&p->s, "y");
    planned_make(p, NO_OPTIONS);
}

static void check(struct planned *p, float min, float max)
{
    const struct qn_range useful = tensor_of(p, "t")->useful;

    if (!(fabsf(useful.min - min) < 1e-5f || useful.min == min) || !(fabsf(useful.max - max) < 1e-5f || useful.max == max))
        fail_msg("[%g, %g] instead of [%g, %g]", (double)useful.min, (double)useful.max, (double)min, (double)max);
    planned_close(p);
}

static void hard_swish_is_flat_below_minus_three_in_any_spelling(void **state)
{
    struct planned p;

    (void)state;
    begin(&p);
    small_op(&p.s, "HardSwish", "u", "t");
    finish(&p);
    check(&p, -3, INFINITY);

    begin(&p);
    small_op(&p.s, "HardSigmoid", "a", "t"); /* alpha 0.2, beta 0.5 */
    small_op(&p.s, "Mul", "u", "a", "t");
    finish(&p);
    check(&p, -2.5f, INFINITY);

    begin(&p);
    small_op(&p.s, "Add", "a", "t", "three");
    small_op(&p.s, "Clip", "b", "a", "zero", "six");
    small_op(&p.s, "Mul", "c", "t", "b");
    small_op(&p.s, "Div", "u", "c", "six");
    finish(&p);
    check(&p, -3, INFINITY);

    begin(&p);
    small_op(&p.s, "Add", "a", "three", "t");
    small_op(&p.s, "Max", "b", "a", "zero");
    small_op(&p.s, "Min", "c", "b", "six");
    small_op(&p.s, "Mul", "d", "c", "t");
    small_op(&p.s, "Mul", "u", "d", "channels"); /* 0 in all channels */
    finish(&p);
    check(&p, -3, INFINITY);
}

static void silu_and_its_kin_are_flat_below(void **state)
{
    static const struct {
        const char *op;
        float       min, max;
    } rows[] = { { "Mish", -8, INFINITY }, { "Sigmoid", -8, 8 }, { "Tanh", -5, 5 }, { "Elu", -8, INFINITY }, { "Softplus", -8, INFINITY },
                 { "LeakyRelu", -INFINITY, INFINITY }, { "Exp", -INFINITY, INFINITY }, { "Sqrt", -INFINITY, INFINITY } };
    struct planned p;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        begin(&p);
        small_op(&p.s, rows[i].op, "a", "t");
        small_op(&p.s, "Add", "u", "a", "one"); /* so that no operator is alone, which may be an integer kernel */
        finish(&p);
        check(&p, rows[i].min, rows[i].max);
    }
    begin(&p);
    small_op(&p.s, "Sigmoid", "a", "t");
    small_op(&p.s, "Mul", "u", "a", "t");
    finish(&p);
    check(&p, -8, INFINITY);

    begin(&p); /* GELU by erf, with 2 for its square root */
    small_op(&p.s, "Div", "a", "t", "two");
    small_op(&p.s, "Erf", "b", "a");
    small_op(&p.s, "Add", "c", "b", "one");
    small_op(&p.s, "Mul", "u", "t", "c");
    finish(&p);
    check(&p, -6, INFINITY);
}

static void signs_and_factors_move_the_ends(void **state)
{
    struct planned p;

    (void)state;
    begin(&p); /* -2 t + 3 in [0, 6]: flat above 1.5 and below -1.5 */
    small_op(&p.s, "Mul", "a", "t", "two");
    small_op(&p.s, "Sub", "b", "three", "a");
    small_op(&p.s, "Clip", "c", "b", "zero", "six");
    small_op(&p.s, "Mul", "u", "c", "channels");
    finish(&p);
    check(&p, -1.5f, 1.5f);

    begin(&p); /* HardSwish of -t */
    small_op(&p.s, "Neg", "a", "t");
    small_op(&p.s, "HardSwish", "u", "a");
    finish(&p);
    check(&p, -INFINITY, 3);
}

static void whoever_sees_more_decides(void **state)
{
    struct planned p;

    (void)state;
    begin(&p); /* t itself is read as well */
    small_op(&p.s, "HardSwish", "u", "t");
    small_op(&p.s, "GlobalAveragePool", "other", "t");
    small_output(&p.s, "other");
    finish(&p);
    check(&p, -INFINITY, INFINITY);

    begin(&p); /* flat below -3 for one, below -8 for the other */
    small_op(&p.s, "HardSwish", "u", "t");
    small_op(&p.s, "Mish", "other", "t");
    small_output(&p.s, "other");
    finish(&p);
    check(&p, -8, INFINITY);

    begin(&p); /* the sum of a flat function and t is not flat */
    small_op(&p.s, "HardSwish", "a", "t");
    small_op(&p.s, "Add", "u", "a", "t");
    finish(&p);
    check(&p, -INFINITY, INFINITY);

    begin(&p); /* flat only between its ends */
    small_op(&p.s, "HardSwish", "a", "t");
    small_op(&p.s, "Abs", "b", "a");
    small_op(&p.s, "Add", "u", "b", "one");
    finish(&p);
    check(&p, -3, INFINITY);
}

static void bounds_that_are_computed_or_crossed_tell_nothing(void **state)
{
    struct planned p;

    (void)state;
    begin(&p);
    small_input(&p.s, "bound", 0);
    small_op(&p.s, "Clip", "a", "t", "bound", "six");
    small_op(&p.s, "Mul", "u", "a", "two");
    finish(&p);
    check(&p, -INFINITY, INFINITY);

    begin(&p);
    small_op(&p.s, "Clip", "a", "t", "six", "zero");
    small_op(&p.s, "Mul", "u", "a", "two");
    finish(&p);
    check(&p, -INFINITY, INFINITY);

    begin(&p); /* a factor of 0 makes a constant of it everywhere: nothing to cut */
    small_op(&p.s, "Mul", "a", "t", "zero");
    small_op(&p.s, "Add", "u", "a", "one");
    finish(&p);
    check(&p, -INFINITY, INFINITY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hard_swish_is_flat_below_minus_three_in_any_spelling),
        cmocka_unit_test(silu_and_its_kin_are_flat_below),
        cmocka_unit_test(signs_and_factors_move_the_ends),
        cmocka_unit_test(whoever_sees_more_decides),
        cmocka_unit_test(bounds_that_are_computed_or_crossed_tell_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
