# SPDX-License-Identifier: Apache-2.0
"""The ONNX Runtime library of this Python's onnxruntime package."""
from __future__ import annotations

import glob
import importlib.util
import os
from typing import Optional


def runtime_library() -> Optional[str]:
    """Its path; None without the package. The package itself is not imported."""
    spec = importlib.util.find_spec("onnxruntime")
    if spec is None or not spec.origin:
        return None
    found = sorted(glob.glob(os.path.join(os.path.dirname(spec.origin), "capi", "libonnxruntime.so*")))
    return found[0] if found else None
