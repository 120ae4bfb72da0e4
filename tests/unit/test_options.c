/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/options.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "cmocka_all.h"
#include "plan/presets.h"

static void rejects(const char *name, const char *value, const char *text)
{
    qonnx_options *options = qonnx_options_new();
    qonnx_error    err = { 0 };
    qonnx_status   status = qonnx_options_set(options, name, value, &err);

    qonnx_options_free(options);
    assert_string_equal(qonnx_status_name(status), "E_USAGE");
    if (!strstr(err.message, text)) fail_msg("'%s' is not in '%s'", text, err.message);
}

/* Resolves a list of name, value, …, NULL. */
static void resolve(struct qn_settings *settings, const char *const *set)
{
    qonnx_options *options = qonnx_options_new();
    qonnx_error    err = { 0 };

    for (; *set; set += 2)
        if (qonnx_options_set(options, set[0], set[1], &err) != QONNX_OK) fail_msg("%s", err.message);
    if (qn_settings_resolve(settings, options, &err) != QONNX_OK) fail_msg("%s", err.message);
    qonnx_options_free(options); /* settings keep copies */
}
#define SET(...) (const char *const[]){ __VA_ARGS__, NULL }

static void contradicts(const char *const *set, const char *text)
{
    qonnx_options     *options = qonnx_options_new();
    qonnx_error        err = { 0 };
    struct qn_settings settings;

    for (; *set; set += 2) assert_int_equal(qonnx_options_set(options, set[0], set[1], NULL), QONNX_OK);
    assert_int_equal(qn_settings_resolve(&settings, options, &err), QONNX_E_USAGE);
    if (!strstr(err.message, text)) fail_msg("'%s' is not in '%s'", text, err.message);
    qn_settings_release(&settings);
    qonnx_options_free(options);
}

static void blocks_are_asked_for_where_they_have_a_form(void **state)
{
    struct qn_settings settings;

    (void)state;
    contradicts(SET("preset", "int8", "block-size", "32"), "integer kernels take no blocks");
    contradicts(SET("preset", "int4", "block-size", "48"), "16, 32, 64, 128 or 256");
    contradicts(SET("preset", "int4", "block-size", "8"), "16, 32, 64, 128 or 256");
    contradicts(SET("preset", "int4", "block-size", "0"), "in blocks only");
    contradicts(SET("preset", "int4", "weight-bits", "3"), "2, 4 or 8 bits");
    contradicts(SET("preset", "int4", "weight-range", "octav"), "minmax, mse and hqq");
    contradicts(SET("preset", "int4", "weight-range", "hqq", "weight-symmetric", "on"), "zero points");
    contradicts(SET("preset", "int4", "format", "qonnx"), "has no form for blocks");
    contradicts(SET("preset", "int4", "rounding", "second-order"), "--calib");
    contradicts(SET("preset", "int8-weights", "rounding", "small", "stats", "s"), "--calib");
    contradicts(SET("preset", "int4", "weight-importance", "on"), "--stats FILE");
    contradicts(SET("preset", "int8", "weight-importance", "on"), "block-size");
    resolve(&settings, SET("preset", "int4", "target", "openvino"));
    assert_string_equal(settings.format, "qdq"); /* which is what it reads */
    qn_settings_release(&settings);
}

static void the_table_can_be_read_and_its_defaults_are_valid(void **state)
{
    const qonnx_option_info *row, *other;

    (void)state;
    for (size_t i = 0; (row = qonnx_option_at(i)); i++) {
        qonnx_options *options = qonnx_options_new();
        qonnx_error    err = { 0 };

        for (const char *c = row->name; *c; c++) assert_true(islower((unsigned char)*c) || *c == '-');
        for (size_t k = 0; k < i; k++) {
            other = qonnx_option_at(k);
            assert_string_not_equal(row->name, other->name);
        }
        assert_true(row->help && row->help[0] && row->help[strlen(row->help) - 1] != '.');
        assert_true(row->group && row->commands && *row->commands);
        assert_true(!row->repeatable || !row->fallback);
        if (row->fallback && qonnx_options_set(options, row->name, row->fallback, &err) != QONNX_OK) fail_msg("%s", err.message);
        qonnx_options_free(options);
    }
}

static void a_preset_sets_only_what_options_take(void **state)
{
    const struct qn_preset *preset;
    qonnx_error             err = { 0 };

    (void)state;
    for (size_t i = 0; (preset = qn_preset_at(i)); i++) {
        qonnx_options *options = qonnx_options_new();
        assert_ptr_equal(qn_preset_find(preset->name), preset);
        assert_true(strlen(preset->summary) > 5);
        for (size_t k = 0; k < sizeof preset->values / sizeof *preset->values && preset->values[k].option; k++)
            if (qonnx_options_set(options, preset->values[k].option, preset->values[k].value, &err) != QONNX_OK)
                fail_msg("preset %s: %s", preset->name, err.message);
        qonnx_options_free(options);
    }
    assert_null(qn_preset_find("nothing"));
    assert_null(qn_target_find("nothing"));
}

static void defaults_make_an_int8_model(void **state)
{
    struct qn_settings settings;

    (void)state;
    assert_int_equal(qn_settings_resolve(&settings, NULL, NULL), QONNX_OK);
    assert_string_equal(settings.preset, "int8");
    assert_string_equal(settings.format, "qdq");
    assert_string_equal(settings.act_qtype->name, "uint8");
    assert_string_equal(settings.weight_qtype->name, "int8");
    assert_true(settings.per_channel && !settings.strict);
    assert_string_equal(settings.preset_row->name, "int8");
    assert_non_null(settings.target_row);
    assert_non_null(settings.observer_row);
    assert_null(settings.calib);
    assert_int_equal(settings.include.count, 0);
    qn_settings_release(&settings);
}

static void what_the_user_sets_wins_over_the_preset_in_any_order(void **state)
{
    struct qn_settings settings;

    (void)state;
    resolve(&settings, SET("per-channel", "off", "preset", "int8"));
    assert_false(settings.per_channel);
    qn_settings_release(&settings);
    resolve(&settings, SET("preset", "int8", "per-channel", "off"));
    assert_false(settings.per_channel);
    qn_settings_release(&settings);
    resolve(&settings, SET("preset", "copy", "preset", "int8")); /* the last one of two */
    assert_string_equal(settings.preset_row->name, "int8");
    qn_settings_release(&settings);
}

static void lists_collect_and_other_options_are_replaced(void **state)
{
    struct qn_settings settings;

    (void)state;
    resolve(&settings, SET("exclude", "a", "samples", "3", "exclude", "b*", "samples", "7", "calib", "one", "calib", "two"));
    assert_int_equal(settings.exclude.count, 2);
    assert_string_equal(settings.exclude.items[0], "a");
    assert_string_equal(settings.exclude.items[1], "b*");
    assert_int_equal(settings.samples, 7);
    assert_string_equal(settings.calib, "two");
    qn_settings_release(&settings);
}

static void many_options_can_be_set(void **state)
{
    qonnx_options     *options = qonnx_options_new();
    struct qn_settings settings;
    char               name[32];

    (void)state;
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "node%d", i);
        assert_int_equal(qonnx_options_set(options, "exclude", name, NULL), QONNX_OK);
    }
    assert_int_equal(qn_settings_resolve(&settings, options, NULL), QONNX_OK);
    assert_int_equal(settings.exclude.count, 1000);
    assert_string_equal(settings.exclude.items[999], "node999");
    qn_settings_release(&settings);
    qonnx_options_free(options);
    qonnx_options_free(NULL);
}

static void flags_understand_the_usual_words(void **state)
{
    static const char *const on[] = { NULL, "", "on", "true", "yes", "1" }, *const off[] = { "off", "false", "no", "0" };
    struct qn_settings       settings;

    (void)state;
    for (size_t i = 0; i < sizeof on / sizeof *on; i++) {
        qonnx_options *options = qonnx_options_new();
        assert_int_equal(qonnx_options_set(options, "strict", on[i], NULL), QONNX_OK);
        assert_int_equal(qn_settings_resolve(&settings, options, NULL), QONNX_OK);
        assert_true(settings.strict);
        qn_settings_release(&settings);
        qonnx_options_free(options);
    }
    for (size_t i = 0; i < sizeof off / sizeof *off; i++) {
        resolve(&settings, SET("strict", "on", "strict", off[i]));
        assert_false(settings.strict);
        qn_settings_release(&settings);
    }
    rejects("strict", "maybe", "--strict: 'maybe' is neither on nor off");
}

static void numbers_are_whole_and_within_their_limits(void **state)
{
    static const char *const bad[] = { "1.5", "x", "-1", "1x", "99999999999999999999", " 1 " };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) rejects("threads", bad[i], "is not a whole number from 0 to 1024");
    rejects("threads", "1025", "from 0 to 1024");
    rejects("threads", NULL, "--threads needs a value (N)");
    rejects("calib", "", "--calib needs a value (PATH)");
}

static void an_unknown_word_gets_the_nearest_known_one(void **state)
{
    (void)state;
    rejects("thread", "1", "unknown option 'thread'; did you mean 'threads'?");
    rejects("exlude", "x", "did you mean 'exclude'?");
    rejects("preset", "int9", "--preset: unknown preset 'int9'; did you mean 'int8'?");
    rejects("target", "ort_x86", "did you mean 'ort-x86'?");
    rejects("format", "zzzzzzzz", "known are qdq, "); /* nothing is near: all are told */
    rejects("zzzzzzzzzz", "x", "unknown option 'zzzzzzzzzz'");
}

static void a_long_word_is_no_trouble(void **state)
{
    static char word[5000];

    (void)state;
    memset(word, 'x', sizeof word - 1);
    rejects(word, "1", "unknown option 'xxx");
    rejects("preset", word, "unknown preset 'xxx");
}

static void choices_are_listed(void **state)
{
    const char *word, *summary;
    size_t      count = 0;

    (void)state;
    for (; qonnx_option_choice("preset", count, &word, &summary); count++) assert_true(*word && *summary);
    assert_true(count >= 2);
    assert_false(qonnx_option_choice("calib", 0, &word, &summary));
    assert_false(qonnx_option_choice("nothing", 0, &word, &summary));
}

static void settings_are_told_as_text(void **state)
{
    struct qn_settings       settings;
    const qonnx_option_info *row;
    size_t                   seen = 0;

    (void)state;
    resolve(&settings, SET("samples", "12", "exclude", "a", "exclude", "b", "strict", "on"));
    for (size_t i = 0; (row = qonnx_option_at(i)); i++) {
        const char *text = qn_settings_text(&settings, i, 0, &settings.arena);
        if (strcmp(row->name, "samples") == 0) seen += strcmp(text, "12") == 0;
        if (strcmp(row->name, "strict") == 0) seen += strcmp(text, "on") == 0;
        if (strcmp(row->name, "calib") == 0) seen += text == NULL;
        if (strcmp(row->name, "exclude") == 0) {
            seen += strcmp(text, "a") == 0 && strcmp(qn_settings_text(&settings, i, 1, &settings.arena), "b") == 0;
            assert_null(qn_settings_text(&settings, i, 2, &settings.arena));
        } else {
            assert_null(qn_settings_text(&settings, i, 1, &settings.arena));
        }
    }
    assert_int_equal(seen, 4);
    qn_settings_release(&settings);
}

static void a_failed_allocation_is_reported(void **state)
{
    (void)state;
    for (size_t nth = 1; nth < 200; nth++) {
        qonnx_options     *options = qonnx_options_new();
        struct qn_settings settings;
        qonnx_status       status;

        assert_int_equal(qonnx_options_set(options, "exclude", "a", NULL), QONNX_OK);
        qn_arena_inject_failure(nth, true);
        status = qn_settings_resolve(&settings, options, NULL);
        qn_arena_inject_failure(0, false);
        qn_settings_release(&settings);
        qonnx_options_free(options);
        if (status == QONNX_OK) return;
        assert_int_equal(status, QONNX_E_NOMEM);
    }
    fail_msg("never succeeded");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_can_be_read_and_its_defaults_are_valid),
        cmocka_unit_test(blocks_are_asked_for_where_they_have_a_form),
        cmocka_unit_test(a_preset_sets_only_what_options_take),
        cmocka_unit_test(defaults_make_an_int8_model),
        cmocka_unit_test(what_the_user_sets_wins_over_the_preset_in_any_order),
        cmocka_unit_test(lists_collect_and_other_options_are_replaced),
        cmocka_unit_test(many_options_can_be_set),
        cmocka_unit_test(flags_understand_the_usual_words),
        cmocka_unit_test(numbers_are_whole_and_within_their_limits),
        cmocka_unit_test(an_unknown_word_gets_the_nearest_known_one),
        cmocka_unit_test(a_long_word_is_no_trouble),
        cmocka_unit_test(choices_are_listed),
        cmocka_unit_test(settings_are_told_as_text),
        cmocka_unit_test(a_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
