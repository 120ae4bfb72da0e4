/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>

#include "fake_runtime.h"
#include "run/feed.h"
#include "run/synthetic.h"

struct fixture {
    struct qn_model       model;
    struct qn_graph       graph;
    struct fake_runtime   fake;
    const struct qn_port *inputs;
    size_t                input_count;
    qonnx_error           err;
};

static void set_up(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    model_init(&f->model);
    fake_init(&f->fake);
}

static void index_model(struct fixture *f)
{
    qonnx_status status = qn_graph_build(&f->graph, &f->model, &f->err);

    if (status != QONNX_OK) fail_msg("%s", f->err.message);
    assert_int_equal(qn_model_inputs(&f->model, &f->model.arena, &f->inputs, &f->input_count, NULL), QONNX_OK);
}

static void tear_down(struct fixture *f)
{
    assert_int_equal(f->fake.opened, f->fake.closed);
    qn_graph_release(&f->graph);
    qn_model_release(&f->model);
}

static qonnx_status open_feed(struct fixture *f, struct qn_feed **feed, const char *dim, const char *shape, bool trials)
{
    struct qn_dim_options options = {
        .dims = &dim, .dim_count = dim ? 1 : 0, .shapes = &shape, .shape_count = shape ? 1 : 0
    };

    *feed = NULL;
    memset(&f->err, 0, sizeof f->err);
    return qn_feed_synthetic(feed, &f->graph, f->inputs, f->input_count, 3, 42, &options, trials ? &f->fake.base : NULL,
                             &f->err);
}

static void one_input(struct fixture *f, int32_t dtype, int rank, const int64_t *dims, const char *const *names)
{
    set_up(f);
    model_input(&f->model, "x", dtype, rank, dims, names);
    model_node(&f->model, "Identity", "y", INPUTS("x"));
    model_output(&f->model, "y", dtype);
    index_model(f);
}

/* The shape that input 0 gets, or the refusal. */
static void shape_is(struct fixture *f, const char *dim, const char *shape, bool trials, const char *expected)
{
    struct qn_feed  *feed;
    struct qn_sample sample = { 0 };
    bool             done;
    char             text[100] = "";
    size_t           length = 0;
    qonnx_status     status = open_feed(f, &feed, dim, shape, trials);

    if (status != QONNX_OK) {
        assert_int_equal(status, QONNX_E_USAGE);
        if (!strstr(f->err.message, expected)) fail_msg("'%s' lacks '%s'", f->err.message, expected);
        return;
    }
    assert_int_equal(qn_feed_next(feed, &sample, &done, NULL), QONNX_OK);
    for (int i = 0; i < sample.views[0].rank; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "%d,", (int)sample.views[0].dims[i]);
    assert_string_equal(text, expected);
    qn_sample_release(&sample);
    qn_feed_close(feed);
}

static void shapes_come_from_the_model_the_user_or_a_trial(void **state)
{
    static const int64_t dims[] = { -1, 3, -1, -1 };
    struct fixture       f;

    (void)state;
    one_input(&f, QN_FLOAT, 4, dims, (const char *const[]){ "N", NULL, "H", "W" });
    shape_is(&f, NULL, NULL, false,
             "input 'x', dimension 'H': its size is not known; give it with --dim H=N or --input-shape x=...");
    shape_is(&f, "H=7", NULL, false, "dimension 'W'");
    shape_is(&f, "Q=7", NULL, false, "--dim Q=7: no input has a dimension of that name");
    shape_is(&f, "H=0", NULL, false, "NAME=N is wanted");
    shape_is(&f, "H=7x", NULL, false, "NAME=N is wanted");
    shape_is(&f, "=7", NULL, false, "NAME=N is wanted");
    shape_is(&f, "H=99999999999999999999", NULL, false, "NAME=N is wanted");
    shape_is(&f, NULL, "x=2,3,5,6", false, "2,3,5,6,");
    shape_is(&f, NULL, "x=2,4,5,6", false, "dimension 1 of the input is 3");
    shape_is(&f, NULL, "x=2,3,5", false, "the input has 4 dimensions");
    shape_is(&f, NULL, "z=2,3,5,6", false, "no input of that name");
    shape_is(&f, NULL, "x=2,3,5,", false, "with commas between");
    shape_is(&f, NULL, "x", false, "INPUT=1,3,224,224 is wanted");
    f.fake.only_size = 3 * 48 * 48; /* one size for both */
    shape_is(&f, NULL, NULL, true, "1,3,48,48,");
    f.fake.only_size = 3 * 48 * 320; /* each its own */
    shape_is(&f, NULL, NULL, true, "1,3,48,320,");
    f.fake.only_size = 2 * 3 * 48 * 320;
    shape_is(&f, "N=2", NULL, true, "2,3,48,320,");
    f.fake.only_size = 7;
    shape_is(&f, NULL, NULL, true, "no size that was tried runs");
    tear_down(&f);
}

static void equal_names_get_equal_sizes(void **state)
{
    static const int64_t dims[] = { 1, -1 };
    struct fixture       f;
    struct qn_feed      *feed;
    struct qn_sample     sample = { 0 };
    bool                 done;

    (void)state;
    set_up(&f);
    model_input(&f.model, "a", QN_FLOAT, 2, dims, (const char *const[]){ NULL, "T" });
    model_input(&f.model, "b", QN_FLOAT, 2, dims, (const char *const[]){ NULL, "T" });
    model_node(&f.model, "Add", "y", INPUTS("a", "b"));
    model_output(&f.model, "y", QN_FLOAT);
    index_model(&f);
    f.fake.only_size = 100;
    assert_int_equal(open_feed(&f, &feed, NULL, NULL, true), QONNX_OK);
    assert_int_equal(qn_feed_next(feed, &sample, &done, NULL), QONNX_OK);
    assert_int_equal(sample.views[0].dims[1], 100);
    assert_int_equal(sample.views[1].dims[1], 100);
    assert_non_null(
        strstr(qn_feed_info(feed)->notes, "input 'b' is generated with shape [1,100] (unknown sizes found by trial)"));
    qn_sample_release(&sample);
    qn_feed_close(feed);
    tear_down(&f);
}

static void a_shape_that_is_not_declared_must_be_given(void **state)
{
    struct fixture f;

    (void)state;
    one_input(&f, QN_FLOAT, -1, NULL, NULL);
    shape_is(&f, NULL, NULL, true, "declares no shape; give it with --input-shape x=...");
    shape_is(&f, NULL, "x=2,2", false, "2,2,");
    tear_down(&f);
}

static void floats_are_standard_normal_and_the_same_for_a_seed(void **state)
{
    static const int64_t dims[] = { 1, 100000 };
    struct fixture       f;
    struct qn_feed      *feed;
    struct qn_sample     sample = { 0 };
    bool                 done;
    char                 digest[33];
    double               sum = 0, sum2 = 0, within = 0;

    (void)state;
    one_input(&f, QN_FLOAT, 2, dims, (const char *const[]){ NULL, NULL });
    assert_int_equal(open_feed(&f, &feed, NULL, NULL, false), QONNX_OK);
    assert_int_equal(qn_feed_next(feed, &sample, &done, NULL), QONNX_OK);
    for (int i = 0; i < 100000; i++) {
        double x = (double)((const float *)sample.views[0].data)[i];
        sum += x;
        sum2 += x * x;
        within += fabs(x) < 1;
    }
    assert_true(fabs(sum / 1e5) < 0.015);
    assert_true(fabs(sum2 / 1e5 - 1) < 0.02);
    assert_true(fabs(within / 1e5 - 0.6827) < 0.01);
    while (!done) assert_int_equal(qn_feed_next(feed, &sample, &done, NULL), QONNX_OK);
    assert_true(qn_feed_info(feed)->synthetic);
    memcpy(digest, qn_feed_info(feed)->digest, sizeof digest);
    qn_feed_close(feed);
    done = false;
    assert_int_equal(open_feed(&f, &feed, NULL, NULL, false), QONNX_OK);
    while (!done) assert_int_equal(qn_feed_next(feed, &sample, &done, NULL), QONNX_OK);
    assert_string_equal(digest, qn_feed_info(feed)->digest);
    qn_feed_close(feed);
    qn_sample_release(&sample);
    tear_down(&f);
}

/* The smallest and largest integer that comes. */
static void integers_span(struct fixture *f, int64_t *min, int64_t *max)
{
    struct qn_feed  *feed;
    struct qn_sample sample = { 0 };

    *min = INT64_MAX;
    *max = INT64_MIN;
    assert_int_equal(open_feed(f, &feed, NULL, NULL, false), QONNX_OK);
    for (bool done = false;;) {
        assert_int_equal(qn_feed_next(feed, &sample, &done, NULL), QONNX_OK);
        if (done) break;
        for (size_t i = 0; i < qn_view_count(&sample.views[0]); i++) {
            const struct qn_view *v = &sample.views[0];
            int64_t               x = v->dtype == QN_INT64   ? ((const int64_t *)v->data)[i]
                                      : v->dtype == QN_INT32 ? ((const int32_t *)v->data)[i]
                                                             : ((const uint8_t *)v->data)[i];
            if (x < *min) *min = x;
            if (x > *max) *max = x;
        }
    }
    qn_sample_release(&sample);
    qn_feed_close(feed);
}

static void token_ids_stay_inside_the_embedding_table(void **state)
{
    static const int64_t dims[] = { 1, 1000 }, table[] = { 11, 2 };
    static const float   rows[22] = { 0 };
    struct fixture       f;
    int64_t              min, max;

    (void)state;
    set_up(&f);
    model_input(&f.model, "ids", QN_INT64, 2, dims, NULL);
    model_constant(&f.model, "table", QN_FLOAT, 2, table, rows, sizeof rows);
    model_node(&f.model, "Identity", "same", INPUTS("ids"));
    model_node(&f.model, "Gather", "y", INPUTS("table", "same"));
    model_output(&f.model, "y", QN_FLOAT);
    index_model(&f);
    integers_span(&f, &min, &max);
    assert_int_equal(min, 0);
    assert_int_equal(max, 10);
    tear_down(&f);
}

static void the_smallest_table_and_its_axis_set_the_limit(void **state)
{
    static const int64_t dims[] = { 1, 1000 }, table[] = { 2, 9 }, small[] = { 5 };
    static const float   rows[22] = { 0 };
    struct fixture       f;

    (void)state;
    set_up(&f);
    model_input(&f.model, "ids", QN_INT64, 2, dims, NULL);
    model_input(&f.model, "mask", QN_INT64, 2, dims, NULL);
    model_constant(&f.model, "table", QN_FLOAT, 2, table, rows, 72);
    model_constant(&f.model, "small", QN_FLOAT, 1, small, rows, 20);
    qn_attr_set_int(&f.model.arena, model_node(&f.model, "Gather", "a", INPUTS("table", "ids")), "axis", -1);
    index_model(&f);
    assert_int_equal(qn_index_limit(&f.graph, qn_graph_find(&f.graph, "ids")), 9);
    assert_int_equal(qn_index_limit(&f.graph, qn_graph_find(&f.graph, "mask")), 0);
    qn_graph_release(&f.graph);
    model_node(&f.model, "Gather", "b", INPUTS("small", "ids"));
    index_model(&f);
    assert_int_equal(qn_index_limit(&f.graph, qn_graph_find(&f.graph, "ids")), 5);
    tear_down(&f);
}

static void a_spelt_out_one_hot_code_limits_its_input(void **state)
{
    static const int64_t dims[] = { 1, 1000, 1 }, range[] = { 1, 1, 4 };
    static const int32_t codes[] = { 0, 1, 2, 3 };
    struct fixture       f;
    int64_t              min, max;

    (void)state;
    set_up(&f);
    model_input(&f.model, "bytes", QN_INT32, 3, dims, NULL);
    model_constant(&f.model, "codes", QN_INT32, 3, range, codes, sizeof codes);
    model_node(&f.model, "Equal", "y", INPUTS("bytes", "codes"));
    model_output(&f.model, "y", QN_BOOL);
    index_model(&f);
    integers_span(&f, &min, &max);
    assert_int_equal(min, 0);
    assert_int_equal(max, 3);
    tear_down(&f);
}

static void other_integers_are_one_and_bytes_are_any(void **state)
{
    static const int64_t dims[] = { 1, 4000 };
    static const struct {
        int32_t dtype;
        int64_t min, max;
    } cases[] = { { QN_INT64, 1, 1 }, { QN_INT32, 1, 1 }, { QN_UINT8, 0, 255 }, { QN_BOOL, 1, 1 } };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f;
        int64_t        min, max;
        one_input(&f, cases[i].dtype, 2, dims, NULL);
        integers_span(&f, &min, &max);
        assert_int_equal(min, cases[i].min);
        assert_int_equal(max, cases[i].max);
        tear_down(&f);
    }
}

static void inputs_without_numbers_are_refused(void **state)
{
    static const int64_t dims[] = { 1 };
    struct fixture       f;
    struct qn_feed      *feed;

    (void)state;
    one_input(&f, ONNX__TENSOR_PROTO__DATA_TYPE__STRING, 1, dims, NULL);
    assert_int_equal(open_feed(&f, &feed, NULL, NULL, false), QONNX_E_UNSUPPORTED);
    assert_non_null(strstr(f.err.message, "input 'x' takes string"));
    tear_down(&f);
    one_input(&f, 0, 1, dims, NULL); /* as of a sequence */
    assert_int_equal(open_feed(&f, &feed, NULL, NULL, false), QONNX_E_UNSUPPORTED);
    assert_non_null(strstr(f.err.message, "input 'x' is a sequence"));
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_come_from_the_model_the_user_or_a_trial),
        cmocka_unit_test(equal_names_get_equal_sizes),
        cmocka_unit_test(a_shape_that_is_not_declared_must_be_given),
        cmocka_unit_test(floats_are_standard_normal_and_the_same_for_a_seed),
        cmocka_unit_test(token_ids_stay_inside_the_embedding_table),
        cmocka_unit_test(the_smallest_table_and_its_axis_set_the_limit),
        cmocka_unit_test(a_spelt_out_one_hot_code_limits_its_input),
        cmocka_unit_test(other_integers_are_one_and_bytes_are_any),
        cmocka_unit_test(inputs_without_numbers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
