/* SPDX-License-Identifier: Apache-2.0 */
#include "small_graph.h"

static void values_know_who_makes_and_who_reads_them(void **state)
{
    struct small           s;
    const struct qn_value *v;

    (void)state;
    small_open(&s);
    small_input(&s, "x", 2);
    small_constant(&s, "w", 1, DIMS(3, 4));
    small_op(&s, "MatMul", "y", "x", "w");
    small_op(&s, "Add", "z", "y", "y");
    small_output(&s, "z");
    assert_ok(small_index(&s), &s.err);
    assert_int_equal(s.graph.value_count, 4);
    v = &s.graph.values[small_value(&s, "y")];
    assert_int_equal(v->producer, small_node(&s, "y"));
    assert_int_equal(v->use_count, 2); /* one for each slot */
    for (uint16_t slot = 0; slot < 2; slot++) {
        assert_int_equal(s.graph.uses[v->use_at + slot].node, small_node(&s, "z"));
        assert_int_equal(s.graph.uses[v->use_at + slot].slot, slot);
    }
    assert_int_equal(s.graph.values[small_value(&s, "x")].flags, QN_INPUT);
    assert_int_equal(s.graph.values[small_value(&s, "x")].producer, QN_NONE);
    assert_int_equal(s.graph.values[small_value(&s, "z")].flags, QN_OUTPUT);
    assert_ptr_equal(qn_node_constant(&s.graph, 0, 1), s.graph.pb->initializer[0]);
    assert_null(qn_node_constant(&s.graph, 0, 0));
    assert_int_equal(qn_node_output(&s.graph, 1, 0), small_value(&s, "z"));
    assert_int_equal(qn_graph_find(&s.graph, "nothing"), QN_NONE);
    small_close(&s);
}

static void absent_operands_are_none(void **state)
{
    struct small     s;
    Onnx__NodeProto *node;

    (void)state;
    small_open(&s);
    small_input(&s, "x", 2);
    node = small_op(&s, "Clip", "y", "x", "", "x");
    small_second_output(&s, node, "");
    assert_ok(small_index(&s), &s.err);
    assert_int_equal(qn_node_input(&s.graph, 0, 1), QN_NONE);
    assert_int_equal(qn_node_input(&s.graph, 0, 2), small_value(&s, "x"));
    assert_int_equal(qn_node_input(&s.graph, 0, 3), QN_NONE);
    assert_int_equal(qn_node_output(&s.graph, 0, 1), QN_NONE);
    assert_int_equal(qn_node_output(&s.graph, 0, 2), QN_NONE);
    assert_int_equal(s.graph.value_count, 2);
    small_close(&s);
}

static void the_only_user_is_told_only_when_nobody_else_sees_the_value(void **state)
{
    struct small      s;
    Onnx__GraphProto *outer, *body;

    (void)state;
    small_open(&s);
    small_input(&s, "x", 2);
    small_op(&s, "Relu", "single", "x");
    small_op(&s, "Relu", "reader", "single");
    small_op(&s, "Relu", "shown", "x");
    small_op(&s, "Relu", "reader2", "shown");
    small_op(&s, "Relu", "twice", "x");
    small_op(&s, "Add", "reader3", "twice", "twice");
    small_op(&s, "Relu", "unread", "x");
    small_op(&s, "Relu", "inside", "x");
    body = small_body(&s, small_op(&s, "If", "if", "x"), "then_branch");
    outer = small_enter(&s, body);
    small_op(&s, "Relu", "inner", "inside");
    small_output(&s, "inner");
    small_leave(&s, outer);
    small_output(&s, "shown");
    assert_ok(small_index(&s), &s.err);
    assert_int_equal(qn_value_only_user(&s.graph, small_value(&s, "single")), small_node(&s, "reader"));
    assert_int_equal(qn_value_only_user(&s.graph, small_value(&s, "shown")), QN_NONE);
    assert_int_equal(qn_value_only_user(&s.graph, small_value(&s, "twice")), QN_NONE);
    assert_int_equal(qn_value_only_user(&s.graph, small_value(&s, "unread")), QN_NONE);
    assert_int_equal(qn_value_only_user(&s.graph, small_value(&s, "inside")), QN_NONE);
    small_close(&s);
}

static void reads_inside_nested_graphs_count_for_the_node_that_holds_them(void **state)
{
    struct small           s;
    Onnx__GraphProto      *outer, *body;
    Onnx__NodeProto       *holder;
    const struct qn_value *v;

    (void)state;
    small_open(&s);
    small_input(&s, "x", 2);
    small_op(&s, "Relu", "seen", "x");
    small_op(&s, "Relu", "shown", "x");
    small_op(&s, "Relu", "local", "x");
    holder = small_op(&s, "Loop", "loop", "x");
    body = small_body(&s, holder, "body");
    outer = small_enter(&s, body);
    small_input(&s, "state", 2);
    holder = small_op(&s, "If", "inner", "state"); /* two levels down */
    body = small_body(&s, holder, "then_branch");
    small_enter(&s, body);
    small_op(&s, "Add", "sum", "seen", "state");
    small_output(&s, "sum");
    small_enter(&s, outer->node[3]->attribute[0]->g);
    small_output(&s, "inner");
    small_output(&s, "shown"); /* a body may give an outer value as it is */
    small_leave(&s, outer);
    assert_ok(small_index(&s), &s.err);
    v = &s.graph.values[small_value(&s, "seen")];
    assert_int_equal(v->flags, QN_CAPTURED);
    assert_int_equal(v->use_count, 1);
    assert_int_equal(s.graph.uses[v->use_at].node, small_node(&s, "loop"));
    assert_int_equal(s.graph.uses[v->use_at].slot, QN_SLOT_CAPTURED);
    assert_int_equal(s.graph.values[small_value(&s, "shown")].flags, QN_CAPTURED);
    assert_int_equal(s.graph.values[small_value(&s, "local")].flags, 0);
    assert_int_equal(qn_graph_find(&s.graph, "sum"), QN_NONE); /* not a value of the main graph */
    assert_true(qn_node_has_body(s.graph.pb->node[3]));
    assert_false(qn_node_has_body(s.graph.pb->node[0]));
    small_close(&s);
}

static void an_initializer_that_callers_may_override_is_constant_and_no_input(void **state)
{
    struct small s;

    (void)state;
    small_open(&s);
    small_input(&s, "x", 1);
    small_input(&s, "w", 1);
    small_constant(&s, "w", 2, DIMS(5));
    small_op(&s, "Add", "y", "x", "w");
    assert_ok(small_index(&s), &s.err);
    assert_non_null(s.graph.values[small_value(&s, "w")].init);
    assert_int_equal(s.graph.values[small_value(&s, "w")].flags & QN_INPUT, 0);
    small_close(&s);
}

static void shapes_come_from_wherever_they_are_declared(void **state)
{
    struct small           s;
    const struct qn_value *v;
    const int64_t          dims[] = { 2, -1, 7 };

    (void)state;
    small_open(&s);
    model_input(&s.model, "x", QN_FLOAT, 3, dims, (const char *const[]){ NULL, "T", NULL });
    small_constant(&s, "w", 1, DIMS(3, 4));
    small_op(&s, "Relu", "a", "x");
    small_op(&s, "Relu", "b", "a");
    s.model.pb->graph->value_info = model_append(&s.model, NULL, 0, model_value(&s.model, "a", QN_FLOAT, 3, dims, NULL));
    s.model.pb->graph->n_value_info = 1;
    small_output(&s, "b");
    assert_ok(small_index(&s), &s.err);
    for (size_t i = 0; i < 2; i++) {
        v = &s.graph.values[small_value(&s, i ? "a" : "x")];
        assert_int_equal(v->dtype, QN_FLOAT);
        assert_int_equal(v->rank, 3);
        assert_memory_equal(v->dims, dims, sizeof dims);
    }
    v = &s.graph.values[small_value(&s, "w")];
    assert_int_equal(v->rank, 2);
    assert_int_equal(v->dims[1], 4);
    v = &s.graph.values[small_value(&s, "b")];
    assert_int_equal(v->dtype, QN_FLOAT);
    assert_int_equal(v->rank, -1); /* a type without a shape */
    small_close(&s);
}

static void what_nothing_defines_is_refused(void **state)
{
    struct small s;

    (void)state;
    small_open(&s);
    small_input(&s, "x", 1);
    small_op(&s, "Add", "y", "x", "missing");
    assert_fails(small_index(&s), QONNX_E_FORMAT, &s.err, "node 'y' (Add) reads 'missing'");
    small_close(&s);

    small_open(&s); /* two nodes that wait for each other, and one that waits for itself */
    small_input(&s, "x", 1);
    small_op(&s, "Add", "a", "x", "b");
    small_op(&s, "Add", "b", "x", "a");
    assert_fails(small_index(&s), QONNX_E_FORMAT, &s.err, "'b'");
    small_close(&s);
    small_open(&s);
    small_op(&s, "Relu", "a", "a");
    assert_fails(small_index(&s), QONNX_E_FORMAT, &s.err, "'a'");
    small_close(&s);

    small_open(&s);
    small_input(&s, "x", 1);
    small_output(&s, "nowhere");
    assert_fails(small_index(&s), QONNX_E_FORMAT, &s.err, "graph output 'nowhere'");
    small_close(&s);
}

static void what_a_nested_graph_reads_must_be_defined_too(void **state)
{
    struct small      s;
    Onnx__GraphProto *outer, *body;

    (void)state;
    small_open(&s);
    small_input(&s, "x", 1);
    body = small_body(&s, small_op(&s, "If", "if", "x"), "then_branch");
    outer = small_enter(&s, body);
    small_op(&s, "Relu", "inner", "later");
    small_output(&s, "inner");
    small_leave(&s, outer);
    small_op(&s, "Relu", "later", "x");
    assert_fails(small_index(&s), QONNX_E_FORMAT, &s.err, "'later'");
    small_close(&s);
}

static void names_are_defined_once(void **state)
{
    struct small s;

    (void)state;
    small_open(&s);
    small_input(&s, "x", 1);
    small_op(&s, "Relu", "y", "x");
    small_op(&s, "Abs", "y", "x");
    assert_fails(small_index(&s), QONNX_E_FORMAT, &s.err, "node 'y' (Abs) defines 'y'");
    small_close(&s);

    small_open(&s);
    small_input(&s, "x", 1);
    small_op(&s, "Relu", "x", "x");
    assert_fails(small_index(&s), QONNX_E_FORMAT, &s.err, "'x'");
    small_close(&s);

    small_open(&s);
    small_input(&s, "x", 1);
    small_input(&s, "x", 1);
    assert_fails(small_index(&s), QONNX_E_FORMAT, &s.err, "'x'");
    small_close(&s);

    small_open(&s);
    small_constant(&s, "w", 1, DIMS(2));
    small_constant(&s, "w", 1, DIMS(2));
    assert_fails(small_index(&s), QONNX_E_FORMAT, &s.err, "'w'");
    small_close(&s);
}

static void operators_of_other_domains_are_not_taken_for_ours(void **state)
{
    struct small     s;
    Onnx__NodeProto *node;

    (void)state;
    small_open(&s);
    small_input(&s, "x", 1);
    small_op(&s, "Relu", "a", "x");
    node = small_op(&s, "Relu", "b", "x");
    node->domain = qn_arena_strdup(&s.model.arena, "ai.onnx"); /* the long name of the same one */
    node = small_op(&s, "Relu", "c", "x");
    node->domain = qn_arena_strdup(&s.model.arena, "com.example");
    assert_ok(small_index(&s), &s.err);
    assert_true(qn_node_is(&s.graph, 0, "Relu"));
    assert_true(qn_node_is(&s.graph, 1, "Relu"));
    assert_false(qn_node_is(&s.graph, 2, "Relu"));
    assert_false(qn_node_is(&s.graph, 0, "Rel"));
    small_close(&s);
}

static void labels_name_nodes_and_are_safe_to_print(void **state)
{
    struct small s;
    char         longer[400];

    (void)state;
    small_open(&s);
    small_input(&s, "x", 1);
    small_op(&s, "Relu", "plain", "x");
    small_op(&s, "Relu", "nameless", "x")->name = NULL;
    small_op(&s, "Relu", "odd", "x")->name = qn_arena_strdup(&s.model.arena, "a\n\x1b[2Jb\x7f");
    memset(longer, 'n', sizeof longer);
    longer[sizeof longer - 1] = 0;
    small_op(&s, "Relu", "long", "x")->name = longer;
    assert_ok(small_index(&s), &s.err);
    assert_string_equal(qn_node_label(&s.graph, 0), "node 'plain' (Relu)");
    assert_string_equal(qn_node_label(&s.graph, 1), "node #1 (Relu)");
    assert_string_equal(qn_node_label(&s.graph, 2), "node 'a??[2Jb?' (Relu)");
    assert_true(strlen(qn_node_label(&s.graph, 3)) < 256);
    small_close(&s);
}

static void the_dump_shows_values_nodes_and_flags(void **state)
{
    struct small      s;
    struct qn_strbuf  text;
    Onnx__GraphProto *outer, *body;
    const int64_t     dims[] = { -1, 3 };

    (void)state;
    small_open(&s);
    model_input(&s.model, "x", QN_FLOAT, 2, dims, NULL);
    small_constant(&s, "it's", 1, DIMS(3));
    small_op(&s, "Add", "y", "x", "it's");
    body = small_body(&s, small_op(&s, "If", "if", "x", ""), "then_branch");
    outer = small_enter(&s, body);
    small_output(&s, "y");
    small_leave(&s, outer);
    small_output(&s, "y");
    assert_ok(small_index(&s), &s.err);
    qn_strbuf_init(&text);
    qn_graph_dump(&s.graph, &text);
    assert_string_equal(text.text, "input 'x' float[?,3]\n"
                                   "constant 'it\\x27s' float[3]\n"
                                   "#0 Add 'x', 'it\\x27s' -> 'y' float output captured\n"
                                   "#1 If 'x', '' -> 'if'\n");
    qn_strbuf_release(&text);
    small_close(&s);
}

static void many_nodes_take_linear_time(void **state)
{
    enum { NODES = 20000 };
    struct small     s;
    char             name[16] = "x", next[16];
    Onnx__NodeProto **list;

    (void)state;
    small_open(&s);
    small_input(&s, "x", 1);
    list = qn_arena_array(&s.model.arena, NODES, sizeof(Onnx__NodeProto *));
    for (int i = 0; i < NODES; i++) {
        const char *in, *out;
        snprintf(next, sizeof next, "v%d", i);
        in = qn_arena_strdup(&s.model.arena, name);
        out = qn_arena_strdup(&s.model.arena, next);
        list[i] = qn_node_new(&s.model.arena, "Relu", out, 1, &in, 1, &out);
        memcpy(name, next, sizeof name);
    }
    s.model.pb->graph->node = list;
    s.model.pb->graph->n_node = NODES;
    assert_ok(small_index(&s), &s.err); /* a quadratic index would run into the test's time limit under sanitizers */
    assert_int_equal(s.graph.value_count, NODES + 1);
    assert_int_equal(qn_value_only_user(&s.graph, small_value(&s, "v41")), 42);
    small_close(&s);
}

static void every_failed_allocation_is_reported(void **state)
{
    (void)state;
    for (int from_then_on = 0; from_then_on < 2; from_then_on++) {
        bool done = false;
        for (size_t nth = 1; !done; nth++) {
            struct small      s;
            Onnx__GraphProto *outer, *body;
            qonnx_status      status;

            small_open(&s);
            small_input(&s, "x", 2);
            small_constant(&s, "w", 1, DIMS(3, 4));
            small_op(&s, "MatMul", "y", "x", "w");
            body = small_body(&s, small_op(&s, "If", "if", "x"), "then_branch");
            outer = small_enter(&s, body);
            small_op(&s, "Relu", "inner", "y");
            small_output(&s, "inner");
            small_leave(&s, outer);
            small_output(&s, "y");
            qn_arena_inject_failure(nth, from_then_on);
            status = small_index(&s);
            qn_arena_inject_failure(0, false);
            done = status == QONNX_OK;
            if (!done) assert_int_equal(status, QONNX_E_NOMEM);
            small_close(&s);
            assert_true(nth < 1000);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_know_who_makes_and_who_reads_them),
        cmocka_unit_test(absent_operands_are_none),
        cmocka_unit_test(the_only_user_is_told_only_when_nobody_else_sees_the_value),
        cmocka_unit_test(reads_inside_nested_graphs_count_for_the_node_that_holds_them),
        cmocka_unit_test(an_initializer_that_callers_may_override_is_constant_and_no_input),
        cmocka_unit_test(shapes_come_from_wherever_they_are_declared),
        cmocka_unit_test(what_nothing_defines_is_refused),
        cmocka_unit_test(what_a_nested_graph_reads_must_be_defined_too),
        cmocka_unit_test(names_are_defined_once),
        cmocka_unit_test(operators_of_other_domains_are_not_taken_for_ours),
        cmocka_unit_test(labels_name_nodes_and_are_safe_to_print),
        cmocka_unit_test(the_dump_shows_values_nodes_and_flags),
        cmocka_unit_test(many_nodes_take_linear_time),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
