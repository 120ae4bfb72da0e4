# SPDX-License-Identifier: Apache-2.0
"""test_zoo.py PROGRAM zoo GROUP | random FIRST COUNT: the end-to-end tests' networks, quantized, then from format to format."""
import os
import sys
import tempfile

import numpy as np
import onnx
import trips
from trips import runs

import zoo  # noqa: I001  (beside runs)
from zoo import random_nets


def judge(program, net, folder):
    source, path, calibration = (os.path.join(folder, name) for name in ("in.onnx", "out.onnx", "calib.npz"))
    onnx.save(net.model(), source)
    np.savez(calibration, **net.samples(12, 1))
    program(source, path, "--calib", calibration, "-o", "verify=off", *net.options, status=net.status)
    trip = trips.Trips(program, folder, path, net.samples(3, 2), 3)
    return trips.check_kernels(program, folder, trip.around(), net.samples(1, 3), 1)


def main():
    program = runs.Program(sys.argv[1])
    nets = zoo.GROUPS[sys.argv[3]] if sys.argv[2] == "zoo" else range(int(sys.argv[3]), int(sys.argv[3]) + int(sys.argv[4]))
    if sys.argv[2] == "zoo" and len(sys.argv) > 4:
        nets = sys.argv[4:]
    failed, kernels = 0, 0
    for name in nets:
        with tempfile.TemporaryDirectory(prefix="qonnx-trips-") as folder:
            try:
                kernels += judge(program, zoo.make(name) if sys.argv[2] == "zoo" else random_nets.make(name), folder)
            except Exception as error:  # noqa: BLE001
                failed += 1
                print(f"FAILED {name}: {type(error).__name__}: {str(error)[:900]}", flush=True)
    print(f"{len(nets) - failed} of {len(nets)} networks went around, with {kernels} integer operators")
    return 1 if failed or not len(nets) else 0


if __name__ == "__main__":
    sys.exit(main())
