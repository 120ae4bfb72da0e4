# SPDX-License-Identifier: Apache-2.0
"""check.py sees every kind of difference: Brevitas' own files, changed in one place, are no longer the same."""
import os
import sys
import zipfile

import onnx
from onnx import numpy_helper

import check


def constant_of(model, node, slot):
    return next(i for i in model.graph.initializer if i.name == node.input[slot])


def change(tensor, how):
    array = numpy_helper.to_array(tensor).copy()
    array.ravel()[0] = how(array.ravel()[0])
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


def nodes(model, op):
    return [n for n in model.graph.node if n.op_type == op]


def maker(model, name):
    return next(n for n in model.graph.node if name in n.output)


def drop_clip(model):
    clip = nodes(model, "Clip")[0]
    for node in model.graph.node:
        for slot, name in enumerate(node.input):
            if name == clip.output[0]:
                node.input[slot] = clip.input[0]
    model.graph.node.remove(clip)


CHANGES = {
    "a weight's code": lambda m: change(constant_of(m, nodes(m, "Clip")[0], 0), lambda x: x + 1),
    "the limit of a clip": lambda m: change(constant_of(m, nodes(m, "Clip")[0], 1), lambda x: x - 1),
    "the last bit of the input's scale": lambda m: change(constant_of(m, nodes(m, "QuantizeLinear")[0], 1), lambda x: x * (1 + 2.0 ** -23)),
    "four last bits of the output's scale": lambda m: change(constant_of(m, nodes(m, "QuantizeLinear")[-1], 1), lambda x: x * (1 + 2.0 ** -20)),
    "a bias by more than one": lambda m: change(constant_of(m, maker(m, nodes(m, "Conv")[0].input[2]), 0), lambda x: x + 2),
    "no clip": drop_clip,
    "an attribute": lambda m: nodes(m, "DequantizeLinear")[1].attribute[0].__setattr__("i", 1),
    "another output": lambda m: m.graph.output[0].__setattr__("name", nodes(m, "Conv")[0].output[0]),
    "two operands swapped": lambda m: nodes(m, "Clip")[0].input.__setitem__(slice(1, 3), list(nodes(m, "Clip")[0].input)[2:0:-1]),
}


def main():
    blind = 0
    with zipfile.ZipFile(os.path.join(check.HERE, "cases.zip")) as archive:
        data = archive.read("conv2d_pc_full/qcdq.onnx")
    theirs = check.View(onnx.load_from_string(data))
    if check.compare(check.View(onnx.load_from_string(data)), theirs) != 0:
        blind += print("a file is not the same as itself") or 1
    for what, do in CHANGES.items():
        model = onnx.load_from_string(data)
        do(model)
        try:
            check.compare(check.View(model), theirs)
            blind += print(f"{what}: not seen") or 1
        except check.Difference as difference:
            print(f"{what}: {difference}")
    return 1 if blind else 0


if __name__ == "__main__":
    sys.exit(main())
