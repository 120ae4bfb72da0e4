/* SPDX-License-Identifier: Apache-2.0
 * Quantizes a model as the library's user would: quantize IN.onnx OUT.onnx SAMPLES. Progress and warnings go to standard
 * error, the summary to standard output.
 *
 *     cc quantize.c $(pkg-config --cflags --libs qonnx) -o quantize */
#include <qonnx/qonnx.h>
#include <stdio.h>

static void on_progress(void *context, const char *stage, size_t done, size_t total)
{
    if (total && done == total) fprintf(context, "%s: done\n", stage);
}

static void on_warning(void *context, const char *text) { fprintf(context, "warning: %s\n", text); }

int main(int argc, char **argv)
{
    const qonnx_callbacks callbacks = { stderr, on_progress, on_warning };
    qonnx_options        *options = qonnx_options_new();
    qonnx_result         *result = NULL;
    qonnx_error           err = { 0 };
    qonnx_status          status = QONNX_E_USAGE;

    if (argc != 4) {
        fprintf(stderr, "usage: quantize IN.onnx OUT.onnx SAMPLES\n");
    } else if (!options) {
        status = QONNX_E_NOMEM;
        fprintf(stderr, "%s\n", qonnx_status_text(status));
    } else if ((status = qonnx_options_set(options, "preset", "int8", &err)) ||
               (status = qonnx_options_set(options, "calib", argv[3], &err)) ||
               (status = qonnx_quantize(argv[1], argv[2], options, &callbacks, &result, &err))) {
        fprintf(stderr, "%s: %s\n", qonnx_status_name(status), err.message);
    } else {
        fputs(qonnx_result_text(result), stdout);
    }
    qonnx_result_free(result);
    qonnx_options_free(options);
    return qonnx_status_exit_code(status);
}
