#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Nesting: links of a portspace run inside the network of its super-portspace, to any depth, and
the base network sees only the outermost tunnel."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "lib"))

from persona_test import check, equal, main, need, only_underlay, test, wait_for  # noqa: E402

PORT = 51821  # ListenPort when not given


def nest(a, b, name, above, network, above_network, **settings):
    """Makes the portspace `name` on both hosts below `above` and links the two inside it."""
    hosts = (a, b)
    for h in hosts:
        h.persona("create", name, "--address", f"{network}.{h.number}", "--super", above,
                  *[x for k, v in settings.items() for x in (f"--{k}", v)]).ok()
    for me, other in (hosts, hosts[::-1]):
        me.persona("link", "add", name, other.pubkey(name),
                   "--allowed-ips", f"{network}.{other.number}/32",
                   "--endpoint", f"{above_network}.{other.number}:{PORT}").ok()


def fetch(h, portspace, url):
    curl = need("curl")
    return h.run_in(portspace, curl, "-sS", "--max-time", "20", url).ok().out


def serve(h, portspace, text, port=80):
    """A web server that answers with the text and the peer's address."""
    p = h.spawn_in(portspace, "/usr/bin/python3", "-c", f"""
import http.server
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = ('{text} ' + self.client_address[0]).encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(('', {port}), H).serve_forever()
""", name=f"{h.name}-{portspace}-web")
    h.wait_listen(portspace, port, p)
    return p


@test
def test_three_levels(world):
    a, b = world.two()
    nest(a, b, "mid", "work", "10.88.0", "10.77.0")
    nest(a, b, "deep", "mid", "10.99.0", "10.88.0")
    serve(b, "deep", "MARKER-deep")
    serve(b, "mid", "MARKER-mid")
    wires = [h.capture() for h in (a, b)]
    equal(fetch(a, "deep", "http://10.99.0.2/"), "MARKER-deep 10.99.0.1", "two levels below")
    equal(fetch(a, "mid", "http://10.88.0.2/"), "MARKER-mid 10.88.0.1", "one level below")
    for wire in wires:
        wire.finish()
        equal(only_underlay(wire, (a, b)), [], "packets that are not the outer tunnel's")
        check(wire.packets(), "the capture is empty")
        for interface, data in wire.data().items():
            check(b"MARKER" not in data, f"{interface}: readable bytes of an inner network")
    # the inner networks are apart: nobody else reaches their servers
    r = a.probe_in("work", "errno", "10.99.0.2", 80, 5, timeout=15)
    equal(r["error"], "ENETUNREACH", "the deep network from the outer one")
    # each level sees its carriers as one more stream of the level above
    check(b.status("work")["links"][0]["streams"] >= 1, "no stream in the outer link")
    check(b.status("mid")["links"][0]["streams"] >= 1, "no stream in the middle link")
    equal(b.status("mid")["mtu"], 1340, "MTU one level below")
    equal(b.status("deep")["mtu"], 1260, "MTU two levels below")


if __name__ == "__main__":
    main()
