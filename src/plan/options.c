/* SPDX-License-Identifier: Apache-2.0 */
#include "plan/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/numerals.h"
#include "base/pool.h"
#include "plan/block_weight.h"
#include "plan/ladder.h"
#include "plan/overrides.h"
#include "plan/presets.h"
#include "plan/recipe.h"

enum type { FLAG, INT, REAL, TEXT, LIST };

struct row {
    qonnx_option_info info;
    enum type         type;
    size_t            offset; /* of the member in qn_settings */
    int64_t           low, high; /* of numbers */
    /* the words it may be: the i-th, or false */
    bool (*choice)(size_t i, const char **word, const char **summary);
};

static bool preset_choice(size_t i, const char **word, const char **summary)
{
    const struct qn_preset *row = qn_preset_at(i);
    if (row) *word = row->name, *summary = row->summary;
    return row != NULL;
}

static bool target_choice(size_t i, const char **word, const char **summary)
{
    const struct qn_target *row = qn_target_at(i);
    if (row) *word = row->name, *summary = row->summary;
    return row != NULL;
}

static bool observer_choice(size_t i, const char **word, const char **summary)
{
    const struct qn_observer *row = qn_observer_at(i);
    if (row) *word = row->name, *summary = row->summary;
    return row != NULL;
}

/* Fixed word lists. */
struct word {
    const char *word, *summary;
};
static bool choose(const struct word *words, size_t count, size_t i, const char **word, const char **summary)
{
    if (i < count) *word = words[i].word, *summary = words[i].summary;
    return i < count;
}
#define CHOICES(name, ...)                                                          \
    static bool name(size_t i, const char **word, const char **summary)            \
    {                                                                               \
        static const struct word words[] = { __VA_ARGS__ };                         \
        return choose(words, sizeof words / sizeof *words, i, word, summary);       \
    }
CHOICES(format_choice, { "qdq", "QuantizeLinear/DequantizeLinear around float operators" },
        { "qcdq", "QDQ with a Clip where codes use less than their type, as Brevitas exports it" },
        { "qoperator", "operators on codes: QLinearConv, QLinearMatMul and their kin, for ONNX Runtime" },
        { "qonnx", "Quant nodes of qonnx.custom_op.general, for QONNX, FINN and hls4ml" },
        { "float", "convert only: no quantizers at all, constants as the floats that their codes stand for" })
CHOICES(act_choice, { "uint8", "0 … 255 with a zero point" }, { "int8", "-128 … 127 with a zero point where the target takes one" })
CHOICES(weight_choice, { "int8", "-127 … 127 around zero" }, { "float16", "half as large, where only weights change; a Cast makes them floats again" },
        { "bfloat16", "the same with float32's range and 8 bits of precision" }, { "float8e4m3fn", "a fourth, with a scale for each output channel" })
CHOICES(embeddings_choice, { "float", "as they are" }, { "int8", "int8 with a scale for each column: a fourth of the size" },
        { "int8-blocks", "8 bits in blocks of a row's neighbours, for ONNX Runtime (GatherBlockQuantized)" }, { "int4-blocks", "4 bits, likewise: a seventh of the size" })
CHOICES(rounding_choice, { "auto", "nearest, or what the preset has on trial if the outputs keep more with it" }, { "nearest", "each weight to the code nearest to it" },
        { "small", "by the error of the layer's output where few products make one: depthwise and first convolutions" },
        { "second-order", "by the error of the layer's output: GPTQ's order, then descent; runs the data once more" })
CHOICES(bias_choice, { "auto", "off, or what the preset has on trial and the outputs keep more with" }, { "on", "from the means of the channels that a layer reads" },
        { "off", "biases are rounded as they are" })
CHOICES(importance_choice, { "auto", "off, or what the preset has on trial and the outputs keep more with" }, { "on", "by what was seen of its input" }, { "off", "all weights' errors count alike" })
CHOICES(activations_choice, { "static", "codes, with ranges from samples of real inputs" }, { "dynamic", "codes where a MatMul or Gemm reads them, with ranges found as the model runs" },
        { "float", "as they are: only weights become codes, and no samples are needed" })
CHOICES(digest_choice, { "auto", "xxh3, and sha256 for files up to 64 MB" }, { "xxh3", "XXH3-128 only" }, { "sha256", "XXH3-128 and SHA-256" })
CHOICES(weights_choice, { "codes", "integers with a DequantizeLinear" }, { "float", "floats with a QuantizeLinear too, as Brevitas' export_weight_q_node" })
CHOICES(io_choice, { "float", "values, with the quantizers inside the model" }, { "uint8", "codes 0 … 255" }, { "int8", "codes -128 … 127" })
CHOICES(external_choice, { "auto", "when the model takes 2 GiB or more" }, { "always", "whatever the size" }, { "never", "not at all: 2 GiB and more are an error" })
CHOICES(range_choice, { "minmax", "all of it; nothing is clipped" }, { "mse", "what leaves the least squared error of rounding and clipping together" },
        { "octav", "up to where clipping and even rounding errors balance; not of blocks" },
        { "hqq", "of blocks: half-quadratic zero points, which leave out the few large errors" })
CHOICES(duplicate_choice, { "auto", "where it makes finer steps, if the model's outputs keep more with it" }, { "on", "where it makes finer steps" }, { "off", "nowhere" })
CHOICES(verify_choice, { "run", "run it in ONNX Runtime on a few calibration samples, and judge by its outputs" },
        { "full", "also see which kernels ONNX Runtime makes of it" },
        { "time", "and measure how fast it is against the input, on one thread" }, { "off", "do neither" })

CHOICES(pair_choice, { "auto", "where the calibration data can make such a sum saturate, on targets that form it" },
        { "always", "for whatever data" }, { "off", "nowhere" })

CHOICES(layout_choice, { "auto", "channels are where the input has 1 or 3 of something" }, { "nchw", "channels before height and width" }, { "nhwc", "channels last" })
CHOICES(color_choice, { "rgb", "red first" }, { "bgr", "blue first, as OpenCV reads images" })
CHOICES(fit_choice, { "crop", "the middle, as large as the input's proportions allow" }, { "stretch", "all of it, out of proportion" },
        { "pad", "all of it in proportion, with bars of --image-fill beside it" })
CHOICES(filter_choice, { "bilinear", "a triangle, widened where images become smaller: Pillow, or torchvision with antialias" }, { "bicubic", "a cubic with a = -0.5, widened likewise" })

#define AT(member) offsetof(struct qn_settings, member)
/* clang-format off */
/*    name             argument       default    help                                                                                                   group          commands  type  member … */
static const struct row rows[] = {
    { { "preset",       "NAME",        "int8",    "what to make of the model",                                                                            "Quantization", "qdi" },  TEXT, AT(preset), .choice = preset_choice },
    { { "format",       "FORMAT",      "qdq",     "how the quantized model is written",                                                                   "Quantization", "qdv" },  TEXT, AT(format), .choice = format_choice },
    { { "target",       "TARGET",      "generic", "the runtime it is for",                                                                                "Quantization", "qdi" },  TEXT, AT(target), .choice = target_choice },
    { { "include",      "PATTERN",     NULL,      "quantize only nodes that match: the name of a node, its output or its weight, or op:TYPE, with * and ?",                      "Quantization", "qdi", true }, LIST, AT(include) },
    { { "exclude",      "PATTERN",     NULL,      "leave nodes that match in float",                                                                      "Quantization", "qdi", true }, LIST, AT(exclude) },
    { { "override",     "PATTERN:KEY=VALUE,...", NULL, "what else holds for the weights of nodes that match: preset, weight-bits, block-size and the like, or float, as in 'op:Gemm:preset=int4'", "Quantization", "qdi", true }, LIST, AT(override) },
    { { "target-size",  "SIZE",        NULL,      "with int4 or int2: bits and blocks of each weight so that the files take no more than that (bytes, 10MB, 25% of the input) and least is lost", "Quantization", "q" }, TEXT, AT(target_size) },
    { { "target-bpw",   "BITS",        "0",       "the same for constants: so many bits for each float of the input model, with scales and zero points",                  "Quantization", "q" }, REAL, AT(target_bpw), 0, 32 },
    { { "config",       "FILE.json",   NULL,      "a recipe: which quantizer each layer's weight, bias, input and output has; see docs/recipes.md",         "Quantization", "qd" },  TEXT, AT(config) },
    { { "only-faster",  "on|off",      "on",      "leave in float what is not faster on the target when quantized; off also quantizes that, for size", "Quantization", "qd", false, true }, FLAG, AT(only_faster) },
    { { "strict",       NULL,          "off",     "fail with status 3 when a layer with weights stays in float",                                          "Quantization", "q" },   FLAG, AT(strict) },
    { { "activations",  "HOW",         "static",  "what becomes of the values between operators",                                                         "Quantization", "qd", false, true }, TEXT, AT(activations), .choice = activations_choice },
    { { "act-type",     "TYPE",        NULL,      "integer type of activations; without it the target's default",                                                                "Quantization", "qd", false, true }, TEXT, AT(act_type), .choice = act_choice },
    { { "weight-type",  "TYPE",        NULL,      "type of weights; without it the target's default",                                                                        "Quantization", "qd", false, true }, TEXT, AT(weight_type), .choice = weight_choice },
    { { "weight-bits",  "N",           "8",       "bits that weight codes use of their type",                                                             "Quantization", "qd", false, true }, INT, AT(weight_bits), 2, 8 },
    { { "rounding",     "NAME",        "auto",    "how weights become codes",                                                                             "Quantization", "q", false, true }, TEXT, AT(rounding), .choice = rounding_choice },
    { { "damping",      "PERCENT",     "5",       "second-order rounding: so much of the mean square of a layer's inputs is added to each",                "Quantization", "q", false, true }, INT, AT(damping), 0, 100 },
    { { "bias-correction", "WHEN",     "auto",    "make good in the bias what rounded weights take from the mean of a layer's output",                     "Quantization", "q", false, true }, TEXT, AT(bias_correction), .choice = bias_choice },
    { { "weight-range", "HOW",         "minmax",  "what a weight's codes cover, for each of its scales",                                                  "Quantization", "qd", false, true }, TEXT, AT(weight_range), .choice = range_choice },
    { { "weight-importance", "WHEN",   "auto",    "blocks: an error counts by the mean square of the input that its weight is multiplied by; from --calib or --stats", "Quantization", "q", false, true }, TEXT, AT(weight_importance), .choice = importance_choice },
    { { "block-size",   "N",           "0",       "where only weights become codes: so many neighbours that a MatMul or Gemm sums over share a scale, a power of two from 16 to 256; 0: a scale for each output channel", "Quantization", "qd", false, true }, INT, AT(block_size), 0, QN_BLOCK_MOST },
    { { "weight-symmetric", "on|off",  "on",      "blocks have no zero points; off: each has one, for a little more size and accuracy",                    "Quantization", "qd", false, true }, FLAG, AT(weight_symmetric) },
    { { "per-channel",  "on|off",      "on",      "one scale for each output channel of a weight",                                                        "Quantization", "qd", false, true }, FLAG, AT(per_channel) },
    { { "embeddings",   "TYPE",        "float",   "tables that a Gather reads rows of; blocks are of --block-size, 32 if that is 0",                                                                   "Quantization", "qd", false, true }, TEXT, AT(embeddings), .choice = embeddings_choice },
    { { "pair-safe",    "WHEN",        "auto",    "keep the sum of two neighbouring products within 16 bits, in which x86 CPUs without VNNI form it",       "Quantization", "qd", false, true }, TEXT, AT(pair_safe), .choice = pair_choice },
    { { "weights-as",   "FORM",        "codes",   "how qcdq holds quantized weights",                                                                     "Quantization", "q", false, true }, TEXT, AT(weights_as), .choice = weights_choice },
    { { "io-type",      "TYPE",        "float",   "what the model's inputs and outputs hold: codes, where they are quantized so; scales and zero points are in the sidecar", "Quantization", "qv" }, TEXT, AT(io_type), .choice = io_choice },
    { { "pass",         "NAME",        NULL,      "run these float passes instead of the default ones",                                                   "Quantization", "qd", true, true }, LIST, AT(pass) },
    { { "min-sqnr",     "DB",          "10",      "leave as many nodes in float as it takes for every output to keep this much of the signal on a few calibration samples", "Quantization", "q" }, INT, AT(min_sqnr), 0, 100 },
    { { "max-drop",     "POINTS",      "100",     "the same for choices: of 100 (the largest value in each row of an output) at most so many may be others than in float, on all calibration samples up to 256", "Quantization", "q" }, REAL, AT(max_drop), 0, QN_DROP_ANY },
    { { "candidates",   "N",           "12",      "models to make and run while choosing methods and what stays in float; more may be needed to reach --min-sqnr", "Quantization", "q", false, true }, INT, AT(candidates), 0, 100000 },
    { { "duplicate",    "WHEN",        "off",     "spread channels with outliers that a MatMul or Gemm reads over copies of themselves, for 3 % more weights at most", "Quantization", "q", false, true }, TEXT, AT(duplicate), .choice = duplicate_choice },
    { { "node-sqnr",    "DB",          "20",      "leave a layer in float when quantizing what it reads or writes keeps less than this on the calibration data; 0 never does", "Quantization", "q", false, true }, INT, AT(node_sqnr), 0, 100 },

    { { "calib",        "PATH",        NULL,      "samples: FILE.npz, .npy, .csv or .raw (float32), a folder of JPEG and PNG images, of .npz, .npy or .raw files, or of test_data_set_K/input_J.pb", "Data",         "qc" },  TEXT, AT(calib) },
    { { "stats",        "FILE",        NULL,      "ranges follow from statistics that calibrate and merge wrote; samples of --calib then only judge",      "Data",         "q" },   TEXT, AT(stats) },
    { { "ranges",       "KIND=PATH",   NULL,      "ranges of activations out of another tool's file: ort-cache, aimet-0.6.1, aimet-1.0.0, aimet-2.0.0, trt-cache or ncnn-table; what it lacks is observed, if there is --calib or --stats", "Data", "q" }, TEXT, AT(ranges) },
    { { "shard",        "K/N",         NULL,      "take each N-th sample from the K-th on; merge then puts the statistics of all shards together",          "Data",         "k" },   TEXT, AT(shard) },
    { { "resume",       NULL,          "off",     "go on where a run that was killed had come to",                                                        "Data",         "k" },   FLAG, AT(resume) },
    { { "checkpoint",   "N",           "64",      "keep what is gathered in STATS.partial after every N samples, for --resume",                           "Data",         "k", false, true }, INT, AT(checkpoint), 1, INT32_MAX },
    { { "samples",      "N",           "0",       "use at most N samples; 0 uses all",                                                                    "Data",         "qc" },  INT,  AT(samples), 0, INT32_MAX },
    { { "shuffle",      NULL,          "off",     "with --samples: a subset chosen by --seed instead of the first N",                                     "Data",         "qc" },  FLAG, AT(shuffle) },
    { { "seed",         "N",           "0",       "seed of synthetic data and of --shuffle",                                                              "Data",         "qcv" },  INT,  AT(seed), 0, INT64_MAX },
    { { "dim",          "NAME=N",      NULL,      "size of a symbolic dimension for synthetic data",                                                      "Data",         "qcv", true }, LIST, AT(dim) },
    { { "input-shape",  "INPUT=DIMS",  NULL,      "shape of an input for synthetic data, as in x=1,3,224,224",                                            "Data",         "qcv", true }, LIST, AT(input_shape) },
    { { "state",        "OUT=IN",      NULL,      "a state: in data order, what output OUT gives becomes input IN of the next sample; zeros at first, or what the data hold for IN", "Data", "qc", true }, LIST, AT(state) },
    { { "state-reset",  "N",           "0",       "start --state anew after every N samples; 0 only at the first",                                         "Data",         "qc" },  INT,  AT(state_reset), 0, INT32_MAX },
    { { "observer",     "NAME",        "minmax",  "how a range follows from the values seen",                                                             "Data",         "qd", false, true }, TEXT, AT(observer), .choice = observer_choice },
    { { "percentile",   "P",           "99.99",   "for -o observer=percentile: how many in a hundred values the range holds",                             "Data",         "qd", false, true }, REAL, AT(percentile), 50, 100 },
    { { "momentum",     "M",           "0.1",     "for -o observer=moving-average: the weight of each further sample",                                    "Data",         "qd", false, true }, REAL, AT(momentum), 0, 1 },

    { { "image-size",   "HxW",         NULL,      "height and width that images are fed in, as in 224 or 224x320; without it those of the model's input", "Images",       "qc" },  TEXT, AT(image_size) },
    { { "image-mean",   "M[,M,M]",     NULL,      "is subtracted from pixels: one number, or one for each channel",                                       "Images",       "qc" },  TEXT, AT(image_mean) },
    { { "image-std",    "S[,S,S]",     NULL,      "pixels less the mean are divided by it: one number, or one for each channel",                          "Images",       "qc" },  TEXT, AT(image_std) },
    { { "image-range",  "MAX",         "0",       "pixels run from 0 to MAX before mean and std: 1 or 255; 0 means 1, and 255 for inputs of integers",    "Images",       "qc" },  INT,  AT(image_range), 0, 65535 },
    { { "image-layout", "LAYOUT",      "auto",    "order of the input's axes",                                                                            "Images",       "qc" },  TEXT, AT(image_layout), .choice = layout_choice },
    { { "image-color",  "ORDER",       "rgb",     "order of the input's channels",                                                                        "Images",       "qc" },  TEXT, AT(image_color), .choice = color_choice },
    { { "image-fit",    "HOW",         "crop",    "how images of other proportions become the input's",                                                  "Images",       "qc" },  TEXT, AT(image_fit), .choice = fit_choice },
    { { "image-crop",   "PERCENT",     "100",     "how much of a side is left: images are resized to 100 / PERCENT of the size and the middle is cut out; 87.5 makes 224 out of 256", "Images", "qc" }, REAL, AT(image_crop), 1, 100 },
    { { "image-filter", "NAME",        "bilinear", "how pixels are weighed in resizing",                                         "Images",       "qc", false, true }, TEXT, AT(image_filter), .choice = filter_choice },
    { { "image-fill",   "PIXEL",       "0",       "what --image-fit pad fills up with, 0 to 255",                                                         "Images",       "qc", false, true }, INT, AT(image_fill), 0, 255 },

    { { "labels",       "FILE.npy",    NULL,      "true classes, one for each sample, to count right answers of both models",                             "Comparison",   "c" },   TEXT, AT(labels) },
    { { "label-output", "NAME",        NULL,      "the output the labels are for; the first float output otherwise",                                      "Comparison",   "c" },   TEXT, AT(label_output) },
    { { "fail-below",   "FIGURE=X",    NULL,      "fail with status 6 when the least sqnr, worst-sqnr, cosine or agreement is below X, max-error or relative above it, or more than X points of top-1 are lost (drop)", "Comparison", "c", true }, LIST, AT(fail_below) },
    { { "top-k",        "K[,K...]",    "1",       "also count how often the first model's best class is among the second's K best, and with --labels the right one", "Comparison",   "c" },   TEXT, AT(top_k) },
    { { "tensors",      NULL,          "off",     "also compare what both models compute inside, without ONNX Runtime's optimizations; names what loses most", "Comparison",   "c" },   FLAG, AT(tensors) },
    { { "exact",        NULL,          "off",     "run the second model without ONNX Runtime's optimizations: exact arithmetic",                          "Comparison",   "c" },   FLAG, AT(exact) },
    { { "time",         NULL,          "off",     "also measure the CPU time of a run of each model on one thread",                                       "Comparison",   "c" },   FLAG, AT(time) },

    { { "dry-run",      NULL,          "off",     "write nothing: tell what --preset would quantize, as far as that is known without data, and how large each constant and the file become", "Inspection",   "qi" },   FLAG, AT(dry_run) },
    { { "check",        NULL,          "off",     "also check that every constant is made of integers of its bit width, and fail with status 6 if not",   "Inspection",   "i" },   FLAG, AT(check) },

    { { "sidecar",      "PATH|none",   NULL,      "where the JSON sidecar goes; OUT.quant.json otherwise",                                           "Output",       "qv" },   TEXT, AT(sidecar) },
    { { "report",       "FILE",        NULL,      "also write a report: FILE.html (a page for people), FILE.json or FILE.txt; measures each layer",         "Output",       "q", true }, LIST, AT(report) },
    { { "encodings",    "KIND=PATH",   NULL,      "also write the scales and zero points that were chosen as another tool's file, of the kinds that --ranges reads", "Output", "qk", true }, LIST, AT(encodings) },
    { { "digest",       "KIND",        "auto",    "digests of input and output in the sidecar",                                                           "Output",       "qv" },   TEXT, AT(digest), .choice = digest_choice },
    { { "external-data", "WHEN",       "auto",    "when weights go into files beside the model",                                                          "Output",       "qv" },   TEXT, AT(external_data), .choice = external_choice },
    { { "shard-size",   "MB",          "0",       "with external data: start another file where this size would be passed; 0 makes one file",             "Output",       "qv" },   INT,  AT(shard_size), 0, 1 << 24 },
    { { "verify",       "KIND",        "run",     "check of the result before it is written",                                                             "Output",       "q", false, true }, TEXT, AT(verify), .choice = verify_choice },

    { { "threads",      "N",           "0",       "threads to use; 0 means one for each processor; the result does not depend on it",                     "Running",      "qcv" },  INT,  AT(threads), 0, 1024 },
    { { "mem-limit",    "MB",          "512",     "memory for sums of products of a layer's inputs: beyond it the data is run several times",             "Running",      "q", false, true }, INT, AT(mem_limit), 1, 1 << 20 },
    { { "ort",          "PATH",        NULL,      "the ONNX Runtime library or its folder, instead of the places where it is looked for",                   "Running",      "qcv" }, TEXT, AT(ort) },
    { { "no-mmap",      NULL,          "off",     "read the model into memory instead of mapping it, for files that may change meanwhile",                "Running",      "qcdvi" }, FLAG, AT(no_mmap) },
};
/* clang-format on */
enum { ROWS = sizeof rows / sizeof *rows };
_Static_assert((int)ROWS <= (int)QN_MAX_OPTIONS, "struct qn_settings has a flag for each");
#define AUTO "auto"

struct setting {
    size_t row;
    char  *value;
};
struct qonnx_options {
    struct setting *settings;
    size_t          count, capacity;
};

const qonnx_option_info *qonnx_option_at(size_t i) { return i < ROWS ? &rows[i].info : NULL; }

static const struct row *find_row(const char *name)
{
    for (size_t i = 0; i < ROWS; i++)
        if (strcmp(rows[i].info.name, name) == 0) return &rows[i];
    return NULL;
}

bool qonnx_option_choice(const char *name, size_t k, const char **word, const char **summary)
{
    const struct row *row = find_row(name);
    return row && row->choice && row->choice(k, word, summary);
}

qonnx_options *qonnx_options_new(void) { return calloc(1, sizeof(qonnx_options)); }

void qonnx_options_free(qonnx_options *options)
{
    if (!options) return;
    for (size_t i = 0; i < options->count; i++) free(options->settings[i].value);
    free(options->settings);
    free(options);
}

static bool parse_int(const char *text, int64_t *value)
{
    char *end;
    errno = 0;
    *value = strtoll(text, &end, 10);
    return *text && !*end && !errno;
}

static bool parse_real(const char *text, double *value)
{
    char *end;
    *value = qn_strtod(text, &end);
    return *text && !*end;
}

static bool parse_flag(const char *text, bool *value)
{
    static const char *const on[] = { "", "on", "true", "yes", "1" }, *const off[] = { "off", "false", "no", "0" };
    for (size_t i = 0; i < sizeof on / sizeof *on; i++)
        if (strcmp(text, on[i]) == 0) return *value = true;
    for (size_t i = 0; i < sizeof off / sizeof *off; i++)
        if (strcmp(text, off[i]) == 0) return !(*value = false);
    return false;
}

static qonnx_status check_value(const struct row *row, const char *value, qonnx_error *err)
{
    struct qn_nearest nearest = { .word = value };
    const char       *word, *summary, *hint;
    char              known[256] = "";
    size_t            used = 0;
    int64_t           number;
    double            real;
    bool              flag;

    if (row->type == FLAG && !parse_flag(value, &flag)) return qn_fail(err, QONNX_E_USAGE, "--%s: '%s' is neither on nor off", row->info.name, value);
    if (row->type != FLAG && !*value) return qn_fail(err, QONNX_E_USAGE, "--%s needs a value (%s)", row->info.name, row->info.argument);
    if (row->type == INT && (!parse_int(value, &number) || number < row->low || number > row->high))
        return qn_fail(err, QONNX_E_USAGE, "--%s: '%s' is not a whole number from %lld to %lld", row->info.name, value, (long long)row->low, (long long)row->high);
    if (row->type == REAL && !(parse_real(value, &real) && real >= (double)row->low && real <= (double)row->high))
        return qn_fail(err, QONNX_E_USAGE, "--%s: '%s' is not a number from %lld to %lld", row->info.name, value, (long long)row->low, (long long)row->high);
    if (!row->choice) return QONNX_OK;
    for (size_t i = 0; row->choice(i, &word, &summary); i++) {
        if (strcmp(word, value) == 0) return QONNX_OK;
        qn_nearest_consider(&nearest, word);
    }
    hint = qn_nearest_hint(&nearest);
    for (size_t i = 0; !*hint && row->choice(i, &word, &summary) && used < sizeof known; i++)
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "; known are ", word);
    return qn_fail(err, QONNX_E_USAGE, "--%s: unknown %s '%s'%s%s", row->info.name, row->info.name, value, hint, known);
}

qonnx_status qonnx_options_set(qonnx_options *options, const char *name, const char *value, qonnx_error *err)
{
    const struct row *row = find_row(name);
    struct setting   *grown;
    char             *copy;

    if (!value) value = "";
    if (!row) {
        struct qn_nearest nearest = { .word = name };
        for (size_t i = 0; i < ROWS; i++) qn_nearest_consider(&nearest, rows[i].info.name);
        return qn_fail(err, QONNX_E_USAGE, "unknown option '%s'%s", name, qn_nearest_hint(&nearest));
    }
    QN_TRY(check_value(row, value, err));
    if (!(copy = strdup(value))) return qn_fail_nomem(err);
    for (size_t i = 0; i < options->count && !row->info.repeatable; i++)
        if (options->settings[i].row == (size_t)(row - rows)) {
            free(options->settings[i].value);
            options->settings[i].value = copy;
            return QONNX_OK;
        }
    if (options->count == options->capacity) {
        grown = realloc(options->settings, (options->capacity * 2 + 8) * sizeof *grown);
        if (!grown) {
            free(copy);
            return qn_fail_nomem(err);
        }
        options->settings = grown;
        options->capacity = options->capacity * 2 + 8;
    }
    options->settings[options->count++] = (struct setting){ (size_t)(row - rows), copy };
    return QONNX_OK;
}

/* The value lives on. */
static void put(struct qn_settings *settings, const struct row *row, const char *value)
{
    char *member = (char *)settings + row->offset;

    switch (row->type) {
    case FLAG: parse_flag(value, (bool *)(void *)member); break;
    case INT: parse_int(value, (int64_t *)(void *)member); break;
    case REAL: parse_real(value, (double *)(void *)member); break;
    case TEXT: *(const char **)(void *)member = value; break;
    case LIST: {
        struct qn_list *list = (struct qn_list *)(void *)member;
        const char    **items = qn_arena_grow(&settings->arena, (void *)list->items, list->count, &list->capacity, sizeof *items);
        if (!items) return;
        list->items = items;
        items[list->count++] = value;
        break;
    }
    }
}

static void assign(struct qn_settings *settings, const struct row *row, const char *value)
{
    if ((value = qn_arena_strdup(&settings->arena, value))) put(settings, row, value);
}

static const char *user_text(const qonnx_options *options, const char *name)
{
    const char *text = NULL;

    for (size_t i = 0; options && i < options->count; i++)
        if (strcmp(rows[options->settings[i].row].info.name, name) == 0) text = options->settings[i].value;
    return text;
}

/* The rules of the preset, then those of the file, whose options win over the preset's. */
static qonnx_status read_recipe(struct qn_settings *settings, const struct qn_preset *preset, const char *path, qonnx_error *err)
{
    struct qn_recipe *recipe = qn_arena_alloc(&settings->arena, sizeof *recipe);
    const char       *document = preset->rules ? qn_arena_printf(&settings->arena, "{\"version\": 1, \"rules\": %s}", preset->rules) : NULL;

    if (qn_arena_failed(&settings->arena)) return qn_fail_nomem(err);
    if (document) QN_TRY(qn_recipe_parse(recipe, NULL, document, strlen(document), &settings->arena, err));
    if (path) QN_TRY(qn_recipe_read(recipe, path, &settings->arena, err));
    for (size_t i = 0; i < recipe->option_count; i++) {
        const struct qn_option_words *option = &recipe->options[i];
        const struct row             *row = find_row(option->name);
        struct qn_nearest             nearest = { .word = option->name };
        qonnx_status                  status;
        for (size_t k = 0; k < ROWS; k++) qn_nearest_consider(&nearest, rows[k].info.name);
        if (!row || !strcmp(option->name, "preset") || !strcmp(option->name, "config"))
            return qn_fail(err, QONNX_E_USAGE, "%s:%d: options.%.60s: %s%s", path, option->line, option->name, row ? "cannot be set in a file" : "unknown option", row ? "" : qn_nearest_hint(&nearest));
        status = check_value(row, option->value, err);
        if (status != QONNX_OK) return qn_wrap(err, status, "%s:%d", path, option->line);
        assign(settings, row, option->value);
    }
    if (recipe->has_rules) settings->recipe = recipe;
    if (!recipe->has_rules && recipe->input_count) return qn_fail(err, QONNX_E_USAGE, "%s:%d: inputs.%s: inputs are declared for rules, and there are none", path, recipe->inputs[0].line, recipe->inputs[0].name);
    return QONNX_OK;
}

static enum qn_weight_range find_range(const char *name)
{
    static const char *const names[] = { [QN_WEIGHT_MINMAX] = "minmax", [QN_WEIGHT_MSE] = "mse", [QN_WEIGHT_OCTAV] = "octav", [QN_WEIGHT_HQQ] = "hqq" };
    enum qn_weight_range     how = QN_WEIGHT_MINMAX;

    while (how < QN_WEIGHT_HQQ && strcmp(names[how], name) != 0) how++;
    return how;
}

/* What the names stand for. */
static void resolve(struct qn_settings *settings)
{
    settings->target_row = qn_target_find(settings->target);
    settings->weight_range_how = find_range(settings->weight_range);
    settings->acts = strcmp(settings->activations, "float") == 0 ? QN_ACTS_FLOAT : strcmp(settings->activations, "dynamic") == 0 ? QN_ACTS_DYNAMIC : QN_ACTS_STATIC;
    settings->observer_row = qn_observer_find(settings->observer);
    settings->act_qtype = qn_qtype_find(settings->act_type);
    settings->weight_qtype = qn_qtype_find(settings->weight_type);
}

bool qn_settings_on_trial(const struct qn_settings *settings, const char *option) { return settings->on_trial[find_row(option) - rows]; }

const char *qn_settings_value(const struct qn_settings *settings, const char *option)
{
    return *(const char *const *)(const void *)((const char *)settings + find_row(option)->offset);
}

bool qn_settings_may_be(const struct qn_settings *settings, const char *option, const char *value)
{
    const struct qn_option_value *trials = settings->preset_row->trials;

    for (size_t i = 0; qn_settings_on_trial(settings, option) && trials[i].option; i++)
        if (strcmp(trials[i].option, option) == 0 && strcmp(trials[i].value, value) == 0) return true;
    return strcmp(qn_settings_value(settings, option), value) == 0;
}

qonnx_status qn_settings_try(struct qn_settings *settings, const char *option, const char *value, qonnx_error *err)
{
    assign(settings, find_row(option), value);
    if (qn_arena_failed(&settings->arena)) return qn_fail_nomem(err);
    resolve(settings);
    return QONNX_OK;
}

static bool among(const char *const *words, size_t count, const char *word)
{
    for (size_t i = 0; i < count && words[i]; i++)
        if (strcmp(words[i], word) == 0) return true;
    return false;
}

/* What nobody chose is the target's default; what was chosen must be something it takes. */
static qonnx_status fit_to_target(struct qn_settings *settings, qonnx_error *err)
{
    const struct qn_target *target = qn_target_find(settings->target);
    enum { FORMATS = sizeof target->formats / sizeof *target->formats, TYPES = sizeof target->act_types / sizeof *target->act_types };

    if (!settings->act_type) settings->act_type = target->act_types[0];
    if (!settings->weight_type) settings->weight_type = target->weight_types[0];
    if (!among(target->act_types, TYPES, settings->act_type)) return qn_fail(err, QONNX_E_USAGE, "-o act-type=%s: --target %s does not take such activations", settings->act_type, target->name);
    if (!qn_qtype_find(settings->weight_type)->floating && !among(target->weight_types, TYPES, settings->weight_type)) return qn_fail(err, QONNX_E_USAGE, "-o weight-type=%s: --target %s does not take such weights", settings->weight_type, target->name);
    if (target->formats[0] && !among(target->formats, FORMATS, settings->format)) return qn_fail(err, QONNX_E_USAGE, "--format %s: --target %s does not read it, or not as integers; it reads %s", settings->format, target->name, target->formats[0]);
    return QONNX_OK;
}

/* Where only weights become codes, data are asked for by what uses them. */
static qonnx_status check_data(const struct qn_settings *s, qonnx_error *err)
{
    const bool fitted = strcmp(s->rounding, "small") == 0 || strcmp(s->rounding, "second-order") == 0, weighed = strcmp(s->weight_importance, "on") == 0;

    if (s->acts == QN_ACTS_FLOAT && fitted && !s->calib) return qn_fail(err, QONNX_E_USAGE, "-o rounding=%s needs samples of real inputs: --calib PATH", s->rounding);
    if (weighed && !s->block_size) return qn_fail(err, QONNX_E_USAGE, "-o weight-importance=on is about weights in blocks: it needs -o block-size=N");
    if (weighed && !s->calib && !s->stats) return qn_fail(err, QONNX_E_USAGE, "-o weight-importance=on needs samples of real inputs: --calib PATH, or --stats FILE");
    return QONNX_OK;
}

/* What blocks can be, and what has to be blocks. */
static qonnx_status check_blocks(const struct qn_settings *settings, qonnx_error *err)
{
    const int64_t size = settings->block_size, bits = settings->weight_bits;

    if (settings->weight_range_how == QN_WEIGHT_HQQ && (!size || settings->weight_symmetric)) return qn_fail(err, QONNX_E_USAGE, "-o weight-range=hqq finds zero points of blocks: it needs -o block-size=N and -o weight-symmetric=off");
    if (!size && settings->acts == QN_ACTS_FLOAT && bits < 8) return qn_fail(err, QONNX_E_USAGE, "-o weight-bits=%lld: weights alone take fewer than 8 bits in blocks only; add -o block-size=32", (long long)bits);
    if (settings->weight_qtype->floating && (settings->acts != QN_ACTS_FLOAT || size || strcmp(settings->format, "qdq") != 0))
        return qn_fail(err, QONNX_E_USAGE, "-o weight-type=%s: such weights go with -o activations=float and --format qdq, and without blocks", settings->weight_type);
    if (settings->acts == QN_ACTS_DYNAMIC && strcmp(settings->format, "qoperator") != 0) return qn_fail(err, QONNX_E_USAGE, "--format %s: codes that are made as the model runs have the form qoperator", settings->format);
    QN_TRY(check_data(settings, err));
    if (qn_table_bits(settings->embeddings) && settings->weight_range_how == QN_WEIGHT_OCTAV) return qn_fail(err, QONNX_E_USAGE, "-o weight-range=octav: blocks take minmax, mse and hqq");
    if (!size) return QONNX_OK;
    if (size < QN_BLOCK_LEAST || size & (size - 1)) return qn_fail(err, QONNX_E_USAGE, "-o block-size=%lld: a block has 16, 32, 64, 128 or 256 weights", (long long)size);
    if (settings->acts != QN_ACTS_FLOAT) return qn_fail(err, QONNX_E_USAGE, "-o block-size: integer kernels take no blocks; it goes with presets for weights only");
    if (bits != 2 && bits != 4 && bits != 8) return qn_fail(err, QONNX_E_USAGE, "-o weight-bits=%lld: codes of blocks have 2, 4 or 8 bits", (long long)bits);
    if (settings->weight_range_how == QN_WEIGHT_OCTAV) return qn_fail(err, QONNX_E_USAGE, "-o weight-range=octav: blocks take minmax, mse and hqq");
    if (strcmp(settings->format, "qdq") != 0 && strcmp(settings->format, "qoperator") != 0) return qn_fail(err, QONNX_E_USAGE, "--format %s has no form for blocks: qoperator and qdq have", settings->format);
    return QONNX_OK;
}

/* A preset's format may be one that the target does not read; what the user asked for stays. */
static void choose_format(struct qn_settings *settings, const qonnx_options *options)
{
    const struct qn_target *target = qn_target_find(settings->target);

    if (!settings->recipe && !user_text(options, "format") && target->formats[0] && !among(target->formats, sizeof target->formats / sizeof *target->formats, settings->format)) settings->format = target->formats[0];
}

qonnx_status qn_settings_resolve(struct qn_settings *settings, const qonnx_options *options, qonnx_error *err)
{
    const struct qn_preset *preset;
    const char             *name = user_text(options, "preset"), *config = user_text(options, "config");

    memset(settings, 0, sizeof *settings);
    if (!name) name = find_row("preset")->info.fallback;
    for (size_t i = 0; i < ROWS; i++)
        if (rows[i].info.fallback) assign(settings, &rows[i], rows[i].info.fallback);
    if (!(preset = qn_preset_find(name))) return qn_fail(err, QONNX_E_INTERNAL, "preset '%s' is not in the table", name);
    for (size_t i = 0; i < sizeof preset->values / sizeof *preset->values && preset->values[i].option; i++)
        assign(settings, find_row(preset->values[i].option), preset->values[i].value);
    if (preset->rules || config) QN_TRY(read_recipe(settings, preset, config, err));
    for (size_t i = 0; options && i < options->count; i++) assign(settings, &rows[options->settings[i].row], options->settings[i].value);
    if (qn_arena_failed(&settings->arena)) return qn_fail_nomem(err);
    if (settings->state.count && settings->shuffle) return qn_fail(err, QONNX_E_USAGE, "--shuffle takes samples out of their order, which --state is about");
    if (settings->state_reset && !settings->state.count) return qn_fail(err, QONNX_E_USAGE, "--state-reset needs --state OUT=IN");
    settings->preset_row = preset;
    choose_format(settings, options);
    QN_TRY(fit_to_target(settings, err));
    for (size_t i = 0; i < ROWS; i++)
        settings->on_trial[i] = rows[i].type == TEXT && rows[i].choice && strcmp(*(const char **)(void *)((char *)settings + rows[i].offset), AUTO) == 0;
    resolve(settings);
    if (!settings->recipe) QN_TRY(check_blocks(settings, err));
    QN_TRY(qn_ladder_parse(settings, err));
    if (settings->budget.measure && (user_text(options, "min-sqnr") || user_text(options, "max-drop"))) return qn_fail(err, QONNX_E_USAGE, "--%s: a size is asked for, and with --min-sqnr or --max-drop what stays in float is chosen by something else", settings->target_size ? "target-size" : "target-bpw");
    if (settings->budget.measure) settings->min_sqnr = settings->node_sqnr = 0;
    return qn_overrides_parse(settings, err);
}

qonnx_status qn_settings_check(const char *option, const char *value, qonnx_error *err) { return check_value(find_row(option), value, err); }

const char *qn_settings_default(const char *option) { return find_row(option)->info.fallback; }

void qn_settings_replace(struct qn_settings *copy, const char *option, const char *value) { put(copy, find_row(option), value); }

qonnx_status qn_settings_settle(struct qn_settings *copy, qonnx_error *err)
{
    QN_TRY(fit_to_target(copy, err));
    resolve(copy);
    return check_blocks(copy, err);
}

int qn_settings_threads(const struct qn_settings *settings) { return settings->threads ? (int)settings->threads : qn_cpu_count(); }

void qn_settings_release(struct qn_settings *settings) { qn_arena_release(&settings->arena); }

const char *qn_settings_text(const struct qn_settings *settings, size_t option, size_t k, struct qn_arena *arena)
{
    const char           *member = (const char *)settings + rows[option].offset;
    const struct qn_list *list = (const struct qn_list *)(const void *)member;

    if (k > 0 && rows[option].type != LIST) return NULL;
    switch (rows[option].type) {
    case FLAG: return *(const bool *)member ? "on" : "off";
    case INT: return qn_arena_printf(arena, "%lld", (long long)*(const int64_t *)(const void *)member);
    case REAL: return qn_arena_printf(arena, "%.10g", *(const double *)(const void *)member);
    case TEXT: return *(const char *const *)(const void *)member;
    case LIST: return k < list->count ? list->items[k] : NULL;
    }
    return NULL;
}

/* Edit distance, limited to words of ordinary length. */
static size_t distance(const char *a, const char *b)
{
    enum { LONGEST = 40 };
    size_t row[LONGEST + 1], n = strlen(b);

    if (strlen(a) > LONGEST || n > LONGEST) return SIZE_MAX;
    for (size_t j = 0; j <= n; j++) row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]), least = row[j] + 1;
            diagonal = row[j];
            if (row[j - 1] + 1 < least) least = row[j - 1] + 1;
            row[j] = change < least ? change : least;
        }
    }
    return row[n];
}

void qn_nearest_consider(struct qn_nearest *nearest, const char *candidate)
{
    size_t d = distance(nearest->word, candidate);
    if (nearest->best && d >= nearest->distance) return;
    nearest->best = candidate;
    nearest->distance = d;
}

const char *qn_nearest_hint(const struct qn_nearest *nearest)
{
    static _Thread_local char hint[80];
    size_t                    length = strlen(nearest->word);

    if (!nearest->best || nearest->distance > (length < 4 ? 1 : length / 3 + 1)) return "";
    snprintf(hint, sizeof hint, "; did you mean '%.50s'?", nearest->best);
    return hint;
}
