# SPDX-License-Identifier: Apache-2.0
"""Random networks that run: operators wired at random, values read several times, outputs in the middle."""
import numpy as np

from .build import Net

BATCH, SIDE, WIDTH = 1, 8, 8  # of images [1,8,8,8], sequences [1,6,8] and rows [4,8]
WIDE = {"image": 4, "sequence": 3, "row": 2}  # ranks


class Wild:
    def __init__(self, seed):
        self.net = Net(f"random_{seed}", opset=17)
        self.pick = np.random.default_rng(seed)
        shapes = {"image": [BATCH, WIDTH, SIDE, SIDE], "sequence": [BATCH, 6, WIDTH], "row": [4, WIDTH]}
        self.kind = list(shapes)[self.pick.integers(3)]
        self.values = [self.net.input("x", shapes[self.kind])]
        if self.pick.random() < 0.3:
            self.values.append(self.net.input("x2", shapes[self.kind]))
        self.unread = set(self.values)

    def choose(self, options):
        return options[self.pick.integers(len(options))]

    def value(self):
        """Mostly one that was made lately."""
        back = min(int(self.pick.geometric(0.45)), len(self.values))
        v = self.values[-back]
        self.unread.discard(v)
        return v

    def add(self, v):
        self.net.channels[v] = WIDTH
        self.values.append(v)
        self.unread.add(v)

    # ---- what keeps the shape ----

    def layer(self):
        net, x = self.net, self.value()
        if self.kind == "image":
            group = self.choose([1, 1, 1, WIDTH])
            kernel = self.choose([(3, 3), (1, 1)])
            return net.conv(x, WIDTH, kernel=kernel, group=group, bias=bool(self.pick.integers(2)))
        if self.kind == "row" and self.pick.random() < 0.6:
            return net.gemm(x, WIDTH, bias=bool(self.pick.integers(2)), trans_b=bool(self.pick.integers(2)))
        if self.pick.random() < 0.4:
            return net.matmul(x, WIDTH, WIDTH)
        shape = self.choose([(WIDTH,), (1, WIDTH)] + ([(1, 1, WIDTH)] if self.kind == "sequence" else []))
        return net.linear(x, WIDTH, WIDTH, bias_shape=shape, bias_first=bool(self.pick.integers(2)))

    def clamp(self):
        net, x = self.net, self.value()
        if self.pick.random() < 0.7:
            return net.node("Relu", x)
        low, high = self.choose([(0, 6), (-1, 1), (0, 0.5), (0.1, 2), (-2, 0)])
        return net.node("Clip", x, net.weight(np.float32(low)), net.weight(np.float32(high)))

    def function(self):
        net, x = self.net, self.value()
        op = self.choose(["Sigmoid", "Tanh", "LeakyRelu", "HardSwish", "Abs", "Neg", "silu", "scale", "shift"])
        if op == "silu":
            return net.node("Mul", x, net.node("Sigmoid", x))
        if op == "scale":
            return net.node("Mul", x, net.weight(np.float32(0.5)))
        if op == "shift":
            return net.node("Add", x, net.weight(np.float32(1)))
        return net.node(op, x)

    def join(self):
        net, op = self.net, self.choose(["Add", "Add", "Mul", "Sub", "concat"])
        if op != "concat":
            return net.node(op, self.value(), self.value())
        axis = 1 if self.kind == "image" else -1
        y = net.node("Concat", self.value(), self.value(), axis=axis)
        return net.node("Slice", y, net.ints(4), net.ints(4 + WIDTH), net.ints(axis))

    def move(self):
        net, x = self.net, self.value()
        if self.kind == "row":
            return net.node("Reshape", net.node("Reshape", x, net.ints(2, -1)), net.ints(4, WIDTH))
        if self.kind == "sequence":
            y = net.node("Transpose", net.node("Reshape", x, net.ints(1, 2, 3, WIDTH)), perm=[0, 2, 1, 3])
            return net.node("Reshape", y, net.ints(1, 6, WIDTH))
        op = self.choose(["transpose", "pool", "reshape", "split", "resize", "average"])
        if op == "transpose":
            return net.node("Transpose", x, perm=[0, 1, 3, 2])
        if op == "pool":
            return net.node("MaxPool", x, kernel_shape=[3, 3], pads=[1] * 4)
        if op == "average":
            return net.node("AveragePool", x, kernel_shape=[3, 3], pads=[1] * 4)
        if op == "reshape":
            return net.node("Reshape", net.node("Reshape", x, net.ints(0, 4, 16, 8)), net.ints(0, WIDTH, SIDE, SIDE))
        if op == "resize":
            y = net.node("Resize", x, "", net.weight(np.array([1, 1, 2, 2], np.float32)), mode="nearest")
            return net.node("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2])
        a, b = net.node("Split", x, net.ints(4, 4), outputs=2, axis=1)
        return net.node("Concat", b, a, axis=1)

    def other(self):
        net, x = self.net, self.value()
        op = self.choose(["Softmax", "Softmax", "where", "max", "mean", "product", "norm", "erf", "prelu", "pad", "gate", "gather", "constant"])
        if op == "where":
            return net.node("Where", net.node("Greater", x, net.weight(np.float32(0.1))), self.value(), self.value())
        if op == "max":
            return net.node(self.choose(["Max", "Min"]), x, self.value())
        if op == "mean":
            return net.node("Sub", x, net.node("ReduceMean", x, axes=[-1]))
        if op == "product":
            y = self.value()
            axes = list(range(WIDE[self.kind]))
            axes[-2:] = axes[:-3:-1]
            return net.node("MatMul", net.node("Softmax", net.node("MatMul", x, net.node("Transpose", y, perm=axes)), axis=-1), self.value())
        if op == "norm":
            size = SIDE if self.kind == "image" else WIDTH
            return net.node("LayerNormalization", x, net.weight(1 + 0.1 * net.normal(size)), net.weight(0.1 * net.normal(size)), axis=-1)
        if op == "erf":
            return net.node("Erf", x)
        if op == "prelu":
            return net.node("PRelu", x, net.weight(np.float32([0.2])))
        if op == "gate" and self.kind == "image":
            return net.node("Mul", x, net.node("Sigmoid", net.conv(net.node("GlobalAveragePool", x), WIDTH, kernel=(1, 1))))
        if op == "gather":
            return net.node("Gather", x, net.ints(*reversed(range(WIDTH))), axis=1 if self.kind == "image" else -1)
        if op == "constant":
            return net.node(self.choose(["Add", "Mul"]), x, net.weight(net.normal(*([1] * (WIDE[self.kind] - 1)), 8)))
        if op == "pad":
            low = [0] * WIDE[self.kind]
            low[-1] = 1
            y = net.node("Pad", x, net.ints(*(low + [0] * WIDE[self.kind])))
            return net.node("Slice", y, net.ints(0), net.ints(8), net.ints(WIDE[self.kind] - 1))
        return net.node("Softmax", x, axis=1)


def make(seed):
    """A Net of 4 to 25 steps."""
    wild = Wild(seed)
    steps = [wild.layer] * 6 + [wild.clamp] * 3 + [wild.function] * 2 + [wild.join] * 3 + [wild.move] * 2 + [wild.other] * 2
    for _ in range(int(wild.pick.integers(4, 26))):
        wild.add(wild.choose(steps)())
    inputs = {value.name for value in wild.net.inputs}
    outputs = [v for v in wild.values if v in wild.unread and v not in inputs]
    if wild.pick.random() < 0.4:  # one in the middle, too
        outputs += [v for v in [wild.values[wild.pick.integers(len(wild.values))]] if v not in outputs and v not in inputs]
    wild.net.output(*(outputs or [wild.values[-1]]))
    layers = [n.name for n in wild.net.nodes if n.op_type in ("Conv", "Gemm", "MatMul")]
    options = ["--exclude", wild.choose(layers)] if layers and wild.pick.random() < 0.2 else []
    return wild.net.expect(None, db=7, options=options)  # 10 are asked for, on a few calibration samples
