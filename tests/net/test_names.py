#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Names: the portspace's own hosts and its DNS servers, reached through the portspace, for libc's
functions and for programs with resolvers of their own; and no query anywhere else."""

import json
import pathlib
import re
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))

from persona_test import (PYTHON, SCALE, Skip, check, equal, link, main, need,  # noqa: E402
                          only_underlay, test, wait_for)

SERVER = str(HERE.parent / "lib" / "dns_server.py")
ASKER = str(HERE / "names_asker.py")
OUTSIDE = "192.0.2.254"  # a name server of the wire, which answers nothing


def serve(host, *args, portspace="work"):
    p = host.spawn_in(portspace, PYTHON, SERVER, *args, name=f"{host.name}-dns")
    return p.until("(?m)^ready")


def two(world, dns=("10.77.0.2", "corp.test", "lab.test")):
    """b's portspace 10.77.0.2 has the name server, a's 10.77.0.1 uses it."""
    a, b = world.host("a"), world.host("b")
    for h in (a, b):
        h.start_broker()
    options = [x for d in dns for x in ("--dns", d)]
    a.persona("create", "work", "--address", "10.77.0.1", "--address", "fd77::1", *options).ok()
    b.persona("create", "work", "--address", "10.77.0.2", "--address", "fd77::2").ok()
    link(a, "work", b, "work")
    return a, b


def ask(host, *args, **kw):
    return host.run_in("work", PYTHON, ASKER, *args, **kw).json()


def lookups(host, *names, **kw):
    """getaddrinfo of each: a list of addresses, or the code's name."""
    return dict(zip(names, ask(host, "getaddrinfo", *names, **kw)))


@test
def test_getaddrinfo_and_its_codes(world):
    a, b = two(world)
    s = serve(b, "10.77.0.2")
    got = lookups(a, "a.test", "six.test", "both.test", "nowhere.test", "only.test", "fail.test",
                  "refused.test", "localhost", "work", "link1", "10.9.8.7")
    equal(got["a.test"], ["10.1.2.3"], "A")
    equal(got["six.test"], ["fd00::6"], "AAAA")
    equal(sorted(got["both.test"]), ["10.1.2.8", "fd00::8"], "both families")
    equal(got["nowhere.test"], "EAI_NONAME", "NXDOMAIN")
    equal(got["only.test"], "EAI_NODATA", "no address")
    equal(got["fail.test"], "EAI_AGAIN", "SERVFAIL")
    equal(got["refused.test"], "EAI_AGAIN", "REFUSED")
    check("127.0.0.1" in got["localhost"], "localhost")
    equal(sorted(got["work"]), ["10.77.0.1", "fd77::1"], "its own name")
    equal(got["link1"], ["10.77.0.2"], "a member's name")
    equal(got["10.9.8.7"], ["10.9.8.7"], "a numeric one")
    for own in ("localhost", "work", "link1", "10.9.8.7"):
        check(own not in s.output(), f"nobody was asked for {own}")


@test
def test_search_domains_and_canonical_names(world):
    a, b = two(world)
    s = serve(b, "10.77.0.2")
    got = lookups(a, "host", "host.", "host.lab.test", "www.test")
    equal(got["host"], ["10.1.2.4"], "the first domain that has it")
    equal(got["host."], "EAI_NONAME", "a final dot ends the search")
    equal(got["host.lab.test"], ["10.1.2.5"], "a full name")
    equal(ask(a, "canonical", "www.test", "host"), ["both.test", "host.corp.test"], "canonical")
    check("host.corp.test" in s.output() and "A host\n" in s.output(), s.output())
    r = a.run_in("work", need("getent"), "ahosts", "host")
    check("10.1.2.4" in r.ok().out and "host.corp.test" in r.out, r.out)


@test
def test_the_whole_family_of_functions(world):
    a, b = two(world)
    serve(b, "10.77.0.2")
    got = ask(a, "family")
    equal(got, {"gethostbyname": ["both.test", ["10.1.2.8"]], "reverse": "a.test",
                "reverse6": "six.test", "nameinfo": "a.test", "no name": "EAI_NONAME",
                "h_errno nowhere": 1, "h_errno only": 4, "h_errno fail": 2,
                "txt": "hello world", "srv": [1, 2, 5060, "a.test"], "mx": [10, "a.test"],
                "big": 3000, "search": "host.corp.test"}, "the family")


@test
def test_an_answer_that_udp_cuts_comes_by_tcp(world):
    a, b = two(world)
    s = serve(b, "10.77.0.2")
    equal(len(lookups(a, "many.test")["many.test"]), 40, "addresses")
    check(re.search(r"udp A many.test\n(.*\n)*tcp A many.test", s.output()), s.output())


@test
def test_programs_with_resolvers_of_their_own(world):
    a, b = two(world)
    s = serve(b, "10.77.0.2")
    equal(a.run_in("work", "cat", "/etc/resolv.conf").ok().out.splitlines()[1:],
          ["nameserver 10.77.0.2", "search corp.test lab.test"], "resolv.conf")
    dig = need("dig")
    equal(a.run_in("work", dig, "+short", "a.test").ok().out, "10.1.2.3\n", "dig")
    equal(a.run_in("work", dig, "+short", "+tcp", "a.test").ok().out, "10.1.2.3\n", "dig +tcp")
    equal(a.run_in("work", dig, "+short", "+search", "host").ok().out, "10.1.2.4\n", "dig +search")
    equal(a.run_in("work", dig, "+short", "SRV", "_sip._tcp.test").ok().out,
          "1 2 5060 a.test.\n", "dig SRV")
    check(len(a.run_in("work", dig, "+short", "TXT", "big.test").ok().out) > 3000, "dig, cut")
    equal(a.run_in("work", dig, "+short", "-x", "10.1.2.3").ok().out, "a.test.\n", "dig -x")
    out = a.run_in("work", need("host"), "mx.test").ok().out
    check("mail is handled by 10 a.test" in out, out)
    check("tcp A a.test" in s.output() and "tcp TXT big.test" in s.output(), s.output())


@test
def test_node_and_curl(world):
    a, b = two(world)
    serve(b, "10.77.0.2")
    node = need("node")
    code = ("const d=require('dns').promises,r={};(async()=>{"
            "r.lookup=(await d.lookup('a.test')).address;"
            "r.resolve4=await d.resolve4('a.test');r.resolve6=await d.resolve6('six.test');"
            "r.srv=await d.resolveSrv('_sip._tcp.test');r.txt=await d.resolveTxt('text.test');"
            "r.big=(await d.resolveTxt('big.test'))[0].join('').length;"
            "r.reverse=await d.reverse('10.1.2.3');r.servers=d.getServers();"
            "r.no=await d.resolve4('nowhere.test').catch(e=>e.code);"
            "console.log(JSON.stringify(r))})()")
    got = json.loads(a.run_in("work", node, "-e", code, timeout=60).ok().out)
    equal(got, {"lookup": "10.1.2.3", "resolve4": ["10.1.2.3"], "resolve6": ["fd00::6"],
                "srv": [{"name": "a.test", "port": 5060, "priority": 1, "weight": 2}],
                "txt": [["hello world"]], "big": 3000, "reverse": ["a.test"],
                "servers": ["10.77.0.2"], "no": "ENOTFOUND"}, "node")
    b.spawn_in("work", PYTHON, "-m", "http.server", "--bind", "10.77.0.2", "8080",
               name="b-work-web")
    b.wait_listen("work", 8080)
    out = a.run_in("work", need("curl"), "-sS", "-o", "/dev/null", "-w",
                   "%{http_code} %{remote_ip}", "http://server.test:8080/").ok().out
    equal(out, "200 10.77.0.2", "curl by name")


@test
def test_servers_of_all_places(world):
    a, b = two(world, dns=("127.0.0.1", "fd77::1", "10.77.0.1", "fd77::2"))
    places = {"127.0.0.1": a, "fd77::1": a, "10.77.0.1": a, "fd77::2": b}
    for address, host in places.items():
        s = serve(host, address)
        begun = time.monotonic()
        got = lookups(a, "once.test", "many.test")
        equal(got["once.test"], ["10.1.2.6"], f"a server at {address}")
        check(time.monotonic() - begun < 10 * SCALE, f"{address}: those without a server fail fast")
        check("udp A once.test" in s.output(), s.output())
        # many.test is remembered after the first server has told it
        equal("tcp A many.test" in s.output(), address == "127.0.0.1", f"by TCP at {address}")
        s.stop()


@test
def test_a_server_that_says_nothing(world):
    a, b = two(world, dns=("10.77.0.2",))
    s = serve(b, "10.77.0.2")
    begun = time.monotonic()
    equal(lookups(a, "never.test", timeout=60)["never.test"], "EAI_AGAIN", "in the end")
    took = time.monotonic() - begun
    check(5 < took < 30 * SCALE, f"after some patience: {took:.1f} s")
    check(s.output().count("never.test") >= 3, "asked more than once")


@test
def test_questions_that_wait_hold_nobody_up(world):
    a, b = two(world, dns=("10.77.0.2",))
    s = serve(b, "10.77.0.2")
    crowd = a.spawn_in("work", PYTHON, ASKER, "crowd", "300", name="a-crowd").until("ready")
    wait_for("they have asked", lambda: s.output().count("never.test") > 100)
    begun = time.monotonic()
    equal(lookups(a, "a.test")["a.test"], ["10.1.2.3"], "another process")
    a.persona("list").ok()
    check(time.monotonic() - begun < 4 * SCALE, "at once")
    # the askers go, and with them their questions
    crowd.stop()
    equal(lookups(a, "six.test")["six.test"], ["fd00::6"], "afterwards")


@test
def test_answers_are_remembered_as_long_as_they_may_be(world):
    a, b = two(world, dns=("10.77.0.2",))
    s = serve(b, "10.77.0.2")
    for _ in range(3):
        lookups(a, "cached.test", "once.test")
    equal(s.output().count("A cached.test"), s.output().count("AAAA cached.test") + 1, "once")
    check(s.output().count(" A once.test") >= 3, "TTL 0")


@test
def test_without_servers_there_are_own_names_only(world):
    a, _ = two(world, dns=())
    got = lookups(a, "a.test", "work", "localhost")
    equal(got["a.test"], "EAI_NONAME", "no server")
    check(got["work"] and got["localhost"], "own names")
    check("nameserver" not in a.run_in("work", "cat", "/etc/resolv.conf").ok().out, "resolv.conf")


# nothing leaves

def with_resolv_conf(world, argv):
    """A command line that runs argv where /etc/resolv.conf names a server of the wire."""
    path = world.dir / "resolv.conf"
    path.write_text(f"nameserver {OUTSIDE}\noptions timeout:1 attempts:1\n")
    return ["unshare", "-m", "sh", "-c", f"mount --bind {path} /etc/resolv.conf && exec \"$@\"",
            "sh", *argv]


def markers(host, marker, inside):
    """Programs that look up names with the marker; run each in its place."""
    dig, getent, curl = need("dig"), need("getent"), need("curl")
    commands = [[getent, "ahosts", f"getent.{marker}"], [getent, "hosts", "198.51.100.77"],
                [PYTHON, ASKER, "getaddrinfo", f"python.{marker}", f"short-{marker}"],
                [PYTHON, ASKER, "query", f"res.{marker}"],
                [curl, "-m", "3", "-sS", f"http://curl.{marker}/"],
                [dig, "+time=1", "+tries=1", f"dig.{marker}"],
                [dig, "+tcp", "+time=1", "+tries=1", f"digtcp.{marker}"]]
    for argv in commands:
        if inside:
            argv = host.in_argv("work", argv)
            argv = argv[:argv.index("--") + 1] + with_resolv_conf(
                host.world, argv[argv.index("--") + 1:])
        else:
            argv = host.argv(with_resolv_conf(host.world, argv))
        host.world.run(argv, env=host.env, cwd=str(host.home), timeout=60)


@test
def test_no_query_leaves(world):
    if not pathlib.Path("/etc/resolv.conf").exists():
        raise Skip("/etc/resolv.conf does not exist")
    a, b = two(world, dns=("10.77.0.2",))
    s = serve(b, "10.77.0.2")
    control = a.capture("control")
    markers(a, "control.test", False)
    control.finish()
    seen = b"".join(control.data().values())
    for word in (b"getent", b"python", b"curl", b"dig", b"res"):
        check(bytes([len(word)]) + word + b"\x07control\x04test" in seen,
              f"the capture sees the query of {word.decode()}")
    capture = a.capture("inside")
    markers(a, "secret.test", True)
    capture.finish()
    for word in ("getent", "python", "curl", "dig", "digtcp", "res"):
        wait_for(f"the server was asked by {word}", lambda w=word: f"{w}.secret.test" in s.output())
    equal(only_underlay(capture, [a, b]), [], "packets beside the underlay")
    for interface, data in capture.data().items():
        check(b"secret" not in data, f"a name on {interface}")


@test
def test_resolvers_of_the_host_are_closed(world):
    a, _ = two(world, dns=())
    listener = world.dir / "doors.py"
    listener.write_text(
        "import json, os, socket, subprocess, sys\n"
        "paths = ['/run/nscd/socket', '/run/systemd/resolve/io.systemd.Resolve',\n"
        "         '/run/dbus/system_bus_socket']\n"
        "keep = []\n"
        "for p in paths:\n"
        "    os.makedirs(os.path.dirname(p), exist_ok=True)\n"
        "    s = socket.socket(socket.AF_UNIX)\n"
        "    s.bind(p)\n"
        "    s.listen(5)\n"
        "    keep.append(s)\n"
        "code = 'import json,socket,sys\\n' \\\n"
        "       'def t(p):\\n' \\\n"
        "       '    try:\\n' \\\n"
        "       '        socket.socket(socket.AF_UNIX).connect(p)\\n' \\\n"
        "       '        return 0\\n' \\\n"
        "       '    except OSError as e:\\n' \\\n"
        "       '        return e.errno\\n' \\\n"
        "       'print(json.dumps([t(p) for p in sys.argv[1:]]))\\n'\n"
        "for head in [], sys.argv[1:]:\n"
        "    print(subprocess.run([*head, sys.executable, '-c', code, *paths],\n"
        "          stdout=subprocess.PIPE, text=True, check=True).stdout, flush=True)\n")
    inside = a.in_argv("work", [])
    argv = a.argv(["unshare", "-m", "sh", "-c", "mount -t tmpfs none /run && exec \"$@\"", "sh",
                   PYTHON, str(listener), *inside[inside.index("--") + 1:]])
    out = world.run(argv, env=a.env, cwd=str(a.home)).ok().out.split("\n\n")
    equal([json.loads(x) for x in out if x.strip()], [[0] * 3, [2] * 3], "outside and inside")


main()
