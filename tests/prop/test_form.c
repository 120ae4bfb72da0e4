/* SPDX-License-Identifier: Apache-2.0
 * What second-order rounding promises. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"
#include "correlated.h"
#include "quant/form.h"
#include "quant/gram.h"
#include "random.h"

/* A layer with correlated inputs, as those behind a Relu are. */
struct layer {
    size_t         k, rows;
    struct qn_form form;
    float         *w, *scale;
    double        *given, *left;
    int32_t       *codes, *nearest;
    int32_t        hi;
};

static void layer_make(struct layer *l, struct rng *rng, size_t k, size_t rows, size_t samples, size_t dead, int32_t hi,
                       double damping)
{
    double *h = correlated(rng, k, samples, dead);

    *l = (struct layer){ .k = k, .rows = rows, .hi = hi };
    assert_int_equal(qn_form_init_matrix(&l->form, h, k, damping, 2, NULL), QONNX_OK);
    free(h);
    l->w = calloc(k * rows, sizeof *l->w);
    l->codes = calloc(k * rows, sizeof *l->codes);
    l->nearest = calloc(k * rows, sizeof *l->nearest);
    l->scale = calloc(rows, sizeof *l->scale);
    l->given = calloc(rows, sizeof *l->given);
    l->left = calloc(rows, sizeof *l->left);
    for (size_t r = 0; r < rows; r++) {
        float largest = 0;
        for (size_t i = 0; i < k; i++) {
            l->w[r * k + i] = rng_between(rng, -1, 1) * rng_between(rng, 0, 1);
            largest = fmaxf(largest, fabsf(l->w[r * k + i]));
        }
        l->scale[r] = largest / (float)hi;
        for (size_t i = 0; i < k; i++)
            l->codes[r * k + i] = l->nearest[r * k + i] = (int32_t)rintf(l->w[r * k + i] / l->scale[r]);
    }
}

static void layer_release(struct layer *l)
{
    qn_form_release(&l->form);
    free(l->w);
    free(l->codes);
    free(l->nearest);
    free(l->scale);
    free(l->given);
    free(l->left);
}

static void layer_round(struct layer *l, bool fit, int threads)
{
    float              *least = calloc(l->rows, sizeof *least);
    struct qn_form_rows task = { .rows = l->rows,
                                 .w = l->w,
                                 .codes = l->codes,
                                 .scale = l->scale,
                                 .given = l->given,
                                 .left = l->left,
                                 .lo = -l->hi,
                                 .hi = l->hi,
                                 .least_scale = fit ? least : NULL };
    assert_int_equal(qn_form_round(&l->form, &task, threads, NULL), QONNX_OK);
    free(least);
}

static double total_loss(const struct layer *l, const float *scale, const int32_t *codes)
{
    double loss = 0;
    for (size_t r = 0; r < l->rows; r++) loss += qn_form_loss(&l->form, l->w + r * l->k, scale[r], codes + r * l->k);
    return loss;
}

static void no_row_loses_more_than_with_nearest_codes(void **state)
{
    struct rng rng = { 21 };

    (void)state;
    for (int round = 0; round < 60; round++) {
        struct layer l;
        const size_t k = 1 + rng_below(&rng, 90);
        float       *before;
        layer_make(&l, &rng, k, 9, 1 + rng_below(&rng, 200), rng_below(&rng, k), round % 2 ? 7 : 127,
                   round % 3 ? 0.01 : 0);
        before = malloc(l.rows * sizeof *before);
        memcpy(before, l.scale, l.rows * sizeof *before);
        layer_round(&l, round % 4 > 1, 1);
        for (size_t r = 0; r < l.rows; r++) {
            const double nearest = qn_form_loss(&l.form, l.w + r * k, before[r], l.nearest + r * k);
            const double now = qn_form_loss(&l.form, l.w + r * k, l.scale[r], l.codes + r * k);
            assert_true(fabs(l.given[r] - nearest) <= 1e-9 * nearest + 1e-18 &&
                        fabs(l.left[r] - now) <= 1e-6 * nearest + 1e-18);
            if (!(now <= nearest * (1 + 1e-9) + 1e-18)) fail_msg("k %zu: %g instead of %g", k, now, nearest);
            for (size_t i = 0; i < k; i++) assert_in_range(l.codes[r * k + i] + l.hi, 0, 2 * l.hi);
        }
        free(before);
        layer_release(&l);
    }
}

static void correlated_inputs_lose_less_than_half(void **state)
{
    struct rng rng = { 22 };

    (void)state;
    for (int bits = 0; bits < 2; bits++) {
        struct layer l;
        double       nearest;
        layer_make(&l, &rng, 144, 40, 3000, 0, bits ? 7 : 127, 0.01);
        nearest = total_loss(&l, l.scale, l.nearest);
        layer_round(&l, false, 2);
        assert_true(total_loss(&l, l.scale, l.codes) < nearest / 2);
        layer_release(&l);
    }
}

/* All codes within one step of the nearest ones. */
static double best_of_all(const struct layer *l, size_t row)
{
    int32_t codes[8];
    double  best = INFINITY;
    size_t  count = 1;

    for (size_t i = 0; i < l->k; i++) count *= 3;
    for (size_t c = 0; c < count; c++) {
        double loss;
        for (size_t i = 0, rest = c; i < l->k; i++, rest /= 3)
            codes[i] = l->nearest[row * l->k + i] + (int32_t)(rest % 3) - 1;
        loss = qn_form_loss(&l->form, l->w + row * l->k, l->scale[row], codes);
        if (loss < best) best = loss;
    }
    return best;
}

static void small_rows_come_near_the_best_there_is(void **state)
{
    struct rng rng = { 23 };
    double     best = 0, ours = 0, nearest = 0;

    (void)state;
    for (int round = 0; round < 12; round++) {
        struct layer l;
        layer_make(&l, &rng, 7, 8, 500, 0, 127, 0);
        nearest += total_loss(&l, l.scale, l.nearest);
        for (size_t r = 0; r < l.rows; r++) best += best_of_all(&l, r);
        layer_round(&l, false, 1);
        ours += total_loss(&l, l.scale, l.codes);
        layer_release(&l);
    }
    print_message("nearest %g, ours %g, best %g\n", nearest, ours, best);
    assert_true(ours < best * 1.05);
    assert_true(best < nearest * 0.7);
}

static void threads_change_nothing(void **state)
{
    struct rng   first = { 24 }, second = { 24 };
    struct layer a, b;

    (void)state;
    layer_make(&a, &first, 300, 37, 900, 5, 7, 0.01);
    layer_make(&b, &second, 300, 37, 900, 5, 7, 0.01);
    memcpy(b.form.factor, b.form.h, 300 * 300 * sizeof(double));
    assert_int_equal(qn_cholesky(b.form.factor, 300, 1, NULL), QONNX_OK);
    assert_memory_equal(a.form.factor, b.form.factor, 300 * 300 * sizeof(double));
    layer_round(&a, true, 1);
    layer_round(&b, true, 8);
    assert_memory_equal(a.codes, b.codes, 300 * 37 * sizeof *a.codes);
    assert_memory_equal(a.scale, b.scale, 37 * sizeof *a.scale);
    layer_release(&a);
    layer_release(&b);
}

/* Neighbours share what they may be. */
static void neighbours(const void *context, size_t row, size_t i, const int32_t *codes, int32_t *lo, int32_t *hi)
{
    const int32_t limit = *(const int32_t *)context, other = codes[i ^ 1];
    (void)row;
    if (other > 0 && limit - other < *hi) *hi = limit - other;
    if (other < 0 && -limit - other > *lo) *lo = -limit - other;
}

static void limits_of_neighbours_hold(void **state)
{
    const int32_t limit = 128;
    struct rng    rng = { 25 };

    (void)state;
    for (int round = 0; round < 10; round++) {
        struct layer        l;
        struct qn_form_rows task;
        double              moved;
        layer_make(&l, &rng, 48, 16, 400, 0, 127, 0.01);
        for (size_t i = 0; i < l.k * l.rows; i++) { /* cut both to where they may stand together */
            if (l.codes[i] > 64) l.codes[i] = 64;
            if (l.codes[i] < -64) l.codes[i] = -64;
        }
        moved = total_loss(&l, l.scale, l.codes);
        task = (struct qn_form_rows){ .rows = l.rows,
                                      .w = l.w,
                                      .codes = l.codes,
                                      .scale = l.scale,
                                      .given = l.given,
                                      .left = l.left,
                                      .lo = -127,
                                      .hi = 127,
                                      .range = neighbours,
                                      .range_context = &limit };
        assert_int_equal(qn_form_round(&l.form, &task, 2, NULL), QONNX_OK);
        for (size_t i = 0; i < l.k * l.rows; i += 2) {
            const int32_t a = l.codes[i], b = l.codes[i + 1];
            assert_true((a > 0 ? a : 0) + (b > 0 ? b : 0) <= limit && (a < 0 ? a : 0) + (b < 0 ? b : 0) >= -limit);
        }
        assert_true(total_loss(&l, l.scale, l.codes) < moved / 2);
        layer_release(&l);
    }
}

static void inputs_never_seen_take_nearest_codes(void **state)
{
    struct qn_window w = { .groups = 1, .channels = 5 };
    struct qn_gram   gram;
    struct layer     l;
    struct rng       rng = { 26 };

    (void)state;
    layer_make(&l, &rng, 5, 4, 10, 0, 127, 0.01);
    qn_form_release(&l.form);
    assert_int_equal(qn_gram_init(&gram, &w, 1, 10, NULL), QONNX_OK);
    assert_int_equal(qn_form_init(&l.form, &gram, 0, true, 0.01, 1, NULL), QONNX_OK);
    layer_round(&l, false, 1);
    assert_memory_equal(l.codes, l.nearest, 20 * sizeof *l.codes);
    qn_gram_release(&gram);
    layer_release(&l);
}

static void factor_times_itself_is_the_matrix(void **state)
{
    struct rng rng = { 27 };

    (void)state;
    for (int round = 0; round < 4; round++) {
        const size_t k = (size_t[]){ 1, 67, 130, 301 }[round];
        struct layer l;
        double       largest = 0, off = 0;
        layer_make(&l, &rng, k, 1, 2 * k, 0, 127, 0.01);
        for (size_t i = 0; i < k; i++)
            for (size_t j = 0; j <= i; j++) {
                double sum = 0;
                for (size_t t = 0; t <= j; t++) sum += l.form.factor[i * k + t] * l.form.factor[j * k + t];
                off = fmax(off, fabs(sum - l.form.h[i * k + j]));
                largest = fmax(largest, fabs(l.form.h[i * k + j]));
            }
        assert_true(off < largest * 1e-12);
        layer_release(&l);
    }
}

static void few_bits_gain_from_a_searched_and_fitted_scale(void **state)
{
    struct rng   rng = { 28 };
    struct layer l;
    double       covering, searched, fitted;

    (void)state;
    layer_make(&l, &rng, 96, 30, 2000, 0, 7, 0.01);
    covering = total_loss(&l, l.scale, l.nearest);
    for (size_t r = 0; r < l.rows; r++) {
        const float s = qn_form_search_scale(&l.form, l.w + r * l.k, l.scale[r], -7, 7);
        assert_true(s <= l.scale[r]);
        l.scale[r] = s;
        for (size_t i = 0; i < l.k; i++)
            l.codes[r * l.k + i] = (int32_t)fmaxf(-7, fminf(7, rintf(l.w[r * l.k + i] / s)));
    }
    searched = total_loss(&l, l.scale, l.codes);
    layer_round(&l, false, 1);
    fitted = total_loss(&l, l.scale, l.codes);
    layer_round(&l, true, 1);
    assert_true(searched < covering);
    assert_true(fitted < searched);
    assert_true(total_loss(&l, l.scale, l.codes) < fitted);
    layer_release(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_row_loses_more_than_with_nearest_codes),
        cmocka_unit_test(correlated_inputs_lose_less_than_half),
        cmocka_unit_test(small_rows_come_near_the_best_there_is),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(limits_of_neighbours_hold),
        cmocka_unit_test(inputs_never_seen_take_nearest_codes),
        cmocka_unit_test(factor_times_itself_is_the_matrix),
        cmocka_unit_test(few_bits_gain_from_a_searched_and_fitted_scale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
