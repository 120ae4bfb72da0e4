# SPDX-License-Identifier: Apache-2.0
"""without_vnni.py QUANTIZED.onnx EVAL.npz WANTED.npz SAMPLES: SQNR of each output at full optimization on a processor without
VNNI, where 8-bit products are added in pairs in 16 bits and may saturate; models.py runs it on such a one (processor.py).
WANTED.npz holds the float outputs as SAMPLE_OUTPUT."""
import json
import os
import sys

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "e2e"))
import runs  # noqa: E402


def main():
    path, evaluation, reference, samples = sys.argv[1:4] + [int(sys.argv[4])]
    data, wanted = np.load(evaluation), np.load(reference)
    session = runs.session(path, runs.FULL)
    names = [o.name for o in session.get_outputs()]
    data = {port.name: data[port.name][:samples] for port in session.get_inputs()}
    compared = runs.compare([[wanted[f"{i}_{k}"] for k in range(len(names))] for i in range(samples)], session, data, names)
    print(json.dumps(compared.db()))


if __name__ == "__main__":
    main()
