# SPDX-License-Identifier: MIT
"""Harness of the end-to-end tests.

Model: a test function gets a World: a directory of its own, one network namespace that stands for
the wire, and one for each host it makes; hosts have 192.0.2.1, .2, .3 and a broker each, with
directories of its own. Namespaces are held open by one process each, so they need no name and
vanish with the test, also when it is killed. Works as root and, where the system lets an ordinary
user make user namespaces, as an ordinary user.

Rules: no sleep stands in for a condition (wait_for has a deadline), processes are ended by their
pid, a failure keeps the directory with every log and prints the line that repeats it.

A test file defines functions decorated with @test and ends with main(). Output is TAP, then one
comment 'N passed, N failed, N skipped'. Options: -k WORD runs the tests whose name has the word,
--keep keeps the directories, --list lists. PERSONA_BUILD is the build directory, PERSONA_PREFIX an
installation to test instead, PERSONA_BROKER a broker from elsewhere (a sanitized one).
"""

import argparse
import contextlib
import ctypes
import ipaddress
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import traceback

import probe

LIB = pathlib.Path(__file__).resolve().parent
TOP = LIB.parent.parent
PROBE = str(LIB / "probe.py")
PYTHON = "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else sys.executable
# Everything is slower under a sanitizer or on a busy machine; the deadlines follow.
SCALE = float(os.environ.get("PERSONA_TEST_SCALE", "1"))
_LIBC = ctypes.CDLL(None, use_errno=True)
_TESTS = []


class Skip(Exception):
    """Raised by a test that cannot run here; the text says why."""


class Fail(AssertionError):
    pass


def test(function):
    """Registers a test function; its name without 'test_' is the test's name."""
    _TESTS.append(function)
    return function


def need(*programs):
    """Paths of the programs; skips the test when one is not installed."""
    found = []
    for name in programs:
        path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin:/usr/local/sbin")
        if not path:
            raise Skip(f"{name} is not installed")
        found.append(path)
    return found if len(found) > 1 else found[0]


def wait_for(what, condition, timeout=15):
    """Calls condition() until it is true and returns its value."""
    deadline = time.monotonic() + timeout * SCALE
    pause = 0.005
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Fail(f"timed out: {what}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)


def check(truth, text):
    if not truth:
        raise Fail(text)


def equal(got, wanted, what):
    if got != wanted:
        raise Fail(f"{what}: got {got!r}, wanted {wanted!r}")


def _die_with_parent():
    _LIBC.prctl(1, signal.SIGKILL)


def _binary(name):
    """A program of the project, from PERSONA_PREFIX or the build directory."""
    if name == "persona-broker" and "PERSONA_BROKER" in os.environ:
        return os.environ["PERSONA_BROKER"]
    prefix = os.environ.get("PERSONA_PREFIX")
    places = [pathlib.Path(prefix) / "bin" / name] if prefix else []
    build = pathlib.Path(os.environ.get("PERSONA_BUILD", TOP / "build"))
    places += [build / d / name for d in ("bin", "broker")]
    for p in places:
        if p.exists():
            return str(p)
    raise Skip(f"{name} is not built")


class Process:
    """A program started in the background, its output in a file."""

    def __init__(self, world, name, argv, popen, log):
        self.world, self.name, self.argv, self.popen, self.log = world, name, argv, popen, log
        self.may_end = False  # a broker whose end the test wants

    @property
    def pid(self):
        return self.popen.pid

    def output(self):
        """What it has said so far, without the command line that heads the log."""
        return self.log.read_text(errors="replace").partition("\n")[2]

    def alive(self):
        return self.popen.poll() is None

    def wait(self, timeout=30):
        try:
            return self.popen.wait(timeout * SCALE)
        except subprocess.TimeoutExpired:
            raise Fail(f"{self.name}: still running after {timeout} s; {self.log}") from None

    def expect(self, code=0, timeout=30):
        """Waits for the end and checks the exit status."""
        got = self.wait(timeout)
        if got != code:
            tail = self.output()[-1500:]
            raise Fail(f"{self.name}: exit status {got}, wanted {code}\n{tail}")
        return self.output()

    def until(self, text, timeout=15):
        """Waits until the output contains the text (a regular expression)."""

        def seen():
            if re.search(text, self.output()):
                return True
            if not self.alive():
                if re.search(text, self.output()):
                    return True
                raise Fail(f"{self.name}: ended with {self.popen.returncode} before it said "
                           f"{text!r}\n{self.output()[-1500:]}")
            return False

        wait_for(f"{self.name} says {text!r}", seen, timeout)
        return self

    def signal(self, number):
        self.may_end = True
        self.popen.send_signal(number)

    def stop(self):
        """SIGTERM, then SIGKILL; nothing when it has ended."""
        if self.alive():
            self.popen.terminate()
            try:
                self.popen.wait(5 * SCALE)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()


class Result:
    def __init__(self, argv, code, out, err):
        self.argv, self.code, self.out, self.err = argv, code, out, err

    def ok(self):
        if self.code != 0:
            raise Fail(f"{shlex.join(self.argv)}: exit status {self.code}\n"
                       f"{self.out[-1000:]}{self.err[-1500:]}")
        return self

    def json(self):
        self.ok()
        try:
            return json.loads(self.out)
        except json.JSONDecodeError as e:
            raise Fail(f"{shlex.join(self.argv)}: no JSON: {e}: {self.out[:300]!r}") from None


class World:
    """One test's directory, namespaces and processes."""

    def __init__(self, name):
        self.name = name
        # Short: the runtime directories below have to fit 47 bytes.
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="pt-", dir="/tmp"))
        self.dir.chmod(0o755)
        self.hosts = {}
        self.processes = []
        self.captures = []
        self.counter = 0
        self.switch = None
        self._cleanup = []

    # processes

    def log_path(self, name):
        self.counter += 1
        safe = re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:40]
        return self.dir / f"{self.counter:03}-{safe}.log"

    def spawn(self, argv, name=None, env=None, cwd=None, stdin=subprocess.DEVNULL, user=None):
        """Starts a program in the background in its own session."""
        name = name or os.path.basename(argv[0])
        log = self.log_path(name)
        with open(log, "wb") as out:
            out.write(b"$ " + shlex.join(argv).replace("\n", "\\n").encode() + b"\n")
            out.flush()
            popen = subprocess.Popen(argv, stdin=stdin, stdout=out, stderr=out, env=env, cwd=cwd,
                                     start_new_session=True, preexec_fn=_die_with_parent)
        process = Process(self, name, argv, popen, log)
        self.processes.append(process)
        return process

    def run(self, argv, timeout=30, env=None, cwd=None, stdin=None):
        """Runs a program to its end; a program that hangs is a failure."""
        log = self.log_path(os.path.basename(argv[0]))
        popen = subprocess.Popen(argv, stdin=subprocess.PIPE if stdin is not None
                                 else subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, env=env, cwd=cwd, start_new_session=True,
                                 preexec_fn=_die_with_parent)
        try:
            out, err = popen.communicate(stdin, timeout * SCALE)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(popen.pid, signal.SIGKILL)
            out, err = popen.communicate()
            log.write_bytes(f"$ {shlex.join(argv)}\n".encode() + out + err)
            raise Fail(f"{shlex.join(argv)}: no end after {timeout} s\n"
                       f"{out[-800:].decode(errors='replace')}"
                       f"{err[-800:].decode(errors='replace')}") from None
        log.write_bytes(f"$ {shlex.join(argv)}\n".encode() + out + err
                        + f"\n[exit {popen.returncode}]\n".encode())
        return Result(argv, popen.returncode, out.decode(errors="replace"),
                      err.decode(errors="replace"))

    # network

    def namespace(self):
        """A new network namespace, held by a process; returns its pid."""
        popen = subprocess.Popen(["unshare", "-n", "sh", "-c", "echo ready; exec sleep infinity"],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 start_new_session=True, preexec_fn=_die_with_parent)
        check(popen.stdout.readline() == b"ready\n", "cannot make a network namespace")
        self._cleanup.append(popen.stdout.close)
        self._cleanup.append(popen.wait)
        self._cleanup.append(popen.kill)
        self.ip(popen.pid, "link", "set", "lo", "up")
        return popen.pid

    def ip(self, ns, *args):
        self.run(["nsenter", "-t", str(ns), "-n", "ip", *args]).ok()

    def host(self, name, user=None):
        """Makes a host and plugs it into the switch. Its broker is not running yet."""
        if self.switch is None:
            self.switch = self.namespace()
            self.ip(self.switch, "link", "add", "br0", "type", "bridge")
            self.ip(self.switch, "link", "set", "br0", "up")
            # the gateway: answers ARP, so that a leak to anywhere is a packet and not a question
            self.ip(self.switch, "addr", "add", "192.0.2.254/24", "dev", "br0")
            self.ip(self.switch, "addr", "add", "2001:db8::fe/64", "dev", "br0", "nodad")
        host = Host(self, name, len(self.hosts) + 1, user)
        self.hosts[name] = host
        return host

    def two(self, **kwargs):
        """Two hosts with brokers, portspace `work` on each, linked: 10.77.0.1 and 10.77.0.2."""
        a, b = self.host("a", **kwargs), self.host("b", **kwargs)
        for h in (a, b):
            h.start_broker()
            h.create("work", f"10.77.0.{h.number}")
        link(a, "work", b, "work")
        return a, b

    def one(self, **kwargs):
        """One host with a broker and the portspace `work`, 10.77.0.1."""
        a = self.host("a", **kwargs)
        a.start_broker()
        a.create("work", "10.77.0.1")
        return a

    # end

    def check_brokers(self):
        """A broker that died by itself, or of which a sanitizer complained, fails the test."""
        for p in self.processes:
            if not p.name.endswith("-broker"):
                continue
            text = p.output()
            found = re.search(r"(ERROR: AddressSanitizer|runtime error:|WARNING: ThreadSanitizer|"
                              r"ERROR: LeakSanitizer|Assertion .* failed)", text)
            if found:
                raise Fail(f"{p.name}: {text[found.start():][:4000]}")
            if not p.alive() and not p.may_end:
                raise Fail(f"{p.name} ended by itself with {p.popen.returncode}\n{text[-2000:]}")

    def close(self, keep):
        for c in self.captures:
            c.stop()
        for p in reversed(self.processes):
            if p.alive():
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(p.pid, signal.SIGTERM)
        deadline = time.monotonic() + 3
        for p in reversed(self.processes):
            with contextlib.suppress(subprocess.TimeoutExpired):
                p.popen.wait(max(0.05, deadline - time.monotonic()))
            if p.alive():
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(p.pid, signal.SIGKILL)
                p.popen.wait()
        self._end_strays()
        for step in reversed(self._cleanup):
            step()
        if not keep:
            shutil.rmtree(self.dir, ignore_errors=True)

    def _end_strays(self):
        """Ends what a test's program left behind: processes whose environment names our directory
        (daemons that left their session). They are found and ended by pid."""
        mark = str(self.dir).encode() + b"/"
        for entry in os.listdir("/proc"):
            if not entry.isdigit() or int(entry) == os.getpid():
                continue
            try:
                environ = pathlib.Path("/proc", entry, "environ").read_bytes()
                if b"PERSONA_RUNTIME_DIR=" + mark in environ:
                    os.kill(int(entry), signal.SIGKILL)
            except OSError:
                continue


class Host:
    """A host: a network namespace, directories and (after start_broker) a broker."""

    def __init__(self, world, name, number, user=None):
        self.world, self.name, self.number, self.user = world, name, number, user
        self.address = f"192.0.2.{number}"
        self.port = 51820 + number
        self.ns = world.namespace()
        self.dir = world.dir / name
        self.home = self.dir / "home"
        self.broker = None
        self.dir.mkdir(mode=0o700)
        self.home.mkdir(mode=0o700)
        self.env = {
            "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin",
            "HOME": str(self.home),
            "USER": user or "root",
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "PERSONA_RUNTIME_DIR": str(self.dir / "r"),
            "PERSONA_STATE_DIR": str(self.dir / "s"),
            "PERSONA_CONFIG_DIR": str(self.dir / "c"),
        }
        for variable in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "PERSONA_DEBUG"):
            if variable in os.environ:
                self.env[variable] = os.environ[variable]
        check(len(self.env["PERSONA_RUNTIME_DIR"]) <= 47, "the runtime directory is too long")
        if user:
            for d in (self.dir, self.home):
                shutil.chown(d, user, user if user != "nobody" else "nogroup")
        self._plug()

    def _plug(self):
        w, n = self.world, self.number
        w.ip(w.switch, "link", "add", f"h{n}", "type", "veth", "peer", "name", "eth0",
             "netns", str(self.ns))
        w.ip(w.switch, "link", "set", f"h{n}", "master", "br0", "up")
        w.ip(self.ns, "addr", "add", f"{self.address}/24", "dev", "eth0")
        w.ip(self.ns, "addr", "add", f"2001:db8::{n}/64", "dev", "eth0", "nodad")
        w.ip(self.ns, "link", "set", "eth0", "up")
        # a default route, so that a leak would really leave
        w.ip(self.ns, "route", "add", "default", "via", "192.0.2.254")
        w.ip(self.ns, "-6", "route", "add", "default", "via", "2001:db8::fe")

    def cut(self):
        """Pulls the cable."""
        self.world.ip(self.world.switch, "link", "set", f"h{self.number}", "down")

    def mend(self):
        self.world.ip(self.world.switch, "link", "set", f"h{self.number}", "up")

    # programs

    def argv(self, argv):
        """The command line that runs argv on this host, outside any portspace."""
        head = ["nsenter", "-t", str(self.ns), "-n", "--"]
        if self.user:
            group = "nogroup" if self.user == "nobody" else self.user
            head += ["setpriv", f"--reuid={self.user}", f"--regid={group}", "--clear-groups", "--"]
        return head + [str(a) for a in argv]

    def in_argv(self, portspace, argv, seal=None, options=()):
        """The command line that runs argv in a portspace of this host (None: a new one)."""
        head = [_binary("persona-run"), *options]
        if seal:
            head.append(f"--seal={seal}")
        head.append("--new" if portspace is None else portspace)
        return self.argv([*head, "--", *argv])

    def _env(self, env):
        return {**self.env, **(env or {})}

    def run(self, *argv, env=None, **kw):
        return self.world.run(self.argv(argv), env=self._env(env), cwd=str(self.home), **kw)

    def spawn(self, *argv, env=None, cwd=None, **kw):
        kw.setdefault("name", f"{self.name}-{os.path.basename(str(argv[0]))}")
        return self.world.spawn(self.argv(argv), env=self._env(env),
                                cwd=cwd or str(self.home), **kw)

    def run_in(self, portspace, *argv, seal=None, options=(), env=None, cwd=None, **kw):
        return self.world.run(self.in_argv(portspace, argv, seal, options), env=self._env(env),
                              cwd=cwd or str(self.home), **kw)

    def spawn_in(self, portspace, *argv, seal=None, options=(), env=None, cwd=None, **kw):
        kw.setdefault("name", f"{self.name}-{portspace}-{os.path.basename(str(argv[0]))}")
        return self.world.spawn(self.in_argv(portspace, argv, seal, options),
                                env=self._env(env), cwd=cwd or str(self.home), **kw)

    def probe_in(self, portspace, *args, **kw):
        """Runs tests/lib/probe.py in a portspace and returns what it says (JSON)."""
        return self.run_in(portspace, PYTHON, PROBE, *[str(a) for a in args], **kw).json()

    def serve_in(self, portspace, *args, port, **kw):
        """Starts a probe server in a portspace and waits until it listens."""
        p = self.spawn_in(portspace, PYTHON, PROBE, *[str(a) for a in args],
                          name=f"{self.name}-{portspace}-{args[0]}", **kw)
        self.wait_listen(portspace, port, p)
        return p

    # the broker and its tools

    def start_broker(self, *options):
        listen = f"{self.address}:{self.port}"
        program = _binary("persona-broker")
        self.broker = self.spawn(program, "--listen", listen, *options,
                                 name=f"{self.name}-broker")
        self.wait_broker()
        return self.broker

    def wait_broker(self):
        def up():
            if not self.broker.alive():
                raise Fail(f"the broker of host {self.name} ended with "
                           f"{self.broker.popen.returncode}\n{self.broker.output()[-3000:]}")
            return self.control({"version": 1, "op": "ping"}, missing_ok=True)

        wait_for(f"the broker of host {self.name} answers", up)

    def control(self, request, missing_ok=False):
        """One request on the control socket; the reply, or None when nobody listens."""
        path = self.env["PERSONA_RUNTIME_DIR"] + "/control"
        line = json.dumps(request)
        if self.user:  # the broker answers its own user only
            data = self.run(PYTHON, PROBE, "control", path, line).out
        else:
            data = probe.control(path, line, 15 * SCALE)
        if not data:
            check(missing_ok, f"no answer on {path}")
            return None
        return json.loads(data)

    def kill_broker(self):
        self.broker.signal(signal.SIGKILL)
        self.broker.wait()

    def persona(self, *args, **kw):
        return self.run(_binary("persona"), *[str(a) for a in args], **kw)

    def create(self, name, address):
        return self.persona("create", name, "--address", address).ok()

    def pubkey(self, name):
        key = self.persona("pubkey", name).ok().out.strip()
        check(re.fullmatch(r"[A-Za-z0-9+/]{43}=", key), f"not a public key: {key!r}")
        return key

    def status(self, name):
        reply = self.control({"version": 1, "op": "status", "name": name})
        check(reply.get("ok"), f"status of {name}: {reply}")
        return reply["portspaces"][0]

    def link_state(self, name, number=0):
        return self.status(name)["links"][number]

    def wait_listen(self, portspace, port, process=None, timeout=20):
        """Waits until somebody listens on the TCP port of the portspace."""

        def listening():
            if process is not None and not process.alive():
                raise Fail(f"{process.name} ended with {process.popen.returncode} before it "
                           f"listened\n{process.output()[-2500:]}")
            return any(p["port"] == port and p["listening"]
                       for p in self.status(portspace)["ports"])

        try:
            wait_for(f"port {port} of {self.name}/{portspace}", listening, timeout)
        except Fail as e:
            raise Fail(f"{e}\n{process.output()[-1500:] if process else ''}") from None

    # captures

    def capture(self, what=""):
        """Captures every packet on every interface, `any` and `lo` too."""
        c = Capture(self, what)
        self.world.captures.append(c)
        return c


def link(a, psa, b, psb, a_has_endpoint=True, b_has_endpoint=True, psk=None, extra_a=(),
         extra_b=()):
    """Adds the link on both hosts; each one's own addresses plus the extra ones are allowed."""

    def one_side(me, ps, other, other_ps, endpoint, extra):
        addresses = other.control({"version": 1, "op": "show", "name": other_ps})
        addresses = addresses["portspace"]["addresses"]
        allowed = [str(ipaddress.ip_interface(x).ip) + "/" +
                   str(ipaddress.ip_interface(x).ip.max_prefixlen) for x in addresses]
        args = ["link", "add", ps, other.pubkey(other_ps),
                "--allowed-ips", ",".join([*allowed, *extra])]
        if endpoint:
            args += ["--endpoint", f"{other.address}:{other.port}"]
        if psk:
            path = me.dir / f"psk-{ps}-{other.name}"
            path.write_text(psk + "\n")
            path.chmod(0o600)
            if me.user:
                shutil.chown(path, me.user)
            args += ["--preshared-key", path]
        me.persona(*args).ok()

    one_side(a, psa, b, psb, a_has_endpoint, extra_a)
    one_side(b, psb, a, psa, b_has_endpoint, extra_b)


class Capture:
    """A capture on each interface of a host, and on `any`; one file for each."""

    def __init__(self, host, what):
        # tcpdump gives its privileges away, which a user namespace does not allow
        tool = need("dumpcap" if in_user_namespace() else "tcpdump")
        self.host = host
        self.files = []
        self.processes = []
        names = re.findall(r"^\d+: ([^:@]+)", host.world.run(
            ["nsenter", "-t", str(host.ns), "-n", "ip", "-o", "link"]).ok().out, re.M)
        for interface in ["any", *names]:
            path = host.world.dir / f"{host.name}-{what or 'capture'}-{interface}.pcap"
            argv = ["nsenter", "-t", str(host.ns), "-n", "--", tool, "-i", interface, "-w",
                    str(path)]
            argv += ["-P", "-q"] if in_user_namespace() else ["-n", "-U", "-s", "0", "-B",
                                                               "16384", "-Z", "root"]
            p = host.world.spawn(argv, name=f"{host.name}-capture-{interface}")
            self.files.append((interface, path))
            self.processes.append(p)
        for p in self.processes:
            p.until("listening on|File: ")

    def finish(self):
        """Ends the capture when all that was sent before this call is in the files: a last packet
        is sent on each interface and waited for."""
        mark = os.urandom(12).hex().encode()
        for address in ("127.0.0.1", "224.0.0.1"):
            self.host.run(PYTHON, "-c", "import socket, sys; s = socket.socket(2, 2); "
                          "s.bind(('', 9)); s.sendto(sys.argv[1].encode(), (sys.argv[2], 9))",
                          mark.decode(), address).ok()
        for interface, path in self.files:
            wait_for(f"the end of the capture on {interface}", lambda p=path:
                     mark in p.read_bytes()[-200000:])
        self.stop()
        return self

    def stop(self):
        for p in self.processes:
            if p.alive():
                p.signal(signal.SIGINT)
                p.wait()

    def packets(self, interface="any"):
        """(protocol, source, destination, description) of each IP packet. Call finish() before.

        Left out: ARP, NDP, IGMP, MLD, the last packet of finish()."""
        path = dict(self.files)[interface]
        out = []
        for packet in _pcap(path):
            parsed = _ip(packet)
            if parsed and not (parsed[0] == "udp" and parsed[2][1] == 9):
                out.append(parsed)
        return out

    def data(self):
        """Each file's packets' bytes, joined: for the search of a marker."""
        return {i: b"".join(p[1] for p in _pcap(path)) for i, path in self.files}


def _pcap(path):
    """Yields (link type, bytes) of a pcap file written by tcpdump on this machine."""
    with open(path, "rb") as f:
        head = f.read(24)
        if len(head) < 24:
            return
        magic, = struct.unpack("=I", head[:4])
        check(magic in (0xa1b2c3d4, 0xa1b23c4d), f"{path}: not a pcap file of this machine")
        linktype = struct.unpack("=I", head[20:24])[0] & 0xffff
        while True:
            head = f.read(16)
            if len(head) < 16:
                return
            length = struct.unpack("=I", head[8:12])[0]
            packet = f.read(length)
            if len(packet) < length:
                return
            yield linktype, packet


def _ip(packet):
    """(proto, source, destination, text) of an IP packet; None for ARP, NDP, IGMP, MLD and the
    bridge's own frames, which the kernel sends by itself."""
    linktype, data = packet
    if linktype == 1:  # Ethernet
        ethertype, data = struct.unpack("!H", data[12:14])[0], data[14:]
    elif linktype == 113:  # Linux cooked, `any`
        ethertype, data = struct.unpack("!H", data[14:16])[0], data[16:]
    elif linktype == 276:  # Linux cooked v2
        ethertype, data = struct.unpack("!H", data[0:2])[0], data[20:]
    else:
        raise Fail(f"link type {linktype} is unknown")
    if ethertype == 0x0800:
        header = (data[0] & 15) * 4
        proto, src, dst = data[9], socket.inet_ntop(socket.AF_INET, data[12:16]), \
            socket.inet_ntop(socket.AF_INET, data[16:20])
        if proto == 2:
            return None
    elif ethertype == 0x86dd:
        header, proto = 40, data[6]
        src = socket.inet_ntop(socket.AF_INET6, data[8:24])
        dst = socket.inet_ntop(socket.AF_INET6, data[24:40])
        if proto == 0 or (proto == 58 and len(data) > 40 and 130 <= data[40] <= 143):
            return None
    elif ethertype in (0x0806, 0x88cc) or ethertype < 0x600:
        return None
    else:
        return ethertype, None, None, f"ethertype {ethertype:#x}"
    name = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp6"}.get(proto, str(proto))
    sport = dport = None
    if proto in (6, 17) and len(data) >= header + 4:
        sport, dport = struct.unpack("!HH", data[header:header + 4])
    return name, (src, sport), (dst, dport), f"{name} {src}:{sport} > {dst}:{dport}"


def only_underlay(capture, hosts, interface="any"):
    """The packets of a capture that are not between two brokers' underlay addresses."""
    addresses = {h.address for h in hosts}
    ports = {(h.address, h.port) for h in hosts}
    return [p[3] for p in capture.packets(interface)
            if not (p[0] in ("tcp", "udp") and p[1] and p[1][0] in addresses
                    and p[2][0] in addresses and (p[1] in ports or p[2] in ports))]


def in_user_namespace():
    text = pathlib.Path("/proc/self/uid_map").read_text().split()
    return text != ["0", "0", "4294967295"]


def real_root(what="to become another user"):
    """Skips the test unless it runs as the system's root, and says what root is needed for."""
    if os.geteuid() != 0 or in_user_namespace():
        raise Skip(f"needs the system's root {what}")


def _become_namespace_root(argv):
    """An ordinary user continues in a user namespace, where it may make network namespaces."""
    probe = subprocess.run(["unshare", "-Urn", "true"], capture_output=True, check=False)
    if probe.returncode != 0:
        print("1..0 # SKIP neither root nor user namespaces: "
              + probe.stderr.decode(errors="replace").strip())
        sys.exit(0)
    os.execvp("unshare", ["unshare", "-Urn", sys.executable, *argv])


def _missing():
    for tool in ("ip", "nsenter", "unshare", "setpriv"):
        if not shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
            return f"{tool} is not installed"
    try:
        for name in ("persona-broker", "persona", "persona-run"):
            _binary(name)
    except Skip as s:
        return str(s)
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-k", default="", help="only tests whose name contains this")
    parser.add_argument("--keep", action="store_true", help="keep the tests' directories")
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args()
    tests = [t for t in _TESTS if options.k in t.__name__]
    if options.list:
        print("\n".join(t.__name__[5:] for t in tests))
        return
    if os.geteuid() != 0:
        _become_namespace_root(sys.argv)
    sys.stdout.reconfigure(line_buffering=True)
    missing = _missing()
    if missing:
        print(f"1..0 # SKIP {missing}")
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # not as nohup(1) has it: children inherit it
    print(f"1..{len(tests)}")
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for number, function in enumerate(tests, 1):
        name = function.__name__[5:]
        world = World(name)
        keep = options.keep
        started = time.monotonic()
        try:
            function(world)
            world.check_brokers()
            counts["passed"] += 1
            print(f"ok {number} - {name}")
        except Skip as s:
            counts["skipped"] += 1
            print(f"ok {number} - {name} # SKIP {s}")
        except Exception as e:
            counts["failed"] += 1
            keep = True
            text = str(e) if isinstance(e, Fail) else traceback.format_exc()
            try:
                world.check_brokers()
            except Fail as more:
                text = f"{text}\n{more}"
            print(f"not ok {number} - {name}")
            where = traceback.extract_tb(e.__traceback__)
            here = os.path.abspath(sys.argv[0])
            lines = [f"{f.name}:{f.lineno}" for f in where
                     if os.path.abspath(f.filename) == here]
            for line in [f"at {' '.join(lines)}", *text.splitlines()]:
                print(f"# {line}")
            print(f"# logs: {world.dir}")
            build = os.environ.get("PERSONA_BUILD", "build")
            print(f"# repro: PERSONA_BUILD={build} {sys.argv[0]} -k {function.__name__}")
        finally:
            world.close(keep)
        print(f"# {name}: {time.monotonic() - started:.1f} s")
    print("# " + ", ".join(f"{v} {k}" for k, v in counts.items()))
    sys.exit(1 if counts["failed"] else 0)
