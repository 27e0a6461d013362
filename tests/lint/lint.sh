#!/bin/sh
# SPDX-License-Identifier: MIT
# One linter, as a test. usage: lint.sh CHECK
# Exit status: 0 clean, 77 the tool is absent (skipped, with the reason), 1 findings.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=${MESON_BUILD_ROOT:-build}

skip() {
	echo "skipped: $*"
	exit 77
}

need() {
	command -v "$1" >/dev/null 2>&1 || skip "$1 is not installed"
}

c_files() {
	find libpersona broker bin tests examples -name '*.[ch]' | sort
}

sources() {
	find libpersona broker bin -name '*.c' | sort
}

# The format depends on the version: another one would find differences that are not there.
check_format() {
	tool=clang-format-14
	command -v $tool >/dev/null 2>&1 || tool=clang-format
	need $tool
	$tool --version | grep -q 'version 14\.' || skip "clang-format is not version 14"
	c_files | xargs $tool --dry-run -Werror
}

check_shell() {
	need shellcheck
	{
		find bin broker tests examples .ci -type f -exec grep -lE '^#!.*\b(ba)?sh\b' {} +
		find bin -name '*.bash'
	} | sort -u | xargs shellcheck -S warning
}

check_cppcheck() {
	need cppcheck
	# Left out: checks that need every system header, and uninitvar, which does not understand
	# uthash's and utlist's macros (the compilers, clang's analyzer and the sanitizers do it).
	cppcheck --quiet --std=c11 --language=c --error-exitcode=1 --inline-suppr -j 2 \
		--enable=warning,performance,portability --suppress=missingInclude \
		--suppress=unknownMacro --suppress=uninitvar --suppress=constStatement:libpersona/preload/syscall.c \
		--suppress=arrayIndexThenCheck --suppress=allocaCalled --suppress=nullPointerRedundantCheck --suppress=normalCheckLevelMaxBranches \
		-D_GNU_SOURCE -D__x86_64__ -D__linux__ -Ilibpersona/proto -Ilibpersona -Ibroker -Ibin \
		libpersona broker bin
}

# A limited set: what has found real errors. The analyzer's checks for uninitialized values do not
# follow `0 or negative errno, output written only on success` through another file.
check_tidy() {
	need clang-tidy
	[ -f "$build/compile_commands.json" ] || skip "no compile_commands.json in $build"
	sources | while read -r f; do
		grep -q "$f" "$build/compile_commands.json" && echo "$f"
	done | xargs -P 2 -n 8 clang-tidy -p "$build" --quiet --warnings-as-errors='*' \
		--checks='-*,bugprone-assert-side-effect,bugprone-infinite-loop,bugprone-macro-repeated-side-effects,bugprone-misplaced-*,bugprone-multiple-statement-macro,bugprone-posix-return,bugprone-redundant-branch-condition,bugprone-sizeof-container,bugprone-string-literal-with-embedded-nul,bugprone-suspicious-memset-usage,bugprone-suspicious-semicolon,bugprone-terminating-continue,bugprone-undefined-memory-manipulation,bugprone-unused-return-value,cert-dcl16-c,clang-analyzer-core.DivideZero,clang-analyzer-core.StackAddressEscape,clang-analyzer-core.VLASize,clang-analyzer-unix.API,clang-analyzer-unix.MismatchedDeallocator,clang-analyzer-unix.cstring.*,misc-misplaced-const,misc-redundant-expression' \
		2>/dev/null
}

# A block of twelve equal lines in two source files wants to be one function.
check_duplicates() {
	need python3
	sources | python3 tests/lint/duplicates.py
}

# What the preload library exports is exactly what its version script says.
check_exports() {
	need nm
	need python3
	lib=$build/libpersona/preload/libpersona-preload.so
	[ -f "$lib" ] || skip "$lib is not built"
	map=$(find libpersona/preload -name '*.map' -o -name '*.sym' -o -name '*.ver' | head -n 1)
	[ -n "$map" ] || { echo "no version script below libpersona/preload"; exit 1; }
	python3 tests/lint/exports.py "$lib" "$map"
}

# The commands that README.md names exist and are executable.
check_readme() {
	status=0
	for f in examples/quickstart/run.sh tests/run.sh; do
		grep -q "$f" README.md || { echo "README.md does not name $f"; status=1; }
		[ -x "$f" ] || { echo "$f is not executable"; status=1; }
	done
	grep -q 'tests/run.sh' .ci/run || { echo ".ci/run does not call tests/run.sh"; status=1; }
	grep -ohE '\]\([^)#:]+\)' README.md docs/*.md | sed 's/.*](//; s/)$//' | sort -u |
		while read -r f; do
			[ -e "$f" ] || [ -e "docs/$f" ] || { echo "a link leads nowhere: $f"; exit 1; }
		done || status=1
	# the first steps: every persona subcommand that is shown is one
	grep -oE '^ +[a-zA-Z]*\$ persona [a-z]+' README.md | awk '{print $3}' | sort -u |
		while read -r c; do
			[ -f "bin/cmd_$c.c" ] || { echo "README.md: no subcommand '$c'"; exit 1; }
		done || status=1
	return $status
}

# House rules that no tool above knows.
check_style() {
	status=0
	for f in $(c_files); do # no name here has a space
		head -n 1 "$f" | grep -q 'SPDX-License-Identifier: MIT' ||
			{ echo "$f: no licence line"; status=1; }
		n=$(wc -l <"$f")
		max=600
		case $f in tests/*) max=1000 ;; esac
		[ "$n" -le $max ] || { echo "$f: $n lines, at most $max"; status=1; }
	done
	if { c_files; find . -name meson.build -not -path './build*'; } |
		xargs grep -nE '[[:space:]]+$'; then
		echo 'space at the end of lines'
		status=1
	fi
	return $status
}

case ${1:-} in
format | shell | cppcheck | tidy | duplicates | exports | readme | style) "check_$1" ;;
*)
	echo "usage: lint.sh format|shell|cppcheck|tidy|duplicates|exports|readme|style" >&2
	exit 2
	;;
esac
