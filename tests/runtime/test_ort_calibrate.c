/* SPDX-License-Identifier: Apache-2.0
 * What observers see in the real library's own layout and in the plain one. */
#include <math.h>

#include "fake_runtime.h"
#include "npy_files.h"
#include "real_runtime.h"
#include "run/calibrate.h"
#include "run/ort_session.h"

enum { SIZE = 12, RUNS = 6 };

/* Conv of `channels` to `channels` with a bias of 100, so that all its values are far above 0; Relu; and again. */
static void conv_model(struct qn_model *model, int64_t channels, float *weights, float *bias)
{
    const int64_t input[] = { 1, channels, SIZE, SIZE }, kernel[] = { channels, channels, 3, 3 };
    int64_t       pads[] = { 1, 1, 1, 1 };
    size_t        count = (size_t)(channels * channels * 9);

    for (size_t i = 0; i < count; i++) weights[i] = (float)((int)(i * 7919 % 201) - 100) / 2000;
    for (int64_t i = 0; i < channels; i++) bias[i] = 100;
    model_init(model);
    model_input(model, "x", QN_FLOAT, 4, input, NULL);
    model_constant(model, "w", QN_FLOAT, 4, kernel, weights, count * 4);
    model_constant(model, "b", QN_FLOAT, 1, &channels, bias, (size_t)channels * 4);
    qn_attr_set_ints(&model->arena, model_node(model, "Conv", "c0", INPUTS("x", "w", "b")), "pads", 4, pads);
    model_node(model, "Relu", "r0", INPUTS("c0"));
    qn_attr_set_ints(&model->arena, model_node(model, "Conv", "c1", INPUTS("r0", "w", "b")), "pads", 4, pads);
    model_node(model, "Relu", "r1", INPUTS("c1"));
    model_output(model, "r1", QN_FLOAT);
}

/* Two blocks of a residual network: c1 + r0, Relu; c2 + that, without one. */
static void residual_model(struct qn_model *model, int64_t channels, float *weights, float *bias)
{
    int64_t pads[] = { 1, 1, 1, 1 };

    conv_model(model, channels, weights, bias);
    for (int64_t i = 0; i < channels; i++) bias[i] = (float)(i % 5 - 2); /* of either sign */
    model->pb->graph->n_node--; /* the last Relu, */
    model->pb->graph->n_output--; /* which was the output */
    model_node(model, "Add", "a1", INPUTS("c1", "r0"));
    model_node(model, "Relu", "s1", INPUTS("a1"));
    qn_attr_set_ints(&model->arena, model_node(model, "Conv", "c2", INPUTS("s1", "w", "b")), "pads", 4, pads);
    model_node(model, "Add", "s2", INPUTS("s1", "c2"));
    model_node(model, "Relu", "y", INPUTS("s2"));
    model_output(model, "y", QN_FLOAT);
}

static size_t count_ops(const struct qn_model *model, const char *op)
{
    size_t count = 0;

    for (size_t i = 0; i < model->pb->graph->n_node; i++) count += !strcmp(model->pb->graph->node[i]->op_type, op);
    return count;
}

static struct qn_feed *random_images(struct scratch *scratch, const struct qn_model *model, struct qn_arena *arena,
                                     int64_t channels)
{
    const struct qn_port *inputs;
    struct qn_feed       *feed = NULL;
    size_t                count, size = (size_t)channels * SIZE * SIZE;
    char                  name[16], shape[64];
    float                *x = malloc(size * sizeof *x);

    for (int r = 0; r < RUNS; r++) {
        for (size_t i = 0; i < size; i++) x[i] = (float)((i + (size_t)r * 31) * 2654435761u % 1000) / 500 - 1;
        snprintf(name, sizeof name, "%d.npy", r);
        snprintf(shape, sizeof shape, "(1, %d, %d, %d)", (int)channels, SIZE, SIZE);
        npy_write(scratch, name, "<f4", shape, x, size * sizeof *x);
    }
    free(x);
    assert_int_equal(qn_model_inputs(model, arena, &inputs, &count, NULL), QONNX_OK);
    assert_int_equal(qn_feed_open(&feed, scratch->folder, inputs, 1, &(struct qn_feed_options){ 0 }, NULL), QONNX_OK);
    return feed;
}

struct range {
    float    min[3], max[3];
    uint64_t count[3];
};

static qonnx_status widen(void *context, size_t index, const struct qn_view *view, qonnx_error *err)
{
    struct range *range = context;
    const float  *x = view->data;

    (void)err;
    for (size_t i = 0; i < qn_view_count(view); i++) {
        if (x[i] < range->min[index]) range->min[index] = x[i];
        if (x[i] > range->max[index]) range->max[index] = x[i];
    }
    range->count[index] += qn_view_count(view);
    return QONNX_OK;
}

struct channel_sums {
    double sum[3][16];
    float  max[3][16];
};

static qonnx_status add_channels(void *context, size_t index, const struct qn_view *view, qonnx_error *err)
{
    struct channel_sums *sums = context;
    const float         *x = view->data;

    (void)err;
    assert_int_equal(view->block, 0);
    for (size_t i = 0; i < qn_view_count(view); i++) {
        const size_t c = i / (SIZE * SIZE) % 16;
        sums->sum[index][c] += (double)x[i];
        if (x[i] > sums->max[index][c]) sums->max[index][c] = x[i];
    }
    return QONNX_OK;
}

/* Kernels read weights as fast as they read those that the runtime itself has placed. */
static void assert_aligned(const struct qn_model *saved)
{
    const Onnx__GraphProto *graph = saved->pb->graph;
    size_t                  seen = 0;

    for (size_t i = 0; i < graph->n_initializer; i++) {
        const Onnx__TensorProto *tensor = graph->initializer[i];
        if (!tensor->has_raw_data) continue;
        assert_int_equal((uintptr_t)tensor->raw_data.data % 64, 0);
        seen++;
    }
    assert_true(seen > 0);
}

/* Ranges in the runtime's own layout are those of the plain one; where blocks are padded, zeros must not enter. */
static void ranges_do_not_depend_on_the_layout(void **state)
{
    const char *const names[] = { "x", "r0", "r1" };
    const int64_t     widths[] = { 16, 3, 32, 20 };

    (void)state;
    for (size_t k = 0; k < sizeof widths / sizeof *widths; k++) {
        struct scratch   scratch;
        struct qn_model  model;
        struct qn_feed  *feed;
        struct qn_sample sample = { 0 };
        static float     weights[32 * 32 * 9], bias[32];
        struct range     ranges[2];
        scratch_open(&scratch);
        conv_model(&model, widths[k], weights, bias);
        feed = random_images(&scratch, &model, &model.arena, widths[k]);
        for (int own = 0; own < 2; own++) {
            struct range      *range = &ranges[own];
            struct qn_session *session = open_session(&model, (struct qn_session_options){ .optimize = true,
                                                                                           .observe = names,
                                                                                           .observe_count = 3,
                                                                                           .observer = widen,
                                                                                           .any_order = own });
            assert_int_equal(((struct ort_run_session *)session)->saved.pb != NULL,
                             own); /* two stages, not the way round */
            if (own) assert_aligned(&((struct ort_run_session *)session)->saved);
            for (int i = 0; i < 3; i++)
                *range = (struct range){ { INFINITY, INFINITY, INFINITY }, { -INFINITY, -INFINITY, -INFINITY }, { 0 } };
            assert_int_equal(qn_feed_rewind(feed, NULL), QONNX_OK);
            for (bool done = false;;) {
                assert_int_equal(qn_feed_next(feed, &sample, &done, NULL), QONNX_OK);
                if (done) break;
                assert_int_equal(ort->run(session, &(struct qn_run){ sample.views, NULL, range }, NULL), QONNX_OK);
            }
            ort->close(session);
        }
        assert_memory_equal(&ranges[0], &ranges[1], sizeof ranges[0]);
        assert_int_equal(ranges[1].count[1], RUNS * widths[k] * SIZE * SIZE);
        assert_true(ranges[1].min[1] > 50); /* padding would be 0 */
        qn_sample_release(&sample);
        qn_feed_close(feed);
        qn_model_release(&model);
        scratch_close(&scratch);
    }
}

struct values {
    double sum[6], squares[6];
};

static qonnx_status add_values(void *context, size_t index, const struct qn_view *view, qonnx_error *err)
{
    struct values *values = context;
    const float   *x = view->data;

    (void)err;
    for (size_t i = 0; i < qn_view_count(view); i++) {
        values->sum[index] += (double)x[i];
        values->squares[index] += (double)x[i] * (double)x[i];
    }
    return QONNX_OK;
}

static qonnx_status add_output(void *context, size_t index, const struct qn_view *view, qonnx_error *err)
{
    return add_values(context, index + 5, view, err);
}

/* What a residual network adds is shown by the node that adds it, and is what it would be without. */
static void sums_show_their_terms_and_themselves(void **state)
{
    const char *const names[] = { "r0", "c1", "s1", "c2", "s2" };
    struct scratch    scratch;
    struct qn_model   model;
    struct qn_feed   *feed;
    struct qn_sample  sample = { 0 };
    static float      weights[32 * 32 * 9], bias[32];
    struct values     seen[2] = { { { 0 }, { 0 } }, { { 0 }, { 0 } } };

    (void)state;
    scratch_open(&scratch);
    residual_model(&model, 32, weights, bias);
    feed = random_images(&scratch, &model, &model.arena, 32);
    for (int own = 0; own < 2; own++) {
        struct qn_session *session = open_session(&model, (struct qn_session_options){ .optimize = true, .observe = names, .observe_count = 5, .observer = add_values, .any_order = own });
        if (own) {
            const struct qn_model *saved = &((struct ort_run_session *)session)->saved;
            assert_non_null(saved->pb);
            assert_int_equal(count_ops(saved, QN_SUM_OP), 2);
            assert_int_equal(count_ops(saved, "Add"), 0);
            assert_int_equal(count_ops(saved, "Relu"), 1); /* s2 is looked at before it */
        }
        assert_int_equal(qn_feed_rewind(feed, NULL), QONNX_OK);
        for (bool done = false;;) {
            assert_int_equal(qn_feed_next(feed, &sample, &done, NULL), QONNX_OK);
            if (done) break;
            assert_int_equal(ort->run(session, &(struct qn_run){ sample.views, add_output, &seen[own] }, NULL), QONNX_OK);
        }
        ort->close(session);
    }
    for (size_t i = 0; i < 6; i++) {
        assert_true(seen[0].squares[i] > 0);
        assert_true(fabs(seen[0].sum[i] - seen[1].sum[i]) <= 1e-5 * sqrt(seen[0].squares[i] * RUNS * 32 * SIZE * SIZE));
        assert_true(fabs(seen[0].squares[i] - seen[1].squares[i]) <= 1e-5 * seen[0].squares[i]);
    }
    qn_sample_release(&sample);
    qn_feed_close(feed);
    qn_model_release(&model);
    scratch_close(&scratch);
}

static qonnx_status keep_sum(void *context, size_t index, const struct qn_view *view, qonnx_error *err)
{
    (void)index;
    (void)err;
    assert_int_equal(view->size, 6 * sizeof(float));
    memcpy(context, view->data, view->size);
    return QONNX_OK;
}

/* Like any Add it takes terms of which one repeats. */
static void a_sum_repeats_the_smaller_term(void **state)
{
    const int64_t     shape[] = { 2, 3 }, column[] = { 2, 1 };
    const float       x[] = { 1, -2, 3, 4, -5, 6 }, b[] = { 1, -1 }, right[] = { 2, 0, 4, 3, 0, 5 };
    const char *const names[] = { "y" };
    float             y[6];

    (void)state;
    for (int turn = 0; turn < 2; turn++) {
        struct qn_model    model;
        struct qn_session *session;
        struct qn_view     view = { "x", QN_FLOAT, 2, shape, x, sizeof x, 0 };
        Onnx__NodeProto   *node;
        model_init(&model);
        model_input(&model, "x", QN_FLOAT, 2, shape, NULL);
        model_constant(&model, "b", QN_FLOAT, 2, column, b, sizeof b);
        node = turn ? model_node(&model, QN_SUM_OP, "y", INPUTS("b", "x")) : model_node(&model, QN_SUM_OP, "y", INPUTS("x", "b"));
        node->domain = qn_arena_strdup(&model.arena, QN_OBSERVE_DOMAIN);
        for (int i = 0; i < 4; i++) qn_attr_set_int(&model.arena, node, ((const char *[]){ "left", "right", "id", "relu" })[i], i < 3 ? -1 : 1);
        model_output(&model, "y", QN_FLOAT);
        session = open_session(&model, (struct qn_session_options){ .observe = names, .observe_count = 1, .observer = keep_sum });
        assert_int_equal(ort->run(session, &(struct qn_run){ &view, NULL, y }, NULL), QONNX_OK);
        for (int i = 0; i < 6; i++) assert_true(y[i] == right[i]);
        ort->close(session);
        qn_model_release(&model);
    }
}

/* Observers of tensors in blocks and of plain ones see the same channels. */
static void channels_do_not_depend_on_the_layout(void **state)
{
    const char *const            names[] = { "x", "r0", "r1" };
    const struct qn_channel_wish wishes[] = { { 16, 1 }, { 16, 1 }, { 16, 1 } };
    struct scratch               scratch;
    struct qn_model              model;
    struct qn_feed              *feed;
    struct qn_sample             sample = { 0 };
    struct qn_calibration        blocked;
    struct qn_session           *session;
    struct channel_sums          plain = { { { 0 } } };
    static float                 weights[16 * 16 * 9], bias[16];

    (void)state;
    scratch_open(&scratch);
    conv_model(&model, 16, weights, bias);
    feed = random_images(&scratch, &model, &model.arena, 16);
    assert_int_equal(qn_calibrate(&blocked, ort, &model, names, 3, feed,
                                  &(struct qn_calibrate_options){ .threads = 2, .sum_every = 8, .channels = wishes },
                                  NULL),
                     QONNX_OK);
    assert_int_equal(qn_feed_rewind(feed, NULL), QONNX_OK);
    session =
        open_session(&model, (struct qn_session_options){
                                 .optimize = true, .observe = names, .observe_count = 3, .observer = add_channels });
    for (bool done = false;;) {
        assert_int_equal(qn_feed_next(feed, &sample, &done, NULL), QONNX_OK);
        if (done) break;
        assert_int_equal(ort->run(session, &(struct qn_run){ sample.views, NULL, &plain }, NULL), QONNX_OK);
    }
    for (size_t i = 0; i < 3; i++) {
        const struct qn_channel_stats *seen = blocked.values[i].stats.channels;
        assert_true(qn_channel_stats_usable(seen));
        assert_int_equal(seen->count, RUNS * SIZE * SIZE);
        for (size_t c = 0; c < 16; c++) {
            const double mean = plain.sum[i][c] / (RUNS * SIZE * SIZE);
            assert_true(seen->max[c] == plain.max[i][c]);
            if (seen->summed == seen->count) assert_true(fabs(qn_channel_mean(seen, c) - mean) <= 1e-5 * fabs(mean));
        }
    }
    assert_true(plain.max[1][0] != plain.max[1][1]); /* there is something to mix up */
    ort->close(session);
    qn_calibration_release(&blocked);
    qn_sample_release(&sample);
    qn_feed_close(feed);
    qn_model_release(&model);
    scratch_close(&scratch);
}

static void a_block_has_as_many_channels_as_the_processor_likes(void **state)
{
    size_t block = 0;

    (void)state;
    assert_int_equal(qn_ort_block_size(ort, &block, NULL), QONNX_OK);
    assert_true(block == 8 || block == 16);
}

static void calibration_gives_the_same_bytes_for_any_number_of_threads(void **state)
{
    const char *const     names[] = { "r1", "c0", "x", "r0" };
    struct scratch        scratch;
    struct qn_model       model;
    struct qn_feed       *feed;
    struct qn_calibration one, many;
    static float          weights[16 * 16 * 9], bias[16];

    (void)state;
    scratch_open(&scratch);
    conv_model(&model, 16, weights, bias);
    feed = random_images(&scratch, &model, &model.arena, 16);
    assert_int_equal(qn_calibrate(&one, ort, &model, names, 4, feed,
                                  &(struct qn_calibrate_options){ .threads = 1, .histogram_most = QN_HISTOGRAM_ALL }, NULL),
                     QONNX_OK);
    assert_int_equal(one.samples, RUNS);
    assert_true(one.values[3].stats.min > 50);
    assert_int_equal(one.values[1].rank, 4);
    assert_int_equal(one.values[1].dims[1], 16);
    for (int threads = 2; threads <= 4; threads++) {
        assert_int_equal(qn_feed_rewind(feed, NULL), QONNX_OK);
        assert_int_equal(qn_calibrate(&many, ort, &model, names, 4, feed,
                                      &(struct qn_calibrate_options){ .threads = threads, .histogram_most = QN_HISTOGRAM_ALL },
                                      NULL),
                         QONNX_OK);
        for (size_t i = 0; i < 4; i++) {
            struct qn_stats x = one.values[i].stats, y = many.values[i].stats;
            assert_memory_equal(x.histogram, y.histogram, sizeof *x.histogram);
            x.histogram = y.histogram = NULL;
            assert_memory_equal(&x, &y, sizeof x);
        }
        qn_calibration_release(&many);
    }
    qn_calibration_release(&one);
    qn_feed_close(feed);
    qn_model_release(&model);
    scratch_close(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_do_not_depend_on_the_layout),
        cmocka_unit_test(sums_show_their_terms_and_themselves),
        cmocka_unit_test(a_sum_repeats_the_smaller_term),
        cmocka_unit_test(channels_do_not_depend_on_the_layout),
        cmocka_unit_test(a_block_has_as_many_channels_as_the_processor_likes),
        cmocka_unit_test(calibration_gives_the_same_bytes_for_any_number_of_threads),
    };
    return cmocka_run_group_tests(tests, load_runtime, release_runtime);
}
