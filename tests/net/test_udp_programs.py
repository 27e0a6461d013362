#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Programs of the distribution that live on UDP, unmodified; and a browser."""

import hashlib
import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from persona_test import (PYTHON, check, equal, link, main, need,  # noqa: E402
                          only_underlay, real_root, test, wait_for)

HERE = pathlib.Path(__file__).resolve().parent


def pair(world):
    """Two hosts, each with the portspace `work` (10.77.0.N, fd77::N), linked."""
    both = world.host("a"), world.host("b")
    for h in both:
        h.start_broker()
        h.persona("create", "work", "--address", f"10.77.0.{h.number}",
                  "--address", f"fd77::{h.number}").ok()
    link(both[0], "work", both[1], "work")
    return both


def wait_udp(host, port, process):
    """Waits until the process, or one that it started, has the UDP port."""

    def there():
        check(process.alive(), f"{process.name} ended:\n{process.output()[-2000:]}")
        return any((e["proto"], e["port"]) == ("udp", port) for e in host.status("work")["ports"])

    wait_for(f"{process.name} has udp port {port}", there)


def certificate(host):
    """A key and a certificate for www.example."""
    key, cert = host.home / "key.pem", host.home / "cert.pem"
    host.run(need("openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
             "-subj", "/CN=www.example", "-addext", "subjectAltName=DNS:www.example").ok()
    return str(key), str(cert)


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


# QUIC and DTLS


@test
def test_http3(world):
    """A file and a page over QUIC: GSO, ECN marks, IP_PKTINFO, path MTU discovery."""
    server, client = need("gtlsserver", "gtlsclient")
    a, b = pair(world)
    key, cert = certificate(b)
    docs = b.home / "docs"
    docs.mkdir()
    (docs / "big").write_bytes(os.urandom(8 << 20))
    (docs / "small").write_text("small\n")
    p = b.spawn_in("work", server, "-q", "-d", str(docs), "*", "443", key, cert)
    wait_udp(b, 443, p)
    for h, address in ((a, "10.77.0.2"), (a, "fd77::2"), (b, "127.0.0.1"), (b, "fd77::2")):
        got = h.home / f"got-{address}"
        got.mkdir()
        h.run_in("work", client, "-q", "--exit-on-all-streams-close", f"--download={got}",
                 address, "443", "https://www.example/big", "https://www.example/small",
                 timeout=90).ok()
        for name in ("big", "small"):
            equal(sha256(got / name), sha256(docs / name), f"{name} from {address}")


@test
def test_dtls(world):
    openssl = need("openssl")
    a, b = pair(world)
    key, cert = certificate(b)
    for n, address in enumerate(("10.77.0.2", "[fd77::2]")):
        port = 4433 + n
        p = b.spawn_in("work", openssl, "s_server", "-dtls1_2", "-accept", str(port), "-key", key,
                       "-cert", cert, "-quiet", stdin=subprocess.PIPE)
        wait_udp(b, port, p)
        c = a.spawn_in("work", openssl, "s_client", "-dtls1_2", "-connect", f"{address}:{port}",
                       "-quiet", stdin=subprocess.PIPE)
        for text in ("first", "second"):
            c.popen.stdin.write(f"{text}-there\n".encode())
            c.popen.stdin.flush()
            p.until(f"{text}-there")
            p.popen.stdin.write(f"{text}-back\n".encode())
            p.popen.stdin.flush()
            c.until(f"{text}-back")


# services


@test
def test_ntp(world):
    chronyd = need("chronyd")
    a, b = pair(world)
    real_root("for chronyd")
    conf = b.home / "chrony.conf"
    conf.write_text(f"local stratum 5\nallow\ncmdport 0\nuser root\n"
                    f"pidfile {b.home}/chronyd.pid\n")
    p = b.spawn_in("work", chronyd, "-d", "-x", "-f", str(conf))
    wait_udp(b, 123, p)
    for h, address in ((a, "10.77.0.2"), (a, "fd77::2"), (b, "127.0.0.1")):
        r = h.run_in("work", chronyd, "-Q", "-t", "20", "-u", "root", "cmdport 0",
                     f"pidfile {h.home}/q.pid",
                     f"server {address} iburst maxsamples 4", timeout=40).ok()
        check(re.search(r"System clock wrong by -?0\.0\d+ seconds", r.out + r.err),
              f"{address}: {r.out}{r.err}")


@test
def test_sntp(world):
    ntpdig = need("ntpdig")
    a, b = pair(world)
    b.spawn_in("work", PYTHON, str(HERE / "sntp_server.py"), "123").until("ready")
    for address in ("10.77.0.2", "fd77::2"):
        r = a.run_in("work", ntpdig, "-t", "10", "-j", address).ok()
        check('"stratum":5' in r.out, f"{address}: {r.out}{r.err}")


@test
def test_snmp(world):
    snmpd, walk, get = need("snmpd", "snmpwalk", "snmpget")
    a, b = pair(world)
    conf = b.home / "snmpd.conf"
    conf.write_text("rocommunity secret\nrocommunity6 secret\nsysName the-name\n"
                    "sysDescr described\n")
    env = {"SNMP_PERSISTENT_DIR": str(b.home), "MIBS": ""}
    p = b.spawn_in("work", snmpd, "-f", "-Lo", "-C", "-c", str(conf), "-I",
                   "system_mib,sysORTable", "-p", f"{b.home}/snmpd.pid",
                   "udp:161,udp6:161", env=env)
    wait_udp(b, 161, p)
    env = {"SNMP_PERSISTENT_DIR": str(a.home), "MIBS": ""}
    for address in ("10.77.0.2", "udp6:[fd77::2]"):
        common = ["-v2c", "-c", "secret", "-r0", "-t10", address]
        r = a.run_in("work", get, *common, ".1.3.6.1.2.1.1.5.0", env=env).ok()
        check("the-name" in r.out, r.out)
        r = a.run_in("work", walk, *common, ".1.3.6.1.2.1.1", env=env).ok()
        check("described" in r.out and "the-name" in r.out, r.out)


def tftp_files(host):
    top = host.home / "tftp"
    top.mkdir(mode=0o755)
    (top / "file").write_bytes(os.urandom(300_000))
    (top / "up").write_bytes(b"")
    (top / "up").chmod(0o666)
    return top


def tftp_round(client, top, address):
    """Gets and puts a file with each client there is. The server answers from another port."""
    tftp, busybox = need("tftp", "busybox")
    got = client.home / "got"
    for argv in ([busybox, "tftp", "-g", "-r", f"{top}/file", "-l", str(got), address],
                 [tftp, "-m", "binary", address, "-c", "get", f"{top}/file", str(got)]):
        client.run_in("work", *argv).ok()
        equal(sha256(got), sha256(top / "file"), f"{argv[:2]} get from {address}")
        got.unlink()
    local = client.home / "local"
    local.write_bytes(os.urandom(100_000))
    client.run_in("work", busybox, "tftp", "-p", "-r", f"{top}/up", "-l", str(local), address).ok()
    wait_for(f"the upload to {address}", lambda: sha256(top / "up") == sha256(local))


@test
def test_tftp(world):
    server = need("in.tftpd")
    real_root("for in.tftpd")
    a, b = pair(world)
    top = tftp_files(b)
    # -u root: another user's processes are no members. No -s: a process that has changed its root
    # directory does not reach the broker.
    p = b.spawn_in("work", server, "-L", "-u", "root", "-v", str(top))
    wait_udp(b, 69, p)
    for h, address in ((a, "10.77.0.2"), (a, "fd77::2"), (b, "127.0.0.1")):
        tftp_round(h, top, address)


@test
def test_tftp_from_inetd(world):
    """`wait`: inetd hands its unconnected socket over and takes it back."""
    server, inetd = need("in.tftpd", "inetd")
    real_root("for in.tftpd")
    a, b = pair(world)
    top = tftp_files(b)
    conf = b.home / "inetd.conf"
    conf.write_text(f"tftp dgram udp wait root {server} in.tftpd -u root -v -t 1 {top}\n")
    p = b.spawn_in("work", inetd, "-i", "-d", str(conf))
    wait_udp(b, 69, p)
    for _ in range(2):
        tftp_round(a, top, "10.77.0.2")
        p.until("restored tftp")


def sshd(host):
    """OpenSSH's server in the portspace; returns ssh's options."""
    program, keygen = need("sshd", "ssh-keygen")
    real_root("for sshd's separation of privileges")
    d = host.home / "ssh"
    d.mkdir(mode=0o700)
    for name in ("host", "user"):
        host.run(keygen, "-q", "-t", "ed25519", "-N", "", "-f", d / name).ok()
    (d / "config").write_text(f"HostKey {d}/host\nAuthorizedKeysFile {d}/user.pub\nPidFile none\n"
                              "StrictModes no\nPermitRootLogin yes\nUsePAM no\nAcceptEnv *\n")
    (d / "known").write_text("* " + (d / "host.pub").read_text())
    pathlib.Path("/run/sshd").mkdir(exist_ok=True)
    p = host.spawn_in("work", program, "-D", "-e", "-f", str(d / "config"))
    host.wait_listen("work", 22, p)
    return f"-i {d}/user -o UserKnownHostsFile={d}/known -o BatchMode=yes -F none"


@test
def test_mosh(world):
    """ssh starts the server, the session itself is UDP."""
    mosh, ssh, script, _ = need("mosh", "ssh", "script", "mosh-server")
    a, b = pair(world)
    options = sshd(b)
    # the terminal that mosh draws: a window of 80 columns
    line = (f"stty rows 24 cols 80; exec {mosh} --ssh='{ssh} {options}' root@10.77.0.2 -- "
            "sh -c 'echo from-$((40+2)); read x; echo got-$x; sleep 1'")
    p = a.spawn_in("work", "sh", "-c", "sleep 600 | exec \"$@\"", "sh", script, "-qec", line,
                   "/dev/null", name="mosh", env={"TERM": "xterm", "LC_ALL": "C.UTF-8"})
    p.until("from-42", timeout=30)
    check(any(e["proto"] == "udp" and 60000 <= e["port"] < 61000
              for e in b.status("work")["ports"]), "mosh-server has no port")
    p.stop()


# tools


@test
def test_socat_with_fork(world):
    """One process for each datagram, and for each client. Clients say it again until they have an
    answer: socat loses some when many come at once, also on the kernel's sockets."""
    socat = need("socat")
    a, b = pair(world)
    for port, kind in ((4000, "RECVFROM"), (4001, "LISTEN")):
        p = b.spawn_in("work", socat, f"UDP4-{kind}:{port},fork,reuseaddr",
                       "SYSTEM:'read x; echo \"$x from $SOCAT_PEERADDR\"'", name=f"socat-{kind}")
        wait_udp(b, port, p)
        clients = [a.spawn_in("work", "sh", "-c", f"while echo {i}; do sleep 1; done | "
                              f"{socat} - UDP4:10.77.0.2:{port}", name=f"socat-client-{i}")
                   for i in range(5)]
        for i, c in enumerate(clients):
            c.until(f"(?m)^{i} from 10.77.0.1$", timeout=30)
        for c in clients:
            c.stop()
        p.stop()


@test
def test_iperf3(world):
    iperf3 = need("iperf3")
    a, b = pair(world)
    p = b.spawn_in("work", iperf3, "-s", "--forceflush")
    p.until("Server listening")
    for options in (["-R"], ["-P", "8"], ["-R", "-P", "8"], ["--bidir"], ["-R", "-6"]):
        address = "fd77::2" if "-6" in options else "10.77.0.2"
        r = a.run_in("work", iperf3, "-c", address, "-u", "-b", "2M", "-l", "1200", "-t", "2",
                     "-J", *options, timeout=60).ok().json()
        streams = 8 if "8" in options else 2 if "--bidir" in options else 1
        equal(len(r["end"]["streams"]), streams, f"streams with {options}")
        for s in r["end"]["streams"]:
            check(s["udp"]["packets"] > 300, f"{options}: {s}")
            check(s["udp"]["lost_percent"] < 5, f"{options}: {s}")


# run-time systems


@test
def test_asyncio(world):
    a, b = pair(world)
    program = str(HERE / "asyncio_udp.py")
    b.spawn_in("work", PYTHON, program, "server", "0.0.0.0", "7").until("ready")
    b.spawn_in("work", PYTHON, program, "server", "::", "8").until("ready")
    for address, port in (("10.77.0.2", "7"), ("fd77::2", "8")):
        r = a.run_in("work", PYTHON, program, "client", address, port, timeout=60).ok()
        equal(r.out, "20 endpoints, 20 right\n"
              "a port that nobody has: ConnectionRefusedError\n", address)


@test
def test_node(world):
    node = need("node")
    a, b = pair(world)
    program = str(HERE / "dgram.js")
    b.spawn_in("work", node, program, "server", "udp6", "7").until("ready", timeout=30)
    for kind, address in (("udp4", "10.77.0.2"), ("udp6", "fd77::2")):
        r = a.run_in("work", node, program, "client", kind, address, "7", timeout=60).ok()
        equal(r.out, "free 50 true\nconnected 50 true\nECONNREFUSED\n", address)


@test
def test_java(world):
    javac, java = need("javac", "java")
    a, b = pair(world)
    world.run([javac, "-d", str(world.dir), str(HERE / "Datagram.java")], timeout=120).ok()
    vm = [java, "-Xshare:auto", "-XX:+UseSerialGC", "-cp", str(world.dir), "Datagram"]
    b.spawn_in("work", *vm, "server", "7", name="java-server").until("ready", timeout=60)
    for address in ("10.77.0.2", "fd77::2"):
        r = a.run_in("work", *vm, "client", address, "7", timeout=90).ok()
        equal(r.out.split(), ["nio-connected", "nio-selected", "net-socket", "refused"], address)


@test
def test_go_is_denied(world):
    """Go makes its system calls itself: sealed says so, and nothing leaks."""
    go = need("go")
    a, b = pair(world)
    env = {"CGO_ENABLED": "0", "GOCACHE": str(world.dir / "go"), "GOFLAGS": "-mod=mod",
           "GO111MODULE": "off", "GOTOOLCHAIN": "local"}
    program = a.home / "denied"
    a.run(go, "build", "-o", program, HERE / "denied.go", env=env, timeout=300).ok()
    capture = a.capture()
    r = a.run_in("work", str(program), "192.0.2.2", "2001:db8::2", seal="sealed", timeout=60).ok()
    capture.finish()
    lines = r.out.splitlines()
    equal(len(lines), 6, r.out + r.err)
    for text in lines:
        check("socket: permission denied" in text, text)
    equal(only_underlay(capture, [a, b]), [], "leaked")


@test
def test_chromium(world):
    """The browser gets the page and what it names from the other host's nginx."""
    chromium, nginx = need("chromium", "nginx")
    a, b = pair(world)
    top = b.home / "nginx"
    (top / "html").mkdir(parents=True)
    (top / "html" / "index.html").write_text(
        "<!DOCTYPE html><title>t</title><p id=p>not yet</p><script src=s.js></script>\n")
    (top / "html" / "s.js").write_text(
        "let x = new XMLHttpRequest(); x.open('GET', 'data', false); x.send();\n"
        "document.getElementById('p').textContent = 'script-and-' + x.responseText.trim();\n")
    (top / "html" / "data").write_text("data\n")
    (top / "nginx.conf").write_text(f"""
user root;
daemon off; pid {top}/pid; error_log stderr warn;
events {{ worker_connections 512; }}
http {{ access_log {top}/access.log; root {top}/html;
  client_body_temp_path {top}/b; proxy_temp_path {top}/p; fastcgi_temp_path {top}/f;
  uwsgi_temp_path {top}/u; scgi_temp_path {top}/s;
  server {{ listen 80; listen [::]:80; }} }}
""")
    p = b.spawn_in("work", nginx, "-p", str(top), "-e", "stderr", "-c", "nginx.conf")
    b.wait_listen("work", 80, p)
    capture = a.capture()
    for n, url in enumerate(("http://10.77.0.2/", "http://[fd77::2]/")):
        r = a.run_in("work", chromium, "--headless", "--no-sandbox", "--disable-gpu",
                     f"--user-data-dir={a.home}/profile{n}", "--dump-dom", url, seal="sealed",
                     timeout=90).ok()
        check("script-and-data" in r.out, f"{url}: {r.out}{r.err[-2000:]}")
    capture.finish()
    equal(only_underlay(capture, [a, b]), [], "leaked")


main()
