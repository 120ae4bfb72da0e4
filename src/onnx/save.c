/* SPDX-License-Identifier: Apache-2.0
 * Streams a model into a file. Each byte of the input that passes is hashed and written while it is in the cache, and its
 * page then leaves this process' memory. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "onnx/model.h"

enum { BLOCK = 512 * 1024 /* fits a core's cache */, DIRECT = 16 * 1024, DROP = 8 * 1024 * 1024 };
static const size_t SHA256_LIMIT = 64u << 20; /* files up to this size get a sha256 unless told otherwise */

struct stream {
    ProtobufCBuffer        base;
    const struct qn_model *model;
    struct qn_sink        *sink;
    /* While the output is a prefix of the input (`twin`), one hasher stands for both: `output` is NULL. */
    struct qn_hasher      *input, *output;
    bool                   twin, failed;
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

static void append(ProtobufCBuffer *base, size_t size, const uint8_t *bytes)
{
    struct stream       *stream = (struct stream *)base;
    const struct qn_map *map = NULL;
    const uint8_t       *undropped = bytes;

    if (!size) return;
    if (size < DIRECT) {
        if (size > BLOCK - stream->pending) flush(stream);
        memcpy(stream->block + stream->pending, bytes, size);
        stream->pending += size;
        return;
    }
    flush(stream);
    qn_model_owns(stream->model, bytes, &map);
    while (size && !stream->failed) {
        size_t some = size < BLOCK ? size : BLOCK;
        emit(stream, bytes, some);
        bytes += some;
        size -= some;
        drop_behind(map, &undropped, bytes, size == 0);
    }
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

static qonnx_status write_all(struct stream *stream, size_t expected, struct qn_save_result *result, qonnx_error *err)
{
    protobuf_c_message_pack_to_buffer(&stream->model->pb->base, &stream->base);
    flush(stream);
    if (!stream->failed && stream->written != expected)
        return qn_fail(err, QONNX_E_INTERNAL, "packed %zu bytes instead of %zu", stream->written, expected);
    result->size = stream->written;
    if (!stream->failed) finish_digests(stream, result);
    return stream->failed ? qn_fail_nomem(err) : QONNX_OK;
}

qonnx_status qn_model_save(const struct qn_model *model, const char *path, int sha256, struct qn_save_result *result,
                           qonnx_error *err)
{
    size_t                size = qn_model_packed_size(model), larger = size > model->map.size ? size : model->map.size;
    struct qn_save_result done = { 0 };
    struct stream        *stream;
    qonnx_status          status;

    if (size > INT_MAX)
        return qn_fail(err, QONNX_E_LIMIT,
                       "%s: the output would take %zu bytes; a single ONNX file is smaller than 2 GiB", path, size);
    stream = malloc(sizeof *stream);
    if (!stream) return qn_fail_nomem(err);
    memset(stream, 0, offsetof(struct stream, block));
    stream->base.append = append;
    stream->model = model;
    stream->twin = true;
    stream->input = qn_hasher_new(sha256 > 0 || (sha256 < 0 && larger <= SHA256_LIMIT));
    status = stream->input ? qn_sink_open(&stream->sink, path, err) : qn_fail_nomem(err);
    if (status == QONNX_OK) {
        status = write_all(stream, size, &done, err);
        if (status == QONNX_OK)
            status = qn_sink_commit(stream->sink, err);
        else
            qn_sink_discard(stream->sink);
    }
    qn_hasher_discard(stream->input);
    qn_hasher_discard(stream->output);
    free(stream);
    if (status == QONNX_OK && result) *result = done;
    return status;
}
