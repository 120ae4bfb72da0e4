# SPDX-License-Identifier: Apache-2.0
"""test_zoo.py PROGRAM GROUP [NAME…]: converts models of the zoo and holds the results against what each says of itself."""
import collections
import os
import sys
import tempfile

import does
import numpy as np
import onnx
import runs
import zoo

CALIBRATION, EVALUATION = 48, 6
# What ONNX Runtime's kernels may lose against exact arithmetic when nothing saturates: rounding of averages and the like.
FUSED_LOSS_DB = 3.0


def ports(values, initializers=()):
    return [(v.name, v.type.SerializeToString()) for v in values if v.name not in initializers]


def same_ports(before, after):
    names = {t.name for t in after.graph.initializer} | {t.name for t in before.graph.initializer}
    assert ports(before.graph.input, names) == ports(after.graph.input, names), "graph inputs differ"
    assert ports(before.graph.output) == ports(after.graph.output), "graph outputs differ"


def accuracy(net, path, source, data):
    """SQNR of the worst output: exact, as ONNX Runtime computes it without saturation, and as it does here."""
    reference = runs.session(source)
    names = [o.name for o in reference.get_outputs()]
    wanted = runs.run_samples(reference, data, EVALUATION)
    figures = []
    for settings in ({"level": runs.EXACT}, {"level": runs.FULL, "unsaturated": True}, {"level": runs.FULL}):
        if "unsaturated" in settings and net.shares_weights:  # makes an unsigned copy of it for each layer, under one name
            figures.append(figures[0])
            continue
        compared = runs.compare(wanted, runs.session(path, **settings), data, names)
        assert not compared.nonfinite, f"outputs {compared.nonfinite} are finite where float's are not, or the other way ({settings})"
        # only there: ONNX Runtime moves Q across operators, and then ties are decided otherwise
        if settings["level"] == runs.EXACT:
            assert net.ints_may_differ or not compared.unequal, f"outputs {compared.unequal} hold other integers"
        figures.append(min(compared.db().values(), default=np.inf))
    return figures


def foreseen(path, kernels):
    """The kernels that the sidecar names are those that run, and those that it says it found are seen from outside too."""
    report = runs.sidecar(path)
    other = [f"{row['name']} ({row['op_type']}): {row.get('kernel')} became {row.get('kernel_found')}"
             for row in report["nodes"] if row["decision"] == "quantized" and row.get("kernel") != row.get("kernel_found")]
    assert not report["model"].get("kernels_differ", 0) and not other, f"not as foreseen: {other}"
    found = collections.Counter(row["kernel_found"] for row in report["nodes"] if row.get("kernel_found") in does.INTEGER_KERNELS)
    assert found == kernels, f"the sidecar found {dict(found)}, but there are {dict(kernels)}"


def judge(program, net, folder):
    source, path, calibration = (os.path.join(folder, name) for name in ("in.onnx", "out.onnx", "calib.npz"))
    before = net.model()
    onnx.checker.check_model(before, full_check=True)
    onnx.save(before, source)
    np.savez(calibration, **net.samples(CALIBRATION, 1))
    done = program(source, path, "--calib", calibration, *net.options, "-o", "verify=full", "-o", "only-faster=off", status=net.status)
    if net.warns:
        assert net.warns in done.stderr, f"no warning says '{net.warns}': {done.stderr}"
    after = onnx.load(path)
    onnx.checker.check_model(after, full_check=True)
    same_ports(before, after)
    rows = {row["name"]: row for row in runs.sidecar(path)["nodes"]}
    for name, reason in net.float_nodes.items():
        row = rows[name]
        assert row["decision"] == "float" and reason in (None, row["reason"]), f"'{name}' is {row['decision']}, {row.get('reason')}, not {reason}"
    wrong, kernels = does.check(path)
    assert not wrong, "; ".join(wrong)
    if net.kernels is not None:
        wanted = collections.Counter({op: n for op, n in net.kernels.items() if n})
        assert kernels == wanted, f"kernels {dict(kernels)} instead of {dict(wanted)}"
    foreseen(path, kernels)
    exact, unsaturated, full = accuracy(net, path, source, net.samples(EVALUATION, 2))
    assert exact >= net.db, f"{exact:.1f} dB in exact arithmetic, {net.db} wanted"
    assert unsaturated >= min(exact, 60) - FUSED_LOSS_DB, f"{unsaturated:.1f} dB in integer kernels, {exact:.1f} in exact arithmetic"
    return kernels, exact, unsaturated, full


def main():
    program, names = runs.Program(sys.argv[1]), sys.argv[3:] or zoo.GROUPS[sys.argv[2]]
    failed = 0
    for name in names:
        with tempfile.TemporaryDirectory(prefix="qonnx-zoo-") as folder:
            try:
                kernels, *figures = judge(program, zoo.make(name), os.environ.get("QONNX_KEEP") or folder)
                text = "  ".join(f"{figure:6.1f}" for figure in figures)
                print(f"{name:45} {text} dB  {', '.join(f'{n} {op}' for op, n in sorted(kernels.items()))}", flush=True)
            except AssertionError as error:
                failed += 1
                print(f"FAILED {name}: {error}", flush=True)
    print(f"{len(names) - failed} of {len(names)} right (dB: exact, integer kernels, integer kernels of this machine)")
    return 1 if failed or not names else 0


if __name__ == "__main__":
    sys.exit(main())
