# SPDX-License-Identifier: Apache-2.0
"""models.py [--corpus DIR] [NAME…]: converts every model of a corpus with its calibration samples, judges the results on its
evaluation samples, and prints one table in Markdown. README.md beside this file describes a corpus and the columns."""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import measure
import numpy as np
import onnx

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "e2e"))
import does  # noqa: E402
import processor  # noqa: E402
import runs  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
COLUMNS = ["model", "nodes", "layers", "size", "dB exact", "dB full", "dB full, no VNNI", "float", "int8", "speed", "CPU s", "wall s", "MB"]


def judged_output(entry, session):
    names = [o.name for o in session.get_outputs()]
    floats = [o.name for o in session.get_outputs() if "float" in o.type]
    chosen = entry.get("metric_output") or (floats or names)[0]
    return names.index(chosen)


# ---- what a model scores ----

class Labels:
    """Counts right answers: classes, one or several acceptable ones, yes and no, or the distance from a true image."""

    def __init__(self, labels):
        self.labels, self.right, self.count, self.squared = labels, 0, 0, 0.0
        self.kind = "top-1"

    def add(self, i, y):
        truth, y = self.labels[i], y.squeeze()
        if truth.shape == y.shape:
            if self.labels.dtype == np.uint8 and self.labels.max() > 1:
                self.kind = "dB PSNR"
                self.squared += ((np.clip(y, 0, 1) - truth / 255.0) ** 2).sum()
            else:
                self.kind = "of > 0.5"
                self.right += int(((y > 0.5) == (truth != 0)).sum())
            self.count += truth.size
            return
        best = y.argmax(axis=-1)
        if truth.ndim == best.ndim:
            self.right += int((best == truth).sum())
        elif truth.shape[:-1] == best.shape:
            self.right += int((best[..., None] == truth).any(axis=-1).sum())
        else:
            raise SystemExit(f"labels of shape {self.labels.shape} do not fit outputs of shape {y.shape}")
        self.count += best.size

    def score(self):
        return -10 * np.log10(self.squared / self.count) if self.kind == "dB PSNR" else 100.0 * self.right / self.count

    def text(self):
        return f"{self.score():.2f} {self.kind}"


class Likeness:
    """Without labels: cosine with float, and where the last axis has classes, how often the same one is greatest."""

    def __init__(self):
        self.cosines, self.same, self.count = [], 0, 0

    def add(self, x, y):
        a, b = x.astype(np.float64).ravel(), y.astype(np.float64).ravel()
        norm = np.sqrt((a * a).sum() * (b * b).sum())
        self.cosines.append((a * b).sum() / norm if norm else 1.0)
        if x.ndim and x.shape[-1] > 1:
            same = x.argmax(axis=-1) == y.argmax(axis=-1)
            self.same += int(same.sum())
            self.count += same.size

    def text(self):
        text = f"cos {np.mean(self.cosines):.5f}"
        return text + (f", agree {100.0 * self.same / self.count:.1f}" if self.count else "")


def judge(entry, folder, path, limit):
    """SQNR of all outputs at both levels, and the scores of both models."""
    data = dict(np.load(os.path.join(folder, "eval.npz")))
    samples = min(len(next(iter(data.values()))), limit or sys.maxsize)
    reference = runs.session(os.path.join(folder, "model.onnx"), runs.FULL)
    names = [o.name for o in reference.get_outputs()]
    index = judged_output(entry, reference)
    levels = {"exact": runs.session(path, runs.EXACT), "full": runs.session(path, runs.FULL)}
    compared = {level: runs.Comparison(names) for level in levels}
    truth = os.path.join(folder, "labels.npy")
    labels = np.load(truth) if entry.get("labelled", os.path.exists(truth)) else None
    scores = [Labels(labels) if labels is not None else None for _ in range(2)]
    likeness = Likeness()
    for i in range(samples):
        wanted = reference.run(None, runs.feed_of(reference, data, i))
        for level, session in levels.items():
            found = session.run(None, runs.feed_of(session, data, i))
            compared[level].add(wanted, found)
        likeness.add(wanted[index], found[index])
        if labels is not None:
            scores[0].add(i, wanted[index])
            scores[1].add(i, found[index])
    figures = {level: c.db() for level, c in compared.items()}
    score = [s.text() for s in scores] if labels is not None else ["", likeness.text()]
    return {"samples": samples, "output": names[index], "db": figures, "float": score[0], "int8": score[1], "likeness": likeness.text(),
            "unequal": sorted(compared["exact"].unequal), "nonfinite": sorted(compared["exact"].nonfinite)}


def speed(folder, path, pairs):
    data = dict(np.load(os.path.join(folder, "eval.npz")))
    sessions = [runs.session(p, runs.FULL) for p in (os.path.join(folder, "model.onnx"), path)]
    feeds = [[runs.feed_of(s, data, i) for i in range(min(8, len(next(iter(data.values())))))] for s in sessions]
    return measure.ratio(*[lambda k, s=s, f=f: s.run(None, f[k % len(f)]) for s, f in zip(sessions, feeds)], pairs=pairs)


def without_vnni(entry, folder, path, samples):
    """SQNR on a processor without VNNI, of the first samples: the judged output and the worst."""
    data = dict(np.load(os.path.join(folder, "eval.npz")))
    reference = runs.session(os.path.join(folder, "model.onnx"), runs.FULL)
    samples = min(samples, len(next(iter(data.values()))))
    index, names = judged_output(entry, reference), [o.name for o in reference.get_outputs()]
    with tempfile.TemporaryDirectory(prefix="qonnx-bench-") as scratch:
        wanted = os.path.join(scratch, "wanted.npz")
        np.savez(wanted, **{f"{i}_{k}": y for i, ys in enumerate(runs.run_samples(reference, data, samples)) for k, y in enumerate(ys)})
        how, prefix, environment = processor.without_vnni(scratch)
        if not how:
            raise RuntimeError("this processor's VNNI cannot be hidden")
        done = subprocess.run([*prefix, sys.executable, "-B", os.path.join(HERE, "without_vnni.py"), path, os.path.join(folder, "eval.npz"),
                               wanted, str(samples)], capture_output=True, text=True, env={**os.environ, **environment})
    if done.returncode:
        raise RuntimeError(f"without VNNI: {done.stderr.strip()[-300:]}")
    figures = json.loads(done.stdout.strip().splitlines()[-1])
    return {"samples": samples, "db": figures, "judged": figures.get(names[index], float("nan"))}


def ports_differ(before, after):
    inits = {t.name for m in (before, after) for t in m.graph.initializer}
    def of(values):
        return [(v.name, v.type.SerializeToString()) for v in values if v.name not in inits]
    return of(before.graph.input) != of(after.graph.input) or of(before.graph.output) != of(after.graph.output)


# ---- one model ----

def convert(program, entry, folder, path, options):
    arguments = [program.path, os.path.join(folder, "model.onnx"), path, "--calib", os.path.join(folder, "calib.npz"), "--quiet", *options]
    cost = measure.process(arguments)
    if cost.status:
        raise RuntimeError(f"status {cost.status}: {cost.stderr.strip()[-300:]}")
    return cost


def one(program, entry, folder, path, settings):
    cost = convert(program, entry, folder, path, settings.option)
    onnx.checker.check_model(path, full_check=True)
    before, after = onnx.load(os.path.join(folder, "model.onnx")), onnx.load(path)
    wrong = (["inputs or outputs differ"] if ports_differ(before, after) else []) + does.check(path)[0]
    report = runs.sidecar(path)["model"]
    row = judge(entry, folder, path, settings.limit)
    row.update(name=entry["name"], nodes=report["nodes"], quantized=report["nodes_quantized"], layers=report["layers"],
               layers_quantized=report["layers_quantized"], wrong=wrong, cpu=cost.cpu, wall=cost.wall, memory=cost.memory,
               size=os.path.getsize(os.path.join(folder, "model.onnx")) / os.path.getsize(path))
    row["without_vnni"] = without_vnni(entry, folder, path, settings.without_vnni) if settings.without_vnni else None
    row["speed"] = speed(folder, path, settings.pairs) if settings.pairs else None
    return row


def spread(values, judged):
    return f"{judged:.1f}" + (f" (worst of {len(values)}: {min(values.values()):.1f})" if len(values) > 1 else "")


def db(row, level):
    return spread(row["db"][level], row["db"][level].get(row["output"], float("nan")))


def cells(row):
    ratio, old = row["speed"], row["without_vnni"]
    return [row["name"], f"{row['quantized']}/{row['nodes']}", f"{row['layers_quantized']}/{row['layers']}", f"{row['size']:.2f}×", db(row, "exact"),
            db(row, "full"), spread(old["db"], old["judged"]) if old else "", row["float"], row["int8"], f"{ratio.median:.2f}× [{ratio.low:.2f}, {ratio.high:.2f}]" if ratio else "",
            f"{row['cpu']:.2f}", f"{row['wall']:.2f}", f"{row['memory']:.0f}"]


def line(texts):
    return "| " + " | ".join(texts) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    root = os.path.join(HERE, "..")
    parser.add_argument("--corpus", default=os.path.join(root, "models"))
    parser.add_argument("--program", default=os.path.join(root, "build", "release", "qonnx-quantize"))
    parser.add_argument("--out", help="folder for the quantized models; a temporary one otherwise")
    parser.add_argument("--limit", type=int, default=0, help="evaluation samples of each model; 0: all")
    parser.add_argument("--pairs", type=int, default=21, help="pairs of timings; 0: no timing")
    parser.add_argument("--without-vnni", type=int, default=0, metavar="N",
                        help="also the dB of N samples on a processor without VNNI")
    parser.add_argument("--option", action="append", default=[], help="a further argument of the program (repeatable)")
    parser.add_argument("--json", help="also write every figure here")
    parser.add_argument("names", nargs="*", help="models; all otherwise")
    settings = parser.parse_args()
    with open(os.path.join(settings.corpus, "manifest.json"), encoding="utf-8") as file:
        entries = [e for e in json.load(file)["models"] if not settings.names or e["name"] in settings.names]
    program, rows, failed = runs.Program(settings.program), [], 0
    print(measure.machine())
    print(f"options: --calib calib.npz {' '.join(settings.option)}".rstrip() + "\n")
    print(line(COLUMNS) + "\n" + line(["---"] * len(COLUMNS)), flush=True)
    with tempfile.TemporaryDirectory(prefix="qonnx-bench-") as scratch:
        out = settings.out or scratch
        os.makedirs(out, exist_ok=True)
        for entry in entries:
            try:
                row = one(program, entry, os.path.join(settings.corpus, entry["name"]), os.path.join(out, entry["name"] + ".onnx"), settings)
                rows.append(row)
                print(line(cells(row)), flush=True)
                failed += bool(row["wrong"])
            except Exception as error:  # noqa: BLE001  a model that fails is a row of the table, too
                failed += 1
                print(line([entry["name"], "FAILED: " + str(error).replace("\n", " ")[:300]] + [""] * (len(COLUMNS) - 2)), flush=True)
    for row in rows:
        for text in row["wrong"] + [f"output {n} is finite where float's is not" for n in row["nonfinite"]] + [f"output {n} holds other integers" for n in row["unequal"]]:
            print(f"\n{row['name']}: {text}")
    several = [row for row in rows if len(row["db"]["exact"]) > 1]
    for row in several:
        print(f"\n{row['name']}, dB exact / full: " + ", ".join(f"{name} {row['db']['exact'][name]:.1f} / {row['db']['full'][name]:.1f}" for name in row["db"]["exact"]))
    if settings.json:
        with open(settings.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1, default=lambda o: vars(o))
    return 1 if failed or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
