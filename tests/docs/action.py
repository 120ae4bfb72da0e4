# SPDX-License-Identifier: Apache-2.0
"""action.py ROOT BIN: the steps of action.yml as GitHub runs them, with the program of folder BIN in place of the first one, and
the workflow of docs/guide.md, whose inputs are those of the action. Needs PyYAML."""
import os
import re
import subprocess
import sys
import tempfile

import yaml

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from documents import blocks, make_folder  # noqa: E402


def values(text, inputs):
    return re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda found: inputs[found.group(1)], text)


def run_step(step, inputs, folder, path):
    """The exit code of a step, and what the run's page shows."""
    page = f"{folder}/page.md"
    env = dict(os.environ, PATH=f"{path}:{os.environ['PATH']}", RUNNER_TEMP=f"{folder}/temp", GITHUB_STEP_SUMMARY=page)
    env.update({name: values(value, inputs) for name, value in step["env"].items()})
    os.makedirs(f"{folder}/temp", exist_ok=True)
    open(page, "w", encoding="utf-8").close()
    done = subprocess.run(["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]], cwd=folder, env=env,
                          capture_output=True, text=True)
    with open(page, encoding="utf-8") as file:
        return done.returncode, file.read()


def main(root, path):
    with open(f"{root}/action.yml", encoding="utf-8") as file:
        action = yaml.safe_load(file)
    assert action["runs"]["using"] == "composite"
    assert all(step["shell"] == "bash" and step["name"] for step in action["runs"]["steps"])
    install, quantize, compare = action["runs"]["steps"]
    assert "pip" in install["run"] and compare["if"] == "inputs.eval != ''"
    used = set(re.findall(r"inputs\.([\w-]+)", str(action["runs"])))
    assert used == set(action["inputs"]), used ^ set(action["inputs"])

    (workflow,) = map(yaml.safe_load, blocks(f"{root}/docs/guide.md", "yaml"))
    (ours,) = [step for step in workflow["jobs"]["int8"]["steps"] if "qonnx-quantize" in step["uses"]]
    assert set(ours["with"]) <= set(action["inputs"]), ours
    required = {name for name, row in action["inputs"].items() if row.get("required")}
    assert required <= set(ours["with"]), ours
    inputs = {name: row.get("default", "") for name, row in action["inputs"].items()}
    inputs.update(ours["with"], arguments="--exclude op:Gemm --threads 2")
    with tempfile.TemporaryDirectory() as folder:
        make_folder(folder, root, f"{path}/qonnx-quantize")
        os.remove(f"{folder}/int8.onnx")
        code, page = run_step(quantize, inputs, folder, path)
        assert code == 0 and "excluded" in page and os.path.exists(f"{folder}/int8.onnx"), page
        code, page = run_step(compare, inputs, folder, path)
        assert code == 0 and "SQNR" in page, page
        code, page = run_step(compare, dict(inputs, **{"fail-below": "sqnr=200"}), folder, path)
        assert code == 6 and "SQNR" in page, page
        code, page = run_step(quantize, dict(inputs, calib="missing.npz"), folder, path)
        assert code and "missing.npz" in page, page


main(*sys.argv[1:])
