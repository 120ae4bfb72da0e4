/* SPDX-License-Identifier: Apache-2.0
 * A program that knows the library by its installed header and pkg-config file only. */
#include <qonnx/status.h>
#include <qonnx/version.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    printf("%s %s\n", QONNX_VERSION, qonnx_status_text(QONNX_OK));
    return strcmp(qonnx_status_name(QONNX_E_FORMAT), "E_FORMAT") != 0;
}
