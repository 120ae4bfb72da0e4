# SPDX-License-Identifier: Apache-2.0
"""check.py PROGRAM plan|graph GROUP: what --dump says of each model of a group of the zoo, against expected/GROUP.VIEW.txt.
With QONNX_UPDATE_GOLDEN=1 in the environment it writes the file anew."""
import difflib
import os
import subprocess
import sys
import tempfile

import onnx

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "e2e"))
import zoo  # noqa: E402


def dump(program, view, net, folder):
    path = os.path.join(folder, net.name + ".onnx")
    onnx.save(net.model(), path)
    options = [*net.options, "-o", "only-faster=off"] if view == "plan" else []
    # no runtime is needed for this
    done = subprocess.run([program, path, "--dump", view, *options], capture_output=True, text=True, errors="replace",
                          env={**os.environ, "QONNX_ORT": "/nonexistent"})
    if done.returncode or done.stderr:
        return f"status {done.returncode}: {done.stderr.replace(folder + os.sep, '')}"
    return done.stdout


def main():
    program, view, group = sys.argv[1:4]
    expected = os.path.join(HERE, "expected", f"{group}.{view}.txt")
    with tempfile.TemporaryDirectory(prefix="qonnx-plan-") as folder:
        found = "".join(f"=== {name}\n{dump(program, view, zoo.make(name), folder)}\n" for name in zoo.GROUPS[group])
    if os.environ.get("QONNX_UPDATE_GOLDEN"):
        with open(expected, "w", encoding="utf-8") as file:
            file.write(found)
        return 0
    with open(expected, encoding="utf-8") as file:
        wanted = file.read()
    difference = list(difflib.unified_diff(wanted.splitlines(), found.splitlines(), "expected", "found", lineterm="", n=8))
    print("\n".join(difference[:200]))
    return 1 if difference else 0


if __name__ == "__main__":
    sys.exit(main())
