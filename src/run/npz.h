/* SPDX-License-Identifier: Apache-2.0
 * NumPy's .npz: a zip archive of .npy members, several of which can be read forward at once. For feed*.c only. */
#ifndef QN_RUN_NPZ_H
#define QN_RUN_NPZ_H

#include "base/strbuf.h"
#include "run/npy.h"

struct qn_npz;

QONNX_MUST_CHECK qonnx_status qn_npz_open(struct qn_npz **npz, const char *path, qonnx_error *err);
void                          qn_npz_close(struct qn_npz *npz); /* NULL is allowed; arrays must be closed before */

/* Number of members, and the name of the i-th as an array ("x" for "x.npy"), NULL for members that are none. The
 * name is valid until the next call. */
size_t                        qn_npz_count(const struct qn_npz *npz);
const char                   *qn_npz_name(struct qn_npz *npz, size_t i);
/* Opens the array of that name; *found is false and the array zeroed when there is none. */
QONNX_MUST_CHECK qonnx_status qn_npz_array(struct qn_npz *npz, const char *name, struct qn_npy *array, bool *found,
                                           qonnx_error *err);

#endif
