#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Gateways: a portspace that owns prefixes outside of the personal network, and nothing else that
leaves it."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from persona_test import PYTHON, check, equal, link, main, only_underlay, test, wait_for  # noqa: E402
from family import WEB, ask, echo, fetch, nest, serve_host  # noqa: E402

TARGET = "198.51.100.7"


def target(world, *hosts):
    """A machine in a network of its own, without Persona, that only `hosts` can reach."""
    t = world.host("t")
    for h in hosts:
        world.ip(h.ns, "route", "add", "198.51.100.0/24", "via", t.address)
    world.ip(t.ns, "addr", "add", f"{TARGET}/32", "dev", "eth0")
    return t


def errno(h, portspace, address, port=80, wait=10):
    return h.probe_in(portspace, "errno", address, port, wait, timeout=wait + 10)["error"]


@test
def test_web_server_behind_a_gateway(world):
    a, b = world.host("a"), world.host("b")
    t = target(world, b)
    for h in (a, b):
        h.start_broker()
    a.persona("create", "work", "--address", "10.77.0.1").ok()
    b.persona("create", "gw", "--address", "10.77.0.2", "--gateway", "198.51.100.0/24").ok()
    link(a, "work", b, "gw", extra_a=("198.51.100.0/24", "203.0.113.0/24", "169.254.0.0/16",
                                      f"{b.address}/32"))
    serve_host(t, "target", 80)
    lo = b.spawn(PYTHON, "-c", WEB % ("loopback", "127.0.0.1", 80), name="lo").until("bound")
    own = b.spawn(PYTHON, "-c", WEB % ("host", b.address, 80), name="own").until("bound")
    wire_a, wire_b = a.capture(), b.capture()
    # the target sees the gateway's host, the client's host never speaks to it
    equal(fetch(a, "work", f"http://{TARGET}/"), f"target {b.address}", "through the gateway")
    equal(fetch(b, "gw", f"http://{TARGET}/"), f"target {b.address}", "from the gateway itself")
    equal(errno(a, "work", TARGET, 81), "ECONNREFUSED", "a port that nobody serves there")
    # nothing else leaves: other prefixes that the peer sends here, link-local, loopback, the host
    for address in ("203.0.113.1", "169.254.1.1", b.address):
        equal(errno(a, "work", address), "ENETUNREACH", address)
        equal(errno(b, "gw", address), "ENETUNREACH", f"{address} from the gateway itself")
    equal(errno(b, "gw", "127.0.0.1"), "ECONNREFUSED", "the host's loopback")
    for wire in (wire_a, wire_b):
        wire.finish()
    equal(only_underlay(wire_a, (a, b)), [], "packets of the client's host")
    outside = only_underlay(wire_b, (a, b), "eth0")
    check(outside, "the capture does not see what the gateway sends")
    strange = [p for p in outside if TARGET not in p]
    equal(strange, [], "packets of the gateway's host to elsewhere")
    check(lo.alive() and own.alive(), "a server ended")


@test
def test_gateway_is_announced_by_rip(world):
    """A - R - gateway: A has no route of its own; who does not let RIP teach the prefix gets none."""
    a, r, b = world.host("a"), world.host("r"), world.host("b")
    t = target(world, b)
    gateway = "198.51.100.0/24"
    rip = ("--rip", "--rip-update", "1")
    for h, more in ((a, ("--network", "10.77.0.0/24," + gateway)),
                    (r, ("--network", "10.77.0.0/24," + gateway)),
                    (b, ("--network", "10.77.0.0/24," + gateway, "--gateway", gateway))):
        h.start_broker()
        h.persona("create", "work", "--address", f"10.77.0.{h.number}/24", *rip, *more).ok()
    a.persona("create", "narrow", "--address", "10.77.0.77/24", *rip).ok()
    link(a, "work", r, "work")
    link(r, "work", b, "work")
    link(a, "narrow", r, "work", extra_b=("10.77.0.77/32",))
    serve_host(t, "target", 80)

    def learned(portspace):
        table = a.persona("route", "show", "--json", portspace).json()["routes"]
        return {x["prefix"]: x["source"] for x in table if x["used"]}

    wait_for("A learns the gateway's prefix", lambda: learned("work").get(gateway) == "rip")
    equal(fetch(a, "work", f"http://{TARGET}/"), f"target {b.address}", "through the gateway")
    # RIP has come by the same link, for addresses inside the network
    wait_for("narrow learns an address", lambda: learned("narrow").get(
        f"10.77.0.{b.number}/32") == "rip")
    check(gateway not in learned("narrow"), "RIP taught a prefix outside of Network")
    equal(errno(a, "narrow", TARGET), "ENETUNREACH", "without a route")


@test
def test_datagrams_through_a_gateway(world):
    a, b = world.host("a"), world.host("b")
    t = target(world, b)
    for h in (a, b):
        h.start_broker()
    a.persona("create", "work", "--address", "10.77.0.1").ok()
    b.persona("create", "gw", "--address", "10.77.0.2", "--gateway", "198.51.100.0/24").ok()
    link(a, "work", b, "gw", extra_a=("198.51.100.0/24", "203.0.113.0/24", f"{b.address}/32"))
    echo(t, None, 5000, "target", TARGET)
    echo(b, None, 5001, "own")
    wire_a, wire_b = a.capture(), b.capture()
    for size in (0, 10, 1472, 20000):
        equal(ask(a, "work", TARGET, 5000, size, "target", True), f"True {b.address}",
              f"{size} bytes through the gateway")
    equal(ask(b, "gw", TARGET, 5000, 10, "target"), "True", "from the gateway itself")
    # errors of the network outside come back
    equal(ask(a, "work", TARGET, 5002), "ECONNREFUSED", "a port that nobody has there")
    for address in ("203.0.113.1", b.address):
        equal(ask(a, "work", address, 5001), "nothing", address)
    for wire in (wire_a, wire_b):
        wire.finish()
    equal(only_underlay(wire_a, (a, b)), [], "packets of the client's host")
    outside = only_underlay(wire_b, (a, b), "eth0")
    check([p for p in outside if "udp" in p], "the capture does not see what the gateway sends")
    equal([p for p in outside if TARGET not in p and t.address not in p], [],
          "packets of the gateway's host to elsewhere")


@test
def test_sources_are_checked(world):
    """A peer reaches the gateway's networks only with addresses that its link has."""
    a, b = world.host("a"), world.host("b")
    t = target(world, b)
    for h in (a, b):
        h.start_broker()
    # a has one more address that b does not know of
    a.persona("create", "work", "--address", "10.77.0.1,10.66.0.1").ok()
    b.persona("create", "gw", "--address", "10.77.0.2", "--gateway", "198.51.100.0/24").ok()
    a.persona("link", "add", "work", b.pubkey("gw"), "--allowed-ips",
              "10.77.0.2/32,198.51.100.0/24", "--endpoint", f"{b.address}:{b.port}").ok()
    b.persona("link", "add", "gw", a.pubkey("work"), "--allowed-ips", "10.77.0.1/32").ok()
    serve_host(t, "target", 80)
    client = """
import socket, sys
s = socket.socket()
s.bind((sys.argv[1], 0))
print(s.connect_ex((sys.argv[2], 80)))
"""
    for source, result in (("10.77.0.1", "0"), ("10.66.0.1", "13")):
        out = a.run_in("work", PYTHON, "-c", client, source, TARGET).ok().out.strip()
        equal(out, result, f"from {source}")


@test
def test_gateway_into_the_super_portspace(world):
    """Below a portspace the prefixes are the super-portspace's network, not the base network."""
    a, b = world.two()
    t = target(world, a, b)
    serve_host(t, "target", 80)
    for h in (a, b):
        h.serve_in("work", "echo", 7, port=7)
    nest(a, b, "inner", "work", "10.88.0", "10.77.0")
    a.persona("destroy", "inner").ok()
    a.persona("create", "gw", "--address", "10.88.0.1", "--super", "work",
              "--gateway", "10.77.0.0/24,198.51.100.0/24").ok()
    b.persona("link", "remove", "inner", "link1").ok()
    for me, mine, other, theirs, extra in (
            (a, "gw", b, "inner", ""), (b, "inner", a, "gw", ",10.77.0.0/24,198.51.100.0/24")):
        me.persona("link", "add", mine, other.pubkey(theirs), "--allowed-ips",
                   f"10.88.0.{other.number}/32{extra}", "--endpoint",
                   f"10.77.0.{other.number}:51821").ok()
    # b's inner -> a's gw -> a's work -> (b's work by the outer link, a's own work)
    peer = """
import socket, sys
s = socket.create_connection((sys.argv[1], 7))
s.sendall(b'hello'); print(s.recv(100).decode()); s.shutdown(socket.SHUT_WR)
print(s.recv(100) == b'')
"""
    for address in ("10.77.0.2", "10.77.0.1"):
        out = b.run_in("inner", PYTHON, "-c", peer, address).ok().out.split()
        equal(out, ["hello", "True"], f"to {address}")
    for h in (a, b):
        echo(h, "work", 5000)
        equal(ask(b, "inner", f"10.77.0.{h.number}", 5000, 100, source=True), "True 10.77.0.1",
              f"a datagram to {h.name}")
    equal(ask(b, "inner", "10.77.0.2", 5001), "ECONNREFUSED", "a datagram to nobody")
    wire = a.capture()
    equal(errno(b, "inner", TARGET), "ENETUNREACH", "what the super-portspace cannot reach")
    wire.finish()
    equal(only_underlay(wire, (a, b)), [], "packets of the gateway's host")


if __name__ == "__main__":
    main()
