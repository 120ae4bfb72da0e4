/* SPDX-License-Identifier: Apache-2.0
 * Layers and activations: what each quantizer makes of the recorded tensors, and what the output carries. */
#include "golden.h"

/* Room for the nonlinearity in front of an activation quantizer. exp and tanh are computed in double and rounded
 * once, so that no mathematical library matters. */
static struct floats after(struct qn_arena *arena, const char *layer, struct floats x)
{
    float *y = qn_arena_array(arena, x.count, sizeof *y);

    assert_non_null(y);
    for (size_t i = 0; i < x.count; i++) {
        if (!strcmp(layer, "relu"))
            y[i] = x.at[i] > 0 ? x.at[i] : 0;
        else if (!strcmp(layer, "sigmoid"))
            y[i] = 1 / (1 + (float)exp(-(double)x.at[i]));
        else if (!strcmp(layer, "tanh"))
            y[i] = (float)tanh(x.at[i]);
        else
            y[i] = x.at[i];
    }
    return (struct floats){ y, x.count };
}

static void assert_params(const char *name, const struct qn_qparams *qp, json_t *want)
{
    assert_floats(name, "scale", qp->scale, qp->count, json_object_get(want, "scale"));
    assert_zero_points(name, qp->zero_point, qp->count, json_object_get(want, "zero_point"));
    if (qp->bits != json_integer_value(json_object_get(want, "bits"))) fail_msg("%s: %d bits", name, qp->bits);
    if (qp->is_signed != json_is_true(json_object_get(want, "signed"))) fail_msg("%s: sign", name);
}

/* One training call on the first batch, then inference. Returns the parameters of inference. */
static struct qn_qparams check_activation(const char *name, struct qn_arena *arena, json_t *row)
{
    const struct qn_quantizer q = golden_quantizer(row);
    const char               *layer = golden_text(row, "layer");
    json_t                   *train = json_object_get(row, "train"), *eval = json_object_get(row, "eval");
    const struct qn_layout    layout = golden_layout(row, "channel_axis");
    const size_t              channels = qn_running_channels(&q, layout);
    struct floats             x = after(arena, layer, golden_floats(arena, json_object_get(train, "x")));
    struct qn_running         running;
    struct qn_batch_stat      batch;
    struct qn_qparams         qp, training;
    qonnx_error               error = { 0 };

    assert_non_null(train);
    assert_int_equal(x.count, qn_layout_count(layout));
    assert_int_equal(qn_running_init(&running, &q, channels, arena, &error), QONNX_OK);
    assert_int_equal(qn_batch_stat_init(&batch, &q, channels, arena, &error), QONNX_OK);
    if (qn_quantizer_is_running(&q)) qn_batch_stat_take(&q, x.at, layout, &batch);
    assert_int_equal(qn_quantizer_activation(&q, &running, channels, 1, arena, &training, &error), QONNX_OK);
    if (qn_quantizer_is_running(&q)) {
        qn_running_train_params(&running, &batch, training.scale, training.zero_point);
        qn_running_train(&running, &batch);
    }
    assert_params(name, &training, train);
    assert_codes(name, arena, x.at, layout, &training, json_object_get(train, "int"));

    assert_int_equal(qn_quantizer_activation(&q, &running, channels, 1, arena, &qp, &error), QONNX_OK);
    assert_params(name, &qp, eval);
    if (json_object_get(eval, "x")) {
        x = after(arena, layer, golden_floats(arena, json_object_get(eval, "x")));
        assert_codes(name, arena, x.at, layout, &qp, json_object_get(eval, "int"));
    }
    return qp;
}

static void activations_have_brevitas_parameters_and_codes(void **state)
{
    json_t *json = golden_load("activations.json"), *row;
    size_t  i;

    json_array_foreach(json, i, row) check_activation(golden_text(row, "case"), *state, row);
    assert_int_equal(i, 19);
    json_decref(json);
}

/* ---- layers ---- */

struct parts {
    struct qn_metadata input, weight;
    struct qn_qparams  bias;
    bool               has_input;
};

static struct qn_metadata given(struct qn_arena *arena, json_t *tensor)
{
    const struct floats scale = golden_floats(arena, json_object_get(tensor, "scale"));
    const struct floats zero_point = golden_floats(arena, json_object_get(tensor, "zero_point"));

    return (struct qn_metadata){ .known = true,
                                 .is_signed = json_is_true(json_object_get(tensor, "signed")),
                                 .bits = (int)json_integer_value(json_object_get(tensor, "bits")),
                                 .axis = scale.count > 1 || zero_point.count > 1 ? 1 : -1,
                                 .scale_count = scale.count,
                                 .zero_count = zero_point.count,
                                 .scale = scale.at,
                                 .zero_point = zero_point.at };
}

static void check_input(const char *name, struct qn_arena *arena, json_t *input, struct parts *parts)
{
    struct qn_qparams qp;
    qonnx_error       error = { 0 };

    parts->has_input = input != NULL;
    if (!input) return;
    if (json_object_get(input, "given")) {
        parts->input = given(arena, json_object_get(input, "given"));
        return;
    }
    qp = check_activation(name, arena, input);
    assert_int_equal(qn_metadata_of_params(&qp, arena, &parts->input, &error), QONNX_OK);
}

static void check_weight(const char *name, const char *kind, struct qn_arena *arena, json_t *row, struct parts *parts)
{
    const struct qn_quantizer q = golden_quantizer(row);
    const struct floats       x = golden_floats(arena, json_object_get(row, "x"));
    struct qn_layout          layout;
    struct qn_qparams         qp;
    int64_t                   dims[8];
    const size_t              rank = golden_dims(json_object_get(row, "dims"), dims);
    int                       axis;
    qonnx_error               error = { 0 };

    assert_int_equal(qn_quantizer_weight_axis(&q, !strcmp(kind, "convtranspose"), 1, &axis, &error), QONNX_OK);
    assert_int_equal(qn_layout_init(&layout, dims, rank, axis < 0 ? QN_NO_AXIS : axis, &error), QONNX_OK);
    assert_int_equal(qn_quantizer_weight(&q, x.at, layout, axis, arena, 1, &qp, &error), QONNX_OK);
    assert_int_equal(qp.count, json_array_size(json_object_get(row, "scale")));
    assert_params(name, &qp, row);
    assert_codes(name, arena, x.at, layout, &qp, json_object_get(row, "int"));
    assert_int_equal(qn_metadata_of_params(&qp, arena, &parts->weight, &error), QONNX_OK);
}

static void check_bias(const char *name, struct qn_arena *arena, json_t *row, struct parts *parts,
                       struct qn_layer *layer)
{
    const struct floats       x = golden_floats(arena, json_object_get(row, "x"));
    const struct qn_quantizer q = golden_quantizer(row);
    const struct qn_layout    layout = { 1, x.count, 1 };
    int32_t                  *codes = qn_arena_array(arena, x.count, sizeof *codes);
    float                    *values = qn_arena_array(arena, x.count, sizeof *values);
    qonnx_error               error = { 0 };

    assert_non_null(values);
    assert_int_equal(qn_quantizer_bias(&q, x.at, x.count, parts->has_input ? &parts->input : NULL, &parts->weight,
                                       arena, &parts->bias, &error),
                     QONNX_OK);
    assert_int_equal(parts->bias.count, json_array_size(json_object_get(row, "scale")));
    assert_params(name, &parts->bias, row);
    assert_codes(name, arena, x.at, layout, &parts->bias, json_object_get(row, "int"));
    assert_int_equal(qn_quantize(x.at, layout, &parts->bias, QN_SHIFT_THEN_ROUND, codes, 1, &error), QONNX_OK);
    assert_int_equal(qn_dequantize(codes, layout, &parts->bias, values, 1, &error), QONNX_OK);
    layer->bias = values;
    layer->bias_count = x.count;
    layer->bias_params = &parts->bias;
}

static void check_output(const char *name, struct qn_arena *arena, json_t *row, const struct qn_layer *layer)
{
    struct qn_metadata out;
    qonnx_error        error = { 0 };

    if (qn_metadata_of_layer(layer, arena, &out, &error) != QONNX_OK) fail_msg("%s: %s", name, error.message);
    if (!row) return;
    assert_true(out.known);
    assert_int_equal(out.scale_count, json_array_size(json_object_get(row, "scale")));
    assert_int_equal(out.zero_count, json_array_size(json_object_get(row, "zero_point")));
    assert_floats(name, "output scale", out.scale, out.scale_count, json_object_get(row, "scale"));
    assert_floats(name, "output zero point", out.zero_point, out.zero_count, json_object_get(row, "zero_point"));
    assert_int_equal(out.bits, json_integer_value(json_object_get(row, "bits")));
    assert_int_equal(out.is_signed, json_is_true(json_object_get(row, "signed")));
}

static void check_layer(struct qn_arena *arena, json_t *row)
{
    const char     *name = golden_text(row, "case"), *kind = golden_text(row, "layer");
    json_t         *weight = json_object_get(row, "weight"), *bias = json_object_get(row, "bias");
    struct parts    parts = { .has_input = false };
    struct qn_layer layer = { .convolution = strcmp(kind, "linear") != 0, .output_axis = 1 };
    int64_t         dims[8], strides[8];
    const size_t    rank = golden_dims(json_object_get(weight, "dims"), dims);
    const bool      transposed = json_object_get(row, "strides") != NULL;
    qonnx_error     error = { 0 };

    check_input(name, arena, json_object_get(row, "input"), &parts);
    check_weight(name, kind, arena, weight, &parts);
    if (transposed) golden_dims(json_object_get(row, "strides"), strides);
    assert_int_equal(qn_layer_terms(transposed, dims, rank, strides, &layer.terms, &error), QONNX_OK);
    layer.input = parts.has_input ? &parts.input : NULL;
    layer.weight = &parts.weight;
    if (bias && golden_text(bias, "quantizer")) {
        check_bias(name, arena, bias, &parts, &layer);
    } else if (bias) {
        const struct floats x = golden_floats(arena, json_object_get(bias, "x"));
        layer.bias = x.at;
        layer.bias_count = x.count;
    }
    check_output(name, arena, json_object_get(row, "output"), &layer);
}

static void layers_have_brevitas_parameters_codes_and_metadata(void **state)
{
    json_t *json = golden_load("layers.json"), *row;
    size_t  i, outputs = 0;

    json_array_foreach(json, i, row)
    {
        check_layer(*state, row);
        outputs += json_object_get(row, "output") != NULL;
    }
    assert_int_equal(i, 56);
    assert_int_equal(outputs, 16);
    json_decref(json);
}

/* ---- tensors ---- */

static void recorded_tensors_are_as_valid_as_brevitas_says(void **state)
{
    struct qn_arena *arena = *state;
    json_t          *json = golden_load("tensors.json"), *row;
    size_t           i;

    json_array_foreach(json, i, row)
    {
        const struct qn_layout   layout = golden_layout(row, "channel_axis");
        const struct floats      value = golden_floats(arena, json_object_get(row, "value"));
        const struct qn_metadata meta = given(arena, row);
        const bool               valid =
            json_integer_value(json_object_get(row, "valid")) != 0 || json_is_true(json_object_get(row, "valid"));
        json_t     *want = json_object_get(row, "int");
        int64_t    *integers = qn_arena_array(arena, value.count, sizeof *integers);
        const char *name = golden_text(row, "case");
        qonnx_error error = { 0 };

        assert_non_null(integers);
        assert_int_equal(value.count, qn_layout_count(layout));
        if (qn_metadata_is_valid(&meta, value.at, layout) != valid) fail_msg("%s: valid", name);
        if (!valid) continue;
        assert_int_equal(qn_metadata_integers(&meta, value.at, layout, integers, &error), QONNX_OK);
        for (size_t j = 0; j < value.count; j++)
            if (integers[j] != json_integer_value(json_array_get(want, j))) fail_msg("%s: integer %zu", name, j);
    }
    assert_int_equal(i, 33);
    json_decref(json);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, golden_setup, golden_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(activations_have_brevitas_parameters_and_codes),
        TEST(layers_have_brevitas_parameters_codes_and_metadata),
        TEST(recorded_tensors_are_as_valid_as_brevitas_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
