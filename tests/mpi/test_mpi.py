#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Calibration by several ranks: test_mpi.py PROGRAM MPIEXEC FOLDER, the folder with a model and its samples (mnist_resnet)."""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import numpy as np

PROGRAM, MPIEXEC, FOLDER = sys.argv.pop(1), sys.argv.pop(1), sys.argv.pop(1)
MODEL, CALIB = os.path.join(FOLDER, "model.onnx"), os.path.join(FOLDER, "calib.npz")
RANK = ("OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK")


class Ranks(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="qonnx-test-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def words(self, ranks, *words):
        launcher = [MPIEXEC, "-n", str(ranks)] if ranks else []
        return [*launcher, PROGRAM, *map(str, words)]

    def run_program(self, ranks, *words, status=0):
        done = subprocess.run(self.words(ranks, *words), capture_output=True, text=True, cwd=self.folder, timeout=200)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stderr

    def read(self, name):
        return (self.folder / name).read_bytes()

    def files(self):
        """But for a temporary file of a process that was killed."""
        return sorted(name for name in os.listdir(self.folder) if not name.startswith(".qonnx-"))

    def many_samples(self, times):
        with np.load(CALIB) as file:
            name, values = next(iter(file.items()))
        np.savez(self.folder / "calib.npz", **{name: np.concatenate([values] * times)})

    def pid_of(self, rank):
        """The process of a rank that works in this test's folder, or None."""
        for entry in os.listdir("/proc"):
            try:
                if not entry.isdigit() or os.readlink(f"/proc/{entry}/cwd") != str(self.folder) or os.readlink(f"/proc/{entry}/exe") != os.path.realpath(PROGRAM):
                    continue
                with open(f"/proc/{entry}/environ", "rb") as file:
                    environment = dict(pair.split("=", 1) for pair in file.read().decode(errors="replace").split("\0") if "=" in pair)
            except OSError:
                continue
            if next((environment[name] for name in RANK if name in environment), None) == str(rank):
                return int(entry)
        return None

    def wait_for(self, child, condition):
        end = time.monotonic() + 120
        while child.poll() is None and not condition():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.002)

    def start(self, ranks, *words):
        return subprocess.Popen(self.words(ranks, *words), cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def errors_of_ours(self, said):
        return [line for line in said.splitlines() if line.startswith("qonnx-quantize: error:")]

    def test_any_number_of_ranks_and_shards_is_one_run(self):
        self.run_program(0, "calibrate", MODEL, "all", "--calib", CALIB)
        for ranks in (1, 2, 4):
            said = self.run_program(ranks, "calibrate", MODEL, f"ranks{ranks}", "--calib", CALIB, "--threads", "1")
            self.assertEqual(said.count("over 128 of 128 samples"), 1, said)
            self.assertEqual(self.read(f"ranks{ranks}"), self.read("all"))
        for k in (1, 2, 3):
            self.run_program(0, "calibrate", MODEL, f"part{k}", "--calib", CALIB, "--shard", f"{k}/3")
        self.run_program(0, "merge", "merged", "part1", "part2", "part3")
        self.assertEqual(self.read("merged"), self.read("all"))
        self.assertEqual(self.files(), ["all", "merged", "part1", "part2", "part3", "ranks1", "ranks2", "ranks4"])

    def test_there_may_be_more_ranks_than_samples(self):
        self.run_program(0, "calibrate", MODEL, "all", "--calib", CALIB, "--samples", "2", "-o", "observer=moving-average")
        self.run_program(3, "calibrate", MODEL, "ranks", "--calib", CALIB, "--samples", "2", "-o", "observer=moving-average")
        self.assertEqual(self.read("ranks"), self.read("all"))

    def test_a_killed_rank_leaves_no_output_and_is_gone_on_with(self):
        self.many_samples(20)
        words = ["calibrate", MODEL, "stats", "--calib", "calib.npz", "-o", "checkpoint=8", "--threads", "1"]
        self.run_program(0, *words[:2], "wanted", *words[3:])
        child = self.start(3, *words)
        self.wait_for(child, lambda: all((self.folder / f"stats.{k}-of-3.partial").exists() for k in (1, 2, 3)))
        victim = self.pid_of(1)
        self.assertIsNotNone(victim, "it was too fast to be killed")
        os.kill(victim, signal.SIGKILL)
        said = child.communicate(timeout=120)[0]
        self.assertNotEqual(child.returncode, 0)
        self.assertIn("signal 9", said)
        self.assertFalse((self.folder / "stats").exists())
        said = self.run_program(3, *words, "--resume")
        self.assertIn("over 2560 of 2560 samples", said)
        self.assertEqual(self.read("stats"), self.read("wanted"))
        self.assertEqual(self.files(), ["calib.npz", "stats", "wanted"])

    def test_an_error_in_one_rank_ends_all_with_its_line(self):
        self.many_samples(20)
        data = self.folder / "data"
        data.mkdir()
        shutil.move(self.folder / "calib.npz", data / "c.npz")
        for name in ("a", "b"):
            with np.load(CALIB) as file:
                key, values = next(iter(file.items()))
            np.savez(data / f"{name}.npz", **{key: values[:1]})
        damaged = bytearray((data / "b.npz").read_bytes())
        for i in range(len(damaged) // 2, len(damaged) // 2 + 16):
            damaged[i] ^= 0x55
        (data / "b.npz").write_bytes(damaged)
        child = self.start(2, "calibrate", MODEL, "stats", "--calib", "data", "-o", "checkpoint=8", "--threads", "1")
        self.wait_for(child, (self.folder / "stats.1-of-2.partial").exists)
        busy = self.pid_of(0)  # is held where it is, as if it had hours to go
        if busy:
            os.kill(busy, signal.SIGSTOP)
        said = child.communicate(timeout=120)[0]
        self.assertEqual(child.returncode, 5, said)
        self.assertEqual(len(self.errors_of_ours(said)), 1, said)
        self.assertIn("b.npz", self.errors_of_ours(said)[0])
        self.assertFalse((self.folder / "stats").exists())

    def test_what_all_ranks_refuse_is_told_once(self):
        shutil.copy(MODEL, self.folder / "m.onnx")
        before = self.read("m.onnx")
        for words, status, text in (
                (["m.onnx", "stats", "--calib", "none"], 5, "none: No such file or directory"),
                (["m.onnx", "stats", "--calib", CALIB, "--shard", "1/2"], 2, "--shard: each rank takes a shard of its own"),
                (["m.onnx", "m.onnx", "--calib", CALIB], 2, "'m.onnx' is there and holds no statistics")):
            said = self.errors_of_ours(self.run_program(3, "calibrate", *words, status=status))
            self.assertEqual(len(said), 1, said)
            self.assertIn(text, said[0])
            self.assertEqual(self.files(), ["m.onnx"])
        self.assertEqual(self.read("m.onnx"), before)

    def test_without_a_launcher_it_is_the_ordinary_program(self):
        self.run_program(0, "calibrate", MODEL, "part", "--calib", CALIB, "--shard", "1/2")
        self.assertEqual(self.files(), ["part"])


if __name__ == "__main__":
    unittest.main()
