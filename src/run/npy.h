/* SPDX-License-Identifier: Apache-2.0
 * NumPy's .npy format, read forward from a stream of bytes. For feed*.c and compare.c. */
#ifndef QN_RUN_NPY_H
#define QN_RUN_NPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strbuf.h"
#include "run/runner.h"

/* Bytes from somewhere. `read` returns how many it gave (fewer than asked for only at the end), or -1. */
struct qn_stream {
    void *handle;
    ptrdiff_t (*read)(void *handle, void *to, size_t size);
    void (*close)(void *handle);
};
QONNX_MUST_CHECK qonnx_status qn_stream_open_file(struct qn_stream *stream, const char *path, uint64_t *size,
                                                  qonnx_error *err);
void                          qn_stream_close(struct qn_stream *stream); /* a zeroed struct may be closed */

/* An array, positioned at its first element. */
struct qn_npy {
    struct qn_stream stream; /* owned */
    int32_t          dtype;
    bool             swapped; /* bytes are in the other order */
    size_t           item;    /* bytes of an element */
    int              rank;
    int64_t          dims[QN_MAX_RANK];
    void            *scratch; /* for elements that need converting */
    size_t           scratch_size;
};

/* Reads the header. The array takes over the stream, also when this fails. `size` is that of the whole stream. */
QONNX_MUST_CHECK qonnx_status qn_npy_open(struct qn_npy *array, struct qn_stream *stream, uint64_t size,
                                          qonnx_error *err);
/* An array without a header, little-endian; it takes over the stream. */
void qn_npy_raw(struct qn_npy *array, struct qn_stream *stream, int32_t dtype, int rank, const int64_t *dims);
void                          qn_npy_close(struct qn_npy *array); /* a zeroed struct may be closed */

/* Elements of one sub-array behind the first `skip` axes. */
size_t                        qn_npy_row_count(const struct qn_npy *array, int skip);
/* Gives the next `count` elements as `dtype`, converted if they are of another type and keep their value (double to
 * float and to smaller floats rounds). */
QONNX_MUST_CHECK qonnx_status qn_npy_read(struct qn_npy *array, void *to, int32_t dtype, size_t count,
                                          qonnx_error *err);
QONNX_MUST_CHECK qonnx_status qn_npy_skip(struct qn_npy *array, size_t count, qonnx_error *err);
/* Checks that nothing follows: also makes a zip archive compare its checksum. */
QONNX_MUST_CHECK qonnx_status qn_npy_at_end(struct qn_npy *array, qonnx_error *err);

/* Whether elements of one type may become another at all (single values may still not fit). */
bool qn_elements_convertible(int32_t from, int32_t to);
/* Converts; false at the first value that would change, whose place goes to *at. */
bool qn_elements_convert(void *to, int32_t to_type, const void *from, int32_t from_type, size_t count, size_t *at);

/* "[1,3,?]" */
void qn_add_shape(struct qn_strbuf *text, int rank, const int64_t *dims);

#endif
