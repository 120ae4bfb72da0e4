/* SPDX-License-Identifier: Apache-2.0 */
#ifndef QN_BASE_CPU_H
#define QN_BASE_CPU_H

/* The instruction set that kernels for floats are chosen by: "x86-64 avx512f", "aarch64" … Static. */
const char *qn_cpu_name(void);

#endif
