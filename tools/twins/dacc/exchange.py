"""What goes over the wire and what is made of it: a request, an answer, and the ruling between."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from .definitions import GroupKeys
    from .indicator import JsonObject

__all__ = ["Answer", "Request", "Ruling", "Target", "Terms", "answer_json", "unread"]

Target: TypeAlias = Literal["native", "cozy-v1", "cozy-v2"]


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """What is read of an HTTP request; absent headers are empty."""

    method: str
    path: str
    content_type: str
    authorization: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Terms:
    """What the stand-in insists on.

    Without a ``token`` any or none will do; not ``strict``, every readable indicator is stored and
    answered 201, and what is wrong with it only said. The measures and their ``group_keys`` are
    those of the package's definitions where none are named.
    """

    token: str | None = None
    strict: bool = True
    group_keys: GroupKeys | None = None


@dataclass(frozen=True, slots=True)
class Ruling:
    """What becomes of a request.

    ``verdict`` is ``ok``, ``invalid: …`` (the indicator), ``refused: …`` (the request) or
    ``fault: …``; ``text`` is the indicator as received; ``stack`` is what stands before the path,
    which tells one person's stack from another's; ``too_fast`` is what the rate refuses. No answer:
    the connection just ends.
    """

    answer: Answer | None
    verdict: str
    stored: bool = False
    target: Target = "native"
    text: str | None = None
    indicator: JsonObject | None = None
    stack: str = ""
    too_fast: bool = False

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
