/* SPDX-License-Identifier: Apache-2.0 */
#include "protect.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmocka_all.h"
#include "scratch.h"

static void touch(const char *path)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
}

static qonnx_status check(const char *calib, const char *output, const char *sidecar)
{
    qonnx_error  err = { 0 };
    qonnx_status status = qn_protect_files("in.onnx", calib, output, sidecar, &err);

    assert_int_equal(status, err.status);
    assert_true(!status == !*err.message);
    return status;
}

static struct scratch scratch;

/* in.onnx, c.npz and its link, data/{a.npz,out.onnx,test_data_set_0/input_0.pb} */
static int set_up(void **state)
{
    (void)state;
    scratch_open(&scratch);
    assert_int_equal(chdir(scratch.folder), 0);
    touch("in.onnx");
    touch("c.npz");
    if (link("c.npz", "link.npz") || mkdir("data", 0700) || mkdir("data/test_data_set_0", 0700)) return -1;
    touch("data/a.npz");
    touch("data/out.onnx");
    touch("data/test_data_set_0/input_0.pb");
    return 0;
}

static void a_result_never_replaces_calibration_data(void **state)
{
    (void)state;
    assert_int_equal(check("c.npz", "c.npz", NULL), QONNX_E_USAGE);
    assert_int_equal(check("c.npz", "link.npz", NULL), QONNX_E_USAGE);
    assert_int_equal(check("data", "data/a.npz", NULL), QONNX_E_USAGE);
    assert_int_equal(check("data", "data/test_data_set_0/input_0.pb", NULL), QONNX_E_USAGE);
    assert_int_equal(check("data", "out.onnx", "data/a.npz"), QONNX_E_USAGE);
    assert_int_equal(check("c.npz", "out.onnx", "./c.npz"), QONNX_E_USAGE);
}

static void models_may_lie_among_the_data_and_be_replaced(void **state)
{
    (void)state;
    assert_int_equal(check("data", "data/out.onnx", "data/out.quant.json"), QONNX_OK);
    assert_int_equal(check("data", "data/new.npz", NULL), QONNX_OK); /* nothing is there yet */
    assert_int_equal(check("c.npz", "in.onnx", "in.quant.json"), QONNX_OK);
    assert_int_equal(check(NULL, "c.npz", NULL), QONNX_OK);
    assert_int_equal(check("missing", "nowhere/out.onnx", "nowhere/out.quant.json"), QONNX_OK); /* others tell */
}

static void a_sidecar_never_replaces_the_model_by_any_name(void **state)
{
    (void)state;
    assert_int_equal(check(NULL, "out.onnx", "in.onnx"), QONNX_E_USAGE);
    assert_int_equal(check(NULL, "out.onnx", "data/../in.onnx"), QONNX_E_USAGE);
    assert_int_equal(check(NULL, "out.onnx", "out.onnx"), QONNX_E_USAGE);
    assert_int_equal(check(NULL, "out.onnx", "./out.onnx"), QONNX_E_USAGE);
    assert_int_equal(check(NULL, "data/new.onnx", "data/test_data_set_0/../new.onnx"), QONNX_E_USAGE);
    assert_int_equal(check(NULL, "data/new.onnx", "new.onnx"), QONNX_OK);
}

static int tear_down(void **state)
{
    (void)state;
    scratch_close(&scratch);
    return 0;
}

static void a_result_never_replaces_weights_of_its_input(void **state)
{
    struct qn_map map = { 0 };
    qonnx_error   err = { 0 };

    (void)state;
    touch("weights.bin");
    assert_int_equal(qn_map_open(&map, "weights.bin", false, NULL), QONNX_OK);
    assert_int_equal(qn_protect_weights(&map, 1, "new.onnx", &err), QONNX_OK);
    assert_int_equal(qn_protect_weights(&map, 1, "in.onnx", &err), QONNX_OK);
    assert_int_equal(qn_protect_weights(&map, 1, NULL, &err), QONNX_OK);
    assert_int_equal(qn_protect_weights(&map, 1, "data/../weights.bin", &err), QONNX_E_USAGE);
    assert_non_null(strstr(err.message, "data/../weights.bin"));
    assert_int_equal(qn_protect_weights(&map, 0, "weights.bin", NULL), QONNX_OK);
    qn_map_release(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_result_never_replaces_calibration_data),
        cmocka_unit_test(models_may_lie_among_the_data_and_be_replaced),
        cmocka_unit_test(a_sidecar_never_replaces_the_model_by_any_name),
        cmocka_unit_test(a_result_never_replaces_weights_of_its_input),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
