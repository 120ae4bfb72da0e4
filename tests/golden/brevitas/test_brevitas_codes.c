/* SPDX-License-Identifier: Apache-2.0
 * The core quantizer, weights, biases, order statistics and accumulator widths. */
#include "golden.h"
#include "quant/order.h"

static void codes_and_values_are_those_of_int_quant(void **state)
{
    struct qn_arena *arena = *state;
    json_t          *json = golden_load("codes.json"), *row;
    size_t           i;

    json_array_foreach(json_object_get(json, "cases"), i, row)
    {
        const bool             is_signed = json_is_true(json_object_get(row, "signed"));
        const struct qn_qtype *type = qn_qtype_find(is_signed ? "int8" : "uint8");
        const struct floats    x =
            golden_floats(arena, json_object_get(json_object_get(json, "x"), golden_text(row, "x")));
        const char       *key = golden_text(row, "key");
        struct qn_qparams qp;
        qonnx_error       error = { 0 };

        assert_int_equal(qn_qparams_init(&qp, arena, type, (int)json_integer_value(json_object_get(row, "bits")),
                                         json_is_true(json_object_get(row, "narrow")), -1, 1, &error),
                         QONNX_OK);
        qp.scale[0] = golden_float(json_object_get(row, "scale"));
        qp.zero_point[0] = (int32_t)json_integer_value(json_object_get(row, "zero_point"));
        assert_codes(key, arena, x.at, QN_LAYOUT_FLAT(x.count), &qp, json_object_get(row, "int"));
        assert_values(key, arena, x.at, QN_LAYOUT_FLAT(x.count), &qp, json_object_get(row, "value"));
    }
    assert_int_equal(i, 144);
    json_decref(json);
}

static void ties_go_to_even_after_the_zero_point_was_added(void **state)
{
    struct qn_arena *arena = *state;
    json_t          *json = golden_load("errors.json"), *row;
    size_t           i;

    json_array_foreach(json_object_get(json, "ties"), i, row)
    {
        const struct floats x = golden_floats(arena, json_object_get(row, "x"));
        struct qn_qparams   qp;
        qonnx_error         error = { 0 };

        assert_int_equal(qn_qparams_init(&qp, arena, qn_qtype_find("uint8"), 8, false, -1, 1, &error), QONNX_OK);
        qp.zero_point[0] = (int32_t)json_integer_value(json_object_get(row, "zero_point"));
        assert_codes("tie_parity", arena, x.at, QN_LAYOUT_FLAT(x.count), &qp, json_object_get(row, "codes"));
    }
    assert_int_equal(i, 4);
    json_decref(json);
}

static void edge_weights_have_brevitas_scale_codes_and_values(void **state)
{
    struct qn_arena *arena = *state;
    json_t          *json = golden_load("weights.json"), *row;
    size_t           i;

    json_array_foreach(json, i, row)
    {
        const struct qn_quantizer q = golden_quantizer(row);
        const struct floats       x = golden_floats(arena, json_object_get(row, "x"));
        const char               *name = golden_text(row, "case");
        struct qn_layout          layout = golden_layout(row, "channel_axis");
        struct qn_qparams         qp;
        qonnx_error               error = { 0 };

        if (q.per_channel)
            layout =
                (struct qn_layout){ 1, (size_t)json_integer_value(json_array_get(json_object_get(row, "dims"), 0)), 1 };
        layout.inner = x.count / layout.channels;
        assert_int_equal(qn_quantizer_weight(&q, x.at, layout, 0, arena, 1, &qp, &error), QONNX_OK);
        assert_floats(name, "scale", qp.scale, qp.count, json_object_get(row, "scale"));
        assert_zero_points(name, qp.zero_point, qp.count, json_object_get(row, "zero_point"));
        assert_codes(name, arena, x.at, layout, &qp, json_object_get(row, "int"));
        assert_values(name, arena, x.at, layout, &qp, json_object_get(row, "value"));
    }
    assert_int_equal(i, 10);
    json_decref(json);
}

static void bias_codes_are_clamped_to_the_full_range_of_their_width(void **state)
{
    struct qn_arena    *arena = *state;
    json_t             *json = golden_load("biases.json"), *row;
    const struct floats bias = golden_floats(arena, json_object_get(json, "bias"));
    size_t              i;

    json_array_foreach(json_object_get(json, "cases"), i, row)
    {
        const struct qn_quantizer q = golden_quantizer(row);
        const float               input_scale = golden_float(json_object_get(row, "input_scale"));
        const float               weight_scale = golden_float(json_object_get(row, "weight_scale"));
        const struct qn_metadata  input = golden_centred(&input_scale), weight = golden_centred(&weight_scale);
        struct qn_metadata        out;
        struct qn_qparams         qp;
        struct qn_layer           layer;
        const char               *key = golden_text(row, "key");
        qonnx_error               error = { 0 };

        assert_int_equal(qn_quantizer_bias(&q, bias.at, bias.count, &input, &weight, arena, &qp, &error), QONNX_OK);
        assert_floats(key, "scale", qp.scale, qp.count, json_object_get(row, "scale"));
        assert_codes(key, arena, bias.at, QN_LAYOUT_FLAT(bias.count), &qp, json_object_get(row, "int"));
        assert_values(key, arena, bias.at, QN_LAYOUT_FLAT(bias.count), &qp, json_object_get(row, "value"));

        layer = (struct qn_layer){ .input = &input,
                                   .weight = &weight,
                                   .terms = 1,
                                   .output_axis = 1,
                                   .bias = bias.at,
                                   .bias_count = bias.count,
                                   .bias_params = &qp };
        assert_int_equal(qn_metadata_of_layer(&layer, arena, &out, &error), QONNX_OK);
        assert_floats(key, "output scale", out.scale, out.scale_count, json_object_get(row, "out_scale"));
        assert_floats(key, "output zero point", out.zero_point, out.zero_count, json_object_get(row, "out_zero_point"));
        assert_int_equal(out.bits, json_integer_value(json_object_get(row, "out_bits")));
    }
    assert_int_equal(i, 12);
    json_decref(json);
}

/* ---- order statistics ---- */

static float statistic(const struct qn_quantizer *q, const float *x, size_t n, float *m)
{
    float                u, low;
    struct qn_batch_stat batch = { .u = &u, .m = q->row->shifted ? &low : NULL };

    qn_batch_stat_take(q, x, QN_LAYOUT_FLAT(n), &batch);
    if (m) *m = low;
    return u;
}

/* u of nothing but zeros is the floor. */
static float or_floor(float u) { return u > QN_RANGE_FLOOR ? u : QN_RANGE_FLOOR; }

static void percentiles_are_the_recorded_order_statistics(void **state)
{
    struct qn_arena    *arena = *state;
    json_t             *json = golden_load("percentiles.json"), *row;
    struct qn_quantizer absolute, interval;
    size_t              i;

    qn_quantizer_init(&absolute, qn_quantizer_row_find("Int8ActPerTensorFloat"));
    qn_quantizer_init(&interval, qn_quantizer_row_find("ShiftedUint8ActPerTensorFloat"));
    json_array_foreach(json, i, row)
    {
        const size_t n = (size_t)json_integer_value(json_object_get(row, "n"));
        const struct {
            const char *key;
            double      percentile;
        } others[] = { { "abs_percentile_99.999", 99.999 },
                       { "abs_percentile_99", 99 },
                       { "abs_percentile_90", 90 },
                       { "abs_percentile_50", 50 } };
        float *x = qn_arena_array(arena, n, sizeof *x), *magnitude = qn_arena_array(arena, n, sizeof *x), m;
        float  top, low;

        assert_non_null(magnitude);
        for (size_t j = 0; j < n; j++) {
            x[j] = (float)((double)((j * 7919 + 13) % n) - (double)(n / 4)) / 1024;
            magnitude[j] = fabsf(x[j]);
        }
        for (size_t j = 0; j < sizeof others / sizeof others[0]; j++) {
            absolute.high_percentile = others[j].percentile;
            assert_same_float(statistic(&absolute, x, n, NULL),
                              or_floor(golden_float(json_object_get(row, others[j].key))));
        }
        assert_same_float(statistic(&interval, x, n, &m), or_floor(golden_float(json_object_get(row, "interval"))));
        assert_same_float(m, golden_float(json_object_get(row, "neg_percentile_0.001")));
        /* The same ranks by search, where the short cut for the extremes would not look. */
        top = qn_order_statistic(magnitude, QN_LAYOUT_FLAT(n), 0, true,
                                 (uint64_t)json_integer_value(json_object_get(row, "high_k_1indexed")), n);
        assert_same_float(top, golden_float(json_object_get(row, "abs_percentile_99.999")));
        low = qn_order_statistic(x, QN_LAYOUT_FLAT(n), 0, false,
                                 (uint64_t)json_integer_value(json_object_get(row, "low_k_1indexed")), n);
        assert_same_float(fminf(low, 0), golden_float(json_object_get(row, "neg_percentile_0.001")));
    }
    assert_int_equal(i, 15);
    json_decref(json);
}

/* 196,608 values, of which the file holds the 200 largest; the others are below them, whatever they are. */
static void the_percentile_of_a_big_tensor_is_its_third_largest_value(void **state)
{
    struct qn_arena          *arena = *state;
    json_t                   *json = golden_load("percentile_big.json"), *at = json_object_get(json, "at");
    const struct qn_quantizer q = golden_quantizer(json);
    const size_t              n = (size_t)json_integer_value(json_object_get(json, "count"));
    const struct floats       top = golden_floats(arena, json_object_get(json, "x"));
    float                    *x = qn_arena_array(arena, n, sizeof *x), range, scale;
    struct qn_batch_stat      batch = { .u = &range };
    struct qn_qparams         qp;
    struct qn_running         running;
    qonnx_error               error = { 0 };

    assert_non_null(x);
    for (size_t i = 0; i < top.count; i++) x[json_integer_value(json_array_get(at, i))] = top.at[i];
    qn_batch_stat_take(&q, x, QN_LAYOUT_FLAT(n), &batch);
    assert_int_equal(qn_running_init(&running, &q, 1, arena, &error), QONNX_OK);
    qn_running_train_params(&running, &batch, &scale, NULL);
    assert_floats("train", "scale", &scale, 1, json_object_get(json, "scale"));
    qn_running_train(&running, &batch);
    assert_int_equal(qn_quantizer_activation(&q, &running, 1, -1, arena, &qp, &error), QONNX_OK);
    assert_floats("eval", "scale", qp.scale, 1, json_object_get(json, "scale"));
    assert_codes("top", arena, top.at, QN_LAYOUT_FLAT(top.count), &qp, json_object_get(json, "int"));
    json_decref(json);
}

/* ---- accumulators ---- */

static uint64_t terms_of(const char *layer, int64_t in, int64_t out, int64_t kernel, int64_t stride, int64_t groups)
{
    const bool    transposed = strstr(layer, "Transpose") != NULL;
    const size_t  spatial = strchr(layer, '1') ? 1 : strchr(layer, '2') ? 2 : 0;
    const int64_t strides[2] = { stride, stride };
    int64_t       dims[4] = { out, in / groups, kernel, kernel };
    uint64_t      terms;
    qonnx_error   error = { 0 };

    if (transposed) {
        dims[0] = in;
        dims[1] = out / groups;
    }
    assert_int_equal(qn_layer_terms(transposed, dims, 2 + spatial, strides, &terms, &error), QONNX_OK);
    return terms;
}

static void accumulators_have_the_recorded_widths(void **state)
{
    json_t *json = golden_load("accumulators.json"), *row;
    size_t  i;

    (void)state;
    json_array_foreach(json_object_get(json, "rows"), i, row)
    {
        json_int_t     v[11];
        uint64_t       terms;
        const char    *layer = json_string_value(json_array_get(row, 0));
        const unsigned bias_bits[] = { 0, 8, 32 };

        for (size_t j = 1; j < 11; j++) v[j] = json_integer_value(json_array_get(row, j));
        terms = terms_of(layer, v[1], v[2], v[3], v[4], v[5]);
        for (size_t j = 0; j < 3; j++) {
            const int bits = qn_accumulator_bits((int)v[6], (int)v[7], terms, (int)bias_bits[j]);
            if (v[8 + j] && bits != v[8 + j])
                fail_msg("row %zu, %s, bias of %u bits: %d, recorded %d", i, layer, bias_bits[j], bits, (int)v[8 + j]);
        }
    }
    assert_int_equal(i, 692);
    json_decref(json);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, golden_setup, golden_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(codes_and_values_are_those_of_int_quant),
        TEST(ties_go_to_even_after_the_zero_point_was_added),
        TEST(edge_weights_have_brevitas_scale_codes_and_values),
        TEST(bias_codes_are_clamped_to_the_full_range_of_their_width),
        TEST(percentiles_are_the_recorded_order_statistics),
        TEST(the_percentile_of_a_big_tensor_is_its_third_largest_value),
        TEST(accumulators_have_the_recorded_widths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
