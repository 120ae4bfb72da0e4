/* SPDX-License-Identifier: Apache-2.0
 * Preloaded, it shows a program an x86 processor without VNNI, and at full speed: without the instructions that add 8-bit
 * products in 32 bits, and without AVX-512 unless HIDE=vnni. Linux makes the CPUID instruction fault (ARCH_SET_CPUID) where the
 * processor can; the answers are then given here, less some bits. The program ends at once where it cannot. */
#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define ARCH_SET_CPUID 0x1012
#define BIT(n) (1u << (n))

static int with_avx512;

static void answer(int signal, siginfo_t *info, void *context)
{
    greg_t              *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    const unsigned char *at = (const unsigned char *)r[REG_RIP];
    const unsigned       leaf = (unsigned)r[REG_RAX], sub = (unsigned)r[REG_RCX];
    unsigned             a, b, c, d;

    (void)info;
    if (at[0] != 0x0f || at[1] != 0xa2) { /* a true fault */
        struct sigaction usual = { .sa_handler = SIG_DFL };
        sigaction(signal, &usual, NULL);
        return;
    }
    syscall(SYS_arch_prctl, ARCH_SET_CPUID, 1);
    __cpuid_count(leaf, sub, a, b, c, d);
    syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0);
    if (leaf == 7 && sub == 0) {
        c &= ~BIT(11);                                 /* AVX512_VNNI */
        d &= ~(BIT(22) | BIT(23) | BIT(24) | BIT(25)); /* AMX, AVX512_FP16 */
        if (!with_avx512) {
            b &= ~(BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) | BIT(31));
            c &= ~(BIT(1) | BIT(6) | BIT(12) | BIT(14));
            d &= ~(BIT(2) | BIT(3) | BIT(8));
        }
    }
    if (leaf == 7 && sub == 1) {
        a &= ~(BIT(4) | BIT(5) | BIT(21) | BIT(23));          /* AVX_VNNI, AVX512_BF16, AMX_FP16, AVX_IFMA */
        d &= ~(BIT(4) | BIT(5) | BIT(8) | BIT(10) | BIT(19)); /* AVX_VNNI_INT8, …, AVX10 */
    }
    r[REG_RAX] = a;
    r[REG_RBX] = b;
    r[REG_RCX] = c;
    r[REG_RDX] = d;
    r[REG_RIP] += 2;
}

__attribute__((constructor)) static void hide(void)
{
    const struct sigaction own = { .sa_sigaction = answer, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK };
    const char            *what = getenv("HIDE");

    with_avx512 = what && strcmp(what, "vnni") == 0;
    if (sigaction(SIGSEGV, &own, NULL) != 0 || syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0) != 0) {
        fputs("this processor always tells what it has\n", stderr);
        _exit(9);
    }
}
