/* SPDX-License-Identifier: Apache-2.0 */
#include "quant/running.h"

#include <math.h>

#include "cmocka_all.h"
#include "quant/kernels.h"

/* assert_float_equal() lets the last bit differ, whatever the tolerance. */
#define assert_same_float(a, b) assert_true((a) == (b))

static struct qn_arena arena;

static int release(void **state)
{
    (void)state;
    qn_arena_inject_failure(0, false);
    qn_arena_release(&arena);
    return 0;
}

static struct qn_quantizer named(const char *name)
{
    struct qn_quantizer q;
    qn_quantizer_init(&q, qn_quantizer_row_find(name));
    return q;
}

static struct qn_running started(const struct qn_quantizer *q, size_t channels)
{
    struct qn_running running;
    qonnx_error       error = { 0 };

    assert_int_equal(qn_running_init(&running, q, channels, &arena, &error), QONNX_OK);
    return running;
}

static void train(struct qn_running *running, float u)
{
    const struct qn_batch_stat batch = { .u = &u };
    qn_running_train(running, &batch);
}

static float eval_scale(const struct qn_running *running)
{
    float scale;
    qn_running_eval_params(running, &scale, NULL);
    return scale;
}

static void a_layer_that_never_trained_has_a_range_of_one(void **state)
{
    const struct qn_quantizer q = named("Int8ActPerTensorFloat"), u = named("Uint8ActPerTensorFloat");
    const struct qn_running   signed_one = started(&q, 1), unsigned_one = started(&u, 1);

    (void)state;
    assert_same_float(eval_scale(&signed_one), 1.0f / 128.0f);
    assert_same_float(eval_scale(&unsigned_one), 1.0f / 255.0f);
}

static void the_average_moves_by_the_momentum_with_every_product_rounded(void **state)
{
    const float         keep = (float)(1 - 0.9), enter = 0.9f;
    struct qn_quantizer q = named("Int8ActPerTensorFloat");
    struct qn_running   running;
    volatile float      kept, entering; /* so that no compiler keeps more digits */

    (void)state;
    q.momentum = 0.9;
    running = started(&q, 1);
    train(&running, 3.3f);
    assert_same_float(running.buffer[0], 3.3f);
    train(&running, 0.001f);
    kept = 3.3f * keep;
    entering = enter * 0.001f;
    assert_same_float(running.buffer[0], kept + entering);
}

static void without_momentum_the_average_is_the_mean(void **state)
{
    const float         u[] = { 0.001f, 0.002f, 0.3f };
    struct qn_quantizer q = named("Int8ActPerTensorFloat");
    struct qn_running   running;
    float               buffer = u[0];

    (void)state;
    q.momentum = NAN;
    running = started(&q, 1);
    train(&running, u[0]);
    for (int i = 1; i < 3; i++) {
        volatile float kept = buffer * (float)(i / (double)(i + 1)), entering = u[i] / (float)(i + 1);
        train(&running, u[i]);
        buffer = kept + entering;
        assert_same_float(running.buffer[0], buffer);
    }
    assert_float_equal(buffer, (0.001 + 0.002 + 0.3) / 3, 1e-6);
}

static void after_the_collected_batches_the_average_stands_still(void **state)
{
    struct qn_quantizer  q = named("Int8ActPerTensorFloat");
    struct qn_running    running;
    float                scale, u = 100;
    struct qn_batch_stat late = { .u = &u };

    (void)state;
    q.collect_steps = 2;
    running = started(&q, 1);
    train(&running, 2);
    train(&running, 2);
    assert_false(qn_running_collects(&running));
    assert_same_float(running.value[0], 1);
    qn_running_train_params(&running, &late, &scale, NULL);
    assert_same_float(scale, 2.0f / 128.0f); /* the batch does not count any more */
    for (int i = 0; i < 3; i++) {
        qn_running_train(&running, &late);
        assert_int_equal(running.counter, 3);
        assert_same_float(running.value[0], 2);
        qn_running_train_params(&running, &late, &scale, NULL);
        assert_same_float(scale, 2.0f / 128.0f);
        assert_same_float(eval_scale(&running), 2.0f / 128.0f);
    }
}

static void replay_is_the_same_as_training_and_needs_only_the_collected_batches(void **state)
{
    float                u[] = { 1, 2, 3, 4, 5 };
    struct qn_quantizer  q = named("Int8ActPerTensorFloat");
    struct qn_batch_stat batches[5] = { { .u = &u[0] }, { .u = &u[1] }, { .u = &u[2] } }; /* two left empty */
    struct qn_running    one, other;

    (void)state;
    q.collect_steps = 3;
    one = started(&q, 1);
    other = started(&q, 1);
    qn_running_replay(&one, batches, 5);
    for (int i = 0; i < 5; i++) train(&other, u[i]);
    assert_int_equal(one.counter, other.counter);
    assert_same_float(one.value[0], other.value[0]);
    assert_same_float(eval_scale(&one), eval_scale(&other));
}

static void a_range_of_zero_is_floored_in_training_and_the_scale_in_inference(void **state)
{
    const float               zeros[4] = { 0 };
    const struct qn_quantizer q = named("Int8ActPerTensorFloat");
    struct qn_running         running = started(&q, 1);
    float                     u, scale;
    struct qn_batch_stat      batch = { .u = &u };

    (void)state;
    qn_batch_stat_take(&q, zeros, QN_LAYOUT_FLAT(4), &batch);
    assert_same_float(u, 1e-10f);
    qn_running_train_params(&running, &batch, &scale, NULL);
    assert_same_float(scale, 1e-10f / 128.0f);
    qn_running_train(&running, &batch);
    assert_same_float(eval_scale(&running), 1e-10f);
}

static void shifted_statistics_reach_from_the_minimum_or_zero_to_the_maximum(void **state)
{
    const struct {
        float x[3], u, m;
    } cases[] = { { { -2, 5, 1 }, 7, -2 }, { { 2, 5, 3 }, 5, 0 }, { { -2, -5, -3 }, 3, -5 } };
    const struct qn_quantizer q = named("ShiftedUint8ActPerTensorFloat");

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct qn_batch_stat batch;
        qonnx_error          error = { 0 };
        assert_int_equal(qn_batch_stat_init(&batch, &q, 1, &arena, &error), QONNX_OK);
        qn_batch_stat_take(&q, cases[i].x, QN_LAYOUT_FLAT(3), &batch);
        assert_same_float(batch.u[0], cases[i].u);
        assert_same_float(batch.m[0], cases[i].m);
    }
}

static void values_that_are_not_ordinary_are_counted_and_set_no_range(void **state)
{
    const float               x[] = { NAN, 2, -INFINITY, -1e38f, QN_MASKED_FROM, -3, INFINITY };
    const struct qn_quantizer q = named("ShiftedUint8ActPerTensorFloat");
    struct qn_batch_stat      batch;
    qonnx_error               error = { 0 };

    (void)state;
    assert_int_equal(qn_batch_stat_init(&batch, &q, 1, &arena, &error), QONNX_OK);
    for (int again = 0; again < 2; again++) { /* counts are of one batch */
        qn_batch_stat_take(&q, x, QN_LAYOUT_FLAT(7), &batch);
        assert_int_equal(batch.nan, 1);
        assert_int_equal(batch.inf, 2);
        assert_int_equal(batch.masked, 2);
        assert_same_float(batch.u[0], 5);
        assert_same_float(batch.m[0], -3);
    }
}

static void a_channel_without_ordinary_values_has_the_smallest_range(void **state)
{
    const float          x[] = { NAN, INFINITY, 4, 2 };
    struct qn_quantizer  q = named("ShiftedUint8ActPerTensorFloat");
    struct qn_batch_stat batch;
    qonnx_error          error = { 0 };

    (void)state;
    q.per_channel = true;
    assert_int_equal(qn_batch_stat_init(&batch, &q, 2, &arena, &error), QONNX_OK);
    qn_batch_stat_take(&q, x, (struct qn_layout){ 1, 2, 2 }, &batch);
    assert_same_float(batch.u[0], QN_RANGE_FLOOR);
    assert_same_float(batch.m[0], 0);
    assert_same_float(batch.u[1], 4);
    qn_batch_stat_take(&q, NULL, (struct qn_layout){ 0, 2, 2 }, &batch);
    assert_same_float(batch.u[1], QN_RANGE_FLOOR);
}

static void the_zero_point_follows_the_scale_of_the_same_call(void **state)
{
    struct qn_quantizer  q = named("ShiftedUint8ActPerTensorFloat");
    struct qn_running    running = started(&q, 1);
    float                u = 4, m = -1, scale;
    int32_t              zero_point;
    struct qn_batch_stat batch = { .u = &u, .m = &m };

    (void)state;
    qn_running_train(&running, &batch);
    qn_running_eval_params(&running, &scale, &zero_point);
    assert_same_float(scale, 4.0f / 255.0f);
    assert_int_equal(zero_point, 64); /* 63.75 */
    u = 1.25f;
    qn_running_train_params(&running, &batch, &scale, &zero_point);
    assert_int_equal(zero_point, 204);
    m = -3;
    qn_running_train_params(&running, &batch, &scale, &zero_point);
    assert_int_equal(zero_point, 255);
}

static void out_of_memory_is_reported(void **state)
{
    const struct qn_quantizer q = named("ShiftedUint8ActPerTensorFloat");

    (void)state;
    for (size_t nth = 1; nth <= 4; nth++) {
        struct qn_running    running;
        struct qn_batch_stat batch;
        qonnx_error          error = { 0 };
        qn_arena_inject_failure(nth, false);
        assert_int_equal(qn_running_init(&running, &q, 3, &arena, &error), QONNX_E_NOMEM);
        qn_arena_release(&arena);
        error = (qonnx_error){ 0 };
        qn_arena_inject_failure(nth > 2 ? 2 : nth, false);
        assert_int_equal(qn_batch_stat_init(&batch, &q, 3, &arena, &error), QONNX_E_NOMEM);
        qn_arena_release(&arena);
    }
}

#define TEST(f) cmocka_unit_test_teardown(f, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_layer_that_never_trained_has_a_range_of_one),
        TEST(the_average_moves_by_the_momentum_with_every_product_rounded),
        TEST(without_momentum_the_average_is_the_mean),
        TEST(after_the_collected_batches_the_average_stands_still),
        TEST(replay_is_the_same_as_training_and_needs_only_the_collected_batches),
        TEST(a_range_of_zero_is_floored_in_training_and_the_scale_in_inference),
        TEST(shifted_statistics_reach_from_the_minimum_or_zero_to_the_maximum),
        TEST(values_that_are_not_ordinary_are_counted_and_set_no_range),
        TEST(a_channel_without_ordinary_values_has_the_smallest_range),
        TEST(the_zero_point_follows_the_scale_of_the_same_call),
        TEST(out_of_memory_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
