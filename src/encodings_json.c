/* SPDX-License-Identifier: Apache-2.0
 * Encodings in JSON: AIMET's, and onnxruntime's calibration cache. */
#include "encodings.h"
#include "json_out.h"
#include "wording.h"

struct writing {
    struct qn_json json;
    json_t        *root;
};

static void put(struct writing *w, json_t *object, const char *key, json_t *value)
{
    qn_json_put(&w->json, object, key, value);
}

/* Keys have to be UTF-8, which names in models may not be. */
static void put_named(struct writing *w, json_t *object, const char *name, json_t *value)
{
    struct qn_strbuf key;

    qn_strbuf_init(&key);
    qn_put_valid_utf8(&key, name);
    if (key.failed) {
        json_decref(value);
        w->json.failed = true;
    } else {
        put(w, object, key.text, value);
    }
    qn_strbuf_release(&key);
}

/* A document that `fill` fills. */
static qonnx_status write_with(void (*fill)(struct writing *w, const struct qn_encoded_list *list),
                               const struct qn_encoded_list *list, struct qn_strbuf *text, struct qn_strbuf *notes,
                               qonnx_error *err)
{
    struct writing w = { { false }, json_object() };

    fill(&w, list);
    qn_encoded_notes(list, notes);
    return qn_json_write(&w.json, w.root, text, err);
}

/* ---- onnxruntime ---- */

static json_t *numpy_array(struct writing *w, float value)
{
    json_t *object = json_object();

    put(w, object, "data", qn_json_real((double)value));
    put(w, object, "dtype", json_string("float32"));
    put(w, object, "CLS", json_string("numpy.array"));
    return object;
}

static json_t *tensor_data(struct writing *w, struct qn_range range)
{
    json_t *entry = json_object();

    put(w, entry, "lowest", numpy_array(w, range.min));
    put(w, entry, "highest", numpy_array(w, range.max));
    put(w, entry, "CLS", json_string("TensorData"));
    return entry;
}

/* What a layer gives to the Relu that is fused into it: onnxruntime asks for its range and does not use it. */
static void put_fused(struct writing *w, const struct qn_plan *plan, json_t *data)
{
    for (qn_node_id n = 0; n < plan->graph->node_count; n++) {
        const struct qn_node_plan *row = &plan->nodes[n];
        const qn_value_id          out = qn_node_output(plan->graph, n, 0);
        if (row->result == QN_NONE || out == QN_NONE || row->result == out || plan->tensors[out].quantized ||
            !plan->tensors[row->result].quantized)
            continue;
        put_named(w, data, plan->graph->values[out].name, tensor_data(w, plan->tensors[row->result].range));
    }
}

/* What stays float, where it was looked at. */
static void put_float(struct writing *w, const struct qn_encoded_list *list, json_t *data)
{
    const struct qn_plan *plan = list->plan;

    for (qn_value_id v = 0; list->stats && v < plan->graph->value_count; v++) {
        const struct qn_stats *seen = list->stats[v];
        if (plan->tensors[v].quantized || !seen || !qn_stats_ordinary(seen) || seen->nan || seen->inf) continue;
        put_named(w, data, plan->graph->values[v].name, tensor_data(w, qn_stats_range(seen)));
    }
}

static void fill_ort(struct writing *w, const struct qn_encoded_list *list)
{
    json_t *data = json_object();

    for (size_t i = 0; i < list->of[QN_ENCODED_ACTIVATION]; i++)
        put_named(w, data, list->items[i].name, tensor_data(w, list->items[i].range));
    put_fused(w, list->plan, data);
    put_float(w, list, data);
    put(w, w->root, "CLS", json_string("TensorsData"));
    put(w, w->root, "data", data);
    put(w, w->root, "calibration_method",
        json_pack("{s:s, s:s}", "CLS", "CalibrationMethod", "value", "CalibrationMethod.MinMax"));
    put(w, w->root, "smooth_quant", json_false());
}

qonnx_status qn_encodings_write_ort(const struct qn_encoded_list *list, struct qn_strbuf *text, struct qn_strbuf *notes,
                                    qonnx_error *err)
{
    qn_strbuf_puts(
        notes,
        "it holds ranges of activations only: weights and biases, which follow from their values, are left out\n");
    return write_with(fill_ort, list, text, notes, err);
}

/* ---- AIMET 0.6.1 ---- */

static json_t *encoding_0_6(struct writing *w, const struct qn_qparams *params, size_t i)
{
    const double  scale = (double)params->scale[i];
    const int64_t offset = qn_encoded_offset(params, i);
    json_t       *object = json_object();

    put(w, object, "bitwidth", json_integer(params->bits));
    put(w, object, "dtype", json_string("int"));
    put(w, object, "is_symmetric", json_string(qn_encoded_symmetric(params) ? "True" : "False"));
    put(w, object, "max", qn_json_real(scale * (double)(offset + (INT64_C(1) << params->bits) - 1)));
    put(w, object, "min", qn_json_real(scale * (double)offset));
    put(w, object, "offset", json_integer(offset));
    put(w, object, "scale", qn_json_real(scale));
    return object;
}

static void fill_0_6(struct writing *w, const struct qn_encoded_list *list)
{
    json_t *activations = json_object(), *params = json_object();

    for (size_t i = 0; i < list->count; i++) {
        const struct qn_encoded *item = &list->items[i];
        json_t                  *channels = json_array();
        for (size_t c = 0; c < item->params->count; c++)
            qn_json_append(&w->json, channels, encoding_0_6(w, item->params, c));
        put_named(w, item->role == QN_ENCODED_ACTIVATION ? activations : params, item->name, channels);
    }
    put(w, w->root, "version", json_string("0.6.1"));
    put(w, w->root, "activation_encodings", activations);
    put(w, w->root, "param_encodings", params);
}

qonnx_status qn_encodings_write_aimet_0_6(const struct qn_encoded_list *list, struct qn_strbuf *text,
                                          struct qn_strbuf *notes, qonnx_error *err)
{
    return write_with(fill_0_6, list, text, notes, err);
}

/* ---- AIMET 1.0.0 ---- */

static void fill_1(struct writing *w, const struct qn_encoded_list *list)
{
    json_t *activations = json_array(), *params = json_array();

    for (size_t i = 0; i < list->count; i++) {
        const struct qn_encoded *item = &list->items[i];
        json_t                  *object = json_object(), *scales = json_array(), *offsets = json_array();
        for (size_t c = 0; c < item->params->count; c++) {
            qn_json_append(&w->json, scales, qn_json_real((double)item->params->scale[c]));
            qn_json_append(&w->json, offsets, json_integer(qn_encoded_offset(item->params, c)));
        }
        put(w, object, "name", qn_json_text(item->name));
        put(w, object, "enc_type", json_string(item->params->axis < 0 ? "PER_TENSOR" : "PER_CHANNEL"));
        put(w, object, "dtype", json_string("INT"));
        put(w, object, "bw", json_integer(item->params->bits));
        put(w, object, "is_sym", json_boolean(qn_encoded_symmetric(item->params)));
        put(w, object, "scale", scales);
        put(w, object, "offset", offsets);
        qn_json_append(&w->json, item->role == QN_ENCODED_ACTIVATION ? activations : params, object);
    }
    put(w, w->root, "version", json_string("1.0.0"));
    put(w, w->root, "activation_encodings", activations);
    put(w, w->root, "param_encodings", params);
    put(w, w->root, "excluded_layers", json_array());
}

qonnx_status qn_encodings_write_aimet_1(const struct qn_encoded_list *list, struct qn_strbuf *text,
                                        struct qn_strbuf *notes, qonnx_error *err)
{
    return write_with(fill_1, list, text, notes, err);
}

/* ---- AIMET 2.0.0 ---- */

static void put_linear(struct writing *w, json_t *object, const struct qn_qparams *params)
{
    json_t *scales, *zero_points;
    char    type[16];

    snprintf(type, sizeof type, "%sint%d", params->is_signed ? "" : "u", params->bits);
    put(w, object, "output_dtype", json_string(type));
    if (params->axis < 0) {
        put(w, object, "y_scale", qn_json_real((double)params->scale[0]));
        put(w, object, "y_zero_point", json_integer(params->zero_point[0]));
        return;
    }
    scales = json_array();
    zero_points = json_array();
    for (size_t c = 0; c < params->count; c++) {
        qn_json_append(&w->json, scales, qn_json_real((double)params->scale[c]));
        qn_json_append(&w->json, zero_points, json_integer(params->zero_point[c]));
    }
    put(w, object, "y_scale", scales);
    put(w, object, "y_zero_point", zero_points);
    put(w, object, "axis", json_integer(params->axis));
}

static void fill_2(struct writing *w, const struct qn_encoded_list *list)
{
    json_t *encodings = json_array(), *producer = qn_json_producer(), *name = json_object_get(producer, "name");

    put(w, producer, "package", json_incref(name));
    if (json_object_del(producer, "name") != 0) w->json.failed = true;
    for (size_t i = 0; i < list->count; i++) {
        json_t *object = json_object();
        put(w, object, "name", qn_json_text(list->items[i].name));
        put_linear(w, object, list->items[i].params);
        qn_json_append(&w->json, encodings, object);
    }
    put(w, w->root, "version", json_string("2.0.0"));
    put(w, w->root, "producer", producer);
    put(w, w->root, "encodings", encodings);
}

qonnx_status qn_encodings_write_aimet_2(const struct qn_encoded_list *list, struct qn_strbuf *text,
                                        struct qn_strbuf *notes, qonnx_error *err)
{
    return write_with(fill_2, list, text, notes, err);
}
