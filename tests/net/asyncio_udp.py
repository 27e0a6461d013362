#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""asyncio's datagram endpoints, server and client; used by test_udp_programs.py."""

import asyncio
import sys

CLIENTS, EACH = 20, 50


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        self.transport.sendto(data, addr)


class Asker(asyncio.DatagramProtocol):
    """Sends the next datagram when the answer to the last one is there."""

    def __init__(self, name, done):
        self.name, self.done, self.sent = name, done, 0

    def text(self):
        return f"{self.name}-{self.sent}".encode()

    def connection_made(self, transport):
        self.transport = transport
        transport.sendto(self.text())

    def datagram_received(self, data, addr):
        if data != self.text():
            return
        self.sent += 1
        if self.sent < EACH:
            self.transport.sendto(self.text())
        elif not self.done.done():
            self.done.set_result(self.sent)

    def error_received(self, exc):
        if not self.done.done():
            self.done.set_result(type(exc).__name__)


async def server(host, port):
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(Echo, local_addr=(host, port))
    print("ready", flush=True)
    await loop.create_future()


async def ask(name, host, port):
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    transport, _ = await loop.create_datagram_endpoint(lambda: Asker(name, done),
                                                       remote_addr=(host, port))
    result = await asyncio.wait_for(done, 30)
    transport.close()
    return result


async def client(host, port):
    results = await asyncio.gather(*(ask(i, host, port) for i in range(CLIENTS)))
    print(f"{len(results)} endpoints, {results.count(EACH)} right")
    print("a port that nobody has:", await ask("none", host, 9))


if __name__ == "__main__":
    asyncio.run(globals()[sys.argv[1]](sys.argv[2], int(sys.argv[3])))
