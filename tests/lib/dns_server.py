#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A name server for tests, UDP and TCP on one address, with a fixed zone.

  dns_server.py ADDRESS [--port N]

Names (below "test." and nowhere else): server.test A 10.77.0.2;
  a.test A 10.1.2.3; six.test AAAA fd00::6; both.test A and AAAA; www.test CNAME both.test;
  many.test 40 addresses (an answer that UDP cuts); big.test TXT of 3,000 bytes (likewise);
  text.test TXT "hello world"; mx.test MX; _sip._tcp.test SRV; only.test TXT only;
  host.corp.test A 10.1.2.4, host.lab.test A 10.1.2.5 (for search domains); fail.test SERVFAIL;
  refused.test REFUSED; never.test and below: no answer at all; garbage.test a broken answer;
  once.test A with TTL 0, cached.test A with TTL 60; 3.2.1.10.in-addr.arpa PTR a.test, 6...ip6.arpa
Anything else is NXDOMAIN. Each query is a line of output: transport, type, name.
"""

import argparse
import ipaddress
import socket
import struct
import threading

A, NS, CNAME, SOA, PTR, MX, TXT, AAAA, SRV, OPT, ANY = 1, 2, 5, 6, 12, 15, 16, 28, 33, 41, 255
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5
TYPES = {A: "A", NS: "NS", CNAME: "CNAME", SOA: "SOA", PTR: "PTR", MX: "MX", TXT: "TXT",
         AAAA: "AAAA", SRV: "SRV"}


def wire(name):
    return b"".join(bytes([len(x)]) + x.encode() for x in name.rstrip(".").split(".") if x) + b"\0"


def ip4(text):
    return socket.inet_pton(socket.AF_INET, text)


def ip6(text):
    return socket.inet_pton(socket.AF_INET6, text)


def txt(data):
    return b"".join(bytes([len(data[i:i + 255])]) + data[i:i + 255]
                    for i in range(0, len(data), 255))


ZONE = {
    "a.test": [(A, 60, ip4("10.1.2.3"))],
    "six.test": [(AAAA, 60, ip6("fd00::6"))],
    "both.test": [(A, 60, ip4("10.1.2.8")), (AAAA, 60, ip6("fd00::8"))],
    "www.test": [(CNAME, 60, wire("both.test"))],
    "many.test": [(A, 60, ip4(f"10.5.0.{i}")) for i in range(1, 41)],
    "big.test": [(TXT, 60, txt(b"x" * 3000))],
    "text.test": [(TXT, 60, txt(b"hello world"))],
    "only.test": [(TXT, 60, txt(b"no address"))],
    "mx.test": [(MX, 60, struct.pack("!H", 10) + wire("a.test"))],
    "_sip._tcp.test": [(SRV, 60, struct.pack("!HHH", 1, 2, 5060) + wire("a.test"))],
    "host.corp.test": [(A, 60, ip4("10.1.2.4"))],
    "host.lab.test": [(A, 60, ip4("10.1.2.5"))],
    "once.test": [(A, 0, ip4("10.1.2.6"))],
    "server.test": [(A, 60, ip4("10.77.0.2"))],
    "cached.test": [(A, 60, ip4("10.1.2.7"))],
    ipaddress.ip_address("10.1.2.3").reverse_pointer: [(PTR, 60, wire("a.test"))],
    ipaddress.ip_address("fd00::6").reverse_pointer: [(PTR, 60, wire("six.test"))],
}


def question(query):
    """(name in lower case, type, bytes of the question)"""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode("latin-1"))
        at += 1 + query[at]
    kind, = struct.unpack("!H", query[at + 1:at + 3])
    return ".".join(labels).lower(), kind, query[12:at + 5]


def records(name, kind):
    """The records of the answer, (owner, type, TTL, data), and the code."""
    if name not in ZONE:
        return [], NXDOMAIN
    out = []
    for rtype, ttl, data in ZONE[name]:
        if rtype == CNAME and kind != CNAME:
            target = "both.test"
            out.append((name, rtype, ttl, data))
            out += records(target, kind)[0]
        elif kind in (rtype, ANY):
            out.append((name, rtype, ttl, data))
    return out, NOERROR


def answer(query, udp, log):
    if len(query) < 12 or query[2] & 0x80:
        return None
    name, kind, asked = question(query)
    log(("udp" if udp else "tcp") + f" {TYPES.get(kind, kind)} {name}")
    if name.endswith("never.test"):
        return None
    if name == "garbage.test":
        return query[:2] + b"\x81\x80\0\1\0\7\0\0\0\0" + asked + b"\xc0\xff" * 20
    found, code = records(name, kind)
    if name == "fail.test":
        code = SERVFAIL
    if name == "refused.test":
        code = REFUSED
    body = b"".join(wire(o) + struct.pack("!HHIH", t, 1, ttl, len(d)) + d
                    for o, t, ttl, d in found)
    flags = 0x8580 | code
    if udp and 12 + len(asked) + len(body) > 512:
        flags, body, found = flags | 0x0200, b"", []
    return query[:2] + struct.pack("!HHHHH", flags, 1, len(found), 0, 0) + asked + body


def serve_tcp(listener, log):
    while True:
        conn, _ = listener.accept()
        threading.Thread(target=serve_stream, args=(conn, log), daemon=True).start()


def serve_stream(conn, log):
    with conn, conn.makefile("rb") as reader:
        while True:
            head = reader.read(2)
            if len(head) < 2:
                return
            reply = answer(reader.read(struct.unpack("!H", head)[0]), False, log)
            if reply:
                conn.sendall(struct.pack("!H", len(reply)) + reply)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("--port", type=int, default=53)
    options = parser.parse_args()
    family = socket.AF_INET6 if ":" in options.address else socket.AF_INET
    udp, tcp = socket.socket(family, socket.SOCK_DGRAM), socket.socket(family)
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    udp.bind((options.address, options.port))
    tcp.bind((options.address, options.port))
    tcp.listen(64)

    def log(line):
        print(line, flush=True)

    threading.Thread(target=serve_tcp, args=(tcp, log), daemon=True).start()
    log("ready")
    while True:
        query, peer = udp.recvfrom(4096)
        reply = answer(query, True, log)
        if reply:
            udp.sendto(reply, peer)


main()
