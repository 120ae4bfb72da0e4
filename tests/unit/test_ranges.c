/* SPDX-License-Identifier: Apache-2.0
 * Other tools' files of ranges: every kind as its tool writes it, and what is none. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cmocka_all.h"
#include "encodings.h"

struct file {
    struct qn_ranges ranges;
    qonnx_error      err;
};

static qonnx_status read_text(struct file *f, qn_ranges_reader *reader, const char *text)
{
    memset(f, 0, sizeof *f);
    qn_ranges_init(&f->ranges);
    return reader(&f->ranges, text, strlen(text), &f->err);
}

static const struct qn_given *find(const struct file *f, const char *name)
{
    const uint32_t id = qn_names_find(&f->ranges.names, name);
    return id == QN_NONE ? NULL : &f->ranges.list[id].given;
}

static void assert_range(const struct file *f, const char *name, float min, float max)
{
    const struct qn_given *given = find(f, name);

    assert_non_null(given);
    assert_float_equal(given->range.min, min, 1e-6f);
    assert_float_equal(given->range.max, max, 1e-6f);
}

static void assert_codes(const struct file *f, const char *name, float scale, int64_t offset, int bits)
{
    const struct qn_given *given = find(f, name);

    assert_non_null(given);
    assert_int_equal(given->as, QN_GIVEN_CODES);
    assert_memory_equal(&given->scale, &scale, sizeof scale);
    assert_int_equal(given->offset, offset);
    assert_int_equal(given->bits, bits);
}

static void calibration_cache_of_onnxruntime(void **state)
{
    struct file f;

    (void)state;
    assert_int_equal(
        read_text(&f, qn_ranges_read_ort,
                  "{\"CLS\": \"TensorsData\", \"data\": {"
                  "\"a\": {\"lowest\": {\"data\": -1.5, \"dtype\": \"float32\", \"CLS\": \"numpy.array\"},"
                  "        \"highest\": {\"data\": [2.25], \"dtype\": \"float32\", \"CLS\": \"numpy.array\"},"
                  "        \"hist\": {\"data\": [1, 2], \"dtype\": \"int64\", \"CLS\": \"numpy.array\"}, \"CLS\": "
                  "\"TensorData\"},"
                  "\"b\": {\"lowest\": 0, \"highest\": 6, \"CLS\": \"TensorData\"}},"
                  "\"calibration_method\": {\"CLS\": \"CalibrationMethod\", \"value\": \"CalibrationMethod.Entropy\"}, "
                  "\"smooth_quant\": false}"),
        QONNX_OK);
    assert_int_equal(f.ranges.count, 2);
    assert_range(&f, "a", -1.5f, 2.25f);
    assert_range(&f, "b", 0, 6);
    assert_int_equal(find(&f, "b")->as, QN_GIVEN_RANGE);
    qn_ranges_release(&f.ranges);
}

static void encodings_of_aimet_0_6(void **state)
{
    struct file f;

    (void)state;
    assert_int_equal(read_text(&f, qn_ranges_read_aimet,
                               "{\"version\": \"0.6.1\", \"activation_encodings\": {"
                               "\"x\": [{\"bitwidth\": 8, \"dtype\": \"int\", \"is_symmetric\": \"False\", \"max\": "
                               "2.6084, \"min\": -2.1092, \"offset\": -114, \"scale\": 0.018501}],"
                               "\"ends\": [{\"bitwidth\": 8, \"max\": 1.0, \"min\": -0.5}],"
                               "\"half\": [{\"bitwidth\": 16, \"dtype\": \"float\"}]},"
                               "\"param_encodings\": {\"w\": [{\"bitwidth\": 8, \"offset\": -128, \"scale\": 0.1}, "
                               "{\"bitwidth\": 8, \"offset\": -128, \"scale\": 0.2}]},"
                               "\"quantizer_args\": {\"activation_bitwidth\": 8}}"),
                     QONNX_OK);
    assert_int_equal(f.ranges.count, 2);
    assert_codes(&f, "x", 0.018501f, -114, 8);
    assert_range(&f, "ends", -0.5f, 1);
    assert_int_equal(f.ranges.weights, 1);
    assert_int_equal(f.ranges.floats, 1);
    qn_ranges_release(&f.ranges);
}

static void encodings_of_aimet_1(void **state)
{
    struct file f;

    (void)state;
    assert_int_equal(read_text(&f, qn_ranges_read_aimet,
                               "{\"version\": \"1.0.0\", \"activation_encodings\": ["
                               "{\"name\": \"x\", \"enc_type\": \"PER_TENSOR\", \"dtype\": \"INT\", \"bw\": 16, "
                               "\"is_sym\": false, \"scale\": [0.5], \"offset\": [-7]},"
                               "{\"name\": \"f\", \"dtype\": \"FLOAT\", \"bw\": 16},"
                               "{\"name\": \"c\", \"enc_type\": \"PER_CHANNEL\", \"dtype\": \"INT\", \"bw\": 8, "
                               "\"is_sym\": true, \"scale\": [0.5, 1], \"offset\": [-128, -128]}],"
                               "\"param_encodings\": [{\"name\": \"w\"}, {\"name\": \"v\"}], \"excluded_layers\": []}"),
                     QONNX_OK);
    assert_codes(&f, "x", 0.5f, -7, 16);
    assert_int_equal(find(&f, "c")->as, QN_GIVEN_CHANNELS);
    assert_int_equal(f.ranges.weights, 2);
    qn_ranges_release(&f.ranges);
}

static void encodings_of_aimet_2_have_the_signs_of_onnx(void **state)
{
    struct file f;

    (void)state;
    assert_int_equal(
        read_text(&f, qn_ranges_read_aimet,
                  "{\"version\": \"2.0.0\", \"encodings\": ["
                  "{\"name\": \"u\", \"output_dtype\": \"uint8\", \"y_scale\": 0.25, \"y_zero_point\": 3},"
                  "{\"name\": \"s\", \"output_dtype\": \"int8\", \"y_scale\": [0.25], \"y_zero_point\": -3},"
                  "{\"name\": \"none\", \"output_dtype\": \"int8\", \"y_scale\": 1},"
                  "{\"name\": \"null\", \"output_dtype\": \"int8\", \"y_scale\": 1, \"y_zero_point\": null},"
                  "{\"name\": \"w\", \"output_dtype\": \"int8\", \"y_scale\": [1, 2], \"axis\": 0},"
                  "{\"name\": \"l\", \"output_dtype\": \"int4\", \"per_block_int_scale\": [[1]], "
                  "\"per_channel_float_scale\": [1], \"block_size\": 32},"
                  "{\"name\": \"h\", \"output_dtype\": \"float16\"}]}"),
        QONNX_OK);
    assert_codes(&f, "u", 0.25f, -3, 8);
    assert_codes(&f, "s", 0.25f, -125, 8);
    assert_codes(&f, "none", 1, -128, 8);
    assert_codes(&f, "null", 1, -128, 8);
    assert_int_equal(find(&f, "w")->as, QN_GIVEN_CHANNELS);
    assert_int_equal(find(&f, "l")->as, QN_GIVEN_CHANNELS);
    assert_int_equal(f.ranges.floats, 1);
    qn_ranges_release(&f.ranges);
}

static void calibration_cache_of_tensorrt_is_split_at_the_last_colon(void **state)
{
    struct file f;

    (void)state;
    assert_int_equal(
        read_text(
            &f, qn_ranges_read_tensorrt,
            "TRT-8501-EntropyCalibration2\r\nimage: 3c010a14\n(Unnamed Layer* 0) [a: b]_output: 3F800000\ndead: 0\n\n"),
        QONNX_OK);
    assert_int_equal(f.ranges.count, 3);
    assert_codes(&f, "image", 0x1.021428p-7f, -128, 8);
    assert_codes(&f, "(Unnamed Layer* 0) [a: b]_output", 1, -128, 8);
    assert_range(&f, "dead", 0, 0);
    qn_ranges_release(&f.ranges);
}

static void table_of_ncnn_has_codes_a_unit(void **state)
{
    struct file f;

    (void)state;
    assert_int_equal(read_text(&f, qn_ranges_read_ncnn,
                               "conv1_param_0 156.639840536 200.5\n# conv2_param_0 1\nconv1 127\n"),
                     QONNX_OK);
    assert_int_equal(f.ranges.count, 1);
    assert_int_equal(f.ranges.weights, 1);
    assert_codes(&f, "conv1", 1 / 127.0f, -128, 8);
    qn_ranges_release(&f.ranges);
}

static void what_is_no_such_file_is_told_with_its_place(void **state)
{
    static const struct {
        qn_ranges_reader *reader;
        const char       *text, *told;
    } cases[] = {
        { qn_ranges_read_ort, "", "line 1: " },
        { qn_ranges_read_ort, "{\"data\": {\"a\": {\"lowest\": NaN, \"highest\": 1}}}", "line 1: " },
        { qn_ranges_read_ort, "[]", "it has no \"data\"" },
        { qn_ranges_read_ort, "{\"data\": {\"a\": {\"lowest\": 1}}}", "'a' has no \"lowest\" and \"highest\"" },
        { qn_ranges_read_ort, "{\"data\": {\"a\": {\"lowest\": [0, 1], \"highest\": 1}}}", "'a' has no" },
        { qn_ranges_read_ort, "{\"data\": {\"a\": {\"lowest\": 1, \"highest\": 0}}}", "'a': 1 … 0 is no range" },
        { qn_ranges_read_ort, "{\"data\": {\"a\": {\"lowest\": 0, \"highest\": 1e39}}}", "is no range" },
        { qn_ranges_read_ort, "{\"data\": {\"a\": {\"lowest\": 0, \"highest\": 1e999}}}", "line 1: " },
        { qn_ranges_read_ort, "{\"data\": {\"a\": 1, \"a\": 2}}", "line 1: " },
        { qn_ranges_read_ort, "{\"data\": {\"\": {\"lowest\": 0, \"highest\": 1}}}", "no name" },
        { qn_ranges_read_aimet, "{}", "it has neither" },
        { qn_ranges_read_aimet, "{\"activation_encodings\": {\"a\": []}}", "'a' has no encoding" },
        { qn_ranges_read_aimet,
          "{\"activation_encodings\": {\"a\": [{\"scale\": 1, \"offset\": 0.5, \"bitwidth\": 8}]}}",
          "'a': 0.5 is no offset" },
        { qn_ranges_read_aimet,
          "{\"activation_encodings\": {\"a\": [{\"scale\": 1, \"offset\": 0, \"bitwidth\": 64}]}}",
          "'a': 64 is no width" },
        { qn_ranges_read_aimet, "{\"activation_encodings\": {\"a\": [{\"scale\": 0, \"offset\": 0, \"bitwidth\": 8}]}}",
          "'a': 0 is no scale" },
        { qn_ranges_read_aimet,
          "{\"activation_encodings\": {\"a\": [{\"scale\": -1, \"offset\": 0, \"bitwidth\": 8}]}}",
          "'a': -1 is no scale" },
        { qn_ranges_read_aimet,
          "{\"activation_encodings\": [{\"name\": \"a\", \"min\": 0, \"max\": 1}, {\"name\": \"a\", \"min\": 0, "
          "\"max\": 1}]}",
          "'a' is there twice" },
        { qn_ranges_read_aimet, "{\"encodings\": [{\"name\": \"a\", \"output_dtype\": \"uint99\", \"y_scale\": 1}]}",
          "'a' has no \"output_dtype\"" },
        { qn_ranges_read_aimet, "{\"encodings\": [{\"name\": \"a\", \"output_dtype\": \"int8\"}]}",
          "'a' has no \"y_scale\"" },
        { qn_ranges_read_aimet, "{\"encodings\": [7]}", "'' has no" },
        { qn_ranges_read_tensorrt, "", "empty" },
        { qn_ranges_read_tensorrt, "a: 3c010a14\n", "line 1: no calibration cache" },
        { qn_ranges_read_tensorrt, "\na: 3c010a14\n", "line 1: no calibration cache" },
        { qn_ranges_read_tensorrt, "TRT-1\na: 3c010a14z\n", "line 2: " },
        { qn_ranges_read_tensorrt, "TRT-1\na 3c010a14\n", "line 2: " },
        { qn_ranges_read_tensorrt, "TRT-1\na: 7fc00000\n", "line 2: 'a': nan is no scale" },
        { qn_ranges_read_tensorrt, "TRT-1\na: 7f800000\n", "line 2: 'a': inf is no scale" },
        { qn_ranges_read_tensorrt, "TRT-1\na: bf800000\n", "line 2: 'a': -1 is no scale" },
        { qn_ranges_read_tensorrt, "TRT-1\n: 3c010a14\n", "line 2: a tensor has no name" },
        { qn_ranges_read_ncnn, "conv\n", "line 1: 'conv' is no name with a scale" },
        { qn_ranges_read_ncnn, "conv 0\n", "line 1: 'conv': '0' is no scale" },
        { qn_ranges_read_ncnn, "conv inf\n", "line 1: " },
        { qn_ranges_read_ncnn, "conv 1e-60\n", "line 1: " },
        { qn_ranges_read_ncnn, "conv 1 2\n", "line 1: " },
        { qn_ranges_read_ncnn, "a 1\na 1\n", "line 2: 'a' is there twice" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct file f;
        assert_int_equal(read_text(&f, cases[i].reader, cases[i].text), QONNX_E_FORMAT);
        if (!strstr(f.err.message, cases[i].told))
            fail_msg("%s: '%s' without '%s'", cases[i].text, f.err.message, cases[i].told);
        qn_ranges_release(&f.ranges);
    }
}

static void zero_bytes_are_no_text(void **state)
{
    static const char text[] = "conv 1\0\n";
    struct file       f = { 0 };

    (void)state;
    qn_ranges_init(&f.ranges);
    assert_int_equal(qn_ranges_read_ncnn(&f.ranges, text, sizeof text - 1, &f.err), QONNX_E_FORMAT);
    qn_ranges_release(&f.ranges);
}

static void running_out_of_memory_is_an_error_and_nothing_else(void **state)
{
    static const char cache[] = "TRT-1\na: 3c010a14\nb: 3c010a14\nc: 3c010a14\n";
    static const char named[] = "{\"activation_encodings\": {\"a\": [{\"scale\": 1, \"offset\": 0, \"bitwidth\": 8}], \"b\": [{\"min\": 0, \"max\": 1}]}}";
    size_t            failures = 0;

    (void)state;
    for (size_t nth = 1; nth < 40; nth++) {
        struct file  f;
        qonnx_status status;
        qn_arena_inject_failure(nth, false);
        status = read_text(&f, nth % 2 ? qn_ranges_read_tensorrt : qn_ranges_read_aimet, nth % 2 ? cache : named);
        qn_arena_inject_failure(0, false);
        assert_true(status == QONNX_OK || status == QONNX_E_NOMEM);
        failures += status == QONNX_E_NOMEM;
        qn_ranges_release(&f.ranges);
    }
    assert_true(failures > 2);
}

static void all_kinds_are_found_by_name(void **state)
{
    const struct qn_encoding_kind *kind, *found;
    const char                    *path;
    qonnx_error                    err = { 0 };

    (void)state;
    for (size_t i = 0; (kind = qn_encoding_kind_at(i)); i++) {
        char spec[64];
        snprintf(spec, sizeof spec, "%s=a=b", kind->name);
        assert_int_equal(qn_encoding_split("ranges", spec, &found, &path, &err), QONNX_OK);
        assert_ptr_equal(found, kind);
        assert_string_equal(path, "a=b");
    }
    assert_int_equal(qn_encoding_split("ranges", "aimet=x", &found, &path, &err), QONNX_E_USAGE);
    assert_non_null(strstr(err.message, "--ranges: 'aimet=x' is not KIND=PATH; kinds are ort-cache, "));
    assert_int_equal(qn_encoding_split("ranges", "ort-cache", &found, &path, NULL), QONNX_E_USAGE);
    assert_int_equal(qn_encoding_split("ranges", "ort-cache=", &found, &path, NULL), QONNX_E_USAGE);
}

/* ---- what is given becomes parameters ---- */

struct chosen {
    float           scale;
    int32_t         zero_point;
    struct qn_range range;
};

static struct chosen choose(struct qn_given given, const char *type, bool symmetric, struct qn_range bounds)
{
    struct qn_arena        arena = { 0 };
    struct qn_qparams      params;
    struct qn_observe_goal goal = { .symmetric = symmetric, .bounds = bounds, .useful = QN_UNBOUNDED };
    struct chosen          chosen;

    assert_int_equal(qn_qparams_init(&params, &arena, qn_qtype_find(type), 8, false, -1, 1, NULL), QONNX_OK);
    goal.lo = params.lo;
    goal.hi = params.hi;
    chosen.range = qn_given_params(&given, &goal, 0, &params);
    chosen.scale = params.scale[0];
    chosen.zero_point = params.zero_point[0];
    qn_arena_release(&arena);
    return chosen;
}

static struct qn_given codes(float scale, int64_t offset)
{
    return (struct qn_given){ .as = QN_GIVEN_CODES,
                              .range = { scale * (float)offset, scale * (float)(offset + 255) },
                              .scale = scale,
                              .offset = offset,
                              .bits = 8 };
}

static void codes_are_taken_as_they_are(void **state)
{
    const float   scale = 0.0123456789f;
    struct chosen u = choose(codes(scale, -100), "uint8", false, QN_UNBOUNDED),
                  s = choose(codes(scale, -100), "int8", false, QN_UNBOUNDED);

    (void)state;
    assert_memory_equal(&u.scale, &scale, sizeof scale);
    assert_memory_equal(&s.scale, &scale, sizeof scale);
    assert_int_equal(u.zero_point, 100);
    assert_int_equal(s.zero_point, -28);
}

static void codes_that_the_tensor_cannot_have_count_as_their_range(void **state)
{
    const struct qn_range relu = { 0, INFINITY };
    struct chosen         behind_relu = choose(codes(1, -128), "uint8", false, relu),
                  symmetric = choose(codes(1, -100), "int8", true, QN_UNBOUNDED);
    struct qn_given wide = codes(1, -128);

    (void)state;
    assert_int_equal(behind_relu.zero_point, 0);
    assert_float_equal(behind_relu.scale, 127.0f / 255, 1e-6f);
    assert_int_equal(symmetric.zero_point, 0);
    assert_float_equal(symmetric.scale, 155.0f / 127, 1e-6f);
    wide.bits = 16;
    assert_float_equal(choose(wide, "uint8", false, QN_UNBOUNDED).scale, 1, 1e-6f);
    assert_float_equal(
        choose((struct qn_given){ .as = QN_GIVEN_RANGE, .range = { 1, 2.55f } }, "uint8", false, QN_UNBOUNDED).scale,
        0.01f, 1e-6f);
    assert_true(choose(codes(1e-30f, -128), "uint8", false, QN_UNBOUNDED).scale >= QN_SCALE_MIN);
}

static void what_shares_parameters_is_covered_together(void **state)
{
    const struct qn_given nothing = { 0 }, a = codes(1, 0), b = codes(2, -128);

    (void)state;
    assert_int_equal(qn_given_join(a, a).as, QN_GIVEN_CODES);
    assert_int_equal(qn_given_join(nothing, a).as, QN_GIVEN_CODES);
    assert_int_equal(qn_given_join(a, nothing).as, QN_GIVEN_CODES);
    assert_int_equal(qn_given_join(a, b).as, QN_GIVEN_RANGE);
    assert_float_equal(qn_given_join(a, b).range.min, -256, 0);
    assert_float_equal(qn_given_join(a, b).range.max, 255, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calibration_cache_of_onnxruntime),
        cmocka_unit_test(encodings_of_aimet_0_6),
        cmocka_unit_test(encodings_of_aimet_1),
        cmocka_unit_test(encodings_of_aimet_2_have_the_signs_of_onnx),
        cmocka_unit_test(calibration_cache_of_tensorrt_is_split_at_the_last_colon),
        cmocka_unit_test(table_of_ncnn_has_codes_a_unit),
        cmocka_unit_test(what_is_no_such_file_is_told_with_its_place),
        cmocka_unit_test(zero_bytes_are_no_text),
        cmocka_unit_test(running_out_of_memory_is_an_error_and_nothing_else),
        cmocka_unit_test(all_kinds_are_found_by_name),
        cmocka_unit_test(codes_are_taken_as_they_are),
        cmocka_unit_test(codes_that_the_tensor_cannot_have_count_as_their_range),
        cmocka_unit_test(what_shares_parameters_is_covered_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
