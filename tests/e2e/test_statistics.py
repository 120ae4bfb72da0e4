#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Statistics as files: test_statistics.py PROGRAM FOLDER, the folder with a model and its samples (mnist_resnet)."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import unittest

import numpy as np
from program_case import ProgramCase

PROGRAM, FOLDER = sys.argv.pop(1), sys.argv.pop(1)
MODEL, CALIB = os.path.join(FOLDER, "model.onnx"), os.path.join(FOLDER, "calib.npz")


class Statistics(ProgramCase):
    program = PROGRAM

    def calibrate(self, name, *words, **more):
        return self.run_program("calibrate", MODEL, name, "--calib", CALIB, *words, **more)

    def refused(self, *words, status, text):
        before = sorted(os.listdir(self.folder))
        said = self.run_program(*words, status=status)
        self.assertEqual(said.count("\n"), 1, said)
        self.assertIn(text, said)
        self.assertEqual(sorted(os.listdir(self.folder)), before)

    def test_shards_put_together_are_one_run(self):
        for options in ([], ["-o", "observer=moving-average"], ["--samples", "50", "--shuffle", "--seed", "3"]):
            self.calibrate("all", *options, "--threads", "1")
            self.calibrate("threads", *options, "--threads", "4", "-o", "checkpoint=5")
            self.assertEqual(self.read("threads"), self.read("all"))
            for shards in (2, 3):
                for k in range(1, shards + 1):
                    self.calibrate(f"part{k}", *options, "--shard", f"{k}/{shards}", "--threads", k)
                self.run_program("merge", "merged", *(f"part{k}" for k in range(shards, 0, -1)))
                self.assertEqual(self.read("merged"), self.read("all"))

    def test_the_model_made_of_them_is_the_same(self):
        self.calibrate("all")
        for k in (1, 2):
            self.calibrate(f"part{k}", "--shard", f"{k}/2")
        self.run_program("merge", "merged", "part1", "part2")
        for name in ("all", "merged"):
            self.run_program(MODEL, f"{name}.onnx", "--stats", name)
            self.run_program(MODEL, f"{name}-judged.onnx", "--stats", name, "--calib", CALIB)
        self.run_program(MODEL, "direct.onnx", "--calib", CALIB)
        for kind in ("onnx", "quant.json"):
            self.assertEqual(self.read(f"merged.{kind}"), self.read(f"all.{kind}"))
            self.assertEqual(self.read(f"all-judged.{kind}"), self.read(f"direct.{kind}"))
        data = json.loads(self.read("all.quant.json"))
        self.assertEqual(data["calibration"]["samples"], 128)
        self.assertEqual(data["model"]["judged_samples"], 0)
        self.assertTrue(any("no --calib" in text for text in data["warnings"]), data["warnings"])

    def test_a_killed_run_is_gone_on_with(self):
        self.calibrate("all")
        with np.load(CALIB) as file:
            name, values = next(iter(file.items()))
        np.savez(self.folder / "calib.npz", **{name: np.concatenate([values] * 40)})
        words = [PROGRAM, "calibrate", MODEL, "stats", "--calib", "calib.npz", "-o", "checkpoint=8", "--threads", "1"]
        self.run_program(*words[1:2], MODEL, "wanted", *words[4:])
        for _ in range(2):
            child = subprocess.Popen([*words, "--resume", "--quiet"], cwd=self.folder)
            old = self.read("stats.partial") if (self.folder / "stats.partial").exists() else b""
            while child.poll() is None and (not (self.folder / "stats.partial").exists() or self.read("stats.partial") == old):
                time.sleep(0.001)
            child.send_signal(signal.SIGKILL)
            child.wait()
            self.assertFalse((self.folder / "stats").exists(), "it was too fast to be killed")
        said = self.run_program(*words[1:], "--resume")
        self.assertIn("5120 of 5120 samples", said)
        self.assertEqual(self.read("stats"), self.read("wanted"))
        self.assertFalse((self.folder / "stats.partial").exists())

    def test_what_does_not_fit_is_refused_in_a_line(self):
        self.calibrate("stats", "--samples", "4")
        good = self.read("stats")
        other = self.folder / "other.onnx"
        other.write_bytes(pathlib.Path(MODEL).read_bytes() + b"\x32\x01x")  # a doc_string
        self.refused(other, "out.onnx", "--stats", "stats", status=5, text="stats: statistics of another model")
        self.run_program("calibrate", other, "others", "--calib", CALIB, "--samples", "4")
        self.refused("merge", "out", "stats", "others", status=5, text="they are of different models")
        self.refused("merge", "out", "stats", "stats", status=5, text="sample 0 is in both")
        self.calibrate("five", "--samples", "5")
        self.refused("merge", "out", "stats", "five", status=5, text="gathered with different options")
        self.refused(MODEL, "out.onnx", "--stats", "stats", "-o", "observer=moving-average", status=5, text="gather statistics with the same preset")
        for name, bytes_ in (("cut", good[:-7]), ("flipped", good[:200] + bytes([good[200] ^ 4]) + good[201:]), ("empty", b""), ("foreign", b"x" * 99)):
            (self.folder / name).write_bytes(bytes_)
            self.refused(MODEL, "out.onnx", "--stats", name, status=1, text=f"{name}: ")
            self.refused("merge", "out", name, "stats", status=1, text=f"{name}: ")
        self.refused(other, "stats", "--stats", "stats", status=2, text="holds the statistics")
        self.refused("calibrate", other, other, "--calib", CALIB, status=2, text="is the model")
        self.refused("calibrate", MODEL, "out", status=2, text="calibrate needs samples")
        self.refused("calibrate", MODEL, "out", "--calib", CALIB, "-o", "checkpoint=5", "--encodings", "ort-cache=none/cache", status=1, text="none/cache: cannot write")
        self.refused("calibrate", MODEL, "out", "--calib", CALIB, "--encodings", "ort-cache=out.partial", status=2, text="'out.partial' holds the statistics")
        for shard in ("0/2", "3/2", "1", "x", "1/2/3", "1/-1", "1/ 2", "+1/2"):
            self.refused("calibrate", MODEL, "out", "--calib", CALIB, "--shard", shard, status=2, text="--shard")


if __name__ == "__main__":
    unittest.main()
