/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/presets.h"

#include <string.h>

/* Pieces of rules. Layers read what is quantized behind an activation as it is; all else gets a quantizer of theirs. */
#define LAYERS "[\"Conv\", \"ConvTranspose\", \"Gemm\", \"MatMul\"]"
#define WEIGHTS(quantizer, bits) \
    "[{\"op\": " LAYERS ", \"weight\": {\"quantizer\": \"" quantizer "\", \"bit_width\": " bits "}, \"bias\": \"Int32Bias\"},\n"
/* Grouped transposed convolutions hold the groups' channels on two axes, and Brevitas cannot tell them apart either. */
#define GROUPED " {\"op\": \"ConvTranspose\", \"weight\": {\"per_channel\": false}},\n"
#define INPUTS(quantizer, bits) \
    " {\"op\": " LAYERS ", \"input\": {\"quantizer\": \"" quantizer "\", \"bit_width\": " bits ", \"only_if_float\": true}},\n"
#define ACTIVATIONS(positive, any, bits)                                                                                  \
    " {\"op\": [\"Relu\", \"Sigmoid\"], \"output\": {\"quantizer\": \"" positive "\", \"bit_width\": " bits "}},\n" \
    " {\"op\": \"Tanh\", \"output\": {\"quantizer\": \"" any "\", \"bit_width\": " bits "}}]"

/* clang-format off */
static const struct qn_preset presets[] = {
    { "copy", "no change: open, check and save", .copy = true },
    { "int8", "8-bit integers: uint8 activations, int8 weights per channel, int32 bias (needs samples of real inputs to be accurate)",
      .values = {
        { "format", "qdq" }, { "target", "generic" }, { "observer", "minmax" }, { "act-type", "uint8" }, { "weight-type", "int8" },
        { "per-channel", "on" }, { "min-sqnr", "25" },
      } },
    { "brevitas-int8", "Brevitas' default quantizers, exactly",
      .values = { { "format", "qcdq" } },
      .rules = WEIGHTS("Int8WeightPerTensorFloat", "8") INPUTS("Int8ActPerTensorFloat", "8") ACTIVATIONS("Uint8ActPerTensorFloat", "Int8ActPerTensorFloat", "8") },
    { "brevitas-uint8", "with shifted uint8 activations",
      .values = { { "format", "qcdq" } },
      .rules = WEIGHTS("Int8WeightPerTensorFloat", "8") INPUTS("ShiftedUint8ActPerTensorFloat", "8") ACTIVATIONS("Uint8ActPerTensorFloat", "ShiftedUint8ActPerTensorFloat", "8") },
    { "brevitas-w8a8-pc", "with a scale for each channel of a weight",
      .values = { { "format", "qcdq" } },
      .rules = WEIGHTS("Int8WeightPerChannelFloat", "8") GROUPED INPUTS("Int8ActPerTensorFloat", "8") ACTIVATIONS("Uint8ActPerTensorFloat", "Int8ActPerTensorFloat", "8") },
    { "brevitas-w4a8-pc", "4-bit weights per channel, 8-bit activations",
      .values = { { "format", "qcdq" } },
      .rules = WEIGHTS("Int8WeightPerChannelFloat", "4") GROUPED INPUTS("Int8ActPerTensorFloat", "8") ACTIVATIONS("Uint8ActPerTensorFloat", "Int8ActPerTensorFloat", "8") },
    { "brevitas-w4a4", "4-bit weights and activations",
      .values = { { "format", "qcdq" } },
      .rules = WEIGHTS("Int8WeightPerTensorFloat", "4") INPUTS("Int8ActPerTensorFloat", "4") ACTIVATIONS("Uint8ActPerTensorFloat", "Int8ActPerTensorFloat", "4") },
    { "brevitas-w8", "8-bit weights only: smaller, needs no data",
      .values = { { "format", "qcdq" } },
      .rules = "[{\"op\": " LAYERS ", \"weight\": \"Int8WeightPerTensorFloat\"}]" },
};

/* Measured on ONNX Runtime 1.31 for x86: with Q/DQ around them these run slower than in float, or are not fused and pay
 * for the conversion only. */
static const char *const slower_on_ort[] = {
    "ConvTranspose", "Pad", "Softmax", "LogSoftmax", "LayerNormalization", "Gelu", "HardSwish", "ReduceMean", "Tanh", NULL,
};

static const struct qn_target targets[] = {
    { "generic", "right in ONNX Runtime on any CPU, fast there on x86 (not for TensorRT or QNN)",
      .twins_are_kernels = true, .slower = slower_on_ort, .conv_needs_output = true, .add_unmakes_matmul = true, .clamp_hides_result = true },
    { "ort-x86", "ONNX Runtime on x86 CPUs",
      .twins_are_kernels = true, .slower = slower_on_ort, .conv_needs_output = true, .add_unmakes_matmul = true, .clamp_hides_result = true },
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
