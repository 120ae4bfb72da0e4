/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/json_place.h"

#include <stdbool.h>
#include <string.h>

/* A place in the text; every function stays within its end. */
struct cursor {
    const char *at, *end;
};

static bool is_at(const struct cursor *c, char what) { return c->at < c->end && *c->at == what; }

static void skip_space(struct cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t' || *c->at == '\n' || *c->at == '\r')) c->at++;
}

static void skip_string(struct cursor *c)
{
    for (c->at++; c->at < c->end && *c->at != '"'; c->at++)
        if (*c->at == '\\' && c->at + 1 < c->end) c->at++;
    if (c->at < c->end) c->at++;
}

static void skip_value(struct cursor *c)
{
    size_t depth = 0;

    do {
        if (c->at == c->end) return;
        if (*c->at == '"') {
            skip_string(c);
            continue;
        }
        if (*c->at == '{' || *c->at == '[') depth++;
        if (*c->at == '}' || *c->at == ']') depth--;
        c->at++;
        if (!depth)
            while (c->at < c->end && !strchr(",]} \t\r\n", *c->at)) c->at++; /* the rest of a number or word */
    } while (depth);
}

/* Onwards to the next member of the object or array; false at its end. */
static bool next_member(struct cursor *c)
{
    skip_space(c);
    if (!is_at(c, ',')) return false;
    c->at++;
    skip_space(c);
    return true;
}

static bool enter_object(struct cursor *c, const char *key, const char **place)
{
    size_t length = strlen(key);

    if (!is_at(c, '{')) return false;
    c->at++;
    skip_space(c);
    do {
        const char *start = c->at;
        bool        same;
        if (!is_at(c, '"')) return false;
        skip_string(c);
        same = (size_t)(c->at - start) == length + 2 && memcmp(start + 1, key, length) == 0;
        if (same) *place = start;
        skip_space(c);
        if (!is_at(c, ':')) return same;
        c->at++;
        skip_space(c);
        if (same) return true;
        skip_value(c);
    } while (next_member(c));
    return false;
}

static bool enter_array(struct cursor *c, size_t index, const char **place)
{
    if (!is_at(c, '[')) return false;
    c->at++;
    skip_space(c);
    for (size_t i = 0; i < index; i++) {
        skip_value(c);
        if (!next_member(c)) return false;
    }
    *place = c->at;
    return c->at < c->end;
}

int qn_json_line(const char *text, size_t size, const struct qn_json_step *steps, size_t count)
{
    struct cursor c = { text, text + size };
    const char   *place;
    int           line = 1;

    skip_space(&c);
    place = c.at;
    for (size_t i = 0; i < count; i++)
        if (!(steps[i].key ? enter_object(&c, steps[i].key, &place) : enter_array(&c, steps[i].index, &place))) break;
    for (const char *p = text; p < place; p++) line += *p == '\n';
    return line;
}
