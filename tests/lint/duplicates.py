#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Finds equal blocks of lines in two places of the C files named on standard input.

Blank lines, comments, braces and #include lines do not count. Exit status 1 when a block of LENGTH
lines that count is found twice."""

import collections
import pathlib
import re
import sys

LENGTH = 12


def lines_that_count(path):
    text = pathlib.Path(path).read_text()
    # comments go, but the line numbers stay
    text = re.sub(r"/\*.*?\*/", lambda m: "\n" * m[0].count("\n"), text, flags=re.S)
    for number, line in enumerate(text.split("\n"), 1):
        line = " ".join(line.split())
        if len(line) > 1 and line not in ("};", "return 0;") and not line.startswith("#include"):
            yield number, line


def main():
    places = collections.defaultdict(list)
    for path in sys.stdin.read().split():
        lines = list(lines_that_count(path))
        for i in range(len(lines) - LENGTH + 1):
            places[tuple(line for _, line in lines[i:i + LENGTH])].append((path, lines[i][0]))
    seen, bad = set(), 0
    for where in places.values():
        if len(where) < 2:
            continue
        pair = tuple(sorted({path for path, _ in where}))
        key = (pair, where[0][1] // LENGTH)
        if key in seen:
            continue
        seen.add(key)
        bad += 1
        print(f"{LENGTH} equal lines: " + ", ".join(f"{p}:{n}" for p, n in where))
    sys.exit(1 if bad else 0)


main()
