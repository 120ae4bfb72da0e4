# SPDX-License-Identifier: Apache-2.0
"""The command line: this process becomes the native program, which is told where ONNX Runtime is."""
from __future__ import annotations

import os
import sys

from ._runtime import runtime_library


def main() -> None:
    program = os.path.join(os.path.dirname(__file__), "qonnx-quantize")
    library = runtime_library()
    if library:
        os.environ.setdefault("QONNX_ORT", library)
    os.execv(program, ["qonnx-quantize", *sys.argv[1:]])


if __name__ == "__main__":
    main()
