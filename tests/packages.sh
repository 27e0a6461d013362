# shellcheck shell=sh
# SPDX-License-Identifier: MIT
# The distribution's packages that Persona and its tests use; sourced by tests/run.sh and the
# examples. Debian's and Ubuntu's names.

# shellcheck disable=SC2034
PACKAGES_BUILD='gcc libc6-dev pkg-config meson ninja-build libuv1-dev libsodium-dev libssl-dev
	libjansson-dev libseccomp-dev libb2-dev libmnl-dev libc-ares-dev libcmocka-dev
	uthash-dev scdoc'
# Optional, and only built for this architecture.
if [ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ]; then
	PACKAGES_BUILD="$PACKAGES_BUILD libipsec-mb-dev"
fi
# shellcheck disable=SC2034
PACKAGES_QUICKSTART='iproute2 tcpdump curl nginx-light iputils-ping'
# shellcheck disable=SC2034
PACKAGES_TEST='clang clang-format-14 clang-tidy cppcheck shellcheck python3 iproute2 util-linux
	tcpdump tshark curl wget nginx-light apache2-utils haproxy redis-server redis-tools postgresql
	postgresql-contrib openssh-server openssh-client git iperf3 nodejs openssl
	openjdk-17-jdk-headless golang-github-flynn-noise-dev
	iputils-ping traceroute netcat-openbsd bind9-dnsutils bind9-host dnsmasq-base bsdutils wireguard-go
	wireguard-tools ngtcp2-server ngtcp2-client ntpsec-ntpdig snmp snmpd tftpd-hpa tftp-hpa
	busybox openbsd-inetd mosh socat chromium golang-go'

# Installs those that are missing. As an ordinary user with sudo where that asks for no password.
# Never fatal: what needs an absent program says so.
packages_install() {
	command -v apt-get >/dev/null 2>&1 || return 0
	missing=
	for p in "$@"; do
		# a program that came another way counts as installed
		case $p in
		nodejs) command -v node >/dev/null 2>&1 && continue ;;
		meson | git | curl | wget | shellcheck | cppcheck | clang | gcc | clang-tidy | haproxy | iperf3)
			command -v "$p" >/dev/null 2>&1 && continue
			;;
		nginx-light) command -v nginx >/dev/null 2>&1 || [ -x /usr/sbin/nginx ] && continue ;;
		golang-go) command -v go >/dev/null 2>&1 && continue ;;
		openjdk-*) command -v javac >/dev/null 2>&1 && continue ;;
		clang-format-14) command -v clang-format >/dev/null 2>&1 && continue ;;
		postgresql*) ls /usr/lib/postgresql/*/bin/pgbench >/dev/null 2>&1 && continue ;;
		esac
		dpkg -s "$p" >/dev/null 2>&1 || missing="$missing $p"
	done
	[ -n "$missing" ] || return 0
	sudo=
	if [ "$(id -u)" != 0 ]; then
		if ! sudo -n true 2>/dev/null; then
			echo "not installed, and no right to:$missing"
			return 0
		fi
		sudo=sudo
	fi
	echo "installing:$missing"
	$sudo apt-get update -q >/dev/null 2>&1
	for p in $missing; do
		# Servers must not start on the machine because a test uses their programs.
		$sudo env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -qy \
			--no-install-recommends "$p" >/dev/null 2>&1 || echo "could not install $p"
	done
}
