/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "small_graph.h"

static void scalar(struct small *s, const char *name, float value)
{
    model_constant(&s->model, name, QN_FLOAT, 0, NULL, qn_arena_memdup(&s->model.arena, &value, sizeof value), sizeof value);
}

static void zeros(struct small *s, const char *name, int32_t type, size_t rank, const int64_t *dims)
{
    size_t count = 1;
    for (size_t i = 0; i < rank; i++) count *= (size_t)dims[i];
    count = count * (size_t)qn_dtype_find(type)->bits / 8;
    model_constant(&s->model, name, type, rank, dims, qn_arena_alloc(&s->model.arena, count + 1), count);
}

/* The verdict on a model; the model is closed. */
static qonnx_status verdict(struct small *s, qonnx_error *err)
{
    qonnx_status status = small_index(s);

    memset(err, 0, sizeof *err);
    assert_ok(status, &s->err);
    status = qn_check(&s->graph, err);
    small_close(s);
    return status;
}

/* x → Q → DQ → y with one scale. */
static void begin_pair(struct small *s, float scale, int32_t type)
{
    small_open(s);
    small_input(s, "x", 2);
    scalar(s, "scale", scale);
    zeros(s, "zero", type, 0, NULL);
    small_op(s, "QuantizeLinear", "q", "x", "scale", "zero");
    small_op(s, "DequantizeLinear", "y", "q", "scale", "zero");
    small_output(s, "y");
}

static void a_right_model_passes(void **state)
{
    struct small s;
    qonnx_error  err;

    (void)state;
    begin_pair(&s, 0.5f, QN_UINT8);
    assert_ok(verdict(&s, &err), &err);
}

static void operator_sets_must_be_imported_once(void **state)
{
    struct small s;
    qonnx_error  err;

    (void)state;
    small_open(&s);
    small_input(&s, "x", 1);
    s.model.pb->n_opset_import = 0;
    assert_fails(verdict(&s, &err), QONNX_E_FORMAT, &err, "imports no operator set");

    small_open(&s);
    small_input(&s, "x", 1);
    s.model.pb->opset_import = model_append(&s.model, s.model.pb->opset_import, 1, s.model.pb->opset_import[0]);
    s.model.pb->n_opset_import = 2;
    assert_fails(verdict(&s, &err), QONNX_E_FORMAT, &err, "imported twice");

    small_open(&s);
    small_input(&s, "x", 1);
    s.model.pb->opset_import[0]->version = 0;
    assert_fails(verdict(&s, &err), QONNX_E_FORMAT, &err, "version 0");
}

static void constants_must_hold_what_they_say(void **state)
{
    struct small      s;
    qonnx_error       err;
    Onnx__GraphProto *outer;

    (void)state;
    small_open(&s);
    small_constant(&s, "w", 1, DIMS(2, 3));
    s.model.pb->graph->initializer[0]->raw_data.len = 20;
    assert_fails(verdict(&s, &err), QONNX_E_FORMAT, &err, "initializer 'w': raw_data holds 20 bytes");

    small_open(&s); /* in a nested graph */
    small_input(&s, "x", 1);
    outer = small_enter(&s, small_body(&s, small_op(&s, "If", "if", "x"), "then_branch"));
    small_constant(&s, "inner", 1, DIMS(2));
    small_output(&s, "inner");
    s.model.pb->graph->initializer[0]->dims[0] = -2;
    small_leave(&s, outer);
    assert_fails(verdict(&s, &err), QONNX_E_FORMAT, &err, "initializer 'inner': dimension 0 is negative");
}

static void attributes_are_given_once(void **state)
{
    struct small     s;
    qonnx_error      err;
    Onnx__NodeProto *node;

    (void)state;
    small_open(&s);
    small_input(&s, "x", 1);
    node = small_op(&s, "Softmax", "y", "x");
    qn_attr_set_int(&s.model.arena, node, "axis", 1);
    qn_attr_set_int(&s.model.arena, node, "other", 1);
    node->attribute[1]->name = node->attribute[0]->name;
    assert_fails(verdict(&s, &err), QONNX_E_FORMAT, &err, "node 'y' (Softmax): attribute 'axis' is given twice");
}

static void scales_are_positive_normal_and_finite(void **state)
{
    static const float bad[] = { 0.0f, -0.0f, -1.0f, NAN, INFINITY, 1e-40f };
    struct small       s;
    qonnx_error        err;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        begin_pair(&s, bad[i], QN_UINT8);
        assert_fails(verdict(&s, &err), QONNX_E_FORMAT, &err, "node 'q' (QuantizeLinear): scale 0 is");
    }
    begin_pair(&s, 0x1p-126f, QN_UINT8);
    assert_ok(verdict(&s, &err), &err);
}

static void codes_need_an_opset_that_knows_them(void **state)
{
    struct small s;
    qonnx_error  err;

    (void)state;
    begin_pair(&s, 0.5f, ONNX__TENSOR_PROTO__DATA_TYPE__UINT16);
    assert_fails(verdict(&s, &err), QONNX_E_FORMAT, &err, "uint16 codes need opset 21, the model has 13");
    begin_pair(&s, 0.5f, ONNX__TENSOR_PROTO__DATA_TYPE__UINT16);
    qn_model_set_opset(&s.model, "", 21);
    assert_ok(verdict(&s, &err), &err);
    begin_pair(&s, 0.5f, QN_FLOAT16);
    assert_fails(verdict(&s, &err), QONNX_E_FORMAT, &err, "float16 codes");
}

/* A weight of [6,4] with n scales on an axis. */
static void begin_axis(struct small *s, int64_t scales, int64_t zeros_count, int64_t axis)
{
    Onnx__NodeProto *node;

    small_open(s);
    zeros(s, "w", QN_INT8, DIMS(6, 4));
    small_constant(s, "scale", 1, 1, &scales);
    zeros(s, "zero", QN_INT8, 1, &zeros_count);
    node = small_op(s, "DequantizeLinear", "dq", "w", "scale", "zero");
    qn_attr_set_int(&s->model.arena, node, "axis", axis);
    small_output(s, "dq");
}

static void scales_of_an_axis_are_as_many_as_it_is_long(void **state)
{
    struct small s;
    qonnx_error  err;

    (void)state;
    begin_axis(&s, 6, 6, 0);
    assert_ok(verdict(&s, &err), &err);
    begin_axis(&s, 4, 4, -1);
    assert_ok(verdict(&s, &err), &err);
    begin_axis(&s, 5, 5, 0);
    assert_fails(verdict(&s, &err), QONNX_E_FORMAT, &err, "5 scales for an axis of 6");
    begin_axis(&s, 6, 6, 2);
    assert_fails(verdict(&s, &err), QONNX_E_FORMAT, &err, "axis 2 is out of range for rank 2");
    begin_axis(&s, 6, 6, INT64_MIN);
    assert_fails(verdict(&s, &err), QONNX_E_FORMAT, &err, "out of range");
    begin_axis(&s, 6, 4, 0);
    assert_fails(verdict(&s, &err), QONNX_E_FORMAT, &err, "scale and zero point differ in shape");
    begin_axis(&s, 6, 6, 0);
    s.model.pb->opset_import[0]->version = 12;
    assert_fails(verdict(&s, &err), QONNX_E_FORMAT, &err, "needs opset 13");
}

static void computed_parameters_are_left_to_the_runtime(void **state)
{
    struct small s;
    qonnx_error  err;

    (void)state;
    small_open(&s);
    small_input(&s, "x", 2);
    small_input(&s, "scale", 0);
    small_op(&s, "QuantizeLinear", "q", "x", "scale");
    small_op(&s, "DequantizeLinear", "y", "q", "scale");
    assert_ok(verdict(&s, &err), &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_right_model_passes),
        cmocka_unit_test(operator_sets_must_be_imported_once),
        cmocka_unit_test(constants_must_hold_what_they_say),
        cmocka_unit_test(attributes_are_given_once),
        cmocka_unit_test(scales_are_positive_normal_and_finite),
        cmocka_unit_test(codes_need_an_opset_that_knows_them),
        cmocka_unit_test(scales_of_an_axis_are_as_many_as_it_is_long),
        cmocka_unit_test(computed_parameters_are_left_to_the_runtime),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
