/* SPDX-License-Identifier: Apache-2.0
 * Shapes of all values of a float graph, for formats whose readers want them. */
#ifndef QN_SHAPES_H
#define QN_SHAPES_H

#include "job.h"

/* Fills ranks and sizes of job->graph that are not declared, by running the float model over generated inputs. When the
 * inputs' sizes are fixed, in the file or by --dim and --input-shape, all sizes are, those of outputs included; otherwise
 * a second run with other sizes tells which vary, and these stay open. Without ONNX Runtime a warning says what is
 * missing. E_USAGE for sizes that do not fit the model. */
QONNX_MUST_CHECK qonnx_status qn_job_find_shapes(struct qn_job *job);

#endif
