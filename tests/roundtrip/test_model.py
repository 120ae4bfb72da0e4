# SPDX-License-Identifier: Apache-2.0
"""test_model.py PROGRAM MODEL: a bundled model, quantized with its own data, then from format to format and back; each
integer operator against exact arithmetic on its own inputs, and the sum of them against QDQ."""
import os
import sys
import tempfile

import numpy as np
import trips
from trips import runs

SAMPLES = 4
END_TO_END_DB = 20  # of QOperator against QDQ: single steps in one layer grow in the next


def main():
    program, model = runs.Program(sys.argv[1]), sys.argv[2]
    data = np.load(os.path.join(model, "eval.npz"))
    with tempfile.TemporaryDirectory(prefix="qonnx-model-") as folder:
        path = os.path.join(folder, "qdq.onnx")
        program(os.path.join(model, "model.onnx"), path, "--calib", os.path.join(model, "calib.npz"), "--sidecar", "none")
        trip = trips.Trips(program, folder, path, data, SAMPLES)
        integers = trip.around()
        kernels = trips.check_kernels(program, folder, integers, data, 1)
        run = runs.session(integers, unsaturated=True)
        names = [o.name for o in run.get_outputs()]
        db = min(runs.compare(trip.outputs, run, data, names).db().values())
        stripped = runs.session(trip.convert(path, "float"))
        reference = runs.run_samples(runs.session(os.path.join(model, "model.onnx")), data, SAMPLES)
        back = min(runs.compare(reference, stripped, data, names).db().values())
    print(f"{len(trip.numbers[0])} constants and {len(trip.numbers[1])} kinds of quantizers came back, {kernels} integer operators, "
          f"{db:.1f} dB end to end, {back:.1f} dB of the float model without quantizers")
    assert kernels and db >= END_TO_END_DB and back >= END_TO_END_DB
    return 0


if __name__ == "__main__":
    sys.exit(main())
