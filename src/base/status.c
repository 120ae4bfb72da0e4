/* SPDX-License-Identifier: Apache-2.0 */
#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/numerals.h"

static const struct {
    const char *name, *text;
    int         exit_code;
} table[] = {
#define X(name, exit_code, text) { #name, text, exit_code },
    QONNX_STATUS_LIST(X)
#undef X
};

static size_t row(qonnx_status status)
{
    size_t i = (size_t)status;
    return i < sizeof table / sizeof *table ? i : (size_t)QONNX_E_INTERNAL;
}

const char *qonnx_status_name(qonnx_status status) { return table[row(status)].name; }
const char *qonnx_status_text(qonnx_status status) { return table[row(status)].text; }
int         qonnx_status_exit_code(qonnx_status status) { return table[row(status)].exit_code; }

/* Names come from untrusted files: nothing in them may steer a terminal. */
static void replace_control_bytes(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f) *text = '?';
}

qonnx_status qn_fail(qonnx_error *err, qonnx_status status, const char *format, ...)
{
    va_list args;

    if (!err || err->status != QONNX_OK) return status;
    err->status = status;
    va_start(args, format);
    qn_vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    replace_control_bytes(err->message);
    return status;
}

qonnx_status qn_wrap(qonnx_error *err, qonnx_status status, const char *format, ...)
{
    char    old[sizeof err->message];
    va_list args;
    int     used;

    if (!err || status == QONNX_OK) return status;
    memcpy(old, err->message, sizeof old);
    va_start(args, format);
    used = qn_vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    if (used < 0) used = 0;
    if ((size_t)used > sizeof err->message - 3) used = (int)sizeof err->message - 3;
    memcpy(err->message + used, ": ", 3);
    old[sizeof old - 1 - (size_t)used - 2] = 0; /* what does not fit loses its tail */
    memcpy(err->message + used + 2, old, strlen(old) + 1);
    replace_control_bytes(err->message);
    return status;
}

qonnx_status qn_fail_nomem(qonnx_error *err) { return qn_fail(err, QONNX_E_NOMEM, "out of memory"); }
