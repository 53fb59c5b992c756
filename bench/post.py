"""Posts prepared bodies as fast as they are taken, from a process of its own.

    python -m bench.post HOST:PORT TOKEN CONNECTIONS < BODIES

Each line of stdin is a body. It prints how many seconds it took from the first request to the last
answer.
"""

import asyncio
import sys
from collections import deque
from time import perf_counter


async def post(host: str, port: int, requests: deque[bytes]) -> None:
    """Send one request after the other over one connection."""
    reader, writer = await asyncio.open_connection(host, port)
    while requests:
        writer.write(requests.popleft())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert head.startswith(b"http/1.1 200"), head
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
    writer.close()


async def main(address: str, token: str, connections: int) -> None:
    """Post all bodies and tell how long it took."""
    host, _, port = address.rpartition(":")
    requests = deque(
        b"POST /v1/events HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
        % (token.encode(), len(body), body)
        for body in sys.stdin.buffer.read().splitlines()
    )
    begin = perf_counter()
    async with asyncio.TaskGroup() as posting:
        for _ in range(connections):
            posting.create_task(post(host, int(port), requests))
    print(perf_counter() - begin)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
