/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "cmocka_all.h"
#include "quant/gram.h"
#include "random.h"

/* ---- the rows, found in another way: by walking each output position and each place of the kernel ---- */

struct image {
    int     rank;
    int64_t dims[5];
    float  *x;
    size_t  count;
};

static void image_fill(struct image *image, struct rng *rng)
{
    image->count = 1;
    for (int i = 0; i < image->rank; i++) image->count *= (size_t)image->dims[i];
    image->x = malloc((image->count + 1) * sizeof *image->x);
    for (size_t i = 0; i < image->count; i++)
        image->x[i] = (float)rng_below(rng, 2 * QN_GRAM_STEPS + 1) - QN_GRAM_STEPS;
}

/* Only for two dims. */
static double value_at(const struct image *image, int64_t n, int64_t c, int64_t y, int64_t x)
{
    if (y < 0 || x < 0 || y >= image->dims[2] || x >= image->dims[3]) return 0;
    return (double)image->x[((n * image->dims[1] + c) * image->dims[2] + y) * image->dims[3] + x];
}

/* Variable i of group g at output position (n, y, x). */
static double column(const struct image *image, const struct qn_window *w, size_t g, size_t i, int64_t n, int64_t y,
                     int64_t x)
{
    const int64_t kh = w->kernel[0], kw = w->kernel[1];
    const int64_t c = (int64_t)i / (kh * kw), ky = (int64_t)i / kw % kh, kx = (int64_t)i % kw;
    return value_at(image, n, (int64_t)(g * w->channels) + c, y * w->stride[0] + ky * w->dilation[0] - w->before[0],
                    x * w->stride[1] + kx * w->dilation[1] - w->before[1]);
}

static void check_image(const struct qn_gram *gram, const struct image *image, int64_t height, int64_t width)
{
    const struct qn_window *w = &gram->window;

    assert_int_equal(gram->rows, image->dims[0] * height * width);
    for (size_t g = 0; g < gram->groups; g++)
        for (size_t i = 0; i < gram->k; i++)
            for (size_t j = 0; j <= i; j++) {
                double sum = 0, total = 0;
                for (int64_t n = 0; n < image->dims[0]; n++)
                    for (int64_t y = 0; y < height; y++)
                        for (int64_t x = 0; x < width; x++) {
                            sum += column(image, w, g, i, n, y, x) * column(image, w, g, j, n, y, x);
                            total += column(image, w, g, i, n, y, x);
                        }
                assert_true(gram->sums[(g * gram->padded + i) * gram->padded + j] == (int64_t)sum);
                assert_true(gram->totals[g * gram->padded + i] == (int64_t)total);
            }
}

static void sums_are_those_of_the_rows_a_convolution_reads(void **state)
{
    struct rng rng = { 1 };

    (void)state;
    for (int round = 0; round < 40; round++) {
        struct qn_window    w = { .dims = 2, .groups = 1 + rng_below(&rng, 3), .channels = 1 + rng_below(&rng, 4) };
        struct image        image = { .rank = 4 };
        struct qn_gram      gram;
        struct qn_gram_room room = { 0 };
        int64_t             out[2];
        image.dims[0] = 1 + (int64_t)rng_below(&rng, 2);
        image.dims[1] = (int64_t)(w.groups * w.channels);
        for (int i = 0; i < 2; i++) {
            w.kernel[i] = 1 + (int64_t)rng_below(&rng, 3);
            w.stride[i] = 1 + (int64_t)rng_below(&rng, 2);
            w.dilation[i] = 1 + (int64_t)rng_below(&rng, 2);
            w.before[i] = (int64_t)rng_below(&rng, 3);
            w.after[i] = (int64_t)rng_below(&rng, 3);
            image.dims[2 + i] = 7 + (int64_t)rng_below(&rng, 20);
            out[i] =
                (image.dims[2 + i] + w.before[i] + w.after[i] - (w.kernel[i] - 1) * w.dilation[i] - 1) / w.stride[i] +
                1;
        }
        image_fill(&image, &rng);
        assert_int_equal(qn_gram_init(&gram, &w, QN_GRAM_STEPS, SIZE_MAX, NULL), QONNX_OK);
        assert_int_equal(qn_gram_add(&gram, &room, image.x, image.rank, image.dims, 5, NULL), QONNX_OK);
        check_image(&gram, &image, out[0], out[1]);
        qn_gram_room_release(&room);
        qn_gram_release(&gram);
        free(image.x);
    }
}

static void matrix_products_take_each_vector_of_the_last_axis(void **state)
{
    struct qn_window    w = { .groups = 1, .channels = 3 };
    const float         x[2][2][3] = { { { 1, 2, 3 }, { 0, -1, 1 } }, { { 5, 0, 0 }, { 1, 1, 1 } } };
    const int64_t       dims[] = { 2, 2, 3 }, others[] = { 2, 3, 2 };
    const int64_t       sums[6] = { 27, 3, 6, 4, 6, 11 };
    struct qn_gram      gram;
    struct qn_gram_room room = { 0 };

    (void)state;
    assert_int_equal(qn_gram_init(&gram, &w, QN_GRAM_STEPS, 100, NULL), QONNX_OK);
    assert_int_equal(qn_gram_add(&gram, &room, &x[0][0][0], 3, dims, 0, NULL), QONNX_OK);
    assert_int_equal(qn_gram_add(&gram, &room, &x[0][0][0], 3, others, 0, NULL),
                     QONNX_OK); /* does not fit: passed over */
    assert_int_equal(gram.rows, 4);
    for (size_t i = 0, at = 0; i < 3; i++)
        for (size_t j = 0; j <= i; j++, at++) assert_true(qn_gram_at(&gram, 0, i, j) == (double)sums[at] / 4);
    assert_true(qn_gram_mean(&gram, 0, 0) == 7.0 / 4);
    qn_gram_room_release(&room);
    qn_gram_release(&gram);
}

static void some_columns_have_the_sums_that_they_have_among_all(void **state)
{
    enum { ROWS = 20, WIDTH = 9, FIRST = 3, SOME = 5 };
    const struct qn_window all = { .groups = 1, .channels = WIDTH };
    const struct qn_window some = { .groups = 1, .channels = SOME, .first = FIRST, .width = WIDTH };
    struct qn_gram_room    room = { 0 };
    struct qn_gram         whole, part;
    struct rng             rng = { 8 };
    float                  x[ROWS * WIDTH];

    (void)state;
    for (int i = 0; i < ROWS * WIDTH; i++) x[i] = rng_between(&rng, -1, 1);
    assert_false(qn_window_same(&all, &some));
    assert_int_equal(qn_gram_init(&whole, &all, 1, SIZE_MAX, NULL), QONNX_OK);
    assert_int_equal(qn_gram_init(&part, &some, 1, SIZE_MAX, NULL), QONNX_OK);
    assert_int_equal(qn_gram_add(&whole, &room, x, 2, (const int64_t[]){ ROWS, WIDTH }, 0, NULL), QONNX_OK);
    assert_int_equal(qn_gram_add(&part, &room, x, 2, (const int64_t[]){ ROWS, WIDTH }, 0, NULL), QONNX_OK);
    assert_int_equal(part.rows, ROWS);
    for (size_t i = 0; i < SOME; i++) {
        assert_true(qn_gram_mean(&part, 0, i) == qn_gram_mean(&whole, 0, FIRST + i));
        for (size_t j = 0; j <= i; j++)
            assert_true(qn_gram_at(&part, 0, i, j) == qn_gram_at(&whole, 0, FIRST + i, FIRST + j));
    }
    assert_int_equal(qn_gram_add(&part, &room, x, 2, (const int64_t[]){ ROWS, SOME }, 0, NULL), QONNX_OK);
    assert_int_equal(part.rows, ROWS); /* another width does not fit */
    qn_gram_room_release(&room);
    qn_gram_release(&whole);
    qn_gram_release(&part);
}

static void automatic_padding_is_as_the_operator_says(void **state)
{
    struct qn_window w = { .dims = 1, .groups = 1, .channels = 1, .kernel = { 4 }, .stride = { 2 }, .dilation = { 1 } };
    const int64_t    dims[] = { 1, 1, 6 };
    struct qn_positions over;
    int64_t             places[4];

    (void)state;
    w.pad = QN_PAD_SAME_UPPER; /* 3 positions need 8 elements: one of the two that are missing before, one behind */
    assert_true(qn_window_over(&w, 3, dims, &over));
    assert_int_equal(over.rows, 3);
    qn_window_places(&over, 0, places, 1);
    assert_int_equal(places[0], -1);
    assert_int_equal(places[3], 2);
    qn_window_places(&over, 2, places, 1);
    assert_int_equal(places[2], 5);
    assert_int_equal(places[3], -1);
    w.kernel[0] = 3; /* 7 elements: the odd one behind, or before */
    assert_true(qn_window_over(&w, 3, dims, &over));
    assert_int_equal(over.before[0], 0);
    w.pad = QN_PAD_SAME_LOWER;
    assert_true(qn_window_over(&w, 3, dims, &over));
    assert_int_equal(over.before[0], 1);
}

/* ---- independence ---- */

enum { SAMPLES = 24 };

struct crowd {
    struct qn_gram     *gram;
    struct qn_gram_room rooms[8];
    struct image        images[SAMPLES];
    bool                backwards;
};

static qonnx_status add_one(void *context, size_t index, int worker, qonnx_error *err)
{
    struct crowd *crowd = context;
    const size_t  sample = crowd->backwards ? SAMPLES - 1 - index : index;
    return qn_gram_add(crowd->gram, &crowd->rooms[worker], crowd->images[sample].x, 4, crowd->images[sample].dims,
                       sample, err);
}

static void order_and_threads_change_nothing(void **state)
{
    struct qn_window w = { .dims = 2,
                           .groups = 2,
                           .channels = 9,
                           .kernel = { 3, 3 },
                           .stride = { 1, 1 },
                           .dilation = { 1, 1 },
                           .before = { 1, 1 },
                           .after = { 1, 1 } };
    struct crowd     crowd = { 0 };
    struct qn_gram   grams[3];
    struct rng       rng = { 3 };
    const int        threads[3] = { 1, 8, 3 };

    (void)state;
    for (int s = 0; s < SAMPLES; s++) {
        crowd.images[s] = (struct image){ 4, { 1, 18, 20 + s % 3, 24 }, NULL, 0 };
        image_fill(&crowd.images[s], &rng);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(qn_gram_init(&grams[i], &w, 1000, 150, NULL), QONNX_OK);
        crowd.gram = &grams[i];
        crowd.backwards = i == 2;
        assert_int_equal(qn_parallel_for(SAMPLES, threads[i], add_one, &crowd, NULL), QONNX_OK);
        assert_true(grams[i].rows <= SAMPLES * 150 && grams[i].rows > SAMPLES * 100);
        assert_int_equal(grams[i].rows, grams[0].rows);
        assert_memory_equal(grams[i].sums, grams[0].sums, 2 * grams[0].padded * grams[0].padded * sizeof(int64_t));
        assert_memory_equal(grams[i].totals, grams[0].totals, 2 * grams[0].padded * sizeof(int64_t));
    }
    for (int i = 0; i < 3; i++) qn_gram_release(&grams[i]);
    for (int i = 0; i < 8; i++) qn_gram_room_release(&crowd.rooms[i]);
    for (int s = 0; s < SAMPLES; s++) free(crowd.images[s].x);
}

static void every_column_of_an_image_is_seen_over_the_samples(void **state)
{
    enum { WIDTH = 16 };
    struct qn_window w = {
        .dims = 2, .groups = 1, .channels = 1, .kernel = { 1, 1 }, .stride = { 1, 1 }, .dilation = { 1, 1 }
    };
    const int64_t       dims[] = { 1, 1, WIDTH, WIDTH };
    struct qn_gram_room room = { 0 };
    float               x[WIDTH * WIDTH];

    (void)state;
    for (int column = 0; column < WIDTH; column++) {
        struct qn_gram gram;
        for (int i = 0; i < WIDTH * WIDTH; i++) x[i] = i % WIDTH == column;
        assert_int_equal(qn_gram_init(&gram, &w, 1, 32, NULL), QONNX_OK); /* one in 8 rows: in step with 16 columns */
        assert_int_equal(qn_gram_add(&gram, &room, x, 4, dims, 0, NULL), QONNX_OK);
        assert_true(gram.rows <= 32);
        assert_true(qn_gram_mean(&gram, 0, 0) > 0);
        qn_gram_release(&gram);
    }
    qn_gram_room_release(&room);
}

/* ---- bad input ---- */

static void largest_and_odd_values_do_not_overflow(void **state)
{
    enum { ROWS = 3000 };
    struct qn_window    w = { .groups = 1, .channels = 2 };
    const int64_t       dims[] = { ROWS, 2 };
    struct qn_gram      gram;
    struct qn_gram_room room = { 0 };
    float              *x = malloc(2 * ROWS * sizeof *x);

    (void)state;
    for (int i = 0; i < 2 * ROWS; i += 2) x[i] = 3e38f, x[i + 1] = -INFINITY;
    assert_int_equal(qn_gram_init(&gram, &w, 2, ROWS, NULL), QONNX_OK);
    assert_int_equal(qn_gram_add(&gram, &room, x, 2, dims, 0, NULL), QONNX_OK);
    assert_float_equal(qn_gram_at(&gram, 0, 0, 0), 4, 1e-5);
    assert_float_equal(qn_gram_at(&gram, 0, 1, 0), -4, 1e-5);
    qn_gram_release(&gram);
    qn_gram_room_release(&room);
    free(x);
}

static void windows_that_make_no_sense_are_refused(void **state)
{
    const struct qn_window good = {
        .dims = 1, .groups = 1, .channels = 1, .kernel = { 3 }, .stride = { 1 }, .dilation = { 1 }
    };
    const int64_t       dims[] = { 1, 1, 8 }, small[] = { 1, 1, 2 };
    struct qn_window    w = good;
    struct qn_positions over;
    struct qn_gram      gram;

    (void)state;
    assert_true(qn_window_over(&w, 3, dims, &over));
    assert_false(qn_window_over(&w, 4, dims, &over));
    assert_false(qn_window_over(&w, 3, small, &over));
    w.stride[0] = 0;
    assert_false(qn_window_over(&w, 3, dims, &over));
    w = good, w.before[0] = -1;
    assert_false(qn_window_over(&w, 3, dims, &over));
    w = good, w.dilation[0] = INT64_MAX;
    assert_false(qn_window_over(&w, 3, dims, &over));
    w = good, w.kernel[0] = -1;
    assert_int_equal(qn_gram_init(&gram, &w, 1, 1, NULL), QONNX_E_LIMIT);
    w = good, w.channels = SIZE_MAX / 2;
    assert_int_equal(qn_gram_bytes(&w), SIZE_MAX);
    assert_int_equal(qn_gram_init(&gram, &w, 1, 1, NULL), QONNX_E_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_those_of_the_rows_a_convolution_reads),
        cmocka_unit_test(matrix_products_take_each_vector_of_the_last_axis),
        cmocka_unit_test(some_columns_have_the_sums_that_they_have_among_all),
        cmocka_unit_test(automatic_padding_is_as_the_operator_says),
        cmocka_unit_test(order_and_threads_change_nothing),
        cmocka_unit_test(every_column_of_an_image_is_seen_over_the_samples),
        cmocka_unit_test(largest_and_odd_values_do_not_overflow),
        cmocka_unit_test(windows_that_make_no_sense_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
