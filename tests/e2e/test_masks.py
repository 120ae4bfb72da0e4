# SPDX-License-Identifier: Apache-2.0
"""test_masks.py PROGRAM: what stands for "never" in a transformer's scores sets no range that would cost accuracy, whatever a target
wants quantized: down to one that wants codes for every tensor."""
import os
import sys
import tempfile

import numpy as np
import onnx
import runs
import zoo

TARGETS, LEAST_DB = ("openvino", "qnn"), 24


def main():
    program, failed, count = runs.Program(sys.argv[1]), 0, 0
    for name in zoo.GROUPS["transformers"]:
        net = zoo.make(name)
        for target in TARGETS:
            count += 1
            with tempfile.TemporaryDirectory(prefix="qonnx-masks-") as folder:
                source, out, calib, judged = (os.path.join(folder, file) for file in ("in.onnx", "out.onnx", "calib.npz", "eval.npz"))
                onnx.save(net.model(), source)
                np.savez(calib, **net.samples(24, 1))
                np.savez(judged, **net.samples(6, 2))
                program(source, out, "--calib", calib, "--target", target, "-o", "only-faster=off", "-q")
                layers = runs.sidecar(out)["model"]["layers_quantized"]
                done = program("compare", source, out, "--exact", "--calib", judged, "--fail-below", f"sqnr={LEAST_DB}", status=None)
                if done.returncode or not layers:
                    failed += 1
                    print(f"FAILED {name} for {target}, {layers} layers quantized: {done.stderr or done.stdout}", flush=True)
    print(f"{count - failed} of {count} right")
    return 1 if failed or not count else 0


if __name__ == "__main__":
    sys.exit(main())
