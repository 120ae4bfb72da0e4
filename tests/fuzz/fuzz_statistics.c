/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a file of statistics whose digest is right: refused with a clear error, or read, and then written again as
 * something that is read the same. */
#include "base/file.h"
#include "fuzz.h"
#include "run/statistics.h"

static void frame(struct qn_strbuf *file, const uint8_t *data, size_t size)
{
    struct qn_hasher *hasher = qn_hasher_new(false);
    struct qn_digest  digest;

    qn_strbuf_puts(file, QN_STATISTICS_MAGIC);
    qn_strbuf_add(file, data, size);
    qn_hasher_add(hasher, file->text, file->length);
    qn_hasher_finish(hasher, &digest);
    qn_strbuf_puts(file, digest.xxh3_128);
}

static void merge_with_itself(const struct qn_strbuf *file)
{
    struct qn_statistics a, b;
    qonnx_error          err = { 0 };
    qonnx_status         status;

    PROMISE(qn_statistics_parse(&a, file->text, file->length, NULL) == QONNX_OK);
    PROMISE(qn_statistics_parse(&b, file->text, file->length, NULL) == QONNX_OK);
    status = qn_statistics_merge(&a, &b, &err);
    if (status != QONNX_OK) promise_clear_error(status, &err);
    PROMISE(status != QONNX_OK || !b.fed_count); /* the same samples twice */
    qn_statistics_release(&a);
    qn_statistics_release(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qn_statistics statistics, again;
    struct qn_strbuf     file, first, second;
    qonnx_error          err = { 0 };
    qonnx_status         status;

    qn_strbuf_init(&file);
    qn_strbuf_init(&first);
    qn_strbuf_init(&second);
    frame(&file, data, size);
    status = qn_statistics_parse(&statistics, file.text, file.length, &err);
    if (status == QONNX_OK) {
        PROMISE(qn_statistics_pack(&statistics, &first, NULL) == QONNX_OK);
        PROMISE(qn_statistics_parse(&again, first.text, first.length, NULL) == QONNX_OK);
        PROMISE(qn_statistics_pack(&again, &second, NULL) == QONNX_OK);
        PROMISE(first.length == second.length && memcmp(first.text, second.text, first.length) == 0);
        merge_with_itself(&first);
        qn_statistics_release(&statistics);
        qn_statistics_release(&again);
    } else {
        promise_clear_error(status, &err);
    }
    qn_strbuf_release(&file);
    qn_strbuf_release(&first);
    qn_strbuf_release(&second);
    return 0;
}
