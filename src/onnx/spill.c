/* SPDX-License-Identifier: Apache-2.0
 * Which initializers go into which file beside the model. */
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "onnx/save.h"
#include "onnx/visit.h"

enum {
    SMALL = 1024,     /* bytes that stay in the model: shape inference reads such tensors */
    ALIGNMENT = 4096, /* so that a runtime can map each tensor */
    ENTRIES = 3,      /* location, offset, length */
};

static bool is_large(const Onnx__TensorProto *tensor) { return tensor->has_raw_data && tensor->raw_data.len >= SMALL; }

static qonnx_status collect(ProtobufCMessage *message, void *context, qonnx_error *err)
{
    struct qn_spill        *spill = context;
    const Onnx__GraphProto *graph = (const Onnx__GraphProto *)message;

    (void)err;
    if (message->descriptor != &onnx__graph_proto__descriptor) return QONNX_OK;
    for (size_t i = 0; i < graph->n_initializer; i++) {
        if (!is_large(graph->initializer[i])) continue;
        if (spill->tensors)
            spill->tensors[spill->count] =
                (struct qn_spilled){ graph->initializer[i], graph->initializer[i]->raw_data, 0, 0 };
        spill->count++;
    }
    return QONNX_OK;
}

/* One after the other; a file ends where the next tensor would make it too long. */
static void assign(struct qn_spill *spill, uint64_t shard_size)
{
    uint64_t end = 0;
    size_t   file = 0;

    for (size_t i = 0; i < spill->count; i++) {
        struct qn_spilled *s = &spill->tensors[i];
        s->offset = (end + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        if (shard_size && end && s->offset + s->data.len > shard_size) {
            s->offset = 0;
            file++;
        }
        s->file = file;
        end = s->offset + s->data.len;
    }
    spill->file_count = spill->count ? file + 1 : 0;
}

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static qonnx_status name_files(struct qn_spill *spill, struct qn_model *model, const char *path, qonnx_error *err)
{
    spill->files = qn_arena_array(&model->arena, spill->file_count, sizeof *spill->files);
    for (size_t i = 0; spill->files && i < spill->file_count; i++)
        spill->files[i].name = spill->file_count == 1 ? qn_arena_printf(&model->arena, "%s.data", base_of(path))
                                                      : qn_arena_printf(&model->arena, "%s.data-%05zu-of-%05zu",
                                                                        base_of(path), i + 1, spill->file_count);
    for (size_t i = 0; spill->files && i < spill->count; i++) {
        struct qn_saved_file *file = &spill->files[spill->tensors[i].file];
        file->size = spill->tensors[i].offset + spill->tensors[i].data.len;
    }
    for (size_t i = 0; spill->files && i < spill->file_count; i++) spill->size += spill->files[i].size;
    return qn_arena_failed(&model->arena) ? qn_fail_nomem(err) : QONNX_OK;
}

static bool same(const struct stat *file, const struct qn_map *map)
{
    return map->inode && file->st_dev == map->device && file->st_ino == map->inode;
}

/* Weights of the model that is read may be replaced only together with it. */
static qonnx_status protect(const struct qn_spill *spill, const struct qn_model *model, const char *path,
                            qonnx_error *err)
{
    struct stat file;
    bool        in_place = stat(path, &file) == 0 && same(&file, &model->map), taken;

    for (size_t i = 0; i < spill->file_count; i++) {
        char *name = qn_arena_printf((struct qn_arena *)(uintptr_t)&spill->arena, "%.*s%s", (int)(base_of(path) - path),
                                     path, spill->files[i].name);
        if (!name) return qn_fail_nomem(err);
        if (stat(name, &file) != 0) continue;
        taken = same(&file, &model->map);
        for (size_t k = 0; k < model->external_count && !in_place; k++) taken |= same(&file, &model->externals[k]);
        if (taken)
            return qn_fail(
                err, QONNX_E_USAGE,
                "'%s' holds weights of the model, which the result's would replace; give the result another name",
                name);
    }
    return QONNX_OK;
}

static Onnx__StringStringEntryProto *entry(struct qn_spill *spill, const char *key, const char *value)
{
    Onnx__StringStringEntryProto *made = qn_arena_alloc(&spill->arena, sizeof *made);

    if (!made) return NULL;
    onnx__string_string_entry_proto__init(made);
    made->key = (char *)(uintptr_t)key;
    made->value = (char *)(uintptr_t)value;
    return made;
}

static void refer(struct qn_spill *spill, struct qn_spilled *s, Onnx__StringStringEntryProto **entries)
{
    entries[0] = entry(spill, "location", spill->files[s->file].name);
    entries[1] = entry(spill, "offset", qn_arena_printf(&spill->arena, "%" PRIu64, s->offset));
    entries[2] = entry(spill, "length", qn_arena_printf(&spill->arena, "%zu", s->data.len));
    s->tensor->has_raw_data = 0;
    s->tensor->raw_data = (ProtobufCBinaryData){ 0 };
    s->tensor->has_data_location = 1;
    s->tensor->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
    s->tensor->external_data = entries;
    s->tensor->n_external_data = ENTRIES;
}

static qonnx_status check_size(const struct qn_model *model, const char *path, bool spilled, qonnx_error *err)
{
    size_t size = qn_model_packed_size(model);

    if (size <= INT_MAX) return QONNX_OK;
    return qn_fail(err, QONNX_E_LIMIT,
                   "%s: the output would take %zu bytes%s; a single ONNX file is smaller than 2 GiB%s", path, size,
                   spilled ? " without the data of its initializers" : "",
                   spilled ? "" : " (--external-data auto writes larger ones)");
}

qonnx_status qn_spill_begin(struct qn_spill *spill, struct qn_model *model, const char *path,
                            const struct qn_save_options *options, qonnx_error *err)
{
    Onnx__StringStringEntryProto **entries;

    memset(spill, 0, sizeof *spill);
    if (options->external == QN_EXTERNAL_NEVER) return check_size(model, path, false, err);
    if (options->external == QN_EXTERNAL_AUTO && qn_model_packed_size(model) <= INT_MAX) return QONNX_OK;
    QN_TRY(qn_visit_messages(&model->pb->base, collect, spill, err));
    if (spill->count) {
        spill->tensors = qn_arena_array(&spill->arena, spill->count, sizeof *spill->tensors);
        entries = qn_arena_array(&spill->arena, spill->count, ENTRIES * sizeof(void *));
        spill->count = 0;
        if (!entries) return qn_fail_nomem(err);
        QN_TRY(qn_visit_messages(&model->pb->base, collect, spill, err));
        assign(spill, options->shard_size);
        QN_TRY(name_files(spill, model, path, err));
        QN_TRY(protect(spill, model, path, err));
        for (size_t i = 0; i < spill->count; i++) refer(spill, &spill->tensors[i], entries + i * ENTRIES);
        if (qn_arena_failed(&spill->arena)) return qn_fail_nomem(err);
    }
    return check_size(model, path, true, err);
}

void qn_spill_end(struct qn_spill *spill)
{
    for (size_t i = 0; spill->tensors && i < spill->count; i++) {
        Onnx__TensorProto *tensor = spill->tensors[i].tensor;
        tensor->has_data_location = 0;
        tensor->external_data = NULL;
        tensor->n_external_data = 0;
        tensor->has_raw_data = 1;
        tensor->raw_data = spill->tensors[i].data;
    }
    qn_arena_release(&spill->arena);
}
