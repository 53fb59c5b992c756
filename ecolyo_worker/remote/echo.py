"""Asks an echo server (`tools/dacc_echo.py`) what it received, for the ledger."""

import anyio
import msgspec

from ecolyo_worker.errors import CommandRefused, StoreUnavailable
from ecolyo_worker.remote.http import read_body

__all__ = ["counted", "received"]

_LONGEST_COUNT = 65_536
_LONGEST_LIST = 256 * 2**20  # of some 300,000 indicators
_COUNT_S = 10
_LIST_S = 120


class _NotEcho(Exception):
    """An answer that is none of an echo server's."""


class _Record(msgspec.Struct):
    body: str


class _Count(msgspec.Struct):
    received: int


async def counted(url: str) -> int | None:
    """Give how many indicators an echo server received; None if none is at the address."""
    import httpx

    try:
        answer = await _asked(f"{url.rstrip('/')}/api/count", _LONGEST_COUNT, _COUNT_S)
        return msgspec.json.decode(answer, type=_Count).received
    except (TimeoutError, httpx.HTTPError, httpx.InvalidURL, _NotEcho, msgspec.MsgspecError):
        return None


async def received(url: str, longest: int = _LONGEST_LIST) -> list[bytes]:
    """Give the text of every indicator an echo server stored, in the order of arrival.

    Raises `StoreUnavailable` if nobody answers at the address, or not in time, and `CommandRefused`
    if whoever does is no echo server, or has more to tell than `longest` bytes.
    """
    import httpx  # takes a tenth of a second: only who asks pays for it

    address = f"{url.rstrip('/')}/api/indicators"
    try:
        records = msgspec.json.decode(await _asked(address, longest, _LIST_S), type=list[_Record])
    except (TimeoutError, httpx.TimeoutException):
        raise StoreUnavailable(f"{address} did not answer in time") from None
    except httpx.NetworkError as error:
        raise StoreUnavailable(f"{address} does not answer: {error}; is it running?") from None
    except (httpx.HTTPError, httpx.InvalidURL, _NotEcho, msgspec.MsgspecError) as error:
        raise CommandRefused(f"{address} does not answer as an echo server: {error}") from None
    return [record.body.encode() for record in records]


async def _asked(address: str, longest: int, seconds: float) -> bytes:
    """Give an answer that is whole within so many bytes and seconds; raises `TimeoutError`.

    Whoever is at the address may be no echo server: it neither holds anybody up nor fills memory.
    """
    import httpx

    plain = {"Accept-Encoding": "identity"}
    with anyio.fail_after(seconds):
        async with (
            httpx.AsyncClient(timeout=seconds, trust_env=False, headers=plain) as client,
            client.stream("GET", address) as answer,
        ):
            answer.raise_for_status()
            text, is_whole = await read_body(answer, longest)
    if text is None or not is_whole:
        raise _NotEcho(f"it gives more than {longest:,} bytes, or codes them")
    return text
