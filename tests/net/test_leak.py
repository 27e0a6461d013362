#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Nothing leaves a portspace but the encrypted underlay.

Every packet on every interface of the host is captured while leaker.c tries each door it knows.
Each test first proves with the same program outside any portspace that the capture would see it.
"""

import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from persona_test import (PYTHON, Skip, check, equal, main, need, only_underlay,  # noqa: E402
                          test, wait_for)

TARGETS = ["198.51.100.7", "2001:db8:1::7"]
# what an attempt that says "sent" must show in the capture: protocol and destination port
SIGNS = {"tcp4": ("tcp", 7001), "tcp6": ("tcp", 7002), "udp4": ("udp", 7003),
         "udp6": ("udp", 7004), "dns-udp": ("udp", 53), "dns-tcp": ("tcp", 53),
         "ping4": ("icmp", None), "ping6": ("icmp6", None), "raw4": ("icmp", None),
         "raw6": ("icmp6", None), "packet": ("udp", 7015), "bare-tcp4": ("tcp", 7005),
         "bare-tcp6": ("tcp", 7006), "bare-udp4": ("udp", 7007), "bare-udp6": ("udp", 7008),
         "io_uring": ("udp", 7009), "i386": ("udp", 7010), "x32": ("udp", 7011)}


def leaker(static=False):
    directory = pathlib.Path(os.environ.get("PERSONA_BUILD", "build")) / "tests" / "net"
    path = directory / ("leaker-static" if static else "leaker")
    if not path.exists():
        raise Skip(f"{path.name} is not built")
    return str(path)


def attempts(output):
    """What the leaker said, as a dictionary."""
    pairs = [line.split(": ", 1) for line in output.splitlines() if ": " in line]
    check("done" in output, f"the leaker did not get to its end: {output[-500:]}")
    return dict(pairs)


def control(host, program):
    """Outside: whatever the leaker says it sent must be in the capture, TCP and UDP in any case."""
    capture = host.capture("control")
    said = attempts(host.run(program, *TARGETS, timeout=60).ok().out)
    capture.finish()
    seen = {(p[0], p[2][1]) for p in capture.packets() if p[2]}
    must = {"tcp4", "tcp6", "udp4", "udp6", "bare-tcp4", "bare-tcp6", "bare-udp4", "bare-udp6"}
    must |= {name for name, how in said.items() if how == "sent"}
    for name in sorted(must):
        check(SIGNS[name] in seen, f"the capture does not see {name} ({said[name]}): "
              f"{sorted(map(str, seen))}")
    check(any(b"persona-test" in data for data in capture.data().values()) or
          ("udp", 53) in seen, "the capture does not see the resolver's query")


def nothing_leaks(world, run):
    """run(a) makes attempts in host a's portspace `work`; nothing but underlay may be captured."""
    a, b = world.two()
    b.serve_in("work", "echo", 7, port=7)
    capture = a.capture()
    run(a)
    r = a.probe_in("work", "ask", f"10.77.0.{b.number}", 7, "alive")
    equal(r["answer"], "alive", "the tunnel")
    capture.finish()
    for interface, _ in capture.files:
        equal(only_underlay(capture, [a, b], interface), [], f"leaked on {interface}")
    check(capture.packets(), "the capture saw nothing at all, not even the underlay")


def denied(said, names):
    for name in names:
        check(said.get(name) not in (None, "sent", "answered"), f"{name}: {said.get(name)}")


# A datagram to an address without a route goes to the broker, and that is its end.
TAKEN = {"udp4", "udp6", "ping4", "ping6", "dns-udp"}


@test
def test_dynamic_program_in_sealed(world):
    control(world.host("x"), leaker())
    nothing_leaks(world, lambda a: denied(attempts(
        a.run_in("work", leaker(), *TARGETS, seal="sealed", timeout=60).out),
        SIGNS.keys() - TAKEN))


@test
def test_static_program_in_sealed(world):
    control(world.host("x"), leaker(static=True))
    nothing_leaks(world, lambda a: denied(attempts(
        a.run_in("work", leaker(static=True), *TARGETS, seal="sealed", timeout=60).out), SIGNS))


@test
def test_empty_environment_in_sealed(world):
    nothing_leaks(world, lambda a: denied(attempts(
        a.run_in("work", "env", "-i", leaker(), *TARGETS, seal="sealed", timeout=60).out),
        SIGNS.keys() - TAKEN))


@test
def test_dynamic_program_in_shim(world):
    def run(a):
        for head in ([], ["env", "-i"]):
            attempts(a.run_in("work", *head, leaker(), *TARGETS, "libc", seal="shim",
                              timeout=60).out)

    nothing_leaks(world, run)


@test
def test_shim_alone_does_not_stop_a_static_program(world):
    """Not a wish but a fact that docs/SECURITY.md states; it also shows that the captures above
    would have seen a leak from inside a portspace."""
    a = world.one()
    capture = a.capture()
    said = attempts(a.run_in("work", leaker(static=True), *TARGETS, seal="shim", timeout=60).out)
    capture.finish()
    equal(said["bare-udp4"], "sent", "a static program with the shim alone")
    check(("udp", 7007) in {(p[0], p[2][1]) for p in capture.packets() if p[2]},
          "the capture does not see it")


@test
def test_after_the_broker_was_killed(world):
    a, b = world.two()
    b.serve_in("work", "echo", 7, port=7)
    runs = []
    for seal, program, more in (("sealed", leaker(), []), ("sealed", leaker(True), []),
                                ("shim", leaker(), ["libc"])):
        line = " ".join([program, *TARGETS, *more])
        runs.append(a.spawn_in("work", "sh", "-c",
                               f"while [ ! -e go ]; do sleep 0.05; done; {line}", seal=seal))
    wait_for("all are inside", lambda: len(a.status("work")["inits"]) == 3)
    equal(a.probe_in("work", "ask", "10.77.0.2", 7, "before")["answer"], "before", "the echo")
    capture = a.capture()
    a.kill_broker()
    (a.home / "go").write_text("")
    for p in runs:
        p.until("done", 60)
    capture.finish()
    equal(only_underlay(capture, [a, b]), [], "leaked without a broker")


@test
def test_names_ask_nobody(world):
    getent, curl, wget = need("getent", "curl", "wget")

    def run(a):
        out = a.run_in("work", PYTHON, "-c", """
import json, socket, time
out = {}
for name in ('leak.persona-test.example', 'www.example.com', 'localhost', '10.77.0.2'):
    t = time.monotonic()
    try:
        out[name] = sorted({x[4][0] for x in socket.getaddrinfo(name, 80)})
    except socket.gaierror as e:
        out[name] = e.errno == socket.EAI_NONAME
    out[name + ' at once'] = time.monotonic() - t < 1
print(json.dumps(out))
""", seal="shim").json()
        equal(out["www.example.com"], True, "EAI_NONAME for a name of the base network")
        equal(out["www.example.com at once"], True, "without a wait")
        equal(out["10.77.0.2"], ["10.77.0.2"], "a numeric address")
        check("127.0.0.1" in out["localhost"], f"localhost: {out['localhost']}")
        for program in ([getent, "ahosts", "leak.persona-test.example"],
                        [curl, "-sS", "http://leak.persona-test.example/"],
                        [wget, "-q", "-O-", "http://leak.persona-test.example/"]):
            a.run_in("work", *program, seal="shim", timeout=30)
            a.run_in("work", *program, timeout=30)

    nothing_leaks(world, run)


@test
def test_inherited_internet_socket_is_closed(world):
    a = world.one()
    capture = a.capture()
    program = """
import os, socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect(('198.51.100.7', 7020))
os.dup2(s.fileno(), 77)
os.execvp(sys.argv[1], sys.argv[1:])
"""
    argv = a.in_argv("work", ["sh", "-c", "echo leak >&77"], "sealed")
    at = argv.index("--") + 1
    head, tail = argv[:at], argv[at:]
    r = world.run([*head, PYTHON, "-c", program, *tail], env=a.env, cwd=str(a.home))
    check(r.code != 0, "the descriptor was still open inside")
    capture.finish()
    equal(only_underlay(capture, [a]), [], "leaked by an inherited socket")


@test
def test_sockets_of_processes_outside_are_out_of_reach(world):
    """pidfd_getfd, ptrace and /proc/PID/mem towards a process of the same user outside, which has an
    open socket of the base network; the control does the same from outside."""
    a = world.one()
    victim = a.spawn(PYTHON, "-c", """
import ctypes, socket, time
ctypes.CDLL(None).prctl(0x59616d61, -1, 0, 0, 0)  # any process may debug this one
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
print('fd', s.fileno(), flush=True)
time.sleep(600)
""", name="victim").until("fd [0-9]+")
    program = """
import ctypes, errno, json, os, sys
libc = ctypes.CDLL(None, use_errno=True)
pid, fd = int(sys.argv[1]), int(sys.argv[2])
def call(*args):
    r = libc.syscall(*args)
    return r if r >= 0 else errno.errorcode[ctypes.get_errno()]
out = {}
pidfd = call(434, pid, 0)
out['pidfd_getfd'] = call(438, pidfd, fd, 0) if isinstance(pidfd, int) else pidfd
try:
    with open(f'/proc/{pid}/mem', 'r+b', buffering=0):
        out['mem'] = 0
except OSError as e:
    out['mem'] = errno.errorcode[e.errno]
out['seize'] = call(101, 0x4206, pid, 0, 0)
print(json.dumps(out))
"""
    number = victim.output().split()[1]
    outside = a.run(PYTHON, "-c", program, str(victim.pid), number).json()
    check(all(isinstance(v, int) for v in outside.values()), f"the control failed: {outside}")
    inside = a.run_in("work", PYTHON, "-c", program, str(victim.pid), number, seal="sealed").json()
    check(not any(isinstance(v, int) for v in inside.values()), f"reached from inside: {inside}")


@test
def test_underlay_shows_no_plaintext(world):
    marker = "MARKER-in-plain-text-7f3a9c"
    a, b = world.two()
    text = marker * 200
    # the control first: the same transfer without Persona
    before = b.capture("control")
    server = b.spawn(PYTHON, str(pathlib.Path(__file__).parent.parent / "lib" / "probe.py"),
                     "echo", "7000")
    ask = [PYTHON, str(pathlib.Path(__file__).parent.parent / "lib" / "probe.py"), "ask"]
    wait_for("the control's echo", lambda: a.run(*ask, b.address, "7000", "x").code == 0)
    a.run(*ask, b.address, "7000", text).ok()
    before.finish()
    server.stop()
    check(marker.encode() in before.data()["any"], "the control's marker is not in the capture")
    captures = [a.capture(), b.capture()]
    b.serve_in("work", "echo", 7, port=7)
    equal(a.probe_in("work", "ask", "10.77.0.2", 7, text)["answer"], text, "the echo")
    for capture in captures:
        capture.finish()
        for interface, data in capture.data().items():
            check(marker.encode() not in data, f"the marker is on {interface}")
        check(sum(map(len, capture.data().values())) > len(text), "the capture is too short")
        equal(only_underlay(capture, [a, b]), [], "packets that are not underlay")


@test
def test_inside_stays_off_the_wire(world):
    """What two programs of one portspace say to each other is on no interface."""
    marker = "MARKER-inside-51c2"
    a = world.one()
    a.serve_in("work", "echo", 7, port=7)
    capture = a.capture()
    equal(a.probe_in("work", "ask", "10.77.0.1", 7, marker * 100)["answer"], marker * 100, "echo")
    capture.finish()
    equal(capture.packets(), [], "packets")


@test
def test_keys_are_not_on_the_wire_nor_in_the_logs(world):
    a, b = world.two()
    b.serve_in("work", "echo", 7, port=7)
    capture = a.capture()
    a.probe_in("work", "ask", "10.77.0.2", 7, "x")
    capture.finish()
    secrets = []
    for h in (a, b):
        for p in pathlib.Path(h.dir).rglob("*"):
            if p.is_file() and not p.is_symlink():
                for line in p.read_bytes().splitlines():
                    if line.startswith(b"PrivateKey"):
                        secrets.append(line.split(b"=", 1)[1].strip())
    equal(len(secrets), 2, "private keys found in the hosts' files")
    import base64
    for secret in secrets:
        for data in capture.data().values():
            check(base64.b64decode(secret) not in data, "a private key is on the wire")
        for p in world.dir.glob("*.log"):
            check(secret not in p.read_bytes(), f"a private key is in {p}")


@test
def test_sealed_program_cannot_open_another_family(world):
    a = world.one()
    out = a.run_in("work", PYTHON, "-c", """
import ctypes, errno, json
libc = ctypes.CDLL(None, use_errno=True)
out = {}
for family in list(range(2, 46)):
    fd = libc.syscall(41, family, 2, 0)
    out[family] = errno.errorcode[ctypes.get_errno()] if fd < 0 else 'open'
print(json.dumps(out))
""", seal="sealed").json()
    equal([f for f, r in out.items() if r == "open"], [], "families that could be opened")


main()
