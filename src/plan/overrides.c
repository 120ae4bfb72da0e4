/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/overrides.h"

#include <string.h>

#include "plan/match.h"
#include "plan/presets.h"

/* The options that say how a weight becomes codes. */
static const char *const keys[] = { "weight-type",  "weight-bits", "block-size", "weight-symmetric",
                                    "weight-range", "per-channel", "embeddings" };
enum { KEYS = sizeof keys / sizeof *keys };

/* ---- reading ---- */

struct reader {
    struct qn_settings     *settings;
    const char             *text;
    struct qn_option_value *values;
    size_t                  count, room;
    bool                    keep_float;
    qonnx_error            *err;
};

static qonnx_status add(struct reader *r, const char *option, const char *value)
{
    struct qn_arena        *arena = &r->settings->arena;
    struct qn_option_value *grown = qn_arena_grow(arena, r->values, r->count, &r->room, sizeof *grown);

    if (!grown) return qn_fail_nomem(r->err);
    r->values = grown;
    grown[r->count++] = (struct qn_option_value){ option, value };
    return QONNX_OK;
}

/* All that the preset says of weights, defaults included. */
static qonnx_status add_preset(struct reader *r, const char *name)
{
    const struct qn_preset *preset = qn_preset_find(name);

    QN_TRY(qn_settings_check("preset", name, r->err));
    if (preset->copy || preset->rules)
        return qn_fail(r->err, QONNX_E_USAGE, "preset %s says nothing of single weights", name);
    for (size_t k = 0; k < KEYS; k++) {
        const char *value = qn_settings_default(keys[k]);
        for (size_t i = 0; preset->values[i].option; i++)
            if (strcmp(preset->values[i].option, keys[k]) == 0) value = preset->values[i].value;
        QN_TRY(add(r, keys[k], value));
    }
    return QONNX_OK;
}

static qonnx_status read_pair(struct reader *r, const char *word)
{
    const char *equals = strchr(word, '='), *value = equals ? equals + 1 : "";
    const char *key =
        qn_arena_printf(&r->settings->arena, "%.*s", (int)(equals ? equals - word : (long)strlen(word)), word);
    struct qn_nearest nearest = { .word = key };

    if (!key) return qn_fail_nomem(r->err);
    if (strcmp(word, "float") == 0) {
        r->keep_float = true;
        return QONNX_OK;
    }
    if (equals && strcmp(key, "preset") == 0) return add_preset(r, value);
    qn_nearest_consider(&nearest, "float");
    qn_nearest_consider(&nearest, "preset");
    for (size_t k = 0; k < KEYS; k++) {
        qn_nearest_consider(&nearest, keys[k]);
        if (!equals || strcmp(key, keys[k]) != 0) continue;
        QN_TRY(qn_settings_check(key, value, r->err));
        return add(r, keys[k], value);
    }
    return qn_fail(r->err, QONNX_E_USAGE,
                   "'%.60s' is neither float nor one of KEY=VALUE with preset, weight-type, weight-bits, block-size, "
                   "weight-symmetric, weight-range, per-channel and embeddings%s",
                   word, qn_nearest_hint(&nearest));
}

/* Names may hold colons, what is said of them does not. */
static qonnx_status read_override(struct reader *r, const char **pattern)
{
    struct qn_arena *arena = &r->settings->arena;
    const char      *colon = strrchr(r->text, ':');
    char            *rest, *state = NULL;

    if (!colon || colon == r->text || !colon[1 + strspn(colon + 1, ",")])
        return qn_fail(r->err, QONNX_E_USAGE, "it has the form PATTERN:KEY=VALUE,… or PATTERN:float");
    *pattern = qn_arena_printf(arena, "%.*s", (int)(colon - r->text), r->text);
    if (!*pattern || !(rest = qn_arena_strdup(arena, colon + 1))) return qn_fail_nomem(r->err);
    for (char *word = strtok_r(rest, ",", &state); word; word = strtok_r(NULL, ",", &state)) QN_TRY(read_pair(r, word));
    return QONNX_OK;
}

qonnx_status qn_overrides_parse(struct qn_settings *settings, qonnx_error *err)
{
    const struct qn_list *list = &settings->override;
    const char          **patterns = qn_arena_array(&settings->arena, list->count, sizeof *patterns);

    settings->overrides = qn_arena_array(&settings->arena, list->count, sizeof *settings->overrides);
    if (!patterns || !settings->overrides) return qn_fail_nomem(err);
    if (list->count && settings->recipe)
        return qn_fail(err, QONNX_E_USAGE, "--override: a recipe says what single layers have in rules of its own");
    for (size_t i = 0; i < list->count; i++) {
        struct reader r = { .settings = settings, .text = list->items[i], .err = err };
        qonnx_status  status = read_override(&r, &patterns[i]);
        if (status != QONNX_OK) return qn_wrap(err, status, "--override %.200s", r.text);
        settings->overrides[i] = (struct qn_override){ r.text, r.keep_float, r.values, r.count };
    }
    settings->overridden = (struct qn_list){ .items = patterns, .count = list->count };
    return QONNX_OK;
}

/* ---- applying ---- */

static struct qn_weight_form form_of(const struct qn_settings *s)
{
    return (struct qn_weight_form){ .type = s->weight_qtype,
                                    .bits = (int)s->weight_bits,
                                    .block = (size_t)s->block_size,
                                    .symmetric = s->weight_symmetric,
                                    .per_channel = s->per_channel,
                                    .embeddings = s->embeddings,
                                    .range_name = s->weight_range,
                                    .range = s->weight_range_how };
}

qonnx_status qn_overrides_apply(const struct qn_settings *settings, const struct qn_option_value *values, size_t count,
                                struct qn_weight_form *form, qonnx_error *err)
{
    struct qn_settings own = *settings;

    for (size_t i = 0; i < count; i++) qn_settings_replace(&own, values[i].option, values[i].value);
    QN_TRY(qn_settings_settle(&own, err));
    *form = form_of(&own);
    return QONNX_OK;
}

qonnx_status qn_overrides_form(const struct qn_settings *settings, const struct qn_graph *graph, qn_node_id node,
                               struct qn_weight_form *form, qonnx_error *err)
{
    struct qn_settings own;
    const char        *last = NULL;
    bool               keep_float = false;
    qonnx_status       status;

    *form = form_of(settings);
    for (size_t i = 0; i < settings->overridden.count; i++) {
        const struct qn_override *override = &settings->overrides[i];
        if (!qn_match_node(settings->overridden.items[i], graph, node)) continue;
        if (!last) own = *settings;
        last = override->text;
        keep_float = override->keep_float;
        for (size_t k = 0; k < override->count; k++)
            qn_settings_replace(&own, override->values[k].option, override->values[k].value);
    }
    if (!last) return QONNX_OK;
    if ((status = qn_settings_settle(&own, err)) != QONNX_OK)
        return qn_wrap(err, status, "--override %.200s: %s", last, qn_node_label(graph, node));
    *form = form_of(&own);
    form->keep_float = keep_float;
    return QONNX_OK;
}

bool qn_override_blocks(const struct qn_override *override)
{
    bool blocks = false;

    for (size_t i = 0; i < override->count; i++)
        if (strcmp(override->values[i].option, "block-size") == 0) blocks = strcmp(override->values[i].value, "0") != 0;
    return blocks;
}

struct qn_weight_form qn_overrides_widest(const struct qn_settings *settings)
{
    struct qn_weight_form widest = form_of(settings);

    for (size_t i = 0; i < settings->overridden.count; i++) {
        struct qn_settings own = *settings;
        for (size_t k = 0; k < settings->overrides[i].count; k++)
            qn_settings_replace(&own, settings->overrides[i].values[k].option, settings->overrides[i].values[k].value);
        if (own.block_size) widest.block = (size_t)own.block_size;
        if (own.weight_bits < widest.bits) widest.bits = (int)own.weight_bits;
        if (own.weight_type && qn_qtype_find(own.weight_type)->min_opset > widest.type->min_opset)
            widest.type = qn_qtype_find(own.weight_type);
    }
    return widest;
}
