/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/rules.h"

#include <ctype.h>
#include <string.h>

#include "small_graph.h"

static void rows_are_sorted_and_found_by_name(void **state)
{
    const struct qn_rule *row;
    size_t                count = 0;

    (void)state;
    for (; (row = qn_rule_at(count)); count++) {
        assert_ptr_equal(qn_rule_find(row->op), row);
        if (count) assert_true(strcmp(qn_rule_at(count - 1)->op, row->op) < 0);
    }
    assert_true(count >= 26);
    assert_null(qn_rule_find("NoSuchOperator"));
    assert_null(qn_rule_find(""));
    assert_null(qn_rule_find("conv"));
}

static void the_table_has_the_operators_that_matter(void **state)
{
    static const char *const ops[] = { "Conv", "ConvTranspose", "Gemm", "MatMul", "Add", "Mul", "Concat", "Relu", "Clip", "LeakyRelu", "Sigmoid", "MaxPool",
                                       "AveragePool", "GlobalAveragePool", "Resize", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice",
                                       "Split", "Gather", "Pad", "DepthToSpace" };
    (void)state;
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (!qn_rule_find(ops[i])) fail_msg("%s has no row", ops[i]);
}

static void each_kind_of_row_says_what_its_kind_needs(void **state)
{
    const struct qn_rule *row;

    (void)state;
    for (size_t i = 0; (row = qn_rule_at(i)); i++) {
        assert_in_range(row->kind, QN_KIND_LAYER, QN_KIND_RECURRENT); /* a table is what a Gather may turn out to be */
        if (row->kind == QN_KIND_RECURRENT) {
            assert_true(row->in[0] == QN_ROLE_OTHER && row->in[1] == QN_ROLE_WEIGHT && row->in[2] == QN_ROLE_WEIGHT);
            assert_true(qn_rule_is_layer(row));
            continue;
        }
        assert_int_equal(row->in[0], QN_ROLE_ACT);
        assert_int_equal(qn_rule_is_layer(row), row->kind == QN_KIND_LAYER);
        if (row->kind == QN_KIND_LAYER) assert_int_equal(row->in[1], QN_ROLE_WEIGHT);
        if (row->in[2] == QN_ROLE_BIAS) assert_int_equal(row->kind, QN_KIND_LAYER);
        if (row->kind != QN_KIND_LAYER)
            for (size_t k = 0; k < 3; k++) assert_true(row->in[k] == QN_ROLE_OTHER || row->in[k] == QN_ROLE_ACT);
        if (row->kind == QN_KIND_MOVE || row->kind == QN_KIND_POINTWISE) assert_false(row->own_output);
        if (row->kind == QN_KIND_JOIN || row->kind == QN_KIND_LAYER || row->kind == QN_KIND_POOL) assert_true(row->own_output);
        if (row->clamp || row->fixed_scale != 0.0f) assert_int_equal(row->kind, QN_KIND_POINTWISE);
        if (row->also_pointwise) assert_int_equal(row->kind, QN_KIND_JOIN);
    }
}

/* Operands in capitals, each but B with its sz, one SZ for the result, `*` before the last repeated group. */
static bool twin_is_well_formed(const char *text)
{
    size_t results = 0, operands = 0;

    while (*text) {
        if (*text == '*') text++;
        if (strncmp(text, "SZ", 2) == 0) {
            results++;
            text += 2;
        } else if (*text == 'B') {
            text++;
        } else if (strchr("XYW", *text) && strncmp(text + 1, "sz", 2) == 0) {
            operands++;
            text += 3;
        } else {
            return false;
        }
    }
    return results == 1 && operands >= 1;
}

static void twins_are_well_formed_and_fit_their_rows(void **state)
{
    const struct qn_rule *row;

    (void)state;
    for (size_t i = 0; (row = qn_rule_at(i)); i++) {
        if (!row->twin || row->kind == QN_KIND_RECURRENT) continue; /* those are not written from a string */
        if (!twin_is_well_formed(row->twin_inputs)) fail_msg("%s: '%s'", row->op, row->twin_inputs);
        assert_true(strcmp(row->twin_domain, "") == 0 || strcmp(row->twin_domain, "com.microsoft") == 0);
        assert_true((strchr(row->twin_inputs, 'W') != NULL) == (row->kind == QN_KIND_LAYER));
        assert_true((strchr(row->twin_inputs, 'B') != NULL) == (row->in[2] == QN_ROLE_BIAS));
        assert_true((strchr(row->twin_inputs, 'Y') != NULL) == (row->in[1] == QN_ROLE_ACT));
        assert_true((strchr(row->twin_inputs, '*') != NULL) == (row->rest == QN_ROLE_ACT));
    }
}

static void every_reason_has_a_name_and_a_text(void **state)
{
    (void)state;
    for (int r = 0; r < QN_REASON_COUNT; r++) {
        char name[64];
        snprintf(name, sizeof name, "%s", qn_reason_name((enum qn_reason)r));
        assert_true(strlen(name) > 2);
        for (const char *c = name; *c; c++) assert_true(islower((unsigned char)*c) || *c == '_');
        assert_true(strlen(qn_reason_text((enum qn_reason)r)) > 10);
        for (int other = 0; other < r; other++) assert_string_not_equal(name, qn_reason_name((enum qn_reason)other));
    }
    assert_string_equal(qn_reason_name(QN_REASON_OP_NOT_IN_TABLE), "op_not_in_table");
    assert_true(qn_reason_is_quantized(QN_REASON_QUANTIZED) && qn_reason_is_quantized(QN_REASON_FUSED) && qn_reason_is_quantized(QN_REASON_MOVES_CODES));
    assert_false(qn_reason_is_quantized(QN_REASON_OP_NOT_IN_TABLE) || qn_reason_is_quantized(QN_REASON_QUANTIZATION_ERROR));
}

/* ---- refinements ---- */

static enum qn_reason refine(struct small *s, const char *op, struct qn_rule *row)
{
    enum qn_reason reason;

    assert_ok(small_index(s), &s->err);
    *row = *qn_rule_find(op);
    reason = row->refine ? row->refine(&s->graph, 0, row) : QN_REASON_QUANTIZED;
    small_close(s);
    return reason;
}

static void begin_gemm(struct small *s, const char *attribute, int64_t value)
{
    Onnx__NodeProto *node;

    small_open(s);
    small_input(s, "x", 2);
    small_constant(s, "w", 1, DIMS(3, 4));
    node = small_op(s, "Gemm", "y", "x", "w");
    if (attribute) qn_attr_set_int(&s->model.arena, node, attribute, value);
}

static void gemm_moves_its_channels_with_trans_b(void **state)
{
    struct small   s;
    struct qn_rule row;

    (void)state;
    begin_gemm(&s, NULL, 0);
    assert_int_equal(refine(&s, "Gemm", &row), QN_REASON_QUANTIZED);
    assert_int_equal(row.axis, 1);
    begin_gemm(&s, "transB", 1);
    assert_int_equal(refine(&s, "Gemm", &row), QN_REASON_QUANTIZED);
    assert_int_equal(row.axis, 0);
    begin_gemm(&s, "transA", 1);
    assert_int_equal(refine(&s, "Gemm", &row), QN_REASON_ATTRIBUTES);
    assert_int_equal(qn_rule_find("Gemm")->axis, 1); /* the table itself never changes */
}

static void matmul_depends_on_which_operand_is_constant(void **state)
{
    static const struct {
        const char    *a, *b;
        enum qn_reason reason;
        enum qn_role   role;
    } cases[] = {
        { "x", "matrix", QN_REASON_QUANTIZED, QN_ROLE_WEIGHT },
        { "x", "x2", QN_REASON_QUANTIZED, QN_ROLE_ACT },
        { "matrix", "x", QN_REASON_ATTRIBUTES, QN_ROLE_WEIGHT },
        { "x", "stack", QN_REASON_WEIGHT_SHAPE, QN_ROLE_WEIGHT },
        { "x", "vector", QN_REASON_WEIGHT_SHAPE, QN_ROLE_WEIGHT },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct small   s;
        struct qn_rule row;
        small_open(&s);
        small_input(&s, "x", 3);
        small_input(&s, "x2", 3);
        small_constant(&s, "matrix", 1, DIMS(3, 4));
        small_constant(&s, "stack", 1, DIMS(2, 3, 4));
        small_constant(&s, "vector", 1, DIMS(3));
        small_op(&s, "MatMul", "y", cases[i].a, cases[i].b);
        assert_int_equal(refine(&s, "MatMul", &row), cases[i].reason);
        if (cases[i].reason == QN_REASON_QUANTIZED) assert_int_equal(row.in[1], cases[i].role);
    }
}

static enum qn_reason refine_one(const char *op, const char *attribute, const char *text, int64_t number, bool second_output)
{
    struct small     s;
    struct qn_rule   row;
    Onnx__NodeProto *node;

    small_open(&s);
    small_input(&s, "x", 4);
    small_constant(&s, "c", 1, DIMS(3, 4));
    node = strcmp(op, "Gather") == 0 ? small_op(&s, "Gather", "y", text, "x") : small_op(&s, op, "y", "x", "c");
    if (attribute && text) qn_attr_set_string(&s.model.arena, node, attribute, text);
    if (attribute && !text) qn_attr_set_int(&s.model.arena, node, attribute, number);
    if (second_output) small_second_output(&s, node, "indices");
    return refine(&s, op, &row);
}

static void what_an_integer_kernel_cannot_do_stays_float(void **state)
{
    (void)state;
    assert_int_equal(refine_one("Resize", "mode", "nearest", 0, false), QN_REASON_QUANTIZED);
    assert_int_equal(refine_one("Resize", NULL, NULL, 0, false), QN_REASON_QUANTIZED); /* nearest is the default */
    assert_int_equal(refine_one("Resize", "mode", "linear", 0, false), QN_REASON_ATTRIBUTES);
    assert_int_equal(refine_one("MaxPool", NULL, NULL, 0, false), QN_REASON_QUANTIZED);
    assert_int_equal(refine_one("MaxPool", NULL, NULL, 0, true), QN_REASON_ATTRIBUTES);
    assert_int_equal(refine_one("ConvTranspose", "group", NULL, 1, false), QN_REASON_QUANTIZED);
    assert_int_equal(refine_one("ConvTranspose", "group", NULL, 2, false), QN_REASON_ATTRIBUTES);
    assert_int_equal(refine_one("Gather", NULL, "x", 0, false), QN_REASON_QUANTIZED);
    assert_int_equal(refine_one("Gather", NULL, "c", 0, false), QN_REASON_SLOWER_ON_TARGET); /* an embedding */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_sorted_and_found_by_name),
        cmocka_unit_test(the_table_has_the_operators_that_matter),
        cmocka_unit_test(each_kind_of_row_says_what_its_kind_needs),
        cmocka_unit_test(twins_are_well_formed_and_fit_their_rows),
        cmocka_unit_test(every_reason_has_a_name_and_a_text),
        cmocka_unit_test(gemm_moves_its_channels_with_trans_b),
        cmocka_unit_test(matmul_depends_on_which_operand_is_constant),
        cmocka_unit_test(what_an_integer_kernel_cannot_do_stays_float),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
