# SPDX-License-Identifier: Apache-2.0
"""How the zoo's models are made: a Net collects nodes and random weights, and knows what is expected of its quantized form.

Everything random comes from a generator seeded by the model's name, so a model is the same bytes wherever it is made."""
import zlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

IR_OF_OPSET = {9: 4, 10: 5, 11: 6, 12: 7, 13: 7, 14: 7, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9, 21: 10, 22: 10, 23: 11, 24: 12, 25: 13, 26: 13}
MODELS = {}  # name -> function that makes its Net, in order of definition


class Net:
    """A model in the making. Methods that add nodes return the name of the (first) output."""

    def __init__(self, name, opset=17, ir=None):
        self.name, self.opset, self.ir = name, opset, ir or IR_OF_OPSET[opset]
        self.rng = np.random.default_rng(zlib.crc32(name.encode()))
        self.nodes, self.initializers, self.inputs, self.outputs, self.functions = [], [], [], [], []
        self.feeds = {}  # input name -> function (rng) -> one sample
        self.channels = {}  # of values that layers read: the extent that the next weight must have
        self.count = 0
        # what is expected:
        self.kernels = {}  # integer kernels in ONNX Runtime's optimized graph, all of them
        self.db = 28.0  # least SQNR of every float output in exact arithmetic
        self.options = []  # further arguments
        self.status = 0
        self.float_nodes = {}  # node name -> the reason it stays float for
        self.warns = None  # a piece of a warning
        self.ints_may_differ = False  # an integer output that depends on rounding
        self.shares_weights = False  # ONNX Runtime 1.31 cannot make the codes of a shared weight unsigned: see test_zoo.py
        self.output_rank = 4  # where it cannot be inferred

    def expect(self, kernels, db=28.0, options=(), status=0, float_nodes=None, warns=None):
        self.kernels, self.db, self.options, self.status = kernels, db, list(options), status
        self.float_nodes, self.warns = float_nodes or {}, warns
        return self

    # ---- values ----

    def input(self, name, shape, feed=None, dtype=TensorProto.FLOAT, sample_shape=None):
        """A graph input. feed(rng) makes a sample; normal numbers otherwise, a symbolic size being 2."""
        sizes = sample_shape or [size if isinstance(size, int) else 2 for size in shape]
        self.inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        self.feeds[name] = feed or (lambda rng: rng.standard_normal(sizes).astype(np.float32))
        self.channels[name] = ([1] + sizes[:2])[-1]
        return name

    def output(self, *names, dtype=TensorProto.FLOAT, shape=None):
        for name in names:
            self.outputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return self

    def weight(self, array, name=None):
        self.count += 1
        name = name or f"c{self.count}"
        array = np.asarray(array)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def normal(self, *shape, fan_in=None):
        return (self.rng.standard_normal(shape) / np.sqrt(fan_in or 1)).astype(np.float32)

    def ints(self, *values):
        return self.weight(np.array(values, np.int64))

    # ---- nodes ----

    def node(self, op, *inputs, outputs=1, name=None, out=None, channels=None, **attributes):
        self.count += 1
        name = f"{op.lower()}{self.count}" if name is None else name
        made = out or [f"{name or 'v%d' % self.count}.y{k if k else ''}" for k in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), made, name=name, **attributes))
        width = channels or next((self.channels[v] for v in inputs if v in self.channels), None)
        for value in made:
            self.channels[value] = width
        return made[0] if len(made) == 1 else made

    def conv(self, x, out_channels, kernel=(3, 3), group=1, bias=True, weight=None, op="Conv", name=None, **attributes):
        depth = self.channels[x]
        fan_in = depth // group * int(np.prod(kernel))
        shape = (out_channels, depth // group) if op == "Conv" else (depth, out_channels // group)
        w = weight or self.weight(self.normal(*shape, *kernel, fan_in=fan_in))
        inputs = [x, w] + ([self.weight(self.normal(out_channels) * 0.2)] if bias else [])
        if "pads" not in attributes and "auto_pad" not in attributes:
            attributes["pads"] = [k // 2 for k in kernel] * 2
        if group > 1:
            attributes["group"] = group
        return self.node(op, *inputs, channels=out_channels, name=name, **attributes)

    def gemm(self, x, width, bias=True, trans_b=False, name=None, depth=None, **attributes):
        depth = depth or self.channels[x]
        w = self.normal(*((width, depth) if trans_b else (depth, width)), fan_in=depth)
        inputs = [x, self.weight(w)] + ([self.weight(self.normal(width) * 0.2)] if bias is True else [bias] if bias else [])
        if trans_b:
            attributes["transB"] = 1
        return self.node("Gemm", *inputs, channels=width, name=name, **attributes)

    def matmul(self, x, width, depth, name=None, weight=None):
        return self.node("MatMul", x, weight or self.weight(self.normal(depth, width, fan_in=depth)), channels=width, name=name)

    def linear(self, x, width, depth, bias_shape=None, bias_first=False, name=None):
        y = self.matmul(x, width, depth, name=name)
        b = self.weight((self.normal(width) * 0.2).reshape(bias_shape or (width,)))
        return self.node("Add", *((b, y) if bias_first else (y, b)), name=name and name + "_bias")

    def head(self, x, width=10):
        """Global pooling and a classifier; its result is the output."""
        y = self.node("GlobalAveragePool", x)
        y = self.node("Flatten", y)
        return self.output(self.gemm(y, width, name="head"))

    # ---- results ----

    def model(self):
        graph = helper.make_graph(self.nodes, self.name, self.inputs, self.outputs, self.initializers)
        domains = [helper.make_opsetid("", self.opset)]
        domains += [helper.make_opsetid(d, 1) for d in sorted({n.domain for n in self.nodes if n.domain} | {f.domain for f in self.functions})]
        made = helper.make_model(graph, opset_imports=domains, functions=self.functions, producer_name="zoo")
        made.ir_version = self.ir
        self.declare_outputs(made)
        return made

    def declare_outputs(self, made):
        """Shapes of graph outputs must be declared: those that can be inferred, else the rank that a run shows."""
        inferred = onnx.shape_inference.infer_shapes(made, data_prop=True)
        found = {o.name: o.type.tensor_type for o in inferred.graph.output}
        for value in made.graph.output:
            if value.type.tensor_type.HasField("shape"):
                continue
            if found[value.name].HasField("shape"):
                value.type.tensor_type.shape.CopyFrom(found[value.name].shape)
            else:
                value.type.tensor_type.shape.CopyFrom(onnx.TensorShapeProto())
                for _ in range(self.output_rank):
                    value.type.tensor_type.shape.dim.add()

    def samples(self, count, seed):
        rng = np.random.default_rng([zlib.crc32(self.name.encode()), seed])
        feeds = [{name: feed(rng) for name, feed in self.feeds.items()} for _ in range(count)]
        return {name: np.stack([feed[name] for feed in feeds]) for name in self.feeds}


def zoo(opset=17, **settings):
    """Registers a function (net) -> None under its own name."""
    def register(build):
        def make():
            net = Net(build.__name__, opset, **settings)
            build(net)
            return net
        make.__module__ = build.__module__
        assert build.__name__ not in MODELS, build.__name__
        MODELS[build.__name__] = make
        return make
    return register
