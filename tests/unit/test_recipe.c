/* SPDX-License-Identifier: Apache-2.0
 * What may stand in a recipe, and where the error says it does not. */
#include "plan/recipe.h"

#include <math.h>

#include "plan/json_place.h"
#include "small_graph.h"

struct read {
    struct qn_recipe recipe;
    struct qn_arena  arena;
    qonnx_error      err;
};

static qonnx_status parse(struct read *r, const char *text)
{
    memset(r, 0, sizeof *r);
    return qn_recipe_parse(&r->recipe, "r.json", text, strlen(text), &r->arena, &r->err);
}

static void accepts(struct read *r, const char *text) { assert_ok(parse(r, text), &r->err); }

static void rejects(const char *text, const char *piece)
{
    struct read r;

    assert_fails(parse(&r, text), QONNX_E_USAGE, &r.err, piece);
    qn_arena_release(&r.arena);
}

/* A rule in a document, the rule on line 2. */
static void rejects_rule(const char *rule, const char *piece)
{
    char text[1024];

    snprintf(text, sizeof text, "{\"version\": 1, \"rules\": [\n%s]}", rule);
    rejects(text, piece);
}

static void syntax_errors_name_file_and_line(void **state)
{
    (void)state;
    rejects("", "r.json:1: ");
    rejects("{\"version\": 1,\n\n \"rules\": [}", "r.json:3: ");
    rejects("{\"version\": 1, \"version\": 1}", "r.json:1: ");
    rejects("[]", "r.json:1: is an array, must be an object");
    rejects("7", "r.json:1: is a whole number, must be an object");
    rejects("{\"version\": 1, \"comment\": \"a\\u0000b\"}", "r.json:1: ");
}

static void the_document_has_a_version_and_known_keys(void **state)
{
    (void)state;
    rejects("{}", "r.json:1: has no key 'version'; it is 1");
    rejects("{\n\"version\": 2}", "r.json:2: version: 2 is not between 1 and 1");
    rejects("{\"version\": 1,\n\"rule\": []}", "r.json:2: rule: unknown key; did you mean 'rules'?");
    rejects("{\"version\": 1,\n\"zzzzzz\": []}",
            "r.json:2: zzzzzz: unknown key; known are version, comment, options, passes, inputs, rules");
    rejects("{\"version\": 1,\n\"rules\": {}}", "r.json:2: rules: is an object, must be an array");
    rejects("{\"version\": 1,\n\"passes\": \"fold_affine\"}", "r.json:2: passes: is a string, must be an array");
}

static void errors_in_rules_name_line_and_key(void **state)
{
    (void)state;
    rejects_rule("7", "r.json:2: rules[0]: is a whole number, must be an object");
    rejects_rule("{\"match\": \"*\"}", "r.json:2: rules[0]: says nothing of weight, bias, input or output");
    rejects_rule("{\"weight\": null}", "r.json:2: rules[0]: says for no node: give it match, regex or op");
    rejects_rule("{\"match\": \"a\", \"regex\": \"a\", \"weight\": null}", "rules[0]: has both match and regex");
    rejects_rule("{\"match\": 7, \"weight\": null}", "rules[0].match: is a whole number, must be a string");
    rejects_rule("{\"match\": \"\", \"weight\": null}", "rules[0].match: is empty");
    rejects_rule("{\"regex\": \"(\", \"weight\": null}", "rules[0].regex: '(' is no regular expression: ");
    rejects_rule(
        "{\"regex\": \"a{9}\", \"weight\": null}",
        "rules[0].regex: must not be longer than 256 characters, nor use {}, back references or more than 8 +");
    rejects_rule("{\"regex\": \"(a*)+++++++++\", \"weight\": null}", "rules[0].regex: must not be longer");
    rejects_rule("{\"regex\": \"(a)\\\\1\", \"weight\": null}", "rules[0].regex: must not be longer");
    rejects_rule("{\"op\": [], \"weight\": null}", "rules[0].op: is empty");
    rejects_rule("{\"op\": [\"Conv\",\n 7], \"weight\": null}",
                 "r.json:3: rules[0].op[1]: is a whole number, must be a string");
    rejects_rule("{\"op\": \"Conv\",\n\n\"wieght\": null}",
                 "r.json:4: rules[0].wieght: unknown key; did you mean 'weight'?");
    rejects_rule("{\"op\": \"Conv\", \"optional\": 1, \"weight\": null}",
                 "rules[0].optional: is a whole number, must be true or false");
    rejects_rule("{\"op\": \"Conv\", \"weight\": 8}",
                 "rules[0].weight: is a whole number, must be a quantizer's name, an object or null");
    rejects_rule("{\"op\": \"Conv\", \"weight\": {}}", "rules[0].weight: says nothing; null switches a quantizer off");
}

static void unknown_quantizers_and_keys_get_the_nearest_word(void **state)
{
    (void)state;
    rejects_rule(
        "{\"op\": \"Conv\", \"weight\": \"Int8WeightPerTensorFlaot\"}",
        "rules[0].weight: unknown quantizer 'Int8WeightPerTensorFlaot'; did you mean 'Int8WeightPerTensorFloat'?");
    rejects_rule("{\"op\": \"Conv\", \"weight\": {\n\"quantizer\": \"Int9\"}}",
                 "r.json:3: rules[0].weight.quantizer: unknown quantizer 'Int9'");
    rejects_rule("{\"op\": \"Conv\", \"weight\": {\"quantizer\": \"Int8WeightPerTensorFloat\",\n \"bitwidth\": 4}}",
                 "r.json:3: rules[0].weight.bitwidth: unknown key; did you mean 'bit_width'?");
}

static void quantizers_stand_where_they_belong(void **state)
{
    (void)state;
    rejects_rule("{\"op\": \"Conv\", \"bias\": \"Int8WeightPerTensorFloat\"}",
                 "rules[0].bias: 'Int8WeightPerTensorFloat' is a quantizer for weights, not for biases");
    rejects_rule("{\"op\": \"Conv\", \"weight\": \"Int8Bias\"}",
                 "rules[0].weight: 'Int8Bias' is a quantizer for biases, not for weights");
    rejects_rule("{\"op\": \"Conv\", \"input\": \"Int32Bias\"}",
                 "rules[0].input: 'Int32Bias' is a quantizer for biases, not for activations");
    rejects_rule("{\"op\": \"Conv\", \"output\": \"ShiftedUint8WeightPerTensorFloat\"}",
                 "is a quantizer for weights, not for activations");
    rejects_rule("{\"op\": \"Conv\", \"weight\": {\"quantizer\": \"Int8WeightPerTensorFloat\", \"min_val\": 0}}",
                 "rules[0].weight.min_val: is no setting of a quantizer for weights");
    rejects_rule("{\"op\": \"Conv\", \"output\": {\"quantizer\": \"Int8ActPerTensorFloat\", \"only_if_float\": true}}",
                 "rules[0].output.only_if_float: is no setting of a quantizer for anything but an input");
}

static void contradictions_are_told_with_their_line(void **state)
{
    (void)state;
    rejects_rule("{\"op\": \"Conv\",\n\"weight\": {\"quantizer\": \"Int8WeightPerTensorFloat\", \"bit_width\": 9}}",
                 "r.json:3: rules[0].weight: 'Int8WeightPerTensorFloat': a bit width of 9 is not between 2 and 8");
    rejects_rule("{\"op\": \"Conv\", \"weight\": {\"quantizer\": \"Int8WeightPerTensorFloat\", \"bit_width\": 1}}",
                 "a bit width of 1 is not between 2 and 8");
    rejects_rule("{\"op\": \"Conv\", \"bias\": {\"quantizer\": \"IntBias\", \"bit_width\": 33}}",
                 "a bit width of 33 is not between 2 and 32");
    rejects_rule("{\"op\": \"Conv\", \"bias\": \"IntBias\"}",
                 "'IntBias' can not resolve attribute 'bit_width' while building 'bit_width_impl'");
    rejects_rule("{\"op\": \"Conv\", \"weight\": {\"quantizer\": \"Int8WeightPerTensorFloat\", \"bit_width\": 8.0}}",
                 "rules[0].weight.bit_width: is a number, must be a whole number");
    rejects_rule(
        "{\"op\": \"Conv\", \"weight\": {\"quantizer\": \"Int8WeightPerTensorFloat\", \"bit_width\": 4000000000}}",
        "rules[0].weight.bit_width: 4000000000 is not between");
    rejects_rule(
        "{\"op\": \"Conv\", \"weight\": {\"quantizer\": \"ShiftedUint8WeightPerTensorFloat\", \"signed\": true}}",
        "'ShiftedUint8WeightPerTensorFloat' is unsigned and cannot be signed");
    rejects_rule("{\"op\": \"Clip\", \"output\": {\"quantizer\": \"Int8ActPerTensorFloatMinMaxInit\", \"max_val\": 1, "
                 "\"signed\": false}}",
                 "'Int8ActPerTensorFloatMinMaxInit' needs min_val");
    rejects_rule("{\"op\": \"Clip\", \"output\": {\"quantizer\": \"Int8ActPerTensorFloatMinMaxInit\", \"min_val\": 1, "
                 "\"max_val\": -1}}",
                 "min_val 1 is greater than max_val -1");
    rejects_rule(
        "{\"op\": \"Clip\", \"output\": \"Int8ActPerTensorFloatMinMaxInit\"}",
        "'Int8ActPerTensorFloatMinMaxInit' can not resolve attribute 'max_val' while building 'scaling_init_impl'");
    rejects_rule(
        "{\"op\": \"Clip\", \"output\": {\"quantizer\": \"Int8ActPerTensorFloatMinMaxInit\", \"min_val\": -1}}",
        "can not resolve attribute 'max_val' while building 'scaling_init_impl'");
    rejects_rule("{\"op\": \"Clip\", \"output\": {\"quantizer\": \"Int8ActPerTensorFloatMinMaxInit\", \"max_val\": 1}}",
                 "float() argument must be a string or a real number, not 'NoneType'");
    rejects_rule("{\"op\": \"Relu\", \"output\": {\"quantizer\": \"Uint8ActPerTensorFloat\", \"collect_steps\": 0}}",
                 "Steps should be more than 0");
    rejects_rule("{\"op\": \"Relu\", \"output\": {\"quantizer\": \"Uint8ActPerTensorFloat\", \"momentum\": 2}}",
                 "a momentum of 2 is not between 0 and 1");
    rejects_rule(
        "{\"op\": \"Relu\", \"output\": {\"quantizer\": \"Uint8ActPerTensorFloat\", \"high_percentile\": 101}}",
        "percentiles");
    rejects_rule("{\"op\": \"Conv\", \"bias\": {\"quantizer\": \"Int8Bias\", \"per_channel\": true}}",
                 "'Int8Bias' cannot be set to per channel");
}

static void declared_inputs_are_checked(void **state)
{
    (void)state;
    rejects("{\"version\": 1, \"inputs\": {\"x\": 7}}", "r.json:1: inputs.x: is a whole number, must be an object");
    rejects("{\"version\": 1, \"inputs\": {\"x\": {\"bit_width\": 8}}}", "inputs.x: has no scale");
    rejects("{\"version\": 1, \"inputs\": {\"x\": {\"scale\": 0}}}", "inputs.x.scale: 0 is no scale");
    rejects("{\"version\": 1, \"inputs\": {\"x\": {\"scale\": -1}}}", "inputs.x.scale: -1 is no scale");
    rejects("{\"version\": 1, \"inputs\": {\"x\": {\"scale\": 1e30}}}", "inputs.x.scale: 1e+30 is no scale");
    rejects("{\"version\": 1, \"inputs\": {\"x\": {\"scale\": 1,\n\"zero_point\": 128}}}",
            "inputs.x: zero_point 128 is not among the codes, -128 to 127");
    rejects("{\"version\": 1, \"inputs\": {\"x\": {\"scale\": 1, \"bit_width\": 9}}}",
            "inputs.x.bit_width: 9 is not between 2 and 8");
    rejects("{\"version\": 1, \"inputs\": {\"x\": {\"scale\": 1,\n\"bits\": 9}}}",
            "r.json:2: inputs.x.bits: unknown key");
}

static void values_of_options_are_words_numbers_or_flags(void **state)
{
    struct read r;

    (void)state;
    rejects("{\"version\": 1, \"options\": {\"seed\":\n 1.5}}",
            "options.seed: is a number, must be a string, a whole number, true or false");
    rejects("{\"version\": 1, \"options\": {\"exclude\": [\"a\", []]}}", "options.exclude[1]: is an array");
    accepts(&r, "{\"version\": 1, \"options\": {\"format\": \"qdq\", \"strict\": true, \"seed\": 3, \"exclude\": "
                "[\"a\", \"b\"]}, \"passes\": [\"fold_affine\"]}");
    assert_int_equal(r.recipe.option_count, 6);
    assert_string_equal(r.recipe.options[1].value, "on");
    assert_string_equal(r.recipe.options[2].value, "3");
    assert_string_equal(r.recipe.options[4].name, "exclude");
    assert_string_equal(r.recipe.options[5].name, "pass");
    assert_false(r.recipe.has_rules);
    qn_arena_release(&r.arena);
}

static void a_rule_holds_what_it_says_and_no_more(void **state)
{
    struct read                 r;
    const struct qn_slot_words *words;

    (void)state;
    accepts(&r, "{\"version\": 1, \"rules\": [\n"
                "{\"op\": [\"Conv\", \"Gemm\"], \"weight\": \"Int8WeightPerChannelFloat\", \"bias\": null, "
                "\"comment\": \"why\",\n"
                " \"output\": {\"quantizer\": \"Uint8ActPerTensorFloat\", \"bit_width\": 4, \"momentum\": null, "
                "\"collect_steps\": 5}}]}");
    assert_int_equal(r.recipe.rule_count, 1);
    assert_int_equal(r.recipe.rules[0].line, 2);
    assert_int_equal(r.recipe.rules[0].op_count, 2);
    words = r.recipe.rules[0].slots;
    assert_true(words[QN_SLOT_WEIGHT].said && words[QN_SLOT_WEIGHT].values.per_channel && !words[QN_SLOT_WEIGHT].keys);
    assert_true(words[QN_SLOT_BIAS].said && words[QN_SLOT_BIAS].off);
    assert_false(words[QN_SLOT_INPUT].said);
    assert_int_equal(words[QN_SLOT_OUTPUT].values.bits, 4);
    assert_int_equal(words[QN_SLOT_OUTPUT].values.collect_steps, 5);
    assert_true(isnan(words[QN_SLOT_OUTPUT].values.momentum));
    assert_int_equal(words[QN_SLOT_OUTPUT].line, 3);
    qn_arena_release(&r.arena);
}

static void a_later_rule_replaces_a_quantizer_or_changes_its_keys(void **state)
{
    struct read         r;
    struct qn_quantizer q = { 0 };
    bool                only = false;

    (void)state;
    accepts(&r, "{\"version\": 1, \"rules\": ["
                "{\"match\": \"*\", \"input\": {\"quantizer\": \"Int8ActPerTensorFloat\", \"bit_width\": 4, "
                "\"only_if_float\": true}},"
                "{\"match\": \"*\", \"input\": {\"narrow\": true, \"collect_steps\": 3}},"
                "{\"match\": \"*\", \"input\": \"ShiftedUint8ActPerTensorFloat\"},"
                "{\"match\": \"*\", \"input\": null}]}");
    qn_slot_apply(&r.recipe.rules[0].slots[QN_SLOT_INPUT], &q, &only);
    qn_slot_apply(&r.recipe.rules[1].slots[QN_SLOT_INPUT], &q, &only);
    assert_string_equal(q.row->name, "Int8ActPerTensorFloat");
    assert_true(q.bits == 4 && q.narrow && q.collect_steps == 3 && only);
    qn_slot_apply(&r.recipe.rules[1].slots[QN_SLOT_WEIGHT], &q, &only); /* nothing said */
    assert_int_equal(q.bits, 4);
    qn_slot_apply(&r.recipe.rules[2].slots[QN_SLOT_INPUT], &q, &only);
    assert_true(q.bits == 8 && !q.narrow && q.collect_steps == 30 && !only);
    qn_slot_apply(&r.recipe.rules[3].slots[QN_SLOT_INPUT], &q, &only);
    assert_null(q.row);
    qn_arena_release(&r.arena);
}

static void rules_match_names_outputs_and_operators(void **state)
{
    static const struct {
        const char *rule;
        bool        conv, relu;
    } cases[] = {
        { "\"match\": \"layer.1*\"", true, false },
        { "\"match\": \"*\"", true, true },
        { "\"regex\": \"^layer[.][0-9]+$\"", true, false },
        { "\"regex\": \"act\"", false, true },
        { "\"op\": \"Relu\"", false, true },
        { "\"op\": [\"Relu\", \"Conv\"]", true, true },
        { "\"op\": \"Relu\", \"match\": \"layer*\"", false, false },
        { "\"match\": \"y\"", false, true },
    };
    struct small s;

    (void)state;
    small_open(&s);
    small_input(&s, "x", 4);
    small_constant(&s, "w", 1, DIMS(1, 1, 1, 1));
    small_op(&s, "Conv", "layer.1", "x", "w");
    small_op(&s, "Relu", "y", "layer.1");
    s.model.pb->graph->node[1]->name = qn_arena_strdup(&s.model.arena, "act");
    small_output(&s, "y");
    assert_ok(small_index(&s), &s.err);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct read r;
        char        text[200];
        snprintf(text, sizeof text, "{\"version\": 1, \"rules\": [{%s, \"output\": null}]}", cases[i].rule);
        accepts(&r, text);
        assert_int_equal(qn_rule_matches(&r.recipe.rules[0], &s.graph, 0), cases[i].conv);
        assert_int_equal(qn_rule_matches(&r.recipe.rules[0], &s.graph, 1), cases[i].relu);
        qn_arena_release(&r.arena);
    }
    small_close(&s);
}

static void lines_are_found_whatever_stands_between(void **state)
{
    const char *text =
        "{ \"a\": \"}\\\"]{,\\\\\",\n\"b\": [[1,\n2], {\"c\":\n{\"d\" : null,\n\"e\": -1e5}}, true]\n, \"f\": 1 }";
    struct {
        struct qn_json_step steps[4];
        size_t              count;
        int                 line;
    } cases[] = {
        { { { NULL, 0 } }, 0, 1 },
        { { { "a", 0 } }, 1, 1 },
        { { { "b", 0 } }, 1, 2 },
        { { { "b", 0 }, { NULL, 0 }, { NULL, 1 } }, 3, 3 },
        { { { "b", 0 }, { NULL, 1 }, { "c", 0 } }, 3, 3 },
        { { { "b", 0 }, { NULL, 1 }, { "c", 0 }, { "d", 0 } }, 4, 4 },
        { { { "b", 0 }, { NULL, 1 }, { "c", 0 }, { "e", 0 } }, 4, 5 },
        { { { "b", 0 }, { NULL, 2 } }, 2, 5 },
        { { { "f", 0 } }, 1, 6 },
        { { { "b", 0 }, { NULL, 9 } }, 2, 2 }, /* no such place: the last on the way */
        { { { "zzz", 0 } }, 1, 1 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(qn_json_line(text, strlen(text), cases[i].steps, cases[i].count), cases[i].line);
    for (size_t cut = 0; cut <= strlen(text); cut++) /* half a document is safe, if of no use */
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            char *half = malloc(cut + 1); /* of the very size, for the sanitizer */
            memcpy(half, text, cut);
            assert_in_range(qn_json_line(half, cut, cases[i].steps, cases[i].count), 1, 7);
            free(half);
        }
}

static void out_of_memory_is_told_wherever_it_happens(void **state)
{
    const char *text = "{\"version\": 1, \"options\": {\"seed\": 1}, \"inputs\": {\"x\": {\"scale\": 1}}, \"rules\": "
                       "[{\"op\": [\"Conv\"], \"match\": \"a\", \"weight\": \"Int8WeightPerTensorFloat\"}]}";
    struct read r;

    (void)state;
    for (size_t n = 1;; n++) {
        qonnx_status status;
        qn_arena_inject_failure(n, false);
        status = parse(&r, text);
        qn_arena_inject_failure(0, false);
        qn_arena_release(&r.arena);
        if (status == QONNX_OK) {
            assert_true(n > 5);
            break;
        }
        assert_string_equal(qonnx_status_name(status), "E_NOMEM");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(syntax_errors_name_file_and_line),
        cmocka_unit_test(the_document_has_a_version_and_known_keys),
        cmocka_unit_test(errors_in_rules_name_line_and_key),
        cmocka_unit_test(unknown_quantizers_and_keys_get_the_nearest_word),
        cmocka_unit_test(quantizers_stand_where_they_belong),
        cmocka_unit_test(contradictions_are_told_with_their_line),
        cmocka_unit_test(declared_inputs_are_checked),
        cmocka_unit_test(values_of_options_are_words_numbers_or_flags),
        cmocka_unit_test(a_rule_holds_what_it_says_and_no_more),
        cmocka_unit_test(a_later_rule_replaces_a_quantizer_or_changes_its_keys),
        cmocka_unit_test(rules_match_names_outputs_and_operators),
        cmocka_unit_test(lines_are_found_whatever_stands_between),
        cmocka_unit_test(out_of_memory_is_told_wherever_it_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
