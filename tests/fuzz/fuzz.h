/* SPDX-License-Identifier: Apache-2.0
 * What fuzz targets share. A broken promise ends the process, which a fuzzer and CTest both see. */
#ifndef QN_TESTS_FUZZ_H
#define QN_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PROMISE(what)                                                                                                  \
    do {                                                                                                               \
        if (!(what)) {                                                                                                 \
            fprintf(stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__, #what);                                 \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* A failure says which and why, on one line. */
static inline void promise_clear_error(qonnx_status status, const qonnx_error *err)
{
    PROMISE(status != QONNX_OK && status != QONNX_E_INTERNAL);
    PROMISE(err->status == status);
    PROMISE(err->message[0] && strlen(err->message) < sizeof err->message);
    PROMISE(!strchr(err->message, '\n'));
}

#endif
