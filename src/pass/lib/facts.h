/* SPDX-License-Identifier: Apache-2.0
 * What can be told of values without running the model: element type, rank, and the length of 1-D values. Declared
 * types win; the rest follows from the operators. Passes ask this where a rewrite is right only for some ranks or types. */
#ifndef QN_PASS_LIB_FACTS_H
#define QN_PASS_LIB_FACTS_H

#include "onnx/graph.h"

struct qn_fact {
    int32_t dtype;  /* 0: not known */
    int32_t rank;   /* -1: not known */
    int64_t length; /* of a value of rank 1; -1: not known */
};

/* One fact for each value id of the main graph, in the arena; NULL after an arena failure. */
struct qn_fact *qn_facts(const struct qn_graph *graph, struct qn_arena *arena);

#endif
