"""The fault language that the stand-in servers share: what to break, how often, in which order.

A specification is a list separated by commas, each item used for as many requests as its count
says: ``status=503*2,reset,accept-then-drop,ok``. After the last item everything is answered
normally, so a trailing ``ok`` only says so aloud.

====================  ==========================================================================
``ok``                answers normally
``html-401``          the DACC's refusal of a token
``cozy-502``          the stack's refusal of an HTML answer
``status=503``        this status, nothing stored; ``status=302`` leads to another host
``retry-after=30``    503 with this ``Retry-After``, in seconds
``latency=2s``        waits, then answers normally
``slow-body``         answers normally, the body byte by byte; ``slow-body=200ms`` sets the pause
``drop``              closes the connection without an answer, nothing stored
``reset``             the same by a TCP reset
``garbage``           answers bytes that are no HTTP, nothing stored
``accept-then-drop``  stores, then closes without an answer
====================  ==========================================================================
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Fault", "FaultPlan", "FaultSyntaxError", "duration_s", "parse"]

LONGEST_S = 3600.0
SLOW_BODY_PAUSE_S = 1.0

_UNITS_S = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(?P<number>[0-9]{1,9}(?:\.[0-9]{1,6})?)(?P<unit>ms|s|min|h)")
_ITEM = re.compile(r"(?P<name>[^=*]*)(?:=(?P<value>[^*]*))?(?:\*(?P<count>.*))?", re.DOTALL)


class FaultSyntaxError(ValueError):
    """A specification is not in the language; the message says what was found and what may be."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to answer a request.

    ``value`` is the status of ``status``, the seconds of ``retry-after``, ``latency`` and
    ``slow-body``, and 0 for the others.
    """

    name: str
    value: float = 0

    def __str__(self) -> str:
        unit = "s" if _VALUES[self.name] is duration_s else ""
        return f"{self.name}={self.value:.12g}{unit}" if self.value else self.name


@dataclass(frozen=True, slots=True)
class Step:
    """A fault and the number of requests it is used for."""

    fault: Fault
    count: int


def duration_s(text: str) -> float:
    """Give the seconds of a duration such as ``2s``, ``200ms`` or ``1min``, at most an hour.

    Raises FaultSyntaxError.
    """
    match = _DURATION.fullmatch(text)
    seconds = float(match["number"]) * _UNITS_S[match["unit"]] if match else 0.0
    if not 0 < seconds <= LONGEST_S:
        raise FaultSyntaxError(
            f"{_quoted(text)} is no duration; allowed are numbers with ms, s, min or h, "
            "above 0 and up to 1h, as in 200ms"
        )
    return seconds


def parse(spec: str) -> tuple[Step, ...]:
    """Read a whole specification.

    Raises FaultSyntaxError.
    """
    return tuple(_step(item.strip()) for item in spec.split(","))


class FaultPlan:
    """The sequence of faults that requests draw from, one each; safe between threads."""

    def __init__(self, spec: str = "ok") -> None:
        self._lock = threading.Lock()
        self._steps: list[Step] = []
        self.replace(spec)

    def __repr__(self) -> str:
        with self._lock:
            left = ",".join(f"{step.fault}*{step.count}" for step in reversed(self._steps))
        return f"<FaultPlan {left or 'ok'}>"

    def replace(self, spec: str) -> None:
        """Begin a new sequence; the old one stays if this raises FaultSyntaxError."""
        steps = list(reversed(parse(spec)))
        with self._lock:
            self._steps = steps

    def draw(self) -> Fault:
        """Give the fault of the next request; ``ok`` when the sequence is over."""
        with self._lock:
            if not self._steps:
                return Fault("ok")
            step = self._steps.pop()
            if step.count > 1:
                self._steps.append(Step(step.fault, step.count - 1))
            return step.fault


def _status(text: str) -> float:
    if not re.fullmatch("[1-9][0-9]{2}", text):
        raise FaultSyntaxError(f"{_quoted(text)} is no status; allowed are three digits, as in 503")
    return int(text)


def _retry_after_s(text: str) -> float:
    if not re.fullmatch("[0-9]{1,12}", text):
        raise FaultSyntaxError(
            f"{_quoted(text)} is no delay for retry-after; allowed are whole seconds, as in 30"
        )
    return int(text)


# How the value of a name is read; None where a name takes none.
_VALUES: Mapping[str, Callable[[str], float] | None] = {
    "ok": None,
    "html-401": None,
    "cozy-502": None,
    "status": _status,
    "retry-after": _retry_after_s,
    "latency": duration_s,
    "slow-body": duration_s,
    "drop": None,
    "reset": None,
    "garbage": None,
    "accept-then-drop": None,
}
_DEFAULTS: Mapping[str, float] = {"slow-body": SLOW_BODY_PAUSE_S}
_EXAMPLES = (
    "ok, html-401, cozy-502, status=503, retry-after=30, latency=2s, slow-body, drop, reset, "
    "garbage, accept-then-drop, each with *COUNT if wanted, several separated by commas"
)


def _step(item: str) -> Step:
    match = _ITEM.fullmatch(item)
    if match is None or match["name"] not in _VALUES:
        raise FaultSyntaxError(f"{_quoted(item)} is no fault; allowed are {_EXAMPLES}")
    return Step(Fault(match["name"], _value(match["name"], match["value"])), _count(match["count"]))


def _value(name: str, text: str | None) -> float:
    read = _VALUES[name]
    if read is None:
        if text is not None:
            raise FaultSyntaxError(f"{name} takes no value, found {_quoted(text)}")
        return 0
    if text is not None:
        return read(text)
    if name not in _DEFAULTS:
        raise FaultSyntaxError(f"{name} needs a value; allowed are {_EXAMPLES}")
    return _DEFAULTS[name]


def _count(text: str | None) -> int:
    if text is None:
        return 1
    if not re.fullmatch("[1-9][0-9]{0,8}", text):
        raise FaultSyntaxError(f"{_quoted(text)} is no count; allowed are whole numbers from 1")
    return int(text)


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "…")
