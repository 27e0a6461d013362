#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Speaks route netlink as programs do that use no library, inside a portspace.

  socket     names, options, peeking, truncation, answers that are there when send returns
  families   what other netlink families say
  crowd      threads and processes that share sockets
  wait       prints what multicast news comes
  survive    the broker goes away meanwhile
  inherited FD
"""

import errno
import os
import select
import socket
import struct
import subprocess
import sys
import threading

GETLINK, GETADDR, NEWLINK, NEWADDR, ERROR, DONE = 18, 22, 16, 20, 2, 3
REQUEST, ACK, DUMP = 1, 4, 0x300
SOL_NETLINK, ADD_MEMBERSHIP, PKTINFO, EXT_ACK, STRICT = 270, 1, 3, 11, 12
MSG_DONTWAIT, MSG_PEEK, MSG_TRUNC = socket.MSG_DONTWAIT, socket.MSG_PEEK, socket.MSG_TRUNC


def check(truth, what):
    if not truth:
        raise SystemExit(f"failed: {what}")


def fails(number, function, *args):
    try:
        function(*args)
    except OSError as e:
        check(e.errno == number, f"{errno.errorcode[e.errno]} instead of {errno.errorcode[number]}")
        return
    raise SystemExit(f"failed: no error instead of {errno.errorcode[number]}")


def route(kind=socket.SOCK_RAW):
    return socket.socket(socket.AF_NETLINK, kind, 0)


def request(type_, flags, body=bytes(16), seq=1):
    return struct.pack("=IHHII", 16 + len(body), type_, REQUEST | flags, seq, 0) + body


def messages(data):
    out = []
    while len(data) >= 16:
        length, type_, flags, seq, pid = struct.unpack("=IHHII", data[:16])
        check(16 <= length <= len(data), "a length that is none")
        out.append((type_, flags, seq, pid, data[16:length]))
        data = data[(length + 3) & ~3:]
    return out


def dump(s, type_, seq):
    """Every message of a dump; it must be there already, so nothing waits."""
    s.send(request(type_, DUMP, seq=seq))
    out = []
    while True:
        for m in messages(s.recv(16384, MSG_DONTWAIT)):
            check(m[2] == seq, "another request's answer")
            if m[0] == DONE:
                return out
            check(m[0] != ERROR, f"error {m}")
            out.append(m)


def one_socket():
    with route() as s:
        check(s.getsockname() == (0, 0), "a new socket has no address")
        s.bind((0, 0))
        check(s.getsockname() == (os.getpid(), 0), s.getsockname())
        fails(errno.EINVAL, s.bind, (12345, 0))
        for m in dump(s, GETLINK, 5):
            check(m[0] == NEWLINK and m[1] == 2 and m[3] == os.getpid(), f"head {m[:4]}")
    with route(socket.SOCK_DGRAM) as s:
        s.bind((0xdead1234, 0x11))
        check(s.getsockname() == (0xdead1234, 0x11), s.getsockname())
        check(dump(s, GETADDR, 6)[0][3] == 0xdead1234, "an own port id")
        check(s.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_DGRAM, "SO_TYPE")
        check(s.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN) == socket.AF_NETLINK, "SO_DOMAIN")
        check(s.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL) == 0, "SO_PROTOCOL")


def sizes():
    with route() as s:
        for option, value in ((socket.SO_SNDBUF, 32768), (socket.SO_RCVBUF, 1 << 20)):
            s.setsockopt(socket.SOL_SOCKET, option, value)
            check(s.getsockopt(socket.SOL_SOCKET, option) >= 65536, "the size asked for, doubled")
        s.send(request(GETLINK, DUMP))
        n = s.recv_into(bytearray(1), 1, MSG_PEEK | MSG_TRUNC)
        check(n > 500, f"the whole length: {n}")
        data, control, flags, sender = s.recvmsg(100)
        check(flags & MSG_TRUNC and len(data) == 100, "cut, and told so")
        check(sender == (0, 0), f"from the kernel: {sender}")
        data, sender = s.recvfrom(4096)
        check(messages(data)[0][0] == DONE and sender == (0, 0), "the end alone")
        fails(errno.EAGAIN, s.recv, 1, MSG_DONTWAIT)
        fails(errno.EMSGSIZE, s.send, bytes(70000))
        s.setblocking(False)
        fails(errno.EAGAIN, s.recv, 1)
        dump(s, GETLINK, 9)
        check(select.select([s], [s], [], 0) == ([], [s], []), "writable, nothing to read")


def destinations():
    with route() as s:
        fails(errno.ECONNREFUSED, s.sendto, request(GETLINK, DUMP), (4711, 0))
        fails(errno.EPERM, s.sendto, request(GETLINK, DUMP), (0, 1))
        s.sendto(request(GETLINK, ACK, struct.pack("=BxHiII", 0, 0, 1, 0, 0)), (0, 0))
        check([m[0] for m in messages(s.recv(4096)) + messages(s.recv(4096))] == [NEWLINK, ERROR],
              "the answer and then the acknowledgement")
        s.connect((0, 0))
        check(s.getpeername() == (0, 0), "connected to the kernel")
        fails(errno.EOPNOTSUPP, s.shutdown, socket.SHUT_RDWR)
        fails(errno.EOPNOTSUPP, s.listen, 1)
        s.sendmsg([request(GETLINK, DUMP)[:10], request(GETLINK, DUMP)[10:]])
        check(messages(s.recv(8192))[0][0] == NEWLINK, "a request in pieces")
    fails(errno.ESOCKTNOSUPPORT, socket.socket, socket.AF_NETLINK, socket.SOCK_STREAM, 0)


def options():
    with route() as s:
        s.setsockopt(SOL_NETLINK, PKTINFO, 1)
        check(s.getsockopt(SOL_NETLINK, PKTINFO) == 1, "PKTINFO is on")
        s.send(request(GETLINK, DUMP))
        control = s.recvmsg(8192, 256)[1]
        check(control == [(SOL_NETLINK, PKTINFO, struct.pack("=I", 0))], f"control {control}")
        s.recv(100)
        s.setsockopt(SOL_NETLINK, EXT_ACK, 1)
        s.setsockopt(SOL_NETLINK, STRICT, 1)
        s.send(request(GETLINK, DUMP, b"\0\0\0\0"))
        m = messages(s.recv(4096))[0]
        check(struct.unpack("=i", m[4][:4])[0] == -errno.EINVAL and m[1] & 0x200, f"strict: {m}")
        fails(errno.ENOPROTOOPT, s.setsockopt, SOL_NETLINK, 99, 1)
        fails(errno.ENOPROTOOPT, s.setsockopt, socket.IPPROTO_TCP, 1, 1)
        fails(errno.EINVAL, s.setsockopt, SOL_NETLINK, ADD_MEMBERSHIP, 0)
        s.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, 1)
        check(s.getsockname()[1] == 1, "a member of group 1")
        s.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        s.send(request(GETLINK, DUMP))
        creds = [c for c in s.recvmsg(8192, 256)[1] if c[:2] == (socket.SOL_SOCKET, 2)]
        check(creds and creds[0][2] == bytes(12), f"credentials of the kernel: {creds}")
    with route() as s:
        copy = os.dup(s.fileno())
        s.bind((7, 0))
        with socket.socket(fileno=copy) as c:
            check(c.getsockname() == (7, 0), "a duplicate is the same socket")
            check(dump(c, GETLINK, 3)[0][3] == 7, "and asks under the same name")
    with route() as s:
        s.bind((0x1234, 0))
        subprocess.run([sys.executable, __file__, "inherited", str(s.fileno())], check=True,
                       pass_fds=[s.fileno()])


def inherited():
    """A socket that the program was started with."""
    s = socket.socket(fileno=int(sys.argv[2]))
    check(s.family == socket.AF_NETLINK and s.type == socket.SOCK_RAW, f"{s}")
    check(s.getsockname()[0] == 0x1234, "its address")
    check(dump(s, GETLINK, 8)[0][3] == 0x1234, "the answers are its own")
    s.send(request(GETLINK, DUMP))
    check(s.recvfrom(8192)[1] == (0, 0), "from the kernel")


def families():
    for protocol in (4, 6, 9, 10, 12, 16, 21):
        fails(errno.EPROTONOSUPPORT, socket.socket, socket.AF_NETLINK, socket.SOCK_RAW, protocol)
    fails(errno.EPROTONOSUPPORT, socket.socket, socket.AF_NETLINK, socket.SOCK_RAW, 4000)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 15) as s:
        s.bind((0, 2))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        check(s.getsockname()[1] == 2, "a member of the events' group")
        check(s.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL) == 15, "SO_PROTOCOL")
        check(select.select([s], [], [], 0)[0] == [], "no device ever comes")
        fails(errno.EPERM, s.sendto, b"add@/devices/x", (0, 1))


def crowd():
    def work(s, base):
        for i in range(50):
            with route() as own:
                dump(own, GETLINK, base + i)
            s.send(request(NEWLINK, 0, seq=1))
            check(messages(s.recv(4096))[0][0] == ERROR, "an answer for each request")

    with route() as shared:
        threads = [threading.Thread(target=work, args=(shared, 1000 * n)) for n in range(8)]
        pids = []
        for _ in range(3):
            pid = os.fork()
            if pid == 0:
                try:
                    work(route(), 1)
                    os._exit(0)
                finally:
                    os._exit(1)
            pids.append(pid)
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        check(all(os.waitpid(p, 0)[1] == 0 for p in pids), "the children's answers")


def wait():
    with route() as s:
        s.bind((0, 1))
        print("ready")
        while True:
            data, sender = s.recvfrom(8192)
            print("news", messages(data)[0][0], "groups", hex(sender[1]))


def survive():
    with route() as s:
        dump(s, GETLINK, 1)
        print("ready")
        check(select.select([s], [], [], 30)[0] == [s], "the end is seen")
        check(s.recv(100) == b"", "the end")
        fails(errno.ECONNREFUSED, s.send, request(GETLINK, DUMP))


if sys.argv[1] == "socket":
    one_socket()
    sizes()
    destinations()
    options()
else:
    {"families": families, "crowd": crowd, "wait": wait, "survive": survive,
     "inherited": inherited}[sys.argv[1]]()
print("all well")
