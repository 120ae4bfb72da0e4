/* SPDX-License-Identifier: Apache-2.0
 * What is said of numbers that pass the limits of integer kernels, where no number may be moved. */
#include <stdlib.h>
#include <string.h>

#include "cmocka_all.h"
#include "obeyed.h"
#include "onnx/attr.h"
#include "plan/limits.h"

#define UNSIGNED "{\"quantizer\": \"Uint8ActPerTensorFloatMaxInit\", \"max_val\": 1}"
#define PER_CHANNEL "\"weight\": \"Int8WeightPerChannelFloat\""

/* x -> y, a layer of this weight (`values` of them, by their places in the file) */
struct layer {
    const char  *op, *rule; /* what the recipe says besides the operator */
    size_t       rank;
    int64_t      dims[4], group, trans_b;
    const float *values;
};

static void open(struct planned *p, const struct layer *layer)
{
    Onnx__NodeProto *node;
    float           *w;
    size_t           count = 1;
    char             rule[512];

    planned_open(p, layer->rank == 2 ? 2 : 4);
    w = small_constant(&p->s, "w", 0, layer->rank, layer->dims);
    for (size_t i = 0; i < layer->rank; i++) count *= (size_t)layer->dims[i];
    memcpy(w, layer->values, count * sizeof *w);
    node = small_op(&p->s, layer->op, "y", "x", "w");
    if (layer->group) qn_attr_set_int(&p->s.model.arena, node, "group", layer->group);
    if (layer->trans_b) qn_attr_set_int(&p->s.model.arena, node, "transB", layer->trans_b);
    small_output(&p->s, "y");
    snprintf(rule, sizeof rule, "{\"op\": \"%s\", %s}", layer->op, layer->rule);
    obeys(p, rule);
    solves(p);
}

static char *said_of(const struct planned *p)
{
    struct qn_strbuf lines;
    qonnx_error      err = { 0 };
    char            *text;

    qn_strbuf_init(&lines);
    assert_ok(qn_plan_limits(&p->plan, &lines, &err), &err);
    text = strdup(lines.text);
    qn_strbuf_release(&lines);
    return text;
}

static void assert_says(const struct layer *layer, const char *piece)
{
    struct planned p;
    char          *text;

    open(&p, layer);
    text = said_of(&p);
    if (piece ? !strstr(text, piece) : *text != 0) fail_msg("%s: '%s'", layer->rule, text);
    free(text);
    planned_close(&p);
}

#define SATURATES                                                                                                      \
    "the codes of 1 layer can saturate on x86 CPUs without VNNI, which add products in pairs in 16 bits: node 'y' ("

/* Two outputs of four products: 127, 2, … is one too much for 255 · 129, 127, 1 is not. */
static const float over[8] = { 127, 2, 0, 0, 127, 1, 0, 0 }, within[8] = { 127, 1, 2, 127 - 1, -127, -1, 1, -127 },
                   below[8] = { 0, 0, -100, -29, 0, 0, 0, 127 }, apart[8] = { 0, 127, 127, 0, 127, 0, 0, 127 };

static void pairs_of_neighbours_in_a_row_are_what_counts(void **state)
{
    (void)state;
    assert_says(&(struct layer){ "Gemm", WEIGHT ", \"input\": " UNSIGNED, 2, { 2, 4 }, 0, 1, over }, SATURATES "Gemm)");
    assert_says(&(struct layer){ "Gemm", WEIGHT ", \"input\": " UNSIGNED, 2, { 2, 4 }, 0, 1, below }, SATURATES);
    assert_says(&(struct layer){ "Gemm", WEIGHT ", \"input\": " UNSIGNED, 2, { 2, 4 }, 0, 1, within }, NULL);
    assert_says(&(struct layer){ "Gemm", WEIGHT ", \"input\": " UNSIGNED, 2, { 2, 4 }, 0, 1, apart }, NULL);
}

static void without_trans_b_the_neighbours_are_below_each_other(void **state)
{
    static const float column[8] = { 127, 127, 2, 0, 0, 0, 0, 0 }, row[8] = { 127, 127, 0, 0, 0, 0, 0, 0 };

    (void)state;
    assert_says(&(struct layer){ "Gemm", WEIGHT ", \"input\": " UNSIGNED, 2, { 4, 2 }, 0, 0, column }, SATURATES);
    assert_says(&(struct layer){ "MatMul", WEIGHT ", \"input\": " UNSIGNED, 2, { 4, 2 }, 0, 0, column }, SATURATES);
    assert_says(&(struct layer){ "MatMul", WEIGHT ", \"input\": " UNSIGNED, 2, { 2, 4 }, 0, 0, row }, NULL);
    assert_says(&(struct layer){ "MatMul", PER_CHANNEL ", \"input\": " UNSIGNED, 2, { 4, 2 }, 0, 0, column },
                SATURATES);
}

/* [1][channels][1][taps]: channels at one tap are neighbours, and the last of a tap and the first of the next. */
static void convolutions_go_through_the_channels_of_each_tap(void **state)
{
    static const float channels[4] = { 127, 0, 127, 0 }, taps[4] = { 127, 127, 0, 0 };
    static const float across[6] = { 0, 127, 0, 0, 127, 0 }; /* three channels: c0 c1 c2 | c0: pairs c0c1, c2c0 */

    (void)state;
    assert_says(&(struct layer){ "Conv", WEIGHT ", \"input\": " UNSIGNED, 4, { 1, 2, 1, 2 }, 0, 0, channels },
                SATURATES "Conv)");
    assert_says(&(struct layer){ "Conv", WEIGHT ", \"input\": " UNSIGNED, 4, { 1, 2, 1, 2 }, 0, 0, taps }, NULL);
    assert_says(&(struct layer){ "Conv", WEIGHT ", \"input\": " UNSIGNED, 4, { 1, 3, 1, 2 }, 0, 0, across }, SATURATES);
    assert_says(&(struct layer){ "Conv", WEIGHT ", \"input\": " UNSIGNED, 4, { 2, 1, 1, 2 }, 2, 0, channels }, NULL);
    assert_says(&(struct layer){ "Conv", WEIGHT ", \"input\": " UNSIGNED, 4, { 2, 1, 1, 2 }, 1, 0, taps }, SATURATES);
}

static void signed_activations_count_from_the_lowest_code(void **state)
{
    (void)state;
    assert_says(&(struct layer){ "Gemm", WEIGHT ", \"input\": " GIVEN, 2, { 2, 4 }, 0, 1, over }, SATURATES);
    assert_says(&(struct layer){ "Gemm", WEIGHT ", \"input\": " GIVEN, 2, { 2, 4 }, 0, 1, within }, NULL);
}

static void narrow_codes_unsigned_weights_and_floats_cannot_saturate(void **state)
{
    static const char *const rules[] = {
        "\"weight\": {\"quantizer\": \"Int8WeightPerTensorFloat\", \"bit_width\": 7}, \"input\": " UNSIGNED,
        WEIGHT ", \"input\": {\"quantizer\": \"Uint8ActPerTensorFloatMaxInit\", \"max_val\": 1, \"bit_width\": 7}",
        "\"weight\": \"ShiftedUint8WeightPerTensorFloat\", \"input\": " UNSIGNED,
        WEIGHT,
    };
    static const float both[8] = { 127, 127, 127, 127, 127, 127, 127, 127 };

    (void)state;
    assert_says(&(struct layer){ "Gemm", WEIGHT ", \"input\": " UNSIGNED, 2, { 2, 4 }, 0, 1, both }, SATURATES);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        assert_says(&(struct layer){ "Gemm", rules[i], 2, { 2, 4 }, 0, 1, both }, NULL);
}

static void codes_are_found_behind_operators_that_move_them(void **state)
{
    struct planned p;
    char          *text;

    (void)state;
    planned_open(&p, 4);
    small_op(&p.s, "Relu", "r", "x");
    small_op(&p.s, "MaxPool", "m", "r");
    memcpy(small_constant(&p.s, "w", 0, DIMS(1, 2, 2, 2)), over, sizeof over);
    small_op(&p.s, "Conv", "y", "m", "w");
    small_output(&p.s, "y");
    obeys(&p, "{\"op\": \"Conv\", " WEIGHT "}, {\"op\": \"Relu\", \"output\": " UNSIGNED "}");
    solves(&p);
    text = said_of(&p);
    if (!strstr(text, SATURATES)) fail_msg("'%s'", text);
    free(text);
    planned_close(&p);
}

static void no_more_layers_are_named_than_can_be_read(void **state)
{
    static const float both[4] = { 127, 127, 127, 127 };
    struct planned     p;
    char              *text, from[8] = "x", to[8];

    (void)state;
    planned_open(&p, 2);
    memcpy(small_constant(&p.s, "w", 0, DIMS(2, 2)), both, sizeof both);
    for (int i = 0; i < 11; i++) {
        snprintf(to, sizeof to, "n%d", i);
        small_op(&p.s, "Gemm", to, from, "w");
        memcpy(from, to, sizeof to);
    }
    small_output(&p.s, "n10");
    obeys(&p, "{\"op\": \"Gemm\", " WEIGHT ", \"input\": " UNSIGNED "}");
    solves(&p);
    text = said_of(&p);
    if (!strstr(text, "the codes of 11 layers") || !strstr(text, "'n7' (Gemm) and 3 more\n")) fail_msg("'%s'", text);
    free(text);
    planned_close(&p);
}

static void sums_that_may_pass_32_bits_are_told_and_nothing_is_moved(void **state)
{
    struct planned p;
    char          *text;

    (void)state;
    planned_open(&p, 2);
    small_constant(&p.s, "w", 0.5f, DIMS(200000, 1));
    small_op(&p.s, "MatMul", "y", "x", "w");
    small_output(&p.s, "y");
    obeys(&p, "{\"op\": \"MatMul\", " WEIGHT ", \"input\": " GIVEN "}");
    solves(&p);
    text = said_of(&p);
    assert_non_null(strstr(text, "node 'y' (MatMul): the sum of 200000 products and a bias of up to 0 can pass"));
    assert_true(node_of(&p, "y")->weight->scale[0] == 0.5f / 127);
    free(text);
    planned_close(&p);
}

static void biases_count_among_the_32_bits(void **state)
{
    struct planned p;
    char          *text;

    (void)state;
    for (int large = 0; large < 2; large++) {
        planned_open(&p, 4);
        small_constant(&p.s, "w", 1, DIMS(4, 1, 1, 1));
        small_constant(&p.s, "b", large ? 1e9f : 1, DIMS(4));
        small_op(&p.s, "Conv", "y", "x", "w", "b");
        small_output(&p.s, "y");
        obeys(&p, "{\"op\": \"Conv\", " WEIGHT ", \"bias\": \"Int32Bias\", \"input\": " GIVEN "}");
        solves(&p);
        text = said_of(&p);
        assert_int_equal(strstr(text, "node 'y' (Conv): the sum of 1 products and a bias of up to 2147483647") != NULL,
                         large);
        free(text);
        planned_close(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_of_neighbours_in_a_row_are_what_counts),
        cmocka_unit_test(without_trans_b_the_neighbours_are_below_each_other),
        cmocka_unit_test(convolutions_go_through_the_channels_of_each_tap),
        cmocka_unit_test(signed_activations_count_from_the_lowest_code),
        cmocka_unit_test(narrow_codes_unsigned_weights_and_floats_cannot_saturate),
        cmocka_unit_test(codes_are_found_behind_operators_that_move_them),
        cmocka_unit_test(no_more_layers_are_named_than_can_be_read),
        cmocka_unit_test(sums_that_may_pass_32_bits_are_told_and_nothing_is_moved),
        cmocka_unit_test(biases_count_among_the_32_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
