/* SPDX-License-Identifier: Apache-2.0 */
#include "table.h"

#include <stdint.h>
#include <string.h>

/* clang-format off */
static const struct qn_command commands[] = {
    { 'q', NULL,      "quantizing",   2, "IN.onnx OUT.onnx [OPTION]...",
      "quantize the float model IN.onnx and write OUT.onnx and its sidecar OUT.quant.json" },
    { 'k', "calibrate", "calibrating", 2, "calibrate IN.onnx STATS --calib PATH [OPTION]...",
      "run the float model over samples and write statistics of its values, for --stats" },
    { 'm', "merge",   "merge",        2, "merge STATS-OUT STATS...",
      "put statistics of shards of the same data together", true },
    { 'c', "compare", "compare",      2, "compare FLOAT.onnx QUANT.onnx --calib PATH [OPTION]...",
      "run two models over the same data and tell how far their outputs are apart" },
    { 'v', "convert", "convert",      2, "convert IN.onnx OUT.onnx --format FORMAT [OPTION]...",
      "write a quantized model in another format, or as a float model; no integer, scale or zero point changes" },
    { 'i', "inspect", "inspect",      1, "inspect MODEL.onnx [OPTION]...",
      "print what a model is made of, and scale, zero point, bit width and sign of every quantized tensor" },
    { 'd', NULL,      "a dump",       1, "IN.onnx --dump graph|plan [OPTION]...",
      "print what would be done with a model, and write nothing" },
};

/*    name            argument  fallback  help                                                                        group      commands */
static const qonnx_option_info own_options[] = {
    { "dump",         "WHAT",   NULL, "print a view of the model instead of writing one",                             "General", "d" },
    { "json",         NULL,     NULL, "print the result as JSON to standard output",                                  "General", "qcvi" },
    { "print-config", NULL,     NULL, "print what --preset, --config and the options say as a recipe for --config",  "General", "" },
    { "quiet",        NULL,     NULL, "no summary and no progress; given twice, no warnings either",                  "General", "qcvkm", true },
    { "list",         "OPTION", NULL, "print the words that an option's value can be, one a line with its summary",   "General", "" },
    { "dump-options", "KIND",   NULL, "print the manual page, a shell's completions or the reference of options",                              "General", "" },
    { "version",      NULL,     NULL, "print the version",                                                            "General", "qcvidkm" },
    { "help",         NULL,     NULL, "print this text; behind a command, the text about that command",               "General", "qcvidkm" },
};
static const struct {
    const char *option, *word, *summary;
} own_choices[] = {
    { "dump",         "graph", "the graph as the float passes leave it" },
    { "dump",         "plan",  "for each tensor and node what would become of it, and why" },
    { "dump-options", "man",   "manual page (groff)" },
    { "dump-options", "bash",  "bash completion" },
    { "dump-options", "zsh",   "zsh completion" },
    { "dump-options", "fish",  "fish completion" },
    { "dump-options", "markdown", "docs/options.md" },
};
/* clang-format on */
#define COUNT(array) (sizeof(array) / sizeof *(array))

const struct qn_command *qn_command_at(size_t i) { return i < COUNT(commands) ? &commands[i] : NULL; }

const struct qn_command *qn_command_find(char letter)
{
    for (size_t i = 0; i < COUNT(commands); i++)
        if (commands[i].letter == letter) return &commands[i];
    return NULL;
}

static size_t shared_count(void)
{
    size_t count = 0;
    while (qonnx_option_at(count)) count++;
    return count;
}

const qonnx_option_info *qn_option_at(size_t i)
{
    size_t shared = shared_count();

    if (i < shared) return qonnx_option_at(i);
    return i - shared < COUNT(own_options) ? &own_options[i - shared] : NULL;
}

const qonnx_option_info *qn_option_find(const char *name)
{
    const qonnx_option_info *option;

    for (size_t i = 0; (option = qn_option_at(i)); i++)
        if (strcmp(option->name, name) == 0) return option;
    return NULL;
}

bool qn_option_is_shared(const qonnx_option_info *option)
{
    for (size_t i = 0; i < COUNT(own_options); i++)
        if (option == &own_options[i]) return false;
    return true;
}

char qn_option_letter(const qonnx_option_info *option)
{
    if (qn_option_is_shared(option)) return 0;
    if (strcmp(option->name, "help") == 0) return 'h';
    return strcmp(option->name, "quiet") == 0 ? 'q' : 0;
}

/* --list takes the name of any option that has choices. */
static bool list_choice(size_t k, const char **word, const char **summary)
{
    const qonnx_option_info *option;
    const char              *unused;

    for (size_t i = 0; (option = qonnx_option_at(i)); i++) {
        if (!qonnx_option_choice(option->name, 0, &unused, &unused) || k--) continue;
        *word = option->name;
        *summary = option->help;
        return true;
    }
    return false;
}

bool qn_option_choice(const qonnx_option_info *option, size_t k, const char **word, const char **summary)
{
    if (qn_option_is_shared(option)) return qonnx_option_choice(option->name, k, word, summary);
    if (strcmp(option->name, "list") == 0) return list_choice(k, word, summary);
    for (size_t i = 0; i < COUNT(own_choices); i++) {
        if (strcmp(own_choices[i].option, option->name) != 0 || k--) continue;
        *word = own_choices[i].word;
        *summary = own_choices[i].summary;
        return true;
    }
    return false;
}

bool qn_option_applies(const qonnx_option_info *option, const struct qn_command *command)
{
    if (strchr(option->commands, command->letter)) return true;
    /* What decides which values there are to look at and what runs them: a dump or a comparison takes it, too. */
    return command->letter == 'k' && strchr(option->commands, 'q') && strpbrk(option->commands, "dc");
}

/* Single letters added, dropped, changed or swapped with their neighbour. */
static size_t distance(const char *a, const char *b)
{
    enum { LONGEST = 40 };
    size_t rows[3][LONGEST + 1], n = strlen(b), *before = rows[0], *above = rows[1], *row = rows[2], *spare;

    if (strlen(a) > LONGEST || n > LONGEST) return SIZE_MAX;
    for (size_t j = 0; j <= n; j++) row[j] = before[j] = above[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        spare = before, before = above, above = row, row = spare;
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t least = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < least) least = above[j] + 1;
            if (row[j - 1] + 1 < least) least = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < least)
                least = before[j - 2] + 1;
            row[j] = least;
        }
    }
    return row[n];
}

void qn_guess_consider(struct qn_guess *guess, const char *known)
{
    size_t length = strlen(guess->typed), d = distance(guess->typed, known);

    /* "calibrate" for "calib": the beginning of a word counts as near, whatever its length. */
    if (length > 2 && (strncmp(guess->typed, known, length) == 0 || strncmp(guess->typed, known, strlen(known)) == 0))
        d = 1;
    if (d > (length < 6 ? 1 : length / 3) || (guess->best && d >= guess->distance)) return;
    guess->best = known;
    guess->distance = d;
}
