/* SPDX-License-Identifier: Apache-2.0
 * What second-order rounding of weights in blocks promises. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"
#include "correlated.h"
#include "quant/block_round.h"
#include "random.h"

enum { OUTPUTS = 90, DEPTH = 150, MOST = OUTPUTS * (DEPTH + 256) };

struct made {
    float                   scale[MOST];
    uint8_t                 zero[MOST], codes[MOST];
    struct qn_block_rounded found;
};

static const struct qn_block_form forms[] = {
    { 4, false, 32, QN_WEIGHT_MSE },     { 4, true, 32, QN_WEIGHT_MSE },  { 4, true, 16, QN_WEIGHT_MINMAX },
    { 4, false, 64, QN_WEIGHT_HQQ },     { 2, false, 16, QN_WEIGHT_MSE }, { 2, true, 256, QN_WEIGHT_MSE },
    { 8, false, 256, QN_WEIGHT_MINMAX }, { 8, true, 16, QN_WEIGHT_MSE },
};
enum { FORMS = sizeof forms / sizeof *forms };

static float       weights[OUTPUTS * DEPTH];
static struct made made, other;

static void make_form(struct qn_form *form, struct rng *rng)
{
    enum { ROWS = 400, DEAD = 3 };
    double *h = correlated(rng, DEPTH, ROWS, DEAD);

    assert_int_equal(qn_form_init_matrix(form, h, DEPTH, 0.01, 2, NULL), QONNX_OK);
    free(h);
}

static struct qn_matrix make_matrix(struct rng *rng, bool turned)
{
    struct qn_matrix m = { .w = weights, .outputs = OUTPUTS, .depth = DEPTH };

    m.out_stride = turned ? DEPTH : 1;
    m.depth_stride = turned ? 1 : OUTPUTS;
    for (int i = 0; i < OUTPUTS * DEPTH; i++) weights[i] = rng_between(rng, -1, 1) * rng_between(rng, 0, 1);
    return m;
}

static void round_blocks(const struct qn_form *form, const struct qn_matrix *m, const struct qn_block_form *f,
                         int threads, struct made *out)
{
    memset(out, 0, sizeof *out);
    out->found =
        (struct qn_block_rounded){ .scale = out->scale, .zero = f->symmetric ? NULL : out->zero, .codes = out->codes };
    assert_int_equal(qn_block_round(form, m, f, &out->found, threads, NULL), QONNX_OK);
}

static size_t blocks_of(const struct qn_block_form *f) { return (DEPTH + f->block - 1) / f->block; }

static int code_at(const uint8_t *codes, const struct qn_block_form *f, size_t output, size_t k)
{
    const size_t per = (size_t)(8 / f->bits), at = output * blocks_of(f) * f->block + k;
    return codes[at / per] >> (at % per * (size_t)f->bits) & ((1 << f->bits) - 1);
}

static double error_at(const struct qn_matrix *m, const struct qn_block_form *f, const struct made *x, size_t n,
                       size_t k)
{
    const size_t at = n * blocks_of(f) + k / f->block;
    const int    zero = f->symmetric ? 1 << (f->bits - 1) : x->zero[at];
    return (double)weights[n * m->out_stride + k * m->depth_stride] -
           (double)x->scale[at] * (code_at(x->codes, f, n, k) - zero);
}

/* The form, worked out here. */
static double loss_of(const struct qn_form *form, const struct qn_matrix *m, const struct qn_block_form *f,
                      const struct made *x)
{
    double loss = 0;

    for (size_t n = 0; n < OUTPUTS; n++)
        for (size_t i = 0; i < DEPTH; i++)
            for (size_t j = 0; j < DEPTH; j++)
                loss += error_at(m, f, x, n, i) * form->h[i * DEPTH + j] * error_at(m, f, x, n, j);
    return loss;
}

static void outputs_lose_what_is_said_and_much_less_than_by_nearest_codes(void **state)
{
    struct rng rng = { 21 };

    (void)state;
    for (int round = 0; round < FORMS; round++) {
        const struct qn_block_form *f = &forms[round];
        const struct qn_matrix      m = make_matrix(&rng, round & 1);
        struct qn_form              form;
        double                      noise = 0;
        make_form(&form, &rng);
        round_blocks(&form, &m, f, 2, &made);
        assert_true(fabs(loss_of(&form, &m, f, &made) - made.found.left) <= made.found.left * 1e-6);
        assert_true(made.found.left < made.found.given * 0.7);
        for (size_t n = 0; n < OUTPUTS; n++)
            for (size_t k = 0; k < DEPTH; k++) noise += error_at(&m, f, &made, n, k) * error_at(&m, f, &made, n, k);
        assert_true(fabs(noise - made.found.lost.noise) <= noise * 1e-6);
        qn_form_release(&form);
    }
}

static void threads_do_not_show(void **state)
{
    struct rng rng = { 22 };

    (void)state;
    for (int round = 0; round < FORMS; round++) {
        const struct qn_matrix m = make_matrix(&rng, round & 1);
        struct qn_form         form;
        make_form(&form, &rng);
        round_blocks(&form, &m, &forms[round], 1, &made);
        round_blocks(&form, &m, &forms[round], 7, &other);
        assert_memory_equal(made.scale, other.scale, sizeof made.scale);
        assert_memory_equal(made.zero, other.zero, sizeof made.zero);
        assert_memory_equal(made.codes, other.codes, sizeof made.codes);
        assert_true(made.found.left == other.found.left && made.found.lost.noise == other.found.lost.noise);
        qn_form_release(&form);
    }
}

/* With inputs that have nothing to do with each other nothing can be made up for. */
static void inputs_that_are_alike_ask_for_nearest_codes(void **state)
{
    static double          h[DEPTH * DEPTH];
    struct rng             rng = { 23 };
    const struct qn_matrix m = make_matrix(&rng, true);
    struct qn_form         form;

    (void)state;
    for (int i = 0; i < DEPTH; i++) h[i * DEPTH + i] = 2;
    assert_int_equal(qn_form_init_matrix(&form, h, DEPTH, 0, 1, NULL), QONNX_OK);
    round_blocks(&form, &m, &forms[0], 2, &made);
    assert_true(fabs(made.found.left - made.found.given) <= made.found.given * 1e-9);
    for (size_t n = 0; n < OUTPUTS; n++)
        for (size_t k = 0; k < DEPTH; k++) {
            const float scale = made.scale[n * blocks_of(&forms[0]) + k / 32];
            const int   code = code_at(made.codes, &forms[0], n, k);
            assert_true(fabs(error_at(&m, &forms[0], &made, n, k)) <= 0.5001 * (double)scale || code == 0 ||
                        code == 15);
        }
    qn_form_release(&form);
}

/* Parameters are to come out as they were. */
static void write_found(const struct qn_matrix *m, const struct qn_block_form *f, struct qn_block_place place, uint8_t *bytes)
{
    const struct qn_block_cut       cut = qn_block_cut(m, f, place);
    const size_t                    count = OUTPUTS * blocks_of(f);
    float                          *scale = calloc(count, sizeof *scale);
    uint8_t                        *zero = calloc(count, 1);
    const struct qn_block_params_to to = { scale, f->symmetric ? NULL : zero, 8, place.pads ? blocks_of(f) : 0 };
    struct qn_error_sums            lost = { 0, 0 };

    for (size_t i = 0; i < cut.pieces; i++)
        assert_int_equal(qn_block_make(m, f, place, 0, i / cut.parts, i % cut.parts, bytes + i / cut.parts * cut.unit, to, &lost, NULL), QONNX_OK);
    assert_true(lost.signal == 0 && lost.noise == 0); /* known already */
    for (size_t n = 0; n < OUTPUTS; n++)
        for (size_t b = 0; b < blocks_of(f); b++) {
            const size_t at = n * place.param_out_stride + b * place.param_block_stride;
            assert_true(scale[at] == m->found.scale[n * blocks_of(f) + b]);
            if (m->found.zero) assert_int_equal(zero[at], m->found.zero[n * blocks_of(f) + b]);
        }
    free(scale);
    free(zero);
}

static void what_was_found_is_what_is_written_in_any_order(void **state)
{
    struct rng rng = { 24 };
    uint8_t   *bytes = malloc(MOST);

    (void)state;
    for (int round = 0; round < FORMS; round++) {
        const struct qn_block_form *f = &forms[round];
        const size_t                row = blocks_of(f) * f->block, per = (size_t)(8 / f->bits);
        struct qn_matrix            m = make_matrix(&rng, round & 1);
        struct qn_form              form;
        make_form(&form, &rng);
        round_blocks(&form, &m, f, 2, &made);
        m.found = (struct qn_block_found){ made.scale, f->symmetric ? NULL : made.found.zero, made.codes };
        write_found(&m, f, (struct qn_block_place){ row, 1, blocks_of(f), 1, true }, bytes);
        assert_memory_equal(bytes, made.codes, OUTPUTS * row / per);
        write_found(&m, f, (struct qn_block_place){ 1, OUTPUTS, 1, OUTPUTS, false }, bytes);
        for (size_t n = 0; n < OUTPUTS; n++)
            for (size_t k = 0; k < DEPTH; k++) {
                const size_t at = k * OUTPUTS + n;
                assert_int_equal(bytes[at / per] >> (at % per * (size_t)f->bits) & ((1 << f->bits) - 1),
                                 code_at(made.codes, f, n, k));
            }
        qn_form_release(&form);
    }
    free(bytes);
}

static void odd_weights_give_codes_too(void **state)
{
    struct rng       rng = { 25 };
    struct qn_matrix m = make_matrix(&rng, true);
    struct qn_form   form;

    (void)state;
    for (int i = 0; i < 5 * DEPTH; i++) weights[i] = i < DEPTH ? 0 : i < 2 * DEPTH ? 1e-45f : i % 3 ? -3e38f : 3e38f;
    make_form(&form, &rng);
    for (int round = 0; round < FORMS; round++) {
        round_blocks(&form, &m, &forms[round], 2, &made);
        for (size_t i = 0; i < OUTPUTS * blocks_of(&forms[round]); i++) assert_true(isnormal(made.scale[i]));
        for (size_t k = 0; k < DEPTH; k++) assert_true(error_at(&m, &forms[round], &made, 0, k) == 0);
    }
    qn_form_release(&form);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outputs_lose_what_is_said_and_much_less_than_by_nearest_codes),
        cmocka_unit_test(threads_do_not_show),
        cmocka_unit_test(inputs_that_are_alike_ask_for_nearest_codes),
        cmocka_unit_test(what_was_found_is_what_is_written_in_any_order),
        cmocka_unit_test(odd_weights_give_codes_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
