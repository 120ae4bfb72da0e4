/* SPDX-License-Identifier: Apache-2.0
 * Completions for three shells: options, the words their values can be, files. */
#include <string.h>

#include "manuals.h"
#include "table.h"

static bool has_choices(const qonnx_option_info *option)
{
    const char *word, *summary;
    return qn_option_choice(option, 0, &word, &summary);
}

static bool takes_file(const qonnx_option_info *option)
{
    return option->argument && (strncmp(option->argument, "PATH", 4) == 0 || strncmp(option->argument, "FILE", 4) == 0);
}

/* The words of a command's or option's list, with a blank between them. */
static void put_choices(FILE *out, const qonnx_option_info *option)
{
    const char *word, *summary;
    for (size_t k = 0; qn_option_choice(option, k, &word, &summary); k++) fprintf(out, "%s%s", k ? " " : "", word);
}

static void put_commands(FILE *out)
{
    const char *blank = "";
    for (size_t i = 0; qn_command_at(i); i++) {
        if (!qn_command_at(i)->word) continue;
        fprintf(out, "%s%s", blank, qn_command_at(i)->word);
        blank = " ";
    }
}

/* Each option's name between `before` and `after`, for which a caller picks by `only`. */
static void put_names(FILE *out, bool (*only)(const qonnx_option_info *), const char *before, const char *after,
                      const char *between)
{
    const qonnx_option_info *option;
    bool                     first = true;

    for (size_t i = 0; (option = qn_option_at(i)); i++) {
        if (!only(option)) continue;
        fprintf(out, "%s%s%s%s", first ? "" : between, before, option->name, after);
        first = false;
    }
}

static bool is_plain(const qonnx_option_info *option) { return !option->advanced; }
static bool is_setting(const qonnx_option_info *option) { return qn_option_is_shared(option); }
static bool is_free_text(const qonnx_option_info *option)
{
    return option->argument && !option->advanced && !takes_file(option) && !has_choices(option);
}

/* clang-format off */
/* Bash splits words at '=', so that --name=value comes as three: both forms are brought to (name, beginning of value). */
static const char bash_head[] =
    "# bash completion of " QN_PROGRAM "\n"
    "_qonnx_quantize()\n"
    "{\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} at=$((COMP_CWORD - 1)) prev\n"
    "    COMPREPLY=()\n"
    "    if [[ $cur == = ]]; then\n"
    "        cur=\n"
    "    elif [[ ${COMP_WORDS[at]} == = ]]; then\n"
    "        at=$((at - 1))\n"
    "    fi\n"
    "    prev=${COMP_WORDS[at]}\n"
    "    if [[ $at -gt 0 && ${COMP_WORDS[at - 1]} == -o && ${COMP_WORDS[at + 1]} == = ]]; then\n"
    "        prev=--$prev\n"
    "    fi\n"
    "    case $prev in\n";
static const char bash_files[] =
    ")\n"
    "            compopt -o filenames\n"
    "            mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
    "            return ;;\n"
    "        ";
static const char bash_setting[] =
    ")\n"
    "            return ;;\n"
    "        -o)\n"
    "            compopt -o nospace\n"
    "            mapfile -t COMPREPLY < <(compgen -W '";
static const char bash_names[] =
    "' -- \"$cur\")\n"
    "            return ;;\n"
    "    esac\n"
    "    if [[ $cur == -* ]]; then\n"
    "        mapfile -t COMPREPLY < <(compgen -W '-o ";
static const char bash_words[] =
    "' -- \"$cur\")\n"
    "        return\n"
    "    fi\n"
    "    compopt -o filenames\n"
    "    mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
    "    if [[ $COMP_CWORD -eq 1 ]]; then\n"
    "        mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -W '";
static const char bash_tail[] =
    "' -- \"$cur\")\n"
    "    fi\n"
    "}\n"
    "complete -F _qonnx_quantize " QN_PROGRAM "\n";
/* clang-format on */

void qn_print_bash_completion(FILE *out)
{
    const qonnx_option_info *option;

    fputs(bash_head, out);
    for (size_t i = 0; (option = qn_option_at(i)); i++) {
        if (!has_choices(option)) continue;
        fprintf(out, "        --%s)\n            mapfile -t COMPREPLY < <(compgen -W '", option->name);
        put_choices(out, option);
        fputs("' -- \"$cur\")\n            return ;;\n", out);
    }
    fputs("        ", out);
    put_names(out, takes_file, "--", "", " | ");
    fputs(bash_files, out);
    put_names(out, is_free_text, "--", "", " | ");
    fputs(bash_setting, out);
    put_names(out, is_setting, "", "=", " ");
    fputs(bash_names, out);
    put_names(out, is_plain, "--", "", " ");
    fputs(bash_words, out);
    put_commands(out);
    fputs(bash_tail, out);
}

/* Inside single quotes; `escaped`: further bytes that the place gives a meaning. */
static void put_quoted(FILE *out, const char *text, const char *escaped)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", out);
        else
            fprintf(out, "%s%c", strchr(escaped, *text) ? "\\" : "", *text);
    }
}

static void put_zsh_values(FILE *out, const qonnx_option_info *option)
{
    const char *word, *summary;

    fputs("((", out);
    for (size_t k = 0; qn_option_choice(option, k, &word, &summary); k++) {
        fprintf(out, "%s%s\\:\"", k ? " " : "", word);
        put_quoted(out, summary, "\\\"$`:");
        fputc('"', out);
    }
    fputs("))", out);
}

static void put_zsh_option(FILE *out, const qonnx_option_info *option)
{
    char letter = qn_option_letter(option);

    fputs("    ", out);
    if (letter) fprintf(out, "%s{-%c,--%s}", option->repeatable ? "'*'" : "", letter, option->name);
    fprintf(out, "'%s%s%s%s[", !letter && option->repeatable ? "*" : "", letter ? "" : "--", letter ? "" : option->name,
            option->argument ? "=" : "");
    put_quoted(out, option->help, "\\[]:");
    fputc(']', out);
    if (option->argument) {
        fputc(':', out);
        put_quoted(out, option->argument, "\\:");
        fputc(':', out);
        if (has_choices(option))
            put_zsh_values(out, option);
        else if (takes_file(option))
            fputs("_files", out);
        else
            fputc(' ', out);
    }
    fputs("' \\\n", out);
}

void qn_print_zsh_completion(FILE *out)
{
    const qonnx_option_info *option;

    fputs("#compdef " QN_PROGRAM "\nlocal curcontext=$curcontext state line\nlocal -A opt_args\n_arguments -C -S \\\n",
          out);
    for (size_t i = 0; (option = qn_option_at(i)); i++)
        if (!option->advanced) put_zsh_option(out, option);
    fputs("    '*-o[any option, advanced ones too]:NAME=VALUE:->setting' \\\n    '1:model or command:->first' \\\n"
          "    '*:model:_files' && return\n"
          "case $state in\nfirst)\n    _alternative 'commands:command:(",
          out);
    put_commands(out);
    fputs(")' 'files:model:_files' ;;\nsetting)\n    if ! compset -P '*='; then\n        compadd -S = -- ", out);
    put_names(out, is_setting, "", "", " ");
    fputs("\n        return\n    fi\n    case $IPREFIX in\n", out);
    for (size_t i = 0; (option = qn_option_at(i)); i++) {
        if (!is_setting(option) || !(has_choices(option) || takes_file(option))) continue;
        fprintf(out, "    %s=) %s", option->name, has_choices(option) ? "compadd -- " : "_files");
        put_choices(out, option);
        fputs(" ;;\n", out);
    }
    fputs("    esac ;;\nesac\n", out);
}

static void put_fish_option(FILE *out, const qonnx_option_info *option)
{
    const char *word, *summary;
    char        letter = qn_option_letter(option);

    fprintf(out, "complete -c " QN_PROGRAM " -l %s", option->name);
    if (letter) fprintf(out, " -s %c", letter);
    if (option->argument) fputs(takes_file(option) ? " -r -F" : " -x", out);
    if (has_choices(option)) {
        fputs(" -a '", out);
        for (size_t k = 0; qn_option_choice(option, k, &word, &summary); k++) {
            fprintf(out, "%s%s\\t\"", k ? " " : "", word);
            for (; *summary; summary++)
                fprintf(out, "%s%c", strchr("\\'\"$", *summary) ? *summary == '\'' ? "\\" : "\\\\" : "", *summary);
            fputc('"', out);
        }
        fputc('\'', out);
    }
    fputs(" -d '", out);
    for (const char *text = option->help; *text; text++) fprintf(out, "%s%c", strchr("\\'", *text) ? "\\" : "", *text);
    fputs("'\n", out);
}

void qn_print_fish_completion(FILE *out)
{
    const qonnx_option_info *option;
    const char              *word, *summary;

    fputs("# fish completion of " QN_PROGRAM "\n", out);
    for (size_t i = 0; qn_command_at(i); i++)
        if (qn_command_at(i)->word)
            fprintf(out, "complete -c " QN_PROGRAM " -n '__fish_is_first_token' -a %s -d '%s'\n",
                    qn_command_at(i)->word, qn_command_at(i)->summary);
    for (size_t i = 0; (option = qn_option_at(i)); i++)
        if (!option->advanced) put_fish_option(out, option);
    fputs("complete -c " QN_PROGRAM " -s o -x -d 'any option, advanced ones too' -a '", out);
    for (size_t i = 0, n = 0; (option = qn_option_at(i)); i++) {
        if (!qn_option_is_shared(option)) continue;
        if (!has_choices(option)) fprintf(out, "%s%s=", n++ ? " " : "", option->name);
        for (size_t k = 0; qn_option_choice(option, k, &word, &summary); k++)
            fprintf(out, "%s%s=%s", n++ ? " " : "", option->name, word);
    }
    fputs("'\n", out);
}
