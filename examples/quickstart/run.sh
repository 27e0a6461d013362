#!/bin/sh
# SPDX-License-Identifier: MIT
# Persona in one minute: two hosts, an unmodified nginx and curl, and what the network saw.
#
# usage: examples/quickstart/run.sh [--no-install]
# Installs what is missing from the distribution's packages, builds (PERSONA_BUILD_DIR, default
# `build`), makes two hosts and links them. The hosts are two network namespaces where the system
# allows them, else two brokers on 127.0.0.1 and 127.0.0.2. Everything it starts ends with it.
set -eu
cd "$(dirname "$0")/../.."
top=$(pwd)
build=${PERSONA_BUILD_DIR:-$top/build}
# shellcheck disable=SC1091
. "$top/tests/packages.sh"

if [ "${1:-}" != --no-install ] && [ -z "${QUICKSTART_INSIDE:-}" ]; then
	# shellcheck disable=SC2086
	packages_install $PACKAGES_BUILD $PACKAGES_QUICKSTART
fi
PATH=$build/bin:$build/broker:$PATH:/usr/sbin:/sbin
export PATH

bold() {
	if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
		printf '\n\033[1m%s\033[0m\n' "$*"
	else
		printf '\n%s\n' "$*"
	fi
}

# Shows a command as if it was typed on a host, and runs it there.
on() {
	host=$1
	shift
	printf '  host%s$ %s\n' "$host" "$*"
	at "$host" "$@" >/dev/null
}

# Runs a command on a host: its own namespace (if there are any) and its own directories.
at() {
	host=$1
	shift
	env PERSONA_RUNTIME_DIR="$work/$host/run" PERSONA_STATE_DIR="$work/$host/state" \
		PERSONA_CONFIG_DIR="$work/$host/config" HOME="$work/$host" \
		${namespaces:+nsenter -t "$(cat "$work/$host/ns")" -n --} "$@"
}

# The same in the background; $pid is the program's own.
started=
start() {
	host=$1
	log=$2
	shift 2
	env PERSONA_RUNTIME_DIR="$work/$host/run" PERSONA_STATE_DIR="$work/$host/state" \
		PERSONA_CONFIG_DIR="$work/$host/config" HOME="$work/$host" \
		${namespaces:+nsenter -t "$(cat "$work/$host/ns")" -n --} "$@" \
		>"$log" 2>"$log.err" </dev/null &
	pid=$!
	started="$pid $started"
}

finish() {
	status=$?
	for pid in $started; do
		kill "$pid" 2>/dev/null || true
	done
	for pid in $started; do
		wait "$pid" 2>/dev/null || true
	done
	if [ $status = 0 ]; then
		rm -rf "$work"
	else
		echo "failed; the logs are in $work" >&2
	fi
	exit $status
}

# until_true SECONDS COMMAND...: repeats the command until it succeeds
until_true() {
	tries=$(($1 * 20))
	shift
	until "$@" >/dev/null 2>&1; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || {
			echo "timed out: $*" >&2
			return 1
		}
		sleep 0.05
	done
}

if [ -z "${QUICKSTART_INSIDE:-}" ]; then
	bold 'Building'
	[ -f "$build/build.ninja" ] || meson setup "$build" "$top" -Dtests=false >/dev/null
	ninja -C "$build" 2>&1 | tail -n 1
	export QUICKSTART_INSIDE=1
	# A namespace of our own for all of this: as root, or as an ordinary user who may make one.
	if [ "$(id -u)" = 0 ] && unshare -n true 2>/dev/null; then
		exec unshare -n "$0" "$@"
	elif unshare -Urn true 2>/dev/null; then
		exec unshare -Urn "$0" "$@"
	fi
	QUICKSTART_INSIDE=plain
fi

work=$(mktemp -d /tmp/pq-XXXXXX)
chmod 755 "$work"
trap finish EXIT
trap 'exit 1' INT TERM
mkdir -p "$work/A/www" "$work/B/www"
address_A=127.0.0.1
address_B=127.0.0.2
namespaces=
capture=$work/base.pcap

# Namespaces: host A, host B, and a wire between them.
if [ "$QUICKSTART_INSIDE" = 1 ]; then
	namespaces=1
	address_A=192.0.2.1
	address_B=192.0.2.2
	for host in A B; do
		unshare -n sleep infinity &
		started="$! $started"
		echo $! >"$work/$host/ns"
		until_true 5 sh -c "[ \$(readlink /proc/$!/ns/net) != \$(readlink /proc/self/ns/net) ]"
	done
	ip link add wireA netns "$(cat "$work/A/ns")" type veth \
		peer name wireB netns "$(cat "$work/B/ns")"
	for host in A B; do
		eval "address=\$address_$host"
		# shellcheck disable=SC2154
		at "$host" ip addr add "$address/24" dev "wire$host"
		at "$host" ip link set "wire$host" up
		at "$host" ip link set lo up
	done
fi

secret="This page is a secret of host B."
echo "$secret" >"$work/B/www/index.html"
cat >"$work/B/nginx.conf" <<END
daemon off;
pid $work/B/nginx.pid;
error_log $work/B/nginx.log;
$([ "$(id -u)" != 0 ] || echo 'user root;')
events {}
http {
	access_log off;
	client_body_temp_path $work/B; proxy_temp_path $work/B; fastcgi_temp_path $work/B;
	uwsgi_temp_path $work/B; scgi_temp_path $work/B;
	server { listen PORT; root $work/B/www; }
}
END
sed 's/PORT/80/' "$work/B/nginx.conf" >"$work/B/inside.conf"
sed "s/PORT/$address_B:8080/" "$work/B/nginx.conf" >"$work/B/outside.conf"

bold 'Two hosts, one portspace on each'
for host in A B; do
	eval "address=\$address_$host"
	start "$host" "$work/$host/broker.log" persona-broker --listen "$address:51820"
	until_true 10 test -S "$work/$host/run/control"
done
on A persona create work --address 10.77.0.1
on B persona create work --address 10.77.0.2
key_A=$(at A persona pubkey work)
key_B=$(at B persona pubkey work)
on A persona link add work "$key_B" --endpoint "$address_B:51820" --allowed-ips 10.77.0.2/32
on B persona link add work "$key_A" --endpoint "$address_A:51820" --allowed-ips 10.77.0.1/32

bold 'The base network is captured from here on'
interface=lo
[ -z "$namespaces" ] || interface=wireB
tcpdump=
if command -v tcpdump >/dev/null 2>&1; then
	# to standard output: the file stays ours, whoever tcpdump becomes
	start B "$capture" tcpdump -i $interface -n -U -s 0 -w -
	tcpdump=$pid
	until_true 5 grep -q 'listening on' "$capture.err" || tcpdump=
fi
if [ -n "$tcpdump" ]; then
	echo "  hostB\$ tcpdump -i $interface"
else
	echo "  no capture: tcpdump is missing or may not: $(tail -n 1 "$capture.err" 2>/dev/null)"
fi

bold 'Control: nginx and curl without Persona'
start B "$work/plain.log" nginx -p "$work/B" -e "$work/B/nginx.log" -c outside.conf
plain=$pid
until_true 10 at A curl -sf "http://$address_B:8080/" -o /dev/null
printf "  hostA\$ curl http://%s:8080/\n  %s\n" "$address_B" "$(at A curl -sSf "http://$address_B:8080/")"
if [ -n "$tcpdump" ]; then
	until_true 5 grep -aq "$secret" "$capture"
	echo "  the base network saw the page in plain text: $(grep -ac "$secret" "$capture") times"
fi
kill $plain
wait $plain 2>/dev/null || true
plain_bytes=$([ -z "$tcpdump" ] || wc -c <"$capture")

bold 'The same programs in the portspace'
printf '  hostB$ persona-run work -- nginx\n'
start B "$work/nginx.log" persona-run work -- nginx -p "$work/B" -e "$work/B/nginx.log" \
	-c inside.conf
until_true 15 at A persona-run work -- curl -sf http://10.77.0.2/ -o /dev/null
printf '  hostA$ persona-run work -- curl http://10.77.0.2/\n'
got=$(at A persona-run work -- curl -sSf http://10.77.0.2/)
echo "  $got"
[ "$got" = "$secret" ]
if command -v ping >/dev/null 2>&1; then
	printf '  hostA$ persona-run work -- ping -c 1 10.77.0.2\n'
	at A persona-run work -- ping -c 1 -W 5 10.77.0.2 | sed -n 's/^\(.*bytes from\)/  \1/p'
	at A persona-run work -- ping -c 1 -W 5 10.77.0.2 >/dev/null
fi

bold 'What the base network saw of it'
if [ -n "$tcpdump" ]; then
	# a packet after all the others says that the capture is complete
	at A curl -s --connect-timeout 2 "http://$address_B:9/end-of-capture" || true
	until_true 5 sh -c "tcpdump -nr '$capture' 'tcp port 9' 2>/dev/null | grep -q ."
	tail -c "+$((plain_bytes + 1))" "$capture" >"$work/tunnel"
	packets=$(tcpdump -nr "$capture" 'port 51820' 2>/dev/null | wc -l)
	echo "  $packets encrypted packets on port 51820"
	[ "$packets" -gt 0 ]
	if grep -aq "$secret" "$work/tunnel"; then
		echo "  and the page in plain text: this must not be"
		exit 1
	fi
	echo "  the page in plain text: 0 times"
fi
at A persona status work | sed 's/^/  /'
bold 'Done'
