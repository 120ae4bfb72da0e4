# SPDX-License-Identifier: Apache-2.0
"""How the benchmarks measure: whole processes, and ratios of interleaved CPU times on a machine that others use as well."""
import dataclasses
import glob
import os
import platform
import statistics
import subprocess
import sys
import time


@dataclasses.dataclass
class Cost:
    status: int
    cpu: float  # seconds, of all threads, user and system
    wall: float
    memory: float  # greatest resident size in MB
    stderr: str


# A program's greatest resident size starts with that of the process which started it: this one is small.
LAUNCHER = """
import os, resource, signal, subprocess, sys, time
seconds, data = int(sys.argv[1]), int(sys.argv[2])
def bound():
    if data:
        resource.setrlimit(resource.RLIMIT_DATA, (data, data))
start = time.perf_counter()
child = subprocess.Popen(sys.argv[3:], stdout=subprocess.DEVNULL, preexec_fn=bound)
signal.signal(signal.SIGALRM, lambda *_: child.kill())
signal.alarm(seconds)
_, status, usage = os.wait4(child.pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime, time.perf_counter() - start, usage.ru_maxrss / 1024)
"""


def process(arguments, env=None, cwd=None, seconds=0, data=0):
    """Runs a program to its end, or until it has taken so many seconds; of memory it gets so many bytes of its own. 0: no limit."""
    done = subprocess.run([sys.executable, "-I", "-S", "-c", LAUNCHER, str(seconds), str(data), *map(str, arguments)], capture_output=True, text=True,
                          errors="replace", cwd=cwd, env={**os.environ, **(env or {})})
    if done.returncode:
        raise RuntimeError(f"{arguments[0]} could not be started: {done.stderr.strip()[-300:]}")
    status, *figures = done.stdout.split()
    return Cost(int(status), *map(float, figures), done.stderr)


@dataclasses.dataclass
class Ratio:
    median: float
    low: float  # 95 % interval of the median
    high: float
    pairs: int


def interval(values):
    """Median and the order statistics that hold it with 95 % confidence, whatever the distribution."""
    values, n = sorted(values), len(values)
    reach = int(0.98 * n ** 0.5 + 1)  # 1.96 · √n / 2 on each side of the middle
    return Ratio(statistics.median(values), values[max(0, n // 2 - reach)], values[min(n - 1, (n - 1) // 2 + reach)], n)


def ratio(first, second, pairs=21, least=0.04):
    """How many times less CPU time the second function takes, from pairs of runs that take turns in going first. Each is
    called with the number of the run, so that it can vary its input."""
    def timed(function, runs):
        start = time.process_time()
        for k in range(runs):
            function(k)
        return (time.process_time() - start) / runs
    counts = []
    for function in (first, second):
        function(0)
        once = timed(function, 2)
        counts.append(max(1, min(200, int(least / max(once, 1e-6)))))
    found = []
    for pair in range(pairs):
        if pair % 2:
            b = timed(second, counts[1])
            a = timed(first, counts[0])
        else:
            a = timed(first, counts[0])
            b = timed(second, counts[1])
        found.append(a / b)
    return interval(found)


def interleaved(commands, rounds):
    """Costs of several programs, run in turns: a list for each."""
    costs = {name: [] for name in commands}
    names = list(commands)
    for turn in range(rounds):
        for name in names[turn % len(names):] + names[:turn % len(names)]:
            cost = process(commands[name])
            if cost.status:
                raise SystemExit(f"{name}: status {cost.status}: {cost.stderr.strip()[-500:]}")
            costs[name].append(cost)
    return costs


def median(costs, field):
    return statistics.median(getattr(cost, field) for cost in costs)


def machine():
    """What the figures depend on."""
    import onnxruntime
    model, flags = platform.processor(), ""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            text = file.read()
        model = text.split("model name", 1)[1].split(":", 1)[1].split("\n", 1)[0].strip()
        flags = text.split("flags", 1)[1].split("\n", 1)[0].split()
    except (OSError, IndexError):
        pass
    vnni = [f for f in ("avx512_vnni", "avx_vnni") if f in flags]
    note = f"with {vnni[0]}: products of 8-bit numbers do not saturate" if vnni else "without VNNI: products of 8-bit numbers may saturate at full optimization"
    return f"onnxruntime {onnxruntime.__version__}; {model}, {os.cpu_count()} processors, {note}"


def set_runtime():
    """Programs that are started use the ONNX Runtime of this Python unless told otherwise."""
    import onnxruntime
    libraries = glob.glob(os.path.join(os.path.dirname(onnxruntime.__file__), "capi", "libonnxruntime.so*"))
    os.environ.setdefault("QONNX_ORT", libraries[0])


def sample_count(path):
    import numpy as np
    data = np.load(path)
    return len(data[data.files[0]])
