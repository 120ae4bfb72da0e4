# SPDX-License-Identifier: Apache-2.0
"""The program in a folder of its own for each test."""
import pathlib
import shutil
import subprocess
import tempfile
import unittest


class ProgramCase(unittest.TestCase):
    program = None  # its path, which the module sets

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="qonnx-test-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def run_program(self, *words, status=0):
        """What it says on stderr."""
        done = subprocess.run([self.program, *map(str, words)], capture_output=True, text=True, cwd=self.folder)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stderr

    def read(self, name):
        return (self.folder / name).read_bytes()
