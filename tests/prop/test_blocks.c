/* SPDX-License-Identifier: Apache-2.0
 * What must hold for any weight in blocks: codes are nearest, in whatever order they are written; the same bytes from every
 * instruction set, number of threads and range that is made at once; searching never loses. */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"
#include "quant/blocks.h"
#include "random.h"

enum { MOST = 700 * 800 };

struct made {
    uint8_t              bytes[MOST + 64], zero[MOST];
    float                scale[MOST];
    struct qn_error_sums lost;
};

static float weights[MOST];

static struct qn_matrix random_matrix(struct rng *rng, bool turned)
{
    struct qn_matrix m = { .w = weights,
                           .outputs = 1 + (size_t)rng_between(rng, 0, 200),
                           .depth = 1 + (size_t)rng_between(rng, 0, 290) };

    m.out_stride = turned ? m.depth : 1;
    m.depth_stride = turned ? 1 : m.outputs;
    for (size_t i = 0; i < m.outputs * m.depth; i++) weights[i] = rng_between(rng, -1, 1) * rng_between(rng, 0, 2);
    for (size_t i = 0; i < m.depth && i < 40; i++) weights[i] = 0;
    return m;
}

/* Of several units. */
static struct qn_matrix large_matrix(struct rng *rng, bool turned)
{
    struct qn_matrix m = {
        .w = weights, .outputs = 690, .depth = 610, .out_stride = turned ? 610 : 1, .depth_stride = turned ? 1 : 690
    };

    for (size_t i = 0; i < m.outputs * m.depth; i++) weights[i] = rng_between(rng, -1, 1);
    return m;
}

/* Output by output, in whole blocks. */
static struct qn_block_place padded(const struct qn_matrix *m, const struct qn_block_form *f)
{
    return (struct qn_block_place){ qn_block_count(m, f) * f->block, 1, qn_block_count(m, f), 1, true };
}

/* All in one go, or one piece after the other from the last to the first. */
static void pack(const struct qn_matrix *m, const struct qn_block_form *f, struct qn_block_place place, bool backwards,
                 struct made *out)
{
    const struct qn_block_cut       cut = qn_block_cut(m, f, place);
    const struct qn_block_params_to to = { out->scale, f->symmetric ? NULL : out->zero, 8,
                                           place.pads ? place.param_out_stride : 0 };

    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < cut.pieces; i++) {
        const size_t         piece = backwards ? cut.pieces - 1 - i : i, unit = piece / cut.parts;
        struct qn_error_sums lost = { 0, 0 };
        assert_int_equal(qn_block_make(m, f, place, 0, unit, piece % cut.parts, out->bytes + unit * cut.unit, to, &lost,
                                       NULL),
                         QONNX_OK);
        out->lost.signal += lost.signal;
        out->lost.noise += lost.noise;
    }
    if (f->symmetric) memset(out->zero, 1 << (f->bits - 1), m->outputs * qn_block_count(m, f));
}

static int code_at(const struct made *made, int bits, size_t i)
{
    const size_t per = (size_t)(8 / bits);
    return made->bytes[i / per] >> (i % per * (size_t)bits) & ((1 << bits) - 1);
}

static const struct qn_block_form forms[] = {
    { 4, true, 32, QN_WEIGHT_MINMAX }, { 4, false, 32, QN_WEIGHT_MINMAX },  { 4, false, 16, QN_WEIGHT_MSE },
    { 4, true, 128, QN_WEIGHT_MSE },   { 4, false, 64, QN_WEIGHT_HQQ },     { 2, false, 16, QN_WEIGHT_MINMAX },
    { 2, true, 32, QN_WEIGHT_MSE },    { 8, false, 256, QN_WEIGHT_MINMAX }, { 8, true, 16, QN_WEIGHT_MINMAX },
    { 2, false, 256, QN_WEIGHT_HQQ },
};
enum { FORMS = sizeof forms / sizeof *forms };

static void codes_are_the_nearest_and_the_loss_is_theirs(void **state)
{
    static struct made made;
    struct rng         rng = { 11 };

    (void)state;
    for (int round = 0; round < 60; round++) {
        const struct qn_block_form *f = &forms[round % FORMS];
        const struct qn_matrix      m = random_matrix(&rng, round & 1);
        const size_t                blocks = qn_block_count(&m, f);
        double                      noise = 0, signal = 0;
        pack(&m, f, padded(&m, f), false, &made);
        for (size_t n = 0; n < m.outputs; n++)
            for (size_t k = 0; k < m.depth; k++) {
                const size_t at = n * blocks + k / f->block;
                const float  x = weights[n * m.out_stride + k * m.depth_stride], scale = made.scale[at];
                const int    code = code_at(&made, f->bits, n * blocks * f->block + k), most = (1 << f->bits) - 1;
                const float  wanted = fminf(fmaxf(rintf(x / scale) + made.zero[at], 0), (float)most);
                const double error = (double)x - (double)((float)(code - made.zero[at]) * scale);
                assert_true(isnormal(scale) && made.zero[at] <= most);
                assert_true(!f->symmetric || (made.zero[at] == (most + 1) / 2));
                assert_int_equal(code, (int)wanted);
                if (f->how == QN_WEIGHT_MINMAX) assert_true(fabs(error) <= (double)fabsf(scale) * 1.001);
                noise += error * error;
                signal += (double)x * (double)x;
            }
        assert_true(fabs(made.lost.noise - noise) <= noise * 1e-5 && fabs(made.lost.signal - signal) <= signal * 1e-5);
    }
}

/* The sums differ in their last bits, which depend on the order of what is added. */
static void check_same(const struct made *one, const struct made *other)
{
    assert_memory_equal(one->bytes, other->bytes, sizeof one->bytes);
    assert_memory_equal(one->scale, other->scale, sizeof one->scale);
    assert_memory_equal(one->zero, other->zero, sizeof one->zero);
    assert_true(fabs(one->lost.signal - other->lost.signal) <= 1e-9 * one->lost.signal);
    assert_true(fabs(one->lost.noise - other->lost.noise) <= 1e-9 * one->lost.noise);
}

static void order_threads_and_pieces_do_not_show(void **state)
{
    static struct made one, other;
    struct rng         rng = { 12 };

    (void)state;
    for (int round = 0; round < 60; round++) {
        const struct qn_block_form *f = &forms[round % FORMS];
        const struct qn_matrix      m = round % 10 < 7 ? random_matrix(&rng, round & 1) : large_matrix(&rng, round & 1);
        const size_t                blocks = qn_block_count(&m, f);
        const struct qn_block_place place = padded(&m, f), by_depth = { 1, m.outputs, 1, m.outputs, false };
        uint8_t                    *zero = f->symmetric ? NULL : other.zero;
        pack(&m, f, place, false, &one);
        pack(&m, f, place, true, &other);
        check_same(&one, &other);
        for (int threads = 1; threads <= 4; threads += 3) {
            memset(other.scale, 0, sizeof other.scale);
            if (zero) memset(other.zero, 0, sizeof other.zero);
            other.lost = (struct qn_error_sums){ 0, 0 };
            assert_int_equal(qn_block_params(&m, f, place, other.scale, zero, &other.lost, threads, NULL), QONNX_OK);
            check_same(&one, &other);
        }
        if (m.outputs == 1) continue;
        pack(&m, f, by_depth, true, &other);
        for (size_t n = 0; n < m.outputs; n++) {
            for (size_t b = 0; b < blocks; b++) {
                assert_true(one.scale[n * blocks + b] == other.scale[b * m.outputs + n]);
                assert_int_equal(one.zero[n * blocks + b], other.zero[b * m.outputs + n]);
            }
            for (size_t k = 0; k < m.depth; k++)
                assert_int_equal(code_at(&one, f->bits, n * blocks * f->block + k),
                                 code_at(&other, f->bits, k * m.outputs + n));
        }
    }
}

/* As in the tensor itself, zero points packed, codes flipped: the other ways of laying them out. */
static void what_is_packed_is_what_was_found(void **state)
{
    static struct made one, other;
    struct rng         rng = { 14 };

    (void)state;
    for (int round = 0; round < 80; round++) {
        const struct qn_block_form *f = &forms[round % FORMS];
        const struct qn_matrix      m = round % 10 < 7 ? random_matrix(&rng, true) : large_matrix(&rng, round & 1);
        const size_t                blocks = qn_block_count(&m, f), row = (blocks * (size_t)f->bits + 7) / 8;
        const bool                  pads = round & 2;
        const struct qn_block_place place = { pads ? blocks * f->block : m.depth, 1, blocks, 1, pads };
        const struct qn_block_cut   cut = qn_block_cut(&m, f, place);
        const uint8_t               flip = (uint8_t)(pads ? 0 : 1u << (f->bits - 1));
        struct qn_error_sums        lost = { 0, 0 };
        if (m.depth_stride != 1 && !pads) continue;
        pack(&m, f, padded(&m, f), false, &one);
        memset(&other, 0, sizeof other);
        for (size_t i = 0; i < cut.pieces; i++)
            assert_int_equal(
                qn_block_make(&m, f, place, flip, i / cut.parts, i % cut.parts, other.bytes + i / cut.parts * cut.unit,
                              (struct qn_block_params_to){ other.scale, other.zero, f->bits, pads ? row : 0 }, &lost,
                              NULL),
                QONNX_OK);
        for (size_t n = 0; n < m.outputs; n++) {
            for (size_t b = 0; b < blocks; b++) {
                const size_t   at = pads ? b : n * blocks + b;
                const uint8_t *zero = other.zero + (pads ? n * row : 0), per = (uint8_t)(8 / f->bits);
                assert_true(one.scale[n * blocks + b] == other.scale[n * blocks + b]);
                assert_int_equal(one.zero[n * blocks + b],
                                 zero[at / per] >> (at % per * (size_t)f->bits) & ((1 << f->bits) - 1));
            }
            for (size_t k = 0; k < m.depth; k++)
                assert_int_equal(code_at(&one, f->bits, n * blocks * f->block + k),
                                 code_at(&other, f->bits, n * place.out_stride + k) ^ flip);
        }
    }
}

static void searching_never_loses(void **state)
{
    static struct made made;
    struct rng         rng = { 13 };

    (void)state;
    for (int round = 0; round < 40; round++) {
        struct qn_block_form   f = { round % 3 ? 4 : 2, round % 2, 16u << (round % 4), QN_WEIGHT_MINMAX };
        const struct qn_matrix m = random_matrix(&rng, round & 1);
        double                 plain;
        pack(&m, &f, padded(&m, &f), false, &made);
        plain = made.lost.noise;
        f.how = QN_WEIGHT_MSE;
        pack(&m, &f, padded(&m, &f), false, &made);
        assert_true(made.lost.noise <= plain * 1.00001);
        if (f.symmetric) continue;
        f.how = QN_WEIGHT_HQQ;
        pack(&m, &f, padded(&m, &f), false, &made);
        assert_true(made.lost.noise <= plain * 1.00001);
    }
}

static void odd_values_give_codes_too(void **state)
{
    static struct made made;
    struct qn_matrix   m = { .w = weights, .outputs = 3, .depth = 40, .out_stride = 40, .depth_stride = 1 };

    (void)state;
    for (size_t i = 0; i < 120; i++) weights[i] = i < 40 ? 0 : i < 80 ? 1e-45f : i % 3 ? -3e38f : 3e38f;
    weights[7] = NAN;
    weights[90] = INFINITY;
    for (size_t i = 0; i < FORMS; i++) {
        pack(&m, &forms[i], padded(&m, &forms[i]), false, &made);
        for (size_t k = 0; k < 3 * qn_block_count(&m, &forms[i]); k++) assert_true(isnormal(made.scale[k]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codes_are_the_nearest_and_the_loss_is_theirs),
        cmocka_unit_test(order_threads_and_pieces_do_not_show),
        cmocka_unit_test(what_is_packed_is_what_was_found),
        cmocka_unit_test(searching_never_loses),
        cmocka_unit_test(odd_values_give_codes_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
