/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/presets.h"

#include <string.h>

/* clang-format off */
static const struct qn_preset presets[] = {
    { "copy", "no change: open, check and save", .copy = true },
    { "int8", "8-bit integers: uint8 activations, int8 weights per channel, int32 bias (needs samples of real inputs to be accurate)",
      .values = {
        { "format", "qdq" }, { "target", "generic" }, { "observer", "minmax" }, { "act-type", "uint8" }, { "weight-type", "int8" },
        { "per-channel", "on" },
      } },
};

/* Measured on ONNX Runtime 1.31 for x86: with Q/DQ around them these run slower than in float, or are not fused and pay
 * for the conversion only. */
static const char *const slower_on_ort[] = {
    "ConvTranspose", "Pad", "Softmax", "LogSoftmax", "LayerNormalization", "Gelu", "HardSwish", "ReduceMean", "Tanh", NULL,
};

static const struct qn_target targets[] = {
    { "generic", "right in ONNX Runtime on any CPU, fast there on x86 (not for TensorRT or QNN)",
      .slower = slower_on_ort, .conv_needs_output = true, .add_unmakes_matmul = true, .clamp_hides_result = true },
    { "ort-x86", "ONNX Runtime on x86 CPUs",
      .slower = slower_on_ort, .conv_needs_output = true, .add_unmakes_matmul = true, .clamp_hides_result = true },
};
/* clang-format on */

const struct qn_preset *qn_preset_at(size_t i) { return i < sizeof presets / sizeof *presets ? &presets[i] : NULL; }
const struct qn_target *qn_target_at(size_t i) { return i < sizeof targets / sizeof *targets ? &targets[i] : NULL; }

const struct qn_preset *qn_preset_find(const char *name)
{
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++)
        if (strcmp(presets[i].name, name) == 0) return &presets[i];
    return NULL;
}

const struct qn_target *qn_target_find(const char *name)
{
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++)
        if (strcmp(targets[i].name, name) == 0) return &targets[i];
    return NULL;
}
