"""Enedis and GRDF: one request out, one reply back, whatever becomes of it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import anyio
import msgspec
from msgspec import Struct

from ecolyo_worker.energy.answers import Asked, Meaning, Provider, read_answer, vendor_down
from ecolyo_worker.energy.content import Content
from ecolyo_worker.energy.decoding import MOST_BYTES
from ecolyo_worker.remote.http import Client, Clients, read_body
from ecolyo_worker.secret import Secret

__all__ = ["Ask", "EnergyClient", "Reply"]

_MOST_IDLE = 4


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
    """Why there is no answer that can be read, in words; None where there is one."""

    def __repr__(self) -> str:
        return f"<Reply {self.status} {self.trouble or ''}>"

    def meaning(self, provider: Provider, asked: Asked, now: datetime) -> Meaning:
        """Judge it, as an answer to what was asked of a provider."""
        if self.status is None or self.trouble is not None:
            return vendor_down(provider, self.trouble or "nothing")
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
            reply = Reply(None, trouble="no answer in time")
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
    cause: BaseException | None = error
    while cause is not None and not (isinstance(cause, OSError) and cause.strerror):
        cause = cause.__cause__ or cause.__context__
    kind = type(error).__name__
    return f"{kind}: {cause.strerror}" if isinstance(cause, OSError) else kind
