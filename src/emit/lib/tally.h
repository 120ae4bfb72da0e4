/* SPDX-License-Identifier: Apache-2.0
 * What codes lose that are made in pieces, by several threads in any order: added up in the order of the pieces. */
#ifndef QN_EMIT_LIB_TALLY_H
#define QN_EMIT_LIB_TALLY_H

#include <stdatomic.h>

#include "plan/plan.h"

struct qn_tally {
    struct qn_loss *into; /* NULL: nobody asks */
    struct qn_error_sums *pieces;
    size_t          count;
    atomic_size_t   left;
};

/* Of `count` pieces; NULL when memory is out. */
struct qn_tally *qn_tally_new(struct qn_arena *arena, size_t count, struct qn_loss *into);
/* The piece is made. With the last one *into is known, and all may be made anew. */
void             qn_tally_add(struct qn_tally *tally, size_t piece, struct qn_error_sums lost);

#endif
