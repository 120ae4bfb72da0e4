/* SPDX-License-Identifier: Apache-2.0
 * Is the quantized model still right? A few calibration samples are run through it exactly (Q/DQ in float, no
 * integer kernels) and compared with the float model's outputs, which are kept from calibration. */
#ifndef QN_JUDGE_H
#define QN_JUDGE_H

#include "run/calibrate.h"

enum {
    QN_JUDGE_LEAST = 4, /* samples, if there are so many; of more than 8 times as many: */
    QN_JUDGE_SHARE = 8, /* one in so many, but */
    QN_JUDGE_MOST = 16,
    QN_JUDGE_FEW = 4,                 /* one in so many of these tells what is not worth going on with, */
    QN_JUDGE_VALUES = 1000,           /* or as many more as have so many values */
    QN_JUDGE_BYTES = 16 << 20,        /* larger outputs are not compared */
    QN_JUDGE_ALL = 256,               /* samples when all are asked for */
    QN_JUDGE_ALL_BYTES = 512 << 20,   /* of one output in all samples, */
    QN_JUDGE_INPUT_BYTES = 256 << 20, /* and of their inputs, if all were as large: beyond it fewer are judged */
};

/* Float outputs of the judged samples. Zero-initialise. */
struct qn_judge {
    struct qn_kept {
        float *values;
        size_t count;
    }     *kept; /* [place][output] */
    double *signals; /* by output: sum of squares of what is kept */
    size_t outputs, samples, bytes; /* bytes: of an output that is kept, at most */
    size_t *chosen;           /* by place: which of the feed's samples. The first few are spread over all of them, too */
    struct qn_sample *inputs; /* by place; without views where they would be too large */
    bool   in_order;          /* of their places they are run; else first the one at: */
    size_t first;
};

struct qn_judge_scope {
    bool in_order; /* the first samples, each of which is run, because a state goes from one to the next */
    bool all;      /* up to QN_JUDGE_ALL, not one in so many */
};
/* Makes room for a model's outputs. Which samples are judged does not depend on the data. */
QONNX_MUST_CHECK qonnx_status qn_judge_begin(struct qn_judge *judge, size_t outputs, size_t samples, struct qn_judge_scope scope, qonnx_error *err);
/* The callback for qn_calibrate: keeps what is within the limits. */
qonnx_status qn_judge_keep(void *judge, size_t sample, size_t output, const struct qn_view *view, qonnx_error *err);
/* The callback for what has been run: the inputs of judged samples are taken over. */
void qn_judge_take(void *judge, struct qn_sample *sample);
/* True for samples that are judged. */
bool qn_judge_wants(const struct qn_judge *judge, size_t sample);
/* What the worst float output keeps, in dB; +inf when nothing differs or could be compared. */
struct qn_judgement {
    double sqnr; /* signal to noise of all samples together: one that fails altogether decides. No more than this if not all were run */
    double mean; /* of the samples' own, each at most QN_JUDGE_CAP: shows what helps all the others, too */
    double sure; /* what other samples keep together, nearly surely: from the mean and the spread of these; at most sqnr, which it is if not all were run */
    double drop; /* of 100 choices (the largest value of each row) so many are others, in the worst output; -1: no output has rows */
    double own[QN_JUDGE_MOST]; /* by place: what that sample keeps in its worst output; NAN: it was not run */
    size_t samples;
};
#define QN_JUDGE_CAP 60.0
#define QN_JUDGE_ENOUGH 45.0 /* about what 8 bits keep: nothing is tried beyond */
/* By more than chance: of all samples together and of the typical one, or of those that both have seen. Never when it has
 * seen fewer samples. */
bool qn_judgement_is_better(const struct qn_judgement *now, const struct qn_judgement *before);
/* The sample that keeps least goes first from now on: it tells most. */
void qn_judge_worst_first(struct qn_judge *judge, const struct qn_judgement *judgement);

/* Which samples, and how long. */
struct qn_judge_terms {
    size_t                     most;
    const struct qn_judgement *rival; /* what falls behind it is given up; NULL: nothing */
    double                     least; /* dB: what cannot keep so many any more is given up; 0: nothing */
};
/* How models open whose quantizers are to be exact: with the rewrites that pay in a few runs, none of which makes
 * integer kernels. */
struct qn_session_options qn_judge_options(void);
/* How many of the samples can be. */
size_t qn_judge_count(const struct qn_judge *judge);
/* How many of them tell most of what all would tell. */
size_t qn_judge_few(const struct qn_judge *judge);
/* Opens a model that is to be judged. */
QONNX_MUST_CHECK qonnx_status qn_judge_open(const struct qn_judge *judge, struct qn_runtime *runtime, const struct qn_model *model, struct qn_session **session, qonnx_error *err);
/* Runs it on the judged samples, or on the first so many of them, and closes it. */
QONNX_MUST_CHECK qonnx_status qn_judge_run(struct qn_judge *judge, struct qn_judge_terms terms, struct qn_session *session, struct qn_judgement *judgement, qonnx_error *err);
void qn_judge_release(struct qn_judge *judge);

#endif
