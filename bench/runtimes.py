# SPDX-License-Identifier: Apache-2.0
"""runtimes.py [--corpus DIR] [--target NAME]… [NAME…]: converts every model for each target, runs the result in every runtime that
is here, and prints how near each comes to the float model in ONNX Runtime. README.md beside this file describes the columns."""
import argparse
import collections
import json
import os
import shutil
import subprocess
import sys
import tempfile

import measure
import models
import numpy as np
import onnx
import runs

HERE = os.path.dirname(os.path.abspath(__file__))
# What a runtime may lose against exact arithmetic: rounding of averages and the like, and ties, which noisy models amplify.
# Above the second figure a few roundings decide.
LOSS_DB, CLEAR_DB = 3.0, 40.0
HEAVY = {"Convolution", "GroupConvolution", "FullyConnected", "MatMul", "Deconvolution"}


class Missing(Exception):
    """A runtime that this machine does not have."""


# ---- the runtimes: each takes a model's path and answers with its float outputs, by sample and name ----

class OpenVINO:
    label = "OpenVINO"

    def __init__(self, _):
        try:
            import openvino
        except ImportError as error:
            raise Missing("python package openvino") from error
        self.core, self.version = openvino.Core(), openvino.__version__.split("-")[0]
        self.settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}

    def compiled(self, path):
        return self.core.compile_model(self.core.read_model(path), "CPU", self.settings)

    def run(self, path, feeds, names):
        model, found = self.compiled(path), []
        for feed in feeds:
            results = model(feed)
            found.append([np.asarray(results[i]) for i in range(len(names))])
        return found

    def integers(self, path):
        """Of the operators that multiply by weights: on integers, all, and what the others are."""
        count, floats = 0, collections.Counter()
        for op in self.compiled(path).get_runtime_model().get_ops():
            info = {key: value.astype(str) if hasattr(value, "astype") else str(value) for key, value in op.get_rt_info().items() if key in ("layerType", "runtimePrecision")}
            if info.get("layerType") in HEAVY:
                if info["runtimePrecision"] in ("u8", "i8"):
                    count += 1
                else:
                    floats[info["layerType"]] += 1
        return count, floats

    def speed(self, before, after, feeds, pairs):
        return measure.ratio(*[lambda k, m=self.compiled(p): m(feeds[k % len(feeds)]) for p in (before, after)], pairs=pairs)


class Web:
    label = "onnxruntime-web"
    TYPES = {"float32": "float32", "int64": "int64", "int32": "int32", "uint8": "uint8", "int8": "int8", "bool": "bool"}

    def __init__(self, settings):
        if not shutil.which("node"):
            raise Missing("node")
        self.modules = settings.node_modules or os.environ.get("NODE_PATH") or os.path.join(os.getcwd(), "node_modules")
        manifest = os.path.join(self.modules, "onnxruntime-web", "package.json")
        if not os.path.exists(manifest):
            raise Missing("onnxruntime-web (npm install onnxruntime-web; --node-modules DIR)")
        with open(manifest, encoding="utf-8") as file:
            self.version = json.load(file)["version"]

    def run(self, path, feeds, names):
        with tempfile.TemporaryDirectory(prefix="qonnx-bench-") as folder:
            spec = {"model": os.path.abspath(path), "outputs": names, "samples": []}
            for i, feed in enumerate(feeds):
                sample = []
                for k, (name, value) in enumerate(feed.items()):
                    file = os.path.join(folder, f"{i}_{k}.bin")
                    np.ascontiguousarray(value).tofile(file)
                    sample.append({"name": name, "type": self.TYPES[str(value.dtype)], "dims": list(value.shape), "file": file})
                spec["samples"].append(sample)
            with open(os.path.join(folder, "spec.json"), "w", encoding="utf-8") as file:
                json.dump(spec, file)
            done = subprocess.run(["node", os.path.join(HERE, "web.cjs"), self.modules, folder], capture_output=True, text=True, errors="replace")
            if done.returncode:
                raise RuntimeError(done.stderr.strip()[-300:])
            with open(os.path.join(folder, "results.json"), encoding="utf-8") as file:
                results = json.load(file)
            return [[np.fromfile(r["file"], dtype=r["type"]).reshape(r["dims"]) for r in sample] for sample in results]


class Tract:
    label = "tract"

    def __init__(self, _):
        try:
            import tract
        except ImportError as error:
            raise Missing("python package tract") from error
        self.tract, self.version = tract, tract.version()

    def run(self, path, feeds, names):
        found = []
        ports = runs.session(path).get_inputs()
        prepared = {}
        for feed in feeds:
            shapes = tuple(feed[p.name].shape for p in ports)
            if shapes not in prepared:
                model = self.tract.onnx().load(path)
                for i, port in enumerate(ports):
                    value = feed[port.name]
                    kind = {"float32": "f32", "int64": "i64", "int32": "i32", "uint8": "u8", "bool": "bool"}[str(value.dtype)]
                    model.set_input_fact(i, ",".join([*map(str, value.shape), kind]))
                for i in range(len(names)):
                    model.set_output_fact(i, None)
                model = model.into_model()
                prepared[shapes] = model.into_runnable()
            found.append([r.to_numpy() for r in prepared[shapes].run([np.ascontiguousarray(feed[p.name]) for p in ports])])
        return found


RUNTIMES = [OpenVINO, Web, Tract]


def available(settings):
    present = []
    for kind in RUNTIMES:
        try:
            present.append(kind(settings))
            print(f"{kind.label} {present[-1].version}")
        except Missing as error:
            print(f"{kind.label}: NOT RUN, {error} is missing")
    return present


# ---- one model ----

def judged(comparison, name):
    figures = comparison.db()
    return figures.get(name, min(figures.values(), default=np.inf))


def one(program, runtimes, entry, folder, target, path, settings):
    """The cells of a row, and what is wrong."""
    source = os.path.join(folder, "model.onnx")
    models.convert(program, entry, folder, path, ["--target", target, *settings.option])
    onnx.checker.check_model(path, full_check=True)
    data = dict(np.load(os.path.join(folder, "eval.npz")))
    reference = runs.session(source, runs.FULL)
    names = [o.name for o in reference.get_outputs()]
    name = names[models.judged_output(entry, reference)]
    samples = min(settings.limit, len(next(iter(data.values()))))
    feeds = [runs.feed_of(reference, data, i) for i in range(samples)]
    wanted = [reference.run(None, feed) for feed in feeds]
    level = {k: judged(runs.compare(wanted, runs.session(path, k), data, names), name) for k in (runs.EXACT, runs.FULL)}
    report = runs.sidecar(path)["model"]
    cells, wrong = [entry["name"], target, f"{report['layers_quantized']}/{report['layers']}", f"{level[runs.EXACT]:.1f}", f"{level[runs.FULL]:.1f}"], []
    for runtime in runtimes:
        try:
            compared = runs.Comparison(names)
            for x, y in zip(wanted, runtime.run(path, feeds, names)):
                compared.add(x, y)
            db = judged(compared, name)
            cell = f"{db:.1f}"
            if db < min(level[runs.EXACT], CLEAR_DB) - LOSS_DB:
                wrong.append(f"{runtime.label} computes {db:.1f} instead of {level[runs.EXACT]:.1f} dB")
                cell += " WRONG"
            if isinstance(runtime, OpenVINO):
                count, floats = runtime.integers(path)
                cell += f" | {count}/{count + floats.total()}" + (f" ({', '.join(f'{n} {k}' for k, n in floats.items())} in float)" if floats else "")
                ratio = runtime.speed(source, path, feeds[:8], settings.pairs) if settings.pairs else None
                cell += " | " + (f"{ratio.median:.2f}× [{ratio.low:.2f}, {ratio.high:.2f}]" if ratio else "")
        except Exception as error:  # noqa: BLE001  what a runtime cannot do is a cell of the table
            wrong.append(f"{runtime.label}: {' '.join(str(error).split())[-300:]}")
            cell = "FAILED" + (" | | " if isinstance(runtime, OpenVINO) else "")
        cells.append(cell)
    return cells, wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    root = os.path.join(HERE, "..")
    parser.add_argument("--corpus", default=os.path.join(root, "models"))
    parser.add_argument("--program", default=os.path.join(root, "build", "release", "qonnx-quantize"))
    parser.add_argument("--target", action="append", help="repeatable; generic and openvino otherwise")
    parser.add_argument("--limit", type=int, default=8, help="evaluation samples of each model")
    parser.add_argument("--pairs", type=int, default=9, help="pairs of timings in OpenVINO; 0: no timing")
    parser.add_argument("--node-modules", metavar="DIR", help="where onnxruntime-web is installed")
    parser.add_argument("--out", help="folder for the quantized models; a temporary one otherwise")
    parser.add_argument("--option", action="append", default=[], help="a further argument of the program (repeatable)")
    parser.add_argument("names", nargs="*", help="models; all otherwise")
    settings = parser.parse_args()
    with open(os.path.join(settings.corpus, "manifest.json"), encoding="utf-8") as file:
        entries = [e for e in json.load(file)["models"] if not settings.names or e["name"] in settings.names]
    program, trouble = runs.Program(settings.program), []
    print(measure.machine())
    runtimes = available(settings)
    columns = ["model", "target", "layers", "dB exact", "ONNX Runtime"]
    for runtime in runtimes:
        columns += [runtime.label] + (["on integers", "its speed"] if isinstance(runtime, OpenVINO) else [])
    print("\n" + models.line(columns) + "\n" + models.line(["---"] * len(columns)), flush=True)
    with tempfile.TemporaryDirectory(prefix="qonnx-bench-") as scratch:
        out = settings.out or scratch
        os.makedirs(out, exist_ok=True)
        for entry in entries:
            for target in settings.target or ["generic", "openvino"]:
                try:
                    cells, wrong = one(program, runtimes, entry, os.path.join(settings.corpus, entry["name"]), target, os.path.join(out, f"{entry['name']}-{target}.onnx"), settings)
                except Exception as error:  # noqa: BLE001  so is a model that does not convert
                    cells, wrong = [entry["name"], target, "FAILED"], [str(error)[-300:]]
                print(models.line(cells), flush=True)
                trouble += [f"{entry['name']} for {target}: {text}" for text in wrong]
    for text in trouble:
        print("\n" + text)
    return 1 if trouble or not entries else 0


if __name__ == "__main__":
    sys.exit(main())
