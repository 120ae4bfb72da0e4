# SPDX-License-Identifier: Apache-2.0
"""test_weights.py PROGRAM PRESET [NAME…]: presets that need no data, on every model of the zoo. They need no ONNX Runtime either;
what they write loads and runs there, and keeps so much of the signal. Nodes with constants that stay float say why."""
import os
import sys
import tempfile

import numpy as np
import onnx
import runs
import zoo
from test_zoo import same_ports

EVALUATION = 6
# By preset and options: dB that every model keeps; dB that all keep together, as a mean.
CASES = {
    "int8-weights": [((), 28, 40), (("-o", "weight-range=mse"), 28, 40)],
}
NO_RUNTIME = {"QONNX_ORT": "/nonexistent", "PATH": "/nonexistent", "LD_LIBRARY_PATH": ""}
HAVE_WEIGHTS = {"Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU", "RNN"}


def accuracy(net, source, path):
    data, reference = net.samples(EVALUATION, 2), runs.session(source)
    names, wanted = [o.name for o in reference.get_outputs()], runs.run_samples(runs.session(source), data, EVALUATION)
    least = np.inf
    for level in (runs.EXACT, runs.FULL):
        compared = runs.compare(wanted, runs.session(path, level), data, names)
        assert not compared.nonfinite, f"outputs {compared.nonfinite} are not finite"
        least = min(least, *compared.db().values(), np.inf)
    return least


def judge(program, preset, options, net, folder):
    """dB of the worst output."""
    source, path = (os.path.join(folder, name) for name in ("in.onnx", "out.onnx"))
    before = net.model()
    onnx.save(before, source)
    done = program(source, path, "--preset", preset, *options, env=NO_RUNTIME)
    assert "--calib" not in done.stderr, f"asks for data: {done.stderr}"
    after, report = onnx.load(path), runs.sidecar(path)
    onnx.checker.check_model(after, full_check=True)
    same_ports(before, after)
    assert report["calibration"] is None
    for row in report["nodes"]:
        assert row["decision"] in ("quantized", "float"), row
        assert row["decision"] != "float" or row["reason_text"], row
    quantized = [row for row in report["nodes"] if row["decision"] == "quantized"]
    assert all(row["op_type"] in HAVE_WEIGHTS and row["weight_sqnr_db"] > 0 for row in quantized), quantized
    return accuracy(net, source, path)


def main():
    program, preset = runs.Program(sys.argv[1]), sys.argv[2]
    failed = 0
    for options, least, together in CASES[preset]:
        figures = []
        for name in sys.argv[3:] or zoo.MODELS:
            with tempfile.TemporaryDirectory(prefix="qonnx-weights-") as folder:
                try:
                    db = judge(program, preset, options, zoo.make(name), folder)
                    figures.append(min(db, 80))
                    assert db >= least, f"{db:.1f} dB"
                except Exception as error:  # noqa: BLE001
                    failed += 1
                    print(f"FAILED {preset} {' '.join(options)}: {name}: {error}", flush=True)
        if figures:
            print(f"{preset} {' '.join(options)}: {len(figures)} models, least {min(figures):.1f} dB, mean {np.mean(figures):.1f} dB")
            if not sys.argv[3:] and np.mean(figures) < together:
                failed += 1
                print(f"FAILED: {together} dB wanted")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
