# SPDX-License-Identifier: Apache-2.0
"""models.py TOOL FOLDER…: each pass, and all of them one after another, over the real model in each folder, which
holds model.onnx and calib.npz. Prints the largest difference of the outputs on real samples, relative to the largest
value, and its Euclidean norm relative to that of the output, which must stay within 1e-5."""
import os
import sys
import tempfile

import numpy as np
import onnx
from harness import difference, op_list, run_tool, same_ports, session

ORDER = "lift_constants,remove_identity,raise_opset,fold_affine,matmul_bias,fold_affine"
SETS = ["lift_constants", "remove_identity", "raise_opset", "fold_affine", "lift_constants,fold_affine", "matmul_bias",
        ORDER]
LIMIT = 1e-5
SAMPLES = 4


def outputs(path, data):
    run = session(path)
    count = min(SAMPLES, len(data[data.files[0]]))
    return [run.run(None, {port.name: data[port.name][i] for port in run.get_inputs()}) for i in range(count)]


def judge(tool, folder, passes, target):
    source = os.path.join(folder, "model.onnx")
    data = np.load(os.path.join(folder, "calib.npz"))
    done = run_tool(tool, source, target, passes)
    if done.returncode:
        raise AssertionError(done.stderr.strip())
    before, after = onnx.load(source), onnx.load(target)
    onnx.checker.check_model(after, full_check=True)
    same_ports(before, after)
    worst = [0.0, 0.0]
    for xs, ys in zip(outputs(source, data), outputs(target, data)):
        for x, y in zip(xs, ys):
            worst = [max(pair) for pair in zip(worst, difference(x, y))]
    nodes = f"{len(before.graph.node):4} -> {len(after.graph.node):4} nodes"
    print(f"{os.path.basename(os.path.normpath(folder)):20} {'all' if passes == ORDER else passes:28} {nodes},"
          f" largest {worst[0]:.1e}, norm {worst[1]:.1e}", flush=True)
    assert worst[1] <= LIMIT, f"differs by {worst[1]:.2e}, more than {LIMIT}"
    if passes == ORDER:
        left = set(op_list(after).replace("*", " ").split()) & {"Constant", "Identity", "Dropout"}
        assert not left or left == {"Identity"}, f"{left} left"
        assert after.opset_import[0].version >= 13, "opset"


def main():
    tool, folders = sys.argv[1], sys.argv[2:]
    failed = 0
    for folder in folders:
        for passes in SETS:
            with tempfile.TemporaryDirectory(prefix="qonnx-pass-") as scratch:
                try:
                    judge(tool, folder, passes, os.path.join(scratch, "after.onnx"))
                except AssertionError as error:
                    failed += 1
                    print(f"FAILED {folder} {passes}: {error}")
    return 1 if failed or not folders else 0


if __name__ == "__main__":
    sys.exit(main())
