# SPDX-License-Identifier: Apache-2.0
"""weights.py [--corpus DIR] [--program PATH] [NAME…]: weights of MatMul and Gemm in blocks of few bits, by each way to find their
scales and codes, without data and with calibration samples, beside onnxruntime's own quantizers of such weights. Every file is
checked, run in ONNX Runtime and judged on the evaluation samples; prints one table in Markdown. README.md beside this file
describes a corpus."""
import argparse
import json
import logging
import os
import sys
import tempfile
import time

import measure
import models
import numpy as np
import onnx

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "e2e"))
import runs  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
COLUMNS = ["model", "by", "dB", "dB as DequantizeLinear", "bytes", "CPU s"]
# What it is called, whether it has data, options.
OURS = [("minmax", False, ("-o", "weight-range=minmax")), ("hqq", False, ("-o", "weight-range=hqq")), ("mse", False, ("-o", "weight-range=mse")),
        ("mse, errors weighed by the inputs", True, ("-o", "rounding=nearest", "-o", "weight-importance=on")),
        ("second order", True, ("-o", "rounding=second-order")), ("what --calib chooses", True, ())]


class Judge:
    """Outputs of the float model, and what others keep of them."""

    def __init__(self, entry, folder, limit):
        self.data = np.load(os.path.join(folder, "eval.npz"))
        reference = runs.session(os.path.join(folder, "model.onnx"))
        samples = len(self.data[self.data.files[0]])
        self.samples = min(limit, samples) if limit else samples
        self.names = [o.name for o in reference.get_outputs()]
        self.judged = self.names[models.judged_output(entry, reference)]
        self.wanted = runs.run_samples(reference, self.data, self.samples)

    def db(self, path):
        onnx.checker.check_model(path, full_check=True)
        return runs.compare(self.wanted, runs.session(path, runs.FULL), self.data, self.names).db()[self.judged]


def ours(program, source, calib, path, settings, options):
    cost = measure.process([program, source, path, "--preset", settings.preset, "-o", f"block-size={settings.block}", *calib, "--quiet", *options])
    if cost.status:
        raise RuntimeError(cost.stderr.strip()[-300:])
    return cost.cpu


class Samples:
    """Calibration samples as onnxruntime reads them."""

    def __init__(self, source, path):
        session, data = runs.session(source), np.load(path)
        self.feeds = [runs.feed_of(session, data, i) for i in range(len(data[data.files[0]]))]

    def __iter__(self):
        return iter(self.feeds)


def theirs(source, calib, path, settings, how):
    from onnxruntime.quantization import matmul_nbits_quantizer as nbits
    bits = {"int4": 4, "int2": 2}[settings.preset]
    logging.disable(logging.WARNING)
    config = None
    if how == "GPTQ":
        config = nbits.GPTQWeightOnlyQuantConfig(calibration_data_reader=Samples(source, calib), block_size=settings.block)
    start = time.process_time()
    quantizer = nbits.MatMulNBitsQuantizer(onnx.load(source), bits=bits, block_size=settings.block, is_symmetric=how == "symmetric", accuracy_level=4, algo_config=config)
    quantizer.process()
    quantizer.model.save_model_to_file(path)
    return time.process_time() - start


def rows_of(settings, entry, folder, scratch):
    source, calib = (os.path.join(folder, name) for name in ("model.onnx", "calib.npz"))
    judge, path = Judge(entry, folder, settings.limit), os.path.join(scratch, "out.onnx")
    for how in ("asymmetric", "symmetric", "GPTQ"):
        try:
            cpu = theirs(source, calib, path, settings, how)
        except Exception as error:  # noqa: BLE001  a package that is not there, or a failure of theirs
            yield [f"onnxruntime, {how}", "failed: " + str(error).replace("\n", " ")[:120], "", "", ""]
            continue
        yield [f"onnxruntime, {how}", f"{judge.db(path):.2f}", "", f"{os.path.getsize(path):,}", f"{cpu:.2f}"]
    for name, has_data, options in OURS:
        given = ("--calib", calib) if has_data else ()
        cpu = ours(settings.program, source, given, path, settings, options)
        kept, size = judge.db(path), os.path.getsize(path)
        ours(settings.program, source, given, path, settings, (*options, "--format", "qdq"))
        yield [name, f"{kept:.2f}", f"{judge.db(path):.2f}", f"{size:,}", f"{cpu:.2f}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    root = os.path.join(HERE, "..")
    parser.add_argument("--corpus", default=os.path.join(root, "models"))
    parser.add_argument("--program", default=os.path.join(root, "build", "release", "qonnx-quantize"))
    parser.add_argument("--preset", default="int4", choices=["int4", "int2"])
    parser.add_argument("--block", type=int, default=32)
    parser.add_argument("--limit", type=int, default=0, help="evaluation samples of each model; 0: all")
    parser.add_argument("names", nargs="*", help="models; otherwise minilm_l3 and chargpt, as far as they are there")
    settings = parser.parse_args()
    measure.set_runtime()
    with open(os.path.join(settings.corpus, "manifest.json"), encoding="utf-8") as file:
        entries = [e for e in json.load(file)["models"] if e["name"] in (settings.names or ("minilm_l3", "chargpt"))]
    print(measure.machine())
    print(f"{settings.preset}, blocks of {settings.block}\n\n{models.line(COLUMNS)}\n{models.line(['---'] * len(COLUMNS))}", flush=True)
    with tempfile.TemporaryDirectory(prefix="qonnx-bench-") as scratch:
        for entry in entries:
            for row in rows_of(settings, entry, os.path.join(settings.corpus, entry["name"]), scratch):
                print(models.line([entry["name"], *row]), flush=True)
    return 0 if entries else 1


if __name__ == "__main__":
    sys.exit(main())
