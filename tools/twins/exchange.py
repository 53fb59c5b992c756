"""What goes over the wire, a request and an answer, as all stand-ins have it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["NO_REQUEST", "Answer", "Request", "Stream", "answer_json"]


class Stream(Protocol):
    """A body that comes piece by piece for as long as somebody reads it; close it in any case."""

    def __iter__(self) -> Iterator[bytes]: ...

    def close(self) -> None:
        """Let go of what it holds."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; after the ``body`` comes the ``stream``, if there is one."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    stream: Stream | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request: the names of ``headers`` in lower case, ``head`` the bytes as they came.

    ``query`` is what stands in the path after the question mark.
    """

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    head: bytes = b""
    query: str = ""

    @property
    def content_type(self) -> str:
        """What the body is said to be; empty where nothing is said."""
        return self.headers.get("content-type", "")

    @property
    def authorization(self) -> str:
        """The sender's credential with its scheme; empty where none is given."""
        return self.headers.get("authorization", "")


# Of a request that could not be read nothing is known.
NO_REQUEST = Request("", "")


def answer_json(status: int, content: object) -> Answer:
    """Give an answer whose body is this content."""
    return Answer(status, json.dumps(content).encode())
