/* SPDX-License-Identifier: Apache-2.0
 * Writing a model: as one file, or with the data of its initializers in files beside it. */
#ifndef QN_ONNX_SAVE_H
#define QN_ONNX_SAVE_H

#include "onnx/model.h"

/* When initializers go into files of their own. */
enum qn_external { QN_EXTERNAL_AUTO /* from 2 GiB on */, QN_EXTERNAL_ALWAYS, QN_EXTERNAL_NEVER };

struct qn_save_options {
    int              sha256; /* < 0: for up to 64 MB; 0: never; 1: always */
    enum qn_external external;
    uint64_t         shard_size; /* of a file of data, unless one tensor is larger; 0: there is one file */
    int              threads;    /* that make deferred tensors */
};

struct qn_saved_file {
    const char      *name; /* in the folder of the model */
    uint64_t         size;
    struct qn_digest digest;
};

struct qn_save_result {
    uint64_t              size;   /* of the model file */
    struct qn_digest      input;  /* of the model file as read (without external files) */
    struct qn_digest      output; /* of the model file written */
    struct qn_saved_file *files;  /* of data, in the model's arena */
    size_t                file_count;
    uint64_t              total; /* bytes of all files */
};

/* Writes the model, streaming: deferred tensors are made on the way, written spans of the mapped input are dropped from
 * memory, and digests are taken as the bytes pass. `path` may be the model's own file. The files appear under their names
 * when all are complete, the model last. E_LIMIT for what one file cannot hold, E_USAGE where a file of data would
 * replace one of another model's. */
QONNX_MUST_CHECK qonnx_status qn_model_save(struct qn_model *model, const char *path,
                                            const struct qn_save_options *options, struct qn_save_result *result,
                                            qonnx_error *err);

/* Bytes of all files that this would write. */
QONNX_MUST_CHECK qonnx_status qn_model_saved_size(struct qn_model *model, const char *path,
                                                  const struct qn_save_options *options, uint64_t *total,
                                                  qonnx_error *err);

/* ---- spill.c ---- */

/* An initializer whose data go into a file. */
struct qn_spilled {
    Onnx__TensorProto  *tensor;
    ProtobufCBinaryData data;
    size_t              file;
    uint64_t            offset;
};

struct qn_spill {
    struct qn_spilled    *tensors; /* by file, then offset */
    size_t                count;
    struct qn_saved_file *files;
    size_t                file_count;
    uint64_t              size; /* of all files */
    struct qn_arena       arena;
};

/* Decides what goes where; the tensors then refer to the files. End it also after a failure. */
QONNX_MUST_CHECK qonnx_status qn_spill_begin(struct qn_spill *spill, struct qn_model *model, const char *path,
                                             const struct qn_save_options *options, qonnx_error *err);
/* The tensors hold their data as before. */
void                          qn_spill_end(struct qn_spill *spill);

#endif
