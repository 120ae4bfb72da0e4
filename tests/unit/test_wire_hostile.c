/* SPDX-License-Identifier: Apache-2.0
 * What the reader must refuse. */
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

static void refused(const ProtobufCMessageDescriptor *type, qonnx_status status, const char *text)
{
    ProtobufCMessage *message = NULL;
    qonnx_error       err = { 0 };
    /* a copy of exactly this size, so that a sanitizer sees a read past its end */
    uint8_t          *exact = malloc(buf.length ? buf.length : 1);

    memcpy(exact, buf.text, buf.length);
    assert_int_equal(qn_wire_parse(&message, type, exact, buf.length, &arena, &err), status);
    assert_null(message);
    assert_string_equal(err.message, text);
    free(exact);
}

static void truncated_numbers_and_lengths_are_refused(void **state)
{
    (void)state;
    qn_strbuf_add(&buf, "\x80", 1);
    refused(MODEL, QONNX_E_FORMAT, "byte 0: the data end within a number");
    qn_strbuf_clear(&buf);
    qn_strbuf_add(&buf, "\x08", 1);
    refused(MODEL, QONNX_E_FORMAT, "byte 1: the data end within a number");
    qn_strbuf_clear(&buf);
    qn_strbuf_add(&buf,
                  "\x32\x05"
                  "abcd",
                  6);
    refused(MODEL, QONNX_E_FORMAT, "byte 0: a field reaches past the end of what holds it, in doc_string");
    qn_strbuf_clear(&buf);
    qn_strbuf_add(&buf, "\x15\0\0\0", 4);
    refused(ATTRIBUTE, QONNX_E_FORMAT, "byte 0: a field reaches past the end of what holds it, in f");
}

static void a_field_may_not_reach_out_of_its_message(void **state)
{
    (void)state;
    qn_strbuf_add(&buf,
                  "\x3a\x03\x12\x05"
                  "abcdefgh",
                  12); /* graph of 3 bytes with a name of 5 */
    refused(MODEL, QONNX_E_FORMAT, "byte 2: a field reaches past the end of what holds it, in graph.name");
}

static void a_length_near_two_to_the_64_is_refused(void **state)
{
    (void)state;
    qn_strbuf_add(&buf, "\x32\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11);
    refused(MODEL, QONNX_E_FORMAT, "byte 1: a number has too many bytes, in doc_string");
    qn_strbuf_clear(&buf);
    qn_strbuf_add(&buf, "\x32\xff\xff\xff\xff\x7f", 6);
    refused(MODEL, QONNX_E_FORMAT, "byte 0: a field reaches past the end of what holds it, in doc_string");
}

static void field_numbers_out_of_range_are_refused(void **state)
{
    (void)state;
    qn_strbuf_add(&buf, "\x02\x00", 2);
    refused(MODEL, QONNX_E_FORMAT, "byte 0: a field has number 0");
    qn_strbuf_clear(&buf);
    qn_strbuf_add(&buf,
                  "\x81\x00"
                  "12345678",
                  10); /* the over-long form, which protobuf-c lets pass */
    refused(MODEL, QONNX_E_FORMAT, "byte 0: a field has number 0");
    qn_strbuf_clear(&buf);
    qn_strbuf_add(&buf, "\x80\x80\x80\x80\x10\x00", 6);
    refused(MODEL, QONNX_E_FORMAT, "byte 0: a field number is 2^29 or more");
    qn_strbuf_clear(&buf);
    qn_strbuf_add(&buf, "\x88\x80\x80\x80\x80\x00\x01", 7);
    refused(MODEL, QONNX_E_FORMAT, "byte 0: a number has too many bytes");
}

static void groups_and_unknown_wire_types_are_refused(void **state)
{
    (void)state;
    pb_tag(&buf, 100, 3);
    refused(MODEL, QONNX_E_FORMAT, "byte 0: a group, which ONNX does not use, in (field 100)");
    qn_strbuf_clear(&buf);
    pb_tag(&buf, 100, 4);
    refused(MODEL, QONNX_E_FORMAT, "byte 0: a group, which ONNX does not use, in (field 100)");
    qn_strbuf_clear(&buf);
    pb_tag(&buf, 100, 7);
    refused(MODEL, QONNX_E_FORMAT, "byte 0: a field of unknown wire type, in (field 100)");
}

static void numbers_of_more_than_64_bits_are_refused(void **state)
{
    (void)state;
    qn_strbuf_add(&buf, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11);
    refused(MODEL, QONNX_E_FORMAT, "byte 1: a number does not fit in 64 bits, in ir_version");
    qn_strbuf_clear(&buf);
    qn_strbuf_add(&buf, "\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 12);
    refused(MODEL, QONNX_E_FORMAT, "byte 1: a number does not fit in 64 bits, in ir_version");
    qn_strbuf_clear(&buf);
    pb_bytes(&buf, 8, "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 11);
    refused(ATTRIBUTE, QONNX_E_FORMAT, "byte 2: a number does not fit in 64 bits, in ints[0]");
}

static void packed_arrays_must_hold_whole_elements(void **state)
{
    (void)state;
    pb_bytes(&buf, 4, "12345", 5);
    refused(TENSOR, QONNX_E_FORMAT, "byte 0: a packed array holds a part of an element, in float_data[0]");
    qn_strbuf_clear(&buf);
    pb_bytes(&buf, 7, "\x01\x80", 2);
    refused(TENSOR, QONNX_E_FORMAT, "byte 3: the data end within a number, in int64_data[0]");
}

static void known_fields_have_one_wire_type(void **state)
{
    static const struct {
        const char *bytes;
        size_t      size;
        const char *text;
    } bad[] = {
        { "\x0a\x01\x08", 3, "byte 0: a field does not have the wire type ONNX gives it, in ir_version" },
        { "\x30\x01", 2, "byte 0: a field does not have the wire type ONNX gives it, in doc_string" },
        { "\x38\x01", 2, "byte 0: a field does not have the wire type ONNX gives it, in graph" },
        { "\x3d\0\0\0\0", 5, "byte 0: a field does not have the wire type ONNX gives it, in graph" },
        { "\x0d\0\0\0\0", 5, "byte 0: a field does not have the wire type ONNX gives it, in ir_version" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        qn_strbuf_clear(&buf);
        qn_strbuf_add(&buf, bad[i].bytes, bad[i].size);
        refused(MODEL, QONNX_E_FORMAT, bad[i].text);
    }
    qn_strbuf_clear(&buf);
    pb_number(&buf, 9, 1);
    refused(TENSOR, QONNX_E_FORMAT, "byte 0: a field does not have the wire type ONNX gives it, in raw_data");
    qn_strbuf_clear(&buf);
    pb_number(&buf, 7, 1); /* floats as a varint */
    refused(ATTRIBUTE, QONNX_E_FORMAT, "byte 0: a field does not have the wire type ONNX gives it, in floats[0]");
}

static void a_text_with_a_nul_is_refused(void **state)
{
    (void)state;
    pb_number(&buf, 1, 8);
    pb_bytes(&buf, 6, "a\0b", 3);
    refused(MODEL, QONNX_E_UNSUPPORTED, "byte 2: a text contains a NUL byte, in doc_string");
}

static void what_would_be_merged_is_refused(void **state)
{
    struct qn_strbuf first, second;

    (void)state;
    qn_strbuf_init(&first);
    qn_strbuf_init(&second);
    pb_text(&first, 2, "a");
    pb_text(&second, 2, "b");
    pb_message(&buf, 7, &first);
    pb_message(&buf, 7, &second);
    refused(MODEL, QONNX_E_UNSUPPORTED, "byte 5: a field that may come once comes twice, in graph");
    qn_strbuf_clear(&buf);
    pb_number(&buf, 1, 3);
    pb_text(&buf, 2, "N");
    refused(&onnx__tensor_shape_proto__dimension__descriptor, QONNX_E_UNSUPPORTED,
            "byte 2: a field that may come once comes twice, in dim_param");
    qn_strbuf_clear(&buf);
    pb_bytes(&buf, 4, "", 0);
    pb_bytes(&buf, 1, "", 0);
    refused(&onnx__type_proto__descriptor, QONNX_E_UNSUPPORTED,
            "byte 2: a field that may come once comes twice, in tensor_type");
}

static void of_two_numbers_or_texts_the_last_counts(void **state)
{
    Onnx__ModelProto *model;

    (void)state;
    pb_number(&buf, 1, 3);
    pb_text(&buf, 6, "first");
    pb_number(&buf, 1, 8);
    pb_text(&buf, 6, "second");
    model = parse(MODEL);
    assert_int_equal(model->ir_version, 8);
    assert_string_equal(model->doc_string, "second");
}

/* A graph in an attribute in a node in a graph …; three messages a round. */
static void nest(int rounds)
{
    struct qn_strbuf outer;

    qn_strbuf_clear(&buf);
    pb_text(&buf, 2, "innermost");
    for (int i = 0; i < rounds; i++) {
        static const uint32_t through[] = { 6, 5, 1 }; /* attribute.g, node.attribute, graph.node */
        for (int k = 0; k < 3; k++) {
            qn_strbuf_init(&outer);
            pb_bytes(&outer, through[k], buf.text, buf.length);
            qn_strbuf_release(&buf);
            buf = outer;
        }
    }
}

static void nesting_ends_at_100_messages(void **state)
{
    ProtobufCMessage *message = NULL;
    qonnx_error       err = { 0 };

    (void)state;
    nest(33); /* 33 × 3 + the outermost graph */
    parse(GRAPH);
    nest(34);
    assert_int_equal(qn_wire_parse(&message, GRAPH, (const uint8_t *)buf.text, buf.length, &arena, &err),
                     QONNX_E_LIMIT);
    assert_non_null(strstr(err.message, ": messages are nested more than 100 deep, in node[0].attribute[0].g.node[0]"));
    assert_true(strlen(err.message) < 300);
    nest(2000);
    err = (qonnx_error){ 0 };
    assert_int_equal(qn_wire_parse(&message, GRAPH, (const uint8_t *)buf.text, buf.length, &arena, &err),
                     QONNX_E_LIMIT);
    assert_null(message);
}

static void a_file_of_two_gib_is_refused_unread(void **state)
{
    ProtobufCMessage *message = NULL;
    qonnx_error       err = { 0 };

    (void)state;
    assert_int_equal(qn_wire_parse(&message, MODEL, (const uint8_t *)"", (size_t)1 << 31, &arena, &err), QONNX_E_LIMIT);
    assert_non_null(strstr(err.message, "external data"));
}

/* Each two bytes of empty tensors would unpack to 400. */
static void memory_out_of_proportion_is_refused(void **state)
{
    size_t            size = 16 << 20, at = 0;
    uint8_t          *bytes = malloc(size);
    ProtobufCMessage *message = NULL;
    qonnx_error       err = { 0 };

    (void)state;
    assert_non_null(bytes);
    for (; at + 2 <= size; at += 2) memcpy(bytes + at, "\x2a\x00", 2);
    assert_int_equal(qn_wire_parse(&message, GRAPH, bytes, size, &arena, &err), QONNX_E_LIMIT);
    assert_non_null(
        strstr(err.message, "the file would unpack to more than 2 GiB and eight times its size, in initializer["));
    free(bytes);
}

static void every_failing_allocation_is_out_of_memory(void **state)
{
    size_t failures = 0;

    (void)state;
    nest(3);
    pb_bytes(&buf, 500, "unknown", 7);
    for (size_t nth = 1;; nth++) {
        ProtobufCMessage *message = NULL;
        qonnx_error       err = { 0 };
        qonnx_status      status;

        qn_arena_inject_failure(nth, nth % 2);
        status = qn_wire_parse(&message, GRAPH, (const uint8_t *)buf.text, buf.length, &arena, &err);
        qn_arena_inject_failure(0, false);
        qn_arena_release(&arena);
        if (status == QONNX_OK) break;
        assert_int_equal(status, QONNX_E_NOMEM);
        assert_string_equal(err.message, "out of memory");
        assert_null(message);
        failures++;
    }
    assert_true(failures > 10);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(truncated_numbers_and_lengths_are_refused),
        T(a_field_may_not_reach_out_of_its_message),
        T(a_length_near_two_to_the_64_is_refused),
        T(field_numbers_out_of_range_are_refused),
        T(groups_and_unknown_wire_types_are_refused),
        T(numbers_of_more_than_64_bits_are_refused),
        T(packed_arrays_must_hold_whole_elements),
        T(known_fields_have_one_wire_type),
        T(a_text_with_a_nul_is_refused),
        T(what_would_be_merged_is_refused),
        T(of_two_numbers_or_texts_the_last_counts),
        T(nesting_ends_at_100_messages),
        T(a_file_of_two_gib_is_refused_unread),
        T(memory_out_of_proportion_is_refused),
        T(every_failing_allocation_is_out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
