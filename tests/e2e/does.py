# SPDX-License-Identifier: Apache-2.0
"""Does ONNX Runtime do what the report says? does.py QUANTIZED.onnx…, each with its sidecar beside it.

The model is opened at full optimization of the operators (before layouts are changed, which renames values) and the graph
that ONNX Runtime made of it is held against each node's decision in the sidecar:

  quantized     its result comes out of an integer kernel, and no constant of it is dequantized when the model runs
  fused         it is gone
  moves_codes   it moves integers, or is gone because moving was not needed
  float         nothing is asked: a runtime may do more than the report promises

and no DequantizeLinear is left that feeds a node which the report calls quantized."""
import collections
import os
import sys
import tempfile

import numpy as np
import onnx
from onnx import numpy_helper
from runs import FULL, FUSED, session, sidecar

INTEGER_KERNELS = {"QLinearConv", "QLinearMatMul", "MatMulInteger", "ConvInteger", "QGemm", "MatMulIntegerToFloat", "DynamicQuantizeMatMul",
                   "QLinearAdd", "QLinearMul", "QLinearConcat", "QLinearSigmoid", "QLinearLeakyRelu", "QLinearAveragePool",
                   "QLinearGlobalAveragePool", "QLinearSoftmax", "QLinearReduceMean", "QLinearWhere", "DynamicQuantizeLSTM"}
# What ONNX Runtime may put in front of or behind a kernel when it fuses it.
AROUND = {"Reshape", "Transpose", "Squeeze", "Unsqueeze"}


def optimized(path, level):
    with tempfile.TemporaryDirectory(prefix="qonnx-does-") as scratch:
        saved = os.path.join(scratch, "optimized.onnx")
        session(path, level, save=saved)
        return onnx.load(saved)


def all_nodes(graph):
    """Those of nested graphs too, before the node that holds them."""
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from all_nodes(attribute.g)
        yield node


def kernels(model):
    """The integer kernels of a graph and how many there are of each."""
    return collections.Counter(n.op_type for n in all_nodes(model.graph) if n.op_type in INTEGER_KERNELS)


class View:
    """The graph that ONNX Runtime made, and the names that values have in the quantized model."""

    def __init__(self, quantized, made):
        before, after = list(all_nodes(quantized.graph)), list(all_nodes(made.graph))
        self.producer = {o: n for n in after for o in n.output if o}
        self.by_name = {n.name: n for n in after if n.name}
        self.constants = {t.name: numpy_helper.to_array(t) for t in made.graph.initializer}
        self.readers = collections.defaultdict(list)
        for node in after:
            for value in node.input:
                self.readers[value].append(node)
        self.codes = {n.input[0]: n.output[0] for n in before if n.op_type == "QuantizeLinear"}
        self.dequantizes = {n.output[0]: n.input[0] for n in before if n.op_type == "DequantizeLinear"}
        self.quantized = {n.name: n for n in before if n.name}
        self.by_output = {o: n for n in before for o in n.output if o}

    def behind(self, node):
        """The kernel that a node's data comes from, seen through reshapes."""
        while node is not None and node.op_type in AROUND:
            node = self.producer.get(node.input[0])
        return node

    def maker(self, result):
        """Who makes a value of the quantized model, as codes if it is quantized; None when nobody does any more."""
        return self.producer.get(self.codes.get(result, result)) or self.producer.get(result)


def constants_of(view, row):
    """Codes of the weight and bias of a node of the quantized model."""
    node = view.by_output.get(row["output"])
    return [view.dequantizes[v] for v in (node.input if node is not None else [])
            if v in view.dequantizes and view.dequantizes[v] not in view.codes.values()]


def pairs_fit(view, lstm):
    """Its activations take any code. Weights are [directions, inputs, gates]."""
    for codes in (view.constants[name].astype(int) for name in lstm.input[1:3]):
        codes = np.pad(codes, [(0, 0), (0, codes.shape[1] % 2), (0, 0)])
        if any(np.maximum(sign * codes, 0).reshape(len(codes), -1, 2, codes.shape[2]).sum(2).max() * 255 > 32767 for sign in (1, -1)):
            return False
    return True


def complaint(view, row, result, readers_want_float):
    """What is wrong with a node, or None."""
    decision, maker = row["decision"], view.maker(result)
    if decision == "quantized" and row["op_type"] == "LSTM":  # what reads it may be moved up to it
        found = view.by_name.get(row["name"])
        if found is None or found.op_type != "DynamicQuantizeLSTM":
            return "it is not computed on integers"
        return None if "pairs" not in row or pairs_fit(view, found) else "two products of it do not fit 16 bits"
    if decision == "quantized" and row["op_type"] == "Gather":  # an embedding, which is read as codes
        made = view.by_output.get(row["output"])
        if made is not None and made.op_type == "GatherBlockQuantized":
            return None
        reader = view.by_name.get(row["name"])
        if made is None or made.op_type != "DequantizeLinear" or reader is None or reader.output[0] != made.input[0]:
            return "its rows are not read as codes"
        return None
    if decision == "quantized":
        for codes in constants_of(view, row):
            if any(n.op_type == "DequantizeLinear" for n in view.readers[codes]):
                return f"its constant '{codes}' is dequantized in each run"
        kernel = view.behind(maker) or view.by_name.get(row["name"])
        if kernel is None:
            used = [n for codes in constants_of(view, row) for n in view.readers[codes]]
            kernel = used[0] if used else None
        if kernel is None or kernel.op_type not in INTEGER_KERNELS:
            return f"its result comes from {kernel.op_type if kernel is not None else 'nowhere'}"
    if decision == "fused" and row["name"] in view.by_name and view.by_name[row["name"]].op_type == row["op_type"]:
        return "it is still there"
    if decision == "moves_codes" and maker is not None and maker.op_type == "QuantizeLinear":
        before = view.producer.get(maker.input[0])
        # where moves cancel each other out, ONNX Runtime leaves an empty pair
        if before is None or before.op_type != "DequantizeLinear":
            return "its result is quantized again"
    return None


def check(path):
    """Complaints about the file, and the integer kernels it runs."""
    quantized, made, report = onnx.load(path), optimized(path, FUSED), sidecar(path)
    view, rows, wrong = View(quantized, made), report["nodes"], []
    result = {row["index"]: row["output"] for row in rows}
    for row in rows:
        if row["decision"] == "fused":
            result[row["fused_into"]] = row["output"]
    integer = {row["output"] for row in rows if row["decision"] in ("quantized", "fused", "moves_codes")}
    for row in rows:
        text = complaint(view, row, result[row["index"]], False)
        if text:
            wrong.append(f"node '{row['name']}' ({row['op_type']}) is reported as {row['decision']}, but {text}")
    for node in all_nodes(made.graph):
        if node.op_type == "DequantizeLinear":
            for reader in view.readers[node.output[0]]:
                if any(o in integer for o in reader.output) and reader.op_type not in INTEGER_KERNELS:
                    wrong.append(f"'{reader.name}' ({reader.op_type}) reads dequantized values, though it is reported as integer")
    # layouts do not change which kernels run
    counts = kernels(made)
    again = kernels(optimized(path, FULL))
    if again != counts:
        wrong.append(f"at the full level the kernels are {dict(again)} instead of {dict(counts)}")
    return wrong, counts


def main():
    failed = False
    for path in sys.argv[1:]:
        wrong, counts = check(path)
        print(f"{path}: {', '.join(f'{n} {op}' for op, n in sorted(counts.items())) or 'no integer kernel'}")
        for text in wrong:
            print(f"  WRONG: {text}")
        failed |= bool(wrong)
    return 1 if failed or len(sys.argv) < 2 else 0


if __name__ == "__main__":
    sys.exit(main())
