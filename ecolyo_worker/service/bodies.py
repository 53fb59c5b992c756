"""Cuts the body of a request into the events it holds: an object, an array, or NDJSON."""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from ecolyo_worker.service import codes
from ecolyo_worker.service.web import Refused

__all__ = ["split_events"]

_BOM = b"\xef\xbb\xbf"
_MOST_EVENTS = 10_000
T = TypeVar("T")


def split_events(body: bytes, *, is_ndjson: bool) -> Sequence[bytes]:
    """Give the JSON text of each event; raises `Refused` for what is no JSON as a whole.

    What begins with `[` is an array. Of the rest, what was called NDJSON, or has a whole value in
    its first line and more behind it, is NDJSON, whose lines are checked one by one.
    """
    text = body.removeprefix(_BOM).strip()
    if not text:
        raise Refused(codes.INVALID_JSON, "found an empty body; allowed: one event or more")
    if is_ndjson or _is_ndjson(text):
        texts = text.split(b"\n")  # an empty one between others is refused, and counts
    elif text.startswith(b"["):
        texts = [bytes(item) for item in _decode(text, list[msgspec.Raw])]
    else:
        _decode(text, msgspec.Raw)
        texts = [text]
    if len(texts) > _MOST_EVENTS:
        message = f"found {len(texts)} events; allowed: {_MOST_EVENTS} in one request"
        raise Refused(codes.TOO_MANY, message)
    return texts


def _is_ndjson(text: bytes) -> bool:
    first, _, more = text.partition(b"\n")
    if not more or first.startswith(b"["):
        return False
    try:
        _decode(first, msgspec.Raw)
    except Refused:
        return False
    return True


def _decode(text: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(text, type=kind)
    except RecursionError:
        raise Refused(codes.INVALID_JSON, "found JSON nested too deep") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        message = f"found no valid JSON: {error} (for NDJSON, say application/x-ndjson)"
        raise Refused(codes.INVALID_JSON, message) from None
