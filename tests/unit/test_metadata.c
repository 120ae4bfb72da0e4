/* SPDX-License-Identifier: Apache-2.0 */
#include "quant/metadata.h"

#include <math.h>
#include <string.h>

#include "cmocka_all.h"
#include "quant/quantizer.h"

/* assert_float_equal() lets the last bit differ, whatever the tolerance. */
#define assert_same_float(a, b) assert_true((a) == (b))

static struct qn_arena arena;

static int release(void **state)
{
    (void)state;
    qn_arena_inject_failure(0, false);
    qn_arena_release(&arena);
    return 0;
}

static const float zeros[8];

static struct qn_metadata scaled(const float *scale, size_t count)
{
    return (struct qn_metadata){ .known = true,
                                 .is_signed = true,
                                 .bits = 8,
                                 .axis = count > 1 ? 0 : -1,
                                 .scale_count = count,
                                 .zero_count = count,
                                 .scale = scale,
                                 .zero_point = zeros };
}

static const float weight_scales[] = { 0.5f, 0.25f, 0.125f }, input_scale = 0.5f;

/* A layer with three output channels and an int32 bias that has exactly the output's scales. */
struct fixture {
    struct qn_metadata input, weight, out;
    struct qn_qparams  bias;
    struct qn_layer    layer;
    float              values[3];
    qonnx_error        error;
};

static void build(struct fixture *f, bool convolution)
{
    const struct qn_quantizer_row *row = qn_quantizer_row_find("Int32Bias");
    struct qn_quantizer            q;

    *f = (struct fixture){ .values = { 1, -2, 0 } };
    qn_quantizer_init(&q, row);
    f->input = scaled(&input_scale, 1);
    f->weight = scaled(weight_scales, 3);
    assert_int_equal(qn_quantizer_bias(&q, f->values, 3, &f->input, &f->weight, &arena, &f->bias, &f->error), QONNX_OK);
    f->layer = (struct qn_layer){ .input = &f->input,
                                  .weight = &f->weight,
                                  .convolution = convolution,
                                  .terms = 18,
                                  .output_axis = 1,
                                  .bias = f->values,
                                  .bias_count = 3,
                                  .bias_params = &f->bias };
}

static void derive(struct fixture *f)
{
    assert_int_equal(qn_metadata_of_layer(&f->layer, &arena, &f->out, &f->error), QONNX_OK);
    assert_true(f->out.known);
}

static void a_convolution_with_its_own_bias_scales_has_a_zero_point_as_in_brevitas_0_13(void **state)
{
    struct fixture f;

    (void)state;
    build(&f, true);
    derive(&f);
    assert_int_equal(f.out.zero_count, 3);
    assert_int_equal(f.out.axis, 1);
    for (int i = 0; i < 3; i++) {
        assert_same_float(f.out.scale[i], weight_scales[i] * input_scale);
        assert_same_float(f.out.zero_point[i], -f.values[i] / (weight_scales[i] * input_scale));
    }
    assert_false(signbit(f.out.zero_point[2]));
}

static void compared_channel_by_channel_the_zero_point_is_zero(void **state)
{
    struct fixture f;

    (void)state;
    build(&f, true);
    f.layer.compare = QN_COMPARE_CHANNELS;
    derive(&f);
    assert_int_equal(f.out.zero_count, 1);
    assert_same_float(f.out.zero_point[0], 0);
    build(&f, false);
    derive(&f);
    assert_int_equal(f.out.zero_count, 1);
    assert_same_float(f.out.zero_point[0], 0);
}

static void scales_closer_than_1e_8_count_as_equal(void **state)
{
    const float    tiny[] = { 1e-9f, 2e-9f, 9e-9f };
    const float    one = 1;
    struct fixture f;

    (void)state;
    build(&f, true);
    f.input = scaled(&one, 1);
    f.weight = scaled(tiny, 3);
    memcpy(f.bias.scale, tiny, sizeof tiny);
    derive(&f);
    assert_int_equal(f.out.zero_count, 1);
    f.bias.scale[2] = 3e-8f;
    derive(&f);
    assert_int_equal(f.out.zero_count, 3);
}

static void scales_closer_than_a_hundred_thousandth_count_as_equal(void **state)
{
    const float ones[] = { 1, 1, 1 }, one = 1, near[] = { 0.999995f, 1, 1.000005f };
    const struct {
        int   channel;
        float scale;
    } far[] = { { 0, 0.9999f }, { 1, 1.0001f } };
    struct fixture f;

    (void)state;
    build(&f, true);
    f.input = scaled(&one, 1);
    f.weight = scaled(ones, 3);
    memcpy(f.bias.scale, near, sizeof near);
    derive(&f);
    assert_int_equal(f.out.zero_count, 1);
    for (int i = 0; i < 2; i++) {
        memcpy(f.bias.scale, near, sizeof near);
        f.bias.scale[far[i].channel] = far[i].scale;
        derive(&f);
        assert_int_equal(f.out.zero_count, 3);
    }
}

static void a_float_bias_is_a_zero_point_that_need_not_be_whole(void **state)
{
    struct fixture f;

    (void)state;
    build(&f, false);
    f.layer.bias_params = NULL;
    f.weight.scale_count = f.weight.zero_count = 1;
    f.values[1] = 0.1f;
    derive(&f);
    assert_int_equal(f.out.scale_count, 1);
    assert_int_equal(f.out.zero_count, 3);
    assert_same_float(f.out.zero_point[1], -0.1f / 0.25f);
    assert_int_equal(f.out.bits, 21); /* a float bias does not widen */
}

static void the_tutorial_convolution_has_21_bits_and_22_with_an_8_bit_bias(void **state)
{
    struct fixture f;

    (void)state;
    build(&f, true);
    f.layer.bias = NULL;
    derive(&f);
    assert_int_equal(f.out.bits, 21);
    f.layer.bias = f.values;
    f.bias.bits = 8;
    derive(&f);
    assert_int_equal(f.out.bits, 22);
    f.bias.bits = 32;
    derive(&f);
    assert_int_equal(f.out.bits, 33);
}

static void the_output_is_signed_if_an_operand_is(void **state)
{
    struct fixture f;

    (void)state;
    build(&f, true);
    f.input.is_signed = false;
    derive(&f);
    assert_true(f.out.is_signed);
    f.weight.is_signed = false;
    derive(&f);
    assert_false(f.out.is_signed);
}

static void float_and_shifted_operands_leave_nothing_known(void **state)
{
    const float    shift = 3;
    struct fixture f;

    (void)state;
    build(&f, true);
    f.layer.input = NULL;
    assert_int_equal(qn_metadata_of_layer(&f.layer, &arena, &f.out, &f.error), QONNX_OK);
    assert_false(f.out.known);
    build(&f, true);
    f.weight.known = false;
    assert_int_equal(qn_metadata_of_layer(&f.layer, &arena, &f.out, &f.error), QONNX_OK);
    assert_false(f.out.known);
    build(&f, true);
    f.input.zero_point = &shift;
    assert_int_equal(qn_metadata_of_layer(&f.layer, &arena, &f.out, &f.error), QONNX_OK);
    assert_false(f.out.known);
    assert_int_equal(qn_metadata_require(&f.out, &f.error), QONNX_E_USAGE);
    assert_int_equal(qn_metadata_require(NULL, &f.error), QONNX_E_USAGE);
    assert_int_equal(qn_metadata_require(&f.input, &f.error), QONNX_OK);
}

static void operands_of_different_lengths_are_refused(void **state)
{
    const float    two[] = { 1, 2 };
    struct fixture f;

    (void)state;
    build(&f, true);
    f.input = scaled(two, 2);
    assert_int_equal(qn_metadata_of_layer(&f.layer, &arena, &f.out, &f.error), QONNX_E_UNSUPPORTED);
    build(&f, true);
    f.layer.bias_params = NULL;
    f.layer.bias_count = 2;
    assert_int_equal(qn_metadata_of_layer(&f.layer, &arena, &f.out, &f.error), QONNX_E_UNSUPPORTED);
}

static void products_are_counted_by_kind_of_layer(void **state)
{
    const int64_t linear[] = { 7, 16 }, conv[] = { 6, 2, 3, 5 }, strides[] = { 2, 3 }, bad[] = { 6, -2, 3 };
    const int64_t huge[] = { 1, INT64_MAX, 3 }, none[] = { 3, 0, 3 };
    uint64_t      terms;
    qonnx_error   error = { 0 };

    (void)state;
    assert_int_equal(qn_layer_terms(false, linear, 2, NULL, &terms, &error), QONNX_OK);
    assert_int_equal(terms, 16);
    assert_int_equal(qn_layer_terms(false, conv, 4, NULL, &terms, &error), QONNX_OK);
    assert_int_equal(terms, 2 * 3 * 5);
    assert_int_equal(qn_layer_terms(true, conv, 4, strides, &terms, &error), QONNX_OK);
    assert_int_equal(terms, 2 * (2 + 2)); /* the sum over the dimensions, as Brevitas has it */
    assert_int_equal(qn_layer_terms(false, none, 3, NULL, &terms, &error), QONNX_OK);
    assert_int_equal(terms, 0);
    assert_int_equal(qn_layer_terms(false, bad, 3, NULL, &terms, &error), QONNX_E_FORMAT);
    error = (qonnx_error){ 0 };
    assert_int_equal(qn_layer_terms(false, linear, 1, NULL, &terms, &error), QONNX_E_FORMAT);
    error = (qonnx_error){ 0 };
    assert_int_equal(qn_layer_terms(false, huge, 3, NULL, &terms, &error), QONNX_E_LIMIT);
    error = (qonnx_error){ 0 };
    assert_int_equal(qn_layer_terms(true, huge, 3, (const int64_t[]){ 1 }, &terms, &error), QONNX_E_LIMIT);
}

static bool valid(struct qn_metadata meta, float x) { return qn_metadata_is_valid(&meta, &x, QN_LAYOUT_FLAT(1)); }

static void values_are_valid_within_a_fifth_of_a_step_and_the_full_range(void **state)
{
    const float        one = 1;
    struct qn_metadata meta = scaled(&one, 1);

    (void)state;
    assert_true(valid(meta, 5.19f));
    assert_false(valid(meta, 5.21f));
    assert_true(valid(meta, -128));
    assert_false(valid(meta, -129));
    assert_true(valid(meta, 127.1f));
    assert_false(valid(meta, 128));
    assert_false(valid(meta, NAN));
    assert_false(valid(meta, INFINITY));
    meta.is_signed = false;
    assert_true(valid(meta, 255));
    assert_false(valid(meta, 256));
    assert_false(valid(meta, -1));
    meta.known = false;
    assert_false(valid(meta, 1));
    meta = scaled(&one, 1);
    meta.scale_count = 2;
    assert_false(valid(meta, 1)); /* the layout has one channel */
}

static void each_channel_is_read_with_its_own_scale_and_zero_point(void **state)
{
    const float            scale[] = { 0.5f, 2 }, shift[] = { -1, 0.5f }, x[] = { 1, 1.5f, 1, 3 };
    const struct qn_layout layout = { 1, 2, 2 };
    struct qn_metadata     meta = scaled(scale, 2);
    int64_t                integers[4];
    qonnx_error            error = { 0 };

    (void)state;
    meta.zero_point = shift;
    assert_int_equal(qn_metadata_integers(&meta, x, layout, integers, &error), QONNX_OK);
    assert_int_equal(integers[0], 1);
    assert_int_equal(integers[1], 2);
    assert_int_equal(integers[2], 1);
    assert_int_equal(integers[3], 2);
    meta.scale = (const float[]){ 0.5f, 3 };
    assert_int_equal(qn_metadata_integers(&meta, x, layout, integers, &error), QONNX_E_DATA);
    assert_string_equal(error.message, "QuantTensor not valid.");
}

/* A float has 24 bits, so value / scale of a wide code is not within 0.2 of it. */
static void codes_of_biases_are_valid_whatever_a_float_makes_of_them(void **state)
{
    const float        scale = 2.63e-12f;
    struct qn_metadata meta = scaled(&scale, 1);

    (void)state;
    meta.bits = 24;
    for (int32_t code = -(1 << 23); code < 1 << 23; code += 997) {
        const float x = (float)code * scale;
        assert_true(qn_metadata_is_valid(&meta, &x, QN_LAYOUT_FLAT(1)));
    }
    meta.bits = 20;
    assert_false(qn_metadata_is_valid(&meta, (const float[]){ 0x1p22f * 2.63e-12f }, QN_LAYOUT_FLAT(1)));
    assert_false(qn_metadata_is_valid(&meta, (const float[]){ 1000.3f * 2.63e-12f }, QN_LAYOUT_FLAT(1)));
}

static void wide_integers_do_not_overflow(void **state)
{
    const float        one = 1, x[] = { 0x1p33f, -0x1p70f };
    struct qn_metadata meta = scaled(&one, 1);
    int64_t            integers[2];
    qonnx_error        error = { 0 };

    (void)state;
    meta.bits = 80;
    assert_int_equal(qn_metadata_integers(&meta, x, QN_LAYOUT_FLAT(2), integers, &error), QONNX_OK);
    assert_int_equal(integers[0], INT64_C(1) << 33);
    assert_int_equal(integers[1], -(INT64_C(1) << 62));
}

static void what_a_quantizer_puts_out_carries_its_parameters(void **state)
{
    struct qn_qparams  qp;
    struct qn_metadata meta;
    qonnx_error        error = { 0 };

    (void)state;
    assert_int_equal(qn_qparams_init(&qp, &arena, qn_qtype_find("uint8"), 4, false, 1, 3, &error), QONNX_OK);
    qp.zero_point[2] = 7;
    assert_int_equal(qn_metadata_of_params(&qp, &arena, &meta, &error), QONNX_OK);
    assert_true(meta.known);
    assert_int_equal(meta.bits, 4);
    assert_false(meta.is_signed);
    assert_int_equal(meta.axis, 1);
    assert_int_equal(meta.scale_count, 3);
    assert_same_float(meta.zero_point[2], 7);
}

static void out_of_memory_is_reported(void **state)
{
    (void)state;
    for (size_t nth = 1; nth <= 2; nth++) {
        struct fixture f;
        build(&f, true);
        qn_arena_inject_failure(nth, false);
        assert_int_equal(qn_metadata_of_layer(&f.layer, &arena, &f.out, &f.error), QONNX_E_NOMEM);
        qn_arena_inject_failure(0, false);
        qn_arena_release(&arena);
    }
}

#define TEST(f) cmocka_unit_test_teardown(f, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_convolution_with_its_own_bias_scales_has_a_zero_point_as_in_brevitas_0_13),
        TEST(compared_channel_by_channel_the_zero_point_is_zero),
        TEST(scales_closer_than_1e_8_count_as_equal),
        TEST(scales_closer_than_a_hundred_thousandth_count_as_equal),
        TEST(a_float_bias_is_a_zero_point_that_need_not_be_whole),
        TEST(the_tutorial_convolution_has_21_bits_and_22_with_an_8_bit_bias),
        TEST(the_output_is_signed_if_an_operand_is),
        TEST(float_and_shifted_operands_leave_nothing_known),
        TEST(operands_of_different_lengths_are_refused),
        TEST(products_are_counted_by_kind_of_layer),
        TEST(values_are_valid_within_a_fifth_of_a_step_and_the_full_range),
        TEST(each_channel_is_read_with_its_own_scale_and_zero_point),
        TEST(codes_of_biases_are_valid_whatever_a_float_makes_of_them),
        TEST(wide_integers_do_not_overflow),
        TEST(what_a_quantizer_puts_out_carries_its_parameters),
        TEST(out_of_memory_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
