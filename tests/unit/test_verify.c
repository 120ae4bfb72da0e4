/* SPDX-License-Identifier: Apache-2.0
 * What a runtime made of a model, told from names that it derived. */
#include "verify.h"

#include "planned.h"

/* What the fake runtime makes of each node: pairs of an operator that is handed over and what comes back, as
 * "operator name-ending"; NULL: the node vanishes. Others come back as they are. */
struct rule {
    const char *op, *becomes, *ending;
};
static const struct rule *rules;
static size_t             rule_count;

static qonnx_status open_and_rewrite(struct qn_runtime *runtime, const struct qn_model *model,
                                     const struct qn_session_options *options, struct qn_session **session,
                                     qonnx_error *err)
{
    const Onnx__GraphProto *from = model->pb->graph;

    QN_TRY(fake_open(runtime, model, options, session, err));
    if (!rules) return QONNX_OK;
    model_init(options->rewritten);
    for (size_t i = 0; i < from->n_node; i++) {
        struct qn_arena *arena = &options->rewritten->arena;
        const char      *op = from->node[i]->op_type, *ending = "";
        Onnx__NodeProto *node;
        for (size_t r = 0; r < rule_count; r++)
            if (strcmp(rules[r].op, from->node[i]->op_type) == 0) op = rules[r].becomes, ending = rules[r].ending;
        if (!op) continue;
        node = qn_node_new(arena, op, qn_arena_printf(arena, "%s%s", from->node[i]->name, ending),
                           from->node[i]->n_input, (const char *const *)from->node[i]->input, from->node[i]->n_output,
                           (const char *const *)from->node[i]->output);
        options->rewritten->pb->graph->node = model_append(options->rewritten, options->rewritten->pb->graph->node,
                                                           options->rewritten->pb->graph->n_node, node);
        options->rewritten->pb->graph->n_node++;
    }
    return QONNX_OK;
}

static void find(struct planned *p, const struct rule *list, size_t count, struct qn_kernels_found *found)
{
    struct fake_runtime fake;

    rules = list;
    rule_count = count;
    fake_init(&fake);
    fake.base.open = open_and_rewrite;
    assert_ok(qn_kernels_find(found, &p->plan, &p->s.graph, &fake.base, &p->s.model.arena, &p->err), &p->err);
    assert_int_equal(fake.opened, 1);
    assert_int_equal(fake.closed, 1);
}
#define FIND(p, found, ...)                                                                                            \
    find(p, (const struct rule[]){ __VA_ARGS__ }, sizeof((const struct rule[]){ __VA_ARGS__ }) / sizeof(struct rule),  \
         found)

/* Two convolutions, and what is no layer. */
static void begin(struct planned *p)
{
    planned_open(p, 4);
    small_conv(&p->s, "a", "x", NULL);
    small_conv(&p->s, "b", "a", NULL);
    small_op(&p->s, "Abs", "y", "b");
    small_output(&p->s, "y");
    p->s.model.pb->graph->node[1]->name = (char *)(uintptr_t) ""; /* as many exporters write it */
    planned_make(p, NO_OPTIONS);
}

static void kernels_are_recognised_by_names_with_endings_and_without_names(void **state)
{
    struct planned          p;
    struct qn_kernels_found found;

    (void)state;
    begin(&p);
    FIND(&p, &found, { "Conv", "QLinearConv", "_token_17" });
    assert_int_equal(found.differ, 0);
    assert_string_equal(found.nodes[0].op, "QLinearConv");
    assert_string_equal(found.nodes[1].op, "QLinearConv");
    assert_true(found.nodes[1].integer);
    assert_false(qn_kernel_differs(&p.plan, &found, 2));
    planned_close(&p);
}

static void a_layer_that_runs_in_float_differs(void **state)
{
    struct planned          p;
    struct qn_kernels_found found;

    (void)state;
    begin(&p);
    FIND(&p, &found, { "Conv", "FusedConv", "" });
    assert_int_equal(found.differ, 2);
    assert_true(qn_kernel_differs(&p.plan, &found, 0));
    planned_close(&p);
}

static void a_layer_that_vanished_differs_and_so_does_an_integer_kernel_unasked(void **state)
{
    struct planned          p;
    struct qn_kernels_found found;

    (void)state;
    begin(&p);
    FIND(&p, &found, { "Conv", NULL, "" }, { "Abs", "QLinearAbs", "" });
    assert_null(found.nodes[0].op);
    assert_int_equal(found.differ, 3);
    planned_close(&p);
}

static void names_that_only_begin_alike_are_others(void **state)
{
    struct planned          p;
    struct qn_kernels_found found;

    (void)state;
    begin(&p);
    FIND(&p, &found, { "Conv", "QLinearConv", "7" }, { "Abs", "Abs", "x" });
    assert_int_equal(found.differ, 2);
    planned_close(&p);
}

static void constants_that_are_dequantized_in_each_run_are_counted(void **state)
{
    struct planned          p;
    struct qn_kernels_found found;

    (void)state;
    begin(&p);
    FIND(&p, &found, { "Conv", "DequantizeLinear", "" }, { "Abs", "QuantizeLinear", "" });
    assert_int_equal(found.dequantizers, 2);
    assert_int_equal(found.quantizers, 1);
    assert_int_equal(found.constants, 0);
    planned_close(&p);
}

static void what_the_runtime_could_not_save_is_not_judged(void **state)
{
    struct planned          p;
    struct qn_kernels_found found;

    (void)state;
    begin(&p);
    find(&p, NULL, 0, &found);
    assert_null(found.nodes);
    planned_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernels_are_recognised_by_names_with_endings_and_without_names),
        cmocka_unit_test(a_layer_that_runs_in_float_differs),
        cmocka_unit_test(a_layer_that_vanished_differs_and_so_does_an_integer_kernel_unasked),
        cmocka_unit_test(names_that_only_begin_alike_are_others),
        cmocka_unit_test(constants_that_are_dequantized_in_each_run_are_counted),
        cmocka_unit_test(what_the_runtime_could_not_save_is_not_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
