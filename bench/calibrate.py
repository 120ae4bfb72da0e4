# SPDX-License-Identifier: Apache-2.0
"""calibrate.py [--corpus DIR] [--counts 24,240] [NAME…]: what watching a model costs, beside running it, and a whole conversion.
All on one thread and on the same samples; more samples than calib.npz has are repetitions.

  infer      every sample once through the float model (bench_samples infer)
  minmax     and the ranges that preset int8 asks for
  histogram  and their histograms
  channels   the ranges, and those of the channels that layers read
  convert    qonnx-quantize -o observer=minmax -o verify=off: a file for a file

CPU seconds and peak memory are of whole processes, medians of interleaved runs, ratios are to infer; `a sample` is the slope
between the counts, free of what opening a model costs. Below stand the project's own bars, with the greatest number of samples.
The functions are for other scripts: measured(), table(), bars()."""
import argparse
import json
import os
import tempfile

import measure
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
MODES = ("infer", "minmax", "histogram", "channels", "convert")
BARS = {"minmax": 1.05, "minmax, depthwise": 1.10, "histogram": 1.3, "convert": 1.15}
EXTRA_MEMORY = 16  # MB
SAME_MEMORY = 1.05  # at the least and at the greatest number of samples


def repeated(path, count, target):
    """The first `count` samples, from the start again when there are no more. Stored, not packed."""
    data = np.load(path)
    np.savez(target, **{name: data[name][np.arange(count) % len(data[name])] for name in data.files})
    return target


def kind(model):
    """What bar a model has to keep: a convolution that multiplies each channel alone runs at the speed of memory."""
    import onnx
    groups = [a.i for n in onnx.load(model, load_external_data=False).graph.node if n.op_type == "Conv" for a in n.attribute if a.name == "group"]
    return "minmax, depthwise" if any(g > 1 for g in groups) else "minmax"


def commands(settings, model, data, scratch):
    found = {mode: [settings.samples, mode, model, data, settings.threads] for mode in MODES if mode != "convert"}
    found["convert"] = [settings.program, model, os.path.join(scratch, "out.onnx"), "--preset", "int8", "--calib", data, "-o", "observer=minmax", "-o", "verify=off",
                        "--threads", settings.threads, "-q"]
    return found


def measured(settings, name, counts, modes=MODES):
    """Of one model: {count: {mode: (CPU seconds, MB)}}."""
    folder, found = os.path.join(settings.corpus, name), {}
    model = os.path.join(folder, "model.onnx")
    for count in counts:
        with tempfile.TemporaryDirectory(prefix="qonnx-bench-") as scratch:
            data = repeated(os.path.join(folder, "calib.npz"), count, os.path.join(scratch, "data.npz"))
            wanted = {mode: command for mode, command in commands(settings, model, data, scratch).items() if mode in modes}
            costs = measure.interleaved(wanted, settings.rounds)
        found[count] = {mode: (measure.median(c, "cpu"), measure.median(c, "memory")) for mode, c in costs.items()}
    return found


def table(name, found):
    """Rows of one model."""
    modes = list(next(iter(found.values())))
    counts = sorted(found)
    rows = []
    for count in counts:
        row = found[count]
        base = row["infer"]
        cells = [f"{row[m][0]:.2f}" + ("" if m == "infer" else f" = {row[m][0] / base[0]:.2f}×") for m in modes]
        rows.append([name, str(count)] + cells + [f"{row[m][1]:.0f}" for m in modes])
    if len(counts) > 1:
        slope = {m: (found[counts[-1]][m][0] - found[counts[0]][m][0]) / (counts[-1] - counts[0]) for m in modes}
        rows.append([name, "a sample"] + [f"{slope[m]:.4f}" + ("" if m == "infer" else f" = {slope[m] / slope['infer']:.2f}×") for m in modes] + [""] * len(modes))
    return rows


def bars(name, found, minmax):
    """[(what, measured, bar, unit)] of one model; met where measured <= bar. `minmax` is what kind() says."""
    counts = sorted(found)
    last = found[counts[-1]]
    infer = last["infer"]
    rows = [(f"{name}: {mode}", last[mode][0] / infer[0], BARS[minmax if mode == "minmax" else mode], "× inference") for mode in ("minmax", "histogram", "convert") if mode in last]
    rows += [(f"{name}: {mode}, memory", last[mode][1] - infer[1], EXTRA_MEMORY, " MB over inference") for mode in ("minmax", "histogram") if mode in last]
    if len(counts) > 1:
        rows += [(f"{name}: {mode}, memory at {counts[-1]} samples", last[mode][1] / found[counts[0]][mode][1], SAME_MEMORY, f"× that at {counts[0]}")
                 for mode in ("minmax", "histogram") if mode in last]
    return rows


def add_arguments(parser):
    root = os.path.join(HERE, "..")
    parser.add_argument("--corpus", default=os.path.join(root, "models"))
    parser.add_argument("--samples", default=os.path.join(root, "build", "release", "bench_samples"), help="the program bench_samples")
    parser.add_argument("--program", default=os.path.join(root, "build", "release", "qonnx-quantize"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", default="1")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--counts", default="24,240")
    parser.add_argument("names", nargs="*")
    settings = parser.parse_args()
    with open(os.path.join(settings.corpus, "manifest.json"), encoding="utf-8") as file:
        names = [e["name"] for e in json.load(file)["models"] if not settings.names or e["name"] in settings.names]
    measure.set_runtime()
    print(measure.machine() + f"; median of {settings.rounds} runs\n")
    print("| model | samples | " + " | ".join(f"{m}, CPU s" for m in MODES) + " | " + " | ".join(f"{m}, MB" for m in MODES) + " |\n" + "| --- " * (2 + 2 * len(MODES)) + "|", flush=True)
    verdicts = []
    for name in names:
        found = measured(settings, name, [int(c) for c in settings.counts.split(",")])
        for row in table(name, found):
            print("| " + " | ".join(row) + " |", flush=True)
        verdicts += bars(name, found, kind(os.path.join(settings.corpus, name, "model.onnx")))
    print()
    for what, value, bar, unit in verdicts:
        print(f"* {what}: {value:.2f}{unit}, bar {bar:.2f}: {'met' if value <= bar else 'not met'}")


if __name__ == "__main__":
    main()
