"""The DACC: one request out, one outcome back. All of the HTTP client stands here."""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio

from ecolyo_worker.clock import Clock
from ecolyo_worker.errors import ConfigurationError
from ecolyo_worker.remote.outcome import Outcome, read_answer
from ecolyo_worker.remote.secrets import TokenFile
from ecolyo_worker.settings import Dacc

if TYPE_CHECKING:
    import httpx

__all__ = ["ClientFactory", "DaccLane", "Target", "open_lane"]

ClientFactory = Callable[[], "httpx.AsyncClient"]

_LONGEST_ANSWER = 65_536
# The first event of httpcore's trace after which bytes of the request may be on their way.
_WRITING = "http11.send_request_headers.started"


class Target:
    """Where indicators go: the URL, the token, and a factory of HTTP clients."""

    def __init__(self, settings: Dacc, clients: ClientFactory | None, version: str) -> None:
        """`clients` replaces the client of our own, for a host that needs another one."""
        self.settings = settings
        self.token = TokenFile(settings.token_file)
        self.url = None if settings.url is None else settings.url.rstrip("/") + "/measure"
        self._version = version
        self._clients = clients
        self._tls: ssl.SSLContext | None = None

    def client(self) -> "httpx.AsyncClient":
        """Make a client of one connection, for one lane."""
        if self._clients is not None:
            return self._clients()
        import httpx  # takes a tenth of a second: only who sends pays for it

        if self._tls is None:
            self._tls = ssl.create_default_context()
        return httpx.AsyncClient(
            verify=self._tls,
            timeout=None,  # noqa: S113  one deadline over the whole attempt instead
            limits=httpx.Limits(max_connections=1),
            trust_env=False,
            follow_redirects=False,
        )

    def headers(self) -> dict[str, str]:
        """Give the headers of every request: none tells one person's from another's.

        Raises `ConfigurationError` if the token cannot be read.
        """
        headers = {
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": f"ecolyo-worker/{self._version}",
        }
        token = self.token.read()
        if token is not None:
            headers["Authorization"] = f"Bearer {token.reveal()}"
        return headers


class DaccLane:
    """One sending lane: it owns its client, and takes a new one after a broken attempt."""

    def __init__(self, target: Target, clock: Clock) -> None:
        """Nothing is opened before the first attempt."""
        self._target = target
        self._clock = clock
        self._client: httpx.AsyncClient | None = None
        self._is_writing = False
        self.was_written = False
        """Whether a byte of the attempt's request may be on its way."""

    async def post(self, body: bytes) -> Outcome:
        """Send a body once, within `dacc.attempt_timeout`."""
        self.was_written = False
        try:
            headers = self._target.headers()
        except ConfigurationError as error:
            return Outcome("unauthorized", str(error))
        try:
            with anyio.fail_after(self._target.settings.attempt_timeout.total_seconds()):
                return await self._attempt(body, headers)
        except TimeoutError:
            await self.close()
            return Outcome("unknown" if self.was_written else "unavailable", "no answer in time")

    async def close(self) -> None:
        """Close the client, if there is one."""
        client, self._client = self._client, None
        if client is not None:
            with anyio.CancelScope(shield=True):
                await client.aclose()

    async def _attempt(self, body: bytes, headers: dict[str, str]) -> Outcome:
        import httpx

        if self._client is None:
            self._client = self._target.client()
        self._client.cookies.clear()
        # Until the transport says how far it is, the request may be anywhere.
        self.was_written, self._is_writing = True, False
        try:
            async with self._client.stream(
                "POST",
                self._target.url or "",
                content=body,
                headers=headers,
                extensions={"trace": self._note},
            ) as response:
                answer = await _read(response)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            await self.close()
            return _broken(error, was_written=self.was_written)
        secret = headers.get("Authorization", "").removeprefix("Bearer ").encode()
        if secret:
            # An answer is kept and shown; a server that repeats the token must not put it there.
            answer = answer.replace(secret, b"[token]")
        return read_answer(
            response.status_code, response.headers, answer, self._clock.now().timestamp()
        )

    async def _note(self, event: str, _: dict[str, Any]) -> None:
        """Learn from the client's trace whether a byte of the request was written."""
        self._is_writing = self._is_writing or event == _WRITING
        self.was_written = self._is_writing


@asynccontextmanager
async def open_lane(target: Target, clock: Clock) -> AsyncIterator[DaccLane]:
    """Give a lane and close its client when left."""
    lane = DaccLane(target, clock)
    try:
        yield lane
    finally:
        await lane.close()


async def _read(response: "httpx.Response") -> bytes:
    """Read an answer up to its limit; what lies beyond is not read."""
    answer = bytearray()
    async for chunk in response.aiter_raw():
        answer += chunk
        if len(answer) > _LONGEST_ANSWER:
            break
    return bytes(answer[:_LONGEST_ANSWER])


def _broken(error: Exception, *, was_written: bool) -> Outcome:
    words = f"{type(error).__name__}: {error}"[:200]
    if was_written:
        return Outcome("unknown", words)
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    return Outcome("unavailable" if cause is None else "misconfigured", words)
