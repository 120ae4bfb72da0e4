/* SPDX-License-Identifier: Apache-2.0
 * Numbers as text, the same whatever locale the program that uses the library has chosen: a point before the fraction. */
#ifndef QN_BASE_NUMERALS_H
#define QN_BASE_NUMERALS_H

#include <stdarg.h>
#include <stddef.h>

#include <qonnx/status.h>

/* As vsnprintf, snprintf and strtod. */
int    qn_vsnprintf(char *text, size_t size, const char *format, va_list args);
int    qn_snprintf(char *text, size_t size, const char *format, ...) QONNX_PRINTF(3, 4);
double qn_strtod(const char *text, char **end);

#endif
