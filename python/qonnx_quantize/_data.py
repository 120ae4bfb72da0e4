# SPDX-License-Identifier: Apache-2.0
"""Calibration data that are no file yet become files in a temporary folder, sample by sample."""
from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from typing import Callable, Optional, Union

import numpy

Sample = Union[Mapping[str, "numpy.typing.ArrayLike"], numpy.ndarray]
Samples = Union[str, "os.PathLike[str]", Mapping[str, "numpy.typing.ArrayLike"], numpy.ndarray, Iterable[Sample]]


def _save(path: str, arrays: "dict[str, numpy.ndarray]") -> None:
    save: Callable[..., None] = numpy.savez  # whose other parameters are no arrays
    save(path, **arrays)


def _write_samples(samples: Iterable[Sample], folder: str) -> None:
    """One file each; numbers in front keep their order, which the library takes from the names."""
    count = 0
    for count, sample in enumerate(samples, 1):
        name = os.path.join(folder, f"sample_{count:08}")
        if isinstance(sample, Mapping):
            _save(name, {key: numpy.asarray(value)[None] for key, value in sample.items()})
        elif isinstance(sample, numpy.ndarray):
            numpy.save(name, sample[None])
        else:
            raise TypeError(f"a sample is a dict of arrays or an array, not {type(sample).__name__}")
    if not count:
        raise ValueError("calib holds no samples")


@contextlib.contextmanager
def as_path(samples: Optional[Samples]) -> Iterator[Optional[str]]:
    """The path of the samples, which lives as long as the context."""
    if samples is None or isinstance(samples, (str, os.PathLike)):
        yield None if samples is None else os.fspath(samples)
        return
    with tempfile.TemporaryDirectory(prefix="qonnx-quantize-") as folder:
        if isinstance(samples, Mapping):
            path = os.path.join(folder, "samples.npz")
            _save(path, {name: numpy.asarray(array) for name, array in samples.items()})
        elif isinstance(samples, numpy.ndarray):
            path = os.path.join(folder, "samples.npy")
            numpy.save(path, samples)
        elif isinstance(samples, Iterable):
            path = os.path.join(folder, "samples")
            os.mkdir(path)
            _write_samples(samples, path)
        else:
            raise TypeError(f"calib is a path, arrays or an iterable of samples, not {type(samples).__name__}")
        yield path
