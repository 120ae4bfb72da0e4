/* SPDX-License-Identifier: Apache-2.0
 * Metadata of values, from quantizer to quantizer. The numbers of layers are in tests/golden/brevitas and
 * tests/roundtrip; here is which operators keep, make and lose them. */
#include "plan/meta.h"

#include <math.h>

#include "lifted.h"

struct known {
    struct lifted       l;
    struct qn_plan_meta meta;
    struct qn_arena     arena;
};

/* x, quantized with scale 0.5 as int8, can be read as "x_dequantized"; v is the same of another scale. */
static void known_open(struct known *k, int rank)
{
    struct small *s = &k->l.s;

    memset(k, 0, sizeof *k);
    lifted_open(&k->l, rank);
    small_input(s, "v", rank);
    small_grid(s, "x", 0.5f, QN_INT8, 0);
    small_grid(s, "v", 0.25f, QN_UINT8, 7);
    small_grid(s, "w", 0.25f, QN_INT8, 0);
    small_quantize(s, "x_quantized", "x", "x");
    small_dequantize(s, "x_dequantized", "x_quantized", "x");
    small_quantize(s, "v_quantized", "v", "v");
    small_dequantize(s, "v_dequantized", "v_quantized", "v");
}

/* What a value called y, the graph's output, carries. */
static const struct qn_metadata *of_output(struct known *k)
{
    small_output(&k->l.s, "y");
    lifted_make(&k->l);
    assert_ok(qn_plan_metadata(&k->l.lift.plan, &k->arena, &k->meta, &k->l.s.err), &k->l.s.err);
    return &k->meta.seen[small_value(&k->l.s, "y")];
}

static void known_close(struct known *k)
{
    qn_arena_release(&k->arena);
    lifted_close(&k->l);
}

static void small_weight(struct small *s, size_t rank, const int64_t *dims)
{
    static const int8_t codes[64] = { 1, 2, 3 };

    small_codes(s, "w_quantized", QN_INT8, codes, rank, dims);
    small_dequantize(s, "w_dequantized", "w_quantized", "w");
}

static void a_layer_has_the_product_of_its_scales_and_its_widest_sum(void **state)
{
    const struct qn_metadata *y;
    struct known              k;

    (void)state;
    known_open(&k, 4);
    small_weight(&k.l.s, DIMS(3, 2, 3, 3));
    small_op(&k.l.s, "Conv", "y", "x_dequantized", "w_dequantized");
    y = of_output(&k);
    assert_true(y->known && y->is_signed && y->axis == -1);
    assert_int_equal(y->bits, 21);
    assert_true(y->scale[0] == 0.125f && y->zero_count == 1 && y->zero_point[0] == 0);
    known_close(&k);
}

static void a_float_bias_is_the_zero_point_of_each_channel(void **state)
{
    const struct qn_metadata *y;
    struct known              k;

    (void)state;
    known_open(&k, 4);
    small_weight(&k.l.s, DIMS(3, 2, 3, 3));
    small_constant(&k.l.s, "b", 0.375f, DIMS(3));
    small_op(&k.l.s, "Conv", "y", "x_dequantized", "w_dequantized", "b");
    y = of_output(&k);
    assert_int_equal(y->bits, 21);
    assert_int_equal(y->zero_count, 3);
    assert_int_equal(y->axis, 1);
    assert_true(y->zero_point[2] == -3.0f);
    known_close(&k);
}

static void a_quantized_bias_adds_a_bit(void **state)
{
    static const int8_t codes[3] = { 1, -2, 3 };
    struct known        k;

    (void)state;
    known_open(&k, 4);
    small_weight(&k.l.s, DIMS(3, 2, 3, 3));
    small_grid(&k.l.s, "b", 0.125f, QN_INT8, 0);
    small_codes(&k.l.s, "b_quantized", QN_INT8, codes, DIMS(3));
    small_dequantize(&k.l.s, "b_dequantized", "b_quantized", "b");
    small_op(&k.l.s, "Conv", "y", "x_dequantized", "w_dequantized", "b_dequantized");
    assert_int_equal(of_output(&k)->bits, 22);
    known_close(&k);
}

static void terms_are_counted_along_the_input_of_matrices(void **state)
{
    static const struct {
        const char *op;
        int64_t     transposed;
        uint64_t    terms;
    } cases[] = { { "MatMul", 0, 8 }, { "Gemm", 0, 8 }, { "Gemm", 1, 2 } };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct known     k;
        Onnx__NodeProto *node;
        known_open(&k, 2);
        small_weight(&k.l.s, DIMS(8, 2));
        node = small_op(&k.l.s, cases[i].op, "y", "x_dequantized", "w_dequantized");
        if (cases[i].transposed) qn_attr_set_int(&k.l.s.model.arena, node, "transB", 1);
        assert_true(of_output(&k)->known);
        assert_int_equal(qn_plan_terms(&k.l.s.graph, small_node(&k.l.s, "y")), cases[i].terms);
        known_close(&k);
    }
}

/* Operators of one input x with metadata, and what they leave. */
static void operators_keep_metadata_or_lose_them(void **state)
{
    static const struct {
        const char *op;
        bool        keeps;
    } cases[] = { { "Relu", true },     { "MaxPool", true },      { "Flatten", true }, { "Transpose", true },
                  { "Identity", true }, { "Sigmoid", false },     { "Tanh", false },   { "Neg", false },
                  { "Softmax", false }, { "AveragePool", false }, { "Clip", false } };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct qn_metadata *y;
        struct known              k;
        known_open(&k, 4);
        small_op(&k.l.s, cases[i].op, "y", "x_dequantized");
        y = of_output(&k);
        if (y->known != cases[i].keeps) fail_msg("%s: %d", cases[i].op, y->known);
        if (y->known) assert_true(y->scale[0] == 0.5f && y->bits == 8 && y->is_signed);
        known_close(&k);
    }
}

static void sums_of_one_scale_are_a_bit_wider_and_others_are_plain(void **state)
{
    static const char *const others[] = { "x_dequantized", "v_dequantized", "x" };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const struct qn_metadata *y;
        struct known              k;
        known_open(&k, 2);
        small_op(&k.l.s, "Add", "y", "x_dequantized", others[i]);
        y = of_output(&k);
        assert_int_equal(y->known, i == 0);
        if (i == 0) assert_true(y->bits == 9 && y->scale[0] == 0.5f && y->is_signed);
        known_close(&k);
    }
}

static void a_mix_of_quantized_and_float_is_legal_and_plain(void **state)
{
    struct known k;

    (void)state;
    known_open(&k, 4);
    small_weight(&k.l.s, DIMS(3, 2, 3, 3));
    small_op(&k.l.s, "Conv", "y", "x", "w_dequantized");
    assert_false(of_output(&k)->known);
    known_close(&k);
}

static void shifted_operands_leave_a_plain_tensor(void **state)
{
    struct known k;

    (void)state;
    known_open(&k, 4);
    small_weight(&k.l.s, DIMS(3, 2, 3, 3));
    small_op(&k.l.s, "Conv", "y", "v_dequantized", "w_dequantized");
    assert_false(of_output(&k)->known);
    known_close(&k);
}

static void a_quantizer_hides_what_the_layer_made(void **state)
{
    const struct qn_metadata *y;
    struct known              k;

    (void)state;
    known_open(&k, 4);
    small_weight(&k.l.s, DIMS(3, 2, 3, 3));
    small_grid(&k.l.s, "o", 2.0f, QN_UINT8, 1);
    small_op(&k.l.s, "Conv", "c", "x_dequantized", "w_dequantized");
    small_quantize(&k.l.s, "c_quantized", "c", "o");
    small_dequantize(&k.l.s, "y", "c_quantized", "o");
    y = of_output(&k);
    assert_true(y->scale[0] == 2.0f && y->zero_point[0] == 1 && y->bits == 8 && !y->is_signed);
    assert_int_equal(k.meta.made[small_value(&k.l.s, "y")].bits, 21);
    known_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_layer_has_the_product_of_its_scales_and_its_widest_sum),
        cmocka_unit_test(a_float_bias_is_the_zero_point_of_each_channel),
        cmocka_unit_test(a_quantized_bias_adds_a_bit),
        cmocka_unit_test(terms_are_counted_along_the_input_of_matrices),
        cmocka_unit_test(operators_keep_metadata_or_lose_them),
        cmocka_unit_test(sums_of_one_scale_are_a_bit_wider_and_others_are_plain),
        cmocka_unit_test(a_mix_of_quantized_and_float_is_legal_and_plain),
        cmocka_unit_test(shifted_operands_leave_a_plain_tensor),
        cmocka_unit_test(a_quantizer_hides_what_the_layer_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
