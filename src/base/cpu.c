/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cpu.h"

const char *qn_cpu_name(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) return "x86-64 avx512f";
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "x86-64 avx2 fma";
    return __builtin_cpu_supports("avx") ? "x86-64 avx" : "x86-64";
#elif defined(__aarch64__)
    return "aarch64";
#else
    return "other";
#endif
}
