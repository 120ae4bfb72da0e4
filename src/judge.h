/* SPDX-License-Identifier: Apache-2.0
 * Is the quantized model still right? A few calibration samples are run through it exactly (Q/DQ in float, no
 * integer kernels) and compared with the float model's outputs, which are kept from calibration. */
#ifndef QN_JUDGE_H
#define QN_JUDGE_H

#include "run/calibrate.h"

enum { QN_JUDGE_SAMPLES = 4, QN_JUDGE_SHARE = 8, QN_JUDGE_BYTES = 16 << 20 };

/* Float outputs of the first samples. Zero-initialise. */
struct qn_judge {
    struct qn_kept {
        float *values;
        size_t count;
    }     *kept; /* [sample][output] */
    size_t outputs, samples;
};

/* Makes room for a model's outputs. One sample in QN_JUDGE_SHARE is judged, but at least one and at most QN_JUDGE_SAMPLES:
 * Q/DQ in float is several times slower than the float model. */
QONNX_MUST_CHECK qonnx_status qn_judge_begin(struct qn_judge *judge, size_t outputs, size_t samples, qonnx_error *err);
/* The callback for qn_calibrate: keeps what is within the limits. */
qonnx_status qn_judge_keep(void *judge, size_t sample, size_t output, const struct qn_view *view, qonnx_error *err);
/* What the worst float output keeps, in dB; +inf when nothing differs or could be compared. */
struct qn_judgement {
    double sqnr; /* signal to noise of all samples together: one that fails altogether decides */
    double mean; /* of the samples' own, each at most QN_JUDGE_CAP: shows what helps all the others, too */
};
#define QN_JUDGE_CAP 60.0
/* By more than chance. */
bool qn_judgement_is_better(struct qn_judgement now, struct qn_judgement before);

/* Runs the model on the first samples of the feed, which is rewound. */
QONNX_MUST_CHECK qonnx_status qn_judge_run(const struct qn_judge *judge, struct qn_runtime *runtime, const struct qn_model *model, struct qn_feed *feed, struct qn_judgement *judgement, qonnx_error *err);
void qn_judge_release(struct qn_judge *judge);

#endif
