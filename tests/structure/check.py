# SPDX-License-Identifier: Apache-2.0
"""Checks of the project's shape, as CTests: check.py NAME ROOT [ARGUMENT]. Python's standard library only.

  layers   which part of src/ and include/ may include which
  symbols  every symbol that libqonnx.a exports has one of the project's prefixes (ARGUMENT: the archive)
  sizes    no file over 600 lines, no function over 100; what passes 400 and 60 is listed as a note
  banned   no call that has a safe form, and none in the library that prints or ends the process
  spdx     every source file names its licence
  paths    no path of somebody's machine
  models   the bundled models are those whose digests models/SHA256SUMS and models/manifest.json name; 2 MB at most

Each check yields (breach, text) pairs: a breach fails the test, the others are notes. selftest.py shows each one failing.
"""
import hashlib
import json
import os
import re
import subprocess
import sys

SKIPPED_FOLDERS = re.compile(r"^(build.*|\.git|\.cache|\.venv|__pycache__)$")
LIMITS = {"file": (400, 600), "function": (60, 100)}

# What each layer may include, itself aside. `top` is src/*.c; generated headers belong to the layer that they serve.
MAY_SEE = {
    "base": set(),
    "onnx": {"base"},
    "quant": {"base"},
    "plan": {"base", "onnx", "quant"},
    "run": {"base", "onnx", "quant"},
    "pass": {"base", "onnx", "quant"},
    "lift": {"base", "onnx", "quant", "plan"},
    "emit": {"base", "onnx", "quant", "plan", "run", "pass"},
    "top": {"base", "onnx", "quant", "plan", "run", "pass", "lift", "emit"},
    "cli": set(),
}
# The public headers are above all layers, but for the status codes, which all of them return, and the option table.
PUBLIC_FOR_ALL = {"qonnx/status.h", "qonnx/version.h"}
PUBLIC_FOR = {"plan": {"qonnx/options.h"}}
SEES_PUBLIC = {"top", "cli", "public"}
GENERATED = {
    "onnx.pb-c.h": {"onnx", "plan", "run", "pass", "lift", "emit", "top"},
    "pass.def": {"pass"},
    "emit.def": {"emit"},
    "observe.def": {"quant"},
    "report_page.inc": {"top"},
}

SYMBOL = re.compile(r"^(qn_|qonnx_|onnx__)")
# What sanitizers and coverage add to an instrumented archive.
INSTRUMENTATION = re.compile(r"^(__odr_asan|__asan|__sanitizer|__sancov|__gcov|__llvm|\.?asan\.|_sub_)")

BANNED = "strcpy strcat stpcpy sprintf vsprintf gets strtok atoi atol atof alloca rand srand gmtime localtime tmpnam mktemp".split()
BANNED_IN_LIBRARY = "abort exit _exit _Exit quick_exit printf vprintf puts putchar perror assert".split()
# The handlers that a program may ask for end the process, async-signal-safely.
# Their texts depend on the locale of the program: base/numerals.h has those that do not.
LOCALIZED = "vsnprintf strtod strtof strtold".split()
LOCALIZED_PRINT = re.compile(r"(?<!\w)snprintf\s*\([^;]*%[-+ #0-9.*]*[aefgAEFG]", re.S)
EXEMPT = {("src/base/file.c", "_exit")} | {("src/base/numerals.c", name) for name in LOCALIZED}
PRINTS = re.compile(r"\b(fprintf|fputs|fputc|putc|fwrite|vfprintf|dprintf)\s*\([^;]*\b(stdout|stderr|STD(?:OUT|ERR)_FILENO)\b", re.S)

SOURCE = re.compile(r"(\.(c|h|py|sh|cmake|proto)|\.[ch]\.in|CMakeLists\.txt)$")
# Written so that this file does not match itself.
PATHS = re.compile("|".join([
    r"(?<![\w.-])/" + r"(work|farm|root)/", r"/tmp/" + r"(w|bash_jobs)\b", r"\." + r"library\b", r"\.\./" + r"shared\b",
    r"(?<![\w.-])/home/" + r"\w"]))


def walk(root):
    """Every file of the tree, as paths relative to root with slashes."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if not SKIPPED_FOLDERS.match(f))
        for name in sorted(names):
            if name == ".git":  # of a linked work tree: a file that says where the repository is
                continue
            yield os.path.relpath(os.path.join(folder, name), root).replace(os.sep, "/")


def read(root, path):
    with open(os.path.join(root, path), "rb") as file:
        return file.read()


def text_of(root, path):
    return read(root, path).decode("utf-8", "replace")


def c_files(root, *folders):
    return [p for p in walk(root) if p.endswith((".c", ".h")) and p.startswith(tuple(f + "/" for f in folders))]


def blank(code, keep_strings=False):
    """The code with comments (and strings) blanked out, line for line."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)

    def replace(match):
        found = match.group()
        if found[0] in "\"'":
            return found if keep_strings else found[0] + " " * (len(found) - 2) + found[0]
        return re.sub(r"[^\n]", " ", found)

    return pattern.sub(replace, code)


def line_of(code, position):
    return code.count("\n", 0, position) + 1


# --- layers ---

def layer_of(path):
    parts = path.split("/")
    if parts[0] == "include":
        return "public"
    return parts[1] if len(parts) > 2 else "top"


def included_layer(root, path, name):
    if os.path.exists(os.path.join(root, "src", name)):
        return layer_of("src/" + name)
    beside = os.path.normpath(os.path.join(os.path.dirname(path), name)).replace(os.sep, "/")
    return layer_of(beside) if beside.startswith("src/") and os.path.exists(os.path.join(root, beside)) else None


def breach_of_include(root, path, bracket, name):
    own = layer_of(path)
    if name.startswith("qonnx/") or (own == "public" and bracket == '"'):
        if own in SEES_PUBLIC or name in PUBLIC_FOR_ALL | PUBLIC_FOR.get(own, set()):
            return None
        return f"layer '{own}' does not see the public header <{name}>"
    if own == "public":
        exists = os.path.exists(os.path.join(root, "src", name))
        return f"a public header includes an internal one: {name}" if exists else None
    if bracket == "<":
        return None
    if name in GENERATED:
        return None if own in GENERATED[name] else f"layer '{own}' does not see {name}"
    other = included_layer(root, path, name)
    if other is None:
        return f"\"{name}\" is in no layer of src/"
    if other != own and other not in MAY_SEE.get(own, set()):
        return f"layer '{own}' does not see layer '{other}' (\"{name}\")"
    return None


def layers(root):
    for path in c_files(root, "src", "include"):
        if layer_of(path) not in MAY_SEE and layer_of(path) != "public":
            yield True, f"{path}: no layer is called '{layer_of(path)}'"
            continue
        code = blank(text_of(root, path), keep_strings=True)
        for match in re.finditer(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^">]+)[">]', code, re.M):
            breach = breach_of_include(root, path, match.group(1), match.group(2))
            if breach:
                yield True, f"{path}:{line_of(code, match.start())}: {breach}"


# --- symbols ---

def symbols(root, archive):
    listing = subprocess.run(["nm", "-g", "--defined-only", archive], check=True, capture_output=True, text=True).stdout
    member, count = "", 0
    for line in listing.splitlines():
        if line.endswith(":"):
            member = line[:-1]
        match = re.match(r"^[0-9a-fA-F]* *[A-Za-z] (\S+)$", line)
        if not match or INSTRUMENTATION.match(match.group(1)):
            continue
        count += 1
        if not SYMBOL.match(match.group(1)):
            yield True, f"{member}: exports {match.group(1)}, which has no prefix of the project"
    if not count:
        yield True, f"{archive} exports nothing"


# --- sizes ---

def functions(code):
    """(name, first line, lines) of each function body, by counting braces. extern "C" blocks are looked through."""
    code = blank(re.sub(r'extern\s+"C"\s*\{', lambda m: " " * len(m.group()), code))
    code = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", " ", m.group()), code, flags=re.M)
    depth, start, name = 0, None, None
    for match in re.finditer(r"[{}]", code):
        if match.group() == "{":
            if depth == 0:
                head = re.search(r"([A-Za-z_]\w*)\s*\((?:[^;{}]*)\)\s*$", code[:match.start()][-2000:])
                start, name = (match.start(), head.group(1)) if head else (None, None)
                if head:
                    # The function's own name is the first one in front of a parenthesis of its declaration.
                    declaration = re.split(r"[;}]", code[:match.start()])[-1]
                    first = re.search(r"([A-Za-z_]\w*)\s*\(", declaration)
                    name = first.group(1) if first else name
            depth += 1
        else:
            depth = max(0, depth - 1)
            if depth == 0 and start is not None:
                yield name, line_of(code, start), code.count("\n", start, match.start()) + 1
                start = None


def sizes(root):
    for path in walk(root):
        if not SOURCE.search(path):
            continue
        code = text_of(root, path)
        soft, hard = LIMITS["file"]
        lines = code.count("\n")
        if lines > soft:
            yield lines > hard, f"{path}: {lines} lines, over {hard if lines > hard else soft}"
        if path.endswith((".c", ".h")):
            soft, hard = LIMITS["function"]
            for name, line, length in functions(code):
                if length > soft:
                    yield length > hard, f"{path}:{line}: {name} has {length} lines, over {hard if length > hard else soft}"


# --- banned ---

def banned(root):
    for path in c_files(root, "src", "include"):
        code = blank(text_of(root, path))
        library = layer_of(path) != "cli"
        names = BANNED + (BANNED_IN_LIBRARY + LOCALIZED if library else [])
        for match in re.finditer(r"(?<![\w.>])(" + "|".join(names) + r")\s*\(", code):
            if (path, match.group(1)) not in EXEMPT:
                yield True, f"{path}:{line_of(code, match.start())}: {match.group(1)} is not used here"
        for match in LOCALIZED_PRINT.finditer(text_of(root, path)) if library else ():
            yield True, f"{path}:{line_of(code, match.start())}: snprintf writes numbers as the locale has them"
        for match in PRINTS.finditer(code) if library else ():
            yield True, f"{path}:{line_of(code, match.start())}: the library does not print"


# --- spdx, paths ---

def spdx(root):
    for path in walk(root):
        script = "." not in os.path.basename(path) and read(root, path).startswith(b"#!")
        if (SOURCE.search(path) or script) and "SPDX-License-Identifier: Apache-2.0" not in "\n".join(
                text_of(root, path).split("\n", 5)[:5]):
            yield True, f"{path}: no SPDX-License-Identifier: Apache-2.0 in its first five lines"


def paths(root):
    for path in walk(root):
        data = read(root, path)
        if b"\0" in data:
            continue
        code = data.decode("utf-8", "replace")
        for match in PATHS.finditer(code):
            yield True, f"{path}:{line_of(code, match.start())}: a path of one machine: {match.group()}"


# --- models ---

def models(root):
    expected = {}
    for line in text_of(root, "models/SHA256SUMS").splitlines():
        digest, name = line.split(maxsplit=1)
        expected[name.lstrip("*")] = digest
    for entry in json.loads(text_of(root, "models/manifest.json"))["models"]:
        name = f"{entry['name']}/model.onnx"
        if expected.get(name) != entry["sha256"]:
            yield True, f"models/manifest.json and models/SHA256SUMS differ on {name}"
    total = 0
    for path in walk(root):
        if path.startswith("models/"):
            total += os.path.getsize(os.path.join(root, path))
            digest = expected.pop(path[len("models/"):], None)
            if digest and digest != hashlib.sha256(read(root, path)).hexdigest():
                yield True, f"{path} is not the file that models/SHA256SUMS names"
    for name in expected:
        yield True, f"models/{name} is missing"
    if total > 2 << 20:
        yield True, f"models/ holds {total} bytes, more than 2 MB"


CHECKS = {check.__name__: check for check in (layers, symbols, sizes, banned, spdx, paths, models)}


def main(name, root, *arguments):
    breaches = 0
    for breach, text in CHECKS[name](root, *arguments):
        print(("breach: " if breach else "note: ") + text)
        breaches += breach
    print(f"{name}: {breaches} breaches")
    return 1 if breaches else 0


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[1] not in CHECKS:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
