#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Inheritance of services: from a portspace and from the host, override and back, hide and unhide,
what `persona ports` says, PROXY protocol."""


import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from persona_test import PYTHON, check, equal, main, need, test, wait_for  # noqa: E402
from family import ask, echo, family, fetch, host_child, serve, serve_host  # noqa: E402

def refused(h, portspace, address, port):
    r = h.probe_in(portspace, "errno", address, port, 10, timeout=20)
    return r["error"] == "ECONNREFUSED" or r


def services(h, portspace):
    """(proto, port): (server, why, by) as `persona ports` has it."""
    rows = h.persona("ports", portspace, "--json").json()["ports"]
    out = {}
    for r in rows:
        out.setdefault((r["proto"], r["port"]), []).append((r["server"], r["why"], r["by"]))
    return out


@test
def test_inherit_from_a_portspace(world):
    a, b = family(world, "--inherit", "work")
    serve(b, "work", "work-web")
    # the inherited server sees the real peer
    equal(fetch(a, "friend", "http://10.88.0.2/"), "work-web 10.88.0.1", "from the network")
    # the programs inside reach it as well, also at loopback, and do not look like loopback
    equal(fetch(b, "child", "http://10.88.0.2/"), "work-web 10.88.0.2", "from inside")
    equal(fetch(b, "child", "http://127.0.0.1/"), "work-web 10.88.0.2", "from inside, loopback")
    # what nobody serves is refused, at once and as an event
    equal(refused(a, "friend", "10.88.0.2", 81), True, "no server, from the network")
    equal(refused(b, "child", "127.0.0.1", 81), True, "no server, from inside")
    equal(services(b, "child")[("tcp", 80)], [("work", "inherited", None)], "persona ports")
    # the carriers of nested links are no service
    check(("tcp", 51821) not in services(b, "child"), "the broker's own port is inherited")
    equal(refused(a, "friend", "10.88.0.2", 51821), True, "the broker's own port")


@test
def test_loopback_of_the_super_is_private(world):
    a, b = family(world, "--inherit", "work")
    serve(b, "work", "private", address="127.0.0.1")
    equal(refused(a, "friend", "10.88.0.2", 80), True, "from the network")
    equal(refused(b, "child", "127.0.0.1", 80), True, "from inside")
    check(("tcp", 80) not in services(b, "child"), "it is listed")


@test
def test_override_and_back(world):
    a, b = family(world, "--inherit", "work")
    serve(b, "work", "work-web")
    b.serve_in("work", "echo", 7, port=7)
    # a stream to the inherited server lives through all changes of the owner
    live = a.spawn_in("friend", PYTHON, "-c", """
import os, socket, time
s = socket.create_connection(('10.88.0.2', 7))
for word in ('one', 'two', 'three'):
    while not os.path.exists(word):
        time.sleep(0.02)
    s.sendall(word.encode())
    print('got', s.recv(100).decode(), flush=True)
""", name="live")
    (a.home / "one").write_text("")
    live.until("got one")
    own_echo = b.serve_in("child", "echo", 7, port=7)
    own = serve(b, "child", "child-web")
    equal(fetch(a, "friend", "http://10.88.0.2/"), "child-web 10.88.0.1", "overridden")
    equal(fetch(b, "child", "http://127.0.0.1/"), "child-web 127.0.0.1", "overridden, inside")
    equal(services(b, "child")[("tcp", 80)],
          [("child", "own", None), ("work", "overridden", "child")], "persona ports")
    (a.home / "two").write_text("")
    live.until("got two")
    for p in (own, own_echo):
        p.stop()
    equal(fetch(a, "friend", "http://10.88.0.2/"), "work-web 10.88.0.1", "back again")
    equal(fetch(b, "child", "http://127.0.0.1/"), "work-web 10.88.0.2", "back again, inside")
    (a.home / "three").write_text("")
    live.until("got three")
    live.expect(0)


@test
def test_hide_and_unhide(world):
    a, b = family(world, "--inherit", "work", "--hide", "tcp/81,udp/53")
    serve(b, "work", "web")
    serve(b, "work", "hidden", port=81)
    equal(fetch(a, "friend", "http://10.88.0.2/"), "web 10.88.0.1", "not hidden")
    equal(refused(a, "friend", "10.88.0.2", 81), True, "hidden at creation")
    b.persona("hide", "child", "tcp/80", "tcp/90-100").ok()
    equal(refused(a, "friend", "10.88.0.2", 80), True, "hidden later")
    equal(refused(b, "child", "127.0.0.1", 80), True, "hidden, from inside")
    equal(services(b, "child")[("tcp", 80)], [("work", "hidden", "child")], "persona ports")
    # an own server is not hidden
    own = serve(b, "child", "own")
    equal(fetch(a, "friend", "http://10.88.0.2/"), "own 10.88.0.1", "own server, hidden port")
    own.stop()
    # it is on the disk
    b.kill_broker()
    b.start_broker()
    wait_for("the link of work is back", lambda: b.probe_in(
        "work", "errno", "10.77.0.1", 9, 5, timeout=15)["error"] == "ECONNREFUSED", 40)
    equal(refused(b, "child", "127.0.0.1", 80), True, "hidden, after a restart of the broker")
    r = b.persona("unhide", "child", "tcp/80-81", "--json").json()
    equal(r["hide"], ["tcp/90-100", "udp/53"], "what is still hidden")
    wait_for("unhidden", lambda: a.probe_in(
        "friend", "errno", "10.88.0.2", 80, 5, timeout=15)["error"] is None, 40)
    equal(fetch(a, "friend", "http://10.88.0.2:81/"), "hidden 10.88.0.1", "unhidden")
    wrong = b.persona("unhide", "child", "tcp/80")
    equal((wrong.code, "not hidden" in wrong.err), (1, True), "what is not hidden")
    wrong = b.persona("hide", "child", "tcp/0")
    equal(wrong.code, 1, "no port")


@test
def test_inherit_from_the_host(world):
    a, b = host_child(world)
    serve_host(b, "any", 80)
    serve_host(b, "lo", 81, "127.0.0.1")
    serve_host(b, "one", 82, b.address)
    equal(fetch(a, "friend", "http://10.88.0.2/"), f"any {b.address}", "on the wildcard")
    equal(fetch(a, "friend", "http://10.88.0.2:82/"), f"one {b.address}", "on one address")
    equal(fetch(b, "child", "http://127.0.0.1/"), f"any {b.address}", "from inside")
    # nothing of the host's loopback, and not the broker's own port
    for port in (81, b.port, 83):
        equal(refused(a, "friend", "10.88.0.2", port), True, f"port {port}")
        equal(refused(b, "child", "127.0.0.1", port), True, f"port {port}, from inside")
    ports = services(b, "child")
    equal(ports[("tcp", 80)], [("root", "inherited", None)], "persona ports")
    check(("tcp", 81) not in ports, "the host's loopback is listed")
    b.persona("hide", "child", "tcp/80").ok()
    equal(refused(a, "friend", "10.88.0.2", 80), True, "hidden")
    equal(services(b, "child")[("tcp", 80)], [("root", "hidden", "child")], "persona ports")


@test
def test_half_close_and_reset_of_the_hosts_services(world):
    a, b = host_child(world)
    b.spawn(PYTHON, "-c", """
import socket, struct
s = socket.create_server(('', 90))
print('bound', flush=True)
c = s.accept()[0]                       # half-close: what comes after the peer's FIN is answered
data = b''
while (more := c.recv(1000)):
    data += more
c.sendall(data.upper())
c.close()
c = s.accept()[0]                       # reset
c.recv(1)
c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
c.close()
c = s.accept()[0]                       # a reset behind data
c.recv(1)
c.sendall(b'data')
c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
c.close()
c = s.accept()[0]                       # the peer's reset
try:
    while c.recv(1000):
        pass
    print('end', flush=True)
except ConnectionResetError:
    print('reset', flush=True)
""", name="host-server").until("bound")
    out = a.run_in("friend", PYTHON, "-c", """
import socket, struct
s = socket.create_connection(('10.88.0.2', 90))
s.sendall(b'x' * 300000); s.shutdown(socket.SHUT_WR)
data = b''
while (more := s.recv(65536)):
    data += more
print(data == b'X' * 300000)
s = socket.create_connection(('10.88.0.2', 90))
s.sendall(b'y')
try:
    print(s.recv(10))
except ConnectionResetError:
    print('reset')
s = socket.create_connection(('10.88.0.2', 90))
s.sendall(b'y')
try:
    while (data := s.recv(10)):
        pass
    print('end')
except ConnectionResetError:
    print('reset')
s = socket.create_connection(('10.88.0.2', 90))
s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
s.sendall(b'z')
s.close()
""").ok().out.split()
    equal(out, ["True", "reset", "reset"], "what the client saw")
    next(p for p in world.processes if p.name == "host-server").until("reset", 20)


@test
def test_nginx_of_the_host_by_proxy_protocol(world):
    nginx = need("nginx")
    a, b = host_child(world, "--proxy-protocol", "tcp/8080")
    conf = b.home / "nginx.conf"
    conf.write_text(f"""
daemon off; user root; pid {b.home}/nginx.pid; error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {b.home}/t1; proxy_temp_path {b.home}/t2;
    fastcgi_temp_path {b.home}/t3; uwsgi_temp_path {b.home}/t4; scgi_temp_path {b.home}/t5;
    server {{ listen 8080 proxy_protocol;
        location / {{ return 200 "$proxy_protocol_addr $proxy_protocol_port \
$proxy_protocol_server_addr $proxy_protocol_server_port"; }} }}
    server {{ listen 8081; location / {{ return 200 "$remote_addr"; }} }}
}}
""")
    p = b.spawn(nginx, "-p", str(b.home), "-c", str(conf), name="nginx")
    wait_for("nginx answers", lambda: b.run(
        need("curl"), "-s", "-o", "/dev/null", f"http://{b.address}:8081/").code == 0)
    got = fetch(a, "friend", "http://10.88.0.2:8080/").split()
    equal([got[0], *got[2:]], ["10.88.0.1", "10.88.0.2", "8080"], "addresses in the header")
    check(32768 <= int(got[1]) <= 60999, f"source port {got[1]}")
    equal(fetch(a, "friend", "http://10.88.0.2:8081/"), b.address, "a port without the header")
    check(p.alive(), "nginx ended")


@test
def test_haproxy_of_the_host_by_proxy_protocol(world):
    haproxy = need("haproxy")
    a, b = host_child(world, "--proxy-protocol", "tcp/8080")
    conf = b.home / "haproxy.cfg"
    conf.write_text("""
defaults
    mode http
    timeout connect 5s
    timeout client 5s
    timeout server 5s
frontend web
    bind :8080 accept-proxy
    http-request return status 200 content-type text/plain lf-string "%ci"
""")
    b.spawn(haproxy, "-db", "-f", str(conf), name="haproxy")
    wait_for("haproxy listens", lambda: ("tcp", 8080) in services(b, "child"))
    equal(fetch(a, "friend", "http://10.88.0.2:8080/"), "10.88.0.1", "the peer's address")


@test
def test_nginx_through_two_levels(world):
    """child inherits work, which inherits the host; each level's hide list counts."""
    nginx = need("nginx")
    a = world.host("a")
    a.start_broker()
    a.persona("create", "work", "--address", "10.77.0.1", "--inherit", "root").ok()
    a.persona("create", "child", "--address", "10.88.0.1", "--inherit", "work").ok()
    (a.home / "index.html").write_text("nginx of work")
    conf = a.home / "nginx.conf"
    conf.write_text(f"""
daemon off; master_process on; worker_processes 2; pid {a.home}/nginx.pid; error_log stderr;
user root;
events {{}}
http {{ access_log off; root {a.home};
    client_body_temp_path {a.home}/t1; proxy_temp_path {a.home}/t2;
    fastcgi_temp_path {a.home}/t3; uwsgi_temp_path {a.home}/t4; scgi_temp_path {a.home}/t5;
    server {{ listen 80; }} }}
""")
    p = a.spawn_in("work", nginx, "-p", str(a.home), "-c", str(conf), name="nginx")
    a.wait_listen("work", 80, p)
    serve_host(a, "host", 81)
    equal(fetch(a, "child", "http://10.88.0.1/"), "nginx of work", "from the level above")
    equal(fetch(a, "child", "http://127.0.0.1:81/"), f"host {a.address}", "two levels above")
    a.persona("hide", "work", "tcp/81").ok()
    equal(refused(a, "child", "127.0.0.1", 81), True, "hidden at the level between")
    equal(services(a, "child")[("tcp", 81)], [("root", "hidden", "work")], "persona ports")
    text = a.persona("ports", "child").ok().out
    check("tcp/81" in text and "hidden at work" in text, text)


@test
def test_datagrams_from_a_portspace(world):
    a, b = family(world, "--inherit", "work")
    echo(b, "work", 5000, "work")
    echo(b, "work", 5001, "private", "127.0.0.1")
    echo(b, "work", 5002, "one", "10.77.0.2")
    for size in (0, 10, 1300, 20000):
        equal(ask(a, "friend", "10.88.0.2", 5000, size, "work", True), "True 10.88.0.1",
              f"{size} bytes from the network")
    equal(ask(a, "friend", "10.88.0.2", 5002, 10, "one", True), "True 10.88.0.1", "one address")
    equal(ask(b, "child", "10.88.0.2", 5000, 10, "work", True), "True 10.88.0.2", "from inside")
    equal(ask(b, "child", "127.0.0.1", 5000, 10, "work", True), "True 10.88.0.2", "loopback")
    for where, address in ((a, "10.88.0.2"), (b, "127.0.0.1")):
        portspace = "friend" if where is a else "child"
        for port in (5001, 5003, 51821):
            equal(ask(where, portspace, address, port), "ECONNREFUSED",
                  f"port {port} in {portspace}")
    own = echo(b, "child", 5000, "child")
    equal(ask(a, "friend", "10.88.0.2", 5000, 10, "child", True), "True 10.88.0.1", "overridden")
    own.stop()
    wait_for("the inherited one is back",
             lambda: ask(a, "friend", "10.88.0.2", 5000, 10, "work") == "True")
    equal(services(b, "child")[("udp", 5000)], [("work", "inherited", None)], "persona ports")
    b.persona("hide", "child", "udp/4000-6000").ok()
    equal(ask(a, "friend", "10.88.0.2", 5000), "ECONNREFUSED", "hidden")
    b.persona("unhide", "child", "udp/5000").ok()
    equal(ask(a, "friend", "10.88.0.2", 5000, 10, "work"), "True", "unhidden")


@test
def test_hiding_ends_flows(world):
    a, b = family(world, "--inherit", "work")
    echo(b, "work", 5000, "work")
    p = a.spawn_in("friend", PYTHON, "-c", """
import os, socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.connect(('10.88.0.2', 5000))
for word in ('one', 'two'):
    while not os.path.exists(word):
        time.sleep(0.02)
    try:
        for i in range(3):
            s.send(b'x')
            print(word, s.recv(100), flush=True)
            break
    except ConnectionRefusedError:
        print(word, 'refused', flush=True)
""", name="flow")
    (a.home / "one").write_text("")
    p.until("one b'work 10.88.0.1 x'")
    b.persona("hide", "child", "udp/5000").ok()
    (a.home / "two").write_text("")
    p.until("two refused")


@test
def test_equal_addresses_are_kept_apart(world):
    """Two networks with the same addresses use one inherited server: no answer goes astray."""
    a, b = family(world, "--inherit", "work")
    b.persona("create", "twin", "--address", "10.88.0.2", "--inherit", "work").ok()
    a.persona("create", "other", "--address", "10.88.0.1", "--super", "work").ok()
    for me, mine, there, theirs in ((a, "other", b, "twin"), (b, "twin", a, "other")):
        me.persona("link", "add", mine, there.pubkey(theirs), "--allowed-ips",
                   f"10.88.0.{there.number}/32", "--endpoint",
                   f"10.77.0.{there.number}:51821").ok()
    echo(b, "work", 5000, "work")
    serve(b, "work", "work-web")
    client = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(3)
s.bind(('', 40000))
s.connect(('10.88.0.2', 5000))
for i in range(3):
    try:
        s.send(sys.argv[1].encode())
        print(s.recv(100).decode(), flush=True)
        break
    except TimeoutError:
        pass
    except ConnectionRefusedError:
        print('refused', flush=True)
        break
"""
    out = a.run_in("friend", PYTHON, "-c", client, "first").ok().out.strip()
    equal(out, "work 10.88.0.1 first", "the first network")
    out = a.run_in("other", PYTHON, "-c", client, "second").ok().out.strip()
    equal(out, "refused", "the second, with the same address and port")
    equal(ask(a, "other", "10.88.0.2", 5000, 10, "work"), "True", "the second, another port")
    # streams have no such limit: the same 4-tuple in both networks
    stream = """
import socket, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(('', 40001))
s.connect(('10.88.0.2', 80))
print('up', flush=True)
sys.stdin.read()
"""
    for portspace in ("friend", "other"):
        a.spawn_in(portspace, PYTHON, "-c", stream + "import time\ntime.sleep(60)",
                   name=f"stream-{portspace}").until("up")


@test
def test_datagrams_from_the_host(world):
    a, b = host_child(world)
    echo(b, None, 5000, "any")
    echo(b, None, 5001, "lo", "127.0.0.1")
    echo(b, None, 5002, "one", b.address)
    for size in (0, 10, 1400, 20000):
        equal(ask(a, "friend", "10.88.0.2", 5000, size, "any", True), f"True {b.address}",
              f"{size} bytes from the network")
    equal(ask(a, "friend", "10.88.0.2", 5002, 10, "one"), "True", "on one address")
    equal(ask(b, "child", "127.0.0.1", 5000, 10, "any"), "True", "from inside")
    for port in (5001, 5003, b.port):
        equal(ask(a, "friend", "10.88.0.2", port), "ECONNREFUSED", f"port {port}")
        equal(ask(b, "child", "127.0.0.1", port), "ECONNREFUSED", f"port {port} from inside")
    ports = services(b, "child")
    equal(ports[("udp", 5000)], [("root", "inherited", None)], "persona ports")
    check(("udp", 5001) not in ports, "the host's loopback is listed")


@test
def test_the_tree(world):
    a = world.host("a")
    a.start_broker()
    a.create("work", "10.77.0.1")
    r = a.persona("create", "child", "--address", "10.88.0.1", "--inherit", "nobody")
    equal((r.code, "no portspace" in r.err), (1, True), "a super-portspace that is not there")
    a.persona("create", "child", "--address", "10.88.0.1", "--inherit", "work").ok()
    equal(a.status("child")["super"], "work", "status")
    r = a.persona("destroy", "work")
    equal((r.code, "child" in r.err), (1, True), "destroying what others are below")
    r = a.persona("destroy", "--force", "work")
    equal(r.code, 1, "the same by force")
    serve(a, "work", "web")
    equal(fetch(a, "child", "http://10.88.0.1/"), "web 10.88.0.1", "inherited")
    # a file that names nobody: nothing is inherited, and status says so
    a.broker.may_end = True
    a.broker.stop()
    conf = pathlib.Path(a.env["PERSONA_CONFIG_DIR"])
    conf = next(p for p in conf.rglob("work.conf"))
    conf.rename(conf.with_suffix(".away"))
    a.start_broker()
    equal(a.status("child")["super_error"], "not found", "status without the super-portspace")
    equal(refused(a, "child", "10.88.0.1", 80), True, "nothing is inherited")
    a.create("work", "10.77.0.1")
    equal(a.status("child")["super_error"], None, "status when it is back")
    serve(a, "work", "new")
    equal(fetch(a, "child", "http://10.88.0.1/"), "new 10.88.0.1", "inherited again")
    a.persona("destroy", "child").ok()
    a.persona("destroy", "--force", "work").ok()


if __name__ == "__main__":
    main()
