/* SPDX-License-Identifier: Apache-2.0
 * Run once more with QN_COMMA set, the name of a locale with a comma before the fraction, where one can be made. */
#include "base/numerals.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/status.h"
#include "base/strbuf.h"
#include "cmocka_all.h"

/* The program that uses the library has chosen this. */
static int choose(void **state)
{
    const char *name = getenv("QN_COMMA");
    char        text[16];

    (void)state;
    if (!name) return 0;
    if (!setlocale(LC_ALL, name)) return 1;
    snprintf(text, sizeof text, "%.1f", 1.5);
    return strcmp(text, "1,5") != 0;
}

static void numbers_are_written_with_a_point(void **state)
{
    char             text[32];
    struct qn_strbuf buf;
    struct qn_arena  arena = { 0 };
    qonnx_error      err = { 0 };

    (void)state;
    assert_int_equal(qn_snprintf(text, sizeof text, "%.2f %g %d", 1234.5, 0.25, 7), 14);
    assert_string_equal(text, "1234.50 0.25 7");
    qn_strbuf_init(&buf);
    qn_strbuf_printf(&buf, "%.1f dB", 33.5);
    assert_string_equal(buf.text, "33.5 dB");
    qn_strbuf_release(&buf);
    assert_string_equal(qn_arena_printf(&arena, "%g", 0.5), "0.5");
    qn_arena_release(&arena);
    assert_int_equal(qn_fail(&err, QONNX_E_DATA, "only %.1f", 1.5), QONNX_E_DATA);
    qn_wrap(&err, QONNX_E_DATA, "%g", 2.5);
    assert_string_equal(err.message, "2.5: only 1.5");
}

static void numbers_are_read_with_a_point(void **state)
{
    char *end;

    (void)state;
    assert_true(qn_strtod("99.99x", &end) == 99.99);
    assert_string_equal(end, "x");
    assert_true(qn_strtod("1,5", &end) == 1);
    assert_string_equal(end, ",5");
}

static void the_program_keeps_its_locale(void **state)
{
    char before[16], after[16], between[16];

    (void)state;
    snprintf(before, sizeof before, "%.1f", 2.5);
    qn_snprintf(between, sizeof between, "%.1f", 2.5);
    snprintf(after, sizeof after, "%.1f", 2.5);
    assert_string_equal(before, after);
    assert_string_equal(between, "2.5");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_written_with_a_point),
        cmocka_unit_test(numbers_are_read_with_a_point),
        cmocka_unit_test(the_program_keeps_its_locale),
    };
    return cmocka_run_group_tests(tests, choose, NULL);
}
