#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""scale.py [--parts large,bits,calibration,static,same]: what this project promises of models of any size, of calibration and of
many machines, each figure beside the rivals' and beside its bar, from one run.

  large        weights of a 537 MB file and of 2.7 GB with external data to 8 and 4 bits beside copying the files
               (`cp --reflink=never A B && sync B`, data files included) and beside onnxruntime's dynamic and 4-bit quantizers:
               wall time and greatest resident memory. The two models of MatMuls are made in --work and removed
  bits         dB of 4-bit weights, with and without data, beside onnxruntime's (weights.py)
  calibration  watching a model beside running it, for few and for many samples (calibrate.py)
  static       a whole static conversion beside a bare inference process and quantize_static by MinMax, Entropy, Percentile
  same         statistics and output bytes of 1 and 8 threads, 4 MPI ranks, 3 merged shards, and a run that went on after SIGKILL

Commands take turns; figures are medians. Wall times want a quiet machine: the load is printed. Rivals run in --python, which needs
onnx and onnxruntime, and for MatMulNBits onnx_ir, as this Python does for `bits`; one that fails is a line with the reason. Ends with status 1 when a bar is missed."""
import argparse
import hashlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import calibrate
import convert
import measure
import numpy as np
import onnx
import weights
from onnx import TensorProto, helper

HERE = os.path.dirname(os.path.abspath(__file__))
PARTS = ("large", "bits", "calibration", "static", "same")
SIDE = 4096
WALL, MEMORY = 0.8, 96  # of the copy's time; MB beyond the copy's
LESS = {"MinMax": 3.5, "Entropy": 15, "Percentile": 15}
OURS = {"int8-weights": ("int8-weights",), "int4, min/max": ("int4", "-o", "weight-range=minmax"), "int4": ("int4",)}
RIVALS = {"onnxruntime, dynamic": "dynamic", "onnxruntime, MatMulNBits": "nbits"}
MODELS = ("efficientnet_lite0", "opennsfw_resnet50")  # MobileNet-like, ResNet-like


class Bars:
    """What was asked for, and whether it is met."""

    def __init__(self):
        self.rows = []

    def add(self, what, value, bar, unit, at_least=False):
        self.rows.append((what, value, bar, unit, value >= bar if at_least else value <= bar))

    def print(self):
        print("\n| bar | measured | asked for | |\n|---|---|---|---|")
        for what, value, bar, unit, met in self.rows:
            print(f"| {what} | {value:.2f}{unit} | {bar:.2f}{unit} | {'met' if met else 'NOT MET'} |")
        return all(row[-1] for row in self.rows)


def table(columns):
    print("\n| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|", flush=True)


def line(*cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


# ---- large ----

def make(path, layers, external):
    """Written tensor by tensor, so that no more than one is in memory."""
    rng = np.random.default_rng(layers)
    inputs, nodes, tensors = "x", [], []
    with open(path + ".data", "wb") as data:
        for i in range(layers):
            raw = (rng.standard_normal((SIDE, SIDE), dtype=np.float32) / np.float32(64)).tobytes()
            tensor = TensorProto(name=f"w{i}", data_type=1, dims=(SIDE, SIDE))
            if external:
                tensor.data_location = TensorProto.EXTERNAL
                for key, value in (("location", os.path.basename(path) + ".data"), ("offset", data.tell()), ("length", len(raw))):
                    tensor.external_data.add(key=key, value=str(value))
                data.write(raw)
            else:
                tensor.raw_data = raw
            tensors.append(tensor)
            nodes += [helper.make_node("MatMul", [inputs, f"w{i}"], [f"m{i}"], f"layer{i}"), helper.make_node("Relu", [f"m{i}"], [f"r{i}"])]
            inputs = f"r{i}"
    graph = helper.make_graph(nodes, "large", [helper.make_tensor_value_info("x", 1, ["n", SIDE])], [helper.make_tensor_value_info(inputs, 1, ["n", SIDE])], tensors)
    with open(path, "wb") as file:
        file.write(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10).SerializeToString())
    if not external:
        os.remove(path + ".data")
    return [path] + ([path + ".data"] if external else [])


def rival(how, source, target):
    """In a process of its own."""
    if how == "dynamic":
        from onnxruntime.quantization import QuantType, quantize_dynamic
        quantize_dynamic(source, target, weight_type=QuantType.QInt8, use_external_data_format=os.path.exists(source + ".data"))
        return
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
    quantizer = MatMulNBitsQuantizer(onnx.load(source), bits=4, block_size=32, is_symmetric=False)
    quantizer.process()
    quantizer.model.save_model_to_file(target, os.path.exists(source + ".data"))


def large_commands(settings, files, folder):
    copies = [os.path.join(folder, f"copy{i}") for i in range(len(files))]
    out = os.path.join(folder, "out.onnx")
    yield "cp + sync", ["sh", "-c", " && ".join(f"cp --reflink=never '{a}' '{b}' && sync '{b}'" for a, b in zip(files, copies))], copies
    for name, (preset, *options) in OURS.items():
        yield name, [settings.program, files[0], out, "--preset", preset, *options, "--quiet", "--sidecar", "none"], [out, out + ".data"]


def once(name, command, outputs):
    for file in outputs:
        if os.path.exists(file):
            os.remove(file)
    os.sync()
    return measure.process(command)


def large(settings, bars):
    table(("model", "by", "wall s", "of cp", "CPU s", "peak MB", "MB beyond cp", "MB written"))
    for layers, external in ((8, False), (40, True)):
        with tempfile.TemporaryDirectory(prefix="qonnx-scale-", dir=settings.work) as folder:
            files = make(os.path.join(folder, "in.onnx"), max(1, round(layers * settings.scale)), external)
            label = f"{sum(map(os.path.getsize, files)) / 1e6:.0f} MB, {'external data' if external else 'one file'}"
            costs, sizes, failed = {}, {}, {}
            for _ in range(settings.rounds):
                for name, command, outputs in large_commands(settings, files, folder):
                    cost = once(name, command, outputs)
                    if cost.status:
                        sys.exit(f"{name}: status {cost.status}: {cost.stderr.strip()[-500:]}")
                    costs.setdefault(name, []).append(cost)
                    sizes[name] = sum(os.path.getsize(f) for f in outputs if os.path.exists(f)) / 1e6
            for name, how in RIVALS.items() if settings.rivals else ():
                out = os.path.join(folder, "out.onnx")
                for _ in range(settings.rival_rounds):
                    cost = once(name, [settings.python, "-B", __file__, "--run", how, files[0], out], [out, out + ".data"])
                    if cost.status:
                        failed[name] = (cost.stderr.strip().splitlines() or [f"status {cost.status}"])[-1][:100]
                        break
                    costs.setdefault(name, []).append(cost)
                    sizes[name] = sum(os.path.getsize(f) for f in (out, out + ".data") if os.path.exists(f)) / 1e6
            copy = costs["cp + sync"]
            wall, least = statistics.median(c.wall for c in copy), max(c.memory for c in copy)
            for name, list_ in costs.items():
                mine, memory = statistics.median(c.wall for c in list_), max(c.memory for c in list_)
                line(label, name, f"{mine:.2f}", f"{mine / wall:.2f}×", f"{statistics.median(c.cpu for c in list_):.2f}", f"{memory:.0f}", f"{memory - least:.0f}", f"{sizes[name]:.0f}")
                if name in OURS:
                    if name != "int4":  # whose search is not a matter of copying
                        bars.add(f"{name}, {label}: wall time", mine / wall, WALL, "× cp")
                    bars.add(f"{name}, {label}: memory", memory - least, MEMORY, " MB beyond cp")
            for name, reason in failed.items():
                line(label, name, "failed: " + reason.replace("|", "/"), "", "", "", "", "")


# ---- bits ----

def bits(settings, bars):
    table(("model", *weights.COLUMNS[1:]))
    wanted = argparse.Namespace(program=settings.program, preset="int4", block=32, limit=0)
    with tempfile.TemporaryDirectory(prefix="qonnx-scale-") as scratch:
        for entry in settings.entries:
            if entry["name"] not in ("minilm_l3", "chargpt"):
                continue
            kept = {}
            for row in weights.rows_of(wanted, entry, os.path.join(settings.corpus, entry["name"]), scratch):
                line(entry["name"], *row)
                if not row[1].startswith("failed"):
                    kept[row[0]] = float(row[1])
            best = max((db for by, db in kept.items() if by.startswith("onnxruntime")), default=None)
            for by in ("minmax", "mse", "hqq", "second order"):
                if best is not None and by in kept:
                    bars.add(f"4 bits, {entry['name']}: {by}, beside onnxruntime's best", kept[by], best - 0.1 * (by == "minmax"), " dB", at_least=True)


# ---- calibration ----

def calibration(settings, bars):
    modes = calibrate.MODES
    table(("model", "samples", *(f"{m}, CPU s" for m in modes), *(f"{m}, MB" for m in modes)))
    for name in settings.models:
        found = calibrate.measured(settings, name, settings.counts)
        for row in calibrate.table(name, found):
            line(*row)
        for what, value, bar, unit in calibrate.bars(name, found, calibrate.kind(os.path.join(settings.corpus, name, "model.onnx"))):
            bars.add(what, value, bar, unit)


# ---- static ----

def static(settings, bars):
    table(("model", "samples", "method", "bare, CPU s", "ours, CPU s", "MB", "quantize_static, CPU s", "MB", "less by"))
    for name in settings.models:
        folder = os.path.join(settings.corpus, name)
        model, data = os.path.join(folder, "model.onnx"), os.path.join(folder, "calib.npz")
        for method, less in LESS.items():
            with tempfile.TemporaryDirectory(prefix="qonnx-scale-", dir=settings.work) as scratch:
                ours = [settings.program, model, os.path.join(scratch, "ours.onnx"), "--preset", "int8", "--calib", data, "-o", f"observer={method.lower()}", "-o", "verify=off",
                        "--threads", "1", "--quiet"]
                costs = measure.interleaved({"bare": [settings.samples, "infer", model, data, "1"], "ours": ours}, settings.rounds)
                theirs = []
                for _ in range(settings.rival_rounds if settings.rivals else 0):
                    cost = measure.process([settings.python, "-B", convert.__file__, "--run", "peer", model, data, os.path.join(scratch, "peer.onnx"), method])
                    if cost.status:
                        theirs = (cost.stderr.strip().splitlines() or [f"status {cost.status}"])[-1][:100]
                        break
                    theirs.append(cost)
                mine, bare = measure.median(costs["ours"], "cpu"), measure.median(costs["bare"], "cpu")
                cells = [name, measure.sample_count(data), method, f"{bare:.2f}", f"{mine:.2f} = {mine / bare:.2f}×", f"{measure.median(costs['ours'], 'memory'):.0f}"]
                if isinstance(theirs, str) or not theirs:
                    line(*cells, "failed: " + theirs.replace("|", "/") if theirs else "", "", "")
                    continue
                cpu = measure.median(theirs, "cpu")
                line(*cells, f"{cpu:.2f}", f"{measure.median(theirs, 'memory'):.0f}", f"{cpu / mine:.1f}×")
                bars.add(f"{name}: {method}, CPU time of quantize_static over ours", cpu / mine, less, "×", at_least=True)


# ---- same ----

def run(command, **options):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: status {done.returncode}: {done.stderr.strip()[-300:]}")


def killed(command, part):
    """Killed as soon as what it has come to is in the folder, or when it ends."""
    child = subprocess.Popen([str(c) for c in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    before = set(os.listdir(part))
    while child.poll() is None and set(os.listdir(part)) == before:
        time.sleep(0.001)
    time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    return child.wait() == -signal.SIGKILL


def ways(settings, model, data, folder):
    """Statistics, by each way to gather them; an empty reason or why there are none."""
    base = [settings.program, "calibrate", model]
    calib = ["--calib", data, "--quiet"]

    def by_threads(threads):
        return lambda out: run([*base, out, *calib, "--threads", threads])

    def by_ranks(out):
        if not shutil.which(settings.mpirun) or not settings.mpi:
            return "no --mpi PROGRAM (built with -DQONNX_MPI=ON) or no mpirun"
        run([settings.mpirun, "--allow-run-as-root", "--oversubscribe", "-n", "4", settings.mpi, "calibrate", model, out, *calib])

    def by_shards(out):
        parts = [os.path.join(folder, f"part{i}") for i in range(3)]
        for i, part in enumerate(parts):
            run([*base, part, *calib, "--shard", f"{i + 1}/3"])
        run([settings.program, "merge", out, *parts, "--quiet"])

    def resumed(out):
        where = os.path.join(folder, "resumed")
        os.mkdir(where)
        part = os.path.join(where, "stats")
        hit = killed([*base, part, *calib, "--resume", "-o", "checkpoint=1", "--threads", "1"], where)
        run([*base, part, *calib, "--resume", "--threads", "1"])
        shutil.move(part, out)
        return "" if hit else "it was done before it could be killed"
    return {"1 thread": by_threads(1), "8 threads": by_threads(8), "4 MPI ranks": by_ranks, "3 shards, merged": by_shards, "killed and resumed": resumed}


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()[:16]


def same(settings, bars):
    table(("model", "by", "statistics", "output"))
    for name in settings.models:
        source = os.path.join(settings.corpus, name)
        model, data, found = os.path.join(source, "model.onnx"), os.path.join(source, "calib.npz"), set()
        with tempfile.TemporaryDirectory(prefix="qonnx-scale-") as folder:
            for by, gather in ways(settings, model, data, folder).items():
                stats, out = os.path.join(folder, "stats"), os.path.join(folder, "out.onnx")
                why = gather(stats)
                if why:
                    line(name, by, "left out: " + why, "")
                    continue
                run([settings.program, model, out, "--preset", "int8", "--stats", stats, "--quiet", "--sidecar", "none"])
                found.add((digest(stats), digest(out)))
                line(name, by, digest(stats), digest(out))
        bars.add(f"{name}: different statistics or outputs", len(found), 1, "")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    calibrate.add_arguments(parser)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--work", help="where large files go, 7 GB of them; otherwise the system's temporary folder")
    parser.add_argument("--scale", type=float, default=1, help="0.1 makes the large models smaller")
    parser.add_argument("--models", default=",".join(MODELS), help="of the corpus, for calibration, static and same; those that are there")
    parser.add_argument("--counts", default="50,500", help="samples that calibration is watched for")
    parser.add_argument("--python", default=sys.executable, help="that rivals run in")
    parser.add_argument("--no-rivals", dest="rivals", action="store_false")
    parser.add_argument("--rival-rounds", type=int, default=5, help="theirs take minutes where ours take seconds")
    parser.add_argument("--mpi", help="a qonnx-quantize that was built with MPI")
    parser.add_argument("--mpirun", default="mpirun")
    parser.add_argument("--no-bars", dest="bars", action="store_false", help="only tell: missed bars do not change the exit status")
    settings = parser.parse_args()
    wanted = settings.parts.split(",")
    if set(wanted) - set(PARTS):
        parser.error("--parts are " + ", ".join(PARTS))
    settings.program, settings.samples, settings.counts = os.path.abspath(settings.program), os.path.abspath(settings.samples), [int(c) for c in settings.counts.split(",")]
    with open(os.path.join(settings.corpus, "manifest.json"), encoding="utf-8") as file:
        settings.entries = json.load(file)["models"]
    known = [entry["name"] for entry in settings.entries]
    settings.models = [name for name in settings.models.split(",") if name in known] or known[:1]
    measure.set_runtime()
    print(f"{measure.machine()}; load {os.getloadavg()[0]:.1f}; medians of {settings.rounds}, rivals of {settings.rival_rounds}", flush=True)
    bars = Bars()
    for part in wanted:
        print(f"\n## {part}", flush=True)
        {"large": large, "bits": bits, "calibration": calibration, "static": static, "same": same}[part](settings, bars)
    sys.exit(0 if bars.print() or not settings.bars else 1)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        rival(*sys.argv[2:])
    else:
        main()
