#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A portspace and wireguard-go: the datagrams of links are WireGuard, byte for byte.

Host `a` has a broker and the portspace `work` (10.77.0.1, fd77::1); host `b` has wireguard-go and
no Persona (10.77.0.2, fd77::2)."""

import os
import pathlib
import re
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from persona_test import (PYTHON, Skip, check, equal, main, need, real_root,  # noqa: E402
                          test, wait_for)

PROGRAM = str(pathlib.Path(__file__).resolve().parent / "datagrams.py")
PORT = 51820


class WireGuard:
    """wireguard-go on a host, with one peer."""

    def __init__(self, host, key=None):
        self.host = host
        self.tool, program = need("wg", "wireguard-go")
        real_root("for wireguard-go: a TUN device and a socket in /var/run")
        if not os.access("/dev/net/tun", os.W_OK):
            raise Skip("there is no /dev/net/tun")
        self.name = f"pt{os.getpid() % 100000}x{host.number}"
        self.process = host.spawn(program, "-f", self.name, name=f"{host.name}-wireguard-go")
        wait_for("wireguard-go answers", lambda: self.process.alive() and host.run(
            self.tool, "show", self.name).code == 0)
        self.key = key or host.run(self.tool, "genkey").ok().out.strip()
        path = self.secret("key", self.key)
        host.run(self.tool, "set", self.name, "listen-port", PORT, "private-key", path).ok()
        ip = need("ip")
        for address in (f"10.77.0.{host.number}/24", f"fd77::{host.number}/64"):
            host.run(ip, "addr", "add", address, "dev", self.name, "nodad").ok()
        host.run(ip, "link", "set", self.name, "mtu", 1420, "up").ok()

    def secret(self, name, text):
        path = self.host.dir / f"wg-{name}"
        path.write_text(text + "\n")
        path.chmod(0o600)
        return path

    @property
    def pubkey(self):
        return self.show("public-key")

    def show(self, what):
        return self.host.run(self.tool, "show", self.name, what).ok().out.strip()

    def value(self, what):
        """What `wg show` says of the one peer, without its key."""
        return self.show(what).split(None, 1)[1]

    def peer(self, key, endpoint=None, psk=None, keepalive=None):
        args = ["set", self.name, "peer", key, "allowed-ips", "10.77.0.1/32,fd77::1/128"]
        if endpoint:
            args += ["endpoint", endpoint]
        if psk:
            args += ["preshared-key", self.secret("psk", psk)]
        if keepalive:
            args += ["persistent-keepalive", str(keepalive)]
        self.host.run(self.tool, *args).ok()

    def serve(self, *args):
        p = self.host.spawn(PYTHON, PROGRAM, *args, name=f"{self.host.name}-{args[0]}")
        p.until("ready")
        return p

    def talk(self, *args, timeout=60):
        return self.host.run(PYTHON, PROGRAM, *args, timeout=timeout).json()


def start(world, anywhere=False):
    """Host a with its broker and portspace. anywhere: it listens at every address."""
    a = world.host("a")
    if anywhere:
        a.port, real = PORT, a.address
        a.address = "0.0.0.0"
        a.start_broker()
        a.address = real
    else:
        a.start_broker()
    a.persona("create", "work", "--address", "10.77.0.1", "--address", "fd77::1").ok()
    return a


def join(a, wg, endpoint=True, psk=None, keepalive=None):
    args = ["link", "add", "work", wg.pubkey, "--allowed-ips", "10.77.0.2/32,fd77::2/128"]
    if endpoint:
        args += ["--endpoint", f"{wg.host.address}:{PORT}"]
    if psk:
        path = a.dir / "psk"
        path.write_text(psk + "\n")
        path.chmod(0o600)
        args += ["--preshared-key", path]
    if keepalive:
        args += ["--keepalive", str(keepalive)]
    a.persona(*args).ok()


def pair(world, ours=True, theirs=True, psk=None, **kwargs):
    """A link; ours, theirs: who knows the other's endpoint."""
    a = start(world, **kwargs)
    wg = WireGuard(world.host("b"))
    if psk:
        psk = wg.host.run(wg.tool, "genpsk").ok().out.strip()
    join(a, wg, endpoint=ours, psk=psk)
    wg.peer(a.pubkey("work"), f"{a.address}:{a.port}" if theirs else None, psk)
    return a, wg


def talk(a, *args, timeout=60):
    return a.run_in("work", PYTHON, PROGRAM, *args, timeout=timeout).json()


def serve(a, *args):
    p = a.spawn_in("work", PYTHON, PROGRAM, *args, name=f"a-work-{args[0]}")
    p.until("ready")
    return p


def datagrams(a):
    return a.link_state("work")["datagrams"]


def both_ways(a, wg, first):
    """UDP and ping in both directions; first: whose packet is the first one."""
    serve(a, "echo", "7", "::")
    wg.serve("echo", "7", "::")
    ping = need("ping")

    def from_us():
        for address in ("10.77.0.2", "fd77::2"):
            equal(talk(a, "sizes", address, "7")["failed"], [], f"our datagrams to {address}")
            a.run_in("work", ping, "-c", "2", "-i", "0.2", "-W", "5", address).ok()

    def from_them():
        for address in ("10.77.0.1", "fd77::1"):
            equal(wg.talk("sizes", address, "7")["failed"], [], f"their datagrams to {address}")
            wg.host.run(ping, "-c", "2", "-i", "0.2", "-W", "5", address).ok()

    for step in ((from_us, from_them) if first == "us" else (from_them, from_us)):
        step()


@test
def test_they_start(world):
    a, wg = pair(world, ours=False)
    both_ways(a, wg, "them")


@test
def test_we_start(world):
    a, wg = pair(world, theirs=False)
    both_ways(a, wg, "us")


@test
def test_they_start_with_psk(world):
    a, wg = pair(world, ours=False, psk=True)
    both_ways(a, wg, "them")


@test
def test_we_start_with_psk(world):
    a, wg = pair(world, theirs=False, psk=True)
    both_ways(a, wg, "us")


@test
def test_wrong_psk_is_silence(world):
    a = start(world)
    wg = WireGuard(world.host("b"))
    join(a, wg)
    wg.peer(a.pubkey("work"), f"{a.address}:{a.port}",
            wg.host.run(wg.tool, "genpsk").ok().out.strip())
    wg.serve("echo", "7")
    r = a.run_in("work", need("ping"), "-c", "2", "-i", "0.3", "-W", "1", "10.77.0.2")
    check(r.code != 0 and " 0 received" in r.out, f"no answer: {r.out}")
    equal(datagrams(a)["last_handshake_s"], None, "our last handshake")
    equal(wg.value("latest-handshakes"), "0", "their last handshake")


@test
def test_status_agrees_with_wg_show(world):
    a, wg = pair(world)
    wg.serve("echo", "7")
    for _ in range(3):
        talk(a, "sizes", "10.77.0.2", "7")

    def agrees():
        ours, theirs = datagrams(a), [int(n) for n in wg.value("transfer").split()]
        return (ours["tx_bytes"], ours["rx_bytes"]) == tuple(theirs)

    wait_for("the bytes agree", agrees)
    ours = datagrams(a)
    equal(ours["endpoint"], f"{wg.host.address}:{PORT}", "our view of their endpoint")
    equal(wg.value("endpoints"), f"{a.address}:{a.port}", "their view of our endpoint")
    check(abs(ours["last_handshake_s"] - int(wg.value("latest-handshakes"))) <= 1,
          f"handshake: {ours} {wg.value('latest-handshakes')}")
    equal((ours["session"], ours["rejected"]), (True, 0), "session, rejected")
    check(ours["tx_packets"] > 30 and ours["rx_packets"] > 30, f"packets: {ours}")
    equal(a.link_state("work")["state"], "up", "the state of the link")
    table = a.persona("link", "list", "work").ok().out
    check(re.search(rf"{re.escape(wg.host.address)}:{PORT}.* ago ", table), f"link list: {table}")


@test
def test_they_roam(world):
    a, wg = pair(world, ours=False)
    wg.serve("echo", "7")
    wg.host.run(need("ping"), "-c", "1", "-W", "5", "10.77.0.1").ok()
    equal(datagrams(a)["endpoint"], f"{wg.host.address}:{PORT}", "their endpoint before")
    ip = need("ip")
    wg.host.run(ip, "addr", "add", "192.0.2.102/24", "dev", "eth0").ok()
    wg.host.run(ip, "addr", "del", f"{wg.host.address}/24", "dev", "eth0").ok()
    wg.host.run(ip, "addr", "add", "192.0.2.102/24", "dev", "eth0")
    wg.host.run(ip, "route", "replace", "default", "via", "192.0.2.254").ok()
    # it keeps the old source address until it binds anew
    wg.host.run(wg.tool, "set", wg.name, "listen-port", PORT + 100).ok()
    wg.host.run(need("ping"), "-c", "1", "-W", "5", "10.77.0.1").ok()
    equal(datagrams(a)["endpoint"], f"192.0.2.102:{PORT + 100}", "our view of it")
    equal(talk(a, "ask", "10.77.0.2", "7", "we follow")["answer"], "we follow", "our datagrams")


@test
def test_we_roam(world):
    a, wg = pair(world, theirs=False, anywhere=True)
    wg.serve("echo", "7")
    equal(talk(a, "ask", "10.77.0.2", "7", "x")["answer"], "x", "before")
    equal(wg.value("endpoints"), f"{a.address}:{PORT}", "their view of our endpoint")
    ip = need("ip")
    a.run(ip, "addr", "add", "192.0.2.101/24", "dev", "eth0").ok()
    a.run(ip, "addr", "del", f"{a.address}/24", "dev", "eth0").ok()
    a.run(ip, "addr", "add", "192.0.2.101/24", "dev", "eth0")
    equal(talk(a, "ask", "10.77.0.2", "7", "y")["answer"], "y", "after")
    equal(wg.value("endpoints"), f"192.0.2.101:{PORT}", "they follow")
    wg.host.run(need("ping"), "-c", "1", "-W", "5", "10.77.0.1").ok()


@test
def test_imported_wg_quick_file(world):
    dig, dnsmasq = need("dig", "dnsmasq")
    a = world.host("a")
    a.start_broker()
    wg = WireGuard(world.host("b"))
    key = wg.host.run(wg.tool, "genkey").ok().out.strip()
    path = a.dir / "office.conf"
    path.write_text(f"[Interface]\nPrivateKey = {key}\nAddress = 10.77.0.1/24, fd77::1/64\n"
                    f"DNS = 10.77.0.2\nMTU = 1400\nPostUp = touch {a.dir}/ran\n\n"
                    f"[Peer]\nPublicKey = {wg.pubkey}\nAllowedIPs = 10.77.0.0/24, fd77::/64\n"
                    f"Endpoint = {wg.host.address}:{PORT}\nPersistentKeepalive = 5\n")
    path.chmod(0o600)
    a.persona("import", path, "--name", "work").ok()
    wg.peer(a.pubkey("work"))
    # PersistentKeepalive: the session is there before anybody sends
    wait_for("a handshake", lambda: datagrams(a)["session"])
    wg.serve("echo", "7", "::")
    for address in ("10.77.0.2", "fd77::2"):
        equal(talk(a, "sizes", address, "7")["failed"], [], address)
    wg.host.spawn(dnsmasq, "--keep-in-foreground", "--no-resolv", "--no-hosts",
                  "--log-facility=-", "--user=", "--pid-file=", "--bind-interfaces",
                  "--listen-address=10.77.0.2", "--address=/www.example/192.0.2.77")
    wait_for("the name server answers", lambda: wg.host.run(
        dig, "+short", "+time=1", "+tries=1", "@10.77.0.2", "www.example").out.strip())
    r = a.run_in("work", dig, "+short", "+time=5", "@10.77.0.2", "www.example").ok()
    equal(r.out.strip(), "192.0.2.77", "a name of the network")
    check(not (a.dir / "ran").exists(), "hooks do not run")


@test
def test_tcp_is_refused_quickly(world):
    a, wg = pair(world)
    wg.serve("echo", "7")
    wg.host.spawn(PYTHON, "-m", "http.server", "80").until("Serving", 10)
    equal(talk(a, "ask", "10.77.0.2", "7", "x")["answer"], "x", "UDP")
    for _ in range(2):
        started = time.monotonic()
        r = a.probe_in("work", "errno", "10.77.0.2", 80)
        equal(r["error"], "ECONNREFUSED", "a stream to a peer without Persona")
        check(time.monotonic() - started < 5, "at once")
    state = a.link_state("work")
    equal((state["error"], state["state"]), ("ECONNREFUSED", "up"), "the reason in status")
    started = time.monotonic()
    r = wg.host.run(PYTHON, "-c", "import socket, errno\ns = socket.socket()\n"
                    "print(errno.errorcode[s.connect_ex(('10.77.0.1', 80))])").ok()
    equal(r.out.strip(), "ECONNREFUSED", "their TCP to us")
    check(time.monotonic() - started < 5, "at once")


@test
def test_restart_of_the_broker(world):
    a, wg = pair(world)
    wg.serve("echo", "7")
    equal(talk(a, "ask", "10.77.0.2", "7", "x")["answer"], "x", "before")
    a.kill_broker()
    a.start_broker()
    equal(talk(a, "ask", "10.77.0.2", "7", "y")["answer"], "y", "after")


@test
def test_restart_of_wireguard_go(world):
    a = start(world)
    wg = WireGuard(world.host("b"))
    join(a, wg)
    wg.peer(a.pubkey("work"), f"{a.address}:{a.port}")
    equal(wg.host.run(need("ping"), "-c", "1", "-W", "5", "10.77.0.1").ok().code, 0, "before")
    wg.process.stop()
    wg = WireGuard(wg.host, wg.key)
    wg.peer(a.pubkey("work"), f"{a.address}:{a.port}")
    # its initiation takes the place of our session
    equal(wg.host.run(need("ping"), "-c", "1", "-W", "5", "10.77.0.1").ok().code, 0, "after")


@test
def test_rekey_loses_nothing(world):
    a, wg = pair(world)
    wg.serve("echo", "7")
    equal(talk(a, "ask", "10.77.0.2", "7", "x")["answer"], "x", "before")
    first = datagrams(a)["last_handshake_s"]
    # REKEY_AFTER_TIME is 120 s: packets go on all the time, ours and theirs
    count = 640
    both = [a.spawn_in("work", need("ping"), "-i", "0.2", "-c", str(count), "10.77.0.2",
                       name="a-work-ping"),
            wg.host.spawn(need("ping"), "-i", "0.2", "-c", str(count), "10.77.0.1")]
    for p in both:
        text = p.expect(0, timeout=count * 0.2 + 30)
        check(f"{count} received" in text, f"{p.name}: {text[-300:]}")
    later = datagrams(a)["last_handshake_s"]
    check(119 <= later - first <= 130, f"the second handshake came after {later - first} s")
    equal(datagrams(a)["rejected"], 0, "rejected messages")


main()
