/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "fake_runtime.h"
#include "run/compare_tensors.h"
#include "run/labels.h"

static const int64_t scalar_dims[] = { 1 };

static void make(struct qn_model *model)
{
    model_init(model);
    model_input(model, "x", QN_FLOAT, 1, scalar_dims, NULL);
}

static void values_are_paired_by_name_and_read_behind_their_quantizers(void **state)
{
    static const float     scale[] = { 1 };
    static const uint8_t   zero[] = { 0 };
    struct qn_model        a, b;
    struct qn_tensor_pairs pairs;
    struct qn_arena        arena = { 0 };

    (void)state;
    make(&a);
    model_node(&a, "Relu", "one", INPUTS("x"));
    model_node(&a, "Relu", "only_a", INPUTS("one"));
    model_node(&a, "Relu", "two", INPUTS("only_a"));
    model_node(&a, "Relu", "y", INPUTS("two"));
    model_output(&a, "y", QN_FLOAT);
    make(&b);
    model_constant(&b, "s", QN_FLOAT, 0, NULL, scale, sizeof scale);
    model_constant(&b, "z", QN_UINT8, 0, NULL, zero, sizeof zero);
    model_node(&b, "Relu", "one", INPUTS("x"));
    model_node(&b, "QuantizeLinear", "one_q", INPUTS("one", "s", "z"));
    model_node(&b, "DequantizeLinear", "one_dq", INPUTS("one_q", "s", "z"));
    model_node(&b, "Relu", "two", INPUTS("one_dq"));
    model_node(&b, "Relu", "y", INPUTS("two"));
    model_output(&b, "y", QN_FLOAT);
    assert_int_equal(qn_tensor_pairs_find(&pairs, &a, &b, &arena, NULL), QONNX_OK);
    assert_int_equal(pairs.count, 2); /* not y, which is an output, and nothing that one of them lacks */
    assert_string_equal(pairs.names[0][0], "one");
    assert_string_equal(pairs.names[1][0], "one_dq");
    assert_string_equal(pairs.names[0][1], "two");
    assert_string_equal(pairs.names[1][1], "two");
    assert_int_equal(qn_tensor_pairs_find(&pairs, &b, &b, &arena, NULL), QONNX_OK);
    assert_int_equal(pairs.count, 2); /* quantizers are no values of their own */
    qn_arena_release(&arena);
    qn_model_release(&a);
    qn_model_release(&b);
}

static struct qn_view view_of(const float *values, const int64_t *count)
{
    return (struct qn_view){ "t", QN_FLOAT, 1, count, values, (size_t)*count * sizeof *values, 0 };
}

static void of_large_values_some_stand_for_all(void **state)
{
    const int64_t               count = 1000003, less = 1000002;
    float                      *x = calloc((size_t)count, sizeof *x), *y = calloc((size_t)count, sizeof *y);
    struct qn_tensor_watch      watch = { 0 };
    struct qn_output_comparison result = { 0 };
    struct qn_view              first = view_of(x, &count), second = view_of(y, &count), other = view_of(y, &less);

    (void)state;
    for (int64_t i = 0; i < count; i++) {
        x[i] = (float)(i % 97) - 48;
        y[i] = x[i] * 0.99f;
    }
    assert_int_equal(qn_tensor_watch_init(&watch, 1, NULL), QONNX_OK);
    assert_int_equal(qn_tensor_watch_second(&watch, 0, 0, &second, NULL),
                     QONNX_OK); /* of which the first showed nothing */
    assert_int_equal(watch.sums[0].elements, 0);
    for (size_t sample = 0; sample < 2; sample++) {
        qn_tensor_watch_start(&watch);
        assert_int_equal(qn_tensor_watch_first(&watch, 0, &first, NULL), QONNX_OK);
        assert_int_equal(qn_tensor_watch_second(&watch, sample, 0, sample ? &other : &second, NULL), QONNX_OK);
    }
    assert_in_range(watch.sums[0].elements, 40000, 65536); /* of one sample: in the other they differ in size */
    qn_sums_finish(&result, &watch.sums[0]);
    assert_true(fabs(result.sqnr - 40) < 0.01 && fabs(result.relative - 0.01) < 1e-5);
    assert_int_equal(result.top1_count, 0);
    qn_tensor_watch_release(&watch);
    free(x);
    free(y);
}

static void worst_samples_are_the_same_in_any_order(void **state)
{
    static const double  gains[] = { 0.9, 1, 0.99, 0.5, 0.9, 0.999, 0.7, 0.6 }; /* sample 1 is equal */
    static const size_t  expected[] = { 3, 7, 6, 0, 4 };
    static const int64_t four = 4;
    const float          x[4] = { 1, 2, 3, 4 };
    struct qn_view       first = view_of(x, &four);

    (void)state;
    for (size_t turn = 0; turn < 8; turn++) {
        struct qn_output_sums       parts[2];
        struct qn_output_comparison result = { 0 };
        for (int p = 0; p < 2; p++) qn_sums_init(&parts[p], NULL, 0);
        for (size_t i = 0; i < 8; i++) {
            const size_t   at = (i + turn) % 8;
            float          y[4];
            struct qn_view second = view_of(y, &four);
            for (int k = 0; k < 4; k++) y[k] = (float)(gains[at] * (double)x[k]);
            assert_int_equal(qn_sums_add(&parts[i % 2], at, &first, &second, NULL), QONNX_OK);
        }
        qn_sums_merge(&parts[0], &parts[1]);
        qn_sums_finish(&result, &parts[0]);
        assert_int_equal(result.worst_count, 5);
        for (size_t i = 0; i < 5; i++) assert_int_equal(result.worst[i].position, expected[i]);
    }
}

static void ranks_count_what_comes_before(void **state)
{
    static const int64_t  five = 5;
    const float           x[5] = { 2, NAN, 5, 2, -1 }, nothing[5] = { NAN, NAN, NAN, NAN, NAN };
    const size_t          top[] = { 1, 3 };
    struct qn_view        view = view_of(x, &five), none = view_of(nothing, &five);
    struct qn_output_sums sums;

    (void)state;
    assert_int_equal(qn_view_rank(&view, 0, 5, 2), 0);
    assert_int_equal(qn_view_rank(&view, 0, 5, 0), 1);
    assert_int_equal(qn_view_rank(&view, 0, 5, 3), 2); /* of equal ones the first comes first */
    assert_int_equal(qn_view_rank(&view, 0, 5, 4), 3);
    assert_int_equal(qn_view_rank(&view, 0, 5, 1), 5);
    assert_int_equal(qn_view_rank(&none, 0, 5, 0), 0);
    qn_sums_init(&sums, top, 2);
    assert_int_equal(qn_sums_add(&sums, 0,
                                 &(struct qn_view){ "t", QN_FLOAT, 1, &five, (float[]){ 0, 0, 0, 1, 0 }, 20, 0 }, &view,
                                 NULL),
                     QONNX_OK);
    assert_int_equal(sums.top1_count, 1);
    assert_int_equal(sums.top1_agree, 0);
    assert_int_equal(sums.top_agree[0], 0);
    assert_int_equal(sums.top_agree[1], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_paired_by_name_and_read_behind_their_quantizers),
        cmocka_unit_test(of_large_values_some_stand_for_all),
        cmocka_unit_test(worst_samples_are_the_same_in_any_order),
        cmocka_unit_test(ranks_count_what_comes_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
