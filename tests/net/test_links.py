#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Links: cut and recovery, a broker that dies under load, pre-shared keys, one-sided endpoints,
routing loops."""

import base64
import os
import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from persona_test import (PYTHON, SCALE, check, equal, link, main, need, test, wait_for,  # noqa: E402
                          only_underlay)

# Enough for the kernel to give up on a cut carrier, see docs/PROTOCOL.md, and for the next dial.
LOSS = 60


def reachable(host, address, port=7):
    r = host.probe_in("work", "errno", address, port, 20, timeout=40)
    return r["error"] is None


@test
def test_cut_and_recovery(world):
    a, b = world.two()
    b.serve_in("work", "echo", 7, port=7)
    b.serve_in("work", "sink", 9, port=9)
    # an established stream that has something to send must end with an error
    established = a.spawn_in("work", "/usr/bin/python3", "-c", """
import errno, socket
s = socket.create_connection(('10.77.0.2', 9))
print('up', flush=True)
try:
    while True:
        s.sendall(b'x' * 65536)
except OSError as e:
    print('error', errno.errorcode[e.errno], flush=True)
""", name="established").until("up")
    b.cut()
    cut = time.monotonic()
    established.until("error", LOSS)
    check(any(e in established.output() for e in ("error ECONNRESET", "error ETIMEDOUT",
                                                  "error EPIPE")), established.output())
    print(f"# the stream failed after {time.monotonic() - cut:.0f} s")
    r = a.probe_in("work", "errno", "10.77.0.2", 7, 50, timeout=60)
    equal(r["error"], "EHOSTUNREACH", "a new stream while the cable is out")
    wait_for("the link is down", lambda: a.link_state("work")["state"] == "down", LOSS)
    b.mend()
    mended = time.monotonic()
    wait_for("new streams work again", lambda: reachable(a, "10.77.0.2"), LOSS)
    print(f"# recovered after {time.monotonic() - mended:.0f} s")
    equal(a.link_state("work")["state"], "up", "the link's state")


@test
def test_idle_stream_survives_a_short_cut(world):
    a, b = world.two()
    b.serve_in("work", "echo", 7, port=7)
    p = a.spawn_in("work", "/usr/bin/python3", "-c", """
import os, socket, time
s = socket.create_connection(('10.77.0.2', 7))
print('up', flush=True)
while not os.path.exists('go'):
    time.sleep(0.02)
s.sendall(b'still here'); print(s.recv(100), flush=True)
""", name="idle").until("up")
    b.cut()
    time.sleep(1)  # the length of the cut is the test's subject
    b.mend()
    (a.home / "go").write_text("")
    p.until("still here", 30)


@test
def test_killed_broker_under_load(world):
    a, b = world.two()
    server = b.serve_in("work", "sink", 9, port=9)
    key = b.pubkey("work")
    load = a.spawn_in("work", "/usr/bin/python3", "-c", """
import socket
n = 0
streams = [socket.create_connection(('10.77.0.2', 9)) for _ in range(20)]
print('up', flush=True)
import threading
def push(s):
    try:
        while True:
            s.sendall(b'x' * 65536)
    except OSError as e:
        print('ended', type(e).__name__, flush=True)
for s in streams:
    threading.Thread(target=push, args=(s,)).start()
""", name="load").until("up")
    wait_for("bytes flow", lambda: b.link_state("work")["rx_bytes"] > 1 << 20)
    b.kill_broker()
    load.expect(0, LOSS)
    equal(load.output().count("ended"), 20, "streams that ended with an error")
    server.stop()
    b.start_broker()
    equal(b.pubkey("work"), key, "the public key after the restart")
    equal(len(b.status("work")["links"]), 1, "links after the restart")
    b.serve_in("work", "echo", 7, port=7)
    wait_for("streams work again", lambda: reachable(a, "10.77.0.2"), LOSS)
    equal(a.probe_in("work", "ask", "10.77.0.2", 7, "again")["answer"], "again", "the echo")


@test
def test_server_keeps_serving_when_its_broker_restarts(world):
    a, b = world.two()
    server = b.serve_in("work", "echo", 7, port=7)
    b.kill_broker()
    b.start_broker()
    check(server.alive(), "the server lives on")
    wait_for("the old server answers", lambda: reachable(a, "10.77.0.2"), LOSS)
    equal(a.probe_in("work", "ask", "10.77.0.2", 7, "old")["answer"], "old", "the echo")


@test
def test_client_s_broker_killed_and_restarted(world):
    a, b = world.two()
    b.serve_in("work", "echo", 7, port=7)
    check(reachable(a, "10.77.0.2"), "a stream before")
    a.kill_broker()
    a.start_broker()
    wait_for("streams work again", lambda: reachable(a, "10.77.0.2"), LOSS)


@test
def test_no_change_is_lost_when_the_broker_is_killed(world):
    a = world.host("a")
    known = {}
    for i in range(12):
        a.start_broker()
        for name, key in known.items():
            equal(a.pubkey(name), key, f"the key of {name} after {i} kills")
        name = f"ps{i}"
        a.create(name, f"10.77.{i}.1")
        known[name] = a.pubkey(name)
        peer = base64.b64encode(os.urandom(31) + b"\x40").decode()
        a.persona("link", "add", name, peer, "--allowed-ips", "10.99.0.0/16").ok()
        if i % 3 == 2:
            a.persona("destroy", f"ps{i - 1}").ok()
            del known[f"ps{i - 1}"]
        a.kill_broker()  # right after the answer: what was promised must be on the disk
    a.start_broker()
    listed = a.control({"version": 1, "op": "list"})["portspaces"]
    equal(sorted(p["name"] for p in listed), sorted(known), "portspaces")
    equal([len(p["links"]) for p in listed], [1] * len(known), "links of each")


@test
def test_broker_says_no_route_while_it_is_down(world):
    a, b = world.two()
    b.serve_in("work", "echo", 7, port=7)
    client = a.spawn_in("work", "/usr/bin/python3", "-c", """
import errno, os, socket, time
while not os.path.exists('go'):
    time.sleep(0.02)
s = socket.socket()
try:
    s.connect(('10.77.0.2', 7)); print('connected', flush=True)
except OSError as e:
    print('error', errno.errorcode[e.errno], flush=True)
""", name="client")
    wait_for("the client is inside", lambda: a.status("work")["inits"])
    a.kill_broker()
    (a.home / "go").write_text("")
    client.until("error|connected", 30)
    check("error ENETUNREACH" in client.output(), client.output())


@test
def test_pre_shared_key(world):
    a, b = world.host("a"), world.host("b")
    for h in (a, b):
        h.start_broker()
        h.create("work", f"10.77.0.{h.number}")
    psk = base64.b64encode(os.urandom(32)).decode()
    link(a, "work", b, "work", psk=psk)
    b.serve_in("work", "echo", 7, port=7)
    equal(a.probe_in("work", "ask", "10.77.0.2", 7, "psk")["answer"], "psk", "the echo")
    for h in (a, b):
        shown = h.persona("show", "work", "--json").ok().out + h.persona(
            "status", "work", "--json").ok().out
        check(psk not in shown, "the pre-shared key is shown")
        check(h.link_state("work")["preshared"] is True, "the link says that it has one")


@test
def test_wrong_pre_shared_key_carries_nothing(world):
    a, b = world.host("a"), world.host("b")
    for h in (a, b):
        h.start_broker()
        h.create("work", f"10.77.0.{h.number}")
    link(a, "work", b, "work", psk=base64.b64encode(os.urandom(32)).decode())
    b.persona("link", "remove", "work", a.pubkey("work")).ok()
    b.persona("link", "add", "work", a.pubkey("work"), "--allowed-ips", "10.77.0.1/32",
              "--endpoint", f"{a.address}:{a.port}").ok()
    b.serve_in("work", "echo", 7, port=7)
    r = a.probe_in("work", "errno", "10.77.0.2", 7, 40, timeout=60)
    equal(r["error"], "EHOSTUNREACH", "a stream with different pre-shared keys")


@test
def test_unknown_peer_carries_nothing(world):
    a, b = world.two()
    b.persona("link", "remove", "work", a.pubkey("work")).ok()
    b.serve_in("work", "echo", 7, port=7)
    r = a.probe_in("work", "errno", "10.77.0.2", 7, 40, timeout=60)
    equal(r["error"], "EHOSTUNREACH", "a stream to a portspace that does not know us")


@test
def test_source_outside_the_allowed_addresses_is_refused(world):
    a, b = world.two()
    b.persona("link", "remove", "work", a.pubkey("work")).ok()
    b.persona("link", "add", "work", a.pubkey("work"), "--allowed-ips", "10.77.0.9/32").ok()
    b.serve_in("work", "echo", 7, port=7)

    def refused():
        return a.probe_in("work", "errno", "10.77.0.2", 7, 40, timeout=60)["error"] == "EACCES"

    wait_for("a stream with a source that is not allowed is EACCES", refused, 30)


@test
def test_endpoint_on_one_side_only(world):
    a, b = world.host("a"), world.host("b")
    for h in (a, b):
        h.start_broker()
        h.create("work", f"10.77.0.{h.number}")
    link(a, "work", b, "work", b_has_endpoint=False)  # b does not know where a is
    for h in (a, b):
        h.serve_in("work", "echo", 7, port=7)
    # a's first dial may have come before b knew a
    wait_for("a reaches b", lambda: reachable(a, "10.77.0.2"))
    capture = a.capture()
    equal(a.probe_in("work", "ask", "10.77.0.2", 7, "out")["answer"], "out", "a to b")
    for i in range(20):
        r = b.probe_in("work", "ask", "10.77.0.1", 7, f"in {i}")
        equal(r["answer"], f"in {i}", "b to a")
    r = b.probe_in("work", "many", "10.77.0.1", 7, 50, timeout=60)
    equal((r["ok"], r["bad"]), (50, []), "fifty streams at once from b to a")
    capture.finish()
    equal(only_underlay(capture, [a, b]), [], "packets that are not underlay")
    to_a = [p[3] for p in capture.packets() if p[2] == (a.address, a.port)]
    equal(to_a, [], "packets to a's listening port")


@test
def test_endpoint_on_one_side_recovers(world):
    a, b = world.host("a"), world.host("b")
    for h in (a, b):
        h.start_broker()
        h.create("work", f"10.77.0.{h.number}")
    link(a, "work", b, "work", b_has_endpoint=False)
    a.serve_in("work", "echo", 7, port=7)
    wait_for("b reaches a", lambda: reachable(b, "10.77.0.1"), LOSS)
    b.kill_broker()
    b.start_broker()
    wait_for("b reaches a again", lambda: reachable(b, "10.77.0.1"), LOSS)


@test
def test_routing_loop_ends(world):
    a, b, c = world.host("a"), world.host("b"), world.host("c")
    ring = {a: b, b: c, c: a}
    for h in ring:
        h.start_broker()
        h.create("work", f"10.77.0.{h.number}")
    for me, towards in ring.items():
        # everyone thinks that 10.99/16 is behind the next, and believes any source
        for other in ring:
            if other is me:
                continue
            allowed = f"10.77.0.{other.number}/32"
            if other is towards:
                allowed += ",10.99.0.0/16"
            else:
                allowed += ",10.77.0.0/24"
            me.persona("link", "add", "work", other.pubkey("work"), "--endpoint",
                       f"{other.address}:{other.port}", "--allowed-ips", allowed).ok()

    def ticks(h):
        fields = pathlib.Path(f"/proc/{h.broker.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[11]) + int(fields[12])

    before = sum(ticks(h) for h in ring)
    r = a.probe_in("work", "errno", "10.99.0.1", 80, 30, timeout=60)
    check(r["error"] in ("EHOSTUNREACH", "EACCES"), f"a stream into the loop: {r}")
    check(r["seconds"] < 10 * SCALE, f"it took {r['seconds']} s")
    for h in ring:
        wait_for("no stream is left", lambda h=h: h.status("work")["streams"] == 0)
    spent = sum(ticks(h) for h in ring) - before
    check(spent < 2 * os.sysconf("SC_CLK_TCK") * SCALE, f"{spent} ticks were spent")


UDP_ECHO = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(('', 7))
print('up', flush=True)
while True:
    data, peer = s.recvfrom(2000)
    s.sendto(data, peer)
"""
UDP_ASK = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(60)
s.sendto(b'question', ('10.77.0.2', 7))
assert s.recv(100) == b'question'
"""


def two_cables(world, a_listens, b_listens, dial):
    """Hosts with a cable to each of two networks, 192.0.2.N (eth0) and 198.51.100.N (eth1), that
    listen at the given addresses. Only `a` knows an endpoint, `dial`. Returns the addresses by
    which each has heard the other after a datagram went there and back."""
    a, b = world.host("a"), world.host("b")
    world.ip(world.switch, "link", "add", "br1", "type", "bridge")
    world.ip(world.switch, "link", "set", "br1", "up")
    for h in (a, b):
        name = f"g{h.number}"
        world.ip(world.switch, "link", "add", name, "type", "veth", "peer", "name", "eth1",
                 "netns", str(h.ns))
        world.ip(world.switch, "link", "set", name, "master", "br1", "up")
        world.ip(h.ns, "addr", "add", f"198.51.100.{h.number}/24", "dev", "eth1")
        world.ip(h.ns, "addr", "add", f"198.51.100.{100 + h.number}/24", "dev", "eth1")
        world.ip(h.ns, "link", "set", "eth1", "up")
    for h, listens in ((a, a_listens), (b, b_listens)):
        more = [word for address in listens[1:] for word in ("--listen", f"{address}:{h.port}")]
        h.address = listens[0]
        h.start_broker(*more)
        h.create("work", f"10.77.0.{h.number}")
    b.address = dial
    link(a, "work", b, "work", b_has_endpoint=False)
    b.spawn_in("work", PYTHON, "-c", UDP_ECHO, name="echo").until("up")
    a.run_in("work", PYTHON, "-c", UDP_ASK).ok()

    def heard(host):
        return wait_for("the peer was heard",
                        lambda: host.link_state("work")["datagrams"]["endpoint"])

    return heard(a), heard(b)


BOTH = [["192.0.2.1", "198.51.100.1"], ["192.0.2.2", "198.51.100.2"]]


@test
def test_datagrams_leave_by_the_cable_that_they_come_from(world):
    equal(two_cables(world, *BOTH, "198.51.100.2"),
          ("198.51.100.2:51822", "198.51.100.1:51821"), "who heard whom")


@test
def test_the_first_address_of_several(world):
    equal(two_cables(world, *BOTH, "192.0.2.2"),
          ("192.0.2.2:51822", "192.0.2.1:51821"), "who heard whom")


@test
def test_another_address_of_the_right_cable_will_do(world):
    a = ["192.0.2.1", "198.51.100.101"]
    equal(two_cables(world, a, BOTH[1], "198.51.100.2"),
          ("198.51.100.2:51822", "198.51.100.101:51821"), "who heard whom")


@test
def test_a_cable_without_a_listening_address(world):
    a_heard, b_heard = two_cables(world, ["192.0.2.1"], BOTH[1], "198.51.100.2")
    equal(a_heard, "198.51.100.2:51822", "whom a heard")
    equal(b_heard.split(":")[0], "198.51.100.1", "where b heard it")


@test
def test_wildcard_answers_from_the_address_that_was_called(world):
    anywhere = ["0.0.0.0", "[::]"]
    equal(two_cables(world, anywhere, anywhere, "198.51.100.102"),
          ("198.51.100.102:51822", "198.51.100.1:51821"), "who heard whom")


@test
def test_end_of_the_broker_is_clean(world):
    a, b = world.two()
    b.serve_in("work", "echo", 7, port=7)
    check(reachable(a, "10.77.0.2"), "a stream")
    a.broker.signal(signal.SIGTERM)
    equal(a.broker.wait(20), 0, "the broker's exit status after SIGTERM")
    check(not os.path.exists(a.env["PERSONA_RUNTIME_DIR"] + "/control"), "control is still there")


@test
def test_junk_on_the_underlay_port(world):
    """Garbage, half handshakes and silent connections from the network cost nobody else anything."""
    need("python3")
    a, b = world.two()
    b.serve_in("work", "echo", 7, port=7)
    junk = str(pathlib.Path(__file__).resolve().parent / "junk.py")
    p = a.spawn("/usr/bin/python3", junk, b.address, str(b.port), name="junk")
    p.until("busy", 30)
    r = a.probe_in("work", "steady", "10.77.0.2", 7, 6, timeout=60)
    check(p.alive(), f"the junk ended early: {p.output()}")
    p.stop()
    equal((r["failures"], r["kinds"]), (0, []), f"failures of {r['attempts']} healthy streams")
    check(r["attempts"] > 20, f"only {r['attempts']} healthy streams in 6 s")
    check(r["slowest"] < 3 * SCALE, f"the slowest took {r['slowest']} s")
    check(b.broker.alive(), "the broker lives")


main()
