"""What goes over the wire and what is made of it: a request, an answer, and the ruling between."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .definitions import GroupKeys
    from .indicator import JsonObject
    from .leaks import Leak

__all__ = [
    "NO_REQUEST",
    "Answer",
    "Request",
    "Ruling",
    "Stream",
    "Target",
    "Terms",
    "answer_json",
    "unread",
]

Target: TypeAlias = Literal["native", "cozy-v1", "cozy-v2"]


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
    """An HTTP request: the names of ``headers`` in lower case, ``head`` the bytes as they came."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    head: bytes = b""

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


@dataclass(frozen=True, slots=True)
class Terms:
    """What the stand-in insists on.

    Without a ``token`` any or none will do; not ``strict``, whatever comes in an indicator's place
    is stored and answered 201, and what is wrong with it only said. The measures and their
    ``group_keys`` are those of the package's definitions where none are named.
    """

    token: str | None = None
    strict: bool = True
    group_keys: GroupKeys | None = None


@dataclass(frozen=True, slots=True)
class Ruling:
    """What becomes of a request.

    ``verdict`` is ``ok``, ``invalid: …`` (the indicator), ``refused: …`` (the request) or
    ``fault: …``; ``text`` is the indicator as received; ``stack`` is what stands before the path,
    which tells one person's stack from another's; ``too_fast`` is what the rate refuses; ``counts``
    is what the DACC's statistics take in, which without ``strict`` is less than what is stored;
    ``beside`` is what its envelope holds that it should not; ``leaks`` is what might tell who a
    person is; ``flawed`` is what is invalid, indicator or envelope, whatever the verdict says. No
    answer: the connection just ends.
    """

    answer: Answer | None
    verdict: str
    stored: bool = False
    target: Target = "native"
    text: str | None = None
    indicator: JsonObject | None = None
    stack: str = ""
    too_fast: bool = False
    counts: bool = True
    beside: JsonObject | None = None
    leaks: tuple[Leak, ...] = ()
    flawed: bool = False

    @property
    def acknowledged(self) -> bool:
        """Whether the answer, if it arrives, tells the sender that the indicator is stored."""
        return self.stored and self.answer is not None and self.answer.status == 201


def answer_json(status: int, content: object) -> Answer:
    """Give an answer whose body is this content."""
    return Answer(status, json.dumps(content).encode())


def unread(status: int, sentence: str) -> Ruling:
    """Rule about a request that is refused before its body matters."""
    return Ruling(answer_json(status, {"error": sentence}), f"refused: {status} {sentence}")
