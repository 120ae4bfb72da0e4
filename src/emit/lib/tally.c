/* SPDX-License-Identifier: Apache-2.0 */
#include "emit/lib/tally.h"

struct qn_tally *qn_tally_new(struct qn_arena *arena, size_t count, struct qn_loss *into)
{
    struct qn_tally *tally = qn_arena_alloc(arena, sizeof *tally);

    if (!tally || !(tally->pieces = qn_arena_array(arena, count, sizeof *tally->pieces))) return NULL;
    tally->into = into;
    tally->count = count;
    atomic_init(&tally->left, count);
    return tally;
}

void qn_tally_add(struct qn_tally *tally, size_t piece, struct qn_error_sums lost)
{
    struct qn_loss all = { .known = true };

    tally->pieces[piece] = lost;
    if (atomic_fetch_sub(&tally->left, 1) != 1) return;
    for (size_t i = 0; i < tally->count; i++) {
        all.sums.signal += tally->pieces[i].signal;
        all.sums.noise += tally->pieces[i].noise;
    }
    if (tally->into) *tally->into = all;
    atomic_store(&tally->left, tally->count);
}
