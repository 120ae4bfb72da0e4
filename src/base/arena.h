/* SPDX-License-Identifier: Apache-2.0
 * A bump allocator. Everything taken from an arena lives until qn_arena_release(); nothing is freed singly.
 *
 * Failure is sticky: once an allocation fails, every later one fails too and qn_arena_failed() is true, so builders
 * need not check each call; whoever commits their work asks once. */
#ifndef QN_BASE_ARENA_H
#define QN_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

struct qn_arena_block;
struct qn_arena {
    struct qn_arena_block *blocks;
    char                  *next;
    size_t                 left;
    bool                   failed;
};

/* A zero-initialised struct is a valid empty arena. */
void qn_arena_release(struct qn_arena *arena);

/* Zeroed memory aligned to 64 bytes for big blocks (>= 4096 bytes), 16 otherwise; NULL after a failure. Size 0 gives a
 * valid pointer. */
void *qn_arena_alloc(struct qn_arena *arena, size_t size);
/* The same, not zeroed; for buffers that are written whole at once. */
void *qn_arena_alloc_raw(struct qn_arena *arena, size_t size);
/* count × size with overflow check (an overflow is an arena failure). */
void *qn_arena_array(struct qn_arena *arena, size_t count, size_t size);
char *qn_arena_strdup(struct qn_arena *arena, const char *text);
char *qn_arena_memdup(struct qn_arena *arena, const void *bytes, size_t size);
char *qn_arena_printf(struct qn_arena *arena, const char *format, ...) QONNX_PRINTF(2, 3);
bool  qn_arena_failed(const struct qn_arena *arena);

/* Grows an arena-held array so that it has room for one more element: returns the (perhaps moved) array, or NULL on
 * failure, in which case *capacity is unchanged. */
void *qn_arena_grow(struct qn_arena *arena, void *array, size_t count, size_t *capacity, size_t size);

/* A point to come back to: rewinding frees what was taken since, and nothing else. A failure stays a failure. */
struct qn_arena_mark {
    struct qn_arena_block *blocks;
    char                  *next;
    size_t                 left;
};
struct qn_arena_mark qn_arena_mark(const struct qn_arena *arena);
void                 qn_arena_rewind(struct qn_arena *arena, struct qn_arena_mark mark);

/* Test hook: the n-th following allocation from any arena fails (once, or from then on). 0 switches it off. */
void qn_arena_inject_failure(size_t nth, bool from_then_on);

#endif
