/* SPDX-License-Identifier: Apache-2.0
 * What --fail-below asks of a comparison. */
#ifndef QN_DEMANDS_H
#define QN_DEMANDS_H

#include "plan/options.h"
#include "run/compare.h"

enum qn_figure {
    QN_FIGURE_SQNR,
    QN_FIGURE_WORST_SQNR,
    QN_FIGURE_COSINE,
    QN_FIGURE_MAX_ERROR,
    QN_FIGURE_RELATIVE,
    QN_FIGURE_AGREEMENT,
    QN_FIGURE_DROP,
    QN_FIGURE_COUNT
};

struct qn_demand {
    enum qn_figure figure;
    double         bound; /* the least that passes; of errors and losses the most */
    /* by qn_demands_judge: */
    double value; /* of the worst output; NAN when there is none to judge or it holds NaN or infinity on one side */
    const char *output; /* the worst one, or NULL */
    bool        met;
};

const char *qn_figure_name(enum qn_figure figure); /* "sqnr" */

/* Reads "FIGURE=X" texts into an array in the arena. E_USAGE with the nearest figure's name. */
QONNX_MUST_CHECK qonnx_status qn_demands_parse(const struct qn_list *texts, bool has_labels, struct qn_arena *arena,
                                               struct qn_demand **demands, size_t *count, qonnx_error *err);

/* Judges all; E_QUALITY tells the first that was not met. Those of values hold for every float output, agreement for the
 * labelled output or, without labels, every output with classes. */
QONNX_MUST_CHECK qonnx_status qn_demands_judge(struct qn_demand *demands, size_t count,
                                               const struct qn_comparison *comparison, qonnx_error *err);

#endif
