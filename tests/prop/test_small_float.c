/* SPDX-License-Identifier: Apache-2.0
 * Small floats against their definition: every finite value is its own code, and everything between two goes to the nearer
 * one, ties to the even. */
#include <math.h>
#include <string.h>

#include "cmocka_all.h"
#include "quant/small_float.h"
#include "random.h"

static const char *const names[] = { "float16", "bfloat16", "float8e4m3fn" };
enum { TYPES = 3 };

static const struct qn_small_float *type_of(const char *name) { return qn_qtype_find(name)->floating; }

static uint32_t code_of(const struct qn_small_float *type, float x)
{
    uint16_t wide = 0;
    uint8_t  narrow = 0;

    qn_small_floats(type, &x, 0, 1, QN_LAYOUT_FLAT(1), NULL, type->bits == 16 ? (void *)&wide : (void *)&narrow, NULL,
                    NULL);
    return type->bits == 16 ? wide : narrow;
}

static void values_known_from_their_definition(void **state)
{
    static const struct {
        const char *name;
        float       x;
        uint32_t    code;
    } cases[] = {
        { "float16", 1, 0x3c00 },
        { "float16", -2, 0xc000 },
        { "float16", 65504, 0x7bff },
        { "float16", 1e30f, 0x7bff },
        { "float16", 0x1p-24f, 1 },
        { "float16", 0x1p-25f, 0 },
        { "float16", 0x1.8p-25f, 1 },
        { "float16", 0x1p-14f, 0x400 },
        { "float16", 0x1.002p0f, 0x3c00 },
        { "float16", 0x1.006p0f, 0x3c02 },
        { "bfloat16", 1, 0x3f80 },
        { "bfloat16", 0x1.01p0f, 0x3f80 },
        { "bfloat16", 0x1.03p0f, 0x3f82 },
        { "bfloat16", 0x1.fffffep127f, 0x7f7f },
        { "bfloat16", -0.0f, 0x8000 },
        { "float8e4m3fn", 1, 0x38 },
        { "float8e4m3fn", 448, 0x7e },
        { "float8e4m3fn", 480, 0x7e },
        { "float8e4m3fn", 1e9f, 0x7e },
        { "float8e4m3fn", 0x1p-9f, 1 },
        { "float8e4m3fn", -0x1p-10f, 0x80 },
        { "float8e4m3fn", 0x1.8p-9f, 2 },
        { "float8e4m3fn", 0x1p-6f, 8 },
        { "float8e4m3fn", -17, 0xd8 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(code_of(type_of(cases[i].name), cases[i].x), cases[i].code);
    assert_null(type_of("int8"));
}

static void each_value_goes_to_the_nearest(void **state)
{
    struct rng rng = { 3 };

    (void)state;
    for (size_t t = 0; t < TYPES; t++) {
        const struct qn_small_float *type = type_of(names[t]);
        for (uint32_t code = 0; code < type->largest; code++) {
            const float low = qn_small_float_value(type, code), high = qn_small_float_value(type, code + 1);
            const float middle = low + (high - low) / 2, some = low + (high - low) * rng_between(&rng, 0.01f, 0.49f);
            assert_true(low < high);
            assert_int_equal(code_of(type, low), code);
            assert_int_equal(code_of(type, -low), code | 1u << (type->bits - 1));
            if (!(low < middle && middle < high)) continue;
            assert_int_equal(code_of(type, middle), code + (code & 1));
            assert_int_equal(code_of(type, some), code);
            assert_int_equal(code_of(type, high - (some - low)), code + 1);
        }
    }
}

static void parts_scales_and_losses_agree(void **state)
{
    enum { COUNT = 700 };
    const struct qn_small_float *type = type_of("float8e4m3fn");
    const struct qn_layout       layout = { 2, 7, 50 };
    struct qn_error_sums         lost = { 0, 0 };
    struct rng                   rng = { 4 };
    float                        x[COUNT], scale[7];
    uint8_t                      whole[COUNT], parts[COUNT];
    size_t                       clamped = 0;
    double                       noise = 0;

    (void)state;
    for (int i = 0; i < 7; i++) scale[i] = rng_between(&rng, 1e-3f, 1);
    for (int i = 0; i < COUNT; i++) x[i] = rng_between(&rng, -300, 300) * scale[i / 50 % 7];
    x[13] = 1000 * scale[0];
    qn_small_floats(type, x, 0, COUNT, layout, scale, whole, &lost, &clamped);
    for (size_t at = 0; at < COUNT; at += 90)
        qn_small_floats(type, x + at, at, COUNT - at < 90 ? COUNT - at : 90, layout, scale, parts + at, NULL, NULL);
    assert_memory_equal(whole, parts, COUNT);
    assert_int_equal(clamped, 1);
    for (int i = 0; i < COUNT; i++) {
        const double back = (double)qn_small_float_value(type, whole[i] & 0x7f) * (double)scale[i / 50 % 7] *
                            (whole[i] & 0x80 ? -1 : 1);
        noise += ((double)x[i] - back) * ((double)x[i] - back);
    }
    assert_true(fabs(noise - lost.noise) <= noise * 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_known_from_their_definition),
        cmocka_unit_test(each_value_goes_to_the_nearest),
        cmocka_unit_test(parts_scales_and_losses_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
