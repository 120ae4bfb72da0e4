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


class Program(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="qonnx-test-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.out = self.folder / "out.onnx"

    def run_program(self, model, before=None):
        return subprocess.run([PROGRAM, str(model), str(self.out), "--preset", "copy"], capture_output=True, text=True,
                              timeout=120, preexec_fn=before)

    def refused(self, model, *words, before=None, status=1):
        """Once where nothing is, once over an old output."""
        for old in (None, b"old"):
            self.out.unlink(missing_ok=True)
            if old:
                self.out.write_bytes(old)
            present = sorted(os.listdir(self.folder))
            result = self.run_program(model, before)
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
        def field(number, payload):
            return bytes([number << 3 | 2, len(payload)]) + payload

        for location, word in ((b"gone.bin", "No such file"), (b"../gone.bin", "leaves the model's folder"), (b"/etc/passwd", "absolute")):
            tensor = b"\x08\x01\x10\x01" + field(8, b"w") + field(13, field(1, b"location") + field(2, location)) + b"\x70\x01"
            model = self.folder / "external.onnx"
            model.write_bytes(b"\x08\x08" + field(7, field(5, tensor)) + field(8, b"\x10\x11"))
            with self.subTest(location):
                self.refused(model, "tensor 'w'", word)

    def test_a_full_disk_leaves_nothing(self):
        self.refused(MODEL, "cannot write", "File too large", before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000)))

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

        def varint(value):
            out = b""
            while value > 0x7f:
                out, value = out + bytes([value & 0x7f | 0x80]), value >> 7
            return out + bytes([value])

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
