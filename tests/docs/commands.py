# SPDX-License-Identifier: Apache-2.0
"""commands.py ROOT PROGRAM: every command that README.md, docs/*.md and the program's own help show is run, and every option
that they name exists. documents.py says which files such commands may name."""
import os
import re
import shlex
import struct
import subprocess
import sys
import tempfile
import zlib

import numpy
import onnx

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from documents import PROGRAM, all_documents, commands, inline_code, make_folder, shell_lines  # noqa: E402

# What other programs a document's sh blocks may begin with, and what runs such lines.
OTHERS = {
    "git": "nothing here: fetching the checkout", "cd": "", "apt": "e2e_package_debian unpacks", "cmake": "e2e_package_build",
    "cpack": "e2e_package_debian", "pip": "e2e_package_wheel", "cc": "e2e_package_serves_programs_through_pkg_config",
    "scripts/quickstart": "", "scripts/test": "", "docker": "nothing here: docs_container_and_action_name_what_there_is",
    "doxygen": "docs_reference_of_functions_is_complete",
}


def known_options(program):
    text = subprocess.run((program, "--dump-options=markdown"), check=True, capture_output=True, text=True).stdout
    plain = set(re.findall(r"^- (?:`-\w`, )?`--([a-z0-9-]+)", text, re.M))
    advanced = set(re.findall(r"^- `-o ([a-z0-9-]+)", text, re.M))
    assert "preset" in plain and "observer" in advanced, text
    return plain, plain | advanced


def unknown_options(code, plain, every):
    for dashes, name in re.findall(r"(?<![\w-])(--|-o )([a-z][a-z0-9-]*)(?![\w-])", code):
        bare = name[3:] if dashes == "--" and name.startswith("no-") and name not in plain else name
        if bare not in (plain if dashes == "--" else every):
            yield dashes + name


def help_examples(program):
    pages = [subprocess.run((program, *command, "--help"), check=True, capture_output=True, text=True).stdout
             for command in ((), ("compare",), ("convert",), ("inspect",))]
    return [(line.strip(), 0) for page in pages for line in re.findall(rf"^  ({PROGRAM} .*)$", page, re.M)]


def write_photo(path, width, height, step):
    """A PNG of stripes in colour."""
    rows = b"".join(b"\0" + bytes((x * step + y * 3 + c * 50) % 256 for x in range(width) for c in range(3)) for y in range(height))
    parts = (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + b"".join(
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts))


def make_photos(folder):
    """Colour images in photos/, and rgb.onnx, a model that takes them."""
    os.mkdir(f"{folder}/photos")
    for step in range(1, 9):
        write_photo(f"{folder}/photos/{step}.png", 40, 36, step)
    weight = numpy.random.default_rng(0).normal(0, 0.2, (8, 3, 3, 3)).astype(numpy.float32)
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph(
        [onnx.helper.make_node("Conv", ["image", "w"], ["y"], name="conv", pads=[1, 1, 1, 1]), onnx.helper.make_node("Relu", ["y"], ["z"])],
        "rgb", [onnx.helper.make_tensor_value_info("image", 1, [1, 3, 32, 32])], [onnx.helper.make_tensor_value_info("z", 1, None)],
        [onnx.numpy_helper.from_array(weight, "w")]), opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), f"{folder}/rgb.onnx")


def run_all(found, root, program, where):
    """Each in the same folder, in order; the files that a command writes are there for the next."""
    faults = 0
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(f"{folder}/bin")
        os.symlink(program, f"{folder}/bin/{PROGRAM}")
        make_folder(folder, root, program)
        make_photos(folder)
        env = dict(os.environ, PATH=f"{folder}/bin:{os.environ['PATH']}")
        for command, code in found:
            if " photos/ " in command + " ":  # which are in colour, and not what model.onnx was trained on
                command = command.replace(" model.onnx ", " rgb.onnx ")
            done = subprocess.run(["sh", "-c", command], cwd=folder, env=env, capture_output=True, text=True)
            if done.returncode != code:
                faults += 1
                print(f"{where}: {command}\n  exit code {done.returncode}, not {code}: {done.stderr}")
    return faults


def main(root, program):
    plain, every = known_options(program)
    faults, count = 0, 0
    for path in all_documents(root):
        name = os.path.relpath(path, root)
        codes = [code for code in inline_code(path) if code.startswith(("--", "-o ", PROGRAM + " "))]
        for code in codes + [line for line in shell_lines(path) if line.startswith(PROGRAM)]:
            for option in unknown_options(code, plain, every):
                faults += 1
                print(f"{name}: there is no option {option}: {code}")
        for line in shell_lines(path):
            first = shlex.split(line, comments=True)[:1]
            if first and first[0] not in OTHERS and first[0] != PROGRAM:
                faults += 1
                print(f"{name}: what runs '{line}'? (OTHERS in {os.path.basename(__file__)})")
        found = list(commands(path))
        count += len(found)
        if found:
            faults += run_all(found, root, program, name)
    examples = help_examples(program)
    assert examples, "no example in --help"
    faults += run_all(examples, root, program, "--help")
    print(f"{count} commands of documents, {len(examples)} of --help: {faults} faults")
    return faults > 0


sys.exit(main(*sys.argv[1:]))
