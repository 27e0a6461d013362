#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Looks names up by libc's functions and says what came, as JSON.

  getaddrinfo NAME...   addresses, or the name of the code
  canonical NAME...     canonical names
  query NAME            res_query of a TXT record: the length or h_errno
  family                a fixed set of questions to the rest of the functions
  crowd N               N threads that look up names which nobody answers
"""

import ctypes
import json
import socket
import struct
import sys
import threading

C = ctypes.CDLL(None, use_errno=True)
CODES = {getattr(socket, n): n for n in dir(socket) if n.startswith("EAI_")}
TXT, MX, SRV = 16, 15, 33


class HostEnt(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("aliases", ctypes.c_void_p), ("type", ctypes.c_int),
                ("length", ctypes.c_int), ("list", ctypes.POINTER(ctypes.c_void_p))]


def h_errno():
    C.__h_errno_location.restype = ctypes.POINTER(ctypes.c_int)
    return C.__h_errno_location()[0]


def addresses(name, flags=0):
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM, flags=flags)
    except socket.gaierror as e:
        return CODES[e.errno]
    return [x[4][0] for x in found]


def canonical(name):
    return socket.getaddrinfo(name, None, type=socket.SOCK_STREAM,
                              flags=socket.AI_CANONNAME)[0][3]


def gethostbyname(name):
    C.gethostbyname.restype = ctypes.POINTER(HostEnt)
    found = C.gethostbyname(name.encode())
    if not found:
        return h_errno()
    out, i = [], 0
    while found.contents.list[i]:
        out.append(socket.inet_ntoa(ctypes.string_at(found.contents.list[i], 4)))
        i += 1
    return [found.contents.name.decode(), out]


def query(name, kind, function="res_query"):
    """The answer, or h_errno."""
    answer = ctypes.create_string_buffer(65536)
    n = getattr(C, function)(name.encode(), 1, kind, answer, len(answer))
    return h_errno() if n < 0 else answer.raw[:n]


def expand(answer, at):
    out, end = [], None
    while answer[at]:
        if answer[at] >= 0xc0:
            end = end or at + 2
            at = struct.unpack("!H", answer[at:at + 2])[0] & 0x3fff
            continue
        out.append(answer[at + 1:at + 1 + answer[at]].decode())
        at += 1 + answer[at]
    return ".".join(out), end or at + 1


def first_record(answer):
    """(owner, offset of the data, data) of the first record."""
    _, at = expand(answer, 12)
    owner, at = expand(answer, at + 4)
    length, = struct.unpack("!H", answer[at + 8:at + 10])
    return owner, at + 10, answer[at + 10:at + 10 + length]


def text(data):
    out = b""
    while data:
        out, data = out + data[1:1 + data[0]], data[1 + data[0]:]
    return out.decode()


def name_info(address, flags=socket.NI_NAMEREQD):
    try:
        return socket.getnameinfo((address, 0), flags)[0]
    except socket.gaierror as e:
        return CODES[e.errno]


def family():
    srv = query("_sip._tcp.test", SRV)
    mx = query("mx.test", MX)
    _, at, data = first_record(srv)
    out = {"gethostbyname": gethostbyname("www.test"),
           "reverse": socket.gethostbyaddr("10.1.2.3")[0],
           "reverse6": socket.gethostbyaddr("fd00::6")[0],
           "nameinfo": name_info("10.1.2.3"), "no name": name_info("10.1.2.99"),
           "h_errno nowhere": gethostbyname("nowhere.test"),
           "h_errno only": gethostbyname("only.test"), "h_errno fail": query("fail.test", TXT),
           "srv": [*struct.unpack("!HHH", data[:6]), expand(srv, at + 6)[0]],
           "txt": text(first_record(query("text.test", TXT))[2]),
           "big": len(text(first_record(query("big.test", TXT))[2]))}
    _, at, data = first_record(mx)
    out["mx"] = [struct.unpack("!H", data[:2])[0], expand(mx, at + 2)[0]]
    out["search"] = first_record(query("host", 1, "res_search"))[0]
    return out


def crowd(n):
    threading.stack_size(1 << 18)
    threads = [threading.Thread(target=addresses, args=(f"x{i}.never.test",), daemon=True)
               for i in range(n)]
    for i, t in enumerate(threads):
        t.start()
    print("ready", flush=True)
    for t in threads:
        t.join()


what, args = sys.argv[1], sys.argv[2:]
if what == "crowd":
    crowd(int(args[0]))
elif what == "getaddrinfo":
    print(json.dumps([addresses(n) for n in args]))
elif what == "canonical":
    print(json.dumps([canonical(n) for n in args]))
elif what == "query":
    got = query(args[0], TXT)
    print(json.dumps(got if isinstance(got, int) else len(got)))
else:
    print(json.dumps(family()))
