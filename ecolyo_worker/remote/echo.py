"""Asks an echo server (`tools/dacc_echo.py`) what it received, for the ledger."""

import msgspec

from ecolyo_worker.errors import CommandRefused, StoreUnavailable

__all__ = ["counted", "received"]


class _Record(msgspec.Struct):
    body: str


class _Count(msgspec.Struct):
    received: int


async def counted(url: str) -> int | None:
    """Give how many indicators an echo server received; None if none is at the address."""
    import httpx

    try:
        async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
            answer = await client.get(f"{url.rstrip('/')}/api/count")
        answer.raise_for_status()
        return msgspec.json.decode(answer.content, type=_Count).received
    except (httpx.HTTPError, httpx.InvalidURL, msgspec.MsgspecError):
        return None


async def received(url: str) -> list[bytes]:
    """Give the text of every indicator an echo server stored, in the order of arrival.

    Raises `StoreUnavailable` if nobody answers at the address, and `CommandRefused` if whoever does
    is no echo server.
    """
    import httpx  # takes a tenth of a second: only who asks pays for it

    address = f"{url.rstrip('/')}/api/indicators"
    try:
        async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
            answer = await client.get(address)
        answer.raise_for_status()
        records = msgspec.json.decode(answer.content, type=list[_Record])
    except httpx.NetworkError as error:
        raise StoreUnavailable(f"{address} does not answer: {error}; is it running?") from None
    except (httpx.HTTPError, httpx.InvalidURL, msgspec.MsgspecError) as error:
        raise CommandRefused(f"{address} does not answer as an echo server: {error}") from None
    return [record.body.encode() for record in records]
