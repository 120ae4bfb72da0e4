/* SPDX-License-Identifier: Apache-2.0 */
#include "cmocka_all.h"
#include "quant/sampled_loss.h"

enum { OUTPUTS = 150, DEPTH = 100 };

static float weights[OUTPUTS * DEPTH];

static double loss_of(struct qn_matrix m, struct qn_block_form form)
{
    qonnx_error err;
    double      loss = -1;

    m.w = weights;
    m.outputs = OUTPUTS;
    m.depth = DEPTH;
    assert_int_equal(qn_sampled_loss(&m, &form, 1, &loss, &err), QONNX_OK);
    return loss;
}

static const struct qn_matrix rows = { .out_stride = DEPTH, .depth_stride = 1 };
static const struct qn_matrix columns = { .out_stride = 1, .depth_stride = OUTPUTS };

static void more_bits_and_smaller_blocks_lose_less(void **state)
{
    const struct qn_block_form forms[] = {
        { .bits = 8 }, { .bits = 4, .block = 16 }, { .bits = 4, .block = 64 }, { .bits = 2, .block = 32 }
    };

    (void)state;
    for (size_t i = 0; i < OUTPUTS * DEPTH; i++) weights[i] = (float)(i * 7919 % 10007) / 5000 - 1;
    for (size_t i = 0; i + 1 < sizeof forms / sizeof *forms; i++) {
        assert_true(loss_of(rows, forms[i]) > 0 && loss_of(rows, forms[i]) < loss_of(rows, forms[i + 1]));
        assert_true(loss_of(columns, forms[i]) > 0 && loss_of(columns, forms[i]) < loss_of(columns, forms[i + 1]));
    }
}

static void an_error_counts_by_its_importance(void **state)
{
    float importance[DEPTH] = { 0 };

    (void)state;
    for (size_t i = 0; i < OUTPUTS * DEPTH; i++) weights[i] = i % DEPTH ? (float)(i * 7919 % 10007) / 5000 - 1 : 4;
    importance[0] = 1; /* the largest of each output, which int8 meets */
    assert_true(loss_of(rows, (struct qn_block_form){ .bits = 8 }) > 1e-6);
    assert_true(loss_of((struct qn_matrix){ .out_stride = DEPTH, .depth_stride = 1, .importance = importance },
                        (struct qn_block_form){ .bits = 8 }) < 1e-12);
}

static void nothing_is_lost_of_zeros(void **state)
{
    (void)state;
    for (size_t i = 0; i < OUTPUTS * DEPTH; i++) weights[i] = 0;
    assert_true(loss_of(rows, (struct qn_block_form){ .bits = 8 }) == 0);
    assert_true(loss_of(rows, (struct qn_block_form){ .bits = 4, .block = 32 }) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_bits_and_smaller_blocks_lose_less),
        cmocka_unit_test(an_error_counts_by_its_importance),
        cmocka_unit_test(nothing_is_lost_of_zeros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
