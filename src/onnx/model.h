/* SPDX-License-Identifier: Apache-2.0
 * An ONNX file in memory. The protobuf-c message is the model: unknown fields, names, order and doc strings survive.
 * Everything lives in the arena or in the mapped files until qn_model_release(); never call protobuf-c's free functions. */
#ifndef QN_ONNX_MODEL_H
#define QN_ONNX_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/status.h"
#include "onnx.pb-c.h"

struct qn_model {
    Onnx__ModelProto *pb;
    struct qn_arena   arena;
    struct qn_map     map;            /* the file itself */
    struct qn_map    *externals;      /* files that external tensors point into */
    char            **external_paths; /* their paths, same index */
    size_t            external_count, external_capacity;
    Onnx__GraphProto **bodies;      /* of what is laid out flat: see scopes.h */
    size_t            body_count, body_room;
    struct qn_deferred *deferred;   /* tensors whose bytes are still to be made: see deferred.h */
    size_t            deferred_count, deferred_capacity;
    char             *path; /* as given; "<memory>" for qn_model_parse */
    bool              no_mmap;
};

/* Reads a model. External data are mapped and attached: afterwards every tensor with data in this file set has
 * raw_data, and data_location and external_data are cleared. External paths must stay inside the model's folder (see
 * qn_path_inside). A file without a graph is refused. On failure nothing needs releasing. */
QONNX_MUST_CHECK qonnx_status qn_model_open(struct qn_model *model, const char *path, bool no_mmap, qonnx_error *err);
/* The same from memory that outlives the model; external data are refused. */
QONNX_MUST_CHECK qonnx_status qn_model_parse(struct qn_model *model, const void *bytes, size_t size, qonnx_error *err);
void                          qn_model_release(struct qn_model *model);

/* The version of an operator set the model imports ("" is ai.onnx), 0 when it does not. */
int64_t qn_model_opset(const struct qn_model *model, const char *domain);
/* Sets or adds an import. ir_version becomes at least what this opset of ai.onnx was released with, and at least 4,
 * from which on initializers need not be graph inputs. Out of memory is sticky in the arena. */
void    qn_model_set_opset(struct qn_model *model, const char *domain, int64_t version);

/* Size of the model as one file. */
size_t                        qn_model_packed_size(const struct qn_model *model);
/* The model as one buffer in the arena (for small models, tests and handing to a runtime). */
QONNX_MUST_CHECK qonnx_status qn_model_pack(const struct qn_model *model, struct qn_arena *arena, uint8_t **bytes,
                                            size_t *size, qonnx_error *err);

/* Maps and attaches the external data of every tensor; qn_model_open does it. */
QONNX_MUST_CHECK qonnx_status qn_model_attach_external(struct qn_model *model, qonnx_error *err);
/* The same for a model that has none mapped yet, when all of it lies in this file, whatever the tensors call it. */
QONNX_MUST_CHECK qonnx_status qn_model_attach_file(struct qn_model *model, const char *path, qonnx_error *err);
/* True when p lies in a file of the model; *map (may be NULL) is that file. */
bool                          qn_model_owns(const struct qn_model *model, const void *p, const struct qn_map **map);

#endif
