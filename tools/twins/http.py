"""HTTP/1.1 as far as the stand-in needs it: the head of a request in, the bytes of an answer out.

By hand, because the standard library's handler reads every head with its parser for e-mail, which
takes more time than all the rest of a small request.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from io import BufferedIOBase

    from .exchange import Answer

__all__ = ["BadHeadError", "Head", "answer_bytes", "http_date", "read_head"]

LONGEST_LINE = 65536
MOST_HEADERS = 100
_BODILESS = (204, 304)


class BadHeadError(ValueError):
    """The head of a request cannot be read; ``status`` says so to the client."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a request; the names of headers in lower case, repeated ones joined.

    ``raw`` is all of it as it came, with its line ends.
    """

    method: str
    path: str
    query: str
    version: str
    headers: Mapping[str, str]
    raw: bytes = b""

    @property
    def closes(self) -> bool:
        """Whether the connection ends with this request."""
        return self.version != "HTTP/1.1" or "close" in self.headers.get("connection", "").lower()

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits for a word before it sends the body."""
        asked = self.headers.get("expect", "").lower() == "100-continue"
        return asked and self.version == "HTTP/1.1"

    @property
    def body_length(self) -> int:
        """The number of bytes that follow; raises BadHeadError where that is not said."""
        if "transfer-encoding" in self.headers:
            raise BadHeadError(411, "the body's length must be given")
        text = self.headers.get("content-length", "0")
        if not (text.isascii() and text.isdigit() and len(text) < 16):
            raise BadHeadError(400, "Content-Length must be one whole number")
        return int(text)


def read_head(source: BufferedIOBase) -> Head | None:
    """Read the head of the next request, or None when the client is done.

    Raises BadHeadError.
    """
    raw: list[bytes] = []
    first = _line(source, 414, raw)
    if first is None:
        return None
    words = first.split()
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        raise BadHeadError(400, "the request line must be METHOD PATH HTTP/1.1")
    headers = _headers(source, raw)
    if headers is None:
        return None
    path, _, query = words[1].partition("?")
    return Head(words[0], path, query, words[2], headers, b"".join(raw))


def _headers(source: BufferedIOBase, raw: list[bytes]) -> dict[str, str] | None:
    headers: dict[str, str] = {}
    for _ in range(MOST_HEADERS + 1):
        line = _line(source, 431, raw)
        if not line:
            return None if line is None else headers
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            raise BadHeadError(400, "a header must be NAME: VALUE")
        name, value = name.lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    raise BadHeadError(431, f"there are more than {MOST_HEADERS} headers")


def _line(source: BufferedIOBase, too_long: int, raw: list[bytes]) -> str | None:
    line = source.readline(LONGEST_LINE + 1)
    if len(line) > LONGEST_LINE:
        raise BadHeadError(too_long, f"a line is longer than {LONGEST_LINE} bytes")
    raw.append(line)
    return line.decode("latin-1").rstrip("\r\n") if line.endswith(b"\n") else None


def answer_bytes(answer: Answer, *, to_head: bool, closes: bool) -> tuple[bytes, bytes]:
    """Give the head and the body of an answer; ``to_head``: the request was a HEAD."""
    bodiless = answer.status < 200 or answer.status in _BODILESS
    lines = [
        f"HTTP/1.1 {answer.status} {_phrase(answer.status)}",
        f"Date: {http_date(time.time())}",
        *(f"{name}: {value}" for name, value in answer.headers),
    ]
    if not bodiless:
        lines.append(f"Content-Type: {answer.content_type}")
    if not bodiless and answer.stream is None:
        lines.append(f"Content-Length: {len(answer.body)}")
    if closes:
        lines.append("Connection: close")
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    return head, b"" if bodiless or to_head else answer.body


def http_date(at_s: float) -> str:
    """Give an instant, in seconds of the epoch, as headers have it."""
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(at_s))


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Injected"
