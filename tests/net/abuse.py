#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A bad client of the broker's local sockets, from inside a portspace; runs until it is ended.
Used by test_abuse.py. It speaks to the AF_UNIX sockets itself, past the shim."""

import errno
import os
import random
import resource
import select
import signal
import socket
import struct
import sys
import threading
import time

if "PERSONA_PORTSPACE_DIR" in os.environ:
    RUNTIME = os.path.dirname(os.path.dirname(os.environ["PERSONA_PORTSPACE_DIR"]))
else:
    RUNTIME = os.environ["PERSONA_RUNTIME_DIR"]
STREAM = socket.SOCK_STREAM
SEQPACKET = socket.SOCK_SEQPACKET
rng = random.Random(2)


def doors():
    """(path, type) of each of the broker's sockets."""
    names = [n for n in os.listdir(RUNTIME) if n.startswith("stream.")]
    return [(f"{RUNTIME}/ask", SEQPACKET), (f"{RUNTIME}/control", STREAM)] + [
        (f"{RUNTIME}/{n}", STREAM) for n in sorted(names)]


def connect(path, kind, block=True):
    s = socket.socket(socket.AF_UNIX, kind)
    s.settimeout(0.5 if block else 0)
    try:
        s.connect(path)
    except OSError:
        s.close()
        raise
    return s


def forever(step, threads=1):
    def loop():
        while True:
            try:
                step()
            except OSError as e:
                if e.errno in (errno.EMFILE, errno.ENFILE):
                    time.sleep(0.05)

    for _ in range(threads):
        threading.Thread(target=loop, daemon=True).start()


def busy():
    print("busy", flush=True)
    threading.Event().wait()


def request():
    """A connect request that looks right (docs/PROTOCOL.md) for 10.66.0.1 to a port of ours."""
    return bytes([0x50, 1, 6, 0]) + os.urandom(60)


def garbage():
    """Random bytes, long and short, at every door."""

    def step():
        path, kind = rng.choice(doors())
        with connect(path, kind) as s:
            for _ in range(rng.randrange(1, 4)):
                n = rng.choice([0, 1, 3, 64, 100, 1024, 1088, 5000, 60000])
                s.send(rng.choice([os.urandom(n), b"\0" * n, b"{" * n, b'{"op":"list"}\n' * 3,
                                   request() + bytes(1024)]))
            if rng.random() < 0.5:
                s.recv(100)

    forever(step, 4)
    busy()


def stall():
    """Connections that say nothing, and requests that are never finished."""
    kept = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    for i in range(900):
        path, kind = doors()[i % len(doors())]
        try:
            s = connect(path, kind)
            kept.append(s)
            if i % 3 == 1 and kind == STREAM:
                s.send(request()[:30])
            elif i % 3 == 2:
                s.send(b'{"version":1,"op":')
        except OSError:
            continue  # turned away
    busy()


def flood():
    """Connect and close as fast as four threads can."""

    def step():
        for path, kind in doors():
            connect(path, kind, block=False).close()

    forever(step, 4)
    busy()


def nowhere():
    """Ordinary connects through the shim: refused, no route, in large numbers."""

    def step():
        for address in ("10.66.0.1", "10.99.0.1", "127.0.0.1"):
            s = socket.socket()
            s.setblocking(False)
            with s:
                s.connect_ex((address, rng.randrange(1, 65536)))
                select.select([], [s], [s], 0.5)

    forever(step, 4)
    busy()


def many():
    """Ten thousand connections, in processes of a thousand each."""
    for _ in range(10):
        r, w = os.pipe()
        if os.fork() == 0:
            kept = []
            for i in range(1000):
                path, kind = doors()[i % len(doors())]
                try:
                    kept.append(connect(path, kind, block=False))
                except OSError:
                    pass
                if len(kept) == 1000:
                    break
            os.write(w, b"x")
            signal.pause()
        os.read(r, 1)
        os.close(r)
        os.close(w)
    busy()


def die():
    """A child that dies after each step of a connect, over and over."""
    path, kind = [d for d in doors() if "stream." in d[0]][0]
    steps = 8

    def child(last):
        s = socket.socket(socket.AF_UNIX, kind)
        if last == 0:
            return
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        if last == 1:
            return
        s.settimeout(1)
        s.connect(path)
        if last == 2:
            return
        if last == 3:
            s.send(request()[:10])
            return
        if last == 4:
            s.send(request())
            return
        if last == 5:
            s.sendmsg([request() + bytes(1024)],
                      [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", s.fileno()))])
            return
        if last == 6:  # through the shim, killed while it may be waiting
            t = socket.socket()
            t.setblocking(False)
            t.connect_ex(("10.66.0.1", 1))
            return
        t = socket.socket()
        t.bind(("", 0))
        t.listen()

    number = 0

    def step():
        nonlocal number
        number += 1
        pid = os.fork()
        if pid == 0:
            try:
                child(number % steps)
            finally:
                os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(pid, 0)

    print("busy", flush=True)
    while True:
        try:
            step()
        except OSError:
            pass


def descriptors():
    """Connect requests with the wrong descriptor, none, or far too many."""
    path, kind = [d for d in doors() if "stream." in d[0]][0]
    r, w = os.pipe()
    null = os.open("/dev/null", os.O_RDWR)
    other = socket.socketpair()

    def step():
        with connect(path, kind) as s:
            fds = rng.choice([[r], [w], [null], [other[0].fileno()], [], [s.fileno()] * 50,
                              [s.fileno(), r]])
            data = request() + bytes(1024)
            s.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                                struct.pack(f"{len(fds)}i", *fds))] if fds else [])
            s.recv(10)

    forever(step, 2)
    busy()


def control():
    """Bad JSON, endless lines, half lines, and requests of every wrong kind."""
    path = f"{RUNTIME}/control"
    lines = [b"\n", b"{}\n", b"[]\n", b"null\n", b'{"version":1}\n', b'{"version":2,"op":"ping"}\n',
             b'{"version":1,"op":"create"}\n', b'{"version":1,"op":"create","name":5}\n',
             b'{"version":1,"op":"create","name":"","addresses":["10.1.1.1"]}\n',
             b'{"version":1,"op":"create","name":"../x","addresses":["10.1.1.1"]}\n',
             b'{"version":1,"op":"create","name":"x","addresses":"10.1.1.1"}\n',
             b'{"version":1,"op":"show","name":"\\u0000"}\n', b'{"op":' * 2000 + b"\n",
             b"[" * 100000 + b"\n", b"x" * 2_000_000, b'{"version":1,"op":"\xff\xfe"}\n',
             b'{"version":1,"op":"link-add","name":"work","peer":"AAAA","allowed_ips":[]}\n',
             b'{"version":1,"op":"import","name":"y","text":"[Interface]"}\n']

    def step():
        with connect(path, STREAM) as s:
            s.sendall(rng.choice(lines))
            if rng.random() < 0.7:
                s.recv(1000)

    forever(step, 4)
    kept = [connect(path, STREAM) for _ in range(100)]
    for s in kept[:50]:
        s.send(b'{"version":1,')
    busy()


def server():
    """Not abuse: accepts any number of connections and keeps them."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    listener = socket.socket()
    listener.bind(("", int(sys.argv[2])))
    listener.listen(4096)
    ep = select.epoll()
    ep.register(listener, select.EPOLLIN)
    kept = {}
    while True:
        for fd, _ in ep.poll():
            if fd == listener.fileno():
                c, _ = listener.accept()
                kept[c.fileno()] = c
                ep.register(c, select.EPOLLIN | select.EPOLLRDHUP)
            elif not kept[fd].recv(1000):
                ep.unregister(fd)
                kept.pop(fd).close()


{f.__name__: f for f in (garbage, stall, flood, nowhere, many, die, descriptors, control,
                         server)}[sys.argv[1]]()
