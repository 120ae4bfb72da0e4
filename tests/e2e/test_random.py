# SPDX-License-Identifier: Apache-2.0
"""test_random.py PROGRAM FIRST COUNT: random networks with seeds from FIRST on, judged like the zoo's models: ONNX Runtime
must do what the report says, and come to the same numbers as exact arithmetic."""
import sys
import tempfile

import runs
import test_zoo
from zoo import random_nets


def main():
    program, first, count = runs.Program(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    failed, integer = 0, 0
    for seed in range(first, first + count):
        with tempfile.TemporaryDirectory(prefix="qonnx-random-") as folder:
            try:
                integer += sum(test_zoo.judge(program, random_nets.make(seed), folder)[0].values())
            except Exception as error:  # noqa: BLE001
                failed += 1
                print(f"FAILED seed {seed}: {type(error).__name__}: {str(error)[:600]}", flush=True)
    print(f"{count - failed} of {count} networks right, with {integer} integer kernels")
    return 1 if failed or not integer else 0


if __name__ == "__main__":
    sys.exit(main())
