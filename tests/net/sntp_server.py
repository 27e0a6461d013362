#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A time server of stratum 5 that tells this host's time (RFC 4330); used by test_udp_programs.py.

usage: sntp_server.py PORT"""

import socket
import struct
import sys
import time

TO_1900 = 2208988800
SERVER, VERSION, STRATUM = 4, 4, 5


def stamp(seconds):
    seconds += TO_1900
    return struct.pack("!II", int(seconds), int(seconds % 1 * 2**32))


def main():
    s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    s.bind(("::", int(sys.argv[1])))
    print("ready", flush=True)
    while True:
        data, peer = s.recvfrom(1000)
        arrival = time.time()
        if len(data) < 48:
            continue
        head = struct.pack("!BBbbII4s", VERSION << 3 | SERVER, STRATUM, 6, -20, 0, 100,
                           b"\x7f\x7f\x01\x01")
        # the time it was set, the asker's, arrival, departure
        s.sendto(head + stamp(arrival - 1) + data[40:48] + stamp(arrival) + stamp(time.time()),
                 peer)


if __name__ == "__main__":
    main()
