/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>

#include "cmocka_all.h"
#include "onnx.pb-c.h"
#include "onnx/wire.h"
#include "protobytes.h"

/* ModelProto: ir_version 1, doc_string 6, graph 7, opset_import 8.  GraphProto: node 1, name 2, initializer 5.
 * NodeProto: input 1, attribute 5.  AttributeProto: name 1, f 2, i 3, s 4, t 5, g 6, floats 7, ints 8, type 20.
 * TensorProto: dims 1, data_type 2, segment 3, float_data 4, int64_data 7, name 8, raw_data 9.
 * TypeProto: tensor_type 1, sequence_type 4.  Dimension: dim_value 1, dim_param 2.  Shape: dim 1. */
#define MODEL &onnx__model_proto__descriptor
#define TENSOR &onnx__tensor_proto__descriptor
#define ATTRIBUTE &onnx__attribute_proto__descriptor
#define GRAPH &onnx__graph_proto__descriptor

static struct qn_strbuf buf;
static struct qn_arena  arena;

static int setup(void **state)
{
    (void)state;
    qn_strbuf_init(&buf);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    qn_arena_inject_failure(0, false);
    qn_strbuf_release(&buf);
    qn_arena_release(&arena);
    return 0;
}

static void *parse(const ProtobufCMessageDescriptor *type)
{
    ProtobufCMessage *message = NULL;
    qonnx_error       err = { 0 };

    if (qn_wire_parse(&message, type, (const uint8_t *)buf.text, buf.length, &arena, &err) != QONNX_OK)
        fail_msg("%s", err.message);
    return message;
}

static void assert_packs_to(void *message, const char *bytes, size_t size)
{
    size_t   packed = protobuf_c_message_get_packed_size(message);
    uint8_t *out = malloc(packed + 1);

    assert_int_equal(packed, size);
    protobuf_c_message_pack(message, out);
    assert_memory_equal(out, bytes, size);
    free(out);
}

static bool within_input(const void *p)
{
    return (uintptr_t)p >= (uintptr_t)buf.text && (uintptr_t)p <= (uintptr_t)buf.text + buf.length;
}

/* ------------------------------------------------------------------------------------------------ what is kept */

static void raw_data_points_into_the_input(void **state)
{
    Onnx__TensorProto *tensor;

    (void)state;
    pb_number(&buf, 1, 4);
    pb_number(&buf, 2, 3);
    pb_text(&buf, 8, "w");
    pb_bytes(&buf, 9, "\0\1\2\3", 4);
    tensor = parse(TENSOR);
    assert_int_equal(tensor->raw_data.len, 4);
    assert_memory_equal(tensor->raw_data.data, "\0\1\2\3", 4);
    assert_true(within_input(tensor->raw_data.data));
    assert_string_equal(tensor->name, "w");
    assert_packs_to(tensor, buf.text, buf.length);
}

static void an_empty_raw_data_is_still_there(void **state)
{
    Onnx__TensorProto *tensor;

    (void)state;
    pb_bytes(&buf, 9, "", 0);
    tensor = parse(TENSOR);
    assert_true(tensor->has_raw_data);
    assert_int_equal(tensor->raw_data.len, 0);
    assert_packs_to(tensor, buf.text, buf.length);
}

static void of_two_raw_data_the_last_counts(void **state)
{
    Onnx__TensorProto *tensor;

    (void)state;
    pb_bytes(&buf, 9, "first", 5);
    pb_bytes(&buf, 9, "2nd", 3);
    tensor = parse(TENSOR);
    assert_int_equal(tensor->raw_data.len, 3);
    assert_memory_equal(tensor->raw_data.data, "2nd", 3);
}

/* What looks like a token of ours is data like any other. */
static void a_token_cannot_be_forged(void **state)
{
    uint64_t           forged[2] = { 0, 1 << 20 };
    Onnx__TensorProto *tensor;

    (void)state;
    pb_bytes(&buf, 9, forged, sizeof forged);
    tensor = parse(TENSOR);
    assert_int_equal(tensor->raw_data.len, sizeof forged);
    assert_memory_equal(tensor->raw_data.data, forged, sizeof forged);
}

static void field_nine_of_other_messages_is_not_raw_data(void **state)
{
    Onnx__AttributeProto *attribute;

    (void)state;
    pb_bytes(&buf, 9, "abc", 3); /* AttributeProto.strings */
    pb_bytes(&buf, 9, "", 0);
    attribute = parse(ATTRIBUTE);
    assert_int_equal(attribute->n_strings, 2);
    assert_int_equal(attribute->strings[0].len, 3);
    assert_memory_equal(attribute->strings[0].data, "abc", 3);
    assert_packs_to(attribute, buf.text, buf.length);
}

static void fields_newer_than_the_schema_survive(void **state)
{
    static const char fixed[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    struct qn_strbuf  graph;

    (void)state;
    qn_strbuf_init(&graph);
    pb_text(&graph, 2, "g");
    pb_bytes(&graph, 500, "\0inner\xff", 7);
    pb_number(&buf, 1, 8);
    pb_message(&buf, 7, &graph);
    pb_number(&buf, 100, UINT64_MAX);
    pb_tag(&buf, 101, 1);
    qn_strbuf_add(&buf, fixed, 8);
    pb_tag(&buf, 102, 5);
    qn_strbuf_add(&buf, fixed, 4);
    pb_bytes(&buf, (1u << 29) - 1, "last", 4);
    assert_packs_to(parse(MODEL), buf.text, buf.length);
}

static void unknown_enum_values_survive(void **state)
{
    Onnx__AttributeProto *attribute;

    (void)state;
    pb_number(&buf, 20, 4711);
    attribute = parse(ATTRIBUTE);
    assert_int_equal((int)attribute->type, 4711);
    assert_packs_to(attribute, buf.text, buf.length);
}

static void presence_of_zeros_and_empty_texts_survives(void **state)
{
    struct qn_strbuf empty;

    (void)state;
    qn_strbuf_init(&empty);
    pb_text(&buf, 1, "");
    pb_tag(&buf, 2, 5);
    qn_strbuf_add(&buf, "\0\0\0\0", 4);
    pb_number(&buf, 3, 0);
    pb_text(&buf, 4, "");
    pb_message(&buf, 5, &empty);
    pb_number(&buf, 20, 0);
    assert_packs_to(parse(ATTRIBUTE), buf.text, buf.length);
}

static void packed_and_single_numbers_are_both_read(void **state)
{
    float                 one = 1.5f;
    Onnx__AttributeProto *attribute;

    (void)state;
    pb_tag(&buf, 7, 5);
    qn_strbuf_add(&buf, &one, 4);
    pb_bytes(&buf, 7, &one, 4); /* packed, as proto3 writers do */
    pb_number(&buf, 8, 5);
    pb_bytes(&buf, 8, "\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\1\x07", 12);
    attribute = parse(ATTRIBUTE);
    assert_int_equal(attribute->n_floats, 2);
    assert_true(attribute->floats[1] == 1.5f);
    assert_int_equal(attribute->n_ints, 4);
    assert_int_equal(attribute->ints[1], 1);
    assert_int_equal(attribute->ints[2], -1);
    assert_int_equal(attribute->ints[3], 7);
}

static void nan_payloads_survive(void **state)
{
    static const uint32_t bits = 0x7fa12345;
    Onnx__AttributeProto *attribute;

    (void)state;
    pb_tag(&buf, 2, 5);
    qn_strbuf_add(&buf, &bits, 4);
    attribute = parse(ATTRIBUTE);
    assert_true(isnan(attribute->f));
    assert_packs_to(attribute, buf.text, buf.length);
}

static void an_empty_message_is_a_message(void **state)
{
    (void)state;
    assert_non_null(parse(MODEL));
}

static void longer_forms_of_tags_and_lengths_are_read(void **state)
{
    Onnx__TensorProto *tensor;

    (void)state;
    qn_strbuf_add(&buf, "\xc2\x80\x00\x81\x00w", 6);          /* field 8, length 1, both padded */
    qn_strbuf_add(&buf, "\xca\x00\x82\x80\x80\x80\x00xy", 9); /* field 9, length 2 */
    tensor = parse(TENSOR);
    assert_string_equal(tensor->name, "w");
    assert_int_equal(tensor->raw_data.len, 2);
    assert_memory_equal(tensor->raw_data.data, "xy", 2);
}

/* ------------------------------------------------------------------------------------------------ paths */

static void assert_path(size_t offset, const char *expected)
{
    struct qn_strbuf path;

    qn_strbuf_init(&path);
    qn_wire_path_at(&path, MODEL, (const uint8_t *)buf.text, buf.length, offset);
    assert_string_equal(path.text, expected);
    qn_strbuf_release(&path);
}

static void a_byte_has_the_path_of_its_field(void **state)
{
    struct qn_strbuf node, graph, attribute;

    (void)state;
    qn_strbuf_init(&node);
    qn_strbuf_init(&graph);
    qn_strbuf_init(&attribute);
    pb_number(&buf, 1, 8); /* bytes 0, 1 */
    pb_number(&attribute, 3, 7);
    pb_number(&attribute, 8, 1);
    pb_number(&attribute, 8, 2);
    pb_text(&node, 1, "x");
    pb_text(&node, 1, "y");
    pb_message(&node, 5, &attribute);
    pb_text(&graph, 2, "g");
    pb_bytes(&graph, 1, "", 0);
    pb_message(&graph, 1, &node);
    pb_message(&buf, 7,
               &graph); /* 2: tag, 3: length, 4: name, 7: node 0, 9: node 1, 11: x, 14: y, 17: attribute, 19: i */
    pb_number(&buf, 100, 1);
    assert_path(0, "ir_version");
    assert_path(1, "ir_version");
    assert_path(3, "graph");
    assert_path(4, "graph.name");
    assert_path(6, "graph.name");
    assert_path(7, "graph.node[0]");
    assert_path(9, "graph.node[1]");
    assert_path(16, "graph.node[1].input[1]");
    assert_path(18, "graph.node[1].attribute[0]");
    assert_path(19, "graph.node[1].attribute[0].i");
    assert_path(24, "graph.node[1].attribute[0].ints[1]");
    assert_path(25, "(field 100)");
    assert_path(buf.length, "");
    assert_path(SIZE_MAX, "");
}

static void paths_of_damaged_files_go_as_far_as_they_can(void **state)
{
    (void)state;
    qn_strbuf_add(&buf,
                  "\x3a\x03\x12\x05"
                  "a",
                  5);
    assert_path(4, "graph.name");
    qn_strbuf_clear(&buf);
    qn_strbuf_add(&buf, "\xff", 1);
    assert_path(0, "");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(raw_data_points_into_the_input),
        T(an_empty_raw_data_is_still_there),
        T(of_two_raw_data_the_last_counts),
        T(a_token_cannot_be_forged),
        T(field_nine_of_other_messages_is_not_raw_data),
        T(fields_newer_than_the_schema_survive),
        T(unknown_enum_values_survive),
        T(presence_of_zeros_and_empty_texts_survives),
        T(packed_and_single_numbers_are_both_read),
        T(nan_payloads_survive),
        T(an_empty_message_is_a_message),
        T(longer_forms_of_tags_and_lengths_are_read),
        T(a_byte_has_the_path_of_its_field),
        T(paths_of_damaged_files_go_as_far_as_they_can),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
