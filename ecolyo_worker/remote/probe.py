"""Asks an address whether it answers, in a way by which nothing can be stored."""

import ssl
from typing import TYPE_CHECKING, Literal

import anyio
from msgspec import Struct

from ecolyo_worker.remote.http import Client, Clients
from ecolyo_worker.remote.target import Address

if TYPE_CHECKING:
    import httpx

__all__ = ["Probe", "probe"]


class Probe(Struct, frozen=True):
    """How a question ended."""

    end: Literal["answered", "unreachable", "untrusted", "late"]
    """`untrusted`: the two could not agree on TLS."""
    detail: str = ""
    status: int | None = None
    location: str = ""
    """Where a redirect leads, without user, password and query."""


async def probe(address: Address, timeout_s: float) -> Probe:
    """Ask by GET, without the token and without a body, within so many seconds in all."""
    client = Clients().make()
    try:
        with anyio.fail_after(timeout_s):
            return await _asked(client, address)
    except TimeoutError:
        return Probe("late", f"no answer within {timeout_s:g} s")
    finally:
        with anyio.CancelScope(shield=True):
            await client.aclose()


async def _asked(client: Client, address: Address) -> Probe:
    import httpx  # takes a tenth of a second: only who asks pays for it

    headers = address.headers.copy()
    for name in ("Authorization", "Content-Type"):
        headers.pop(name, None)
    try:
        response = await client.send(httpx.Request("GET", address.url, headers=headers))
    except httpx.TransportError as error:
        return Probe("untrusted" if _is_tls(error) else "unreachable", str(error))
    await response.aclose()
    location = _shown(address.url, response.headers.get("location", ""))
    return Probe("answered", "", response.status_code, location)


def _shown(asked: "httpx.URL", location: str) -> str:
    """Give where a redirect leads as it can be shown."""
    import httpx

    try:
        url = asked.join(location)
        return str(url.copy_with(username=None, password=None, query=None, fragment=None))
    except (httpx.InvalidURL, ValueError):
        return ""


def _is_tls(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    return cause is not None
