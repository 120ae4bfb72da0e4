/* SPDX-License-Identifier: Apache-2.0 */
#include "onnx/edit.h"

#include "small_graph.h"

/* x → a → b → c, where b also reads w. */
static struct qn_edit *begin(struct small *s)
{
    struct qn_edit *edit = NULL;

    small_open(s);
    small_input(s, "x", 2);
    small_constant(s, "w", 1, DIMS(3));
    small_op(s, "Relu", "a", "x");
    small_op(s, "Add", "b", "a", "w");
    small_op(s, "Abs", "c", "b");
    small_output(s, "c");
    assert_ok(small_index(s), &s->err);
    assert_ok(qn_edit_begin(&edit, &s->graph, &s->err), &s->err);
    return edit;
}

static void commit(struct small *s, struct qn_edit *edit)
{
    bool changed = false;
    assert_ok(qn_edit_commit(edit, &changed, &s->err), &s->err);
    assert_true(changed);
}

static Onnx__NodeProto *new_node(struct small *s, const char *op, const char *name, const char *in)
{
    return qn_node_new(&s->model.arena, op, name, 1, &in, 1, &name);
}

/* The nodes' names, in order. */
static void assert_order(const struct small *s, const char *wanted)
{
    char   text[256] = "";
    size_t used = 0;

    for (qn_node_id n = 0; n < s->graph.node_count; n++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", n ? " " : "", s->graph.pb->node[n]->name);
    assert_string_equal(text, wanted);
}

static void insertions_keep_the_order_of_the_calls(void **state)
{
    struct small    s;
    struct qn_edit *edit = begin(&s);

    (void)state;
    qn_edit_insert_after(edit, 0, new_node(&s, "Neg", "a1", "a"));
    qn_edit_insert_before(edit, 2, new_node(&s, "Neg", "c1", "b"));
    qn_edit_insert_after(edit, 0, new_node(&s, "Neg", "a2", "a1"));
    qn_edit_insert_before(edit, QN_NONE, new_node(&s, "Neg", "front", "x"));
    qn_edit_insert_after(edit, QN_NONE, new_node(&s, "Neg", "end", "c"));
    qn_edit_insert_before(edit, 2, new_node(&s, "Neg", "c2", "c1"));
    qn_edit_insert_before(edit, 0, new_node(&s, "Neg", "front2", "front"));
    commit(&s, edit);
    assert_order(&s, "front front2 a a1 a2 b c1 c2 c end");
    small_close(&s);
}

static void nodes_are_removed_and_replaced_in_their_place(void **state)
{
    struct small    s;
    struct qn_edit *edit = begin(&s);

    (void)state;
    qn_edit_remove_node(edit, 0);
    qn_edit_insert_before(edit, 0, new_node(&s, "Neg", "n", "x")); /* beside a node that goes */
    qn_edit_redirect(edit, small_value(&s, "a"), "n");
    qn_edit_replace_node(edit, 2, new_node(&s, "Exp", "c", "b"));
    commit(&s, edit);
    assert_order(&s, "n b c");
    assert_true(qn_node_is(&s.graph, 2, "Exp"));
    assert_string_equal(s.graph.pb->node[1]->input[0], "n");
    small_close(&s);
}

static void inputs_and_outputs_are_rewired_and_lists_grow(void **state)
{
    struct small    s;
    struct qn_edit *edit = begin(&s);

    (void)state;
    qn_edit_set_input(edit, 2, 3, "a"); /* slots between are absent */
    qn_edit_set_output(edit, 0, 1, "second");
    qn_edit_set_input(edit, 1, 1, "second");
    commit(&s, edit);
    assert_int_equal(s.graph.pb->node[2]->n_input, 4);
    assert_string_equal(s.graph.pb->node[2]->input[1], "");
    assert_int_equal(qn_node_input(&s.graph, 2, 3), small_value(&s, "a"));
    assert_int_equal(s.graph.values[small_value(&s, "second")].producer, 0);
    small_close(&s);
}

static void redirection_reaches_nested_graphs_and_spares_new_nodes_and_outputs(void **state)
{
    struct small      s;
    struct qn_edit   *edit;
    Onnx__GraphProto *outer, *body, *deep;

    (void)state;
    small_open(&s);
    small_input(&s, "x", 2);
    small_op(&s, "Relu", "a", "x");
    body = small_body(&s, small_op(&s, "If", "if", "x"), "then_branch");
    outer = small_enter(&s, body);
    deep = small_body(&s, small_op(&s, "If", "if2", "a"), "then_branch");
    small_enter(&s, deep);
    small_op(&s, "Neg", "inner", "a");
    small_output(&s, "inner");
    small_output(&s, "a");
    small_leave(&s, outer);
    small_output(&s, "a");
    assert_ok(small_index(&s), &s.err);
    assert_ok(qn_edit_begin(&edit, &s.graph, &s.err), &s.err);
    qn_edit_insert_after(edit, 0, new_node(&s, "Abs", "b", "a"));
    qn_edit_redirect(edit, small_value(&s, "a"), "b");
    commit(&s, edit);
    assert_string_equal(s.graph.pb->node[1]->input[0], "a"); /* the new node reads what it was given */
    assert_string_equal(body->node[0]->input[0], "b");
    assert_string_equal(deep->node[0]->input[0], "b");
    assert_string_equal(deep->output[1]->name, "b");
    assert_string_equal(s.graph.pb->output[0]->name, "a");
    assert_int_equal(s.graph.values[small_value(&s, "b")].flags, QN_CAPTURED);
    small_close(&s);
}

/* If(x) { Relu(x) → a; Neg(a) → inner }: the nested graph has an `a` of its own. */
static Onnx__GraphProto *body_with_its_own(struct small *s, const char *own)
{
    Onnx__GraphProto *body = small_body(s, small_op(s, "If", "if", "x"), "then_branch"), *outer = small_enter(s, body);

    small_op(s, "Relu", own, "x");
    small_op(s, "Neg", "inner", "a");
    small_output(s, "inner");
    small_leave(s, outer);
    return body;
}

static void redirection_leaves_a_nested_graph_its_own_values(void **state)
{
    struct small      s;
    struct qn_edit   *edit;
    Onnx__GraphProto *body;

    (void)state;
    small_open(&s);
    small_input(&s, "x", 2);
    small_op(&s, "Identity", "a", "x");
    body = body_with_its_own(&s, "a");
    small_op(&s, "Abs", "c", "a");
    small_output(&s, "c");
    assert_ok(small_index(&s), &s.err);
    assert_ok(qn_edit_begin(&edit, &s.graph, &s.err), &s.err);
    qn_edit_redirect(edit, small_value(&s, "a"), "x");
    qn_edit_remove_node(edit, 0);
    commit(&s, edit);
    assert_string_equal(s.graph.pb->node[1]->input[0], "x");
    assert_string_equal(body->node[1]->input[0], "a"); /* of the body, not the outer one */
    small_close(&s);
}

static void a_new_name_that_a_nested_graph_hides_is_an_error(void **state)
{
    struct small    s;
    struct qn_edit *edit;

    (void)state;
    small_open(&s);
    small_input(&s, "x", 2);
    small_op(&s, "Identity", "a", "x");
    body_with_its_own(&s, "hidden");
    small_output(&s, "a");
    assert_ok(small_index(&s), &s.err);
    assert_ok(qn_edit_begin(&edit, &s.graph, &s.err), &s.err);
    qn_edit_redirect(edit, small_value(&s, "a"), "hidden");
    assert_int_equal(qn_edit_commit(edit, NULL, &s.err), QONNX_E_FORMAT);
    assert_non_null(strstr(s.err.message, "'hidden'"));
    small_close(&s);
}

static void redirections_may_follow_each_other(void **state)
{
    struct small    s;
    struct qn_edit *edit = begin(&s);

    (void)state; /* b → a → x: what read b reads x */
    qn_edit_redirect(edit, small_value(&s, "b"), "a");
    qn_edit_redirect(edit, small_value(&s, "a"), "x");
    qn_edit_remove_node(edit, 1);
    qn_edit_remove_node(edit, 0);
    commit(&s, edit);
    assert_order(&s, "c");
    assert_string_equal(s.graph.pb->node[0]->input[0], "x");
    small_close(&s);
}

static void new_names_are_taken_by_nothing_anywhere(void **state)
{
    struct small      s;
    struct qn_edit   *edit;
    Onnx__GraphProto *outer;

    (void)state;
    small_open(&s);
    small_input(&s, "x", 2);
    small_constant(&s, "x_q", 1, DIMS(1));
    small_op(&s, "Relu", "x_q_2", "x");
    outer = small_enter(&s, small_body(&s, small_op(&s, "If", "if", "x"), "then_branch"));
    small_constant(&s, "x_q_3", 1, DIMS(1));
    small_op(&s, "Relu", "x_q_4", "x");
    small_output(&s, "x_q_4");
    small_leave(&s, outer);
    assert_ok(small_index(&s), &s.err);
    assert_ok(qn_edit_begin(&edit, &s.graph, &s.err), &s.err);
    assert_string_equal(qn_edit_name(edit, "x", "_q"), "x_q_5");
    assert_string_equal(qn_edit_name(edit, "x", "_q"), "x_q_6"); /* reserved at once */
    assert_string_equal(qn_edit_name(edit, "x", "_r"), "x_r");
    assert_string_equal(qn_edit_name(edit, "x", ""), "x_2");
    qn_edit_cancel(edit);
    small_close(&s);
}

static void unused_initializers_go_when_asked_for_and_only_those_used_before(void **state)
{
    struct small    s;
    struct qn_edit *edit;

    (void)state;
    small_open(&s);
    small_input(&s, "x", 2);
    small_input(&s, "w", 1); /* IR 3 lists initializers as inputs too */
    small_constant(&s, "w", 1, DIMS(3));
    small_constant(&s, "never", 1, DIMS(3));
    small_constant(&s, "shown", 1, DIMS(3));
    small_op(&s, "Add", "a", "x", "w");
    small_op(&s, "Add", "b", "a", "shown");
    small_output(&s, "b");
    small_output(&s, "shown");
    s.model.pb->graph->value_info = model_append(&s.model, NULL, 0, model_value(&s.model, "w", QN_FLOAT, -1, NULL, NULL));
    s.model.pb->graph->n_value_info = 1;
    assert_ok(small_index(&s), &s.err);
    assert_ok(qn_edit_begin(&edit, &s.graph, &s.err), &s.err);
    qn_edit_set_input(edit, 0, 1, "x");
    qn_edit_set_input(edit, 1, 1, "x");
    qn_edit_drop_unused(edit);
    commit(&s, edit);
    assert_int_equal(qn_graph_find(&s.graph, "w"), QN_NONE);
    assert_int_equal(s.graph.pb->n_input, 1);
    assert_int_equal(s.graph.pb->n_value_info, 0);
    assert_non_null(s.graph.values[small_value(&s, "never")].init); /* the author's own business */
    assert_non_null(s.graph.values[small_value(&s, "shown")].init); /* a graph output */
    small_close(&s);
}

static void initializers_are_added_and_replaced(void **state)
{
    struct small    s;
    struct qn_edit *edit = begin(&s);
    const float    *value;
    size_t          count;

    (void)state;
    s.model.pb->ir_version = 3;
    qn_edit_add_initializer(edit, qn_tensor_float_scalar(&s.model.arena, "new", 2));
    qn_edit_replace_initializer(edit, small_value(&s, "w"), qn_tensor_float_scalar(&s.model.arena, "w", 7));
    qn_edit_set_input(edit, 2, 1, "new");
    commit(&s, edit);
    assert_int_equal(s.graph.pb->n_initializer, 2);
    assert_ok(qn_tensor_floats(qn_node_constant(&s.graph, 1, 1), &s.model.arena, &value, &count, NULL), &s.err);
    assert_true(*value == 7.0f);
    assert_non_null(qn_node_constant(&s.graph, 2, 1));
    assert_true(s.model.pb->ir_version >= 4); /* before, it would have to be a graph input as well */
    small_close(&s);
}

static void value_info_is_added_and_dropped(void **state)
{
    struct small           s;
    struct qn_edit        *edit = begin(&s);
    int64_t                dims[] = { -1, 5 };
    const struct qn_value *v;

    (void)state;
    qn_edit_add_value_info(edit, "a", QN_FLOAT, 2, dims);
    qn_edit_add_value_info(edit, "b", QN_UINT8, -1, NULL);
    dims[1] = 9; /* was copied */
    commit(&s, edit);
    v = &s.graph.values[small_value(&s, "a")];
    assert_true(v->rank == 2 && v->dims[0] == -1 && v->dims[1] == 5);
    v = &s.graph.values[small_value(&s, "b")];
    assert_true(v->dtype == QN_UINT8 && v->rank == -1);
    assert_ok(qn_edit_begin(&edit, &s.graph, &s.err), &s.err);
    qn_edit_drop_value_info(edit, "a");
    commit(&s, edit);
    assert_int_equal(s.graph.values[small_value(&s, "a")].dtype, 0);
    assert_int_equal(s.graph.pb->n_value_info, 1);
    small_close(&s);
}

static void an_edit_without_changes_leaves_the_graph_alone(void **state)
{
    struct small     s;
    struct qn_edit  *edit = begin(&s);
    struct qn_value *before = s.graph.values;
    bool             changed = true;

    (void)state;
    assert_ok(qn_edit_commit(edit, &changed, &s.err), &s.err);
    assert_false(changed);
    assert_ptr_equal(s.graph.values, before);
    small_close(&s);
}

static void a_cancelled_edit_changes_nothing(void **state)
{
    struct small    s;
    struct qn_edit *edit = begin(&s);

    (void)state;
    qn_edit_remove_node(edit, 2);
    qn_edit_set_input(edit, 1, 0, "x");
    qn_edit_insert_after(edit, 0, new_node(&s, "Neg", "n", "a"));
    qn_edit_set_opset(edit, "", 21);
    qn_edit_cancel(edit);
    qn_edit_cancel(NULL);
    assert_order(&s, "a b c");
    assert_string_equal(s.graph.pb->node[1]->input[0], "a");
    assert_int_equal(qn_model_opset(&s.model, ""), 13);
    small_close(&s);
}

static void the_result_is_checked(void **state)
{
    struct small    s;
    struct qn_edit *edit = begin(&s);

    (void)state;
    qn_edit_remove_node(edit, 0); /* whose result is still read */
    assert_fails(qn_edit_commit(edit, NULL, &s.err), QONNX_E_FORMAT, &s.err, "node 'b' (Add) reads 'a'");
    small_close(&s);

    edit = begin(&s);
    qn_edit_insert_before(edit, 0, new_node(&s, "Neg", "n", "c")); /* too early */
    assert_fails(qn_edit_commit(edit, NULL, &s.err), QONNX_E_FORMAT, &s.err, "'c'");
    small_close(&s);

    edit = begin(&s);
    qn_edit_add_initializer(edit, qn_tensor_float_scalar(&s.model.arena, "w", 2));
    assert_fails(qn_edit_commit(edit, NULL, &s.err), QONNX_E_FORMAT, &s.err, "'w'");
    small_close(&s);
}

static void the_opset_changes_with_the_edit(void **state)
{
    struct small    s;
    struct qn_edit *edit = begin(&s);

    (void)state;
    qn_edit_set_opset(edit, "", 21);
    commit(&s, edit);
    assert_int_equal(qn_model_opset(&s.model, ""), 21);
    assert_true(s.model.pb->ir_version >= 10);
    small_close(&s);
}

static void every_failed_allocation_is_reported_by_the_commit(void **state)
{
    (void)state;
    for (int from_then_on = 0; from_then_on < 2; from_then_on++) {
        bool done = false;
        for (size_t nth = 1; !done; nth++) {
            struct small    s;
            struct qn_edit *edit = begin(&s);
            const int64_t   dims[] = { 2, 3 };
            qonnx_status    status;

            qn_arena_inject_failure(nth, from_then_on);
            qn_edit_insert_after(edit, 0, new_node(&s, "Neg", "n", "a"));
            qn_edit_redirect(edit, small_value(&s, "a"), qn_edit_name(edit, "n", "_x"));
            qn_edit_set_input(edit, 1, 2, "x");
            qn_edit_add_initializer(edit, qn_tensor_float_scalar(&s.model.arena, "n_x", 1));
            qn_edit_add_value_info(edit, "n", QN_FLOAT, 2, dims);
            qn_edit_drop_unused(edit);
            status = qn_edit_commit(edit, NULL, &s.err);
            qn_arena_inject_failure(0, false);
            done = status == QONNX_OK;
            if (!done) assert_string_equal(qonnx_status_name(status), "E_NOMEM");
            small_close(&s);
            assert_true(nth < 1000);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(insertions_keep_the_order_of_the_calls),
        cmocka_unit_test(nodes_are_removed_and_replaced_in_their_place),
        cmocka_unit_test(inputs_and_outputs_are_rewired_and_lists_grow),
        cmocka_unit_test(redirection_reaches_nested_graphs_and_spares_new_nodes_and_outputs),
        cmocka_unit_test(redirection_leaves_a_nested_graph_its_own_values),
        cmocka_unit_test(a_new_name_that_a_nested_graph_hides_is_an_error),
        cmocka_unit_test(redirections_may_follow_each_other),
        cmocka_unit_test(new_names_are_taken_by_nothing_anywhere),
        cmocka_unit_test(unused_initializers_go_when_asked_for_and_only_those_used_before),
        cmocka_unit_test(initializers_are_added_and_replaced),
        cmocka_unit_test(value_info_is_added_and_dropped),
        cmocka_unit_test(an_edit_without_changes_leaves_the_graph_alone),
        cmocka_unit_test(a_cancelled_edit_changes_nothing),
        cmocka_unit_test(the_result_is_checked),
        cmocka_unit_test(the_opset_changes_with_the_edit),
        cmocka_unit_test(every_failed_allocation_is_reported_by_the_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
