"""A DACC that takes everything and does nothing else, so that it is never what is measured.

    python -m bench.server [SECONDS]

It prints its port, answers each request 201 after so many seconds, and sends the moments at which
requests arrived, one a line, to whoever asks with GET.
"""

import asyncio
import sys
import time

_ANSWER = (
    b"HTTP/1.1 201 CREATED\r\nContent-Type: application/json\r\n"
    b'Content-Length: 12\r\n\r\n{"ok": true}'
)


class Connection(asyncio.Protocol):
    """One connection: requests with a Content-Length, one after the other."""

    def __init__(self, delay: float, moments: list[float]) -> None:
        """Answer after `delay` seconds; `moments` takes when each request came."""
        self._delay = delay
        self._moments = moments
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer each request that is complete."""
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        if head.startswith(b"GET"):
            text = "\n".join(map(str, self._moments)).encode()
            self._moments.clear()
            length = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text)
            self._transport.write(length + text)
            self._buffer = b""
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(rest) >= length:
            self._buffer = rest[length:]
            self._moments.append(time.monotonic())
            if self._delay:
                loop = asyncio.get_running_loop()
                loop.call_at(loop.time() + self._delay, self._answer)
            else:
                self._answer()

    def _answer(self) -> None:
        self._transport.write(_ANSWER)


async def serve(delay: float) -> None:
    """Serve on a free port until killed."""
    moments: list[float] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(delay, moments), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]) if len(sys.argv) > 1 else 0.0))
