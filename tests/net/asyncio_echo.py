#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""asyncio's streams, server and client; used by test_streams.py."""

import asyncio
import sys


async def answer(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def server(port):
    async with await asyncio.start_server(answer, "0.0.0.0", port) as s:
        await s.serve_forever()


async def one(host, port, i):
    reader, writer = await asyncio.open_connection(host, port)
    text = (f"stream {i} " * 5000).encode()
    writer.write(text)
    writer.write_eof()
    got = await reader.read()
    writer.close()
    return got == text


async def client(host, port):
    results = await asyncio.gather(*(one(host, port, i) for i in range(100)))
    print(f"{len(results)} streams, {sum(results)} right")


if sys.argv[1] == "server":
    asyncio.run(server(int(sys.argv[2])))
else:
    asyncio.run(client(sys.argv[2], int(sys.argv[3])))
