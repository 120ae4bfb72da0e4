# SPDX-License-Identifier: Apache-2.0
"""test_reports.py PROGRAM FOLDER: what --report says of the model in the folder (mnist_resnet) is true."""
import json
import os
import sys

import numpy as np
import onnx
import promises
import runs
from onnx import helper
from promises import calib_of, promise, read


@promise
def a_report_tells_what_each_layer_loses(program, folder, scratch):
    """By itself, and together with all that comes before it: seen here by running the written model, whole and cut out."""
    model, out = os.path.join(folder, "model.onnx"), os.path.join(scratch, "out.onnx")
    page, long, plain = (os.path.join(scratch, f"report.{ending}") for ending in ("html", "json", "txt"))
    program(model, out, "--calib", os.path.join(folder, "calib.npz"), "--samples", 16, "--report", page, "--report", long, "--report", plain)
    with open(long, encoding="utf-8") as file:
        report = json.load(file)
    nodes = {n["output"]: n for n in report["nodes"]}
    with_all = []
    for path in (model, out):
        whole = onnx.load(path)
        whole.graph.output.extend(helper.make_empty_tensor_value_info(n) for n in nodes if n != whole.graph.output[0].name)
        with_all.append(runs.session(whole.SerializeToString()))
    float_model, quantized_model = with_all
    names = [o.name for o in float_model.get_outputs()]
    data = calib_of(folder, report["layer_errors"]["samples"])
    seen = [[dict(zip(names, s.run(names, {k: v[i] for k, v in data.items()}))) for i in range(report["layer_errors"]["samples"])] for s in with_all]

    def kept(wanted, found):
        return 10 * np.log10(sum(float(np.sum(np.square(w, dtype=float))) for w in wanted) / sum(float(np.sum(np.square(w - f, dtype=float))) for w, f in zip(wanted, found)))

    checked = 0
    for name, node in nodes.items():
        if "alone_db" not in node or node["op_type"] != "Conv" or any(n.get("fused_into") == node["index"] for n in report["nodes"]):
            continue
        wanted = [run[name] for run in seen[0]]
        assert abs(kept(wanted, [run[name] for run in seen[1]]) - node["together_db"]) < 0.05, node
        source = next(n for n in onnx.load(model).graph.node if name in n.output).input[0]
        cut = onnx.utils.Extractor(onnx.shape_inference.infer_shapes(onnx.load(out))).extract_model([source], [name])
        layer = runs.session(cut.SerializeToString())
        assert abs(kept(wanted, [layer.run(None, {source: run[source]})[0] for run in seen[0]]) - node["alone_db"]) < 0.05, node
        checked += 1
    assert checked >= 3, checked
    assert os.path.getsize(page) < 200_000 and runs.sidecar(out)["model"] == report["model"]
    with open(plain, encoding="utf-8") as file:
        assert "/l/l.2/c1/Conv (Conv)" in file.read()
    program(model, out, "--calib", os.path.join(folder, "calib.npz"), "--report", long)
    with open(long, encoding="utf-8") as file:
        report = json.load(file)
    assert report["layer_errors"]["samples"] == 4 < report["model"]["judged_samples"], (report["layer_errors"], report["model"])
    before = read(out)
    for wrong in ("report.pdf", "out.onnx", "out.quant.json"):
        program(model, out, "--calib", os.path.join(folder, "calib.npz"), "--report", os.path.join(scratch, wrong), status=2)
    program(model, out, "--calib", os.path.join(folder, "calib.npz"), "--report", os.path.join(scratch, "no", "r.html"), status=1)
    assert read(out) == before


if __name__ == "__main__":
    sys.exit(promises.main())
