/* SPDX-License-Identifier: Apache-2.0
 * What a model file is, quantized or not: ends, operators, constants. */
#ifndef QN_INSPECT_MODEL_H
#define QN_INSPECT_MODEL_H

#include "base/strbuf.h"
#include "json_out.h"
#include "run/runner.h"

struct qn_tallied {
    const char *name, *op; /* of what; of a node's constants also its operator */
    size_t      count;
    uint64_t    bytes;
};

struct qn_model_facts {
    const char           *producer, *producer_version; /* "" where the file does not say */
    uint64_t              bytes;                       /* files of external data included */
    const struct qn_port *inputs, *outputs;
    size_t                input_count, output_count;
    size_t                node_count; /* of the main graph */
    struct qn_tallied    *operators;  /* most frequent first */
    size_t                operator_count;
    struct qn_tallied     constants;       /* all of them: initializers and Constant nodes */
    struct qn_tallied    *types, *readers; /* by element type, by the node that reads them first; largest first */
    size_t                type_count, reader_count;
};

/* Of the model as it was read; texts point into it. */
QONNX_MUST_CHECK qonnx_status qn_model_facts(struct qn_model_facts *facts, const struct qn_model *model,
                                             struct qn_arena *arena, qonnx_error *err);
/* Lines, each with a newline, for behind the first. */
void                          qn_model_facts_text(const struct qn_model_facts *facts, struct qn_strbuf *text);
void qn_model_facts_json(const struct qn_model_facts *facts, struct qn_json *json, json_t *object);

#endif
