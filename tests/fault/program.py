#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The program among hostile inputs and a full disk: program.py PROGRAM SOURCE-FOLDER. Python's standard library only.

Every case must end with a status that is not 0, one line on stderr that starts with the program's name, nothing on stdout,
no output file and no temporary; an output that was there before must be untouched.
"""
import os
import pathlib
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

PROGRAM, SOURCE = sys.argv[1], pathlib.Path(sys.argv[2])
CORPUS = SOURCE / "tests" / "fuzz" / "corpus" / "fuzz_load"
MODEL = SOURCE / "models" / "mnist_resnet" / "model.onnx"


def varint(value):
    out = b""
    while value > 0x7f:
        out, value = out + bytes([value & 0x7f | 0x80]), value >> 7
    return out + bytes([value])


def field(number, payload):
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def number(number, value):
    return varint(number << 3) + varint(value)


def value_info(name, side):
    return field(1, name) + field(2, field(1, number(1, 1) + field(2, field(1, field(2, b"n")) + field(1, number(1, side)))))


def write_products(path, layers, side, location=None):
    """MatMuls by weights of zeros, which take no room on the disk, in the file or beside it."""
    raw = 4 * side * side
    nodes, tensors = b"", []
    for i in range(layers):
        x, w, y = (b"%c%d" % (c, k) for c, k in ((b"x", i), (b"w", i), (b"x", i + 1)))
        nodes += field(1, field(1, x) + field(1, w) + field(2, y) + field(4, b"MatMul"))
        head = number(1, side) + number(1, side) + number(2, 1) + field(8, w)
        for key, value in ((b"location", location), (b"offset", b"%d" % (i * raw)), (b"length", b"%d" % raw)) if location else ():
            head += field(13, field(1, key) + field(2, value))
        tensors.append(head + (number(14, 1) if location else varint(9 << 3 | 2) + varint(raw)))
    ends = field(2, b"g") + field(11, value_info(b"x0", side)) + field(12, value_info(b"x%d" % layers, side))
    room = 0 if location else raw
    size = len(nodes) + len(ends) + sum(len(varint(5 << 3 | 2) + varint(len(t) + room)) + len(t) + room for t in tensors)
    with open(path, "wb") as file:
        file.write(number(1, 10) + field(8, number(2, 21)) + varint(7 << 3 | 2) + varint(size) + nodes)
        for tensor in tensors:
            file.write(varint(5 << 3 | 2) + varint(len(tensor) + room) + tensor)
            file.seek(room, os.SEEK_CUR)
        file.write(ends)
    if location:
        with open(path.parent / location.decode(), "wb") as file:
            file.truncate(layers * raw)


class Program(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="qonnx-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.out = self.folder / "out.onnx"

    def run_program(self, model, before=None, options=("--preset", "copy")):
        return subprocess.run([PROGRAM, str(model), str(self.out), *options], capture_output=True, text=True,
                              timeout=120, preexec_fn=before)

    def refused(self, model, *words, before=None, status=1, options=("--preset", "copy")):
        """Once where nothing is, once over an old output."""
        for old in (None, b"old"):
            self.out.unlink(missing_ok=True)
            if old:
                self.out.write_bytes(old)
            present = sorted(os.listdir(self.folder))
            result = self.run_program(model, before, options)
            self.assertEqual(result.returncode, status, result.stderr)
            self.assertEqual(result.stdout, "")
            self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
            self.assertTrue(result.stderr.startswith("qonnx-quantize: "), result.stderr)
            for word in words:
                self.assertIn(word, result.stderr)
            self.assertEqual(sorted(os.listdir(self.folder)), present)
            if old:
                self.assertEqual(self.out.read_bytes(), old)

    def test_hostile_files_are_refused(self):
        files = sorted(CORPUS.glob("bad_*"))
        self.assertGreater(len(files), 25)
        for file in files:
            with self.subTest(file.name):
                self.refused(file, str(file))

    def test_a_folder_and_a_missing_file_are_refused(self):
        self.refused(self.folder, "is a directory")
        self.refused(self.folder / "none.onnx", "none.onnx", "No such file")

    def test_external_data_that_are_missing_or_outside_are_refused(self):
        for location, word in ((b"gone.bin", "No such file"), (b"../gone.bin", "leaves the model's folder"), (b"/etc/passwd", "absolute")):
            tensor = b"\x08\x01\x10\x01" + field(8, b"w") + field(13, field(1, b"location") + field(2, location)) + b"\x70\x01"
            model = self.folder / "external.onnx"
            model.write_bytes(b"\x08\x08" + field(7, field(5, tensor)) + field(8, b"\x10\x11"))
            with self.subTest(location):
                self.refused(model, "tensor 'w'", word)

    def test_a_full_disk_leaves_nothing(self):
        self.refused(MODEL, "cannot write", "File too large", before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000)))

    def test_a_disk_that_fills_up_while_weights_are_quantized_leaves_nothing(self):
        write_products(self.folder / "inside.onnx", 3, 2048)
        write_products(self.folder / "beside.onnx", 3, 2048, b"beside.data")
        for model in ("inside", "beside"):
            for options in (("int8-weights",), ("int4",), ("int4", "--format", "qdq"), ("int4", "--external-data", "always"), ("int4", "--external-data", "always", "--shard-size", "4"), ("fp16",)):
                with self.subTest(model=model, options=options):
                    self.refused(self.folder / f"{model}.onnx", "cannot write", "File too large", before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000000, 2000000)),
                                 options=("--preset", *options))

    def test_external_data_that_cannot_be_read_or_are_too_short_are_refused(self):
        model, data = self.folder / "model.onnx", self.folder / "weights.data"
        write_products(model, 1, 64, b"weights.data")
        for spoil, words in ((lambda: data.mkdir(), ("is a directory",)), (lambda: os.mkfifo(data), ("is not a regular file",)),
                             (lambda: data.write_bytes(b"0" * 4095), ("16384 bytes at offset 0", "holds 4095 bytes"))):
            data.rmdir() if data.is_dir() else data.unlink()
            spoil()
            self.refused(model, "tensor 'w0'", *words, options=("--preset", "int4"))

    def test_an_input_that_is_truncated_while_it_is_quantized_is_a_clear_line(self):
        for preset, location in (("int8-weights", None), ("int4", None), ("int8-weights", b"in.data"), ("int4", b"in.data")):
            with self.subTest(preset=preset, location=location):
                model, hit = self.folder / "in.onnx", False
                for _ in range(20):
                    write_products(model, 6, 2048, location)
                    child = subprocess.Popen([PROGRAM, str(model), str(self.out), "--preset", preset, "--quiet"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                    while child.poll() is None and not list(self.folder.glob(".qonnx-*")):
                        pass
                    os.truncate(self.folder / location.decode() if location else model, 1 << 20)
                    said = child.communicate()
                    self.assertEqual(list(self.folder.glob(".qonnx-*")), [])
                    hit = child.returncode != 0
                    if hit:
                        break
                    self.out.unlink()  # it was done before
                self.assertTrue(hit)
                self.assertEqual(child.returncode, 1)
                self.assertEqual(said[0], "")
                self.assertEqual(said[1].count("\n"), 1, said[1])
                self.assertRegex(said[1], "^qonnx-quantize: .*truncated")
                self.assertFalse(self.out.exists())

    def test_a_folder_that_may_not_be_written_is_refused(self):
        self.out = self.folder / "none" / "out.onnx"
        result = self.run_program(MODEL)
        self.assertEqual(result.returncode, 1)
        self.assertIn("No such file or directory", result.stderr)

    def test_the_output_may_be_the_input(self):
        shutil.copy(MODEL, self.out)
        result = self.run_program(self.out)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(self.out.read_bytes(), MODEL.read_bytes())

    def test_a_signal_leaves_no_temporary(self):
        pipe = self.folder / "big.onnx"
        raw = 200 << 20
        head = b"\x08" + varint(raw) + b"\x10\x02\x42\x01w\x4a" + varint(raw)  # a uint8 tensor 'w'
        graph = b"\x2a" + varint(len(head) + raw) + head
        with open(pipe, "wb") as file:  # sparse
            file.write(b"\x08\x08\x42\x02\x10\x11\x3a" + varint(len(graph) + raw) + graph)
            file.truncate(file.tell() + raw)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            child = subprocess.Popen([PROGRAM, str(pipe), str(self.out), "--preset", "copy"], stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL)
            while child.poll() is None and not list(self.folder.glob(".qonnx-*")):
                pass
            child.send_signal(number)
            child.wait()
            self.assertIn(child.returncode, (-number, 0))  # 0: it was done before
            self.assertEqual(list(self.folder.glob(".qonnx-*")), [])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
