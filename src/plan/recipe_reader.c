/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/recipe_reader.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/numerals.h"
#include "base/strbuf.h"
#include "plan/options.h"

void qn_recipe_enter(struct qn_recipe_reader *r, const char *key, size_t index)
{
    if (r->depth < QN_RECIPE_DEPTH) r->steps[r->depth] = (struct qn_json_step){ key, index };
    r->depth++;
}

void qn_recipe_leave(struct qn_recipe_reader *r) { r->depth--; }

static size_t known_depth(const struct qn_recipe_reader *r)
{
    return r->depth < QN_RECIPE_DEPTH ? r->depth : QN_RECIPE_DEPTH;
}

int qn_recipe_line(const struct qn_recipe_reader *r)
{
    return qn_json_line(r->text, r->size, r->steps, known_depth(r));
}

qonnx_status qn_recipe_fail(const struct qn_recipe_reader *r, const char *format, ...)
{
    struct qn_strbuf place;
    char             text[400];
    va_list          arguments;
    qonnx_status     status;

    va_start(arguments, format);
    qn_vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    qn_strbuf_init(&place);
    for (size_t i = 0; i < known_depth(r); i++) {
        if (r->steps[i].key)
            qn_strbuf_printf(&place, "%s%.60s", i ? "." : "", r->steps[i].key);
        else
            qn_strbuf_printf(&place, "[%zu]", r->steps[i].index);
    }
    status = qn_fail(r->err, QONNX_E_USAGE, "%s:%d: %s%s%s", r->path ? r->path : "preset", qn_recipe_line(r),
                     place.text, place.length ? ": " : "", text);
    qn_strbuf_release(&place);
    return status;
}

qonnx_status qn_recipe_fail_key(const struct qn_recipe_reader *r, const char *key, const void *known, size_t count,
                                size_t stride)
{
    struct qn_nearest nearest = { .word = key };
    struct qn_strbuf  list;
    const char       *hint;
    qonnx_status      status;

    qn_strbuf_init(&list);
    for (size_t i = 0; i < count; i++) {
        const char *const *name = (const void *)((const char *)known + i * stride);
        qn_nearest_consider(&nearest, *name);
        qn_strbuf_printf(&list, "%s%s", i ? ", " : "; known are ", *name);
    }
    hint = qn_nearest_hint(&nearest);
    status = qn_recipe_fail(r, "unknown key%s", *hint ? hint : list.text);
    qn_strbuf_release(&list);
    return status;
}

const char *qn_recipe_type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER: return "a whole number";
    case JSON_REAL: return "a number";
    case JSON_NULL: return "null";
    default: return "true or false";
    }
}

qonnx_status qn_recipe_text(struct qn_recipe_reader *r, const json_t *value, const char **text)
{
    if (!json_is_string(value)) return qn_recipe_fail(r, "is %s, must be a string", qn_recipe_type_name(value));
    if (!*json_string_value(value)) return qn_recipe_fail(r, "is empty");
    *text = qn_arena_strdup(r->arena, json_string_value(value));
    return *text ? QONNX_OK : qn_fail_nomem(r->err);
}

qonnx_status qn_recipe_real(struct qn_recipe_reader *r, const json_t *value, double *number)
{
    if (!json_is_number(value)) return qn_recipe_fail(r, "is %s, must be a number", qn_recipe_type_name(value));
    *number = json_number_value(value);
    return QONNX_OK;
}

qonnx_status qn_recipe_int(struct qn_recipe_reader *r, const json_t *value, int64_t low, int64_t high, int64_t *number)
{
    if (!json_is_integer(value)) return qn_recipe_fail(r, "is %s, must be a whole number", qn_recipe_type_name(value));
    *number = json_integer_value(value);
    if (*number < low || *number > high)
        return qn_recipe_fail(r, "%lld is not between %lld and %lld", (long long)*number, (long long)low,
                              (long long)high);
    return QONNX_OK;
}

qonnx_status qn_recipe_bool(struct qn_recipe_reader *r, const json_t *value, bool *flag)
{
    if (!json_is_boolean(value)) return qn_recipe_fail(r, "is %s, must be true or false", qn_recipe_type_name(value));
    *flag = json_is_true(value);
    return QONNX_OK;
}
