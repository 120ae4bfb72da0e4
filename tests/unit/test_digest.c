/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/digest.h"

#include "planned.h"

/* conv a with a bias → Relu b → conv c → y, solved */
static void begin(struct planned *p, const char *const *options)
{
    bool again;

    planned_open_convs(p);
    planned_make(p, options);
    planned_saw_all(p, 0.7f);
    assert_ok(qn_solve(&p->plan, p->stats, NULL, p->verdicts, &again, &p->err), &p->err);
    assert_false(again);
}

static struct qn_plan_digest digest_of(const struct planned *p)
{
    struct qn_plan_digest digest;

    assert_int_equal(qn_plan_digest(&p->plan, &digest, NULL), QONNX_OK);
    return digest;
}

static struct qn_node_plan *row_of(struct planned *p, const char *name)
{
    return &p->plan.nodes[small_node(&p->s, name)];
}

static bool same(struct qn_plan_digest a, struct qn_plan_digest b) { return a.low == b.low && a.high == b.high; }

static void plans_that_write_the_same_have_one_digest(void **state)
{
    struct planned p, q;

    (void)state;
    begin(&p, NO_OPTIONS);
    begin(&q, NO_OPTIONS);
    assert_true(same(digest_of(&p), digest_of(&q)));
    row_of(&q, "c")->weight_sqnr += 1; /* is only told */
    assert_true(same(digest_of(&p), digest_of(&q)));
    planned_close(&p);
    planned_close(&q);
}

static void every_number_that_is_written_changes_it(void **state)
{
    struct planned        p;
    struct qn_plan_digest first;
    struct qn_node_plan  *a, *c;
    int8_t                codes[16] = { 0 };

    (void)state;
    begin(&p, NO_OPTIONS);
    first = digest_of(&p);
    a = row_of(&p, "a");
    c = row_of(&p, "c");
    a->bias_codes[3]++;
    assert_false(same(digest_of(&p), first));
    a->bias_codes[3]--;
    c->weight->scale[2] *= 2;
    assert_false(same(digest_of(&p), first));
    c->weight->scale[2] /= 2;
    tensor_of(&p, "b")->params->zero_point[0]++;
    assert_false(same(digest_of(&p), first));
    tensor_of(&p, "b")->params->zero_point[0]--;
    c->reason = QN_REASON_EXCLUDED;
    assert_false(same(digest_of(&p), first));
    c->reason = QN_REASON_QUANTIZED;
    assert_true(same(digest_of(&p), first));
    c->weight_codes = codes;
    first = digest_of(&p);
    codes[15] = 1;
    assert_false(same(digest_of(&p), first));
    planned_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_that_write_the_same_have_one_digest),
        cmocka_unit_test(every_number_that_is_written_changes_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
