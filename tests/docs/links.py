# SPDX-License-Identifier: Apache-2.0
"""links.py ROOT: each link of a Markdown file to a file of the tree leads to one, each link to a heading to a heading, and each
page in docs/ is linked from README.md or a page that is."""
import glob
import os
import re
import sys


def anchors(path):
    """As GitHub makes them of headings."""
    with open(path, encoding="utf-8") as file:
        headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", file.read(), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def main(root):
    paths = [path for pattern in ("*.md", "docs/*.md", "models/*.md", "bench/*.md", "examples/**/*.md")
             for path in glob.glob(f"{root}/{pattern}", recursive=True)]
    faults, linked = 0, set()
    for path in paths:
        with open(path, encoding="utf-8") as file:
            links = re.findall(r"\]\(([^)\s]+)\)", file.read())
        for link in links:
            if re.match(r"[a-z]+:", link):
                continue
            name, _, anchor = link.partition("#")
            target = os.path.normpath(os.path.join(os.path.dirname(path), name)) if name else path
            linked.add(target)
            if not os.path.exists(target) or (anchor and anchor not in anchors(target)):
                faults += 1
                print(f"{os.path.relpath(path, root)}: {link} leads nowhere")
    for page in glob.glob(f"{root}/docs/*.md"):
        if os.path.normpath(page) not in linked:
            faults += 1
            print(f"nothing links to docs/{os.path.basename(page)}")
    print(f"{len(linked)} pages and files linked, {faults} faults")
    return faults > 0


sys.exit(main(os.path.abspath(sys.argv[1])))
