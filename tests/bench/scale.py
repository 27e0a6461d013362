# SPDX-License-Identifier: MIT
"""What only Persona is asked: many idle streams, many portspaces, and what a start costs.

Each function returns {metric: value} or raises lab.Failed. Memory per stream is the growth of the
broker's own pages (unique set size), so what the kernel keeps for a socket is not in it.
"""

import json
import os
import re
import socket
import statistics
import subprocess
import time

from lab import Failed, cpu, last_line, settled_memory
from peers import Persona

IDLE_PORT = 7003
IDLE_UNDERLAY_PORT = 51825
MANY_UNDERLAY_PORT = 51831
WARMUP_STREAMS = 16


def idle_streams(lab, build, tools, count):
    """Opens `count` streams from a to b that carry one byte each way and then nothing. The brokers
    are new ones: memory kept from earlier streams would hide what these need."""
    pair = Persona(lab, tools, build, tag=f"i{count}", port=IDLE_UNDERLAY_PORT)
    server = None
    try:
        pair.start_pair()
        server = lab.start("b", "idle-server", pair.wrap(
            [tools["idle"], "serve", "0.0.0.0", str(IDLE_PORT)]), env=pair.env("b"))
        lab.until("idle server", lambda: _end(lab, _hold(lab, pair, tools, 1)), proc=server)
        return _idle_values(lab, pair, tools, count)
    finally:
        if server:
            lab.stop(server)
        pair.down()


def _idle_values(lab, pair, tools, count):
    def look():
        return {side: settled_memory([broker.pid]) for side, broker in pair.broker.items()}

    _end(lab, _hold(lab, pair, tools, WARMUP_STREAMS))
    before = look()
    held = _hold(lab, pair, tools, count)
    during = look()
    idle_cpu = _idle_cpu([broker.pid for broker in pair.broker.values()], 3)
    _end(lab, held)
    after = look()
    _end(lab, _hold(lab, pair, tools, count))
    again = look()
    values = {"idle_streams": count, "idle_rate": count / held[2], "idle_cpu": idle_cpu}
    for side in "ab":
        values[f"idle_uss_{side}"] = (during[side]["uss"] - before[side]["uss"]) / count
        values[f"idle_rss_{side}"] = (during[side]["rss"] - before[side]["rss"]) / count
        values[f"idle_kept_{side}"] = (after[side]["uss"] - before[side]["uss"]) / count
        values[f"idle_again_{side}"] = (again[side]["uss"] - after[side]["uss"]) / count
    return values


def _hold(lab, pair, tools, count):
    """(process, its standard input, seconds it took) once all streams are open."""
    name = "idle-client"
    if os.path.exists(lab.path(name + ".log")):
        os.unlink(lab.path(name + ".log"))
    address, port = pair.target(IDLE_PORT)
    side, argv, env = pair.client([tools["idle"], "hold", address, str(port), str(count)])
    proc = lab.start(side, name, argv, env=env, stdin=subprocess.PIPE)
    try:
        lab.until(f"{count} streams", lambda: re.search(r"^ready ", lab.log(name), re.M),
                  timeout=120, proc=proc)
    except Failed:
        lab.stop(proc)
        proc.stdin.close()
        raise Failed(f"{count} streams: {last_line(lab.log(name))}") from None
    seconds = float(re.search(r"^ready ([\d.]+)", lab.log(name), re.M).group(1))
    return (proc, proc.stdin, seconds)


def _end(lab, held):
    held[1].close()
    lab.until("idle client ends", lambda: held[0].poll() is not None)
    lab.stop(held[0])
    return True


def _idle_cpu(pids, seconds):
    """Share of one core that these processes use while nobody asks anything of them, percent."""
    before = sum(cpu(pids))
    begun = time.monotonic()
    time.sleep(seconds)
    return 100 * (sum(cpu(pids)) - before) / (time.monotonic() - begun)


class Control:
    """A connection to a broker's control socket (docs/PROTOCOL.md, section 2)."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(60)
        self.sock.connect(path)
        self.file = self.sock.makefile("rwb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.sock.close()

    def ask(self, op, **members):
        self.file.write(json.dumps({"version": 1, "op": op, **members}).encode() + b"\n")
        self.file.flush()
        line = self.file.readline()
        if not line:
            raise Failed(f"{op}: the broker closed the connection")
        reply = json.loads(line)
        if not reply.get("ok"):
            raise Failed(f"{op}: {reply.get('error', {}).get('message', reply)}")
        return reply


def portspaces(lab, build, tools, count):
    """Makes `count` portspaces on a broker of its own, looks at it, and removes them."""
    host = Persona(lab, tools, build, tag="many", port=MANY_UNDERLAY_PORT)
    try:
        host.start_broker("a")
        with Control(host.control("a")) as broker:
            return _portspace_values(lab, host, tools, broker, [f"p{i}" for i in range(count)])
    finally:
        host.down()


def _portspace_values(lab, host, tools, broker, names):
    pids, count = [host.broker["a"].pid], len(names)
    before = settled_memory(pids)
    begun = time.monotonic()
    for i, name in enumerate(names):
        broker.ask("create", name=name, addresses=[f"10.{i >> 8}.{i & 255}.1/32"])
    created = time.monotonic() - begun
    grown = settled_memory(pids)["uss"] - before["uss"]
    idle = _idle_cpu(pids, 3)
    begun = time.monotonic()
    listed = len(broker.ask("list")["portspaces"])
    list_seconds = time.monotonic() - begun
    if listed != count:
        raise Failed(f"{listed} of {count} portspaces are listed")
    extra = _extra(lab, tools, 20, host.env("a"), host.wrap(["true"], names[count // 2]))
    begun = time.monotonic()
    for name in names:
        broker.ask("destroy", name=name)
    destroyed = time.monotonic() - begun
    return {"portspaces": count, "portspace_create": created / count * 1e3,
            "portspace_destroy": destroyed / count * 1e3, "portspace_uss": grown / count / 1024,
            "portspace_idle_cpu": idle, "portspace_list": list_seconds * 1e3,
            "portspace_run_extra": extra}


def _extra(lab, tools, rounds, env, argv):
    """Milliseconds by which argv takes longer than `true`: difference of medians, taken in turn."""
    done = lab.run("a", [tools["spawn"], str(rounds), "true", "//", *argv], env=env)
    if done.status:
        raise Failed(f"spawn: {last_line(done.err or done.out)}")
    plain, other = (statistics.median(ns) for ns in json.loads(done.out[done.out.find("[["):]))
    return (other - plain) / 1e6


def start(lab, persona, tools, rounds):
    """persona-run against the bare program, and the shim alone."""
    env = persona.env("a")
    shown = json.loads(persona.persona("a", "show", "work", "--json"))
    ident = shown.get("portspace", shown)["id"]
    shim = [f"LD_PRELOAD={persona.build.preload}",
            "PERSONA_PORTSPACE_DIR=" + os.path.join(env["PERSONA_RUNTIME_DIR"], "ps", str(ident)),
            "true"]
    return {"start_run_extra": _extra(lab, tools, rounds, env, persona.wrap(["true"])),
            "start_shim_extra": _extra(lab, tools, rounds * 3, env, shim)}
