/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/units.h"

#include <math.h>

#include "plan/solve.h"
#include "planned.h"

/* Solves and ranks. */
static void rank(struct planned *p, struct qn_arena *arena, struct qn_unit **units, size_t *count)
{
    for (bool again = true; again;) {
        qn_plan_release(&p->plan);
        assert_ok(qn_plan_make(&p->plan, &p->s.graph, &p->settings, p->verdicts, &p->err), &p->err);
        assert_ok(qn_solve(&p->plan, p->stats, NULL, p->verdicts, &again, &p->err), &p->err);
    }
    assert_ok(qn_plan_units(&p->plan, p->stats, arena, units, count, &p->err), &p->err);
}

/* Leaves in float what keeps less than `db`, until nothing does. */
static void raise_floor(struct planned *p, double db)
{
    struct qn_arena arena = { 0 };
    bool            again = true;

    for (int rounds = 0; again; rounds++) {
        struct qn_unit *units;
        size_t          count;

        again = false;
        rank(p, &arena, &units, &count);
        for (size_t i = 0; i < count; i++) again |= units[i].db < db && qn_unit_condemn(&units[i], p->verdicts);
        assert_true(rounds < 20);
    }
    qn_arena_release(&arena);
}

static void tensors_and_weights_are_listed_in_the_order_of_the_graph(void **state)
{
    struct planned  p;
    struct qn_arena arena = { 0 };
    struct qn_unit *units;
    size_t          count;

    (void)state;
    planned_open_convs(&p);
    planned_make(&p, NO_OPTIONS);
    planned_saw_all(&p, 1);
    rank(&p, &arena, &units, &count);
    assert_int_equal(count, 5); /* x, b and c's result; two weights */
    for (size_t i = 0; i < count; i++) {
        assert_true(units[i].part_count >= 1 && units[i].part_count <= 2 && !isnan(units[i].db));
        if (i) assert_true(units[i - 1].parts->node <= units[i].parts->node);
    }
    qn_arena_release(&arena);
    planned_close(&p);
}

static void fixed_parameters_that_lose_too_much_take_their_readers_to_float(void **state)
{
    for (int small = 0; small < 2; small++) {
        struct planned p;

        (void)state;
        planned_open(&p, 4);
        small_op(&p.s, "Softmax", "b", "x");
        small_conv(&p.s, "c", "b", NULL);
        small_op(&p.s, "Abs", "y", "c");
        small_output(&p.s, "y");
        planned_make(&p, NO_OPTIONS);
        planned_saw(&p, "b", small ? 0.001f : 0.4f, small ? 0.001f : 0.4f); /* shares of very many, or of few */
        planned_saw(&p, "c", 1, 0);
        raise_floor(&p, 20);
        assert_reason(&p, "c", small ? QN_REASON_QUANTIZATION_ERROR : QN_REASON_QUANTIZED);
        if (!small) assert_true(tensor_of(&p, "b")->params->scale[0] == 1.0f / 256 && tensor_of(&p, "b")->sqnr > 30);
        planned_close(&p);
    }
}

static void planned_again(struct planned *p, const char *name, float value)
{
    for (int i = 0; i < 200; i++) qn_stats_add((struct qn_stats *)(uintptr_t)p->stats[small_value(&p->s, name)], &value, 1);
}

static void what_loses_too_much_stays_float_and_says_how_much(void **state)
{
    struct planned p;
    const float    far = 20; /* one value sets the range of all */

    (void)state;
    planned_open_convs(&p);
    planned_make(&p, NO_OPTIONS);
    planned_saw_all(&p, 0.1f);
    for (int i = 0; i < 50; i++) planned_again(&p, "c", 0.1f);
    qn_stats_add((struct qn_stats *)(uintptr_t)p.stats[small_value(&p.s, "c")], &far, 1);
    raise_floor(&p, 20);
    assert_reason(&p, "c", QN_REASON_QUANTIZATION_ERROR);
    assert_reason(&p, "a", QN_REASON_QUANTIZED);
    planned_close(&p);

    planned_open_convs(&p);
    planned_make(&p, NO_OPTIONS);
    planned_saw_all(&p, 1);
    raise_floor(&p, 60);
    assert_reason(&p, "a", QN_REASON_QUANTIZATION_ERROR);
    assert_true(node_of(&p, "a")->db > 20 && node_of(&p, "a")->db < 60);
    assert_int_equal(qn_plan_count(&p.plan).layers_quantized, 0);
    planned_close(&p);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_and_weights_are_listed_in_the_order_of_the_graph),
        cmocka_unit_test(fixed_parameters_that_lose_too_much_take_their_readers_to_float),
        cmocka_unit_test(what_loses_too_much_stays_float_and_says_how_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
