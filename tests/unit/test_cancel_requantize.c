/* SPDX-License-Identifier: Apache-2.0
 * Codes that are dequantized and quantized again: which pairs go, and which have to stay. */
#include <string.h>

#include "cmocka_all.h"
#include "lifted.h"
#include "pass/pass.h"

/* Integers come in as q: DequantizeLinear makes x of them, by the grid "a". */
static void open(struct lifted *l)
{
    memset(l, 0, sizeof *l);
    small_open(&l->s);
    model_input(&l->s.model, "q", QN_UINT8, 1, (const int64_t[]){ 4 }, NULL);
    small_grid(&l->s, "a", 0.5f, QN_UINT8, 3);
    small_dequantize(&l->s, "x", "q", "a");
}

/* Runs the pass, twice where nothing may be left to do; then these are the operators. */
static void assert_becomes(struct lifted *l, const char *wanted)
{
    struct small *s = &l->s;

    assert_ok(small_index(s), &s->err);
    for (int turn = 0; turn < 2; turn++) {
        assert_ok(qn_pass_run(qn_pass_find("cancel_requantize"), &s->graph, &s->err), &s->err);
        assert_ok(qn_check(&s->graph, &s->err), &s->err);
        assert_operators(l, wanted);
    }
}

static const char *input_of(const struct lifted *l, const char *node, size_t slot)
{
    return l->s.graph.pb->node[small_node(&l->s, node)]->input[slot];
}

static void readers_of_the_second_codes_take_the_first(void **state)
{
    struct lifted l;

    (void)state;
    open(&l);
    small_quantize(&l.s, "again", "x", "a");
    small_dequantize(&l.s, "y", "again", "a");
    small_output(&l.s, "y");
    assert_becomes(&l, "DequantizeLinear");
    assert_string_equal(input_of(&l, "y", 0), "q");
    small_close(&l.s);
}

static void equal_numbers_in_other_constants_are_the_same_numbers(void **state)
{
    struct lifted l;

    (void)state;
    open(&l);
    small_grid(&l.s, "b", 0.5f, QN_UINT8, 3);
    small_quantize(&l.s, "again", "x", "b");
    small_dequantize(&l.s, "y", "again", "b");
    small_output(&l.s, "y");
    assert_becomes(&l, "DequantizeLinear");
    small_close(&l.s);
}

/* Another scale, zero point or type makes other codes. */
static void other_numbers_are_kept(void **state)
{
    static const struct {
        float   scale;
        int32_t type, zero;
    } others[] = { { 0.25f, QN_UINT8, 3 }, { 0.5f, QN_UINT8, 2 }, { 0.5f, QN_INT8, 3 } };

    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct lifted l;
        open(&l);
        small_grid(&l.s, "b", others[i].scale, others[i].type, others[i].zero);
        small_quantize(&l.s, "again", "x", "b");
        small_dequantize(&l.s, "y", "again", "b");
        small_output(&l.s, "y");
        assert_becomes(&l, "DequantizeLinear QuantizeLinear DequantizeLinear");
        small_close(&l.s);
    }
}

static void numbers_that_are_computed_are_not_known_to_be_the_same(void **state)
{
    struct lifted l;

    (void)state;
    open(&l);
    small_input(&l.s, "scale", 0);
    small_op(&l.s, "QuantizeLinear", "again", "x", "scale", "a_z");
    small_dequantize(&l.s, "y", "again", "a");
    small_output(&l.s, "y");
    assert_becomes(&l, "DequantizeLinear QuantizeLinear DequantizeLinear");
    small_close(&l.s);
}

static void scales_along_another_axis_are_kept(void **state)
{
    struct lifted l;

    (void)state;
    for (int axis = 0; axis < 2; axis++) {
        memset(&l, 0, sizeof l);
        small_open(&l.s);
        model_input(&l.s.model, "q", QN_UINT8, 2, (const int64_t[]){ 2, 2 }, NULL);
        small_constant(&l.s, "c_s", 0.5f, DIMS(2));
        small_codes(&l.s, "c_z", QN_UINT8, (const int8_t[]){ 1, 2 }, DIMS(2));
        small_dequantize(&l.s, "x", "q", "c");
        qn_attr_set_int(&l.s.model.arena, small_quantize(&l.s, "again", "x", "c"), "axis", axis);
        small_op(&l.s, "MaxPool", "y", "again");
        model_output(&l.s.model, "y", QN_UINT8);
        assert_becomes(&l, axis == 1 ? "MaxPool" : "DequantizeLinear QuantizeLinear MaxPool");
        small_close(&l.s);
    }
}

static void others_that_read_the_float_value_keep_it(void **state)
{
    struct lifted l;

    (void)state;
    open(&l);
    small_quantize(&l.s, "again", "x", "a");
    small_dequantize(&l.s, "y", "again", "a");
    small_op(&l.s, "Relu", "r", "x");
    small_output(&l.s, "y");
    small_output(&l.s, "r");
    assert_becomes(&l, "DequantizeLinear DequantizeLinear Relu");
    assert_string_equal(input_of(&l, "y", 0), "q");
    assert_string_equal(input_of(&l, "r", 0), "x");
    small_close(&l.s);
}

static void codes_that_are_an_output_keep_its_name(void **state)
{
    struct lifted l;

    (void)state;
    open(&l);
    small_quantize(&l.s, "codes", "x", "a");
    small_dequantize(&l.s, "w", "codes", "a");
    small_quantize(&l.s, "y", "w", "a");
    model_output(&l.s.model, "y", QN_UINT8);
    /* the input's name cannot change: one pair stays and gives the output its name */
    assert_becomes(&l, "DequantizeLinear QuantizeLinear");
    assert_int_equal(l.s.graph.values[small_value(&l.s, "y")].flags & QN_OUTPUT, QN_OUTPUT);
    small_close(&l.s);

    memset(&l, 0, sizeof l);
    small_open(&l.s);
    small_input(&l.s, "x", 1);
    small_grid(&l.s, "a", 0.5f, QN_UINT8, 3);
    small_quantize(&l.s, "codes", "x", "a");
    small_dequantize(&l.s, "w", "codes", "a");
    small_quantize(&l.s, "y", "w", "a");
    small_dequantize(&l.s, "z", "codes", "a");
    model_output(&l.s.model, "y", QN_UINT8);
    small_output(&l.s, "z");
    assert_becomes(&l, "QuantizeLinear DequantizeLinear");
    assert_string_equal(input_of(&l, "z", 0), "y");
    small_close(&l.s);
}

static void chains_of_pairs_go_as_a_whole(void **state)
{
    struct lifted l;

    (void)state;
    open(&l);
    small_quantize(&l.s, "q1", "x", "a");
    small_dequantize(&l.s, "x1", "q1", "a");
    small_quantize(&l.s, "q2", "x1", "a");
    small_dequantize(&l.s, "x2", "q2", "a");
    small_quantize(&l.s, "q3", "x2", "a");
    small_dequantize(&l.s, "y", "q3", "a");
    small_output(&l.s, "y");
    assert_becomes(&l, "DequantizeLinear");
    assert_string_equal(input_of(&l, "y", 0), "q");
    small_close(&l.s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_of_the_second_codes_take_the_first),
        cmocka_unit_test(equal_numbers_in_other_constants_are_the_same_numbers),
        cmocka_unit_test(other_numbers_are_kept),
        cmocka_unit_test(numbers_that_are_computed_are_not_known_to_be_the_same),
        cmocka_unit_test(scales_along_another_axis_are_kept),
        cmocka_unit_test(others_that_read_the_float_value_keep_it),
        cmocka_unit_test(codes_that_are_an_output_keep_its_name),
        cmocka_unit_test(chains_of_pairs_go_as_a_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
