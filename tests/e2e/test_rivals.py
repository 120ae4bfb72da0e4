# SPDX-License-Identifier: Apache-2.0
"""test_rivals.py PROGRAM: bench/rivals.py judges as its README says, and works with the one rival that is always there."""
import json
import os
import subprocess
import sys
import tempfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
sys.path.append(os.path.join(ROOT, "bench"))
import rivals  # noqa: E402


def ratio(median):
    return {"median": median, "low": median, "high": median, "pairs": 15}


def row(tool, db, speed, model="m", **more):
    kind = more.pop("kind", "static")
    return {"model": model, "tool": tool, "label": tool, "kind": kind, "exact": db, "full": db, "layers": [4, 4], "openvino": {"db": db},
            "nonfinite": [], "report_wrong": [], "speed": ratio(speed), **more}


def failing(*rows):
    """The promises that do not hold, by a word or two of theirs."""
    words = {"passes onnx.checker": "checker", "OpenVINO": "openvino", "what the report": "report", "than every rival's static": "static",
             "on this processor": "processor", "at once": "both", "(static)": "best", "dynamic, too": "best or dynamic",
             "slower than float": "float", "of equal accuracy": "equal", "dB": "dB", "points": "points", "agrees": "agrees", "neighbours": "neighbours"}
    return {next(word for text, word in words.items() if text in v.text) for v in rivals.verdicts(list(rows)) if v.wrong}


OURS = [row("int8", 30.0, 2.0), row("int8-best", 33.0, 2.0)]


def verdicts_follow_the_figures():
    assert failing(*OURS) == set()
    assert failing(*OURS, row("other", 29.0, 2.5)) == set()
    assert failing(*OURS, row("other", 31.0, 2.0, against=ratio(1.0))) == {"static", "processor"}
    assert failing(*OURS, row("other", 34.0, 2.0, against=ratio(1.07))) == {"static", "processor", "best", "best or dynamic"}
    assert failing(*OURS, row("other", 31.0, 2.0, kind="dynamic", against=ratio(1.1))) == {"both", "equal"}
    assert failing(*OURS, row("other", 29.8, 3.0, against=ratio(1.5))) == {"equal"}
    assert failing(*OURS, row("other", 34.0, 1.0, kind="dynamic", against=ratio(0.5))) == {"best or dynamic"}
    # neither a layer or two, nor a file that cannot run, nor weights alone are a quantized model
    assert failing(*OURS, row("other", 50.0, 1.0, layers=[1, 4])) == set()
    assert failing(*OURS, row("other", 50.0, 1.0, checker="bad")) == set()
    assert failing(*OURS, row("other", 50.0, 1.0, kind="weights", layers=[0, 4])) == set()
    assert failing(*OURS, row("other", float("nan"), 1.0)) == set()


def own_failures_are_told():
    assert failing(row("int8", 30.0, 0.93), OURS[1]) == {"float"}
    assert failing(row("int8", 30.0, 0.94), OURS[1]) == set()
    assert failing({"model": "m", "tool": "int8", "label": "int8", "kind": "static", "error": "status 1"}, OURS[1]) == {"checker", "openvino"}
    assert failing(row("int8", 30.0, 2.0, openvino={"error": "no"}), OURS[1]) == {"openvino"}
    assert failing(row("int8", 30.0, 2.0, nonfinite=["y"]), OURS[1]) == {"checker", "openvino"}
    assert failing(row("int8", 30.0, 2.0, not_as_written="no"), OURS[1]) == {"checker", "openvino"}
    assert failing(row("int8", 30.0, 2.0, report_wrong=["node 'a'"]), OURS[1]) == {"report"}
    assert failing(row("int8", 24.9, 2.0, "silero_vad_seq")) == {"dB"}
    assert failing(row("int8", 25.0, 2.0, "silero_vad_seq")) == set()
    scored = {"kind_of_score": "top-1", "agreement": 0.94, "score": [70.0, 68.9]}
    assert failing(row("int8", 20.0, 2.0, "efficientnet_lite0", **scored)) == {"points", "agrees"}
    assert failing(row("int8", 20.0, 2.0, "efficientnet_lite0", **{**scored, "agreement": 0.95, "score": [70.0, 69.0]})) == set()


def text_lines_are_read_as_ctc_says():
    np = rivals.rival_judge.np
    steps = np.eye(5)[[0, 1, 1, 0, 1, 2, 0, 4, 3, 4, 0]][None]
    assert rivals.rival_judge.line_of(steps, ["", "a", "b", "c", " "]) == "aab c"


def a_table_comes_of_one_run(program):
    with tempfile.TemporaryDirectory(prefix="qonnx-test-") as folder:
        made, cache = os.path.join(folder, "made.json"), os.path.join(folder, "cache")
        command = [sys.executable, "-B", os.path.join(ROOT, "bench", "rivals.py"), "--program", program, "--models", "mnist_resnet", "--rivals", "ort-minmax,ort-dynamic,inc",
                   "--samples", "8", "--calib-samples", "16", "--cache", cache, "--json", made]
        done = subprocess.run([*command, "--pairs", "3"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr + done.stdout
        with open(made, encoding="utf-8") as file:
            rows = {r["tool"]: r for r in json.load(file)["rows"]}
        assert list(rows) == ["int8", "int8-best", "ort-minmax", "ort-dynamic", "inc"], done.stdout
        for tool in ("int8", "int8-best", "ort-minmax", "ort-dynamic"):
            assert rows[tool]["exact"] > 20 and rows[tool]["layers"][0] > 0 and rows[tool]["speed"]["pairs"] == 3 and rows[tool]["cpu"] > 0, rows[tool]
        # a rival that is not there is a line, too
        assert rows["inc"].get("error") == "onnx-neural-compressor is not installed" or rows["inc"]["exact"] > 20, rows["inc"]
        assert "`int8` is not slower than float" in done.stdout and done.stdout.count("| mnist_resnet |") == 6, done.stdout
        before = {name: os.stat(os.path.join(cache, name)).st_mtime_ns for name in os.listdir(cache)}
        done = subprocess.run([*command, "--pairs", "0"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr + done.stdout
        kept = [name for name in before if "ort-" in name]
        assert len(kept) == 4 and all(os.stat(os.path.join(cache, name)).st_mtime_ns == before[name] for name in kept), before


if __name__ == "__main__":
    verdicts_follow_the_figures()
    own_failures_are_told()
    text_lines_are_read_as_ctc_says()
    a_table_comes_of_one_run(sys.argv[1])
