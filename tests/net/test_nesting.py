#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Nesting: links of a portspace run inside the network of its super-portspace, to any depth, and
the base network sees only the outermost tunnel."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from persona_test import check, equal, main, need, only_underlay, test  # noqa: E402
from family import ask, echo, fetch, nest, serve  # noqa: E402

@test
def test_three_levels(world):
    a, b = world.two()
    nest(a, b, "mid", "work", "10.88.0", "10.77.0")
    nest(a, b, "deep", "mid", "10.99.0", "10.88.0")
    serve(b, "deep", "MARKER-deep")
    serve(b, "mid", "MARKER-mid")
    wires = [h.capture() for h in (a, b)]
    equal(fetch(a, "deep", "http://10.99.0.2/"), "MARKER-deep 10.99.0.1", "two levels below")
    equal(fetch(a, "mid", "http://10.88.0.2/"), "MARKER-mid 10.88.0.1", "one level below")
    for wire in wires:
        wire.finish()
        equal(only_underlay(wire, (a, b)), [], "packets that are not the outer tunnel's")
        check(wire.packets(), "the capture is empty")
        for interface, data in wire.data().items():
            check(b"MARKER" not in data, f"{interface}: readable bytes of an inner network")
    # the inner networks are apart: nobody else reaches their servers
    r = a.probe_in("work", "errno", "10.99.0.2", 80, 5, timeout=15)
    equal(r["error"], "ENETUNREACH", "the deep network from the outer one")
    # each level sees its carriers as one more stream of the level above
    check(b.status("work")["links"][0]["streams"] >= 1, "no stream in the outer link")
    check(b.status("mid")["links"][0]["streams"] >= 1, "no stream in the middle link")
    equal(b.status("mid")["mtu"], 1340, "MTU one level below")
    equal(b.status("deep")["mtu"], 1260, "MTU two levels below")


@test
def test_datagrams_three_levels(world):
    a, b = world.two()
    nest(a, b, "mid", "work", "10.88.0", "10.77.0")
    nest(a, b, "deep", "mid", "10.99.0", "10.88.0")
    for level in ("mid", "deep"):
        echo(b, level, 5000)
    wires = [h.capture() for h in (a, b)]
    for level, address in (("deep", "10.99.0.2"), ("mid", "10.88.0.2")):
        for size in (0, 1, 1200, 9000, 30000):
            equal(ask(a, level, address, 5000, size), "True", f"{size} bytes in {level}")
        out = a.run_in(level, need("ping"), "-c", "3", "-i", "0.2", "-s", "1000", address).ok().out
        check("3 received" in out, out)
    for wire in wires:
        wire.finish()
        equal(only_underlay(wire, (a, b)), [], "packets that are not the outer tunnel's")
        check([p for p in wire.packets() if p[0] == "udp"], "no datagram was captured")
        for interface, data in wire.data().items():
            check(b"MARKER" not in data, f"{interface}: readable bytes of an inner network")
    # each level's datagrams are the next one's
    for level in ("work", "mid", "deep"):
        check(b.link_state(level)["datagrams"]["session"], f"no WireGuard session in {level}")


@test
def test_siblings_on_one_host(world):
    """Two portspaces below the same one, linked inside it: nothing leaves the host."""
    a = world.one()
    for n, name in ((1, "left"), (2, "right")):
        a.persona("create", name, "--address", f"10.88.0.{n}", "--super", "work").ok()
    for me, other, n in (("left", "right", 2), ("right", "left", 1)):
        a.persona("link", "add", me, a.pubkey(other), "--allowed-ips", f"10.88.0.{n}/32",
                  "--endpoint", "10.77.0.1:51821").ok()
    serve(a, "right", "MARKER")
    echo(a, "right", 5000)
    wire = a.capture()
    equal(fetch(a, "left", "http://10.88.0.2/"), "MARKER 10.88.0.1", "a stream")
    equal(ask(a, "left", "10.88.0.2", 5000, 1000), "True", "a datagram")
    wire.finish()
    equal([p[3] for p in wire.packets()], [], "packets on the host's interfaces")


@test
def test_wrong_network(world):
    """A link is served in its own super-portspace's network only, whatever the peer tries."""
    a, b = world.two()
    b.persona("create", "inner", "--address", "10.88.0.2", "--super", "work").ok()
    a.persona("create", "outer", "--address", "10.88.0.1").ok()  # dials by the base network
    a.persona("link", "add", "outer", b.pubkey("inner"), "--allowed-ips", "10.88.0.2/32",
              "--endpoint", f"{b.address}:{b.port}").ok()
    b.persona("link", "add", "inner", a.pubkey("outer"), "--allowed-ips", "10.88.0.1/32").ok()
    serve(b, "inner", "secret")
    r = a.probe_in("outer", "errno", "10.88.0.2", 80, 6, timeout=20)
    equal(r["error"], "EHOSTUNREACH", "a stream by the base network")
    a.run_in("outer", need("ping"), "-c", "2", "-W", "1", "10.88.0.2")
    state = b.link_state("inner")
    equal((state["carriers"], state["datagrams"]["session"]), (0, False), "the link's state")


if __name__ == "__main__":
    main()
