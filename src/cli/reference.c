/* SPDX-License-Identifier: Apache-2.0
 * The reference of options, docs/options.md. */
#include <string.h>

#include "help.h"
#include "manuals.h"
#include "table.h"

/* Text that Markdown shows as it is. */
static void put(FILE *out, const char *text)
{
    for (; *text; text++) fprintf(out, "%s%c", strchr("*<`", *text) ? "\\" : "", *text);
}

static void print_commands(FILE *out, const qonnx_option_info *option)
{
    const struct qn_command *command;
    const char              *between = " For ";

    for (size_t i = 0; (command = qn_command_at(i)); i++) {
        if (!qn_option_applies(option, command)) continue;
        fprintf(out, "%s%s", between, command->title);
        between = ", ";
    }
    if (*option->commands) fputc('.', out);
}

static void print_option(FILE *out, const qonnx_option_info *option)
{
    const char *word, *summary;
    char        letter = qn_option_letter(option);

    fputs("- `", out);
    if (letter) fprintf(out, "-%c`, `", letter);
    fprintf(out, "%s%s", option->advanced ? "-o " : "--", option->name);
    if (option->argument) fprintf(out, "%c%s", option->advanced ? '=' : ' ', option->argument);
    fputs("`: ", out);
    put(out, option->help);
    if (option->argument && option->repeatable) fputs(" (repeatable)", out);
    fputc('.', out);
    if (option->argument && option->fallback) fprintf(out, " Default: `%s`.", option->fallback);
    print_commands(out, option);
    fputc('\n', out);
    if (strcmp(option->name, "list") == 0) return;
    for (size_t k = 0; qn_option_choice(option, k, &word, &summary); k++) {
        fprintf(out, "  - `%s`: ", word);
        put(out, summary);
        fputc('\n', out);
    }
}

void qn_print_reference(FILE *out)
{
    const qonnx_option_info *option;
    const char              *group;

    fputs("<!-- Printed by " QN_PROGRAM " --dump-options=markdown; a test compares. -->\n# Options\n\n"
          "Values follow as `--NAME VALUE` or `--NAME=VALUE`. A flag is switched off by `--no-NAME` or `--NAME=off`. "
          "Any option with an effect\non models may also be given as `-o NAME=VALUE`, those that are listed so only in "
          "this way.\n",
          out);
    for (size_t g = 0; (group = qn_group_at(g)); g++) {
        fprintf(out, "\n## %s\n\n", group);
        for (size_t i = 0; (option = qn_option_at(i)); i++)
            if (strcmp(option->group, group) == 0) print_option(out, option);
    }
}
