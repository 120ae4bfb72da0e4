/* SPDX-License-Identifier: Apache-2.0 */
#include "base/names.h"

#include <string.h>
#include <xxhash.h>

void qn_names_init(struct qn_names *names, struct qn_arena *arena)
{
    memset(names, 0, sizeof *names);
    names->arena = arena;
}

/* The slot that holds text, or the free one where it belongs. */
static size_t probe(const struct qn_names *names, const char *text)
{
    size_t mask = names->slot_count - 1, i = (size_t)XXH3_64bits(text, strlen(text)) & mask;

    while (names->slots[i] && strcmp(names->texts[names->slots[i] - 1], text) != 0) i = (i + 1) & mask;
    return i;
}

static bool rehash(struct qn_names *names)
{
    size_t    count = names->slot_count ? names->slot_count * 2 : 64;
    uint32_t *slots = qn_arena_array(names->arena, count, sizeof *slots);

    if (!slots) return false;
    names->slots = slots;
    names->slot_count = count;
    for (uint32_t id = 0; id < names->count; id++) slots[probe(names, names->texts[id])] = id + 1;
    return true;
}

uint32_t qn_names_intern(struct qn_names *names, const char *text)
{
    const char **texts;
    size_t       slot;

    if (names->count * 2 >= names->slot_count && !rehash(names)) return QN_NONE;
    slot = probe(names, text);
    if (names->slots[slot]) return names->slots[slot] - 1;
    texts = qn_arena_grow(names->arena, (void *)names->texts, names->count, &names->capacity, sizeof *texts);
    if (!texts || names->count >= QN_NONE - 1) return QN_NONE;
    names->texts = texts;
    texts[names->count] = text;
    names->slots[slot] = (uint32_t)++names->count;
    return names->slots[slot] - 1;
}

uint32_t qn_names_find(const struct qn_names *names, const char *text)
{
    return names->slot_count ? names->slots[probe(names, text)] - 1u : QN_NONE;
}
