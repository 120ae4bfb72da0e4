/* SPDX-License-Identifier: Apache-2.0
 * What pays: a plan leaves in float what the target's table of costs says to be slower, given the sizes of values. */
#include "onnx/attr.h"
#include "plan/costs.h"
#include "planned.h"

enum { MANY = 1 << 20 };

/* x → [channels, channels / group, k, k] convolution a → Abs y */
static void conv(struct planned *p, int64_t channels, int64_t group, int64_t k)
{
    Onnx__NodeProto *node;

    planned_open(p, 4);
    small_constant(&p->s, "w", 0.5f, DIMS(channels, channels / group, k, k));
    node = small_op(&p->s, "Conv", "a", "x", "w");
    if (group > 1) qn_attr_set_int(&p->s.model.arena, node, "group", group);
    small_op(&p->s, "Abs", "y", "a");
    small_output(&p->s, "y");
}

static void seen(struct planned *p, const char *name, uint64_t elements)
{
    p->s.graph.values[small_value(&p->s, name)].seen = elements;
}

/* The plan once more, with sizes. */
static void plan_again(struct planned *p)
{
    qn_plan_release(&p->plan);
    assert_ok(qn_plan_make(&p->plan, &p->s.graph, &p->settings, p->verdicts, &p->err), &p->err);
}

static void plan_seen(struct planned *p, uint64_t in, uint64_t out, const char *const *options)
{
    planned_make(p, options);
    seen(p, "x", in);
    seen(p, "a", out);
    plan_again(p);
}

static void a_large_convolution_pays(void **state)
{
    struct planned p;

    (void)state;
    conv(&p, 64, 1, 3);
    plan_seen(&p, MANY, MANY, NO_OPTIONS);
    assert_reason(&p, "a", QN_REASON_QUANTIZED);
    planned_close(&p);
}

static void a_tiny_convolution_does_not_pay_unless_size_is_all_that_counts(void **state)
{
    struct planned p;

    (void)state;
    conv(&p, 16, 1, 1);
    plan_seen(&p, 256, 256, NO_OPTIONS);
    assert_reason(&p, "a", QN_REASON_SLOWER_ON_TARGET);
    assert_false(p.plan.tensors[small_value(&p.s, "x")].quantized);
    planned_close(&p);
    conv(&p, 16, 1, 1);
    plan_seen(&p, 256, 256, OPTIONS("only-faster", "off"));
    assert_reason(&p, "a", QN_REASON_QUANTIZED);
    planned_close(&p);
}

static void a_convolution_in_thin_groups_does_not_pay(void **state)
{
    struct planned p;

    (void)state;
    conv(&p, 64, 32, 3);
    plan_seen(&p, MANY, MANY, NO_OPTIONS);
    assert_reason(&p, "a", QN_REASON_SLOWER_ON_TARGET);
    planned_close(&p);
}

static void a_lone_depthwise_convolution_does_not_pay(void **state)
{
    struct planned p;

    (void)state;
    conv(&p, 64, 64, 3);
    plan_seen(&p, MANY, MANY, NO_OPTIONS);
    assert_reason(&p, "a", QN_REASON_SLOWER_ON_TARGET);
    planned_close(&p);
}

static void without_sizes_everything_pays(void **state)
{
    struct planned p;

    (void)state;
    conv(&p, 16, 1, 1);
    planned_make(&p, NO_OPTIONS);
    assert_reason(&p, "a", QN_REASON_QUANTIZED);
    planned_close(&p);
}

static void a_group_of_nothing_is_not_priced(void **state)
{
    struct planned p;

    (void)state;
    conv(&p, 16, 1, 1);
    qn_attr_set_int(&p.s.model.arena, p.s.model.pb->graph->node[0], "group", 0);
    plan_seen(&p, 256, 256, NO_OPTIONS);
    assert_reason(&p, "a", QN_REASON_QUANTIZED);
    planned_close(&p);
}

/* a (large) → b (depthwise) → c (large): between codes the depthwise one costs less than leaving and coming back. */
static void a_depthwise_convolution_between_codes_stays_on_integers(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 4);
    small_constant(&p.s, "wa", 0.5f, DIMS(64, 64, 1, 1));
    small_constant(&p.s, "wb", 0.5f, DIMS(64, 1, 3, 3));
    small_constant(&p.s, "wc", 0.5f, DIMS(64, 64, 1, 1));
    small_op(&p.s, "Conv", "a", "x", "wa");
    qn_attr_set_int(&p.s.model.arena, small_op(&p.s, "Conv", "b", "a", "wb"), "group", 64);
    small_op(&p.s, "Conv", "c", "b", "wc");
    small_op(&p.s, "Abs", "y", "c");
    small_output(&p.s, "y");
    planned_make(&p, NO_OPTIONS);
    for (size_t i = 0; i < 4; i++) seen(&p, (const char *const[]){ "x", "a", "b", "c" }[i], MANY);
    plan_again(&p);
    assert_reason(&p, "a", QN_REASON_QUANTIZED);
    assert_reason(&p, "b", QN_REASON_QUANTIZED);
    assert_reason(&p, "c", QN_REASON_QUANTIZED);
    planned_close(&p);
}

/* One row: quantizing the row costs more than multiplying it in float. */
static void a_product_pays_from_some_size_on(void **state)
{
    const struct {
        int64_t        size;
        uint64_t       rows;
        enum qn_reason reason;
    } cases[] = { { 16, 1, QN_REASON_SLOWER_ON_TARGET }, { 512, 64, QN_REASON_QUANTIZED } };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct planned p;
        planned_open(&p, 2);
        small_constant(&p.s, "w", 0.5f, DIMS(cases[i].size, cases[i].size));
        small_op(&p.s, "MatMul", "a", "x", "w");
        small_op(&p.s, "Abs", "y", "a");
        small_output(&p.s, "y");
        plan_seen(&p, (uint64_t)cases[i].size * cases[i].rows, 0, NO_OPTIONS);
        assert_reason(&p, "a", cases[i].reason);
        planned_close(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_convolution_pays),
        cmocka_unit_test(a_tiny_convolution_does_not_pay_unless_size_is_all_that_counts),
        cmocka_unit_test(a_convolution_in_thin_groups_does_not_pay),
        cmocka_unit_test(a_lone_depthwise_convolution_does_not_pay),
        cmocka_unit_test(without_sizes_everything_pays),
        cmocka_unit_test(a_group_of_nothing_is_not_priced),
        cmocka_unit_test(a_depthwise_convolution_between_codes_stays_on_integers),
        cmocka_unit_test(a_product_pays_from_some_size_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
