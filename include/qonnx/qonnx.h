/* SPDX-License-Identifier: Apache-2.0 */
/** @file
 * libqonnx: makes float ONNX models small and fast.
 *
 *     qonnx_options *options = qonnx_options_new();
 *     qonnx_result  *result = NULL;
 *     qonnx_error    err = { 0 };
 *     if (qonnx_options_set(options, "preset", "int8", &err) || qonnx_options_set(options, "calib", "samples/", &err) ||
 *         qonnx_quantize("in.onnx", "out.onnx", options, NULL, &result, &err))
 *         fprintf(stderr, "%s\n", err.message);
 *     else
 *         puts(qonnx_result_text(result));
 *     qonnx_result_free(result);
 *     qonnx_options_free(options);
 *
 * Every object is independent of every other: separate threads may work with separate objects. The library never
 * prints, never exits, installs no signal handler and keeps no global state but ONNX Runtime's own. Texts are UTF-8. */
#ifndef QONNX_QONNX_H
#define QONNX_QONNX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <qonnx/options.h>
#include <qonnx/status.h>
#include <qonnx/version.h>

#ifdef __cplusplus
extern "C" {
#endif
#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

/* ---- running ---- */

/** Told about what happens; every member may be NULL. Called from one thread at a time, not always the same one. */
typedef struct qonnx_callbacks {
    void *context; /**< handed to each of them */
    /** A stage ("calibrating") has done so many of its steps; total 0: not known. */
    void (*progress)(void *context, const char *stage, size_t done, size_t total);
    /** Something the user should know, one sentence; also in the result. */
    void (*warning)(void *context, const char *text);
} qonnx_callbacks;

/** What a run produced. The texts belong to it. */
typedef struct qonnx_result qonnx_result;
/** For people, several lines. */
const char *qonnx_result_text(const qonnx_result *result);
/** The same and more for programs; the sidecar of a conversion. */
const char *qonnx_result_json(const qonnx_result *result);
/** NULL is allowed. */
void qonnx_result_free(qonnx_result *result);

/** Reads the float model at `input`, quantizes it as the options say and writes `output` and its sidecar, each whole or
 * not at all. `output` may be the same file as `input`. On failure *result stays NULL and no output has changed. With option
 * "dry-run" nothing is written (`output` may be NULL) and the result is a forecast: what would be quantized, how large each
 * constant and the file become. */
QONNX_MUST_CHECK qonnx_status qonnx_quantize(const char *input, const char *output, const qonnx_options *options,
                                             const qonnx_callbacks *callbacks, qonnx_result **result, qonnx_error *err);

/** Runs the float model at `input` over the data of option "calib" and writes statistics of its values to the file `stats`, for
 * option "stats" of qonnx_quantize with the same preset, target and options. Option "shard" takes a part of the data. */
QONNX_MUST_CHECK qonnx_status qonnx_calibrate(const char *input, const char *stats, const qonnx_options *options,
                                              const qonnx_callbacks *callbacks, qonnx_result **result, qonnx_error *err);

/** Puts `count` files of statistics together: those of all shards become, byte for byte, that of all the data. */
QONNX_MUST_CHECK qonnx_status qonnx_merge(const char *stats, const char *const *inputs, size_t count,
                                          const qonnx_callbacks *callbacks, qonnx_result **result, qonnx_error *err);

/** Runs two models over the data of option "calib" and compares their outputs. With option "fail-below" and a figure under it
 * the status is E_QUALITY and the result is there all the same. */
QONNX_MUST_CHECK qonnx_status qonnx_compare(const char *first, const char *second, const qonnx_options *options,
                                            const qonnx_callbacks *callbacks, qonnx_result **result, qonnx_error *err);

/** Reads a quantized model of any format (QDQ, QCDQ, QOperator, QONNX) and writes it in the one of option "format", or as a
 * float model when that is "float". No code, scale or zero point changes. */
QONNX_MUST_CHECK qonnx_status qonnx_convert(const char *input, const char *output, const qonnx_options *options,
                                            const qonnx_callbacks *callbacks, qonnx_result **result, qonnx_error *err);

/** Tells what is known of every tensor of a quantized model of any format: role, type, bit width, sign, scale, zero point,
 * and whether these are known at all ("valid"). With option "check" also whether each constant's values lie on integers; if
 * not, the status is E_QUALITY and the result is there all the same. */
QONNX_MUST_CHECK qonnx_status qonnx_inspect(const char *input, const qonnx_options *options, const qonnx_callbacks *callbacks,
                                            qonnx_result **result, qonnx_error *err);

/** A text view of what would be done with a model, without running it: `what` is "graph" (after the float passes) or "plan". */
QONNX_MUST_CHECK qonnx_status qonnx_dump(const char *input, const char *what, const qonnx_options *options, qonnx_result **result, qonnx_error *err);

/** What preset, recipe and options say of quantization, as text of a recipe (docs/recipes.md): given as option "config" it does
 * the same. */
QONNX_MUST_CHECK qonnx_status qonnx_print_config(const qonnx_options *options, qonnx_result **result, qonnx_error *err);

/** For programs, to be called once at start: a mapped input that is truncated while in use ends the process with one
 * error line and status 1 instead of a crash; SIGINT, SIGTERM and SIGHUP end it as they always do. In each case
 * unfinished output files are removed first. */
void qonnx_install_signal_handlers(void);

/** QONNX_VERSION of the library that runs, which may be a later one than that of the headers. */
const char *qonnx_version(void);

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif
#endif
