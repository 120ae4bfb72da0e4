# SPDX-License-Identifier: Apache-2.0
"""table.py PROGRAM: the help texts, the manual page and the completions of three shells know the same options and words, those of
the table that docs/options.md is printed from, and no others."""
import re
import subprocess
import sys


def main(program):
    def ask(*arguments):
        return subprocess.run((program, *arguments), check=True, capture_output=True, text=True).stdout

    reference = ask("--dump-options=markdown")
    plain = set(re.findall(r"^- (?:`-\w`, )?`--([a-z0-9-]+)", reference, re.M))
    advanced = set(re.findall(r"^- `-o ([a-z0-9-]+)", reference, re.M))
    shared = {name for name in plain | advanced if name not in set(re.findall(
        r"`--([a-z0-9-]+)", reference.split("## General")[1]))}
    man = ask("--dump-options=man").replace("\\-", "-")
    bash, zsh, fish = (ask(f"--dump-options={shell}") for shell in ("bash", "zsh", "fish"))
    commands = re.findall(r"^ {7}qonnx-quantize ([a-z]+) ", ask("--help"), re.M)
    pages = "".join(ask(*command, "--help") for command in ((), *((word,) for word in commands)))
    (bash_plain,) = re.findall(r"compgen -W '-o (--[^']*)'", bash)
    (bash_settings,) = re.findall(r"compgen -W '([a-z][^' ]*= [^']*)'", bash)
    (zsh_settings,) = re.findall(r"compadd -S = -- (.*)", zsh)
    (fish_settings,) = re.findall(r" -s o .* -a '(.*)'", fish)

    views = {  # what each one offers, and what it should
        "--help": (re.findall(r"^  (?:-\w, )?--([a-z0-9-]+)", pages, re.M), plain),
        "--help, advanced": (re.findall(r"^  -o ([a-z0-9-]+)", pages, re.M), advanced),
        "man": (re.findall(r"^\.TP\n\\fB(?:-\w\\fR, \\fB)?--([a-z0-9-]+)", man, re.M), plain),
        "man, advanced": (re.findall(r"^\.TP\n\\fB-o ([a-z0-9-]+)", man, re.M), advanced),
        "bash": (re.findall(r"--([a-z0-9-]+)", bash_plain), plain),
        "bash, -o": (re.findall(r"([a-z0-9-]+)=", bash_settings), shared),
        "zsh": (re.findall(r"^    (?:'\*')?(?:\{-\w,|'\*?)--([a-z0-9-]+)", zsh, re.M), plain),
        "zsh, -o": (zsh_settings.split(), shared),
        "fish": (re.findall(r" -l ([a-z0-9-]+)", fish), plain),
        "fish, -o": (re.findall(r"(?:^| )([a-z0-9-]+)=", fish_settings), shared),
    }
    faults = 0
    for view, (found, wanted) in views.items():
        for name in sorted(set(found) ^ wanted):
            faults += 1
            print(f"{view}: {name} is {'missing' if name in wanted else 'not in the table'}")
    assert len(plain) > 20 and len(advanced) > 10 and len(commands) > 2, (plain, advanced, commands)

    # The words that an option can be.
    for option, block in re.findall(r"^- `(?:-o |--)([a-z0-9-]+)[^\n]*\n((?:  - `[^\n]*\n)+)", reference, re.M):
        for word in re.findall(r"^  - `([^`]+)`", block, re.M):
            places = {"--help": f" {word} ", "man": f".B {word}\n", "bash": word, "zsh": word, "fish": word}
            texts = {"--help": pages.replace("\n", " "), "man": man, "bash": bash, "zsh": zsh, "fish": fish}
            for view in places:
                if places[view] not in texts[view]:
                    faults += 1
                    print(f"{view}: {option}'s word {word} is missing")
    print(f"{len(plain)} options, {len(advanced)} advanced ones, {faults} faults")
    return faults > 0


sys.exit(main(*sys.argv[1:]))
