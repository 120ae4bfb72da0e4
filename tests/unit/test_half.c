/* SPDX-License-Identifier: Apache-2.0 */
#include "pass/lib/half.h"

#include <math.h>
#include <string.h>

#include "onnx/attr.h"
#include "onnx/dtype.h"
#include "onnx/tensor.h"
#include "pass/pass.h"
#include "small_graph.h"

static const int32_t kinds[] = { QN_FLOAT16, QN_BFLOAT16 };

/* ---- numbers ---- */

static void every_half_number_survives_both_ways(void **state)
{
    (void)state;
    for (size_t k = 0; k < 2; k++)
        for (uint32_t code = 0; code < 0x10000; code++) {
            struct qn_arena    arena = { 0 };
            uint16_t           half = (uint16_t)code, back;
            int64_t            dim = 1;
            const float       *x;
            size_t             count;
            Onnx__TensorProto *t = qn_tensor_new(&arena, "t", kinds[k], 1, &dim, &half, sizeof half), *narrow;

            assert_int_equal(qn_tensor_floats(t, &arena, &x, &count, NULL), QONNX_OK);
            narrow = qn_tensor_narrowed(qn_tensor_new(&arena, "t", QN_FLOAT, 1, &dim, x, sizeof *x), kinds[k], &arena);
            if (isnan(*x)) {
                assert_null(narrow);
            } else {
                memcpy(&back, narrow->raw_data.data, sizeof back);
                assert_int_equal(back, half);
                assert_int_equal(narrow->data_type, kinds[k]);
            }
            qn_arena_release(&arena);
        }
}

static void half_numbers_mean_what_they_should(void **state)
{
    static const struct {
        uint16_t code;
        float    value;
    } known[] = { { 0x3c00, 1 }, { 0xc000, -2 }, { 0x7bff, 65504 }, { 0x0001, 0x1p-24f }, { 0x83ff, -0x1.ff8p-15f }, { 0x0400, 0x1p-14f }, { 0x7c00, INFINITY }, { 0xfc00, -INFINITY } };
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct qn_arena arena = { 0 };
        const float    *x;
        size_t          count;
        assert_int_equal(qn_tensor_floats(qn_tensor_new(&arena, "t", QN_FLOAT16, 0, NULL, &known[i].code, 2), &arena, &x, &count, NULL), QONNX_OK);
        assert_true(*x == known[i].value);
        qn_arena_release(&arena);
    }
}

static void what_does_not_fit_is_not_narrowed(void **state)
{
    static const float none[] = { 0.1f, 65536, 0x1p-25f, 1 + 0x1p-11f, -0x1p-149f, NAN };

    (void)state;
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        struct qn_arena arena = { 0 };
        float           x[3] = { 1, none[i], 2 };
        const int64_t   dim = 3;
        assert_null(qn_tensor_narrowed(qn_tensor_new(&arena, "t", QN_FLOAT, 1, &dim, x, sizeof x), QN_FLOAT16, &arena));
        x[1] = 0.5f;
        assert_non_null(qn_tensor_narrowed(qn_tensor_new(&arena, "t", QN_FLOAT, 1, &dim, x, sizeof x), QN_FLOAT16, &arena));
        qn_arena_release(&arena);
    }
}

/* ---- models ---- */

/* half x → Cast to float16 → Mul by a half constant → y */
static void begin(struct small *s, int32_t kind)
{
    static const uint16_t ones[4] = { 0x3c00, 0x3c00, 0x3c00, 0x3c00 };
    const int64_t         dim = 4;

    small_open(s);
    small_input(s, "x", 1);
    s->model.pb->graph->input[0]->type->tensor_type->elem_type = kind;
    small_op(s, "Cast", "c", "x");
    qn_attr_set_int(&s->model.arena, s->model.pb->graph->node[0], "to", kind);
    small_constant(s, "w", 1, DIMS(4));
    *s->model.pb->graph->initializer[0] = *qn_tensor_new(&s->model.arena, "w", kind, 1, &dim, ones, sizeof ones);
    small_op(s, "Mul", "y", "c", "w");
    small_output(s, "y");
}

static void run(struct small *s)
{
    assert_ok(small_index(s), &s->err);
    assert_ok(qn_pass_run(qn_pass_find("widen_half"), &s->graph, &s->err), &s->err);
}

static void types_are_widened_wherever_they_stand(void **state)
{
    (void)state;
    for (size_t k = 0; k < 2; k++) {
        struct small          s;
        Onnx__ValueInfoProto *declared;
        int32_t               kind = 0;

        begin(&s, kinds[k]);
        declared = s.model.pb->graph->input[0];
        assert_int_equal(qn_halves(&s.model, &kind), QN_HALVES_TO_WIDEN);
        assert_int_equal(kind, kinds[k]);
        run(&s);
        assert_int_equal(qn_halves(&s.model, NULL), QN_HALVES_NONE);
        assert_int_equal(s.model.pb->graph->initializer[0]->data_type, QN_FLOAT);
        assert_int_equal(s.model.pb->graph->input[0]->type->tensor_type->elem_type, QN_FLOAT);
        assert_int_equal(qn_attr_int(s.model.pb->graph->node[0], "to", 0), QN_FLOAT);
        assert_int_equal(s.graph.values[small_value(&s, "w")].dtype, QN_FLOAT); /* the index knows */
        assert_int_equal(declared->type->tensor_type->elem_type, kinds[k]);     /* what was declared is still there to be seen */
        small_close(&s);
    }
}

static void a_model_in_float32_is_not_touched(void **state)
{
    struct small s;

    (void)state;
    small_open(&s);
    small_input(&s, "x", 1);
    small_op(&s, "Cast", "y", "x");
    qn_attr_set_int(&s.model.arena, s.model.pb->graph->node[0], "to", QN_INT32);
    small_output(&s, "y");
    assert_int_equal(qn_halves(&s.model, NULL), QN_HALVES_NONE);
    run(&s);
    assert_int_equal(qn_attr_int(s.model.pb->graph->node[0], "to", 0), QN_INT32);
    small_close(&s);
}

static void a_model_that_looks_at_the_bits_stays(void **state)
{
    struct small s;

    (void)state;
    begin(&s, QN_FLOAT16);
    small_op(&s, "BitCast", "bits", "c");
    small_output(&s, "bits");
    assert_int_equal(qn_halves(&s.model, NULL), QN_HALVES_FIXED);
    run(&s);
    assert_int_equal(s.model.pb->graph->initializer[0]->data_type, QN_FLOAT16);
    small_close(&s);
}

static void attributes_of_other_domains_are_not_types(void **state)
{
    struct small s;

    (void)state;
    small_open(&s);
    small_input(&s, "x", 1);
    small_op(&s, "Shift", "y", "x");
    s.model.pb->graph->node[0]->domain = qn_arena_strdup(&s.model.arena, "their.own");
    qn_attr_set_int(&s.model.arena, s.model.pb->graph->node[0], "to", QN_FLOAT16);
    small_output(&s, "y");
    assert_int_equal(qn_halves(&s.model, NULL), QN_HALVES_NONE);
    small_close(&s);
}

static void a_type_that_callers_give_is_left_open(void **state)
{
    struct small s;

    (void)state;
    begin(&s, QN_FLOAT16);
    s.model.pb->graph->node[0]->attribute[0]->ref_attr_name = qn_arena_strdup(&s.model.arena, "target");
    assert_int_equal(qn_halves(&s.model, NULL), QN_HALVES_FIXED);
    small_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half_number_survives_both_ways),
        cmocka_unit_test(half_numbers_mean_what_they_should),
        cmocka_unit_test(what_does_not_fit_is_not_narrowed),
        cmocka_unit_test(types_are_widened_wherever_they_stand),
        cmocka_unit_test(a_model_in_float32_is_not_touched),
        cmocka_unit_test(a_model_that_looks_at_the_bits_stays),
        cmocka_unit_test(attributes_of_other_domains_are_not_types),
        cmocka_unit_test(a_type_that_callers_give_is_left_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
