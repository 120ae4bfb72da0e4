/* SPDX-License-Identifier: Apache-2.0
 * Tensors whose data are in files beside the model. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "onnx/dtype.h"
#include "onnx/model.h"
#include "onnx/tensor.h"
#include "onnx/visit.h"

struct place {
    const char *location;
    uint64_t    offset, length;
    bool        has_length;
};

/* Decimal digits and nothing else. */
static bool parse_number(const char *text, uint64_t *value)
{
    *value = 0;
    if (!*text) return false;
    for (; *text; text++)
        if (*text < '0' || *text > '9' || __builtin_mul_overflow(*value, 10u, value) ||
            __builtin_add_overflow(*value, (uint64_t)(*text - '0'), value))
            return false;
    return true;
}

static qonnx_status take_number(const Onnx__StringStringEntryProto *entry, uint64_t *value, qonnx_error *err)
{
    if (entry->value && parse_number(entry->value, value)) return QONNX_OK;
    return qn_fail(err, QONNX_E_FORMAT, "external data: %s '%s' is not a number", entry->key,
                   entry->value ? entry->value : "");
}

/* Keys other than these three (a checksum, for example) are only hints. */
static qonnx_status read_place(struct place *place, const Onnx__TensorProto *tensor, qonnx_error *err)
{
    memset(place, 0, sizeof *place);
    for (size_t i = 0; i < tensor->n_external_data; i++) {
        const Onnx__StringStringEntryProto *entry = tensor->external_data[i];
        const char                         *key = entry->key ? entry->key : "";

        if (strcmp(key, "location") == 0) {
            place->location = entry->value ? entry->value : "";
        } else if (strcmp(key, "offset") == 0) {
            QN_TRY(take_number(entry, &place->offset, err));
        } else if (strcmp(key, "length") == 0) {
            QN_TRY(take_number(entry, &place->length, err));
            place->has_length = true;
        }
    }
    return place->location ? QONNX_OK : qn_fail(err, QONNX_E_FORMAT, "external data without a location");
}

/* The map of a file, opened at its first use. */
static qonnx_status map_file(const struct qn_map **map, struct qn_model *model, const char *location, qonnx_error *err)
{
    char          *path = NULL, **paths;
    struct qn_map *maps;
    size_t         count = model->external_count, capacity = model->external_capacity;

    QN_TRY(qn_path_inside(&path, &model->arena, model->path, location, err));
    for (size_t i = 0; i < count; i++) {
        if (strcmp(model->external_paths[i], path) != 0) continue;
        *map = &model->externals[i];
        return QONNX_OK;
    }
    maps = qn_arena_grow(&model->arena, model->externals, count, &capacity, sizeof *maps);
    paths =
        qn_arena_grow(&model->arena, (void *)model->external_paths, count, &model->external_capacity, sizeof *paths);
    if (!maps || !paths) return qn_fail_nomem(err);
    model->externals = maps;
    model->external_paths = paths;
    QN_TRY(qn_map_open(&maps[count], path, model->no_mmap, err));
    paths[count] = path;
    model->external_count++;
    *map = &maps[count];
    return QONNX_OK;
}

/* How many bytes to take where the model does not say: what type and shape need, else the rest of the file. */
static uint64_t implied_length(const Onnx__TensorProto *tensor, const struct place *place, size_t file_size)
{
    const struct qn_dtype *dtype = qn_dtype_find(tensor->data_type);
    size_t                 count, bits;

    if (dtype && qn_tensor_count(tensor, &count, NULL) == QONNX_OK &&
        !__builtin_mul_overflow(count, (size_t)dtype->bits, &bits))
        return bits / 8 + (bits % 8 != 0);
    return place->offset <= file_size ? file_size - place->offset : 0;
}

/* `only`: where all external data lie, or NULL. */
static qonnx_status attach(struct qn_model *model, Onnx__TensorProto *tensor, const struct qn_map *only, qonnx_error *err)
{
    struct place         place;
    const struct qn_map *map = only;
    uint64_t             end;

    if (tensor->has_raw_data && tensor->raw_data.len)
        return qn_fail(err, QONNX_E_FORMAT, "both raw_data and external data");
    if (!only && !model->path) return qn_fail(err, QONNX_E_UNSUPPORTED, "external data in a model that is not a file");
    QN_TRY(read_place(&place, tensor, err));
    if (!only) QN_TRY(map_file(&map, model, place.location, err));
    if (!place.has_length) place.length = implied_length(tensor, &place, map->size);
    if (__builtin_add_overflow(place.offset, place.length, &end) || end > map->size)
        return qn_fail(err, QONNX_E_FORMAT,
                       "external data: %" PRIu64 " bytes at offset %" PRIu64 " of '%s', which holds %zu bytes",
                       place.length, place.offset, place.location, map->size);
    tensor->has_raw_data = 1;
    tensor->raw_data.data = (uint8_t *)(uintptr_t)(map->data + place.offset);
    tensor->raw_data.len = (size_t)place.length;
    tensor->has_data_location = 0;
    tensor->n_external_data = 0;
    return QONNX_OK;
}

struct attachment {
    struct qn_model     *model;
    const struct qn_map *only;
};

static qonnx_status attach_if_external(Onnx__TensorProto *tensor, void *context, qonnx_error *err)
{
    const struct attachment *a = context;

    if (!tensor->has_data_location || tensor->data_location != ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL)
        return QONNX_OK;
    return qn_wrap(err, attach(a->model, tensor, a->only, err), "tensor '%s'", tensor->name ? tensor->name : "");
}

qonnx_status qn_model_attach_external(struct qn_model *model, qonnx_error *err)
{
    struct attachment attachment = { model, NULL };
    return qn_visit_tensors(&model->pb->base, attach_if_external, &attachment, err);
}

qonnx_status qn_model_attach_file(struct qn_model *model, const char *path, qonnx_error *err)
{
    struct qn_map     *map = qn_arena_array(&model->arena, 1, sizeof *map);
    char             **paths = qn_arena_array(&model->arena, 1, sizeof *paths);
    struct attachment  attachment = { model, map };

    if (!map || !paths || !(paths[0] = qn_arena_strdup(&model->arena, path))) return qn_fail_nomem(err);
    QN_TRY(qn_map_open(map, path, model->no_mmap, err));
    model->externals = map;
    model->external_paths = paths;
    model->external_count = model->external_capacity = 1;
    return qn_visit_tensors(&model->pb->base, attach_if_external, &attachment, err);
}
