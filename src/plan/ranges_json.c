/* SPDX-License-Identifier: Apache-2.0
 * Files of ranges in JSON. */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/numerals.h"
#include "plan/ranges.h"

struct reading {
    struct qn_ranges *ranges;
    qonnx_error      *err;
};

static qonnx_status fail(struct reading *r, const char *name, const char *what)
{
    return qn_fail(r->err, QONNX_E_FORMAT, "'%.200s' %s", name, what);
}

/* The document is handed to `read` and freed. */
static qonnx_status read_document(struct qn_ranges *ranges, const char *text, size_t size,
                                  qonnx_status (*read)(struct reading *r, json_t *root), qonnx_error *err)
{
    struct reading r = { ranges, err };
    json_error_t   where;
    json_t        *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
    qonnx_status   status;

    if (!root) return qn_fail(err, QONNX_E_FORMAT, "line %d: %s", where.line, where.text);
    status = read(&r, root);
    json_decref(root);
    return status;
}

static const char *text_of(const json_t *entry, const char *key)
{
    const char *text = json_string_value(json_object_get(entry, key));
    return text ? text : "";
}

/* A number, or a list of one. *several: it is a longer list. */
static bool number_of(const json_t *entry, const char *key, double *number, bool *several)
{
    const json_t *value = json_object_get(entry, key);

    for (int depth = 0; depth < 4 && json_is_array(value); depth++) {
        if (json_array_size(value) > 1) *several = true;
        value = json_array_get(value, 0);
    }
    if (!json_is_number(value)) return false;
    *number = json_number_value(value);
    return true;
}

/* ---- onnxruntime ---- */

/* A plain number, or an array of numpy's with one element. */
static bool array_of(const json_t *entry, const char *key, double *number)
{
    bool several = false;

    if (json_is_object(json_object_get(entry, key)))
        return number_of(json_object_get(entry, key), "data", number, &several) && !several;
    return number_of(entry, key, number, &several) && !several;
}

static qonnx_status read_ort(struct reading *r, json_t *root)
{
    json_t     *data = json_object_get(root, "data"), *entry;
    const char *name;

    if (!json_is_object(data)) return qn_fail(r->err, QONNX_E_FORMAT, "no calibration cache: it has no \"data\"");
    json_object_foreach(data, name, entry)
    {
        double low, high;
        if (!array_of(entry, "lowest", &low) || !array_of(entry, "highest", &high))
            return fail(r, name, "has no \"lowest\" and \"highest\", or has more than one");
        QN_TRY(qn_ranges_add(r->ranges, name, low, high, r->err));
    }
    return QONNX_OK;
}

qonnx_status qn_ranges_read_ort(struct qn_ranges *ranges, const char *text, size_t size, qonnx_error *err)
{
    return read_document(ranges, text, size, read_ort, err);
}

/* ---- AIMET ---- */

static bool is_float(const json_t *entry, const char *key)
{
    const char *type = text_of(entry, key);
    return strncmp(type, "float", 5) == 0 || strncmp(type, "FLOAT", 5) == 0 || strncmp(type, "bfloat", 6) == 0 ||
           strcmp(type, "FP") == 0;
}

/* Scale and offset, or else the ends. */
static qonnx_status add_activation(struct reading *r, const char *name, const json_t *entry, const char *bits_key)
{
    bool   several = false;
    double scale, offset, bits, low, high;

    if (is_float(entry, "dtype")) {
        r->ranges->floats++;
        return QONNX_OK;
    }
    if (number_of(entry, "scale", &scale, &several) && number_of(entry, "offset", &offset, &several) &&
        number_of(entry, bits_key, &bits, &several))
        return several ? qn_ranges_add_channels(r->ranges, name, r->err)
                       : qn_ranges_add_codes(r->ranges, name, scale, offset, bits, r->err);
    if (!number_of(entry, "min", &low, &several) || !number_of(entry, "max", &high, &several))
        return fail(r, name, "has neither a scale with an offset and a width nor \"min\" and \"max\"");
    return several ? qn_ranges_add_channels(r->ranges, name, r->err)
                   : qn_ranges_add(r->ranges, name, low, high, r->err);
}

/* Versions 0.4 to 0.6: by name, a list with an entry for each channel. */
static qonnx_status read_named(struct reading *r, json_t *activations)
{
    const char *name;
    json_t     *entries;

    json_object_foreach(activations, name, entries)
    {
        if (!json_array_size(entries)) return fail(r, name, "has no encoding");
        if (json_array_size(entries) > 1)
            QN_TRY(qn_ranges_add_channels(r->ranges, name, r->err));
        else
            QN_TRY(add_activation(r, name, json_array_get(entries, 0), "bitwidth"));
    }
    return QONNX_OK;
}

/* Version 1.0: a list of entries with names. */
static qonnx_status read_listed(struct reading *r, json_t *activations)
{
    size_t  i;
    json_t *entry;

    json_array_foreach(activations, i, entry) QN_TRY(add_activation(r, text_of(entry, "name"), entry, "bw"));
    return QONNX_OK;
}

/* The bits of "uint8"; 0: it is no type of integers. */
static double bits_of(const char *type, bool *is_signed)
{
    char        *end;
    const char  *digits = strncmp(type, "uint", 4) == 0 ? type + 4 : strncmp(type, "int", 3) == 0 ? type + 3 : "";
    const double bits = strlen(digits) > 2 ? 0 : qn_strtod(digits, &end);

    *is_signed = *type == 'i';
    return bits >= 2 && bits <= 32 && !*end ? bits : 0;
}

/* Version 2: all tensors in one list, with the numbers of QuantizeLinear. */
static qonnx_status add_linear(struct reading *r, const json_t *entry)
{
    const char *name = text_of(entry, "name"), *type = text_of(entry, "output_dtype");
    bool        several = json_object_get(entry, "axis") || json_object_get(entry, "block_size"), is_signed;
    double      bits = bits_of(type, &is_signed), scale, zero_point = 0;

    if (is_float(entry, "output_dtype")) {
        r->ranges->floats++;
        return QONNX_OK;
    }
    if (!(bits > 0)) return fail(r, name, "has no \"output_dtype\" of integers");
    if (json_object_get(entry, "per_channel_float_scale") || json_is_object(json_object_get(entry, "y_scale")))
        return qn_ranges_add_channels(r->ranges, name, r->err);
    if (!number_of(entry, "y_scale", &scale, &several)) return fail(r, name, "has no \"y_scale\"");
    if (json_object_get(entry, "y_zero_point") && !json_is_null(json_object_get(entry, "y_zero_point")) &&
        !number_of(entry, "y_zero_point", &zero_point, &several))
        return fail(r, name, "has a \"y_zero_point\" that is no number");
    if (several) return qn_ranges_add_channels(r->ranges, name, r->err);
    return qn_ranges_add_codes(r->ranges, name, scale, -zero_point - (is_signed ? exp2(bits - 1) : 0), bits, r->err);
}

static qonnx_status read_linear(struct reading *r, json_t *encodings)
{
    size_t  i;
    json_t *entry;

    json_array_foreach(encodings, i, entry) QN_TRY(add_linear(r, entry));
    return QONNX_OK;
}

static qonnx_status read_aimet(struct reading *r, json_t *root)
{
    json_t *activations = json_object_get(root, "activation_encodings"),
           *params = json_object_get(root, "param_encodings"), *encodings = json_object_get(root, "encodings");

    if (json_is_array(encodings)) return read_linear(r, encodings);
    r->ranges->weights += json_is_object(params) ? json_object_size(params) : json_array_size(params);
    if (json_is_object(activations)) return read_named(r, activations);
    if (json_is_array(activations)) return read_listed(r, activations);
    return qn_fail(r->err, QONNX_E_FORMAT, "no encodings: it has neither \"activation_encodings\" nor \"encodings\"");
}

qonnx_status qn_ranges_read_aimet(struct qn_ranges *ranges, const char *text, size_t size, qonnx_error *err)
{
    return read_document(ranges, text, size, read_aimet, err);
}
