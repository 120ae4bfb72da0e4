/* SPDX-License-Identifier: Apache-2.0 */
#include "pass/lib/duplicate.h"

#include "onnx/attr.h"
#include "onnx/tensor.h"
#include "small_graph.h"

/* x → Abs a → MatMul m by w [3, 2], Gemm g by v [2, 3] transposed, and Neg n */
static void begin(struct small *s)
{
    float *w, *v;

    small_open(s);
    small_input(s, "x", 2);
    w = small_constant(s, "w", 0, DIMS(3, 2));
    v = small_constant(s, "v", 0, DIMS(2, 3));
    for (int i = 0; i < 6; i++) {
        w[i] = (float)(i + 1);
        v[i] = (float)(10 * (i + 1));
    }
    small_op(s, "Abs", "a", "x");
    small_op(s, "MatMul", "m", "a", "w");
    qn_attr_set_int(&s->model.arena, small_op(s, "Gemm", "g", "a", "v"), "transB", 1);
    small_op(s, "Neg", "n", "a");
    small_output(s, "m");
    small_output(s, "g");
    small_output(s, "n");
    assert_ok(small_index(s), &s->err);
}

static void assert_constant(const struct small *s, const char *node, size_t slot, size_t count, const float *wanted)
{
    const Onnx__TensorProto *tensor = qn_node_constant(&s->graph, small_node(s, node), slot);
    struct qn_arena          arena = { 0 };
    const float             *x;
    size_t                   n;

    assert_non_null(tensor);
    assert_int_equal(qn_tensor_floats(tensor, &arena, &x, &n, NULL), QONNX_OK);
    assert_int_equal(n, count);
    for (size_t i = 0; i < n; i++) assert_true(x[i] == wanted[i]);
    qn_arena_release(&arena);
}

static void copies_of_a_channel_meet_copies_of_its_weights(void **state)
{
    struct small         s;
    struct qn_edit      *edit;
    qn_node_id           layers[2];
    struct qn_duplicate  what = { .layers = layers, .layer_count = 2, .channels = 3, .copies = (const uint32_t[]){ 1, 3, 2 } };
    struct qn_duplicated names;
    const int64_t       *extra;
    size_t               count;

    (void)state;
    begin(&s);
    layers[0] = small_node(&s, "g");
    layers[1] = small_node(&s, "m");
    what.value = small_value(&s, "a");
    assert_ok(qn_edit_begin(&edit, &s.graph, &s.err), &s.err);
    assert_ok(qn_pass_duplicate(&s.graph, edit, &what, &names, &s.err), &s.err);
    assert_ok(qn_edit_commit(edit, NULL, &s.err), &s.err);

    assert_constant(&s, names.shared, 1, 3, (const float[]){ 1, 1.0f / 3, 0.5f });
    assert_int_equal(qn_tensor_ints(qn_node_constant(&s.graph, small_node(&s, names.repeats), 1), &s.model.arena, &extra, &count, NULL), QONNX_OK);
    assert_int_equal(count, 3);
    assert_true(extra[0] == 1 && extra[1] == 1 && extra[2] == 2);
    assert_constant(&s, "m", 1, 12, (const float[]){ 1, 2, 3, 4, 5, 6, 3, 4, 3, 4, 5, 6 });
    assert_constant(&s, "g", 1, 12, (const float[]){ 10, 20, 30, 20, 20, 30, 40, 50, 60, 50, 50, 60 });
    assert_int_equal(qn_node_input(&s.graph, small_node(&s, "m"), 0), small_value(&s, names.all));
    assert_int_equal(qn_node_input(&s.graph, small_node(&s, "g"), 0), small_value(&s, names.all));
    assert_int_equal(qn_node_input(&s.graph, small_node(&s, "n"), 0), small_value(&s, "a")); /* no layer: as it was */
    assert_int_equal(qn_graph_find(&s.graph, "w"), QN_NONE);
    small_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(copies_of_a_channel_meet_copies_of_its_weights) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
