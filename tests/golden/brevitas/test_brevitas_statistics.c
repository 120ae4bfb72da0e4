/* SPDX-License-Identifier: Apache-2.0
 * 34 training calls, 30 of which are collected: every state and every parameter on the way. */
#include "golden.h"

struct recorded {
    json_t             *json, *row;
    struct floats       x; /* all batches */
    struct qn_layout    layout;
    size_t              steps, size; /* batches, values in one */
    struct qn_quantizer q;
    const char         *name;
};

static float *batch_at(const struct recorded *r, size_t step, float *room)
{
    const bool relu = strcmp(golden_text(r->row, "layer"), "relu") == 0;

    for (size_t i = 0; i < r->size; i++) {
        const float x = r->x.at[step * r->size + i];
        room[i] = relu && x < 0 ? 0 : x;
    }
    return room;
}

/* Row `step` of a recorded matrix whose rows have one entry for each channel, or one for all. */
static void assert_step(const struct recorded *r, const char *key, size_t step, const float *got, size_t channels)
{
    json_t      *all = json_object_get(r->row, key);
    const size_t width = json_array_size(all) / r->steps;

    for (size_t i = 0; all && i < channels; i++) {
        const float want = golden_float(json_array_get(all, step * width + (width == 1 ? 0 : i)));
        if (got[i] != want)
            fail_msg("%s, step %zu: %s is %.9g (%a), recorded %.9g (%a)", r->name, step, key, (double)got[i],
                     (double)got[i], (double)want, (double)want);
    }
}

static void assert_step_zero(const struct recorded *r, const char *key, size_t step, const int32_t *got,
                             size_t channels)
{
    float as_float[8];

    assert_in_range(channels, 1, 8);
    for (size_t i = 0; i < channels; i++) as_float[i] = (float)got[i];
    assert_step(r, key, step, as_float, channels);
}

static void replay(const struct recorded *r, struct qn_arena *arena)
{
    const size_t         channels = qn_running_channels(&r->q, r->layout);
    float               *room = qn_arena_array(arena, r->size, sizeof *room), scale[8];
    int32_t              zero_point[8];
    struct qn_batch_stat batch;
    struct qn_running    running;
    qonnx_error          error = { 0 };

    assert_int_equal(qn_batch_stat_init(&batch, &r->q, channels, arena, &error), QONNX_OK);
    assert_int_equal(qn_running_init(&running, &r->q, channels, arena, &error), QONNX_OK);
    for (size_t step = 0; step < r->steps; step++) {
        qn_batch_stat_take(&r->q, batch_at(r, step, room), r->layout, &batch);
        qn_running_train_params(&running, &batch, scale, zero_point);
        assert_step(r, "train_scale", step, scale, channels);
        assert_step_zero(r, "train_zp", step, zero_point, channels);
        qn_running_train(&running, &batch);
        assert_int_equal(running.counter, json_integer_value(json_array_get(json_object_get(r->row, "counter"), step)));
        assert_step(r, "buffer", step, running.buffer, channels);
        assert_step(r, "value", step, running.value, channels);
        if (running.min_buffer) {
            assert_step(r, "zp_buffer", step, running.min_buffer, channels);
            assert_step(r, "zp_value", step, running.min_value, channels);
        }
        qn_running_eval_params(&running, scale, zero_point);
        assert_step(r, "eval_scale_after", step, scale, channels);
        assert_step_zero(r, "eval_zp_after", step, zero_point, channels);
    }
}

/* Records taken in any order, replayed in that of the data, end in the same parameters. */
static void replay_records(const struct recorded *r, struct qn_arena *arena)
{
    const size_t          channels = qn_running_channels(&r->q, r->layout), last = r->steps - 1;
    float                *room = qn_arena_array(arena, r->size, sizeof *room);
    struct qn_batch_stat *batches = qn_arena_array(arena, r->steps, sizeof *batches);
    struct qn_running     running;
    struct qn_qparams     qp;
    qonnx_error           error = { 0 };

    assert_non_null(batches);
    for (size_t i = 0; i < r->steps; i++) {
        const size_t step = i * 7 % r->steps;
        assert_int_equal(qn_batch_stat_init(&batches[step], &r->q, channels, arena, &error), QONNX_OK);
        qn_batch_stat_take(&r->q, batch_at(r, step, room), r->layout, &batches[step]);
    }
    assert_int_equal(qn_running_init(&running, &r->q, channels, arena, &error), QONNX_OK);
    qn_running_replay(&running, batches, r->steps);
    assert_int_equal(qn_quantizer_activation(&r->q, &running, channels, 1, arena, &qp, &error), QONNX_OK);
    assert_int_equal(qp.count, channels);
    assert_step(r, "eval_scale_after", last, qp.scale, channels);
    assert_step_zero(r, "eval_zp_after", last, qp.zero_point, channels);
}

static void with_case(struct qn_arena *arena, const char *name,
                      void (*check)(const struct recorded *, struct qn_arena *))
{
    struct recorded r = { .json = golden_load("statistics.json") };
    size_t          i;
    int64_t         dims[8];
    size_t          rank;
    qonnx_error     error = { 0 };

    json_array_foreach(json_object_get(r.json, "cases"), i, r.row) if (!strcmp(golden_text(r.row, "case"), name)) break;
    assert_non_null(r.row);
    assert_true(i < json_array_size(json_object_get(r.json, "cases")));
    r.name = name;
    r.q = golden_quantizer(r.row);
    r.q.per_channel = json_is_true(json_object_get(r.row, "per_channel"));
    r.q.collect_steps = json_integer_value(json_object_get(r.row, "collect_steps"));
    rank = golden_dims(json_object_get(r.json, "dims"), dims);
    assert_int_equal(qn_layout_init(&r.layout, dims, rank, r.q.per_channel ? 1 : QN_NO_AXIS, &error), QONNX_OK);
    r.size = qn_layout_count(r.layout);
    r.steps = (size_t)json_integer_value(json_object_get(r.json, "steps"));
    r.x = golden_floats(arena, json_object_get(r.json, "x"));
    assert_int_equal(r.x.count, r.steps * r.size);
    assert_int_equal(r.steps, 34);
    check(&r, arena);
    json_decref(r.json);
}

static void signed_statistics_replay_bit_for_bit(void **state) { with_case(*state, "stats30_int8", replay); }
static void shifted_statistics_replay_bit_for_bit(void **state) { with_case(*state, "stats30_shifted", replay); }
static void statistics_of_each_channel_replay_bit_for_bit(void **state)
{
    with_case(*state, "stats30_relu_per_channel", replay);
}
static void records_taken_in_another_order_end_in_the_same_parameters(void **state)
{
    with_case(*state, "stats30_int8", replay_records);
    with_case(*state, "stats30_shifted", replay_records);
    with_case(*state, "stats30_relu_per_channel", replay_records);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, golden_setup, golden_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(signed_statistics_replay_bit_for_bit),
        TEST(shifted_statistics_replay_bit_for_bit),
        TEST(statistics_of_each_channel_replay_bit_for_bit),
        TEST(records_taken_in_another_order_end_in_the_same_parameters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
