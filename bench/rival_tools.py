# SPDX-License-Identifier: Apache-2.0
"""The other quantizers, each with the settings its own documentation gives for int8 on x86 processors.

rival_tools.py NAME MODEL CALIB.npz OUT.onnx converts a model in this process, for rivals.py to run and measure; it needs the
rival's package in this Python, and neither numpy's nor onnx's newest where a rival does not stand them."""
import dataclasses
import inspect
import os
import sys
import tempfile
from typing import Callable

# ---- what they all need ----

def samples_of(path):
    """The samples as a list of feeds."""
    import numpy as np
    data = dict(np.load(path))
    return [{name: np.asarray(values[i]) for name, values in data.items()} for i in range(len(next(iter(data.values()))))]


def reader_of(path, base):
    """The reader protocol of onnxruntime.quantization and its descendants, in whole or in strides."""
    class Reader(base):
        def __init__(self):
            self.feeds = samples_of(path)
            self.set_range(0, len(self.feeds))

        def set_range(self, start_index, end_index):
            self.position, self.end = start_index, end_index

        def get_next(self):
            if self.position >= self.end:
                return None
            self.position += 1
            return self.feeds[self.position - 1]

        def rewind(self):
            self.set_range(0, len(self.feeds))

        def __len__(self):
            return len(self.feeds)

        def __iter__(self):
            return iter(self.feeds)
    return Reader()


def raised(model, scratch, least=13):
    """Scales per channel need opset 13, which some tools write into older files all the same: the file is raised for them."""
    import onnx
    from onnx import version_converter
    loaded = onnx.load(model)
    if min((o.version for o in loaded.opset_import if o.domain in ("", "ai.onnx")), default=least) >= least:
        return model
    path = os.path.join(scratch, "raised.onnx")
    try:
        made = version_converter.convert_version(loaded, least)
        made.ir_version = max(10 if least > 20 else 7, min(made.ir_version, 10))
        onnx.checker.check_model(made)
    except Exception as error:  # noqa: BLE001  the tool gets the file as it is
        print(f"not raised to opset {least}: {error}", file=sys.stderr)
        return model
    onnx.save(made, path)
    return path


def prepared(model, scratch):
    """What onnxruntime.quantization asks for before quantizing."""
    from onnxruntime.quantization.shape_inference import quant_pre_process
    source, path = raised(model, scratch), os.path.join(scratch, "prepared.onnx")
    for settings in ({}, {"skip_symbolic_shape": True}, {"skip_symbolic_shape": True, "skip_optimization": True}):
        try:
            quant_pre_process(source, path, **settings)
            return path
        except Exception as error:  # noqa: BLE001  its shape inference fails on some models
            print(f"quant_pre_process: {error}", file=sys.stderr)
    return source


def attends(model):
    """Is it a transformer: does a Softmax feed a MatMul?"""
    import onnx
    nodes = onnx.load(model, load_external_data=False).graph.node
    weights = {o for n in nodes if n.op_type == "Softmax" for o in n.output}
    return any(n.op_type == "MatMul" and set(n.input) & weights for n in nodes)


# ---- the tools ----

def ort_static(method, weights="QInt8", reduce_range=False):
    def convert(model, calib, out):
        from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
        reader, extra = reader_of(calib, CalibrationDataReader), {}
        if method != "MinMax":  # which keep every tensor of every sample otherwise: gigabytes
            extra["CalibStridedMinMax"] = max(n for n in range(1, 9) if len(reader) % n == 0)
        with tempfile.TemporaryDirectory() as scratch:
            source = prepared(model, scratch)

            def quantize():
                quantize_static(source, out, reader, quant_format=QuantFormat.QDQ, per_channel=True, reduce_range=reduce_range, activation_type=QuantType.QUInt8,
                                weight_type=QuantType[weights], calibrate_method=CalibrationMethod[method], extra_options=extra)
            try:
                quantize()
            except ValueError as error:  # its care for biases stumbles over scales per channel of a MatMul
                print(f"quantize_static: {error}", file=sys.stderr)
                extra["QDQDisableWeightAdjustForInt32Bias"] = True
                reader.rewind()
                quantize()
    return convert


def ort_dynamic(model, calib, out):
    from onnxruntime.quantization import QuantType, quantize_dynamic
    with tempfile.TemporaryDirectory() as scratch:
        quantize_dynamic(prepared(model, scratch), out, per_channel=True, weight_type=QuantType.QInt8)


def nncf_static(model, calib, out):
    import nncf
    import onnx
    feeds = samples_of(calib)
    with tempfile.TemporaryDirectory() as scratch:
        kind = nncf.ModelType.TRANSFORMER if attends(model) else None
        # asymmetric activations, as everyone else here has them
        made = nncf.quantize(onnx.load(raised(model, scratch)), nncf.Dataset(feeds), subset_size=len(feeds), model_type=kind,
                             preset=nncf.QuantizationPreset.MIXED, target_device=nncf.TargetDevice.CPU)
    onnx.save(made, out)


def nncf_weights(model, calib, out):
    import nncf
    import onnx
    with tempfile.TemporaryDirectory() as scratch:  # its scales have two axes, as blocks have since opset 21
        onnx.save(nncf.compress_weights(onnx.load(raised(model, scratch, 21)), mode=nncf.CompressWeightsMode.INT8_ASYM), out)


def inc_static(model, calib, out):
    import onnx
    from onnx_neural_compressor import data_reader
    from onnx_neural_compressor.quantization import config, quantize
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType
    reader = reader_of(calib, data_reader.CalibrationDataReader)
    with tempfile.TemporaryDirectory() as scratch:
        settings = config.StaticQuantConfig(calibration_data_reader=reader, quant_format=QuantFormat.QDQ, per_channel=True, reduce_range=False,
                                            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, calibrate_method=CalibrationMethod.MinMax,
                                            calibration_sampling_size=len(reader))
        made = os.path.join(scratch, "made.onnx")
        quantize(raised(model, scratch), made, settings)
        onnx.save(onnx.load(made), out)  # one file, as the others write it


def onnx_quantize_static(model, calib, out):
    import numpy as np
    import onnx
    from onnx_quantize import QConfig, QuantType, quantize
    feeds = samples_of(calib)
    if len(feeds[0]) != 1:
        raise ValueError("calibration data of one input only")
    data = np.concatenate([next(iter(f.values())) for f in feeds])
    with tempfile.TemporaryDirectory() as scratch:
        made = quantize(onnx.load(raised(model, scratch)), QConfig(is_static=True, group_size=-1, mse=True, calibration_data=data,
                                                                   activations_dtype=QuantType.QUInt8, weights_dtype=QuantType.QInt8))
    onnx.save(made, out)


def quark_static(model, calib, out):
    from onnxruntime.quantization import CalibrationDataReader
    from quark.onnx import ModelQuantizer
    from quark.onnx.quantization.config import Config, get_default_config
    settings = get_default_config("INT8_TRANSFORMER_DEFAULT" if attends(model) else "U8S8_AAWS")
    settings.per_channel = not attends(model)  # of which its quantizer for transformers knows nothing
    with tempfile.TemporaryDirectory() as scratch:
        ModelQuantizer(Config(global_quant_config=settings)).quantize_model(raised(model, scratch), out, reader_of(calib, CalibrationDataReader))


@dataclasses.dataclass
class Rival:
    package: str  # what pip calls it
    module: str
    kind: str  # static, dynamic, weights
    label: str
    convert: Callable

    def recipe(self):
        """The text that decides what it makes: files made by another text are made anew."""
        cells = [str(c.cell_contents) for c in self.convert.__closure__ or [] if not callable(c.cell_contents)]
        return "".join([*cells] + [inspect.getsource(f) for f in (samples_of, reader_of, raised, prepared, attends, self.convert)])


ORT = ("onnxruntime", "onnxruntime")
RIVALS = {
    "ort-minmax": Rival(*ORT, "static", "ORT MinMax", ort_static("MinMax")),
    "ort-percentile": Rival(*ORT, "static", "ORT Percentile", ort_static("Percentile")),
    "ort-entropy": Rival(*ORT, "static", "ORT Entropy", ort_static("Entropy")),
    "ort-7bit": Rival(*ORT, "static", "ORT MinMax, reduce_range", ort_static("MinMax", reduce_range=True)),
    "ort-u8u8": Rival(*ORT, "static", "ORT MinMax, U8U8", ort_static("MinMax", "QUInt8")),
    "ort-dynamic": Rival(*ORT, "dynamic", "ORT dynamic", ort_dynamic),
    "nncf": Rival("nncf", "nncf", "static", "NNCF", nncf_static),
    "nncf-weights": Rival("nncf", "nncf", "weights", "NNCF weights only", nncf_weights),
    "inc": Rival("onnx-neural-compressor", "onnx_neural_compressor", "static", "onnx-neural-compressor", inc_static),
    "onnx-quantize": Rival("onnx-quantize", "onnx_quantize", "static", "onnx-quantize", onnx_quantize_static),
    "quark": Rival("amd-quark", "quark", "static", "Quark", quark_static),
}

if __name__ == "__main__":
    RIVALS[sys.argv[1]].convert(*sys.argv[2:5])
