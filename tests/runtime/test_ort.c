/* SPDX-License-Identifier: Apache-2.0
 * ort.c and its neighbours against the real library, found through QONNX_ORT. */
#include <dlfcn.h>
#include <math.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "fake_runtime.h"
#include "npy_files.h"
#include "run/calibrate.h"
#include "real_runtime.h"
#include "run/ort_session.h"

struct kept {
    float   first, last;
    size_t  count;
    int32_t dtype;
    size_t  order[64], calls;
};

static qonnx_status keep(void *context, size_t index, const struct qn_view *view, qonnx_error *err)
{
    struct kept *kept = context;

    (void)err;
    kept->order[kept->calls++ % 64] = index;
    kept->count = qn_view_count(view);
    kept->dtype = view->dtype;
    if (view->dtype != QN_FLOAT) return QONNX_OK;
    kept->first = ((const float *)view->data)[0];
    kept->last = ((const float *)view->data)[kept->count - 1];
    return QONNX_OK;
}

static qonnx_status ignore(void *context, size_t index, const struct qn_view *view, qonnx_error *err)
{
    (void)context, (void)index, (void)view, (void)err;
    return QONNX_OK;
}

/* ---- plain runs ---- */

/* y = x + w, w of 1000 elements. */
static void add_model(struct qn_model *model, const float *w)
{
    static const int64_t dims[] = { 1000 };

    model_init(model);
    model_input(model, "x", QN_FLOAT, 1, dims, NULL);
    model_constant(model, "w", QN_FLOAT, 1, dims, w, 4000);
    model_node(model, "Add", "y", INPUTS("x", "w"));
    model_output(model, "y", QN_FLOAT);
}

static void weights_are_used_where_they_lie(void **state)
{
    static const int64_t dims[] = { 1000 };
    static float         w[1000], x[1000];
    struct qn_view       input = { "x", QN_FLOAT, 1, dims, x, sizeof x };
    struct kept          kept = { 0 };
    struct qn_model      model;
    struct qn_session   *session;

    (void)state;
    for (int i = 0; i < 1000; i++) x[i] = (float)i;
    add_model(&model, w);
    session = open_session(&model, (struct qn_session_options){ .optimize = true });
    assert_int_equal(session->input_count, 1);
    assert_string_equal(session->inputs[0].name, "x");
    assert_string_equal(session->outputs[0].name, "y");
    w[0] = 5; /* changed under the session: a copy would not notice */
    w[999] = -1;
    assert_int_equal(ort->run(session, &(struct qn_run){ &input, keep, &kept }, NULL), QONNX_OK);
    assert_true(kept.first == 5 && kept.last == 998);
    ort->close(session);
    qn_model_release(&model);
}

static void packing_leaves_the_model_as_it_was(void **state)
{
    static float    w[1000];
    struct qn_model model;
    uint8_t        *before, *after;
    size_t          size_before, size_after;

    (void)state;
    add_model(&model, w);
    assert_int_equal(qn_model_pack(&model, &model.arena, &before, &size_before, NULL), QONNX_OK);
    ort->close(open_session(&model, (struct qn_session_options){ .observe = (const char *const[]){ "x", "y" },
                                                                 .observe_count = 2,
                                                                 .observer = ignore }));
    assert_int_equal(qn_model_pack(&model, &model.arena, &after, &size_after, NULL), QONNX_OK);
    assert_int_equal(size_before, size_after);
    assert_memory_equal(before, after, size_before);
    qn_model_release(&model);
}

static void integers_and_bools_come_out_as_they_are(void **state)
{
    static const int64_t dims[] = { 3 };
    const int64_t        x[] = { 1, 2, 3 };
    struct qn_view       input = { "x", QN_INT64, 1, dims, x, sizeof x };
    struct kept          kept = { 0 };
    struct qn_model      model;
    struct qn_session   *session;

    (void)state;
    model_init(&model);
    model_input(&model, "x", QN_INT64, 1, dims, NULL);
    model_node(&model, "Equal", "y", INPUTS("x", "x"));
    model_output(&model, "y", QN_BOOL);
    session = open_session(&model, (struct qn_session_options){ 0 });
    assert_int_equal(ort->run(session, &(struct qn_run){ &input, keep, &kept }, NULL), QONNX_OK);
    assert_int_equal(kept.dtype, QN_BOOL);
    assert_int_equal(kept.count, 3);
    ort->close(session);
    qn_model_release(&model);
}

static void what_the_runtime_refuses_is_told(void **state)
{
    static const int64_t wrong[] = { 7 };
    static float         w[1000], x[7];
    struct qn_view       input = { "x", QN_FLOAT, 1, wrong, x, sizeof x };
    struct qn_model      model;
    struct qn_session   *session;
    qonnx_error          err = { 0 };

    (void)state;
    add_model(&model, w);
    session = open_session(&model, (struct qn_session_options){ 0 });
    assert_int_equal(ort->run(session, &(struct qn_run){ &input, NULL, NULL }, &err), QONNX_E_RUNTIME);
    assert_non_null(strstr(err.message, "ONNX Runtime: run:"));
    ort->close(session);
    memset(&err, 0, sizeof err);
    model.pb->graph->node[0]->op_type = qn_arena_strdup(&model.arena, "NoSuchOp");
    assert_int_equal(ort->open(ort, &model, &(struct qn_session_options){ 0 }, &session, &err), QONNX_E_RUNTIME);
    assert_non_null(strstr(err.message, "NoSuchOp"));
    qn_model_release(&model);
}

/* y = x + w, x of rows that nobody counted. */
static void rows_model(struct qn_model *model, const float *w)
{
    static const int64_t one[] = { 1000 }, rows[] = { 0, 0 };

    model_init(model);
    model_input(model, "x", QN_FLOAT, 2, rows, NULL);
    model_constant(model, "w", QN_FLOAT, 1, one, w, 4000);
    model_node(model, "Add", "y", INPUTS("x", "w"));
    model_output(model, "y", QN_FLOAT);
}

static qonnx_status run_rows(struct qn_session *session, int64_t rows)
{
    static float         x[3000];
    const int64_t        dims[] = { rows, 1000 };
    const struct qn_view input = { "x", QN_FLOAT, 2, dims, x, (size_t)rows * 4000 };

    return ort->run(session, &(struct qn_run){ &input, NULL, NULL }, NULL);
}

static void sizes_known_beforehand_stand_where_the_model_has_none(void **state)
{
    static const int64_t dims[] = { 2, 1000 };
    static float         w[1000];
    const struct qn_view sizes = { "x", QN_FLOAT, 2, dims, NULL, 0 };
    struct qn_model      model;
    struct qn_session   *session;

    (void)state;
    rows_model(&model, w);
    session = open_session(&model, (struct qn_session_options){ .optimize = true });
    assert_int_equal(run_rows(session, 3), QONNX_OK);
    ort->close(session);
    session = open_session(&model, (struct qn_session_options){ .optimize = true, .sizes = &sizes });
    assert_int_equal(run_rows(session, 2), QONNX_OK);
    assert_int_equal(run_rows(session, 3), QONNX_E_RUNTIME);
    ort->close(session);
    qn_model_release(&model);
}

static void sizes_that_contradict_the_model_are_no_hindrance(void **state)
{
    static const int64_t dims[] = { 2, 7 };
    static float         w[1000];
    const struct qn_view sizes = { "x", QN_FLOAT, 2, dims, NULL, 0 };
    struct qn_model      model;
    struct qn_session   *session;

    (void)state;
    rows_model(&model, w);
    session = open_session(&model, (struct qn_session_options){ .optimize = true, .sizes = &sizes });
    assert_int_equal(run_rows(session, 3), QONNX_OK);
    ort->close(session);
    qn_model_release(&model);
}

/* ---- observers ---- */

enum { LINKS = 40 };

/* x -> t0 -> t1 ... -> y, each one more. */
static void chain_model(struct qn_model *model, int64_t size, const float *one)
{
    char name[LINKS + 1][8];

    model_init(model);
    model_input(model, "x", QN_FLOAT, 1, &size, NULL);
    model_constant(model, "one", QN_FLOAT, 0, NULL, one, 4);
    for (int i = 0; i < LINKS; i++) {
        snprintf(name[i], sizeof name[i], "t%d", i);
        model_node(model, i % 2 ? "Add" : "Mul", name[i], INPUTS(i ? name[i - 1] : "x", "one"));
    }
    model_output(model, name[LINKS - 1], QN_FLOAT);
}

/* In whatever order they are asked for, observers run in that of the values: only then are tensors freed early. */
static void observers_run_as_values_are_made(void **state)
{
    static const float   one = 1, x[4] = { 0 };
    static const int64_t size = 4;
    const char          *names[] = { "t9", "t0", "t39", "x", "t20", "t3" };
    const size_t         order[] = { 3, 1, 5, 0, 4, 2 };
    struct qn_view       input = { "x", QN_FLOAT, 1, &size, x, sizeof x };
    struct qn_model      model;

    (void)state;
    chain_model(&model, size, &one);
    for (int optimize = 0; optimize < 2; optimize++) {
        struct kept        kept = { 0 };
        struct qn_session *session =
            open_session(&model, (struct qn_session_options){
                                     .optimize = optimize, .observe = names, .observe_count = 6, .observer = keep });
        assert_int_equal(ort->run(session, &(struct qn_run){ &input, NULL, &kept }, NULL), QONNX_OK);
        assert_int_equal(kept.calls, 6);
        for (int i = 0; i < 6; i++) assert_int_equal(kept.order[i], order[i]);
        assert_true(kept.last == LINKS / 2);
        ort->close(session);
    }
    qn_model_release(&model);
}

static void observing_every_value_keeps_few_of_them(void **state)
{
    static const float one = 1;
    const int64_t      size = 1 << 20; /* 4 MB each, 160 MB in all */
    float             *x = calloc((size_t)size, sizeof *x);
    struct qn_view     input = { "x", QN_FLOAT, 1, &size, x, (size_t)size * sizeof *x };
    char               name[LINKS][8];
    const char        *names[LINKS];
    struct qn_model    model;
    struct qn_session *session;
    struct rusage      before, after;

    (void)state;
    chain_model(&model, size, &one);
    for (int i = 0; i < LINKS; i++) {
        snprintf(name[i], sizeof name[i], "t%d", i);
        names[i] = name[i];
    }
    session = open_session(&model,
                           (struct qn_session_options){ .observe = names, .observe_count = LINKS, .observer = ignore });
    getrusage(RUSAGE_SELF, &before);
    assert_int_equal(ort->run(session, &(struct qn_run){ &input, NULL, NULL }, NULL), QONNX_OK);
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_maxrss - before.ru_maxrss < 64 * 1024);
    ort->close(session);
    free(x);
    qn_model_release(&model);
}

static qonnx_status fail_at_t3(void *context, size_t index, const struct qn_view *view, qonnx_error *err)
{
    int *calls = context;

    (void)view;
    ++*calls;
    return index == 1 ? qn_fail(err, QONNX_E_DATA, "no more of this") : QONNX_OK;
}

static void a_failing_observer_ends_the_run_with_its_error(void **state)
{
    static const float   one = 1, x[4] = { 0 };
    static const int64_t size = 4;
    struct qn_view       input = { "x", QN_FLOAT, 1, &size, x, sizeof x };
    struct qn_model      model;
    struct qn_session   *session;
    qonnx_error          err = { 0 };
    int                  calls = 0;

    (void)state;
    chain_model(&model, size, &one);
    session = open_session(&model, (struct qn_session_options){ .observe = (const char *const[]){ "t0", "t3", "t9" },
                                                                .observe_count = 3,
                                                                .observer = fail_at_t3 });
    assert_int_equal(ort->run(session, &(struct qn_run){ &input, NULL, &calls }, &err), QONNX_E_DATA);
    assert_string_equal(err.message, "no more of this");
    assert_int_equal(calls, 2);
    ort->close(session);
    qn_model_release(&model);
}

static void a_value_nobody_makes_cannot_be_observed(void **state)
{
    static const float one = 1;
    struct qn_model    model;
    struct qn_session *session;
    qonnx_error        err = { 0 };

    (void)state;
    chain_model(&model, 4, &one);
    assert_int_equal(ort->open(ort, &model,
                               &(struct qn_session_options){
                                   .observe = (const char *const[]){ "ghost" }, .observe_count = 1, .observer = keep },
                               &session, &err),
                     QONNX_E_USAGE);
    assert_non_null(strstr(err.message, "'ghost'"));
    qn_model_release(&model);
}

/* ---- finding the library ---- */

static void a_library_asked_for_by_name_is_the_only_one_tried(void **state)
{
    struct qn_runtime *other = NULL;
    qonnx_error        err = { 0 };

    (void)state;
    assert_int_equal(qn_ort_load(&other, "/nowhere/libonnxruntime.so", &err), QONNX_E_NO_RUNTIME);
    assert_non_null(strstr(err.message, "--ort: cannot load ONNX Runtime from '/nowhere/libonnxruntime.so'"));
    memset(&err, 0, sizeof err);
    assert_int_equal(qn_ort_load(&other, "libm.so.6", &err), QONNX_E_NO_RUNTIME);
    assert_non_null(strstr(err.message, "not ONNX Runtime"));
    assert_null(other);
}

static void a_folder_with_the_library_will_do(void **state)
{
    struct qn_runtime *other = NULL;
    char              *path = strdup(getenv("QONNX_ORT"));
    qonnx_error        err = { 0 };

    (void)state;
    assert_non_null(strrchr(path, '/'));
    *strrchr(path, '/') = 0;
    assert_int_equal(qn_ort_load(&other, path, &err), QONNX_OK);
    assert_int_equal(strncmp(other->version, "onnxruntime 1.", 14), 0);
    other->release(other);
    free(path);
}

/* The last place to look is the package of the python3 on PATH; without any the error says how to get one. */
static void the_python_package_is_found_and_else_the_error_helps(void **state)
{
    struct scratch     scratch;
    struct qn_runtime *other = NULL;
    qonnx_error        err = { 0 };
    char              *library = strdup(getenv("QONNX_ORT")), *path = strdup(getenv("PATH")), script[5000];
    bool               installed = dlopen("libonnxruntime.so.1", RTLD_NOW) || dlopen("libonnxruntime.so", RTLD_NOW);

    (void)state;
    scratch_open(&scratch);
    mkdir(scratch_path(&scratch, "package"), 0700);
    assert_int_equal(symlink(library, scratch_path(&scratch, "libonnxruntime.so.1")), 0);
    assert_int_equal(rename(scratch_path(&scratch, "package"), scratch_path(&scratch, "capi")), 0);
    assert_int_equal(rename(scratch_path(&scratch, "libonnxruntime.so.1"),
                            scratch_path(&scratch, "capi/libonnxruntime.so.1")),
                     0);
    unsetenv("QONNX_ORT");
    setenv("PATH", scratch.folder, 1);
    if (!installed) {
        assert_int_equal(qn_ort_load(&other, NULL, &err), QONNX_E_NO_RUNTIME);
        assert_non_null(strstr(err.message, "pip install onnxruntime"));
        assert_non_null(strstr(err.message, "--ort PATH"));
    }
    snprintf(script, sizeof script, "#!/bin/sh\necho %s\n", scratch.folder);
    scratch_write(&scratch, "python3", script, strlen(script));
    assert_int_equal(chmod(scratch_path(&scratch, "python3"), 0700), 0);
    memset(&err, 0, sizeof err);
    if (qn_ort_load(&other, NULL, &err) != QONNX_OK) fail_msg("%s", err.message);
    other->release(other);
    setenv("QONNX_ORT", library, 1);
    setenv("PATH", path, 1);
    free(library);
    free(path);
    scratch_close(&scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(observing_every_value_keeps_few_of_them), /* first, while little memory has been used */
        cmocka_unit_test(weights_are_used_where_they_lie),
        cmocka_unit_test(packing_leaves_the_model_as_it_was),
        cmocka_unit_test(sizes_known_beforehand_stand_where_the_model_has_none),
        cmocka_unit_test(sizes_that_contradict_the_model_are_no_hindrance),
        cmocka_unit_test(integers_and_bools_come_out_as_they_are),
        cmocka_unit_test(what_the_runtime_refuses_is_told),
        cmocka_unit_test(observers_run_as_values_are_made),
        cmocka_unit_test(a_failing_observer_ends_the_run_with_its_error),
        cmocka_unit_test(a_value_nobody_makes_cannot_be_observed),
        cmocka_unit_test(a_library_asked_for_by_name_is_the_only_one_tried),
        cmocka_unit_test(a_folder_with_the_library_will_do),
        cmocka_unit_test(the_python_package_is_found_and_else_the_error_helps),
    };
    return cmocka_run_group_tests(tests, load_runtime, release_runtime);
}
