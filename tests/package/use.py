# SPDX-License-Identifier: Apache-2.0
"""use.py MODEL-FOLDER: the Python package used in each of its ways, in the current folder."""
import os
import sys
import warnings

import numpy
import qonnx_quantize as qq

folder = sys.argv[1]
model = f"{folder}/model.onnx"
samples = numpy.load(f"{folder}/calib.npz")
array = samples["input"]
warnings.simplefilter("error", qq.QonnxWarning)


def same(path):
    with open("python.onnx", "rb") as one, open(path, "rb") as other:
        assert one.read() == other.read(), path


def fails(kind, call, *arguments, **keywords):
    try:
        call(*arguments, **keywords)
    except kind as error:
        return error
    raise AssertionError(f"{call.__name__}{arguments}{keywords} did not fail")


# Data as a path, as arrays by name, as one array, and one by one: the same model.
steps = []
result = qq.quantize(model, "python.onnx", preset="int8", calib=f"{folder}/calib.npz",
                     progress=lambda stage, done, total: steps.append((stage, done, total)))
assert {stage for stage, _, _ in steps}, "no progress"
assert "quantized: " in result.text and str(result) == result.text, result.text
assert result.report["tensors"] and os.path.exists("python.quant.json"), result.report.keys()
qq.quantize(model, "arrays.onnx", preset="int8", calib={"input": array}, sidecar="none")
same("arrays.onnx")
assert not os.path.exists("arrays.quant.json")
qq.quantize(model, "array.onnx", preset="int8", calib=array)
same("array.onnx")
qq.quantize(model, "stream.onnx", preset="int8", calib=({"input": sample} for sample in array))
same("stream.onnx")
qq.quantize(model, "list.onnx", preset="int8", calib=list(array), threads=1)
same("list.onnx")

# Options: flags, numbers, lists.
less = qq.quantize(model, "less.onnx", calib=array, exclude=["op:Gemm", "op:Add"], only_faster=False, min_sqnr=0)
assert less.report != result.report and "excluded" in less.text, less.text
error = fails(qq.QonnxError, qq.quantize, model, "x.onnx", presett="int8")
assert error.status == "E_USAGE" and error.exit_code == 2 and "preset" in str(error), error
fails(TypeError, qq.inspect, "python.onnx", calib=array)
error = fails(qq.QonnxError, qq.quantize, model, "x.onnx", calib={"input": array[..., :5]})
assert error.status == "E_DATA" and "'input'" in str(error), error
fails(ValueError, qq.quantize, model, "x.onnx", calib=[])
fails(TypeError, qq.quantize, model, "x.onnx", calib=["a.npz"])
assert not os.path.exists("x.onnx")

# Without data: a warning, and what is raised in a callback is raised to the caller.
assert "synthetic" in str(fails(qq.QonnxWarning, qq.quantize, model, "synthetic.onnx"))
warnings.simplefilter("always", qq.QonnxWarning)
with warnings.catch_warnings(record=True) as caught:
    result = qq.quantize(model, "synthetic.onnx")
assert result.warnings == tuple(str(warning.message) for warning in caught) and caught, result.warnings
fails(ZeroDivisionError, qq.quantize, model, "y.onnx", calib=array, progress=lambda stage, done, total: 1 / 0)

# The other commands.
evaluation = numpy.load(f"{folder}/eval.npz")
figures = qq.compare(model, "python.onnx", {"input": evaluation["input"][:100]})
assert figures.report["outputs"][0]["sqnr_db"] > 20, figures.report
error = fails(qq.QonnxError, qq.compare, model, "python.onnx", array, fail_below="sqnr=200")
assert error.status == "E_QUALITY" and error.result.report["outputs"], error
converted = qq.convert("python.onnx", "qcdq.onnx", "qcdq")
assert converted.report["tensors"], converted.report.keys()
assert qq.inspect("qcdq.onnx", check=True).report["tensors"]
table = {option.name: option for option in qq.options()}
assert "int8" in table["preset"].choices and table["exclude"].repeatable and table["threads"].default == "0"
assert qq.version() == qq.__version__
