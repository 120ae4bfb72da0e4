/* SPDX-License-Identifier: Apache-2.0
 * Float-to-float rewrites that make a graph easier to quantize; each keeps the model's output. One file a pass:
 * src/pass/NAME.c defines `const struct qn_pass qn_pass_NAME`; the build finds the files by itself. */
#ifndef QN_PASS_PASS_H
#define QN_PASS_PASS_H

#include "onnx/edit.h"
#include "onnx/graph.h"

struct qn_pass {
    const char *name, *summary;
    /* Queues its changes; the caller commits, re-indexes and checks. Sets *again when another round may find more. */
    qonnx_status (*run)(const struct qn_graph *graph, struct qn_edit *edit, bool *again, qonnx_error *err);
};

/* The pass of that name, or NULL; the i-th pass in name order, NULL behind the last. */
const struct qn_pass *qn_pass_find(const char *name);
const struct qn_pass *qn_pass_at(size_t i);

/* Runs one pass on the graph until it finds nothing more (at most 64 rounds). */
QONNX_MUST_CHECK qonnx_status qn_pass_run(const struct qn_pass *pass, struct qn_graph *graph, qonnx_error *err);

#endif
