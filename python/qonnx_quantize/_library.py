# SPDX-License-Identifier: Apache-2.0
"""libqonnx.so by ctypes: what include/qonnx declares, as far as this package uses it."""
from __future__ import annotations

import ctypes
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from ctypes import CFUNCTYPE, POINTER, byref, c_bool, c_char, c_char_p, c_int, c_size_t, c_void_p
from dataclasses import dataclass, field
from typing import Any, Callable, Optional, Union

from ._runtime import runtime_library


class _Error(ctypes.Structure):
    _fields_ = [("status", c_int), ("message", c_char * 512)]


_Progress = CFUNCTYPE(None, c_void_p, c_char_p, c_size_t, c_size_t)
_Warning = CFUNCTYPE(None, c_void_p, c_char_p)


class _Callbacks(ctypes.Structure):
    _fields_ = [("context", c_void_p), ("progress", _Progress), ("warning", _Warning)]


class _OptionInfo(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("argument", c_char_p), ("fallback", c_char_p), ("help", c_char_p), ("group", c_char_p),
                ("commands", c_char_p), ("repeatable", c_bool), ("advanced", c_bool)]


_Result = c_void_p
# As in the option table's `commands`.
_LETTERS = {"quantize": "q", "compare": "c", "convert": "v", "inspect": "i"}
_ERROR = POINTER(_Error)
_RUN = (c_void_p, POINTER(_Callbacks), POINTER(_Result), _ERROR)

# name: result, arguments
_FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "qonnx_version": (c_char_p, ()),
    "qonnx_status_name": (c_char_p, (c_int,)),
    "qonnx_status_text": (c_char_p, (c_int,)),
    "qonnx_status_exit_code": (c_int, (c_int,)),
    "qonnx_options_new": (c_void_p, ()),
    "qonnx_options_free": (None, (c_void_p,)),
    "qonnx_options_set": (c_int, (c_void_p, c_char_p, c_char_p, _ERROR)),
    "qonnx_option_at": (POINTER(_OptionInfo), (c_size_t,)),
    "qonnx_option_choice": (c_bool, (c_char_p, c_size_t, POINTER(c_char_p), POINTER(c_char_p))),
    "qonnx_quantize": (c_int, (c_char_p, c_char_p, *_RUN)),
    "qonnx_compare": (c_int, (c_char_p, c_char_p, *_RUN)),
    "qonnx_convert": (c_int, (c_char_p, c_char_p, *_RUN)),
    "qonnx_inspect": (c_int, (c_char_p, *_RUN)),
    "qonnx_result_text": (c_char_p, (_Result,)),
    "qonnx_result_json": (c_char_p, (_Result,)),
    "qonnx_result_free": (None, (_Result,)),
}


def _load() -> ctypes.CDLL:
    library = ctypes.CDLL(os.path.join(os.path.dirname(__file__), "libqonnx.so"))
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


_library = _load()


class QonnxWarning(UserWarning):
    """Something about a run that its user should know."""


@dataclass(frozen=True)
class Result:
    """What a run produced: `text` for people, `report` (the sidecar's content, where there is one) for programs."""
    text: str
    report: dict[str, Any] = field(repr=False)
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.text


class QonnxError(Exception):
    """A run that failed. `status` is the library's name for why ("E_DATA"), `exit_code` the program's; `result` is there
    when a demanded quality was not reached: the figures."""

    def __init__(self, message: str, status: str, exit_code: int, result: Optional[Result] = None) -> None:
        super().__init__(message)
        self.status, self.exit_code, self.result = status, exit_code, result


@dataclass(frozen=True)
class Option:
    """One option: keyword `name` with `_` for `-`. `commands` has a letter for each that takes it: q (quantize), c (compare),
    v (convert), i (inspect), d (dump)."""
    name: str
    argument: Optional[str]
    default: Optional[str]
    help: str
    group: str
    commands: str
    repeatable: bool
    choices: dict[str, str]


def _check(status: int, error: _Error, result: Optional[Result] = None) -> None:
    if status:
        message = error.message or _library.qonnx_status_text(status)
        raise QonnxError(message.decode("utf-8", "replace"), _library.qonnx_status_name(status).decode(),
                         _library.qonnx_status_exit_code(status), result)


def version() -> str:
    """The version of the library."""
    return str(_library.qonnx_version().decode())


def _choices(name: bytes) -> Iterator[tuple[str, str]]:
    word, summary, k = c_char_p(), c_char_p(), 0
    while _library.qonnx_option_choice(name, k, byref(word), byref(summary)):
        yield (word.value or b"").decode(), (summary.value or b"").decode()
        k += 1


def options() -> list[Option]:
    """Every option there is."""
    found: list[Option] = []
    while True:
        pointer = _library.qonnx_option_at(len(found))
        if not pointer:
            return found
        row = pointer.contents
        found.append(Option(
            row.name.decode(), row.argument and row.argument.decode(), row.fallback and row.fallback.decode(),
            row.help.decode(), row.group.decode(), row.commands.decode(), row.repeatable, dict(_choices(row.name))))


def _words(value: Any) -> Iterator[str]:
    """A keyword's value as the texts that the option is set to, one for each time."""
    if isinstance(value, bool):
        yield "on" if value else "off"
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield f"{key}={','.join(map(str, item)) if isinstance(item, (list, tuple)) else item}"
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from _words(item)
    else:
        yield os.fspath(value) if isinstance(value, os.PathLike) else str(value)


class Run:
    """One call of the library: the settings, then run(function, file, …)."""

    def __init__(self, settings: Mapping[str, Any], progress: Optional[Callable[[str, int, int], None]]) -> None:
        self._settings = {keyword.replace("_", "-"): value for keyword, value in settings.items() if value is not None}
        self._progress = progress
        self._warnings: list[str] = []
        self._raised: Optional[BaseException] = None

    def _on_progress(self, _context: Any, stage: bytes, done: int, total: int) -> None:
        try:
            if self._progress and self._raised is None:
                self._progress(stage.decode("utf-8", "replace"), done, total)
        except BaseException as error:  # C code is in between: raised when the call is over
            self._raised = error

    def _on_warning(self, _context: Any, text: bytes) -> None:
        self._warnings.append(text.decode("utf-8", "replace"))

    def _set_all(self, handle: int, function: str) -> None:
        letter = _LETTERS[function]
        known = {option.name: option.commands for option in options()}
        settings = dict(self._settings)
        if "QONNX_ORT" not in os.environ and letter in known["ort"]:
            settings.setdefault("ort", runtime_library())
        for name, value in settings.items():
            if letter not in known.get(name, letter):
                raise TypeError(f"option '{name}' does not go with {function}()")
            for word in _words(value):
                error = _Error()
                _check(_library.qonnx_options_set(handle, name.encode(), word.encode(), byref(error)), error)

    def _take(self, handle: c_void_p) -> Optional[Result]:
        if not handle:
            return None
        text = _library.qonnx_result_text(handle).decode("utf-8", "replace")
        report = _library.qonnx_result_json(handle).decode("utf-8", "replace")
        _library.qonnx_result_free(handle)
        return Result(text, json.loads(report) if report else {}, tuple(self._warnings))

    def __call__(self, function: str, *files: Union[str, "os.PathLike[str]"]) -> Result:
        handle = _library.qonnx_options_new()
        if not handle:
            raise MemoryError
        try:
            self._set_all(handle, function)
            callbacks = _Callbacks(None, _Progress(self._on_progress), _Warning(self._on_warning))
            pointer, error = _Result(), _Error()
            status = getattr(_library, "qonnx_" + function)(
                *map(os.fsencode, files), handle, byref(callbacks), byref(pointer), byref(error))
        finally:
            _library.qonnx_options_free(handle)
        result = self._take(pointer)
        for text in self._warnings:
            warnings.warn(text, QonnxWarning, stacklevel=3)
        if self._raised:
            raise self._raised
        _check(status, error, result)
        assert result is not None
        return result
