/* SPDX-License-Identifier: Apache-2.0
 * What a quantized graph looks like when it is written with QuantizeLinear and DequantizeLinear. */
#include "emit/emit.h"

#include <math.h>

#include "planned.h"

static qonnx_status try_emit(struct planned *p)
{
    bool again = true;

    planned_saw_all(p, 1);
    assert_ok(qn_solve(&p->plan, p->stats, NULL, p->verdicts, &again, &p->err), &p->err);
    assert_false(again);
    return qn_emit(qn_emitter_find("qdq"), &p->plan, &p->s.graph, &p->err);
}

static void emit(struct planned *p) { assert_ok(try_emit(p), &p->err); }

static size_t count_ops(const struct planned *p, const char *op)
{
    size_t count = 0;
    for (qn_node_id n = 0; n < p->s.graph.node_count; n++) count += qn_node_is(&p->s.graph, n, op);
    return count;
}

static const Onnx__NodeProto *node(const struct planned *p, const char *name) { return p->s.graph.pb->node[small_node(&p->s, name)]; }
static const Onnx__TensorProto *init(const struct planned *p, const char *name) { return p->s.graph.values[small_value(&p->s, name)].init; }

/* conv a with a bias → Relu b → conv c → Abs y */
static void begin(struct planned *p)
{
    planned_open_convs(p);
    planned_make(p, OPTIONS("pair-safe", "off"));
}

static void each_quantized_tensor_has_one_pair_and_every_reader_shares_it(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 4);
    small_conv(&p.s, "a", "x", NULL);
    small_conv(&p.s, "c", "a", NULL);
    small_conv(&p.s, "d", "a", NULL);
    small_op(&p.s, "Softmax", "e", "a"); /* reads it dequantized: integers made it */
    small_op(&p.s, "Add", "sum", "c", "d");
    small_op(&p.s, "Add", "y", "sum", "e");
    small_output(&p.s, "y");
    planned_make(&p, NO_OPTIONS);
    emit(&p);
    assert_int_equal(count_ops(&p, "QuantizeLinear"), 4); /* x a c d */
    assert_int_equal(count_ops(&p, "DequantizeLinear"), 4 + 3);
    assert_string_equal(node(&p, "c")->input[0], "a_dequantized");
    assert_string_equal(node(&p, "d")->input[0], "a_dequantized");
    assert_string_equal(node(&p, "e")->input[0], "a_dequantized");
    assert_string_equal(node(&p, "a_QuantizeLinear")->input[0], "a");
    assert_string_equal(node(&p, "a_DequantizeLinear")->input[0], "a_quantized");
    planned_close(&p);
}

static void float_readers_of_a_float_value_keep_it(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 4);
    small_conv(&p.s, "a", "x", NULL);
    small_op(&p.s, "Softmax", "y", "x"); /* x is quantized for the Conv only */
    small_output(&p.s, "y");
    small_op(&p.s, "Abs", "z", "a");
    small_output(&p.s, "z");
    planned_make(&p, NO_OPTIONS);
    emit(&p);
    assert_string_equal(node(&p, "y")->input[0], "x");
    assert_string_equal(node(&p, "a")->input[0], "x_dequantized");
    planned_close(&p);
}

static void parameters_are_initializers_of_rank_0_with_a_zero_point(void **state)
{
    struct planned           p;
    const struct qn_qparams *params;
    const Onnx__TensorProto *zero, *scale;
    float                    value;

    (void)state;
    begin(&p);
    emit(&p);
    params = p.plan.tensors[0].params; /* x is the first value of the float graph */
    scale = init(&p, "x_scale");
    zero = init(&p, "x_zero_point");
    assert_int_equal(scale->n_dims, 0);
    assert_int_equal(zero->n_dims, 0);
    assert_int_equal(zero->data_type, QN_UINT8);
    memcpy(&value, scale->raw_data.data, sizeof value);
    assert_true(value == params->scale[0]);
    assert_int_equal(zero->raw_data.data[0], params->zero_point[0]);
    for (qn_node_id n = 0; n < p.s.graph.node_count; n++)
        if (qn_node_is(&p.s.graph, n, "QuantizeLinear") || qn_node_is(&p.s.graph, n, "DequantizeLinear")) assert_int_equal(p.s.graph.pb->node[n]->n_input, 3);
    planned_close(&p);
}

static void weights_are_codes_with_a_scale_for_each_channel(void **state)
{
    struct planned           p;
    const Onnx__TensorProto *codes, *scale;

    (void)state;
    begin(&p);
    emit(&p);
    codes = init(&p, "a_w_quantized");
    scale = init(&p, "a_w_scale");
    assert_int_equal(codes->data_type, QN_INT8);
    assert_int_equal(codes->n_dims, 4);
    for (size_t i = 0; i < 16; i++) assert_int_equal((int8_t)codes->raw_data.data[i], 127); /* all are 0.5 */
    assert_int_equal(scale->n_dims, 1);
    assert_int_equal(scale->dims[0], 4);
    assert_int_equal(init(&p, "a_w_zero_point")->n_dims, 1);
    assert_int_equal(qn_attr_int(node(&p, "a_w_DequantizeLinear"), "axis", -9), 0);
    assert_int_equal(qn_graph_find(&p.s.graph, "a_w"), QN_NONE); /* the float weight is gone */
    planned_close(&p);
}

static void the_bias_is_int32_with_the_product_of_the_scales(void **state)
{
    struct planned           p;
    const Onnx__TensorProto *codes;
    float                    x, w, b[4];

    (void)state;
    begin(&p);
    emit(&p);
    codes = init(&p, "a_bias_quantized");
    assert_int_equal(codes->data_type, QN_INT32);
    assert_int_equal(codes->dims[0], 4);
    memcpy(&x, init(&p, "x_scale")->raw_data.data, sizeof x);
    memcpy(&w, init(&p, "a_w_scale")->raw_data.data, sizeof w);
    memcpy(b, init(&p, "a_bias_scale")->raw_data.data, sizeof b);
    for (size_t i = 0; i < 4; i++) assert_true(b[i] == x * w);
    assert_int_equal(init(&p, "a_bias_zero_point")->data_type, QN_INT32);
    assert_string_equal(node(&p, "a")->input[2], "a_bias_dequantized");
    planned_close(&p);
}

static void nothing_stands_between_a_layer_and_its_clamp(void **state)
{
    struct planned p;

    (void)state;
    begin(&p);
    emit(&p);
    assert_string_equal(node(&p, "b")->input[0], "a");
    assert_string_equal(node(&p, "b_QuantizeLinear")->input[0], "b");
    planned_close(&p);
}

static void moved_tensors_share_the_parameters_of_their_group(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 4);
    small_conv(&p.s, "a", "x", NULL);
    small_op(&p.s, "Transpose", "t", "a");
    small_conv(&p.s, "c", "t", NULL);
    small_op(&p.s, "Abs", "y", "c");
    small_output(&p.s, "y");
    planned_make(&p, NO_OPTIONS);
    emit(&p);
    assert_string_equal(node(&p, "t_QuantizeLinear")->input[1], "a_scale");
    assert_string_equal(node(&p, "t_DequantizeLinear")->input[2], "a_zero_point");
    assert_int_equal(qn_graph_find(&p.s.graph, "t_scale"), QN_NONE);
    planned_close(&p);
}

static void a_weight_that_layers_share_is_written_once(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 4);
    small_constant(&p.s, "w", 0.5f, DIMS(4, 4, 1, 1));
    small_op(&p.s, "Conv", "a", "x", "w");
    small_op(&p.s, "Conv", "b", "x", "w");
    small_op(&p.s, "Add", "s", "a", "b");
    small_op(&p.s, "Softmax", "y", "s");
    small_output(&p.s, "y");
    planned_make(&p, NO_OPTIONS);
    emit(&p);
    assert_string_equal(node(&p, "a")->input[1], node(&p, "b")->input[1]);
    assert_int_equal(count_ops(&p, "DequantizeLinear"), 1 + 3);
    planned_close(&p);
}

static void a_bias_that_layers_share_is_written_for_each(void **state)
{
    struct planned p;

    (void)state; /* its scale depends on the layer */
    planned_open(&p, 4);
    small_input(&p.s, "x2", 4);
    small_constant(&p.s, "bias", 1, DIMS(4));
    small_constant(&p.s, "w1", 0.5f, DIMS(4, 4, 1, 1));
    small_constant(&p.s, "w2", 0.25f, DIMS(4, 4, 1, 1));
    small_op(&p.s, "Conv", "a", "x", "w1", "bias");
    small_op(&p.s, "Conv", "b", "x2", "w2", "bias");
    small_op(&p.s, "Add", "s", "a", "b");
    small_op(&p.s, "Softmax", "y", "s");
    small_output(&p.s, "y");
    planned_make(&p, NO_OPTIONS);
    emit(&p);
    assert_string_not_equal(node(&p, "a")->input[2], node(&p, "b")->input[2]);
    planned_close(&p);
}

static void a_constant_that_float_nodes_read_stays(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 2);
    small_constant(&p.s, "w", 0.5f, DIMS(4, 4));
    small_op(&p.s, "MatMul", "a", "x", "w");
    small_op(&p.s, "Sum", "y", "a", "w");
    small_output(&p.s, "y");
    small_output(&p.s, "w"); /* and it is a graph output */
    planned_make(&p, NO_OPTIONS);
    emit(&p);
    assert_non_null(init(&p, "w"));
    assert_string_equal(node(&p, "y")->input[1], "w");
    assert_string_equal(node(&p, "a")->input[1], "w_dequantized");
    planned_close(&p);
}

static void new_names_never_collide(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 4);
    small_input(&p.s, "x_quantized", 4);
    small_conv(&p.s, "x_scale", "x", NULL);
    small_conv(&p.s, "x_dequantized", "x_quantized", NULL);
    small_op(&p.s, "Add", "x_QuantizeLinear", "x_scale", "x_dequantized");
    small_op(&p.s, "Softmax", "y", "x_QuantizeLinear");
    small_output(&p.s, "y");
    planned_make(&p, NO_OPTIONS);
    emit(&p); /* the commit checks that no name is defined twice */
    assert_string_equal(p.s.graph.pb->input[0]->name, "x");
    assert_string_equal(p.s.graph.pb->input[1]->name, "x_quantized");
    assert_int_equal(count_ops(&p, "QuantizeLinear"), 4);
    planned_close(&p);
}

static void graph_inputs_and_outputs_are_what_they_were(void **state)
{
    struct planned p;

    (void)state;
    begin(&p);
    emit(&p);
    assert_int_equal(p.s.graph.pb->n_input, 1);
    assert_string_equal(p.s.graph.pb->input[0]->name, "x");
    assert_int_equal(p.s.graph.pb->n_output, 1);
    assert_string_equal(p.s.graph.pb->output[0]->name, "y");
    assert_int_equal(p.s.graph.values[small_value(&p.s, "y")].producer, small_node(&p.s, "y"));
    planned_close(&p);
}

static void a_linear_bias_of_rank_1_does_not_unmake_the_integer_product(void **state)
{
    struct planned p;

    (void)state; /* MatMul and Add with a float result: ONNX Runtime would make a float Gemm of the two */
    planned_open(&p, 3);
    small_constant(&p.s, "w", 0.5f, DIMS(4, 4));
    small_constant(&p.s, "bias", 0.5f, DIMS(4));
    small_op(&p.s, "MatMul", "a", "x", "w");
    small_op(&p.s, "Add", "y", "a", "bias");
    small_output(&p.s, "y");
    planned_make(&p, NO_OPTIONS);
    emit(&p);
    if (qn_node_is(&p.s.graph, small_node(&p.s, "y"), "Add")) {
        const char *bias = node(&p, "y")->input[strcmp(node(&p, "y")->input[0], "a") == 0];
        assert_int_equal(init(&p, bias)->n_dims, 3);
    } else {
        float value;
        assert_true(qn_node_is(&p.s.graph, small_node(&p.s, "y"), "Sub"));
        assert_string_equal(node(&p, "y")->input[0], "a");
        memcpy(&value, init(&p, node(&p, "y")->input[1])->raw_data.data, sizeof value);
        assert_true(value == -0.5f); /* the same sum, bit for bit */
    }
    planned_close(&p);
}

static void a_plan_without_quantized_nodes_changes_nothing(void **state)
{
    struct planned p;

    (void)state;
    planned_open(&p, 2);
    small_op(&p.s, "Softmax", "y", "x");
    small_output(&p.s, "y");
    planned_make(&p, NO_OPTIONS);
    emit(&p);
    assert_int_equal(p.s.graph.node_count, 1);
    assert_int_equal(p.s.graph.pb->n_initializer, 0);
    planned_close(&p);
}

static void every_failed_allocation_is_reported(void **state)
{
    (void)state;
    for (int from_then_on = 0; from_then_on < 2; from_then_on++) {
        bool done = false;
        for (size_t nth = 1; !done; nth++) {
            struct planned p;
            bool           again;
            qonnx_status   status;

            begin(&p);
            planned_saw_all(&p, 1);
            assert_ok(qn_solve(&p.plan, p.stats, NULL, p.verdicts, &again, &p.err), &p.err);
            qn_arena_inject_failure(nth, from_then_on);
            status = qn_emit(qn_emitter_find("qdq"), &p.plan, &p.s.graph, &p.err);
            qn_arena_inject_failure(0, false);
            done = status == QONNX_OK;
            if (!done) assert_string_equal(qonnx_status_name(status), "E_NOMEM");
            planned_close(&p);
            assert_true(nth < 2000);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_quantized_tensor_has_one_pair_and_every_reader_shares_it),
        cmocka_unit_test(float_readers_of_a_float_value_keep_it),
        cmocka_unit_test(parameters_are_initializers_of_rank_0_with_a_zero_point),
        cmocka_unit_test(weights_are_codes_with_a_scale_for_each_channel),
        cmocka_unit_test(the_bias_is_int32_with_the_product_of_the_scales),
        cmocka_unit_test(nothing_stands_between_a_layer_and_its_clamp),
        cmocka_unit_test(moved_tensors_share_the_parameters_of_their_group),
        cmocka_unit_test(a_weight_that_layers_share_is_written_once),
        cmocka_unit_test(a_bias_that_layers_share_is_written_for_each),
        cmocka_unit_test(a_constant_that_float_nodes_read_stays),
        cmocka_unit_test(new_names_never_collide),
        cmocka_unit_test(graph_inputs_and_outputs_are_what_they_were),
        cmocka_unit_test(a_linear_bias_of_rank_1_does_not_unmake_the_integer_product),
        cmocka_unit_test(a_plan_without_quantized_nodes_changes_nothing),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
