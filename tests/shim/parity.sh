#!/bin/sh
# SPDX-License-Identifier: MIT
# Runs a parity program on the kernel's TCP and UDP in a fresh network namespace and under the shim, and
# compares. usage: parity.sh PROGRAM BROKER_FIXTURE LIBRARY
set -eu
program=$1 fixture=$2 library=$3

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if ! unshare -rn true 2>"$work/err"; then
	echo "skipped: no network namespace: $(cat "$work/err")"
	exit 77
fi
unshare -rn sh -c 'ip link set lo up && echo 0 0 >/proc/sys/net/ipv4/ping_group_range && exec "$1"' sh "$program" >"$work/native"
"$fixture" "$library" "$program" >"$work/shim" || echo "the program failed under the shim: $?"
[ -s "$work/native" ]
if ! diff -U0 "$work/native" "$work/shim" >"$work/diff"; then
	cat "$work/diff"
	exit 1
fi
echo "$(wc -l <"$work/native") answers are the same"
