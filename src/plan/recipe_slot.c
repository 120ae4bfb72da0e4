/* SPDX-License-Identifier: Apache-2.0
 * One slot of a rule: a quantizer's name and what is to differ from its defaults. */
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "plan/options.h"
#include "plan/recipe_reader.h"

static const char *const slot_names[QN_SLOT_COUNT] = { "weight", "bias", "input", "output" };
const char              *qn_slot_name(enum qn_slot slot) { return slot_names[slot]; }

static const char *const role_names[] = {
    [QN_FOR_WEIGHT] = "weights", [QN_FOR_ACTIVATION] = "activations", [QN_FOR_BIAS] = "biases"
};

static enum qn_quantizer_role role_of(enum qn_slot slot)
{
    return slot == QN_SLOT_WEIGHT ? QN_FOR_WEIGHT : slot == QN_SLOT_BIAS ? QN_FOR_BIAS : QN_FOR_ACTIVATION;
}

enum kind { NAME, WIDTH, STEPS, FLAG, REAL, MOMENTUM };
enum { W = 1 << QN_SLOT_WEIGHT, B = 1 << QN_SLOT_BIAS, I = 1 << QN_SLOT_INPUT, O = 1 << QN_SLOT_OUTPUT };

struct field {
    const char *name;
    enum kind   kind;
    unsigned    bit, slots; /* where it may stand */
    size_t      offset;     /* in qn_quantizer */
};
#define AT(member) offsetof(struct qn_quantizer, member)
static const struct field fields[] = {
    { "quantizer", NAME, 0, W | B | I | O, 0 },
    { "bit_width", WIDTH, QN_KEY_BIT_WIDTH, W | B | I | O, AT(bits) },
    { "signed", FLAG, QN_KEY_SIGNED, W | B | I | O, AT(is_signed) },
    { "narrow", FLAG, QN_KEY_NARROW, W | B | I | O, AT(narrow) },
    { "per_channel", FLAG, QN_KEY_PER_CHANNEL, W | B | I | O, AT(per_channel) },
    { "min_val", REAL, QN_KEY_MIN_VAL, I | O, AT(min_val) },
    { "max_val", REAL, QN_KEY_MAX_VAL, I | O, AT(max_val) },
    { "collect_steps", STEPS, QN_KEY_COLLECT_STEPS, I | O, AT(collect_steps) },
    { "momentum", MOMENTUM, QN_KEY_MOMENTUM, I | O, AT(momentum) },
    { "low_percentile", REAL, QN_KEY_LOW_PERCENTILE, I | O, AT(low_percentile) },
    { "high_percentile", REAL, QN_KEY_HIGH_PERCENTILE, I | O, AT(high_percentile) },
    { "only_if_float", FLAG, QN_KEY_ONLY_IF_FLOAT, I, SIZE_MAX },
};
enum { FIELDS = sizeof fields / sizeof *fields };

static const struct field *find_field(const char *name)
{
    for (size_t i = 0; i < FIELDS; i++)
        if (strcmp(fields[i].name, name) == 0) return &fields[i];
    return NULL;
}

static qonnx_status read_name(struct qn_recipe_reader *r, enum qn_slot slot, const json_t *value,
                              struct qn_slot_words *words)
{
    const struct qn_quantizer_row *row;
    struct qn_nearest              nearest = { 0 };
    const char                    *name;

    QN_TRY(qn_recipe_text(r, value, &name));
    if (!(row = qn_quantizer_row_find(name))) {
        nearest.word = name;
        for (size_t i = 0; (row = qn_quantizer_row_at(i)); i++) qn_nearest_consider(&nearest, row->name);
        return qn_recipe_fail(r, "unknown quantizer '%.80s'%s", name, qn_nearest_hint(&nearest));
    }
    if (row->role != role_of(slot))
        return qn_recipe_fail(r, "'%s' is a quantizer for %s, not for %s", row->name, role_names[row->role],
                              role_names[role_of(slot)]);
    qn_quantizer_init(&words->values, row);
    return QONNX_OK;
}

static qonnx_status read_value(struct qn_recipe_reader *r, const struct field *field, const json_t *value,
                               struct qn_slot_words *words)
{
    char   *member = field->offset == SIZE_MAX ? NULL : (char *)&words->values + field->offset;
    int64_t number;

    words->keys |= field->bit;
    switch (field->kind) {
    case NAME: return QONNX_OK; /* read first */
    case WIDTH:
        QN_TRY(qn_recipe_int(r, value, 0, 64, &number));
        *(int *)(void *)member = (int)number;
        return QONNX_OK;
    case STEPS: return qn_recipe_int(r, value, 0, INT32_MAX, (int64_t *)(void *)member);
    case FLAG: return qn_recipe_bool(r, value, member ? (bool *)(void *)member : &words->only_if_float);
    case MOMENTUM:
        if (json_is_null(value)) {
            *(double *)(void *)member = NAN;
            return QONNX_OK;
        }
        return qn_recipe_real(r, value, (double *)(void *)member);
    case REAL: return qn_recipe_real(r, value, (double *)(void *)member);
    }
    return QONNX_OK;
}

static qonnx_status read_member(struct qn_recipe_reader *r, enum qn_slot slot, const char *key, const json_t *value,
                                struct qn_slot_words *words)
{
    const struct field *field = find_field(key);

    if (!field) return qn_recipe_fail_key(r, key, fields, FIELDS, sizeof *fields);
    if (!(field->slots & (1u << slot)))
        return qn_recipe_fail(r, "is no setting of a quantizer for %s",
                              field->bit == QN_KEY_ONLY_IF_FLOAT ? "anything but an input" : role_names[role_of(slot)]);
    return read_value(r, field, value, words);
}

qonnx_status qn_slot_check(enum qn_slot slot, const struct qn_quantizer *q, qonnx_error *err)
{
    if (q->row->role != role_of(slot))
        return qn_fail(err, QONNX_E_USAGE, "'%s' is a quantizer for %s, not for %s", q->row->name,
                       role_names[q->row->role], role_names[role_of(slot)]);
    if (q->is_signed && q->row->shifted) /* its zero point counts from code 0 */
        return qn_fail(err, QONNX_E_USAGE, "'%s' is unsigned and cannot be signed", q->row->name);
    return qn_quantizer_check(q, err);
}

qonnx_status qn_recipe_read_slot(struct qn_recipe_reader *r, enum qn_slot slot, const json_t *value,
                                 struct qn_slot_words *words)
{
    const json_t *name = json_is_string(value) ? value : json_object_get(value, "quantizer");
    qonnx_error   own = { 0 };
    const char   *key;
    json_t       *member;

    *words = (struct qn_slot_words){ .said = true, .off = json_is_null(value), .line = qn_recipe_line(r) };
    if (words->off) return QONNX_OK;
    if (!json_is_object(value) && !json_is_string(value))
        return qn_recipe_fail(r, "is %s, must be a quantizer's name, an object or null", qn_recipe_type_name(value));
    if (name) {
        if (name != value) qn_recipe_enter(r, "quantizer", 0);
        QN_TRY(read_name(r, slot, name, words));
        if (name != value) qn_recipe_leave(r);
    }
    if (json_is_object(value) && !json_object_size(value))
        return qn_recipe_fail(r, "says nothing; null switches a quantizer off");
    json_object_foreach((json_t *)(uintptr_t)value, key, member)
    {
        qn_recipe_enter(r, key, 0);
        QN_TRY(read_member(r, slot, key, member, words));
        qn_recipe_leave(r);
    }
    if (words->values.row && qn_slot_check(slot, &words->values, &own) != QONNX_OK)
        return qn_recipe_fail(r, "%s", own.message);
    return QONNX_OK;
}

void qn_slot_apply(const struct qn_slot_words *words, struct qn_quantizer *q, bool *only_if_float)
{
    const struct qn_quantizer *v = &words->values;

    if (!words->said) return;
    if (words->off || v->row) {
        *q = *v; /* a row of NULL is no quantizer */
        *only_if_float = words->only_if_float;
        return;
    }
    if (words->keys & QN_KEY_BIT_WIDTH) q->bits = v->bits;
    if (words->keys & QN_KEY_SIGNED) q->is_signed = v->is_signed;
    if (words->keys & QN_KEY_NARROW) q->narrow = v->narrow;
    if (words->keys & QN_KEY_PER_CHANNEL) q->per_channel = v->per_channel;
    if (words->keys & QN_KEY_MIN_VAL) q->min_val = v->min_val;
    if (words->keys & QN_KEY_MAX_VAL) q->max_val = v->max_val;
    if (words->keys & QN_KEY_COLLECT_STEPS) q->collect_steps = v->collect_steps;
    if (words->keys & QN_KEY_MOMENTUM) q->momentum = v->momentum;
    if (words->keys & QN_KEY_LOW_PERCENTILE) q->low_percentile = v->low_percentile;
    if (words->keys & QN_KEY_HIGH_PERCENTILE) q->high_percentile = v->high_percentile;
    if (words->keys & QN_KEY_ONLY_IF_FLOAT) *only_if_float = words->only_if_float;
}
