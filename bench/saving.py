#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Opening, checking and saving a large model (--preset copy) beside `cp --reflink=never A B && sync B`.

  bench/saving.py PROGRAM [--model FILE.onnx] [--megabytes 500] [--runs 9] [--folder DIR] [--limit 1.2] [--memory 64]

PROGRAM is qonnx-quantize. Without --model a model is made with scripts/make_big_model.py (numpy and onnx). Both commands
run in turn on a warm cache, so that a busy machine disturbs both; figures are medians of user + system CPU time, memory is
the greatest peak. (The peak that the kernel reports for a child is at least this script's own, about 15 MB.) Ends with
status 1 when the ratio or the memory is above its limit.
"""
import argparse
import filecmp
import os
import statistics
import subprocess
import sys
import tempfile
import time

MAKE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "scripts", "make_big_model.py")


def measure(command):
    """CPU seconds (user, system), peak memory in MB and elapsed seconds of a command with its children."""
    start = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    errors = child.stderr.read()
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{' '.join(command)}: status {child.returncode}\n{errors}")
    return used.ru_utime, used.ru_stime, used.ru_maxrss / 1024, time.monotonic() - start


def remove(*paths):
    for path in paths:
        if os.path.exists(path):
            os.remove(path)


def run(options, folder):
    model = options.model or os.path.join(folder, "big.onnx")
    if not options.model:
        subprocess.run([sys.executable, MAKE, model, "--megabytes", str(options.megabytes)], check=True)
    ours, theirs = os.path.join(folder, "ours.onnx"), os.path.join(folder, "theirs.onnx")
    commands = {
        "copy": [options.program, model, ours, "--preset", "copy"],
        "cp": ["sh", "-c", 'cp --reflink=never "$1" "$2" && sync "$2"', "sh", model, theirs],
    }
    results = {name: [] for name in commands}
    for turn in range(options.runs + 1):
        for name, command in commands.items():
            remove(ours, ours.removesuffix(".onnx") + ".quant.json") if name == "copy" else remove(theirs)
            figures = measure(command)
            if turn:  # the first warms the cache
                results[name].append(figures)
    if not filecmp.cmp(ours, theirs, shallow=False):
        sys.exit("the copy is not byte-identical")
    return os.path.getsize(model), results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--model")
    parser.add_argument("--megabytes", type=float, default=500)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--folder", help="where the copies go (default: a temporary folder)")
    parser.add_argument("--limit", type=float, default=1.2, help="CPU time as a multiple of cp's")
    parser.add_argument("--memory", type=float, default=64, help="resident megabytes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        size, results = run(options, folder)
    print(f"{size / 1e6:.0f} MB, medians of {options.runs} runs in turn")
    print(f"{'':6}{'user s':>8}{'system s':>10}{'CPU s':>8}{'elapsed s':>11}{'peak MB':>9}")
    cpu = {}
    for name, runs in results.items():
        user, system, elapsed = (statistics.median(r[i] for r in runs) for i in (0, 1, 3))
        cpu[name] = statistics.median(r[0] + r[1] for r in runs)
        peak = max(r[2] for r in runs)
        print(f"{name:6}{user:8.3f}{system:10.3f}{cpu[name]:8.3f}{elapsed:11.2f}{peak:9.1f}")
    ratio, peak = cpu["copy"] / cpu["cp"], max(r[2] for r in results["copy"])
    print(f"copy takes {ratio:.2f} of cp's CPU time (limit {options.limit}) and {peak:.1f} MB (limit {options.memory:g})")
    sys.exit(ratio > options.limit or peak > options.memory)


if __name__ == "__main__":
    main()
