/* SPDX-License-Identifier: Apache-2.0
 *
 * Fitted to the profiles of 13 models, each node's time in float and on integers (bench/kernels.py), on one thread of a Xeon
 * with AVX-512 and VNNI. A product on integers is priced at twice of what that machine takes: about half of all x86 lacks
 * VNNI, and what pays there pays here. */
#include "plan/costs.h"

/* clang-format off */
const struct qn_costs qn_costs_ort_x86 = {
    .lanes      = 16,
    .conv       = { { 2000, 0.0122, 0.18, 0.05, 0.05, 0.9, 0.0 }, { 3000, 0.0036, 0.08, 0.06, 0.14, 1.7, 2.6 } },
    .depthwise  = { { 2000, 0.0190, 0.18, 0.05, 0.12, 0.0, 0.0 }, { 3000, 0.0290, 0.08, 0.00, 0.22, 0.9, 0.0 } },
    .linear     = { { 1500, 0.0099, 0.33, 0.16, 0.08, 0.0, 0.0 }, { 2500, 0.0036, 0.11, 0.11, 0.22, 0.0, 0.0 } },
    .join       = { { 1500, 0.19 }, { 2500, 0.22 } },
    .pool       = { { 1500, 0.23 }, { 2500, 0.17 } },
    .function   = { { 1500, 0.35 }, { 2500, 0.35 } },
    .quantize   = { 1500, 0.30 },
    .dequantize = { 1000, 0.20 },
    .reorder    = { 1200, 0.20 },
    .exchange   = { 2400, 0.55 },
    .transpose  = { 1200, 0.19 },
    .plain_pool = 2.9,
};
/* clang-format on */
