/* SPDX-License-Identifier: Apache-2.0 */
#include "onnx/model.h"

#include <limits.h>
#include <string.h>

#include "onnx/deferred.h"
#include "onnx/wire.h"

/* Fills pb from the map. */
static qonnx_status parse(struct qn_model *model, qonnx_error *err)
{
    ProtobufCMessage *message;
    qonnx_status      status;

    if (!model->map.size) return qn_fail(err, QONNX_E_FORMAT, "the file is empty");
    status = qn_wire_parse_map(&message, &onnx__model_proto__descriptor, &model->map, &model->arena, err);
    if (status == QONNX_E_FORMAT) qn_wrap(err, status, "not an ONNX model, or a damaged one");
    if (status != QONNX_OK) return status;
    model->pb = (Onnx__ModelProto *)message;
    if (!model->pb->graph) return qn_fail(err, QONNX_E_FORMAT, "not an ONNX model: it has no graph");
    QN_TRY(qn_model_attach_external(model, err));
    return qn_arena_failed(&model->arena) ? qn_fail_nomem(err) : QONNX_OK;
}

qonnx_status qn_model_open(struct qn_model *model, const char *path, bool no_mmap, qonnx_error *err)
{
    qonnx_status status;

    memset(model, 0, sizeof *model);
    model->no_mmap = no_mmap;
    model->path = qn_arena_strdup(&model->arena, path);
    status = qn_map_open(&model->map, path, no_mmap, err);
    if (status == QONNX_OK) status = qn_wrap(err, parse(model, err), "%s", path);
    if (status != QONNX_OK) qn_model_release(model);
    return status;
}

qonnx_status qn_model_parse(struct qn_model *model, const void *bytes, size_t size, qonnx_error *err)
{
    qonnx_status status;

    memset(model, 0, sizeof *model);
    qn_map_borrow(&model->map, bytes, size); /* no path: external data have no folder to be in */
    status = parse(model, err);
    if (status != QONNX_OK) {
        qn_model_release(model);
        return status;
    }
    model->path = qn_arena_strdup(&model->arena, "<memory>");
    return QONNX_OK;
}

void qn_model_release(struct qn_model *model)
{
    qn_model_forget_deferred(model);
    for (size_t i = 0; i < model->external_count; i++) qn_map_release(&model->externals[i]);
    qn_map_release(&model->map);
    qn_arena_release(&model->arena);
    memset(model, 0, sizeof *model);
}

bool qn_model_owns(const struct qn_model *model, const void *p, const struct qn_map **map)
{
    const struct qn_map *found = qn_map_contains(&model->map, p) ? &model->map : NULL;

    for (size_t i = 0; !found && i < model->external_count; i++)
        if (qn_map_contains(&model->externals[i], p)) found = &model->externals[i];
    if (found && map) *map = found;
    return found != NULL;
}

/* "ai.onnx" and the empty domain are the same. */
static bool same_domain(const char *a, const char *b)
{
    if (!a || strcmp(a, "ai.onnx") == 0) a = "";
    if (!b || strcmp(b, "ai.onnx") == 0) b = "";
    return strcmp(a, b) == 0;
}

static Onnx__OperatorSetIdProto *find_import(const struct qn_model *model, const char *domain)
{
    for (size_t i = 0; i < model->pb->n_opset_import; i++)
        if (same_domain(model->pb->opset_import[i]->domain, domain)) return model->pb->opset_import[i];
    return NULL;
}

int64_t qn_model_opset(const struct qn_model *model, const char *domain)
{
    const Onnx__OperatorSetIdProto *import = find_import(model, domain);

    return import ? import->version : 0;
}

static Onnx__OperatorSetIdProto *add_import(struct qn_model *model, const char *domain)
{
    size_t                     count = model->pb->n_opset_import;
    Onnx__OperatorSetIdProto **grown = qn_arena_array(&model->arena, count + 1, sizeof(void *));
    Onnx__OperatorSetIdProto  *import = qn_arena_alloc(&model->arena, sizeof *import);
    char                      *name = qn_arena_strdup(&model->arena, domain);

    if (!grown || !import || !name) return NULL;
    onnx__operator_set_id_proto__init(import);
    import->domain = name;
    if (count) memcpy((void *)grown, (void *)model->pb->opset_import, count * sizeof(void *));
    grown[count] = import;
    model->pb->opset_import = grown;
    model->pb->n_opset_import = count + 1;
    return import;
}

/* The IR version that an opset of ai.onnx was released with. */
static int64_t ir_version_of(int64_t opset)
{
    static const struct {
        int64_t opset, ir;
    } released[] = { { 8, 3 },  { 9, 4 },  { 10, 5 },  { 11, 6 },  { 14, 7 },
                     { 18, 8 }, { 20, 9 }, { 22, 10 }, { 23, 11 }, { 24, 12 } };

    for (size_t i = 0; i < sizeof released / sizeof *released; i++)
        if (opset <= released[i].opset) return released[i].ir;
    return 13;
}

void qn_model_set_opset(struct qn_model *model, const char *domain, int64_t version)
{
    Onnx__OperatorSetIdProto *import = find_import(model, domain);
    int64_t                   ir = same_domain(domain, "") ? ir_version_of(version) : 0;

    if (!import && !(import = add_import(model, domain))) return;
    import->has_version = 1;
    import->version = version;
    if (ir < 4) ir = 4;
    if (model->pb->ir_version >= ir) return;
    model->pb->has_ir_version = 1;
    model->pb->ir_version = ir;
}

size_t qn_model_packed_size(const struct qn_model *model)
{
    return protobuf_c_message_get_packed_size(&model->pb->base);
}

/* protobuf-c's own pack() moves every message once for its length; a buffer does not. */
struct memory_buffer {
    ProtobufCBuffer base;
    uint8_t        *bytes;
    size_t          used, size;
};

static void append(ProtobufCBuffer *base, size_t size, const uint8_t *bytes)
{
    struct memory_buffer *buffer = (struct memory_buffer *)base;

    if (size && size <= buffer->size - buffer->used) memcpy(buffer->bytes + buffer->used, bytes, size);
    buffer->used += size;
}

qonnx_status qn_model_pack(const struct qn_model *model, struct qn_arena *arena, uint8_t **bytes, size_t *size,
                           qonnx_error *err)
{
    struct memory_buffer buffer = { .base = { append }, .size = qn_model_packed_size(model) };

    if (buffer.size > INT_MAX)
        return qn_fail(err, QONNX_E_LIMIT, "the model takes %zu bytes; protobuf's limit is 2 GiB", buffer.size);
    QN_TRY(qn_model_make_deferred(model, err));
    buffer.bytes = qn_arena_alloc_raw(arena, buffer.size);
    if (!buffer.bytes) return qn_fail_nomem(err);
    protobuf_c_message_pack_to_buffer(&model->pb->base, &buffer.base);
    if (buffer.used != buffer.size)
        return qn_fail(err, QONNX_E_INTERNAL, "packed %zu bytes instead of %zu", buffer.used, buffer.size);
    *bytes = buffer.bytes;
    *size = buffer.size;
    return QONNX_OK;
}
