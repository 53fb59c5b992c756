"""What becomes of a request: the ruling between it and its answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from ..exchange import answer_json

if TYPE_CHECKING:
    from ..exchange import Answer
    from .definitions import GroupKeys
    from .indicator import JsonObject
    from .leaks import Leak

__all__ = ["Ruling", "Target", "Terms", "unread"]

Target: TypeAlias = Literal["native", "cozy-v1", "cozy-v2"]


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


def unread(status: int, sentence: str) -> Ruling:
    """Rule about a request that is refused before its body matters."""
    return Ruling(answer_json(status, {"error": sentence}), f"refused: {status} {sentence}")
