"""Enedis and GRDF: one request out, one reply back, whatever becomes of it."""

import os
import socket
import ssl
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import anyio
import msgspec
from msgspec import Struct

from ecolyo_worker.energy.answers import (
    Asked,
    Meaning,
    Provider,
    no_answer,
    read_answer,
    vendor_down,
)
from ecolyo_worker.energy.content import Content
from ecolyo_worker.energy.decoding import MOST_BYTES
from ecolyo_worker.remote.http import Client, Clients, read_body
from ecolyo_worker.secret import Secret

__all__ = ["Ask", "EnergyClient", "Reply"]

_MOST_IDLE = 4
_NOT_IN_TIME = "did not answer in time"
# What the client says where the end of an answer is missing; else it is none of HTTP.
_CUT = ("disconnected", "peer closed")


class Ask(Struct, frozen=True, kw_only=True):
    """A request. It may hold secrets, and shows none of its fields."""

    method: Literal["GET", "POST", "PATCH"] = "GET"
    url: str
    query: Mapping[str, str] = {}
    form: Mapping[str, str] | None = None
    json: Any = None
    """What is sent as JSON, where there is no form."""
    bearer: Secret | None = None

    def __repr__(self) -> str:
        return f"<Ask {self.method}>"


class Reply(Struct, frozen=True):
    """What came back, or why nothing did; its content is shown to nobody."""

    status: int | None
    headers: Mapping[str, str] = {}
    """Their names are lower-case."""
    content: Content = Content(b"")
    trouble: str | None = None
    """Why there is no answer that can be read; None where there is one.

    Without a status it says what the provider did, such as `broke off`.
    """

    def __repr__(self) -> str:
        return f"<Reply {self.status} {self.trouble or ''}>"

    def meaning(self, provider: Provider, asked: Asked, now: datetime) -> Meaning:
        """Judge it, as an answer to what was asked of a provider."""
        if self.status is None:
            return no_answer(provider, self.trouble or _NOT_IN_TIME)
        if self.trouble is not None:
            return vendor_down(provider, self.trouble)
        return read_answer(provider, asked, self.status, self.headers, self.content, now)


class EnergyClient:
    """Asks Enedis and GRDF. Requests under way at once have a connection each.

    No redirect is followed, no proxy of the environment used, no cookie kept. A connection is used
    again, but none of which a request was broken off.
    """

    def __init__(self, clients: Clients, version: str) -> None:
        """Nothing is opened before the first request; `version` is the program's."""
        self._clients = clients
        self._agent = f"ecolyo-worker/{version}"
        self._idle: list[Client] = []

    def prepare(self) -> None:
        """Have a connection's client ready: making the first one takes some tenths of a second."""
        if not self._idle:
            self._idle.append(self._clients.make())

    async def ask(self, ask: Ask, timeout_s: float) -> Reply:
        """Make one request within so many seconds; it raises nothing but a cancellation."""
        client = self._idle.pop() if self._idle else self._clients.make()
        is_whole = False
        try:
            with anyio.fail_after(timeout_s):
                reply = await self._exchange(client, ask)
            is_whole = True
        except TimeoutError:
            reply = Reply(None, trouble=_NOT_IN_TIME)
        except Exception as error:  # noqa: BLE001  the edge of a request; a host's client may raise anything
            reply = Reply(None, trouble=_words(error))
        finally:
            if is_whole and len(self._idle) < _MOST_IDLE:
                self._idle.append(client)
            else:
                with anyio.CancelScope(shield=True):
                    await client.aclose()
        return reply

    async def close(self) -> None:
        """Close all connections that are not in use."""
        idle, self._idle = self._idle, []
        with anyio.CancelScope(shield=True):
            for client in idle:
                await client.aclose()

    async def _exchange(self, client: Client, ask: Ask) -> Reply:
        import httpx  # takes a tenth of a second: only who asks pays for it

        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": self._agent,
        }
        if ask.bearer is not None:
            headers["Authorization"] = f"Bearer {ask.bearer.reveal()}"
        if ask.json is not None:
            headers["Content-Type"] = "application/json"
        request = httpx.Request(
            ask.method,
            httpx.URL(ask.url, params=ask.query) if ask.query else ask.url,
            headers=headers,
            data=ask.form,
            content=None if ask.json is None else msgspec.json.encode(ask.json),
        )
        response = await client.send(request)
        try:
            body, is_all = await read_body(response, MOST_BYTES)
        finally:
            await response.aclose()
        found = {name.lower(): value for name, value in response.headers.items()}
        if body is None:
            return Reply(response.status_code, found, trouble="a coding that cannot be read")
        if not is_all:
            return Reply(response.status_code, found, trouble=f"more than {MOST_BYTES} bytes")
        return Reply(response.status_code, found, Content(body))


def _words(error: Exception) -> str:
    """Say what broke a request; the client's own words may quote an address, and so a meter."""
    import httpx

    cause = _cause(error)
    why = "" if cause is None else f": {_why(cause)}"
    match error:
        case httpx.TimeoutException():
            return _NOT_IN_TIME
        case httpx.ReadError() | httpx.WriteError():
            return f"broke off{why}"
        case httpx.RemoteProtocolError():
            is_cut = any(words in str(error) for words in _CUT)
            return "broke off its answer" if is_cut else "did not answer in HTTP"
        case httpx.UnsupportedProtocol() | httpx.InvalidURL():
            return "cannot be reached: its address is none of http or https"
        case _:
            return f"cannot be reached{why}"


def _cause(error: Exception) -> OSError | None:
    """Find what the system said of it."""
    cause: BaseException | None = error
    while cause is not None and not (isinstance(cause, OSError) and cause.errno):
        cause = cause.__cause__ or cause.__context__
    return cause if isinstance(cause, OSError) else None


def _why(cause: OSError) -> str:
    """Say why in the system's words; asyncio has others, with an address in them."""
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not taken: {cause.verify_message}"
    if isinstance(cause, ssl.SSLError):
        return "TLS fails"
    if isinstance(cause, socket.gaierror):
        return str(cause.strerror)
    return os.strerror(cause.errno or 0)
