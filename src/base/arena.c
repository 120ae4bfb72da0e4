/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/numerals.h"

enum { BLOCK_SIZE = 64 * 1024, BIG = 4096, ALIGN_SMALL = 16, ALIGN_BIG = 64 };

struct qn_arena_block {
    struct qn_arena_block *next;
    size_t                 size;
};

static _Thread_local struct {
    size_t countdown;
    bool   sticky;
} fault;

void qn_arena_inject_failure(size_t nth, bool from_then_on)
{
    fault.countdown = nth;
    fault.sticky = from_then_on;
}

static bool injected(void)
{
    if (!fault.countdown) return false;
    if (fault.countdown > 1) {
        fault.countdown--;
        return false;
    }
    if (!fault.sticky) fault.countdown = 0;
    return true;
}

/* A block's payload starts at the next 64-byte boundary behind its header. */
static void *new_block(struct qn_arena *arena, size_t size)
{
    struct qn_arena_block *block;
    size_t                 header = ALIGN_BIG;

    if (size > SIZE_MAX - 2 * (size_t)ALIGN_BIG || !(block = malloc(size + header + ALIGN_BIG))) {
        arena->failed = true;
        return NULL;
    }
    block->next = arena->blocks;
    block->size = size;
    arena->blocks = block;
    return (char *)(((uintptr_t)block + header + ALIGN_BIG - 1) & ~(uintptr_t)(ALIGN_BIG - 1));
}

void *qn_arena_alloc_raw(struct qn_arena *arena, size_t size)
{
    char *result;

    if (arena->failed) return NULL;
    if (injected()) {
        arena->failed = true;
        return NULL;
    }
    if (size >= BIG) return new_block(arena, size);
    size = (size + ALIGN_SMALL - 1) / ALIGN_SMALL * ALIGN_SMALL;
    if (!size) size = ALIGN_SMALL;
    if (arena->left < size) {
        char *block = new_block(arena, BLOCK_SIZE);
        if (!block) return NULL;
        arena->next = block;
        arena->left = BLOCK_SIZE;
    }
    result = arena->next;
    arena->next += size;
    arena->left -= size;
    return result;
}

void *qn_arena_alloc(struct qn_arena *arena, size_t size)
{
    void *result = qn_arena_alloc_raw(arena, size);
    return result ? memset(result, 0, size) : NULL;
}

void *qn_arena_array(struct qn_arena *arena, size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) {
        arena->failed = true;
        return NULL;
    }
    return qn_arena_alloc(arena, total);
}

char *qn_arena_memdup(struct qn_arena *arena, const void *bytes, size_t size)
{
    char *copy = qn_arena_alloc_raw(arena, size + 1);
    if (!copy) return NULL;
    if (size) memcpy(copy, bytes, size);
    copy[size] = 0;
    return copy;
}

char *qn_arena_strdup(struct qn_arena *arena, const char *text) { return qn_arena_memdup(arena, text, strlen(text)); }

char *qn_arena_printf(struct qn_arena *arena, const char *format, ...)
{
    va_list args;
    int     size;
    char   *text;

    va_start(args, format);
    size = qn_vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (size < 0 || !(text = qn_arena_alloc_raw(arena, (size_t)size + 1))) {
        arena->failed = true;
        return NULL;
    }
    va_start(args, format);
    qn_vsnprintf(text, (size_t)size + 1, format, args);
    va_end(args);
    return text;
}

bool qn_arena_failed(const struct qn_arena *arena) { return arena->failed; }

void *qn_arena_grow(struct qn_arena *arena, void *array, size_t count, size_t *capacity, size_t size)
{
    size_t wanted = *capacity ? *capacity : 8;
    void  *grown;

    if (count < *capacity) return array;
    while (wanted <= count) wanted *= 2;
    if (!(grown = qn_arena_array(arena, wanted, size))) return NULL;
    if (count) memcpy(grown, array, count * size);
    *capacity = wanted;
    return grown;
}

struct qn_arena_mark qn_arena_mark(const struct qn_arena *arena)
{
    return (struct qn_arena_mark){ arena->blocks, arena->next, arena->left };
}

void qn_arena_rewind(struct qn_arena *arena, struct qn_arena_mark mark)
{
    while (arena->blocks != mark.blocks) {
        struct qn_arena_block *newest = arena->blocks;
        arena->blocks = newest->next;
        free(newest);
    }
    arena->next = mark.next;
    arena->left = mark.left;
}

void qn_arena_release(struct qn_arena *arena)
{
    qn_arena_rewind(arena, (struct qn_arena_mark){ NULL, NULL, 0 });
    arena->failed = false;
}
