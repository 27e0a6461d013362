#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares the symbols that a shared library exports with its version script.
usage: exports.py LIBRARY SCRIPT"""

import fnmatch
import re
import subprocess
import sys


def main():
    library, script = sys.argv[1:]
    out = subprocess.run(["nm", "-D", "--defined-only", "--format=posix", library],
                         capture_output=True, text=True, check=True).stdout
    exported = {line.split()[0].split("@")[0] for line in out.splitlines()
                if line.split()[1] in "TWBDRVi"}
    with open(script, encoding="utf-8") as f:
        text = re.sub(r"/\*.*?\*/|#.*?$", "", f.read(), flags=re.S | re.M)
    body = re.search(r"global:(.*?)(local:|\})", text, re.S)
    if not body:
        sys.exit(f"{script}: no global part")
    named = set(re.findall(r"[\w*?]+", body[1]))
    patterns = {n for n in named if "*" in n}
    extra = {e for e in exported - named if not any(fnmatch.fnmatch(e, p) for p in patterns)}
    missing = named - patterns - exported
    for e in sorted(extra):
        print(f"exported but not in the version script: {e}")
    for m in sorted(missing):
        print(f"in the version script but not exported: {m}")
    if not exported:
        sys.exit("the library exports nothing")
    sys.exit(1 if extra or missing else 0)


main()
