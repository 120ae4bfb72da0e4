/* SPDX-License-Identifier: Apache-2.0
 * The parts of the public interface that are not a pipeline of their own (see quantize.c, evaluate.c, plan/options.c). */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <qonnx/version.h>

#include "base/file.h"
#include "base/numerals.h"
#include "report.h"

const char *qonnx_result_text(const qonnx_result *result) { return result && result->text ? result->text : ""; }
const char *qonnx_result_json(const qonnx_result *result) { return result && result->json ? result->json : ""; }

void qonnx_result_free(qonnx_result *result)
{
    if (!result) return;
    free(result->text);
    free(result->json);
    free(result);
}

qonnx_status qn_result_new(qonnx_result **result, const struct qn_strbuf *text, const struct qn_strbuf *json, qonnx_error *err)
{
    *result = text->failed || (json && json->failed) ? NULL : calloc(1, sizeof **result);
    if (*result && ((*result)->text = strdup(text->text)) && (!json || ((*result)->json = strdup(json->text)))) return QONNX_OK;
    qonnx_result_free(*result);
    *result = NULL;
    return qn_fail_nomem(err);
}

const char *qonnx_version(void) { return QONNX_VERSION; }

void qn_warn(struct qn_warnings *warnings, const char *format, ...)
{
    char         text[1024];
    va_list      args;
    const char **grown = qn_arena_grow(warnings->arena, (void *)warnings->texts, warnings->count, &warnings->capacity, sizeof *grown);

    va_start(args, format);
    qn_vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *c = text; *c; c++) /* names come from the model: nothing in them may steer a terminal */
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
    if (grown && (grown[warnings->count] = qn_arena_strdup(warnings->arena, text))) {
        warnings->texts = grown;
        warnings->count++;
    }
    if (warnings->callbacks && warnings->callbacks->warning) warnings->callbacks->warning(warnings->callbacks->context, text);
}

void qn_warn_lines(struct qn_warnings *warnings, const char *text)
{
    for (size_t length; text && *text; text += length + (text[length] == '\n')) {
        length = strcspn(text, "\n");
        if (length) qn_warn(warnings, "%.*s", length < 1024 ? (int)length : 1024, text);
    }
}

static void on_end(int number)
{
    qn_sink_remove_all();
    signal(number, SIG_DFL); /* so that the parent sees what ended this process */
    raise(number);
}

void qonnx_install_signal_handlers(void)
{
    static const int ends[] = { SIGINT, SIGTERM, SIGHUP };
    struct sigaction action = { .sa_handler = on_end, .sa_flags = (int)SA_RESETHAND }, old;

    qn_map_guard_install("qonnx-quantize");
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) /* what the caller ignores, as nohup does, stays ignored */
        if (sigaction(ends[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) sigaction(ends[i], &action, NULL);
}
