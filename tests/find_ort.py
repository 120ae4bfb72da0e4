# SPDX-License-Identifier: Apache-2.0
"""Print the path of this Python's ONNX Runtime library; fail if a package that the tests use is missing."""
import glob
import importlib.util
import os
import sys

for package in ("numpy", "onnx", "jsonschema", "onnxruntime"):
    if importlib.util.find_spec(package) is None:
        sys.exit(f"no Python package {package}")
folder = os.path.dirname(importlib.util.find_spec("onnxruntime").origin)
libraries = sorted(glob.glob(os.path.join(folder, "capi", "libonnxruntime.so*")))
if not libraries:
    sys.exit(f"no libonnxruntime.so in {folder}/capi")
print(libraries[0])
