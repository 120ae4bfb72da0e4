/* SPDX-License-Identifier: Apache-2.0 */
#include "onnx/tensor.h"

#include <math.h>
#include <string.h>

#include "cmocka_all.h"
#include "onnx/dtype.h"

#define T(name) ONNX__TENSOR_PROTO__DATA_TYPE__##name

static Onnx__TensorProto *raw(struct qn_arena *arena, int32_t type, int64_t n, const void *bytes, size_t size)
{
    return qn_tensor_new(arena, "t", type, 1, &n, bytes, size);
}

static void fails(const Onnx__TensorProto *tensor, qonnx_status wanted, const char *piece)
{
    qonnx_error err = { 0 };
    assert_string_equal(qonnx_status_name(qn_tensor_check(tensor, &err)), qonnx_status_name(wanted));
    if (!strstr(err.message, piece)) fail_msg("'%s' is not in '%s'", piece, err.message);
}

static void elements_are_counted_with_care(void **state)
{
    struct qn_arena   arena = { 0 };
    const int64_t     huge[] = { INT64_MAX, 4 }, wide[] = { 1LL << 31, 1LL << 31, 4 }, negative[] = { 3, -1 }, empty[] = { 5, 0 };
    Onnx__TensorProto *t = raw(&arena, QN_FLOAT, 1, "", 0);
    size_t             count = 99;
    qonnx_error        err = { 0 };

    (void)state;
    t->n_dims = 0;
    assert_int_equal(qn_tensor_count(t, &count, NULL), QONNX_OK);
    assert_int_equal(count, 1);
    t->n_dims = 2;
    t->dims = (int64_t *)(uintptr_t)empty;
    assert_int_equal(qn_tensor_count(t, &count, NULL), QONNX_OK);
    assert_int_equal(count, 0);
    t->dims = (int64_t *)(uintptr_t)huge;
    assert_int_equal(qn_tensor_count(t, &count, NULL), QONNX_E_LIMIT);
    t->dims = (int64_t *)(uintptr_t)negative;
    assert_int_equal(qn_tensor_count(t, &count, &err), QONNX_E_FORMAT);
    assert_non_null(strstr(err.message, "dimension 1 is negative (-1)"));
    t->n_dims = 3;
    t->dims = (int64_t *)(uintptr_t)wide;
    assert_int_equal(qn_tensor_count(t, &count, NULL), QONNX_E_LIMIT);
    qn_arena_release(&arena);
}

static void data_must_be_as_long_as_the_shape_says(void **state)
{
    struct qn_arena    arena = { 0 };
    uint8_t            bytes[64] = { 0 };
    Onnx__TensorProto *t = raw(&arena, QN_FLOAT, 3, bytes, 10);

    (void)state;
    fails(t, QONNX_E_FORMAT, "raw_data holds 10 bytes, its float shape of 3 elements needs 12");
    t->raw_data.len = 12;
    assert_int_equal(qn_tensor_check(t, NULL), QONNX_OK);
    t->raw_data.len = 13;
    fails(t, QONNX_E_FORMAT, "13 bytes");
    t->has_raw_data = false;
    fails(t, QONNX_E_FORMAT, "0 values");
    t->data_type = 99;
    fails(t, QONNX_E_UNSUPPORTED, "99");
    t = raw(&arena, T(INT4), 3, bytes, 2); /* half bytes, the last one padded */
    assert_int_equal(qn_tensor_check(t, NULL), QONNX_OK);
    t->raw_data.len = 1;
    fails(t, QONNX_E_FORMAT, "needs 2");
    t = raw(&arena, T(STRING), 1, bytes, 1);
    fails(t, QONNX_E_FORMAT, "strings");
    qn_arena_release(&arena);
}

static void an_empty_tensor_needs_no_data(void **state)
{
    struct qn_arena    arena = { 0 };
    Onnx__TensorProto *t = raw(&arena, QN_FLOAT, 0, NULL, 0);
    const float       *values;
    const int64_t     *ints;
    size_t             count = 5;

    (void)state;
    t->has_raw_data = false;
    assert_int_equal(qn_tensor_floats(t, &arena, &values, &count, NULL), QONNX_OK);
    assert_int_equal(count, 0);
    assert_non_null(values);
    t = raw(&arena, QN_INT64, 0, NULL, 0);
    assert_int_equal(qn_tensor_ints(t, &arena, &ints, &count, NULL), QONNX_OK);
    assert_int_equal(count, 0);
    qn_arena_release(&arena);
}

static void floats_are_not_copied_when_they_are_aligned(void **state)
{
    struct qn_arena    arena = { 0 };
    _Alignas(8) uint8_t bytes[20] = { 0 };
    const float        wanted[] = { 1.5f, -2.0f, 3e38f };
    const float       *values;
    size_t             count;
    Onnx__TensorProto *t;

    (void)state;
    memcpy(bytes, wanted, sizeof wanted);
    t = raw(&arena, QN_FLOAT, 3, bytes, sizeof wanted);
    assert_int_equal(qn_tensor_floats(t, &arena, &values, &count, NULL), QONNX_OK);
    assert_ptr_equal(values, bytes);
    memmove(bytes + 1, wanted, sizeof wanted); /* files hold them anywhere */
    t->raw_data.data = bytes + 1;
    assert_int_equal(qn_tensor_floats(t, &arena, &values, &count, NULL), QONNX_OK);
    assert_int_equal(count, 3);
    assert_memory_equal(values, wanted, sizeof wanted);
    qn_arena_release(&arena);
}

static void every_number_type_converts_to_float(void **state)
{
    static const struct {
        int32_t     type;
        uint8_t     bytes[8];
        float       value;
    } cases[] = {
        { QN_DOUBLE, { 0, 0, 0, 0, 0, 0, 0xf8, 0x3f }, 1.5f },
        { QN_FLOAT16, { 0x00, 0x3c }, 1.0f },
        { QN_FLOAT16, { 0x01, 0x00 }, 0x1p-24f }, /* the smallest subnormal */
        { QN_FLOAT16, { 0xff, 0xfb }, -65504.0f },
        { QN_FLOAT16, { 0x00, 0x7c }, INFINITY },
        { T(BFLOAT16), { 0xc0, 0xbf }, -1.5f },
        { QN_UINT8, { 255 }, 255.0f },
        { QN_INT8, { 0x80 }, -128.0f },
        { QN_INT32, { 0xfe, 0xff, 0xff, 0xff }, -2.0f },
        { QN_INT64, { 0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, -3.0f },
    };
    struct qn_arena arena = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const float *value;
        size_t       count;
        Onnx__TensorProto *t = raw(&arena, cases[i].type, 1, cases[i].bytes, (size_t)qn_dtype_find(cases[i].type)->bits / 8);
        assert_int_equal(qn_tensor_floats(t, &arena, &value, &count, NULL), QONNX_OK);
        assert_true(*value == cases[i].value);
    }
    qn_arena_release(&arena);
}

static void typed_fields_hold_the_same_numbers(void **state)
{
    struct qn_arena    arena = { 0 };
    float              floats[] = { 1, 2 };
    double             doubles[] = { 1, 2 };
    int32_t            ints[] = { 1, 2 }, halves[] = { 0x3c00, 0x4000 };
    int64_t            longs[] = { 1, 2 };
    const float       *values;
    const int64_t     *whole;
    size_t             count;
    Onnx__TensorProto *t = raw(&arena, QN_FLOAT, 2, NULL, 0);

    (void)state;
    t->has_raw_data = false;
    t->float_data = floats;
    t->double_data = doubles;
    t->int64_data = longs;
    t->n_float_data = t->n_double_data = t->n_int64_data = t->n_int32_data = 2;
    for (size_t i = 0; i < 6; i++) {
        t->data_type = (const int32_t[]){ QN_FLOAT, QN_DOUBLE, QN_FLOAT16, QN_INT32, QN_INT64, QN_UINT8 }[i];
        t->int32_data = t->data_type == QN_FLOAT16 ? halves : ints;
        assert_int_equal(qn_tensor_floats(t, &arena, &values, &count, NULL), QONNX_OK);
        assert_true(count == 2 && values[0] == 1 && values[1] == 2);
    }
    t->data_type = QN_INT64;
    assert_int_equal(qn_tensor_ints(t, &arena, &whole, &count, NULL), QONNX_OK);
    assert_true(count == 2 && whole[1] == 2);
    t->n_int64_data = 1;
    assert_int_equal(qn_tensor_ints(t, &arena, &whole, &count, NULL), QONNX_E_FORMAT);
    qn_arena_release(&arena);
}

static void integers_keep_all_their_bits(void **state)
{
    struct qn_arena    arena = { 0 };
    const int64_t      wanted[] = { INT64_MIN, INT64_MAX };
    const int8_t       small[] = { -128, 127 };
    const int64_t     *values;
    size_t             count;
    qonnx_error        err = { 0 };

    (void)state;
    assert_int_equal(qn_tensor_ints(raw(&arena, QN_INT64, 2, wanted, sizeof wanted), &arena, &values, &count, NULL), QONNX_OK);
    assert_memory_equal(values, wanted, sizeof wanted);
    assert_int_equal(qn_tensor_ints(raw(&arena, QN_INT8, 2, small, sizeof small), &arena, &values, &count, NULL), QONNX_OK);
    assert_true(values[0] == -128 && values[1] == 127);
    assert_int_equal(qn_tensor_ints(raw(&arena, QN_UINT8, 2, small, sizeof small), &arena, &values, &count, NULL), QONNX_OK);
    assert_int_equal(values[0], 128);
    assert_int_equal(qn_tensor_ints(raw(&arena, QN_FLOAT, 1, wanted, 4), &arena, &values, &count, &err), QONNX_E_UNSUPPORTED);
    assert_non_null(strstr(err.message, "float"));
    assert_int_equal(qn_tensor_floats(raw(&arena, T(COMPLEX64), 1, wanted, 8), &arena, &(const float *){ 0 }, &count, NULL), QONNX_E_UNSUPPORTED);
    qn_arena_release(&arena);
}

static void new_tensors_are_well_formed(void **state)
{
    struct qn_arena    arena = { 0 };
    const int64_t      values[] = { 3, -1, 7 };
    const float       *f;
    const int64_t     *i;
    size_t             count;
    Onnx__TensorProto *t = qn_tensor_float_scalar(&arena, "scale", 0.25f);

    (void)state;
    assert_int_equal(t->n_dims, 0);
    assert_string_equal(t->name, "scale");
    assert_int_equal(qn_tensor_floats(t, &arena, &f, &count, NULL), QONNX_OK);
    assert_true(count == 1 && *f == 0.25f);
    t = qn_tensor_int64_vector(&arena, "shape", 3, values);
    assert_int_equal(t->n_dims, 1);
    assert_int_equal(qn_tensor_ints(t, &arena, &i, &count, NULL), QONNX_OK);
    assert_int_equal(count, 3);
    assert_memory_equal(i, values, sizeof values);
    t = qn_tensor_int64_vector(&arena, "none", 0, NULL);
    assert_int_equal(qn_tensor_check(t, NULL), QONNX_OK);
    qn_arena_release(&arena);
}

static void a_failed_allocation_is_reported(void **state)
{
    const int8_t bytes[] = { 1, 2 };

    (void)state;
    for (size_t nth = 1; nth < 8; nth++) {
        struct qn_arena    arena = { 0 };
        Onnx__TensorProto *t;
        const float       *values;
        const int64_t     *ints;
        size_t             count;

        qn_arena_inject_failure(nth, true);
        t = raw(&arena, QN_INT8, 2, bytes, 2);
        if (t && qn_tensor_floats(t, &arena, &values, &count, NULL) == QONNX_OK) assert_true(values[1] == 2.0f);
        if (t && qn_tensor_ints(t, &arena, &ints, &count, NULL) == QONNX_OK) assert_int_equal(ints[1], 2);
        qn_arena_inject_failure(0, false);
        assert_true(t || qn_arena_failed(&arena));
        qn_arena_release(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elements_are_counted_with_care),
        cmocka_unit_test(data_must_be_as_long_as_the_shape_says),
        cmocka_unit_test(an_empty_tensor_needs_no_data),
        cmocka_unit_test(floats_are_not_copied_when_they_are_aligned),
        cmocka_unit_test(every_number_type_converts_to_float),
        cmocka_unit_test(typed_fields_hold_the_same_numbers),
        cmocka_unit_test(integers_keep_all_their_bits),
        cmocka_unit_test(new_tensors_are_well_formed),
        cmocka_unit_test(a_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
