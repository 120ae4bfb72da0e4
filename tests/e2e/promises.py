# SPDX-License-Identifier: Apache-2.0
"""What files of promises share. A promise is a function that gets the program, a model's folder and an empty folder."""
import os
import sys
import tempfile
import traceback

import numpy as np
import runs

PROMISES = []


class Whole(runs.Program):
    """Quantizes all it can: the model is so small that part of it would stay in float for speed."""

    def __call__(self, *arguments, **settings):
        if arguments[0] != "compare" and not any(str(a).startswith("only-faster") for a in arguments):
            arguments = (*arguments, "-o", "only-faster=off")
        return super().__call__(*arguments, **settings)


def promise(function):
    PROMISES.append(function)
    return function


def read(path):
    with open(path, "rb") as file:
        return file.read()


def calib_of(folder, count=16):
    data = np.load(os.path.join(folder, "calib.npz"))
    return {name: data[name][:count] for name in data.files}


def main():
    program, folder = Whole(sys.argv[1]), os.path.normpath(sys.argv[2])
    chosen = [p for p in PROMISES if len(sys.argv) < 4 or p.__name__ in sys.argv[3:]]
    failed = 0
    for test in chosen:
        with tempfile.TemporaryDirectory(prefix="qonnx-promise-") as scratch:
            try:
                test(program, folder, scratch)
                print(f"kept: {test.__name__}", flush=True)
            except Exception as error:  # noqa: BLE001
                failed += 1
                where = traceback.extract_tb(error.__traceback__)[1].lineno if isinstance(error, AssertionError) else traceback.format_exc()
                print(f"BROKEN: {test.__name__} (line {where}): {error}", flush=True)
    return 1 if failed or not chosen else 0
