/* SPDX-License-Identifier: Apache-2.0 */
#include "help.h"

#include <string.h>

enum { WIDTH = 80, COLUMN = 26, STEP = 2 };

/* clang-format off */
static const struct qn_example examples[] = {
    { 'q', "model.onnx int8.onnx --calib samples.npz",
      "8-bit integers, with ranges from real inputs: an array for each model input, its first axis counts the samples" },
    { 'q', "compare model.onnx int8.onnx --calib eval.npz --labels eval.npy",
      "how far the outputs are from those of the float model, and how many answers are right before and after" },
    { 'q', "model.onnx int8.onnx --calib samples/ --exclude 'op:Gemm'",
      "samples from a folder; every Gemm stays in float" },
    { 'k', "calibrate model.onnx part1.stats --calib samples/ --shard 1/2",
      "statistics of each second sample" },
    { 'm', "merge model.stats part1.stats part2.stats",
      "those of all samples; then: --stats model.stats" },
    { 'c', "compare model.onnx int8.onnx --calib eval.npz",
      "signal to noise ratio, cosine and greatest error of each output" },
    { 'c', "compare model.onnx int8.onnx --calib eval.npz --labels eval.npy",
      "and how many answers of each model are right" },
    { 'c', "compare model.onnx int8.onnx --calib eval/ --fail-below sqnr=30",
      "exit code 6 when an output's signal to noise ratio is below 30 dB" },
    { 'c', "compare model.onnx int8.onnx --calib eval.npz --json",
      "the same figures for a program to read" },
    { 'v', "convert int8.onnx qcdq.onnx --format qcdq",
      "from any format; here to QDQ with a Clip wherever codes use less than their type, as Brevitas writes it" },
    { 'v', "convert int8.onnx quant.onnx --format qonnx --dim N=1",
      "Quant nodes for FINN and hls4ml, with every shape fixed" },
    { 'v', "convert qoperator.onnx float.onnx --format float",
      "no quantizers at all" },
    { 'i', "inspect int8.onnx",
      "a table of all tensors" },
    { 'i', "inspect int8.onnx --json --check",
      "the same for a program to read, with all constants checked" },
};

static const char *const runtime_text[] = {
    "Calibration and comparison run models in ONNX Runtime, which is looked for in this order: --ort PATH (the library or its folder), "
    "the environment variable QONNX_ORT, beside the program, where the system keeps its libraries, and in the onnxruntime "
    "package of the python3 on PATH, so that 'pip install onnxruntime' is enough. Without it, what runs no model works all the same.",
};
/* clang-format on */
#define COUNT(array) (sizeof(array) / sizeof *(array))

const struct qn_example *qn_example_at(size_t i) { return i < COUNT(examples) ? &examples[i] : NULL; }
const char              *qn_runtime_text(size_t i) { return i < COUNT(runtime_text) ? runtime_text[i] : NULL; }

const char *qn_exit_code_text(size_t i, int *code)
{
    static const qonnx_status all[] = {
#define X(name, exit_code, text) QONNX_##name,
        QONNX_STATUS_LIST(X)
#undef X
    };
    const char *text = NULL;

    *code = -1;
    for (size_t seen = 0; seen <= i; seen++) {
        int next = -1;
        for (size_t k = 0; k < COUNT(all); k++) {
            int candidate = qonnx_status_exit_code(all[k]);
            if (candidate <= *code || (next >= 0 && candidate > next)) continue;
            /* Several failures share a code: the error line tells which it was. */
            text = candidate == next ? "any other failure, which the error line tells" : qonnx_status_text(all[k]);
            next = candidate;
        }
        if (next < 0) return NULL;
        *code = next;
    }
    return text;
}

const char *qn_group_at(size_t i)
{
    const qonnx_option_info *option;

    for (size_t k = 0; (option = qn_option_at(k)); k++) {
        bool first = !option->advanced;
        for (size_t j = 0; j < k && first; j++)
            first = qn_option_at(j)->advanced || strcmp(qn_option_at(j)->group, option->group) != 0;
        if (first && i-- == 0) return option->group;
    }
    return NULL;
}

/* Columns that `length` bytes of UTF-8 take. */
static size_t columns(const char *text, size_t length)
{
    size_t count = 0;

    for (size_t i = 0; i < length; i++) count += ((unsigned char)text[i] & 0xc0) != 0x80;
    return count;
}

/* Words from column `at` on, further lines indented; returns the column behind the last. */
static size_t wrap(FILE *out, size_t at, size_t indent, const char *text)
{
    bool fresh = true;

    while (*(text += strspn(text, " "))) {
        size_t length = strcspn(text, " "), wide = columns(text, length);
        if (!fresh && at + 1 + wide > WIDTH) {
            fprintf(out, "\n%*s", (int)indent, "");
            at = indent;
            fresh = true;
        }
        fprintf(out, "%s%.*s", fresh ? "" : " ", (int)length, text);
        at += wide + (fresh ? 0 : 1);
        fresh = false;
        text += length;
    }
    return at;
}

static void paragraph(FILE *out, size_t indent, const char *text)
{
    fprintf(out, "%*s", (int)indent, "");
    wrap(out, indent, indent, text);
    fputc('\n', out);
}

/* Term in the left column, text in the right one. */
static void entry(FILE *out, const char *term, size_t column, const char *text)
{
    size_t at = columns(term, strlen(term));

    fputs(term, out);
    if (at + 2 > column)
        fprintf(out, "\n%*s", (int)column, "");
    else
        fprintf(out, "%*s", (int)(column - at), "");
    wrap(out, column, column, text);
    fputc('\n', out);
}

static void print_choices(FILE *out, const qonnx_option_info *option)
{
    const char *word, *summary;
    char        term[64];
    size_t      longest = 0;

    for (size_t k = 0; qn_option_choice(option, k, &word, &summary); k++)
        if (strlen(word) > longest) longest = strlen(word);
    for (size_t k = 0; qn_option_choice(option, k, &word, &summary); k++) {
        snprintf(term, sizeof term, "%*s%s", COLUMN + STEP, "", word);
        entry(out, term, COLUMN + STEP + longest + 2, summary);
    }
}

static void print_option(FILE *out, const qonnx_option_info *option)
{
    char term[128], text[512], letter = qn_option_letter(option);

    if (option->advanced)
        snprintf(term, sizeof term, "  -o %s%s%s", option->name, option->argument ? "=" : "",
                 option->argument ? option->argument : "");
    else
        snprintf(term, sizeof term, "  %s--%s%s%s", letter ? (char[]){ '-', letter, ',', ' ', 0 } : "", option->name,
                 option->argument ? " " : "", option->argument ? option->argument : "");
    snprintf(text, sizeof text, "%s%s%s%s%s", option->help,
             option->repeatable && option->argument ? " (repeatable)" : "",
             option->argument && option->fallback ? " (default: " : "",
             option->argument && option->fallback ? option->fallback : "",
             option->argument && option->fallback ? ")" : "");
    entry(out, term, COLUMN, text);
    if (strcmp(option->name, "list") != 0) print_choices(out, option);
}

/* What the text about a command shows; the first one's is about all that needs no command word. */
static bool shown(const qonnx_option_info *option, const struct qn_command *command)
{
    if (command->letter != 'q') return qn_option_applies(option, command);
    return !*option->commands || qn_option_applies(option, command) || qn_option_applies(option, qn_command_find('d'));
}

static void print_options(FILE *out, const struct qn_command *command)
{
    const qonnx_option_info *option;
    const char              *group;

    for (size_t g = 0; (group = qn_group_at(g)); g++) {
        bool heading = false;
        for (size_t i = 0; (option = qn_option_at(i)); i++) {
            if (option->advanced || strcmp(option->group, group) != 0 || !shown(option, command)) continue;
            if (!heading) fprintf(out, "\n%s:\n", group);
            heading = true;
            print_option(out, option);
        }
    }
    for (size_t i = 0, heading = 0; (option = qn_option_at(i)); i++) {
        if (!option->advanced || !shown(option, command)) continue;
        if (!heading++) fputs("\nAdvanced (any option may be given as -o NAME=VALUE, these only so):\n", out);
        print_option(out, option);
    }
}

static void print_synopsis(FILE *out, const struct qn_command *only)
{
    const struct qn_command *command;
    const char              *lead = "Usage: ";

    for (size_t i = 0; (command = qn_command_at(i)); i++) {
        if (only->letter != 'q' && command != only) continue;
        fprintf(out, "%s" QN_PROGRAM " %s\n", lead, command->synopsis);
        paragraph(out, 11, command->summary);
        lead = "       ";
    }
    if (only->letter == 'q') fprintf(out, "%s" QN_PROGRAM " COMMAND --help\n", lead);
}

static void print_exit_codes(FILE *out)
{
    const char *text;
    char        term[16];
    int         code;

    fputs("\nExit codes:\n", out);
    for (size_t i = 0; (text = qn_exit_code_text(i, &code)); i++) {
        snprintf(term, sizeof term, "  %d", code);
        entry(out, term, 5, text);
    }
}

void qn_help_print(FILE *out, const struct qn_command *command)
{
    const struct qn_example *example;

    if (command->letter == 'd') command = qn_command_at(0);
    print_synopsis(out, command);
    fputs("\nExamples:\n", out);
    for (size_t i = 0; (example = qn_example_at(i)); i++) {
        if (example->letter != command->letter) continue;
        fprintf(out, "  " QN_PROGRAM " %s\n", example->line);
        paragraph(out, 6, example->text);
    }
    print_options(out, command);
    print_exit_codes(out);
    fputs("\nONNX Runtime:\n", out);
    for (size_t i = 0; qn_runtime_text(i); i++) paragraph(out, 2, qn_runtime_text(i));
}

void qn_help_list(FILE *out, const char *option_name)
{
    const qonnx_option_info *option = qn_option_find(option_name);
    const char              *word, *summary;

    for (size_t k = 0; option && qn_option_choice(option, k, &word, &summary); k++)
        fprintf(out, "%s\t%s\n", word, summary);
}
