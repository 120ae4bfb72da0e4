# SPDX-License-Identifier: Apache-2.0
"""rivals.py [--corpus DIR] [--models A,B] [--rivals A,B]: every model of a corpus converted by this program and by the other
quantizers that are installed, judged on the same samples, timed against the float model, and held against what this project
promises. Prints Markdown. README.md beside this file says how to install the rivals and what the columns mean."""
import argparse
import dataclasses
import hashlib
import json
import math
import os
import subprocess
import sys
import tempfile

import measure
import rival_judge
import rival_tools

HERE = os.path.dirname(os.path.abspath(__file__))
OURS = {"int8": ["--preset", "int8"], "int8-best": ["--preset", "int8-best"]}
COLUMNS = ["model", "tool", "kind", "on integers", "size", "dB exact", "dB full", "dB OpenVINO", "accuracy", "speed", "CPU s", "MB"]
FASTER = 1.07  # less is a tie
EQUAL_DB = 0.5  # of equal accuracy, where speed alone is compared
JUDGING_SECONDS = 1800

# What the models of the corpus have to reach beyond what all have to: dB of the judged output, points of accuracy that may be
# lost, agreement of the greatest scores or of the nearest neighbours with float's.
BARS = {
    "mnist_resnet": {"points": 0.5},
    "magika": {"points": 0.5},
    "chargpt": {"points": 0.5},
    "efficientnet_lite0": {"points": 1.0, "agreement": 0.95},
    "minilm_l3": {"dB": 25.0, "neighbours": 0.97},
    "silero_vad_seq": {"dB": 25.0},
    "ppocr_det": {"dB": 25.0},
    "ppocr_rec": {"points": 1.0},
}
# Their outputs are of equal weight: the worst one is judged.
EVERY_OUTPUT = {"dfn3_enc"}


# ---- what is promised ----

@dataclasses.dataclass
class Verdict:
    text: str
    wrong: dict  # model: what is wrong with it
    models: int

    def line(self):
        head = f"{'FAILED' if self.wrong else 'holds'}, {self.models - len(self.wrong)} of {self.models}: {self.text}"
        return "* " + head + "".join(f"\n  * {model}: {text}" for model, text in self.wrong.items())


def usable(row):
    """A file that ONNX Runtime runs, and in which something was quantized."""
    return not row.get("error") and not row.get("checker") and math.isfinite(row["full"]) and row["layers"][0] + (row["kind"] == "weights") > 0


def whole(row, mine):
    """Not just a layer or two: half of the layers on integers, or as many as this program's own file has."""
    layers, all_layers = row["layers"]
    return 2 * layers >= all_layers or bool(mine and mine.get("layers") and layers >= mine["layers"][0])


def runs_wrong(row, runtime):
    for trouble in ("error", "checker", "not_as_written", "nonfinite"):
        if row.get(trouble):
            return row[trouble] if trouble != "nonfinite" else f"not finite: {', '.join(row['nonfinite'])}"
    seen = row["openvino"] if runtime == "OpenVINO" else None
    return seen.get("error") if seen else None


def better(mine, rivals, field="exact"):
    """Rivals that come nearer to float."""
    found = []
    for r in rivals:
        level = "full" if r.get("not_as_written") else field  # like with like
        if r[level] >= mine[level]:
            found.append(f"{mine[level]:.1f} dB, {r['label']} {r[level]:.1f} dB ({r['layers'][0]}/{r['layers'][1]} on integers)")
    return "; ".join(found) or None


def both(mine, rivals):
    return "; ".join(f"{r['label']} has {r['exact']:.1f} against {mine['exact']:.1f} dB at {show(r['against'])} the speed"
                     for r in rivals if r["exact"] > mine["exact"] and r.get("against") and r["against"]["median"] > FASTER) or None


def outrun(mine, rivals):
    return "; ".join(f"{r['label']} ({r['exact']:.1f} against {mine['exact']:.1f} dB) has {show(r['against'])} the speed"
                     for r in rivals if r.get("against") and r["against"]["median"] > FASTER) or None


def slow(row):
    return f"{show(row['speed'])} the speed of float" if row["speed"]["median"] < 1 / FASTER else None


def missed(row, bar, least):
    """What a model has to reach of its own."""
    if bar == "points":
        lost = row["score"][0] - row["score"][1]
        return f"{row['kind_of_score']} {row['score'][0]:.2f} became {row['score'][1]:.2f}" if lost > least else None
    value = row["exact"] if bar == "dB" else row[bar]
    return f"{bar} {value:.3g} instead of {least:g}" if value < least else None


def verdicts(rows):
    """Every promise that these rows can tell about."""
    names = list(dict.fromkeys(r["model"] for r in rows))
    mine = {tool: {r["model"]: r for r in rows if r["tool"] == tool} for tool in OURS}
    good = {tool: {n: r for n, r in mine[tool].items() if usable(r)} for tool in OURS}
    rivals = {n: [r for r in rows if r["model"] == n and r["tool"] not in OURS and usable(r)] for n in names}
    full = {n: [r for r in rivals[n] if r["kind"] in ("static", "dynamic") and whole(r, mine["int8"].get(n))] for n in names}
    static = {n: [r for r in full[n] if r["kind"] == "static"] for n in names}
    made = []

    def bar(text, subjects, judge):
        wrong = {n: w for n, r in subjects.items() if (w := judge(n, r))}
        if subjects:
            made.append(Verdict(text, wrong, len(subjects)))
    for tool in OURS:
        bar(f"`{tool}` converts, passes onnx.checker, loads and runs in ONNX Runtime", mine[tool], lambda n, r: runs_wrong(r, "ONNX Runtime"))
        seen = {n: r for n, r in mine[tool].items() if r.get("error") or r["openvino"] is not None}
        bar(f"`{tool}` loads and runs in OpenVINO", seen, lambda n, r: runs_wrong(r, "OpenVINO"))
        bar(f"ONNX Runtime computes on integers what the report of `{tool}` says", {n: r for n, r in mine[tool].items() if not r.get("error")},
            lambda n, r: "; ".join(r["report_wrong"]))
    judged = {n: r for n, r in mine["int8"].items() if not r.get("error")}
    timed = {n: r for n, r in judged.items() if r.get("speed")}
    bar("`int8` has more SQNR than every rival's static file", judged, lambda n, r: better(r, static[n]))
    bar("the same as ONNX Runtime computes on this processor", judged, lambda n, r: better(r, static[n], "full"))
    bar("no rival's file of any kind is at once more accurate and faster than `int8`", timed, lambda n, r: both(r, rivals[n]))
    bar("`int8-best` has more SQNR than every rival's fully quantized file (static)", good["int8-best"], lambda n, r: better(r, static[n]))
    bar("`int8-best` has more SQNR than every rival's fully quantized file (dynamic, too)", good["int8-best"], lambda n, r: better(r, full[n]))
    for tool in OURS:
        bar(f"`{tool}` is not slower than float", {n: r for n, r in mine[tool].items() if r.get("speed")}, lambda n, r: slow(r))
    bar("`int8` is not slower than the fastest rival of equal accuracy", timed, lambda n, r: outrun(r, rivals[n]))
    for name, bars in BARS.items():
        for kind, least in bars.items():
            what = {"dB": f"`int8` has {least:g} dB", "points": f"`int8` is within {least:g} points of float",
                    "agreement": f"`int8` agrees with float in {least:g}", "neighbours": f"the nearest neighbours agree in {least:g}"}[kind]
            bar(f"{name}: {what}", {n: r for n, r in judged.items() if n == name}, lambda n, r, k=kind, v=least: missed(r, k, v))
    return made


# ---- conversion ----

def digest(*parts):
    hashed = hashlib.sha256()
    for part in parts:
        hashed.update(hashlib.sha256(part if isinstance(part, bytes) else str(part).encode()).digest())
    return hashed.hexdigest()[:24]


def content(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).digest()


def installed(pythons):
    """For each rival the first of these Pythons that has it, and the versions there."""
    probe = "import json, sys; from importlib.metadata import version, PackageNotFoundError as E\ndef v(p):\n  try: return version(p)\n  except E: return None\n" \
            "print(json.dumps({p: v(p) for p in sys.argv[1:]}))"
    packages = sorted({r.package for r in rival_tools.RIVALS.values()} | {"onnx", "numpy"})
    seen = [(p, json.loads(subprocess.run([p, "-c", probe, *packages], capture_output=True, text=True, check=True).stdout)) for p in pythons]
    return {name: next(((p, versions) for p, versions in seen if versions[rival.package]), None) for name, rival in rival_tools.RIVALS.items()}


def last_line(text, status):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f"status {status}" + (f": {lines[-1][:200]}" if lines else "")


class Work:
    """One run: where its files are, and what it may keep from runs before."""

    def __init__(self, settings, scratch):
        self.settings, self.scratch, self.count = settings, scratch, 0
        self.cache = os.path.abspath(settings.cache or scratch)
        os.makedirs(self.cache, exist_ok=True)

    def kept(self, key, make):
        """What make() returns, from the cache where this was asked before. What ended by accident is asked again."""
        path = os.path.join(self.cache, key + ".json")
        if not os.path.exists(path):
            made = make()
            if made.get("accident"):
                return made
            with open(path + ".new", "w", encoding="utf-8") as file:
                json.dump(made, file)
            os.replace(path + ".new", path)
        with open(path, encoding="utf-8") as file:
            return json.load(file)

    def calibration(self, folder):
        """The samples that everyone gets."""
        path = os.path.join(self.scratch, os.path.basename(folder) + ".npz")
        np = rival_judge.np
        if not os.path.exists(path):
            data = dict(np.load(os.path.join(folder, "calib.npz")))
            count = len(next(iter(data.values())))
            chosen = np.linspace(0, count - 1, min(count, self.settings.calib_samples)).astype(int)
            np.savez(path, **{name: values[chosen] for name, values in data.items()})
        return path

    def run(self, arguments, out, memory=0):
        """A conversion. Some leave files where they are started."""
        cost = measure.process(arguments, env={"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}, cwd=self.scratch, seconds=self.settings.seconds, data=memory << 30)
        made = {"cpu": cost.cpu, "wall": cost.wall, "memory": cost.memory}
        if cost.status == -9:
            made["error"] = f"stopped after {cost.wall:.0f} s and {cost.memory:.0f} MB"
        elif cost.status or not os.path.exists(out):
            made["error"] = last_line(cost.stderr, cost.status)
        return made

    def ours(self, tool, folder):
        """Anew each time: this program is what changes."""
        self.count += 1
        path = os.path.join(self.scratch, f"{self.count}.onnx")
        arguments = [os.path.abspath(self.settings.program), os.path.join(folder, "model.onnx"), path, "--calib", self.calibration(folder), "--quiet",
                     "--threads", "1", *OURS[tool], *self.settings.option]
        return {**self.run(arguments, path), "path": path}

    def rival(self, name, folder, place):
        python, versions = place
        rival, model, calib = rival_tools.RIVALS[name], os.path.join(folder, "model.onnx"), self.calibration(folder)
        samples = {k: v.tobytes() for k, v in rival_judge.np.load(calib).items()}
        key = f"{os.path.basename(folder)}-{name}-" + digest(content(model), *samples.values(), rival.recipe(), rival.package, *map(versions.get, (rival.package, "onnxruntime", "onnx")))
        path = os.path.join(self.cache, key + ".onnx")
        made = self.kept(key, lambda: self.run([python, "-I", "-B", os.path.join(HERE, "rival_tools.py"), name, model, calib, path], path, self.settings.memory))
        return {**made, "path": path}

    def ask(self, spec):
        """An answer of rival_judge.py."""
        question, answer = os.path.join(self.scratch, "question.json"), os.path.join(self.scratch, "answer.json")
        with open(question, "w", encoding="utf-8") as file:
            json.dump(spec, file)
        if os.path.exists(answer):
            os.remove(answer)
        cost = measure.process([sys.executable, "-B", os.path.join(HERE, "rival_judge.py"), question, answer], seconds=JUDGING_SECONDS)
        if cost.status or not os.path.exists(answer):
            return {"error": "its runtime fails: " + last_line(cost.stderr, cost.status), "accident": True}
        with open(answer, encoding="utf-8") as file:
            return json.load(file)

    def judged(self, entry, folder, row):
        spec = {"act": "judge", "entry": entry, "folder": folder, "path": row["path"], "samples": self.settings.samples, "every_output": entry["name"] in EVERY_OUTPUT}
        data = os.path.join(folder, "eval.npz")
        key = "judged-" + digest(*map(content, (row["path"], os.path.join(folder, "model.onnx"), data, rival_judge.__file__)), entry, measure.machine(),
                                 min(self.settings.samples, measure.sample_count(data)), rival_judge.onnx.__version__, row["tool"] in OURS)
        return self.kept(key, lambda: self.ask(spec))

    def time(self, folder, first, second):
        answer = self.ask({"act": "time", "folder": folder, "first": first, "second": second, "pairs": self.settings.pairs})
        return None if "error" in answer else answer


# ---- the table ----

def show(ratio):
    return f"{ratio['median']:.2f}× [{ratio['low']:.2f}, {ratio['high']:.2f}]" if ratio else ""


def accuracy(row):
    parts = [f"{row['score'][0]:.2f} → {row['score'][1]:.2f} {row['kind_of_score']}"] if "score" in row else []
    parts += [f"agree {row['agreement']:.3f}"] if "agreement" in row else []
    parts += [f"neighbours {row['neighbours']:.3f}"] if "neighbours" in row else []
    return ", ".join(parts) or f"cos {row['cosine']:.5f}"


def cells(row):
    head = [row["model"], row["label"], row["kind"]]
    if row.get("error") or row.get("checker"):
        trouble = ("INVALID: " + row["checker"] if row.get("checker") else "FAILED: " + row["error"]).replace("|", "/")[:160]
        if row.get("error"):
            return head + ["", "", "", "", "", trouble, ""] + cost(row)
        return head + figures(row)[:5] + [trouble, show(row.get("speed"))] + cost(row)
    return head + figures(row) + [accuracy(row), show(row.get("speed"))] + cost(row)


def figures(row):
    seen = row["openvino"]
    openvino = "" if seen is None else "FAILED" if "error" in seen else f"{seen['db']:.1f}"
    return [f"{row['layers'][0]}/{row['layers'][1]}", f"{row['ratio']:.2f}×", "FAILED" if row.get("not_as_written") else f"{row['exact']:.1f}", f"{row['full']:.1f}", openvino]


def cost(row):
    return [f"{row['cpu']:.2f}", f"{row['memory']:.0f}"] if "cpu" in row else ["", ""]


def line(texts):
    return "| " + " | ".join(texts) + " |"


def brief(row):
    if not row:
        return "none"
    name = "" if row["tool"] in OURS else row["label"] + ": "
    return f"{name}{row['exact']:.1f} dB, ÷{row['ratio']:.2f}" + (f", {show(row['speed'])}" if row.get("speed") else "")


def summary(rows):
    """One line a model: this program beside the best of the others."""
    head = ["model", "`int8`", "`int8-best`", "most accurate static rival", "fastest rival", "conversion, CPU s / MB", "rivals'"]
    lines = [line(head), line(["---"] * len(head))]
    for name in dict.fromkeys(r["model"] for r in rows):
        mine = {r["tool"]: r for r in rows if r["model"] == name and r["tool"] in OURS and not r.get("error")}
        others = [r for r in rows if r["model"] == name and r["tool"] not in OURS and usable(r)]
        best = max((r for r in others if r["kind"] == "static" and whole(r, mine.get("int8"))), key=lambda r: r["exact"], default=None)
        fast = max((r for r in others if r.get("speed")), key=lambda r: r["speed"]["median"], default=None)
        texts = [name, *[brief(mine[tool]) if tool in mine else "FAILED" for tool in OURS], brief(best), brief(fast)]
        texts.append(f"{mine['int8']['cpu']:.2f} / {mine['int8']['memory']:.0f}" if "int8" in mine else "")
        spent = [[r[field] for r in others] for field in ("cpu", "memory")]
        texts.append(" / ".join(f"{min(v):.{digits}f}–{max(v):.{digits}f}" for v, digits in zip(spent, (1, 0))) if others else "")
        lines.append(line(texts))
    return "\n".join(lines)


def row_of(work, entry, folder, tool, places):
    """One line: a model made by a tool."""
    row = {"model": entry["name"], "tool": tool}
    if tool in OURS:
        row.update(label=f"**{tool}**", kind="static", **work.ours(tool, folder))
    else:
        rival = rival_tools.RIVALS[tool]
        row.update(label=rival.label, kind=rival.kind)
        if not places[tool]:
            return {**row, "error": f"{rival.package} is not installed"}
        row.update(work.rival(tool, folder, places[tool]))
    if row.get("error"):
        return row
    answer = work.judged(entry, folder, row)
    row["kind_of_score"] = answer.pop("kind", None)
    row.update(answer)
    if not row.get("error"):
        row["ratio"] = os.path.getsize(os.path.join(folder, "model.onnx")) / row["size"]
    return row


def timing(work, folder, rows):
    """Speeds, all in one go: against float, and of rivals that come near in accuracy against int8."""
    mine = next((r for r in rows if r["tool"] == "int8" and not r.get("error")), None)
    for row in rows:
        if row.get("error"):
            continue
        row["speed"] = work.time(folder, os.path.join(folder, "model.onnx"), row["path"])
        if mine and row["tool"] not in OURS and usable(row) and row["exact"] >= mine["exact"] - EQUAL_DB:
            row["against"] = work.time(folder, mine["path"], row["path"])


def chosen_rivals(text):
    """By name or by package; none is none."""
    if text is None:
        return list(rival_tools.RIVALS)
    every, wanted = rival_tools.RIVALS, []
    for word in text.split(",") if text != "none" else []:
        named = [word] if word in every else [n for n, r in every.items() if r.package == word]
        if not named:
            raise SystemExit(f"no such rival: {word}; there are {', '.join(every)}")
        wanted += named
    return wanted


def arguments():
    root = os.path.join(HERE, "..")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", default=os.path.join(root, "models"))
    parser.add_argument("--program", default=os.path.join(root, "build", "release", "qonnx-quantize"))
    parser.add_argument("--models", help="names with commas between; all otherwise")
    parser.add_argument("--rivals", help="names or packages with commas between, or none; all otherwise")
    parser.add_argument("--python", action="append", help="a Python that has rivals (repeatable); this one otherwise")
    parser.add_argument("--cache", help="folder where rivals' files and judgements are kept for the next run")
    parser.add_argument("--pairs", type=int, default=15, help="pairs of timings; 0: no timing")
    parser.add_argument("--samples", type=int, default=200, help="evaluation samples of each model, evenly spread")
    parser.add_argument("--calib-samples", type=int, default=64, help="calibration samples of each model, evenly spread, for everyone")
    parser.add_argument("--seconds", type=int, default=1200, help="what a conversion may take")
    parser.add_argument("--memory", type=int, default=12, help="GiB that a rival may take for a conversion")
    parser.add_argument("--option", action="append", default=[], help="a further argument of the program (repeatable)")
    parser.add_argument("--json", help="also write every figure here")
    return parser.parse_args()


def main():
    settings = arguments()
    with open(os.path.join(settings.corpus, "manifest.json"), encoding="utf-8") as file:
        entries = [e for e in json.load(file)["models"] if not settings.models or e["name"] in settings.models.split(",")]
    places = installed([os.path.abspath(p) for p in settings.python or [sys.executable]])
    tools = list(OURS) + chosen_rivals(settings.rivals)
    print(measure.machine())
    print(", ".join(dict.fromkeys(f"{rival_tools.RIVALS[t].package} {places[t][1][rival_tools.RIVALS[t].package]}" for t in tools if t not in OURS and places[t])))
    print(f"{settings.calib_samples} calibration and {settings.samples} evaluation samples at most; {settings.pairs} pairs of timings\n")
    print(line(COLUMNS) + "\n" + line(["---"] * len(COLUMNS)), flush=True)
    rows = []
    with tempfile.TemporaryDirectory(prefix="qonnx-bench-") as scratch:
        work = Work(settings, scratch)
        for entry in entries:
            folder = os.path.join(os.path.abspath(settings.corpus), entry["name"])
            found = [row_of(work, entry, folder, tool, places) for tool in tools]
            if settings.pairs:
                timing(work, folder, found)
            for row in found:
                print(line(cells(row)), flush=True)
            rows += found
            promises = verdicts(rows)
            if settings.json:  # after each model: a long run that is stopped has not been in vain
                with open(settings.json, "w", encoding="utf-8") as file:
                    json.dump({"machine": measure.machine(), "rows": rows, "verdicts": [dataclasses.asdict(v) for v in promises]}, file, indent=1)
    if rows:
        print("\n" + summary(rows) + "\n\n" + "\n".join(v.line() for v in promises))
    return 1 if not rows or any(r.get("error") or r.get("checker") for r in rows if r["tool"] in OURS) else 0


if __name__ == "__main__":
    sys.exit(main())
