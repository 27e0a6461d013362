#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Other programs of the distribution, unmodified: redis, postgres, OpenSSH, git, iperf3."""

import json
import os
import pathlib
import pwd
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from persona_test import (Skip, check, equal, main, need, real_root,  # noqa: E402
                          test, wait_for)


@test
def test_redis(world):
    server, bench, cli = need("redis-server", "redis-benchmark", "redis-cli")
    a, b = world.two()
    p = b.spawn_in("work", server, "--port", "6379", "--save", "", "--protected-mode", "no",
                   "--dir", str(b.home), "--bind", "0.0.0.0")
    b.wait_listen("work", 6379, p)
    for h, address in ((a, "10.77.0.2"), (b, "127.0.0.1")):
        equal(h.run_in("work", cli, "-h", address, "set", "k", h.name).ok().out.strip(), "OK",
              "set")
        equal(h.run_in("work", cli, "-h", address, "get", "k").ok().out.strip(), h.name, "get")
        out = h.run_in("work", bench, "-h", address, "-n", "20000", "-c", "50", "-P", "4", "-t",
                       "ping,set,get,lrange_100", "--csv", timeout=120).ok().out
        equal(len(re.findall(r'^"(?:PING|SET|GET|LRANGE|LPUSH)[^"]*","[\d.]+"', out, re.M)), 6,
              f"results of redis-benchmark in {out}")


def postgres_bin():
    for d in sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (d / "initdb").exists() and (d / "postgres").exists():
            return d
    raise Skip("postgres is not installed")


@test
def test_postgres_and_pgbench(world):
    pg = postgres_bin()
    user = None
    if os.geteuid() == 0:
        # postgres refuses root, also the root of a user namespace
        real_root("to start postgres as its own user")
        user = "postgres"
        try:
            pwd.getpwnam(user)
        except KeyError:
            raise Skip("there is no user postgres") from None
    a, b = world.two(user=user)
    data = b.home / "data"
    b.run(pg / "initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync",
          timeout=120).ok()
    with open(data / "pg_hba.conf", "a", encoding="utf-8") as f:
        f.write("host all all 10.77.0.0/16 trust\n")
    p = b.spawn_in("work", str(pg / "postgres"), "-D", str(data), "-k", str(b.home), "-c",
                   "listen_addresses=*", "-c", "fsync=off")
    b.wait_listen("work", 5432, p)
    ready = [need("pg_isready"), "-h", "127.0.0.1"]
    wait_for("postgres is ready", lambda: b.run_in("work", *ready).code == 0, 30)
    env = {"PGUSER": "postgres", "PGDATABASE": "postgres"}
    pgbench = str(pg / "pgbench")
    a.run_in("work", pgbench, "-h", "10.77.0.2", "-i", "-q", "-s", "2", env=env, timeout=120).ok()
    for h, address in ((a, "10.77.0.2"), (b, "127.0.0.1")):
        out = h.run_in("work", pgbench, "-h", address, "-c", "8", "-j", "2", "-t", "100", env=env,
                       timeout=120).ok().out
        check("number of transactions actually processed: 800/800" in out, out)
        out = h.run_in("work", pgbench, "-h", address, "-c", "4", "-C", "-S", "-t", "50", env=env,
                       timeout=120).ok().out
        check("actually processed: 200/200" in out, f"a connection per transaction: {out}")
    who = a.run_in("work", str(pg / "psql"), "-h", "10.77.0.2", "-Atc",
                   "select inet_client_addr()", env=env).ok().out
    equal(who.strip(), "10.77.0.1", "the client's address as postgres sees it")


def sshd(host):
    """Starts OpenSSH's server in the portspace, with keys of its own; returns ssh options."""
    program, keygen = need("sshd", "ssh-keygen")
    real_root("for sshd's separation of privileges")
    d = host.home / "ssh"
    d.mkdir(mode=0o700)
    for name in ("host", "user"):
        host.run(keygen, "-q", "-t", "ed25519", "-N", "", "-f", d / name).ok()
    (d / "authorized").write_text((d / "user.pub").read_text())
    (d / "config").write_text(f"""
Port 22
HostKey {d}/host
AuthorizedKeysFile {d}/authorized
PidFile none
StrictModes no
PermitRootLogin yes
UsePAM no
Subsystem sftp internal-sftp
AcceptEnv *
""")
    pathlib.Path("/run/sshd").mkdir(exist_ok=True)
    p = host.spawn_in("work", program, "-D", "-e", "-f", str(d / "config"))
    host.wait_listen("work", 22, p)
    (d / "known").write_text("* " + (d / "host.pub").read_text())
    return ["-i", str(d / "user"), "-o", f"UserKnownHostsFile={d}/known", "-o",
            "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "-F", "none"]


@test
def test_ssh(world):
    ssh = need("ssh")
    a, b = world.two()
    options = sshd(b)
    for h, address in ((a, "10.77.0.2"), (b, "127.0.0.1")):
        r = h.run_in("work", ssh, *options, f"root@{address}", "echo $SSH_CONNECTION").ok()
        got = r.out.split()
        equal((got[2], got[3]), (address, "22"), "SSH_CONNECTION's server")
        equal(got[0], "10.77.0.1" if h is a else address, "SSH_CONNECTION's client")


@test
def test_ssh_session_is_inside_the_portspace(world):
    ssh = need("ssh")
    a, b = world.two()
    options = sshd(b)
    b.serve_in("work", "echo", 7, port=7)
    r = a.run_in("work", ssh, *options, "root@10.77.0.2",
                 f"/usr/bin/python3 {pathlib.Path(__file__).parent.parent}/lib/probe.py "
                 "ask 127.0.0.1 7 inside")
    equal(json.loads(r.ok().out)["answer"], "inside", "an echo from the ssh session")


@test
def test_scp(world):
    scp = need("scp")
    a, b = world.two()
    options = sshd(b)
    data = os.urandom(20 << 20)
    (a.home / "file").write_bytes(data)
    a.run_in("work", scp, *options, str(a.home / "file"), f"root@10.77.0.2:{b.home}/copy",
             timeout=60).ok()
    check((b.home / "copy").read_bytes() == data, "the copy differs")
    a.run_in("work", scp, *options, f"root@10.77.0.2:{b.home}/copy", str(a.home / "back"),
             timeout=60).ok()
    check((a.home / "back").read_bytes() == data, "the copy back differs")


@test
def test_ssh_port_forwarding(world):
    ssh = need("ssh")
    a, b = world.two()
    options = sshd(b)
    b.serve_in("work", "echo", 7, port=7)
    p = a.spawn_in("work", ssh, *options, "-N", "-L", "7007:127.0.0.1:7", "-o",
                   "ExitOnForwardFailure=yes", "root@10.77.0.2")
    a.wait_listen("work", 7007, p)
    equal(a.probe_in("work", "ask", "127.0.0.1", 7007, "forwarded")["answer"], "forwarded",
          "the echo through ssh -L")


def repository(host):
    """A repository with some history; returns its path."""
    need("git")
    top = host.home / "repos"
    top.mkdir()
    work = top / "work"
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-C", str(work)]
    host.run("git", "init", "-q", str(work)).ok()
    for i in range(5):
        (work / f"file{i}").write_bytes(os.urandom(200_000))
        host.run(*git, "add", ".").ok()
        host.run(*git, "commit", "-q", "-m", f"commit {i}").ok()
    host.run("git", "clone", "-q", "--bare", str(work), str(top / "repo.git")).ok()
    host.run("git", "-C", str(top / "repo.git"), "update-server-info").ok()
    return top


def cloned(host, name):
    out = host.run("git", "-C", str(host.home / name), "log", "--format=%s").ok().out
    equal(out.split("\n")[0], "commit 4", f"the last commit of {name}")
    host.run("git", "-C", str(host.home / name), "fsck", "--full").ok()


@test
def test_git_clone_over_http(world):
    a, b = world.two()
    top = repository(b)
    p = b.spawn_in("work", "/usr/bin/python3", "-m", "http.server", "80", "-d", str(top))
    b.wait_listen("work", 80, p)
    for h, address in ((a, "10.77.0.2"), (b, "localhost")):
        h.run_in("work", "git", "clone", "-q", f"http://{address}/repo.git", "http",
                 timeout=60).ok()
        cloned(h, "http")


@test
def test_git_clone_from_git_daemon(world):
    a, b = world.two()
    top = repository(b)
    p = b.spawn_in("work", "git", "daemon", "--export-all", f"--base-path={top}",
                   "--reuseaddr", "--listen=0.0.0.0")
    b.wait_listen("work", 9418, p)
    a.run_in("work", "git", "clone", "-q", "git://10.77.0.2/repo.git", "daemon", timeout=60).ok()
    cloned(a, "daemon")


@test
def test_git_clone_over_ssh(world):
    ssh = need("ssh")
    a, b = world.two()
    top = repository(b)
    options = sshd(b)
    a.run_in("work", "git", "clone", "-q", f"ssh://root@10.77.0.2{top}/repo.git", "ssh",
             env={"GIT_SSH_COMMAND": " ".join([ssh, *options])}, timeout=60).ok()
    cloned(a, "ssh")


@test
def test_iperf3(world):
    iperf3 = need("iperf3")
    a, b = world.two()
    p = b.spawn_in("work", iperf3, "-s", "-B", "0.0.0.0")
    b.wait_listen("work", 5201, p)
    for h, address in ((a, "10.77.0.2"), (b, "127.0.0.1")):
        for options in (["-P", "1"], ["-P", "4"], ["-P", "2", "-R"]):
            r = h.run_in("work", iperf3, "-c", address, "-n", "200M", "-J", *options,
                         timeout=60).json()
            check("error" not in r, r.get("error"))
            got = r["end"]["sum_received"]["bytes"]
            check(got >= 180_000_000, f"{address} {options}: {got} bytes received")


main()
