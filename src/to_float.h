/* SPDX-License-Identifier: Apache-2.0
 * Convert's format "float". Not in src/emit: it takes the plans of lifts only. */
#ifndef QN_TO_FLOAT_H
#define QN_TO_FLOAT_H

#include "emit/emit.h"

extern const struct qn_emitter qn_to_float;

#endif
