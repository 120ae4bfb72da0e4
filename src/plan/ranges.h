/* SPDX-License-Identifier: Apache-2.0
 * Ranges of activations as other tools keep them in files. Which kinds there are is in the table of encodings.c. */
#ifndef QN_PLAN_RANGES_H
#define QN_PLAN_RANGES_H

#include "base/names.h"
#include "plan/given.h"

struct qn_named_range {
    const char     *name; /* of a value or, in kinds that speak of layers, of a node whose first input is meant */
    struct qn_given given;
    bool            known; /* for whoever looks: the model has it */
};

struct qn_ranges {
    struct qn_named_range *list; /* in the file's order, no name twice */
    size_t                 count, room;
    size_t weights, floats; /* entries that are about weights, or say that a tensor stays float: not in the list */
    struct qn_names names;  /* the ids are indexes of the list */
    struct qn_arena arena;
};

void qn_ranges_init(struct qn_ranges *ranges);
void qn_ranges_release(struct qn_ranges *ranges); /* a zeroed struct may be released */

/* Adds what a file of some kind says; E_FORMAT with line or tensor for anything that is none. */
typedef qonnx_status qn_ranges_reader(struct qn_ranges *ranges, const char *text, size_t size, qonnx_error *err);
/* onnxruntime's calibration cache: JSON, "lowest" and "highest" of each tensor. */
qn_ranges_reader     qn_ranges_read_ort;
/* AIMET's encodings, whatever their version; Qualcomm's quantization overrides are the same. */
qn_ranges_reader     qn_ranges_read_aimet;
/* TensorRT's calibration cache: "name: 3ca94044", the scale of int8 as the digits of a float32. */
qn_ranges_reader     qn_ranges_read_tensorrt;
/* ncnn's table: "layer s", s being codes a unit of the layer's input; "layer_param_0 s s …" of its weight is passed over. */
qn_ranges_reader     qn_ranges_read_ncnn;

/* For the readers: adds a range; or codes that stand for scale × (offset … offset + 2^bits - 1). */
QONNX_MUST_CHECK qonnx_status qn_ranges_add(struct qn_ranges *ranges, const char *name, double min, double max,
                                            qonnx_error *err);
QONNX_MUST_CHECK qonnx_status qn_ranges_add_codes(struct qn_ranges *ranges, const char *name, double scale,
                                                  double offset, double bits, qonnx_error *err);
/* A scale for each channel, which only weights can have. */
QONNX_MUST_CHECK qonnx_status qn_ranges_add_channels(struct qn_ranges *ranges, const char *name, qonnx_error *err);

#endif
