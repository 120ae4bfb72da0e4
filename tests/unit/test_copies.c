/* SPDX-License-Identifier: Apache-2.0 */
#include "quant/copies.h"

#include <math.h>

#include "cmocka_all.h"
#include "random.h"

static void the_largest_share_is_least_for_the_budget(void **state)
{
    enum { N = 40 };
    struct rng rng = { 9 };

    (void)state;
    for (int round = 0; round < 60; round++) {
        const size_t budget = (size_t)round % 12;
        float        absmax[N], largest = 0, found;
        uint32_t     copies[N], one_more = 0;
        size_t       all = 0, needed = 0;
        for (int i = 0; i < N; i++) absmax[i] = fabsf(rng_normal(&rng)) * (rng_below(&rng, 6) ? 1 : 20);
        found = qn_copies_choose(absmax, N, budget, copies);
        for (int i = 0; i < N; i++) {
            assert_true(copies[i] >= 1);
            all += copies[i];
            largest = fmaxf(largest, absmax[i] / (float)copies[i]);
        }
        assert_true(all <= N + budget);
        assert_true(found == largest);
        for (int i = 0; i < N; i++) { /* anything less takes more copies than there may be */
            one_more = (uint32_t)ceil((double)absmax[i] / ((double)found * 0.9999));
            needed += one_more > 1 ? one_more - 1 : 0;
        }
        assert_true(needed > budget);
    }
}

static void zeros_and_no_budget_leave_all_as_it_is(void **state)
{
    uint32_t copies[3];

    (void)state;
    assert_true(qn_copies_choose((const float[]){ 0, 0, 0 }, 3, 5, copies) == 0);
    assert_true(copies[0] == 1 && copies[1] == 1 && copies[2] == 1);
    assert_true(qn_copies_choose((const float[]){ 1, 30, 2 }, 3, 0, copies) == 30);
    assert_true(copies[0] == 1 && copies[1] == 1 && copies[2] == 1);
    assert_true(qn_copies_choose((const float[]){ 1, 30, 2 }, 3, 2, copies) == 10);
    assert_true(copies[0] == 1 && copies[1] == 3 && copies[2] == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_largest_share_is_least_for_the_budget),
        cmocka_unit_test(zeros_and_no_budget_leave_all_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
