/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/layer_shape.h"
#include "small_graph.h"

struct case_ {
    struct small          s;
    struct qn_layer_shape shape;
};

static bool look(struct case_ *c, const char *node)
{
    qn_graph_release(&c->s.graph); /* of the look before */
    assert_ok(small_index(&c->s), &c->s.err);
    return qn_layer_shape(&c->s.graph, small_node(&c->s, node), &c->shape);
}

static void a_grouped_convolution_reads_its_groups_channels(void **state)
{
    struct case_     c;
    Onnx__NodeProto *conv;

    (void)state;
    small_open(&c.s);
    small_input(&c.s, "x", 4);
    small_constant(&c.s, "w", 1, DIMS(12, 5, 3, 2));
    conv = small_op(&c.s, "Conv", "y", "x", "w");
    qn_attr_set_int(&c.s.model.arena, conv, "group", 3);
    qn_attr_set_ints(&c.s.model.arena, conv, "pads", 4, (int64_t[]){ 0, 0, 0, 1 });
    small_output(&c.s, "y");
    assert_true(look(&c, "y"));
    assert_int_equal(c.shape.weight.outputs, 12);
    assert_int_equal(c.shape.weight.groups, 3);
    assert_int_equal(c.shape.weight.channels, 5);
    assert_int_equal(c.shape.weight.taps, 6);
    assert_int_equal(c.shape.weight.out_stride, 30);
    assert_int_equal(c.shape.weight.in_stride, 6);
    assert_int_equal(c.shape.weight.tap_stride, 1);
    assert_int_equal(c.shape.input_axis, 1);
    assert_true(c.shape.pads);
    assert_int_equal(qn_products_first_channel(&c.shape.weight, 3), 0);
    assert_int_equal(qn_products_first_channel(&c.shape.weight, 4), 5);
    assert_int_equal(qn_products_first_channel(&c.shape.weight, 11), 10);
    small_close(&c.s);
}

static void zeros_may_come_from_pads_of_any_kind(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        struct case_     c;
        Onnx__NodeProto *conv;
        small_open(&c.s);
        small_input(&c.s, "x", 4);
        small_constant(&c.s, "w", 1, DIMS(2, 2, 3, 3));
        conv = small_op(&c.s, "Conv", "y", "x", "w");
        if (kind == 1) qn_attr_set_ints(&c.s.model.arena, conv, "pads", 4, (int64_t[]){ 0, 0, 0, 0 });
        if (kind >= 2) qn_attr_set_string(&c.s.model.arena, conv, "auto_pad", kind == 2 ? "SAME_UPPER" : "VALID");
        small_output(&c.s, "y");
        assert_true(look(&c, "y"));
        assert_int_equal(c.shape.pads, kind == 2);
        small_close(&c.s);
    }
}

static void a_matrix_may_be_transposed(void **state)
{
    struct case_ c;

    (void)state;
    small_open(&c.s);
    small_input(&c.s, "x", 2);
    small_constant(&c.s, "w", 1, DIMS(7, 4));
    small_constant(&c.s, "t", 1, DIMS(9, 4));
    small_op(&c.s, "MatMul", "m", "x", "w");
    small_op(&c.s, "Gemm", "g", "m", "t");
    qn_attr_set_int(&c.s.model.arena, c.s.model.pb->graph->node[1], "transB", 1);
    small_output(&c.s, "g");
    assert_true(look(&c, "m"));
    assert_true(c.shape.weight.outputs == 4 && c.shape.weight.channels == 7 && c.shape.weight.in_stride == 4 && c.shape.weight.out_stride == 1 &&
                c.shape.input_axis == -1);
    assert_true(look(&c, "g"));
    assert_true(c.shape.weight.outputs == 9 && c.shape.weight.channels == 4 && c.shape.weight.in_stride == 1 && c.shape.weight.out_stride == 4 &&
                !c.shape.pads);
    small_close(&c.s);
}

static void what_is_no_product_has_no_such_shape(void **state)
{
    struct case_     c;
    Onnx__NodeProto *conv;

    (void)state;
    small_open(&c.s);
    small_input(&c.s, "x", 4);
    small_constant(&c.s, "w", 1, DIMS(4, 4, 1, 1));
    small_op(&c.s, "ConvTranspose", "a", "x", "w");
    conv = small_op(&c.s, "Conv", "b", "a", "w");
    qn_attr_set_int(&c.s.model.arena, conv, "group", 3); /* does not divide the outputs */
    small_op(&c.s, "Conv", "c", "b", "x");
    small_output(&c.s, "c");
    assert_false(look(&c, "a"));
    assert_false(look(&c, "b"));
    assert_false(look(&c, "c"));
    small_close(&c.s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_grouped_convolution_reads_its_groups_channels),
        cmocka_unit_test(zeros_may_come_from_pads_of_any_kind),
        cmocka_unit_test(a_matrix_may_be_transposed),
        cmocka_unit_test(what_is_no_product_has_no_such_shape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
