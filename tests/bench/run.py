#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures Persona beside the bare network, wireguard-go, nebula, OpenVPN, stunnel and ssh -L, in
one run, in turn.

Theory: figures from different times on a shared machine cannot be compared, ratios within one run
can. So every peer is up for the whole run, and each round makes each measurement once over each
peer, starting with another peer in each round. What is reported are medians over the rounds, their
spread, and ratios. Nothing here is a test: a missed target is reported, and the exit status says
only whether everything asked for could be measured.

Needs root (network namespaces, TUN devices). See README.md beside this file.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True  # the source tree stays as it is

import measure
import paper
import peers
import report
import scale
from lab import Failed, Lab, last_line, machine_cpu, need, raise_limits

HERE = os.path.dirname(os.path.abspath(__file__))
GROUPS = ("throughput", "rtt", "connect", "udp", "memory", "local", "table1",
          "figure7", "idle", "portspaces", "start")
CONCURRENCY = (1, 3, 10, 50)
FIGURE7 = range(1, 11)


class Build:
    """Where Persona's programs are: a meson build directory, or a tree that was installed into."""

    FILES = {"run": "persona-run", "persona": "persona", "broker": "persona-broker",
             "preload": "libpersona-preload.so", "rtt": "bench-rtt", "idle": "bench-idle",
             "spawn": "bench-spawn", "table1": "bench-table1"}

    def __init__(self, root):
        self.root = os.path.abspath(root)
        found = {}
        for path, dirs, files in os.walk(self.root):
            dirs[:] = [d for d in dirs if not d.endswith(".p") and not d.startswith("meson-")]
            found.update({f: os.path.join(path, f) for f in files if f in self.FILES.values()})
        for attribute, name in self.FILES.items():
            setattr(self, attribute, found.get(name))

    def check(self):
        missing = [self.FILES[a] for a in ("run", "persona", "broker", "preload")
                   if not getattr(self, a)]
        if missing:
            raise Failed(f"{', '.join(missing)} not found in {self.root}")

    def path_env(self):
        return ":".join([os.path.dirname(self.run), os.path.dirname(self.broker),
                         os.environ.get("PATH", "/usr/bin:/bin"), "/usr/sbin:/sbin"])

    def tools(self, workdir):
        """The bench's own C programs, compiled here when the build has none yet."""
        tools = {"table1": self.table1}  # needs the project's headers: only from a build
        for name in ("rtt", "idle", "spawn"):
            built = getattr(self, name)
            if not built:
                built = os.path.join(workdir, name)
                done = subprocess.run(
                    [need("cc"), "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-o", built,
                     os.path.join(HERE, name + ".c"), os.path.join(HERE, "net.c")],
                    capture_output=True, text=True, check=False)
                if done.returncode:
                    raise Failed(f"cc {name}.c: {last_line(done.stderr)}")
            tools[name] = built
        return tools


class Bench:
    def __init__(self, args, lab):
        self.args, self.lab = args, lab
        self.nofile = raise_limits()
        self.build = Build(args.build)
        self.tools = self.build.tools(lab.dir)
        self.results, self.busy, self.described = {}, [], {}
        self.failures, self.notes = [], []
        self.between, self.inside, self.persona = [], [], None
        self.constructions = None
        quick = args.quick
        self.settings = {"seconds": 1 if quick else 3, "round_trips": 4000 if quick else 20000,
                         "table1_pings": 2000 if quick else 10000,
                         "idle_streams": 1000 if quick else 10000,
                         "portspaces": 100 if quick else 1000, "starts": 20 if quick else 50}

    def wants(self, *groups):
        return any(g in self.args.only for g in groups)

    def note(self, text):
        print(text, file=sys.stderr, flush=True)

    def failed(self, what, err):
        text = f"{what}: {err}"
        if text not in self.failures:
            self.failures.append(text)
        self.note("  failed: " + text)

    def add(self, column, values):
        for metric, value in values.items():
            self.results.setdefault(metric, {}).setdefault(column, []).append(value)

    def attempt(self, column, what, function, prefix=""):
        """One measurement, true when it succeeded; a failure is kept and the run goes on."""
        begun = time.monotonic()
        try:
            values = function()
        except Failed as err:
            self.failed(f"{column}, {what}", err)
            return False
        values = {prefix + m: v for m, v in values.items() if prefix + m in report.METRICS}
        self.add(column, values)
        shown = ", ".join(f"{m} {v:.4g}" for m, v in values.items())
        self.note(f"  {column:12} {what:16} {time.monotonic() - begun:5.1f} s  {shown}")
        return True

    def bring_up(self):
        shared = peers.Servers(self.lab, self.tools, "shared")
        if self.wants("throughput", "rtt", "connect", "udp", "memory", "figure7"):
            shared.up()
        for kind in peers.PEERS:
            if kind.name not in self.args.peers:
                continue
            if kind is peers.Persona:
                peer = kind(self.lab, self.tools, self.build)
            elif self.wants("throughput", "rtt", "connect", "memory") or (
                    kind in (peers.Plain, peers.Wireguard) and self.wants("figure7")) or (
                    kind.datagrams and self.wants("udp")):
                peer = kind(self.lab, self.tools, shared)
            else:
                continue
            if self._up(peer):
                self.between.append(peer)
                self.persona = peer if kind is peers.Persona else self.persona
        if self.wants("local"):
            local = [peers.Loopback(self.lab, self.tools, None)]
            if self.persona:
                local.append(peers.Inside(self.lab, self.tools, self.persona))
            self.inside = [p for p in local if self._up(p)]

        if self.wants("table1", "figure7") and self.persona:
            both = paper.Constructions(self.lab, self.build, self.tools)
            try:
                both.up()
                self.constructions = both
            except Failed as err:
                self.failed("Table 1 did not come up", err)

    def _up(self, peer):
        try:
            peer.up()
            peer.check()
            self.described[peer.name] = peer.describe()
        except Failed as err:
            self.failed(f"{peer.name} did not come up", err)
            return False
        self.note(f"up: {peer.name}: {self.described[peer.name]}")
        return True

    def steps(self):
        """(what, peers, function of a peer, prefix of its metrics) in the order of a round."""
        lab, tools = self.lab, self.tools
        seconds, count = self.settings["seconds"], self.settings["round_trips"]
        for group, over, prefix in (("", self.between, ""), ("local", self.inside, "local_")):
            wants = self.wants if not group else lambda *_: self.wants("local")
            if wants("throughput"):
                for n in (1, 4):
                    yield (f"{n} stream(s)", over,
                           lambda p, n=n: measure.throughput(lab, p, n, seconds), prefix)
            if wants("rtt"):
                yield ("round trip", over,
                       lambda p: measure.round_trip(lab, p, tools, count), prefix)
            if wants("connect"):
                for c in CONCURRENCY if not group else (10,):
                    yield (f"ab -c {c}", over,
                           lambda p, c=c: measure.connections(lab, p, c, seconds), prefix)
            if self.wants("udp"):
                able = [p for p in over if p.datagrams]
                yield ("UDP round trip", able,
                       lambda p: measure.udp_round_trip(lab, p, tools, count), prefix)
                yield ("UDP goodput", able,
                       lambda p: measure.udp_goodput(lab, p, seconds), prefix)
        if self.wants("figure7"):
            over = [p for p in self.between if p.name in ("plain", "wireguard-go", "persona")]
            if self.constructions:
                over.append(paper.Inherited(self.constructions))
            for c in FIGURE7:
                yield (f"Figure 7, ab -c {c}", over,
                       lambda p, c=c: measure.connections(lab, p, c, seconds), "figure7_")
        if self.wants("memory"):
            yield ("memory", self.between, measure.tunnel_memory, "")

    def round(self, number):
        before = machine_cpu()
        time.sleep(1)
        after = machine_cpu()
        busy = [y - x for x, y in zip(before, after)]
        self.busy.append(100 * sum(busy[:2]) / max(sum(busy), 0.01))
        self.note(f"round {number + 1} of {self.args.rounds}, other load {self.busy[-1]:.0f} %")
        for what, over, function, prefix in self.steps():
            for i in range(len(over)):
                peer = over[(i + number) % len(over)]
                self.attempt(peer.name, what, lambda p=peer, f=function: f(p), prefix)

    def table1(self):
        """Many short runs in turn: what is looked for is small."""
        if not self.constructions or not self.wants("table1"):
            return
        seconds, pings = self.settings["seconds"], self.settings["table1_pings"]
        for number in range(self.args.rounds * 4):
            for what, n in (("ping", pings), ("ping-udp", pings), ("send", seconds),
                            ("send-udp", seconds)):
                order = paper.CONSTRUCTIONS
                for i in range(len(order)):
                    name = order[(i + number) % len(order)]
                    self.attempt(name, f"Table 1 {what}", lambda c=name, w=what, n=n:
                                 self.constructions.measure(c, w, n), "table1_")

    def alone(self):
        """Once: what only Persona is asked."""
        if not self.persona:
            return
        lab, tools, persona, s = self.lab, self.tools, self.persona, self.settings
        if self.wants("start"):
            for _ in range(self.args.rounds):
                self.attempt("persona", "start", lambda: scale.start(
                    lab, persona, tools, s["starts"]))
        if self.wants("idle"):
            count = s["idle_streams"] = self.affordable_streams()
            for n in (count, count // 2, count // 10):
                if self.attempt("persona", f"{n} idle streams", lambda n=n: scale.idle_streams(
                        lab, self.build, tools, n)):
                    break
        if self.wants("portspaces"):
            self.attempt("persona", "portspaces", lambda: scale.portspaces(
                lab, self.build, tools, s["portspaces"]))

    def affordable_streams(self):
        """A broker needs two descriptors for a stream; fewer streams where the limit is too low."""
        wanted = self.settings["idle_streams"]
        count = min(wanted, (self.nofile - 500) // 2)
        if count < wanted:
            self.notes.append(f"{count} idle streams instead of {wanted}: the hard limit of open "
                              f"files is {self.nofile} here and may not be raised")
        return count

    def collected(self):
        summed = report.summary(self.results)
        return {"machine": report.machine(), "rounds": self.args.rounds, "quick": self.args.quick,
                "settings": self.settings, "peers": self.described, "busy_before": self.busy,
                "failures": self.failures, "notes": self.notes,
                "results": self.results, "summary": summed,
                "ratios": report.ratios(summed, "persona"),
                "ratios_local": report.ratios({m: c for m, c in summed.items()
                                               if m.startswith("local_")}, "portspace"),
                "targets": report.targets(summed, self.settings)}


def names(allowed):
    def parse(text):
        wanted = tuple(text.split(","))
        for name in wanted:
            if name not in allowed:
                raise argparse.ArgumentTypeError(
                    f"{name}: not one of {', '.join(allowed)}")
        return wanted
    return parse


def arguments():
    known = tuple(p.name for p in peers.PEERS)
    parser = argparse.ArgumentParser(
        description="Measures Persona beside its peers; see README.md in this directory.")
    parser.add_argument("--build", default="build", metavar="DIR",
                        help="meson build directory or install tree with Persona (default: build)")
    parser.add_argument("--rounds", type=int, metavar="N", help="default 5; 1 with --quick")
    parser.add_argument("--quick", action="store_true",
                        help="short runs and small numbers: does it work, not how fast is it")
    parser.add_argument("--only", type=names(GROUPS), default=GROUPS, metavar="GROUP,...",
                        help="of " + ", ".join(GROUPS))
    parser.add_argument("--peers", type=names(known), default=known, metavar="PEER,...",
                        help="of " + ", ".join(known))
    parser.add_argument("--json", metavar="OUT", help="write every value and the summary as JSON")
    parser.add_argument("--plot", metavar="OUT", help="draw Figure 7 as SVG")
    parser.add_argument("--keep", metavar="DIR",
                        help="copy the logs and configuration files of the run there")
    args = parser.parse_args()
    args.rounds = args.rounds or (1 if args.quick else 5)
    if args.rounds < 1:
        parser.error("--rounds: at least 1")
    return args


def keep_logs(source, target):
    """Copies logs and configuration files, but neither keys nor sockets."""
    os.makedirs(target, exist_ok=True)
    for entry in os.scandir(source):
        if entry.is_file() and entry.name.endswith((".log", ".conf", ".err")):
            shutil.copy(entry.path, target)


def stop(number, _frame):
    raise SystemExit(128 + number)


def main():
    args = arguments()
    if os.geteuid() != 0:
        print("skipped: network namespaces and TUN devices need root", file=sys.stderr)
        return 77
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    lab = Lab()
    try:
        with lab:
            bench = Bench(args, lab)
            bench.bring_up()
            for number in range(args.rounds):
                bench.round(number)
            bench.table1()
            bench.alone()
            run = bench.collected()
            if args.keep:
                keep_logs(lab.dir, args.keep)
    except Failed as err:
        print(f"run.py: {err}", file=sys.stderr)
        return 1
    print(report.text(run))
    if args.plot and report.figure7(run["summary"]):
        paper.plot(report.figure7(run["summary"]), "Web server in three constructions", args.plot)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            json.dump(run, f, indent=1)
            f.write("\n")
    return 1 if bench.failures else 0


if __name__ == "__main__":
    sys.exit(main())
