# SPDX-License-Identifier: Apache-2.0
"""check_schema.py SCHEMA EXAMPLE: the schema is a valid one, takes the golden sidecar of tests/unit/test_report_json.c, and
refuses it with any one thing wrong; every key of the schema is explained in sidecar.md beside it."""
import copy
import json
import os
import sys

import jsonschema

REMOVED = object()


def changed(document, path, value):
    """A copy with what lies at `path` replaced or removed."""
    result = copy.deepcopy(document)
    at = result
    for key in path[:-1]:
        at = at[key]
    if value is REMOVED:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return result


def required(document):
    """Paths of all keys that a sidecar of this kind always has."""
    yield from ((key,) for key in document)
    for part in ("producer", "calibration", "model"):
        yield from ((part, key) for key in document[part])
    for part in ("input", "output"):
        yield from ((part, key) for key in document[part] if key != "sha256")
    for key in ("index", "name", "op_type", "output", "decision", "reason", "reason_text"):
        yield ("nodes", 3, key)
    for key in ("name", "role", "output_dtype", "bit_width", "signed", "narrow", "y_scale", "y_zero_point"):
        yield ("tensors", 0, key)
        yield ("tensors", 3, key)
    yield from (("tensors", 0, key) for key in ("float_min", "float_max", "observer"))
    yield ("tensors", 3, "node")
    yield ("tensors", 3, "axis")


WRONG = [
    (("schema",), "qonnx-quantize/sidecar/2"),
    (("extra",), 1),
    (("input", "path"), "/somewhere/x.onnx"),
    (("output", "name"), "x.onnx"),
    (("input", "xxh3_128"), "00112233"),
    (("input", "bytes"), -1),
    (("options",), {"preset": 8}),
    (("calibration", "ranges"), "guess"),
    (("calibration", "ranges"), "synthetic"),
    (("calibration", "samples"), 0),
    (("calibration", "notes"), "none"),
    (("model", "identical"), True),
    (("model", "left_in_float"), {"opset": 0}),
    (("nodes", 0, "decision"), "maybe"),
    (("nodes", 0, "reason"), "opset"),
    (("nodes", 1, "accumulator_bits"), 20),
    (("nodes", 0, "fused_into"), 1),
    (("nodes", 0, "accumulator_bits"), 20.5),
    (("nodes", 3, "index"), "3"),
    (("tensors", 0, "role"), "state"),
    (("tensors", 0, "y_scale"), 0),
    (("tensors", 0, "y_scale"), None),
    (("tensors", 0, "y_scale"), [0.1]),
    (("tensors", 0, "axis"), 0),
    (("tensors", 0, "output_dtype"), "float32"),
    (("tensors", 0, "node"), 0),
    (("tensors", 3, "y_scale"), []),
    (("tensors", 3, "shared_with"), "x"),
    (("tensors", 4, "output_dtype"), "int16"),
    (("tensors", 4, "observer"), "minmax"),
]


def keys_of(schema):
    """All names of properties, at any depth."""
    if isinstance(schema, dict):
        yield from schema.get("properties", {})
        for value in schema.values():
            yield from keys_of(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from keys_of(value)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        schema = json.load(file)
    with open(sys.argv[2], encoding="utf-8") as file:
        example = json.load(file)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(example)
    cases = [(path, REMOVED) for path in required(example)] + WRONG
    for path, value in cases:
        if validator.is_valid(changed(example, path, value)):
            sys.exit(f"the schema takes a sidecar with {path} " + ("missing" if value is REMOVED else f"= {value!r}"))
    with open(os.path.join(os.path.dirname(sys.argv[1]), "sidecar.md"), encoding="utf-8") as file:
        explained = file.read()
    missing = sorted({key for key in keys_of(schema) if f"`{key}`" not in explained and f".{key}`" not in explained
                      and f'"{key}"' not in explained})
    if missing:
        sys.exit(f"sidecar.md says nothing of {', '.join(missing)}")
    print(f"{len(cases)} wrong sidecars refused")


main()
