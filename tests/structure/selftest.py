# SPDX-License-Identifier: Apache-2.0
"""Each check of check.py fails on a bad sample and passes on a good one."""
import hashlib
import json
import os
import subprocess
import tempfile
import unittest

import check

HEAD = "/* SPDX-License-Identifier: Apache-2.0 */\n"


def function(lines):
    return "int f(int (*g)(void),\n      int a)\n" + "{\n" + "    a++;\n" * (lines - 2) + "}\n"


class Structure(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = self.folder.name

    def write(self, path, text):
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w") as file:
            file.write(text)

    def breaches(self, name, *arguments):
        return [text for breach, text in check.CHECKS[name](self.root, *arguments) if breach]

    def notes(self, name):
        return [text for breach, text in check.CHECKS[name](self.root) if not breach]

    def include(self, path, line):
        """The breaches of a tree in which each layer has a header and one file includes something."""
        for layer in check.MAY_SEE:
            if layer not in ("top", "cli"):
                self.write(f"src/{layer}/{layer}.h", HEAD)
        self.write("src/cli/args.h", HEAD)
        self.write("src/report.h", HEAD)
        self.write(path, HEAD + line + "\n")
        found = self.breaches("layers")
        os.remove(os.path.join(self.root, path))
        return found

    def test_layers_let_allowed_includes_pass(self):
        for path, line in [
            ("src/onnx/a.c", '#include "base/base.h"'), ("src/onnx/a.c", '#include "onnx.pb-c.h"'),
            ("src/quant/observe/a.c", '#include "quant/quant.h"'), ("src/run/a.c", '#include "quant/quant.h"'),
            ("src/emit/a.c", '#include "pass/pass.h"'), ("src/quantize.c", '#include "emit/emit.h"'),
            ("src/quantize.c", '#include "report.h"'), ("src/api.c", "#include <qonnx/qonnx.h>"),
            ("src/base/a.h", "#include <qonnx/status.h>"), ("src/cli/main.c", '#include "args.h"'),
            ("src/cli/main.c", "#include <qonnx/qonnx.h>"), ("src/base/a.c", "#include <stdio.h>"),
            ("src/base/a.c", '/* #include "cli/args.h" */'), ("include/qonnx/a.h", '#include "status.h"'),
        ]:
            with self.subTest(path=path, line=line):
                self.assertEqual([], self.include(path, line))

    def test_layers_refuse_each_upward_include(self):
        for path, line in [
            ("src/base/a.c", '#include "onnx/onnx.h"'), ("src/quant/a.c", '#include "onnx/onnx.h"'),
            ("src/quant/a.c", '#include "onnx.pb-c.h"'), ("src/onnx/a.c", '#include "quant/quant.h"'),
            ("src/plan/a.c", '#include "run/run.h"'), ("src/run/a.c", '#include "pass/pass.h"'),
            ("src/pass/a.c", '#include "plan/plan.h"'), ("src/plan/a.c", '  #  include "emit/emit.h"'),
            ("src/emit/a.c", '#include "report.h"'), ("src/emit/a.c", "#include <qonnx/qonnx.h>"),
            ("src/quantize.c", '#include "cli/args.h"'), ("src/cli/main.c", '#include "base/base.h"'),
            ("src/cli/main.c", '#include "../base/base.h"'), ("src/base/a.c", '#include "nowhere.h"'),
            ("src/extra/a.c", "#include <stdio.h>"), ("include/qonnx/a.h", "#include <base/base.h>"),
        ]:
            with self.subTest(path=path, line=line):
                self.assertEqual(1, len(self.include(path, line)))

    def archive(self, code):
        self.write("a.c", code)
        compiler = os.environ.get("CC", "cc")
        subprocess.run([compiler, "-c", "a.c", "-o", "a.o"], cwd=self.root, check=True)
        subprocess.run(["ar", "rc", "a.a", "a.o"], cwd=self.root, check=True)
        return os.path.join(self.root, "a.a")

    def test_symbols_pass_with_a_prefix(self):
        archive = self.archive("int qn_a(void) { return 1; } int qonnx_b = 2; int onnx__c = 3; static int d;"
                               "int qonnx_e(void) { return d; }")
        self.assertEqual([], self.breaches("symbols", archive))

    def test_symbols_refuse_a_name_without_prefix(self):
        self.assertEqual(1, len(self.breaches("symbols", self.archive("int qn_a; int parse(void) { return 1; }"))))

    def test_symbols_refuse_an_archive_without_exports(self):
        self.assertEqual(1, len(self.breaches("symbols", self.archive("typedef int a;"))))

    def test_sizes_note_a_long_file_and_refuse_a_longer_one(self):
        self.write("src/base/a.c", "\n" * 400)
        self.write("src/base/b.c", "\n" * 401)
        self.assertEqual(1, len(self.notes("sizes")))
        self.assertEqual([], self.breaches("sizes"))
        self.write("src/base/b.c", "\n" * 601)
        self.assertEqual(["src/base/b.c: 601 lines, over 600"], self.breaches("sizes"))

    def test_sizes_note_a_long_function_and_refuse_a_longer_one(self):
        self.write("src/base/a.c", "static int t[] = {\n" + "1,\n" * 120 + "};\n" + function(60))
        self.assertEqual([], self.notes("sizes") + self.breaches("sizes"))
        self.write("src/base/a.c", 'extern "C" {\nconst char *s = "{";\n' + function(61) + "}\n")
        self.assertEqual(["src/base/a.c:5: f has 61 lines, over 60"], self.notes("sizes"))
        self.write("src/base/a.c", function(3) + "#define X {\n/* } */\n" + function(101))
        self.assertEqual(["src/base/a.c:10: f has 101 lines, over 100"], self.breaches("sizes"))

    def test_banned_refuses_each_name_and_printing(self):
        for name in check.BANNED:
            self.write("src/cli/a.c", f"void f(void) {{ {name} (x); }}\n")
            self.assertEqual(1, len(self.breaches("banned")), name)
        os.remove(os.path.join(self.root, "src/cli/a.c"))
        for name in check.BANNED_IN_LIBRARY:
            self.write("src/base/a.c", f"void f(void) {{ {name}(x); }}\n")
            self.assertEqual(1, len(self.breaches("banned")), name)
        for call in ("fprintf(stderr, x)", "fputs(x,\n stdout)", "vfprintf(stderr, x, y)"):
            self.write("src/base/a.c", f"void f(void) {{ {call}; }}\n")
            self.assertEqual(1, len(self.breaches("banned")), call)

    def test_banned_refuses_numbers_of_a_locale(self):
        for call in ['vsnprintf(a, 4, "%d", v);', "strtod(a, &end);", 'snprintf(text, 4, "%.2f dB", x);', 'snprintf(text,\n 4, "%d: %9.3g", i, x);']:
            self.write("src/base/a.c", HEAD + "void f(void) { " + call + " }\n")
            self.assertEqual(1, len(self.breaches("banned")), call)
        self.write("src/base/a.c", HEAD + 'void f(void) { snprintf(text, 4, "%d %s %zu", i, s, n); }\n')
        self.assertEqual([], self.breaches("banned"))

    def test_banned_lets_safe_code_pass(self):
        self.write("src/base/a.c", 'void f(void) { snprintf(a, 1, "strcpy(x)"); o->exit(1); fputs(x, file); } // atoi(x)\n')
        self.write("src/cli/a.c", "int main(void) { printf(x); exit(1); }\n")
        self.assertEqual([], self.breaches("banned"))

    def test_spdx_refuses_a_source_without_its_licence(self):
        for path in ("src/base/a.c", "a.py", "b.sh", "cmake/c.cmake", "CMakeLists.txt", "a.proto", "v.h.in"):
            self.write(path, "\n")
        self.write("scripts/run", "#!/bin/sh\n")
        self.write("README.md", "\n")
        self.assertEqual(8, len(self.breaches("spdx")))
        self.write("scripts/run", "#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n")
        self.assertEqual(7, len(self.breaches("spdx")))

    def test_paths_refuse_those_of_one_machine(self):
        for path in ("/" + "work/main", "/" + "root/.x", "/tmp/" + "w/b", "/" + "home/me", "../" + "shared/x"):
            self.write("docs/a.md", f"see\n{path} there\n")
            self.assertEqual(1, len(self.breaches("paths")), path)
        self.write("docs/a.md", "/usr/lib, network/work, framework/, a/work/b, /tmp/x, ./home\n")
        self.assertEqual([], self.breaches("paths"))

    def test_models_refuse_another_file_a_missing_one_and_too_much(self):
        digest = hashlib.sha256(b"abc").hexdigest()
        self.write("models/m/model.onnx", "abc")
        self.write("models/SHA256SUMS", f"{digest}  m/model.onnx\n")
        self.write("models/manifest.json", json.dumps({"models": [{"name": "m", "sha256": digest}]}))
        self.assertEqual([], self.breaches("models"))
        self.write("models/big", " " * (2 << 20))
        self.assertEqual(1, len(self.breaches("models")))
        self.write("models/big", "")
        self.write("models/m/model.onnx", "abd")
        self.assertEqual(1, len(self.breaches("models")))
        os.remove(os.path.join(self.root, "models/m/model.onnx"))
        self.assertEqual(1, len(self.breaches("models")))
        self.write("models/manifest.json", json.dumps({"models": [{"name": "m", "sha256": "0"}]}))
        self.assertEqual(2, len(self.breaches("models")))

    def test_build_folders_are_not_looked_at(self):
        self.write("build-x/a.c", "\n" * 601)
        self.write(".git/a.c", "\n" * 601)
        self.assertEqual([], self.breaches("sizes"))

    def test_the_link_to_a_repository_is_not_looked_at(self):
        self.write(".git", "gitdir: /" + "work/main/.git\n")
        self.assertEqual([], self.breaches("paths"))

    def test_a_breach_becomes_exit_status_1(self):
        self.write("a.c", HEAD)
        self.assertEqual(0, check.main("spdx", self.root))
        self.write("b.c", "\n")
        self.assertEqual(1, check.main("spdx", self.root))


if __name__ == "__main__":
    unittest.main()
