/* SPDX-License-Identifier: Apache-2.0
 * QN_CLONES before a function: the compiler makes one version for each instruction set and the loader picks one. They
 * give the same bits, because nothing here allows it to reorder or contract float arithmetic. Plain where the mechanism
 * is missing (not x86, clang) or does not mix with sanitizers (its resolvers run before their runtime is set up). */
#ifndef QN_QUANT_SIMD_H
#define QN_QUANT_SIMD_H

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) &&                           \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define QN_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define QN_CLONES
#endif

#endif
