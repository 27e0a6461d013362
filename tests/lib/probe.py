#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Small clients and servers for the end-to-end tests: plain socket programs that know nothing of
Persona, run inside portspaces (and outside, as controls). A client prints one JSON object.

Servers:  sink PORT            per connection: SHA-256 of all that comes until EOF, sent back as hex
          source PORT BYTES    per connection: BYTES pseudo-random bytes, then EOF
          echo PORT [BIND]     echoes until EOF
          slam PORT            reads one byte, closes with data unread: a reset
          hold PORT            accepts, reads nothing, closes when the client does
          peers PORT           answers each connection with the addresses it sees
          part PORT HOW        reads until EOF, sends 10 bytes, then HOW: "close", "abort" (a close
                               with SO_LINGER 0), or "hold" (nothing more)
          ends PORT [BIND]     reads until the end, prints "ended" and the error's name or None
Clients:  push HOST PORT BYTES STREAMS   sends to a sink, half-closes, compares the digests
          pull HOST PORT BYTES           reads from a source until EOF, says length and digest
          ask HOST PORT TEXT             sends to an echo, says what came back
          errno HOST PORT [TIMEOUT]      connects, says the error's name or null
          nonblock HOST PORT             the same by a non-blocking connect and epoll
          reset HOST PORT                talks to slam, says the error's name
          half HOST PORT                 half-closes, reads until the end, says bytes and error
          abort HOST PORT WHEN           sets SO_LINGER 0 "before" or "after" connect, sends, closes
          many HOST PORT COUNT           opens COUNT connections at once, says how many answered
          steady HOST PORT SECONDS       echoes for a while, says attempts, failures, slowest
          idle HOST PORT COUNT           opens and keeps COUNT connections until stdin ends
          control PATH LINE              asks a broker's control socket, prints the answer
"""

import errno
import hashlib
import json
import os
import select
import socket
import struct
import sys
import threading
import time

BLOCK = 1 << 18


def blocks(total, seed):
    """Pseudo-random bytes: cheap to make, and no two blocks alike, so a swap is seen."""
    base = hashlib.shake_256(str(seed).encode()).digest(BLOCK)
    done = number = 0
    while done < total:
        head = number.to_bytes(8, "big") + seed.to_bytes(8, "big")
        block = (head + base[16:])[:total - done]
        yield block
        done += len(block)
        number += 1


def listen(port, bind=""):
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    s = socket.socket(family, socket.SOCK_STREAM)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind((bind, port))
    s.listen(1024)
    return s


def serve(listener, handle):
    def guarded(c, peer):
        try:
            with c:
                handle(c, peer)
        except OSError as e:
            print(f"{peer}: {e}", file=sys.stderr, flush=True)

    while True:
        c, peer = listener.accept()
        threading.Thread(target=guarded, args=(c, peer), daemon=True).start()


def on_sink(c, _peer):
    digest = hashlib.sha256()
    buf = bytearray(BLOCK)
    view = memoryview(buf)
    while True:
        n = c.recv_into(buf)
        if n == 0:
            break
        digest.update(view[:n])
    c.sendall(digest.hexdigest().encode())


def on_echo(c, _peer):
    while True:
        data = c.recv(65536)
        if not data:
            break
        c.sendall(data)


def on_slam(c, _peer):
    c.recv(1)  # more is there than this byte: the close that follows loses data


def on_peers(c, peer):
    c.sendall(json.dumps({"peer": peer[:2], "sock": c.getsockname()[:2]}).encode())


def no_linger(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def on_part(c, how):
    while c.recv(65536):
        pass
    c.sendall(b"x" * 10)
    if how == "abort":
        no_linger(c)
    elif how == "hold":
        threading.Event().wait()


def on_ends(c, _peer):
    error = None
    try:
        while c.recv(65536):
            pass
    except OSError as e:
        error = name_of(e)
    print("ended", error, flush=True)


def on_hold(c, _peer):
    p = select.poll()
    p.register(c, select.POLLRDHUP)
    p.poll()


def connect(host, port, timeout=60.0):
    return socket.create_connection((host, port), timeout)


def name_of(e):
    if isinstance(e, TimeoutError) and e.errno is None:
        return "timeout"
    return errno.errorcode.get(e.errno, str(e))


def push(host, port, total, streams):
    results = [None] * streams

    def one(i):
        try:
            digest = hashlib.sha256()
            with connect(host, port) as s:
                s.settimeout(600)
                for block in blocks(total, i):
                    digest.update(block)
                    s.sendall(block)
                s.shutdown(socket.SHUT_WR)
                answer = b""
                while True:
                    more = s.recv(100)
                    if not more:
                        break
                    answer += more
            results[i] = "ok" if answer.decode() == digest.hexdigest() else "mismatch"
        except OSError as e:
            results[i] = name_of(e)

    started = time.monotonic()
    threads = [threading.Thread(target=one, args=(i,)) for i in range(streams)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    bad = [r for r in results if r != "ok"]
    return {"streams": streams, "bad": bad[:10], "ok": len(results) - len(bad),
            "seconds": time.monotonic() - started}


def pull(host, port, total):
    wanted, digest = hashlib.sha256(), hashlib.sha256()
    for block in blocks(total, 0):
        wanted.update(block)
    n = 0
    with connect(host, port) as s:
        s.settimeout(600)
        while True:
            data = s.recv(BLOCK)
            if not data:
                break
            n += len(data)
            digest.update(data)
    return {"bytes": n, "same": digest.digest() == wanted.digest()}


def ask(host, port, text):
    with connect(host, port) as s:
        sock, peer = s.getsockname()[:2], s.getpeername()[:2]
        s.sendall(text.encode())
        s.shutdown(socket.SHUT_WR)
        answer = b""
        while True:
            more = s.recv(65536)
            if not more:
                break
            answer += more
        return {"answer": answer.decode(), "sock": sock, "peer": peer}


def try_connect(host, port, timeout=30.0):
    started = time.monotonic()
    try:
        connect(host, port, float(timeout)).close()
        result = None
    except OSError as e:
        result = name_of(e)
    return {"error": result, "seconds": time.monotonic() - started}


def nonblock(host, port):
    """What an event loop does: epoll first, then connect, then wait, then SO_ERROR."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as s:
        s.setblocking(False)
        ep = select.epoll()
        ep.register(s.fileno(), select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP
                    | select.EPOLLET)
        ep.poll(0)
        first = s.connect_ex((host, port))
        events = ep.poll(30)
        seen = 0
        for _, e in events:
            seen |= e
        err = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        again = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return {"first": errno.errorcode.get(first), "error": errno.errorcode.get(err),
                "again": errno.errorcode.get(again), "out": bool(seen & select.EPOLLOUT),
                "err": bool(seen & select.EPOLLERR)}


def reset(host, port):
    try:
        with connect(host, port) as s:
            s.sendall(b"x" * 1000)
            data = s.recv(100)
            return {"error": None, "data": len(data)}
    except OSError as e:
        return {"error": name_of(e)}


def half(host, port):
    n, error = 0, None
    with connect(host, port) as s:
        s.sendall(b"question")
        s.shutdown(socket.SHUT_WR)
        try:
            while True:
                data = s.recv(100)
                if not data:
                    break
                n += len(data)
                print("answer", flush=True)
        except OSError as e:
            error = name_of(e)
    return {"bytes": n, "error": error}


def abort(host, port, when):
    with socket.socket() as s:
        if when == "before":
            no_linger(s)
        s.connect((host, port))
        s.sendall(b"question")
        if when == "after":
            no_linger(s)
    return {}


def many(host, port, count):
    results = [None] * count
    gate = threading.Barrier(count)

    def one(i):
        text = f"stream {i} " * 50
        try:
            gate.wait()
            results[i] = ask(host, port, text)["answer"] == text
        except OSError as e:
            results[i] = name_of(e)

    threading.stack_size(256 * 1024)
    threads = [threading.Thread(target=one, args=(i,)) for i in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return {"ok": sum(r is True for r in results),
            "bad": [r for r in results if r is not True][:10]}


def steady(host, port, seconds):
    attempts, failures, slowest = 0, [], 0.0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        attempts += 1
        started = time.monotonic()
        try:
            if ask(host, port, "healthy")["answer"] != "healthy":
                failures.append("wrong answer")
        except OSError as e:
            failures.append(name_of(e))
        slowest = max(slowest, time.monotonic() - started)
    return {"attempts": attempts, "failures": len(failures), "kinds": sorted(set(failures)),
            "slowest": slowest}


def control(path, line, timeout=15.0):
    """The broker's answer to one request line; "" when nobody listens."""
    data = b""
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(timeout)
            s.connect(path)
            s.sendall(line.encode() + b"\n")
            while not data.endswith(b"\n"):
                more = s.recv(65536)
                if not more:
                    break
                data += more
    except (FileNotFoundError, ConnectionError):
        return ""
    return data.decode()


def idle(host, port, count):
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if count + 100 > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, count + 100), hard))
    kept, failed = [], 0
    for _ in range(count):
        try:
            kept.append(connect(host, port))
        except OSError:
            failed += 1
    print(json.dumps({"open": len(kept), "failed": failed}), flush=True)
    sys.stdin.read()


SERVERS = {"sink": on_sink, "echo": on_echo, "slam": on_slam, "peers": on_peers, "hold": on_hold,
           "ends": on_ends}


def main():
    what, args = sys.argv[1], sys.argv[2:]
    if what in SERVERS:
        serve(listen(int(args[0]), *args[1:2]), SERVERS[what])
    elif what == "part":
        serve(listen(int(args[0])), lambda c, _peer: on_part(c, args[1]))
    elif what == "source":
        total = int(args[1])

        def on_source(c, _peer):
            for block in blocks(total, 0):
                c.sendall(block)

        serve(listen(int(args[0])), on_source)
    if what == "control":
        print(control(args[0], args[1]), end="")
        return
    host, port, rest = args[0], int(args[1]), args[2:]
    clients = {"push": lambda: push(host, port, int(rest[0]), int(rest[1])),
               "pull": lambda: pull(host, port, int(rest[0])),
               "ask": lambda: ask(host, port, rest[0]),
               "errno": lambda: try_connect(host, port, *rest),
               "nonblock": lambda: nonblock(host, port),
               "reset": lambda: reset(host, port),
               "half": lambda: half(host, port),
               "abort": lambda: abort(host, port, rest[0]),
               "many": lambda: many(host, port, int(rest[0])),
               "steady": lambda: steady(host, port, float(rest[0]))}
    if what == "idle":
        idle(host, port, int(rest[0]))
        return
    print(json.dumps(clients[what]()))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
