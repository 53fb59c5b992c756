"""A server on a raw socket, of which a test decides each byte."""

import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSListener

__all__ = ["Handler", "served"]

Handler = Callable[[ByteStream], Awaitable[None]]
"""Serves a connection, which is closed after it."""


@asynccontextmanager
async def served(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Serve with a handler for each connection, and give the address without its scheme."""
    listener: Any = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(SocketAttribute.local_port)

    async def handle(stream: ByteStream) -> None:
        async with stream:
            # The client may have had enough.
            with contextlib.suppress(anyio.BrokenResourceError, anyio.EndOfStream):
                await handler(stream)

    if tls is not None:
        listener = TLSListener(listener, tls)
    async with listener, anyio.create_task_group() as serving:
        serving.start_soon(listener.serve, handle)
        yield f"127.0.0.1:{port}"
        serving.cancel_scope.cancel()
