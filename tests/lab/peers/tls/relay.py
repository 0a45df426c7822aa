"""Speaks TLS 1.3 to a server: each connection that comes here goes on to it, and ends when either side does.

Arguments: the server's HOST:PORT, and the certificate to trust.
"""

import asyncio
import ssl
import sys

host, port = sys.argv[1].split(":")
context = ssl.create_default_context(cafile=sys.argv[2])
context.minimum_version = ssl.TLSVersion.TLSv1_3


async def copy(reader, writer):
    try:
        while part := await reader.read(65536):
            writer.write(part)
            await writer.drain()
    finally:
        writer.close()


async def relay(reader, writer):
    try:
        from_server, to_server = await asyncio.open_connection(host, port, ssl=context)
    except OSError as error:
        print(error, flush=True)
        writer.close()
        return
    await asyncio.gather(copy(reader, to_server), copy(from_server, writer), return_exceptions=True)


async def main():
    server = await asyncio.start_server(relay, "127.0.0.1", 0, backlog=1000)
    host, port = server.sockets[0].getsockname()
    print(f"relaying address={host}:{port}", flush=True)
    await server.serve_forever()


asyncio.run(main())
