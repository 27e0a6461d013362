#!/bin/sh
# SPDX-License-Identifier: MIT
# Builds Persona with gcc and clang and runs every test; installs what is missing first.
#
# usage: tests/run.sh [--quick] [--no-install] [SUITE ...]
#   --quick       the gcc build only: no clang, no sanitizers
#   --no-install  do not call apt
#   SUITE         assume unit shim run net fuzz lint (default: all)
# PERSONA_BUILD_DIR (default: build-test) is where the build directories are made.
# The last line is 'N passed, N failed, N skipped'; the exit status is 0 when nothing failed.
set -u
cd "$(dirname "$0")/.." || exit 1
top=$(pwd)
out=${PERSONA_BUILD_DIR:-$top/build-test}
quick=0
install=1
suites=
for arg in "$@"; do
	case $arg in
	--quick) quick=1 ;;
	--no-install) install=0 ;;
	-*)
		sed -n '5,11s/^# \{0,1\}//p' "$0"
		exit 2
		;;
	*) suites="$suites $arg" ;;
	esac
done
suites=${suites:-assume unit shim run net fuzz lint}

say() {
	printf '\n== %s\n' "$*"
}

# shellcheck disable=SC1091
. "$top/tests/packages.sh"
if [ $install = 1 ]; then
	# shellcheck disable=SC2086
	packages_install $PACKAGES_BUILD $PACKAGES_TEST
fi

mkdir -p "$out" || exit 1
results=$out/results
: >"$results"
broken=0

# build NAME COMPILER MESON-OPTION...
build() {
	name=$1
	compiler=$2
	shift 2
	if ! command -v "$compiler" >/dev/null 2>&1; then
		echo "skip $name: $compiler is not installed" | tee -a "$results"
		return 1
	fi
	say "build: $name"
	mode=
	[ -f "$out/$name/build.ninja" ] && mode=--reconfigure
	if CC=$compiler meson setup ${mode:+"$mode"} "$out/$name" "$top" "$@" >"$out/$name.setup.log" 2>&1 &&
		ninja -C "$out/$name" >"$out/$name.build.log" 2>&1; then
		if grep -E 'warning:' "$out/$name.build.log"; then
			echo "fail $name: the compiler warns" | tee -a "$results"
		else
			echo "pass $name: builds without a warning" >>"$results"
		fi
		return 0
	fi
	tail -n 40 "$out/$name.setup.log" "$out/$name.build.log" 2>/dev/null
	echo "fail $name: does not build" | tee -a "$results"
	broken=1
	return 1
}

# run_tests NAME TITLE MESON-TEST-ARGUMENT...: the outcome of each test goes to $results
run_tests() {
	name=$1
	title=$2
	shift 2
	say "test: $title"
	log=$out/$name/meson-logs/testlog-$(echo "$title" | tr -c 'a-zA-Z0-9\n' '-')
	meson test -C "$out/$name" --no-rebuild --print-errorlogs --logbase "$(basename "$log")" "$@"
	python3 "$top/tests/lib/count.py" "$log.json" "$title" >>"$results" || broken=1
}

suite_args=
for s in $suites; do
	suite_args="$suite_args --suite $s"
done

if build gcc gcc; then
	# shellcheck disable=SC2086
	run_tests gcc 'gcc' $suite_args
fi
if [ $quick = 0 ]; then
	if build clang clang; then
		run_tests clang 'clang' -t 2 --suite assume --suite unit --suite shim
	fi
	# A sanitized library cannot be preloaded into an ordinary program, so the end-to-end tests
	# take the sanitized broker and everything else from the gcc build.
	if build asan gcc -Db_sanitize=address,undefined -Db_lundef=false \
		-Dbuildtype=debugoptimized; then
		export ASAN_OPTIONS=detect_leaks=1:quarantine_size_mb=16:strict_string_checks=1
		export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
		run_tests asan 'asan and ubsan' -t 4 --suite unit --suite fuzz
		PERSONA_BROKER=$out/asan/broker/persona-broker PERSONA_TEST_BYTES=50000000 \
			PERSONA_TEST_SCALE=3 run_tests gcc 'asan broker end to end' -t 3 \
			run-run net-streams net-links net-abuse net-bulk net-datagrams net-names \
			net-hierarchy net-gateway
		unset ASAN_OPTIONS UBSAN_OPTIONS
	fi
	if build tsan gcc -Db_sanitize=thread -Db_lundef=false -Dbuildtype=debugoptimized; then
		export TSAN_OPTIONS=second_deadlock_stack=1
		run_tests tsan 'tsan' -t 6 --suite unit
		PERSONA_BROKER=$out/tsan/broker/persona-broker PERSONA_TEST_BYTES=50000000 \
			PERSONA_TEST_SCALE=4 run_tests gcc 'tsan broker end to end' -t 4 net-bulk
		unset TSAN_OPTIONS
	fi
	say 'the installed tree'
	rm -rf "$out/dest"
	if DESTDIR=$out/dest meson install -C "$out/gcc" --no-rebuild >"$out/install.log" 2>&1 &&
		PERSONA_BUILD=$out/gcc PERSONA_PREFIX=$out/dest/usr/local \
			tests/net/test_streams.py -k http_server >"$out/install.tap"; then
		echo "pass installed: http server and curl from the installed files" >>"$results"
	else
		cat "$out/install.log" "$out/install.tap"
		echo "fail installed: http server and curl from the installed files" | tee -a "$results"
	fi
	say 'the quickstart'
	if PERSONA_BUILD_DIR=$out/gcc examples/quickstart/run.sh --no-install; then
		echo "pass quickstart" >>"$results"
	else
		echo "fail quickstart" | tee -a "$results"
	fi
fi

say 'result'
grep '^skip' "$results" | sort | uniq -c | sort -rn | sed 's/^ *\([0-9]*\) skip/skipped (\1x):/'
grep '^fail' "$results" | sed 's/^fail/FAILED:/'
passed=$(grep -c '^pass' "$results")
failed=$(grep -c '^fail' "$results")
skipped=$(grep -c '^skip' "$results")
if [ "$failed" = 0 ] && [ "$broken" != 0 ]; then
	failed=1
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
