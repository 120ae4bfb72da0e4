/* SPDX-License-Identifier: Apache-2.0 */
#include "cmocka_all.h"
#include "quant/qtype.h"

static void every_type_is_found_by_name_and_by_number(void **state)
{
    const struct qn_qtype *type;
    size_t                 count = 0;

    (void)state;
    for (; (type = qn_qtype_at(count)); count++) {
        assert_ptr_equal(qn_qtype_find(type->name), type);
        assert_ptr_equal(qn_qtype_by_onnx(type->onnx_type), type);
    }
    assert_int_equal(count, 9);
    assert_null(qn_qtype_find("int5"));
    assert_null(qn_qtype_find(""));
    assert_null(qn_qtype_by_onnx(1));
    assert_null(qn_qtype_at(SIZE_MAX));
}

static void storage_range_is_the_full_range_of_its_bits(void **state)
{
    const struct qn_qtype *type;
    int32_t                lo, hi;

    (void)state;
    for (size_t i = 0; (type = qn_qtype_at(i)); i++) {
        assert_true(qn_int_range(type->bits, type->is_signed, false, &lo, &hi));
        assert_int_equal(type->lo, lo);
        assert_int_equal(type->hi, hi);
        assert_int_equal(type->per_byte, type->bits <= 8 ? 8 / type->bits : 0);
        assert_int_equal(type->code_size, type->bits <= 8 ? 1 : type->bits / 8);
    }
}

static void numbers_and_opsets_are_those_of_onnx(void **state)
{
    static const struct {
        const char *name;
        int         onnx, opset, opset_axis;
    } expected[] = {
        { "uint8", 2, 10, 13 }, { "int8", 3, 10, 13 },   { "uint16", 4, 21, 21 },
        { "int16", 5, 21, 21 }, { "int32", 6, 10, 13 },  { "uint4", 21, 21, 21 },
        { "int4", 22, 21, 21 }, { "uint2", 25, 25, 25 }, { "int2", 26, 25, 25 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        const struct qn_qtype *type = qn_qtype_find(expected[i].name);
        assert_non_null(type);
        assert_int_equal(type->onnx_type, expected[i].onnx);
        assert_int_equal(type->min_opset, expected[i].opset);
        assert_int_equal(type->min_opset_axis, expected[i].opset_axis);
    }
}

static void narrow_drops_the_lowest_signed_and_the_highest_unsigned_code(void **state)
{
    int32_t lo, hi;

    (void)state;
    assert_true(qn_int_range(8, true, true, &lo, &hi));
    assert_int_equal(lo, -127);
    assert_int_equal(hi, 127);
    assert_true(qn_int_range(8, false, true, &lo, &hi));
    assert_int_equal(lo, 0);
    assert_int_equal(hi, 254);
    assert_true(qn_int_range(4, true, false, &lo, &hi));
    assert_int_equal(lo, -8);
    assert_int_equal(hi, 7);
    assert_true(qn_int_range(24, true, false, &lo, &hi));
    assert_int_equal(lo, -8388608);
    assert_int_equal(hi, 8388607);
    assert_true(qn_int_range(32, true, false, &lo, &hi));
    assert_int_equal(lo, INT32_MIN);
    assert_int_equal(hi, INT32_MAX);
}

static void ranges_outside_int32_or_of_one_code_are_refused(void **state)
{
    int32_t lo, hi;

    (void)state;
    assert_false(qn_int_range(0, true, false, &lo, &hi));
    assert_false(qn_int_range(-1, false, false, &lo, &hi));
    assert_false(qn_int_range(33, true, false, &lo, &hi));
    assert_false(qn_int_range(32, false, false, &lo, &hi));
    assert_false(qn_int_range(1, true, true, &lo, &hi));
    assert_false(qn_int_range(1, false, true, &lo, &hi));
    assert_true(qn_int_range(31, false, false, &lo, &hi));
    assert_int_equal(hi, INT32_MAX);
}

static void the_narrowest_storage_that_fits_is_chosen(void **state)
{
    (void)state;
    assert_string_equal(qn_qtype_for(8, true, 8)->name, "int8");
    assert_string_equal(qn_qtype_for(4, false, 8)->name, "uint8");
    assert_string_equal(qn_qtype_for(4, false, 2)->name, "uint4");
    assert_string_equal(qn_qtype_for(3, true, 2)->name, "int4");
    assert_string_equal(qn_qtype_for(2, true, 2)->name, "int2");
    assert_string_equal(qn_qtype_for(9, true, 8)->name, "int16");
    assert_string_equal(qn_qtype_for(24, true, 8)->name, "int32");
    assert_null(qn_qtype_for(24, false, 8));
    assert_null(qn_qtype_for(33, true, 8));
    assert_null(qn_qtype_for(0, true, 8));
}

static void packed_sizes_round_up_and_do_not_overflow(void **state)
{
    (void)state;
    assert_int_equal(qn_qtype_bytes(qn_qtype_find("int4"), 0), 0);
    assert_int_equal(qn_qtype_bytes(qn_qtype_find("int4"), 5), 3);
    assert_int_equal(qn_qtype_bytes(qn_qtype_find("uint2"), 4), 1);
    assert_int_equal(qn_qtype_bytes(qn_qtype_find("uint2"), 5), 2);
    assert_int_equal(qn_qtype_bytes(qn_qtype_find("int8"), 7), 7);
    assert_int_equal(qn_qtype_bytes(qn_qtype_find("int16"), 7), 14);
    assert_int_equal(qn_qtype_bytes(qn_qtype_find("int32"), SIZE_MAX / 2), SIZE_MAX);
    assert_int_equal(qn_qtype_bytes(qn_qtype_find("int2"), SIZE_MAX), SIZE_MAX / 4 + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_found_by_name_and_by_number),
        cmocka_unit_test(storage_range_is_the_full_range_of_its_bits),
        cmocka_unit_test(numbers_and_opsets_are_those_of_onnx),
        cmocka_unit_test(narrow_drops_the_lowest_signed_and_the_highest_unsigned_code),
        cmocka_unit_test(ranges_outside_int32_or_of_one_code_are_refused),
        cmocka_unit_test(the_narrowest_storage_that_fits_is_chosen),
        cmocka_unit_test(packed_sizes_round_up_and_do_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
