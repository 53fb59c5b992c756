"""The DACC: one request out, one outcome back."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio

from ecolyo_worker.clock import Clock
from ecolyo_worker.errors import ConfigurationError
from ecolyo_worker.remote.http import Client, Clients, read_body
from ecolyo_worker.remote.outcome import Kind, Outcome, read_answer, shorten
from ecolyo_worker.remote.secrets import TokenUnusable
from ecolyo_worker.remote.target import Address, Target
from ecolyo_worker.secret import Secret

if TYPE_CHECKING:
    import httpcore

__all__ = ["DaccLane", "open_lane"]

_LONGEST_ANSWER = 65_536
# The first event of httpcore's trace after which bytes of the request may be on their way; the
# version of HTTP stands before it.
_WRITING = ".send_request_headers.started"
# The event that gives a connection on which TLS is to begin.
_CONNECTED = ".connect_tcp.complete"
# TLS troubles that are a lost connection, and say nothing about how TLS is set up.
_CUT = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)


class DaccLane:
    """One sending lane: it owns its client, and takes a new one after a broken attempt."""

    def __init__(self, target: Target, clients: Clients, clock: Clock) -> None:
        """Nothing is opened before the first attempt."""
        self._target = target
        self._clients = clients
        self._clock = clock
        self._client: Client | None = None
        self._timeout_s = target.settings.attempt_timeout.total_seconds()
        self._is_writing = False
        self._connecting: httpcore.AsyncNetworkStream | None = None
        """A connection that nothing was written to yet: httpcore forgets it if TLS is cut off."""
        self._secret: Secret | None = None
        self.was_written = False
        """Whether a byte of the attempt's request may be on its way."""
        self.mark = 0
        """What the secret of the last attempt is known by."""

    async def post(self, body: bytes, instance: str | None = None) -> Outcome:
        """Send a body once, within `dacc.attempt_timeout`, by an instance's stack if one is named.

        httpcore looks whether a kept connection was closed meanwhile before it writes to it, and
        takes a new one then. What is closed later breaks the attempt, as unknown.
        """
        self.was_written, self.mark, self._secret = False, 0, None
        try:
            with anyio.fail_after(self._timeout_s):
                address = await self._target.address(instance)
                self.mark, self._secret = address.mark, address.secret
                return await self._attempt(body, address)
        except TokenUnusable as error:
            self.mark = error.mark
            return Outcome("unauthorized", _storable(error))
        except ConfigurationError as error:
            return Outcome("misconfigured", _storable(error))
        except TimeoutError:
            await self.close()
            return Outcome("unknown" if self.was_written else "unavailable", "no answer in time")
        except Exception as error:  # noqa: BLE001  the edge of an attempt: one row's, not the sender's
            # A host's client may raise anything, and so may an address that is none.
            await self.close()
            kind: Kind = "unknown" if self.was_written else "misconfigured"
            return Outcome(kind, self._words(error))

    async def close(self) -> None:
        """Close the client, if there is one, and what it began to connect."""
        client, self._client = self._client, None
        connecting, self._connecting = self._connecting, None
        with anyio.CancelScope(shield=True):
            if client is not None:
                await client.aclose()
            if connecting is not None:
                await connecting.aclose()

    async def _attempt(self, body: bytes, address: Address) -> Outcome:
        import httpx

        if self._client is None:
            self._client = self._clients.make()
        request = httpx.Request(
            "POST",
            address.url,
            headers=address.headers,
            content=self._target.wrap(body),
            extensions={"trace": self._note},
        )
        # Until the transport says how far it is, the request may be anywhere.
        self.was_written, self._is_writing = True, False
        try:
            response = await self._client.send(request)
            try:
                answer, is_whole = await read_body(response, _LONGEST_ANSWER)
            finally:
                await response.aclose()
        except (httpx.TransportError, httpx.InvalidURL) as error:
            await self.close()
            return Outcome(_broken(error, was_written=self.was_written), self._words(error))
        return read_answer(
            response.status_code,
            response.headers,
            answer,
            self._clock.now().timestamp(),
            is_whole=is_whole,
            mask=self._mask,
        )

    def _mask(self, text: bytes) -> bytes:
        """Take the token out: what is said is kept and shown, and a server may repeat the token."""
        return text if self._secret is None else self._secret.mask(text)

    def _words(self, error: Exception) -> str:
        """Say what went wrong; the client quotes what it was answered and cannot read."""
        words = ": ".join(filter(None, (type(error).__name__, str(error))))
        return shorten(self._mask(words.encode("utf-8", "replace")))

    async def _note(self, event: str, info: dict[str, Any]) -> None:
        """Learn from the client's trace whether a byte of the request was written."""
        if event.endswith(_WRITING):
            self._is_writing, self._connecting = True, None
        elif event.endswith(_CONNECTED):
            self._connecting = info["return_value"]
        self.was_written = self._is_writing
        if self._is_writing and "request" in info:
            # What comes next changes nothing, and every event of a trace costs.
            info["request"].extensions.pop("trace", None)


@asynccontextmanager
async def open_lane(target: Target, clients: Clients, clock: Clock) -> AsyncIterator[DaccLane]:
    """Give a lane and close its client when left."""
    lane = DaccLane(target, clients, clock)
    try:
        yield lane
    finally:
        await lane.close()


def _storable(error: Exception) -> str:
    """Give an error's words; a name or path in them may hold what is no character."""
    return str(error).encode("utf-8", "replace").decode()


def _broken(error: Exception, *, was_written: bool) -> Kind:
    if was_written:
        return "unknown"
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    is_cut = cause is None or isinstance(cause, _CUT)
    return "unavailable" if is_cut else "misconfigured"
