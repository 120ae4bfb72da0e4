#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/fuzz/corpus/fuzz_load: small models that use every part of the format, and hostile ones.

  make_corpus.py [FOLDER]

The same files each time. good_* must load and check, odd_* load but are written differently, bad_* must be refused;
tests/fault/hostile.tsv says with which words. Needs numpy and onnx. Inputs found by fuzzing (found_*) are left alone.
"""
import os
import sys

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT
FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus", "fuzz_load")


# ---- wire format by hand

def varint(value, length=0):
    """At least `length` bytes long, padded where that is more than needed."""
    out = bytearray()
    while True:
        more = value > 0x7f or len(out) + 1 < length
        out.append(value & 0x7f | (0x80 if more else 0))
        value >>= 7
        if not more:
            return bytes(out)


def number(field, value):
    return varint(field << 3) + varint(value)


def data(field, payload):
    return varint(field << 3 | 2) + varint(len(payload)) + payload


def graph_model(graph):
    """A model around the bytes of a graph."""
    return number(1, 8) + data(7, graph) + data(8, number(2, 17))


def node(inputs, outputs, op_type, attributes=b""):
    return (b"".join(data(1, i) for i in inputs) + b"".join(data(2, o) for o in outputs) + data(4, op_type) + attributes)


def tensor(dims, kind, name, rest):
    return b"".join(number(1, d & (1 << 64) - 1) for d in dims) + number(2, kind) + data(8, name) + rest


def value_info(name):
    return data(1, name) + data(2, data(1, number(1, 1)))


# ---- well-formed models

def model(nodes, inputs, outputs, initializers=(), opset=17, **more):
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializer=list(initializers))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8, **more)


def info(name, shape, kind=FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def array(name, shape, dtype=np.float32):
    count = int(np.prod(shape))
    return numpy_helper.from_array((np.arange(count) % 13 - 6).astype(dtype).reshape(shape), name)


def convolution():
    return model(
        [helper.make_node("Conv", ["x", "w", "b"], ["c"], "conv", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
         helper.make_node("Relu", ["c"], ["r"], "relu"),
         helper.make_node("GlobalAveragePool", ["r"], ["p"], "pool"),
         helper.make_node("Flatten", ["p"], ["f"], "flat"),
         helper.make_node("Gemm", ["f", "w2", "b2"], ["y"], "fc", transB=1, alpha=1.0)],
        [info("x", ["N", 3, 8, 8])], [info("y", ["N", 5])],
        [array("w", (4, 3, 3, 3)), array("b", (4,)), array("w2", (5, 4)), array("b2", (5,))],
        producer_name="make_corpus", doc_string="Faltung \u00e4\u00f6\u00fc")


def branches():
    then = helper.make_graph([helper.make_node("Add", ["x", "one"], ["t"], "add")], "then", [], [info("t", [2])],
                             initializer=[array("one", (1,))])
    other = helper.make_graph([helper.make_node("Identity", ["x"], ["e"])], "else", [], [info("e", [2])])
    return model([helper.make_node("If", ["c"], ["y"], "if", then_branch=then, else_branch=other)],
                 [info("x", [2]), info("c", [], TensorProto.BOOL)], [info("y", [2])])


def loop():
    body = helper.make_graph(
        [helper.make_node("Add", ["s_in", "step"], ["s_out"]), helper.make_node("Identity", ["k_in"], ["k_out"])], "body",
        [info("i", [], TensorProto.INT64), info("k_in", [], TensorProto.BOOL), info("s_in", [1])],
        [info("k_out", [], TensorProto.BOOL), info("s_out", [1])])
    return model([helper.make_node("Loop", ["n", "k", "x"], ["y"], "loop", body=body)],
                 [info("n", [], TensorProto.INT64), info("k", [], TensorProto.BOOL), info("x", [1])], [info("y", [1])],
                 [array("step", (1,))])


def quantized():
    return model(
        [helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]), helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
         helper.make_node("DequantizeLinear", ["wq", "ws", "wz"], ["w"], axis=1),
         helper.make_node("MatMul", ["d", "w"], ["y"])],
        [info("x", [2, 3])], [info("y", [2, 4])],
        [numpy_helper.from_array(np.float32(0.25), "s"), numpy_helper.from_array(np.uint8(128), "z"),
         array("wq", (3, 4), np.int8), numpy_helper.from_array(np.full(4, 0.5, np.float32), "ws"),
         numpy_helper.from_array(np.zeros(4, np.int8), "wz")])


def typed_data():
    """Every field that can hold tensor data, and every element type."""
    tensors = []
    for name in ("FLOAT", "UINT8", "INT8", "UINT16", "INT16", "INT32", "INT64", "BOOL", "FLOAT16", "DOUBLE", "UINT32", "UINT64",
                 "COMPLEX64", "COMPLEX128", "BFLOAT16", "FLOAT8E4M3FN", "FLOAT8E5M2"):
        tensors.append(helper.make_tensor("t_" + name, getattr(TensorProto, name), [2], [0, 1]))
    tensors.append(helper.make_tensor("t_STRING", TensorProto.STRING, [2], [b"a\0b", b""]))
    for name in ("INT4", "UINT4"):
        tensors.append(helper.make_tensor("t_" + name, getattr(TensorProto, name), [3], [1, -1 if name == "INT4" else 1, 2]))
    tensors.append(helper.make_tensor("t_empty", FLOAT, [0], []))
    tensors.append(helper.make_tensor("t_scalar", FLOAT, [], [1.5]))
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    return model(nodes, [info("x", [1])], [info("y", [1])], tensors)


def attributes():
    every = helper.make_node("Op", ["x", "", "x"], ["y"], "n", domain="custom", f=1.5, i=-1, s="text", t=array("t", (2,)),
                             floats=[1.0, -0.0], ints=[1, -2, 1 << 40], strings=["a", ""], tensors=[array("u", (1,)), array("v", (1,))])
    reference = AttributeProto(name="r", ref_attr_name="outer", type=AttributeProto.INT)
    every.attribute.append(reference)
    every.metadata_props.add(key="k", value="v")
    made = model([every], [info("x", [1])], [info("y", [1])])
    made.opset_import.append(helper.make_opsetid("custom", 1))
    made.metadata_props.add(key="author", value="nobody")
    made.training_info.add().initialization.name = "init"
    made.graph.quantization_annotation.add(tensor_name="x").quant_parameter_tensor_names.add(key="SCALE_TENSOR", value="s")
    made.graph.value_info.append(info("y", ["N"]))
    sparse = made.graph.sparse_initializer.add(dims=[5])
    sparse.values.CopyFrom(array("sv", (2,)))
    sparse.indices.CopyFrom(numpy_helper.from_array(np.array([1, 3]), "si"))
    return made


def types():
    made = model([helper.make_node("Identity", ["x"], ["y"])], [info("x", [1])], [info("y", ["N", None, 3])])
    for index, kind in enumerate((
            helper.make_sequence_type_proto(helper.make_tensor_type_proto(FLOAT, [1])),
            helper.make_optional_type_proto(helper.make_tensor_type_proto(FLOAT, None)),
            helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(FLOAT, [1])),
            helper.make_sparse_tensor_type_proto(FLOAT, [2, 2]))):
        made.graph.input.append(helper.make_value_info(f"in{index}", kind))
    return made


def function():
    inner = helper.make_function("local", "F", ["a"], ["b"],
                                 [helper.make_node("Constant", [], ["k"], value=array("k", (1,))), helper.make_node("Add", ["a", "k"], ["b"])],
                                 [helper.make_opsetid("", 17)], ["unused"])
    made = model([helper.make_node("F", ["x"], ["y"], domain="local")], [info("x", [1])], [info("y", [1])])
    made.opset_import.append(helper.make_opsetid("local", 1))
    made.functions.append(inner)
    return made


def good():
    for build in (convolution, branches, loop, quantized, typed_data, attributes, types, function):
        yield build.__name__, build().SerializeToString(deterministic=True)
    unknown = convolution().SerializeToString(deterministic=True)
    yield "unknown_fields", unknown + data(300, b"\0new\xff") + number(301, 1 << 63) + varint(302 << 3 | 5) + b"1234"
    deep = data(2, b"innermost")
    for _ in range(30):
        deep = data(1, node([], [], b"If", data(5, data(1, b"b") + data(6, deep) + number(20, 5)))) + data(2, b"g")
    yield "nested_30", graph_model(deep)


def odd():
    small = node([b"x"], [b"y"], b"Relu")
    graph = data(11, value_info(b"x")) + data(1, small) + data(2, b"g") + data(12, value_info(b"y"))
    yield "fields_out_of_order", data(8, number(2, 17)) + data(7, graph) + number(1, 8)
    yield "last_number_counts", number(1, 3) + graph_model(graph)
    yield "padded_length", number(1, 8) + varint(7 << 3 | 2) + varint(len(graph), 5) + graph + data(8, number(2, 17))
    yield "padded_tag", varint(1 << 3, 3) + varint(8, 9) + data(7, graph) + data(8, number(2, 17))
    packed = tensor([], 1, b"w", data(4, np.float32([1, 2]).tobytes()) + data(1, varint(1) + varint(2)))
    yield "packed_dims", graph_model(data(5, packed) + graph)
    yield "raw_data_twice", graph_model(data(5, tensor([1], 1, b"w", data(9, b"12") + data(9, b"3456"))) + graph)
    yield "empty_raw_data", graph_model(data(5, tensor([0], 1, b"w", data(9, b""))) + graph)
    yield "text_not_utf8", graph_model(data(2, b"\xff\xfe") + data(1, small) + data(11, value_info(b"x")) + data(12, value_info(b"y")))


def bad():
    whole = convolution().SerializeToString(deterministic=True)
    small = data(1, node([b"x"], [b"y"], b"Relu")) + data(2, b"g") + data(11, value_info(b"x")) + data(12, value_info(b"y"))

    def with_tensor(dims, kind, rest):
        return graph_model(data(5, tensor(dims, kind, b"w", rest)) + small)

    yield "empty", b""
    yield "no_graph", number(1, 8)
    yield "text", b"This is no model.\n"
    yield "zeros", bytes(64)
    yield "truncated", whole[:len(whole) // 2]
    yield "length_past_end", varint(7 << 3 | 2) + varint(1000) + b"short"
    yield "length_huge", varint(7 << 3 | 2) + b"\xff\xff\xff\xff\x7f" + b"short"
    yield "length_wraps", varint(7 << 3 | 2) + varint((1 << 64) - 4) + b"short"
    yield "field_zero", graph_model(small) + b"\x02\x00"
    yield "field_zero_padded", graph_model(small) + b"\x81\x00" + bytes(8)
    yield "field_too_large", graph_model(small) + b"\x80\x80\x80\x80\x10\x00"
    yield "group", graph_model(small) + varint(100 << 3 | 3) + varint(100 << 3 | 4)
    yield "varint_too_long", b"\x08" + b"\x80" * 12 + b"\x01"
    yield "wrong_wire_type", b"\x0d\0\0\0\0" + graph_model(small)
    yield "nul_in_text", number(1, 8) + data(6, b"a\0b") + data(7, small)
    yield "graph_twice", graph_model(small) + data(7, small)
    deep = data(2, b"innermost")
    for _ in range(1400):
        deep = data(1, data(5, data(6, deep)))
    yield "nested_1400", graph_model(deep)
    yield "negative_dim", with_tensor([2, -3], 1, data(9, bytes(24)))
    yield "dims_overflow", with_tensor([1 << 40, 1 << 40], 1, data(9, bytes(24)))
    yield "dims_overflow_to_zero", with_tensor([1 << 32, 1 << 32], 1, data(9, b""))
    yield "raw_data_short", with_tensor([3], 1, data(9, bytes(10)))
    yield "raw_data_long", with_tensor([3], 1, data(9, bytes(13)))
    yield "float_data_short", with_tensor([3], 1, data(4, bytes(8)))
    yield "string_raw_data", with_tensor([1], 8, data(9, bytes(1)))
    yield "element_type", with_tensor([1], 1234, data(9, bytes(4)))
    yield "external_data", with_tensor([1], 1, data(13, data(1, b"location") + data(2, b"../secret")) + number(14, 1))
    relu = data(1, node([b"x"], [b"y"], b"Relu"))
    ends = data(11, value_info(b"x")) + data(12, value_info(b"y"))
    yield "defined_twice", graph_model(relu + relu + ends)
    yield "cycle", graph_model(data(1, node([b"x", b"b"], [b"a"], b"Add")) + data(1, node([b"a"], [b"b"], b"Relu")) + ends)
    yield "own_input", graph_model(data(1, node([b"y"], [b"y"], b"Relu")) + ends)
    yield "unknown_input", graph_model(data(1, node([b"nowhere"], [b"y"], b"Relu")) + ends)
    yield "unknown_output", graph_model(data(1, node([b"x"], [b"z"], b"Relu")) + ends)
    yield "initializer_twice", graph_model(2 * data(5, tensor([1], 1, b"w", data(9, bytes(4)))) + small)
    yield "attribute_twice", graph_model(data(1, node([b"x"], [b"y"], b"Relu", 2 * data(5, data(1, b"a") + number(3, 1) + number(20, 2)))) + ends)
    yield "no_opset", number(1, 8) + data(7, small)
    scale = data(5, tensor([], 1, b"s", data(9, np.float32(0).tobytes()))) + data(5, tensor([], 2, b"z", data(9, b"\0")))
    yield "zero_scale", graph_model(scale + data(1, node([b"x", b"s", b"z"], [b"y"], b"QuantizeLinear")) + ends)


def main():
    folder = sys.argv[1] if len(sys.argv) > 1 else FOLDER
    os.makedirs(folder, exist_ok=True)
    for name in os.listdir(folder):
        if not name.startswith("found_"):
            os.remove(os.path.join(folder, name))
    total = 0
    for kind, files in (("good", good()), ("odd", odd()), ("bad", bad())):
        for name, content in files:
            assert len(content) < 20000, (name, len(content))
            if kind == "good":
                onnx.load_from_string(content)
            with open(os.path.join(folder, f"{kind}_{name}.onnx"), "wb") as file:
                file.write(content)
            total += len(content)
    print(f"{total} bytes in {folder}")


if __name__ == "__main__":
    main()
