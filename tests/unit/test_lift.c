/* SPDX-License-Identifier: Apache-2.0
 * Lifting, promise by promise. What whole files come to is in tests/roundtrip. */
#include "lift/lift.h"

#include <math.h>

#include "lifted.h"
#include "onnx/tensor.h"

static const int8_t ramp[16] = { -8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 127 };

/* x, quantized, times a weight of codes, with a bias if `bias`. */
static void open_layer(struct lifted *l, bool bias)
{
    static const int32_t codes[4] = { 100, -100, 1 << 28, -7 };

    lifted_open(l, 2);
    small_grid(&l->s, "x", 0.5f, QN_UINT8, 3);
    small_grid(&l->s, "w", 0.25f, QN_INT8, 0);
    small_codes(&l->s, "w_quantized", QN_INT8, ramp, DIMS(4, 4));
    small_quantize(&l->s, "x_quantized", "x", "x");
    small_dequantize(&l->s, "x_dequantized", "x_quantized", "x");
    small_dequantize(&l->s, "w_dequantized", "w_quantized", "w");
    if (!bias) return;
    small_grid(&l->s, "b", 0.125f, QN_INT32, 0);
    model_constant(&l->s.model, "b_quantized", QN_INT32, DIMS(4), codes, sizeof codes);
    small_dequantize(&l->s, "b_dequantized", "b_quantized", "b");
}

static void a_pair_becomes_the_quantizer_of_its_value(void **state)
{
    struct lifted l;

    (void)state;
    lifted_open(&l, 2);
    small_grid(&l.s, "x", 0.5f, QN_UINT8, 3);
    small_quantize(&l.s, "a", "x", "x");
    small_dequantize(&l.s, "b", "a", "x");
    small_op(&l.s, "Relu", "y", "b");
    small_output(&l.s, "y");
    lifted_make(&l);
    assert_operators(&l, "Relu");
    assert_true(lifted_tensor(&l, "x")->quantized);
    assert_true(lifted_tensor(&l, "x")->params->scale[0] == 0.5f && lifted_tensor(&l, "x")->params->zero_point[0] == 3);
    assert_string_equal(lifted_tensor(&l, "x")->params->type->name, "uint8");
    assert_true(lifted_node(&l, "y")->reads[0]);
    assert_int_equal(l.lift.qdq, 2);
    assert_int_equal(l.lift.note_count, 0);
    lifted_close(&l);
}

static void weights_get_their_name_back_and_keep_their_codes(void **state)
{
    const Onnx__TensorProto *w;
    const float             *values;
    size_t                   count;
    struct lifted            l;

    (void)state;
    open_layer(&l, false);
    small_op(&l.s, "MatMul", "y", "x_dequantized", "w_dequantized");
    small_output(&l.s, "y");
    lifted_make(&l);
    assert_operators(&l, "MatMul");
    w = l.s.graph.values[small_value(&l.s, "w")].init;
    assert_int_equal(qn_tensor_floats(w, &l.s.model.arena, &values, &count, NULL), QONNX_OK);
    assert_int_equal(count, 16);
    assert_true(values[0] == -2.0f && values[15] == 31.75f);
    assert_memory_equal(lifted_node(&l, "y")->weight_codes, ramp, 16);
    assert_true(lifted_node(&l, "y")->weight->scale[0] == 0.25f);
    assert_false(lifted_node(&l, "y")->reads[1]); /* the layer's own, not a value's */
    assert_false(lifted_tensor(&l, "w")->quantized);
    assert_int_equal(lifted_node(&l, "y")->reason, QN_REASON_QUANTIZED);
    assert_int_equal(lifted_node(&l, "y")->accumulator_bits, 18); /* 255 * 255 * 4 */
    lifted_close(&l);
}

static void biases_keep_all_their_bits(void **state)
{
    struct lifted l;

    (void)state;
    open_layer(&l, true);
    small_op(&l.s, "Gemm", "y", "x_dequantized", "w_dequantized", "b_dequantized");
    small_output(&l.s, "y");
    lifted_make(&l);
    assert_int_equal(lifted_node(&l, "y")->bias_count, 4);
    assert_int_equal(lifted_node(&l, "y")->bias_codes[2], 1 << 28);
    assert_true(lifted_node(&l, "y")->bias->scale[0] == 0.125f);
    assert_false(lifted_node(&l, "y")->bias_own_scale);
    lifted_close(&l);
}

static void a_bias_of_another_scale_says_so(void **state)
{
    struct lifted l;

    (void)state;
    open_layer(&l, true);
    ((float *)(void *)l.s.model.pb->graph->initializer[5]->raw_data.data)[0] = 0.5f;
    assert_string_equal(l.s.model.pb->graph->initializer[5]->name, "b_s");
    small_op(&l.s, "Gemm", "y", "x_dequantized", "w_dequantized", "b_dequantized");
    small_output(&l.s, "y");
    lifted_make(&l);
    assert_true(lifted_node(&l, "y")->bias_own_scale);
    lifted_close(&l);
}

static void readers_of_the_value_itself_are_told_apart(void **state)
{
    struct lifted l;

    (void)state;
    lifted_open(&l, 2);
    small_grid(&l.s, "a", 0.5f, QN_UINT8, 0);
    small_op(&l.s, "Abs", "a", "x");
    small_quantize(&l.s, "c", "a", "a");
    small_dequantize(&l.s, "d", "c", "a");
    small_op(&l.s, "Neg", "e", "a");
    small_op(&l.s, "Add", "y", "d", "e");
    small_output(&l.s, "y");
    lifted_make(&l);
    assert_operators(&l, "Abs Neg Add");
    assert_false(lifted_node(&l, "e")->reads[0]);
    assert_true(lifted_node(&l, "y")->reads[0]);
    assert_true(lifted_tensor(&l, "a")->quantized);
    assert_false(lifted_tensor(&l, "a")->at_producer);
    lifted_close(&l);
}

static void a_second_quantizer_gets_a_place_of_its_own(void **state)
{
    struct lifted l;
    qn_node_id    place;

    (void)state;
    lifted_open(&l, 2);
    small_grid(&l.s, "one", 0.5f, QN_UINT8, 0);
    small_grid(&l.s, "two", 0.75f, QN_INT8, 0);
    small_quantize(&l.s, "a", "x", "one");
    small_dequantize(&l.s, "b", "a", "one");
    small_quantize(&l.s, "c", "b", "two");
    small_dequantize(&l.s, "d", "c", "two");
    small_op(&l.s, "Add", "y", "b", "d");
    small_output(&l.s, "y");
    lifted_make(&l);
    assert_operators(&l, "Identity Add");
    place = l.s.graph.values[qn_node_input(&l.s.graph, small_node(&l.s, "y"), 1)].producer;
    assert_true(l.lift.plan.nodes[place].dropped && l.lift.plan.nodes[place].reads[0]);
    assert_true(l.lift.plan.tensors[qn_node_output(&l.s.graph, place, 0)].params->scale[0] == 0.75f);
    assert_true(lifted_tensor(&l, "x")->params->scale[0] == 0.5f);
    lifted_close(&l);
}

static void graph_outputs_keep_their_names(void **state)
{
    struct lifted l;

    (void)state;
    lifted_open(&l, 2);
    small_grid(&l.s, "a", 0.5f, QN_UINT8, 0);
    small_op(&l.s, "Relu", "y_float", "x");
    small_quantize(&l.s, "c", "y_float", "a");
    small_dequantize(&l.s, "y", "c", "a");
    small_output(&l.s, "y");
    lifted_make(&l);
    assert_operators(&l, "Relu");
    assert_true(lifted_tensor(&l, "y")->quantized && lifted_tensor(&l, "y")->at_producer);
    assert_string_equal(l.s.graph.pb->node[0]->output[0], "y");
    lifted_close(&l);
}

static void a_clip_of_codes_is_their_bit_width(void **state)
{
    static const int8_t bounds[2] = { -7, 7 };
    struct lifted       l;

    (void)state;
    lifted_open(&l, 2);
    small_grid(&l.s, "a", 0.5f, QN_INT8, 0);
    model_constant(&l.s.model, "lo", QN_INT8, 0, NULL, &bounds[0], 1);
    model_constant(&l.s.model, "hi", QN_INT8, 0, NULL, &bounds[1], 1);
    small_quantize(&l.s, "b", "x", "a");
    small_op(&l.s, "Clip", "c", "b", "lo", "hi");
    small_dequantize(&l.s, "d", "c", "a");
    small_op(&l.s, "Relu", "y", "d");
    small_output(&l.s, "y");
    lifted_make(&l);
    assert_operators(&l, "Relu");
    assert_int_equal(lifted_tensor(&l, "x")->params->bits, 4);
    assert_true(lifted_tensor(&l, "x")->params->narrow);
    assert_string_equal(qn_lift_format(&l.lift), "QCDQ");
    lifted_close(&l);
}

static void a_relu_that_codes_absorb_is_fused(void **state)
{
    struct lifted l;

    (void)state;
    open_layer(&l, false);
    small_grid(&l.s, "r", 0.5f, QN_UINT8, 0);
    small_grid(&l.s, "n", 0.5f, QN_UINT8, 9);
    small_op(&l.s, "MatMul", "m", "x_dequantized", "w_dequantized");
    small_op(&l.s, "Relu", "r", "m");
    small_quantize(&l.s, "c", "r", "r");
    small_dequantize(&l.s, "d", "c", "r");
    small_op(&l.s, "MatMul", "k", "d", "w_dequantized");
    small_op(&l.s, "Relu", "n", "k"); /* its lowest code stands for -4.5 */
    small_quantize(&l.s, "e", "n", "n");
    small_dequantize(&l.s, "f", "e", "n");
    small_op(&l.s, "Neg", "y", "f");
    small_output(&l.s, "y");
    lifted_make(&l);
    assert_int_equal(lifted_node(&l, "r")->reason, QN_REASON_FUSED);
    assert_int_equal(lifted_node(&l, "r")->fused_into, small_node(&l.s, "m"));
    assert_int_equal(lifted_node(&l, "n")->reason, QN_REASON_FLOAT_IN_INPUT);
    lifted_close(&l);
}

static void integer_operators_become_float_ones_between_quantizers(void **state)
{
    struct lifted l;

    (void)state;
    lifted_open(&l, 2);
    small_grid(&l.s, "x", 0.5f, QN_UINT8, 3);
    small_grid(&l.s, "w", 0.25f, QN_INT8, 0);
    small_grid(&l.s, "y", 2.0f, QN_UINT8, 0);
    small_codes(&l.s, "w_quantized", QN_INT8, ramp, DIMS(4, 4));
    small_quantize(&l.s, "x_quantized", "x", "x");
    small_op(&l.s, "QLinearMatMul", "y_quantized", "x_quantized", "x_s", "x_z", "w_quantized", "w_s", "w_z", "y_s",
             "y_z");
    small_dequantize(&l.s, "y_back", "y_quantized", "y");
    small_op(&l.s, "Neg", "z", "y_back");
    small_output(&l.s, "z");
    lifted_make(&l);
    assert_operators(&l, "MatMul Relu Neg"); /* the lowest code of the result stands for 0 */
    assert_true(lifted_tensor(&l, "y")->quantized && lifted_tensor(&l, "y")->params->scale[0] == 2.0f);
    assert_memory_equal(lifted_node(&l, "y_quantized")->weight_codes, ramp, 16);
    assert_string_equal(qn_lift_format(&l.lift), "QOperator");
    lifted_close(&l);
}

static void quant_nodes_are_read_with_their_axis(void **state)
{
    struct lifted    l;
    Onnx__NodeProto *quant;
    float           *scales;

    (void)state;
    lifted_open(&l, 4);
    qn_model_set_opset(&l.s.model, "qonnx.custom_op.general", 2);
    scales = small_constant(&l.s, "s", 0.5f, DIMS(1, 3, 1, 1));
    scales[2] = 0.125f;
    small_constant(&l.s, "z", 0, 0, NULL);
    small_constant(&l.s, "b", 4, 0, NULL);
    quant = small_op(&l.s, "Quant", "q", "x", "s", "z", "b");
    quant->domain = qn_arena_strdup(&l.s.model.arena, "qonnx.custom_op.general");
    qn_attr_set_int(&l.s.model.arena, quant, "signed", 0);
    qn_attr_set_int(&l.s.model.arena, quant, "narrow", 1);
    small_op(&l.s, "Relu", "y", "q");
    small_output(&l.s, "y");
    lifted_make(&l);
    assert_operators(&l, "Relu");
    assert_int_equal(lifted_tensor(&l, "x")->params->axis, 1);
    assert_int_equal(lifted_tensor(&l, "x")->params->count, 3);
    assert_int_equal(lifted_tensor(&l, "x")->params->hi, 14);
    assert_true(lifted_tensor(&l, "x")->params->scale[2] == 0.125f);
    assert_int_equal(l.lift.plan.rounding, QN_SHIFT_THEN_ROUND);
    lifted_close(&l);
}

static void what_is_not_understood_stays_and_is_noted(void **state)
{
    struct lifted l;

    (void)state;
    lifted_open(&l, 2);
    small_grid(&l.s, "a", 0.5f, QN_UINT8, 0);
    small_grid(&l.s, "b", 0.25f, QN_UINT8, 0);
    small_quantize(&l.s, "c", "x", "a");
    small_dequantize(&l.s, "d", "c", "b");
    small_op(&l.s, "Relu", "y", "d");
    small_output(&l.s, "y");
    lifted_make(&l);
    assert_operators(&l, "QuantizeLinear DequantizeLinear Relu");
    assert_int_equal(l.lift.note_count, 1);
    assert_non_null(strstr(l.lift.notes[0].node, "(DequantizeLinear)"));
    assert_non_null(strstr(l.lift.notes[0].reason, "other parameters"));
    assert_string_equal(l.lift.notes[0].output, "d");
    lifted_close(&l);
}

static void codes_go_through_operators_that_move_them(void **state)
{
    struct lifted l;

    (void)state;
    open_layer(&l, false);
    small_op(&l.s, "Transpose", "t", "x_dequantized");
    small_op(&l.s, "MatMul", "y", "t", "w_dequantized");
    small_output(&l.s, "y");
    lifted_make(&l);
    assert_int_equal(lifted_node(&l, "t")->reason, QN_REASON_FLOAT_IN_INPUT);
    assert_false(lifted_tensor(&l, "t")->quantized);
    assert_ok(qn_lift_spread(&l.lift, &l.s.err), &l.s.err);
    assert_int_equal(lifted_node(&l, "t")->reason, QN_REASON_MOVES_CODES);
    assert_true(lifted_tensor(&l, "t")->quantized && lifted_node(&l, "y")->reads[0]);
    assert_ptr_equal(lifted_tensor(&l, "t")->params, lifted_tensor(&l, "x")->params);
    lifted_close(&l);
}

static void fail_allocations(bool from_then_on)
{
    size_t failures = 0;

    for (size_t nth = 1; nth < 4000; nth++) {
        struct lifted l;
        qonnx_status  status;

        open_layer(&l, true);
        small_grid(&l.s, "q", 0.5f, QN_INT8, 0);
        small_op(&l.s, "Gemm", "g", "x_dequantized", "w_dequantized", "b_dequantized");
        small_quantize(&l.s, "h", "g", "q");
        small_dequantize(&l.s, "y", "h", "q");
        small_output(&l.s, "y");
        assert_ok(small_index(&l.s), &l.s.err);
        qn_arena_inject_failure(nth, from_then_on);
        status = qn_lift(&l.lift, &l.s.graph, &l.settings, &l.s.err);
        qn_arena_inject_failure(0, false);
        if (status != QONNX_OK) assert_int_equal(status, QONNX_E_NOMEM);
        failures += status != QONNX_OK;
        lifted_close(&l);
        if (status == QONNX_OK) break;
    }
    assert_true(failures > 50);
}

static void every_failing_allocation_is_an_error(void **state)
{
    (void)state;
    fail_allocations(true);
    fail_allocations(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pair_becomes_the_quantizer_of_its_value),
        cmocka_unit_test(weights_get_their_name_back_and_keep_their_codes),
        cmocka_unit_test(biases_keep_all_their_bits),
        cmocka_unit_test(a_bias_of_another_scale_says_so),
        cmocka_unit_test(readers_of_the_value_itself_are_told_apart),
        cmocka_unit_test(a_second_quantizer_gets_a_place_of_its_own),
        cmocka_unit_test(graph_outputs_keep_their_names),
        cmocka_unit_test(a_clip_of_codes_is_their_bit_width),
        cmocka_unit_test(a_relu_that_codes_absorb_is_fused),
        cmocka_unit_test(integer_operators_become_float_ones_between_quantizers),
        cmocka_unit_test(quant_nodes_are_read_with_their_axis),
        cmocka_unit_test(what_is_not_understood_stays_and_is_noted),
        cmocka_unit_test(codes_go_through_operators_that_move_them),
        cmocka_unit_test(every_failing_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
