/* SPDX-License-Identifier: Apache-2.0
 * Statistics of a model's values as a file: gathered on one machine or many, put together, and used later.
 *
 * All in them only adds up, so files of shards of the data put together are, byte for byte, the file of all of it. */
#ifndef QN_RUN_STATISTICS_H
#define QN_RUN_STATISTICS_H

#include "run/calibrate.h"

struct qn_statistics {
    /* Texts of where they come from. Only the first two must agree for files to be put together. */
    const char           *model;    /* digest of the model file */
    const char           *how;      /* the options that decide what is gathered */
    const char           *source;   /* of the data, without folders */
    const char           *runtime;  /* "onnxruntime 1.31.1" */
    const char           *cpu;      /* the instruction set that the runtime's kernels are chosen by */
    const char           *notes;    /* of the feed; lines */
    uint64_t              selected; /* samples there are in all shards */
    uint64_t              nan_count, inf_count;
    struct qn_fed        *fed; /* the samples, by position */
    size_t                fed_count;
    struct qn_calibration calibration; /* ranges of values follow `fed` */
    struct qn_arena       arena;
};

/* Of one go of a calibrator: takes over *calibration, and copies what the feed says of its samples, which are those from
 * `first` on. The texts stay NULL. */
QONNX_MUST_CHECK qonnx_status qn_statistics_take(struct qn_statistics *statistics, struct qn_calibration *calibration,
                                                 const struct qn_feed_info *info, size_t first, qonnx_error *err);
/* Adds what `other` holds to *statistics. E_DATA when the two do not go together; *statistics is then of no more use. */
QONNX_MUST_CHECK qonnx_status qn_statistics_merge(struct qn_statistics *statistics, const struct qn_statistics *other,
                                                  qonnx_error *err);
void                          qn_statistics_release(struct qn_statistics *statistics);

QONNX_MUST_CHECK qonnx_status qn_statistics_write(const struct qn_statistics *statistics, const char *path,
                                                  qonnx_error *err);
/* The file as bytes; and back: E_FORMAT for anything that the above does not write. */
QONNX_MUST_CHECK qonnx_status qn_statistics_pack(const struct qn_statistics *statistics, struct qn_strbuf *bytes,
                                                 qonnx_error *err);
QONNX_MUST_CHECK qonnx_status qn_statistics_read(struct qn_statistics *statistics, const char *path, qonnx_error *err);
QONNX_MUST_CHECK qonnx_status qn_statistics_parse(struct qn_statistics *statistics, const void *bytes, size_t size,
                                                  qonnx_error *err);

#define QN_STATISTICS_MAGIC "QONNX statistics 2\n"

#endif
