#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Much data: 1 GiB with its checksum, also through a relay, also in 200 streams at once.
PERSONA_TEST_BYTES changes the amount (sanitized builds are slow)."""

import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from persona_test import equal, link, main, test, wait_for  # noqa: E402

TOTAL = int(os.environ.get("PERSONA_TEST_BYTES", 1 << 30))


def three(world):
    """a - b - c: a and c know each other only through b."""
    a, b, c = world.host("a"), world.host("b"), world.host("c")
    for h in (a, b, c):
        h.start_broker()
        h.create("work", f"10.77.0.{h.number}")
    link(a, "work", b, "work", extra_a=["10.77.0.3/32"])
    link(b, "work", c, "work", extra_b=["10.77.0.1/32"])
    return a, b, c


@test
def test_one_gib(world):
    a, b = world.two()
    b.serve_in("work", "sink", 9, port=9)
    r = a.probe_in("work", "push", "10.77.0.2", 9, TOTAL, 1, timeout=300)
    equal(r["bad"], [], "streams with a wrong digest")
    print(f"# {TOTAL / r['seconds'] / 1e6:.0f} MB/s")


@test
def test_one_gib_towards_the_client(world):
    a, b = world.two()
    b.serve_in("work", "source", 9, TOTAL, port=9)
    r = a.probe_in("work", "pull", "10.77.0.2", 9, TOTAL, timeout=300)
    equal(r, {"bytes": TOTAL, "same": True}, "what arrived")


@test
def test_one_gib_inside_one_portspace(world):
    a = world.one()
    a.serve_in("work", "sink", 9, port=9)
    equal(a.probe_in("work", "push", "127.0.0.1", 9, TOTAL, 1, timeout=300)["bad"], [], "digests")


@test
def test_one_gib_through_a_relay(world):
    a, b, c = three(world)
    c.serve_in("work", "sink", 9, port=9)
    r = a.probe_in("work", "push", "10.77.0.3", 9, TOTAL, 1, timeout=400)
    equal(r["bad"], [], "streams with a wrong digest")
    wait_for("the relay has no stream left", lambda: b.status("work")["streams"] == 0)
    print(f"# {TOTAL / r['seconds'] / 1e6:.0f} MB/s")


@test
def test_two_hundred_streams(world):
    a, b = world.two()
    b.serve_in("work", "sink", 9, port=9)
    r = a.probe_in("work", "push", "10.77.0.2", 9, TOTAL // 512, 200, timeout=300)
    equal((r["ok"], r["bad"]), (200, []), "digests")


@test
def test_two_hundred_streams_through_a_relay(world):
    a, b, c = three(world)
    c.serve_in("work", "sink", 9, port=9)
    r = a.probe_in("work", "push", "10.77.0.3", 9, TOTAL // 2048, 200, timeout=300)
    equal((r["ok"], r["bad"]), (200, []), "digests")


@test
def test_reader_that_does_not_read_costs_no_memory(world):
    a, b = world.two()
    b.serve_in("work", "hold", 9, port=9)

    def rss(host):
        status = pathlib.Path(f"/proc/{host.broker.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    before = [rss(a), rss(b)]
    program = ("import socket,json\n"
               "out=[]\n"
               "for i in range(20):\n"
               "  s=socket.create_connection(('10.77.0.2',9)); s.settimeout(1); n=0; out.append(s)\n"
               "  b=b'x'*65536\n"
               "  s.setblocking(False)\n"
               "  import select\n"
               "  while select.select([],[s],[],0.3)[1]:\n"
               "    try: n+=s.send(b)\n"
               "    except BlockingIOError: pass\n"
               "    if n > 64<<20: break\n"
               "  print(n, flush=True)\n"
               "print('done', flush=True)\n"
               "import time; time.sleep(600)\n")
    client = a.spawn_in("work", "/usr/bin/python3", "-c", program, name="pusher")
    out = client.until("done", 90).output()
    sent = [int(x) for x in out.splitlines() if x.isdigit()]
    equal(len(sent), 20, "streams")
    equal([n for n in sent if n > 32 << 20], [], "streams that took more than 32 MiB unread")
    grown = [rss(a) - before[0], rss(b) - before[1]]
    equal([g for g in grown if g > 64 * 1024], [], f"brokers that grew by more than 64 MiB {grown}")


main()
