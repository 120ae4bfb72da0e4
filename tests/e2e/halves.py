# SPDX-License-Identifier: Apache-2.0
"""Float models in float16 or bfloat16: every float32 number and type in them, at any depth, becomes one of those."""
import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper

# Inputs that are float32 whatever the others are.
FLOAT_INPUTS = {"Resize": (1, 2), "Upsample": (1,), "QuantizeLinear": (1,), "DequantizeLinear": (1,)}


def half_tensor(tensor, kind):
    array = onnx.numpy_helper.to_array(tensor).astype(np.float32)
    if kind == TensorProto.FLOAT16:
        raw = np.where(np.isfinite(array), np.clip(array, -65504, 65504), array).astype(np.float16).tobytes()
    else:  # to the nearest, ties to even
        bits = array.view(np.uint32).astype(np.uint64)
        raw = ((bits + 0x7fff + (bits >> 16 & 1)) >> 16).astype(np.uint16).tobytes()
    made = TensorProto(name=tensor.name, data_type=kind, dims=tensor.dims, raw_data=raw)
    tensor.CopyFrom(made)


def half_type(value, kind):
    of = value.type.tensor_type
    if of.elem_type == TensorProto.FLOAT:
        of.elem_type = kind


def half_graph(graph, kind):
    kept = {node.input[i] for node in graph.node for i in FLOAT_INPUTS.get(node.op_type, ()) if i < len(node.input)}
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and tensor.name not in kept:
            half_tensor(tensor, kind)
    for value in [*graph.input, *graph.output, *graph.value_info]:
        half_type(value, kind)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                half_graph(attribute.g, kind)
            elif attribute.type == AttributeProto.TENSOR and attribute.t.data_type == TensorProto.FLOAT and node.output[0] not in kept:
                half_tensor(attribute.t, kind)
            elif attribute.type == AttributeProto.INT and attribute.name in ("to", "dtype") and attribute.i == TensorProto.FLOAT:
                attribute.i = kind
        if node.op_type == "ConstantOfShape" and not node.attribute:
            node.attribute.append(helper.make_attribute("value", TensorProto(data_type=kind, dims=[1], raw_data=b"\0\0")))


def in_half(model, kind=TensorProto.FLOAT16):
    made = onnx.ModelProto()
    made.CopyFrom(model)
    half_graph(made.graph, kind)
    return made
