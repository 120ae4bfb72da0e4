/* SPDX-License-Identifier: Apache-2.0 */
#include "onnx/attr.h"

#include <math.h>
#include <string.h>

#include "cmocka_all.h"
#include "onnx/tensor.h"

static Onnx__NodeProto *node_in(struct qn_arena *arena)
{
    static const char *const in[] = { "x", "" }, *const out[] = { "y" };
    Onnx__NodeProto         *node = qn_node_new(arena, "Conv", "conv", 2, in, 1, out);
    assert_non_null(node);
    return node;
}

static Onnx__AttributeProto *attribute(struct qn_arena *arena, Onnx__NodeProto *node, const char *name, int type)
{
    Onnx__AttributeProto **list = qn_arena_array(arena, node->n_attribute + 1, sizeof(Onnx__AttributeProto *));

    if (node->n_attribute) memcpy(list, node->attribute, node->n_attribute * sizeof *list);
    list[node->n_attribute] = qn_arena_alloc(arena, sizeof **list);
    onnx__attribute_proto__init(list[node->n_attribute]);
    list[node->n_attribute]->name = qn_arena_strdup(arena, name);
    list[node->n_attribute]->has_type = type != 0;
    list[node->n_attribute]->type = (Onnx__AttributeProto__AttributeType)type;
    node->attribute = list;
    return list[node->n_attribute++];
}

static void what_is_set_is_read(void **state)
{
    struct qn_arena  arena = { 0 };
    Onnx__NodeProto *node = node_in(&arena);
    const int64_t    pads[] = { 1, -2, INT64_MAX };
    const int64_t   *ints;
    size_t           count;

    (void)state;
    qn_attr_set_int(&arena, node, "group", INT64_MIN);
    qn_attr_set_ints(&arena, node, "pads", 3, pads);
    qn_attr_set_string(&arena, node, "auto_pad", "SAME_UPPER");
    assert_true(qn_attr_int(node, "group", 1) == INT64_MIN);
    ints = qn_attr_ints(node, "pads", &count);
    assert_int_equal(count, 3);
    assert_memory_equal(ints, pads, sizeof pads);
    assert_true(qn_attr_is(node, "auto_pad", "SAME_UPPER"));
    assert_false(qn_attr_is(node, "auto_pad", "SAME"));
    assert_false(qn_attr_is(node, "auto_pad", "SAME_UPPER2"));
    assert_int_equal(node->n_attribute, 3);
    qn_arena_release(&arena);
}

static void setting_again_replaces_in_place(void **state)
{
    struct qn_arena  arena = { 0 };
    Onnx__NodeProto *node = node_in(&arena);

    (void)state;
    qn_attr_set_int(&arena, node, "a", 1);
    qn_attr_set_int(&arena, node, "b", 2);
    qn_attr_set_string(&arena, node, "a", "other type");
    assert_int_equal(node->n_attribute, 2);
    assert_string_equal(node->attribute[0]->name, "a");
    assert_true(qn_attr_is(node, "a", "other type"));
    assert_int_equal(qn_attr_int(node, "a", -7), -7); /* nothing is left of the number */
    qn_attr_remove(node, "a");
    qn_attr_remove(node, "nothing");
    assert_int_equal(node->n_attribute, 1);
    assert_int_equal(qn_attr_int(node, "b", 0), 2);
    qn_arena_release(&arena);
}

static void absent_or_of_another_type_gives_the_default(void **state)
{
    struct qn_arena       arena = { 0 };
    Onnx__NodeProto      *node = node_in(&arena);
    Onnx__AttributeProto *attr = attribute(&arena, node, "alpha", ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);
    size_t                count = 7;

    (void)state;
    attr->has_f = true;
    attr->f = 0.5f;
    assert_int_equal(qn_attr_int(node, "alpha", 3), 3);
    assert_int_equal(qn_attr_int(node, "beta", 3), 3);
    assert_true(qn_attr_float(node, "alpha", 1) == 0.5f);
    assert_true(isinf(qn_attr_float(node, "beta", INFINITY)));
    assert_null(qn_attr_ints(node, "alpha", &count));
    assert_int_equal(count, 0);
    assert_false(qn_attr_is(node, "alpha", ""));
    assert_null(qn_attr_tensor(node, "alpha"));
    assert_null(qn_attr_find(node, "alph"));
    qn_arena_release(&arena);
}

static void a_declared_number_without_a_value_is_zero(void **state)
{
    struct qn_arena  arena = { 0 };
    Onnx__NodeProto *node = node_in(&arena);

    (void)state; /* protobuf writers leave zeros out */
    attribute(&arena, node, "i", ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
    attribute(&arena, node, "f", ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);
    assert_int_equal(qn_attr_int(node, "i", 9), 0);
    assert_true(qn_attr_float(node, "f", 9) == 0.0f);
    qn_arena_release(&arena);
}

static void files_without_attribute_types_are_read(void **state)
{
    struct qn_arena       arena = { 0 };
    Onnx__NodeProto      *node = node_in(&arena);
    Onnx__AttributeProto *attr = attribute(&arena, node, "value", 0);

    (void)state; /* IR versions before 2 */
    attr->t = qn_tensor_float_scalar(&arena, "t", 2.5f);
    assert_ptr_equal(qn_attr_tensor(node, "value"), attr->t);
    attr = attribute(&arena, node, "axis", 0);
    attr->has_i = true;
    attr->i = -1;
    assert_int_equal(qn_attr_int(node, "axis", 0), -1);
    qn_arena_release(&arena);
}

static void a_copy_may_be_changed_without_touching_the_original(void **state)
{
    struct qn_arena  arena = { 0 };
    Onnx__NodeProto *node = node_in(&arena), *copy;
    static char      other[] = "other";

    (void)state;
    qn_attr_set_int(&arena, node, "group", 4);
    copy = qn_node_copy(&arena, node);
    copy->input[0] = other;
    copy->output[0] = other;
    qn_attr_set_int(&arena, copy, "group", 5);
    qn_attr_set_int(&arena, copy, "more", 6);
    qn_attr_remove(copy, "group");
    assert_string_equal(node->input[0], "x");
    assert_string_equal(node->output[0], "y");
    assert_int_equal(node->n_attribute, 1);
    assert_int_equal(qn_attr_int(node, "group", 0), 4);
    qn_arena_release(&arena);
}

static void builders_survive_failed_allocations(void **state)
{
    (void)state;
    for (size_t nth = 1; nth < 40; nth++) {
        struct qn_arena          arena = { 0 };
        static const char *const in[] = { "x" }, *const out[] = { "y" };
        const int64_t            ints[] = { 1, 2 };
        Onnx__NodeProto         *node;

        qn_arena_inject_failure(nth, true);
        node = qn_node_new(&arena, "Conv", "conv", 1, in, 1, out);
        qn_attr_set_int(&arena, node, "a", 1); /* a node that was not made is allowed */
        qn_attr_set_ints(&arena, node, "b", 2, ints);
        qn_attr_set_string(&arena, node, "c", "text");
        if (node) node = qn_node_copy(&arena, node);
        qn_arena_inject_failure(0, false);
        assert_true(node || qn_arena_failed(&arena));
        if (!qn_arena_failed(&arena)) assert_true(qn_attr_is(node, "c", "text"));
        qn_arena_release(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_set_is_read),
        cmocka_unit_test(setting_again_replaces_in_place),
        cmocka_unit_test(absent_or_of_another_type_gives_the_default),
        cmocka_unit_test(a_declared_number_without_a_value_is_zero),
        cmocka_unit_test(files_without_attribute_types_are_read),
        cmocka_unit_test(a_copy_may_be_changed_without_touching_the_original),
        cmocka_unit_test(builders_survive_failed_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
