# SPDX-License-Identifier: Apache-2.0
"""What the pass tests share: a case, running a pass over it with run_passes, and judging the result in ONNX Runtime."""
import collections
import dataclasses
import os
import subprocess
import tempfile

import numpy as np
import onnx
import onnx.parser
import onnxruntime


@dataclasses.dataclass
class Case:
    """One model in ONNX's text syntax, and what a pass makes of it.

    weights: initializers by name
    feeds: inputs by name; others are random normal numbers of the declared shape and type
    ops: operators of the result, sorted, with their counts ("Conv Relu*2"); None: as before
    fails: a piece of the expected error text
    outcome: gets the resulting model and raises AssertionError
    exact: outputs must be equal, else to 1e-5 of the largest value
    prepare: changes the model before it is saved
    runs: False where ONNX Runtime has no kernel for the model or its result is not defined
    """
    name: str
    passes: str
    text: str
    ops: str = None
    weights: dict = dataclasses.field(default_factory=dict)
    feeds: dict = dataclasses.field(default_factory=dict)
    fails: str = None
    outcome: object = None
    exact: bool = False
    prepare: object = None
    runs: bool = True


RNG = np.random.default_rng(7)


def numbers(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def head(opset=13, ir=8, extra=""):
    return f'<ir_version: {ir}, opset_import: ["" : {opset}{extra}]>\n'


def require(holds, text):
    assert holds, text


def initializers(model):
    return {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def holds(**wanted):
    """The result has exactly these initializers, of these shapes."""
    def check(model):
        found = {name: array.shape for name, array in initializers(model).items()}
        assert found == {name: tuple(shape) for name, shape in wanted.items()}, f"initializers {found}"
    return check


def model_of(case):
    model = onnx.parser.parse_model(case.text)
    for name, array in case.weights.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(array), name))
    if case.prepare:
        case.prepare(model)
    return model


def op_list(model):
    counts = collections.Counter(node.op_type for node in model.graph.node)
    return " ".join(op if n == 1 else f"{op}*{n}" for op, n in sorted(counts.items()))


def session(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


TYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16,
         "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(bool)": np.bool_}


def random_feed(inputs, given, seed):
    """Given arrays, else numbers of the declared type; symbolic sizes are 2."""
    rng = np.random.default_rng(seed)
    feed = {}
    for port in inputs:
        if port.name in given:
            feed[port.name] = given[port.name]
            continue
        shape = [size if isinstance(size, int) and size > 0 else 2 for size in port.shape]
        feed[port.name] = (rng.standard_normal(shape) * 3).astype(TYPES[port.type])
    return feed


def difference(before, after):
    """Largest difference and its Euclidean norm, relative to the largest value and to the norm; exact for integers."""
    assert before.shape == after.shape, f"shape {before.shape} became {after.shape}"
    assert before.dtype == after.dtype, f"type {before.dtype} became {after.dtype}"
    if before.dtype.kind != "f":
        assert np.array_equal(before, after), "integers differ"
        return 0.0, 0.0
    x, y = before.astype(np.float64), after.astype(np.float64)
    assert np.array_equal(np.isfinite(x), np.isfinite(y)), "other values are finite"
    x, y = np.where(np.isfinite(x), x, 0), np.where(np.isfinite(y), y, 0)
    if not x.size:
        return 0.0, 0.0
    largest, norm = np.abs(x).max(), np.sqrt((x * x).sum())
    return np.abs(x - y).max() / (largest or 1), np.sqrt(((x - y) ** 2).sum()) / (norm or 1)


def run_tool(tool, source, target, passes):
    return subprocess.run([tool, source, target, passes], capture_output=True, text=True)


def same_ports(before, after):
    def ports(values):
        return [(v.name, v.type.SerializeToString()) for v in values]
    initializers = {t.name for t in after.graph.initializer} | {t.name for t in before.graph.initializer}
    inputs = [[p for p in ports(m.graph.input) if p[0] not in initializers] for m in (before, after)]
    assert inputs[0] == inputs[1], "graph inputs differ"
    assert ports(before.graph.output) == ports(after.graph.output), "graph outputs differ"


def check(tool, case, folder):
    """Raises AssertionError where the case does not come out as promised."""
    source, target, again = (os.path.join(folder, name) for name in ("before.onnx", "after.onnx", "again.onnx"))
    model = model_of(case)
    onnx.save(model, source)
    done = run_tool(tool, source, target, case.passes)
    if case.fails:
        assert done.returncode == 1, f"exit status {done.returncode}: {done.stderr}"
        assert case.fails in done.stderr, f"says: {done.stderr}"
        assert not os.path.exists(target), "an output was written"
        return
    assert done.returncode == 0, done.stderr
    result = onnx.load(target)
    onnx.checker.check_model(result, full_check=True)
    same_ports(model, result)
    wanted = op_list(model) if case.ops is None else case.ops
    assert op_list(result) == wanted, f"operators {op_list(result)}, wanted {wanted}"
    if case.outcome:
        case.outcome(result)
    if case.runs:
        compare_runs(case, session(source), session(target))
    assert run_tool(tool, target, again, case.passes).returncode == 0
    with open(target, "rb") as first, open(again, "rb") as second:
        assert first.read() == second.read(), "a second run changes the model again"


def compare_runs(case, before, after):
    for seed in range(3):
        feed = random_feed(before.get_inputs(), case.feeds, seed)
        for x, y in zip(before.run(None, feed), after.run(None, feed)):
            largest, _ = difference(x, y)
            assert largest <= (0 if case.exact else 1e-5), f"differs by {largest:.2e}"


def check_all(tool, cases):
    names = [case.name for case in cases]
    assert len(set(names)) == len(names), "two cases of one name"
    failed = []
    for case in cases:
        with tempfile.TemporaryDirectory(prefix="qonnx-pass-") as folder:
            try:
                check(tool, case, folder)
            except Exception as error:  # a checker's or runtime's error fails the case like any other
                failed.append(case.name)
                print(f"FAILED {case.name}: {type(error).__name__}: {error}")
    print(f"{len(cases) - len(failed)} of {len(cases)} cases hold")
    return 1 if failed or not cases else 0
