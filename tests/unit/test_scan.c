/* SPDX-License-Identifier: Apache-2.0
 * Constants that are looked at in slabs say the same as when they are looked at whole. */
#include <math.h>
#include <stdlib.h>

#include "cmocka_all.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"
#include "plan/scan.h"
#include "random.h"

enum { COUNT = 3 * 1100000 }; /* more than a slab, and no multiple of one */

static float          *values;
static struct qn_arena arena;
static struct qn_model model;

static int setup(void **state)
{
    struct rng rng = { 7 };

    (void)state;
    values = malloc(COUNT * sizeof *values);
    for (size_t i = 0; i < COUNT; i++) values[i] = rng_between(&rng, -0.4f, 0.6f);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(values);
    qn_arena_release(&arena);
    return 0;
}

static const struct qn_layout layouts[] = {
    { 1, 1, COUNT }, { 1, 1100, COUNT / 1100 }, { 3, 1100, 1000 }, { 3000, 1100, 1 }, { 3, 1100000, 1 }
};

static void slabs_say_what_the_whole_says(void **state)
{
    Onnx__TensorProto *tensor =
        qn_tensor_new(&arena, "w", QN_FLOAT, 1, (const int64_t[]){ COUNT }, values, COUNT * sizeof *values);
    float *absmax = malloc(COUNT * sizeof *absmax), *wanted = malloc(COUNT * sizeof *wanted);

    (void)state;
    for (size_t l = 0; l < sizeof layouts / sizeof *layouts; l++) {
        const struct qn_layout layout = layouts[l];
        struct qn_qparams      params;
        struct qn_error_sums   sums, first = { 0 }, whole;
        size_t                 clamped;
        double                 power;
        bool                   finite = false;
        assert_int_equal(qn_channel_absmax(values, layout, wanted, 2, NULL), QONNX_OK);
        assert_int_equal(qn_qparams_init(&params, &arena, qn_qtype_find("int8"), 8, true, layout.channels > 1 ? 1 : -1,
                                         layout.channels, NULL),
                         QONNX_OK);
        for (size_t c = 0; c < layout.channels; c++) qn_qparams_set_symmetric(&params, c, wanted[c], 127);
        assert_int_equal(qn_quantization_error(values, layout, &params, NULL, &whole, 2, NULL), QONNX_OK);
        for (int threads = 1; threads < 4; threads++) {
            const struct qn_scanned scanned = { &model, tensor, layout, threads };
            assert_int_equal(qn_scan_absmax(&scanned, absmax, &finite, &power, NULL), QONNX_OK);
            assert_true(finite);
            assert_memory_equal(absmax, wanted, layout.channels * sizeof *absmax);
            assert_int_equal(qn_scan_error(&scanned, &params, &sums, &clamped, NULL), QONNX_OK);
            assert_true(fabs(sums.noise / whole.noise - 1) < 1e-9 && fabs(sums.signal / whole.signal - 1) < 1e-9);
            assert_true(fabs(power / whole.signal - 1) < 1e-4);
            if (threads == 1) first = sums;
            assert_memory_equal(&sums, &first, sizeof sums); /* to the last bit */
        }
    }
    free(absmax);
    free(wanted);
}

static void parts_have_the_codes_of_the_whole(void **state)
{
    int8_t *whole = malloc(COUNT), *parts = malloc(COUNT);

    (void)state;
    for (size_t l = 0; l < sizeof layouts / sizeof *layouts; l++) {
        const struct qn_layout layout = layouts[l];
        struct qn_qparams      params;
        assert_int_equal(qn_qparams_init(&params, &arena, qn_qtype_find("int8"), 8, true, layout.channels > 1 ? 1 : -1,
                                         layout.channels, NULL),
                         QONNX_OK);
        for (size_t c = 0; c < layout.channels; c++) qn_qparams_set_symmetric(&params, c, 0.3f + (float)(c % 7), 127);
        assert_int_equal(qn_quantize(values, layout, &params, QN_ROUND_THEN_SHIFT, whole, 2, NULL), QONNX_OK);
        for (size_t at = 0, n; at < COUNT; at += n) {
            n = COUNT - at < 77777 ? COUNT - at : 77777;
            assert_int_equal(qn_quantize_part(values + at, at, n, layout, &params, QN_ROUND_THEN_SHIFT, parts + at,
                                              NULL),
                             QONNX_OK);
        }
        assert_memory_equal(parts, whole, COUNT);
    }
    free(whole);
    free(parts);
}

static void one_value_that_is_not_finite_is_seen(void **state)
{
    static const float odd[] = { NAN, INFINITY, -INFINITY };
    Onnx__TensorProto *tensor =
        qn_tensor_new(&arena, "w", QN_FLOAT, 1, (const int64_t[]){ COUNT }, values, COUNT * sizeof *values);
    static const size_t places[] = { 0, 16, 8191, 2000003, COUNT - 1 };

    (void)state;
    for (size_t i = 0; i < 3; i++)
        for (size_t k = 0; k < sizeof places / sizeof *places; k++) {
            const struct qn_scanned scanned = { &model, tensor, QN_LAYOUT_FLAT(COUNT), 2 };
            const float             kept = values[places[k]];
            float                   absmax;
            double                  power;
            bool                    finite = true;
            values[places[k]] = odd[i];
            assert_int_equal(qn_scan_absmax(&scanned, &absmax, &finite, &power, NULL), QONNX_OK);
            assert_false(finite);
            finite = true;
            assert_int_equal(qn_scan_absmax(&scanned, NULL, &finite, &power, NULL), QONNX_OK);
            values[places[k]] = kept;
            assert_false(finite);
        }
}

static void squares_that_overflow_are_no_infinities(void **state)
{
    Onnx__TensorProto *tensor =
        qn_tensor_new(&arena, "w", QN_FLOAT, 1, (const int64_t[]){ COUNT }, values, COUNT * sizeof *values);
    const struct qn_scanned scanned = { &model, tensor, QN_LAYOUT_FLAT(COUNT), 2 };
    const float             kept = values[5];
    float                   absmax;
    double                  power;
    bool                    finite = false;

    (void)state;
    values[5] = 1e30f;
    assert_int_equal(qn_scan_absmax(&scanned, &absmax, &finite, &power, NULL), QONNX_OK);
    values[5] = kept;
    assert_true(finite && absmax == 1e30f && power > 0 && power < 1e9); /* those around it are left out */
}

static void what_is_not_made_of_numbers_is_an_error(void **state)
{
    Onnx__TensorProto *tensor =
        qn_tensor_new(&arena, "w", ONNX__TENSOR_PROTO__DATA_TYPE__COMPLEX64, 1, (const int64_t[]){ 4 }, values, 32);
    const struct qn_scanned scanned = { &model, tensor, QN_LAYOUT_FLAT(4), 1 };
    qonnx_error             err = { 0 };
    float                   absmax;
    double                  power;
    bool                    finite;

    (void)state;
    assert_int_equal(qn_scan_absmax(&scanned, &absmax, &finite, &power, &err), QONNX_E_UNSUPPORTED);
    assert_string_equal(err.message, "'w' cannot be read as float");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slabs_say_what_the_whole_says),
        cmocka_unit_test(parts_have_the_codes_of_the_whole),
        cmocka_unit_test(one_value_that_is_not_finite_is_seen),
        cmocka_unit_test(squares_that_overflow_are_no_infinities),
        cmocka_unit_test(what_is_not_made_of_numbers_is_an_error),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
