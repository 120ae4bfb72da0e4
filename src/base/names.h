/* SPDX-License-Identifier: Apache-2.0
 * Interning: each distinct text gets a dense small id, in order of first appearance. Texts are not copied; they must
 * outlive the table. */
#ifndef QN_BASE_NAMES_H
#define QN_BASE_NAMES_H

#include <stdint.h>

#include "base/arena.h"

#define QN_NONE UINT32_MAX

struct qn_names {
    struct qn_arena *arena;
    uint32_t        *slots; /* id + 1; 0 is free */
    size_t           slot_count, count, capacity;
    const char     **texts; /* by id */
};

/* All memory comes from the arena, which must outlive the table; there is nothing to release. */
void qn_names_init(struct qn_names *names, struct qn_arena *arena);
/* The id of text, new if unknown; QN_NONE after an arena failure. */
uint32_t qn_names_intern(struct qn_names *names, const char *text);
/* The id of text, or QN_NONE. */
uint32_t qn_names_find(const struct qn_names *names, const char *text);

#endif
