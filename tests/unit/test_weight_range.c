/* SPDX-License-Identifier: Apache-2.0 */
#include "quant/weight_range.h"

#include <math.h>
#include <stdlib.h>

#include "cmocka_all.h"
#include "quant/qparams.h"
#include "random.h"

enum { CHANNELS = 5, INNER = 700 };

static const struct qn_layout layout = { 2, CHANNELS, INNER };

static void fill(float *w)
{
    struct rng rng = { 21 };

    for (size_t o = 0; o < 2; o++)
        for (size_t c = 0; c < CHANNELS; c++)
            for (size_t i = 0; i < INNER; i++) {
                const float normal = rng_normal(&rng), other = rng_normal(&rng);
                w[(o * CHANNELS + c) * INNER + i] = c == 0   ? 0
                                                    : c == 1 ? normal
                                                    : c == 2 ? normal * fabsf(other)
                                                    : c == 3 ? (i == 9 ? 8 : 0.3f * normal)
                                                             : 0.02f * normal;
            }
}

static double error_of(const float *w, size_t channel, float end, int32_t steps)
{
    const float scale = qn_symmetric_scale(end, steps);
    double      sum = 0;

    for (size_t o = 0; o < 2; o++)
        for (size_t i = 0; i < INNER; i++) {
            const float  x = w[(o * CHANNELS + channel) * INNER + i];
            const double code = fmin(fmax(rint((double)(x / scale)), -steps), steps),
                         error = (double)x - code * (double)scale;
            sum += error * error;
        }
    return sum;
}

static void clipping_makes_no_more_error_than_none_and_less_with_few_bits(void **state)
{
    static float w[2 * CHANNELS * INNER];

    (void)state;
    fill(w);
    for (int32_t steps = 7; steps <= 127; steps += 120) {
        float largest[CHANNELS], mse[CHANNELS], octav[CHANNELS], one[CHANNELS];
        assert_int_equal(qn_channel_absmax(w, layout, largest, 1, NULL), QONNX_OK);
        memcpy(mse, largest, sizeof mse);
        memcpy(octav, largest, sizeof octav);
        memcpy(one, largest, sizeof one);
        assert_int_equal(qn_weight_ranges(w, layout, steps, QN_WEIGHT_MINMAX, one, 1, NULL), QONNX_OK);
        assert_memory_equal(one, largest, sizeof one);
        assert_int_equal(qn_weight_ranges(w, layout, steps, QN_WEIGHT_MSE, mse, 3, NULL), QONNX_OK);
        assert_int_equal(qn_weight_ranges(w, layout, steps, QN_WEIGHT_MSE, one, 1, NULL), QONNX_OK);
        assert_memory_equal(one, mse, sizeof one);
        assert_int_equal(qn_weight_ranges(w, layout, steps, QN_WEIGHT_OCTAV, octav, 1, NULL), QONNX_OK);
        for (size_t c = 0; c < CHANNELS; c++) {
            const double plain = error_of(w, c, largest[c], steps), best = error_of(w, c, mse[c], steps);
            assert_true(mse[c] <= largest[c] && octav[c] <= largest[c]);
            if (c == 0) continue; /* all zeros stay so */
            assert_true(best <= plain);
            assert_true(error_of(w, c, octav[c], steps) < best * 1.3);
            if (steps == 7) assert_true(best < 0.9 * plain);
        }
        assert_true(mse[0] == 0 && octav[0] == 0);
    }
}

/* 15 codes, a standard normal: the known optimum is about 2.5 standard deviations. */
static void the_optimum_of_a_normal_is_found(void **state)
{
    static float w[20000];
    struct rng   rng = { 5 };
    float        end = 0, again;

    (void)state;
    for (size_t i = 0; i < 20000; i++) {
        w[i] = rng_normal(&rng);
        end = fmaxf(end, fabsf(w[i]));
    }
    again = end;
    assert_int_equal(qn_weight_ranges(w, QN_LAYOUT_FLAT(20000), 7, QN_WEIGHT_MSE, &end, 1, NULL), QONNX_OK);
    assert_true(fabsf(end - 2.48f) < 0.15f);
    assert_int_equal(qn_weight_ranges(w, QN_LAYOUT_FLAT(20000), 7, QN_WEIGHT_OCTAV, &again, 1, NULL), QONNX_OK);
    assert_true(fabsf(again - 2.5f) < 0.15f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clipping_makes_no_more_error_than_none_and_less_with_few_bits),
        cmocka_unit_test(the_optimum_of_a_normal_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
