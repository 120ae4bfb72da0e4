/* SPDX-License-Identifier: Apache-2.0
 * Streams a model into files. Each byte of the input that passes is hashed and written while it is in the cache, and its
 * page then leaves this process' memory. */
#include "onnx/save.h"

#include <stdlib.h>
#include <string.h>

#include "onnx/deferred.h"

enum { BLOCK = 512 * 1024 /* fits a core's cache */, DIRECT = 16 * 1024, DROP = 8 * 1024 * 1024 };
static const size_t SHA256_LIMIT = 64u << 20; /* files up to this size get a sha256 unless told otherwise */

struct stream {
    ProtobufCBuffer        base;
    const struct qn_model *model;
    struct qn_sink        *sink;
    /* While the output is a prefix of the input (`twin`), one hasher stands for both: `output` is NULL. */
    struct qn_hasher      *input, *output;
    bool                   twin, failed;
    int                    threads;
    qonnx_status           status; /* of making what is deferred */
    qonnx_error           *err;
    size_t                 written; /* bytes handed to emit() so far */
    size_t                 hashed;  /* bytes of the input in `input` */
    size_t                 pending; /* small pieces that wait in block */
    uint8_t                block[BLOCK];
};

/* The output leaves the input's path, or might: from now on each has its own hasher. */
static void part(struct stream *stream)
{
    stream->twin = false;
    stream->hashed = stream->written;
    stream->output = qn_hasher_clone(stream->input);
    if (!stream->output) stream->failed = true;
}

/* Gives what lies between *from and `to` back to the system once it is worth a call. */
static void drop_behind(const struct qn_map *map, const uint8_t **from, const uint8_t *to, bool last)
{
    if (!map || (to - *from < DROP && !last)) return;
    qn_map_drop(map, *from, (size_t)(to - *from));
    *from = to;
}

/* Hashes the input from where its hasher is up to `end`. */
static void hash_input(struct stream *stream, size_t end)
{
    const struct qn_map *map = &stream->model->map;
    const uint8_t       *undropped = map->data + stream->hashed;

    while (stream->hashed < end) {
        const uint8_t *from = map->data + stream->hashed;
        size_t         size = end - stream->hashed < BLOCK ? end - stream->hashed : BLOCK;
        qn_hasher_add(stream->input, from, size);
        stream->hashed += size;
        drop_behind(map, &undropped, from + size, stream->hashed == end);
    }
}

/* True when these bytes of the input come next in the output as well. */
static bool follows_input(const struct stream *stream, const uint8_t *bytes, size_t size)
{
    const struct qn_map *map = &stream->model->map;

    if (size > map->size - stream->written) return false;
    return bytes == map->data + stream->written || memcmp(bytes, map->data + stream->written, size) == 0;
}

/* Hashes and writes at most BLOCK bytes. */
static void emit(struct stream *stream, const uint8_t *bytes, size_t size)
{
    const struct qn_map *map = &stream->model->map;

    if (stream->failed || !size) return;
    if (stream->twin && !follows_input(stream, bytes, size)) {
        part(stream);
        if (stream->failed) return;
    }
    if (stream->twin) {
        qn_hasher_add(stream->input, bytes, size);
    } else {
        if (qn_map_contains(map, bytes)) {
            size_t at = (size_t)(bytes - map->data);
            if (at >= stream->hashed) hash_input(stream, at);
            if (at == stream->hashed) {
                qn_hasher_add(stream->input, bytes, size);
                stream->hashed += size;
            }
        }
        qn_hasher_add(stream->output, bytes, size);
    }
    qn_sink_write(stream->sink, bytes, size);
    if (stream->twin && bytes == stream->block) qn_map_drop(map, map->data + stream->written, size); /* was compared */
    stream->written += size;
}

static void flush(struct stream *stream)
{
    emit(stream, stream->block, stream->pending);
    stream->pending = 0;
}

/* A unit of deferred bytes. What it was made of is in the cache still: the time to hash it. */
struct deferred {
    struct stream            *stream;
    struct qn_deferred       *from;
    const struct qn_map      *map; /* that holds the source, or NULL */
    const uint8_t            *undropped;
};

static qonnx_status take(void *taker, const uint8_t *bytes, size_t size, size_t done, qonnx_error *err)
{
    struct deferred     *d = taker;
    struct stream       *stream = d->stream;
    const uint8_t       *end = d->map ? (const uint8_t *)d->from->source + done : NULL;
    const struct qn_map *map = &stream->model->map;

    while (size) {
        size_t some = size < BLOCK ? size : BLOCK;
        emit(stream, bytes, some);
        bytes += some;
        size -= some;
    }
    if (stream->failed) return qn_fail_nomem(err);
    if (d->map == map && !stream->twin && (size_t)(end - map->data) > stream->hashed)
        hash_input(stream, (size_t)(end - map->data));
    if (d->map && end < d->undropped) d->undropped = d->from->source; /* a unit begins anew */
    if (d->map) drop_behind(d->map, &d->undropped, end, done == d->from->source_size);
    return QONNX_OK;
}

static void append_deferred(struct stream *stream, struct qn_deferred *deferred)
{
    struct deferred d = { .stream = stream, .from = deferred, .undropped = deferred->source };

    if (deferred->source) qn_model_owns(stream->model, deferred->source, &d.map);
    if (stream->status == QONNX_OK) stream->status = qn_deferred_make(deferred, stream->threads, take, &d, stream->err);
    if (d.map) qn_map_drop(d.map, deferred->source, deferred->source_size); /* a touch maps pages before it as well */
}

static void append(ProtobufCBuffer *base, size_t size, const uint8_t *bytes)
{
    struct stream            *stream = (struct stream *)base;
    const struct qn_map      *map = NULL;
    struct qn_deferred       *deferred = size < QN_DEFERRED_LEAST ? NULL : qn_model_deferred(stream->model, bytes);
    const uint8_t            *undropped = bytes;
    const bool                along = deferred && deferred->along && !deferred->made;

    if (!size) return;
    if (size < DIRECT && !deferred) {
        if (size > BLOCK - stream->pending) flush(stream);
        memcpy(stream->block + stream->pending, bytes, size);
        stream->pending += size;
        return;
    }
    flush(stream);
    if (deferred && !deferred->along && !deferred->made) {
        append_deferred(stream, deferred);
        return;
    }
    if (along && stream->status == QONNX_OK) stream->status = qn_deferred_fill(stream->model, deferred, stream->threads, stream->err);
    if (stream->status != QONNX_OK) return;
    qn_model_owns(stream->model, bytes, &map);
    while (size && !stream->failed) {
        size_t some = size < BLOCK ? size : BLOCK;
        emit(stream, bytes, some);
        bytes += some;
        size -= some;
        drop_behind(map, &undropped, bytes, size == 0);
    }
    if (along) qn_deferred_drop(stream->model, deferred);
}

/* Brings both digests to their ends. */
static void finish_digests(struct stream *stream, struct qn_save_result *result)
{
    if (stream->twin && stream->written == stream->model->map.size) {
        qn_hasher_finish(stream->input, &result->input);
        result->output = result->input;
    } else {
        if (stream->twin) part(stream);
        if (stream->failed) return;
        hash_input(stream, stream->model->map.size);
        qn_hasher_finish(stream->input, &result->input);
        qn_hasher_finish(stream->output, &result->output);
        stream->output = NULL;
    }
    stream->input = NULL;
}

static qonnx_status check(struct stream *stream, size_t expected)
{
    flush(stream);
    if (stream->status != QONNX_OK) return stream->status;
    if (stream->failed) return qn_fail_nomem(stream->err);
    return stream->written == expected
               ? QONNX_OK
               : qn_fail(stream->err, QONNX_E_INTERNAL, "packed %zu bytes instead of %zu", stream->written, expected);
}

/* ---- the files ---- */

/* All sinks are open until every file is complete. */
struct save {
    struct stream                *stream;
    struct qn_spill               spill;
    struct qn_sink              **sinks; /* of the model, then of its data */
    const struct qn_save_options *options;
    struct qn_save_result         result;
    bool                          sha256;
};

static qonnx_status open_sinks(struct save *save, const char *path, size_t size, qonnx_error *err)
{
    struct qn_arena *arena = &save->spill.arena;
    const char      *slash = strrchr(path, '/');

    if (!(save->sinks = qn_arena_array(arena, save->spill.file_count + 1, sizeof(struct qn_sink *))))
        return qn_fail_nomem(err);
    QN_TRY(qn_sink_open(&save->sinks[0], path, err));
    QN_TRY(qn_sink_check_room(save->sinks[0], size + save->spill.size, err));
    for (size_t i = 0; i < save->spill.file_count; i++) {
        char *name =
            qn_arena_printf(arena, "%.*s%s", slash ? (int)(slash + 1 - path) : 0, path, save->spill.files[i].name);
        if (!name) return qn_fail_nomem(err);
        QN_TRY(qn_sink_open(&save->sinks[i + 1], name, err));
    }
    return QONNX_OK;
}

static void pad(struct stream *stream, uint64_t offset)
{
    static const uint8_t zeros[4096];

    for (size_t at = stream->written + stream->pending, some; at < offset; at += some) {
        some = offset - at < sizeof zeros ? (size_t)(offset - at) : sizeof zeros;
        append(&stream->base, some, zeros);
    }
}

/* The tensors from `first` on that belong to the file; returns the next file's first. */
static qonnx_status write_data(struct save *save, size_t number, size_t *first)
{
    struct stream        *stream = save->stream;
    struct qn_saved_file *file = &save->spill.files[number];

    stream->sink = save->sinks[number + 1];
    stream->written = 0;
    if (!(stream->output = qn_hasher_new(save->sha256))) return qn_fail_nomem(stream->err);
    for (; *first < save->spill.count && save->spill.tensors[*first].file == number; ++*first) {
        const struct qn_spilled *s = &save->spill.tensors[*first];
        pad(stream, s->offset);
        append(&stream->base, s->data.len, s->data.data);
    }
    QN_TRY(check(stream, file->size));
    qn_hasher_finish(stream->output, &file->digest);
    stream->output = NULL;
    return qn_sink_finish(stream->sink, stream->err);
}

static qonnx_status write_model(struct save *save, size_t size)
{
    struct stream *stream = save->stream;

    stream->sink = save->sinks[0];
    stream->written = 0;
    if (!stream->twin && !(stream->output = qn_hasher_new(save->sha256))) return qn_fail_nomem(stream->err);
    protobuf_c_message_pack_to_buffer(&stream->model->pb->base, &stream->base);
    QN_TRY(check(stream, size));
    save->result.size = size;
    finish_digests(stream, &save->result);
    return stream->failed ? qn_fail_nomem(stream->err) : qn_sink_finish(stream->sink, stream->err);
}

static qonnx_status write_all(struct save *save, const char *path, qonnx_error *err)
{
    const struct qn_model *model = save->stream->model;
    size_t                 size = qn_model_packed_size(model), next = 0;
    uint64_t     larger = size + save->spill.size > model->map.size ? size + save->spill.size : model->map.size;
    qonnx_status status = QONNX_OK;

    save->sha256 = save->options->sha256 > 0 || (save->options->sha256 < 0 && larger <= SHA256_LIMIT);
    save->stream->twin = !save->spill.file_count;
    if (!(save->stream->input = qn_hasher_new(save->sha256))) return qn_fail_nomem(err);
    QN_TRY(open_sinks(save, path, size, err));
    for (size_t i = 0; i < save->spill.file_count; i++) QN_TRY(write_data(save, i, &next));
    QN_TRY(write_model(save, size));
    for (size_t i = save->spill.file_count + 1; i-- > 0 && status == QONNX_OK;) { /* the model comes last */
        status = qn_sink_commit(save->sinks[i], err);
        save->sinks[i] = NULL;
    }
    save->result.files = save->spill.files;
    save->result.file_count = save->spill.file_count;
    save->result.total = size + save->spill.size;
    return status;
}

qonnx_status qn_model_save(struct qn_model *model, const char *path, const struct qn_save_options *options,
                           struct qn_save_result *result, qonnx_error *err)
{
    struct save  save = { .options = options };
    qonnx_status status = qn_spill_begin(&save.spill, model, path, options, err);

    if (status == QONNX_OK && !(save.stream = malloc(sizeof *save.stream))) status = qn_fail_nomem(err);
    if (status == QONNX_OK) {
        memset(save.stream, 0, offsetof(struct stream, block));
        save.stream->base.append = append;
        save.stream->model = model;
        save.stream->threads = options->threads;
        save.stream->err = err;
        status = write_all(&save, path, err);
        for (size_t i = 0; save.sinks && i <= save.spill.file_count; i++) qn_sink_discard(save.sinks[i]);
        qn_hasher_discard(save.stream->input);
        qn_hasher_discard(save.stream->output);
    }
    free(save.stream);
    qn_spill_end(&save.spill);
    if (status == QONNX_OK && result) *result = save.result;
    return status;
}

qonnx_status qn_model_saved_size(struct qn_model *model, const char *path, const struct qn_save_options *options,
                                 uint64_t *total, qonnx_error *err)
{
    struct qn_spill spill;
    qonnx_status    status = qn_spill_begin(&spill, model, path, options, err);

    *total = qn_model_packed_size(model) + spill.size;
    qn_spill_end(&spill);
    return status;
}
