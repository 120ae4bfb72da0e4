/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "cmocka_all.h"
#include "quant/pack.h"

/* Parameters over plain arrays, for tests. */
static struct qn_qparams params(const char *type, size_t count, float *scale, int32_t *zero_point)
{
    const struct qn_qtype *found = qn_qtype_find(type);

    return (struct qn_qparams){ .type = found,
                                .bits = found->bits,
                                .is_signed = found->is_signed,
                                .lo = found->lo,
                                .hi = found->hi,
                                .axis = count > 1 ? 0 : -1,
                                .count = count,
                                .scale = scale,
                                .zero_point = zero_point };
}

static void layout_splits_dims_at_the_axis(void **state)
{
    const int64_t    dims[] = { 2, 3, 4, 5 };
    struct qn_layout layout;

    (void)state;
    assert_int_equal(qn_layout_init(&layout, dims, 4, 1, NULL), QONNX_OK);
    assert_int_equal(layout.outer, 2);
    assert_int_equal(layout.channels, 3);
    assert_int_equal(layout.inner, 20);
    assert_int_equal(qn_layout_init(&layout, dims, 4, -1, NULL), QONNX_OK);
    assert_int_equal(layout.outer, 24);
    assert_int_equal(layout.channels, 5);
    assert_int_equal(layout.inner, 1);
    assert_int_equal(qn_layout_init(&layout, dims, 4, QN_NO_AXIS, NULL), QONNX_OK);
    assert_int_equal(layout.channels, 1);
    assert_int_equal(qn_layout_count(layout), 120);
    assert_int_equal(qn_layout_init(&layout, dims, 0, QN_NO_AXIS, NULL), QONNX_OK);
    assert_int_equal(qn_layout_count(layout), 1);
}

static void bad_axes_and_dims_are_errors(void **state)
{
    const int64_t    dims[] = { 2, -3 }, huge[] = { INT64_MAX, 4 }, empty[] = { 0, INT64_MAX, INT64_MAX };
    struct qn_layout layout;
    qonnx_error      err = { 0 };

    (void)state;
    assert_int_equal(qn_layout_init(&layout, huge, 2, 2, &err), QONNX_E_FORMAT);
    assert_string_equal(err.message, "axis 2 is outside a tensor of rank 2");
    assert_int_equal(qn_layout_init(&layout, huge, 2, -3, NULL), QONNX_E_FORMAT);
    assert_int_equal(qn_layout_init(&layout, huge, 0, 0, NULL), QONNX_E_FORMAT);
    assert_int_equal(qn_layout_init(&layout, dims, 2, 0, NULL), QONNX_E_FORMAT);
    assert_int_equal(qn_layout_init(&layout, huge, 2, 0, NULL), QONNX_E_LIMIT);
    assert_int_equal(qn_layout_init(&layout, huge, 2, QN_NO_AXIS, NULL), QONNX_E_LIMIT);
    assert_int_equal(qn_layout_init(&layout, empty, 3, 0, NULL), QONNX_E_LIMIT);
}

static void onnx_rounds_before_the_zero_point_and_brevitas_after(void **state)
{
    const float       x[] = { 0.5f, 1.5f, -0.5f, 2.5f };
    float             scale = 1;
    int32_t           zero_point = 1;
    struct qn_qparams qp = params("int8", 1, &scale, &zero_point);
    int8_t            codes[4];

    (void)state;
    assert_int_equal(qn_quantize(x, QN_LAYOUT_FLAT(4), &qp, QN_ROUND_THEN_SHIFT, codes, 1, NULL), QONNX_OK);
    assert_memory_equal(codes, ((int8_t[]){ 1, 3, 1, 3 }), 4);
    assert_int_equal(qn_quantize(x, QN_LAYOUT_FLAT(4), &qp, QN_SHIFT_THEN_ROUND, codes, 1, NULL), QONNX_OK);
    assert_memory_equal(codes, ((int8_t[]){ 2, 2, 0, 4 }), 4);
}

static void the_division_is_a_division(void **state)
{
    float             scale = 0.0123f;
    int32_t           zero_point = 0;
    struct qn_qparams qp = params("int32", 1, &scale, &zero_point);
    int               differing = 0;

    (void)state;
    for (int i = 1; i < 4000; i++) {
        const float at = ((float)i + 0.5f) * scale; /* next to a tie, where the two disagree most */
        int32_t     code;
        assert_int_equal(qn_quantize(&at, QN_LAYOUT_FLAT(1), &qp, QN_ROUND_THEN_SHIFT, &code, 1, NULL), QONNX_OK);
        assert_int_equal(code, (int32_t)rintf(at / scale));
        differing += code != (int32_t)rintf(at * (1 / scale));
    }
    assert_true(differing > 0);
}

static void codes_saturate_and_nan_gives_the_lowest(void **state)
{
    const float       x[] = { 1e30f, -1e30f, INFINITY, -INFINITY, NAN, 3e9f };
    float             scale = 0.1f;
    int32_t           zero_point = 3;
    struct qn_qparams qp = params("int8", 1, &scale, &zero_point);
    int8_t            narrow[6];
    int32_t           wide[6];

    (void)state;
    assert_int_equal(qn_quantize(x, QN_LAYOUT_FLAT(6), &qp, QN_ROUND_THEN_SHIFT, narrow, 1, NULL), QONNX_OK);
    assert_memory_equal(narrow, ((int8_t[]){ 127, -128, 127, -128, -128, 127 }), 6);
    qp = params("int32", 1, &scale, &zero_point);
    assert_int_equal(qn_quantize(x, QN_LAYOUT_FLAT(6), &qp, QN_ROUND_THEN_SHIFT, wide, 1, NULL), QONNX_OK);
    assert_memory_equal(wide, ((int32_t[]){ INT32_MAX, INT32_MIN, INT32_MAX, INT32_MIN, INT32_MIN, INT32_MAX }),
                        sizeof wide);
    qp.lo = -7;
    qp.hi = 7;
    assert_int_equal(qn_quantize(x, QN_LAYOUT_FLAT(6), &qp, QN_SHIFT_THEN_ROUND, wide, 1, NULL), QONNX_OK);
    assert_memory_equal(wide, ((int32_t[]){ 7, -7, 7, -7, -7, 7 }), sizeof wide);
}

static void each_channel_has_its_scale_on_any_axis(void **state)
{
    const float       x[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };
    float             scale[] = { 1, 0.5f, 0.25f }, back[12];
    int32_t           zero_point[] = { 0, 1, 2 };
    struct qn_qparams qp = params("uint8", 3, scale, zero_point);
    uint8_t           codes[12];

    (void)state;
    /* [2][3][2], then the same values as [4][3]. */
    assert_int_equal(qn_quantize(x, (struct qn_layout){ 2, 3, 2 }, &qp, 0, codes, 1, NULL), QONNX_OK);
    assert_memory_equal(codes, ((uint8_t[]){ 1, 2, 7, 9, 22, 26, 7, 8, 19, 21, 46, 50 }), 12);
    assert_int_equal(qn_quantize(x, (struct qn_layout){ 4, 3, 1 }, &qp, 0, codes, 1, NULL), QONNX_OK);
    assert_memory_equal(codes, ((uint8_t[]){ 1, 5, 14, 4, 11, 26, 7, 17, 38, 10, 23, 50 }), 12);
    assert_int_equal(qn_dequantize(codes, (struct qn_layout){ 4, 3, 1 }, &qp, back, 1, NULL), QONNX_OK);
    assert_memory_equal(back, x, sizeof x);
    assert_int_equal(qn_quantize(x, (struct qn_layout){ 3, 4, 1 }, &qp, 0, codes, 1, NULL), QONNX_E_INTERNAL);
}

static void four_and_two_bit_codes_start_in_the_low_bits(void **state)
{
    const int8_t  four[] = { -8, 7, -1 }, two[] = { -2, 1, -1, 0, 1 };
    const uint8_t unsigned_two[] = { 3, 0, 1, 2, 3 };
    int8_t        back[5];
    uint8_t       bytes[3] = { 0xff, 0xff, 0xff };

    (void)state;
    qn_pack(qn_qtype_find("int4"), four, 3, bytes);
    assert_memory_equal(bytes, ((uint8_t[]){ 0x78, 0x0f, 0xff }), 3);
    qn_unpack(qn_qtype_find("int4"), bytes, 3, back);
    assert_memory_equal(back, four, 3);
    qn_pack(qn_qtype_find("int2"), two, 5, bytes);
    assert_memory_equal(bytes, ((uint8_t[]){ 0x36, 0x01, 0xff }), 3);
    qn_unpack(qn_qtype_find("int2"), bytes, 5, back);
    assert_memory_equal(back, two, 5);
    qn_pack(qn_qtype_find("uint2"), unsigned_two, 5, bytes);
    assert_memory_equal(bytes, ((uint8_t[]){ 0x93, 0x03, 0xff }), 3);
    qn_unpack(qn_qtype_find("uint2"), bytes, 5, back);
    assert_memory_equal(back, unsigned_two, 5);
}

static void wide_codes_are_copied(void **state)
{
    const int16_t codes[] = { -2, 300, 5 };
    int16_t       bytes[3], back[3];

    (void)state;
    qn_pack(qn_qtype_find("int16"), codes, 3, bytes);
    assert_memory_equal(bytes, codes, sizeof codes);
    qn_unpack(qn_qtype_find("int16"), bytes, 3, back);
    assert_memory_equal(back, codes, sizeof codes);
}

static void channel_ranges_pass_over_nan(void **state)
{
    const float           x[] = { 1, NAN, -3, 2, NAN, NAN, -0.0f, 0, INFINITY, 5, 6, 7 };
    const struct qn_range rows[] = { { 1, 1 }, { -3, 2 }, QN_RANGE_EMPTY, { 0, 0 }, { 5, INFINITY }, { 6, 7 } };
    struct qn_range       got[6];
    float                 absmax[6];

    (void)state;
    assert_int_equal(qn_channel_ranges(x, (struct qn_layout){ 1, 6, 2 }, got, 1, NULL), QONNX_OK);
    assert_memory_equal(got, rows, sizeof rows);
    assert_int_equal(qn_channel_absmax(x, (struct qn_layout){ 1, 6, 2 }, absmax, 1, NULL), QONNX_OK);
    assert_memory_equal(absmax, ((float[]){ 1, 3, 0, 0, INFINITY, 7 }), sizeof absmax);
    assert_int_equal(qn_channel_ranges(x, (struct qn_layout){ 4, 3, 1 }, got, 1, NULL), QONNX_OK);
    assert_memory_equal(got, ((struct qn_range[]){ { 0, 5 }, { 0, 6 }, { -3, INFINITY } }), 3 * sizeof *got);
    assert_int_equal(qn_channel_ranges(x, QN_LAYOUT_FLAT(12), got, 1, NULL), QONNX_OK);
    assert_memory_equal(got, ((struct qn_range[]){ { -3, INFINITY } }), sizeof *got);
    assert_int_equal(qn_channel_absmax(x, QN_LAYOUT_FLAT(0), absmax, 1, NULL), QONNX_OK);
    assert_float_equal(absmax[0], 0, 0);
}

static void quantization_error_is_measured_against_the_dequantized_value(void **state)
{
    const float          x[] = { 0.25f, 1.0f, -2.5f, NAN, 300.0f };
    float                scale = 1;
    int32_t              zero_point = 0;
    struct qn_qparams    qp = params("int8", 1, &scale, &zero_point);
    struct qn_error_sums sums;

    (void)state;
    assert_int_equal(qn_quantization_error(x, QN_LAYOUT_FLAT(5), &qp, NULL, &sums, 1, NULL), QONNX_OK);
    assert_true(sums.signal == 0.0625 + 1 + 6.25 + 90000);
    assert_true(sums.noise == 0.0625 + 0 + 0.25 + 173.0 * 173);
    assert_true(qn_sqnr_db((struct qn_error_sums){ 100, 1 }) == 20);
    assert_true(qn_sqnr_db((struct qn_error_sums){ 100, 0 }) == QN_SQNR_MAX);
    assert_true(qn_sqnr_db((struct qn_error_sums){ 0, 0 }) == QN_SQNR_MAX);
    assert_true(qn_sqnr_db((struct qn_error_sums){ 0, 1 }) == -QN_SQNR_MAX);
    assert_true(qn_sqnr_db((struct qn_error_sums){ 1e-300, 1e300 }) == -QN_SQNR_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layout_splits_dims_at_the_axis),
        cmocka_unit_test(bad_axes_and_dims_are_errors),
        cmocka_unit_test(onnx_rounds_before_the_zero_point_and_brevitas_after),
        cmocka_unit_test(the_division_is_a_division),
        cmocka_unit_test(codes_saturate_and_nan_gives_the_lowest),
        cmocka_unit_test(each_channel_has_its_scale_on_any_axis),
        cmocka_unit_test(four_and_two_bit_codes_start_in_the_low_bits),
        cmocka_unit_test(wide_codes_are_copied),
        cmocka_unit_test(channel_ranges_pass_over_nan),
        cmocka_unit_test(quantization_error_is_measured_against_the_dequantized_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
