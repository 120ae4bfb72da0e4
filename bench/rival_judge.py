# SPDX-License-Identifier: Apache-2.0
"""rival_judge.py SPEC.json RESULT.json: looks at one quantized file in a process of its own, since a file may bring a runtime
down. {"act": "judge"} is what the file computes, {"act": "time"} how much CPU time it takes beside another. rivals.py asks."""
import dataclasses
import json
import os
import sys

import measure
import models  # finds the next two
import does
import runs
import numpy as np
import onnx

OPENVINO_SAMPLES = 4
WEIGHTED = {"Conv", "FusedConv", "ConvTranspose", "Gemm", "FusedGemm", "MatMul", "FusedMatMul", "LSTM", "GRU", "RNN", "Einsum", "MatMulNBits"}
ON_INTEGERS = {"QLinearConv", "QLinearMatMul", "QGemm", "ConvInteger", "MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM"}


def short(error):
    return " ".join(str(error).split())[:300] or type(error).__name__


# ---- accuracy ----

def line_of(y, charset):
    """The text of a CTC output: the best class of each step, without repetitions, blanks (0) and outer spaces."""
    codes = y.reshape(-1, y.shape[-1]).argmax(axis=-1)
    return "".join(charset[c] for c, before in zip(codes, np.r_[0, codes[:-1]]) if c not in (0, before)).strip()


def neighbours(vectors):
    unit = np.array([v.astype(np.float64) / max(np.linalg.norm(v), 1e-30) for v in vectors])
    near = unit @ unit.T
    np.fill_diagonal(near, -np.inf)
    return near.argmax(axis=-1)


class Scores:
    """What both models score by labels, by text lines or by nearest neighbours, and how often they say the same."""

    def __init__(self, folder, labelled):
        def read(name):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                return json.load(file)
        truth = np.load(os.path.join(folder, "labels.npy")) if labelled else None
        self.pair = [models.Labels(truth) for _ in range(2)] if labelled else None
        self.texts, self.charset = [read(n) if os.path.exists(os.path.join(folder, n)) else None for n in ("texts.json", "charset.json")]
        self.lines, self.vectors, self.likeness = [], [], models.Likeness()

    def add(self, i, x, y):
        self.likeness.add(x, y)
        if self.pair:
            self.pair[0].add(i, x)
            self.pair[1].add(i, y)
        elif self.texts and self.charset:
            self.lines.append([line_of(v, self.charset) == self.texts[i] for v in (x, y)])
        elif x.squeeze().ndim == 1 and x.size >= 32:
            self.vectors.append((x.ravel(), y.ravel()))

    def figures(self):
        like, made = self.likeness, {"kind": "cosine", "cosine": float(np.mean(self.likeness.cosines))}
        if self.pair:
            made.update(kind=self.pair[1].kind, score=[float(s.score()) for s in self.pair])
        if like.count and not (self.vectors or self.pair and made["kind"] != "top-1"):  # where the last axis is of classes
            made["agreement"] = like.same / like.count
        if self.lines:
            made.update(kind="exact lines", score=[100.0 * float(v) for v in np.mean(self.lines, axis=0)])
        elif self.vectors:
            made["neighbours"] = float((neighbours([x for x, _ in self.vectors]) == neighbours([y for _, y in self.vectors])).mean())
        return made


def judged(comparison, name, every_output):
    """dB of the judged output or, of models with several equal ones, of the worst."""
    figures = comparison.db()
    return float(min(figures.values()) if every_output else figures[name])


def in_openvino(path, feeds, wanted, names, name, every_output):
    try:
        import openvino
    except ImportError:
        return None
    try:
        core, compared = openvino.Core(), runs.Comparison(names)
        model = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1})
        for feed, outputs in zip(feeds, wanted):
            results = model(feed)
            compared.add(outputs, [np.asarray(results[i]).astype(x.dtype) for i, x in enumerate(outputs)])
        return {"db": judged(compared, name, every_output)}
    except Exception as error:  # noqa: BLE001  what a runtime cannot do is a figure, too
        return {"error": short(error)}


def kernels(path):
    """Of the operators that multiply by weights or by each other: those that ONNX Runtime computes on integers, and all."""
    found = [n.op_type for n in does.all_nodes(does.optimized(path, runs.FUSED).graph)]
    whole = sum(op in ON_INTEGERS for op in found)
    return [whole, whole + sum(op in WEIGHTED for op in found)]


def judge(spec):
    entry, folder, path = spec["entry"], spec["folder"], spec["path"]
    made = {"size": os.path.getsize(path), "checker": None}
    try:
        onnx.checker.check_model(path, full_check=True)
    except Exception as error:  # noqa: BLE001
        made["checker"] = short(error)
    data = dict(np.load(os.path.join(folder, "eval.npz")))
    count = len(next(iter(data.values())))
    chosen = np.linspace(0, count - 1, min(count, spec["samples"])).astype(int)
    reference = runs.session(os.path.join(folder, "model.onnx"), runs.FULL)
    names = [o.name for o in reference.get_outputs()]
    index = models.judged_output(entry, reference)
    levels = {"full": runs.session(path, runs.FULL), "exact": runs.session(path, runs.EXACT)}
    compared = {level: runs.Comparison(names) for level in levels}
    scores = Scores(folder, entry.get("labelled"))
    feeds, references = [], []
    for i in chosen:
        feed = runs.feed_of(reference, data, i)
        wanted = reference.run(None, feed)
        found = levels["full"].run(None, feed)
        compared["full"].add(wanted, found)
        scores.add(i, wanted[index], found[index])
        if "exact" in levels:
            try:
                compared["exact"].add(wanted, levels["exact"].run(None, feed))
            except Exception as error:  # noqa: BLE001  wrong Q/DQ that disappear in fusions
                made["not_as_written"] = short(error)
                del levels["exact"]
        if len(feeds) < OPENVINO_SAMPLES:
            feeds.append(feed)
            references.append(wanted)
    figures = {level: judged(c, names[index], spec["every_output"]) for level, c in compared.items() if level in levels}
    made.update({"exact": figures["full"], **figures})
    made.update(samples=len(chosen), nonfinite=sorted(compared["full"].nonfinite), layers=kernels(path), **scores.figures())
    made["openvino"] = in_openvino(path, feeds, references, names, names[index], spec["every_output"])
    if os.path.exists(runs.sidecar_path(path)):
        made["report_wrong"] = does.check(path)[0]
    return made


# ---- speed ----

def time(spec):
    """How many times less CPU time the second file takes than the first."""
    data = dict(np.load(os.path.join(spec["folder"], "eval.npz")))
    calls = []
    for path in (spec["first"], spec["second"]):
        session = runs.session(path, runs.FULL)
        feeds = [runs.feed_of(session, data, i) for i in range(min(8, len(next(iter(data.values())))))]
        calls.append(lambda k, s=session, f=feeds: s.run(None, f[k % len(f)]))
    return dataclasses.asdict(measure.ratio(*calls, pairs=spec["pairs"]))


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        spec = json.load(file)
    try:
        made = {"judge": judge, "time": time}[spec["act"]](spec)
    except Exception as error:  # noqa: BLE001
        made = {"error": short(error)}
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        json.dump(made, file)


if __name__ == "__main__":
    main()
