"""How commands and their answers go over the control socket.

Requests are JSON as Python's own module writes it, which has a form for whatever a command line can
say: half surrogates, numbers of any size, NaN. Answers are JSON in which an indicator keeps its
very bytes. Of a stream each line is `{"item": …}`, and the last one may be `{"error": …}`.
"""

import json
from typing import Any

import msgspec
from msgspec import Raw, Struct

from ecolyo_worker import errors
from ecolyo_worker.errors import CommandRefused, EcolyoError, InputRefused, IntakeRefused, Refusal

__all__ = [
    "PROTOCOL_HEADER",
    "SOCKET",
    "VERSION_HEADER",
    "ErrorDocument",
    "Piece",
    "decode_request",
    "describe",
    "encode_request",
    "recreate",
]

SOCKET = "control.sock"
"""The socket's name in the state directory."""

PROTOCOL_HEADER = "ecolyo-control"
VERSION_HEADER = "ecolyo-version"


class ErrorDocument(Struct, frozen=True, omit_defaults=True):
    """An error as it goes over the socket: its class, its words, and what else it carries."""

    code: str
    message: str
    details: list[Refusal] = []
    field: str | None = None
    reason: str | None = None


class Piece(Struct, frozen=True, omit_defaults=True):
    """A line of a stream: an item, or the error that ended it."""

    item: Raw = Raw()
    error: ErrorDocument | None = None


def encode_request(request: object) -> bytes:
    """Give what a command is asked as the body of a request."""
    return json.dumps(msgspec.to_builtins(request)).encode()


def decode_request(body: bytes, kind: Any) -> Any:  # noqa: ANN401  any type and a value of it
    """Read what a command is asked, None if it is asked nothing; raises `CommandRefused`."""
    try:
        return msgspec.convert(json.loads(body), kind) if kind is not None else None
    except (ValueError, RecursionError) as error:
        raise CommandRefused(f"the request cannot be read: {error}") from None


def describe(error: EcolyoError) -> ErrorDocument:
    """Give an error as it goes over the socket."""
    code, message = type(error).__name__, str(error)
    if isinstance(error, InputRefused):
        return ErrorDocument(code, message, field=error.field, reason=error.reason)
    if isinstance(error, IntakeRefused):
        return ErrorDocument(code, message, details=list(error.refusals))
    return ErrorDocument(code, message)


def recreate(document: ErrorDocument) -> EcolyoError:
    """Give the error that went over the socket, as one of the same class."""
    kind = getattr(errors, document.code, None)
    if not (isinstance(kind, type) and issubclass(kind, EcolyoError)):
        return EcolyoError(document.message)
    if issubclass(kind, InputRefused):
        return kind(document.field or "", document.reason or document.message)
    if issubclass(kind, IntakeRefused):
        return kind(document.details)
    return kind(document.message)
