"""Reads requests off a connection, and refuses those that two readers could read differently.

h11 forgives what was once usual: bare line feeds, folded lines, two ways at once to say how long a
body is. Where a proxy forgives otherwise, one request can be smuggled in another, so this does not.
"""

import re

import h11
from msgspec import Struct

from ecolyo_worker.service import codes
from ecolyo_worker.service.codes import ErrorCode
from ecolyo_worker.service.web import Bounds

__all__ = ["Connection", "HeadRefusal"]

_END = b"\r\n\r\n"
_FOLDED = re.compile(rb"\r\n[ \t]")
_AUTHORITY = re.compile(rb"https?://[^/?#]*", re.IGNORECASE)
_VERSIONS = (b"1.0", b"1.1")


class HeadRefusal(Struct, frozen=True):
    """Why what came is no request: a code for programs, a sentence for people."""

    code: ErrorCode = codes.BAD_REQUEST
    message: str = "found no valid HTTP request"


class Connection(h11.Connection):
    """The server's side of a connection. `refusal` says more where it raises."""

    def __init__(self, bounds: Bounds) -> None:
        """`bounds` say how large the head of a request may be, and how many lines it may have."""
        super().__init__(h11.SERVER, bounds.head_bytes)
        self._bounds = bounds
        self.refusal = HeadRefusal()
        self._asked_for_head = False

    @property
    def wants_no_body(self) -> bool:
        """Whether what is to be answered is a HEAD."""
        return self._asked_for_head and self.our_state is h11.SEND_RESPONSE

    def next_event(self) -> "h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]":
        """Give what came next; raises `h11.RemoteProtocolError`."""
        if self.their_state is h11.IDLE:
            self._check_bytes(self.trailing_data[0].partition(_END)[0])
        event = super().next_event()
        if isinstance(event, h11.EndOfMessage) and list(event.headers):
            raise self._refused(_because("headers behind the body; allowed: before it"))
        return self._checked(event) if isinstance(event, h11.Request) else event

    def _check_bytes(self, head: bytes) -> None:
        """Check the head of a request, or as much of it as has come."""
        bounds = self._bounds
        lines = head.count(b"\r\n")
        if len(head) > bounds.head_bytes or lines > bounds.head_lines:
            message = (
                f"found a head of more than {bounds.head_bytes} bytes or {bounds.head_lines} lines,"
                " which is the most"
            )
            raise self._refused(HeadRefusal(codes.HEAD_TOO_LARGE, message))
        if lines != head.count(b"\n"):
            raise self._refused(_because("a line feed alone; allowed: behind a carriage return"))
        if _FOLDED.search(head):
            raise self._refused(_because("a header of two lines; allowed: one line for each"))

    def _checked(self, request: h11.Request) -> h11.Request:
        self._asked_for_head = request.method == b"HEAD"
        names = {name for name, _ in request.headers}
        if request.http_version not in _VERSIONS:
            message = "found another version of HTTP; allowed: 1.1 and 1.0"
            raise self._refused(HeadRefusal(codes.HTTP_VERSION, message))
        is_old = request.http_version == b"1.0"
        if b"transfer-encoding" in names and (is_old or b"content-length" in names):
            words = "Transfer-Encoding with Content-Length, or in HTTP/1.0; allowed: one of them"
            raise self._refused(_because(words))
        return _in_origin_form(request)

    def _refused(self, refusal: HeadRefusal) -> h11.RemoteProtocolError:
        self.refusal = refusal
        return h11.RemoteProtocolError(refusal.message, error_status_hint=refusal.code.status)


def _because(words: str) -> HeadRefusal:
    return HeadRefusal(message=f"found {words}")


def _in_origin_form(request: h11.Request) -> h11.Request:
    """Take the address out of a target that has one, as clients write it for proxies."""
    found = _AUTHORITY.match(request.target)
    if found is None:
        return request
    rest = request.target[found.end() :]
    return h11.Request(
        method=request.method,
        target=rest if rest.startswith(b"/") else b"/" + rest,
        headers=list(request.headers),
        http_version=request.http_version,
    )
