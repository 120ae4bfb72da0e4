/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/match.h"

#include <string.h>

#include "small_graph.h"

static void patterns_match_whole_texts(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool        matches;
    } cases[] = {
        { "", "", true },         { "", "a", false },       { "*", "", true },           { "*", "anything", true },
        { "a", "a", true },       { "a", "ab", false },     { "ab", "a", false },        { "?", "", false },
        { "?", "x", true },       { "a?c", "abc", true },   { "a?c", "ac", false },      { "a*", "a", true },
        { "*a", "banana", true }, { "*a", "banan", false }, { "a*b*c", "aXbYc", true },  { "a*b*c", "aXcYb", false },
        { "**", "x", true },      { "*?", "", false },      { "*?*", "x", true },        { "/l/*/Conv", "/l/l.0/c1/Conv", true },
        { "A", "a", false },      { "[ab]", "a", false },   { "[ab]", "[ab]", true },    { "a\\*", "a\\b", true },
        { "*ab", "aab", true },   { "*aab", "aaab", true }, { "*.weight", "w", false },  { "x*x", "x", false },
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (qn_glob(cases[i].pattern, cases[i].text) != cases[i].matches) fail_msg("'%s' and '%s'", cases[i].pattern, cases[i].text);
}

static void a_hostile_pattern_takes_no_exponential_time(void **state)
{
    static char text[20001], pattern[401];

    (void)state;
    memset(text, 'a', sizeof text - 1);
    for (size_t i = 0; i < sizeof pattern - 1; i++) pattern[i] = i % 2 ? 'a' : '*';
    pattern[sizeof pattern - 2] = 'b';
    assert_false(qn_glob(pattern, text));
}

static void begin(struct small *s)
{
    Onnx__NodeProto *node;

    small_open(s);
    small_input(s, "x", 2);
    small_op(s, "Conv", "/block1/conv", "x", "x");
    node = small_op(s, "Relu", "value1", "x");
    node->name = NULL;
    node = small_op(s, "Split", "part", "x");
    small_second_output(s, node, "part2");
    assert_ok(small_index(s), &s->err);
}

static void nodes_match_by_name_output_and_operator(void **state)
{
    struct small s;

    (void)state;
    begin(&s);
    assert_true(qn_match_node("/block1/*", &s.graph, 0));
    assert_true(qn_match_node("op:Conv", &s.graph, 0));
    assert_true(qn_match_node("op:C*", &s.graph, 0));
    assert_false(qn_match_node("op:conv", &s.graph, 0));
    assert_false(qn_match_node("Conv", &s.graph, 0));
    assert_true(qn_match_node("value?", &s.graph, 1)); /* no name, but an output */
    assert_false(qn_match_node("", &s.graph, 1));
    assert_true(qn_match_node("part2", &s.graph, 2));
    assert_false(qn_match_node("x", &s.graph, 0)); /* what it reads, unless that is a constant */
    small_close(&s);
}

static void a_pattern_that_matches_nothing_is_an_error_with_a_hint(void **state)
{
    struct small   s;
    qonnx_error    err = { 0 };
    const char    *items[] = { "op:Relu", "/block1/cnv" };
    struct qn_list list = { .items = items, .count = 1 };

    (void)state;
    begin(&s);
    assert_ok(qn_match_check(&list, "exclude", &s.graph, &err), &err);
    list.count = 2;
    assert_fails(qn_match_check(&list, "exclude", &s.graph, &err), QONNX_E_USAGE, &err, "--exclude: no node matches '/block1/cnv'; did you mean '/block1/conv'?");
    err = (qonnx_error){ 0 };
    items[1] = "op:Rlu";
    assert_fails(qn_match_check(&list, "exclude", &s.graph, &err), QONNX_E_USAGE, &err, "--exclude: no node matches 'op:Rlu'; did you mean 'op:Relu'?");
    err = (qonnx_error){ 0 };
    items[1] = "Split"; /* the operator's name without its prefix */
    assert_fails(qn_match_check(&list, "exclude", &s.graph, &err), QONNX_E_USAGE, &err, "--exclude: no node matches 'Split'; did you mean 'op:Split'?");
    err = (qonnx_error){ 0 };
    items[1] = "nothing at all";
    assert_fails(qn_match_check(&list, "exclude", &s.graph, &err), QONNX_E_USAGE, &err, "--exclude: no node matches 'nothing at all'");
    list.count = 0;
    assert_ok(qn_match_check(&list, "include", &s.graph, &err), &err);
    list = (struct qn_list){ .items = (const char *[]){ "nothing at all" }, .count = 1, .known = (bool[]){ true } };
    assert_ok(qn_match_check(&list, "exclude", &s.graph, &err), &err); /* it matched before the float passes */
    small_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_match_whole_texts),
        cmocka_unit_test(a_hostile_pattern_takes_no_exponential_time),
        cmocka_unit_test(nodes_match_by_name_output_and_operator),
        cmocka_unit_test(a_pattern_that_matches_nothing_is_an_error_with_a_hint),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
