# SPDX-License-Identifier: MIT
"""The paper's own measurements, rebuilt: Table 1 and Figure 7.

Table 1 compares constructions by latency and throughput of TCP and UDP:

    bare         the tunnel without a portspace around the programs: table1 --bare speaks the
                 broker's local protocol itself, so brokers and carriers do the same work
    portspace    the same program as an ordinary one under persona-run
    below        as `portspace`, in a portspace whose super-portspace is that one (nested tunnels)
    inheritance  as `below`, but the server runs in the super-portspace and is inherited

What a portspace costs is `portspace` against `bare`, what inheritance costs is `inheritance`
against `below`: each pair differs in nothing else. All run between the same two brokers, in turn,
in short rounds, because the differences are small against what a shared machine does by itself.

Figure 7 is a web server (nginx) and ab at concurrency 1 to 10: natively over the bare network and
over wireguard-go, in a portspace, and inherited from the host by a portspace.
"""

import json

from lab import ADDRESS, Failed, last_line
from peers import HTTP, Persona

UNDERLAY_PORT = 51841
TCP_PORT, BARE_PORT = 7005, 7006
CONSTRUCTIONS = ("bare", "portspace", "below", "inheritance")
# portspace: its addresses, the port its links use in work's network
BELOW = {"own": ({"a": "10.78.0.1", "b": "10.78.0.2"}, 51842),
         "heir": ({"a": "10.79.0.1", "b": "10.79.0.2"}, 51843)}
WEB = {"a": "10.80.0.1", "b": "10.80.0.2"}
UNITS = {"ping": "tcp_latency", "ping-udp": "udp_latency", "send": "tcp_throughput",
         "send-udp": "udp_throughput"}


class Constructions:
    """Two brokers; on each host the portspaces work, own and heir below it, and web."""

    def __init__(self, lab, build, tools):
        self.lab, self.tools = lab, tools
        self.pair = Persona(lab, tools, build, tag="t", port=UNDERLAY_PORT)
        self.procs = []

    def up(self):
        lab, pair = self.lab, self.pair
        pair.start_pair()
        for name, (address, port) in BELOW.items():
            for side in "ab":
                how = "--inherit" if name == "heir" and side == "b" else "--super"
                pair.persona(side, "create", name, "--address", address[side], how, "work",
                             "--listen-port", str(port))
            self.link(name, address, {s: f"{pair.overlay[s]}:{port}" for s in "ab"})
        for side in "ab":
            pair.persona(side, "create", "web", "--address", WEB[side],
                         *(["--inherit", "root"] if side == "b" else []))
        self.link("web", WEB, {s: f"{ADDRESS[s]}:{UNDERLAY_PORT}" for s in "ab"})
        for port, flags, name in ((TCP_PORT, [], "work"), (TCP_PORT, [], "own"),
                                  (BARE_PORT, ["--bare"], "work")):
            for what in ("serve", "serve-udp"):
                self.procs.append(lab.start("b", f"table1-{name}-{what}-{port}", pair.wrap(
                    [self.tools["table1"], *flags, what, str(port)], name), env=pair.env("b")))
        lab.until("Table 1", self.ready, timeout=30)

    def link(self, name, address, endpoint):
        for side, other in (("a", "b"), ("b", "a")):
            key = self.pair.persona(other, "pubkey", name).strip()
            self.pair.persona(side, "link", "add", name, key, "--endpoint", endpoint[other],
                              "--allowed-ips", address[other] + "/32")

    def ready(self):
        for construction in CONSTRUCTIONS:
            for what in ("ping", "ping-udp"):
                self.run(construction, what, 1)
        return True

    def run(self, construction, what, number):
        """One run of table1; what it printed."""
        name = {"below": "own", "inheritance": "heir"}.get(construction, "work")
        address = (BELOW[name][0] if name in BELOW else self.pair.overlay)["b"]
        bare = construction == "bare"
        argv = [self.tools["table1"], *(["--bare"] if bare else []), what, address,
                str(BARE_PORT if bare else TCP_PORT), str(number)]
        done = self.lab.run("a", self.pair.wrap(argv, name), env=self.pair.env("a"), timeout=60)
        if done.status:
            raise Failed(f"table1 {what}, {construction}: {last_line(done.err or done.out)}")
        return json.loads(done.out[done.out.find("{"):])

    def measure(self, construction, what, number):
        """{metric: value} for the report: microseconds, Mbit/s."""
        found = self.run(construction, what, number)
        value = found["median_ns"] / 1e3 if what.startswith("ping") else (
            found["bits_per_second"] / 1e6)
        return {UNITS[what]: value}

    def web_client(self, argv):
        """ab in the portspace `web` of host a; nginx of host b answers there."""
        return ("a", self.pair.wrap(argv, "web"), self.pair.env("a"))

    def web_target(self, port=HTTP):
        return (WEB["b"], port)

    def down(self):
        for proc in self.procs:
            self.lab.stop(proc)
        self.pair.down()


class Inherited:
    """A peer for measure.connections(): the host's own nginx, inherited by a portspace."""
    name = "inheritance"

    def __init__(self, constructions):
        self.constructions = constructions

    def client(self, argv):
        return self.constructions.web_client(argv)

    def target(self, port):
        return self.constructions.web_target(port)


COLOURS = ("#555555", "#d55e00", "#0072b2", "#009e73", "#cc79a7")


def plot(series, title, path):
    """Writes {name: {x: y}} as an SVG line plot."""
    width, height, left, bottom, top, right = 640, 400, 70, 50, 40, 170
    xs = sorted({x for values in series.values() for x in values})
    peak = max(y for values in series.values() for y in values.values())

    def place(x, y):
        return (left + (x - xs[0]) / max(xs[-1] - xs[0], 1) * (width - left - right),
                height - bottom - y / peak * (height - bottom - top))

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
           'font-family="sans-serif" font-size="12">',
           '<rect width="100%" height="100%" fill="white"/>',
           f'<text x="{left}" y="22" font-size="14">{title}</text>']
    for i in range(6):
        x0, y = place(xs[0], peak * i / 5)
        out.append(f'<line x1="{x0}" y1="{y:.0f}" x2="{width - right}" y2="{y:.0f}" '
                   f'stroke="#dddddd"/><text x="{left - 8}" y="{y + 4:.0f}" '
                   f'text-anchor="end">{peak * i / 5:,.0f}</text>')
    for x in xs:
        px, py = place(x, 0)
        out.append(f'<text x="{px:.0f}" y="{py + 18:.0f}" text-anchor="middle">{x}</text>')
    out.append(f'<text x="{left}" y="{height - 10}">concurrency; requests per second</text>')
    for i, (name, values) in enumerate(series.items()):
        colour = COLOURS[i % len(COLOURS)]
        points = " ".join("%.0f,%.0f" % place(x, y) for x, y in sorted(values.items()))
        out.append(f'<polyline points="{points}" fill="none" stroke="{colour}" '
                   f'stroke-width="2"/><text x="{width - right + 12}" y="{60 + 18 * i}" '
                   f'fill="{colour}">{name}</text>')
    out.append("</svg>")
    with open(path, "w", encoding="ascii") as f:
        f.write("\n".join(out) + "\n")
