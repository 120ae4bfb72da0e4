/* SPDX-License-Identifier: Apache-2.0
 * What must hold for codes of any tensor: the error bound, idempotence, the same bytes from every instruction set and
 * number of threads. */
#include <math.h>
#include <stdlib.h>

#include "cmocka_all.h"
#include "quant/pack.h"
#include "random.h"

enum { MOST_CHANNELS = 300 };
struct setup {
    float             scale[MOST_CHANNELS];
    int32_t           zero_point[MOST_CHANNELS];
    struct qn_qparams qp;
};

static void setup(struct setup *s, const struct qn_qtype *type, size_t count, struct rng *rng)
{
    s->qp = (struct qn_qparams){ .type = type,
                                 .bits = type->bits,
                                 .is_signed = type->is_signed,
                                 .lo = type->lo,
                                 .hi = type->hi,
                                 .axis = count > 1 ? 0 : -1,
                                 .count = count,
                                 .scale = s->scale,
                                 .zero_point = s->zero_point };
    for (size_t i = 0; i < count; i++) {
        if (type->bits == 32) {
            s->scale[i] = rng_between(rng, 1e-7f, 1e-6f);
            s->zero_point[i] = 0;
        } else {
            qn_qparams_set_affine(&s->qp, i, (struct qn_range){ -rng_between(rng, 0, 3), rng_between(rng, 0.01f, 5) },
                                  QN_UNBOUNDED);
        }
    }
}

/* One element at a time, in the order of operations that ONNX and Brevitas prescribe; this file is compiled for the
 * plain instruction set. */
static int32_t plain_code(float x, const struct qn_qparams *qp, size_t slot, enum qn_rounding rounding)
{
    const float  quotient = x / qp->scale[slot];
    const double code = rounding == QN_ROUND_THEN_SHIFT ? (double)rintf(quotient) + qp->zero_point[slot]
                                                        : (double)rintf(quotient + (float)qp->zero_point[slot]);

    if (!(code > qp->lo)) return qp->lo;
    return code < qp->hi ? (int32_t)code : qp->hi;
}

static int32_t code_at(const void *codes, const struct qn_qtype *type, size_t i)
{
    switch (type->code_size) {
    case 1: return type->is_signed ? ((const int8_t *)codes)[i] : ((const uint8_t *)codes)[i];
    case 2: return type->is_signed ? ((const int16_t *)codes)[i] : ((const uint16_t *)codes)[i];
    default: return ((const int32_t *)codes)[i];
    }
}

static float some_float(struct rng *rng)
{
    return rng_below(rng, 50) ? 2 * rng_normal(rng) : rng_any_float(rng); /* odd ones among them */
}

static void vector_code_equals_plain_code_for_every_type_and_layout(void **state)
{
    static const struct qn_layout layouts[] = { { 1, 1, 5000 }, { 3, 7, 240 },  { 70, 71, 1 },
                                                { 1, 300, 17 }, { 5, 1, 1000 }, { 2, 3, 1 } };
    static float                  x[10000], back[10000];
    static int32_t                codes[10000];
    static struct setup           s;
    struct rng                    rng = { 21 };
    const struct qn_qtype        *type;

    (void)state;
    for (size_t t = 0; (type = qn_qtype_at(t)); t++) {
        for (size_t l = 0; l < 2 * sizeof layouts / sizeof layouts[0]; l++) {
            const struct qn_layout layout = layouts[l / 2];
            const enum qn_rounding rounding = l % 2 ? QN_SHIFT_THEN_ROUND : QN_ROUND_THEN_SHIFT;
            const size_t           n = qn_layout_count(layout);
            for (size_t i = 0; i < n; i++) x[i] = some_float(&rng);
            setup(&s, type, layout.channels, &rng);
            assert_int_equal(qn_quantize(x, layout, &s.qp, rounding, codes, 1, NULL), QONNX_OK);
            assert_int_equal(qn_dequantize(codes, layout, &s.qp, back, 1, NULL), QONNX_OK);
            for (size_t i = 0; i < n; i++) {
                const size_t  slot = i / layout.inner % layout.channels;
                const int32_t code = code_at(codes, type, i);
                const float   value = (float)((double)code - s.zero_point[slot]) * s.scale[slot];
                if (code != plain_code(x[i], &s.qp, slot, rounding))
                    fail_msg("%s layout %zu: %a / %a + %d gave %d", type->name, l / 2, (double)x[i],
                             (double)s.scale[slot], s.zero_point[slot], code);
                assert_memory_equal(&back[i], &value, sizeof value);
            }
        }
    }
}

static void error_is_at_most_half_a_step_inside_the_range(void **state)
{
    static float        x[4096], back[4096];
    static int32_t      codes[4096];
    static struct setup s;
    struct rng          rng = { 22 };

    (void)state;
    for (int round = 0; round < 300; round++) {
        const struct qn_qtype *type = qn_qtype_at((size_t)round % 9);
        struct qn_range        range;
        double                 limit;
        setup(&s, type, 1, &rng);
        range = qn_qparams_range(&s.qp, 0);
        for (size_t i = 0; i < 4096; i++) x[i] = rng_between(&rng, range.min, range.max);
        assert_int_equal(qn_quantize(x, QN_LAYOUT_FLAT(4096), &s.qp, 0, codes, 1, NULL), QONNX_OK);
        assert_int_equal(qn_dequantize(codes, QN_LAYOUT_FLAT(4096), &s.qp, back, 1, NULL), QONNX_OK);
        /* float32 itself adds an ulp of the largest value: that is all there is at 32 bits. */
        limit = s.scale[0] / 2.0 + fmax(-(double)range.min, range.max) * 0x1p-22;
        for (size_t i = 0; i < 4096; i++) assert_true(fabs((double)x[i] - back[i]) <= limit);
    }
}

static void quantizing_a_dequantized_code_gives_it_back(void **state)
{
    static float        back[65536];
    static int32_t      codes[65536], again[65536];
    static struct setup s;
    struct rng          rng = { 23 };

    (void)state;
    for (int round = 0; round < 200; round++) {
        const struct qn_qtype *type = qn_qtype_at((size_t)round % 9);
        const size_t           n = type->bits <= 16 ? (size_t)1 << type->bits : 65536;
        setup(&s, type, 1, &rng);
        for (size_t i = 0; i < n; i++) {
            /* float32 holds a little over 2^21 codes exactly enough on either side, whatever the storage. */
            const int64_t code =
                type->bits <= 16 ? type->lo + (int64_t)i : (int64_t)rng_below(&rng, 1 << 22) - (1 << 21);
            switch (type->code_size) {
            case 1: ((uint8_t *)codes)[i] = (uint8_t)code; break;
            case 2: ((uint16_t *)codes)[i] = (uint16_t)code; break;
            default: codes[i] = (int32_t)code;
            }
        }
        assert_int_equal(qn_dequantize(codes, QN_LAYOUT_FLAT(n), &s.qp, back, 1, NULL), QONNX_OK);
        assert_int_equal(qn_quantize(back, QN_LAYOUT_FLAT(n), &s.qp, QN_ROUND_THEN_SHIFT, again, 1, NULL), QONNX_OK);
        assert_memory_equal(again, codes, n * type->code_size);
        assert_int_equal(qn_quantize(back, QN_LAYOUT_FLAT(n), &s.qp, QN_SHIFT_THEN_ROUND, again, 1, NULL), QONNX_OK);
        assert_memory_equal(again, codes, n * type->code_size);
    }
}

static void zero_maps_exactly_to_the_zero_point(void **state)
{
    static struct setup s;
    struct rng          rng = { 24 };
    const float         zeros[] = { 0, -0.0f };

    (void)state;
    for (int round = 0; round < 20000; round++) {
        int32_t codes[2];
        float   back[2];
        setup(&s, qn_qtype_at((size_t)round % 9), 1, &rng);
        assert_int_equal(qn_quantize(zeros, QN_LAYOUT_FLAT(2), &s.qp, (enum qn_rounding)(round % 2), codes, 1, NULL),
                         QONNX_OK);
        assert_int_equal(code_at(codes, s.qp.type, 0), s.zero_point[0]);
        assert_int_equal(code_at(codes, s.qp.type, 1), s.zero_point[0]);
        assert_int_equal(qn_dequantize(codes, QN_LAYOUT_FLAT(2), &s.qp, back, 1, NULL), QONNX_OK);
        assert_true(back[0] == 0 && back[1] == 0);
    }
}

static void one_thread_and_eight_write_the_same_bytes(void **state)
{
    static const struct qn_layout layouts[] = {
        { 1, 1, 700001 }, { 2, 300, 1201 }, { 3001, 257, 1 }, { 80001, 1, 9 }, { 1, 8, 90001 }
    };
    enum { MOST = 800000 };
    float              *x = calloc(MOST, sizeof *x), *back[2] = { calloc(MOST, sizeof *x), calloc(MOST, sizeof *x) };
    int8_t             *codes[2] = { calloc(MOST, 1), calloc(MOST, 1) };
    struct qn_range     ranges[2][MOST_CHANNELS];
    float               absmax[2][MOST_CHANNELS];
    static struct setup s;
    struct rng          rng = { 25 };

    (void)state;
    assert_true(x && back[0] && back[1] && codes[0] && codes[1]);
    for (size_t l = 0; l < sizeof layouts / sizeof layouts[0]; l++) {
        const struct qn_layout layout = layouts[l];
        const size_t           n = qn_layout_count(layout);
        struct qn_error_sums   sums[2];
        assert_in_range(n, 1 << 18, MOST);
        for (size_t i = 0; i < n; i++) x[i] = some_float(&rng);
        setup(&s, qn_qtype_find("int8"), layout.channels, &rng);
        for (int k = 0; k < 2; k++) {
            const int threads = k ? 8 : 1;
            assert_int_equal(qn_quantize(x, layout, &s.qp, QN_ROUND_THEN_SHIFT, codes[k], threads, NULL), QONNX_OK);
            assert_int_equal(qn_dequantize(codes[k], layout, &s.qp, back[k], threads, NULL), QONNX_OK);
            assert_int_equal(qn_quantization_error(x, layout, &s.qp, NULL, &sums[k], threads, NULL), QONNX_OK);
            assert_int_equal(qn_channel_ranges(x, layout, ranges[k], threads, NULL), QONNX_OK);
            assert_int_equal(qn_channel_absmax(x, layout, absmax[k], threads, NULL), QONNX_OK);
        }
        assert_memory_equal(codes[0], codes[1], n);
        assert_memory_equal(back[0], back[1], n * sizeof *x);
        assert_memory_equal(&sums[0], &sums[1], sizeof sums[0]);
        assert_memory_equal(ranges[0], ranges[1], layout.channels * sizeof ranges[0][0]);
        assert_memory_equal(absmax[0], absmax[1], layout.channels * sizeof absmax[0][0]);
        for (size_t c = 0; c < layout.channels; c++) {
            const float low = fabsf(ranges[0][c].min), high = fabsf(ranges[0][c].max);
            assert_true(absmax[0][c] == (low > high ? low : high));
        }
    }
    for (int k = 0; k < 2; k++) {
        free(back[k]);
        free(codes[k]);
    }
    free(x);
}

static void unpacking_gives_back_what_was_packed(void **state)
{
    static int32_t         codes[1000], back[1000];
    static uint8_t         bytes[4001];
    struct rng             rng = { 26 };
    const struct qn_qtype *type;

    (void)state;
    for (size_t t = 0; (type = qn_qtype_at(t)); t++) {
        for (size_t n = 0; n < 1000; n += 1 + n / 8) {
            const size_t size = qn_qtype_bytes(type, n);
            for (size_t i = 0; i < n; i++) {
                const uint64_t count = (uint64_t)((int64_t)type->hi - type->lo) + 1;
                const int64_t  code = type->lo + (int64_t)(rng_next(&rng) % count);
                memcpy((char *)codes + i * type->code_size, &code, type->code_size);
            }
            bytes[size] = 0xa5;
            qn_pack(type, codes, n, bytes);
            assert_int_equal(bytes[size], 0xa5);
            qn_unpack(type, bytes, n, back);
            assert_memory_equal(back, codes, n * type->code_size);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vector_code_equals_plain_code_for_every_type_and_layout),
        cmocka_unit_test(error_is_at_most_half_a_step_inside_the_range),
        cmocka_unit_test(quantizing_a_dequantized_code_gives_it_back),
        cmocka_unit_test(zero_maps_exactly_to_the_zero_point),
        cmocka_unit_test(one_thread_and_eight_write_the_same_bytes),
        cmocka_unit_test(unpacking_gives_back_what_was_packed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
