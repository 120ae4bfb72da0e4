# SPDX-License-Identifier: Apache-2.0
"""convert.py [--corpus DIR] [NAME…]: what a whole conversion costs, process against process on the same samples:

  convert       qonnx-quantize with its default preset and all of calib.npz
  unverified    the same with -o verify=off
  bare C        every sample once through the float model: bench_samples infer
  bare Python   the same in a Python loop
  ORT           onnxruntime.quantization: quant_pre_process and quantize_static, MinMax, per channel

With --stages then the parts of a conversion: CPU seconds of each stage, how often it was entered, and its share of bare C.

CPU seconds are of all threads, user and system; each figure is the median of interleaved runs, the ratios are of these
medians. Processes use one thread for a run of a model. Memory is the greatest peak."""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

import measure

HERE = os.path.dirname(os.path.abspath(__file__))
COLUMNS = ["model", "samples", "convert, CPU s", "MB", "/ bare C", "/ bare Python", "unverified / bare C", "bare C, CPU s", "MB", "bare Python, CPU s", "MB",
           "ORT, CPU s", "MB", "ORT / convert"]


def bare(model, data):
    """A loop over the samples, as short as it can be."""
    import numpy as np
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    samples = dict(np.load(data))
    names = [i.name for i in session.get_inputs()]
    for i in range(len(samples[names[0]])):
        session.run(None, {name: samples[name][i] for name in names})


def peer(model, data, target, method="MinMax"):
    """The nearest thing that ONNX Runtime's own package has."""
    import tempfile
    import numpy as np
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self):
            samples = dict(np.load(data))
            count = len(next(iter(samples.values())))
            self.rows = iter([{name: values[i] for name, values in samples.items()} for i in range(count)])

        def get_next(self):
            return next(self.rows, None)

    with tempfile.TemporaryDirectory() as scratch:
        prepared = os.path.join(scratch, "prepared.onnx")
        try:
            quant_pre_process(model, prepared)
        except Exception:  # noqa: BLE001  symbolic shape inference fails on some models
            quant_pre_process(model, prepared, skip_symbolic_shape=True)
        quantize_static(prepared, target, Reader(), quant_format=QuantFormat.QDQ, per_channel=True, activation_type=QuantType.QUInt8,
                        weight_type=QuantType.QInt8, calibrate_method=CalibrationMethod[method])


def commands(settings, folder, out):
    model, data = os.path.join(folder, "model.onnx"), os.path.join(folder, "calib.npz")
    convert = [settings.program, model, os.path.join(out, "out.onnx"), "--calib", data, "--quiet", "--threads", str(settings.threads)]
    made = {"convert": convert, "unverified": convert + ["-o", "verify=off"],
            "bare C": [settings.samples, "infer", model, data],
            "bare Python": [sys.executable, "-B", __file__, "--run", "bare", model, data]}
    if settings.peer:
        made["ORT"] = [sys.executable, "-B", __file__, "--run", "peer", model, data, os.path.join(out, "peer.onnx")]
    return made


def cells(name, samples, costs, failure):
    cpu = {key: measure.median(values, "cpu") for key, values in costs.items()}
    memory = {key: max(v.memory for v in values) for key, values in costs.items()}

    def ratio(a, b):
        return f"{cpu[a] / cpu[b]:.2f}×"
    row = [name, str(samples), f"{cpu['convert']:.2f}", f"{memory['convert']:.0f}", ratio("convert", "bare C"), ratio("convert", "bare Python"),
           ratio("unverified", "bare C"), f"{cpu['bare C']:.2f}", f"{memory['bare C']:.0f}", f"{cpu['bare Python']:.2f}", f"{memory['bare Python']:.0f}"]
    if "ORT" in cpu:
        return row + [f"{cpu['ORT']:.2f}", f"{memory['ORT']:.0f}", ratio("ORT", "convert")]
    return row + [failure, "", ""]


def stages(settings, folder, out, bare_cost):
    """Medians of what bench_samples convert tells, as lines of a table; what no stage covers is starting and ending."""
    model, data = os.path.join(folder, "model.onnx"), os.path.join(folder, "calib.npz")
    found, wholes = {}, []
    for _ in range(settings.rounds):
        command = [settings.samples, "convert", model, data, os.path.join(out, "stages.onnx")]
        before = os.times()
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        after = os.times()
        wholes.append(after.children_user + after.children_system - before.children_user - before.children_system)
        for line in lines:
            seconds, times, name = line.split(" ", 2)
            found.setdefault(name, (times, []))[1].append(float(seconds))
    rows = [(name, times, statistics.median(seconds)) for name, (times, seconds) in found.items()]
    whole = statistics.median(wholes)
    rows += [("the rest", "", max(whole - sum(row[2] for row in rows), 0)), ("all", "", whole)]
    return [f"| {name} | {times} | {seconds:.3f} | {seconds / bare_cost:.2f}× |" for name, times, seconds in rows]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = os.path.join(HERE, "..")
    parser.add_argument("--corpus", default=os.path.join(root, "models"))
    parser.add_argument("--program", default=os.path.join(root, "build", "release", "qonnx-quantize"))
    parser.add_argument("--samples", default=os.path.join(root, "build", "release", "bench_samples"), help="the program bench_samples")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-peer", dest="peer", action="store_false", help="leave onnxruntime.quantization out")
    parser.add_argument("--stages", action="store_true", help="list what each stage of a conversion costs")
    parser.add_argument("names", nargs="*")
    settings = parser.parse_args()
    with open(os.path.join(settings.corpus, "manifest.json"), encoding="utf-8") as file:
        names = [e["name"] for e in json.load(file)["models"] if not settings.names or e["name"] in settings.names]
    measure.set_runtime()
    print(measure.machine() + f"; median of {settings.rounds} runs\n")
    print("| " + " | ".join(COLUMNS) + " |\n" + "| --- " * len(COLUMNS) + "|", flush=True)
    for name in names:
        with tempfile.TemporaryDirectory(prefix="qonnx-bench-") as out:
            chosen, failure = commands(settings, os.path.join(settings.corpus, name), out), ""
            if "ORT" in chosen:
                trial = measure.process(chosen["ORT"])
                if trial.status:
                    failure = "fails: " + (trial.stderr.strip().splitlines() or [f"status {trial.status}"])[-1][:80].replace("|", "/")
                    del chosen["ORT"]
            costs = measure.interleaved(chosen, settings.rounds)
            count = measure.sample_count(os.path.join(settings.corpus, name, "calib.npz"))
            print("| " + " | ".join(cells(name, count, costs, failure)) + " |", flush=True)
            if settings.stages:
                print(f"\n| stage of {name} | times | CPU s | / bare C |\n| --- | --- | --- | --- |")
                print("\n".join(stages(settings, os.path.join(settings.corpus, name), out, measure.median(costs["bare C"], "cpu"))) + "\n", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--run"]:
        {"bare": bare, "peer": peer}[sys.argv[2]](*sys.argv[3:])
    else:
        main()
