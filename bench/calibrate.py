# SPDX-License-Identifier: Apache-2.0
"""calibrate.py [--corpus DIR] [--counts 24,240] [NAME…]: what watching a model costs, beside running it. Both are the program
bench_samples, on one thread and on the same samples; more samples than calib.npz has are repetitions.

CPU seconds and peak memory are of whole processes, medians of interleaved runs; `a sample` is the slope between the counts,
free of what opening a model costs."""
import argparse
import json
import os
import tempfile

import measure
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
MODES = ("infer", "calibrate", "histogram")


def repeated(path, count, target):
    """The first `count` samples, from the start again when there are no more. Stored, not packed."""
    data = np.load(path)
    np.savez(target, **{name: data[name][np.arange(count) % len(data[name])] for name in data.files})
    return target


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = os.path.join(HERE, "..")
    parser.add_argument("--corpus", default=os.path.join(root, "models"))
    parser.add_argument("--samples", default=os.path.join(root, "build", "release", "bench_samples"), help="the program bench_samples")
    parser.add_argument("--counts", default="24,240")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", default="1")
    parser.add_argument("names", nargs="*")
    settings = parser.parse_args()
    counts = [int(c) for c in settings.counts.split(",")]
    with open(os.path.join(settings.corpus, "manifest.json"), encoding="utf-8") as file:
        names = [e["name"] for e in json.load(file)["models"] if not settings.names or e["name"] in settings.names]
    measure.set_runtime()
    print(measure.machine() + f"; median of {settings.rounds} runs\n")
    print("| model | samples | inference, CPU s | min/max, CPU s | ratio | histograms, CPU s | ratio | inference, MB | min/max, MB | histograms, MB |\n" + "| --- " * 10 + "|", flush=True)
    for name in names:
        folder, found = os.path.join(settings.corpus, name), {}
        for count in counts:
            with tempfile.TemporaryDirectory(prefix="qonnx-bench-") as scratch:
                data = repeated(os.path.join(folder, "calib.npz"), count, os.path.join(scratch, "data.npz"))
                model = os.path.join(folder, "model.onnx")
                costs = measure.interleaved({mode: [settings.samples, mode, model, data, settings.threads] for mode in MODES}, settings.rounds)
            cpu = {mode: measure.median(c, "cpu") for mode, c in costs.items()}
            memory = {mode: measure.median(c, "memory") for mode, c in costs.items()}
            found[count] = cpu
            print(f"| {name} | {count} | {cpu['infer']:.2f} | {cpu['calibrate']:.2f} | {cpu['calibrate'] / cpu['infer']:.2f}× | {cpu['histogram']:.2f} "
                  f"| {cpu['histogram'] / cpu['infer']:.2f}× | {memory['infer']:.0f} | {memory['calibrate']:.0f} | {memory['histogram']:.0f} |", flush=True)
        if len(counts) > 1:
            a, b = counts[0], counts[-1]
            slope = {mode: (found[b][mode] - found[a][mode]) / (b - a) for mode in MODES}
            print(f"| {name} | a sample | {slope['infer']:.4f} | {slope['calibrate']:.4f} | {slope['calibrate'] / slope['infer']:.2f}× | {slope['histogram']:.4f} "
                  f"| {slope['histogram'] / slope['infer']:.2f}× | | | |", flush=True)


if __name__ == "__main__":
    main()
