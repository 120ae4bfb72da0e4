/* SPDX-License-Identifier: Apache-2.0 */
#include "inspect_model.h"

#include "fake_runtime.h"

static const int64_t dims[] = { 1, -1, 4 }, big[] = { 100 }, small[] = { 3 }, packed[] = { 5 };

static struct qn_model *make(struct qn_model *model)
{
    static const float   weights[100];
    static const int8_t  codes[100];
    static const uint8_t half_bytes[3];

    model_init(model);
    model_input(model, "x", QN_FLOAT, 3, dims, (const char *const[]){ NULL, "time", NULL });
    model_input(model, "any", QN_INT64, -1, NULL, NULL);
    model_output(model, "y", QN_FLOAT);
    model_constant(model, "w", QN_FLOAT, 1, big, weights, sizeof weights);
    model_constant(model, "c", QN_INT8, 1, big, codes, sizeof codes);
    model_constant(model, "s", QN_FLOAT, 1, small, weights, 12);
    model_constant(model, "n", ONNX__TENSOR_PROTO__DATA_TYPE__INT4, 1, packed, half_bytes, sizeof half_bytes);
    model_constant(model, "unused", QN_FLOAT, 1, small, weights, 12);
    model_node(model, "Conv", "a", INPUTS("x", "w"));
    model_node(model, "DequantizeLinear", "d", INPUTS("c", "s"));
    model_node(model, "Conv", "b", INPUTS("a", "d"));
    model_node(model, "Gather", "y", INPUTS("b", "n"));
    return model;
}

static void constants_belong_to_the_node_behind_their_dequantizer(void **state)
{
    struct qn_model       model;
    struct qn_model_facts facts;
    struct qn_arena       arena = { 0 };

    (void)state;
    assert_int_equal(qn_model_facts(&facts, make(&model), &arena, NULL), QONNX_OK);
    assert_int_equal(facts.node_count, 4);
    assert_int_equal(facts.operator_count, 3);
    assert_string_equal(facts.operators[0].name, "Conv");
    assert_int_equal(facts.operators[0].count, 2);
    assert_int_equal(facts.constants.count, 5);
    assert_int_equal(facts.constants.bytes, 400 + 100 + 12 + 3 + 12);
    assert_int_equal(facts.type_count, 3);
    assert_string_equal(facts.types[0].name, "float");
    assert_int_equal(facts.types[0].bytes, 424);
    assert_string_equal(facts.types[2].name, "int4");
    assert_int_equal(facts.types[2].bytes, 3); /* five of four bits */
    assert_int_equal(facts.reader_count, 3);
    assert_string_equal(facts.readers[0].name, "a");
    assert_string_equal(facts.readers[1].name, "b"); /* not d, which only dequantizes */
    assert_string_equal(facts.readers[1].op, "Conv");
    assert_int_equal(facts.readers[1].bytes, 112);
    qn_arena_release(&arena);
    qn_model_release(&model);
}

static void shapes_are_told_with_their_symbols(void **state)
{
    struct qn_model       model;
    struct qn_model_facts facts;
    struct qn_arena       arena = { 0 };
    struct qn_strbuf      text;

    (void)state;
    qn_strbuf_init(&text);
    assert_int_equal(qn_model_facts(&facts, make(&model), &arena, NULL), QONNX_OK);
    qn_model_facts_text(&facts, &text);
    assert_string_equal(text.text, "inputs:    x: float [1,time,4]\n"
                                   "           any: int64 of any shape\n"
                                   "outputs:   y: float of any shape\n"
                                   "nodes:     4: 2 Conv, 1 DequantizeLinear, 1 Gather\n"
                                   "constants: 5, 527 bytes: 424 bytes of float, 100 bytes of int8, 3 bytes of int4\n"
                                   "largest:   a (Conv) 400 bytes, b (Conv) 112 bytes, y (Gather) 3 bytes\n");
    qn_strbuf_release(&text);
    qn_arena_release(&arena);
    qn_model_release(&model);
}

static void a_model_of_nothing_has_facts_too(void **state)
{
    struct qn_model       model;
    struct qn_model_facts facts;
    struct qn_arena       arena = { 0 };
    struct qn_strbuf      text;

    (void)state;
    model_init(&model);
    qn_strbuf_init(&text);
    assert_int_equal(qn_model_facts(&facts, &model, &arena, NULL), QONNX_OK);
    qn_model_facts_text(&facts, &text);
    assert_string_equal(text.text,
                        "inputs:    no tensors\noutputs:   no tensors\nnodes:     0\nconstants: 0, 0 bytes\n");
    qn_strbuf_release(&text);
    qn_arena_release(&arena);
    qn_model_release(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constants_belong_to_the_node_behind_their_dequantizer),
        cmocka_unit_test(shapes_are_told_with_their_symbols),
        cmocka_unit_test(a_model_of_nothing_has_facts_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
