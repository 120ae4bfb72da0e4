# SPDX-License-Identifier: Apache-2.0
"""Compare the schema that the library is built with to the descriptor in the `onnx` package, field by field.

    proto_fields.py DUMP        DUMP prints ours (tests/peer/dump_proto.c)

Where the package has our IR version, both must be equal altogether. An older package may lack what is newer than it and a
newer one may have more than ours, but what both have must agree in number, type, label, packing and oneof.
"""
import subprocess
import sys

import onnx
from google.protobuf import descriptor_pb2

TYPES = {number: name[5:].lower() for name, number in descriptor_pb2.FieldDescriptorProto.Type.items()}
LABELS = {number: name[6:].lower() for name, number in descriptor_pb2.FieldDescriptorProto.Label.items()}


def ours(dump):
    schema = {}
    for line in subprocess.run([dump], check=True, capture_output=True, text=True).stdout.splitlines():
        kind, owner, *rest = line.split()
        if kind == "message":
            schema[(kind, owner)] = ()
        elif kind == "enum":
            schema[(kind, owner, rest[0])] = (int(rest[1]),)
        else:
            name, number, label, type_, packed, oneof = rest
            schema[(kind, owner, name)] = (int(number), label, type_, packed == "1", oneof == "1")
    return schema


def theirs():
    schema = {}

    def enumeration(prefix, enum):
        for value in enum.value:
            schema[("enum", f"{prefix}.{enum.name}", value.name)] = (value.number,)

    def message(prefix, descriptor):
        name = f"{prefix}.{descriptor.name}"
        schema[("message", name)] = ()
        for field in descriptor.field:
            schema[("field", name, field.name)] = (
                field.number, LABELS[field.label], field.type_name.lstrip(".") or TYPES[field.type], field.options.packed,
                field.HasField("oneof_index"))
        for nested in descriptor.nested_type:
            message(name, nested)
        for enum in descriptor.enum_type:
            enumeration(name, enum)

    file = descriptor_pb2.FileDescriptorProto()
    onnx.ModelProto.DESCRIPTOR.file.CopyToProto(file)
    for descriptor in file.message_type:
        message(file.package, descriptor)
    for enum in file.enum_type:
        enumeration(file.package, enum)
    return schema


def compare(mine, peers):
    """The differences as lines; an empty list where the schemas agree."""
    version = ("enum", "onnx.Version", "IR_VERSION")
    newer_here, newer_there = mine[version] > peers[version], mine[version] < peers[version]
    lines = []
    for key in sorted(mine.keys() | peers.keys()):
        moved = key == version and (newer_here or newer_there)  # the constant that says "newest" moves on
        if key not in peers:
            if not newer_here:
                lines.append(f"{' '.join(key)}: only in ours {mine[key]}")
        elif key not in mine:
            if not newer_there:
                lines.append(f"{' '.join(key)}: missing in ours; the package has {peers[key]}")
        elif mine[key] != peers[key] and not moved:
            lines.append(f"{' '.join(key)}: ours {mine[key]}, the package's {peers[key]}")
    return lines


def selftest(mine, peers):
    """Each kind of difference is seen, on copies of the real schemas."""
    field = ("field", "onnx.TensorProto", "float_data")
    enum = ("enum", "onnx.AttributeProto.AttributeType", "FLOAT")
    for change in [
        lambda s: s.pop(field), lambda s: s.pop(enum), lambda s: s.pop(("message", "onnx.TensorProto.Segment")),
        lambda s: s.update({field: (99,) + s[field][1:]}),
        lambda s: s.update({field: s[field][:3] + (not s[field][3], s[field][4])}),
        lambda s: s.update({enum: (77,)}), lambda s: s.update({("field", "onnx.TensorProto", "extra"): (1, "", "", 0, 0)}),
    ]:
        changed = dict(peers)
        change(changed)
        if len(compare(peers, changed)) != 1 or len(compare(changed, peers)) != 1:
            sys.exit("the comparison does not see a difference that was made on purpose")


def main(dump):
    mine, peers = ours(dump), theirs()
    selftest(mine, peers)
    lines = compare(mine, peers)
    print("\n".join(lines))
    print(f"onnx {onnx.__version__}: {len(mine)} messages, fields and enumerators of ours, {len(peers)} of the package, "
          f"{len(lines)} differences")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
