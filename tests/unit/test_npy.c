/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "npy_files.h"
#include "onnx/dtype.h"
#include "run/npy.h"

#define UINT16 ONNX__TENSOR_PROTO__DATA_TYPE__UINT16
#define UINT64 ONNX__TENSOR_PROTO__DATA_TYPE__UINT64
#define BFLOAT16 ONNX__TENSOR_PROTO__DATA_TYPE__BFLOAT16

static qonnx_status open_bytes(struct scratch *scratch, struct qn_npy *array, const void *bytes, size_t size,
                               qonnx_error *err)
{
    struct qn_stream stream;
    uint64_t         found;
    const char      *path = scratch_write(scratch, "a.npy", bytes, size);

    memset(err, 0, sizeof *err);
    assert_int_equal(qn_stream_open_file(&stream, path, &found, err), QONNX_OK);
    return qn_npy_open(array, &stream, found, err);
}

static qonnx_status open_made(struct scratch *scratch, struct qn_npy *array, const char *descr, const char *shape,
                              const void *data, size_t size, qonnx_error *err)
{
    struct npy_bytes *npy = npy_make(descr, shape, data, size);
    qonnx_status      status = open_bytes(scratch, array, npy->bytes, npy->size, err);

    free(npy);
    return status;
}

static void numpys_headers_are_read(void **state)
{
    static const struct {
        const char *descr, *shape;
        int32_t     dtype;
        size_t      size;
        int         rank;
        int64_t     dims[3];
    } cases[] = {
        { "<f4", "(2, 3)", QN_FLOAT, 24, 2, { 2, 3 } }, { "<f8", "(2,)", QN_DOUBLE, 16, 1, { 2 } },
        { "<i8", "()", QN_INT64, 8, 0, { 0 } },         { "|u1", "(1,1,4)", QN_UINT8, 4, 3, { 1, 1, 4 } },
        { "|b1", "(4L,)", QN_BOOL, 4, 1, { 4 } },       { "=f2", "(2, 2, )", QN_FLOAT16, 8, 2, { 2, 2 } },
        { "<u2", "(3,)", UINT16, 6, 1, { 3 } },         { "<f4", "(0, 5)", QN_FLOAT, 0, 2, { 0, 5 } },
    };
    struct scratch scratch;
    char           data[64] = { 0 };

    (void)state;
    scratch_open(&scratch);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct qn_npy array;
        qonnx_error   err;
        assert_int_equal(open_made(&scratch, &array, cases[i].descr, cases[i].shape, data, cases[i].size, &err),
                         QONNX_OK);
        assert_int_equal(array.dtype, cases[i].dtype);
        assert_int_equal(array.rank, cases[i].rank);
        assert_memory_equal(array.dims, cases[i].dims, (size_t)array.rank * sizeof *array.dims);
        qn_npy_close(&array);
    }
    scratch_close(&scratch);
}

static void later_header_versions_are_read(void **state)
{
    static const char text[] = "{\"shape\":(2,),\"descr\":\"<f4\",\"fortran_order\":True}";
    struct scratch    scratch;

    (void)state;
    scratch_open(&scratch);
    for (char version = 2; version <= 3; version++) {
        struct qn_npy array;
        qonnx_error   err;
        char          bytes[200] = "\x93NUMPY";
        float         values[2] = { 1.5f, -2 }, got[2];
        size_t        length = sizeof text - 1;
        bytes[6] = version;
        bytes[8] = (char)length;
        memcpy(bytes + 12, text, length);
        memcpy(bytes + 12 + length, values, sizeof values);
        assert_int_equal(open_bytes(&scratch, &array, bytes, 12 + length + sizeof values, &err), QONNX_OK);
        assert_int_equal(qn_npy_read(&array, got, QN_FLOAT, 2, &err), QONNX_OK);
        assert_memory_equal(got, values, sizeof values);
        assert_int_equal(qn_npy_at_end(&array, &err), QONNX_OK);
        qn_npy_close(&array);
    }
    scratch_close(&scratch);
}

static void the_other_byte_order_is_turned(void **state)
{
    static const uint8_t big[] = { 0x3f, 0x80, 0, 0, 0xc0, 0, 0, 0 };
    struct scratch       scratch;
    struct qn_npy        array;
    qonnx_error          err;
    float                values[2];
    double               doubles[2];

    (void)state;
    scratch_open(&scratch);
    assert_int_equal(open_made(&scratch, &array, ">f4", "(2,)", big, sizeof big, &err), QONNX_OK);
    assert_int_equal(qn_npy_read(&array, values, QN_FLOAT, 2, &err), QONNX_OK);
    assert_true(values[0] == 1 && values[1] == -2);
    qn_npy_close(&array);
    assert_int_equal(open_made(&scratch, &array, ">f4", "(2,)", big, sizeof big, &err), QONNX_OK);
    assert_int_equal(qn_npy_read(&array, doubles, QN_DOUBLE, 2, &err), QONNX_OK); /* turned, then converted */
    assert_true(doubles[0] == 1 && doubles[1] == -2);
    qn_npy_close(&array);
    scratch_close(&scratch);
}

static void hostile_headers_are_refused(void **state)
{
    static const char *const headers[] = {
        "",
        "{",
        "{}",
        "[]",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2), 'x': 1}",
        "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (2,), }",
        "{'descr': '<f4', 'fortran_order': False, }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (2,), }",
        "{'descr': '<c8', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296, 2), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4294967296, 4294967296, 4294967296), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<f4', 'fortran_order': True, 'shape': (1, 2), }",
        "{'shape': (1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,2), }", /* 33 axes */
    };
    struct scratch scratch;

    (void)state;
    scratch_open(&scratch);
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        struct qn_npy array;
        qonnx_error   err;
        char          bytes[400] = "\x93NUMPY\1";
        size_t        length = strlen(headers[i]);
        bytes[8] = (char)length;
        memcpy(bytes + 10, headers[i], length);
        assert_int_equal(open_bytes(&scratch, &array, bytes, 10 + length + 8, &err), QONNX_E_DATA);
        assert_true(strlen(err.message) > 5);
    }
    scratch_close(&scratch);
}

static void every_truncation_is_one_error(void **state)
{
    struct npy_bytes *npy = npy_make("<f4", "(2, 2)", (const float[]){ 1, 2, 3, 4 }, 16);
    struct scratch    scratch;

    (void)state;
    scratch_open(&scratch);
    for (size_t size = 0; size < npy->size; size++) {
        struct qn_npy array;
        qonnx_error   err;
        assert_int_equal(open_bytes(&scratch, &array, npy->bytes, size, &err), QONNX_E_DATA);
    }
    free(npy);
    scratch_close(&scratch);
}

static void a_header_length_past_the_cap_is_refused(void **state)
{
    struct scratch scratch;
    struct qn_npy  array;
    qonnx_error    err;

    (void)state;
    scratch_open(&scratch);
    assert_int_equal(open_bytes(&scratch, &array, "\x93NUMPY\2\0\xff\xff\xff\xff", 12, &err), QONNX_E_DATA);
    assert_non_null(strstr(err.message, "4294967295"));
    scratch_close(&scratch);
}

/* ---- elements ---- */

static void conversions_keep_every_value_or_say_so(void **state)
{
    size_t  at;
    int64_t longs[4];
    int32_t ints[4];
    uint8_t bytes[4];
    float   floats[4];

    (void)state;
    assert_true(qn_elements_convert(longs, QN_INT64, (const int32_t[]){ -1, INT32_MIN, 7 }, QN_INT32, 3, &at));
    assert_true(longs[0] == -1 && longs[1] == INT32_MIN && longs[2] == 7);
    assert_true(qn_elements_convert(ints, QN_INT32, (const int64_t[]){ -5, INT32_MAX }, QN_INT64, 2, &at));
    assert_true(ints[0] == -5 && ints[1] == INT32_MAX);
    assert_false(qn_elements_convert(ints, QN_INT32, (const int64_t[]){ 1, INT64_C(1) << 31 }, QN_INT64, 2, &at));
    assert_int_equal(at, 1);
    assert_false(qn_elements_convert(bytes, QN_UINT8, (const int64_t[]){ -1 }, QN_INT64, 1, &at));
    assert_false(qn_elements_convert(bytes, QN_BOOL, (const int32_t[]){ 2 }, QN_INT32, 1, &at));
    assert_false(qn_elements_convert(longs, QN_INT64, (const uint64_t[]){ UINT64_MAX }, UINT64, 1, &at));
    assert_true(qn_elements_convert(floats, QN_FLOAT, (const uint8_t[]){ 0, 255 }, QN_UINT8, 2, &at));
    assert_true(floats[0] == 0 && floats[1] == 255);
    assert_true(qn_elements_convert(floats, QN_FLOAT, (const int32_t[]){ -(1 << 30) }, QN_INT32, 1, &at));
    assert_false(qn_elements_convert(floats, QN_FLOAT, (const int32_t[]){ (1 << 24) + 1 }, QN_INT32, 1, &at));
    assert_true(qn_elements_convert(floats, QN_FLOAT, (const double[]){ 0.1, NAN }, QN_DOUBLE, 2, &at));
    assert_true(floats[0] == 0.1f && isnan(floats[1]));
    assert_false(qn_elements_convertible(QN_FLOAT, QN_INT64));
    assert_false(qn_elements_convertible(ONNX__TENSOR_PROTO__DATA_TYPE__COMPLEX64, QN_FLOAT));
    assert_false(qn_elements_convertible(ONNX__TENSOR_PROTO__DATA_TYPE__STRING, ONNX__TENSOR_PROTO__DATA_TYPE__STRING));
}

/* Every 16-bit float becomes a float and comes back; a float half way between two goes to the even one. */
static void small_floats_round_trip(void **state, int32_t type, unsigned infinity)
{
    (void)state;
    for (unsigned code = 0; code < 0x10000; code++) {
        uint16_t bits = (uint16_t)code, back;
        double   value, next;
        size_t   at;
        assert_true(qn_elements_convert(&value, QN_DOUBLE, &bits, type, 1, &at));
        if ((code & 0x7fff) > infinity) {
            assert_true(isnan(value));
            continue;
        }
        assert_true(qn_elements_convert(&back, type, &value, QN_DOUBLE, 1, &at));
        assert_int_equal(back, code);
        if ((code & 0x7fff) + 1 >= infinity) continue;
        bits++;
        assert_true(qn_elements_convert(&next, QN_DOUBLE, &bits, type, 1, &at));
        value = (value + next) / 2;
        assert_true(qn_elements_convert(&back, type, &value, QN_DOUBLE, 1, &at));
        assert_int_equal(back, code % 2 ? code + 1 : code);
    }
}

static void halves_round_trip(void **state) { small_floats_round_trip(state, QN_FLOAT16, 0x7c00); }
static void bfloats_round_trip(void **state) { small_floats_round_trip(state, BFLOAT16, 0x7f80); }

static void too_large_for_a_half_is_infinite(void **state)
{
    const double values[] = { 65519.9, 65520, 1e300, -1e300 };
    uint16_t     got[4];
    size_t       at;

    (void)state;
    assert_true(qn_elements_convert(got, QN_FLOAT16, values, QN_DOUBLE, 4, &at));
    assert_int_equal(got[0], 0x7bff);
    assert_int_equal(got[1], 0x7c00);
    assert_int_equal(got[2], 0x7c00);
    assert_int_equal(got[3], 0xfc00);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numpys_headers_are_read),
        cmocka_unit_test(later_header_versions_are_read),
        cmocka_unit_test(the_other_byte_order_is_turned),
        cmocka_unit_test(hostile_headers_are_refused),
        cmocka_unit_test(every_truncation_is_one_error),
        cmocka_unit_test(a_header_length_past_the_cap_is_refused),
        cmocka_unit_test(conversions_keep_every_value_or_say_so),
        cmocka_unit_test(halves_round_trip),
        cmocka_unit_test(bfloats_round_trip),
        cmocka_unit_test(too_large_for_a_half_is_infinite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
