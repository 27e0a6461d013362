#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Plain UDP programs for test_datagrams.py and test_wireguard.py, run inside portspaces.

echo PORT [BIND]         says "ready", then sends back what comes
sink PORT                says "ready", then prints each datagram's text
sleeper PORT             says "ready", then reads nothing
ask HOST PORT TEXT       sends, prints {answer, peer, sock} as JSON
sizes HOST PORT          echoes datagrams of all kinds of sizes, prints {failed: [...]}
refused HOST PORT        connects, sends, prints {error: NAME} of what recv says
steady HOST PORT COUNT   echoes one after the other, prints {lost, slowest_ms}
flood HOST PORT COUNT    sends as fast as it can, prints {sent}
"""

import errno
import hashlib
import json
import socket
import sys
import time


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def bound(port, bind=""):
    s = socket.socket(family(bind), socket.SOCK_DGRAM)
    if bind == "::":
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    s.bind((bind, int(port)))
    print("ready", flush=True)
    return s


def echo(port, bind=""):
    s = bound(port, bind)
    while True:
        data, peer = s.recvfrom(70000)
        s.sendto(data, peer)


def sink(port):
    s = bound(port)
    while True:
        print(s.recvfrom(70000)[0].decode(errors="replace"), flush=True)


def sleeper(port):
    s = bound(port)
    while s:
        time.sleep(1000)


def client(host, port):
    s = socket.socket(family(host), socket.SOCK_DGRAM)
    s.settimeout(10)
    s.connect((host, int(port)))
    return s


def ask(host, port, text):
    s = socket.socket(family(host), socket.SOCK_DGRAM)
    s.settimeout(10)
    s.sendto(text.encode(), (host, int(port)))
    data, peer = s.recvfrom(70000)
    return {"answer": data.decode(), "peer": peer[:2], "sock": s.getsockname()[:2]}


def sizes(host, port):
    s = client(host, port)
    failed = []
    most = 65507 if ":" not in host else 65000
    for size in (0, 1, 100, 1200, 1372, 1392, 1393, 1472, 9000, 30001, most):
        data = hashlib.shake_128(str(size).encode()).digest(size)
        s.send(data)
        if s.recv(70000) != data:
            failed.append(size)
    return {"failed": failed, "peer": s.getpeername()[:2]}


def refused(host, port):
    s = client(host, port)
    s.send(b"anyone?")
    try:
        s.recv(100)
        return {"error": None}
    except socket.timeout:
        return {"error": "timeout"}
    except OSError as e:
        return {"error": errno.errorcode[e.errno]}


def steady(host, port, count):
    s = client(host, port)
    lost, slowest = 0, 0.0
    for i in range(int(count)):
        started = time.monotonic()
        s.send(b"%d" % i)
        try:
            while s.recv(100) != b"%d" % i:
                pass
        except socket.timeout:
            lost += 1
        slowest = max(slowest, time.monotonic() - started)
    return {"lost": lost, "slowest_ms": slowest * 1000}


def flood(host, port, count):
    s = client(host, port)
    data = bytes(1200)
    for _ in range(int(count)):
        s.send(data)
    return {"sent": int(count)}


if __name__ == "__main__":
    result = globals()[sys.argv[1]](*sys.argv[2:])
    print(json.dumps(result))
