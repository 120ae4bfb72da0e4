/* SPDX-License-Identifier: Apache-2.0
 * qonnx_print_config: settings as a recipe file. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "json_out.h"
#include "plan/presets.h"
#include "plan/recipe.h"
#include "report.h"

struct printer {
    struct qn_json            json;
    const struct qn_settings *settings;
    struct qn_arena           arena;
};

static void put(struct printer *p, json_t *object, const char *key, json_t *value)
{
    qn_json_put(&p->json, object, key, value);
}

/* ---- options ---- */

/* Those that decide what the quantized model is, and name no file of this machine. */
static bool is_printed(const qonnx_option_info *option)
{
    static const char *const left_out[] = { "preset", "config", "calib" };

    for (size_t i = 0; i < sizeof left_out / sizeof *left_out; i++)
        if (strcmp(option->name, left_out[i]) == 0) return false;
    return strchr(option->commands, 'q') &&
           (strcmp(option->group, "Quantization") == 0 || strcmp(option->group, "Data") == 0);
}

static json_t *option_value(const qonnx_option_info *option, const char *text)
{
    char     *end;
    long long number = strtoll(text, &end, 10);

    if (!option->argument || strcmp(option->argument, "on|off") == 0) return json_boolean(strcmp(text, "on") == 0);
    return *text && !*end && !option->repeatable ? json_integer(number) : qn_json_text(text);
}

static json_t *option_list(struct printer *p, size_t i)
{
    json_t     *list = json_array();
    const char *text;

    for (size_t k = 0; (text = qn_settings_text(p->settings, i, k, &p->arena)); k++)
        qn_json_append(&p->json, list, qn_json_text(text));
    return list;
}

static json_t *options(struct printer *p)
{
    json_t                  *object = json_object();
    const qonnx_option_info *option;
    const char              *text;

    for (size_t i = 0; (option = qonnx_option_at(i)); i++) {
        if (!is_printed(option) || !(text = qn_settings_text(p->settings, i, 0, &p->arena))) continue;
        put(p, object, option->name, option->repeatable ? option_list(p, i) : option_value(option, text));
    }
    return object;
}

/* ---- rules ---- */

static json_t *slot(struct printer *p, const struct qn_slot_words *words)
{
    const struct qn_quantizer *v = &words->values;
    json_t                    *object;

    if (words->off) return json_null();
    if (v->row && !words->keys) return json_string(v->row->name);
    object = json_object();
    if (v->row) put(p, object, "quantizer", json_string(v->row->name));
    if (words->keys & QN_KEY_BIT_WIDTH) put(p, object, "bit_width", json_integer(v->bits));
    if (words->keys & QN_KEY_SIGNED) put(p, object, "signed", json_boolean(v->is_signed));
    if (words->keys & QN_KEY_NARROW) put(p, object, "narrow", json_boolean(v->narrow));
    if (words->keys & QN_KEY_PER_CHANNEL) put(p, object, "per_channel", json_boolean(v->per_channel));
    if (words->keys & QN_KEY_MIN_VAL) put(p, object, "min_val", json_real(v->min_val));
    if (words->keys & QN_KEY_MAX_VAL) put(p, object, "max_val", json_real(v->max_val));
    if (words->keys & QN_KEY_COLLECT_STEPS) put(p, object, "collect_steps", json_integer(v->collect_steps));
    if (words->keys & QN_KEY_MOMENTUM)
        put(p, object, "momentum", isnan(v->momentum) ? json_null() : json_real(v->momentum));
    if (words->keys & QN_KEY_LOW_PERCENTILE) put(p, object, "low_percentile", json_real(v->low_percentile));
    if (words->keys & QN_KEY_HIGH_PERCENTILE) put(p, object, "high_percentile", json_real(v->high_percentile));
    if (words->keys & QN_KEY_ONLY_IF_FLOAT) put(p, object, "only_if_float", json_boolean(words->only_if_float));
    return object;
}

static json_t *rule(struct printer *p, const struct qn_rule_words *words)
{
    json_t *object = json_object(), *ops = words->op_count > 1 ? json_array() : NULL;

    if (words->match) put(p, object, "match", qn_json_text(words->match));
    if (words->regex) put(p, object, "regex", qn_json_text(words->regex));
    for (size_t i = 0; ops && i < words->op_count; i++) qn_json_append(&p->json, ops, qn_json_text(words->ops[i]));
    if (words->op_count) put(p, object, "op", ops ? ops : qn_json_text(words->ops[0]));
    for (enum qn_slot k = 0; k < QN_SLOT_COUNT; k++)
        if (words->slots[k].said) put(p, object, qn_slot_name(k), slot(p, &words->slots[k]));
    if (words->optional) put(p, object, "optional", json_true());
    return object;
}

static json_t *inputs(struct printer *p, const struct qn_recipe *recipe)
{
    json_t *object = json_object();

    for (size_t i = 0; i < recipe->input_count; i++) {
        const struct qn_input_words *words = &recipe->inputs[i];
        json_t                      *one = json_object();
        put(p, one, "scale", qn_json_real((double)words->scale));
        put(p, one, "zero_point", json_integer(words->zero_point));
        put(p, one, "bit_width", json_integer(words->bits));
        put(p, one, "signed", json_boolean(words->is_signed));
        put(p, one, "narrow", json_boolean(words->narrow));
        put(p, object, words->name, one);
    }
    return object;
}

static qonnx_status print(struct printer *p, struct qn_strbuf *text, qonnx_error *err)
{
    const struct qn_recipe *recipe = p->settings->recipe;
    json_t                 *root = json_object(), *rules = recipe ? json_array() : NULL;

    put(p, root, "version", json_integer(1));
    if (p->settings->preset_row->copy) { /* nothing is touched */
        put(p, root, "passes", json_array());
        put(p, root, "rules", json_array());
        return qn_json_write(&p->json, root, text, err);
    }
    put(p, root, "options", options(p));
    if (recipe && recipe->no_passes && !p->settings->pass.count) put(p, root, "passes", json_array());
    if (recipe && recipe->input_count) put(p, root, "inputs", inputs(p, recipe));
    for (size_t i = 0; recipe && i < recipe->rule_count; i++)
        qn_json_append(&p->json, rules, rule(p, &recipe->rules[i]));
    if (rules) put(p, root, "rules", rules);
    return qn_json_write(&p->json, root, text, err);
}

qonnx_status qonnx_print_config(const qonnx_options *given, qonnx_result **result, qonnx_error *err)
{
    struct qn_settings settings;
    struct printer     p = { .settings = &settings };
    struct qn_strbuf   text;
    qonnx_status       status = qn_settings_resolve(&settings, given, err);

    *result = NULL;
    qn_strbuf_init(&text);
    if (status == QONNX_OK) status = print(&p, &text, err);
    if (status == QONNX_OK) status = qn_result_new(result, &text, NULL, err);
    qn_strbuf_release(&text);
    qn_arena_release(&p.arena);
    qn_settings_release(&settings);
    return status;
}
