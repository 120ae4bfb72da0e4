/* SPDX-License-Identifier: Apache-2.0
 * Reading the recorded numbers. Every float in the files is the shortest decimal that gives the same float back;
 * "inf", "-inf" and "nan" stand for what JSON cannot write. */
#ifndef QN_TESTS_GOLDEN_BREVITAS_H
#define QN_TESTS_GOLDEN_BREVITAS_H

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "cmocka_all.h"
#include "quant/quantizer.h"
#include "quant/running.h"

/* assert_float_equal() lets the last bit differ, whatever the tolerance. */
#define assert_same_float(a, b) assert_true((a) == (b))

static inline json_t *golden_load(const char *file)
{
    char         path[1024];
    json_error_t error;
    json_t      *json;

    snprintf(path, sizeof path, "%s/tests/golden/brevitas/%s", QN_SOURCE_DIR, file);
    json = json_load_file(path, 0, &error);
    if (!json) fail_msg("%s:%d: %s", path, error.line, error.text);
    return json;
}

static inline const char *golden_text(json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

static inline float golden_float(json_t *number)
{
    const char *text = json_string_value(number);

    if (text) return strcmp(text, "nan") == 0 ? NAN : strcmp(text, "inf") == 0 ? INFINITY : -INFINITY;
    assert_true(json_is_number(number));
    return (float)json_number_value(number);
}

struct floats {
    float *at;
    size_t count;
};

static inline struct floats golden_floats(struct qn_arena *arena, json_t *array)
{
    struct floats out = { .count = json_array_size(array) };

    out.at = qn_arena_array(arena, out.count, sizeof *out.at);
    assert_non_null(out.at);
    for (size_t i = 0; i < out.count; i++) out.at[i] = golden_float(json_array_get(array, i));
    return out;
}

static inline size_t golden_dims(json_t *array, int64_t *dims)
{
    const size_t rank = json_array_size(array);

    assert_in_range(rank, 1, 8);
    for (size_t i = 0; i < rank; i++) dims[i] = json_integer_value(json_array_get(array, i));
    return rank;
}

/* Bit for bit; the two zeros are one. A recorded array of one number may stand for all. */
static inline void assert_floats(const char *name, const char *what, const float *got, size_t count, json_t *want)
{
    const size_t n = json_array_size(want);

    if (n != 1 && n != count) fail_msg("%s: %zu values of %s, %zu recorded", name, count, what, n);
    for (size_t i = 0; i < count; i++) {
        const float wanted = golden_float(json_array_get(want, n == 1 ? 0 : i));
        if (!(got[i] == wanted || (isnan(got[i]) && isnan(wanted))))
            fail_msg("%s: %s[%zu] is %.9g (%a), recorded %.9g (%a)", name, what, i, (double)got[i], (double)got[i],
                     (double)wanted, (double)wanted);
    }
}

static inline void assert_zero_points(const char *name, const int32_t *got, size_t count, json_t *want)
{
    const size_t n = json_array_size(want);

    for (size_t i = 0; i < count; i++)
        if ((double)got[i] != json_number_value(json_array_get(want, n == 1 ? 0 : i)))
            fail_msg("%s: zero point %d, recorded %g", name, got[i],
                     json_number_value(json_array_get(want, n == 1 ? 0 : i)));
}

/* Codes of x by *qp against the recorded integers; one beyond int32 is what int32 saturates to. */
static inline void assert_codes(const char *name, struct qn_arena *arena, const float *x, struct qn_layout layout,
                                const struct qn_qparams *qp, json_t *want)
{
    const size_t count = qn_layout_count(layout);
    char        *codes = qn_arena_array(arena, count, qp->type->code_size);
    qonnx_error  error = { 0 };

    assert_non_null(codes);
    assert_int_equal(json_array_size(want), count);
    assert_int_equal(qn_quantize(x, layout, qp, QN_SHIFT_THEN_ROUND, codes, 1, &error), QONNX_OK);
    for (size_t i = 0; i < count; i++) {
        json_int_t wanted = json_integer_value(json_array_get(want, i)), got;
        if (wanted > INT32_MAX) wanted = INT32_MAX;
        switch (qp->type->code_size) {
        case 1: got = qp->type->is_signed ? (json_int_t)((int8_t *)codes)[i] : ((uint8_t *)codes)[i]; break;
        default: got = ((int32_t *)(void *)codes)[i]; break;
        }
        if (got != wanted)
            fail_msg("%s: code %zu of %.9g is %lld, recorded %lld", name, i, (double)x[i], (long long)got,
                     (long long)wanted);
    }
}

/* (code - zero_point) x scale against the recorded values. */
static inline void assert_values(const char *name, struct qn_arena *arena, const float *x, struct qn_layout layout,
                                 const struct qn_qparams *qp, json_t *want)
{
    const size_t count = qn_layout_count(layout);
    char        *codes = qn_arena_array(arena, count, qp->type->code_size);
    float       *back = qn_arena_array(arena, count, sizeof *back);
    qonnx_error  error = { 0 };

    assert_non_null(back);
    assert_int_equal(qn_quantize(x, layout, qp, QN_SHIFT_THEN_ROUND, codes, 1, &error), QONNX_OK);
    assert_int_equal(qn_dequantize(codes, layout, qp, back, 1, &error), QONNX_OK);
    assert_floats(name, "value", back, count, want);
}

/* The quantizer that a recorded object asks for: "quantizer" and what it changes. */
static inline struct qn_quantizer golden_quantizer(json_t *object)
{
    const char                    *name = golden_text(object, "quantizer");
    const struct qn_quantizer_row *row = name ? qn_quantizer_row_find(name) : NULL;
    json_t                        *value;
    struct qn_quantizer            q;
    qonnx_error                    error = { 0 };

    if (!row) fail_msg("no quantizer %s", name ? name : "is named");
    qn_quantizer_init(&q, row);
    if ((value = json_object_get(object, "bit_width"))) q.bits = (int)json_integer_value(value);
    if ((value = json_object_get(object, "min_val"))) q.min_val = json_number_value(value);
    if ((value = json_object_get(object, "max_val"))) q.max_val = json_number_value(value);
    if (json_object_get(object, "channel_axis")) q.per_channel = true;
    if (qn_quantizer_check(&q, &error) != QONNX_OK) fail_msg("%s: %s", name, error.message);
    return q;
}

static inline struct qn_layout golden_layout(json_t *object, const char *axis_key)
{
    json_t          *axis = json_object_get(object, axis_key);
    int64_t          dims[8];
    const size_t     rank = golden_dims(json_object_get(object, "dims"), dims);
    struct qn_layout layout;
    qonnx_error      error = { 0 };

    assert_int_equal(qn_layout_init(&layout, dims, rank, axis ? (int)json_integer_value(axis) : QN_NO_AXIS, &error),
                     QONNX_OK);
    return layout;
}

/* 8 bits, signed, one scale, zero point 0. */
static inline struct qn_metadata golden_centred(const float *scale)
{
    static const float zero = 0;
    return (struct qn_metadata){ .known = true,
                                 .is_signed = true,
                                 .bits = 8,
                                 .axis = -1,
                                 .scale_count = 1,
                                 .zero_count = 1,
                                 .scale = scale,
                                 .zero_point = &zero };
}

/* Each test has an arena of its own. */
static inline int golden_setup(void **state)
{
    static struct qn_arena arena;
    arena = (struct qn_arena){ 0 };
    *state = &arena;
    return 0;
}

static inline int golden_teardown(void **state)
{
    qn_arena_release(*state);
    return 0;
}

#endif
