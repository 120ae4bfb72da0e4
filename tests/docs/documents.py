# SPDX-License-Identifier: Apache-2.0
"""What README.md and docs/*.md tell readers to type, and a folder with the files that it may name.

In such a folder are: model.onnx, a float model; samples.npz and the folder samples/, to calibrate; eval.npz and the folder eval/,
with labels in labels.npy and eval.npy; photos/, colour images; int8.onnx, qoperator.onnx and quant.onnx, quantized from it; recipe.json."""
import glob
import os
import re
import shutil
import subprocess
import textwrap

# An ellipsis, brackets or a word in capitals stands for something else: such a line shows a form and is not run.
FORM = re.compile(r"…|\.\.\.|[\[\]|]|\b[A-Z][A-Z-]+\b(?!=)")
PROGRAM = "qonnx-quantize"
# In running text a command is whole when it names a model, or needs none.
WHOLE = re.compile(rf"{PROGRAM} (--|.*\.onnx\b)")


def all_documents(root):
    return [f"{root}/README.md", *sorted(glob.glob(f"{root}/docs/*.md"))]


def blocks(path, language):
    with open(path, encoding="utf-8") as file:
        found = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", file.read(), re.M | re.S)
    return [textwrap.dedent(block) for _, block in found]


def shell_lines(path):
    """The lines of sh blocks, continued ones joined."""
    for block in blocks(path, "sh"):
        yield from filter(None, block.replace("\\\n", " ").split("\n"))


def inline_code(path):
    with open(path, encoding="utf-8") as file:
        text = re.sub(r"^ *```.*?^ *```$", "", file.read(), flags=re.M | re.S)
    return [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", text)]


def commands(path):
    """Each command of the program with its exit code: 0, or what a comment says ("# exit code 6")."""
    lines = [line for line in shell_lines(path) if line.startswith(PROGRAM)]
    lines += [code for code in inline_code(path) if WHOLE.match(code) and not FORM.search(code)]
    for line in lines:
        command, _, comment = line.partition("  #")
        code = re.search(r"exit code (\d)", comment)
        yield command.strip(), int(code.group(1)) if code else 0


def make_folder(folder, root, program):
    model = f"{root}/models/mnist_resnet"
    for source, name in (("model.onnx", "model.onnx"), ("calib.npz", "samples.npz"), ("calib.npz", "samples/0.npz"),
                         ("eval.npz", "eval.npz"), ("eval.npz", "eval/0.npz"), ("labels.npy", "labels.npy"), ("labels.npy", "eval.npy")):
        os.makedirs(os.path.dirname(f"{folder}/{name}"), exist_ok=True)
        shutil.copyfile(f"{model}/{source}", f"{folder}/{name}")

    def run(*arguments):
        return subprocess.run((program, *arguments), cwd=folder, check=True, capture_output=True, text=True).stdout

    run("model.onnx", "int8.onnx", "--calib", "samples.npz")
    run("convert", "int8.onnx", "qoperator.onnx", "--format", "qoperator")
    run("convert", "int8.onnx", "quant.onnx", "--format", "qonnx")
    with open(f"{folder}/recipe.json", "w", encoding="utf-8") as file:
        file.write(run("--preset", "brevitas-int8", "--print-config"))
