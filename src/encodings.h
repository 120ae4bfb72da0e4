/* SPDX-License-Identifier: Apache-2.0
 * Other tools' files of ranges and scales: which kinds there are, and writing them. */
#ifndef QN_ENCODINGS_H
#define QN_ENCODINGS_H

#include "base/strbuf.h"
#include "plan/plan.h"
#include "plan/ranges.h"

struct qn_encoded_list;

struct qn_encoding_kind {
    const char       *name, *what;
    bool              of_layers; /* its names are those of nodes and stand for their first input */
    qn_ranges_reader *read;
    bool              of_all; /* its readers ask for ranges of tensors that stay float, too */
    /* What was chosen as such a file, in `text`; `notes` gets a line for everything that the format has no place for. */
    qonnx_status (*write)(const struct qn_encoded_list *list, struct qn_strbuf *text, struct qn_strbuf *notes,
                          qonnx_error *err);
};

/* The i-th kind, NULL behind the last. */
const struct qn_encoding_kind *qn_encoding_kind_at(size_t i);
/* KIND=PATH taken apart; E_USAGE that names the option and the known kinds. */
QONNX_MUST_CHECK qonnx_status  qn_encoding_split(const char *option, const char *spec,
                                                 const struct qn_encoding_kind **kind, const char **path,
                                                 qonnx_error *err);

/* ---- for the table: one file each ---- */

/* A tensor as the writers see it. */
enum qn_encoded_role { QN_ENCODED_ACTIVATION, QN_ENCODED_WEIGHT, QN_ENCODED_BIAS, QN_ENCODED_ROLES };
struct qn_encoded {
    enum qn_encoded_role     role;
    const char              *name;
    const struct qn_qparams *params;
    struct qn_range          range; /* of activations: what the codes are made for */
};
struct qn_encoded_list {
    const struct qn_plan         *plan;
    const struct qn_stats *const *stats; /* of tensors that stay float; NULL: of none */
    struct qn_encoded            *items; /* activations first; no name twice */
    size_t                        count, of[QN_ENCODED_ROLES];
    size_t blocks, floats, own; /* left out: weights in blocks, stored as floats; inputs requantized for one node */
    struct qn_arena arena;
};
QONNX_MUST_CHECK qonnx_status qn_encoded_list(const struct qn_plan *plan, const struct qn_stats *const *stats,
                                              struct qn_encoded_list *list, qonnx_error *err);
void                          qn_encoded_release(struct qn_encoded_list *list);
/* A line for what no kind has a place for. */
void                          qn_encoded_notes(const struct qn_encoded_list *list, struct qn_strbuf *notes);
/* The offset of slot i: codes stand for scale × (offset … offset + 2^bits - 1). */
int64_t                       qn_encoded_offset(const struct qn_qparams *params, size_t i);
/* As many codes above as below zero, but for one. */
bool                          qn_encoded_symmetric(const struct qn_qparams *params);

typedef qonnx_status qn_encodings_writer(const struct qn_encoded_list *list, struct qn_strbuf *text,
                                         struct qn_strbuf *notes, qonnx_error *err);
qn_encodings_writer  qn_encodings_write_ort, qn_encodings_write_aimet_0_6, qn_encodings_write_aimet_1,
    qn_encodings_write_aimet_2;
qn_encodings_writer qn_encodings_write_tensorrt, qn_encodings_write_ncnn;

#endif
