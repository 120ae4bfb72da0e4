/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/recipe.h"

#include <math.h>
#include <regex.h>
#include <string.h>

#include "base/file.h"
#include "plan/match.h"
#include "plan/recipe_reader.h"

enum { MAX_FILE = 16 << 20, MAX_REGEX = 256, MAX_REPEATS = 8 };

/* ---- rules ---- */

static const struct {
    const char *name;
} rule_keys[] = { { "match" }, { "regex" }, { "op" },     { "optional" }, { "weight" },
                  { "bias" },  { "input" }, { "output" }, { "comment" } };
enum { RULE_KEYS = sizeof rule_keys / sizeof *rule_keys };

/* Each + copies what it repeats, {} does so many times, and both multiply when nested; going back to what a group has
 * matched takes time without bound. */
static bool is_tame(const char *regex)
{
    size_t repeats = 0;

    for (const char *c = regex; *c; c++) {
        if (*c == '{' || (*c == '\\' && c[1] >= '0' && c[1] <= '9')) return false;
        repeats += *c == '+';
    }
    return repeats <= MAX_REPEATS && strlen(regex) <= MAX_REGEX;
}

static qonnx_status read_regex(struct qn_recipe_reader *r, const json_t *value, const char **text)
{
    regex_t compiled;
    char    trouble[128];
    int     code;

    QN_TRY(qn_recipe_text(r, value, text));
    if (!is_tame(*text))
        return qn_recipe_fail(r, "must not be longer than %d characters, nor use {}, back references or more than %d +",
                              MAX_REGEX, MAX_REPEATS);
    if ((code = regcomp(&compiled, *text, REG_EXTENDED | REG_NOSUB)) != 0) {
        regerror(code, &compiled, trouble, sizeof trouble);
        return qn_recipe_fail(r, "'%s' is no regular expression: %s", *text, trouble);
    }
    regfree(&compiled);
    return QONNX_OK;
}

static qonnx_status read_ops(struct qn_recipe_reader *r, const json_t *value, struct qn_rule_words *rule)
{
    size_t count = json_is_array(value) ? json_array_size(value) : 1;

    if (!json_is_array(value) && !json_is_string(value))
        return qn_recipe_fail(r, "is %s, must be an operator's name or an array of them", qn_recipe_type_name(value));
    if (!count) return qn_recipe_fail(r, "is empty");
    if (!(rule->ops = qn_arena_array(r->arena, count, sizeof *rule->ops))) return qn_fail_nomem(r->err);
    rule->op_count = count;
    if (json_is_string(value)) return qn_recipe_text(r, value, &rule->ops[0]);
    for (size_t i = 0; i < count; i++) {
        qn_recipe_enter(r, NULL, i);
        QN_TRY(qn_recipe_text(r, json_array_get(value, i), &rule->ops[i]));
        qn_recipe_leave(r);
    }
    return QONNX_OK;
}

static qonnx_status read_rule_member(struct qn_recipe_reader *r, const char *key, const json_t *value,
                                     struct qn_rule_words *rule)
{
    const char *comment;

    for (enum qn_slot slot = 0; slot < QN_SLOT_COUNT; slot++)
        if (strcmp(key, qn_slot_name(slot)) == 0) return qn_recipe_read_slot(r, slot, value, &rule->slots[slot]);
    if (strcmp(key, "match") == 0) return qn_recipe_text(r, value, &rule->match);
    if (strcmp(key, "regex") == 0) return read_regex(r, value, &rule->regex);
    if (strcmp(key, "op") == 0) return read_ops(r, value, rule);
    if (strcmp(key, "optional") == 0) return qn_recipe_bool(r, value, &rule->optional);
    if (strcmp(key, "comment") == 0) return qn_recipe_text(r, value, &comment);
    return qn_recipe_fail_key(r, key, rule_keys, RULE_KEYS, sizeof *rule_keys);
}

static qonnx_status read_rule(struct qn_recipe_reader *r, const json_t *value)
{
    struct qn_recipe    *recipe = r->recipe;
    struct qn_rule_words rule = { .file = r->path, .line = qn_recipe_line(r), .optional = !r->path }, *grown;
    bool                 says = false;
    const char          *key;
    json_t              *member;

    if (!json_is_object(value)) return qn_recipe_fail(r, "is %s, must be an object", qn_recipe_type_name(value));
    json_object_foreach((json_t *)(uintptr_t)value, key, member)
    {
        qn_recipe_enter(r, key, 0);
        QN_TRY(read_rule_member(r, key, member, &rule));
        qn_recipe_leave(r);
    }
    for (enum qn_slot slot = 0; slot < QN_SLOT_COUNT; slot++) says |= rule.slots[slot].said;
    if (rule.match && rule.regex) return qn_recipe_fail(r, "has both match and regex");
    if (!rule.match && !rule.regex && !rule.ops)
        return qn_recipe_fail(r, "says for no node: give it match, regex or op");
    if (!says) return qn_recipe_fail(r, "says nothing of weight, bias, input or output");
    grown = qn_arena_grow(r->arena, recipe->rules, recipe->rule_count, &recipe->rule_room, sizeof *grown);
    if (!grown) return qn_fail_nomem(r->err);
    recipe->rules = grown;
    grown[recipe->rule_count++] = rule;
    return QONNX_OK;
}

/* ---- inputs ---- */

static const struct {
    const char *name;
} input_keys[] = { { "scale" }, { "zero_point" }, { "bit_width" }, { "signed" }, { "narrow" } };
enum { INPUT_KEYS = sizeof input_keys / sizeof *input_keys };

static qonnx_status read_scale(struct qn_recipe_reader *r, const json_t *value, float *scale)
{
    double number;

    QN_TRY(qn_recipe_real(r, value, &number));
    *scale = (float)number;
    if (!(number > 0) || !isfinite(*scale) || *scale != qn_scale_clamp(*scale))
        return qn_recipe_fail(r, "%g is no scale: it must be between %g and %g", number, (double)QN_SCALE_MIN,
                              (double)QN_SCALE_MAX);
    return QONNX_OK;
}

static qonnx_status read_input_member(struct qn_recipe_reader *r, const char *key, const json_t *value,
                                      struct qn_input_words *input)
{
    int64_t number;

    if (strcmp(key, "scale") == 0) return read_scale(r, value, &input->scale);
    if (strcmp(key, "signed") == 0) return qn_recipe_bool(r, value, &input->is_signed);
    if (strcmp(key, "narrow") == 0) return qn_recipe_bool(r, value, &input->narrow);
    if (strcmp(key, "bit_width") == 0) {
        QN_TRY(qn_recipe_int(r, value, 2, 8, &number));
        input->bits = (int)number;
    } else if (strcmp(key, "zero_point") == 0) {
        QN_TRY(qn_recipe_int(r, value, -128, 255, &number));
        input->zero_point = (int32_t)number;
    } else {
        return qn_recipe_fail_key(r, key, input_keys, INPUT_KEYS, sizeof *input_keys);
    }
    return QONNX_OK;
}

static qonnx_status read_input(struct qn_recipe_reader *r, const char *name, const json_t *value)
{
    struct qn_recipe     *recipe = r->recipe;
    struct qn_input_words input = { .file = r->path, .line = qn_recipe_line(r), .bits = 8, .is_signed = true }, *grown;
    int32_t               lo, hi;
    const char           *key;
    json_t               *member;

    if (!json_is_object(value)) return qn_recipe_fail(r, "is %s, must be an object", qn_recipe_type_name(value));
    json_object_foreach((json_t *)(uintptr_t)value, key, member)
    {
        qn_recipe_enter(r, key, 0);
        QN_TRY(read_input_member(r, key, member, &input));
        qn_recipe_leave(r);
    }
    if (input.scale == 0.0f) return qn_recipe_fail(r, "has no scale");
    if (!qn_int_range(input.bits, input.is_signed, input.narrow, &lo, &hi) || input.zero_point < lo ||
        input.zero_point > hi)
        return qn_recipe_fail(r, "zero_point %d is not among the codes, %d to %d", input.zero_point, lo, hi);
    if (!(input.name = qn_arena_strdup(r->arena, name))) return qn_fail_nomem(r->err);
    grown = qn_arena_grow(r->arena, recipe->inputs, recipe->input_count, &recipe->input_room, sizeof *grown);
    if (!grown) return qn_fail_nomem(r->err);
    recipe->inputs = grown;
    grown[recipe->input_count++] = input;
    return QONNX_OK;
}

/* ---- options ---- */

static qonnx_status add_option(struct qn_recipe_reader *r, const char *name, const json_t *value)
{
    struct qn_recipe      *recipe = r->recipe;
    struct qn_option_words option = { .line = qn_recipe_line(r) }, *grown;

    if (json_is_boolean(value))
        option.value = json_is_true(value) ? "on" : "off";
    else if (json_is_integer(value))
        option.value = qn_arena_printf(r->arena, "%lld", (long long)json_integer_value(value));
    else if (json_is_string(value))
        option.value = qn_arena_strdup(r->arena, json_string_value(value));
    else
        return qn_recipe_fail(r, "is %s, must be a string, a whole number, true or false", qn_recipe_type_name(value));
    option.name = qn_arena_strdup(r->arena, name);
    grown = qn_arena_grow(r->arena, recipe->options, recipe->option_count, &recipe->option_room, sizeof *grown);
    if (!grown || qn_arena_failed(r->arena)) return qn_fail_nomem(r->err);
    recipe->options = grown;
    grown[recipe->option_count++] = option;
    return QONNX_OK;
}

static qonnx_status read_option(struct qn_recipe_reader *r, const char *name, const json_t *value)
{
    if (!json_is_array(value)) return add_option(r, name, value);
    for (size_t i = 0; i < json_array_size(value); i++) {
        qn_recipe_enter(r, NULL, i);
        QN_TRY(add_option(r, name, json_array_get(value, i)));
        qn_recipe_leave(r);
    }
    return QONNX_OK;
}

/* ---- the document ---- */

static const struct {
    const char *name;
} top_keys[] = { { "version" }, { "comment" }, { "options" }, { "passes" }, { "inputs" }, { "rules" } };
enum { TOP_KEYS = sizeof top_keys / sizeof *top_keys };

static qonnx_status each_member(struct qn_recipe_reader *r, const json_t *value,
                                qonnx_status (*read)(struct qn_recipe_reader *r, const char *name, const json_t *value))
{
    const char *key;
    json_t     *member;

    if (!json_is_object(value)) return qn_recipe_fail(r, "is %s, must be an object", qn_recipe_type_name(value));
    json_object_foreach((json_t *)(uintptr_t)value, key, member)
    {
        qn_recipe_enter(r, key, 0);
        QN_TRY(read(r, key, member));
        qn_recipe_leave(r);
    }
    return QONNX_OK;
}

static qonnx_status read_top(struct qn_recipe_reader *r, const char *key, const json_t *value)
{
    const char *comment;
    int64_t     version;

    if (strcmp(key, "version") == 0) return qn_recipe_int(r, value, 1, 1, &version);
    if (strcmp(key, "comment") == 0) return qn_recipe_text(r, value, &comment);
    if (strcmp(key, "options") == 0) return each_member(r, value, read_option);
    if (strcmp(key, "inputs") == 0) return each_member(r, value, read_input);
    if (strcmp(key, "passes") == 0) {
        if (!json_is_array(value)) return qn_recipe_fail(r, "is %s, must be an array", qn_recipe_type_name(value));
        r->recipe->no_passes = !json_array_size(value);
        return read_option(r, "pass", value);
    }
    if (strcmp(key, "rules") != 0) return qn_recipe_fail_key(r, key, top_keys, TOP_KEYS, sizeof *top_keys);
    if (!json_is_array(value)) return qn_recipe_fail(r, "is %s, must be an array", qn_recipe_type_name(value));
    r->recipe->has_rules = true;
    for (size_t i = 0; i < json_array_size(value); i++) {
        qn_recipe_enter(r, NULL, i);
        QN_TRY(read_rule(r, json_array_get(value, i)));
        qn_recipe_leave(r);
    }
    return QONNX_OK;
}

static qonnx_status read_document(struct qn_recipe_reader *r, const json_t *root)
{
    if (!json_is_object(root)) return qn_recipe_fail(r, "is %s, must be an object", qn_recipe_type_name(root));
    if (!json_object_get(root, "version")) return qn_recipe_fail(r, "has no key 'version'; it is 1");
    return each_member(r, root, read_top);
}

qonnx_status qn_recipe_parse(struct qn_recipe *recipe, const char *path, const char *text, size_t size,
                             struct qn_arena *arena, qonnx_error *err)
{
    struct qn_recipe_reader r = {
        .path = path, .text = text, .size = size, .recipe = recipe, .arena = arena, .err = err
    };
    json_error_t trouble;
    json_t      *root = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &trouble);
    qonnx_status status;

    if (!root)
        return qn_fail(err, QONNX_E_USAGE, "%s:%d: %s", path ? path : "preset", trouble.line > 0 ? trouble.line : 1,
                       trouble.text);
    status = read_document(&r, root);
    json_decref(root);
    return status;
}

qonnx_status qn_recipe_read(struct qn_recipe *recipe, const char *path, struct qn_arena *arena, qonnx_error *err)
{
    struct qn_map map = { 0 };
    const char   *kept = qn_arena_strdup(arena, path);
    qonnx_status  status;

    if (!kept) return qn_fail_nomem(err);
    QN_TRY(qn_map_open(&map, path, true, err));
    status = map.size > MAX_FILE
                 ? qn_fail(err, QONNX_E_USAGE, "%s: is larger than %d MB, no recipe", path, MAX_FILE >> 20)
                 : qn_recipe_parse(recipe, kept, (const char *)map.data, map.size, arena, err);
    qn_map_release(&map);
    return status;
}

/* ---- matching ---- */

static bool matches_text(const struct qn_rule_words *rule, const regex_t *regex, const char *text)
{
    return *text && (regex ? regexec(regex, text, 0, NULL, 0) == 0 : qn_glob(rule->match, text));
}

bool qn_rule_matches(const struct qn_rule_words *rule, const struct qn_graph *graph, qn_node_id node)
{
    const Onnx__NodeProto *pb = graph->pb->node[node];
    bool                   found = !rule->op_count;
    regex_t                regex;

    for (size_t i = 0; i < rule->op_count; i++) found |= strcmp(rule->ops[i], pb->op_type) == 0;
    if (!found || (!rule->match && !rule->regex)) return found;
    if (rule->regex && regcomp(&regex, rule->regex, REG_EXTENDED | REG_NOSUB) != 0) return false;
    found = pb->name && matches_text(rule, rule->regex ? &regex : NULL, pb->name);
    for (size_t i = 0; i < pb->n_output && !found; i++)
        found = matches_text(rule, rule->regex ? &regex : NULL, pb->output[i]);
    if (rule->regex) regfree(&regex);
    return found;
}
