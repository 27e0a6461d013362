#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Routes between real brokers: a ring of five hosts that speak RIP, static routes, and the CLI.

Each link of the ring has a cable of its own, so that one can be cut. RIP's interval is a second:
silence is noticed after 6 s and forgotten after 4 more."""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))
from persona_test import PYTHON, check, equal, main, test, wait_for  # noqa: E402

N = 5
PROGRAM = str(pathlib.Path(__file__).resolve().parent / "datagrams.py")


def v4(i):
    return f"10.77.0.{i % N + 1}"


def v6(i):
    return f"fd77::{i % N + 1}"


def cable(w, a, b, number):
    """A wire of its own between two hosts; returns what each has there."""
    ends = [(a, f"198.51.100.{4 * number + 1}"), (b, f"198.51.100.{4 * number + 2}")]
    w.ip(a.ns, "link", "add", f"w{number}", "type", "veth", "peer", "name", f"w{number}",
         "netns", str(b.ns))
    for host, address in ends:
        w.ip(host.ns, "addr", "add", address + "/30", "dev", f"w{number}")
        w.ip(host.ns, "link", "set", f"w{number}", "up")
    return ends


def make_link(me, other, address, prefixes, name):
    me.persona("link", "add", "work", other.pubkey("work"), "--allowed-ips", ",".join(prefixes),
               "--endpoint", f"{address}:{other.port}", "--name", name).ok()


def ring(w, *options):
    """Hosts 0 to 4, host i with 10.77.0.(i+1) and links `next` and `prev`."""
    hosts = [w.host(name) for name in "abcde"]
    wires = [cable(w, hosts[i], hosts[(i + 1) % N], i) for i in range(N)]
    for i, h in enumerate(hosts):
        h.address = "0.0.0.0"  # the kernel chooses the address that suits the cable
        h.start_broker()
        h.persona("create", "work", "--address", v4(i) + "/24", "--address", v6(i) + "/64",
                  *options).ok()
    for i, h in enumerate(hosts):
        after, before = (i + 1) % N, (i - 1) % N
        make_link(h, hosts[after], wires[i][1][1], [v4(after), v6(after)], "next")
        make_link(h, hosts[before], wires[before][0][1], [v4(before), v6(before)], "prev")
    return hosts


def routes(host, prefix=None):
    table = host.persona("route", "show", "--json", "work").json()["routes"]
    return [r for r in table if prefix in (None, r["prefix"])]


def used(host, address):
    """(link, source, metric) of the route to one address that is used."""
    for r in routes(host, f"{address}/{128 if ':' in address else 32}"):
        if r["used"]:
            return r["link"], r["source"], r["metric"]
    return None


def cut(w, host, number, state):
    w.ip(host.ns, "link", "set", f"w{number}", state)


def datagram(host, address):
    reply = host.run_in("work", PYTHON, PROGRAM, "ask", address, "7", "hello").json()
    equal((reply["answer"], reply["peer"]), ("hello", [address, 7]), f"UDP to {address}")


def stream(host, address):
    reply = host.probe_in("work", "ask", address, 80, "hello")
    equal((reply["answer"], reply["peer"]), ("hello", [address, 80]), f"a stream to {address}")


@test
def test_ring_and_a_cut_link(w):
    hosts = ring(w, "--rip", "--rip-update", "1")
    a = hosts[0]
    for i, h in enumerate(hosts):
        for address in (v4, v6):
            for way, to in (("next", i + 2), ("prev", i - 2)):
                wait_for(f"{h.name} knows {address(to)}", lambda h=h, to=to, way=way, f=address:
                         used(h, f(to)) == (way, "rip", 3))
    # the neighbours' own prefixes win over what RIP says of them
    equal(used(a, v4(1))[:2], ("next", "link"), "the way to a neighbour")
    for h in hosts[1:]:
        h.serve_in("work", "echo", 80, "::", port=80)
        h.spawn_in("work", PYTHON, PROGRAM, "echo", "7", "::").until("ready")
    for i in range(1, N):
        stream(a, v4(i))
        stream(a, v6(i))
        datagram(a, v4(i))
        datagram(a, v6(i))

    cut(w, a, 0, "down")  # between a and b
    for f in (v4, v6):
        wait_for("a reaches c the other way", lambda f=f: used(a, f(2)) == ("prev", "rip", 4))
        wait_for("a reaches b the other way", lambda f=f: used(a, f(1)) == ("prev", "rip", 5))
        wait_for("b reaches a the other way",
                 lambda f=f: used(hosts[1], f(0)) == ("next", "rip", 5))
    silent = [r for r in routes(a, v4(1) + "/32") if r["source"] == "link"]
    check(silent and silent[0]["silent"] and not silent[0]["used"], f"the link's route: {silent}")
    for i in (1, 2):
        stream(a, v4(i))
        stream(a, v6(i))
        datagram(a, v4(i))
        datagram(a, v6(i))

    cut(w, a, 0, "up")
    for f in (v4, v6):
        wait_for("a is back on the short way", lambda f=f:
                 used(a, f(1)) and used(a, f(1))[:2] == ("next", "link") and
                 used(a, f(2)) == ("next", "rip", 3), timeout=30)
    stream(a, v4(1))
    datagram(a, v4(2))


@test
def test_a_broker_that_leaves_and_comes_back(w):
    hosts = ring(w, "--rip", "--rip-update", "1")
    a, c = hosts[0], hosts[2]
    wait_for("a knows c", lambda: used(a, v4(2)) == ("next", "rip", 3))
    c.kill_broker()
    wait_for("c is forgotten", lambda: not used(a, v4(2)))
    wait_for("d is reached still", lambda: used(a, v4(3)) == ("prev", "rip", 3))
    c.start_broker()
    wait_for("c is known again", lambda: used(a, v4(2)) == ("next", "rip", 3), timeout=30)
    wait_for("c knows a", lambda: used(c, v4(0)) and used(c, v4(0))[1] == "rip")
    c.serve_in("work", "echo", 80, port=80)
    stream(a, v4(2))


@test
def test_static_routes(w):
    hosts = ring(w)
    a, b, c = hosts[:3]
    equal(used(a, v4(2)), None, "a route to c without RIP")
    a.persona("route", "add", "work", v4(2) + "/32", "via", v4(1), "metric", "2").ok()
    c.persona("route", "add", "work", v4(0) + "/32", "dev", "prev").ok()
    equal(used(a, v4(2)), ("next", "static", 2), "the static route")
    c.serve_in("work", "echo", 80, port=80)
    stream(a, v4(2))
    # it is stored: the same after a restart
    a.kill_broker()
    a.start_broker()
    equal(used(a, v4(2)), ("next", "static", 2), "the static route after a restart")
    stream(a, v4(2))
    # without the link to its next hop it stands by, with another one it moves
    key = b.pubkey("work")
    a.persona("link", "remove", "work", "next").ok()
    found = routes(a, v4(2) + "/32")
    check(len(found) == 1 and not found[0]["active"] and found[0]["link"] is None,
          f"a static route without a link: {found}")
    make_link(a, b, "198.51.100.2", [v4(1), v6(1)], "again")
    equal(key, b.pubkey("work"), "the key of b")
    equal(used(a, v4(2)), ("again", "static", 2), "the static route over the new link")
    a.persona("route", "del", "work", v4(2) + "/32").ok()
    equal(used(a, v4(2)), None, "a removed route")


@test
def test_the_command_line(w):
    hosts = ring(w)
    a = hosts[0]
    text = a.persona("route", "show", "work").ok().out
    check("PREFIX" in text and "10.77.0.2/32" in text and "link" in text, text)
    for words, cause in (
            (["10.9.0.0/16"], "please"),
            (["10.9.0.0/33", "via", v4(1)], "is no route"),
            (["10.9.0.0/16", "via", v6(1)], "is no route"),
            (["10.9.0.0/16", "via", v4(1), "metric", "16"], "is no route"),
            (["10.9.0.0/16", "dev", "nowhere"], "has no link"),
            (["10.9.0.0/16", "over", v4(1)], "is no route")):
        result = a.persona("route", "add", "work", *words)
        check(result.code != 0 and cause in result.err, f"{words}: {result.code} {result.err}")
    a.persona("route", "add", "work", "10.9.0.0/16", "via", v4(1)).ok()
    result = a.persona("route", "add", "work", "10.9.1.2/16", "via", v4(1))
    check(result.code == 1 and "already" in result.err, result.err)
    a.persona("route", "add", "work", "10.9.0.0/16", "dev", "prev", "metric", "7").ok()
    found = [(r["link"], r["metric"], r["used"]) for r in routes(a, "10.9.0.0/16")]
    equal(found, [("next", 1, True), ("prev", 7, False)], "two routes to one prefix")
    a.persona("route", "del", "work", "10.9.0.0/16", "via", v4(1)).ok()
    equal([r["link"] for r in routes(a, "10.9.0.0/16")], ["prev"], "what is left")
    a.persona("route", "del", "work", "10.9.0.0/16").ok()
    result = a.persona("route", "del", "work", "10.9.0.0/16")
    check(result.code == 1 and "no such static route" in result.err, result.err)
    config = (pathlib.Path(a.env["PERSONA_CONFIG_DIR"]))
    check(all("10.9.0.0" not in p.read_text() for p in config.rglob("*.conf")),
          "a removed route is still stored")
    # a member may look at its own table, and at no other, and change none
    inside = a.run_in("work", "persona", "route", "show", "--json", "work")
    if inside.code == 0:
        equal(json.loads(inside.out)["routes"] != [], True, "the table seen from inside")
    check(a.run_in("work", "persona", "route", "add", "work", "10.9.0.0/16", "dev",
                   "prev").code != 0, "a member changed its routes")


main()
