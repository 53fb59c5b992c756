"""The fault language that the stand-in servers share: what to break, how often, in which order.

A specification is a list separated by commas, each item used for as many requests as its count
says: ``status=503*2,reset,accept-then-drop,ok``. After the last item everything is answered
normally, so a trailing ``ok`` only says so aloud. With a probability, as in ``latency=5s*10@30%``,
each of these ten requests draws whether it meets the fault or is answered normally; without a
count, as in ``latency=5s@30%``, that lasts for ever, so it must be the last item. The same seed
draws the same.

============================  =================================================================
``ok``                        answers normally
``html-401``                  the DACC's refusal of a token; behind the stack, ``cozy-502``
``cozy-502``                  the stack's refusal of an HTML answer
``expired-token``             400 of the stack about the app's token: ``Expired token`` in JSON
``invalid-jwt``               the same: ``Invalid JWT token`` as plain text
``forbidden``                 403 of the stack: no permission on the doctype
``bad-doctype``               400 of the stack: ``the request is not valid``
``no-token-at-stack``         400 of the stack, which has no DACC token for its template
``cant-connect``              502 of the stack: ``can't connect to the remote host``
``status=503``                this status; ``status=302`` leads to another host
``throttle``                  429; ``throttle=30`` with this ``Retry-After``, in seconds
``retry-after=30``            503 with this ``Retry-After``, in seconds
``retry-after-date=30``       503 with the date so many seconds ahead; ``=-30`` has gone by
``retry-after-garbage``       503 with a ``Retry-After`` that is neither
``drop``                      closes the connection without an answer
``reset``                     the same by a TCP reset
``garbage``                   answers bytes that are no HTTP
``latency=2s``                waits, then answers normally
``slow-body``                 answers byte by byte; ``slow-body=200ms`` sets the pause
``accept-then-drop``          stores, then closes without an answer
``accept-then-cant-connect``  stores, then answers as ``cant-connect``
============================  =================================================================

Those from ``html-401`` to ``garbage`` store nothing. What only the stack says is said by the same
bytes on the DACC's own paths too.
"""

from __future__ import annotations

import random
import re
import threading
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "FORMS",
    "MEANINGS",
    "Fault",
    "FaultPlan",
    "FaultSyntaxError",
    "Form",
    "duration_s",
    "parse",
]

LONGEST_S = 3600.0
MOST_REQUESTS = 999_999_999
SLOW_BODY_PAUSE_S = 1.0

_UNITS_S = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(?P<number>[0-9]{1,9}(?:\.[0-9]{1,6})?)(?P<unit>ms|s|min|h)")
_ITEM = re.compile(
    r"(?P<name>[^=*@]*)(?:=(?P<value>[^*@]*))?(?:\*(?P<count>[^@]*))?(?:@(?P<chance>.*))?",
    re.DOTALL,
)
_CHANCE = re.compile(r"(?P<percent>[0-9]{1,3}(?:\.[0-9]{1,6})?)%")


class FaultSyntaxError(ValueError):
    """A specification is not in the language; the message says what was found and what may be."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to answer a request.

    ``value`` is the status of ``status``, the seconds of all other names that take one, and None
    where there is none.
    """

    name: str
    value: float | None = None

    def __str__(self) -> str:
        if self.value is None:
            return self.name
        form = FORMS.get(self.name)
        unit = "s" if form is not None and form.read is duration_s else ""
        return f"{self.name}={self.value:.12g}{unit}"


@dataclass(frozen=True, slots=True)
class Step:
    """A fault, the number of requests it is used for, and how likely each of them meets it.

    Without a ``count`` it is used for all that come.
    """

    fault: Fault
    count: int | None = 1
    chance: float = 1

    def __str__(self) -> str:
        times = "" if self.count is None else f"*{self.count}"
        return f"{self.fault}{times}" + (f"@{self.chance * 100:.12g}%" if self.chance < 1 else "")

    def after_one(self) -> Step | None:
        """Give what is left of it after a request, if anything."""
        if self.count is None:
            return self
        return replace(self, count=self.count - 1) if self.count > 1 else None


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


def parse(spec: str, forms: Mapping[str, Form] | None = None) -> tuple[Step, ...]:
    """Read a whole specification, of these faults; without any, of the table above.

    Raises FaultSyntaxError.
    """
    items = [item.strip() for item in spec.split(",")]
    if len(items) > 1 and not all(items):
        where = "at the end" if all(items[:-1]) else "that follows no fault"
        raise FaultSyntaxError(f"there is a comma {where}; commas only separate faults")
    steps = tuple(_step(item, FORMS if forms is None else forms) for item in items)
    for step in steps[:-1]:
        if step.count is None:
            raise FaultSyntaxError(
                f"{step} lasts for ever, so it must be the last; a count ends it, as in *10@30%"
            )
    return steps


class FaultPlan:
    """The sequence of faults that requests draw from, one each; safe between threads.

    Every specification begins the draws anew, so that by the same ``seed`` it always gives the
    same sequence. ``forms`` are the faults that there are, if not those of the table above.
    """

    def __init__(
        self,
        spec: str = "ok",
        seed: int | str = 0,
        forms: Mapping[str, Form] | None = None,
    ) -> None:
        self._lock = threading.Lock()
        self._seed = seed
        self._forms = forms
        self.replace(spec)

    def __repr__(self) -> str:
        return f"<FaultPlan {self.left}>"

    @property
    def spec(self) -> str:
        """The specification that was begun with."""
        with self._lock:
            return self._spec

    @property
    def left(self) -> str:
        """What is still to come, as a specification; ``ok`` when nothing is."""
        with self._lock:
            if all(step.fault.name == "ok" for step in self._steps):
                return "ok"
            return ",".join(str(step) for step in reversed(self._steps))

    @property
    def is_over(self) -> bool:
        """Whether nothing is to come any more, not even a request that is said to go well."""
        with self._lock:
            return not self._steps

    @property
    def uses_seed(self) -> bool:
        """Whether anything is left that a draw decides."""
        with self._lock:
            return any(step.chance < 1 for step in self._steps)

    def replace(self, spec: str) -> None:
        """Begin a new sequence; the old one stays if this raises FaultSyntaxError."""
        steps = list(reversed(parse(spec, self._forms)))
        with self._lock:
            self._spec = spec
            self._steps = steps
            self._random = random.Random(self._seed)

    def draw(self) -> Fault:
        """Give the fault of the next request; ``ok`` when the sequence is over."""
        return self.draw_if(lambda _: True) or Fault("ok")

    def draw_if(self, may_meet: Callable[[Fault], bool]) -> Fault | None:
        """Give the fault of the next request, if this request may meet it.

        None: it waits for a request that may, or the sequence is over.
        """
        with self._lock:
            if not self._steps or not may_meet(self._steps[-1].fault):
                return None
            step = self._steps.pop()
            left = step.after_one()
            if left is not None:
                self._steps.append(left)
            met = step.chance >= 1 or self._random.random() < step.chance
            return step.fault if met else Fault("ok")


def _status(text: str) -> float:
    if not re.fullmatch("[2-5][0-9]{2}", text):
        raise FaultSyntaxError(
            f"{_quoted(text)} is no status that ends an answer; allowed are 200 to 599, as in 503"
        )
    return int(text)


def _delay_s(text: str) -> float:
    if not re.fullmatch("[0-9]{1,12}", text):
        raise FaultSyntaxError(f"{_quoted(text)} is no delay; allowed are whole seconds, as in 30")
    return int(text)


def _distance_s(text: str) -> float:
    if not re.fullmatch("-?[0-9]{1,9}", text):
        raise FaultSyntaxError(
            f"{_quoted(text)} is no distance of a date; allowed are whole seconds, as in 30 or -30"
        )
    return int(text)


class Form(NamedTuple):
    """How a fault is written: how its value is read, if it takes one, and which it may leave out.

    Without a ``default`` a fault with ``optional`` value has none when none is given.
    """

    read: Callable[[str], float] | None = None
    example: str = ""
    optional: bool = False
    default: float | None = None

    def written(self, name: str) -> str:
        """Give the fault as it may be written, with the value of the example."""
        return name if self.read is None else f"{name}={self.example}"

    def shown(self, name: str) -> str:
        """Give the same, a value that may be left out in brackets."""
        return f"{name}[={self.example}]" if self.optional else self.written(name)


FORMS: Mapping[str, Form] = {
    "ok": Form(),
    "html-401": Form(),
    "cozy-502": Form(),
    "expired-token": Form(),
    "invalid-jwt": Form(),
    "forbidden": Form(),
    "bad-doctype": Form(),
    "no-token-at-stack": Form(),
    "cant-connect": Form(),
    "status": Form(_status, "503"),
    "throttle": Form(_delay_s, "30", optional=True),
    "retry-after": Form(_delay_s, "30"),
    "retry-after-date": Form(_distance_s, "30"),
    "retry-after-garbage": Form(),
    "drop": Form(),
    "reset": Form(),
    "garbage": Form(),
    "latency": Form(duration_s, "2s"),
    "slow-body": Form(duration_s, "200ms", optional=True, default=SLOW_BODY_PAUSE_S),
    "accept-then-drop": Form(),
    "accept-then-cant-connect": Form(),
}
# What each does, by its name, from the table above.
MEANINGS: Mapping[str, str] = {
    name: meaning.replace("``", "")
    for name, meaning in re.findall(r"^``([a-z0-9-]+)[^`]*`` +(.+)$", __doc__ or "", re.MULTILINE)
}


def _step(item: str, forms: Mapping[str, Form]) -> Step:
    match = _ITEM.fullmatch(item)
    if match is None or match["name"] not in forms:
        name = match["name"] if match else item
        allowed = ", ".join(form.shown(name) for name, form in forms.items())
        raise FaultSyntaxError(
            f"{_quoted(name)} is no fault; {_meant(name, forms)}allowed are {allowed}, "
            "each with *COUNT and @PERCENT% if wanted, several separated by commas"
        )
    fault = Fault(match["name"], _value(match["name"], match["value"], forms[match["name"]]))
    chance = _chance(match["chance"])
    endless = match["chance"] is not None and match["count"] is None
    return Step(fault, None if endless else _count(match["count"]), chance)


def _meant(name: str, forms: Mapping[str, Form]) -> str:
    """Name the fault that a misspelt one may be, if there is one."""
    near = get_close_matches(name.strip().lower().replace("_", "-")[:60], forms, n=1)
    return f"did you mean {near[0]}? " if near else ""


def _value(name: str, text: str | None, form: Form) -> float | None:
    if text is None:
        if form.read is not None and not form.optional:
            raise FaultSyntaxError(f"{name} needs a value, as in {form.written(name)}")
        return form.default
    if form.read is None:
        raise FaultSyntaxError(f"{name} takes no value, found {_quoted(text)}")
    return form.read(text)


def _count(text: str | None) -> int:
    if text is None:
        return 1
    if not re.fullmatch("[1-9][0-9]{0,8}", text):
        raise FaultSyntaxError(
            f"{_quoted(text)} is no count; allowed are whole numbers from 1 to {MOST_REQUESTS}"
        )
    return int(text)


def _chance(text: str | None) -> float:
    if text is None:
        return 1
    match = _CHANCE.fullmatch(text)
    chance = float(match["percent"]) / 100 if match else 0
    if not 0 < chance <= 1:
        raise FaultSyntaxError(
            f"{_quoted(text)} is no probability; allowed, after the count, are percentages above "
            "0% and up to 100%, as in 30%"
        )
    return chance


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:60] + "…")
