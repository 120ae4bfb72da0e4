# SPDX-License-Identifier: Apache-2.0
"""snippets.py ROOT PROGRAM: each python block of README.md and docs/*.md that begins with an import is run, in a folder with the
files that documents.py lists; `array` is what samples.npz holds. Needs the Python package."""
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from documents import all_documents, blocks, make_folder  # noqa: E402

PRELUDE = 'import numpy\narray = numpy.load("samples.npz")["input"]\n'


def main(root, program):
    count, faults = 0, 0
    for path in all_documents(root):
        for block in blocks(path, "python"):
            if not block.startswith(("import ", "from ")):
                continue
            count += 1
            with tempfile.TemporaryDirectory() as folder:
                make_folder(folder, root, program)
                done = subprocess.run([sys.executable, "-c", PRELUDE + block], cwd=folder, capture_output=True, text=True)
            if done.returncode:
                faults += 1
                print(f"{os.path.relpath(path, root)}:\n{block}\n{done.stderr}")
    assert count, "no snippet"
    return faults > 0


sys.exit(main(*sys.argv[1:]))
