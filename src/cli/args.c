/* SPDX-License-Identifier: Apache-2.0 */
#include "args.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct parser {
    struct qn_args           *args;
    char                    **argv;
    int                       argc, next; /* the word to be read next */
    const qonnx_option_info **given;      /* every option, for a look at it once the command is known */
    size_t                    given_count;
    const char              **words; /* what is no option */
    int                       word_count;
    bool                      words_only; /* behind "--" */
    bool                      command_word;
    qonnx_error              *err;
};

static qonnx_status fail(qonnx_error *err, const char *format, ...) QONNX_PRINTF(2, 3);
static qonnx_status fail(qonnx_error *err, const char *format, ...)
{
    va_list arguments;

    if (!err || err->status != QONNX_OK) return QONNX_E_USAGE;
    err->status = QONNX_E_USAGE;
    va_start(arguments, format);
    vsnprintf(err->message, sizeof err->message, format, arguments);
    va_end(arguments);
    return QONNX_E_USAGE;
}

static qonnx_status fail_nomem(qonnx_error *err)
{
    (void)fail(err, "out of memory");
    if (err) err->status = QONNX_E_NOMEM;
    return QONNX_E_NOMEM;
}

static qonnx_status fail_unknown_option(struct parser *parser, const char *name)
{
    struct qn_guess          guess = { .typed = name };
    const qonnx_option_info *option;

    for (size_t i = 0; (option = qn_option_at(i)); i++) qn_guess_consider(&guess, option->name);
    if (!guess.best) return fail(parser->err, "unknown option '--%s'; --help lists them all", name);
    option = qn_option_find(guess.best);
    return fail(parser->err, "unknown option '--%s'; did you mean '%s%s'?", name, option->advanced ? "-o " : "--",
                guess.best);
}

/* Whether a word would be taken as an option if it stood alone. */
static bool looks_like_option(const char *word)
{
    char        name[64];
    const char *end;

    if (strncmp(word, "--", 2) != 0) return false;
    end = strchr(word + 2, '=');
    snprintf(name, sizeof name, "%.*s", end ? (int)(end - word - 2) : 63, word + 2);
    return !*name || qn_option_find(name);
}

/* One of the choices of an option of the program's own. */
static qonnx_status check_word(struct parser *parser, const qonnx_option_info *option, const char *value)
{
    struct qn_guess guess = { .typed = value };
    const char     *word, *summary;
    char            list[256] = "";

    for (size_t k = 0, used = 0; qn_option_choice(option, k, &word, &summary) && used < sizeof list; k++) {
        if (strcmp(word, value) == 0) return QONNX_OK;
        qn_guess_consider(&guess, word);
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", k ? ", " : "", word);
    }
    if (guess.best)
        return fail(parser->err, "--%s: unknown word '%s'; did you mean '%s'?", option->name, value, guess.best);
    return fail(parser->err, "--%s: unknown word '%s'; known are %s", option->name, value, list);
}

static qonnx_status set_own(struct parser *parser, const qonnx_option_info *option, const char *value)
{
    struct qn_args *args = parser->args;

    if (option->argument && check_word(parser, option, value)) return QONNX_E_USAGE;
    if (strcmp(option->name, "help") == 0) args->help = true;
    if (strcmp(option->name, "version") == 0) args->version = true;
    if (strcmp(option->name, "json") == 0) args->json = true;
    if (strcmp(option->name, "print-config") == 0) args->print_config = true;
    if (strcmp(option->name, "quiet") == 0) args->quiet++;
    if (strcmp(option->name, "dump") == 0) args->dump = value;
    if (strcmp(option->name, "list") == 0) args->list = value;
    if (strcmp(option->name, "dump-options") == 0) args->dump_options = value;
    return QONNX_OK;
}

static qonnx_status set(struct parser *parser, const qonnx_option_info *option, const char *value)
{
    parser->given[parser->given_count++] = option;
    if (strcmp(option->name, "shard") == 0) parser->args->shard = true;
    if (!qn_option_is_shared(option)) return set_own(parser, option, value);
    if (strcmp(option->name, "dry-run") == 0) parser->args->dry_run = !value || strcmp(value, "off") != 0;
    return qonnx_options_set(parser->args->options, option->name, value, parser->err);
}

/* --NAME, --NAME=VALUE, --NAME VALUE, --no-FLAG. */
static qonnx_status take_long(struct parser *parser, const char *text)
{
    const char              *equals = strchr(text, '='), *value = equals ? equals + 1 : NULL;
    const qonnx_option_info *option;
    char                     name[64];

    snprintf(name, sizeof name, "%.*s", equals && equals - text < 64 ? (int)(equals - text) : 63, text);
    option = qn_option_find(name);
    if (!option && !value && strncmp(name, "no-", 3) == 0) {
        option = qn_option_find(name + 3);
        if (option && !option->argument && qn_option_is_shared(option)) return set(parser, option, "off");
        option = NULL;
    }
    if (!option) return fail_unknown_option(parser, name);
    if (option->advanced)
        return fail(parser->err, "--%s is an advanced option: -o %s=%s", name, name,
                    option->argument ? option->argument : "on");
    if (!option->argument && value && !qn_option_is_shared(option))
        return fail(parser->err, "--%s takes no value", name);
    if (option->argument && !value) {
        if (parser->next == parser->argc || looks_like_option(parser->argv[parser->next]))
            return fail(parser->err, "--%s needs a value (%s)", name, option->argument);
        value = parser->argv[parser->next++];
    }
    return set(parser, option, value);
}

/* -o NAME=VALUE, for every option of the library. */
static qonnx_status take_setting(struct parser *parser, const char *text)
{
    const char              *equals = strchr(text, '=');
    const qonnx_option_info *option;
    char                     name[64];

    snprintf(name, sizeof name, "%.*s", equals && equals - text < 64 ? (int)(equals - text) : 63, text);
    option = qn_option_find(name);
    if (option && qn_option_is_shared(option)) return set(parser, option, equals ? equals + 1 : NULL);
    if (option) return fail(parser->err, "-o %s: write --%s", name, name);
    return qonnx_options_set(parser->args->options, name, equals ? equals + 1 : NULL, parser->err);
}

static qonnx_status take_letter(struct parser *parser, const char *word)
{
    const qonnx_option_info *option;
    struct qn_guess          guess = { .typed = word + 1 };

    if (word[1] == 'o') {
        if (word[2]) return take_setting(parser, word + 2);
        if (parser->next == parser->argc) return fail(parser->err, "-o needs a value (NAME=VALUE)");
        return take_setting(parser, parser->argv[parser->next++]);
    }
    for (size_t i = 0; !word[2] && (option = qn_option_at(i)); i++)
        if (qn_option_letter(option) == word[1]) return set(parser, option, NULL);
    for (size_t i = 0; word[2] && (option = qn_option_at(i)); i++) qn_guess_consider(&guess, option->name);
    return guess.best ? fail(parser->err, "unknown option '%s'; did you mean '--%s'?", word, guess.best)
                      : fail(parser->err, "unknown option '%s'; --help lists them all", word);
}

static qonnx_status take(struct parser *parser)
{
    char *word = parser->argv[parser->next++];

    if (!parser->words_only && strcmp(word, "--") == 0) {
        parser->words_only = true;
        return QONNX_OK;
    }
    if (!parser->words_only && strncmp(word, "--", 2) == 0) return take_long(parser, word + 2);
    if (!parser->words_only && word[0] == '-' && word[1]) return take_letter(parser, word);
    if (strcmp(word, "-") == 0) return fail(parser->err, "'-': models are read from and written to files only");
    if (!parser->word_count && !parser->command_word && !parser->words_only)
        for (size_t i = 0; qn_command_at(i); i++)
            if (qn_command_at(i)->word && strcmp(qn_command_at(i)->word, word) == 0) {
                parser->args->command = qn_command_at(i);
                parser->command_word = true;
                return QONNX_OK;
            }
    parser->words[parser->word_count++] = word;
    return QONNX_OK;
}

static qonnx_status check_files(const struct parser *parser)
{
    const struct qn_command *command = parser->args->command;
    struct qn_guess          guess = { .typed = parser->word_count ? parser->words[0] : "" };

    for (int i = 0; i < parser->word_count; i++)
        if (!*parser->words[i]) return fail(parser->err, "a file name is empty");
    if (parser->word_count == command->files || (command->more && parser->word_count > command->files)) return QONNX_OK;
    if (parser->args->dry_run && command->letter == 'q' && parser->word_count == 1) return QONNX_OK; /* nothing is written */
    for (size_t i = 0; !parser->command_word && qn_command_at(i); i++)
        if (qn_command_at(i)->word) qn_guess_consider(&guess, qn_command_at(i)->word);
    if (guess.best) return fail(parser->err, "unknown command '%s'; did you mean '%s'?", guess.typed, guess.best);
    return fail(parser->err,
                "%d file%s given, %s%d needed; usage: " QN_PROGRAM " %s (" QN_PROGRAM " %s%s--help tells more)",
                parser->word_count, parser->word_count == 1 ? "" : "s", command->more ? "at least " : "", command->files, command->synopsis,
                command->word ? command->word : "", command->word ? " " : "");
}

/* What each option is for is known only when the last word has been read: the command may stand behind it. */
static qonnx_status check_options(const struct parser *parser)
{
    const struct qn_command *command = parser->args->command;

    for (size_t i = 0; i < parser->given_count; i++) {
        const qonnx_option_info *option = parser->given[i];
        char                     list[128] = "";

        if (qn_option_applies(option, command)) continue;
        for (size_t k = 0, used = 0; qn_command_at(k); k++)
            if (qn_option_applies(option, qn_command_at(k)))
                used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", used ? " or " : "",
                                         qn_command_at(k)->title);
        return fail(parser->err, "%s%s does not go with %s, only with %s", option->advanced ? "-o " : "--",
                    option->name, command->title, list);
    }
    return QONNX_OK;
}

static qonnx_status parse(struct parser *parser)
{
    struct qn_args *args = parser->args;
    qonnx_status    status = QONNX_OK;

    while (!status && parser->next < parser->argc) status = take(parser);
    if (args->dump && !parser->command_word) args->command = qn_command_find('d');
    if (status || args->help || args->version || args->list || args->dump_options || args->print_config) return status;
    status = check_files(parser);
    if (!status) status = check_options(parser);
    args->file_count = (size_t)parser->word_count;
    return status;
}

qonnx_status qn_args_parse(struct qn_args *args, int argc, char **argv, qonnx_error *err)
{
    struct parser parser = { .args = args, .argv = argv, .argc = argc, .next = 1, .err = err };
    qonnx_status  status;

    memset(args, 0, sizeof *args);
    args->command = qn_command_at(0);
    args->options = qonnx_options_new();
    parser.given = calloc((size_t)argc + 1, sizeof *parser.given);
    parser.words = args->files = calloc((size_t)argc + 1, sizeof *parser.words);
    status = args->options && parser.given && parser.words ? parse(&parser) : fail_nomem(err);
    free(parser.given);
    return status;
}

void qn_args_release(struct qn_args *args)
{
    qonnx_options_free(args->options);
    free(args->files);
    args->files = NULL;
    args->options = NULL;
}
