"""Waits on this machine for the browser that a page of consent leads back."""

import hmac
from urllib.parse import parse_qs, urlsplit

import anyio
from anyio.abc import SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from ecolyo_worker.errors import CommandRefused
from ecolyo_worker.forms import is_loopback

__all__ = ["heard_at", "listens_at"]

_LONGEST_HEAD = 16_384
_PATIENCE_S = 10.0
_ANSWERS = {
    True: ("200 OK", "Thank you. You can close this page; the terminal tells how it went."),
    False: ("404 Not Found", "Nothing is here."),
}


def listens_at(redirect_uri: str) -> bool:
    """Tell whether an address is one of this machine to listen at."""
    parts = urlsplit(redirect_uri)
    return parts.scheme == "http" and parts.port is not None and is_loopback(redirect_uri)


async def heard_at(redirect_uri: str, state: str) -> str:
    """Wait until a browser comes to this address, and give the one that it came with.

    What comes to another path, or without the `state` that the page of consent was given, is turned
    away: any page can lead a browser here, and must not end the waiting. Raises `CommandRefused`
    where the port is taken.
    """
    parts = urlsplit(redirect_uri)
    host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname
    try:
        listener = await anyio.create_tcp_listener(local_host=host, local_port=parts.port or 0)
    except OSError as error:
        raise CommandRefused(
            f"{redirect_uri} cannot be listened at ({error.strerror}): take the address that the"
            " page leads back to by --callback"
        ) from None
    heard: list[str] = []
    async with listener, anyio.create_task_group() as serving:

        async def serve(stream: SocketStream) -> None:
            target = await _served(stream, parts.path or "/", state)
            if target is not None:
                heard.append(target)
                serving.cancel_scope.cancel()

        await listener.serve(serve, serving)
    return heard[0]


async def _served(stream: SocketStream, path: str, state: str) -> str | None:
    """Answer a request; give where it was to if it was to this path, with this state."""
    async with stream:
        try:
            with anyio.fail_after(_PATIENCE_S):
                buffered = BufferedByteReceiveStream(stream)
                head = await buffered.receive_until(b"\r\n\r\n", _LONGEST_HEAD)
                method, _, rest = head.decode("ascii", "replace").partition(" ")
                target = rest.partition(" ")[0]
                is_it = method == "GET" and _leads_back(target, path, state)
                await stream.send(_answer(*_ANSWERS[is_it]))
        except (TimeoutError, anyio.EndOfStream, anyio.IncompleteRead, anyio.DelimiterNotFound):
            return None
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return None
    return target if is_it else None


def _leads_back(target: str, path: str, state: str) -> bool:
    found, _, query = target.partition("?")
    given = "\n".join(parse_qs(query).get("state", []))
    return found == path and hmac.compare_digest(given.encode(), state.encode())


def _answer(status: str, words: str) -> bytes:
    page = f"<!doctype html><title>ecolyo-worker</title><p>{words}</p>".encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\n"
        f"Content-Length: {len(page)}\r\nReferrer-Policy: no-referrer\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + page
