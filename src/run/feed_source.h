/* SPDX-License-Identifier: Apache-2.0
 * What stands behind a feed. For feed*.c and synthetic.c only. */
#ifndef QN_RUN_FEED_SOURCE_H
#define QN_RUN_FEED_SOURCE_H

#include "base/strbuf.h"
#include "run/feed.h"

/* Inputs of one run may not be larger than this: a forged header would otherwise claim all memory. */
#define QN_SAMPLE_MAX ((size_t)1 << 31)

/* A sequence of samples. */
struct qn_source {
    size_t count;
    /* Fills the next sample; NULL leaves it out. Called at most `count` times before a rewind. */
    qonnx_status (*next)(struct qn_source *source, struct qn_sample *sample, qonnx_error *err);
    qonnx_status (*rewind)(struct qn_source *source, qonnx_error *err);
    void (*close)(struct qn_source *source);
    bool synthetic;
    bool grouped; /* samples that stand together are alike: those of a class are in one folder */
    /* May be NULL. Appends what people call the sample: a file, or a place in one. */
    void (*name)(const struct qn_source *source, size_t position, struct qn_strbuf *text);
    const struct qn_view *shapes; /* one for each input when all samples have these shapes; NULL: they may differ */
};

/* What the feed is for, and where a source leaves its remarks while it is made. */
struct qn_feed_ports {
    const struct qn_port          *ports;
    size_t                         count;
    struct qn_strbuf              *notes;
    const struct qn_image_options *images;
};
/* Adds a line, unless it is there already. */
void qn_feed_note(struct qn_strbuf *notes, const char *format, ...) QONNX_PRINTF(2, 3);

/* ---- files ---- */

/* What a file holds, by its name. */
enum qn_files_kind { QN_FILES_NPZ, QN_FILES_NPY, QN_FILES_RAW, QN_FILES_IMAGES, QN_FILES_CSV, QN_FILES_PB };

struct qn_data_file {
    char  *path;    /* of a folder with QN_FILES_PB */
    size_t samples; /* for whoever reads it */
};

struct qn_data_files {
    enum qn_files_kind   kind;
    bool                 folder; /* they are those of a folder, in order of their names */
    size_t               prefix; /* so much of each path is the folder's */
    struct qn_data_file *files;
    size_t               count, capacity;
};
/* A file, or the data files of a folder, which must all be of one kind; images also of the folders in it. */
QONNX_MUST_CHECK qonnx_status qn_data_files_find(struct qn_data_files *files, const char *path, qonnx_error *err);
void                          qn_data_files_release(struct qn_data_files *files);

/* The source behind a path. */
QONNX_MUST_CHECK qonnx_status qn_source_open(struct qn_source **source, const char *path,
                                             const struct qn_feed_ports *want, qonnx_error *err);
/* One for each kind of files; they take over the list, also when they fail. */
QONNX_MUST_CHECK qonnx_status qn_source_arrays(struct qn_source **source, struct qn_data_files *files,
                                               const struct qn_feed_ports *want, qonnx_error *err);
QONNX_MUST_CHECK qonnx_status qn_source_images(struct qn_source **source, struct qn_data_files *files,
                                               const struct qn_feed_ports *want, qonnx_error *err);
QONNX_MUST_CHECK qonnx_status qn_source_csv(struct qn_source **source, struct qn_data_files *files,
                                            const struct qn_feed_ports *want, qonnx_error *err);
/* Reads folder/input_K.pb into a sample; with sample NULL only checks it. */
QONNX_MUST_CHECK qonnx_status qn_pb_read(const char *folder, size_t k, const struct qn_feed_ports *want,
                                         struct qn_sample *sample, qonnx_error *err);

/* Takes over the source, also when this fails. */
QONNX_MUST_CHECK qonnx_status qn_feed_new(struct qn_feed **feed, struct qn_source *source,
                                          const struct qn_feed_options *options, struct qn_strbuf *notes,
                                          qonnx_error *err);

/* The shape a run is given when data of this shape are meant for the port: the same, or with a leading 1 more.
 * E_DATA when it does not fit. `what` names the data in errors and notes. */
QONNX_MUST_CHECK qonnx_status qn_fit_shape(const struct qn_port *port, int rank, const int64_t *dims, int *fit_rank,
                                           int64_t fit_dims[QN_MAX_RANK], struct qn_strbuf *notes, qonnx_error *err);
/* The type a run is given, and a note when elements convert. */
QONNX_MUST_CHECK qonnx_status qn_fit_type(const struct qn_port *port, int32_t found, int32_t *fit,
                                          struct qn_strbuf *notes, qonnx_error *err);
/* Makes room for input i of a sample of `count` inputs and describes it; *data is to be filled. */
QONNX_MUST_CHECK qonnx_status qn_sample_place(struct qn_sample *sample, size_t count, size_t i, const char *name,
                                              int32_t dtype, int rank, const int64_t *dims, void **data,
                                              qonnx_error *err);

#endif
