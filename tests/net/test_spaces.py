#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Portspaces and the tools: overlapping addresses, the host's own address, import, lifetime."""

import json
import os
import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from persona_test import check, equal, link, main, need, test, wait_for, _binary  # noqa: E402


@test
def test_two_portspaces_with_the_same_addresses(world):
    a, b = world.host("a"), world.host("b")
    for h in (a, b):
        h.start_broker()
        for name in ("red", "blue"):
            h.create(name, f"10.77.0.{h.number}")
    for name in ("red", "blue"):
        link(a, name, b, name)
        (b.home / name).mkdir()
        (b.home / name / "who").write_text(name)
        p = b.spawn_in(name, "/usr/bin/python3", "-m", "http.server", "80", "-d",
                       str(b.home / name))
        b.wait_listen(name, 80, p)
    for _ in range(5):
        for name in ("red", "blue"):
            for h, address in ((a, "10.77.0.2"), (b, "127.0.0.1"), (b, "10.77.0.2")):
                r = h.run_in(name, need("curl"), "-sS", "--fail", f"http://{address}/who").ok()
                equal(r.out, name, f"{h.name}/{name} asks {address}")


@test
def test_a_portspace_does_not_see_another_one(world):
    a = world.one()
    a.create("other", "10.77.0.5")
    a.serve_in("work", "echo", 7, port=7)
    equal(a.probe_in("other", "errno", "127.0.0.1", 7)["error"], "ECONNREFUSED", "127.0.0.1")
    equal(a.probe_in("other", "errno", "10.77.0.1", 7)["error"], "ENETUNREACH", "10.77.0.1")


@test
def test_portspace_with_the_hosts_own_address(world):
    a, b = world.host("a"), world.host("b")
    for h in (a, b):
        h.start_broker()
        h.create("work", h.address)  # 192.0.2.1 and .2, as in the base network
    link(a, "work", b, "work")
    b.serve_in("work", "echo", 7, port=7)
    equal(a.probe_in("work", "ask", b.address, 7, "same")["answer"], "same", "the echo")
    r = a.run("/usr/bin/python3", "-c", "import socket; s=socket.socket(); s.settimeout(5); "
              f"print(s.connect_ex(('{b.address}',7)))")
    check(r.out.strip() == "111", f"port 7 of the base network is not the portspace's: {r.out}")


@test
def test_import_of_a_wg_quick_file(world):
    a, b = world.host("a"), world.host("b")
    for h in (a, b):
        h.start_broker()
    b.create("work", "10.77.0.2")
    genkey = a.run(need("openssl"), "genpkey", "-algorithm", "X25519", "-outform", "DER",
                   "-out", "key.der").ok()
    del genkey
    raw = (a.home / "key.der").read_bytes()[-32:]
    import base64
    private = base64.b64encode(raw).decode()
    ran = a.home / "hook-ran"
    (a.home / "wg0.conf").write_text(f"""
# a file as wg-quick has it
[Interface]
PrivateKey = {private}
Address = 10.77.0.1/24, fd77::1/64
DNS = 10.77.0.53
MTU = 1380
PostUp = touch {ran}
PostDown = touch {ran}

[Peer]
PublicKey = {b.pubkey("work")}
AllowedIPs = 10.77.0.2/32
Endpoint = {b.address}:{b.port}
PersistentKeepalive = 25
""")
    (a.home / "wg0.conf").chmod(0o600)
    r = a.persona("import", "wg0.conf", "--name", "work").ok()
    check("PostUp" in r.err + r.out, f"no warning about PostUp: {r.err}{r.out}")
    check(private not in r.out + r.err, "the private key is shown")
    b.persona("link", "add", "work", a.pubkey("work"), "--allowed-ips", "10.77.0.1/32").ok()
    b.serve_in("work", "echo", 7, port=7)
    wait_for("the echo", lambda: a.probe_in("work", "errno", "10.77.0.2", 7, 10)["error"] is None,
             30)
    equal(a.probe_in("work", "ask", "10.77.0.2", 7, "wg")["answer"], "wg", "the echo")
    check(not ran.exists(), "a hook of the file was run")
    shown = a.control({"version": 1, "op": "show", "name": "work"})["portspace"]
    equal(shown["mtu"], 1380, "MTU")
    check("10.77.0.1/24" in shown["addresses"], f"addresses: {shown['addresses']}")


@test
def test_import_refuses_a_broken_file(world):
    a = world.host("a")
    a.start_broker()
    for text in ("", "[Interface]\nPrivateKey = short\nAddress = 10.0.0.1/24\n",
                 "[Peer]\nPublicKey = x\n", "[Interface\n", "\0\1\2\n" * 100):
        (a.home / "bad.conf").write_text(text)
        r = a.persona("import", "bad.conf", "--name", "bad")
        check(r.code != 0 and r.err, f"accepted: {text!r}")
    equal(a.control({"version": 1, "op": "list"})["portspaces"], [], "portspaces")


@test
def test_unnamed_portspace_ends_with_its_last_process(world):
    a = world.host("a")
    a.start_broker()
    p = a.spawn_in(None, "/usr/bin/python3", "-c", "import time; print('up', flush=True); "
                   "time.sleep(600)", options=["--address", "10.88.0.1"])
    p.until("up")
    listed = a.control({"version": 1, "op": "list"})["portspaces"]
    equal([x["ephemeral"] for x in listed], [True], "portspaces while it runs")
    p.stop()
    wait_for("the portspace is gone",
             lambda: a.control({"version": 1, "op": "list"})["portspaces"] == [])


@test
def test_persona_run_starts_the_broker(world):
    a = world.host("a")
    r = a.run_in(None, "/usr/bin/python3", "-c", "print('ran')").ok()
    equal(r.out.strip(), "ran", "the program's output")
    check(a.control({"version": 1, "op": "ping"})["ok"], "a broker answers")


@test
def test_exit_status_and_arguments_pass_through(world):
    a = world.one()
    equal(a.run_in("work", "sh", "-c", "exit 7").code, 7, "exit status")
    equal(a.run_in("work", "sh", "-c", "kill -TERM $$").code, -signal.SIGTERM,
          "the end by a signal")
    equal(a.run_in("work", "printf", "%s|", "a b", "", "-x", "--").ok().out, "a b||-x|--|",
          "arguments")
    equal(a.run_in("work", "/nonexistent").code, 127, "exit status of a missing program")
    equal(a.run_in("work", "/etc/passwd").code, 126, "exit status of a file that is no program")
    equal(a.run_in("work", "cat", stdin=b"through\n").ok().out, "through\n", "standard input")


@test
def test_no_such_portspace(world):
    a = world.host("a")
    a.start_broker()
    r = a.run_in("nowhere", "true")
    check(r.code not in (0, 1) or r.err, "no error")
    check("nowhere" in r.err, f"the message does not name it: {r.err!r}")


@test
def test_tools_and_their_json(world):
    a, _ = world.two()
    names = [p["name"] for p in a.persona("list", "--json").json()["portspaces"]]
    equal(names, ["work"], "persona list --json")
    show = a.persona("show", "work", "--json").json()
    equal(show["portspace"]["name"], "work", "persona show --json")
    status = a.persona("status", "work", "--json").json()
    equal(status["portspaces"][0]["name"], "work", "persona status --json")
    links = a.persona("link", "list", "work", "--json").json()["links"]
    equal(len(links), 1, "persona link list --json")
    for command in (["list"], ["show", "work"], ["status"], ["status", "work"],
                    ["link", "list", "work"]):
        check("work" in a.persona(*command).ok().out or command[0] == "link", f"persona {command}")
    secret = json.dumps([show, status, links])
    check("private" not in secret, "a private key in a reply")
    for bad in (["show", "nowhere"], ["create", "work", "--address", "10.1.1.1"],
                ["create", "x/y", "--address", "10.1.1.1"], ["frobnicate"],
                ["link", "add", "work", "nokey", "--allowed-ips", "10.0.0.0/8"],
                ["create", "z", "--address", "300.1.1.1"]):
        r = a.persona(*bad)
        check(r.code != 0 and r.err, f"persona {' '.join(bad)} did not fail with a message")


@test
def test_link_remove_and_destroy(world):
    a, b = world.two()
    a.persona("link", "remove", "work", b.pubkey("work")).ok()
    equal(a.status("work")["links"], [], "links")
    equal(a.probe_in("work", "errno", "10.77.0.2", 80)["error"], "ENETUNREACH", "after the removal")
    a.persona("destroy", "work").ok()
    check(a.persona("show", "work").code != 0, "the portspace is still there")
    keys = [p for p in pathlib.Path(a.env["PERSONA_CONFIG_DIR"]).rglob("*") if p.is_file()]
    keys += [p for p in pathlib.Path(a.env["PERSONA_STATE_DIR"]).rglob("*") if p.is_file()]
    check(not any("work" in p.name for p in keys), f"files are left: {keys}")


@test
def test_destroy_refuses_while_somebody_is_inside(world):
    a = world.one()
    p = a.spawn_in("work", "sleep", "600")
    wait_for("it is inside", lambda: a.status("work")["inits"])
    r = a.persona("destroy", "work")
    check(r.code != 0, "destroyed with a process inside")
    check(p.alive(), "the process was ended")


@test
def test_files_are_private(world):
    a, _ = world.two()
    for variable in ("PERSONA_RUNTIME_DIR", "PERSONA_STATE_DIR", "PERSONA_CONFIG_DIR"):
        top = pathlib.Path(a.env[variable])
        if not top.exists():
            continue
        for p in [top, *top.rglob("*")]:
            mode = p.lstat().st_mode & 0o777
            if p.is_dir():
                check(mode & 0o077 == 0, f"{p} has mode {mode:o}")
            elif p.is_file() and b"PrivateKey" in p.read_bytes():
                equal(oct(mode), "0o600", f"mode of {p}")


@test
def test_status_tells_the_seal(world):
    a = world.one()
    for seal in ("sealed", "shim"):
        p = a.spawn_in("work", "sleep", "600", seal=seal)
        wait_for(f"status says {seal}", lambda s=seal: s in [
            i["seal"] for i in a.status("work")["inits"]])
        p.stop()
        wait_for("it is gone", lambda: not a.status("work")["inits"])


@test
def test_a_quiet_program_stays_a_member(world):
    """Longer than the broker waits for a stalled client of its control socket."""
    a = world.one()
    p = a.spawn_in("work", "sleep", "600")
    pid = wait_for("it is inside", lambda: a.status("work")["inits"])[0]["pid"]
    end = time.monotonic() + 8
    while time.monotonic() < end:
        equal([i["pid"] for i in a.status("work")["inits"]], [pid], "inits")
        time.sleep(0.05)
    p.stop()


@test
def test_sealed_process_may_not_manage(world):
    a = world.one()
    a.create("other", "10.77.0.9")
    persona = _binary("persona")
    for command in (["destroy", "other"], ["create", "third", "--address", "10.1.1.1"],
                    ["link", "list", "other"], ["list"]):
        r = a.run_in("work", persona, *command)
        check(r.code != 0, f"persona {' '.join(command)} worked inside")
    run = _binary("persona-run")
    r = a.run_in("work", run, "other", "--", "true")
    check(r.code != 0, "persona-run entered another portspace from inside")
    a.persona("show", "other").ok()


@test
def test_process_whose_init_was_killed_has_no_rights(world):
    a = world.one()
    marker = a.home / "out"
    p = a.spawn_in("work", "setsid", "sh", "-c", "echo up; while [ ! -e go ]; do sleep 0.05; done; "
                   f"{_binary('persona')} list > {marker}.tmp 2>&1; echo $? >> {marker}.tmp; "
                   f"mv {marker}.tmp {marker}")
    p.until("up")
    init = a.status("work")["inits"][0]["pid"]
    os.kill(init, signal.SIGKILL)
    wait_for("the init is gone", lambda: not a.status("work")["inits"])
    (a.home / "go").write_text("")

    def ended():
        # a killed init may take its processes with it: then there is nothing left to ask
        return marker.exists() or not _has_child_of(a)

    wait_for("the answer or the end of the process", ended)
    if marker.exists():
        check(marker.read_text().splitlines()[-1] != "0", marker.read_text())


def _has_child_of(host):
    mark = f"HOME={host.home}".encode()
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                if mark in pathlib.Path("/proc", entry, "environ").read_bytes() and \
                        b"sleep 0.05" in pathlib.Path("/proc", entry, "cmdline").read_bytes():
                    return True
            except OSError:
                continue
    return False


main()
