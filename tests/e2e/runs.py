# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests and the benchmarks share: running the program, and models in ONNX Runtime."""
import glob
import json
import os
import subprocess

import numpy as np
import onnxruntime

onnxruntime.set_default_logger_severity(4)
# The program uses the same library as this Python.
os.environ.setdefault("QONNX_ORT", glob.glob(os.path.join(os.path.dirname(onnxruntime.__file__), "capi", "libonnxruntime.so*"))[0])

LEVELS = onnxruntime.GraphOptimizationLevel
EXACT, FUSED, FULL = LEVELS.ORT_DISABLE_ALL, LEVELS.ORT_ENABLE_EXTENDED, LEVELS.ORT_ENABLE_ALL


def session(path, level=EXACT, threads=1, save=None, unsaturated=False):
    """unsaturated: u8 x s8 products that cannot overflow 16 bits, whatever the CPU; for comparing arithmetic."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.graph_optimization_level = level
    if save:
        options.optimized_model_filepath = save
    if unsaturated:
        options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def feed_of(run, data, i):
    return {port.name: np.asarray(data[port.name][i]) for port in run.get_inputs() if port.name in data}


def run_samples(run, data, samples):
    """Outputs by sample."""
    return [run.run(None, feed_of(run, data, i)) for i in range(samples)]


def sqnr(signal, noise):
    return np.inf if noise == 0 else -np.inf if signal == 0 else 10 * np.log10(signal / noise)


class Comparison:
    """SQNR of each float output over samples, equality of the others; what is not finite must be so on both sides."""

    def __init__(self, names):
        self.names, self.signal, self.noise = names, {}, {}
        self.unequal, self.nonfinite = set(), set()

    def add(self, wanted, found):
        for name, x, y in zip(self.names, wanted, found):
            assert x.shape == y.shape and x.dtype == y.dtype, f"output {name}: {x.dtype}{x.shape} became {y.dtype}{y.shape}"
            if x.dtype.kind != "f":
                if not np.array_equal(x, y):
                    self.unequal.add(name)
                continue
            x, y = x.astype(np.float64), y.astype(np.float64)
            both = np.isfinite(x) & np.isfinite(y)
            if not np.array_equal(np.isfinite(x), np.isfinite(y)):
                self.nonfinite.add(name)
            self.signal[name] = self.signal.get(name, 0.0) + (x[both] ** 2).sum()
            self.noise[name] = self.noise.get(name, 0.0) + ((x[both] - y[both]) ** 2).sum()

    def db(self):
        return {name: sqnr(self.signal[name], self.noise[name]) for name in self.signal}


def compare(wanted, run, data, names):
    result = Comparison(names)
    for i, reference in enumerate(wanted):
        result.add(reference, run.run(None, feed_of(run, data, i)))
    return result


class Program:
    """The command-line program."""

    def __init__(self, path):
        self.path = os.path.abspath(path)

    def __call__(self, *arguments, status=0, env=None, **settings):
        done = subprocess.run([self.path, *map(str, arguments)], capture_output=True, text=True, errors="replace",
                              env={**os.environ, **(env or {})}, **settings)
        if status is not None and done.returncode != status:
            raise AssertionError(f"{' '.join(map(str, arguments))}: status {done.returncode} instead of {status}: {done.stderr.strip()[-2000:]}")
        return done


def sidecar_path(path):
    return (path[:-5] if path.endswith(".onnx") else path) + ".quant.json"


def sidecar(path):
    with open(sidecar_path(path), encoding="utf-8") as file:
        return json.load(file)
