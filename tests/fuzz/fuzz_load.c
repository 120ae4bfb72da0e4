/* SPDX-License-Identifier: Apache-2.0
 * Any bytes: refused with a clear error, or a model that packs to bytes which parse and pack to the same bytes again, and
 * that can be indexed, dumped and checked. The same with an allocation that fails. */
#include "base/arena.h"
#include "base/strbuf.h"
#include "fuzz.h"
#include "onnx/check.h"
#include "onnx/graph.h"
#include "onnx/model.h"
#include "onnx/wire.h"

static void index_and_check(struct qn_model *model)
{
    struct qn_graph  graph;
    struct qn_strbuf text;
    qonnx_error      err = { 0 };
    qonnx_status     status = qn_graph_build(&graph, model, &err);

    if (status == QONNX_OK) {
        status = qn_check(&graph, &err);
        qn_strbuf_init(&text);
        qn_graph_dump(&graph, &text);
        qn_strbuf_release(&text);
        qn_graph_release(&graph);
    }
    if (status != QONNX_OK) promise_clear_error(status, &err);
}

static void load_twice(const uint8_t *data, size_t size)
{
    struct qn_model model, again;
    struct qn_arena arena = { 0 };
    uint8_t        *first, *second;
    size_t          first_size, second_size;
    qonnx_error     err = { 0 };
    qonnx_status    status = qn_model_parse(&model, data, size, &err);

    if (status != QONNX_OK) {
        promise_clear_error(status, &err);
        return;
    }
    PROMISE(qn_model_pack(&model, &arena, &first, &first_size, &err) == QONNX_OK);
    PROMISE(qn_model_parse(&again, first, first_size, &err) == QONNX_OK);
    PROMISE(qn_model_pack(&again, &arena, &second, &second_size, &err) == QONNX_OK);
    PROMISE(first_size == second_size && memcmp(first, second, first_size) == 0);
    index_and_check(&again);
    qn_model_release(&again);
    index_and_check(&model);
    qn_model_release(&model);
    qn_arena_release(&arena);
}

static void load_with_failing_allocation(const uint8_t *data, size_t size, size_t nth)
{
    struct qn_model model;
    struct qn_arena arena = { 0 };
    uint8_t        *bytes;
    size_t          packed;
    qonnx_error     err = { 0 };
    qonnx_status    status;

    qn_arena_inject_failure(nth / 2 + 1, nth % 2);
    status = qn_model_parse(&model, data, size, &err);
    if (status == QONNX_OK) {
        index_and_check(&model);
        status = qn_model_pack(&model, &arena, &bytes, &packed, &err);
        qn_model_release(&model);
    }
    qn_arena_inject_failure(0, false);
    qn_arena_release(&arena);
    if (status != QONNX_OK) promise_clear_error(status, &err);
}

/* Other messages are read on their own as well: a tensor is a calibration sample. */
static void load_tensor(const uint8_t *data, size_t size)
{
    ProtobufCMessage *message;
    struct qn_arena   arena = { 0 };
    qonnx_error       err = { 0 };
    qonnx_status      status = qn_wire_parse(&message, &onnx__tensor_proto__descriptor, data, size, &arena, &err);

    if (status != QONNX_OK) promise_clear_error(status, &err);
    qn_arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qn_strbuf path;
    size_t           some = size ? data[size / 2] : 0;

    load_twice(data, size);
    load_with_failing_allocation(data, size, some);
    load_tensor(data, size);
    qn_strbuf_init(&path);
    qn_wire_path_at(&path, &onnx__model_proto__descriptor, data, size, size * some / 256);
    qn_strbuf_release(&path);
    return 0;
}
