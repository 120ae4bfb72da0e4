# SPDX-License-Identifier: Apache-2.0
"""Golden tests of the command line: run.py [--record] TRANSCRIPT...   Python's standard library only.

A transcript holds commands and what they must do, one line each:

    # comment; blank lines are fine too
    $ qonnx-quantize --prest int8 in.onnx out.onnx       a command for sh; those of a file share a temporary folder
    | text                                                a line on standard output
    ! qonnx-quantize: error: unknown option '--prest' …   a line on standard error
    ? 2                                                   the exit status, when it is not 0

In | and ! lines {{regex}} stands for what varies, and a line that is only {{...}} for any number of lines. Where a command
does something else the test shows the difference; --record instead writes what it did into the transcript, after which
patterns in that command's lines are to be put back by hand.

The folder has a link `models` to the bundled models. QONNX_PROGRAM names the program, which the commands find as
qonnx-quantize; $PYTHON runs helpers, which are in $HELPERS."""
import argparse
import difflib
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
PATTERN = re.compile(r"\{\{(.*?)\}\}")
ANY_LINES = "{{...}}"


class Step:
    """A command with its expectations, and the comment and blank lines in front of it."""

    def __init__(self, lead, command):
        self.lead, self.command, self.out, self.err, self.status = lead, command, [], [], 0

    def lines(self):
        status = [f"? {self.status}"] if self.status else []
        return [*self.lead, "$ " + self.command, *marked("|", self.out), *marked("!", self.err), *status]


def marked(mark, lines):
    return [f"{mark} {line}".rstrip() for line in lines]


def parse(path):
    steps, lead = [], []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file.read().splitlines(), 1):
            mark, text = line[:1], line[2:]
            if mark == "$":
                steps.append(Step(lead, text))
                lead = []
            elif mark in ("#", ""):
                lead.append(line)
            elif mark in "|!?" and steps and not lead:
                step = steps[-1]
                if mark == "?":
                    step.status = int(text)
                else:
                    (step.out if mark == "|" else step.err).append(text)
            else:
                sys.exit(f"{path}:{number}: not a line of a transcript: {line}")
    return steps, lead


def regex_of(line):
    parts = PATTERN.split(line)
    return "".join(part if i % 2 else re.escape(part) for i, part in enumerate(parts))


def fits(expected, actual):
    regex = "".join(r"(?:.*\n)*" if line == ANY_LINES else regex_of(line) + r"\n" for line in expected)
    return re.fullmatch(regex, "".join(line.rstrip() + "\n" for line in actual)) is not None


def environment(folder):
    env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "TERM", "COLUMNS", "LINES")}
    program = os.environ["QONNX_PROGRAM"]
    env.update(PATH=os.path.dirname(program) + os.pathsep + env.get("PATH", os.defpath), HOME=folder, TMPDIR=folder, TERM="xterm",
               PYTHON=sys.executable, HELPERS=HERE)
    return env


def run(step, folder, env):
    done = subprocess.run(["sh", "-c", step.command], cwd=folder, env=env, stdin=subprocess.DEVNULL, capture_output=True)
    actual = Step(step.lead, step.command)
    # Texts that name the folder itself would differ from run to run.
    actual.out, actual.err = (text.decode("utf-8", "backslashreplace").replace(folder, "$PWD").split("\n") for text in (done.stdout, done.stderr))
    for lines in (actual.out, actual.err):
        if lines[-1]:
            lines[-1] += "\\"  # the last line has no end
        else:
            lines.pop()
    actual.status = done.returncode
    return actual


def check(path, record):
    """Whether all commands did what the transcript says; with record, the transcript says it from now on."""
    steps, tail = parse(path)
    expected, actual, right = [], [], True
    with tempfile.TemporaryDirectory() as folder:
        folder = os.path.realpath(folder)
        os.symlink(os.path.join(HERE, "..", "..", "models"), os.path.join(folder, "models"))
        env = environment(folder)
        for step in steps:
            did = run(step, folder, env)
            same = did.status == step.status and fits(step.out, did.out) and fits(step.err, did.err)
            right = right and same
            expected += step.lines()
            actual += (step if same else did).lines()
    if not steps:
        print(f"{path} holds no command")
        return False
    if right:
        return True
    if record:
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join(actual + tail) + "\n")
        print(f"recorded {path}")
        return True
    sys.stdout.writelines(line.rstrip("\n") + "\n" for line in difflib.unified_diff(expected, actual, path, "what happened", n=3))
    print(f"If what happened is right: {os.path.basename(__file__)} --record (QONNX_PROGRAM and QONNX_ORT set as by ctest)")
    return False


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("transcripts", nargs="+")
    arguments = parser.parse_args()
    if not os.path.isabs(os.environ.get("QONNX_PROGRAM", "")):
        parser.error("QONNX_PROGRAM has to name the program, as an absolute path")
    results = [check(path, arguments.record) for path in arguments.transcripts]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
