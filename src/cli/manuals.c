/* SPDX-License-Identifier: Apache-2.0
 * The manual page, in groff's man macros. */
#include "manuals.h"

#include <string.h>

#include "help.h"

/* Text that groff shows as it is. */
static void put(FILE *out, const char *text)
{
    if (*text == '.' || *text == '\'') fputs("\\&", out);
    for (; *text; text++) {
        if (*text == '-')
            fputs("\\-", out);
        else if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '\'')
            fputs("\\(aq", out);
        else if (strncmp(text, "…", strlen("…")) == 0)
            fputs("...", out), text += strlen("…") - 1;
        else
            fputc(*text, out);
    }
}

static void line(FILE *out, const char *macro, const char *text)
{
    fputs(macro, out);
    put(out, text);
    fputc('\n', out);
}

static void print_choices(FILE *out, const qonnx_option_info *option)
{
    const char *word, *summary;

    if (strcmp(option->name, "list") == 0 || !qn_option_choice(option, 0, &word, &summary)) return;
    fputs(".RS\n", out);
    for (size_t k = 0; qn_option_choice(option, k, &word, &summary); k++) {
        fputs(".TP\n", out);
        line(out, ".B ", word);
        line(out, "", summary);
    }
    fputs(".RE\n", out);
}

static void print_option(FILE *out, const qonnx_option_info *option)
{
    char letter = qn_option_letter(option);

    fputs(".TP\n\\fB", out);
    if (letter) fprintf(out, "\\-%c\\fR, \\fB", letter);
    put(out, option->advanced ? "-o " : "--");
    put(out, option->name);
    fputs("\\fR", out);
    if (option->argument) {
        fputs(option->advanced ? "=\\fI" : " \\fI", out);
        put(out, option->argument);
        fputs("\\fR", out);
    }
    fputc('\n', out);
    put(out, option->help);
    if (option->argument && option->repeatable) fputs(" (repeatable)", out);
    if (option->argument && option->fallback) {
        fputs(" (default: ", out);
        put(out, option->fallback);
        fputc(')', out);
    }
    fputs(".\n", out);
    print_choices(out, option);
}

static void print_options(FILE *out)
{
    const qonnx_option_info *option;
    const char              *group;

    fputs(
        ".SH OPTIONS\nValues follow as \\fB\\-\\-name value\\fR or \\fB\\-\\-name=value\\fR. A flag is switched off by "
        "\\fB\\-\\-no\\-name\\fR or \\fB\\-\\-name=off\\fR. Every option with an effect on models may also be given "
        "as\n"
        "\\fB\\-o\\fR \\fIname\\fR=\\fIvalue\\fR. \\fB\\-\\-\\fR ends the options.\n",
        out);
    for (size_t g = 0; (group = qn_group_at(g)); g++) {
        line(out, ".SS ", group);
        for (size_t i = 0; (option = qn_option_at(i)); i++)
            if (!option->advanced && strcmp(option->group, group) == 0) print_option(out, option);
    }
    fputs(".SS Advanced\n", out);
    for (size_t i = 0; (option = qn_option_at(i)); i++)
        if (option->advanced) print_option(out, option);
}

static void print_head(FILE *out)
{
    const struct qn_command *command;

    fputs(".TH QONNX\\-QUANTIZE 1 \"\" \"" QN_PROGRAM " " QONNX_VERSION "\" \"User Commands\"\n"
          ".SH NAME\nqonnx\\-quantize \\- quantize float ONNX models\n.SH SYNOPSIS\n.nf\n",
          out);
    for (size_t i = 0; (command = qn_command_at(i)); i++) {
        line(out,
             ".B "
             "qonnx\\-quantize ",
             command->synopsis);
    }
    fputs(".fi\n.SH DESCRIPTION\n"
          "Reads a float model in the ONNX format and writes one that computes with small integers, and beside it a "
          "JSON file\n"
          "that tells what became of each tensor and node and why. The ranges of activations come from running the "
          "model on\n"
          "samples of real inputs.\n"
          "Standard output carries only what was asked for: figures, dumps, JSON, help. Everything else goes to "
          "standard error.\n",
          out);
    for (size_t i = 0; (command = qn_command_at(i)); i++) {
        fputs(".TP\n", out);
        line(out, ".B ", command->synopsis);
        line(out, "", command->summary);
    }
}

static void print_man(FILE *out)
{
    const struct qn_example *example;
    const char              *text;
    int                      code;

    print_head(out);
    print_options(out);
    fputs(".SH EXIT STATUS\n", out);
    for (size_t i = 0; (text = qn_exit_code_text(i, &code)); i++) {
        fprintf(out, ".TP\n.B %d\n", code);
        line(out, "", text);
    }
    fputs(".SH ENVIRONMENT\n.TP\n.B QONNX_ORT\nthe ONNX Runtime library or its folder, where \\fB\\-\\-ort\\fR is not "
          "given\n"
          ".TP\n.B NO_COLOR\nwhen set and not empty, messages on a terminal have no colour\n"
          ".TP\n.B ORT_DISABLE_TELEMETRY\nset to 1 for ONNX Runtime, unless it is set already\n.SH ONNX RUNTIME\n",
          out);
    for (size_t i = 0; (text = qn_runtime_text(i)); i++) line(out, i ? ".PP\n" : "", text);
    fputs(".SH EXAMPLES\n", out);
    for (size_t i = 0; (example = qn_example_at(i)); i++) {
        line(out, ".TP\n.B qonnx\\-quantize ", example->line);
        line(out, "", example->text);
    }
}

void qn_manual_print(FILE *out, const char *kind)
{
    if (strcmp(kind, "man") == 0) print_man(out);
    if (strcmp(kind, "bash") == 0) qn_print_bash_completion(out);
    if (strcmp(kind, "zsh") == 0) qn_print_zsh_completion(out);
    if (strcmp(kind, "fish") == 0) qn_print_fish_completion(out);
    if (strcmp(kind, "markdown") == 0) qn_print_reference(out);
}
