"""One request that was dealt with: how it came, what was said of it, and how it was answered."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from .indicator import read_object

if TYPE_CHECKING:
    from ..exchange import Answer
    from .cells import Share
    from .exchange import Target
    from .indicator import JsonObject
    from .leaks import Leak

__all__ = ["ANY", "Filter", "Record"]


class Filter(NamedTuple):
    """Which indicators are meant, by fields as they were received and by stack; empty means any."""

    measure: str = ""
    start_date: str = ""
    stack: str = ""

    def admits(self, subject: Filter) -> bool:
        """Say whether indicators of this measure, start date and stack are meant."""
        pairs = zip(self, subject, strict=True)
        return all(wanted in ("", found) for wanted, found in pairs)


ANY = Filter()


@dataclass(frozen=True, slots=True)
class Record:
    """One request to the DACC or the stack.

    ``head`` and ``raw`` are the bytes that came: the headers, and the body. ``seq`` numbers all
    requests, ``n`` the indicators that were stored; it is 0 for all others. ``said`` is the
    ruling's verdict; ``same_as`` is the ``seq`` of the latest request that this one doubles, or 0.
    ``text`` is the indicator where it is not the body of the request itself. ``share`` is what it
    adds to a cell.
    """

    seq: int
    n: int
    time: str
    method: str
    path: str
    head: bytes
    raw: bytes
    target: Target
    said: str
    fault: str | None
    text: str | None
    subject: Filter
    answer: Answer | None
    leaks: tuple[Leak, ...]
    digest: bytes = b""
    same_as: int = 0
    share: Share | None = None

    @property
    def stored(self) -> bool:
        """Whether the DACC would have stored it."""
        return self.n > 0

    @property
    def verdict(self) -> str:
        """All that is to be said of it, leaks first, for nothing weighs more."""
        said = "dup" if self.same_as and self.said == "ok" else self.said
        if not self.leaks:
            return said
        leaks = ", ".join(str(leak) for leak in self.leaks)
        return f"leak: {leaks}" + ("" if said == "ok" else f"; {said}")

    @property
    def kinds(self) -> list[str]:
        """The same in single words: ``leak``, ``dup``, then how the ruling's verdict begins."""
        said = self.said.partition(":")[0]
        kinds = ["leak"] * bool(self.leaks) + ["dup"] * bool(self.same_as)
        return [*kinds, said] if said != "ok" or not kinds else kinds

    @property
    def body(self) -> str:
        """The indicator as it was received, or the body where there was none to be found."""
        if self.text is not None:
            return self.text
        return self.raw.decode("utf-8", "backslashreplace")

    @property
    def indicator(self) -> JsonObject | None:
        """The indicator decoded, if it can be."""
        return read_object(self.body)

    @property
    def size(self) -> int:
        """About how many characters it keeps in memory."""
        texts = (self.text or "", self.said, self.path, *self.subject)
        kept = len(self.head) + len(self.raw)
        return kept + sum(len(text) for text in texts)

    def as_json(self) -> str:
        """Give it as the API shows an indicator, decoded beside its own text, on one line."""
        about = {
            "n": self.n,
            "time": self.time,
            "target": self.target,
            "path": self.path,
            "stack": self.subject.stack,
            "verdict": self.verdict,
            "fault": self.fault,
            "body": self.body,
        }
        return f'{json.dumps(about)[:-1]}, "indicator": {self.standard_json}}}'

    @property
    def standard_json(self) -> str:
        """The indicator as JSON that every reader takes, on one line.

        NaN and the like become text, and what is no JSON object is null.
        """
        text = self.body
        # With a measure it is known to be an object.
        plain = text.isascii() and "NaN" not in text and "Infinity" not in text
        if self.stored and self.subject.measure and plain:
            # A line end within JSON is never a part of a text, so a blank can stand for it.
            return text.replace("\r", " ").replace("\n", " ")
        try:
            found = json.loads(text, parse_constant=str)
            return json.dumps(found if isinstance(found, dict) else None)
        except (ValueError, RecursionError):
            return "null"
