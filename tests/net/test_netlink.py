#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Route netlink inside a portspace: ip(8) and programs that speak netlink themselves find the
portspace and not the host."""

import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))

from persona_test import PYTHON, check, equal, link, main, need, test, wait_for  # noqa: E402

SPEAKER = str(HERE / "netlink_speaker.py")
HOST_ONLY = ("eth0", "192.0.2.", "2001:db8")


def ip(host, *args, portspace="work", code=0, **kw):
    r = host.run_in(portspace, need("ip"), *args, **kw)
    equal(r.code, code, f"ip {' '.join(args)}: {r.err}")
    for text in HOST_ONLY:
        check(text not in r.out, f"ip {' '.join(args)} shows the host: {r.out}")
    return r


def ip_json(host, *args, **kw):
    return json.loads(ip(host, "-j", *args, **kw).out or "[]")


def speak(host, *args, **kw):
    return host.run_in("work", PYTHON, SPEAKER, *args, **kw).ok().out


def two_with_v6(world):
    """a: 10.77.0.1/24 and fd77::1/64, linked with b, which has 10.78.0.0/16 and fd78::/32 too."""
    a, b = world.host("a"), world.host("b")
    for h in (a, b):
        h.start_broker()
        h.persona("create", "work", "--address", f"10.77.0.{h.number}/24", "--address",
                  f"fd77::{h.number}/64").ok()
    link(a, "work", b, "work", extra_a=("10.78.0.0/16", "fd78::/32"))
    return a, b


@test
def test_ip_shows_links_and_addresses(world):
    a, _ = two_with_v6(world)
    links = ip_json(a, "link")
    equal([i["ifname"] for i in links], ["lo", "link1"], "interfaces")
    equal(links[0]["link_type"], "loopback", "lo's type")
    equal(links[1]["link_type"], "none", "link1's type")
    equal(links[1]["mtu"], 1420, "link1's MTU")
    check({"POINTOPOINT", "NOARP", "UP", "LOWER_UP"} <= set(links[1]["flags"]), links[1])
    addresses = {(i["ifname"], x["local"], x["prefixlen"], x["scope"])
                 for i in ip_json(a, "addr") for x in i["addr_info"]}
    equal(addresses, {("lo", "127.0.0.1", 8, "host"), ("lo", "::1", 128, "host"),
                      ("link1", "10.77.0.1", 24, "global"), ("link1", "fd77::1", 64, "global")},
          "addresses")
    check(re.search(r"^link1 +UNKNOWN +10\.77\.0\.1/24 fd77::1/64", ip(a, "-br", "addr").out, re.M),
          "ip -br addr")
    equal(len(ip_json(a, "addr", "show", "dev", "link1")), 1, "ip addr show dev link1")
    equal(ip_json(a, "link", "show", "lo")[0]["ifindex"], 1, "ip link show lo")
    check("does not exist" in ip(a, "link", "show", "eth0", code=1).err, "no eth0")
    equal(a.run_in("work", need("hostname"), "-I").ok().out.split(), ["10.77.0.1", "fd77::1"],
          "hostname -I")


@test
def test_ip_shows_routes_and_finds_one(world):
    a, _ = two_with_v6(world)
    equal([r["dst"] for r in ip_json(a, "route")], ["10.77.0.2", "10.78.0.0/16"], "ip route")
    equal([r["dst"] for r in ip_json(a, "-6", "route")], ["fd77::2", "fd78::/32"], "ip -6 route")
    equal([r["dst"] for r in ip_json(a, "route", "show", "dev", "lo")], [], "nothing leaves by lo")
    got = ip_json(a, "route", "get", "10.78.3.4")[0]
    equal((got["dst"], got["dev"], got["prefsrc"]), ("10.78.3.4", "link1", "10.77.0.1"), "a way")
    got = ip_json(a, "-6", "route", "get", "fd78::9")[0]
    equal((got["dst"], got["dev"], got["prefsrc"]), ("fd78::9", "link1", "fd77::1"), "an IPv6 way")
    got = ip_json(a, "route", "get", "fibmatch", "10.78.3.4")[0]
    equal(got["dst"], "10.78.0.0/16", "the route itself")
    got = ip_json(a, "route", "get", "10.77.0.1")[0]
    equal((got["type"], got["dev"]), ("local", "lo"), "an own address")
    for where in ("192.0.2.2", "198.51.100.1"):
        check("unreachable" in ip(a, "route", "get", where, code=2).err, f"no way to {where}")
    local = [r["dst"] for r in ip_json(a, "route", "show", "table", "local")]
    equal(local, ["127.0.0.0/8", "10.77.0.1"], "the table of own addresses")
    equal([r["table"] for r in ip_json(a, "rule")], ["local", "main", "default"], "ip rule")
    equal(ip_json(a, "neigh"), [], "ip neigh")


@test
def test_a_change_is_refused_and_changes_nothing(world):
    a, _ = two_with_v6(world)
    before = ip(a, "addr").out + ip(a, "route").out
    for args in (["link", "set", "link1", "down"], ["addr", "add", "10.1.1.1/24", "dev", "lo"],
                 ["route", "add", "default", "dev", "link1"], ["link", "add", "x", "type", "dummy"],
                 ["neigh", "add", "10.77.0.9", "lladdr", "0:1:2:3:4:5", "dev", "link1"],
                 ["rule", "add", "from", "10.1.1.1", "table", "7"]):
        check("persona" in ip(a, *args, code=2).err, f"ip {args} says why")
    equal(ip(a, "addr").out + ip(a, "route").out, before, "addresses and routes")
    check("eth0" in a.run(need("ip"), "link").ok().out, "the host's own are still there")


@test
def test_the_views_of_the_interfaces_agree(world):
    a, _ = two_with_v6(world)
    code = ("import socket,json,fcntl,struct\n"
            "s=socket.socket()\n"
            "print(json.dumps({n: [i, struct.unpack('i', fcntl.ioctl(s, 0x8921, "
            "struct.pack('16si', n.encode(), 0) + bytes(20))[16:20])[0]] "
            "for i, n in socket.if_nameindex()}))\n")
    seen = json.loads(a.run_in("work", PYTHON, "-c", code).ok().out)
    equal(seen, {i["ifname"]: [i["ifindex"], i["mtu"]] for i in ip_json(a, "link")}, "interfaces")


@test
def test_links_that_come_and_go_are_told(world):
    a, b = world.one(), world.host("b")
    b.start_broker()
    b.create("work", "10.77.0.2")
    monitor = a.spawn_in("work", need("ip"), "-o", "monitor", "link", "address")
    quiet = a.spawn_in("work", PYTHON, SPEAKER, "wait")
    quiet.until("ready")
    wait_for("ip monitor reads", lambda: reading(monitor))
    link(a, "work", b, "work")
    monitor.until(r"\d+: link1 .*10\.77\.0\.1")
    quiet.until("news 16 groups 0x1")
    a.persona("link", "remove", "work", "link1").ok()
    monitor.until(r"(?m)^Deleted \d+: link1: <")


def reading(process):
    """Is the ip(8) below this process asleep in a read, which it begins when it has joined?"""
    session = str(process.pid)
    for entry in pathlib.Path("/proc").iterdir():
        try:
            stat = (entry / "stat").read_text().rpartition(")")[2].split()
            if (entry / "comm").read_text() == "ip\n" and stat[0] == "S" and stat[3] == session:
                return "poll" not in (entry / "wchan").read_text()
        except OSError:  # it is gone, or no process
            continue
    return False


@test
def test_what_programs_expect_of_the_socket(world):
    a, _ = two_with_v6(world)
    out = speak(a, "socket")
    check("all well" in out, out)


@test
def test_other_families_and_device_events(world):
    a = world.one()
    out = speak(a, "families")
    check("all well" in out, out)


@test
def test_many_threads_and_processes_ask_at_once(world):
    a, _ = two_with_v6(world)
    out = speak(a, "crowd", timeout=60)
    check("all well" in out, out)


@test
def test_one_portspace_does_not_see_another(world):
    a, _ = two_with_v6(world)
    a.create("other", "10.99.0.1")
    equal([i["ifname"] for i in ip_json(a, "link", portspace="other")], ["lo"], "no link")
    equal(ip_json(a, "route", portspace="other"), [], "no route")
    got = {x["local"] for i in ip_json(a, "addr", portspace="other") for x in i["addr_info"]}
    equal(got, {"127.0.0.1", "::1", "10.99.0.1"}, "its own addresses")


@test
def test_it_works_under_every_seal_and_without_a_broker_there_is_nothing(world):
    a, _ = two_with_v6(world)
    for seal in ("shim", "sealed"):
        equal(len(ip_json(a, "link", seal=seal)), 2, f"links under {seal}")
    p = a.spawn_in("work", PYTHON, SPEAKER, "survive")
    p.until("ready")
    a.kill_broker()
    p.expect(0)


main()
