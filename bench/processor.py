# SPDX-License-Identifier: Apache-2.0
"""Programs on an x86 processor without VNNI, which adds 8-bit products in pairs in 16 bits, where they may saturate."""
import os
import shutil
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))


def shared_object(source, folder, *flags):
    path = os.path.join(folder, source[:-2] + ".so")
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", *flags, os.path.join(HERE, source), "-o", path], check=True)
    return path


def has_vnni():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        return any("vnni" in line for line in file if line.startswith("flags"))


def without_vnni(folder):
    """(how, first words of a command, its environment): as it is; with the answers of CPUID less those bits, at full speed; or
    under valgrind, slowly. `how` is None where none of them can be. Writes into the folder."""
    if not has_vnni():
        return "it has no VNNI", [], {}
    hider = shared_object("hide_vnni.c", folder, "-O2")
    if subprocess.run(["true"], env={**os.environ, "LD_PRELOAD": hider}, check=False).returncode == 0:
        return "VNNI and AVX-512 are hidden", [], {"LD_PRELOAD": hider}
    if shutil.which("valgrind"):  # threads that wait for work in a loop would take all the time there is
        return "as valgrind shows it", ["valgrind", "--tool=none", "-q"], {"PYTHONMALLOC": "malloc", "OPENBLAS_NUM_THREADS": "1"}
    return None, [], {}
