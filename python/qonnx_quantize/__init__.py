# SPDX-License-Identifier: Apache-2.0
"""Makes trained ONNX models small and fast.

    import qonnx_quantize

    result = qonnx_quantize.quantize("model.onnx", "int8.onnx", calib=samples)
    print(result.text)

`calib` is a path, as on the command line, or data:

* a dict of arrays: input name -> array with a leading sample axis;
* an array with a leading sample axis, for a model with one input;
* an iterable of dicts, one a sample: what you would pass to `InferenceSession.run`, such as a generator over a data loader.

Every option of the command line is a keyword, with `_` for `-`: `min_sqnr=30`, `exclude=["op:Gemm"]`, `strict=True`,
`input_shape={"x": (1, 3, 224, 224)}`. `options()` lists them.
"""
from __future__ import annotations

import os
from typing import Any, Callable, Optional, Union

from ._data import Samples, as_path
from ._library import Option, QonnxError, QonnxWarning, Result, Run, options, version

__all__ = ["Option", "QonnxError", "QonnxWarning", "Result", "Samples", "compare", "convert", "inspect", "options", "quantize",
           "version"]
__version__ = version()

PathLike = Union[str, "os.PathLike[str]"]
Progress = Callable[[str, int, int], None]


def quantize(path: PathLike, out: PathLike, *, preset: Optional[str] = None, calib: Optional[Samples] = None,
             progress: Optional[Progress] = None, **settings: Any) -> Result:
    """Quantizes the float model at `path` and writes `out`, with its sidecar beside it; neither is written on failure.

    `progress(stage, done, total)` is called as work goes on; total 0 is not known. What the library warns of becomes a
    QonnxWarning. Raises QonnxError."""
    with as_path(calib) as samples:
        run = Run({"preset": preset, "calib": samples, **settings}, progress)
        return run("quantize", path, out)


def compare(first: PathLike, second: PathLike, calib: Samples, *, progress: Optional[Progress] = None,
            **settings: Any) -> Result:
    """Runs two models on the same samples and tells how far their outputs are apart. With `fail_below="sqnr=30"` and a
    figure below it, QonnxError has status E_QUALITY and the figures in its `result`."""
    with as_path(calib) as samples:
        return Run({"calib": samples, **settings}, progress)("compare", first, second)


def convert(path: PathLike, out: PathLike, format: str, *, progress: Optional[Progress] = None, **settings: Any) -> Result:
    """Writes a quantized model in another format, or as a float model ("float"): no code, scale or zero point changes."""
    return Run({"format": format, **settings}, progress)("convert", path, out)


def inspect(path: PathLike, *, check: bool = False, **settings: Any) -> Result:
    """Scale, zero point, bit width and sign of every tensor of a quantized model."""
    return Run({"check": check, **settings}, None)("inspect", path)
