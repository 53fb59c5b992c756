"""One connection of HTTP/1.1: httpcore's, without the pool and the client of httpx around it."""

import ssl
from collections.abc import AsyncIterator

import httpcore
import httpx

from ecolyo_worker.remote.streams import Network

__all__ = ["Connection"]

_TROUBLES = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError)


class Connection:
    """Sends one request at a time, and keeps the connection for the next one to the same place.

    Cookies, redirects and proxies of the environment are not wanted. There is no time-out either,
    but one deadline of the caller's over all of a request.
    """

    def __init__(self, tls: ssl.SSLContext) -> None:
        """Nothing is opened before the first request."""
        self._tls = tls
        self._network = Network()
        self._connection: httpcore.AsyncHTTPConnection | None = None

    async def send(self, request: httpx.Request) -> httpx.Response:
        """Give the answer, whose body is not read yet; raises `httpx.TransportError`."""
        url = request.url
        if url.scheme not in {"http", "https"}:
            raise httpx.UnsupportedProtocol(f"{url.scheme!r} is neither http nor https")
        assert isinstance(request.stream, httpx.AsyncByteStream)
        asked = httpcore.Request(
            request.method,
            httpcore.URL(
                scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        connection = await self._kept(asked.url.origin)
        try:
            answer = await connection.handle_async_request(asked)
        except _TROUBLES as error:
            raise _as_httpx(error) from error
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_Body(answer),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        """Close the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.aclose()

    async def _kept(self, origin: httpcore.Origin) -> httpcore.AsyncHTTPConnection:
        """Give the connection of the request before, unless it is another's or was closed since."""
        kept = self._connection
        if (
            kept is None
            or not kept.can_handle_request(origin)
            or not kept.is_available()
            or kept.has_expired()
        ):
            await self.aclose()
            kept = self._connection = httpcore.AsyncHTTPConnection(
                origin, ssl_context=self._tls, network_backend=self._network
            )
        return kept


class _Body(httpx.AsyncByteStream):
    """What comes after the headers of an answer."""

    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._answer.aiter_stream():
                yield chunk
        except _TROUBLES as error:
            raise _as_httpx(error) from error

    async def aclose(self) -> None:
        await self._answer.aclose()


def _as_httpx(error: Exception) -> httpx.TransportError:
    """Give the error that a client of httpx would raise: they have the same names."""
    found: type[httpx.TransportError] = getattr(httpx, type(error).__name__, httpx.TransportError)
    return found(str(error))
