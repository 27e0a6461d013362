#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Streams between two hosts and inside one portspace, seen by plain socket programs."""

import json
import sys
import pathlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from persona_test import Skip, check, equal, link, main, test, wait_for  # noqa: E402

PROBE = str(pathlib.Path(__file__).resolve().parent.parent / "lib" / "probe.py")


@test
def test_echo_between_hosts(world):
    a, b = world.two()
    b.serve_in("work", "echo", 7, port=7)
    r = a.probe_in("work", "ask", "10.77.0.2", 7, "hello")
    equal(r["answer"], "hello", "the echo")
    equal(r["peer"], ["10.77.0.2", 7], "getpeername of the client")
    equal(r["sock"][0], "10.77.0.1", "getsockname of the client")


@test
def test_echo_against_the_direction_of_the_first(world):
    a, b = world.two()
    a.serve_in("work", "echo", 7, port=7)
    b.serve_in("work", "echo", 7, port=7)
    equal(a.probe_in("work", "ask", "10.77.0.2", 7, "there")["answer"], "there", "a to b")
    equal(b.probe_in("work", "ask", "10.77.0.1", 7, "back")["answer"], "back", "b to a")


@test
def test_echo_inside_one_portspace(world):
    a = world.one()
    a.serve_in("work", "echo", 7, port=7)
    for address in ("127.0.0.1", "10.77.0.1"):
        r = a.probe_in("work", "ask", address, 7, "hello")
        equal(r["answer"], "hello", f"the echo of {address}")
        equal(r["peer"], [address, 7], f"getpeername for {address}")


@test
def test_localhost_and_portspace_name(world):
    a = world.one()
    a.serve_in("work", "echo", 7, port=7)
    equal(a.probe_in("work", "ask", "localhost", 7, "hi")["answer"], "hi", "localhost")


@test
def test_both_ends_see_overlay_addresses(world):
    a, b = world.two()
    b.serve_in("work", "peers", 7, port=7)
    r = a.run_in("work", "/usr/bin/python3", "-c",
                 "import socket,json; s=socket.create_connection(('10.77.0.2',7)); "
                 "d=json.loads(s.recv(1000)); print(json.dumps([d, s.getsockname()]))").json()
    equal(r[0]["peer"], r[1], "the server's getpeername is the client's getsockname")
    equal(r[0]["sock"], ["10.77.0.2", 7], "the server's getsockname")


@test
def test_base_network_port_stays_free(world):
    a, b = world.two()
    b.serve_in("work", "echo", 80, port=80)
    outside = b.spawn("/usr/bin/python3", "-c",
                      "import socket; s=socket.socket(); s.bind(('',80)); s.listen(); "
                      "print('bound', flush=True); s.accept()")
    outside.until("bound")
    equal(a.probe_in("work", "ask", "10.77.0.2", 80, "x")["answer"], "x", "the portspace's port 80")


@test
def test_base_network_cannot_reach_the_portspace(world):
    a, b = world.two()
    b.serve_in("work", "echo", 80, port=80)
    r = a.run("/usr/bin/python3", "-c", "import socket,errno\n"
              "s=socket.socket(); s.settimeout(5)\n"
              "print(errno.errorcode[s.connect_ex(('192.0.2.2',80))])").ok()
    equal(r.out.strip(), "ECONNREFUSED", "port 80 of the host")


@test
def test_portspace_cannot_reach_the_base_network(world):
    a, b = world.two()
    b.spawn("/usr/bin/python3", "-m", "http.server", "8000").until("Serving", 10)
    equal(a.probe_in("work", "errno", "192.0.2.2", 8000)["error"], "ENETUNREACH",
          "connect to a host of the base network")


@test
def test_refused_port(world):
    a, _ = world.two()
    for address in ("10.77.0.2", "10.77.0.1", "127.0.0.1"):
        equal(a.probe_in("work", "errno", address, 4444)["error"], "ECONNREFUSED", address)


@test
def test_refused_port_without_blocking(world):
    a, _ = world.two()
    r = a.probe_in("work", "nonblock", "10.77.0.2", 4444)
    equal((r["first"], r["error"], r["again"]), ("EINPROGRESS", "ECONNREFUSED", None),
          "connect, SO_ERROR, SO_ERROR again")


@test
def test_connect_without_blocking(world):
    a, b = world.two()
    b.serve_in("work", "echo", 7, port=7)
    r = a.probe_in("work", "nonblock", "10.77.0.2", 7)
    equal((r["first"], r["error"], r["out"], r["err"]), ("EINPROGRESS", None, True, False),
          "connect, SO_ERROR, EPOLLOUT, EPOLLERR")


@test
def test_no_route_is_enetunreach(world):
    a, _ = world.two()
    for address in ("10.99.0.1", "8.8.8.8", "2001:db8:99::1"):
        equal(a.probe_in("work", "errno", address, 80)["error"], "ENETUNREACH", address)


@test
def test_dead_peer_is_ehostunreach(world):
    a = world.one()
    b = world.host("b")
    b.start_broker()
    b.create("work", "10.77.0.2")
    link(a, "work", b, "work")
    b.kill_broker()
    r = a.probe_in("work", "errno", "10.77.0.2", 80, timeout=60)
    equal(r["error"], "EHOSTUNREACH", "connect to a host without a broker")


@test
def test_reset_between_hosts(world):
    a, b = world.two()
    b.serve_in("work", "slam", 7, port=7)
    equal(a.probe_in("work", "reset", "10.77.0.2", 7)["error"], "ECONNRESET", "close with data")


@test
def test_reset_inside_one_portspace(world):
    a = world.one()
    a.serve_in("work", "slam", 7, port=7)
    equal(a.probe_in("work", "reset", "10.77.0.1", 7)["error"], "ECONNRESET", "close with data")


@test
def test_half_close_between_hosts(world):
    a, b = world.two()
    b.serve_in("work", "sink", 9, port=9)
    r = a.probe_in("work", "push", "10.77.0.2", 9, 1_000_000, 1)
    equal(r["bad"], [], "digest sent back after the half-close")


@test
def test_half_close_inside_one_portspace(world):
    a = world.one()
    a.serve_in("work", "sink", 9, port=9)
    equal(a.probe_in("work", "push", "10.77.0.1", 9, 1_000_000, 1)["bad"], [], "digest")


def half_closed(world, how):
    a, b = world.two()
    b.serve_in("work", "part", 9, how, port=9)
    return a, b, a.spawn_in("work", "/usr/bin/python3", PROBE, "half", "10.77.0.2", "9")


def outcome(client):
    return json.loads(client.expect().splitlines()[-1])


@test
def test_clean_end_after_half_close(world):
    _, _, client = half_closed(world, "close")
    equal(outcome(client), {"bytes": 10, "error": None}, "the answer")


@test
def test_reset_by_the_server_after_half_close(world):
    _, _, client = half_closed(world, "abort")
    equal(outcome(client)["error"], "ECONNRESET", "the end")


@test
def test_loss_of_a_broker_after_half_close(world):
    a, b, client = half_closed(world, "hold")
    client.until("answer")
    b.kill_broker()
    equal(outcome(client), {"bytes": 10, "error": "ECONNRESET"}, "the peer's broker is gone")
    b.start_broker()
    client = a.spawn_in("work", "/usr/bin/python3", PROBE, "half", "10.77.0.2", "9")
    client.until("answer")
    a.kill_broker()
    equal(outcome(client), {"bytes": 10, "error": "ECONNRESET"}, "the own broker is gone")


@test
def test_removed_link_after_half_close(world):
    a, b, client = half_closed(world, "hold")
    client.until("answer")
    a.persona("link", "remove", "work", b.pubkey("work")).ok()
    equal(outcome(client), {"bytes": 10, "error": "ECONNRESET"}, "the link is gone")


@test
def test_linger_0_and_close_is_a_reset(world):
    a, b = world.two()
    server = b.serve_in("work", "ends", 9, port=9)
    for i, when in enumerate(("before", "after"), 1):
        a.probe_in("work", "abort", "10.77.0.2", 9, when)
        wait_for("the server noticed", lambda i=i: server.output().count("ended") == i)
        equal(server.output().split()[-1], "ECONNRESET", f"SO_LINGER set {when} connect")
    a.probe_in("work", "abort", "10.77.0.2", 9, "never")
    wait_for("the server noticed", lambda: server.output().count("ended") == 3)
    equal(server.output().split()[-1], "None", "without SO_LINGER")


@test
def test_end_of_a_killed_client_reaches_the_server(world):
    a, b = world.two()
    server = b.serve_in("work", "hold", 7, port=7)
    client = a.spawn_in("work", "/usr/bin/python3", "-c",
                        "import socket,time; s=socket.create_connection(('10.77.0.2',7)); "
                        "print('up',flush=True); time.sleep(600)", name="client")
    client.until("up")
    wait_for("the stream is there", lambda: b.status("work")["streams"] == 1)
    client.stop()
    wait_for("the stream is gone on a", lambda: a.status("work")["streams"] == 0)
    wait_for("the stream is gone on b", lambda: b.status("work")["streams"] == 0)
    check(server.alive(), "the server lives on")


@test
def test_two_hundred_connections_at_once(world):
    a, b = world.two()
    b.serve_in("work", "echo", 7, port=7)
    r = a.probe_in("work", "many", "10.77.0.2", 7, 200, timeout=60)
    equal((r["ok"], r["bad"]), (200, []), "answers")


@test
def test_ipv6_between_hosts_and_inside(world):
    a, b = world.host("a"), world.host("b")
    for h in (a, b):
        h.start_broker()
        h.persona("create", "work", "--address", f"10.77.0.{h.number}", "--address",
                  f"fd77::{h.number}").ok()
    link(a, "work", b, "work")
    b.serve_in("work", "echo", 7, "::", port=7)
    equal(a.probe_in("work", "ask", "fd77::2", 7, "six")["answer"], "six", "IPv6")
    equal(a.probe_in("work", "ask", "10.77.0.2", 7, "four")["answer"], "four",
          "IPv4 to the dual-stack wildcard")
    equal(b.probe_in("work", "ask", "::1", 7, "loop")["answer"], "loop", "::1")
    equal(b.probe_in("work", "ask", "fd77::2", 7, "own")["answer"], "own", "own IPv6 address")


@test
def test_works_with_the_shim_alone(world):
    a, b = world.two()
    b.serve_in("work", "echo", 7, port=7, seal="shim")
    r = a.probe_in("work", "ask", "10.77.0.2", 7, "unsealed", seal="shim")
    equal(r["answer"], "unsealed", "the echo")


@test
def test_works_as_an_ordinary_user(world):
    from persona_test import real_root
    real_root()
    a, b = world.two(user="nobody")
    b.serve_in("work", "echo", 7, port=7)
    equal(a.probe_in("work", "ask", "10.77.0.2", 7, "me too")["answer"], "me too", "the echo")


@test
def test_bind_rules(world):
    a = world.one()
    r = a.run_in("work", "/usr/bin/python3", "-c", """
import errno, json, socket
out = {}
def s():
    return socket.socket()
x = s(); x.bind(('', 5000)); x.listen()
y = s()
try:
    y.bind(('', 5000)); out['taken'] = None
except OSError as e:
    out['taken'] = errno.errorcode[e.errno]
y = s()
try:
    y.bind(('10.99.0.1', 5001)); out['foreign'] = None
except OSError as e:
    out['foreign'] = errno.errorcode[e.errno]
x.close()
y = s(); y.bind(('', 5000)); y.listen(); out['again'] = y.getsockname()[1]
z = s(); z.bind(('', 0)); out['ephemeral'] = z.getsockname()[1] > 0
p, q = s(), s()
for t in (p, q):
    t.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1); t.bind(('', 5002)); t.listen()
out['reuseport'] = True
print(json.dumps(out))
""").json()
    equal(r, {"taken": "EADDRINUSE", "foreign": "EADDRNOTAVAIL", "again": 5000,
              "ephemeral": True, "reuseport": True}, "bind")


@test
def test_asyncio(world):
    a, b = world.two()
    program = str(pathlib.Path(__file__).resolve().parent / "asyncio_echo.py")
    for client, address in ((a, "10.77.0.2"), (b, "127.0.0.1")):
        port = 7000 + client.number
        server = b.spawn_in("work", "/usr/bin/python3", program, "server", str(port))
        b.wait_listen("work", port, server)
        out = client.run_in("work", "/usr/bin/python3", program, "client", address, str(port),
                            timeout=60).ok().out
        equal(out.strip(), "100 streams, 100 right", "asyncio")


@test
def test_http_server_curl_and_wget(world):
    a, b = world.two()
    (b.home / "page.txt").write_text("a page of the portspace\n")
    server = b.spawn_in("work", "/usr/bin/python3", "-m", "http.server", "80")
    b.wait_listen("work", 80, server)
    from persona_test import need
    programs = []
    for name, options in (("curl", ["-sS", "--fail"]), ("wget", ["-q", "-O-"])):
        try:
            programs.append([need(name), *options])
        except Skip:
            continue
    if not programs:
        raise Skip("neither curl nor wget is installed")
    for program in programs:
        for client, address in ((a, "10.77.0.2"), (b, "127.0.0.1"), (b, "localhost")):
            r = client.run_in("work", *program, f"http://{address}/page.txt").ok()
            equal(r.out, "a page of the portspace\n", f"{program[0]} {address}")


main()
