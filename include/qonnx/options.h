/* SPDX-License-Identifier: Apache-2.0 */
/** @file
 * Options by name: what the command line, a program and a preset can set, and the table that describes them. */
#ifndef QONNX_OPTIONS_H
#define QONNX_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include <qonnx/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

/** Options that have been set; each object belongs to its caller. */
typedef struct qonnx_options qonnx_options;

/** No option set; NULL when out of memory. */
qonnx_options *qonnx_options_new(void);
/** NULL is allowed. */
void qonnx_options_free(qonnx_options *options);

/** Sets an option by its name, such as "preset" or "threads", to a text as on the command line; NULL or "" switches a
 * flag on. Setting a repeatable option again adds to it; any other is replaced. What is set wins over what the preset
 * says, whatever the order. E_USAGE for an unknown name or a value that does not fit, naming the nearest known one. */
QONNX_MUST_CHECK qonnx_status qonnx_options_set(qonnx_options *options, const char *name, const char *value, qonnx_error *err);

/** One row of the option table: all there is to know for help texts, manual pages and completions. Static. */
typedef struct qonnx_option_info {
    const char *name;       /**< "input-shape" */
    const char *argument;   /**< "INPUT=DIMS"; NULL for a flag */
    const char *fallback;   /**< the value without preset and setting, as text; NULL for none */
    const char *help;       /**< one sentence */
    const char *group;      /**< heading in help texts */
    const char *commands;   /**< which commands take it: letters q (quantize), k (calibrate), m (merge), c (compare), v (convert), i (inspect), d (dump) */
    bool        repeatable; /**< setting it again adds to it */
    bool        advanced;   /**< reached by -o NAME=VALUE only */
} qonnx_option_info;

/** The i-th option; NULL behind the last. */
const qonnx_option_info *qonnx_option_at(size_t i);
/** The k-th word an option's value can be, with its summary; false when there is none or the option is free text. */
bool qonnx_option_choice(const char *name, size_t k, const char **word, const char **summary);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif
#endif
