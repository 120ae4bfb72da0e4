#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Are the QONNX files what qonnx takes them for? Every model of a corpus is quantized, converted to QONNX with the sizes of
its samples, and run by qonnx's executor beside its QDQ file in ONNX Runtime without optimizations; then converted back.

    bench/qonnx_executor.py [--corpus DIR | --golden] [--program PATH] [--samples N] [--models NAME,...]

It needs a Python with qonnx, which wants onnx below 1.20. --golden instead runs what tests/golden/exports records of
Brevitas and our files of the same models.

Prints a Markdown table: what qonnx makes of the file, SQNR of the judged output against the QDQ file, SQNR of both against
the float model, and what comes back as QDQ. Where qonnx refuses, the operator and whether it runs the float model. Exit
status 1 when a model is refused that runs in float, or when what comes back is not bit-equal."""
import argparse
import collections
import json
import os
import sys
import tempfile
import zipfile

import numpy as np
import onnx
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.join(os.path.dirname(HERE), "tests")
sys.path += [os.path.join(TESTS, name) for name in ("e2e", "roundtrip", "golden/exports")]
import check  # noqa: E402
import runs  # noqa: E402
import trips  # noqa: E402


def run_qonnx(path, feeds):
    """Outputs by sample, or the operator that is refused and why."""
    model = ModelWrapper(path)
    names = [o.name for o in model.graph.output]
    found = []
    for feed in feeds:
        values = execute_onnx(model, feed)
        found.append([values[name] for name in names])
    return found


def refusal(path, feeds):
    """None, or the words of qonnx and the operators of the node it stopped at."""
    try:
        run_qonnx(path, feeds)
    except Exception as problem:  # noqa: BLE001  whatever it raises is the finding
        return f"{type(problem).__name__}: {' '.join(str(problem).split())[:200]}"
    return None


def fixed(path, folder, feed, outputs):
    """The float model with the sizes that one run has, declared for every value as qonnx wants it."""
    model = onnx.load(path)
    found = {**{k: v.shape for k, v in feed.items()}, **{o.name: y.shape for o, y in zip(model.graph.output, outputs)}}
    for port in [*model.graph.input, *model.graph.output]:
        if port.name in found:
            dims = port.type.tensor_type.shape
            dims.Clear()
            for size in found[port.name]:
                dims.dim.add().dim_value = size
    target = os.path.join(folder, "float.fixed.onnx")
    onnx.save(onnx.shape_inference.infer_shapes(model), target)
    return target


def judged(entry, run):
    names = [o.name for o in run.get_outputs()]
    return names.index(entry.get("metric_output") or next(o.name for o in run.get_outputs() if "float" in o.type))


def db(a, b, index):
    x, y = (np.concatenate([s[index].astype(np.float64).ravel() for s in v]) for v in (a, b))
    return runs.sqnr((x ** 2).sum(), ((x - y) ** 2).sum())


def one(program, entry, folder, scratch, samples):
    """The cells of a row, and whether it is right."""
    source, data = os.path.join(folder, "model.onnx"), dict(np.load(os.path.join(folder, "eval.npz")))
    qdq, qonnx = (os.path.join(scratch, name) for name in ("qdq.onnx", "qonnx.onnx"))
    program(source, qdq, "--calib", os.path.join(folder, "calib.npz"), "--sidecar", "none")
    reference = runs.session(source)
    feeds = [runs.feed_of(reference, data, i) for i in range(samples)]
    wanted, index = [reference.run(None, feed) for feed in feeds], judged(entry, reference)
    sizes = [f"{name}={','.join(map(str, x.shape))}" for name, x in feeds[0].items() if x.ndim]
    program("convert", qdq, qonnx, "--format", "qonnx", "--sidecar", "none", *(a for size in sizes for a in ("--input-shape", size)))
    trip = trips.Trips(program, scratch, qdq, data, samples)
    back = "bit-equal"
    try:
        trip.same(trip.convert(qonnx, "qdq"), "back from qonnx")
    except AssertionError as problem:
        back = str(problem)
    refused = refusal(qonnx, feeds[:1])
    if refused:
        alone = refusal(fixed(source, scratch, feeds[0], wanted[0]), feeds[:1])
        return [refused, "", "", "runs" if alone is None else alone, back], alone is not None and back == "bit-equal"
    found = run_qonnx(qonnx, feeds)
    same = sum(int((x[index] == y[index]).sum()) for x, y in zip(trip.outputs, found)) / sum(y[index].size for y in found)
    return [f"runs, {100 * same:.1f} % of values equal", f"{db(trip.outputs, found, index):.1f}",
            f"{db(wanted, found, index):.2f} / {db(wanted, trip.outputs, index):.2f}", "", back], back == "bit-equal"


def corpus(program, settings):
    wrong = 0
    print("| model | QONNX in qonnx | dB against QDQ | dB against float: QONNX / QDQ | the float model in qonnx | back as QDQ |\n|---|---|---|---|---|---|")
    with open(os.path.join(settings.corpus, "manifest.json"), encoding="utf-8") as file:
        entries = json.load(file)["models"]
    for entry in entries:
        if settings.models and entry["name"] not in settings.models.split(","):
            continue
        with tempfile.TemporaryDirectory(prefix="qonnx-bench-") as scratch:
            cells, right = one(program, entry, os.path.join(settings.corpus, entry["name"]), scratch, settings.samples)
        wrong += not right
        print("| " + " | ".join([entry["name"], *cells]) + " |", flush=True)
    return wrong


def like(a, b, step):
    """equal to the last bit; close: within a code in one of a hundred values, as where a range was taken behind a float sum."""
    off = np.abs(a.astype(np.float64) - b)
    far = off > 1e-5 * np.maximum(np.abs(b), step)
    if a.tobytes() == b.tobytes():
        return "equal"
    return "close" if off.max() <= 1.01 * step and far.sum() <= max(1, off.size // 100) else "wrong"


def golden(program):
    """Our QONNX file of each recorded case in qonnx's executor, beside Brevitas' own there and beside what Brevitas gave."""
    counts, wrong = collections.Counter(), 0
    with open(os.path.join(check.HERE, "recipes.json"), encoding="utf-8") as file:
        recipes = json.load(file)
    recorded = dict(np.load(os.path.join(check.HERE, "qonnx_outputs.npz")))
    with zipfile.ZipFile(os.path.join(check.HERE, "cases.zip")) as archive, tempfile.TemporaryDirectory() as folder:
        for name, wanted in recorded.items():
            case, given = name.split("/")
            made, _ = check.convert(program.path, folder, case, "qonnx", archive, recipes[case])
            with archive.open(f"{case}/{given}.npy") as file:
                feed = {made.graph.input[0].name: np.load(file)}
            path = os.path.join(folder, "ours.onnx")
            onnx.save(made, path)
            ours = run_qonnx(path, [feed])[0][0]
            theirs = onnx.load_from_string(archive.read(f"{case}/qonnx.onnx"))
            del theirs.graph.value_info[:]  # Brevitas declares sizes of 0
            [other] = execute_onnx(ModelWrapper(theirs).transform(InferShapes()), feed).values()
            step = check.largest_scale(check.View(made))
            found = {"Brevitas' file": like(ours, other, step), "Brevitas": like(ours, wanted, step)}
            counts.update(f"{verdict} beside {what}" for what, verdict in found.items())
            if "wrong" in found.values():
                wrong += 1
                print(f"{case}: {found}")
    print(f"{len(recorded)} cases: " + ", ".join(f"{n} {what}" for what, n in sorted(counts.items())))
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    root = os.path.dirname(HERE)
    parser.add_argument("--corpus", default=os.path.join(root, "models"))
    parser.add_argument("--golden", action="store_true")
    parser.add_argument("--program", default=os.path.join(root, "build", "release", "qonnx-quantize"))
    parser.add_argument("--samples", type=int, default=1)
    parser.add_argument("--models", default="")
    settings = parser.parse_args()
    program = runs.Program(settings.program)
    return 1 if (golden(program) if settings.golden else corpus(program, settings)) else 0


if __name__ == "__main__":
    sys.exit(main())
