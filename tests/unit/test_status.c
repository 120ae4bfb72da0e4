/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/status.h"
#include "cmocka_all.h"

static void every_status_has_a_name_a_text_and_an_exit_code(void **state)
{
    static const struct {
        qonnx_status status;
        const char  *name;
        int          exit_code;
    } all[] = {
#define X(name, exit_code, text) { QONNX_##name, #name, exit_code },
        QONNX_STATUS_LIST(X)
#undef X
    };

    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        assert_int_equal(all[i].status, i);
        assert_string_equal(qonnx_status_name(all[i].status), all[i].name);
        assert_int_equal(qonnx_status_exit_code(all[i].status), all[i].exit_code);
        assert_true(strlen(qonnx_status_text(all[i].status)) > 3);
        assert_true((all[i].exit_code == 0) == (all[i].status == QONNX_OK));
    }
}

static void a_number_that_is_no_status_reads_as_internal_error(void **state)
{
    (void)state;
    assert_string_equal(qonnx_status_name((qonnx_status)1000), "E_INTERNAL");
    assert_int_equal(qonnx_status_exit_code((qonnx_status)1000), 1);
}

static void the_first_error_wins(void **state)
{
    qonnx_error err = { 0 };

    (void)state;
    assert_int_equal(qn_fail(&err, QONNX_E_FORMAT, "bad %d", 7), QONNX_E_FORMAT);
    assert_int_equal(qn_fail(&err, QONNX_E_IO, "later"), QONNX_E_IO);
    assert_int_equal(err.status, QONNX_E_FORMAT);
    assert_string_equal(err.message, "bad 7");
}

static void context_is_put_in_front(void **state)
{
    qonnx_error err = { 0 };

    (void)state;
    qn_fail(&err, QONNX_E_FORMAT, "bad");
    assert_int_equal(qn_wrap(&err, QONNX_E_FORMAT, "tensor '%s'", "w"), QONNX_E_FORMAT);
    assert_int_equal(qn_wrap(&err, QONNX_E_FORMAT, "m.onnx"), QONNX_E_FORMAT);
    assert_string_equal(err.message, "m.onnx: tensor 'w': bad");
}

static void success_takes_no_context(void **state)
{
    qonnx_error err = { 0 };

    (void)state;
    assert_int_equal(qn_wrap(&err, QONNX_OK, "m.onnx"), QONNX_OK);
    assert_string_equal(err.message, "");
}

static void a_record_is_not_needed(void **state)
{
    (void)state;
    assert_int_equal(qn_fail(NULL, QONNX_E_IO, "x"), QONNX_E_IO);
    assert_int_equal(qn_wrap(NULL, QONNX_E_IO, "x"), QONNX_E_IO);
    assert_int_equal(qn_fail_nomem(NULL), QONNX_E_NOMEM);
}

static void control_bytes_of_foreign_names_are_replaced(void **state)
{
    qonnx_error err = { 0 };

    (void)state;
    qn_fail(&err, QONNX_E_FORMAT, "node '%s'", "a\033[2J\nb\x7f");
    assert_string_equal(err.message, "node 'a?[2J?b?'");
    qn_wrap(&err, QONNX_E_FORMAT, "%s", "m\r.onnx");
    assert_string_equal(err.message, "m?.onnx: node 'a?[2J?b?'");
}

static void long_texts_lose_their_tail_and_stay_terminated(void **state)
{
    qonnx_error err = { 0 };
    char        text[2000];

    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    qn_fail(&err, QONNX_E_FORMAT, "start %s", text);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    qn_wrap(&err, QONNX_E_FORMAT, "m.onnx");
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
    assert_memory_equal(err.message, "m.onnx: start xxx", 17);
    qn_wrap(&err, QONNX_E_FORMAT, "%s", text);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_a_name_a_text_and_an_exit_code),
        cmocka_unit_test(a_number_that_is_no_status_reads_as_internal_error),
        cmocka_unit_test(the_first_error_wins),
        cmocka_unit_test(context_is_put_in_front),
        cmocka_unit_test(success_takes_no_context),
        cmocka_unit_test(a_record_is_not_needed),
        cmocka_unit_test(control_bytes_of_foreign_names_are_replaced),
        cmocka_unit_test(long_texts_lose_their_tail_and_stay_terminated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
