/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/costs.h"
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
    { "int8", "8-bit integers: activations, weights per channel and bias as the target takes them (needs samples of real inputs to be accurate)",
      .values = {
        { "format", "qdq" }, { "target", "generic" }, { "observer", "auto" }, { "per-channel", "on" }, { "min-sqnr", "25" }, { "duplicate", "auto" },
      },
      .trials = { { "bias-correction", "on" }, { "observer", "mse" }, { "observer", "minmax" }, { "bias-correction", "off" } } },
    { "int8-best", "int8, with more time spent on accuracy: weights are rounded by the error of each layer's output where that helps",
      .values = {
        { "format", "qdq" }, { "target", "generic" }, { "observer", "auto" }, { "per-channel", "on" }, { "min-sqnr", "25" }, { "duplicate", "auto" }, { "candidates", "16" },
      },
      .trials = { { "bias-correction", "on" }, { "observer", "mse" }, { "observer", "minmax" }, { "bias-correction", "off" }, { "rounding", "nearest" }, { "rounding", "second-order" } } },
    { "int8-weights", "8-bit weights only, per channel, for a file of a fourth of the size; activations stay as they are, and no samples are needed",
      .values = {
        { "format", "qdq" }, { "target", "generic" }, { "activations", "float" }, { "per-channel", "on" },
      },
      .trials = { { "rounding", "nearest" }, { "rounding", "second-order" } } },
    { "int8-dynamic", "8-bit MatMul and Gemm, activations quantized as the model runs: fast without samples",
      .values = {
        { "format", "qoperator" }, { "target", "generic" }, { "activations", "dynamic" }, { "per-channel", "on" },
      } },
    { "int4", "4-bit weights of MatMul and Gemm in blocks of 32, other weights as in int8-weights; no samples are needed",
      .values = {
        { "format", "qoperator" }, { "target", "generic" }, { "activations", "float" }, { "weight-bits", "4" }, { "block-size", "32" },
        { "weight-symmetric", "off" }, { "weight-range", "mse" }, { "node-sqnr", "0" },
      },
      .trials = { { "weight-importance", "off" }, { "rounding", "nearest" }, { "weight-importance", "on" }, { "rounding", "second-order" } } },
    { "int2", "2-bit weights of MatMul and Gemm in blocks of 16: for models that were made for it; no samples are needed",
      .values = {
        { "format", "qoperator" }, { "target", "generic" }, { "activations", "float" }, { "weight-bits", "2" }, { "block-size", "16" },
        { "weight-symmetric", "off" }, { "weight-range", "mse" }, { "node-sqnr", "0" },
      },
      .trials = { { "weight-importance", "off" }, { "rounding", "nearest" }, { "weight-importance", "on" }, { "rounding", "second-order" } } },
    { "fp16", "float16 weights, half the size; all is computed as before, and no samples are needed",
      .values = { { "format", "qdq" }, { "target", "generic" }, { "activations", "float" }, { "weight-type", "float16" } } },
    { "bf16", "bfloat16 weights, half the size; all is computed as before, and no samples are needed",
      .values = { { "format", "qdq" }, { "target", "generic" }, { "activations", "float" }, { "weight-type", "bfloat16" } } },
    { "fp8", "float8e4m3fn weights with a scale for each channel, a fourth of the size; no samples are needed",
      .values = { { "format", "qdq" }, { "target", "generic" }, { "activations", "float" }, { "weight-type", "float8e4m3fn" }, { "per-channel", "on" } } },
    { "w4a8", "4-bit weights per channel, in 8-bit integers, with 8-bit activations: for what packs them; no smaller as it is",
      .values = {
        { "format", "qdq" }, { "target", "generic" }, { "observer", "minmax" }, { "per-channel", "on" }, { "weight-bits", "4" }, { "rounding", "second-order" }, { "bias-correction", "on" },
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
static const struct qn_kept_float slower_on_ort[] = {
    { "ConvTranspose", QN_REASON_SLOWER_ON_TARGET },
    { "Pad", QN_REASON_SLOWER_ON_TARGET },
    { "Softmax", QN_REASON_SLOWER_ON_TARGET },
    { "LogSoftmax", QN_REASON_SLOWER_ON_TARGET },
    { "LayerNormalization", QN_REASON_SLOWER_ON_TARGET },
    { "Gelu", QN_REASON_SLOWER_ON_TARGET },
    { "HardSwish", QN_REASON_SLOWER_ON_TARGET },
    { "ReduceMean", QN_REASON_SLOWER_ON_TARGET },
    { "Tanh", QN_REASON_SLOWER_ON_TARGET },
    { 0 },
};

/* Measured on OpenVINO 2026.4 for x86. It refuses recurrent operators with quantized weights, or computes them wrong. */
static const struct qn_kept_float slower_on_openvino[] = {
    { "ConvTranspose", QN_REASON_SLOWER_ON_TARGET },
    { "Pad", QN_REASON_SLOWER_ON_TARGET },
    { "Softmax", QN_REASON_SLOWER_ON_TARGET },
    { "LogSoftmax", QN_REASON_SLOWER_ON_TARGET },
    { "LayerNormalization", QN_REASON_SLOWER_ON_TARGET },
    { "Gelu", QN_REASON_SLOWER_ON_TARGET },
    { "HardSwish", QN_REASON_SLOWER_ON_TARGET },
    { "ReduceMean", QN_REASON_SLOWER_ON_TARGET },
    { "Tanh", QN_REASON_SLOWER_ON_TARGET },
    { "LSTM", QN_REASON_NOT_ON_TARGET },
    { "GRU", QN_REASON_NOT_ON_TARGET },
    { "RNN", QN_REASON_NOT_ON_TARGET },
    { 0 },
};

/* TensorRT moves Q and DQ across what only moves values; what it computes in int8 beside layers and sums gains nothing. */
static const struct qn_kept_float float_on_tensorrt[] = {
    { "Concat", QN_REASON_SLOWER_ON_TARGET },
    { "Mul", QN_REASON_SLOWER_ON_TARGET },
    { "Softmax", QN_REASON_NOT_ON_TARGET },
    { "LogSoftmax", QN_REASON_NOT_ON_TARGET },
    { "LayerNormalization", QN_REASON_NOT_ON_TARGET },
    { "LSTM", QN_REASON_NOT_ON_TARGET },
    { "GRU", QN_REASON_NOT_ON_TARGET },
    { "RNN", QN_REASON_NOT_ON_TARGET },
    { 0 },
};

static const struct qn_kept_float float_on_qnn[] = {
    { "LSTM", QN_REASON_NOT_ON_TARGET },
    { "GRU", QN_REASON_NOT_ON_TARGET },
    { "RNN", QN_REASON_NOT_ON_TARGET },
    { 0 },
};

static const struct qn_target targets[] = {
    {
        .name = "generic",
        .summary = "right in ONNX Runtime, OpenVINO, tract and TVM on any CPU, fast in ONNX Runtime (not for TensorRT or QNN)",
        .act_types = { "uint8", "int8" },
        .weight_types = { "int8" },
        .kept_float = slower_on_ort,
        .twins_are_kernels = true,
        .function_kernels = true,
        .costs = &qn_costs_ort_x86,
        .conv_needs_output = true,
        .add_unmakes_matmul = true,
        .clamp_hides_result = true,
        .adds_pairs = true,
    },
    {
        .name = "ort-x86",
        .summary = "ONNX Runtime on x86 CPUs of any age",
        .act_types = { "uint8", "int8" },
        .weight_types = { "int8" },
        .kept_float = slower_on_ort,
        .twins_are_kernels = true,
        .function_kernels = true,
        .costs = &qn_costs_ort_x86,
        .conv_needs_output = true,
        .add_unmakes_matmul = true,
        .own_operators = true,
        .clamp_hides_result = true,
        .adds_pairs = true,
    },
    {
        .name = "ort-x86-vnni",
        .summary = "ONNX Runtime on x86 CPUs with VNNI, whose 8-bit sums never saturate",
        .act_types = { "uint8", "int8" },
        .weight_types = { "int8" },
        .kept_float = slower_on_ort,
        .twins_are_kernels = true,
        .function_kernels = true,
        .costs = &qn_costs_ort_x86,
        .conv_needs_output = true,
        .add_unmakes_matmul = true,
        .own_operators = true,
        .clamp_hides_result = true,
    },
    {
        .name = "ort-arm",
        .summary = "ONNX Runtime on 64-bit ARM CPUs (from documentation, not run on hardware)",
        .act_types = { "int8", "uint8" },
        .weight_types = { "int8" },
        .on_paper = true,
        .kept_float = slower_on_ort,
        .function_kernels = true,
        .conv_needs_output = true,
        .add_unmakes_matmul = true,
        .own_operators = true,
        .clamp_hides_result = true,
    },
    {
        .name = "ort-web",
        .summary = "ONNX Runtime for browsers and Node (WebAssembly)",
        .act_types = { "uint8", "int8" },
        .weight_types = { "int8" },
        .kept_float = slower_on_ort,
        .twins_are_kernels = true,
        .function_kernels = true,
        .conv_needs_output = true,
        .add_unmakes_matmul = true,
        .own_operators = true,
        .clamp_hides_result = true,
    },
    {
        .name = "openvino",
        .summary = "OpenVINO on x86 CPUs",
        .act_types = { "uint8" },
        .weight_types = { "int8" },
        .formats = { "qdq" },
        .kept_float = slower_on_openvino,
        .add_in_layer = true,
        .mul_needs_output = true,
        .adds_pairs = true,
    },
    {
        .name = "tensorrt",
        .summary = "TensorRT on NVIDIA GPUs: int8 without zero points, float biases (from documentation, not run on hardware)",
        .on_paper = true,
        .act_types = { "int8" },
        .weight_types = { "int8" },
        .formats = { "qdq" },
        .kept_float = float_on_tensorrt,
        .act_symmetric = true,
        .float_bias = true,
        .add_in_layer = true,
    },
    {
        .name = "qnn",
        .summary = "ONNX Runtime's QNN provider for Qualcomm NPUs: every tensor on integers (from documentation, not run on hardware)",
        .on_paper = true,
        .act_types = { "uint8" },
        .weight_types = { "int8" },
        .formats = { "qdq" },
        .kept_float = float_on_qnn,
        .linear_per_tensor = true,
        .least_range = 1e-4f,
        .every_tensor = true,
        .pair_per_reader = true,
        .fixed_shapes = true,
        .function_kernels = true,
        .act_act_matmul = true,
    },
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
