#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Turns meson's testlog.json into lines 'pass|fail|skip NAME', one for each single test.
usage: count.py LOG TITLE

TAP programs count by their lines, others as one. A program that failed without a failing line
(a crash, a timeout, a wrong plan) counts as one failure."""

import json
import re
import sys


def single(entry):
    """(outcome, name) of each test in one program's output."""
    found = []
    for line in entry.get("stdout", "").splitlines():
        m = re.match(r"(not )?ok\b *\d* *-? *(.*)", line)
        if not m:
            if line.startswith("1..0"):
                found.append(("skip", line.partition("SKIP")[2].strip()))
            continue
        name, _, directive = m[2].partition("#")
        if directive.strip().upper().startswith("SKIP"):
            found.append(("skip", f"{name.strip()}: {directive.strip()[4:].strip()}"))
        else:
            found.append(("fail" if m[1] else "pass", name.strip()))
    return found


def main():
    log, title = sys.argv[1:]
    total = 0
    with open(log, encoding="utf-8") as f:
        for line in f:
            entry = json.loads(line)
            result = entry["result"]
            tests = single(entry)
            bad = result in ("FAIL", "ERROR", "TIMEOUT", "INTERRUPT", "UNEXPECTEDPASS")
            if not tests:
                outcome = "fail" if bad else "skip" if result == "SKIP" else "pass"
                reason = ""
                if outcome == "skip":
                    said = entry.get("stdout", "").strip().splitlines()
                    reason = ": " + said[-1] if said else ""
                tests = [(outcome, reason.lstrip(": "))]
            elif bad and not any(outcome == "fail" for outcome, _ in tests):
                tests.append(("fail", f"the program's end: {result}"))
            for outcome, name in tests:
                total += 1
                print(f"{outcome} {title}: {entry['name'].split(' / ')[-1]} {name}".rstrip())
    if total == 0:
        print(f"fail {title}: no test was run")


main()
