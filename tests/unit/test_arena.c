/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <string.h>

#include "base/arena.h"
#include "cmocka_all.h"

static void memory_is_zeroed_aligned_and_apart(void **state)
{
    static const size_t sizes[] = { 0, 1, 15, 16, 17, 4095, 4096, 4097, 70000 };
    struct qn_arena     arena = { 0 };
    unsigned char      *blocks[9 * 50];
    size_t              count = 0;

    (void)state;
    for (int round = 0; round < 50; round++) {
        for (size_t i = 0; i < 9; i++, count++) {
            blocks[count] = qn_arena_alloc(&arena, sizes[i]);
            assert_non_null(blocks[count]);
            assert_int_equal((uintptr_t)blocks[count] % (sizes[i] >= 4096 ? 64 : 16), 0);
            for (size_t k = 0; k < sizes[i]; k++) assert_int_equal(blocks[count][k], 0);
            memset(blocks[count], (int)(count % 251) + 1, sizes[i]);
        }
    }
    for (size_t b = 0; b < count; b++)
        for (size_t k = 0; k < sizes[b % 9]; k++) assert_int_equal(blocks[b][k], b % 251 + 1);
    assert_false(qn_arena_failed(&arena));
    qn_arena_release(&arena);
}

static void a_product_that_overflows_is_a_failure(void **state)
{
    struct qn_arena arena = { 0 };

    (void)state;
    assert_null(qn_arena_array(&arena, SIZE_MAX / 2, 3));
    assert_true(qn_arena_failed(&arena));
    qn_arena_release(&arena);
    assert_null(qn_arena_alloc_raw(&arena, SIZE_MAX));
    assert_true(qn_arena_failed(&arena));
    qn_arena_release(&arena);
}

static void failure_is_sticky_until_release(void **state)
{
    struct qn_arena arena = { 0 };

    (void)state;
    qn_arena_inject_failure(2, false);
    assert_non_null(qn_arena_alloc(&arena, 8));
    assert_null(qn_arena_alloc(&arena, 8));
    assert_null(qn_arena_alloc(&arena, 8));
    assert_null(qn_arena_strdup(&arena, "x"));
    assert_null(qn_arena_printf(&arena, "%d", 1));
    assert_true(qn_arena_failed(&arena));
    qn_arena_release(&arena);
    assert_false(qn_arena_failed(&arena));
    assert_non_null(qn_arena_alloc(&arena, 8));
    qn_arena_release(&arena);
}

static void an_injected_failure_can_last(void **state)
{
    struct qn_arena first = { 0 }, second = { 0 };

    (void)state;
    qn_arena_inject_failure(1, true);
    assert_null(qn_arena_alloc(&first, 8));
    assert_null(qn_arena_alloc(&second, 8));
    qn_arena_inject_failure(0, false);
    qn_arena_release(&second);
    assert_non_null(qn_arena_alloc(&second, 8));
    qn_arena_release(&first);
    qn_arena_release(&second);
}

static void copies_are_terminated(void **state)
{
    struct qn_arena arena = { 0 };

    (void)state;
    assert_string_equal(qn_arena_strdup(&arena, "abc"), "abc");
    assert_string_equal(qn_arena_memdup(&arena, "abcdef", 2), "ab");
    assert_string_equal(qn_arena_memdup(&arena, NULL, 0), "");
    assert_string_equal(qn_arena_printf(&arena, "%s_%d", "w", 12), "w_12");
    qn_arena_release(&arena);
}

static void a_grown_array_keeps_its_elements(void **state)
{
    struct qn_arena arena = { 0 };
    size_t          capacity = 0;
    int            *values = NULL;

    (void)state;
    for (int i = 0; i < 5000; i++) {
        values = qn_arena_grow(&arena, values, (size_t)i, &capacity, sizeof *values);
        assert_non_null(values);
        assert_true(capacity > (size_t)i);
        values[i] = i;
    }
    for (int i = 0; i < 5000; i++) assert_int_equal(values[i], i);
    qn_arena_release(&arena);
}

static void an_array_that_cannot_grow_keeps_its_capacity(void **state)
{
    struct qn_arena arena = { 0 };
    size_t          capacity = 0;
    int            *values = qn_arena_grow(&arena, NULL, 0, &capacity, sizeof *values);
    size_t          before = capacity;

    (void)state;
    qn_arena_inject_failure(1, false);
    assert_null(qn_arena_grow(&arena, values, capacity, &capacity, sizeof *values));
    assert_int_equal(capacity, before);
    qn_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_aligned_and_apart),
        cmocka_unit_test(a_product_that_overflows_is_a_failure),
        cmocka_unit_test(failure_is_sticky_until_release),
        cmocka_unit_test(an_injected_failure_can_last),
        cmocka_unit_test(copies_are_terminated),
        cmocka_unit_test(a_grown_array_keeps_its_elements),
        cmocka_unit_test(an_array_that_cannot_grow_keeps_its_capacity),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
