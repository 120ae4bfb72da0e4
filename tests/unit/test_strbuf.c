/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "cmocka_all.h"

static void a_new_buffer_is_an_empty_text(void **state)
{
    struct qn_strbuf buf;

    (void)state;
    qn_strbuf_init(&buf);
    assert_string_equal(buf.text, "");
    assert_int_equal(buf.length, 0);
    qn_strbuf_release(&buf);
    assert_string_equal(buf.text, "");
}

static void text_grows_and_stays_terminated(void **state)
{
    struct qn_strbuf buf;

    (void)state;
    qn_strbuf_init(&buf);
    for (int i = 0; i < 1000; i++) {
        qn_strbuf_puts(&buf, "ab");
        qn_strbuf_printf(&buf, "%d", i % 10);
        qn_strbuf_add(&buf, "xyz", 1);
        assert_int_equal(buf.length, (size_t)(i + 1) * 4);
        assert_int_equal(strlen(buf.text), buf.length);
    }
    assert_memory_equal(buf.text, "ab0xab1xab2x", 12);
    qn_strbuf_release(&buf);
}

static void clearing_keeps_the_memory(void **state)
{
    struct qn_strbuf buf;
    const char      *before;

    (void)state;
    qn_strbuf_init(&buf);
    qn_strbuf_puts(&buf, "hello");
    before = buf.text;
    qn_strbuf_clear(&buf);
    assert_string_equal(buf.text, "");
    qn_strbuf_puts(&buf, "h");
    assert_ptr_equal(buf.text, before);
    qn_strbuf_release(&buf);
}

static void past_the_cap_the_text_stays_as_it_was(void **state)
{
    struct qn_strbuf buf;

    (void)state;
    qn_strbuf_init(&buf);
    qn_strbuf_puts(&buf, "kept");
    qn_strbuf_add(&buf, "x", (size_t)1 << 30); /* refused before a byte of it is read */
    assert_true(buf.failed);
    assert_string_equal(buf.text, "kept");
    qn_strbuf_puts(&buf, "more");
    assert_string_equal(buf.text, "kept");
    qn_strbuf_release(&buf);
}

static void quoted_text_cannot_break_out(void **state)
{
    struct qn_strbuf buf;

    (void)state;
    qn_strbuf_init(&buf);
    qn_strbuf_quote(&buf, "a'b\\c\n\x1b"
                          "d\x7f");
    assert_string_equal(buf.text, "'a\\x27b\\x5cc\\x0a\\x1bd\\x7f'");
    qn_strbuf_clear(&buf);
    qn_strbuf_quote(&buf, "Größe");
    assert_string_equal(buf.text, "'Größe'");
    qn_strbuf_release(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_buffer_is_an_empty_text), cmocka_unit_test(text_grows_and_stays_terminated),
        cmocka_unit_test(clearing_keeps_the_memory),     cmocka_unit_test(past_the_cap_the_text_stays_as_it_was),
        cmocka_unit_test(quoted_text_cannot_break_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
