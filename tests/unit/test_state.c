/* SPDX-License-Identifier: Apache-2.0 */
#include "run/state.h"

#include "fake_runtime.h"
#include "npy_files.h"

enum { WIDTH = 3 };

struct fixture {
    struct qn_model         model;
    struct fake_runtime     fake;
    struct qn_runtime      *runtime;
    struct qn_state_options options;
    struct qn_session      *session;
    float                   seen[8], observed;
    size_t                  outputs;
    qonnx_error             err;
};

static const char *const pairs[] = { "y1=x" };

static void keep_fake(struct qn_runtime *runtime) { (void)runtime; }

/* x comes back as 2 x + 1, whatever u is. */
static void set_up(struct fixture *f, const char *const *dims, int64_t size)
{
    memset(f, 0, sizeof *f);
    model_init(&f->model);
    fake_init(&f->fake);
    f->fake.base.release = keep_fake;
    model_input(&f->model, "x", QN_FLOAT, 2, (int64_t[]){ 1, size }, dims);
    model_input(&f->model, "u", QN_FLOAT, 2, (int64_t[]){ 1, -1 }, (const char *const[]){ NULL, "n" });
    model_output(&f->model, "y0", QN_FLOAT);
    model_output(&f->model, "y1", QN_FLOAT);
    f->model.pb->model_version = 2000;
    f->runtime = &f->fake.base;
    f->options = (struct qn_state_options){ .pairs = pairs, .pair_count = 1 };
}

static void tear_down(struct fixture *f)
{
    if (f->session) f->runtime->close(f->session);
    assert_int_equal(f->fake.opened, f->fake.closed);
    if (f->runtime != &f->fake.base) f->runtime->release(f->runtime);
    qn_model_release(&f->model);
}

static void wrap(struct fixture *f) { assert_int_equal(qn_state_wrap(&f->runtime, &f->model, &f->options, &f->err), QONNX_OK); }

static qonnx_status on_observed(void *context, size_t index, const struct qn_view *view, qonnx_error *err)
{
    struct fixture *f = context;
    (void)index, (void)err;
    f->observed = view->size ? *(const float *)view->data : -1;
    return QONNX_OK;
}

static qonnx_status on_output(void *context, size_t index, const struct qn_view *view, qonnx_error *err)
{
    struct fixture *f = context;
    (void)err;
    f->seen[index] = view->size ? ((const float *)view->data)[view->size / sizeof(float) - 1] : -1;
    f->outputs++;
    return QONNX_OK;
}

static void open_session(struct fixture *f)
{
    static const char *const  observed[] = { "v" };
    struct qn_session_options options = { .observe = observed, .observe_count = 1, .observer = on_observed };
    assert_int_equal(f->runtime->open(f->runtime, &f->model, &options, &f->session, &f->err), QONNX_OK);
}

static const int64_t        u_dims[] = { 1, WIDTH };
static const float          zeros[WIDTH], tens[WIDTH] = { 10, 10, 10 };
static const struct qn_view u = { "u", QN_FLOAT, 2, u_dims, zeros, sizeof zeros };

/* One run; what the state came out as. */
static float run(struct fixture *f)
{
    struct qn_run run = { &u, on_output, f };
    assert_int_equal(f->runtime->run(f->session, &run, &f->err), QONNX_OK);
    return f->seen[1];
}

#define NAMED ((const char *const[]){ NULL, "n" })

static void a_run_starts_from_what_the_one_before_gave(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, NAMED, -1);
    wrap(&f);
    open_session(&f);
    assert_int_equal(f.session->input_count, 1);
    assert_string_equal(f.session->inputs[0].name, "u"); /* whoever feeds it need not know */
    assert_true(run(&f) == 1 && run(&f) == 3 && run(&f) == 7 && run(&f) == 15);
    assert_true(f.observed == 7); /* of x */
    assert_int_equal(f.outputs, 8);
    tear_down(&f);
}

static void the_state_starts_anew_where_it_should(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, NAMED, -1);
    f.options.reset = 2;
    wrap(&f);
    for (int session = 0; session < 2; session++) {
        open_session(&f);
        assert_true(run(&f) == 1 && run(&f) == 3 && run(&f) == 1 && run(&f) == 3 && run(&f) == 1);
        f.runtime->close(f.session);
    }
    f.session = NULL;
    tear_down(&f);
}

static void no_state_is_no_wrapper(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, NAMED, -1);
    f.options.pair_count = 0;
    wrap(&f);
    assert_ptr_equal(f.runtime, &f.fake.base);
    tear_down(&f);
}

static void sizes_of_the_first_state_come_from_where_they_are_known(void **state)
{
    static const char *const    shape[] = { "x=1,5" }, *const size[] = { "m=4" };
    const struct qn_dim_options by_shape = { .shapes = shape, .shape_count = 1 }, by_size = { .dims = size, .dim_count = 1 };
    const struct {
        const char                  *name;
        int64_t                      declared;
        const struct qn_dim_options *dims;
        int64_t                      wanted;
    } cases[] = { { "n", -1, NULL, WIDTH }, { "m", -1, NULL, 0 }, { "m", -1, &by_size, 4 }, { NULL, 2, NULL, 2 }, { NULL, -1, &by_shape, 5 } };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f;
        set_up(&f, (const char *const[]){ NULL, cases[i].name }, cases[i].declared);
        f.options.dims = cases[i].dims;
        f.fake.only_size = cases[i].wanted;
        wrap(&f);
        open_session(&f);
        assert_true(run(&f) == (cases[i].wanted ? 1 : -1));
        tear_down(&f);
    }
}

static void a_size_that_nobody_knows_is_asked_for(void **state)
{
    struct fixture f;
    struct qn_run  once = { &u, NULL, NULL };

    (void)state;
    set_up(&f, NULL, -1);
    wrap(&f);
    open_session(&f);
    assert_int_equal(f.runtime->run(f.session, &once, &f.err), QONNX_E_USAGE);
    assert_non_null(strstr(f.err.message, "--input-shape x="));
    tear_down(&f);
}

static void pairs_that_are_none_are_mistakes(void **state)
{
    static const struct {
        const char *pair, *piece;
    } cases[] = { { "y1", "OUT=IN" }, { "=x", "OUT=IN" }, { "y1=", "OUT=IN" }, { "y2=x", "no output 'y2'" }, { "y1=z", "no input 'z'" }, { "x=y1", "no output 'x'" } };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f;
        set_up(&f, NAMED, -1);
        f.options.pairs = &cases[i].pair;
        assert_int_equal(qn_state_wrap(&f.runtime, &f.model, &f.options, &f.err), QONNX_E_USAGE);
        if (!strstr(f.err.message, cases[i].piece)) fail_msg("'%s' is not in '%s'", cases[i].piece, f.err.message);
        tear_down(&f);
    }
}

static void pairs_must_fit_and_have_an_input_each(void **state)
{
    static const char *const twice[] = { "y0=x", "y1=x" };

    (void)state;
    for (int i = 0; i < 3; i++) {
        struct qn_session_options plain = { 0 };
        struct fixture            f;
        set_up(&f, NAMED, -1);
        if (i == 0) f.options.pairs = twice, f.options.pair_count = 2;
        if (i == 1) f.model.pb->graph->output[1] = model_value(&f.model, "y1", QN_INT64, -1, NULL, NULL);
        if (i == 2) f.model.pb->graph->output[1] = model_value(&f.model, "y1", QN_FLOAT, 2, (int64_t[]){ 2, -1 }, NULL);
        wrap(&f);
        assert_int_equal(f.runtime->open(f.runtime, &f.model, &plain, &f.session, &f.err), QONNX_E_USAGE);
        assert_non_null(strstr(f.err.message, i == 0 ? "a state already" : i == 1 ? "int64" : "dimension 0"));
        f.session = NULL;
        tear_down(&f);
    }
}

static void names_may_hold_an_equals_sign(void **state)
{
    static const char *const odd[] = { "a=b=c=d" };
    struct fixture           f;

    (void)state;
    set_up(&f, NAMED, -1);
    model_input(&f.model, "c=d", QN_FLOAT, 2, (int64_t[]){ 1, 2 }, NULL);
    model_output(&f.model, "a=b", QN_FLOAT);
    f.options.pairs = odd;
    wrap(&f);
    open_session(&f);
    assert_int_equal(f.session->input_count, 2);
    tear_down(&f);
}

/* ---- data ---- */

static void the_data_may_hold_the_first_state(void **state)
{
    struct scratch scratch;

    (void)state;
    scratch_open(&scratch);
    npz_write(&scratch, "with.npz", (struct npz_member[]){ { "u.npy", npy_make("<f4", "(1, 1, 3)", zeros, sizeof zeros) }, { "x.npy", npy_make("<f4", "(1, 1, 3)", tens, sizeof tens) } }, 2);
    npz_write(&scratch, "without.npz", (struct npz_member[]){ { "u.npy", npy_make("<f4", "(1, 1, 3)", zeros, sizeof zeros) } }, 1);
    for (int with = 0; with < 2; with++) {
        struct fixture        f;
        const struct qn_port *inputs;
        size_t                count;
        struct qn_feed       *feed;
        struct qn_sample      sample = { 0 };
        struct qn_run         once = { .on_output = on_output, .context = &f };
        bool                  done;

        set_up(&f, NAMED, -1);
        wrap(&f);
        assert_int_equal(qn_model_inputs(&f.model, &f.model.arena, &inputs, &count, NULL), QONNX_OK);
        assert_int_equal(qn_state_feed(&feed, f.runtime, scratch_path(&scratch, with ? "with.npz" : "without.npz"), inputs, count, &(struct qn_feed_options){ 0 }, &f.options,
                                       &f.model.arena, &f.err),
                         QONNX_OK);
        open_session(&f);
        assert_int_equal(f.session->input_count, with ? 2 : 1);
        assert_int_equal(qn_feed_next(feed, &sample, &done, NULL), QONNX_OK);
        once.inputs = sample.views;
        assert_int_equal(f.runtime->run(f.session, &once, NULL), QONNX_OK);
        assert_true(f.seen[1] == (with ? 21 : 1));
        assert_int_equal(f.runtime->run(f.session, &once, NULL), QONNX_OK); /* and only the first */
        assert_true(f.seen[1] == (with ? 43 : 3));
        qn_sample_release(&sample);
        qn_feed_close(feed);
        tear_down(&f);
    }
    scratch_close(&scratch);
}

static void what_other_inputs_miss_is_told(void **state)
{
    struct scratch        scratch;
    struct fixture        f;
    const struct qn_port *inputs;
    size_t                count;
    struct qn_feed       *feed;

    (void)state;
    scratch_open(&scratch);
    npz_write(&scratch, "only.npz", (struct npz_member[]){ { "x.npy", npy_make("<f4", "(1, 1, 3)", tens, sizeof tens) }, { "z.npy", npy_make("<f4", "(1, 1, 3)", tens, sizeof tens) } }, 2);
    set_up(&f, NAMED, -1);
    wrap(&f);
    assert_int_equal(qn_model_inputs(&f.model, &f.model.arena, &inputs, &count, NULL), QONNX_OK);
    assert_int_equal(qn_state_feed(&feed, f.runtime, scratch_path(&scratch, "only.npz"), inputs, count, &(struct qn_feed_options){ 0 }, &f.options, &f.model.arena, &f.err),
                     QONNX_E_DATA);
    assert_non_null(strstr(f.err.message, "no array 'u'"));
    tear_down(&f);
    scratch_close(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_starts_from_what_the_one_before_gave),
        cmocka_unit_test(the_state_starts_anew_where_it_should),
        cmocka_unit_test(no_state_is_no_wrapper),
        cmocka_unit_test(sizes_of_the_first_state_come_from_where_they_are_known),
        cmocka_unit_test(a_size_that_nobody_knows_is_asked_for),
        cmocka_unit_test(pairs_that_are_none_are_mistakes),
        cmocka_unit_test(pairs_must_fit_and_have_an_input_each),
        cmocka_unit_test(names_may_hold_an_equals_sign),
        cmocka_unit_test(the_data_may_hold_the_first_state),
        cmocka_unit_test(what_other_inputs_miss_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
