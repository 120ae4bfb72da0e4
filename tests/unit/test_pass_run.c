/* SPDX-License-Identifier: Apache-2.0
 * Running passes, and what needs no runtime to be judged: exact weights, names, malformed nodes. The scripts in
 * tests/golden/passes judge the rest by ONNX Runtime. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"
#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"
#include "pass/pass.h"

struct fixture {
    struct qn_model   model;
    struct qn_graph   graph;
    struct qn_arena  *arena;
    Onnx__GraphProto *pb;
};

static Onnx__ValueInfoProto *port(struct fixture *f, const char *name)
{
    Onnx__ValueInfoProto *info = qn_arena_alloc(f->arena, sizeof *info);
    onnx__value_info_proto__init(info);
    info->name = qn_arena_strdup(f->arena, name);
    return info;
}

/* A model of opset 13 with the input x and the output y. */
static int setup(void **state)
{
    struct fixture           *f = calloc(1, sizeof *f);
    Onnx__OperatorSetIdProto *import;

    assert_non_null(f);
    f->arena = &f->model.arena;
    f->model.pb = qn_arena_alloc(f->arena, sizeof *f->model.pb);
    onnx__model_proto__init(f->model.pb);
    f->model.pb->has_ir_version = true;
    f->model.pb->ir_version = 7;
    f->model.pb->n_opset_import = 1;
    f->model.pb->opset_import = qn_arena_array(f->arena, 1, sizeof(void *));
    f->model.pb->opset_import[0] = import = qn_arena_alloc(f->arena, sizeof *import);
    onnx__operator_set_id_proto__init(import);
    import->has_version = true;
    import->version = 13;
    f->model.pb->graph = f->pb = qn_arena_alloc(f->arena, sizeof *f->pb);
    onnx__graph_proto__init(f->pb);
    f->pb->input = qn_arena_array(f->arena, 1, sizeof(void *));
    f->pb->output = qn_arena_array(f->arena, 1, sizeof(void *));
    f->pb->node = qn_arena_array(f->arena, 200, sizeof(void *));
    f->pb->initializer = qn_arena_array(f->arena, 16, sizeof(void *));
    f->pb->input[f->pb->n_input++] = port(f, "x");
    f->pb->output[f->pb->n_output++] = port(f, "y");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    qn_graph_release(&f->graph);
    qn_model_release(&f->model);
    free(f);
    return 0;
}

/* "a b c" as inputs. */
static Onnx__NodeProto *node(struct fixture *f, const char *op, const char *inputs, const char *output)
{
    const char *in[8];
    char       *text = qn_arena_strdup(f->arena, inputs), *rest = text;
    size_t      count = 0;

    for (char *word; (word = strtok_r(rest, " ", &rest));) in[count++] = word;
    return f->pb->node[f->pb->n_node++] = qn_node_new(f->arena, op, "", count, in, 1, &output);
}

static void floats(struct fixture *f, const char *name, size_t rank, const int64_t *dims, const float *values)
{
    size_t count = 1;
    for (size_t i = 0; i < rank; i++) count *= (size_t)dims[i];
    f->pb->initializer[f->pb->n_initializer++] =
        qn_tensor_new(f->arena, name, QN_FLOAT, rank, dims, values, count * sizeof *values);
}

static void run(struct fixture *f, const char *pass)
{
    qonnx_error err = { 0 };

    assert_int_equal(qn_graph_build(&f->graph, &f->model, &err), QONNX_OK);
    if (qn_pass_run(qn_pass_find(pass), &f->graph, &err) != QONNX_OK) fail_msg("%s", err.message);
}

static const float *constant(struct fixture *f, const char *name, size_t *count)
{
    qn_value_id  id = qn_graph_find(&f->graph, name);
    const float *values = NULL;

    assert_true(id != QN_NONE && f->graph.values[id].init);
    assert_int_equal(qn_tensor_floats(f->graph.values[id].init, f->arena, &values, count, NULL), QONNX_OK);
    return values;
}

static void passes_are_found_by_their_names(void **state)
{
    (void)state;
    for (size_t i = 0; qn_pass_at(i); i++) {
        assert_ptr_equal(qn_pass_find(qn_pass_at(i)->name), qn_pass_at(i));
        assert_true(strlen(qn_pass_at(i)->summary) > 10);
        if (i) assert_true(strcmp(qn_pass_at(i - 1)->name, qn_pass_at(i)->name) < 0);
    }
    assert_non_null(qn_pass_at(0));
    assert_null(qn_pass_find("fold_affin"));
    assert_null(qn_pass_find(""));
}

static unsigned rounds;

static qonnx_status add_for_ever(const struct qn_graph *graph, struct qn_edit *edit, bool *again, qonnx_error *err)
{
    const char *name = qn_edit_name(edit, "more", "");
    (void)graph, (void)err;
    rounds++;
    qn_edit_insert_before(edit, 0,
                          qn_node_new(qn_edit_arena(edit), "Relu", name, 1, (const char *[]){ "x" }, 1, &name));
    return *again = true, QONNX_OK;
}

static qonnx_status change_nothing(const struct qn_graph *graph, struct qn_edit *edit, bool *again, qonnx_error *err)
{
    (void)graph, (void)edit, (void)err;
    rounds++;
    return *again = true, QONNX_OK;
}

static qonnx_status fail_after_queueing(const struct qn_graph *graph, struct qn_edit *edit, bool *again,
                                        qonnx_error *err)
{
    (void)graph, (void)again;
    qn_edit_remove_node(edit, 0);
    return qn_fail(err, QONNX_E_UNSUPPORTED, "no");
}

static void a_pass_runs_until_it_changes_nothing_and_not_for_ever(void **state)
{
    struct fixture      *f = *state;
    qonnx_error          err = { 0 };
    const struct qn_pass endless = { "endless", "", add_for_ever }, idle = { "idle", "", change_nothing };

    node(f, "Relu", "x", "y");
    assert_int_equal(qn_graph_build(&f->graph, &f->model, &err), QONNX_OK);
    rounds = 0;
    assert_int_equal(qn_pass_run(&endless, &f->graph, &err), QONNX_OK);
    assert_int_equal(rounds, 64);
    assert_int_equal(f->graph.node_count, 65);
    rounds = 0;
    assert_int_equal(qn_pass_run(&idle, &f->graph, &err), QONNX_OK);
    assert_int_equal(rounds, 1);
}

static void a_failing_pass_leaves_the_graph_alone(void **state)
{
    struct fixture      *f = *state;
    qonnx_error          err = { 0 };
    const struct qn_pass failing = { "failing", "", fail_after_queueing };

    node(f, "Relu", "x", "y");
    assert_int_equal(qn_graph_build(&f->graph, &f->model, &err), QONNX_OK);
    assert_int_equal(qn_pass_run(&failing, &f->graph, &err), QONNX_E_UNSUPPORTED);
    assert_string_equal(err.message, "no");
    assert_int_equal(f->graph.node_count, 1);
}

/* Two factors that are not powers of two: rounding after each would give other weights. */
static void chains_are_folded_in_double_and_rounded_once(void **state)
{
    static const float w[] = { 0.1f, 0.7f, -1.3f, 2.9f }, c[] = { 0.3f, 0.9f }, p[] = { 1.1f, 0.3f }, q[] = { 3.0f },
                       r[] = { 0.7f };
    struct fixture *f = *state;
    const float    *weights, *bias;
    size_t          count;

    floats(f, "w", 4, (const int64_t[]){ 2, 2, 1, 1 }, w);
    floats(f, "c", 1, (const int64_t[]){ 2 }, c);
    floats(f, "p", 3, (const int64_t[]){ 2, 1, 1 }, p);
    floats(f, "q", 0, NULL, q);
    floats(f, "r", 1, (const int64_t[]){ 1 }, r);
    node(f, "Conv", "x w c", "a");
    node(f, "Mul", "a p", "b");
    node(f, "Div", "b q", "d");
    node(f, "Sub", "r d", "y");
    run(f, "fold_affine");
    assert_int_equal(f->graph.node_count, 1);
    assert_string_equal(f->pb->node[0]->output[0], "y");
    weights = constant(f, "w", &count);
    assert_int_equal(count, 4);
    for (size_t i = 0; i < 4; i++) assert_true(weights[i] == (float)((double)w[i] * -((double)p[i / 2] / 3.0)));
    bias = constant(f, "c", &count);
    assert_int_equal(count, 2);
    for (size_t i = 0; i < 2; i++) {
        double scale = (double)p[i] / 3.0;
        assert_true(fabs((double)bias[i] - ((double)r[0] - (double)c[i] * scale)) < 1e-7);
    }
    assert_int_equal(f->pb->n_initializer, 2); /* p, q and r are gone */
}

static void lifted_data_are_not_copied(void **state)
{
    static const float values[] = { 1, 2, 3, 4 };
    static int64_t     dims[] = { 4 };
    struct fixture    *f = *state;
    Onnx__NodeProto   *k = node(f, "Constant", "", "k");

    qn_attr_set_int(f->arena, k, "value", 0);
    k->attribute[0]->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR;
    k->attribute[0]->t = qn_tensor_new(f->arena, "other", QN_FLOAT, 1, dims, values, sizeof values);
    f->pb->initializer[f->pb->n_initializer++] = qn_tensor_int64_vector(f->arena, "s", 2, (const int64_t[]){ 2, -1 });
    node(f, "Reshape", "k s", "r");
    node(f, "MatMul", "x r", "y");
    run(f, "lift_constants");
    assert_int_equal(f->pb->n_initializer, 1);
    assert_string_equal(f->pb->initializer[0]->name, "r");
    assert_ptr_equal(f->pb->initializer[0]->raw_data.data, values);
    assert_int_equal(f->pb->initializer[0]->n_dims, 2);
}

static void long_chains_of_identities_go_at_once(void **state)
{
    struct fixture *f = *state;
    char            from[16] = "x", to[16];

    for (int i = 0; i < 150; i++) {
        snprintf(to, sizeof to, "n%d", i);
        node(f, "Identity", from, qn_arena_strdup(f->arena, to));
        memcpy(from, to, sizeof from);
    }
    node(f, "Relu", from, "y");
    run(f, "remove_identity");
    assert_int_equal(f->graph.node_count, 1);
    assert_string_equal(f->pb->node[0]->input[0], "x");
}

static void declare_matrix(struct fixture *f, const char *name)
{
    Onnx__ValueInfoProto              *info = port(f, name);
    Onnx__TensorShapeProto__Dimension *dim = qn_arena_alloc(f->arena, sizeof *dim);

    onnx__tensor_shape_proto__dimension__init(dim);
    info->type = qn_arena_alloc(f->arena, sizeof *info->type);
    onnx__type_proto__init(info->type);
    info->type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    info->type->tensor_type = qn_arena_alloc(f->arena, sizeof *info->type->tensor_type);
    onnx__type_proto__tensor__init(info->type->tensor_type);
    info->type->tensor_type->has_elem_type = true;
    info->type->tensor_type->elem_type = QN_FLOAT;
    info->type->tensor_type->shape = qn_arena_alloc(f->arena, sizeof *info->type->tensor_type->shape);
    onnx__tensor_shape_proto__init(info->type->tensor_type->shape);
    info->type->tensor_type->shape->n_dim = 2;
    info->type->tensor_type->shape->dim = qn_arena_array(f->arena, 2, sizeof(void *));
    info->type->tensor_type->shape->dim[0] = info->type->tensor_type->shape->dim[1] = dim;
    f->pb->value_info = qn_arena_array(f->arena, 1, sizeof(void *));
    f->pb->value_info[f->pb->n_value_info++] = info;
}

/* Not valid, but not ours to repair: a runtime will say so. */
static void malformed_nodes_stay(void **state)
{
    struct fixture *f = *state;

    f->pb->initializer[f->pb->n_initializer++] = qn_tensor_int64_vector(f->arena, "s", 2, (const int64_t[]){ -1, -1 });
    floats(f, "w", 2, (const int64_t[]){ 2, 2 }, (const float[]){ 1, 2, 3, 4 });
    node(f, "Gemm", "x w", "g");
    declare_matrix(f, "g"); /* the rank is known, neither size is */
    node(f, "Reshape", "g s", "r");
    qn_attr_set_ints(f->arena, node(f, "Transpose", "w", "t"), "perm", 2, (const int64_t[]){ 0, 0 });
    node(f, "Unsqueeze", "t", "u");
    node(f, "Concat", "r u", "y");
    run(f, "remove_identity");
    qn_graph_release(&f->graph);
    run(f, "lift_constants");
    assert_int_equal(f->graph.node_count, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passes_are_found_by_their_names),
        cmocka_unit_test_setup_teardown(a_pass_runs_until_it_changes_nothing_and_not_for_ever, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failing_pass_leaves_the_graph_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(chains_are_folded_in_double_and_rounded_once, setup, teardown),
        cmocka_unit_test_setup_teardown(lifted_data_are_not_copied, setup, teardown),
        cmocka_unit_test_setup_teardown(long_chains_of_identities_go_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(malformed_nodes_stay, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
