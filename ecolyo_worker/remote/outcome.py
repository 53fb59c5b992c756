"""What an attempt to send an indicator came to: one value, before anything decides on it."""

from collections.abc import Callable, Mapping
from typing import Literal

import msgspec
from msgspec import Struct

from ecolyo_worker.clock import parse_retry_after

__all__ = ["Kind", "Outcome", "read_answer", "shorten"]

Kind = Literal[
    "delivered",
    "rejected",
    "unauthorized",
    "misconfigured",
    "throttled",
    "failed",
    "unavailable",
    "unknown",
]

_LONGEST_TEXT = 200
_TOLD_BY_WORDS = (400, 502)
_TOKEN_SENTENCES = ("Expired token", "Invalid JWT token")
_STACK_SENTENCES = (
    "a variable is used in the template",
    "the variables are not valid",
    "the request is not valid",
)
_HTML_REFUSED = "the content-type for the response is not authorized"
_CANNOT_CONNECT = "can't connect to the remote host"


class Outcome(Struct, frozen=True):
    """The kind of an attempt's end, and what was said.

    `retry_after` is seconds, or None where the other side gave no sane number.
    """

    kind: Kind
    text: str = ""
    """The first 200 bytes of what was answered, or what went wrong in words."""
    status: int | None = None
    """Of HTTP; None where no answer came."""
    retry_after: float | None = None

    @property
    def detail(self) -> str:
        """What was said, behind the status if there is one."""
        return self.text if self.status is None else f"{self.status}: {self.text}"


def read_answer(
    status: int,
    headers: Mapping[str, str],
    body: bytes | None,
    now: float,
    *,
    is_whole: bool = True,
    mask: Callable[[bytes], bytes] = bytes,
) -> Outcome:
    """Judge an answer of the DACC, or of the cozy-stack in front of it.

    `headers` has lower-case names; `now` is seconds of UTC since 1970, for a `Retry-After` date. A
    yes that could not be read to its end may be one: nobody knows. `body` is None where it cannot
    be read at all: then nobody knows either, where its words would tell. `mask` takes out what must
    not be kept.
    """
    if body is None and (200 <= status < 300 or status in _TOLD_BY_WORDS):
        return Outcome("unknown", "the answer is in a coding that cannot be read", status)
    body = body or b""
    text = body.decode("utf-8", "replace")
    if 200 <= status < 300 and not is_whole:
        return Outcome("unknown", "the answer could not be read to its end", status)
    return Outcome(
        kind=_kind(status, "retry-after" in headers, body, text),
        text=shorten(mask(body)),
        status=status,
        retry_after=parse_retry_after(headers.get("retry-after"), now),
    )


def shorten(text: bytes) -> str:
    """Give what is kept of a text: its first 200 bytes, with one blank for each white space."""
    words = " ".join(text.decode("utf-8", "replace").split())
    return words.encode()[:_LONGEST_TEXT].decode("utf-8", "ignore")


def _kind(status: int, has_retry_after: bool, body: bytes, text: str) -> Kind:  # noqa: FBT001
    if 200 <= status < 300:
        return "delivered" if _is_json(body) else "misconfigured"
    if status == 400:
        return _kind_of_400(text)
    if status == 502:
        return _kind_of_502(text)
    if status == 503:
        return "throttled" if has_retry_after else "unavailable"
    fixed: dict[int, Kind] = {
        401: "unauthorized",
        403: "unauthorized",
        413: "rejected",
        422: "rejected",
        429: "throttled",
        504: "unknown",
    }
    return fixed.get(status, "failed" if status >= 500 else "misconfigured")


def _kind_of_400(text: str) -> Kind:
    if any(sentence in text for sentence in _TOKEN_SENTENCES):
        return "unauthorized"
    if any(sentence in text for sentence in _STACK_SENTENCES):
        return "misconfigured"
    return "rejected"


def _kind_of_502(text: str) -> Kind:
    if _HTML_REFUSED in text:
        return "unauthorized"
    return "unknown" if _CANNOT_CONNECT in text else "unavailable"


def _is_json(body: bytes) -> bool:
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
