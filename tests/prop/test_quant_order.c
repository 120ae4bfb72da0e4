/* SPDX-License-Identifier: Apache-2.0
 * Order statistics against a sort, and batches against their parts. */
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"
#include "quant/kernels.h"
#include "quant/order.h"
#include "quant/running.h"
#include "random.h"

enum { LARGEST = 4096, ROUNDS = 300 };

static int by_value(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static bool is_ordinary(float x) { return fabsf(x) < QN_MASKED_FROM; }

/* Any bits, or few different values so that many are equal. */
static void fill(struct rng *rng, float *x, size_t n)
{
    const size_t kind = rng_below(rng, 3);

    for (size_t i = 0; i < n; i++) {
        if (kind == 0)
            x[i] = rng_any_float(rng);
        else if (kind == 1)
            x[i] = rng_normal(rng);
        else
            x[i] = copysignf((float)rng_below(rng, 3), rng_below(rng, 2) ? 1.0f : -1.0f); /* -0 too */
    }
}

static size_t take_channel(const float *x, struct qn_layout layout, size_t channel, bool magnitude, float *out)
{
    size_t n = 0;

    for (size_t i = 0; i < qn_layout_count(layout); i++)
        if (i / layout.inner % layout.channels == channel && is_ordinary(x[i]))
            out[n++] = magnitude ? fabsf(x[i]) : x[i];
    qsort(out, n, sizeof *out, by_value);
    return n;
}

static bool is_found(const float *x, struct qn_layout layout, size_t channel, bool magnitude, const float *sorted,
                     size_t k, size_t n)
{
    const float found = qn_order_statistic(x, layout, channel, magnitude, k, n);

    assert_true(found == sorted[k - 1]);
    assert_true(found != 0 || !signbit(found));
    return true;
}

static void each_rank_is_what_sorting_finds(void **state)
{
    static float x[LARGEST], sorted[LARGEST];
    struct rng   rng = { 1 };
    size_t       checked = 0;

    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        const struct qn_layout layout = { 1 + rng_below(&rng, 4), 1 + rng_below(&rng, 4), 1 + rng_below(&rng, 256) };
        const size_t           channel = rng_below(&rng, layout.channels);
        const bool             magnitude = round % 2;
        size_t                 n;

        fill(&rng, x, qn_layout_count(layout));
        n = take_channel(x, layout, channel, magnitude, sorted);
        for (size_t k = 1; k <= n; k += 1 + rng_below(&rng, n)) {
            checked += is_found(x, layout, channel, magnitude, sorted, k, n);
        }
        /* Around the places where another way is taken. */
        for (size_t k = n > 132 ? n - 132 : 1; k <= n; k++)
            checked += is_found(x, layout, channel, magnitude, sorted, k, n);
        for (size_t k = 1; k <= n && k <= 132; k++) checked += is_found(x, layout, channel, magnitude, sorted, k, n);
    }
    assert_true(checked > ROUNDS);
}

static void a_batch_has_in_each_channel_the_statistic_of_that_channel_alone(void **state)
{
    static float             x[LARGEST], part[LARGEST];
    static const char *const names[] = { "Int8ActPerTensorFloat", "ShiftedUint8ActPerTensorFloat" };
    struct rng               rng = { 2 };

    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        const struct qn_layout layout = { 1 + rng_below(&rng, 4), 1 + rng_below(&rng, 4), 1 + rng_below(&rng, 256) };
        struct qn_quantizer    q;
        float                  u[4], m[4], one_u, one_m;
        struct qn_batch_stat   batch = { .u = u, .m = m }, one = { .u = &one_u, .m = &one_m };

        qn_quantizer_init(&q, qn_quantizer_row_find(names[round % 2]));
        if (!q.row->shifted) batch.m = one.m = NULL;
        q.high_percentile = rng_between(&rng, 50, 100);
        q.low_percentile = rng_between(&rng, 0, 49);
        fill(&rng, x, qn_layout_count(layout));
        q.per_channel = true;
        qn_batch_stat_take(&q, x, layout, &batch);
        q.per_channel = false;
        for (size_t c = 0; c < layout.channels; c++) {
            size_t n = 0;
            for (size_t o = 0; o < layout.outer; o++, n += layout.inner)
                memcpy(part + n, x + (o * layout.channels + c) * layout.inner, layout.inner * sizeof *x);
            qn_batch_stat_take(&q, part, QN_LAYOUT_FLAT(n), &one);
            assert_true(u[c] == one_u);
            if (batch.m) assert_true(m[c] == one_m);
        }
    }
}

static void a_batch_does_not_depend_on_the_order_of_its_values(void **state)
{
    static float x[LARGEST];
    struct rng   rng = { 3 };

    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        const size_t         n = 1 + rng_below(&rng, LARGEST);
        struct qn_quantizer  q;
        float                u[2], m[2];
        struct qn_batch_stat batch = { .u = &u[0], .m = &m[0] }, shuffled = { .u = &u[1], .m = &m[1] };

        qn_quantizer_init(&q, qn_quantizer_row_find("ShiftedUint8ActPerTensorFloat"));
        q.high_percentile = rng_between(&rng, 50, 100);
        fill(&rng, x, n);
        qn_batch_stat_take(&q, x, QN_LAYOUT_FLAT(n), &batch);
        for (size_t i = n - 1; i > 0; i--) {
            const size_t j = rng_below(&rng, i + 1);
            const float  swapped = x[i];
            x[i] = x[j];
            x[j] = swapped;
        }
        qn_batch_stat_take(&q, x, QN_LAYOUT_FLAT(n), &shuffled);
        assert_memory_equal(&u[0], &u[1], sizeof u[0]);
        assert_memory_equal(&m[0], &m[1], sizeof m[0]);
        assert_int_equal(batch.nan + batch.inf + batch.masked, shuffled.nan + shuffled.inf + shuffled.masked);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rank_is_what_sorting_finds),
        cmocka_unit_test(a_batch_has_in_each_channel_the_statistic_of_that_channel_alone),
        cmocka_unit_test(a_batch_does_not_depend_on_the_order_of_its_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
