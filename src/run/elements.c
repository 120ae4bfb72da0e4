/* SPDX-License-Identifier: Apache-2.0
 * Conversion between element types. */
#include <math.h>
#include <string.h>

#include "onnx/dtype.h"
#include "run/npy.h"

#define BFLOAT16 ONNX__TENSOR_PROTO__DATA_TYPE__BFLOAT16
#define INT16 ONNX__TENSOR_PROTO__DATA_TYPE__INT16
#define UINT16 ONNX__TENSOR_PROTO__DATA_TYPE__UINT16
#define UINT32 ONNX__TENSOR_PROTO__DATA_TYPE__UINT32
#define UINT64 ONNX__TENSOR_PROTO__DATA_TYPE__UINT64

/* Any element: an integer (sign and size apart, so that both int64 and uint64 fit) or a floating-point number. */
struct number {
    bool     is_float, negative;
    uint64_t magnitude;
    double   value;
};

static double from_half(uint16_t bits)
{
    int    exponent = bits >> 10 & 31, fraction = bits & 1023;
    double value = exponent == 31 ? (fraction ? NAN : INFINITY)
                   : exponent     ? ldexp(1024 + fraction, exponent - 25)
                                  : ldexp(fraction, -24);
    return bits & 0x8000 ? -value : value;
}

/* To a float of `fraction` stored bits and the given exponent range, half to even; the bits without a sign. */
static uint16_t to_small_float(double value, int fraction, int bias)
{
    double   size = fabs(value);
    int      exponent, top = 2 * bias + 1;
    uint32_t infinite = (uint32_t)top << fraction, code;

    if (isnan(value)) return (uint16_t)(infinite | 1u << (fraction - 1));
    if (isinf(value)) return (uint16_t)infinite;
    frexp(size, &exponent); /* size = m 2^exponent with m in [0.5, 1) */
    exponent = exponent - 1 < 1 - bias || size == 0 ? 1 - bias : exponent - 1;
    /* A multiple of the last place; a carry moves into the exponent by itself. */
    code = (uint32_t)nearbyint(ldexp(size, fraction - exponent)) + ((uint32_t)(exponent + bias - 1) << fraction);
    return (uint16_t)(code < infinite ? code : infinite);
}

static uint16_t signed_small_float(double value, int fraction, int bias)
{
    return (uint16_t)(to_small_float(value, fraction, bias) | (signbit(value) ? 0x8000u : 0u));
}

static struct number integer(int64_t value)
{
    return (struct number){ .negative = value < 0, .magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value };
}

#define LOAD(type, name)                                                                                               \
    type name;                                                                                                         \
    memcpy(&name, (const type *)from + i, sizeof name)

static struct number load(const void *from, int32_t type, size_t i)
{
    switch (type) {
    case QN_FLOAT: {
        LOAD(float, x);
        return (struct number){ .is_float = true, .value = (double)x };
    }
    case QN_DOUBLE: {
        LOAD(double, x);
        return (struct number){ .is_float = true, .value = x };
    }
    case QN_FLOAT16: {
        LOAD(uint16_t, x);
        return (struct number){ .is_float = true, .value = from_half(x) };
    }
    case BFLOAT16: {
        LOAD(uint16_t, x);
        uint32_t bits = (uint32_t)x << 16;
        float    value;
        memcpy(&value, &bits, sizeof value);
        return (struct number){ .is_float = true, .value = (double)value };
    }
    case QN_BOOL: return integer(((const uint8_t *)from)[i] != 0);
    case QN_UINT8: return integer(((const uint8_t *)from)[i]);
    case QN_INT8: return integer(((const int8_t *)from)[i]);
    case UINT16: {
        LOAD(uint16_t, x);
        return integer(x);
    }
    case INT16: {
        LOAD(int16_t, x);
        return integer(x);
    }
    case UINT32: {
        LOAD(uint32_t, x);
        return integer(x);
    }
    case QN_INT32: {
        LOAD(int32_t, x);
        return integer(x);
    }
    case UINT64: {
        LOAD(uint64_t, x);
        return (struct number){ .magnitude = x };
    }
    default: {
        LOAD(int64_t, x);
        return integer(x);
    }
    }
}

/* Largest size of a type's positive and negative integers; 0 and 0 for types that are none. */
static void integer_limits(int32_t type, uint64_t *above, uint64_t *below)
{
    const struct qn_dtype *dtype = qn_dtype_find(type);

    *above = *below = 0;
    if (type == ONNX__TENSOR_PROTO__DATA_TYPE__COMPLEX64) return;
    if (type == QN_BOOL) {
        *above = 1;
    } else if (dtype && !dtype->is_float && dtype->bits >= 8 && dtype->bits <= 64) {
        *above = UINT64_MAX >> (64 - dtype->bits + (dtype->is_signed ? 1 : 0));
        *below = dtype->is_signed ? *above + 1 : 0;
    }
}

static bool is_real(int32_t type)
{
    return type == QN_FLOAT || type == QN_DOUBLE || type == QN_FLOAT16 || type == BFLOAT16;
}

static bool is_integer(int32_t type)
{
    uint64_t above, below;
    integer_limits(type, &above, &below);
    return above != 0;
}

bool qn_elements_convertible(int32_t from, int32_t to)
{
    return is_real(from) ? is_real(to) : is_integer(from) && (is_integer(to) || is_real(to));
}

static void store_real(void *to, int32_t type, size_t i, double value)
{
    if (type == QN_DOUBLE) {
        memcpy((double *)to + i, &value, sizeof value);
    } else if (type == QN_FLOAT) {
        float x = (float)value;
        memcpy((float *)to + i, &x, sizeof x);
    } else {
        uint16_t x = type == QN_FLOAT16 ? signed_small_float(value, 10, 15) : signed_small_float(value, 7, 127);
        memcpy((uint16_t *)to + i, &x, sizeof x);
    }
}

/* Two's complement: the low bytes are the same for every width. */
static bool store_integer(void *to, int32_t type, size_t i, struct number number)
{
    const struct qn_dtype *dtype = qn_dtype_find(type);
    uint64_t               above, below, bits = number.negative ? 0 - number.magnitude : number.magnitude;

    integer_limits(type, &above, &below);
    if (number.magnitude > (number.negative ? below : above)) return false;
    switch (dtype->bits) {
    case 8: ((uint8_t *)to)[i] = (uint8_t)bits; break;
    case 16: memcpy((uint16_t *)to + i, &(uint16_t){ (uint16_t)bits }, 2); break;
    case 32: memcpy((uint32_t *)to + i, &(uint32_t){ (uint32_t)bits }, 4); break;
    default: memcpy((uint64_t *)to + i, &bits, 8); break;
    }
    return true;
}

/* An integer that this kind of float holds exactly. */
static bool exact(uint64_t magnitude, int32_t type)
{
    int bits = type == QN_DOUBLE ? 53 : type == QN_FLOAT ? 24 : type == QN_FLOAT16 ? 11 : 8;

    if (type == QN_FLOAT16 && magnitude > 65504) return false;
    while (magnitude && magnitude % 2 == 0) magnitude /= 2;
    return magnitude < UINT64_C(1) << bits;
}

bool qn_elements_convert(void *to, int32_t to_type, const void *from, int32_t from_type, size_t count, size_t *at)
{
    for (size_t i = 0; i < count; i++) {
        struct number number = load(from, from_type, i);
        bool          good = true;
        *at = i;
        if (number.is_float)
            store_real(to, to_type, i, number.value);
        else if (!is_real(to_type))
            good = store_integer(to, to_type, i, number);
        else if ((good = exact(number.magnitude, to_type)))
            store_real(to, to_type, i, number.negative ? -(double)number.magnitude : (double)number.magnitude);
        if (!good) return false;
    }
    return true;
}
