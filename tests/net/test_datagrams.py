#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""UDP and ICMP between hosts and inside one portspace, by unmodified programs."""

import os
import pathlib
import re
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from persona_test import (PYTHON, check, equal, link, main, need, only_underlay,  # noqa: E402
                          test, wait_for)

PROGRAM = str(pathlib.Path(__file__).resolve().parent / "datagrams.py")


def hosts(world, count):
    """Hosts in a line, each with the portspace `work` (10.77.0.N, fd77::N), linked to the next."""
    line = [world.host(name) for name in "abcde"[:count]]
    for h in line:
        h.start_broker()
        h.persona("create", "work", "--address", f"10.77.0.{h.number}",
                  "--address", f"fd77::{h.number}").ok()
    for i, (left, right) in enumerate(zip(line, line[1:])):
        behind = [a for h in line[i + 2:] for a in (f"10.77.0.{h.number}", f"fd77::{h.number}")]
        before = [a for h in line[:i] for a in (f"10.77.0.{h.number}", f"fd77::{h.number}")]
        link(left, "work", right, "work", extra_a=behind, extra_b=before)
    return line


def serve(host, *args):
    p = host.spawn_in("work", PYTHON, PROGRAM, *args, name=f"{host.name}-work-{args[0]}")
    p.until("ready")
    return p


def talk(host, *args, timeout=60):
    return host.run_in("work", PYTHON, PROGRAM, *args, timeout=timeout).json()


@test
def test_echo_between_hosts(world):
    a, b = hosts(world, 2)
    serve(b, "echo", "7")
    r = talk(a, "ask", "10.77.0.2", "7", "hello")
    equal((r["answer"], r["peer"]), ("hello", ["10.77.0.2", 7]), "the echo and its sender")
    equal(r["sock"][0], "0.0.0.0", "getsockname of a socket without a peer")
    check(r["sock"][1] > 0, "it has a port")


@test
def test_sizes_between_hosts(world):
    a, b = hosts(world, 2)
    serve(b, "echo", "7", "::")
    for address in ("10.77.0.2", "fd77::2"):
        r = talk(a, "sizes", address, "7")
        equal(r, {"failed": [], "peer": [address, 7]}, f"sizes over {address}")


@test
def test_inside_one_portspace(world):
    a, = hosts(world, 1)
    serve(a, "echo", "7", "::")
    for address in ("127.0.0.1", "10.77.0.1", "::1", "fd77::1"):
        equal(talk(a, "sizes", address, "7")["failed"], [], f"sizes over {address}")


@test
def test_dual_stack(world):
    a, b = hosts(world, 2)
    serve(b, "echo", "7", "::")
    r = b.run_in("work", PYTHON, "-c", "import socket; s = socket.socket(10, 2); "
                 "s.sendto(b'x', ('::ffff:10.77.0.1', 9)); print(s.getsockname()[:2])").ok()
    check(r.out.startswith("('::', "), f"a mapped address from an IPv6 socket: {r.out}")
    equal(talk(a, "ask", "10.77.0.2", "7", "four")["answer"], "four", "IPv4 to ::")
    equal(talk(a, "ask", "fd77::2", "7", "six")["answer"], "six", "IPv6 to ::")


@test
def test_refused(world):
    a, _ = hosts(world, 2)
    for address in ("10.77.0.2", "10.77.0.1", "127.0.0.1", "fd77::2", "fd77::1", "::1"):
        equal(talk(a, "refused", address, "99")["error"], "ECONNREFUSED", address)


@test
def test_no_route(world):
    a, _ = hosts(world, 2)
    code = ("import socket, errno\n"
            "for family, to in ((2, '10.9.9.9'), (2, '192.0.2.2'), (10, 'fd09::9')):\n"
            "    s = socket.socket(family, 2)\n"
            "    print(errno.errorcode[s.connect_ex((to, 53))])")
    equal(a.run_in("work", PYTHON, "-c", code).ok().out.split(), ["ENETUNREACH"] * 3, "connect")


@test
def test_port_is_free_when_its_process_is_killed(world):
    a, = hosts(world, 1)
    for _ in range(3):
        serve(a, "echo", "7")
        equal(talk(a, "ask", "127.0.0.1", "7", "x")["answer"], "x", "the echo")
        pids = [e["pid"] for e in a.status("work")["ports"]
                if (e["proto"], e["port"]) == ("udp", 7)]
        equal(len(pids), 1, "entries of the port in status")
        os.kill(pids[0], signal.SIGKILL)
        wait_for("the port is gone", lambda: not a.status("work")["ports"])


@test
def test_slow_receiver_harms_nobody(world):
    a, b = hosts(world, 2)
    serve(b, "sleeper", "1")
    serve(b, "echo", "2")
    floods = [a.spawn_in("work", PYTHON, PROGRAM, "flood", "10.77.0.2", "1", "100000",
                         name="a-work-flood") for _ in range(2)]
    r = talk(a, "steady", "10.77.0.2", "2", "300")
    check(r["lost"] <= 3, f"echoes were lost while others flood a slow receiver: {r}")
    for p in floods:
        equal(p.wait(60), 0, "the flood's exit status")
    equal(talk(a, "steady", "10.77.0.2", "2", "100")["lost"], 0, "echoes lost afterwards")
    check(b.status("work")["datagrams_dropped"] > 1000, "status counts what the sleeper lost")


@test
def test_ping(world):
    a, b, c = hosts(world, 3)
    ping = need("ping")
    for address, hops in (("10.77.0.1", 0), ("127.0.0.1", 0), ("10.77.0.2", 0), ("10.77.0.3", 1),
                          ("fd77::1", 0), ("::1", 0), ("fd77::2", 0), ("fd77::3", 1)):
        r = a.run_in("work", ping, "-c", "3", "-i", "0.2", "-W", "5", address).ok()
        check("3 received" in r.out, f"{address}: {r.out}")
        equal(set(re.findall(r"ttl=(\d+)", r.out)), {str(64 - hops)}, f"the TTL from {address}")
    r = c.run_in("work", ping, "-c", "1", "-s", "20000", "-W", "5", "10.77.0.1").ok()
    check("20008 bytes from 10.77.0.1" in r.out, f"a ping in fragments: {r.out}")
    r = a.run_in("work", ping, "-c", "1", "-W", "2", "-M", "do", "-s", "2000", "10.77.0.2")
    check("essage too long" in r.out + r.err and "1420" in r.out + r.err,
          f"a ping that is too long: {r.out}{r.err}")


@test
def test_ping_to_nowhere(world):
    a, b = hosts(world, 2)
    ping = need("ping")
    r = a.run_in("work", ping, "-c", "1", "-W", "2", "10.9.9.9")
    check("unreachable" in (r.out + r.err).lower(), f"no route: {r.out}{r.err}")


@test
def test_traceroute(world):
    a, _, c = hosts(world, 3)
    traceroute = need("traceroute")
    for way in ("-U", "-I"):
        for family in ("4", "6"):
            net = "10.77.0." if family == "4" else "fd77::"
            r = a.run_in("work", traceroute, way, f"-{family}", "-n", "-w", "3", "-q", "1",
                         f"{net}{c.number}").ok()
            hops = re.findall(r"^ *(\d+)  (\S+)", r.out, re.M)
            equal(hops, [("1", f"{net}2"), ("2", f"{net}3")], f"traceroute {way} -{family}")


@test
def test_netcat(world):
    a, b = hosts(world, 2)
    nc = need("nc")
    server = b.spawn_in("work", nc, "-u", "-l", "-p", "4000", name="b-work-nc")
    wait_for("nc has its port", lambda: any(
        e["port"] == 4000 for e in b.status("work")["ports"]))
    a.run_in("work", "sh", "-c", f"echo across | {nc} -u -w 1 10.77.0.2 4000").ok()
    server.until("across")


@test
def test_stdio(world):
    """bash writes to /dev/udp with stdio, inside libc, where no hook puts a head on."""
    a, b = hosts(world, 2)
    bash = need("bash")
    sink = serve(b, "sink", "4000")
    a.run_in("work", bash, "-c", "exec 3<>/dev/udp/10.77.0.2/4000; echo short >&3; "
             "printf 'D%0200d\\n' 7 >&3; read -t 0.1 <&3")
    sink.until("short")
    sink.until("D" + "0" * 199 + "7")


@test
def test_iperf3(world):
    a, b = hosts(world, 2)
    iperf3 = need("iperf3")
    server = b.spawn_in("work", iperf3, "-s", "-1", "--forceflush", name="b-work-iperf3")
    server.until("Server listening")
    r = a.run_in("work", iperf3, "-c", "10.77.0.2", "-u", "-b", "20M", "-l", "1200", "-t", "2",
                 "-J", timeout=60).ok().json()
    total = r["end"]["sum"]
    check(total["packets"] > 3000, f"packets: {total}")
    check(total["lost_percent"] < 5, f"loss at 20 Mbit/s: {total}")


@test
def test_dns(world):
    a, b = hosts(world, 2)
    dig, dnsmasq = need("dig", "dnsmasq")
    # no-daemon: it stays who it is, also as the root of a user namespace
    server = b.spawn_in("work", dnsmasq, "--no-daemon", "--no-resolv", "--no-hosts",
                        "--log-facility=-", "--port=53", "--bind-interfaces",
                        "--listen-address=10.77.0.2", "--address=/www.example/192.0.2.77",
                        name="b-work-dnsmasq")
    wait_for("dnsmasq has its port", lambda: server.alive() and any(
        e["port"] == 53 and e["proto"] == "udp" for e in b.status("work")["ports"]))
    r = a.run_in("work", dig, "+short", "+time=5", "+tries=1", "@10.77.0.2", "www.example").ok()
    equal(r.out.strip(), "192.0.2.77", "the address")


@test
def test_syslog(world):
    a, b = hosts(world, 2)
    logger = need("logger")
    server = serve(b, "sink", "514")
    a.run_in("work", logger, "-d", "-n", "10.77.0.2", "-P", "514", "a line of log").ok()
    server.until("a line of log")


@test
def test_nothing_but_wireguard_is_on_the_wire(world):
    a, b = hosts(world, 2)
    serve(b, "echo", "7", "::")
    marker = "c0ffee-marker-c0ffee"
    # a control: the same outside is seen
    control = a.capture("control")
    a.run(PYTHON, "-c", "import socket; s = socket.socket(2, 2); "
          f"s.sendto(b'{marker}', ('192.0.2.2', 7))").ok()
    control.finish()
    check(any(marker.encode() in data for data in control.data().values()),
          "the capture does not see what it should")
    capture = a.capture()
    for address in ("10.77.0.2", "fd77::2", "127.0.0.1"):
        if address != "127.0.0.1":
            equal(talk(a, "ask", address, "7", marker)["answer"], marker, address)
    talk(a, "refused", "10.77.0.2", "99")
    a.run_in("work", need("ping"), "-c", "1", "10.77.0.2").ok()
    talk(a, "refused", "127.0.0.1", "99")
    capture.finish()
    for interface, _ in capture.files:
        equal(only_underlay(capture, [a, b], interface), [], f"leaked on {interface}")
    check(not any(marker.encode() in data for data in capture.data().values()),
          "the marker is on the wire")
    wire = [p for p in capture.packets("eth0") if p[0] == "udp"]
    check(len(wire) >= 6, f"WireGuard messages on the wire: {len(wire)}")
    check(all({p[1][1], p[2][1]} == {a.port, b.port} for p in wire), "ports of the underlay")


main()
