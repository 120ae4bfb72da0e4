# SPDX-License-Identifier: Apache-2.0
"""container.py ROOT: container/Containerfile and action.yml, which can't be run everywhere, name what there is.

Both install what scripts/quickstart needs; the container's copied files are enough to configure a build with."""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

INSTRUCTIONS = {"FROM", "RUN", "COPY", "WORKDIR", "ENV", "ENTRYPOINT", "CMD"}


def text_of(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def instructions(path):
    text = re.sub(r"^#.*\n", "", text_of(path), flags=re.M).replace("\\\n", " ")
    return [line.split(None, 1) for line in text.splitlines() if line.strip()]


def installed(script):
    """Packages of each apt-get install, without options."""
    found = re.findall(r"apt-get install ([^&|>\n]*)", script.replace("\\\n", " "))
    return {word for words in found for word in words.split() if not word.startswith("-")}


def needed(root):
    script = text_of(f"{root}/scripts/quickstart").replace("\\\n", " ")
    return set(re.search(r"^need_packages (.*)$", script, re.M).group(1).split()) - {"python3"}


def check_container(root):
    lines = instructions(f"{root}/container/Containerfile")
    assert {word for word, _ in lines} <= INSTRUCTIONS, lines
    missing = needed(root) - installed(text_of(f"{root}/container/Containerfile"))
    assert not missing, f"the container lacks {missing}"
    stages = re.findall(r" AS (\w+)", " ".join(rest for word, rest in lines if word == "FROM"))
    requirement = re.search(r'RUNTIME_REQUIREMENTS="(.*)"', text_of(f"{root}/scripts/common.sh")).group(1)
    assert f'"{requirement}"' in text_of(f"{root}/container/Containerfile"), f"other than {requirement} of scripts/common.sh"
    with tempfile.TemporaryDirectory() as folder:
        for word, rest in lines:
            source = re.match(r"--from=(\w+)", rest)
            if word != "COPY" or source:
                assert not source or source.group(1) in stages, rest
                continue
            *paths, target = rest.split()
            for path in paths:
                found = glob.glob(f"{root}/{path}")
                assert found, f"COPY {path}: no such file"
                goal = os.path.join(folder, target, os.path.basename(path) if target.endswith("/") else "")
                os.makedirs(os.path.dirname(goal), exist_ok=True)
                if os.path.isdir(found[0]):
                    shutil.copytree(found[0], goal, dirs_exist_ok=True)
                else:
                    shutil.copy(found[0], goal)
        presets = set(re.findall(r"--preset (\w+)", " ".join(rest for word, rest in lines if word == "RUN")))
        assert presets, "no cmake --preset"
        for preset in presets:
            done = subprocess.run(["cmake", "--preset", preset], cwd=folder, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr


def main(root):
    check_container(root)
    missing = needed(root) - installed(text_of(f"{root}/action.yml")) - {"gcc"}
    assert not missing, f"the action lacks {missing}"


main(*sys.argv[1:])
