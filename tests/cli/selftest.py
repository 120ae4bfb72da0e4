# SPDX-License-Identifier: Apache-2.0
"""run.py says no when something differs, and --record changes only what differs."""
import os
import subprocess
import sys
import tempfile
import unittest

RUN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "run.py")
RIGHT = """# greets
$ echo hello; echo 7 >&2; exit 3
| hello
! {{[0-9]}}
? 3

$ printf 'a\\nb\\nc\\n'
| a
| {{...}}
# end
"""


def run(text, *arguments):
    """(exit status, what it printed, the transcript afterwards)"""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "t.transcript")
        with open(path, "w") as file:
            file.write(text)
        done = subprocess.run([sys.executable, "-B", RUN, *arguments, path], capture_output=True, text=True,
                              env={**os.environ, "QONNX_PROGRAM": "/bin/true"})
        with open(path) as file:
            return done.returncode, done.stdout + done.stderr, file.read()


class Runner(unittest.TestCase):
    def test_what_fits_passes(self):
        self.assertEqual((0, "", RIGHT), run(RIGHT))

    def test_each_difference_fails(self):
        for old, new in (("| hello", "| hallo"), ("! {{[0-9]}}", "! {{[a-z]}}"), ("? 3", "? 4"), ("? 3\n", ""), ("| hello\n", ""),
                         ("| hello", "| hello\n| again"), ("| a", "| b"), ("! {{[0-9]}}\n", ""), ("| {{...}}\n", "")):
            self.assertIn(old, RIGHT)
            status, printed, after = run(RIGHT.replace(old, new, 1))
            self.assertEqual(1, status, (old, new))
            self.assertIn("what happened", printed)
            self.assertEqual(RIGHT.replace(old, new, 1), after)

    def test_a_transcript_without_command_fails(self):
        self.assertEqual(1, run("# nothing\n")[0])

    def test_output_without_line_end_differs_from_output_with_one(self):
        self.assertEqual(1, run("$ printf x\n| x\n")[0])

    def test_recording_keeps_what_fits(self):
        self.assertEqual(RIGHT, run(RIGHT.replace("| hello", "| hallo"), "--record")[2].replace("! 7", "! {{[0-9]}}"))


if __name__ == "__main__":
    unittest.main()
