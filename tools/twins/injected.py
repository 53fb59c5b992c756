"""The answers of the faults of the wire, which say nothing of any one service."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .exchange import Answer, answer_json
from .http import http_date

if TYPE_CHECKING:
    from .faults import Fault

__all__ = ["MADE", "injected"]

_UNSAID = ("drop", "reset", "garbage")
_STATUS = {"throttle": 429, "retry-after": 503, "retry-after-date": 503, "retry-after-garbage": 503}
# The faults that have an answer of their own, or none at all.
MADE = frozenset({*_UNSAID, *_STATUS, "status"})


def injected(fault: Fault, now_s: float) -> Answer | None:
    """Give the answer of a fault that is in ``MADE``; None where the connection just ends.

    ``now_s``, in seconds of the epoch, is what a date is counted from.
    """
    if fault.name in _UNSAID:
        return None
    if fault.name == "status":
        return _bare_status(int(fault.value or 0))
    told = _retry_after(fault, now_s)
    answer = answer_json(_STATUS[fault.name], {"error": "fault injected"})
    return answer if told is None else replace(answer, headers=(("Retry-After", told),))


def _retry_after(fault: Fault, now_s: float) -> str | None:
    if fault.name == "retry-after-garbage":
        return "soon"
    if fault.value is None:
        return None
    if fault.name == "retry-after-date":
        return http_date(now_s + fault.value)
    return f"{fault.value:.0f}"


def _bare_status(status: int) -> Answer:
    if status >= 400:
        return answer_json(status, {"error": "fault injected"})
    # Below 400 it must not look like a yes, for nothing is stored or told.
    elsewhere = (("Location", "http://elsewhere.invalid/measure"),) if status // 100 == 3 else ()
    return Answer(status, b"<p>fault injected</p>", "text/html", elsewhere)
