/* SPDX-License-Identifier: Apache-2.0 */
#ifndef QN_PROTECT_H
#define QN_PROTECT_H

#include <stdbool.h>

#include "base/file.h"
#include "base/status.h"

/* Two names of one file, also of one that does not exist yet. */
bool qn_same_file(const char *a, const char *b);
/* Refuses results that would replace each other or what the caller cannot make again: the calibration data (`calib`, a
 * file or a folder of samples, may be NULL). The model may be written over its own input; the sidecar (may be NULL) may
 * not. Other names of a file, by links or by the path, count as that file. */
QONNX_MUST_CHECK qonnx_status qn_protect_files(const char *input, const char *calib, const char *output,
                                               const char *sidecar, qonnx_error *err);
/* Refuses a further result (`path`, of the named option) that would replace the model, the data or another result. */
QONNX_MUST_CHECK qonnx_status qn_protect_result(const char *path, const char *option, const char *input, const char *calib,
                                                const char *other, qonnx_error *err);
/* The same for files that the model keeps its weights in; `result` may be NULL. */
QONNX_MUST_CHECK qonnx_status qn_protect_weights(const struct qn_map *maps, size_t count, const char *result,
                                                 qonnx_error *err);

#endif
