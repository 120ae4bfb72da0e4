/* SPDX-License-Identifier: Apache-2.0 */
/** @file
 * Status codes and the error record that every fallible function of libqonnx fills.
 *
 * A function that can fail returns a qonnx_status and takes a qonnx_error * as its last argument, which may be NULL.
 * The caller owns the record and zero-initialises it. The first error wins; callers on the way up prepend context, so
 * the text reads from the outside in: "m.onnx: node 'conv1' (Conv): initializer 'w': raw_data holds 10 bytes, …".
 * Outputs are written only on success. */
#ifndef QONNX_STATUS_H
#define QONNX_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif
#if defined(__GNUC__)
#pragma GCC visibility push(default)
#endif

/** One line per status: name, exit code of the command-line program, what it means. New ones go at the end. */
#define QONNX_STATUS_LIST(X)                                                                       \
    X(OK, 0, "success")                                                                            \
    X(E_USAGE, 2, "an option, name or value the caller gave is not valid")                         \
    X(E_IO, 1, "a file could not be read or written")                                              \
    X(E_FORMAT, 1, "a file is malformed")                                                          \
    X(E_UNSUPPORTED, 1, "the input is valid but uses something this library does not handle")      \
    X(E_LIMIT, 1, "a size or depth limit was passed")                                              \
    X(E_NOMEM, 1, "out of memory")                                                                 \
    X(E_RUNTIME, 1, "ONNX Runtime reported an error")                                              \
    X(E_NO_RUNTIME, 4, "ONNX Runtime is needed and could not be loaded")                           \
    X(E_DATA, 5, "the calibration or evaluation data do not fit the model")                        \
    X(E_STRICT, 3, "something stayed in float although strict mode was asked for")                 \
    X(E_QUALITY, 6, "a demanded quality was not reached")                                          \
    X(E_INTERNAL, 1, "a bug in this library; please report it")

/** How a call ended; QONNX_OK is 0. */
typedef enum qonnx_status {
#define X(name, exit_code, text) QONNX_##name,
    QONNX_STATUS_LIST(X)
#undef X
} qonnx_status;

/** What went wrong, for whom it may concern. */
typedef struct qonnx_error {
    qonnx_status status;       /**< of the first error */
    char         message[512]; /**< NUL-terminated; control bytes of foreign text are replaced */
} qonnx_error;

/** The status' own name ("E_FORMAT"). Static. */
const char *qonnx_status_name(qonnx_status status);
/** Its meaning in words. Static. */
const char *qonnx_status_text(qonnx_status status);
/** The exit code that the program has for it. */
int qonnx_status_exit_code(qonnx_status status);

#if defined(__GNUC__)
/** A call whose status may not be ignored. */
#define QONNX_MUST_CHECK __attribute__((warn_unused_result))
/** Argument f is a format, what it prints begins at argument a. */
#define QONNX_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define QONNX_MUST_CHECK
#define QONNX_PRINTF(f, a)
#endif

#if defined(__GNUC__)
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif
#endif
