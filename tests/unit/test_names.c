/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/names.h"
#include "cmocka_all.h"

static void ids_are_dense_and_in_order_of_first_appearance(void **state)
{
    struct qn_arena arena = { 0 };
    struct qn_names names;
    char            text[16];

    (void)state;
    qn_names_init(&names, &arena);
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 5000; i++) {
            snprintf(text, sizeof text, "n%u", i);
            assert_int_equal(qn_names_intern(&names, qn_arena_strdup(&arena, text)), i);
        }
    }
    assert_int_equal(names.count, 5000);
    for (uint32_t i = 0; i < 5000; i++) {
        snprintf(text, sizeof text, "n%u", i);
        assert_string_equal(names.texts[i], text);
        assert_int_equal(qn_names_find(&names, text), i);
    }
    qn_arena_release(&arena);
}

static void looking_up_does_not_add(void **state)
{
    struct qn_arena arena = { 0 };
    struct qn_names names;

    (void)state;
    qn_names_init(&names, &arena);
    assert_int_equal(qn_names_find(&names, "x"), QN_NONE);
    assert_int_equal(qn_names_intern(&names, "y"), 0);
    assert_int_equal(qn_names_find(&names, "x"), QN_NONE);
    assert_int_equal(qn_names_find(&names, "y"), 0);
    assert_int_equal(names.count, 1);
    qn_arena_release(&arena);
}

static void the_empty_text_is_a_name(void **state)
{
    struct qn_arena arena = { 0 };
    struct qn_names names;

    (void)state;
    qn_names_init(&names, &arena);
    assert_int_equal(qn_names_intern(&names, ""), 0);
    assert_int_equal(qn_names_find(&names, ""), 0);
    qn_arena_release(&arena);
}

/* Every allocation of a growing table fails once: no id is made up, and what was there is still found. */
static void out_of_memory_gives_no_id(void **state)
{
    (void)state;
    for (size_t nth = 1; nth < 8; nth++) {
        static char     text[200][8];
        struct qn_arena arena = { 0 };
        struct qn_names names;
        uint32_t        known = 0;

        qn_names_init(&names, &arena);
        qn_arena_inject_failure(nth, true);
        for (uint32_t i = 0; i < 200; i++) {
            uint32_t id;
            snprintf(text[i], sizeof text[i], "n%u", i);
            id = qn_names_intern(&names, text[i]);
            assert_true(id == QN_NONE || id == known);
            if (id == known) known++;
        }
        qn_arena_inject_failure(0, false);
        assert_true(qn_arena_failed(&arena) || known == 200);
        for (uint32_t i = 0; i < known; i++) assert_int_equal(qn_names_find(&names, text[i]), i);
        qn_arena_release(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_dense_and_in_order_of_first_appearance),
        cmocka_unit_test(looking_up_does_not_add),
        cmocka_unit_test(the_empty_text_is_a_name),
        cmocka_unit_test(out_of_memory_gives_no_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
