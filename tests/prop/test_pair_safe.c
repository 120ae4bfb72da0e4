/* SPDX-License-Identifier: Apache-2.0
 * What must hold for weights whose pairs of products are kept within 16 bits. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"
#include "quant/pair_safe.h"
#include "random.h"

enum { HI = 127 };

struct layer {
    struct qn_pair_task task;
    float              *w, *importance, *scale, *full; /* full: scales of full range */
    uint8_t            *most;
    uint16_t           *both;
    bool               *tight;
    int8_t             *codes;
    size_t              count, raised, tight_count, moved;
    double              cost;
};

enum kind { CONV, MATMUL, TRANSPOSED };

/* Sometimes weights with a few large ones, so that codes give way rather than scales. */
static void make(struct layer *l, struct rng *rng, enum kind kind, size_t groups, size_t per_group, size_t taps,
                 size_t channels, bool per_tensor)
{
    struct qn_products p = { groups * per_group, groups, taps, channels, taps * channels, 1, taps };
    const bool         few_large = rng_below(rng, 2);
    float              largest = 0;

    if (kind == MATMUL) p = (struct qn_products){ per_group, 1, 1, channels, 1, 0, per_group };
    if (kind == TRANSPOSED) p = (struct qn_products){ per_group, 1, 1, channels, channels, 0, 1 };
    memset(l, 0, sizeof *l);
    l->count = p.outputs * p.taps * p.channels;
    l->w = malloc(l->count * sizeof *l->w);
    l->codes = malloc(l->count);
    l->most = malloc(p.groups * p.channels);
    l->both = malloc(p.groups * p.channels * sizeof *l->both);
    l->importance = malloc(p.groups * p.channels * sizeof *l->importance);
    l->scale = malloc(p.outputs * sizeof *l->scale);
    l->full = malloc(p.outputs * sizeof *l->full);
    l->tight = malloc(p.outputs * sizeof *l->tight);
    for (size_t i = 0; i < l->count; i++) l->w[i] = rng_normal(rng) * (few_large && rng_below(rng, 9) ? 0.3f : 1);
    for (size_t c = 0; c < p.groups * p.channels; c++) {
        l->most[c] = (uint8_t)(rng_below(rng, 2) ? 255 : rng_below(rng, 256));
        l->importance[c] = rng_between(rng, 0.01f, 1);
    }
    for (size_t c = 0; c < p.groups * p.channels; c++) { /* no less than one of them, no more than both */
        const unsigned next = c + 1 < p.groups * p.channels ? l->most[c + 1] : 0;
        const unsigned larger = l->most[c] > next ? l->most[c] : next;
        l->both[c] = (uint16_t)(larger + rng_below(rng, l->most[c] + next - larger + 1u));
    }
    for (size_t o = 0; o < p.outputs; o++) {
        float absmax = 0;
        for (size_t k = 0; k < p.taps * p.channels; k++)
            absmax =
                fmaxf(absmax,
                      fabsf(l->w[o * p.out_stride + k / p.channels * p.tap_stride + k % p.channels * p.in_stride]));
        l->scale[o] = absmax / HI;
        largest = fmaxf(largest, absmax);
    }
    if (per_tensor) l->scale[0] = largest / HI;
    memcpy(l->full, l->scale, p.outputs * sizeof *l->full);
    l->task =
        (struct qn_pair_task){ l->w, p,       { l->most, l->both }, l->importance, l->scale, per_tensor ? 1 : p.outputs,
                               HI,   l->tight };
}

static void drop(struct layer *l)
{
    free(l->w);
    free(l->codes);
    free(l->most);
    free(l->both);
    free(l->importance);
    free(l->scale);
    free(l->full);
    free(l->tight);
}

static size_t at(const struct layer *l, size_t o, size_t k)
{
    const struct qn_products *p = &l->task.products;
    return o * p->out_stride + k / p->channels * p->tap_stride + k % p->channels * p->in_stride;
}

static float scale_of(const struct layer *l, size_t o) { return l->scale[l->task.scale_count == 1 ? 0 : o]; }

static void nearest(struct layer *l)
{
    const struct qn_products *p = &l->task.products;
    for (size_t o = 0; o < p->outputs; o++)
        for (size_t k = 0; k < p->taps * p->channels; k++)
            l->codes[at(l, o, k)] = (int8_t)fmaxf(-HI, fminf(HI, rintf(l->w[at(l, o, k)] / scale_of(l, o))));
}

/* What the codes cost. */
static double loss(const struct layer *l, size_t o)
{
    const struct qn_products *p = &l->task.products;
    double                    sum = 0;

    for (size_t k = 0; k < p->taps * p->channels; k++) {
        const double error = (double)l->w[at(l, o, k)] - (double)l->codes[at(l, o, k)] * (double)scale_of(l, o);
        sum += error * error * (double)l->importance[o / (p->outputs / p->groups) * p->channels + k % p->channels];
    }
    return sum;
}

static void solve(struct layer *l, int threads)
{
    double before = 0, after = 0;

    assert_int_equal(qn_pair_scales(&l->task, &l->raised, &l->tight_count, threads, NULL), QONNX_OK);
    nearest(l);
    for (size_t o = 0; o < l->task.products.outputs; o++) before += loss(l, o);
    assert_int_equal(qn_pair_codes(&l->task, l->codes, &l->moved, &l->cost, threads, NULL), QONNX_OK);
    for (size_t o = 0; o < l->task.products.outputs; o++) after += loss(l, o);
    assert_true(fabs(after - before - l->cost) <= 1e-9 * after); /* what it says is what it is */
}

/* The most that the pair at position k makes of two positive numbers: a linear function over a polygon, tried at all
 * places where that can be. */
static int most_of(const struct layer *l, size_t o, size_t k, int first, int second)
{
    const struct qn_products *p = &l->task.products;
    const size_t              from = o / (p->outputs / p->groups) * p->channels;
    const size_t              a = from + k % p->channels, b = from + (k + 1) % p->channels;
    const bool                together = k / p->channels == (k + 1) / p->channels && a % 2 == 0;
    const int                 m1 = l->most[a], m2 = l->most[b], sum = together ? l->both[a] : m1 + m2;
    int                       most = 0;

    for (int i = 0; i < 3; i++) {
        int x = i == 0 ? 0 : i == 1 ? sum - m2 : m1, y;
        if (x < 0) x = 0;
        if (x > m1) x = m1;
        y = sum - x < m2 ? sum - x : m2;
        if (x * first + y * second > most) most = x * first + y * second;
    }
    return most;
}

/* Of the codes of one pair. */
static bool saturates(const struct layer *l, size_t o, size_t k, int first, int second)
{
    return most_of(l, o, k, first > 0 ? first : 0, second > 0 ? second : 0) > INT16_MAX ||
           most_of(l, o, k, first < 0 ? -first : 0, second < 0 ? -second : 0) > -INT16_MIN;
}

static const struct {
    enum kind kind;
    size_t    groups, per_group, taps, channels;
} shapes[] = {
    { CONV, 1, 5, 9, 3 },   { CONV, 1, 3, 9, 1 },      { CONV, 1, 20, 1, 64 }, { CONV, 4, 3, 9, 7 },
    { CONV, 1, 2, 49, 16 }, { MATMUL, 1, 33, 1, 130 }, { MATMUL, 1, 1, 1, 9 }, { TRANSPOSED, 1, 17, 1, 129 },
    { CONV, 1, 1, 1, 1 },   { CONV, 1, 64, 9, 512 },
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static void no_pair_saturates_and_only_such_codes_move(void **state)
{
    struct rng rng = { 11 };
    size_t     moved = 0, raised = 0;

    (void)state;
    for (size_t n = 0; n < 20 * SHAPES; n++) {
        const size_t i = n % SHAPES;
        struct layer l;
        make(&l, &rng, shapes[i].kind, shapes[i].groups, shapes[i].per_group, shapes[i].taps, shapes[i].channels,
             n / SHAPES % 2);
        solve(&l, 1);
        for (size_t o = 0; o < l.task.products.outputs; o++) {
            const size_t positions = l.task.products.taps * l.task.products.channels;
            assert_true(scale_of(&l, o) >= l.full[l.task.scale_count == 1 ? 0 : o]);
            for (size_t k = 0; k < positions; k += 2) {
                const float s = scale_of(&l, o);
                const int   a = (int)rintf(l.w[at(&l, o, k)] / s),
                          b = k + 1 < positions ? (int)rintf(l.w[at(&l, o, k + 1)] / s) : 0;
                const int first = l.codes[at(&l, o, k)], second = k + 1 < positions ? l.codes[at(&l, o, k + 1)] : 0;
                if (k + 1 < positions) assert_false(saturates(&l, o, k, first, second));
                if (k + 1 == positions || !saturates(&l, o, k, a, b)) assert_true(first == a && second == b);
                assert_true(abs(first) <= abs(a) && abs(second) <= abs(b) && first * a >= 0 && second * b >= 0);
            }
        }
        moved += l.moved;
        raised += l.raised;
        drop(&l);
    }
    assert_true(moved > 1000 && raised > 100);
}

static void nothing_changes_where_nothing_can_saturate(void **state)
{
    struct rng rng = { 12 };

    (void)state;
    for (size_t i = 0; i < SHAPES; i++)
        for (int per_tensor = 0; per_tensor < 2; per_tensor++) {
            struct layer l;
            make(&l, &rng, shapes[i].kind, shapes[i].groups, shapes[i].per_group, shapes[i].taps, shapes[i].channels,
                 per_tensor);
            for (size_t c = 0; c < l.task.products.groups * l.task.products.channels; c++) {
                l.most[c] = (uint8_t)(shapes[i].channels % 2 ? l.most[c] % 128 : 255);
                l.both[c] = 258; /* 127 * 258 fits */
            }
            solve(&l, 1);
            assert_int_equal(l.raised, 0);
            assert_int_equal(l.tight_count, 0);
            assert_int_equal(l.moved, 0);
            assert_memory_equal(l.scale, l.full, l.task.scale_count * sizeof *l.scale);
            drop(&l);
        }
}

/* All pairs of codes that fit, with the given scale. */
static void codes_of_a_pair_are_the_best_there_are(void **state)
{
    struct rng rng = { 13 };
    int        tried = 0;

    (void)state;
    while (tried < 300) {
        struct layer l;
        double       best = INFINITY;
        make(&l, &rng, CONV, 1, 1, 1, 2, false);
        l.w[0] = rng_between(&rng, 0.5f, 1) * (tried % 2 ? 1 : -1);
        l.w[1] = rng_between(&rng, 0.5f, 1) * (tried % 2 ? 1 : -1);
        l.importance[0] = powf(10, rng_between(&rng, -5, 0));
        l.scale[0] = fmaxf(fabsf(l.w[0]), fabsf(l.w[1])) / HI;
        l.tight[0] = true;
        nearest(&l);
        assert_int_equal(qn_pair_codes(&l.task, l.codes, &l.moved, &l.cost, 1, NULL), QONNX_OK);
        if (l.moved) {
            const double found = loss(&l, 0);
            for (int a = -HI; a <= HI; a++)
                for (int b = -HI; b <= HI; b++) {
                    l.codes[0] = (int8_t)a;
                    l.codes[1] = (int8_t)b;
                    if (!saturates(&l, 0, 0, a, b)) best = fmin(best, loss(&l, 0));
                }
            assert_true(found <= best * (1 + 1e-9));
            tried++;
        }
        drop(&l);
    }
}

/* Against 200 scales, from full range to where nothing has to move: in large layers, where luck averages out. */
static void the_scale_is_close_to_the_best_there_is(void **state)
{
    struct rng rng = { 14 };

    (void)state;
    for (int round = 0; round < 6; round++) {
        struct layer l;
        double       best = INFINITY, found = 0;
        float        chosen;
        make(&l, &rng, MATMUL, 1, 1, 1, 2000, round % 2);
        memset(l.most, 255 - round, 2000);
        for (size_t c = 0; c < 2000; c++) l.both[c] = (uint16_t)(round % 3 ? 510 : 420);
        for (size_t i = 0; i < 2000; i++) l.w[i] = round < 3 ? rng_normal(&rng) / 4 : rng_between(&rng, -1, 1);
        for (size_t i = 0; i < 2000; i++) l.full[0] = fmaxf(i ? l.full[0] : 0, fabsf(l.w[i]) / HI);
        l.scale[0] = l.full[0];
        solve(&l, 1);
        found = loss(&l, 0);
        chosen = l.scale[0];
        for (int step = 0; step <= 200; step++) {
            l.scale[0] = l.full[0] * (1 + (float)step / 200);
            l.tight[0] = true;
            nearest(&l);
            assert_int_equal(qn_pair_codes(&l.task, l.codes, &l.moved, &l.cost, 1, NULL), QONNX_OK);
            best = fmin(best, loss(&l, 0));
        }
        assert_true(chosen > l.full[0] * 1.02f);
        assert_true(found <= best * 1.08);
        drop(&l);
    }
}

static void threads_leave_no_trace(void **state)
{
    struct rng rng = { 15 };

    (void)state;
    for (int per_tensor = 0; per_tensor < 2; per_tensor++) {
        struct layer l;
        float        scales[600];
        int8_t      *codes;
        make(&l, &rng, per_tensor ? MATMUL : CONV, 1, 600, 9, 100, per_tensor);
        solve(&l, 1);
        codes = malloc(l.count);
        memcpy(codes, l.codes, l.count);
        memcpy(scales, l.scale, l.task.scale_count * sizeof *scales);
        for (int threads = 2; threads < 6; threads++) {
            memcpy(l.scale, l.full, l.task.scale_count * sizeof *l.scale);
            solve(&l, threads);
            assert_memory_equal(l.codes, codes, l.count);
            assert_memory_equal(l.scale, scales, l.task.scale_count * sizeof *scales);
        }
        free(codes);
        drop(&l);
    }
}

/* The range left to one code is exactly what its neighbour leaves. */
static void the_range_of_a_code_is_what_its_neighbour_leaves(void **state)
{
    struct rng rng = { 16 };

    (void)state;
    for (int round = 0; round < 2000; round++) {
        uint8_t               most[6];
        int32_t               codes[18];
        uint16_t              both[6];
        struct qn_pair_limits limits = { 1 + rng_below(&rng, 3), 1 + rng_below(&rng, 6), { most, both } };
        const size_t          positions = limits.taps * limits.channels, position = rng_below(&rng, positions),
                     other = position ^ 1;
        const size_t i = position % limits.channels * limits.taps + position / limits.channels;
        int32_t      lo = -HI, hi = HI;
        for (size_t c = 0; c < limits.channels; c++) most[c] = (uint8_t)rng_below(&rng, 256);
        for (size_t c = 0; c < limits.channels; c++) {
            const unsigned next = c + 1 < limits.channels ? most[c + 1] : 0, larger = most[c] > next ? most[c] : next;
            both[c] = (uint16_t)(larger + rng_below(&rng, most[c] + next - larger + 1u));
        }
        for (size_t k = 0; k < positions; k++) codes[k] = (int32_t)rng_below(&rng, 255) - HI;
        qn_pair_code_range(&limits, 0, i, codes, &lo, &hi);
        for (int32_t q = -HI; q <= HI; q++) {
            bool fits = true;
            if (other < positions) {
                const size_t       first = position < other ? position : other;
                const int          neighbour = codes[other % limits.channels * limits.taps + other / limits.channels];
                const struct layer one = { .most = most,
                                           .both = both,
                                           .task = { .products = { 1, 1, limits.taps, limits.channels, 0, 0, 0 } } };
                fits = !saturates(&one, 0, first, position == first ? q : neighbour, position == first ? neighbour : q);
            }
            assert_int_equal(fits, q >= lo && q <= hi);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_pair_saturates_and_only_such_codes_move),
        cmocka_unit_test(nothing_changes_where_nothing_can_saturate),
        cmocka_unit_test(codes_of_a_pair_are_the_best_there_are),
        cmocka_unit_test(the_scale_is_close_to_the_best_there_is),
        cmocka_unit_test(threads_leave_no_trace),
        cmocka_unit_test(the_range_of_a_code_is_what_its_neighbour_leaves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
