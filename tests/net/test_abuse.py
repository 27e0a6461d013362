#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Bad local clients cost only themselves: while one floods the broker's sockets from its own
portspace, a healthy program in another portspace keeps being served."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from persona_test import PYTHON, SCALE, check, equal, main, test, wait_for  # noqa: E402

ABUSE = str(pathlib.Path(__file__).resolve().parent / "abuse.py")


def descriptors(host):
    return len(list(pathlib.Path(f"/proc/{host.broker.pid}/fd").iterdir()))


def rss_kib(host):
    text = pathlib.Path(f"/proc/{host.broker.pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0])


def abused(world, how, seconds=6):
    """A healthy client on host a beside the abuse `how` in another portspace of a."""
    a, b = world.two()
    a.create("bad", "10.66.0.1")
    b.serve_in("work", "echo", 7, port=7)
    quiet = a.probe_in("work", "steady", "10.77.0.2", 7, 1, timeout=60)
    check(quiet["failures"] == 0, f"failures before: {quiet}")
    fds, memory = descriptors(a), rss_kib(a)
    p = a.spawn_in("bad", PYTHON, ABUSE, how, name=f"abuse-{how}")
    p.until("busy", 60)
    r = a.probe_in("work", "steady", "10.77.0.2", 7, seconds, timeout=120)
    check(p.alive(), f"the abuse ended early: {p.output()[-1500:]}")
    p.stop()
    check(a.broker.alive(), "the broker died")
    equal((r["failures"], r["kinds"]), (0, []), f"failures of {r['attempts']} healthy streams")
    check(r["attempts"] >= 5, f"only {r['attempts']} healthy streams in {seconds} s")
    check(r["slowest"] < 5 * SCALE, f"the slowest took {r['slowest']:.1f} s")
    wait_for("the broker gave the descriptors back", lambda: descriptors(a) <= fds + 20, 30)
    check(rss_kib(a) < memory + 100 * 1024, f"memory grew from {memory} to {rss_kib(a)} KiB")
    a.run_in("bad", "true").ok()
    print(f"# {r['attempts']} healthy streams, slowest {r['slowest'] * 1000:.0f} ms; "
          f"alone: {quiet['attempts']} in 1 s")


@test
def test_garbage(world):
    abused(world, "garbage")


@test
def test_stalls(world):
    abused(world, "stall")


@test
def test_flood_of_connections(world):
    abused(world, "flood")


@test
def test_flood_of_connects_to_nowhere(world):
    abused(world, "nowhere")


@test
def test_ten_thousand_sockets(world):
    abused(world, "many")


@test
def test_death_at_every_step(world):
    abused(world, "die")


@test
def test_wrong_descriptors(world):
    abused(world, "descriptors")


@test
def test_control_socket_abuse_from_outside(world):
    """The same user outside any portspace may manage; it may not break the broker either."""
    a, b = world.two()
    b.serve_in("work", "echo", 7, port=7)
    p = a.spawn(PYTHON, ABUSE, "control", name="abuse-control")
    p.until("busy", 60)
    r = a.probe_in("work", "steady", "10.77.0.2", 7, 5, timeout=120)
    check(p.alive(), f"the abuse ended early: {p.output()[-1500:]}")
    p.stop()
    equal((r["failures"], r["kinds"]), (0, []), f"failures of {r['attempts']} healthy streams")
    check(a.broker.alive(), "the broker died")
    a.persona("list").ok()


@test
def test_ten_thousand_idle_streams(world):
    """Idle streams over one link: all open, a new one still goes through, all gone at the end."""
    a, b = world.two()
    b.serve_in("work", "echo", 7, port=7)
    count = 2000  # of one process each; the program's own limit is what ends it
    server = b.spawn_in("work", PYTHON, ABUSE, "server", "9", name="server")
    b.wait_listen("work", 9, server)
    import subprocess
    clients = []
    for i in range(2):
        clients.append(a.spawn_in("work", PYTHON, str(pathlib.Path(__file__).parent.parent / "lib"
                                                      / "probe.py"), "idle", "10.77.0.2", "9",
                                  str(count), name=f"idle{i}", stdin=subprocess.PIPE))
    for p in clients:
        p.until('"open"', 120)
        check(f'"open": {count}, "failed": 0' in p.output(), p.output()[-300:])
    equal(a.probe_in("work", "ask", "10.77.0.2", 7, "one more")["answer"], "one more", "the echo")
    print(f"# {2 * count} streams, broker of a: {rss_kib(a)} KiB")
    for p in clients:
        p.popen.stdin.close()
        p.wait(60)
    wait_for("all streams are gone", lambda: a.status("work")["streams"] == 0, 60)


main()
