# SPDX-License-Identifier: Apache-2.0
"""symbols.py BUILD LIST: libqonnx.so shows exactly the functions that LIST names, one a line.

What is new gets a line. A line is taken away, or a function's arguments or a public structure changed, only together with a
new QN_SOVERSION: programs linked with the older library would break."""
import glob
import re
import subprocess
import sys


def main(build, path):
    library = glob.glob(build + "/libqonnx.so")[0]
    listing = subprocess.run(["nm", "-D", "--defined-only", library], check=True, capture_output=True, text=True).stdout
    shown = set(re.findall(r"^[0-9a-f]+ [TDBRVWi] ([^@\s]+)", listing, re.M))
    with open(path, encoding="utf-8") as file:
        lines = file.read().split("\n")
    listed = [line for line in lines if line and not line.startswith("#")]
    for name in sorted(shown - set(listed)):
        print(f"{name} is shown and not listed: add the line to {path}")
    for name in sorted(set(listed) - shown):
        print(f"{name} is listed and not shown: programs may use it, so the line goes only with a new QN_SOVERSION")
    if listed != sorted(set(listed)):
        print(f"{path} is not sorted")
    return set(listed) != shown or listed != sorted(set(listed))


sys.exit(main(*sys.argv[1:]))
