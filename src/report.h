/* SPDX-License-Identifier: Apache-2.0
 * What a conversion did, as text for people and as the JSON sidecar (docs/sidecar.md, docs/sidecar.schema.json). */
#ifndef QN_REPORT_H
#define QN_REPORT_H

#include "base/strbuf.h"
#include "json_out.h"
#include "onnx/save.h"
#include "plan/plan.h"
#include "run/feed.h"
#include "verify.h"
#include "warnings.h"

struct qonnx_result {
    char *text, *json;
};

/* Copies of the texts; `json` may be NULL. */
QONNX_MUST_CHECK qonnx_status qn_result_new(qonnx_result **result, const struct qn_strbuf *text, const struct qn_strbuf *json, qonnx_error *err);

/* What quantizing does to a node's result, in dB of the float one; +INFINITY: nothing, NAN: not measured. */
struct qn_layer_error {
    double alone;    /* reading the float model's values, quantized: the node's own error */
    double together; /* reading what the quantized model made: all errors up to here */
};

/* What part of the model loses how much when it alone is quantized. Nodes are those of the plan's graph. */
struct qn_sensitivity {
    qn_node_id first, last;
    size_t     nodes;    /* of these two and those between them, that can be quantized */
    double     work;     /* share of what the quantizable layers multiply */
    double     sqnr;     /* dB; +inf when it changes nothing */
    bool       measured; /* by running it: the outputs' dB; else by statistics: its own */
    bool       quantized;
};

/* A file that ranges of activations were taken from. */
struct qn_ranges_source {
    const char *kind; /* NULL: there was none */
    const char *path, *xxh3_128;
    size_t      used; /* tensors that have theirs from it, and those that share theirs with them */
};

/* What a weight became where a size was asked for, and what would have cost and saved more. Bytes with scales and zero
 * points; losses are shares of the weight's power. */
struct qn_allotment {
    const char *name;
    qn_node_id  node; /* the first that reads it */
    const char *form, *next_form; /* NULL: there is none */
    uint64_t    bytes, next_bytes;
    double      loss, next_loss;
};

/* Everything the report is made of. Pointers that do not apply are NULL (preset copy has no plan, no data). */
struct qn_report {
    char                       command; /* whose options they are, as in qonnx_option_info.commands; 0: a quantization's */
    const char                *input_path, *output_path;
    uint64_t                   input_size; /* of the model file alone */
    uint64_t                   input_external; /* of the files its external data lie in */
    int64_t                    input_opset, input_ir, output_opset, output_ir;
    const struct qn_settings  *settings;
    const struct qn_save_result *saved;
    const char                *first_difference; /* preset copy: the first field that was written differently, or NULL */
    const struct qn_plan      *plan;             /* of the float graph, solved */
    const char *const         *passes;           /* names of the float passes that changed something, in order */
    size_t                     pass_count;
    const char                *runtime;          /* "onnxruntime 1.31.1" */
    struct qn_ranges_source    ranges;
    const struct qn_feed_info *data;
    const char              *source; /* of the data: a path; NULL: there is none */
    size_t                     samples;          /* runs done for calibration */
    size_t                     judged_samples;   /* calibration samples the result was compared on; 0: it was not */
    size_t                     candidates;       /* models made and run while searching */
    double                     judged_drop;      /* choices in 100 that are others; -1 when no output makes any */
    const struct qn_sensitivity *sensitivities;  /* the worst first */
    size_t                     sensitivity_count;
    const struct qn_allotment *allotments;       /* where a size was asked for; in the order of the graph */
    size_t                     allotment_count;
    double                     size_wanted, size_made, size_least; /* bytes, of what was asked for; 0: nothing was */
    double                     judged_sqnr;      /* in dB, of the worst output; +inf when all are equal, or too large to be kept */
    const struct qn_stats *const *stats;         /* by value id of the plan's graph; NULL where not observed */
    const struct qn_kernels_found *kernels;      /* what the runtime made of the result; NULL when that was not asked */
    const struct qn_layer_error *layer_errors;   /* by node id; NULL: not measured */
    size_t                     layer_error_samples; /* they were measured on */
    const char                *no_layer_errors;  /* why not; NULL when they were not asked for either */
    struct qn_pace             pace;             /* against the input; of the text only, for no two runs take the same time */
    const struct qn_warnings  *warnings;
};

/* For people, at most 25 lines. */
QONNX_MUST_CHECK qonnx_status qn_report_text(const struct qn_report *report, struct qn_strbuf *text, qonnx_error *err);
/* Parts of the text: what stays in float and why; the kernels that the target runs, expected or found. */
void qn_report_left_in_float(const struct qn_plan *plan, struct qn_strbuf *text);
void qn_report_kernels(const struct qn_report *report, struct qn_strbuf *text);

/* Deterministic: no times, no host names; two runs give the same bytes. Ends with a newline. */
QONNX_MUST_CHECK qonnx_status qn_report_json(const struct qn_report *report, struct qn_strbuf *json, qonnx_error *err);
/* The same as an object in the making, for more to be added. Its `tensors` begin with an activation for each value that
 * qn_report_lists, in order. */
json_t *qn_report_object(const struct qn_report *report, struct qn_json *json);
bool    qn_report_lists(const struct qn_plan *plan, qn_value_id value);

/* ---- --report: all of the above and what was measured of each layer and tensor (docs/report.md) ---- */

/* The text, and a table of the layers. */
QONNX_MUST_CHECK qonnx_status qn_report_long_text(const struct qn_report *report, struct qn_strbuf *text, qonnx_error *err);
/* The sidecar's fields, errors and sizes by layer, histograms by tensor. */
QONNX_MUST_CHECK qonnx_status qn_report_long_json(const struct qn_report *report, struct qn_strbuf *json, qonnx_error *err);
/* A page that shows the same, whole in itself. */
QONNX_MUST_CHECK qonnx_status qn_report_page(const struct qn_report *report, struct qn_strbuf *html, qonnx_error *err);

#endif
