#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""An attacker on the base network: sends a broker's port what no broker would send, for as long as
it runs. Used by test_links.py."""

import os
import random
import socket
import struct
import sys
import threading

address = (sys.argv[1], int(sys.argv[2]))
rng = random.Random(1)


def loop(step):
    while True:
        try:
            step()
        except OSError:
            pass


def connect():
    s = socket.create_connection(address, 5)
    s.settimeout(1)
    return s


def garbage():
    with connect() as s:
        s.sendall(os.urandom(rng.randrange(1, 5000)))
        s.recv(100)


def shaped():
    """Length prefix and type of an initiation, the rest noise."""
    with connect() as s:
        s.sendall(struct.pack(">H", 148) + b"\x01\0\0\0" + os.urandom(144))
        s.recv(100)


def drip():
    with connect() as s:
        for _ in range(20):
            s.sendall(os.urandom(1))


silent = [connect() for _ in range(300)]
for step in (garbage, shaped, drip):
    threading.Thread(target=loop, args=(step,), daemon=True).start()
print("busy", flush=True)
threading.Event().wait()
